"""Context statistics as a picture: the salient context on the image, and bars of what it consists of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.core.display import Display
from seglens.core.explanation import Explanation
from seglens.viz import words
from seglens.viz.colours import class_colours
from seglens.viz.display import painted, show
from seglens.viz.media.sheet import FAINT, GAP, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, width_of, wrapped
from seglens.viz.outline import edges
from seglens.viz.picture import labels_picture, table_of

LISTED = 20
"""Classes that have bars; the rest are counted."""

_PICTURE = 2.9  # inches
_NAME = 1.3  # inches of the longest class name
_BAR, _THICK, _ROW = 1.15, 0.1, 0.19  # inches: longest bar, its height, height of a row


@dataclass(frozen=True, slots=True)
class Row:
    """One class. shares: of the columns, in [0, 1] or NaN. told: the cells in words, the shares' and then others."""

    index: int
    name: str
    shares: tuple[float, ...]
    told: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Column:
    """What a column shows, in two lines at most."""

    title: str
    detail: str


def context_figure(
    explanation: Explanation,
    labels: NDArray[np.int64],
    ring: NDArray[np.bool_],
    rows: Sequence[Row],
    columns: Sequence[Column],
    facts: Sequence[str],
    notes: Sequence[str],
) -> Figure:
    """What is salient outside the region, the labels that count, and for each class a bar in each column of shares.

    labels: [*picture], −1 where ignored. ring: bool [*picture], the context around the region. rows: the first `LISTED`
    are drawn. columns: one for each cell of a row, those of the shares first; all bars have one scale. Of a volume, the
    slice with most salient context is shown. Raises ShapeError.
    """
    e = explanation
    chosen = rows[:LISTED]
    n = len(rows[0].shares) if rows else 0
    names = [wrapped(row.name, TEXT, _NAME, 1)[0] for row in chosen]
    name_width = 0.16 + max((width_of(name, TEXT) for name in names), default=0.0)
    cells = [max([width_of(row.told[i], SMALL) for row in chosen], default=0.0) for i in range(len(columns))]
    heads = [max(width_of(c.title, SMALL, True), width_of(c.detail, SMALL)) for c in columns]
    bars = [_BAR + 0.06] * n + [0.0] * (len(columns) - n)
    room = [max(head, bar + cell) for head, bar, cell in zip(heads, bars, cells, strict=True)]
    left = MARGIN + _PICTURE + GAP
    starts = [left + name_width + 0.12 + sum(room[:i]) + 0.2 * i for i in range(len(columns))]
    sheet = Sheet(max((starts[-1] + room[-1] if columns else left) + MARGIN, 6.0))
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, f"Context of {words.label(e)}", wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), wide, TEXT) + 0.14
    below = _pictures(sheet, y, e, labels, ring)
    at = y
    for x, column in zip(starts, columns, strict=True):
        at = sheet.text(x, y, column.title, SMALL, bold=True, colour=QUIET)
        sheet.text(x, at, column.detail, SMALL, colour=QUIET)
    at += SMALL * LINE / 72 + 0.06
    colours = class_colours(table_of(e)) / 255
    known = [share for row in chosen for share in row.shares if np.isfinite(share)]
    scale = _BAR / max([*known, 1e-12])
    for row, name in zip(chosen, names, strict=True):
        rgb = tuple(float(v) for v in colours[row.index])
        line = at + (_ROW - TEXT * LINE / 72) / 2
        sheet.swatch(left, at + (_ROW - 0.1) / 2, 0.1, rgb)
        sheet.text(left + 0.16, line, name, TEXT)
        for i, (x, told) in enumerate(zip(starts, row.told, strict=True)):
            if i < n:
                x = _bar(sheet, x, at, scale * row.shares[i], rgb)
            align = "left" if i < n else "right"
            sheet.text(x if i < n else x + room[i], line + 0.01, told, SMALL, align=align)
        at += _ROW
    if more := len(rows) - len(chosen):
        at = sheet.text(left, at, f"and {more} more class{'es' * (more != 1)}", SMALL, colour=QUIET)
    y = max(below, at) + 0.1
    for note in notes:
        y = sheet.paragraph(MARGIN, y, note, wide, SMALL, lines=4, colour=QUIET)
    return sheet.figure(y + MARGIN)


def _bar(sheet: Sheet, x: float, y: float, length: float, rgb: tuple[float, ...]) -> float:
    """A bar, none for NaN; returns where the words beside it begin."""
    top = y + (_ROW - _THICK) / 2
    if length > 0:
        # An edge, so that a class whose colour is nearly white has a bar too.
        sheet.block(x - 0.005, top - 0.005, length + 0.01, _THICK + 0.01, QUIET)
        sheet.block(x, top, length, _THICK, rgb)
    elif length == 0:
        sheet.block(x, top, 0.01, _THICK, FAINT)
    return x + (length if length > 0 else 0.0) + 0.06


def _pictures(sheet: Sheet, y: float, e: Explanation, labels: NDArray[np.int64], ring: NDArray[np.bool_]) -> float:
    """The salient context, and the labels with the ring's outer edge, the region in both. Returns the y below."""
    region = np.zeros(e.map.shape, bool) if e.region is None else e.region
    shown = show(replace(e, map=np.where(region, 0, e.map).astype(np.float32)), Display(part="positive"))
    undefined = not np.isfinite(e.map[~region]).any() and not region.all()
    none = "" if shown.scale else ": undefined" if undefined else ": none"
    z, where = shown.z, ""
    if z is not None:
        region, labels, ring, where = region[z], labels[z], ring[z], f", slice {z} of {len(e.map)}"
    ratio = min(max(e.map.shape[-1] / e.map.shape[-2], 1 / 8), 8.0)
    width = min(_PICTURE, 2.4 * ratio)
    height = width / ratio
    line = edges(region)
    around = np.concatenate([line, edges(region | ring)])
    for title, picture, outline in (
        (f"Salient context{where}{none}", painted(shown), line),
        (f"Classes, and the ring{where}", labels_picture(labels, table_of(e)), around),
    ):
        y = sheet.paragraph(MARGIN, y, title, _PICTURE, SMALL, bold=True, colour=QUIET) + 0.03
        sheet.picture(MARGIN, y, width, height, picture, outline)
        y += height + 0.1
    sheet.outline_swatch(MARGIN + 0.02, y + 0.03, SMALL * 0.9 / 72)
    return sheet.paragraph(MARGIN + 0.24, y, f"region asked about: {words.extent(e)}", _PICTURE - 0.24, SMALL)
