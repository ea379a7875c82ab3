"""The cells of a confusion matrix: their colours and numbers, the same in figures and on pages."""

import numpy as np
from numpy.typing import NDArray

from seglens.viz.colours import table

UNDEFINED = (206, 206, 206)
"""Cells of classes that have no pixel to share out."""


def cell_colours(cells: NDArray[np.float64], shares: bool) -> NDArray[np.uint8]:
    """Colours [K K 3] of a matrix, pale for nothing and dark for much; grey where undefined.

    shares: values in 0..1 are drawn as they are. Else pixels, by the logarithm of 1 + n up to the greatest.
    """
    steps = table("sequential")[::-1]
    known = np.isfinite(cells)
    values = np.where(known, cells, 0.0)
    if not shares:
        values = np.log1p(values) / max(float(np.log1p(values.max(initial=0.0))), 1e-12)
    picture = np.rint(steps[np.rint(values * (len(steps) - 1)).astype(np.intp)] * 255).astype(np.uint8)
    picture[~known] = UNDEFINED
    # Nothing at all is white, so that what is rare can be told from what never happened.
    picture[known & (cells == 0)] = 255
    return picture


def cell_text(value: float, shares: bool) -> str:
    """A cell in at most four characters: per cent of a share, pixels in thousands and millions; '' for nothing."""
    if not np.isfinite(value) or value == 0:
        return ""
    if shares:
        percent = 100 * value
        return "<1" if percent <= 0.5 else (">99" if 99.5 <= percent < 100 else f"{percent:.0f}")
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            scaled = value / size
            return f"{scaled:.0f}{unit}" if scaled >= 9.95 else f"{scaled:.1f}{unit}"
    return f"{value:.0f}"
