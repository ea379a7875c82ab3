"""What the script of a page needs to draw a map anew: its values in a picture, and the choices a reader has.

A pixel holds 12 bits of value and 4 flags in its red and green: level + 2048 = 16·red + green/16, with
level = ±max(1, round(2047·√(|m|/largest))) and 0 for 0, so that small values keep their shades; the low half of
green are the flags below. `_script.SCRIPT` reads this and repeats `picture.rgba`.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from seglens.core.display import Within
from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation
from seglens.viz import words
from seglens.viz.display import place_of

LEVELS = 2047
UNDEFINED, REGION, PREDICTED, TRUE = 1, 2, 4, 8
_FLAGS: tuple[tuple[Literal["region", "prediction", "truth"], int], ...] = (
    ("region", REGION),
    ("prediction", PREDICTED),
    ("truth", TRUE),
)


def encoded(e: Explanation) -> NDArray[np.uint8]:
    """The map [H W] and its places as a picture [H W 3]; see above."""
    known = np.isfinite(e.map)
    size = np.abs(np.where(known, e.map, 0).astype(np.float64))
    share = np.sqrt(size / (size.max(initial=0) or 1))
    level = np.where(size > 0, np.maximum(np.rint(LEVELS * share), 1), 0) * np.where(e.map < 0, -1, 1)
    code = (level + LEVELS + 1).astype(np.int64)
    flags = np.where(known, 0, UNDEFINED)
    for name, flag in _FLAGS:
        if (inside := place(e, name)) is not None:
            flags += flag * inside
    return np.stack([code >> 4, (code & 15) << 4 | flags, np.zeros_like(code)], -1).astype(np.uint8)


def largest(e: Explanation) -> float:
    """The greatest absolute value that is defined, which the levels of `encoded` stand for."""
    return float(np.abs(np.where(np.isfinite(e.map), e.map, 0)).max(initial=0))


def place(e: Explanation, within: Within) -> NDArray[np.bool_] | None:
    """`place_of`, None where it cannot be worked out."""
    try:
        return place_of(e, within)
    except ParameterError:
        return None


def parts(e: Explanation) -> list[tuple[str, str, bool]]:
    """Value, words, and whether there is any, of each part to choose from; none of a map without negative values."""
    known = e.map[np.isfinite(e.map)]
    if not (known < 0).any():
        return []
    there = {"positive": bool((known > 0).any())}
    return [(part, words.PARTS[part].capitalize(), there.get(part, True)) for part in words.PARTS]


def places(e: Explanation, name: str) -> list[tuple[str, str, bool]]:
    """Value, words with the class's `name`, and whether there is any pixel, of each place to choose from."""
    found: list[tuple[str, str, bool]] = []
    for within in get_args(Within):
        if (inside := place(e, within)) is not None:
            found.append((within, words.PLACES[within].format(name), bool(inside.any())))
    return [("", "everywhere", True), *found] if found else []
