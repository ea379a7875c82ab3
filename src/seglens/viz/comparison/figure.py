"""A comparison as a figure: maps side by side, what they share, where they part, and which hear the network."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.core.comparison import Comparison, Interval
from seglens.viz import words
from seglens.viz.comparison import content
from seglens.viz.comparison.content import Board, Panel
from seglens.viz.media.sheet import (
    FAINT,
    GAP,
    INK,
    LINE,
    MARGIN,
    QUIET,
    SMALL,
    TEXT,
    TITLE,
    Sheet,
    width_of,
    wrapped,
)
from seglens.viz.picture import is_dark

_STEP = SMALL * LINE / 72
_ACROSS = 3
_Place = Callable[[float], float]
_DARK, _LIGHT, _RULE = "#1a4fa3", "#a9bfe4", "#8a4b00"


def comparison_figure(made: Comparison) -> Figure:
    """Image and maps, then consensus, spread and disputed places, then the tables. Raises ShapeError."""
    b = content.board(made)
    height, width = b.image.picture.shape[:2]
    ratio = min(max(width / height, 1 / 4), 4.0)
    box = (2.35, 2.35 / ratio) if ratio >= 1 else (2.35 * max(ratio, 0.5), 2.35 * max(ratio, 0.5) / ratio)
    column = max(box[0], 2.0)
    sheet = Sheet(_ACROSS * column + (_ACROSS - 1) * GAP + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, content.title(made), wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(content.facts(made, b)), wide, TEXT) + 0.1
    y = _panels(sheet, y, (b.image, *b.maps), b, box, column)
    y = _heading(sheet, y, "Together")
    y = _panels(sheet, y, b.common, b, box, column, marks=True)
    for line in content.places(made):
        y = sheet.paragraph(MARGIN, y, line, wide, SMALL)
    y = _heading(sheet, y + 0.12, "Do they agree?")
    y = _matrix(sheet, y, made, wide)
    if made.dependences:
        y = _heading(sheet, y + 0.1, f"Do they hear the network? ({made.dependences[0].draws} shuffled copies)")
        y = _bars(sheet, y, made, wide)
        if any(d.curve is not None for d in made.dependences):
            y = _cascade(sheet, y + 0.05, made, wide)
    said = content.remarks(made)
    if said:
        y = _heading(sheet, y + 0.1, "Notes")
    for remark in said:
        y = sheet.paragraph(MARGIN, y, remark, wide, SMALL, lines=6) + 0.03
    return sheet.figure(y + MARGIN)


def _heading(sheet: Sheet, y: float, text: str) -> float:
    sheet.block(MARGIN, y, sheet.width - 2 * MARGIN, 0.006, FAINT)
    return sheet.text(MARGIN, y + 0.06, text, TEXT + 1, bold=True) + 0.06


def _panels(
    sheet: Sheet,
    y: float,
    panels: tuple[Panel, ...],
    b: Board,
    box: tuple[float, float],
    column: float,
    marks: bool = False,
) -> float:
    """Pictures in rows; returns the y below them."""
    for start in range(0, len(panels), _ACROSS):
        row = panels[start : start + _ACROSS]
        titles = [wrapped(p.title, SMALL, column, 2, bold=True) for p in row]
        top = y + max(map(len, titles)) * _STEP + 0.04
        bottom = top + box[1]
        for i, (panel, lines) in enumerate(zip(row, titles, strict=True)):
            x = MARGIN + i * (column + GAP)
            for k, line in enumerate(lines):
                sheet.text(x, y + k * _STEP, line, SMALL, bold=True, colour=QUIET)
            sheet.picture(x, top, *box, panel.picture, b.disputed if panel.title == "disputed" else b.outline)
            if marks and panel.title == "disputed":
                rows, columns = panel.picture.shape[:2]
                room = 0.2 / box[1] * rows
                for mark in b.marks:
                    sheet.label(x + mark.x / columns * box[0], top + mark.y(room) / rows * box[1], str(mark.number), 6)
            at = top + box[1] + 0.06
            if panel.scale is not None:
                sheet.bar(x, at, box[0], 0.09, panel.scale.colours, (False, False))
                at = sheet.text(x, at + 0.12, words.number(panel.scale.low), SMALL)
                sheet.text(x + box[0], at - _STEP, words.number(panel.scale.high), SMALL, align="right")
                if panel.scale.diverging:
                    sheet.text(x + box[0] / 2, at - _STEP, "0", SMALL, align="center")
                at = sheet.paragraph(x, at, panel.unit, column, SMALL, lines=2, colour=QUIET)
            if panel is b.image and b.outline is not None:
                at = sheet.paragraph(x, at, "outlined: the region asked about", column, SMALL, colour=QUIET)
            bottom = max(bottom, sheet.paragraph(x, at, panel.said, column, SMALL, lines=6, colour=QUIET))
        y = bottom + 0.14
    return y


def _matrix(sheet: Sheet, y: float, made: Comparison, wide: float) -> float:
    """Rank correlations as a labelled heat map, names at the left and above."""
    n = len(made.labels)
    names = [wrapped(label, SMALL, 1.7, 1)[0] for label in made.labels]
    long = max(width_of(name, SMALL) for name in names)
    size = min(0.44, max(0.3, (wide * 0.62 - long) / n))
    left, top = MARGIN + long + 0.1, y + long + 0.06
    picture = content.matrix_colours(made)
    for i, name in enumerate(names):
        sheet.text(left - 0.07, top + (i + 0.5) * size - _STEP / 2, name, SMALL, align="right")
        sheet.upright(left + (i + 0.5) * size, top - 0.06, name, SMALL)
    for i, j in np.ndindex(n, n):
        _cell(sheet, left + j * size, top + i * size, (size, size), picture[i, j], content.cell(made, i, j))
    x = left + n * size + 0.25
    sheet.paragraph(x, top, content.ABOUT["table"], sheet.width - MARGIN - x, SMALL, colour=QUIET)
    return top + n * size + 0.12


def _cell(sheet: Sheet, x: float, y: float, size: tuple[float, float], rgb: NDArray[np.uint8], text: str) -> None:
    sheet.block(x, y, *size, tuple(float(v) / 255 for v in rgb))
    ink = "white" if is_dark(rgb) else INK
    font = min(SMALL, size[0] * 15)
    sheet.text(x + size[0] / 2, y + (size[1] - font * LINE / 72) / 2, text, font, align="center", colour=ink)


def _cascade(sheet: Sheet, y: float, made: Comparison, wide: float) -> float:
    """Rank correlation after each step from output to input: a row for each method, a column for each step."""
    y = sheet.paragraph(MARGIN, y, content.ABOUT["cascade"], wide, SMALL, colour=QUIET) + 0.08
    rows = [d for d in made.dependences if d.curve is not None]
    names = [wrapped(d.label, SMALL, 1.7, 1)[0] for d in rows]
    left = MARGIN + max(width_of(name, SMALL) for name in names) + 0.1
    size = min(0.5, (sheet.width - MARGIN - left) / len(rows[0].steps)), 0.22
    for j, step in enumerate(rows[0].steps):
        sheet.text(left + (j + 0.5) * size[0], y, str(step), SMALL, align="center", colour=QUIET)
    y += _STEP + 0.03
    for d, name in zip(rows, names, strict=True):
        sheet.text(left - 0.07, y + (size[1] - _STEP) / 2, name, SMALL, align="right")
        values = np.asarray(d.curve)
        for j, (v, rgb) in enumerate(zip(values, content.correlation_colours(values), strict=True)):
            _cell(sheet, left + j * size[0], y, size, rgb, content.plain(float(v)))
        y += size[1]
    return y + 0.1


def _bars(sheet: Sheet, y: float, made: Comparison, wide: float) -> float:
    """For each method likeness to the shuffled copies, raw and beyond decay, with whiskers and references."""
    y = sheet.paragraph(MARGIN, y, content.ABOUT["test"], wide, SMALL, colour=QUIET) + 0.08
    low, high = content.axis(made.dependences)
    long = max(width_of(wrapped(d.label, SMALL, 1.7, 1)[0], SMALL, True) for d in made.dependences)
    left = MARGIN + long + 0.15
    length = min(3.2, wide * 0.42)

    def at(value: float) -> float:
        return left + (min(max(value, low), high) - low) / (high - low) * length

    tall, thick = 0.36, 0.11
    bottom = y + len(made.dependences) * tall
    for tick in np.arange(np.ceil(low * 2) / 2, high + 0.01, 0.5):
        sheet.block(at(tick) - 0.003, y, 0.006, bottom - y, INK if tick == 0 else FAINT)
        sheet.text(at(tick), bottom + 0.02, f"{tick + 0.0:g}".replace("-", "−"), SMALL, align="center")
    for k, d in enumerate(made.dependences):
        top = y + k * tall
        sheet.text(left - 0.1, top + 0.05, wrapped(d.label, SMALL, 1.7, 1)[0], SMALL, bold=True, align="right")
        for i, colour, chance, offset in (
            (d.trained, _LIGHT, d.chance, 0.04),
            (d.beyond, _DARK, d.chance_beyond, 0.04 + thick + 0.03),
        ):
            _bar(sheet, at, i, colour, chance, top + offset, thick)
        if np.isfinite(d.copies.value):
            sheet.text(at(d.copies.value), top + 0.025, "◆", SMALL, align="center")
        told = f"{content.interval(d.trained)}, beyond decay {content.interval(d.beyond)}: {d.claim}"
        x = left + length + 0.2
        sheet.paragraph(x, top + 0.01, told, sheet.width - MARGIN - x, 6.0, lines=3)
    return bottom + 0.22


def _bar(sheet: Sheet, at: _Place, i: Interval, colour: str, chance: float, y: float, thick: float) -> None:
    if not np.isfinite(i.value):
        return
    start, end = sorted((at(0.0), at(i.value)))
    sheet.block(start, y, max(end - start, 0.01), thick, colour)
    if np.isfinite(i.low):
        sheet.block(at(i.low), y + thick / 2 - 0.004, max(at(i.high) - at(i.low), 0.008), 0.008, INK)
        for end in (i.low, i.high):
            sheet.block(at(end) - 0.004, y + 0.02, 0.008, thick - 0.04, INK)
    if np.isfinite(chance):
        sheet.block(at(chance) - 0.006, y - 0.015, 0.012, thick + 0.03, _RULE)
