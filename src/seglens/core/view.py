"""What every region has in common: what it may be read off, and how regions combine."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from seglens.core.classes import ClassTable
from seglens.core.errors import RegionError
from seglens.core.frame import Frame
from seglens.core.network import Network

Source = Literal["prediction", "truth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a region may be read off: one batch's prediction, and the truth where it was given.

    output: raw network output on the input grid [B K *grid]. truth: labels [B *grid]; instances: ids [B *grid],
    0 for none. frames: one for each image, from the picture to the grid. ignore: the label that belongs to no region.
    """

    network: Network
    output: Tensor
    frames: Sequence[Frame]
    truth: Tensor | None = None
    instances: Tensor | None = None
    ignore: int | None = 255

    @property
    def grid(self) -> tuple[int, ...]:
        """Size of the input grid."""
        return tuple(self.output.shape[2:])

    @property
    def classes(self) -> ClassTable:
        """The class table of the network."""
        return self.network.class_table(self.output)

    def truth_for(self, what: str) -> Tensor:
        """The truth labels. Raises RegionError where none were given."""
        if self.truth is None:
            raise RegionError(f"{what} needs the true labels, and none were given.\n  Give them as truth=…")
        return self.truth

    def labelled(self, label: int, of: Source) -> Tensor:
        """bool [B *grid]: the pixels that prediction or truth gives to a class."""
        if of == "truth":
            return self.truth_for("a region of the truth") == label
        return self.network.members(self.output, label)

    def shown(self) -> Tensor:
        """bool [B *grid]: the pixels that show the image, not its padding."""
        return torch.stack([f.valid(self.output.device) for f in self.frames])

    def known(self) -> Tensor:
        """bool [B *grid]: the pixels that show the image, and whose true label (where given) is not to be ignored."""
        inside = self.shown()
        if self.truth is not None and self.ignore is not None:
            inside &= self.truth != self.ignore
        return inside

    def blank(self) -> Tensor:
        """bool [B *grid], all False."""
        shape = (self.output.shape[0], *self.grid)
        return torch.zeros(shape, dtype=torch.bool, device=self.output.device)


class Region:
    """Base of all regions. `mask` works it out for a batch; `str` gives the text that the command line takes."""

    __slots__ = ()

    def mask(self, view: View) -> Tensor:
        """bool [B *grid], before padding and ignored labels are taken out."""
        raise RegionError(f"{type(self).__name__} is no region: it works out no mask.")

    def __and__(self, other: "Region") -> "Region":
        return _Both(self, other)

    def __or__(self, other: "Region") -> "Region":
        return _Either(self, other)

    def __invert__(self) -> "Region":
        return _Outside(self)


def resolve(region: Region, view: View) -> Tensor:
    """bool [B *grid]: the pixels of a region, without padding and without ignored labels."""
    return region.mask(view) & view.known()


@dataclass(frozen=True, slots=True)
class _Both(Region):
    first: Region
    second: Region

    def mask(self, view: View) -> Tensor:
        return self.first.mask(view) & self.second.mask(view)

    def __str__(self) -> str:
        return f"{_grouped(self.first)} & {_grouped(self.second)}"


@dataclass(frozen=True, slots=True)
class _Either(Region):
    first: Region
    second: Region

    def mask(self, view: View) -> Tensor:
        return self.first.mask(view) | self.second.mask(view)

    def __str__(self) -> str:
        return f"{_grouped(self.first)} | {_grouped(self.second)}"


@dataclass(frozen=True, slots=True)
class _Outside(Region):
    region: Region

    def mask(self, view: View) -> Tensor:
        return ~self.region.mask(view)

    def __str__(self) -> str:
        return f"~{_grouped(self.region)}"


def _grouped(region: Region) -> str:
    return f"({region})" if isinstance(region, _Both | _Either) else str(region)
