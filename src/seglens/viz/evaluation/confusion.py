"""A confusion matrix as a picture: rows are the truth, columns the prediction, and both say so."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.viz.colours import class_colours, table
from seglens.viz.evaluation.cells import cell_colours, cell_text
from seglens.viz.media.sheet import INK, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, width_of, wrapped
from seglens.viz.picture import is_dark

_SIDE = 9.0  # inches that the cells of many classes share
_CELL = 0.42  # inches, the largest
_READABLE = 0.27  # inches, the least in which a number fits
_NAME = 1.6  # inches of the longest class name


def confusion_figure(
    counts: NDArray[np.int64], cells: NDArray[np.float64], classes: ClassTable, what: str, facts: Sequence[str]
) -> Figure:
    """The matrix with its class names, one row for each true class and one column for each predicted one.

    counts: pixels [K K], whose sums stand at the right of each row. cells: what is drawn [K K], the pixels
    themselves or shares of them; `what` says which, in words. facts: further words, such as the network's name.
    """
    n = len(classes)
    shares = what != "pixels"
    cell = min(_CELL, _SIDE / max(n, 1))
    font = min(TEXT, cell * 72 / 1.25)
    names = [wrapped(name, font, _NAME, 1)[0] for name in classes.names]
    long = max((width_of(name, font) for name in names), default=0.0)
    sums = [f"{v:,}" for v in counts.sum(1)]
    totals = max((width_of(s, font) for s in [*sums, "true pixels"]), default=0.0)
    axis = TEXT * LINE / 72
    swatch = min(0.1, cell * 0.6)
    left = MARGIN + axis + 0.1 + long + 0.1 + swatch + 0.08
    sheet = Sheet(max(left + n * cell + 0.12 + totals + MARGIN, 5.2))
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, "Confusion matrix", wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), wide, TEXT)
    y = sheet.paragraph(MARGIN, y, f"In the cells: {'per cent, ' * shares}{what}", wide, SMALL, colour=QUIET)
    y = sheet.text(left + n * cell / 2, y + 0.12, "prediction", TEXT, bold=True, align="center")
    top = y + long + 0.06 + swatch + 0.1
    picture = cell_colours(cells, shares)
    sheet.picture(left, top, n * cell, n * cell, picture)
    sheet.upright(MARGIN + axis / 2, top + n * cell / 2 + width_of("truth", TEXT, True) / 2, "truth", TEXT, bold=True)
    colours = class_colours(classes)
    line = font * LINE / 72
    for i, name in enumerate(names):
        middle = (i + 0.5) * cell
        rgb = tuple(float(v) / 255 for v in colours[i])
        sheet.text(left - 0.08 - swatch - 0.08, top + middle - line / 2, name, font, align="right")
        sheet.swatch(left - 0.08 - swatch, top + middle - swatch / 2, swatch, rgb)
        sheet.swatch(left + middle - swatch / 2, top - 0.08 - swatch, swatch, rgb)
        sheet.upright(left + middle, top - 0.08 - swatch - 0.06, name, font)
        sheet.text(left + n * cell + 0.12, top + middle - line / 2, sums[i], font, colour=QUIET)
    sheet.text(left + n * cell + 0.12, top - line - 0.03, "true pixels", font, colour=QUIET)
    if cell >= _READABLE:
        _numbers(sheet, left, top, cell, cells, picture, shares)
    y = top + n * cell + 0.12
    y = _key(sheet, left, y, min(max(n * cell, 1.2), 3.0), cells, shares)
    said = "White: never. " + ("Grey: undefined, the class has no pixel to share out." if np.isnan(cells).any() else "")
    return sheet.figure(sheet.paragraph(MARGIN, y + 0.04, said.strip(), wide, SMALL, colour=QUIET) + MARGIN)


def _numbers(
    sheet: Sheet,
    left: float,
    top: float,
    cell: float,
    cells: NDArray[np.float64],
    picture: NDArray[np.uint8],
    shares: bool,
) -> None:
    size = min(SMALL, cell * 72 / 3.4)
    for row, column in np.ndindex(*cells.shape):
        if text := cell_text(float(cells[row, column]), shares):
            ink = "white" if is_dark(picture[row, column]) else INK
            middle = left + (column + 0.5) * cell, top + (row + 0.5) * cell - size * LINE / 144
            sheet.text(*middle, text, size, align="center", colour=ink, bold=row == column)


def _key(sheet: Sheet, x: float, y: float, width: float, cells: NDArray[np.float64], shares: bool) -> float:
    """Colour bar with its ends in words. Returns the y below it."""
    sheet.bar(x, y, width, 0.09, table("sequential")[::-1], (False, False))
    y += 0.12
    most = "100 %" if shares else f"{int(np.nan_to_num(cells).max(initial=0)):,} pixels"
    below = sheet.text(x, y, "0", SMALL)
    sheet.text(x + width, y, most, SMALL, align="right")
    return below if shares else sheet.text(x, below, "by the logarithm", SMALL, colour=QUIET)
