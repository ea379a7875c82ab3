"""Exported programs for the tests, and ways to tamper with them."""

import io
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.networks.exported import Program, load_exported
from seglens.networks.loaded import Request


class Small(nn.Module):
    """Everything a segmenter has: skip, pooling, batch norm, an in-place ReLU run twice, resizing."""

    def __init__(self, fold: bool = False) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.relu = nn.ReLU(inplace=True)
        self.head = nn.Conv2d(8, 2, 1)
        self.register_buffer("gain", torch.tensor([2.0]), persistent=False)
        self.scale = nn.Parameter(torch.ones(1))
        self.fold = fold

    def forward(self, x: Tensor) -> Tensor:
        skip = self.relu(self.encoder(x))
        low = self.relu(nn.functional.max_pool2d(skip, 2) * self.gain)
        up = interpolate(low, skip.shape[-2:], mode="bilinear", align_corners=False)
        y = self.head(torch.cat([skip, up], 1)) * self.scale
        # A reshape with the batch size written into the graph: such a program takes no other batch.
        return y.reshape(x.shape[0] * 2, *y.shape[2:]).reshape(x.shape[0], 2, *y.shape[2:]) if self.fold else y


def exported(module: nn.Module, path: Path, batch: int = 1, **options: object) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = torch.rand(batch, 3, 16, 16)
        torch.export.save(torch.export.export(module, (example,), **options), path)
    return path


def opened(path: Path, trust: bool = False) -> Program:
    loaded = load_exported(path, Request(trust=trust)).module
    assert isinstance(loaded, Program)
    return loaded


def changed(path: Path, to: Path, change: Callable[[str, bytes], bytes | None], **new: bytes) -> Path:
    """A copy of an archive with its members changed (None: left out), and new ones under its folder."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(to, "w") as target:
        root = source.namelist()[0].partition("/")[0]
        for name in source.namelist():
            data = change(name.partition("/")[2], source.read(name))
            if data is not None:
                target.writestr(name, data)
        for name, data in new.items():
            target.writestr(f"{root}/{name}", data)
    return to


class Bomb:
    """Pickled, it makes a file when it is opened."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def saved(thing: object, new_format: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save(thing, buffer, _use_new_zipfile_serialization=new_format)
    return buffer.getvalue()


def same(_: str, data: bytes) -> bytes:
    """A change that changes nothing."""
    return data
