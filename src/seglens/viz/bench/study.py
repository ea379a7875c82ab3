"""One setting varied: CBL and CBD for each of its values, side by side."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from seglens.viz.bench.panels import bars
from seglens.viz.bench.parts import Group
from seglens.viz.media.sheet import GAP, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet

_COLUMN = 3.6  # inches
_SAID = (
    "CBL: mean over the networks that took up the bias (pale: over all, where none did), with its 95 % bootstrap "
    "interval; line: one half, which a map that knows nothing reaches. CBD: of the biased class; square: of the other "
    "classes, of twins of the class known by the texture's absence, where it is to be near 0."
)


def study_figure(title: str, groups: Sequence[Group], facts: Sequence[str]) -> Figure:
    """A row for each group, with its CBL on the left and its CBD on the right."""
    wide = 2 * _COLUMN + GAP
    sheet = Sheet(wide + 2 * MARGIN)
    y = sheet.paragraph(MARGIN, MARGIN, title, wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), wide, TEXT)
    for group in groups:
        y = sheet.paragraph(MARGIN, y + 0.12, group.title, wide, TEXT, bold=True)
        below = y
        for i, (name, items, chance) in enumerate((("CBL", group.cbl, 0.5), ("CBD", group.cbd, None))):
            x = MARGIN + i * (_COLUMN + GAP)
            at = sheet.text(x, y, name, SMALL, bold=True, colour=QUIET) + 0.02
            below = max(below, bars(sheet, x, at, _COLUMN, items, chance))
        y = below
    return sheet.figure(sheet.paragraph(MARGIN, y + 0.08, _SAID, wide, SMALL, colour=QUIET) + MARGIN)
