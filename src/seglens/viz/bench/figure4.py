"""The grid-saliency paper's figure 4: IoU and CBD as heat maps, CBL as bars, for each strength of the bias."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from seglens.viz.bench.panels import bars, heat, heat_width
from seglens.viz.bench.parts import Band
from seglens.viz.media.sheet import GAP, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet

_ACROSS = 4  # heat maps in a row
_SAID = (
    "Heat maps: networks biased towards the digit of a row (N: unbiased), pictures of the digit of a column; framed: "
    "biased digit, its own pictures. Rows of biased networks show the IoU on unbiased pictures and the CBD on biased "
    "ones. Colours of each from 0 to its greatest value; grey: undefined. CBD of maps without an upper bound is over "
    "their largest value, so that methods are compared by contrast, not by height.",
    "CBL: mean over the networks that took up the bias, with its 95 % bootstrap interval; pale: over all, where none "
    "took it up. Squares: means by digit. Line: one half, which a map that knows nothing reaches.",
)


def figure4(bands: Sequence[Band], facts: Sequence[str]) -> Figure:
    """Each band's heat maps, and below all of them the bars, side by side. facts: sources and size, in words."""
    wide = _ACROSS * heat_width() + (_ACROSS - 1) * GAP
    sheet = Sheet(wide + 2 * MARGIN)
    y = sheet.paragraph(MARGIN, MARGIN, "Context bias: detection and localisation", wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), wide, TEXT)
    for band in bands:
        y = sheet.paragraph(MARGIN, y + 0.14, band.title[:1].upper() + band.title[1:], wide, TEXT, bold=True) + 0.04
        panels = [("IoU", band.iou), *((f"CBD {method}", values) for method, values in band.cbd.items())]
        for start in range(0, len(panels), _ACROSS):
            below = y
            for i, (title, values) in enumerate(panels[start : start + _ACROSS]):
                x = MARGIN + i * (heat_width() + GAP)
                below = max(below, heat(sheet, x, y, title, values, band.digits))
            y = below + 0.12
    y = sheet.text(MARGIN, y + 0.04, "CBL", TEXT, bold=True)
    each = (wide - GAP * (len(bands) - 1)) / max(len(bands), 1) if len(bands) > 1 else wide * 0.6
    below = y
    for i, band in enumerate(bands):
        x = MARGIN + i * (each + GAP)
        at = sheet.text(x, y, band.title, SMALL, colour=QUIET) + 0.03
        below = max(below, bars(sheet, x, at, each, band.bars, 0.5))
    y = below + 0.06
    for said in _SAID:
        y = sheet.paragraph(MARGIN, y + 0.03, said, wide, SMALL, colour=QUIET)
    return sheet.figure(y + MARGIN)
