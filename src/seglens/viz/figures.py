"""Figures fit for a paper: one explanation in full, or several side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation
from seglens.viz import words
from seglens.viz._sheet import LINE, QUIET, Sheet, width_of, wrapped
from seglens.viz.arrange import Arrangement, arrange
from seglens.viz.colours import OTHER, class_colours
from seglens.viz.outline import edges
from seglens.viz.picture import (
    OPACITY,
    PERCENTILE,
    Scale,
    colour,
    flat,
    labels_picture,
    occurring,
    overlay,
    scale_of,
    shared_scale,
    table_of,
)

_MARGIN, _GAP = 0.2, 0.28  # inches
_SMALL, _TEXT, _TITLE = 7.0, 8.0, 11.0  # points
_BAR = 0.09
_LEGEND = 14  # classes named; the rest are counted
_Draw = Callable[[Sheet, float, float, float], float]


@dataclass(frozen=True, slots=True)
class _Box:
    """Size in inches at which pictures of one figure are drawn."""

    width: float
    height: float
    true: bool  # whether pixels are square

    @classmethod
    def of(cls, shape: tuple[int, ...], width: float, height: float) -> "_Box":
        """As large as `width` x `height` admit; sides beyond 8 : 1 are stretched to be seen at all."""
        ratio = shape[1] / shape[0]
        drawn = min(max(ratio, 1 / 8), 8.0)
        w = min(width, height * drawn)
        return cls(w, w / drawn, drawn == ratio)


def figure(
    explanation: Explanation,
    *,
    percentile: float = PERCENTILE,
    opacity: float = OPACITY,
    growing: bool = True,
    grey: bool = True,
) -> Figure:
    """One explanation: the image with the region's outline, the prediction, the map with its colour bar.

    The options are those of `overlay`. A volume shows one slice, named in the title.
    Raises ParameterError, ShapeError.
    """
    e, z = flat(explanation)
    scale = scale_of(explanation.map, percentile)
    line = edges(e.region) if e.region is not None else None
    over = overlay(e, scale=scale, opacity=opacity, growing=growing, grey=grey, region=False)

    panels: list[tuple[str, NDArray[np.uint8], _Draw]] = [
        ("Image", colour(e.image), lambda s, x, y, w: _region_key(s, x, y, w, explanation))
    ]
    if e.prediction is not None:
        labels, classes = e.prediction, table_of(explanation)
        picture = labels_picture(labels, classes)
        panels.append(("Prediction", picture, lambda s, x, y, w: _class_key(s, x, y, w, e)))
    panels.append(("Explanation", over, lambda s, x, y, w: _bar(s, x, y, w, scale, e.unit)))

    box = _Box.of(e.map.shape, 3.3, 3.6)
    column = max(box.width, 2.3)
    inner = len(panels) * column + (len(panels) - 1) * _GAP
    sheet = Sheet(max(inner, 5.2) + 2 * _MARGIN)
    wide = sheet.width - 2 * _MARGIN

    y = sheet.paragraph(_MARGIN, _MARGIN, words.heading(e), wide, _TITLE, bold=True)
    facts = [f"target: {e.target}", f"score {words.score(e)}", words.place(explanation, z), e.network]
    y = sheet.paragraph(_MARGIN, y, "  ·  ".join(f for f in facts if f), wide, _TEXT)
    fields = "  ·  ".join(f"{name} = {value}" for name, value in words.settings(e))
    y = sheet.paragraph(_MARGIN, y, fields, wide, _SMALL, lines=3, colour=QUIET)
    top = y + 0.14
    below = top + _SMALL * LINE / 72 + 0.04
    deepest = below + box.height
    for i, (name, picture, key) in enumerate(panels):
        x = _MARGIN + i * (column + _GAP)
        sheet.text(x, top, name, _SMALL, bold=True, colour=QUIET)
        sheet.picture(x, below, box.width, box.height, picture, line)
        deepest = max(deepest, key(sheet, x, below + box.height + 0.09, column))
    if said := words.state(explanation):
        x = _MARGIN + (len(panels) - 1) * (column + _GAP)
        sheet.label(x + box.width / 2, below + box.height / 2, said, _SMALL)
    said = words.beyond(explanation, scale) + words.remarks(explanation)
    if not box.true:
        said.append(f"Pixels are stretched to be seen: the image is {e.map.shape[0]} × {e.map.shape[1]}.")
    if explanation.cost is not None:
        said.append(f"Cost: {explanation.cost}.")
    return sheet.figure(_footer(sheet, deepest + 0.06, wide, said) + _MARGIN)


def grid(
    explanations: Sequence[Explanation],
    *,
    shared: bool = False,
    percentile: float = PERCENTILE,
    opacity: float = OPACITY,
    growing: bool = True,
    grey: bool = True,
) -> Figure:
    """Several explanations side by side, rows and columns by what differs between them.

    What differs may be the image, the network, the target, the method or the layer; two of them
    make a table, one or more than two make a list. Each map has its own colours and bar, or all
    have one scale where `shared`. The other options are those of `overlay`.
    Raises ParameterError for no explanations, or where `shared` meets maps of several units.
    """
    if not explanations:
        raise ParameterError("no explanations to draw.")
    common = shared_scale(explanations, percentile) if shared else None
    scales = [common if shared else scale_of(e.map, percentile) for e in explanations]
    plan = arrange(explanations)
    shapes = [e.map.shape[-2:] for e in explanations]
    height = 1.9 if len(set(shapes)) == 1 else 1.6
    boxes = [_Box.of(shape, 2.2, height) for shape in shapes]
    column = max(1.5, *(b.width for b in boxes))
    columns = plan.columns
    inner = columns * column + (columns - 1) * _GAP
    sheet = Sheet(max(inner, 4.4) + 2 * _MARGIN)
    wide = sheet.width - 2 * _MARGIN

    y = sheet.paragraph(_MARGIN, _MARGIN, plan.title, wide, _TITLE, bold=True)
    y = sheet.paragraph(_MARGIN, y, plan.subtitle, wide, _TEXT) + 0.12
    for row, heading in zip(plan.rows, plan.headings, strict=True):
        y = sheet.paragraph(_MARGIN, y, heading, wide, _TEXT, bold=True) + (0.03 if heading else 0)
        captions = [wrapped(c.caption, _SMALL, column, 3, bold=True) if c else [] for c in row]
        start = y + max(map(len, captions)) * _SMALL * LINE / 72 + 0.04
        bottom = start
        for i, (cell, caption) in enumerate(zip(row, captions, strict=True)):
            if cell is None:
                continue
            x, at = _MARGIN + i * (column + _GAP), y
            for text in caption:
                at = sheet.text(x, at, text, _SMALL, bold=True, colour=QUIET)
            whole = explanations[cell.index]
            e, z = flat(whole)
            box = boxes[cell.index]
            scale = scales[cell.index]
            if cell.plain:
                picture = colour(e.image)
            else:
                picture = overlay(e, scale=scale, opacity=opacity, growing=growing, grey=grey, region=False)
            line = edges(e.region) if e.region is not None and cell.outlined else None
            sheet.picture(x, start, box.width, box.height, picture, line)
            at = start + box.height + 0.07
            if not cell.plain:
                if said := words.state(whole):
                    sheet.label(x + box.width / 2, start + box.height / 2, said, 6)
                at = _bar(sheet, x, at, box.width, scale, e.unit, column)
                told = [f"score {words.number(e.score)}"]
                told += [f"slice {z}"] if z is not None else []
                told += [f"greatest {words.number(scale.largest)}"] if scale and scale.clipped else []
                at = sheet.paragraph(x, at, ", ".join(told), column, _SMALL, lines=2, colour=QUIET)
            bottom = max(bottom, at)
        y = bottom + 0.16
    said = ["All maps share one scale."] if shared and len(explanations) > 1 else []
    said += _notes(explanations, plan, scales)
    return sheet.figure(_footer(sheet, y - 0.06, wide, said) + _MARGIN)


def _notes(explanations: Sequence[Explanation], plan: Arrangement, scales: list[Scale | None]) -> list[str]:
    """Remarks on all maps: each said once, with the cells that it holds for."""
    cells: dict[str, list[str]] = {}
    for e, name in zip(explanations, plan.names, strict=True):
        for remark in words.remarks(e):
            cells.setdefault(remark, []).append(name)
    said = ["Outlined: the region asked about."] if any(e.region is not None for e in explanations) else []
    if any(scale and scale.clipped for scale in scales):
        said.append("A pointed bar: some values lie beyond the last colour.")
    for remark, names in cells.items():
        everywhere = len(names) == len(explanations)
        said.append(remark if everywhere else f"{'; '.join(dict.fromkeys(names))}: {remark}")
    return said


def _footer(sheet: Sheet, y: float, width: float, said: list[str]) -> float:
    if said:
        y += 0.06
    for remark in said:
        y = sheet.paragraph(_MARGIN, y, remark, width, _SMALL, lines=4, colour=QUIET)
    return y


def _bar(
    sheet: Sheet,
    x: float,
    y: float,
    width: float,
    scale: Scale | None,
    unit: str,
    room: float | None = None,
) -> float:
    """Colour bar with its ends and zero in numbers and the unit below. Returns the y below it."""
    if scale is None:
        return sheet.text(x, y, f"no colour scale ({unit})", _SMALL, colour=QUIET)
    room = max(room or width, width)
    width = max(width, min(room, 1.2))
    tips = (scale.clipped and scale.diverging, scale.clipped)
    tip = _BAR * 0.8
    left, right = x + tip * tips[0], x + width - tip * tips[1]
    sheet.bar(left, y, right - left, _BAR, scale.colours, tips)
    y += _BAR + 0.03
    below = sheet.text(left, y, words.number(scale.low), _SMALL)
    sheet.text(right, y, words.number(scale.limit), _SMALL, align="right")
    if scale.diverging:
        sheet.text((left + right) / 2, y, "0", _SMALL, align="center")
    return sheet.paragraph(x, below, unit, room, _SMALL, lines=2, colour=QUIET)


def _region_key(sheet: Sheet, x: float, y: float, width: float, e: Explanation) -> float:
    if e.region is None:
        return sheet.text(x, y, "no region: asked about as a whole", _SMALL, colour=QUIET)
    size = _SMALL * 0.9 / 72
    sheet.outline_swatch(x + 0.02, y + 0.03, size)
    return sheet.paragraph(x + 0.24, y, f"region asked about: {words.extent(e)}", width - 0.24, _SMALL)


def _class_key(sheet: Sheet, x: float, y: float, width: float, e: Explanation) -> float:
    """Legend of the classes that occur, in rows as they fit. Returns the y below it."""
    if e.prediction is None:
        return y
    classes = table_of(e)
    colours = class_colours(classes)
    found = occurring(e.prediction, classes)
    size, at = _SMALL * 0.9 / 72, x
    for index, share in found[:_LEGEND]:
        name = "no class" if index is None else classes.names[index]
        name = wrapped(f"{name} {words.percent(share)}", _SMALL, width - 0.16, 1)[0]
        need = 0.16 + width_of(name, _SMALL)
        if at > x and at + need > x + width:
            at, y = x, y + _SMALL * (LINE + 0.2) / 72
        rgb = OTHER if index is None else colours[index]
        sheet.swatch(at, y + 0.025, size, tuple(float(v) / 255 for v in rgb))
        sheet.text(at + 0.14, y, name, _SMALL)
        at += need + 0.14
    y += _SMALL * (LINE + 0.2) / 72
    if len(found) > _LEGEND:
        y = sheet.text(x, y, f"and {len(found) - _LEGEND} more", _SMALL, colour=QUIET)
    return y
