"""Networks in torch, and the same exported to ONNX."""

import logging
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate


class UNet(nn.Module):
    """Skips, norms, pools, a transposed convolution, resizing to a computed size."""

    def __init__(self, dims: int = 2, end: str = "") -> None:
        super().__init__()
        conv, norm = (nn.Conv2d, nn.BatchNorm2d) if dims == 2 else (nn.Conv3d, nn.BatchNorm3d)
        self.encoder = nn.Sequential(
            nn.Sequential(conv(3, 6, 3, padding=1), norm(6), nn.ReLU()),
            nn.Sequential(nn.MaxPool2d(2) if dims == 2 else nn.MaxPool3d(2), conv(6, 8, 3, padding=1), nn.ReLU()),
        )
        self.head = conv(14, 3, 1)
        self.mode = "bilinear" if dims == 2 else "trilinear"
        self.end = end
        for m in self.modules():
            if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d):
                m.running_mean.uniform_(-0.2, 0.2)
                m.running_var.uniform_(0.5, 1.5)

    def logits(self, x: Tensor) -> Tensor:
        skip = self.encoder[0](x)
        up = interpolate(self.encoder[1](skip), size=skip.shape[2:], mode=self.mode, align_corners=False)
        return self.head(torch.cat([skip, up], 1))

    def forward(self, x: Tensor) -> Any:
        y = self.logits(x)
        ends = {"": y, "softmax": y.softmax(1), "sigmoid": y[:, :1].sigmoid(), "labels": y.argmax(1)}
        return (y.softmax(1), y.argmax(1)) if self.end == "both" else ends[self.end]


class Tokens(nn.Module):
    """Patches, attention, layer norm and GELU, back to a map: what transformers export to."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.mlp = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.patches(x)
        b, c, h, w = y.shape
        t = y.flatten(2).transpose(1, 2)
        q, k, v = self.qkv(self.norm(t)).reshape(b, h * w, 3, 2, c // 2).permute(2, 0, 3, 1, 4)
        t = t + (((q @ k.transpose(-1, -2)) * 0.5).softmax(-1) @ v).transpose(1, 2).reshape(b, h * w, c)
        t = t + self.mlp(t)
        y = self.head(t.transpose(1, 2).reshape(b, c, h, w))
        return interpolate(y, scale_factor=4.0, mode="bilinear", align_corners=False)


class Mobile(nn.Module):
    """Depthwise convolution, hard swish, squeeze and excitation: a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.Hardswish())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.squeeze = nn.Conv2d(8, 8, 1)
        self.gate = nn.Hardsigmoid()
        self.classifier = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.stem(x))
        y = y * self.gate(self.squeeze(y.mean((2, 3), keepdim=True)))
        return self.classifier(nn.functional.relu6(y).mean((2, 3)))


def made(net: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    for p in net.parameters():
        nn.init.uniform_(p, -0.4, 0.4)
    return net.eval()


def exported(
    net: nn.Module, path: Path, opset: int = 17, shape: tuple[int, ...] = (2, 3, 16, 16), free: bool = True
) -> Path:
    """By the exporter that needs no further package; free: batch and sides are dynamic."""
    axes = {"x": {0: "batch", **{k: f"side{k}" for k in range(2, len(shape))}}} if free else {}
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options: dict[str, Any] = {"input_names": ["x"], "dynamic_axes": axes, "opset_version": opset, "dynamo": False}
        torch.onnx.export(net, (torch.rand(shape),), str(path), **options)
    return path
