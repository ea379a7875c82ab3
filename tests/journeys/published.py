"""Published architectures, written from the names and shapes of their trained tensors, and where those lie.

The modules are the tests' own; weights and pictures are optional material outside the repository.
"""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

DATA = Path(__file__).parents[2] / ".." / "shared" / "data"


def material(name: str) -> Path:
    """A file or folder of the optional test material; skips, with the reason, where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"optional test material is absent: {name} is looked for in ../shared/data beside the repository")
    return path.resolve()


class NucleiUNet(nn.Module):
    """A U-Net for fluorescent nuclei: [B 1 H W] to one logit [B 1 H W]; sides are multiples of 8.

    Two convolutions and one in-place ReLU a step; one pooling module used three times; bilinear upsampling followed
    by a 1×1 convolution; the skip comes first in the concatenation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList([_step(1, 16), _step(16, 32), _step(32, 64)])
        self.pool = nn.MaxPool2d(2)
        self.base = _step(64, 128)
        self.decoders = nn.ModuleList([_step(128, 64), _step(64, 32), _step(32, 16)])
        self.upsamplers = nn.ModuleList([_larger(128, 64), _larger(64, 32), _larger(32, 16)])
        self.output = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skips: list[Tensor] = []
        for encoder in self.encoders:
            x = encoder(x)
            skips.append(x)
            x = self.pool(x)
        x = self.base(x)
        for decoder, upsampler, skip in zip(self.decoders, self.upsamplers, reversed(skips), strict=True):
            x = decoder(torch.cat([skip, upsampler(x)], 1))
        return self.output(x)


class WNet(nn.Module):
    """Two small U-Nets in a row for retinal vessels (Galdran et al. 2020): [B 3 H W] to logits [B 1 H W] of both.

    The second sees the picture and the first one's logits. In `mode` 'train' both are returned, else the second.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unet1 = _Half(3)
        self.unet2 = _Half(4)
        self.mode = "train"

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        first = self.unet1(x)
        second = self.unet2(torch.cat([x, first], 1))
        return (first, second) if self.mode == "train" else second


def _step(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU(inplace=True)
    )


def _larger(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), nn.Conv2d(inputs, outputs, 1))


def _normed(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(outputs)]


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, pooled: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2) if pooled else nn.Identity()
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.block = nn.Sequential(*_normed(inputs, outputs), *_normed(outputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(x)
        return self.block(x) + self.shortcut(x)


class _Wrapped(nn.Module):
    """A sequence under the name `block`, as the tensors' names have it."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.up_layer = _Wrapped(nn.ConvTranspose2d(inputs, outputs, 2, 2))
        self.conv_bridge_layer = _Wrapped(*_normed(outputs, outputs))
        self.conv_layer = _Residual(2 * outputs, outputs, pooled=False)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        return self.conv_layer(torch.cat([self.up_layer(x), self.conv_bridge_layer(skip)], 1))


class _Half(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _Residual(channels, 8, pooled=False)
        self.down_path = nn.ModuleList([_Residual(8, 16, pooled=True), _Residual(16, 32, pooled=True)])
        self.up_path = nn.ModuleList([_Up(32, 16), _Up(16, 8)])
        self.final = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        fine = self.first(x)
        middle = self.down_path[0](fine)
        coarse = self.down_path[1](middle)
        return self.final(self.up_path[1](self.up_path[0](coarse, middle), fine))
