"""Results to files: which form a suffix stands for, and each file complete or not at all."""

import json
import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import NameNotFoundError, suggest


def suffix_of(path: Path, formats: Iterable[str]) -> str:
    """The suffix of `path` in small letters and without its dot, one of `formats`. Raises NameNotFoundError."""
    known = list(formats)
    suffix = form_of(path, known)
    if suffix not in known:
        raise NameNotFoundError(
            f"cannot tell from {path.name!r} what to write: give a suffix of "
            f"{', '.join(f'.{f}' for f in known)}.{suggest(suffix, known)}"
        )
    return suffix


def form_of(path: Path, formats: Iterable[str]) -> str:
    """The last suffix of `path` in small letters and without its dot; the last two if `formats` has them (nii.gz)."""
    double = ".".join(part[1:] for part in path.suffixes[-2:]).lower()
    return double if double in formats else path.suffix[1:].lower()


@contextmanager
def whole(path: Path) -> Generator[BinaryIO, None, None]:
    """A file to be filled; `path` is it once it is complete, so that an interrupted save never leaves half of one.

    Folders on the way are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


def write_text(text: str, path: Path) -> None:
    """Text in UTF-8, its line ends as they are."""
    with whole(path) as file:
        file.write(text.encode())


def write_arrays(arrays: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Arrays by name, compressed, as NPZ."""
    with whole(path) as file:
        np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType]


def as_json(value: Any) -> str:
    """A plain value as indented JSON; NaN and infinities as null."""
    return json.dumps(finite(value), indent=2, ensure_ascii=False, allow_nan=False)


def finite(value: Any) -> Any:
    """A plain value with None for NaN and infinities, which JSON lacks, lists for tuples, and text for paths."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in cast("Sequence[Any]", value)]
    return value
