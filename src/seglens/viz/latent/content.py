"""What figures, animations and pages of decoded pictures show: pictures, attention upon them, and their scales."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.viz.picture import Scale, colour, greyed, labels_picture, rgba, scale_of


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """Pictures in R rows and C columns, ready to be drawn.

    pictures: floats [R C K H W] in 0..1, NaN where there is none, or labels uint8 [R C H W] of `classes`. attention:
    [R C H W]; change: [R H W], in change_unit. given, to: the image, and the one that the way leads to; reconstruction:
    as one of the pictures.
    forth_and_back: whether the columns are steps of a way that an animation goes back. grid: whether the rows are an
    axis as well, with their names beside them.
    """

    title: str
    facts: list[str]
    pictures: NDArray[Any]
    classes: ClassTable | None
    rows: tuple[str, ...]
    row_notes: tuple[str, ...]
    columns: tuple[str, ...]
    across: str
    given: NDArray[np.uint8] | None
    to: NDArray[np.uint8] | None
    reconstruction: NDArray[Any] | None
    attention: NDArray[np.float32] | None
    attention_words: str
    change: NDArray[np.float32] | None
    change_unit: str
    notes: tuple[str, ...]
    forth_and_back: bool
    grid: bool

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.pictures.shape[0], self.pictures.shape[1]

    def there(self, r: int, c: int) -> bool:
        """Whether the cell has a picture."""
        return bool(np.isfinite(self.pictures[r, c]).all())

    def picture(self, r: int, c: int) -> NDArray[np.uint8]:
        """A cell's picture, uint8 [H W 3]."""
        return painted(self.pictures[r, c], self.classes)

    def attention_scale(self, r: int) -> Scale | None:
        """One scale for all steps of a row; None where attention is zero throughout.

        It ends no lower than at a tenth of the greatest value of all rows, so that a dead unit's row stays dark.
        """
        if self.attention is None:
            return None
        scale, greatest = scale_of(self.attention[r]), scale_of(self.attention)
        if scale is None or greatest is None:
            return scale
        return replace(scale, limit=max(scale.limit, greatest.limit / 10))

    def attended(self, r: int, c: int, scale: Scale | None) -> NDArray[np.uint8]:
        """A cell's attention upon its picture in grey, uint8 [H W 3]."""
        maps = self.attention
        picture = self.picture(r, c)
        return picture if maps is None else overlaid(picture, maps[r, c], scale)

    def change_scale(self) -> Scale | None:
        """One scale for all rows, so that units compare."""
        return None if self.change is None else scale_of(self.change)


def painted(values: NDArray[Any], classes: ClassTable | None) -> NDArray[np.uint8]:
    """uint8 [H W 3] of pixels [K H W] in 0..1, or of labels [H W]. Other than one or three channels: their mean."""
    if values.ndim == 2:
        return labels_picture(values.astype(np.int64), classes or ClassTable.numbered(int(values.max()) + 1))
    pixels = values if len(values) in (1, 3) else values.mean(0, keepdims=True)
    return colour(np.moveaxis(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8), 0, -1))


def overlaid(picture: NDArray[np.uint8], values: NDArray[np.float32], scale: Scale | None) -> NDArray[np.uint8]:
    """A map [H W] upon a picture [H W 3] in grey, stronger where its value is greater."""
    below = colour(greyed(picture, scale)).astype(np.float64)
    above = rgba(values, scale, opacity=0.9, growing=True)
    alpha = above[..., 3:].astype(np.float64) / 255
    return np.rint(below * (1 - alpha) + above[..., :3] * alpha).astype(np.uint8)


def mapped(values: NDArray[np.float32], scale: Scale | None) -> NDArray[np.uint8]:
    """A map [H W] in the colours of its scale, uint8 [H W 3]; the colour of zero where it has none."""
    scale = scale or Scale(1.0, diverging=False, largest=0.0)
    return rgba(values, scale)[..., :3]


def occurring_classes(board: Board) -> NDArray[np.int64] | None:
    """Labels of all pictures in one row of pixels, for a legend; None for images."""
    return board.pictures.reshape(1, -1).astype(np.int64) if board.pictures.ndim == 4 else None
