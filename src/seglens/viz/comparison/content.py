"""What a comparison shows, the same in figures and on pages: panels, the colours of its tables, its words."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seglens.core.comparison import Comparison, Dependence, Interval, two_digits
from seglens.viz import words
from seglens.viz.colours import table
from seglens.viz.display import Shown, painted, show
from seglens.viz.outline import Segments, edges
from seglens.viz.picture import Scale, at_slice, colour, greyed

DISPUTED = (214, 84, 24)
"""Colour of the places where methods part: the warm end of the diverging map."""

NUMBERED = 5
"""Contested places that are numbered on the picture and told in words."""

ABOUT = {
    "consensus": "Mean over the methods of each pixel's rank, from 0 (least for the target) to 1 (most).",
    "spread": "Standard deviation of these ranks over the methods: 0 where all agree, ½ where they are opposed.",
    "disputed": "Coloured: in some method's top tenth and in another's lower half. Numbered: the largest places.",
    "table": "Spearman's rank correlation of what speaks for the target. In brackets: no better than 95 of 100 shifts "
    "of one map over the other, so perhaps chance. Maps that are alike may be wrong alike.",
    "test": "Every tensor of the network was shuffled in copies of it. Light bar: rank correlation of the map's sizes "
    "with the copies' maps, inside what the region can see. Dark bar: the same beyond the decay around the region, "
    "which any weights give. Whiskers: 95 % over copies. Diamond: the copies among themselves. Rule: what chance "
    "reaches.",
    "cascade": "Rank correlation with the trained network's map after so many tensors were shuffled, from the output "
    "back to the input; the last column is the whole network.",
}


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture [H W 3] of a comparison. scale: of its colours, None without; unit: of them; said: below it."""

    title: str
    picture: NDArray[np.uint8]
    scale: Scale | None = None
    unit: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """The number of a contested place, to stand above or below it so that it hides nothing of it; in pixels."""

    number: int
    top: float
    bottom: float
    x: float

    def y(self, room: float) -> float:
        """Where the middle of the number goes, for one of this height: above the place, or below where it is too near
        the picture's edge."""
        above = self.top - 0.6 * room
        return above if above > 0.5 * room else self.bottom + 0.6 * room


@dataclass(frozen=True, slots=True)
class Board:
    """All pictures of a comparison, on one slice. outline: of the region, None without. disputed: of `places`."""

    image: Panel
    maps: tuple[Panel, ...]
    common: tuple[Panel, ...]
    outline: Segments | None
    region: NDArray[np.bool_] | None
    marks: tuple[Mark, ...]
    disputed: Segments
    places: NDArray[np.bool_]
    place: str


def board(made: Comparison) -> Board:
    """The pictures of a comparison. Of a volume they all show the slice in which the consensus ranks most. Raises
    ShapeError."""
    z = int(np.nan_to_num(made.consensus).sum((1, 2)).argmax()) if made.consensus.ndim == 3 else None

    def cut(values: NDArray[np.generic]) -> NDArray[np.generic]:
        return values if z is None else values[z]

    flat = [e if z is None else at_slice(e, z) for e in made.explanations]
    maps = tuple(_panel(label, show(e), made) for label, e in zip(made.labels, flat, strict=True))
    first = flat[0]
    base = replace(first, signed=False, extras={})
    mean = show(replace(base, map=cut(made.consensus), unit="mean rank"))
    spread = show(replace(base, map=cut(made.spread), unit="standard deviation of ranks"))
    known = bool(np.isfinite(made.consensus).any())
    disputed = np.asarray(cut(made.disputed), bool)
    common = (
        _common("consensus", mean, Scale(1.0, False, 1.0) if known else None),
        _common("spread", spread, Scale(0.5, False, 0.5) if known else None),
        Panel("disputed", _tinted(first.image, disputed), None, "", ABOUT["disputed"]),
    )
    marks: list[Mark] = []
    for i, place in enumerate(made.contested[:NUMBERED], 1):
        y, x = np.nonzero(cut(place.mask))
        if len(y):
            marks.append(Mark(i, float(y.min()), float(y.max()) + 1, float(x.min() + x.max() + 1) / 2))
    return Board(
        Panel("image", colour(first.image)),
        maps,
        common,
        edges(first.region) if first.region is not None else None,
        first.region,
        tuple(marks),
        edges(disputed),
        disputed,
        "" if z is None else f"slice {z} of {len(made.consensus)} (0 to {len(made.consensus) - 1})",
    )


def matrix_colours(made: Comparison) -> NDArray[np.uint8]:
    """Colours [M M 3] of the table of correlations: paler where no better than chance, grey where undefined."""
    r = made.agreement.correlations
    doubt = ~made.agreement.above & ~np.eye(len(r), dtype=bool)
    rgb = correlation_colours(r)
    pale = np.rint(0.4 * rgb + 0.6 * 255).astype(np.uint8)
    return np.where((doubt & np.isfinite(r))[..., None], pale, rgb)


def correlation_colours(r: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Colours [… 3] of correlations: blue for −1, white for 0, orange for 1, grey where undefined."""
    known = np.isfinite(r)
    steps = np.rint(table("diverging") * 255).astype(np.uint8)
    place = np.rint((np.where(known, r, 0) + 1) / 2 * (len(steps) - 1)).astype(np.intp)
    return np.where(known[..., None], steps[place], np.uint8(206))


def cell(made: Comparison, i: int, j: int) -> str:
    """One correlation in words: in brackets where it is no better than chance, a dash where undefined."""
    r = float(made.agreement.correlations[i, j])
    if not np.isfinite(r):
        return "–"
    if i == j:
        return "1"
    return plain(r) if made.agreement.above[i, j] else f"({plain(r)})"


def plain(r: float) -> str:
    """A correlation to two digits, with a true minus sign; a dash where undefined."""
    return two_digits(r).replace("-", "−")


def title(made: Comparison) -> str:
    """What is compared, as a heading."""
    return f"{len(made.labels)} methods, one question: {made.target}"


def facts(made: Comparison, shown: Board) -> list[str]:
    """Score, network, picture and slice."""
    e = made.explanations[0]
    image = words.picture_name(e, 0) if "image" in e.provenance else ""
    return [f"score {words.score(e)}", e.network, *(t for t in (image, shown.place) if t)]


def remarks(made: Comparison) -> list[str]:
    """Failures and notes."""
    return [*(f"{name} failed: {why}" for name, why in made.failures.items()), *made.notes]


def places(made: Comparison) -> list[str]:
    """The largest contested places in words, numbered as on the picture."""
    told = [f"{i}. {c}." for i, c in enumerate(made.contested[:NUMBERED], 1)]
    rest = len(made.contested) - NUMBERED
    return [*told, f"And {rest} smaller or more."] if rest > 0 else told


def interval(i: Interval) -> str:
    """A number with its interval, as a table shows it."""
    return str(i).replace("-", "−")


def axis(dependences: Sequence[Dependence]) -> tuple[float, float]:
    """Ends of the axis of the bars: down to 0 or the lowest whisker, by tenths, and up to 1."""
    lows = [v for d in dependences for i in (d.trained, d.beyond) for v in (i.low, i.value) if np.isfinite(v)]
    return min(0.0, np.floor(min(lows, default=0.0) * 10) / 10), 1.0


def _panel(label: str, shown: Shown, made: Comparison) -> Panel:
    e = shown.flat
    weak = next((d.weak for d in made.dependences if d.label == label), None)
    told = [words.state(shown)] if words.state(shown) else []
    told += [f"reads {e.layer}"] if e.layer else []
    told += ["hangs largely on picture and architecture"] if weak else []
    told += ["no ranks: " + made.left_out[label]] if label in made.left_out else []
    return Panel(label, painted(shown), shown.scale, e.unit, ", ".join(told))


def _common(name: str, shown: Shown, scale: Scale | None) -> Panel:
    return Panel(name, painted(shown, scale), scale, shown.flat.unit, ABOUT[name])


def _tinted(image: NDArray[np.uint8], where: NDArray[np.bool_]) -> NDArray[np.uint8]:
    below = colour(greyed(image, Scale(1.0, True, 1.0))).astype(np.float64)
    tint = np.where(where[..., None], 0.35 * below + 0.65 * np.array(DISPUTED), below)
    return np.rint(tint).astype(np.uint8)
