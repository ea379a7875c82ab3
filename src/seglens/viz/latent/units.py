"""Latent units as rows of bars: what each tells, costs, moves and attends to; and matrices of units and factors."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.viz import words
from seglens.viz.colours import table
from seglens.viz.media.sheet import FAINT, GAP, INK, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, width_of, wrapped
from seglens.viz.picture import is_dark

_BAR, _ROW, _THICK = 1.5, 0.19, 0.11  # inches
_BLUE = tuple(float(v) for v in table("diverging")[0])
_CELL = 0.52
_SHOWN = 60  # units

Column = tuple[str, str, Sequence[float], Sequence[float]]
"""Its title, what it is in, the values and their errors, NaN for none."""


def units_figure(
    title: str, facts: Sequence[str], names: Sequence[str], columns: Sequence[Column], notes: Sequence[str]
) -> Figure:
    """A row for each unit, as many as are legible, and in each column a bar from 0 with its error as a line."""
    n = min(len(names), _SHOWN)
    left = MARGIN + max([width_of(name, SMALL) for name in names[:n]], default=0.0) + 0.12
    sheet = Sheet(max(left + len(columns) * (_BAR + 0.5 + GAP) + MARGIN, 5.2))
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, title, wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), wide, TEXT, lines=3) + 0.12
    top = y + 2 * SMALL * LINE / 72 + 0.06
    for i, name in enumerate(names[:n]):
        sheet.text(MARGIN, top + i * _ROW, name, SMALL)
    for k, (head, unit, values, errors) in enumerate(columns):
        x = left + k * (_BAR + 0.5 + GAP)
        sheet.text(x, y, head, SMALL, bold=True, colour=QUIET)
        sheet.text(x, y + SMALL * LINE / 72, wrapped(unit, SMALL, _BAR + 0.5, 1)[0], SMALL, colour=QUIET)
        _bars(sheet, x, top, values[:n], errors[:n])
    y = top + n * _ROW + 0.08
    if len(names) > n:
        y = sheet.text(MARGIN, y, f"and {len(names) - n} more units", SMALL, colour=QUIET)
    for note in notes:
        y = sheet.paragraph(MARGIN, y, note, wide, SMALL, lines=3, colour=QUIET)
    return sheet.figure(y + MARGIN)


def _bars(sheet: Sheet, x: float, top: float, values: Sequence[float], errors: Sequence[float]) -> None:
    known = np.array([v for v in values if np.isfinite(v)])
    low, high = min(0.0, float(known.min(initial=0.0))), max(0.0, float(known.max(initial=0.0)))
    size = _BAR / ((high - low) or 1.0)
    zero = x - low * size
    sheet.block(zero - 0.004, top - 0.02, 0.008, len(values) * _ROW, FAINT)
    for i, (value, error) in enumerate(zip(values, errors, strict=True)):
        y = top + i * _ROW + 0.02
        if not np.isfinite(value):
            sheet.text(zero + 0.06, top + i * _ROW, "undefined", SMALL, colour=QUIET)
            continue
        end = zero + value * size
        sheet.block(min(zero, end), y, max(abs(end - zero), 0.006), _THICK, _BLUE)
        reach = end
        if np.isfinite(error):
            sheet.block(end - error * size, y + _THICK / 2 - 0.006, 2 * error * size, 0.012, INK)
            reach = end + error * size
        sheet.text(max(zero, reach) + 0.06, top + i * _ROW, words.number(value, 2), SMALL)


def matrix_figure(
    title: str,
    facts: Sequence[str],
    rows: Sequence[str],
    columns: Sequence[str],
    panels: Sequence[tuple[str, str, NDArray[np.float64]]],
    notes: Sequence[str],
) -> Figure:
    """Matrices [rows columns] side by side, each with its title and what it is; pale is 0 and dark is 1 in size.

    The sign of a cell is written, not coloured. Undefined cells are grey.
    """
    names = max([width_of(name, SMALL) for name in rows], default=0.0) + 0.1
    inner = len(columns) * _CELL
    wide = len(panels) * (inner + GAP) - GAP
    sheet = Sheet(max(MARGIN + names + wide + MARGIN, 5.2))
    full = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, title, full, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), full, TEXT, lines=3) + 0.12
    step = SMALL * LINE / 72
    heads = [(wrapped(t, SMALL, inner, 2, True), wrapped(said, SMALL, inner, 4)) for t, said, _ in panels]
    above = max(len(a) + len(b) for a, b in heads)
    top = y + (above + 1) * step + 0.06
    ramp = table("sequential")[::-1]
    for p, ((first, second), (_, _, values)) in enumerate(zip(heads, panels, strict=True)):
        x = MARGIN + names + p * (inner + GAP)
        for i, line in enumerate([*first, *second]):
            sheet.text(x, y + i * step, line, SMALL, bold=i < len(first), colour=QUIET)
        for k, name in enumerate(columns):
            fitted = wrapped(name, SMALL, _CELL - 0.02, 1)[0]
            sheet.text(x + (k + 0.5) * _CELL, top - step - 0.02, fitted, SMALL, align="center")
        for i in range(min(len(rows), _SHOWN)):
            for k in range(len(columns)):
                _cell(sheet, x + k * _CELL, top + i * _ROW * 1.2, float(values[i, k]), ramp)
    for i, name in enumerate(rows[:_SHOWN]):
        sheet.text(MARGIN + names - 0.1, top + i * _ROW * 1.2 + 0.03, name, SMALL, align="right")
    y = top + min(len(rows), _SHOWN) * _ROW * 1.2 + 0.12
    for note in notes:
        y = sheet.paragraph(MARGIN, y, note, full, SMALL, lines=3, colour=QUIET)
    return sheet.figure(y + MARGIN)


def _cell(sheet: Sheet, x: float, y: float, value: float, ramp: NDArray[np.float64]) -> None:
    known = np.isfinite(value)
    rgb = ramp[round(min(abs(value), 1.0) * 0.85 * (len(ramp) - 1))] if known else np.array([0.81] * 3)
    sheet.block(x, y, _CELL - 0.02, _ROW * 1.2 - 0.02, tuple(float(v) for v in rgb))
    ink = "white" if is_dark(np.rint(rgb * 255).astype(np.uint8)) else INK
    text = f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−") if known else "–"
    sheet.text(x + _CELL / 2 - 0.01, y + 0.03, text, SMALL, align="center", colour=ink)
