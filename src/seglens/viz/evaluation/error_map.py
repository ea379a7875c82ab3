"""An error map as a picture: image, prediction, truth, and what is right and wrong about a class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.viz.media.legend import class_legend, legend
from seglens.viz.media.sheet import GAP, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, width_of, wrapped
from seglens.viz.outline import Segments, edges
from seglens.viz.picture import colour, greyed, labels_picture

_COLUMN = 2.7  # inches
_PLATE = 5.5  # points of a region's number
_APART = 0.3  # inches between a number's middle and its region, from which on a line joins them
_AROUND = np.array([(1, -1), (1, 1), (-1, -1), (-1, 1), (0, -1), (1, 0), (0, 1), (-1, 0)])
"""Directions in which a number may stand beside its region, in the order in which they are tried."""

_RAGGED = 25.0
"""Outline over the root of the area (a square has 4) from which on a line around a region would cover it."""

# After Okabe and Ito's palette: kept apart by all three kinds of colour blindness, and by lightness. What is right
# recedes, what is wrong stands out.
TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE = (170, 221, 187), (213, 94, 0), (0, 70, 160)
IGNORED = (110, 110, 110)

_Draw = Callable[[Sheet, float, float, float], float]


@dataclass(frozen=True, slots=True)
class Numbered:
    """A confused region to be outlined: its number, mask [*picture], a pixel inside, what was taken for what, area."""

    number: int
    mask: NDArray[np.bool_]
    at: tuple[int, ...]
    what: str
    pixels: int


def status_picture(image: NDArray[np.uint8], status: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image [H W] or [H W 3] in grey with the statuses [H W] in colour: uint8 [H W 3].

    1 true positive, 2 false positive, 3 false negative, 4 ignored; 0, a true negative, shows the image.
    """
    picture = colour(greyed(image, None)).copy()
    for value, rgb in enumerate((TRUE_POSITIVE, FALSE_POSITIVE, FALSE_NEGATIVE, IGNORED), start=1):
        picture[status == value] = rgb
    return picture


def errors_figure(
    *,
    image: NDArray[np.uint8],
    prediction: NDArray[np.int64] | None,
    truth: NDArray[np.int64],
    classes: ClassTable,
    status: NDArray[np.uint8],
    label: str | None,
    numbered: Sequence[Numbered],
    facts: Sequence[str],
    notes: Sequence[str],
) -> Figure:
    """Image, prediction and truth side by side, and the error map, with the largest confusions numbered and outlined.

    prediction: [*picture], None where labels overlap. truth: [*picture], −1 where ignored. status: [*picture], see
    `status_picture`; of the class `label`, or with None 2 where anything is wrong. Of a volume, the slice with most
    that is wrong is shown.
    """
    z = _slice(status)
    if z is not None:
        image, truth, status = image[z], truth[z], status[z]
        prediction = None if prediction is None else prediction[z]
        numbered = [Numbered(n.number, n.mask[z], n.at[1:], n.what, n.pixels) for n in numbered if n.mask[z].any()]
        facts = [*facts, f"slice {z}, which has most that is wrong"]
    outline = np.concatenate([np.zeros((0, 4)), *(edges(n.mask) for n in numbered if not _ragged(n.mask))])
    over = status_picture(image, status)
    panels: list[tuple[str, NDArray[np.uint8], _Draw]] = [("Image", colour(image), _nothing)]
    if prediction is not None:
        panels.append(("Prediction", labels_picture(prediction, classes), _classes(prediction, classes)))
    panels.append(("Truth", labels_picture(truth, classes), _classes(truth, classes)))
    # Beyond 8 : 1 a picture would be a hairline: its pixels are stretched.
    ratio = min(max(image.shape[1] / image.shape[0], 1 / 8), 8.0)
    width = min(_COLUMN, 2.6 * ratio)
    sheet = Sheet(3 * _COLUMN + 2 * GAP + 2 * MARGIN)
    wide = sheet.width - 2 * MARGIN
    title = f"Errors of {label}" if label else "Errors"
    y = sheet.paragraph(MARGIN, MARGIN, title, wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(facts), wide, TEXT) + 0.14
    deepest = y
    for i, (name, picture, key) in enumerate(panels):
        x, below = MARGIN + i * (_COLUMN + GAP), y + SMALL * LINE / 72 + 0.04
        sheet.text(x, y, name, SMALL, bold=True, colour=QUIET)
        sheet.picture(x, below, width, width / ratio, picture, outline)
        deepest = max(deepest, key(sheet, x, below + width / ratio + 0.07, _COLUMN))
    y = sheet.text(MARGIN, deepest + 0.14, title, SMALL, bold=True, colour=QUIET) + 0.04
    width = min(wide, 5.0 * ratio)
    height = width / ratio
    places = _places(numbered, image.shape[:2], (width, height))
    leaders = _leaders(numbered, places, image.shape[:2], (width, height))
    sheet.picture(MARGIN, y, width, height, over, np.concatenate([outline, leaders]))
    for n, (across, down) in zip(numbered, places, strict=True):
        sheet.label(MARGIN + across, y + down, str(n.number), _PLATE)
    below = legend(sheet, MARGIN, y + height + 0.07, width, _status_items(status, label))
    beside = wide - width - GAP
    if beside >= _COLUMN:
        below = max(below, _list(sheet, MARGIN + width + GAP, y, beside, numbered, 1))
    else:
        below = _list(sheet, MARGIN, below + 0.1, wide, numbered, 2)
    ragged = [str(n.number) for n in numbered if _ragged(n.mask)]
    said = [f"Too thin or ragged to be outlined: {', '.join(ragged)}."] if ragged else []
    for note in [*said, *notes]:
        below = sheet.paragraph(MARGIN, below + 0.03, note, wide, SMALL, lines=3, colour=QUIET)
    return sheet.figure(below + MARGIN)


def _slice(status: NDArray[np.uint8]) -> int | None:
    """Of a volume, the slice with most that is wrong; None for an image."""
    if status.ndim == 2:
        return None
    return int(((status == 2) | (status == 3)).sum((1, 2)).argmax())


def _places(
    numbered: Sequence[Numbered], size: tuple[int, ...], drawn: tuple[float, float]
) -> list[tuple[float, float]]:
    """Where the numbers stand, in inches from the picture's corner: near their regions, upon none, nor each other."""
    scale, page = np.array([drawn[0] / size[1], drawn[1] / size[0]]), np.array(drawn)
    boxes: list[NDArray[np.float64]] = []
    for n in numbered:
        rows, columns = np.nonzero(n.mask)
        corners = np.array([[columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]], np.float64)
        boxes.append(corners * scale)
    # A region that fills much of the picture leaves no room beside it: numbers may stand on it, its own too.
    large = [bool(np.prod(box[1] - box[0]) > 0.1 * np.prod(page)) for box in boxes]
    taken = [box for box, much in zip(boxes, large, strict=True) if not much]
    found: list[tuple[float, float]] = []
    for n, box, much in zip(numbered, boxes, large, strict=True):
        half = np.array([width_of(str(n.number), _PLATE) + 0.16, _PLATE * LINE / 72 + 0.08]) / 2
        middle, reach = (box[0] + box[1]) / 2, (box[1] - box[0]) / 2 + half
        tries = [(np.array(n.at[::-1]) + 0.5) * scale] if much else []
        tries += [middle + s * (reach + gap) for gap in (0.03, 0.12, 0.24, 0.4) for s in _AROUND]
        free = [t for t in tries if _inside(t, half, drawn) and not any(_touch(t, half, other) for other in taken)]
        best = free[0] if free else np.clip(middle, half, page - half)
        taken.append(np.stack([best - half, best + half]))
        found.append((float(best[0]), float(best[1])))
    return found


def _ragged(mask: NDArray[np.bool_]) -> bool:
    """Whether a region is so thin or so full of holes that its colour shows it better than an outline."""
    inside = np.pad(mask, 1).astype(np.int8)
    around = sum(int(np.abs(np.diff(inside, axis=axis)).sum()) for axis in (0, 1))
    return around > _RAGGED * np.sqrt(float(mask.sum()))


def _leaders(
    numbered: Sequence[Numbered],
    places: Sequence[tuple[float, float]],
    size: tuple[int, ...],
    drawn: tuple[float, float],
) -> Segments:
    """Lines [S 4] in pixels from numbers that stand apart to a pixel of their region."""
    scale = np.array([drawn[0] / size[1], drawn[1] / size[0]])
    lines: list[NDArray[np.float64]] = []
    for n, place in zip(numbered, places, strict=True):
        rows, columns = np.nonzero(n.mask)
        pixels = np.column_stack([columns, rows]) + 0.5
        away = np.linalg.norm(pixels * scale - place, axis=1)
        if away.min() > _APART:
            x, y = pixels[away.argmin()]
            lines.append(np.array([place[0] / scale[0], place[1] / scale[1], x, y], np.float64))
    return np.stack(lines) if lines else np.zeros((0, 4))


def _inside(at: NDArray[np.float64], half: NDArray[np.float64], size: tuple[float, float]) -> bool:
    return bool((at - half >= 0).all() and (at + half <= np.array(size)).all())


def _touch(at: NDArray[np.float64], half: NDArray[np.float64], box: NDArray[np.float64]) -> bool:
    return bool((at + half > box[0]).all() and (at - half < box[1]).all())


def _list(sheet: Sheet, x: float, y: float, width: float, numbered: Sequence[Numbered], columns: int) -> float:
    """What the numbers stand for, in columns. Returns the y below it."""
    if not numbered:
        return sheet.text(x, y, "No confused region.", TEXT)
    y = sheet.text(x, y, "Numbered by area: truth → prediction", SMALL, bold=True, colour=QUIET) + 0.02
    rows, room = -(-len(numbered) // columns), width / columns
    for i, n in enumerate(numbered):
        left, top = x + (i // rows) * room, y + i % rows * TEXT * LINE / 72
        told = f"{n.number}  {n.what}: {n.pixels:,} pixel{'s' * (n.pixels != 1)}"
        sheet.text(left, top, wrapped(told, TEXT, room - 0.1, 1)[0], TEXT)
    return y + rows * TEXT * LINE / 72 + 0.04


def _nothing(_: Sheet, __: float, y: float, ___: float) -> float:
    return y


def _classes(labels: NDArray[np.int64], classes: ClassTable) -> _Draw:
    return lambda sheet, x, y, width: class_legend(sheet, x, y, width, labels, classes, "ignored")


def _status_items(status: NDArray[np.uint8], label: str | None) -> list[tuple[str, tuple[int, int, int]]]:
    """The legend of the error map, with pixel counts; of statuses that do not occur only those of a class."""
    counts = np.bincount(status.ravel(), minlength=5)
    names = [(2, "wrong", FALSE_POSITIVE)]
    if label:
        names = [
            (1, "true positive", TRUE_POSITIVE),
            (2, "false positive", FALSE_POSITIVE),
            (3, "false negative", FALSE_NEGATIVE),
        ]
    names += [(4, "ignored", IGNORED)] if counts[4] else []
    return [(f"{name} {int(counts[i]):,}", rgb) for i, name, rgb in names]
