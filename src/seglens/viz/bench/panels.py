"""Heat maps of figure 4, and bars with their intervals."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seglens.viz.bench.parts import Bar
from seglens.viz.evaluation.cells import cell_colours
from seglens.viz.media.sheet import FAINT, INK, LINE, QUIET, SMALL, Sheet, wrapped
from seglens.viz.picture import is_dark

CELL = 0.2  # inches, a side of a cell of a heat map
HEAD = 0.16  # inches left of a heat map, for the names of its rows
ROW = 0.17  # inches from bar to bar
NAMES = 1.3  # inches left of bars
_NUMBER = 4.8  # points
_BAR, _PALE, _DOT = (0.27, 0.45, 0.68), (0.78, 0.84, 0.91), "#1a1a1a"
_CHANCE = "#c44e00"


def heat_width() -> float:
    """Inches that a heat map takes with the names of its rows."""
    return HEAD + 10 * CELL


def heat(sheet: Sheet, x: float, y: float, title: str, values: NDArray[np.float64], digits: Sequence[int]) -> float:
    """Values [1 + D 10]: rows N and the biased digits, columns the classes, biased ones framed. Returns the y below.

    Colours go from 0 to the greatest value; what is undefined is grey.
    """
    line = SMALL * LINE / 72
    y = sheet.text(x + HEAD, y, wrapped(title, SMALL, 10 * CELL, 1, bold=True)[0], SMALL, bold=True)
    for column in range(10):
        sheet.text(x + HEAD + (column + 0.5) * CELL, y, str(column), SMALL, align="center", colour=QUIET)
    y += line
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 0.0
    picture = cell_colours(values / most if most > 0 else values, shares=True)
    rows = len(values)
    sheet.picture(x + HEAD, y, 10 * CELL, rows * CELL, picture)
    for i, name in enumerate(["N", *map(str, digits)]):
        sheet.text(x + HEAD - 0.05, y + (i + 0.5) * CELL - line / 2, name, SMALL, align="right", colour=QUIET)
    for i, j in np.ndindex(*values.shape):
        value = float(values[i, j])
        if np.isfinite(value):
            ink = "white" if is_dark(picture[i, j]) else INK
            at = x + HEAD + (j + 0.5) * CELL, y + (i + 0.5) * CELL - _NUMBER * LINE / 144
            sheet.text(*at, _short(value), _NUMBER, align="center", colour=ink)
    for i, digit in enumerate(digits, start=1):
        _frame(sheet, x + HEAD + digit * CELL, y + i * CELL)
    return y + rows * CELL


def bars(sheet: Sheet, x: float, y: float, width: float, items: Sequence[Bar], chance: float | None) -> float:
    """Bars from 0 to 1 with their intervals, dots, and a line for chance. Returns the y below."""
    line = SMALL * LINE / 72
    left, long = x + NAMES, width - NAMES
    top = y
    for bar in items:
        middle = y + ROW / 2
        sheet.text(left - 0.08, middle - line / 2, wrapped(bar.name, SMALL, NAMES - 0.1, 1)[0], SMALL, align="right")
        if np.isfinite(bar.mean):
            sheet.block(left, y + 0.035, max(bar.mean, 0.002) * long, ROW - 0.07, _PALE if bar.pale else _BAR)
        else:
            sheet.text(left + 0.04, middle - line / 2, "undefined", SMALL, colour=QUIET)
        y += ROW
    if chance is not None:
        sheet.block(left + chance * long - 0.005, top, 0.01, y - top, _CHANCE)
    middle = top + ROW / 2
    for bar in items:
        if np.isfinite(bar.low):
            sheet.block(left + bar.low * long, middle - 0.006, (bar.high - bar.low) * long, 0.012, _DOT)
            for end in (bar.low, bar.high):
                sheet.block(left + end * long - 0.005, middle - 0.03, 0.01, 0.06, _DOT)
        for dot in bar.dots:
            if np.isfinite(dot):
                sheet.swatch(left + dot * long - 0.018, middle - 0.018, 0.036, "white")
        middle += ROW
    sheet.block(left, y, long, 0.008, FAINT)
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        sheet.block(left + tick * long - 0.004, y, 0.008, 0.03, FAINT)
        sheet.text(left + tick * long, y + 0.03, f"{tick:g}", SMALL, align="center", colour=QUIET)
    return y + 0.03 + line


def _frame(sheet: Sheet, x: float, y: float) -> None:
    """The four edges of a cell."""
    thin = 0.012
    for left, top, width, height in (
        (x, y, CELL, thin),
        (x, y + CELL - thin, CELL, thin),
        (x, y, thin, CELL),
        (x + CELL - thin, y, thin, CELL),
    ):
        sheet.block(left, top, width, height, _CHANCE)


def _short(value: float) -> str:
    text = f"{value:.2f}"
    return text.removeprefix("0") if 0 <= value < 1 and text != "1.00" else text[:4]
