"""What a verification shows, the same in figures and on pages: panels, colours, the scale of its draws."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.explanation import Explanation
from seglens.viz import words
from seglens.viz.colours import class_colours
from seglens.viz.display import painted, show
from seglens.viz.outline import Segments, edges
from seglens.viz.picture import Scale, colour, labels_picture

Triple = tuple[float, float, float]
"""A number before, without what was removed, and without any context."""

BEFORE, AFTER, BARE, DRAWN = (26, 79, 163), (214, 84, 24), (120, 60, 140), (160, 166, 174)
"""Colours of the marks: the picture as it is, without what was removed, without any context, the random draws."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """All that a picture of a verification needs.

    labels: before and after [*picture], −1 where there is none, which is called `outside`. independent: whether
    labels overlap, so that they show the class asked about alone. without: the picture without what was removed.
    control: the picture of the first control; None where there is none. changed: what was done to the picture, such
    as 'without the salient context'. keeping: whether the random parts are kept in its place, not removed.
    shares: index of each class that occurs in the region, with its shares. draws: [n], what random context gave.
    """

    explanation: Explanation
    labels: tuple[NDArray[np.int64], ...]
    classes: ClassTable
    outside: str
    independent: bool
    without: NDArray[np.uint8]
    control: NDArray[np.uint8] | None
    changed: str
    keeping: bool
    said: tuple[str, ...]
    quantity: str
    probabilities: Triple
    scores: Triple
    ious: Triple
    dices: Triple
    shares: tuple[tuple[int, Triple], ...]
    draws: NDArray[np.float64]
    facts: tuple[str, ...]
    notes: tuple[str, ...]
    provenance: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture [H W 3]. labels: [H W] of a segmentation, whose classes stand below. scale: of a map; unit: of it."""

    title: str
    picture: NDArray[np.uint8]
    labels: NDArray[np.int64] | None = None
    scale: Scale | None = None
    unit: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """The panels of a verification on one slice: the four of the figure, and a control where there is one.

    outline: of the region, None without. place: which slice of a volume; '' for an image. remarks: notes.
    """

    panels: tuple[Panel, ...]
    control: Panel | None
    region: NDArray[np.bool_] | None
    outline: Segments | None
    place: str
    remarks: tuple[str, ...]


def board(c: Content) -> Board:
    """The pictures of a verification. Of a volume they show the slice in which the map weighs most. Raises
    ShapeError."""
    shown = show(c.explanation)
    e, z = shown.flat, shown.z
    before, after = (labels if z is None else labels[z] for labels in c.labels)
    segmentation = f"Predicted {words.label(c.explanation)}" if c.independent else "Segmentation"
    region = "" if e.region is None else f"outlined: the region asked about, {words.extent(c.explanation)}"
    panels = (
        Panel(
            f"Explanation: {words.heading(e)}", painted(shown), None, shown.scale, e.unit, words.state(shown) or region
        ),
        Panel(segmentation, labels_picture(before, c.classes), before),
        Panel(f"Image {c.changed}", _colour(c.without, z)),
        Panel(f"{segmentation} {c.changed}", labels_picture(after, c.classes), after),
    )
    control = None
    if c.control is not None:
        how = "with random context alone" if c.keeping else "without random context"
        control = Panel(f"One of {len(c.draws)} controls: {how}", _colour(c.control, z))
    return Board(
        panels,
        control,
        e.region,
        None if e.region is None else edges(e.region),
        words.place(c.explanation, z),
        tuple(dict.fromkeys((*words.remarks(shown), *c.notes))),
    )


def title(c: Content) -> str:
    """What was asked."""
    return c.explanation.target


def facts(c: Content, b: Board) -> list[str]:
    """What was removed, network, picture and slice."""
    return [fact for fact in (*c.facts, b.place) if fact]


def axis(c: Content) -> tuple[float, float]:
    """Ends of the scale of probabilities: 0 and 1; of differences down to −1."""
    values = [v for v in (*c.probabilities, *c.draws.tolist()) if np.isfinite(v)]
    return (-1.0 if min(values, default=0.0) < 0 else 0.0), max(1.0, *values)


def marks(c: Content) -> list[tuple[str, tuple[int, int, int], tuple[float, ...]]]:
    """What is marked on that scale: words, a colour, values."""
    before, after, bare = c.probabilities
    found: list[tuple[str, tuple[int, int, int], tuple[float, ...]]] = []
    if len(c.draws):
        many = f"{len(c.draws)} draw{'s' * (len(c.draws) != 1)}, mean {words.number(float(c.draws.mean()))}"
        how = "with matched random context alone" if c.keeping else "without matched random context"
        found.append((f"{how} ({many})", DRAWN, tuple(c.draws.tolist())))
    found.append((f"without any context {words.number(bare)}", BARE, (bare,)))
    found.append((f"as it is {words.number(before)}", BEFORE, (before,)))
    found.append((f"{c.changed} {words.number(after)}", AFTER, (after,)))
    return found


def rows(c: Content) -> list[tuple[str, tuple[int, int, int] | None, list[str]]]:
    """The table: what is counted, a class's colour, and three numbers in words."""
    said: list[tuple[str, tuple[int, int, int] | None, list[str]]] = []
    said.append((c.quantity, None, [words.number(v) for v in c.probabilities]))
    if c.explanation.of != "probabilities":
        said.append((f"score ({c.explanation.of})", None, [words.number(v, 4) for v in c.scores]))
    name = words.label(c.explanation)
    said.append((f"IoU of {name} with the region", None, [f"{v:.3f}" for v in c.ious]))
    said.append((f"Dice of {name} with the region", None, [f"{v:.3f}" for v in c.dices]))
    colours = class_colours(c.classes)
    for index, shares in c.shares:
        r, g, b = (int(v) for v in colours[index])
        said.append((f"labelled {c.classes.names[index]}", (r, g, b), [words.percent(v) for v in shares]))
    return said


def heads(c: Content) -> tuple[str, str, str]:
    """Headings of the three numbers."""
    return "as it is", c.changed, "without any context"


def _colour(picture: NDArray[np.uint8], z: int | None) -> NDArray[np.uint8]:
    return colour(picture if z is None else picture[z])
