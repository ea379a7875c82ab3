"""A table of classes with numbers, drawn on a sheet."""

from collections.abc import Sequence

from seglens.viz.media.sheet import LINE, MARGIN, QUIET, SMALL, Sheet, wrapped

Row = tuple[str, tuple[int, int, int] | None, Sequence[str]]
"""A name, the colour of its swatch where it has one, and its cells."""

_STEP = SMALL * LINE / 72


def table(
    sheet: Sheet, y: float, wide: float, heads: Sequence[str], rows: Sequence[Row], column: float, most: int
) -> float:
    """Names at the left, cells under their heads at the right, each `column` of `wide` inches. Returns the y below.

    Of more than `most` rows the first are drawn, and the others counted.
    """
    ends = [MARGIN + wide * (1 - column * k) for k in reversed(range(len(heads)))]
    lines = [wrapped(head, SMALL, wide * (column - 0.01), 2, bold=True) for head in heads]
    for x, of_one in zip(ends, lines, strict=True):
        for k, line in enumerate(of_one):
            sheet.text(x, y + k * _STEP, line, SMALL, bold=True, colour=QUIET, align="right")
    y += max(map(len, lines)) * _STEP + 0.02
    name_width = wide * (1.03 - column * len(heads))
    for name, rgb, cells in rows[:most]:
        left = MARGIN
        if rgb is not None:
            sheet.swatch(left, y + 0.02, 0.08, tuple(float(v) / 255 for v in rgb))
            left += 0.14
        sheet.text(left, y, wrapped(name, SMALL, name_width, 1)[0], SMALL)
        for x, cell in zip(ends, cells, strict=True):
            sheet.text(x, y, cell, SMALL, align="right")
        y += _STEP + 0.02
    more = len(rows) - most
    return sheet.text(MARGIN, y, f"and {more} more", SMALL, colour=QUIET) if more > 0 else y
