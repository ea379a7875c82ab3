"""Rasters: large, many-channel and georeferenced TIFF files, read whole or by windows, and maps written over them."""

import json
import math
import os
import struct
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.display import Display
from seglens.core.errors import ImageError, ParameterError, ShapeError, missing_extra
from seglens.core.saving import whole

if TYPE_CHECKING:
    from seglens.core.explanation import Explanation

SUFFIXES = (".tif", ".tiff")

MOST = 2**31
"""Values of one raster that are read at once, against headers made to fill the memory."""

GEOREFERENCE = (33550, 33922, 34264, 34735, 34736, 34737)
"""TIFF tags that tell where on the earth a raster lies: scale, tie points, matrix, and the keys of its system."""

_NODATA = 42113
_KINDS = {2: "s", 3: "H", 12: "d"}
_PLAIN = 89_000_000  # pixels that Pillow opens, with some room


@dataclass(frozen=True, slots=True, eq=False)
class Raster:
    """One picture in a TIFF file, opened: its header is read, its pixels are not.

    size: (H, W). channels, dtype: as stored. nodata: the value that stands for none, None where the file names none.
    georeference: the file's tags that tell where it lies, as JSON; '' for none. notes: what was chosen on the way.
    """

    path: Path
    size: tuple[int, int]
    channels: int
    dtype: np.dtype[Any]
    nodata: float | None
    georeference: str
    notes: tuple[str, ...]
    _pages: tuple[Any, ...]
    _file: Any

    @property
    def name(self) -> str:
        """The file's."""
        return self.path.name

    @property
    def has_alpha(self) -> bool:
        """Whether its last channel is said to be transparency."""
        return any(int(kind) in (1, 2) for kind in self._pages[0].extrasamples)

    def read(self, rows: slice | None = None, columns: slice | None = None) -> NDArray[np.generic]:
        """The stored numbers [C h w] of a window, by default of everything; only what lies in it is decoded.

        What holds no data is 0, and so are parts that the file leaves out. Raises ImageError for a damaged file, a
        compression that cannot be read here, and more than MOST values.
        """
        top, bottom, _ = (rows or slice(None)).indices(self.size[0])
        left, right, _ = (columns or slice(None)).indices(self.size[1])
        shape = (self.channels, max(bottom - top, 0), max(right - left, 0))
        if math.prod(shape) > MOST:
            raise ImageError(
                f"{self.name} holds {' × '.join(map(str, shape))} values; at most {MOST:,} are read at once, against "
                "headers made to fill the memory.\n  Read it in windows: open_raster(file).read(rows, columns)."
            )
        out = np.zeros(shape, self.dtype)
        with _broken_becomes_error(self.name):
            for p, page in enumerate(self._pages):
                self._fill(out[p : p + 1] if len(self._pages) > 1 else out, page, top, left)
        if self.nodata is not None:
            missing = np.isnan(out) if math.isnan(self.nodata) else out == self.nodata
            out[missing] = 0
        return out

    def _fill(self, out: NDArray[Any], page: Any, top: int, left: int) -> None:
        high, wide = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, self.size[1])
        high = min(int(high), self.size[0])
        down, across = -(-self.size[0] // high), -(-self.size[1] // int(wide))
        for i, (offset, count) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            y, x = i // across % down * high, i % across * int(wide)
            above, below = max(top - y, 0), min(top + out.shape[1] - y, high)
            before, after = max(left - x, 0), min(left + out.shape[2] - x, int(wide))
            if above >= below or before >= after or count == 0:
                continue
            self._file.seek(offset)
            decoded, index, _ = page.decode(self._file.read(count), i, jpegtables=page.jpegtables)
            if decoded is None:
                continue
            # [depth rows columns samples], of one sample where each has a plane of its own.
            part = decoded[0, above:below, before:after]
            part = np.moveaxis(part, -1, 0)
            planes = slice(index[0], index[0] + len(part))
            y, x = y + above - top, x + before - left
            out[planes, y : y + part.shape[1], x : x + part.shape[2]] = part


@contextmanager
def open_raster(path: str | os.PathLike[str], channels: int | None = None) -> Generator[Raster]:
    """The first picture of a TIFF file, for as long as the block lasts.

    channels: how many are expected; pages of one sample, as many as that, are then its channels. Else the first page
    is taken, which is noted. Raises ImageError for a file that is none or damaged, MissingExtraError without tifffile.
    """
    path = Path(path)
    tifffile = _tifffile(f"reading {path.name}")
    with ExitStack() as undo:
        # What is raised while the block of the caller lasts is the caller's.
        with _broken_becomes_error(path.name):
            file = undo.enter_context(tifffile.TiffFile(path))
            raster = _read_header(path, file, channels)
        yield raster


def _read_header(path: Path, file: Any, channels: int | None) -> Raster:
    pages = list(file.pages)
    first = pages[0]
    alike = [p for p in pages if p.shape == first.shape and p.dtype == first.dtype]
    named = len(file.series) > 0 and file.series[0].axes.startswith("C") and len(alike) == len(pages)
    chosen, notes = [first], list[str]()
    if len(pages) > 1:
        if first.samplesperpixel == 1 and len(alike) == len(pages) and (named or len(pages) == channels):
            chosen = alike
        else:
            notes.append(f"The first of {len(pages)} pages was taken.")
    if first.dtype is None or first.imagedepth > 1:
        raise ImageError(f"{path.name} holds pixels of a kind that is not read (depth {first.imagedepth}).")
    return Raster(
        path,
        (int(first.imagelength), int(first.imagewidth)),
        len(chosen) if len(chosen) > 1 else int(first.samplesperpixel),
        np.dtype(first.dtype),
        _nodata(first),
        _georeference(first),
        tuple(notes),
        tuple(chosen),
        file.filehandle,
    )


def is_raster(path: Path, channels: int | None = None) -> bool:
    """Whether a file is a TIFF that Pillow does not read as it is: many or deep channels, planes, large, placed.

    channels: how many are expected, see `open_raster`.

    False without tifffile, and for what is no TIFF: Pillow then says what is wrong.
    """
    if path.suffix.lower() not in SUFFIXES:
        return False
    try:
        with open_raster(path, channels) as raster:
            deep = raster.channels > 1 and raster.dtype != np.uint8
            many = raster.channels not in (1, 3, 4) or (raster.channels == 4 and not raster.has_alpha)
            return deep or many or bool(raster.georeference) or math.prod(raster.size) > _PLAIN
    except (ImportError, ImageError):
        return False


def read_raster(path: Path, channels: int | None, notes: list[str]) -> tuple[NDArray[np.generic], str]:
    """(the stored numbers [C H W], the georeference) of a whole raster; what was chosen is noted."""
    with open_raster(path, channels) as raster:
        array = raster.read()
        notes += raster.notes
        if raster.nodata is not None:
            notes.append(f"Where it holds no data ({raster.nodata:g}) it was read as 0.")
        if array.shape[0] == 4 and channels == 3 and raster.has_alpha:
            notes.append("Its alpha channel was dropped.")
            array = array[:3]
        return array, raster.georeference


def write_geotiff(explanations: Sequence["Explanation"], path: Path, display: Display | None = None) -> None:
    """The maps of one picture as TIFF, float32 in their units, one page each, NaN where undefined.

    It lies where the picture lies: the tags of its georeference are written as they were read. `display` does not
    matter: raw values are written. Raises ShapeError for maps of volumes, ParameterError for none and for maps of
    several sizes, MissingExtraError.
    """
    del display
    if not explanations:
        raise ParameterError("no explanations to write.")
    tifffile = _tifffile(f"writing {path.name}")
    first = explanations[0]
    for e in explanations:
        if e.map.ndim != 2:
            raise ShapeError(f"a TIFF page is [H W]; this map is {list(e.map.shape)}.\n  Save it as .npz.", e.map.shape)
        if e.map.shape != first.map.shape:
            raise ParameterError("maps of several sizes do not fit into one TIFF.\n  Save each to a file of its own.")
    with whole(path) as file, tifffile.TiffWriter(file, bigtiff=first.map.nbytes * len(explanations) > 2**31) as tiff:
        for e in explanations:
            tiff.write(
                e.map.astype(np.float32),
                compression="zlib",
                tile=(256, 256),
                metadata=None,
                description=f"{e.method}: {e.target} ({e.unit})".encode("ascii", "replace").decode(),
                software="seglens",
                extratags=[*_tags(e.provenance), (_NODATA, 2, 0, "nan", True)],
            )


def placed(georeference: str) -> Mapping[str, str]:
    """What an explanation's provenance keeps of where a picture lies."""
    return {"georeference": georeference} if georeference else {}


def _tags(provenance: Mapping[str, str]) -> list[tuple[int, int, int, Any, bool]]:
    tags: list[tuple[int, int, int, Any, bool]] = []
    for code, (kind, value) in json.loads(provenance.get("georeference", "{}")).items():
        count = 0 if kind == 2 else len(value)
        tags.append((int(code), kind, count, value if kind == 2 else tuple(value), True))
    return tags


def _georeference(page: Any) -> str:
    found: dict[str, tuple[int, Any]] = {}
    for code in GEOREFERENCE:
        tag = page.tags.get(code)
        if tag is not None and int(tag.dtype) in _KINDS:
            value = tag.value
            found[str(code)] = (int(tag.dtype), value if isinstance(value, str) else [*np.atleast_1d(value).tolist()])
    return json.dumps(found) if found else ""


def _nodata(page: Any) -> float | None:
    tag = page.tags.get(_NODATA)
    if tag is None:
        return None
    try:
        return float(str(tag.value).strip("\0 "))
    except ValueError:
        return None


@contextmanager
def _broken_becomes_error(name: str) -> Generator[None]:
    """tifffile raises its own kind, and whatever its decoders let escape on damaged files."""
    try:
        yield
    except (ImageError, MemoryError, ImportError):
        raise
    except ValueError as failed:
        if "imagecodecs" in str(failed):
            raise ImageError(
                f"{name} is compressed in a way that tifffile does not read alone: {failed}\n"
                "  It does with: pip install imagecodecs"
            ) from failed
        raise ImageError(f"{name} is no TIFF, or damaged: {failed}") from failed
    except (OSError, EOFError, IndexError, KeyError, TypeError, RuntimeError, struct.error) as failed:
        raise ImageError(
            f"{name} is damaged or cut short: {failed}\n  Copy or download it again; no half picture is used."
        ) from failed


def _tifffile(purpose: str) -> Any:
    try:
        import tifffile
    except ImportError as absent:
        raise missing_extra("tifffile", "raster", purpose) from absent
    return tifffile
