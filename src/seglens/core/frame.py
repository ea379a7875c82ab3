"""Where an image lies on the grid of the network's input: resized, padded, and how to come back exactly."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from seglens.core.errors import RegionError, ShapeError

_LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resize(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """Values [B C *space] on a grid of another `size`, linear in each dimension, half-pixel centres.

    Pixel i of n covers [i/n, (i+1)/n] of the field of view on both grids (`align_corners=False`), so that
    nothing shifts. The same size gives the same tensor.
    """
    if tuple(values.shape[2:]) == size:
        return values
    return interpolate(values, size=size, mode=_LINEAR[len(size)], align_corners=False)


def resize_labels(labels: Tensor, size: tuple[int, ...]) -> Tensor:
    """Labels or masks [B *space] on a grid of another size: the nearest pixel's, in their own type.

    The pixel taken is the one in which the new pixel's centre lies: floor((i + ½)·n_old/n_new).
    """
    for dim, (old, new) in enumerate(zip(labels.shape[1:], size, strict=True), start=1):
        if old != new:
            centres = (2 * torch.arange(new, device=labels.device) + 1) * old
            labels = labels.index_select(dim, centres.div(2 * new, rounding_mode="floor"))
    return labels


@dataclass(frozen=True, slots=True)
class Frame:
    """Geometry of one image: `original` size, `resized` size, and padding behind it up to `grid`.

    Padding lies at the end of each dimension only; sizes are (H, W) or (D, H, W).
    """

    original: tuple[int, ...]
    resized: tuple[int, ...]
    grid: tuple[int, ...]

    @classmethod
    def identity(cls, size: tuple[int, ...]) -> "Frame":
        """Nothing resized, nothing padded."""
        return cls(size, size, size)

    @property
    def is_identity(self) -> bool:
        """Whether image and grid coincide."""
        return self.original == self.grid

    def valid(self, device: torch.device | None = None) -> Tensor:
        """bool [*grid]: the pixels that show the image, not its padding."""
        inside = torch.zeros(self.grid, dtype=torch.bool, device=device)
        inside[tuple(slice(0, n) for n in self.resized)] = True
        return inside

    def to_grid(self, labels: Tensor, fill: int | bool = 0) -> Tensor:
        """Labels or a mask [*original] onto the grid [*grid], by nearest pixel; padding gets `fill`."""
        if tuple(labels.shape) != self.original:
            raise ShapeError(
                f"a mask of {_size(tuple(labels.shape))} does not fit an image of {_size(self.original)}.\n"
                "  Give a mask of the image's own size; it is never stretched to fit.",
                tuple(labels.shape),
            )
        small = resize_labels(labels[None], self.resized)[0]
        placed = torch.full(self.grid, fill, dtype=labels.dtype, device=labels.device)
        placed[tuple(slice(0, n) for n in self.resized)] = small
        return placed

    def to_original(self, maps: Tensor) -> Tensor:
        """Maps [C *grid] back onto the image [C *original]: padding cut off, resized linearly."""
        return resize(self._cut(maps)[None], self.original)[0]

    def labels_to_original(self, labels: Tensor) -> Tensor:
        """Labels or masks [*grid] back onto the image [*original], by nearest pixel."""
        return resize_labels(self._cut(labels[None]), self.original)[0]

    def place(self, point: tuple[float, ...]) -> tuple[int, ...]:
        """The grid pixel in which the centre of the image's pixel `point` lies. Raises RegionError outside."""
        if len(point) != len(self.original):
            raise RegionError(
                f"the point {point} has {len(point)} coordinates, the image {len(self.original)} dimensions "
                f"({_size(self.original)}): "
                + ("pixel(slice, row, column)." if len(self.original) == 3 else "pixel(row, column).")
            )
        for at, n in zip(point, self.original, strict=True):
            if not 0 <= at < n:
                raise RegionError(
                    f"the point {point} lies outside the {'volume' if len(point) == 3 else 'image'} of "
                    f"{_size(self.original)} (coordinates are {'slice, ' * (len(point) == 3)}row, column from 0)."
                )
        return tuple(
            min(int((at + 0.5) * new / old), new - 1)
            for at, old, new in zip(point, self.original, self.resized, strict=True)
        )

    def _cut(self, maps: Tensor) -> Tensor:
        return maps[(slice(None), *(slice(0, n) for n in self.resized))]


def _size(size: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in size)
