"""Autoencoders whose latent space is known in full: what each unit encodes, and what it decodes to."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seglens as sl
from seglens.core.network import Network
from seglens.datasets.samples import Sample

SIDE, GAIN, DEAD = 16, 0.1, 4
DATA = Path(__file__).parents[3] / ".." / "shared" / "data"


def material(name: str) -> Path:
    """A file or folder of the optional test material; skips, with the reason, where it is absent."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"optional test material is absent: {name} is looked for in ../shared/data beside the repository")
    return path.resolve()


class Masked(nn.Module):
    """[B 1 16 16] to [B 4 16 16]: the image less 0.5, in channel i only in quadrant i."""

    def __init__(self) -> None:
        super().__init__()
        h = SIDE // 2
        masks = torch.zeros(4, SIDE, SIDE)
        for i, (y, x) in enumerate([(0, 0), (0, h), (h, 0), (h, h)]):
            masks[i, y : y + h, x : x + h] = 1
        self.register_buffer("masks", masks)

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) * self.masks


class Quadrants(nn.Module):
    """Unit i is the brightness of quadrant i less 0.5, over 0.1; the decoder sets it. Unit 4 is dead.

    log σ² is −4, of the dead unit 0. encode(decode(z)) is z but for the dead unit.
    """

    latent, produces = 5, "image"
    conditions: tuple[str, ...] = ()

    def __init__(self) -> None:
        super().__init__()
        self.quadrants = Masked()
        self.gain = nn.Parameter(torch.tensor(GAIN))
        self.norm = nn.BatchNorm2d(1)  # never called: its buffers are to stay

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        area = self.quadrants.masks[0].sum()
        mu = self.quadrants(x).sum((2, 3)) / area / self.gain
        mu = torch.cat([mu, 0 * mu[:, :1]], 1)
        logvar = torch.full_like(mu, -4.0)
        logvar[:, DEAD] = 0
        return mu, logvar

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return 0.5 + self.gain * torch.einsum("bi,ihw->bhw", z[:, :4], self.quadrants.masks)[:, None]

    def picture(self, raw: Tensor) -> Tensor:
        return raw

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.decode(self.encode(x, condition)[0], condition)


class Conditional(Quadrants):
    """The same on images to which 0.2 · smile is added in the first row and 0.2 · hat in the last one."""

    conditions = ("smile", "hat")

    def _worn(self, condition: Tensor) -> Tensor:
        worn = torch.zeros(len(condition), 1, SIDE, SIDE)
        worn[:, 0, 0] = 0.2 * condition[:, :1]
        worn[:, 0, -1] = 0.2 * condition[:, 1:]
        return worn

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        assert condition is not None
        return super().encode(x - self._worn(condition))

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        assert condition is not None
        return super().decode(z) + self._worn(condition)


class Masks(Quadrants):
    """The same as a segmenter: class 1 where a quadrant is brighter than 0.5."""

    produces = "masks"

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        bright = 20 * (super().decode(z) - 0.5)
        return torch.cat([-bright, bright], 1)

    def picture(self, raw: Tensor) -> Tensor:
        return raw.softmax(1)


def network(kind: type[nn.Module] = Quadrants, **fields: object) -> Network:
    told = {"convention": {"channels": 1, "size": (SIDE, SIDE)}, "default_layer": "quadrants", "link": "none"}
    return sl.load(kind(), **{**told, **fields})


def picture(*levels: float) -> np.ndarray:
    """A uint8 image [16 16] with these brightnesses (0..1) of its quadrants."""
    a, b, c, d = (np.full((SIDE // 2, SIDE // 2), round(255 * v), np.uint8) for v in levels)
    return np.block([[a, b], [c, d]])


class Levels:
    """Pictures of four quadrants whose brightness is drawn at random: a data set whose factors are the units'."""

    classes, built_in = None, True
    factors = ("first", "second", "third", "fourth")

    def __init__(self, length: int, attributes: tuple[str, ...] = (), still: int | None = None) -> None:
        rng = np.random.default_rng(7)
        self.levels = np.round(rng.choice(np.linspace(0.3, 0.7, 9), (length, 4)), 3)
        if still is not None:
            self.levels[:, still] = 0.5
        self.attributes = attributes
        self._worn = rng.integers(0, 2, (length, len(attributes)))

    def __len__(self) -> int:
        return len(self.levels)

    def __getitem__(self, index: int) -> Sample:
        image = picture(*self.levels[index])
        worn = self._worn[index].astype(np.float32) if self.attributes else None
        return Sample(image=image[..., None], attributes=worn, factors=self.levels[index].astype(np.float32))


class Turned(Quadrants):
    """The same with units turned by 45° in the plane of the first two: each follows two factors."""

    def _turn(self, z: Tensor, by: float) -> Tensor:
        c, s = 0.5**0.5, by * 0.5**0.5
        return torch.cat([(c * z[:, :1] + s * z[:, 1:2]), (-s * z[:, :1] + c * z[:, 1:2]), z[:, 2:]], 1)

    def encode(self, x: Tensor, condition: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mu, logvar = super().encode(x)
        return self._turn(mu, 1.0), logvar

    def decode(self, z: Tensor, condition: Tensor | None = None) -> Tensor:
        return super().decode(self._turn(z, -1.0))
