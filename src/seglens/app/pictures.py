"""Pictures for the eye, by Pillow alone: what a file holds, upright and in 8 bits, and a small one of it."""

import io
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from seglens.app.faults import Fault

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
"""What is opened: formats whose decoders start no other program."""

THUMBNAIL = 224
"""Longest side of a thumbnail in pixels."""

_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, Image.DecompressionBombError)


@contextmanager
def opened(source: Path | bytes, name: str, pixels: int) -> Generator[Image.Image]:
    """An image, its pixels not decoded yet. Raises Fault 415 for what is none, 413 for one with too many pixels."""
    try:
        with warnings.catch_warnings():
            # The bound is ours, and holds before anything is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image:
                if image.width * image.height > pixels:
                    raise Fault(
                        413,
                        "ImageError",
                        f"{name} has {image.height} × {image.width} pixels; the page takes at most {pixels:,}.\n"
                        "  Shrink it, or cut it into parts.",
                    )
                yield image
    except Image.DecompressionBombError as bomb:
        raise Fault(413, "ImageError", f"{name} has too many pixels: {bomb}") from bomb
    except FileNotFoundError as gone:
        message = f"{name} is not there any more.\n  Add it again, or open its folder again."
        raise Fault(404, "ImageError", message) from gone
    except Image.UnidentifiedImageError as foreign:
        message = f"{name} is no image that the page takes.\n  Expected {', '.join(FORMATS)}."
        raise Fault(415, "ImageError", message) from foreign
    except _BROKEN as broken:
        message = (
            f"{name} is damaged or cut short: {str(broken).rstrip('.')}.\n  Copy it again; no half picture is used."
        )
        raise Fault(415, "ImageError", message) from broken


def size_of(source: Path, pixels: int) -> tuple[int, int]:
    """(width, height) as it is shown, upright."""
    with opened(source, source.name, pixels) as image:
        width, height = image.size
        turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
    return (height, width) if turned else (width, height)


def check(source: bytes, name: str, pixels: int) -> str:
    """Decode all of it; returns the format. Raises Fault for what cannot be read whole."""
    with opened(source, name, pixels) as image:
        found = image.format or ""
        image.load()
    return found


def png_of(source: Path, pixels: int) -> bytes:
    """The picture as PNG, 8 bits, as a viewer shows it and as explanations lie over it."""
    with opened(source, source.name, pixels) as image:
        shown = _shown(image)
    return _encoded(shown, "PNG", compress_level=1)


def thumbnail_of(source: Path, pixels: int) -> bytes:
    """A small WebP of it."""
    with opened(source, source.name, pixels) as image:
        # A JPEG is decoded at a fraction of its size.
        image.draft(None, (THUMBNAIL * 2, THUMBNAIL * 2))
        shown = _shown(image)
    shown.thumbnail((THUMBNAIL, THUMBNAIL))
    return _encoded(shown, "WEBP", quality=82)


def in_colours(source: Path, pixels: int) -> bool:
    """Whether an image holds colours of its own, so that labels in it are those of a table of colours."""
    with opened(source, source.name, pixels) as image:
        return image.mode in ("RGB", "RGBA")


def labels_of(source: Path, pixels: int) -> tuple[bytes, str, tuple[int, int]]:
    """A label image's stored values: bytes little-endian, dtype 'uint8' or 'uint16', shape. Raises Fault 415."""
    with opened(source, source.name, pixels) as image:
        image.load()
        image = ImageOps.exif_transpose(image)
        if image.mode in ("LA", "PA"):
            image = image.getchannel(0)
        if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
            raise Fault(
                415,
                "ImageError",
                f"{source.name} holds colours ({image.mode}), not labels.\n"
                "  Colours are read as labels by the class table of a network: inspect the image with one.",
            )
        values = np.asarray(image.convert("L") if image.mode == "1" else image)
    if image.mode == "1":
        values = values // 255
    small = int(values.max(initial=0)) < 256 and int(values.min(initial=0)) >= 0
    if not small and (int(values.min()) < 0 or int(values.max()) > 65535):
        raise Fault(415, "ImageError", f"{source.name} holds numbers outside 0 to 65535, which are no labels.")
    plain = np.ascontiguousarray(values, "u1" if small else "<u2")
    return plain.tobytes(), "uint8" if small else "uint16", (values.shape[0], values.shape[1])


def _shown(image: Image.Image) -> Image.Image:
    image.load()
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64).clip(0, 65535)
        return Image.fromarray((values * 255 // 65535).astype(np.uint8))
    if image.mode == "F":
        return Image.fromarray((np.nan_to_num(np.asarray(image)).clip(0, 1) * 255).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")


def _encoded(image: Image.Image, form: str, **settings: int) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **settings)
    return out.getvalue()
