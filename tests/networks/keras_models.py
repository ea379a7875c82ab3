"""One small U-Net with a softmax, in torch and in Keras in four styles and two layouts, with equal weights."""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

if find_spec("keras") is None or find_spec("h5py") is None:
    pytest.skip("keras is not installed", allow_module_level=True)

from seglens.networks.keras import keras

k: Any = keras()
L: Any = k.layers

STYLES = ("functional", "nested", "subclassed")
LAYOUTS = ("channels_last", "channels_first")
CLASSES = 4


class TorchUNet(nn.Module):
    """Convolution, batch norm, pooling, transposed convolution, a skip; it gives logits."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6, eps=1e-3)
        self.pool = nn.MaxPool2d(2)
        self.deep = nn.Conv2d(6, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2)
        self.head = nn.Conv2d(12, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.norm(self.enter(x)).relu()
        low = self.deep(self.pool(skip)).relu()
        return self.head(torch.cat([self.up(low), skip], 1))


def torch_unet(seed: int = 0) -> TorchUNet:
    """The twin, its batch norm with statistics that tell, its scores far enough apart to matter."""
    torch.manual_seed(seed)
    net = TorchUNet().eval()
    with torch.no_grad():
        net.norm.running_mean.normal_(0, 0.2)  # pyright: ignore[reportOptionalMemberAccess]
        net.norm.running_var.uniform_(0.5, 1.5)  # pyright: ignore[reportOptionalMemberAccess]
        net.norm.weight.uniform_(0.5, 1.5)
        net.norm.bias.normal_(0, 0.2)
        net.head.weight.mul_(3)
    return net


def _parts(layout: str) -> dict[str, Any]:
    same = {"padding": "same", "data_format": layout}
    axis = -1 if layout == "channels_last" else 1
    head = {"data_format": layout, "name": "head"}
    return {
        "enter": L.Conv2D(6, 3, name="enter", **same),
        "norm": L.BatchNormalization(axis=axis, name="norm"),
        "relu": L.ReLU(name="relu"),
        "pool": L.MaxPooling2D(data_format=layout, name="pool"),
        "deep": L.Conv2D(8, 3, activation="relu", name="deep", **same),
        "up": L.Conv2DTranspose(6, 2, strides=2, name="up", **same),
        "skip": L.Concatenate(axis=axis, name="skip"),
        # Keras's fused softmax runs over the last axis, so channels first needs a layer of its own.
        "head": L.Conv2D(CLASSES, 1, activation="softmax" if axis == -1 else None, **head),
        "softmax": None if axis == -1 else L.Softmax(axis=1, name="softmax"),
    }


def _run(p: dict[str, Any], x: Any, encode: Any = None) -> Any:
    skip = encode(x) if encode is not None else p["relu"](p["norm"](p["enter"](x)))
    low = p["deep"](p["pool"](skip))
    y = p["head"](p["skip"]([p["up"](low), skip]))
    return y if p["softmax"] is None else p["softmax"](y)


class Subclassed(k.Model):
    """The U-Net as code; its layers lie in a list, which torch's tree of modules does not show."""

    def __init__(self, layout: str) -> None:
        super().__init__(name="subclassed")
        self.layout = layout
        self.parts = _parts(layout)
        self.found = [p for p in self.parts.values() if p is not None]

    def call(self, x: Any) -> Any:
        return _run(self.parts, x)

    def get_config(self) -> dict[str, Any]:
        return {"layout": self.layout}


def keras_unet(style: str = "functional", layout: str = "channels_last", side: int | None = 16, seed: int = 0) -> Any:
    """The U-Net in Keras, with the twin's weights. nested: its encoder is a sequential model called 'encoder'."""
    shape = (side, side, 3) if layout == "channels_last" else (3, side, side)
    if style == "subclassed":
        model = Subclassed(layout)
        model(np.zeros((1, *shape), "float32"))
        parts = model.parts
    else:
        parts = _parts(layout)
        x = k.Input(shape, name="image")
        encoder = None
        if style == "nested":
            first = [parts[n] for n in ("enter", "norm", "relu")]
            encoder = k.Sequential([k.Input(shape), *first], name="encoder")
        model = k.Model(x, _run(parts, x, encoder), name=style)
    fill(parts, torch_unet(seed))
    return model


def fill(parts: dict[str, Any], net: TorchUNet) -> None:
    """torch's weights into Keras's layers: kernels are (rows, columns, in, out), transposed ones (…, out, in)."""
    for name in ("enter", "deep", "head", "up"):
        conv = getattr(net, name)
        parts[name].set_weights([conv.weight.detach().permute(2, 3, 1, 0).numpy(), conv.bias.detach().numpy()])
    norm = net.norm
    stats = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    parts["norm"].set_weights([t.detach().numpy() for t in stats if t is not None])


def probabilities(model: Any, x: Tensor, layout: str = "channels_last") -> Tensor:
    """What the user's own model gives for images [B C H W], as [B K H W]."""
    if layout == "channels_first":
        return model(x, training=False).detach()
    return model(x.movedim(1, -1), training=False).detach().movedim(-1, 1)


def images(n: int = 2, side: int = 16, seed: int = 3) -> Tensor:
    return torch.rand(n, 3, side, side, generator=torch.Generator().manual_seed(seed))


def save(model: Any, path: Path) -> Path:
    """Saved by Keras itself, which warns of its own internals and of formats that it calls legacy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path
