"""A verification as a figure: explanation and segmentation, and below them both without what was removed."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.viz import words
from seglens.viz.media.legend import class_legend, legend
from seglens.viz.media.sheet import FAINT, GAP, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, wrapped
from seglens.viz.media.table import table
from seglens.viz.verification import content
from seglens.viz.verification.content import Board, Content, Panel

_STEP = SMALL * LINE / 72
_COLUMN = 3.3  # inches
_ROWS = 8  # of the table: the target's numbers, and classes until there are so many


def verification_figure(c: Content) -> Figure:
    """The explanation (a), the segmentation (b), the picture without what was removed (c), its segmentation (d), what
    came out in words, and where the result lies among random draws. Raises ShapeError."""
    b = content.board(c)
    height, width = b.panels[0].picture.shape[:2]
    # Beyond 8 : 1 a picture would be a hairline: its pixels are stretched.
    ratio = min(max(width / height, 1 / 8), 8.0)
    box = min(_COLUMN, 3.6 * ratio), min(_COLUMN, 3.6 * ratio) / ratio
    sheet = Sheet(2 * _COLUMN + GAP + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, content.title(c), wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(content.facts(c, b)), wide, TEXT)
    for start in (0, 2):
        y = _row(sheet, y + 0.14, c, b, start, box)
    y = sheet.paragraph(MARGIN, y + 0.14, " ".join(c.said), wide, TEXT + 1)
    y = _scale(sheet, y + 0.16, c, wide)
    y = table(sheet, y + 0.12, wide, content.heads(c), content.rows(c), 0.21, _ROWS)
    for remark in b.remarks:
        y = sheet.paragraph(MARGIN, y + 0.03, remark, wide, SMALL, lines=4, colour=QUIET)
    return sheet.figure(y + MARGIN)


def _row(sheet: Sheet, y: float, c: Content, b: Board, start: int, box: tuple[float, float]) -> float:
    """Two panels side by side, lettered. Returns the y below them."""
    pair = b.panels[start : start + 2]
    titles = [
        wrapped(f"({letter}) {p.title}", SMALL, _COLUMN, 2, bold=True)
        for letter, p in zip("abcd"[start:], pair, strict=False)
    ]
    top = y + max(map(len, titles)) * _STEP + 0.04
    bottom = top + box[1]
    for i, (panel, lines) in enumerate(zip(pair, titles, strict=True)):
        x = MARGIN + i * (_COLUMN + GAP)
        for k, line in enumerate(lines):
            sheet.text(x, y + k * _STEP, line, SMALL, bold=True, colour=QUIET)
        sheet.picture(x, top, *box, panel.picture, b.outline)
        bottom = max(bottom, _below(sheet, x, top + box[1] + 0.08, c, panel, box[0]))
    return bottom


def _below(sheet: Sheet, x: float, y: float, c: Content, panel: Panel, width: float) -> float:
    if panel.scale is not None:
        sheet.bar(x, y, width, 0.09, panel.scale.colours, (False, False))
        y += 0.12
        below = sheet.text(x, y, words.number(panel.scale.low), SMALL)
        sheet.text(x + width, y, words.number(panel.scale.high), SMALL, align="right")
        if panel.scale.diverging:
            sheet.text(x + width / 2, y, "0", SMALL, align="center")
        y = sheet.paragraph(x, below, panel.unit, _COLUMN, SMALL, lines=2, colour=QUIET)
    if panel.labels is not None:
        y = class_legend(sheet, x, y, _COLUMN, panel.labels, c.classes, c.outside)
    return sheet.paragraph(x, y, panel.said, _COLUMN, SMALL, lines=3, colour=QUIET)


def _scale(sheet: Sheet, y: float, c: Content, wide: float) -> float:
    """The probabilities on one axis, the random draws among them. Returns the y below it."""
    low, high = content.axis(c)
    tall = 0.2

    def at(value: float) -> float:
        return MARGIN + (value - low) / (high - low) * wide

    sheet.block(MARGIN, y + tall, wide, 0.008, FAINT)
    for tick in np.linspace(low, high, 5):
        align = "left" if tick == low else "right" if tick == high else "center"
        sheet.text(at(tick), y + tall + 0.03, words.number(float(tick), 2), SMALL, align=align, colour=QUIET)
    for _, rgb, values in content.marks(c):
        # Draws are many and thin; the others stand out above them.
        thick, up = (0.014, 0.0) if rgb == content.DRAWN else (0.035, 0.05)
        for v in values:
            sheet.block(at(v) - thick / 2, y - up, thick, tall + up, _unit(rgb))
    y = sheet.text(MARGIN, y + tall + 0.03 + _STEP, f"{c.quantity} over the region", SMALL, bold=True, colour=QUIET)
    return legend(sheet, MARGIN, y + 0.02, wide, [(text, rgb) for text, rgb, _ in content.marks(c)])


def _unit(rgb: tuple[int, int, int] | NDArray[np.uint8]) -> tuple[float, ...]:
    return tuple(float(v) / 255 for v in rgb)
