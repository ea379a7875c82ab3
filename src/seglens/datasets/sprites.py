"""Sprites made by rule in the manner of dSprites: one white shape on black, all of whose factors are known exactly.

Source: Matthey, Higgins, Hassabis and Lerchner, "dSprites: Disentanglement testing Sprites dataset", 2017. The factors,
their values and their order are the publisher's. The drawings are our own: their sizes and places are those at which
two autoencoders that were trained on the published pictures reconstruct ours best, since the published generator is
not at hand. They resemble the published pictures and are not equal to them pixel by pixel.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import pi, prod

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError
from seglens.datasets.samples import SPLITS, Sample, Split

SHAPES: tuple[str, ...] = ("square", "ellipse", "heart")
FACTORS: tuple[str, ...] = ("shape", "scale", "rotation", "x", "y")
VALUES: tuple[NDArray[np.float64], ...] = (
    np.arange(3.0),
    np.linspace(0.5, 1, 6),
    np.linspace(0, 2 * pi, 40),
    np.linspace(0, 1, 32),
    np.linspace(0, 1, 32),
)
"""The values of each factor. Rotations hold 0 and 2π, which look alike, as the publisher's do."""
LATTICE: tuple[int, ...] = tuple(len(values) for values in VALUES)
"""Numbers of values, in the order of `FACTORS`: the last runs fastest. Their product is 737,280."""

_SMALLEST = 16  # pixels: below this a heart is no heart
_FIELD = 64  # pixels: the side for which the lengths below hold
_MARGIN, _SPAN = 16.0, 31.0  # of centres: from pixel 16 to pixel 47, one pixel a step
_HALF_SIDE = 9.5  # of the square at scale 1
_RADII = (12.6, 7.2)  # of the ellipse
_LOBE = 5.2  # radius of the heart's two discs; their centres and the tip in units of it:
_LOBE_OFF, _TIP, _RAISED = 0.96, 2.5, 0.55
_SHARES = {"train": (0.0, 0.8), "val": (0.8, 0.9), "test": (0.9, 1.0)}


def draw_sprite(
    shape: str, scale: float, rotation: float, x: float, y: float, size: tuple[int, int] = (64, 64)
) -> NDArray[np.bool_]:
    """The pixels [H W] whose centres lie in the shape; no edge is softened.

    shape: 'square', 'ellipse' or 'heart'. scale: 1 is the largest of dSprites. rotation: in radians, counter-clockwise
    as seen; at 0 the ellipse is wide and the heart stands on its tip. x, y: of the centre, from left and top, 0 to 1
    over the middle half of the field. Lengths grow with the shorter side of `size`.
    Raises ParameterError for another shape, values that are not finite, a scale of 0 or less, a side under 16 pixels.
    """
    if shape not in SHAPES:
        raise ParameterError(f"shape = {shape!r}: one of {', '.join(SHAPES)}.")
    if not np.isfinite([scale, rotation, x, y]).all() or scale <= 0:
        raise ParameterError(
            f"scale = {scale}, rotation = {rotation}, x = {x}, y = {y}: finite numbers, and a scale above 0."
        )
    unit = min(_checked(size)) / _FIELD
    down, right = (np.arange(side) + 0.5 - side / 2 for side in size)
    right = right[None] / unit - (_MARGIN + _SPAN * x + 0.5 - _FIELD / 2)
    down = down[:, None] / unit - (_MARGIN + _SPAN * y + 0.5 - _FIELD / 2)
    cos, sin = np.cos(rotation) / scale, np.sin(rotation) / scale
    across, along = cos * right - sin * down, sin * right + cos * down
    if shape == "square":
        return np.maximum(np.abs(across), np.abs(along)) <= _HALF_SIDE
    if shape == "ellipse":
        return (across / _RADII[0]) ** 2 + (along / _RADII[1]) ** 2 <= 1
    return _heart(across / _LOBE, along / _LOBE + _RAISED)


def _heart(across: NDArray[np.float64], along: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Two unit discs at (±_LOBE_OFF, 0), and the cone from the tip at (0, _TIP) that touches both from outside."""
    side = np.abs(across)
    lobes = (side - _LOBE_OFF) ** 2 + along**2 <= 1
    half = np.arctan2(_LOBE_OFF, _TIP) + np.arcsin(1 / np.hypot(_LOBE_OFF, _TIP))  # half the angle of the cone
    cone = side <= (_TIP - along) * np.tan(half)
    below = ((side - _LOBE_OFF) * np.sin(half) <= along * np.cos(half)) & (along >= 0)
    return lobes | (cone & below)


@dataclass(frozen=True, slots=True)
class Sprites:
    """Sprites as samples, a map-style data set for torch's `DataLoader`.

    length None: the whole lattice, 737,280 sprites, in dSprites' order (y runs fastest, then x, rotation, scale, and
    shape). A length: so many of them in an order shuffled by `seed`, none twice; split: of that order, 'train' has the
    first 80 %, 'val' and 'test' a tenth each, so that splits of one seed share no sprite. A length above what the
    split has gives what it has.
    size: (H, W), each at least 16 pixels.

    A sample's image is uint8 [H W 1], 0 or 255; labels are 0 for background, else 1 + shape; attributes say the shape,
    1 for the one it is and 0 for the others; factors are the values in the order of `FACTORS`: shape 0 to 2, scale
    0.5 to 1, rotation 0 to 2π, x and y 0 to 1.
    """

    length: int | None = None
    size: tuple[int, int] = (64, 64)
    seed: int = 0
    split: Split | None = None

    def __post_init__(self) -> None:
        _checked(self.size)
        if self.length is not None and self.length < 0:
            raise ParameterError(f"length = {self.length}: a data set cannot hold fewer than 0 sprites.")
        if self.seed < 0:
            raise ParameterError(f"seed = {self.seed}: a seed is an integer from 0 upwards.")
        if self.split is not None and self.split not in SPLITS:
            raise ParameterError(f"split = {self.split!r}: one of {', '.join(SPLITS)}, or None for all.")
        if self.split is not None and self.length is None:
            raise ParameterError("the whole lattice has no splits: give a length, or split=None.")

    @property
    def classes(self) -> ClassTable:
        """Background and the three shapes."""
        return ClassTable(("background", *SHAPES), ((0, 0, 0), (214, 94, 0), (0, 114, 178), (0, 158, 115)))

    @property
    def attributes(self) -> tuple[str, ...]:
        """The three shapes."""
        return SHAPES

    @property
    def factors(self) -> tuple[str, ...]:
        """shape, scale, rotation, x, y."""
        return FACTORS

    @property
    def built_in(self) -> bool:
        """True."""
        return True

    def __len__(self) -> int:
        first, last = self._range()
        return last - first if self.length is None else min(self.length, last - first)

    def place(self, index: int) -> int:
        """Where in the lattice the sprite of that index lies: its index in dSprites' own order. Raises IndexError."""
        at = index + len(self) if index < 0 else index
        if not 0 <= at < len(self):
            raise IndexError(f"sprite {index} of {len(self)}")
        return at if self.length is None else int(lattice_order(self.seed)[self._range()[0] + at])

    def __getitem__(self, index: int) -> Sample:
        """The sprite of that index; negative indices count from the end. IndexError outside the length."""
        place = self.place(index)
        digits = np.unravel_index(place, LATTICE)
        factors = [float(values[digit]) for values, digit in zip(VALUES, digits, strict=True)]
        shape, scale, rotation, x, y = factors
        inside = draw_sprite(SHAPES[int(shape)], scale, rotation, x, y, self.size)
        return Sample(
            image=inside[..., None].astype(np.uint8) * np.uint8(255),
            labels=inside * np.uint8(1 + shape),
            attributes=np.eye(3, dtype=np.float32)[int(shape)],
            factors=np.array(factors, np.float32),
            name=f"sprite {place}",
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def _range(self) -> tuple[int, int]:
        return share_of(self.split, prod(LATTICE))


def share_of(split: Split | None, count: int) -> tuple[int, int]:
    """From where to where a split goes in a shuffled order of `count`: 80 %, a tenth, a tenth; all for None."""
    low, high = _SHARES[split] if split else (0.0, 1.0)
    return round(low * count), round(high * count)


@lru_cache(maxsize=4)
def lattice_order(seed: int, count: int = prod(LATTICE)) -> NDArray[np.int32]:
    """The places of a lattice, shuffled by a seed."""
    order = np.arange(count, dtype=np.int32)
    np.random.default_rng(seed).shuffle(order)
    order.flags.writeable = False
    return order


def _checked(size: tuple[int, int]) -> tuple[int, int]:
    if len(size) != 2 or min(size) < _SMALLEST:
        raise ParameterError(f"size = {size}: a sprite needs (height, width), each >= {_SMALLEST} pixels.")
    return size
