"""Label maps and masks in: whole numbers stay whole, and nothing is ever interpolated."""

import os
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seglens.core.classes import ClassTable
from seglens.core.errors import DegenerateImageWarning, ImageError
from seglens.core.images import (
    ARRAY_SUFFIXES,
    Source,
    broken_becomes_error,
    existing_file,
    load_array,
    name_of,
    open_image,
    to_integers,
    upright,
)
from seglens.core.nifti import is_nifti, read_nifti


def read_labels(source: Source, classes: ClassTable | None = None, ignore: int | None = 255) -> Tensor:
    """A label map int64 [*space]: one class index a pixel, or `ignore`.

    From 8-bit, 16-bit, 32-bit and palette images (a palette's indices, never its colours), .npy,
    arrays and tensors. A colour-coded RGB image is decoded where every colour of it is in the class
    table.
    classes: indices beyond the table are refused; None takes any index from 0.
    Raises ImageError: indices or colours that are not in the table (with pixel counts), fractions,
    transparency, a lossy file, and all that `read_image` raises for damaged files.
    """
    name = name_of(source)
    array = _stored(source, name, "a label map")
    if array.ndim == 3 and array.shape[-1] == 3 and array.dtype == np.uint8:
        return _decoded(array, classes, name)
    if array.ndim not in (2, 3) or array.size == 0:
        raise ImageError(f"{name}: a label map is [H W] (or [D H W]) with at least one pixel, not {list(array.shape)}.")
    if np.issubdtype(array.dtype, np.floating):
        whole = np.isfinite(array) & (array == np.floor(array))
        if not bool(whole.all()):
            raise ImageError(
                f"{name} holds fractions or NaN in {int((~whole).sum())} pixels, so it is no label "
                "map.\n"
                "  Was it resized with interpolation, or is it a probability? Labels are whole "
                "numbers."
            )
    labels = torch.from_numpy(array.astype(np.int64))
    _check_known(labels, classes, ignore, name)
    return labels


def read_mask(source: Source) -> Tensor:
    """A mask bool [*space]: true where the value is not zero.

    A soft mask (8-bit grey up to 255 or floats, with values in between) is cut at half, which a
    DegenerateImageWarning says; an 8-bit image of several small values counts as label map,
    likewise said.
    Raises ImageError for colours, transparency, NaN, floats outside 0..1, and damaged files.
    """
    name = name_of(source)
    array: NDArray[Any] = _stored(source, name, "a mask")
    if array.ndim == 3 and array.shape[-1] == 3 and array.dtype == np.uint8:
        if not bool((array == array[..., :1]).all()):
            raise ImageError(
                f"{name} is in colour; a mask is black and white.\n"
                "  A colour-coded label map is no mask: choose the class from it as a truth "
                "instead."
            )
        array = array[..., 0]
    if array.ndim not in (2, 3) or array.size == 0:
        raise ImageError(f"{name}: a mask is [H W] (or [D H W]) with at least one pixel, not {list(array.shape)}.")
    if np.issubdtype(array.dtype, np.floating):
        if not bool(np.isfinite(array).all()):
            raise ImageError(f"{name} holds NaN or infinity: a mask is true or false in every pixel.")
        lo, hi = float(array.min()), float(array.max())
        soft = bool(((array > 0) & (array < 1)).any())
        if soft and (lo < 0 or hi > 1):
            raise ImageError(f"{name} holds floats from {lo:.4g} to {hi:.4g}; a soft mask lies in 0..1.")
        return torch.from_numpy(_cut(array, 0.5, name) if soft else array != 0)
    if array.dtype == np.uint8 and len(values := np.unique(array)) > 2:
        if values[-1] == 255:
            return torch.from_numpy(_cut(array, 127.5, name))
        warnings.warn(
            DegenerateImageWarning(
                f"{name} holds {len(values)} values up to {values[-1]}: taken for labels, true where not 0."
            ),
            stacklevel=2,
        )
    return torch.from_numpy(array != 0)


def _stored(source: Source, name: str, what: str) -> NDArray[np.generic]:
    """The values as they are stored: [*space], or [H W 3] uint8 for a colour image."""
    notes: list[str] = []
    if isinstance(source, Tensor):
        return source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        return source
    if isinstance(source, Image.Image):
        with broken_becomes_error(name, notes):
            return _values(source, name, what)
    if not isinstance(source, str | os.PathLike):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ImageError(f"{what} is a path, a PIL image, a numpy array or a tensor, not a {type(source).__name__}.")
    path = existing_file(source)
    if is_nifti(path):
        return read_nifti(path)[0]
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return load_array(path)
    with open_image(path, notes) as image:
        return _values(image, name, what)


def _values(image: Image.Image, name: str, what: str) -> NDArray[np.generic]:
    if image.format in ("JPEG", "MPO"):
        raise ImageError(
            f"{name} is a JPEG, whose compression changes values near edges, so it is no use as "
            f"{what}.\n"
            "  Save it as PNG from where it was made."
        )
    image.load()
    image = upright(image, [])
    if image.mode in ("LA", "RGBA", "PA"):
        if image.getchannel("A").getextrema()[0] != 255:
            raise ImageError(
                f"{name} is partly transparent: are the colours or the transparency {what}?\n"
                "  Save the one that is meant as a grey or palette image."
            )
        image = image.convert({"LA": "L", "RGBA": "RGB", "PA": "P"}[image.mode])
    if image.mode not in ("1", "L", "P", "I", "F", "RGB") and not image.mode.startswith("I;16"):
        raise ImageError(f"{name} has the colour mode {image.mode}; {what} is grey, palette or RGB.")
    return to_integers(image)


def _decoded(array: NDArray[np.generic], classes: ClassTable | None, name: str) -> Tensor:
    codes = array.astype(np.int64) @ np.array([65536, 256, 1])
    found, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colours = classes.colours if classes is not None else None
    if colours is None:
        raise ImageError(
            f"{name} is a colour-coded label map ({len(found)} colours), and no class table with "
            "colours was given.\n"
            "  Give one (colours = [[r, g, b], …] beside the classes), or a map of class indices."
        )
    of = {r * 65536 + g * 256 + b: i for i, (r, g, b) in reversed(list(enumerate(colours)))}
    strangers = sorted(
        ((int(n), int(c)) for c, n in zip(found, counts, strict=True) if int(c) not in of),
        reverse=True,
    )
    if strangers:
        listed = ", ".join(f"({c >> 16}, {c >> 8 & 255}, {c & 255}): {n} px" for n, c in strangers[:6])
        more = ", …" if len(strangers) > 6 else ""
        raise ImageError(
            f"{name} holds {len(strangers)} colour(s) that no class has: {listed}{more}.\n"
            "  Add them to the class table's colours; colours between two classes mean that it was "
            "interpolated."
        )
    table = np.array([of[int(c)] for c in found], dtype=np.int64)
    return torch.from_numpy(table[inverse].reshape(codes.shape))


def _check_known(labels: Tensor, classes: ClassTable | None, ignore: int | None, name: str) -> None:
    ids, counts = labels.unique(return_counts=True)
    top = len(classes) if classes is not None else None
    strange = [
        (int(i), int(n))
        for i, n in zip(ids, counts, strict=True)
        if int(i) != ignore and (int(i) < 0 or (top is not None and int(i) >= top))
    ]
    if strange:
        listed = ", ".join(f"{i} ({n} px)" for i, n in strange[:8]) + (", …" if len(strange) > 8 else "")
        known = f"the {top} classes are 0 to {top - 1}" if top is not None else "labels start at 0"
        besides = f", and {ignore} is ignored" if ignore is not None else ", and nothing is ignored"
        raise ImageError(
            f"{name} holds labels outside the class table: {listed}; {known}{besides}.\n"
            "  Is it another data set's numbering, or an instance map? Give the right table, or "
            "ignore=…"
        )


def _cut(array: NDArray[Any], half: float, name: str) -> NDArray[np.bool_]:
    between = int(((array > 0) & (array < half * 2)).sum())
    warnings.warn(
        DegenerateImageWarning(f"{name} is a soft mask ({between} pixels lie in between): cut at half."),
        stacklevel=3,
    )
    return array > half
