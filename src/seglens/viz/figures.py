"""Figures fit for a paper: one explanation in full, or several side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.core.display import Display
from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation
from seglens.viz import slices, words
from seglens.viz.arrange import Arrangement, arrange
from seglens.viz.display import DEFAULT, Shown, painted, sharing, show
from seglens.viz.media.legend import class_legend
from seglens.viz.media.sheet import GAP, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, width_of, wrapped
from seglens.viz.outline import edges
from seglens.viz.picture import Scale, colour, label_pictures, labels_picture, table_of

_BAR = 0.09
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


@dataclass(frozen=True, slots=True)
class _Panel:
    """A picture with its heading, the plane that it shows, and what draws the key below it."""

    name: str
    picture: NDArray[np.uint8]
    on: Explanation
    key: _Draw


def _nothing(sheet: Sheet, x: float, y: float, width: float) -> float:
    return y


def figure(explanation: Explanation, display: Display = DEFAULT) -> Figure:
    """One explanation: the image with the region's outline, labels, and the map with its colour bar.

    Labels are the prediction, the truth where it is known, and what else the method found for each pixel. A volume
    shows one slice, named in the title, and the map on two more that cut it at its greatest value, see `slices.planes`;
    they have one scale. Raises ParameterError where the display cannot be worked out, ShapeError.
    """
    shown = show(explanation, display)
    e, z, scale = shown.flat, shown.z, shown.scale
    classes = table_of(explanation)

    panels: list[_Panel] = [
        _Panel("Image", colour(e.image), e, lambda s, x, y, w: _region_key(s, x, y, w, explanation))
    ]
    for name, labels in label_pictures(e).items():
        legend = partial(class_legend, labels=labels, classes=classes)
        panels.append(_Panel(name, labels_picture(labels, classes), e, legend))
    explained = len(panels)
    for name, plane in slices.planes(shown):
        title = f"Explanation, {name}" if name else "Explanation"
        key = partial(_bar, scale=scale, unit=e.unit) if plane is shown else _nothing
        panels.append(_Panel(title, painted(plane), plane.flat, key))

    box = _Box.of(e.map.shape, 3.3, 3.6)
    # A voxel is as large in all planes.
    boxes = [_Box.of(s, box.width * s[1] / e.map.shape[1], 3.6) for s in (panel.on.map.shape for panel in panels)]
    column = max(2.3, *(box.width for box in boxes))
    across = {4: 2}.get(len(panels), min(len(panels), 3))
    inner = across * column + (across - 1) * GAP
    sheet = Sheet(max(inner, 5.2) + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN

    y = sheet.paragraph(MARGIN, MARGIN, words.heading(e), wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(words.facts(explanation, z)), wide, TEXT)
    found = "  ·  ".join(f"{name} {value}" for name, value in words.numbers(e))
    y = sheet.paragraph(MARGIN, y, found, wide, SMALL, lines=2)
    for name, value in words.lists(e):
        y = sheet.paragraph(MARGIN, y, f"{name}: {value}", wide, SMALL, lines=2)
    fields = "  ·  ".join(f"{name} = {value}" for name, value in words.settings(e))
    y = sheet.paragraph(MARGIN, y, fields, wide, SMALL, lines=3, colour=QUIET)
    top = below = deepest = y
    for i, (panel, box) in enumerate(zip(panels, boxes, strict=True)):
        if i % across == 0:
            top = deepest + 0.14
            below = top + SMALL * LINE / 72 + 0.04
        x = MARGIN + i % across * (column + GAP)
        line = edges(panel.on.region) if panel.on.region is not None else None
        sheet.text(x, top, wrapped(panel.name, SMALL, column, 1, bold=True)[0], SMALL, bold=True, colour=QUIET)
        sheet.picture(x, below, box.width, box.height, panel.picture, line)
        deepest = max(deepest, panel.key(sheet, x, below + box.height + 0.09, column))
        if i == explained and (said := words.state(shown)):
            _plate(sheet, x, below, box, column, said, SMALL)
    said = words.choice(display, words.label(e), shown.inside) + words.beyond(shown) + words.remarks(shown)
    if not all(box.true for box in boxes):
        size = " × ".join(map(str, explanation.map.shape))
        said.append(f"Pixels are stretched to be seen: the {'image' if z is None else 'volume'} is {size}.")
    if z is not None:
        said.append(slices.told(shown))
    if explanation.cost is not None:
        said.append(f"Cost: {explanation.cost}.")
    return sheet.figure(_footer(sheet, deepest + 0.06, wide, said) + MARGIN)


def grid(explanations: Sequence[Explanation], display: Display = DEFAULT) -> Figure:
    """Several explanations side by side, rows and columns by what differs between them.

    What differs may be the image, the network, the target, the method or the layer; two of them
    make a table, one or more than two make a list. Each map has its own colours and bar, or all
    have one scale where the display says `shared`.
    Raises ParameterError for no explanations, where the display cannot be worked out for one of them, or where
    `shared` meets maps of several units.
    """
    if not explanations:
        raise ParameterError("no explanations to draw.")
    several = [show(e, display) for e in explanations]
    if display.shared:
        several = sharing(several)
    plan = arrange(explanations)
    shapes = [e.map.shape[-2:] for e in explanations]
    height = 1.9 if len(set(shapes)) == 1 else 1.6
    boxes = [_Box.of(shape, 2.2, height) for shape in shapes]
    column = max(1.5, *(b.width for b in boxes))
    columns = plan.columns
    inner = columns * column + (columns - 1) * GAP
    sheet = Sheet(max(inner, 4.4) + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN

    y = sheet.paragraph(MARGIN, MARGIN, plan.title, wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, plan.subtitle, wide, TEXT) + 0.12
    for row, heading in zip(plan.rows, plan.headings, strict=True):
        y = sheet.paragraph(MARGIN, y, heading, wide, TEXT, bold=True) + (0.03 if heading else 0)
        captions = [wrapped(c.caption, SMALL, column, 3, bold=True) if c else [] for c in row]
        start = y + max(map(len, captions)) * SMALL * LINE / 72 + 0.04
        bottom = start
        for i, (cell, caption) in enumerate(zip(row, captions, strict=True)):
            if cell is None:
                continue
            x, at = MARGIN + i * (column + GAP), y
            for text in caption:
                at = sheet.text(x, at, text, SMALL, bold=True, colour=QUIET)
            shown = several[cell.index]
            e, z, scale = shown.flat, shown.z, shown.scale
            box = boxes[cell.index]
            picture = colour(e.image) if cell.plain else painted(shown)
            line = edges(e.region) if e.region is not None and cell.outlined else None
            sheet.picture(x, start, box.width, box.height, picture, line)
            at = start + box.height + 0.07
            if not cell.plain:
                if said := words.state(shown):
                    _plate(sheet, x, start, box, column, said, 6)
                at = _bar(sheet, x, at, box.width, scale, e.unit, column)
                told = [f"score {words.number(e.score)}"] if words.asks(e) else []
                told += [f"slice {z}"] if z is not None else []
                told += [f"greatest {words.number(scale.largest)}"] if scale and words.exceeds(scale) else []
                at = sheet.paragraph(x, at, ", ".join(told), column, SMALL, lines=2, colour=QUIET)
            bottom = max(bottom, at)
        y = bottom + 0.16
    said = ["All maps share one scale."] if display.shared and len(explanations) > 1 else []
    labels = {words.label(e) for e in explanations}
    name = labels.pop() if len(labels) == 1 else "the class asked about"
    said += words.choice(display, name) + _notes(several, plan)
    return sheet.figure(_footer(sheet, y - 0.06, wide, said) + MARGIN)


def _notes(several: Sequence[Shown], plan: Arrangement) -> list[str]:
    """Remarks on all maps: each said once, with the cells that it holds for."""
    cells: dict[str, list[str]] = {}
    for shown, name in zip(several, plan.names, strict=True):
        for remark in words.remarks(shown):
            cells.setdefault(remark, []).append(name)
    said = ["Outlined: the region asked about."] if any(s.whole.region is not None for s in several) else []
    if any(s.scale and s.scale.clipped for s in several):
        said.append("A pointed bar: some values lie beyond the last colour.")
    for remark, names in cells.items():
        everywhere = len(names) == len(several)
        said.append(remark if everywhere else f"{'; '.join(dict.fromkeys(names))}: {remark}")
    return said


def _footer(sheet: Sheet, y: float, width: float, said: list[str]) -> float:
    if said:
        y += 0.06
    for remark in said:
        y = sheet.paragraph(MARGIN, y, remark, width, SMALL, lines=4, colour=QUIET)
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
        return sheet.text(x, y, f"no colour scale ({unit})", SMALL, colour=QUIET)
    room = max(room or width, width)
    width = max(width, min(room, 1.2))
    tips = (scale.clipped and scale.low < 0, scale.clipped and scale.high > 0)
    tip = _BAR * 0.8
    left, right = x + tip * tips[0], x + width - tip * tips[1]
    sheet.bar(left, y, right - left, _BAR, scale.colours, tips)
    y += _BAR + 0.03
    below = sheet.text(left, y, words.number(scale.low), SMALL)
    sheet.text(right, y, words.number(scale.high), SMALL, align="right")
    if scale.diverging:
        sheet.text((left + right) / 2, y, "0", SMALL, align="center")
    return sheet.paragraph(x, below, unit, room, SMALL, lines=2, colour=QUIET)


def _region_key(sheet: Sheet, x: float, y: float, width: float, e: Explanation) -> float:
    if e.region is None:
        said = "no region: asked about as a whole" if words.asks(e) else "shown as a whole"
        return sheet.text(x, y, said, SMALL, colour=QUIET)
    size = SMALL * 0.9 / 72
    sheet.outline_swatch(x + 0.02, y + 0.03, size)
    return sheet.paragraph(x + 0.24, y, f"region asked about: {words.extent(e)}", width - 0.24, SMALL)


def _plate(sheet: Sheet, x: float, y: float, box: _Box, room: float, text: str, size: float) -> None:
    """Words upon the middle of a picture, in lines as they fit into its column."""
    lines = wrapped(text, size, max(box.width, room) - 0.16)
    step = size * LINE / 72 + 0.08
    middle = y + box.height / 2 - (len(lines) - 1) * step / 2
    for i, line in enumerate(lines):
        # A narrow picture's plate begins at its edge, not beyond it.
        centre = max(x + box.width / 2, x + (width_of(line, size) + 0.16) / 2)
        sheet.label(centre, middle + i * step, line, size)
