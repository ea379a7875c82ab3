"""Grey textures to tell regions apart by: 25 drawn by rule, or the pictures in a folder of the user's."""

import os
from functools import cache
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ImageError, ParameterError, suggest
from seglens.core.images import expand_paths, read_image
from seglens.datasets._patterns import DRAWINGS

TEXTURES: tuple[str, ...] = tuple(DRAWINGS)
"""Names of the built-in textures, in the order of their indices."""

SIDE = 400
"""Pixels along a side of a built-in texture, and the least of a texture made from a picture."""

_SMALLEST = 8  # pixels: a tile below this is a colour, not a texture
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's mode "L"


def texture(which: str | int, size: int = SIDE) -> NDArray[np.float32]:
    """A built-in texture by name or index: [size size] in 0..1, in steps of 1/255, the same in every process.

    Its patterns are as many pixels wide at any size. The array is shared and read-only.
    Raises ParameterError for a name or index that is not in `TEXTURES`, and for a size under 8.
    """
    if isinstance(which, str):
        if which not in DRAWINGS:
            raise ParameterError(
                f"no texture {which!r}.{suggest(which, TEXTURES)}\n  All of them: {', '.join(TEXTURES)}."
            )
        which = TEXTURES.index(which)
    if which not in range(len(TEXTURES)):
        raise ParameterError(f"texture {which!r}: the built-in textures are 0 ({TEXTURES[0]}) to {len(TEXTURES) - 1}.")
    if size < _SMALLEST:
        raise ParameterError(f"size = {size}: a texture is at least {_SMALLEST} pixels wide.")
    return _drawn(int(which), size)


def textures_from(folder: str | os.PathLike[str] | None) -> tuple[NDArray[np.float32], ...]:
    """The pictures in a folder as grey textures, by file name (as text: 10.png before 9.png); else the built-in 25.

    Each is [h w] float32 in 0..1, read-only. Colour becomes grey as in ITU-R BT.601. A picture with a side under
    400 pixels is repeated, the same number of times both ways, until neither is.

    Raises ImageError: no folder, fewer than two pictures in it, one that cannot be read whole, is smaller than 8 × 8
    or has other than one or three channels.
    """
    if folder is None:
        return tuple(texture(index) for index in range(len(TEXTURES)))
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise ImageError(f"{str(path)!r} is no folder.\n  Textures are the pictures that lie directly in a folder.")
    # By code points: natural order takes A.png and a.png for equal, and would leave them as the disk lists them.
    files = sorted(expand_paths(path), key=lambda file: file.name)
    if len(files) < 2:
        raise ImageError(
            f"the folder {str(path)!r} holds one picture, {files[0].name}.\n"
            "  Digit and background need a texture each: put at least two there."
        )
    return tuple(_read(file) for file in files)


@cache
def _drawn(index: int, size: int) -> NDArray[np.float32]:
    y, x = np.arange(size, dtype=np.float64)[:, None], np.arange(size, dtype=np.float64)[None]
    greys = DRAWINGS[TEXTURES[index]](np.random.default_rng(index), y, x)
    return _frozen(np.rint(255 * np.clip(np.broadcast_to(greys, (size, size)), 0, 1)) / 255)


def _read(file: Path) -> NDArray[np.float32]:
    pixels = read_image(file).pixels.numpy()
    if pixels.ndim != 3 or len(pixels) not in (1, 3):
        raise ImageError(f"{file.name} has {len(pixels)} channels; a texture is grey (one) or RGB (three).")
    if min(pixels.shape[1:]) < _SMALLEST:
        height, width = pixels.shape[1:]
        raise ImageError(f"{file.name} is {height} × {width} pixels; a texture is at least {_SMALLEST} × {_SMALLEST}.")
    grey = pixels[0] if len(pixels) == 1 else np.tensordot(_LUMA, pixels, 1)
    times = ceil(SIDE / min(grey.shape))
    return _frozen(np.tile(grey, (times, times)))


def _frozen(values: NDArray[np.floating]) -> NDArray[np.float32]:
    frozen = values.astype(np.float32)
    frozen.flags.writeable = False
    return frozen
