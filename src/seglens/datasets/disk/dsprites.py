"""dSprites as published: 737,280 binary pictures and the values of their factors (Matthey et al. 2017)."""

import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ImageError, ParameterError
from seglens.datasets.disk._layout import checked, cut_to, listing, nearest
from seglens.datasets.samples import Sample, Split
from seglens.datasets.sprites import FACTORS, SHAPES, Sprites, lattice_order, share_of

_NAME = "dsprites"
_CHUNK = 4096  # pictures read at a time: 16 MB


@dataclass(frozen=True, slots=True)
class DSprites:
    """Sprites of the published file as samples; eight pixels a byte in memory, of those asked for and no others.

    Samples are like those of `Sprites`: image uint8 [H W 1], 0 or 255; labels 1 + shape; attributes the shape; factors
    shape (0 to 2), scale, rotation, x, y. The publisher's colour is always white and left out. Open it with
    `open_dsprites`.
    """

    places: NDArray[np.int64] = field(repr=False)
    size: tuple[int, int] | None
    _bits: NDArray[np.uint8] = field(repr=False)
    _factors: NDArray[np.float32] = field(repr=False)
    _side: tuple[int, int] = (64, 64)

    @property
    def classes(self) -> ClassTable:
        """Background and the three shapes."""
        return Sprites().classes

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
        """False."""
        return False

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        """The sprite of that index; its name holds its place in the file. IndexError outside the length."""
        at = checked(index, len(self))
        height, width = self._side
        inside = np.unpackbits(self._bits[at], count=height * width).reshape(height, width)
        inside = nearest(inside, self.size).astype(np.uint8, copy=False)
        shape = int(self._factors[at, 0])
        return Sample(
            image=inside[..., None] * np.uint8(255),
            labels=inside * np.uint8(1 + shape),
            attributes=np.eye(3, dtype=np.float32)[shape],
            factors=self._factors[at].copy(),
            name=f"sprite {self.places[at]}",
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_dsprites(
    path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int
) -> DSprites:
    """dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz, or the folder that holds it.

    The publisher has no splits: the pictures are shuffled once and for all, in the order of `Sprites` with seed 0; the
    first 80 % are 'train', a tenth each 'val' and 'test'. `seed` has no effect. The file is read once, when it is
    opened, without unpacking it whole: all of it takes 377 MB, 20,000 sprites 10 MB. Its metadata, a pickle, is not
    touched.
    Raises ParameterError without a path, ImageError for another file.
    """
    file = _found(path)
    try:
        with np.load(file, allow_pickle=False) as arrays:
            absent = [name for name in ("imgs", "latents_values", "latents_classes") if name not in arrays.files]
            if absent:
                raise ImageError(f"{file.name} has no {', '.join(absent)}; it has {', '.join(arrays.files)}.")
            values, classes = arrays["latents_values"], arrays["latents_classes"]
    except (ValueError, OSError, zipfile.BadZipFile) as damaged:
        raise ImageError(f"{file.name} cannot be read as dSprites: {damaged}") from damaged
    count = len(values)
    if values.shape != (count, 6) or classes.shape != (count, 6):
        raise ImageError(
            f"latents_values {values.shape} and latents_classes {classes.shape} of {file.name}; expected [n 6] both: "
            "colour, shape, scale, orientation, posX, posY."
        )
    first, last = share_of(split, count)
    places = lattice_order(0, count)[first : first + cut_to(length, last - first)].astype(np.int64)
    bits, side = _packed(file, places, count)
    factors = np.column_stack([classes[places, 1], values[places, 2:]]).astype(np.float32)
    return DSprites(places, size, bits, factors, side)


def _found(path: str | None) -> Path:
    if path is None:
        raise ParameterError(f"{_NAME} is read from disk: say where its .npz file lies, as {_NAME}:FILE.")
    file = Path(path).expanduser()
    if file.is_dir():
        inside = sorted(file.glob("dsprites*.npz"))
        if not inside:
            raise ImageError(f"no dsprites….npz in {path!r}.\n  There is {listing(file)}.")
        return inside[0]
    if not file.is_file():
        raise ImageError(f"no file {path!r}.\n  Name dsprites_ndarray_co1sh3sc6or40x32y32_64x64.npz.")
    return file


def _packed(file: Path, places: NDArray[np.int64], count: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """The pictures at those places, eight pixels a byte, and their sides: a stream passes once through the file."""
    order = np.argsort(places)
    ascending = places[order]
    with zipfile.ZipFile(file) as archive, archive.open("imgs.npy") as stream:
        version = npy.read_magic(stream)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        if len(shape) != 3 or shape[0] != count or fortran or dtype != np.uint8:
            raise ImageError(f"imgs of {file.name} is {dtype} {shape}; expected uint8 [{count} 64 64], row by row.")
        height, width = int(shape[1]), int(shape[2])
        bits = np.empty((len(places), -(-height * width // 8)), np.uint8)
        for start in range(0, count, _CHUNK):
            low, high = np.searchsorted(ascending, (start, start + _CHUNK))
            if low == len(ascending):
                break
            many = min(_CHUNK, count - start) * height * width
            data = stream.read(many)
            if len(data) != many:
                raise ImageError(f"{file.name} is cut short: copy or download it again.")
            chunk = np.frombuffer(data, np.uint8).reshape(-1, height * width)
            bits[order[low:high]] = np.packbits(chunk[ascending[low:high] - start] > 0, axis=1)
    return bits, (height, width)
