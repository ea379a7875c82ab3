"""Regions: where in the output a question is asked. A small vocabulary, combined with &, | and ~."""

from collections.abc import Sequence
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import RegionError
from seglens.core.frame import Frame
from seglens.core.masks import components, grown
from seglens.core.view import Region, Source, View


@dataclass(frozen=True, slots=True)
class _Everything(Region):
    def mask(self, view: View) -> Tensor:
        return ~view.blank()

    def __str__(self) -> str:
        return "everything"


everything: Region = _Everything()
"""Every pixel of the image."""


@dataclass(frozen=True, slots=True)
class _Pixel(Region):
    at: tuple[int, ...]

    def mask(self, view: View) -> Tensor:
        mask = view.blank()
        for i, frame in enumerate(view.frames):
            mask[(i, *frame.place(self.at))] = True
        return mask

    def __str__(self) -> str:
        return f"pixel({', '.join(map(str, self.at))})"


@dataclass(frozen=True, slots=True)
class _Box(Region):
    start: tuple[int, ...]
    stop: tuple[int, ...]

    def mask(self, view: View) -> Tensor:
        def inside(size: tuple[int, ...]) -> NDArray[np.bool_]:
            if len(size) != len(self.start):
                raise RegionError(
                    f"{self} has {len(self.start)} dimensions, the image {len(size)} ({' × '.join(map(str, size))}).\n"
                    "  An image takes box(top, left, bottom, right); a volume six numbers, the slices first: "
                    "box(z0, y0, x0, z1, y1, x1)."
                )
            picture = np.zeros(size, dtype=bool)
            picture[tuple(slice(max(a, 0), b) for a, b in zip(self.start, self.stop, strict=True))] = True
            return picture

        return _drawn(view, inside)

    def __str__(self) -> str:
        return f"box({', '.join(map(str, (*self.start, *self.stop)))})"


@dataclass(frozen=True, slots=True)
class _Polygon(Region):
    points: tuple[tuple[float, float], ...]

    def mask(self, view: View) -> Tensor:
        def inside(size: tuple[int, ...]) -> NDArray[np.bool_]:
            if len(size) != 2:
                raise RegionError(
                    f"a polygon lies in a plane; this input has {len(size)} dimensions: {' × '.join(map(str, size))}.\n"
                    "  In a volume ask with box(…) of six numbers, with a mask(…) of its own size, or with "
                    "instance(…)."
                )
            return _even_odd(self.points, size)

        return _drawn(view, inside)

    def __str__(self) -> str:
        return f"polygon({', '.join(f'({y!r}, {x!r})' for y, x in self.points)})"


@dataclass(frozen=True, slots=True, eq=False)
class _Mask(Region):
    values: NDArray[np.bool_]
    name: str

    def mask(self, view: View) -> Tensor:
        values = torch.from_numpy(self.values).to(view.output.device)
        batch = len(view.frames)
        many = values.ndim == len(view.grid) + 1
        if many and values.shape[0] != batch:
            raise RegionError(f"{self.name} holds {values.shape[0]} masks for a batch of {batch} images.")
        rows = values if many else [values] * batch
        return torch.stack([f.to_grid(row, False) for f, row in zip(view.frames, rows, strict=True)])

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class _Labelled(Region):
    label: str | int
    of: Source

    def mask(self, view: View) -> Tensor:
        return view.labelled(view.classes.index(self.label), self.of)

    def __str__(self) -> str:
        return f"{'truth' if self.of == 'truth' else 'predicted'}({_word(self.label)})"


@dataclass(frozen=True, slots=True)
class _Confused(Region):
    truth: str | int
    as_: str | int

    def mask(self, view: View) -> Tensor:
        was = view.labelled(view.classes.index(self.truth), "truth")
        return was & view.labelled(view.classes.index(self.as_), "prediction")

    def __str__(self) -> str:
        return f"confused(truth={_word(self.truth)}, as_={_word(self.as_)})"


@dataclass(frozen=True, slots=True)
class _Instance(Region):
    label: str | int
    at: tuple[int, ...] | None
    largest: int
    of: Source

    def mask(self, view: View) -> Tensor:
        inside = (view.labelled(view.classes.index(self.label), self.of) & view.known()).cpu().numpy()
        rows = [
            _chosen(self._ids(view, i, inside[i]), view.frames[i], self.at, self.largest) for i in range(len(inside))
        ]
        return torch.from_numpy(np.stack(rows)).to(view.output.device)

    def _ids(self, view: View, i: int, inside: NDArray[np.bool_]) -> NDArray[np.integer[Any]]:
        if self.of == "truth" and view.instances is not None:
            values = view.instances[i].cpu().numpy() * inside
            # 0 is put first, so that it stays the background where the annotated objects fill the picture.
            return np.searchsorted(np.union1d([0], values), values)
        return components(inside)

    def __str__(self) -> str:
        where = f"largest={self.largest}" if self.at is None else f"at={self.at}"
        return f"instance({_word(self.label)}, {where}{', of=truth' if self.of == 'truth' else ''})"


@dataclass(frozen=True, slots=True)
class _Component(Region):
    region: Region
    at: tuple[int, ...] | None
    largest: int

    def mask(self, view: View) -> Tensor:
        inside = (self.region.mask(view) & view.known()).cpu().numpy()
        rows = [_chosen(components(inside[i]), view.frames[i], self.at, self.largest) for i in range(len(inside))]
        return torch.from_numpy(np.stack(rows)).to(view.output.device)

    def __str__(self) -> str:
        return f"component({self.region}, {f'largest={self.largest}' if self.at is None else f'at={self.at}'})"


@dataclass(frozen=True, slots=True)
class _Border(Region):
    region: Region
    width: int

    def mask(self, view: View) -> Tensor:
        inside = self.region.mask(view) & view.known()
        # The picture's own edge is no border, and so neither is the padding behind it.
        return inside & grown(~inside & view.shown(), self.width)

    def __str__(self) -> str:
        return f"border({self.region}, {self.width})"


def pixel(*at: int) -> Region:
    """One pixel of the picture, as (row, column) from 0; (slice, row, column) in a volume."""
    return _Pixel(_wholes("pixel", at))


def box(*corners: int) -> Region:
    """box(top, left, bottom, right): rows top ≤ y < bottom, columns left ≤ x < right; six numbers in a volume."""
    corners = _wholes("box", corners)
    half = len(corners) // 2
    if len(corners) % 2 or half not in (1, 2, 3):
        raise RegionError(f"box takes (top, left, bottom, right), not {corners}.")
    start, stop = corners[:half], corners[half:]
    if any(a >= b for a, b in zip(start, stop, strict=True)):
        raise RegionError(f"box{corners} is empty: its bottom right is to lie below and right of its top left.")
    return _Box(start, stop)


def polygon(*points: tuple[float, float]) -> Region:
    """The pixels whose centres lie inside the polygon of (row, column) corners, by the even-odd rule."""
    if len(points) < 3:
        raise RegionError(f"a polygon has at least three corners, not {len(points)}.")
    pairs = [p for p in points if _is_pair(p) and all(map(_is_finite, p))]
    if len(pairs) < len(points):
        wrong = next(p for p in points if p not in pairs)
        raise RegionError(f"a polygon's corners are finite (row, column) pairs; {wrong!r} is none.")
    return _Polygon(tuple((float(y), float(x)) for y, x in pairs))


def mask(values: Any, name: str = "mask") -> Region:
    """The true pixels of an array [*picture], or [B *picture] for a batch; True or non-zero is inside.

    Files are read by `seglens.read_mask`, which this takes the result of.
    """
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "buif":
        raise RegionError(f"a mask holds numbers or booleans, not {array.dtype}.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise RegionError("the mask holds NaN or infinity.")
    return _Mask(array != 0, name)


def predicted(label: str | int) -> Region:
    """Where the network predicts the class."""
    return _Labelled(_label(label), "prediction")


def truth(label: str | int) -> Region:
    """Where the true labels say the class."""
    return _Labelled(_label(label), "truth")


def instance(
    label: str | int,
    *,
    at: tuple[int, ...] | None = None,
    largest: int | None = None,
    of: Source = "prediction",
) -> Region:
    """One connected component of a class: the one at a pixel of the picture, or the n-th largest (from 1).

    Components touch along sides and corners (8 neighbours, 26 in a volume). of='truth' takes the annotated
    instances where their ids were given, else the components of the true labels.
    """
    place, n = _which("instance", at, largest)
    if of not in ("prediction", "truth"):
        raise RegionError(f"of is 'prediction' or 'truth', not {of!r}.")
    return _Instance(_label(label), place, n, of)


def component(region: Region, *, at: tuple[int, ...] | None = None, largest: int | None = None) -> Region:
    """One connected component of any region: the one at a pixel of the picture, or the n-th largest (from 1).

    Components touch along sides and corners (8 neighbours, 26 in a volume), on the input grid. Padding and ignored
    labels join nothing. A pixel at which the region is not gives an empty region.
    """
    return _Component(region, *_which("component", at, largest))


def confused(*, truth: str | int, as_: str | int) -> Region:
    """Where the true labels say one class and the network another."""
    return _Confused(_label(truth), _label(as_))


def border(region: Region, width: int = 1) -> Region:
    """The pixels of a region within `width` pixels (chessboard distance) of its outside, on the input grid."""
    if _wholes("width", (width,))[0] < 1:
        raise RegionError(f"a border is at least 1 pixel wide, not {width}.")
    return _Border(region, int(width))


def outside(region: Region) -> Region:
    """All pixels that are not in the region; the same as ~region."""
    return ~region


def _chosen(ids: NDArray[np.integer[Any]], frame: Frame, at: tuple[int, ...] | None, largest: int) -> NDArray[np.bool_]:
    """bool [*grid]: of components numbered from 1, the one at a pixel of the picture, or the n-th largest."""
    if at is not None:
        chosen = ids[frame.place(at)]
        return (ids == chosen) & (chosen > 0)
    sizes = np.bincount(ids.ravel())
    sizes[0] = 0
    # Counted from 1; equal sizes in the order of their first pixel.
    order = np.argsort(-sizes, kind="stable")
    there = largest <= len(order) and sizes[order[largest - 1]] > 0
    return ids == order[largest - 1] if there else np.zeros(ids.shape, bool)


def _which(word: str, at: Any, largest: Any) -> tuple[tuple[int, ...] | None, int]:
    """The place of a component, or None and its rank."""
    if (at is None) == (largest is None):
        raise RegionError(f"{word} takes either at=(row, column) or largest=n, one of them.")
    if largest is not None and _wholes("largest", (largest,))[0] < 1:
        raise RegionError(f"largest counts from 1, not {largest}.")
    return None if at is None else _wholes("at", at), int(largest or 1)


def _drawn(view: View, inside: Any) -> Tensor:
    rows = [f.to_grid(torch.from_numpy(inside(f.original)), False) for f in view.frames]
    return torch.stack(rows).to(view.output.device)


def _even_odd(points: Sequence[tuple[float, float]], size: tuple[int, ...]) -> NDArray[np.bool_]:
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    inside = np.zeros(size, dtype=bool)
    for (y0, x0), (y1, x1) in zip(points, [*points[1:], points[0]], strict=True):
        if y0 == y1:
            continue
        crosses = (y0 > y) != (y1 > y)
        inside ^= crosses & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside


def _wholes(word: str, values: Any) -> tuple[int, ...]:
    """Whole numbers as such; anything else is refused, never rounded."""
    numbers = tuple(values) if isinstance(values, tuple | list | np.ndarray) else (values,)
    for value in numbers:
        if isinstance(value, bool) or not _is_finite(value) or int(value) != value:
            raise RegionError(f"{word} takes whole numbers, not {value!r}.")
    return tuple(int(v) for v in numbers)


def _is_pair(point: Any) -> bool:
    return isinstance(point, tuple | list) and len(cast("tuple[Any, ...]", point)) == 2


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and bool(np.isfinite(value))


def _label(label: Any) -> str | int:
    if isinstance(label, str):
        return label
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise RegionError(f"a class is given by its name or index, not {label!r}.")
    return int(label)


def _word(label: str | int) -> str:
    """A class as `parse_region` reads it back: quoted where it is no plain ASCII name."""
    plain = isinstance(label, int) or (label.isascii() and label.isidentifier() and not iskeyword(label))
    return str(label) if plain else repr(label)
