"""A picture with and without a part of it, as a figure: what the network was shown, and what it made of it."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.viz.colours import class_colours
from seglens.viz.media.legend import class_legend
from seglens.viz.media.sheet import GAP, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet
from seglens.viz.media.table import table
from seglens.viz.outline import Segments, edges
from seglens.viz.picture import colour, labels_picture
from seglens.viz.removal.content import RemovalContent

_STEP = SMALL * LINE / 72
_COLUMN = 3.3  # inches
_ROWS = 10  # of the table


def removal_figure(c: RemovalContent) -> Figure:
    """The picture (a) with the part outlined, and without it (b); of a segmenter the labels before (c) and after (d); a
    table of the classes. Of a volume the slice of which most was taken. Raises ShapeError."""
    z = int(c.removed.sum((1, 2)).argmax()) if c.removed.ndim == 3 else None
    removed = c.removed if z is None else c.removed[z]
    region = c.region if c.region is None or z is None else c.region[z]
    shown = [colour(p if z is None else p[z]) for p in c.pictures]
    panels: list[tuple[str, NDArray[np.uint8], Segments | None, NDArray[np.int64] | None]] = [
        ("Image, outlined: what is taken away", shown[0], edges(removed), None),
        ("Image without it", shown[1], None, None),
    ]
    if c.labels is not None:
        asked = None if region is None else edges(region)
        for when, labels in zip(("before, outlined: the region asked about", "without it"), c.labels, strict=True):
            here = labels if z is None else labels[z]
            panels.append((f"Segmentation {when}", labels_picture(here, c.classes), asked, here))
    height, width = shown[0].shape[:2]
    # Beyond 8 : 1 a picture would be a hairline: its pixels are stretched.
    ratio = min(max(width / height, 1 / 8), 8.0)
    box = min(_COLUMN, 3.6 * ratio), min(_COLUMN, 3.6 * ratio) / ratio
    sheet = Sheet(2 * _COLUMN + GAP + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, c.title, wide, TITLE, bold=True)
    place = () if z is None else (f"slice {z}",)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join((*c.facts, *place)), wide, TEXT)
    for start in range(0, len(panels), 2):
        top, y = y + 0.14, 0.0
        for i, (name, picture, outline, labels) in enumerate(panels[start : start + 2]):
            x = MARGIN + i * (_COLUMN + GAP)
            sheet.text(x, top, f"({'abcd'[start + i]}) {name}", SMALL, bold=True, colour=QUIET)
            sheet.picture(x, top + _STEP + 0.04, *box, picture, outline)
            below = top + _STEP + 0.04 + box[1] + 0.06
            y = max(
                y, below if labels is None else class_legend(sheet, x, below, _COLUMN, labels, c.classes, c.outside)
            )
    colours: list[tuple[int, int, int]] = [(r, g, b) for r, g, b in class_colours(c.classes).tolist()]
    rows = [(c.classes.names[index], colours[index], cells) for index, cells in c.rows]
    y = table(sheet, y + 0.12, wide, c.heads, rows, 0.17, _ROWS)
    for note in c.notes:
        y = sheet.paragraph(MARGIN, y + 0.03, note, wide, SMALL, lines=4, colour=QUIET)
    return sheet.figure(y + MARGIN)
