"""Legends of figures: swatches with their names, in rows as they fit."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.viz import words
from seglens.viz.colours import OTHER, class_colours
from seglens.viz.media.sheet import LINE, QUIET, SMALL, Sheet, width_of, wrapped
from seglens.viz.picture import occurring

_NAMED = 14  # classes; the rest are counted


def class_legend(
    sheet: Sheet,
    x: float,
    y: float,
    width: float,
    labels: NDArray[np.integer],
    classes: ClassTable,
    outside: str = "no class",
) -> float:
    """The classes that occur in `labels`, with their shares. outside: name of what is none. Returns the y below it."""
    colours = class_colours(classes)
    found = occurring(labels, classes)
    items: list[tuple[str, Sequence[int]]] = []
    for index, share in found[:_NAMED]:
        name = outside if index is None else classes.names[index]
        items.append((f"{name} {words.percent(share)}", OTHER if index is None else colours[index].tolist()))
    y = legend(sheet, x, y, width, items)
    more = len(found) - _NAMED
    return sheet.text(x, y, f"and {more} more", SMALL, colour=QUIET) if more > 0 else y


def legend(sheet: Sheet, x: float, y: float, width: float, items: Sequence[tuple[str, Sequence[int]]]) -> float:
    """Names with their colours. Returns the y below them."""
    size, at = SMALL * 0.9 / 72, x
    for text, rgb in items:
        text = wrapped(text, SMALL, width - 0.16, 1)[0]
        need = 0.16 + width_of(text, SMALL)
        if at > x and at + need > x + width:
            at, y = x, y + SMALL * (LINE + 0.2) / 72
        sheet.swatch(at, y + 0.025, size, tuple(v / 255 for v in rgb))
        sheet.text(at + 0.14, y, text, SMALL)
        at += need + 0.14
    return y + SMALL * (LINE + 0.2) / 72
