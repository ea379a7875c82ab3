"""Maps of one image with several settings of a method: a row for each field, the default first, on one scale."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from seglens.core.display import Display
from seglens.core.explanation import Explanation
from seglens.viz import words
from seglens.viz.display import Shown, painted, sharing, show
from seglens.viz.media.sheet import FAINT, GAP, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, wrapped
from seglens.viz.outline import edges
from seglens.viz.picture import Scale, colour

_ACROSS = 4
_COLUMN, _TALLEST = 1.9, 1.9  # inches
_STEP = SMALL * LINE / 72


@dataclass(frozen=True, slots=True)
class Panel:
    """One setting. explanation: None where it gave no map. said: below the map."""

    title: str
    explanation: Explanation | None
    said: str


def sensitivity_figure(rows: Sequence[tuple[str, Sequence[Panel]]], facts: Sequence[str]) -> Figure:
    """The image, then for each field its maps, the default first; those of one field and unit on one scale.

    rows: fields with their panels, all of one image. facts: the method, the question, where, the parameters. Of a
    volume each map shows its slice of greatest weight. Raises ShapeError.
    """
    maps = [p.explanation for _, panels in rows for p in panels if p.explanation is not None]
    first = show(maps[0]).flat
    ratio = min(max(first.map.shape[1] / first.map.shape[0], 1 / 4), 8.0)
    box = (min(_COLUMN, _TALLEST * ratio), min(_COLUMN, _TALLEST * ratio) / ratio)
    sheet = Sheet(_ACROSS * _COLUMN + (_ACROSS - 1) * GAP + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, f"Sensitivity of {facts[0]}", wide, TITLE, bold=True) + 0.08
    line = edges(first.region) if first.region is not None else None
    sheet.picture(MARGIN, y, *box, colour(first.image), line)
    at, x = y, MARGIN + _COLUMN + GAP
    told = [*facts[1:], "Outlined: the region asked about."][: None if line is not None else -1]
    for fact in told:
        at = sheet.paragraph(x, at, fact, wide - _COLUMN - GAP, SMALL, lines=5, colour=QUIET) + 0.03
    y = max(at, y + box[1]) + 0.12
    for field, panels in rows:
        sheet.block(MARGIN, y, wide, 0.006, FAINT)
        y = sheet.text(MARGIN, y + 0.06, field, TEXT, bold=True) + 0.04
        y = _panels(sheet, y, panels, box)
    return sheet.figure(y + MARGIN - 0.1)


def _panels(sheet: Sheet, y: float, panels: Sequence[Panel], box: tuple[float, float]) -> float:
    """Maps in rows; returns the y below them."""
    shown = _shown(panels)
    one = len({s.whole.unit for s in shown if s is not None}) == 1
    for start in range(0, len(panels), _ACROSS):
        some = list(zip(panels, shown, strict=True))[start : start + _ACROSS]
        titles = [wrapped(p.title, SMALL, _COLUMN, 2, bold=True) for p, _ in some]
        top = y + max(map(len, titles)) * _STEP + 0.04
        bottom = top + box[1]
        for i, ((panel, map_), lines) in enumerate(zip(some, titles, strict=True)):
            x = MARGIN + i * (_COLUMN + GAP)
            for k, text in enumerate(lines):
                sheet.text(x, y + k * _STEP, text, SMALL, bold=True, colour=QUIET)
            at = top + box[1] + 0.05
            if map_ is None:
                sheet.block(x, top, *box, "#eeeeee")
                sheet.label(x + box[0] / 2, top + box[1] / 2, "no map", 6)
                continue
            line = edges(map_.flat.region) if map_.flat.region is not None else None
            sheet.picture(x, top, *box, painted(map_), line)
            if state := words.state(map_):
                for k, text in enumerate(parts := wrapped(state, 6, box[0] - 0.2)):
                    sheet.label(x + box[0] / 2, top + box[1] / 2 + (k - (len(parts) - 1) / 2) * 0.2, text, 6)
            if map_.scale is not None and (not one or (start == 0 and i == 0)):
                at = _bar(sheet, x, at, box[0], map_.scale, map_.flat.unit)
            bottom = max(bottom, sheet.paragraph(x, at, panel.said, _COLUMN, SMALL, lines=3, colour=QUIET))
        y = bottom + 0.12
    if one and len(panels) > 1:
        y = sheet.text(MARGIN, y - 0.06, "All maps of this row share one scale.", SMALL, colour=QUIET) + 0.08
    return y


def _shown(panels: Sequence[Panel]) -> list[Shown | None]:
    """The maps as they are drawn: on one scale where they have one unit."""
    found = [show(p.explanation, Display(shared=True)) for p in panels if p.explanation is not None]
    if len({s.whole.unit for s in found}) == 1:
        found = sharing(found)
    rest = iter(found)
    return [None if p.explanation is None else next(rest) for p in panels]


def _bar(sheet: Sheet, x: float, y: float, width: float, scale: Scale, unit: str) -> float:
    sheet.bar(x, y, width, 0.08, scale.colours, (False, False))
    below = sheet.text(x, y + 0.1, words.number(scale.low), SMALL)
    sheet.text(x + width, y + 0.1, words.number(scale.high), SMALL, align="right")
    if scale.diverging:
        sheet.text(x + width / 2, y + 0.1, "0", SMALL, align="center")
    return sheet.paragraph(x, below, unit, _COLUMN, SMALL, lines=2, colour=QUIET)
