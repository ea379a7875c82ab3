"""A contact sheet: many small maps of one picture, each with its number and what it weighs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ParameterError, ShapeError
from seglens.viz import words
from seglens.viz.colours import table
from seglens.viz.picture import Scale, rgba

EMPTY = "zero"
"""Upon a map that is zero everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tile:
    """One small map [h w] over the whole picture, on a grid of its own, with its number.

    weight: what it contributes, in the sheet's `weight_unit`; NaN where nobody asked.
    """

    number: int
    values: NDArray[np.float32]
    weight: float = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contact:
    """The sheet: tiles in order, the picture that they show, and the words about them all.

    title, facts: what is shown, in one line and in several. image: uint8 [H W 3] or [H W]; region: bool [H W], its
    outline is drawn. unit: of the maps. heaviest: the greatest |weight|, also among tiles that are not shown: the
    length of a full bar. notes: remarks below. shared: one scale of colours for all tiles, else each its own, from 0 to
    its greatest value.
    """

    title: str
    facts: Sequence[str]
    image: NDArray[np.uint8]
    tiles: Sequence[Tile]
    unit: str
    weight_unit: str = ""
    heaviest: float = 0.0
    region: NDArray[np.bool_] | None = None
    notes: Sequence[str] = ()
    shared: bool = False
    _range: tuple[float, bool] = field(init=False, default=(0.0, False))

    def __post_init__(self) -> None:
        if not self.tiles:
            raise ParameterError("no maps to put on a contact sheet.")
        for tile in self.tiles:
            if tile.values.ndim != 2:
                raise ShapeError(
                    f"a map on a contact sheet is [h w], not {list(tile.values.shape)}.", tile.values.shape
                )
        extremes = [_extremes(t.values) for t in self.tiles]
        low, high = min(e[0] for e in extremes), max(e[1] for e in extremes)
        object.__setattr__(self, "_range", (max(high, -low), low < 0))

    @property
    def weighed(self) -> bool:
        """Whether any tile has a weight."""
        return any(np.isfinite(t.weight) for t in self.tiles)

    @property
    def diverging(self) -> bool:
        """Whether colours stand for both signs, which holds for all tiles where one has negative values."""
        return self._range[1]

    @property
    def ratio(self) -> float:
        """Width over height at which pictures are drawn: the image's own, sides beyond 1 : 3 or 8 : 1 stretched."""
        height, width = self.image.shape[:2]
        return min(max(width / height, 1 / 3), 8.0)

    @property
    def outlined(self) -> NDArray[np.bool_] | None:
        """The region that is outlined: one that is not the whole image."""
        return None if self.region is None or self.region.all() else self.region

    @property
    def ends(self) -> tuple[str, str]:
        """What the ends of the colour bar stand for; all scales have one where they share it."""
        scale = self.scale()
        if scale is not None and self.shared:
            return words.number(scale.low), words.number(scale.limit)
        return ("−greatest" if self.diverging else "0"), "each channel's greatest"

    def scale(self, tile: Tile | None = None) -> Scale | None:
        """The colours of one tile; those of all where they share one. None where it is zero or undefined everywhere."""
        low, high = (-self._range[0], self._range[0]) if self.shared or tile is None else _extremes(tile.values)
        limit = max(high, -low)
        return Scale(limit, self.diverging, limit) if limit > 0 else None

    def picture(self, tile: Tile) -> NDArray[np.uint8]:
        """A tile in colours [h w 3]."""
        painted = rgba(tile.values, self.scale(tile)).astype(np.float64)
        alpha = painted[..., 3:] / 255
        # Zero without a scale is paper: nothing is there.
        return np.rint(painted[..., :3] * alpha + 238 * (1 - alpha)).astype(np.uint8)

    def is_empty(self, tile: Tile) -> bool:
        """Whether a tile is zero everywhere."""
        return not tile.values.any()

    def range(self, tile: Tile) -> str:
        """What a tile's colours stand for, where it has colours of its own."""
        scale = self.scale(tile)
        if self.shared or scale is None or self.is_empty(tile):
            return ""
        limit = _short(scale.limit)
        return f"±{limit}" if self.diverging else f"0 … {limit}"

    def weight(self, tile: Tile) -> str:
        """What a tile contributes, with its sign."""
        if not np.isfinite(tile.weight):
            return ""
        return ("+" if tile.weight > 0 else "") + _short(tile.weight)

    def share(self, tile: Tile) -> float:
        """Length of a tile's bar, in [0, 1]."""
        if not np.isfinite(tile.weight) or not self.heaviest > 0:
            return 0.0
        return min(abs(tile.weight) / self.heaviest, 1.0)

    def key(self) -> list[str]:
        """How to read the sheet."""
        if self.shared:
            said = [f"All maps share one scale of colours, in units of {self.unit}."]
        else:
            said = [
                "Each map has its own scale of colours, stated below it"
                f" ({self.unit}): compare patterns by eye, sizes by number."
            ]
        if self.weighed:
            said.append(
                f"Signed: what the channel contributes, in {self.weight_unit}. The bar is its size, orange where it "
                "speaks for the target and blue where it speaks against it; a full bar is the greatest of the layer."
            )
        if any(self.is_empty(t) for t in self.tiles):
            said.append(f"“{EMPTY}”: the channel is zero at every place shown, so there is nothing to see.")
        if any(not np.isfinite(t.values).all() for t in self.tiles):
            said.append("Hatched in grey: undefined.")
        return said


def bar_colour(weight: float) -> tuple[int, int, int]:
    """Of a weight's bar: the ends of the diverging map."""
    r, g, b = (round(float(v) * 255) for v in table("diverging")[-1 if weight > 0 else 0])
    return r, g, b


def _short(value: float) -> str:
    """Two significant digits, and those before the point up to thousands."""
    return words.number(value, len(str(int(abs(value)))) if 100 <= abs(value) < 1e4 else 2)


def _extremes(values: NDArray[np.float32]) -> tuple[float, float]:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else (0.0, 0.0)
