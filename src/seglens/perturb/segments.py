"""Segments: parts of a picture that look alike, by Felzenszwalb and Huttenlocher's graph-based segmentation."""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from seglens.core.capture import own
from seglens.core.errors import missing_extra
from seglens.core.frame import Frame, resize_labels
from seglens.core.network import Network

SCALES = (50, 100, 150, 250, 500, 1200)
"""Felzenszwalb scales whose segments are used together (XRAI's): a larger one gives larger segments."""

WORKING_SIZE = 224
"""Longer side, in pixels, of the picture that is segmented."""

RADIUS = 5
"""By how many pixels of the working picture XRAI's segments are dilated, so that they hold their own edges."""

_SIGMA = 0.8
_LEAST = 150  # pixels of the smallest segment in a working picture of 224²; in proportion in smaller ones
_ROUNDING = 16 * float(np.finfo(np.float32).eps)  # a picture of less contrast than this is constant

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """Sets of one picture's pixels, which may overlap.

    Pixels that lie in the same segments make one place, so that what is counted is places, not pixels.
    places: int64 [*grid], the place of each pixel, −1 for padding. members: sparse matrix [S P] (CSR) of ones, which
    places each segment holds. sizes: [P], pixels of each place.
    """

    places: Ints
    members: Any
    sizes: Ints

    def __len__(self) -> int:
        return int(self.members.shape[0])

    @classmethod
    def none(cls, shown: NDArray[np.bool_]) -> "Segments":
        """No segment yet, of a picture that shows the pixels `shown` [*grid]."""
        return cls(np.where(shown, 0, -1), _matrix([], [], (0, 1)), np.array([int(shown.sum())]))

    def with_labels(self, *labels: Ints) -> "Segments":
        """The same with further segments: of each of the `labels` [*grid], the pixels of every value ≥ 0.

        What of them lies in the padding does not count, and a segment without a pixel is none.
        """
        inside = self.places >= 0
        old = here = self.places[inside]
        given = [one[inside] for one in labels]
        for one in given:
            here = _refined(here, one + 1)
        n = int(here.max()) + 1
        before = np.empty(n, dtype=np.int64)
        before[here] = old
        parts = [self.members[:, before]]
        for one in given:
            of = np.empty(n, dtype=np.int64)
            of[here] = one
            held = np.flatnonzero(of >= 0)
            values, rows = np.unique(of[held], return_inverse=True)
            parts.append(_matrix(rows, held, (len(values), n)))
        places = np.full_like(self.places, -1)
        places[inside] = here
        return Segments(places, _stacked(parts), np.bincount(here, minlength=n))

    def masks(self) -> NDArray[np.bool_]:
        """bool [S *grid]: the segments written out, pixel by pixel."""
        dense = np.asarray(self.members.toarray(), dtype=bool)
        return dense[:, self.places] & (self.places >= 0)


def felzenszwalb_labels(
    network: Network,
    x: Tensor,
    frames: Sequence[Frame] | None,
    *,
    scale: float,
    size: int = WORKING_SIZE,
) -> Tensor:
    """Superpixels of the pictures in inputs x [B C *grid]: int64 [B *grid], each image's numbered from 0, padding −1.

    The picture that a frame shows is taken back to before `mean` and `std`, stretched so that its darkest and
    brightest value are −1 and 1, and shrunk until its longer side has at most `size` pixels (never enlarged); labels
    come back by nearest pixel. scikit-image's `felzenszwalb` with σ = 0.8 and segments of at least 150 pixels of 224²
    (in proportion in smaller pictures); a larger `scale` gives larger segments. A constant picture is one segment.
    A volume is segmented slice by slice along its first dimension. Needs scikit-image.
    """
    labels: list[Tensor] = []
    for picture, frame in _pictures(network, x, frames):
        found = _enlarged(_felzenszwalb(_shrunk(picture, size), scale), picture.shape[1:])
        placed = torch.full(frame.grid, -1, dtype=torch.int64)
        placed[tuple(slice(0, n) for n in frame.resized)] = torch.from_numpy(found)
        labels.append(placed)
    return torch.stack(labels).to(x.device)


def felzenszwalb_segments(
    network: Network,
    x: Tensor,
    frames: Sequence[Frame] | None,
    *,
    size: int = WORKING_SIZE,
    dilate: bool = False,
) -> list[Segments]:
    """The superpixels of all `SCALES` together, for each picture in inputs x [B C *grid]; see `felzenszwalb_labels`.

    `dilate`: each grown by a disk of `RADIUS` pixels of the working picture, within its slice.
    """
    found: list[Segments] = []
    for picture, frame in _pictures(network, x, frames):
        small = _shrunk(picture, size)
        labels = [_felzenszwalb(small, scale) for scale in SCALES]
        cells, members = _dilated(labels) if dilate else _overlaid(labels)
        places = np.full(frame.grid, -1, dtype=np.int64)
        places[tuple(slice(0, n) for n in frame.resized)] = _enlarged(cells, picture.shape[1:])
        # Where the working picture is not smaller, every place has its pixels; a nearest pixel skips none.
        sizes = np.bincount(places[places >= 0], minlength=members.shape[1])
        found.append(Segments(places, members, sizes))
    return found


def _pictures(
    network: Network, x: Tensor, frames: Sequence[Frame] | None
) -> Iterator[tuple[NDArray[np.float64], Frame]]:
    """Each picture [C *resized] as it lies on the grid, without padding, in −1..1, with its frame.

    Stretching makes it indifferent to how the network wants black and white; only what a mean and standard deviation
    of its own does to each channel must be undone before.
    """
    x = network.convention.unscale(own(network, x).cpu().double())
    for b, row in enumerate(x):
        frame = frames[b] if frames else Frame.identity(tuple(x.shape[2:]))
        picture = row[(slice(None), *(slice(0, n) for n in frame.resized))].numpy()
        lo, hi = float(picture.min()), float(picture.max())
        if hi - lo <= _ROUNDING * max(abs(lo), abs(hi), *map(abs, network.convention.mean)):
            yield np.zeros_like(picture), frame
        else:
            yield (picture - lo) * (2 / (hi - lo)) - 1, frame


def _shrunk(picture: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The picture [C *space], averaged until the longer of its last two sides has at most `size` pixels."""
    flat = picture.reshape(picture.shape[0], -1, *_sides(picture))
    longer = max(flat.shape[2:])
    if longer <= size:
        return picture
    sides = [max(1, round(n * size / longer)) for n in flat.shape[2:]]
    with torch.autocast("cpu", enabled=False):
        small = interpolate(torch.from_numpy(flat), size=sides, mode="bilinear", antialias=True).numpy()
    return small.reshape(*picture.shape[:-2], *sides) if picture.ndim > 2 else small[:, 0, 0]


def _sides(picture: NDArray[np.float64]) -> tuple[int, int]:
    """Height and width of a picture [C *space]; one of a single dimension has height 1."""
    return (1, picture.shape[-1]) if picture.ndim == 2 else (picture.shape[-2], picture.shape[-1])


def _felzenszwalb(picture: NDArray[np.float64], scale: float) -> Ints:
    """Labels [*space] of a picture [C *space], numbered from 0 through all slices."""
    try:
        from skimage.segmentation import felzenszwalb
    except ImportError as absent:
        raise missing_extra("scikit-image", "image", "dividing a picture into segments") from absent
    height, width = _sides(picture)
    least = max(1, round(_LEAST * min(1.0, height * width / WORKING_SIZE**2)))
    labels: list[Ints] = []
    begun = 0
    with warnings.catch_warnings():
        # More than three channels are meant.
        warnings.filterwarnings("ignore", category=RuntimeWarning, message=".*third dimension.*")
        for one in np.moveaxis(picture.reshape(picture.shape[0], -1, height, width), 0, -1):
            found: Ints = felzenszwalb(np.ascontiguousarray(one), scale=scale, sigma=_SIGMA, min_size=least)
            labels.append(found.astype(np.int64) + begun)
            begun = int(labels[-1].max()) + 1
    return np.stack(labels).reshape(picture.shape[1:])


def _enlarged(labels: Ints, size: tuple[int, ...]) -> Ints:
    return resize_labels(torch.from_numpy(labels)[None], size)[0].numpy()


def _overlaid(labels: Sequence[Ints]) -> tuple[Ints, Any]:
    """Several divisions [*space] of a picture laid over each other: places [*space], and which segments hold them."""
    places = np.zeros(labels[0].shape, dtype=np.int64)
    for one in labels:
        places = _refined(places, one)
    n = int(places.max()) + 1
    parts: list[Any] = []
    for one in labels:
        of = np.empty(n, dtype=np.int64)
        of[places] = one
        parts.append(_matrix(of, np.arange(n), (int(one.max()) + 1, n)))
    return places, _stacked(parts)


def _dilated(labels: Sequence[Ints]) -> tuple[Ints, Any]:
    """As `_overlaid`, every segment grown by a disk of `RADIUS` pixels within its slice. Each pixel is a place."""
    shape = labels[0].shape
    height, width = (1, *shape)[-2:]
    r = RADIUS
    parts: list[Any] = []
    for one in labels:
        slices = one.reshape(-1, height, width)
        held: list[tuple[Ints, Ints]] = []
        for d, flat in enumerate(slices):
            first = int(flat.min())
            grown = np.zeros((int(flat.max()) + 1 - first, height, width), dtype=bool)
            y, x = np.arange(height)[:, None], np.arange(width)
            for dy in range(-min(r, height - 1), min(r, height - 1) + 1):
                for dx in range(-min(r, width - 1), min(r, width - 1) + 1):
                    if dy * dy + dx * dx <= r * r:
                        to = (slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx)))
                        of = (slice(max(0, -dy), height + min(0, -dy)), slice(max(0, -dx), width + min(0, -dx)))
                        grown[flat[of] - first, y[to[0]], x[to[1]]] = True
            rows, cells = np.nonzero(grown.reshape(len(grown), -1))
            held.append((rows + first, cells + d * height * width))
        rows, cells = (np.concatenate(side) for side in zip(*held, strict=True))
        parts.append(_matrix(rows, cells, (int(one.max()) + 1, one.size)))
    return np.arange(labels[0].size).reshape(shape), _stacked(parts)


def _refined(places: Ints, labels: Ints) -> Ints:
    """Places divided by labels ≥ 0 of the same shape, numbered from 0 without gaps."""
    codes = places * (int(labels.max(initial=0)) + 1) + labels
    top = int(codes.max(initial=0)) + 1
    if top > 8 * codes.size:
        return np.unique(codes, return_inverse=True)[1].reshape(codes.shape)
    met = np.zeros(top, dtype=np.int64)
    met[codes] = 1
    return (np.cumsum(met) - 1)[codes]


def _matrix(rows: Any, columns: Any, shape: tuple[int, ...]) -> Any:
    csr_array = _sparse().csr_array
    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _stacked(parts: Sequence[Any]) -> Any:
    return _sparse().vstack(parts, format="csr")


def _sparse() -> Any:
    try:
        from scipy import sparse
    except ImportError as absent:
        raise missing_extra("scipy", "image", "dividing a picture into segments") from absent
    return sparse
