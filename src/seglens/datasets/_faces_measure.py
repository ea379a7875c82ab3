"""Reading factors off any picture of a face like ours: a linear read-out, fitted once to rendered faces.

Rendered faces need no measuring, their factors are known; what a network decodes does. The read-out knows nothing of
networks. Factors of the training faces are independent of one another, so that least squares gives each factor the
pixels that follow it alone.

Two steps. First, all factors from the picture at 32 × 32 pixels. Then the mouth's surroundings, unrolled from the head
by the place, width and yaw just read, so that the mouth is in the same place in every face: its logarithms give smile,
open mouth and beard, which are too small and move too much for the first step.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.core.errors import ShapeError
from seglens.datasets._faces_head import YAW

Array = NDArray[np.floating[Any]]

MEASURED: tuple[str, ...] = (
    *("smile", "mouth_open", "glasses", "hat", "beard", "hair_length", "hair_tone"),
    *("skin", "yaw", "light", "width", "x", "y", "background"),
)
"""The factors that can be read off a picture."""
NEAR_MOUTH: tuple[str, ...] = ("smile", "mouth_open", "beard")

_SIDE, _COARSE = 64, 32
_ROWS, _COLUMNS = 16, 20
_HEIGHTS, _ANGLES = (0.3, 1.05), (-0.75, 0.75)
_WEIGHTS = Path(__file__).with_name("faces-readout.npz")


@dataclass(frozen=True, slots=True, eq=False)
class ReadOut:
    """Weights [32·32·3 + 1, 14] of the first step, [16·20·3 + 1, 3] of the second; the last row is the constant."""

    face: Array
    mouth: Array

    @classmethod
    def fit(cls, images: Array, factors: Array, ridge: float = 3.0) -> Self:
        """Least squares with a small ridge; images [N 64 64 3] in 0..1, factors [N 14] in the order of `MEASURED`.

        Every face is used mirrored too, with yaw, light and x of the other sign.
        """
        signs = np.array([-1.0 if name in ("yaw", "light", "x") else 1.0 for name in MEASURED], np.float32)
        images = np.concatenate([images, images[:, :, ::-1]])
        factors = np.concatenate([factors, factors * signs])
        face = _solved(_whole(images), factors, ridge)
        wanted = factors[:, [MEASURED.index(name) for name in NEAR_MOUTH]]
        mouth = _solved(_mouths(images, _whole(images) @ face), wanted, ridge / 10)
        return cls(face, mouth)

    def __call__(self, images: Array) -> Array:
        """Factors [N 14] of images [N 64 64 3] in 0..1."""
        read = _whole(images) @ self.face
        read[:, [MEASURED.index(name) for name in NEAR_MOUTH]] = _mouths(images, read) @ self.mouth
        return read


def measure_face(image: NDArray[np.generic]) -> dict[str, float]:
    """What can be read off a picture of a face like ours; see `measure_faces`.

    image: [H W 3], uint8, or floating point in 0..1.
    """
    return {name: float(value) for name, value in zip(MEASURED, measure_faces(image[None])[0], strict=True)}


def measure_faces(images: NDArray[np.generic]) -> NDArray[np.float32]:
    """Factors [N 14] in the order of `MEASURED` of pictures [N H W 3], uint8, or floating point in 0..1.

    In the units of `Face`; values may lie a little outside a factor's range, since nothing bounds them. Pictures of
    another size than 64 × 64 are brought to it. The face has to fill the picture as rendered ones do.
    Raises ShapeError for arrays of another shape.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape[1:3]:
        raise ShapeError(f"pictures of faces are [N H W 3]; these are {images.shape}.", images.shape)
    values = images.astype(np.float32) / (255 if images.dtype == np.uint8 else 1)
    if values.shape[1:3] != (_SIDE, _SIDE):
        values = np.stack([_resized(value) for value in values]) if len(values) else np.zeros((0, _SIDE, _SIDE, 3))
    return _shipped()(values).astype(np.float32)


@lru_cache(maxsize=1)
def _shipped() -> ReadOut:
    with np.load(_WEIGHTS, allow_pickle=False) as weights:
        return ReadOut(weights["face"].astype(np.float32), weights["mouth"].astype(np.float32))


def _resized(image: Array) -> Array:
    channels = [Image.fromarray(np.ascontiguousarray(image[..., c], np.float32)) for c in range(3)]
    return np.stack([np.asarray(c.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR)) for c in channels], axis=-1)


def _solved(features: Array, wanted: Array, ridge: float) -> Array:
    square = (features.T @ features).astype(np.float64) + ridge * np.eye(features.shape[1])
    return np.linalg.solve(square, (features.T @ wanted).astype(np.float64)).astype(np.float32)


def _whole(images: Array) -> Array:
    """The picture at half its size, and a one: [N, 32·32·3 + 1]."""
    small = images.reshape(len(images), _COARSE, 2, _COARSE, 2, 3).mean((2, 4)).reshape(len(images), _COARSE**2 * 3)
    return np.concatenate([small, np.ones((len(small), 1), small.dtype)], axis=1)


def _mouths(images: Array, read: Array) -> Array:
    """Logarithms about the mouth, unrolled by what was read in the first step, and a one: [N, 16·20·3 + 1]."""
    place = {name: np.clip(read[:, MEASURED.index(name)], -1, 1) for name in ("x", "y", "yaw", "width")}
    heights = np.linspace(*_HEIGHTS, _ROWS, dtype=np.float32)
    angles = np.linspace(*_ANGLES, _COLUMNS, dtype=np.float32)
    half = 0.205 + 0.045 * place["width"]
    turned = np.sin(angles + YAW * place["yaw"][:, None])
    columns = (0.5 + 0.04 * place["x"][:, None] + half[:, None] * turned) * _SIDE - 0.5
    rows = (0.5 + 0.04 * place["y"][:, None] + 0.3 * heights) * _SIDE - 0.5
    rows, columns = np.clip(rows, 0, _SIDE - 1.001), np.clip(columns, 0, _SIDE - 1.001)
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, :, None, None], (columns - left)[:, None, :, None]
    number = np.arange(len(images))[:, None, None]

    def at(i: int, j: int) -> Array:
        return images[number, (top + i)[:, :, None], (left + j)[:, None, :]]

    patch = (at(0, 0) * (1 - right) + at(0, 1) * right) * (1 - down) + (
        at(1, 0) * (1 - right) + at(1, 1) * right
    ) * down
    flat = np.log(0.05 + np.clip(patch, 0, 1)).reshape(len(images), _ROWS * _COLUMNS * 3)
    return np.concatenate([flat, np.ones((len(flat), 1), flat.dtype)], axis=1)
