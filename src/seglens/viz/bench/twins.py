"""Twins told apart by their context alone: how well each method localises it, and what its masks look like."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.viz.bench.panels import NAMES, ROW, bars
from seglens.viz.bench.parts import Bar, Strip
from seglens.viz.evaluation.cells import cell_colours
from seglens.viz.media.sheet import LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, wrapped
from seglens.viz.outline import edges
from seglens.viz.picture import colour

_MASK = 0.85  # inches, a side
_ACROSS, _APART = 8, 0.1  # masks in a row, and inches between them
_NAME = 6.0  # points
_SAID = (
    "CBL: mean over the networks, with its 95 % bootstrap interval; squares: means by digit; line: one half, which a "
    "map that knows nothing reaches. The class known by the absence of a texture has no cue, so it has no CBL: of it, "
    "the CBD stands beside that of its twin. Pictures are of one network; outlined: the cue; each mask is drawn from 0 "
    "to its greatest value, white: nothing."
)


def twins_figure(
    items: Sequence[Bar], others: Sequence[tuple[str, float, float]], strips: Sequence[Strip], facts: Sequence[str]
) -> Figure:
    """CBL as bars, CBD of the two classes as numbers beside them, and pictures with every method's mask below.

    others: of each bar by name, the mean CBD of the class known by a texture, and of the one known by its absence.
    """
    wide = _ACROSS * _MASK + (_ACROSS - 1) * _APART
    sheet = Sheet(wide + 2 * MARGIN)
    y = sheet.paragraph(MARGIN, MARGIN, "Twins: one shape, told apart by context", wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), wide, TEXT) + 0.1
    line = SMALL * LINE / 72
    across = wide - 2.1
    sheet.text(MARGIN + NAMES, y, "CBL of the class known by a texture", SMALL, bold=True)
    columns = (MARGIN + across + 0.85, MARGIN + across + 1.85)
    for at, title in zip(columns, ("CBD, texture", "CBD, absence"), strict=True):
        sheet.text(at, y, title, SMALL, bold=True, align="right")
    y += line + 0.04
    numbers = {name: values for name, *values in others}
    for i, bar in enumerate(items):
        for at, value in zip(columns, numbers.get(bar.name, ()), strict=False):
            text = f"{value:.2f}" if np.isfinite(value) else "–"
            sheet.text(at, y + (i + 0.5) * ROW - line / 2, text, SMALL, align="right")
    y = bars(sheet, MARGIN, y, across, items, 0.5) + 0.1
    for strip in strips:
        y = _strip(sheet, y, strip)
    return sheet.figure(sheet.paragraph(MARGIN, y + 0.03, _SAID, wide, SMALL, colour=QUIET) + MARGIN)


def _strip(sheet: Sheet, y: float, strip: Strip) -> float:
    """One picture and its masks, each with its name above and the cue's outline. Returns the y below."""
    cue = edges(strip.cue)
    cells = [(strip.name, colour(strip.image)), *((name, _drawn(mask)) for name, mask in strip.masks.items())]
    line = _NAME * LINE / 72
    head = 2 * line + 0.03
    for start in range(0, len(cells), _ACROSS):
        for i, (name, picture) in enumerate(cells[start : start + _ACROSS]):
            x = MARGIN + i * (_MASK + _APART)
            bold = start + i == 0
            # A name stands right above its picture, however many lines it has.
            short = 2 - len(wrapped(name, _NAME, _MASK, 2, bold=bold))
            sheet.paragraph(x, y + short * line, name, _MASK, _NAME, lines=2, bold=bold)
            across, down = picture.shape[1] / strip.cue.shape[1], picture.shape[0] / strip.cue.shape[0]
            sheet.picture(x, y + head, _MASK, _MASK, picture, cue * (across, down, across, down))
        y += head + _MASK + 0.08
    return y + 0.06


def _drawn(mask: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Colours [h w 3] of a mask, pale for nothing and dark for its greatest value; grey where undefined."""
    most = float(np.nanmax(mask)) if np.isfinite(mask).any() else 0.0
    return cell_colours(mask.astype(np.float64) / (most or 1.0), shares=True)
