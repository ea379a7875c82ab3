"""Pictures in: files, PIL images, arrays and tensors to pixel values; nothing is silently lost."""

import os
import re
import warnings
import zlib
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path
from struct import error as StructError
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, ImageSequence
from torch import Tensor

from seglens.core.arrays import Axes, axes_of, channels_first, displayed, scaled, windowed
from seglens.core.errors import GuessWarning, ImageError, suggest
from seglens.core.nifti import is_nifti, read_nifti
from seglens.core.rasters import is_raster, read_raster

Source = str | os.PathLike[str] | Image.Image | NDArray[np.generic] | Tensor

ARRAY_SUFFIXES = (".npy", ".npz")

_DARK = 8192  # an eighth of the range of 16 bits

# What Pillow's decoders let escape on damaged files, found by feeding them such files.
BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, StructError, zlib.error)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One image as read.

    pixels: float32 [C *space], 0 black to 1 white of the file's own depth; RGB, grey, or an array's
    own channels.
    display: uint8 [H W 3] or [H W], a volume as [D H W] (or [D H W 3]): what a viewer shows.
    name: the file's name, or what else the image came from.
    notes: what was changed on the way in, one sentence each.
    affine: float64 [4 4], from a voxel's indices to millimetres, of a NIfTI file; None otherwise.
    georeference: where on the earth it lies, see `core.rasters`; '' for nowhere.
    """

    pixels: Tensor
    display: NDArray[np.uint8]
    name: str
    notes: tuple[str, ...] = ()
    affine: NDArray[np.float64] | None = None
    georeference: str = ""

    @property
    def size(self) -> tuple[int, ...]:
        """(H, W) or (D, H, W)."""
        return tuple(self.pixels.shape[1:])


def read_image(
    source: Source,
    *,
    axes: Axes | None = None,
    dims: int = 2,
    channels: int | None = None,
    window: tuple[float, float] | None = None,
    bands: tuple[int, ...] | None = None,
) -> Picture:
    """The picture in a file (any that Pillow reads, .npy, .npz, NIfTI), a PIL image, an array or a tensor.

    Scale: 8-bit by 255, 16-bit by 65535, booleans and 1-bit to 0 and 1; floats are taken as they
    are and lie in 0..1. 32-bit whole numbers are taken as 16-bit data in a wider type. Palette,
    CMYK and other colour spaces become RGB. Alpha is dropped where it is opaque, else the picture
    is laid over white; an EXIF orientation is applied; of several frames the first is taken, or all
    as a volume with axes='DHW' or dims=3. Each of these is noted.

    axes: what an array's dimensions are, where its shape does not tell: [H W], [H W C] with one to
    four channels, [C H W] with one, three or four channels. A tensor of three dimensions is [C H
    W]. Channels of arrays are kept as they are: four are four channels, not colour and alpha.
    dims, channels: dimensions of space (3 for volumes), and how many channels are expected; they tell
    an array's dimensions too. A NIfTI file is [D H W] or [D H W C] in its own order of axes.
    window: (black, white) in the numbers of an array, a NIfTI file or a picture of more than 8 bits, which
    are cut there; it stands for the scale above. Without it, 16-bit numbers that end below 8192 are nearly
    black, which is warned of: 12 bits of a camera or a scanner, most often.
    bands: of more than one channel those to display, see `Picture.display`: one, or three as red, green
    and blue, from 0.

    Raises ImageError for what cannot be read whole, holds no pixels, NaN, or values whose scale is
    unknown; MissingExtraError for a NIfTI file without nibabel.
    """
    notes: list[str] = []
    name = name_of(source)
    affine, georeference = None, ""

    def from_array(array: NDArray[np.generic], axes: Axes | None, tensor: bool = False) -> NDArray[np.generic]:
        return channels_first(array, name, axes or axes_of(array.shape, dims, channels, tensor))

    stack: Axes | None = "DHW" if axes is None and dims == 3 else axes
    of_pillow = False
    if isinstance(source, Image.Image):
        # A PIL image may be an opened file that is damaged further on.
        with broken_becomes_error(name, notes):
            stored, of_pillow = _from_pil(source, name, stack, notes), True
    elif isinstance(source, str | os.PathLike):
        path = existing_file(source)
        if is_nifti(path):
            array, affine = read_nifti(path)
            stored = from_array(array, axes or ("DHWC" if array.ndim == 4 else "DHW"))
        elif path.suffix.lower() in ARRAY_SUFFIXES:
            stored = from_array(load_array(path), axes)
        elif stack is None and is_raster(path, channels):
            array, georeference = read_raster(path, channels, notes)
            stored = from_array(array, "CHW")
        else:
            with open_image(path, notes) as image:
                stored, of_pillow = _from_pil(image, name, stack, notes), True
    else:
        stored = from_array(_plain_array(source), axes, isinstance(source, Tensor))
    # White of 8 bits in a picture is known.
    known = of_pillow and stored.dtype.itemsize == 1
    pixels = _toned(stored, name, None if known else window, notes)
    if pixels.size == 0:
        raise ImageError(f"{name} holds no pixels: its size is {_times(pixels.shape[1:])}.")
    values = torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32))
    return Picture(values, displayed(pixels, name, bands, notes), name, tuple(notes), affine, georeference)


def expand_paths(patterns: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Image files that files, folders and globs name, each once, in natural order.

    A folder gives the image files that lie directly in it; '**' in a glob reaches into subfolders.
    Hidden files are skipped unless named in full, and so are files of other kinds. Natural order
    puts 'frame 2' before 'frame 10'.
    Raises ImageError for a file that does not exist, a folder without images, and a glob that finds
    none.
    """
    if isinstance(patterns, str | os.PathLike):
        patterns = [patterns]
    found: dict[Path, None] = {}
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_dir():
            inside = [p for p in path.iterdir() if _is_image(p)]
            if not inside:
                raise ImageError(
                    f"no images in the folder {str(path)!r} ({len(list(path.iterdir()))} other "
                    "entries).\n"
                    "  Its subfolders are not searched: write a pattern such as 'folder/**/*.png' "
                    "for that."
                )
            found.update(dict.fromkeys(inside))
        elif path.exists() or not has_magic(str(path)):
            found[existing_file(path)] = None
        else:
            matches = [Path(p) for p in glob(str(path), recursive=True)]
            inside = [p for p in matches if _is_image(p)]
            if not inside:
                raise ImageError(f"no image matches the pattern {str(path)!r} ({len(matches)} other files do).")
            found.update(dict.fromkeys(inside))
    return sorted(found, key=_natural)


def existing_file(source: str | os.PathLike[str]) -> Path:
    """The path of a file that exists. Raises ImageError: not there (nearest names), or a folder."""
    path = Path(source).expanduser()
    if path.is_dir():
        raise ImageError(
            f"{str(path)!r} is a folder, not an image.\n"
            "  Name a file in it; where several images are taken, a folder stands for those in it."
        )
    if not path.exists():
        near = (
            suggest(path.name, sorted(p.name for p in path.parent.iterdir()))
            if path.parent.is_dir()
            else f"\n  The folder {str(path.parent)!r} does not exist either."
        )
        raise ImageError(f"no file {str(path)!r}.{near}")
    return path


def name_of(source: Source) -> str:
    """A name for messages: the file's where there is one, else the kind of thing with its shape."""
    if isinstance(source, str | os.PathLike):
        return Path(source).name
    if isinstance(source, Image.Image):
        filename: str = getattr(source, "filename", "")
        return Path(filename).name if filename else f"PIL image ({source.mode})"
    kind = "tensor" if isinstance(source, Tensor) else "array"
    shape: tuple[int, ...] | None = getattr(source, "shape", None)
    return type(source).__name__ if shape is None else f"{kind} {_times(tuple(shape))}"


def is_array(source: Source) -> bool:
    """Whether it comes as numbers whose dimensions and scale are to be told: an array, a tensor, or a file of one."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        return is_nifti(path) or path.suffix.lower() in ARRAY_SUFFIXES
    return isinstance(source, np.ndarray | Tensor)


def load_array(path: Path) -> NDArray[np.generic]:
    """The array in a .npy, or the only one in a .npz; pickles are refused. Raises ImageError."""
    try:
        # Opened here, because numpy leaves the file of a damaged archive open.
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded
            if len(loaded.files) != 1:
                raise ImageError(
                    f"{path.name} holds {len(loaded.files)} arrays ({', '.join(loaded.files[:6])}); "
                    "expected one.\n  Open it with numpy and give the array itself."
                )
            return loaded[loaded.files[0]]
    except ImageError:
        raise
    except (*BROKEN, BadZipFile) as failed:
        raise ImageError(
            f"{path.name} cannot be read as a numpy array: {failed}\n"
            "  Arrays of Python objects are never opened: they may run code."
        ) from failed


@contextmanager
def open_image(path: Path, notes: list[str]) -> Generator[Image.Image]:
    """The image in a file, open while the block lasts; what Pillow warns of goes to `notes`."""
    if path.stat().st_size == 0:
        raise ImageError(f"{path.name} is empty (0 bytes): the copy or the download failed.")
    with broken_becomes_error(path.name, notes), Image.open(path) as image:
        yield image


@contextmanager
def broken_becomes_error(name: str, notes: list[str]) -> Generator[None]:
    """Turn what Pillow raises for damaged, huge or foreign files into one ImageError."""
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            yield
        notes += [f"Pillow says: {w.message}" for w in said if w.category is not DeprecationWarning]
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as bomb:
        pixels = re.search(r"\d+", str(bomb))
        raise ImageError(
            f"{name} holds {pixels[0] if pixels else 'too many'} pixels; the limit is "
            f"{Image.MAX_IMAGE_PIXELS}, "
            "against files made to fill the memory.\n"
            "  Shrink it or cut it into tiles; or, for a file you trust, raise "
            "PIL.Image.MAX_IMAGE_PIXELS."
        ) from bomb
    except Image.UnidentifiedImageError as foreign:
        raise ImageError(
            f"{name} is no image that Pillow can read, whatever its name says.\n"
            "  Expected PNG, JPEG, TIFF, WebP, BMP, … or .npy; look at the file with a viewer or "
            "`file`."
        ) from foreign
    except BROKEN as damaged:
        raise ImageError(
            f"{name} is damaged or cut short: {damaged}\n  Copy or download it again; no half picture is used."
        ) from damaged


def upright(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image with its EXIF orientation applied (without loss), which is noted."""
    turned = ImageOps.exif_transpose(image) if image.getexif().get(0x0112, 1) != 1 else image
    if turned is not image:
        notes.append("Turned upright as its EXIF orientation says.")
    return turned


def to_integers(image: Image.Image) -> NDArray[np.generic]:
    """The image's stored values, 16-bit ones in the machine's own byte order."""
    array = np.asarray(image)
    return array.astype(np.uint16) if image.mode.startswith("I;16") else array


def _toned(
    array: NDArray[np.generic], name: str, window: tuple[float, float] | None, notes: list[str]
) -> NDArray[np.float32]:
    """Stored numbers to 0..1. Warns of what is left of few bits in numbers of 16. Raises ImageError."""
    if window is not None:
        return windowed(array, name, window, notes)
    if array.dtype == np.uint16 and array.size and 0 < (most := int(array.max())) < _DARK:
        text = (
            f"the 16-bit numbers of {name} end at {most}, and 65535 is white, so it is nearly black to the network.\n"
            f"  If white is less, say so: window=(0, {2 ** most.bit_length() - 1}), or window under [input] in the "
            "network's description."
        )
        warnings.warn(GuessWarning(text), stacklevel=3)
    return scaled(array, name)


def _from_pil(image: Image.Image, name: str, axes: Axes | None, notes: list[str]) -> NDArray[np.generic]:
    """The stored numbers [C *space] of an image, or of its frames as a volume."""
    frames: int = getattr(image, "n_frames", 1)
    if axes == "DHW":
        pages = [_frame(page, name, notes) for page in ImageSequence.Iterator(image)]
        if len({(p.shape, p.dtype) for p in pages}) != 1 or pages[0].shape[0] != 1:
            shapes = sorted({_times(p.shape[1:]) + f" with {p.shape[0]} channel(s), {p.dtype}" for p in pages})
            raise ImageError(
                f"the {len(pages)} frames of {name} are no volume: {'; '.join(shapes)}.\n"
                "  A volume's frames are grey and of one size."
            )
        # Every page notes the same; said once is enough.
        notes[:] = list(dict.fromkeys(notes))
        return np.stack(pages, axis=1)
    if axes not in (None, "HW", "HWC"):
        raise ImageError(f"axes={axes!r} is for arrays; {name} is an image: leave axes out, or 'DHW' for a stack.")
    if frames > 1:
        volume = " axes='DHW' reads all as a volume." if image.format == "TIFF" else ""
        notes.append(f"The first of {frames} frames was taken.{volume}")
    return _frame(image, name, notes)


def _frame(image: Image.Image, name: str, notes: list[str]) -> NDArray[np.generic]:
    """The stored numbers of one frame [C H W]."""
    if 0 in image.size:
        raise ImageError(f"{name} holds no pixels: its size is {image.height} × {image.width}.")
    tiles: list[tuple[object, ...]] = getattr(image, "tile", [])
    if image.mode in ("RGB", "RGBA") and any(";16" in str(t[3]) for t in tiles):
        notes.append("Its 16-bit colours were read as 8-bit: give them as an array to keep the depth.")
    image.load()
    image = upright(image, notes)
    mode = image.mode
    if mode == "P" or mode == "PA":
        transparent = mode == "PA" or "transparency" in image.info
        image = image.convert("RGBA" if transparent else "RGB")
    elif mode == "La" or mode == "RGBa":
        image = image.convert("LA" if mode == "La" else "RGBA")
    elif mode in ("CMYK", "YCbCr", "LAB", "HSV", "RGBX"):
        image = image.convert("RGB")
        notes.append(f"Converted from {mode} to RGB.")
    if image.mode in ("LA", "RGBA"):
        image = _without_alpha(image, notes)
    array = to_integers(image)
    if image.mode == "I":
        array = _narrowed(array, name, notes)
    return array[None] if array.ndim == 2 else array.transpose(2, 0, 1)


def _without_alpha(image: Image.Image, notes: list[str]) -> Image.Image:
    opaque = image.mode.removesuffix("A")
    lowest = image.getchannel("A").getextrema()[0]
    if lowest == 255:
        notes.append("Its alpha channel is opaque everywhere and was dropped.")
        return image.convert(opaque)
    notes.append("It is partly transparent and was laid over white.")
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert(opaque)


def _narrowed(array: NDArray[np.generic], name: str, notes: list[str]) -> NDArray[np.generic]:
    lo, hi = int(array.min()), int(array.max())
    if lo < 0 or hi > 65535:
        raise ImageError(
            f"{name} holds 32-bit whole numbers from {lo} to {hi}; what is white is unknown.\n"
            "  Save it with 8 or 16 bits, or give it as a float array scaled to 0..1."
        )
    notes.append("Its 32-bit whole numbers were read as 16-bit: 65535 is white.")
    return array.astype(np.uint16)


def _plain_array(source: object) -> NDArray[np.generic]:
    if isinstance(source, Tensor):
        tensor = source.detach().cpu()
        return (tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor).numpy()
    if isinstance(source, np.ndarray):
        return source
    raise ImageError(f"an image is a path, a PIL image, a numpy array or a tensor, not a {type(source).__name__}.")


def _is_image(path: Path) -> bool:
    known = {*Image.registered_extensions(), *ARRAY_SUFFIXES}
    return path.is_file() and not path.name.startswith(".") and (path.suffix.lower() in known or is_nifti(path))


def _natural(path: Path) -> list[tuple[int, int, str]]:
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part.casefold())
        for part in re.split(r"(\d+)", str(path))
        if part
    ]


def _times(shape: tuple[int, ...]) -> str:
    return " × ".join(str(n) for n in shape)
