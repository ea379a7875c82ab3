"""Maps of one image from checkpoint to checkpoint, and what happens at a few of its pixels: one figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.viz import words
from seglens.viz.media.sheet import FAINT, GAP, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet
from seglens.viz.picture import Scale, colour, rgba, scale_of

_ACROSS = 6
_TILE = 1.25  # inches
_PLOT = 1.5
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Of pixels, in order: told apart also by those who see few colours."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Course:
    """What is drawn. maps: [N H W], of checkpoints named `steps`. pixels: P places (y, x). curves: title with unit, and
    values [N P]."""

    title: str
    facts: Sequence[str]
    image: NDArray[np.uint8]
    steps: Sequence[str]
    maps: NDArray[np.float32]
    unit: str
    pixels: Sequence[tuple[int, int]]
    curves: Sequence[tuple[str, NDArray[Any]]]


def course_figure(c: Course) -> Figure:
    """The image with its numbered pixels, the maps on one scale, and a plot for each curve."""
    height, width = c.image.shape[:2]
    ratio = min(max(width / height, 1 / 3), 4.0)
    box = (_TILE, _TILE / ratio)
    sheet = Sheet(_ACROSS * _TILE + (_ACROSS - 1) * 0.12 + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, c.title, wide, TITLE, bold=True) + 0.06
    sheet.picture(MARGIN, y, *box, colour(c.image))
    for i, (row, column) in enumerate(c.pixels):
        at = MARGIN + (column + 0.5) / width * box[0], y + (row + 0.5) / height * box[1]
        sheet.swatch(at[0] - 0.03, at[1] - 0.03, 0.06, COLOURS[i % len(COLOURS)])
    right, x = y, MARGIN + box[0] + GAP
    for fact in c.facts:
        right = sheet.paragraph(x, right, fact, wide - box[0] - GAP, TEXT, lines=3)
    scale = scale_of(c.maps)
    if scale is not None:
        right = _bar(sheet, x, right + 0.08, scale, c.unit)
    y = max(right, y + box[1]) + 0.14
    for start in range(0, len(c.steps), _ACROSS):
        for i, step in enumerate(c.steps[start : start + _ACROSS]):
            left = MARGIN + i * (_TILE + 0.12)
            sheet.text(left, y, step, SMALL, bold=True, colour=QUIET)
            sheet.picture(left, y + 0.14, *box, _painted(c.maps[start + i], scale))
        y += 0.14 + box[1] + 0.1
    return sheet.figure(_plots(sheet, y + 0.06, c, wide) + MARGIN)


def _plots(sheet: Sheet, y: float, c: Course, wide: float) -> float:
    """The curves side by side; returns the y below them."""
    if not c.pixels or len(c.steps) < 2:
        return y
    each = (wide - GAP * (len(c.curves) - 1)) / len(c.curves)
    bottom = y
    for k, (title, values) in enumerate(c.curves):
        left = MARGIN + k * (each + GAP)
        top = sheet.paragraph(left, y, title, each, SMALL, lines=2, bold=True, colour=QUIET) + 0.06
        known = values[np.isfinite(values)]
        low, high = (min(0.0, float(known.min())), max(0.0, float(known.max()))) if known.size else (0.0, 1.0)
        high = high if high > low else low + 1.0
        start, length = left + 0.5, each - 0.55
        for value in (low, 0.0, high) if low < 0 < high else (low, high):
            at = top + _PLOT * (high - value) / (high - low)
            sheet.block(start, at, length, 0.006, FAINT)
            sheet.text(start - 0.05, at - 0.07, words.number(value, 2), SMALL, colour=QUIET, align="right")
        xs = start + length * np.arange(len(c.steps)) / (len(c.steps) - 1)
        for i in range(len(c.pixels)):
            ys = top + _PLOT * (high - values[:, i].astype(np.float64)) / (high - low)
            sheet.curve(np.stack([xs, ys], 1), COLOURS[i % len(COLOURS)])
        sheet.text(start, top + _PLOT + 0.05, c.steps[0], SMALL, colour=QUIET)
        bottom = sheet.text(start + length, top + _PLOT + 0.05, c.steps[-1], SMALL, colour=QUIET, align="right")
    y, x = bottom + 0.04, MARGIN
    for i, (row, column) in enumerate(c.pixels):
        sheet.swatch(x, y + 0.02, 0.08, COLOURS[i % len(COLOURS)])
        sheet.text(x + 0.12, y, f"pixel ({row}, {column})", SMALL)
        x += 1.05
    return y + 0.16


def _bar(sheet: Sheet, x: float, y: float, scale: Scale, unit: str) -> float:
    sheet.bar(x, y, 1.8, 0.08, scale.colours, (False, False))
    sheet.text(x, y + 0.1, words.number(scale.low), SMALL)
    below = sheet.text(x + 1.8, y + 0.1, words.number(scale.high), SMALL, align="right")
    return sheet.paragraph(x, below, f"All maps on one scale, in {unit}.", 3.6, SMALL, lines=2, colour=QUIET)


def _painted(values: NDArray[np.float32], scale: Scale | None) -> NDArray[np.uint8]:
    painted = rgba(values, scale).astype(np.float64)
    alpha = painted[..., 3:] / 255
    return np.rint(painted[..., :3] * alpha + 238 * (1 - alpha)).astype(np.uint8)
