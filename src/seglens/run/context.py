"""context_statistics(): what the context that an explanation marks consists of, beside what lies there anyway."""

import csv
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import EmptyRegionError, ParameterError, RegionError, ShapeError
from seglens.core.explanation import Explanation
from seglens.core.images import Source, name_of
from seglens.core.labels import read_labels
from seglens.core.saving import as_json, finite, suffix_of, write_text
from seglens.metrics import ContextTally, ring_around, ring_width
from seglens.run.questions import times
from seglens.viz.media.files import FIGURES, drawing, write_drawn
from seglens.viz.words import asks, number, percent

FORMATS = (*FIGURES, "csv", "json")
"""Suffixes that context statistics can be saved with."""

Whose = Literal["truth", "prediction"]

_TITLES = ("salient", "ring", "all", "log2 ring", "log2 all")


@dataclass(frozen=True, slots=True)
class ClassContext:
    """One class in the context of one region.

    saliency, ring, context: the class's share of the salient context, of the ring around the region, and of all that
    lies outside the region, in [0, 1]. log2_ring, log2_context: log₂ of the share of the salient context over that of
    the baseline. NaN where undefined. mass: the saliency that lies on the class, in the map's unit times pixels.
    ring_pixels, context_pixels: its area.
    """

    index: int
    name: str
    saliency: float
    ring: float
    context: float
    log2_ring: float
    log2_context: float
    mass: float
    ring_pixels: int
    context_pixels: int

    @property
    def told(self) -> tuple[str, ...]:
        """The three shares and the two log-ratios in words; a dash where undefined."""
        shares = (self.saliency, self.ring, self.context)
        return *map(_percent, shares), _signed(self.log2_ring), _signed(self.log2_context)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContextStatistics:
    """What the salient context of one explanation's region consists of.

    tally: the counts, which add: of several requests, ``a.tally + b.tally``. labels: int64 [*picture], the class of
    each pixel, −1 where ignored; source: whose they are, the truth's or the network's own prediction. ring: bool
    [*picture], the ring around the region; width: its width in pixels. notes: what is to be known before it is read.
    """

    explanation: Explanation
    tally: ContextTally
    labels: NDArray[np.int64]
    source: Whose
    ring: NDArray[np.bool_]
    width: int
    notes: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[ClassContext, ...]:
        """The classes that lie outside the region, those with most saliency first, then those with most of the ring."""
        t = self.tally
        shares = [t.shares(part) for part in ("saliency", "ring", "context")]
        columns = [*shares, t.log_ratios("ring"), t.log_ratios("context"), t.saliency[0], t.ring[0], t.context[0]]
        found = [
            ClassContext(i, name, *(column[i].item() for column in columns)) for i, name in enumerate(t.classes.names)
        ]
        return tuple(
            sorted((c for c in found if c.context_pixels), key=lambda c: (-c.mass, -c.ring_pixels, -c.context_pixels))
        )

    @property
    def inside(self) -> float:
        """Share of the map's weight that lies in the region itself, which no share speaks of; NaN for a zero map."""
        return _of_all(self.tally, self.tally.inside)

    @property
    def unlabelled(self) -> float:
        """Share of the map's weight that lies outside the region on what has no class, which no share speaks of."""
        return _of_all(self.tally, self.tally.unlabelled)

    @property
    def columns(self) -> dict[str, str]:
        """Headings of a table of `ClassContext.told`, with what each means."""
        ring = f"{self.width} pixel{'s' * (self.width != 1)}"
        told = (
            "share of the saliency outside the region",
            f"share of the pixels in a ring of {ring} around the region",
            "share of all pixels outside the region",
            "log2(salient / ring): +1 is twice as much, -1 half as much",
            "log2(salient / all)",
        )
        return dict(zip(_TITLES, told, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; NaN and infinity become None."""
        e, t = self.explanation, self.tally
        return finite(
            {
                "network": e.network,
                "image": e.provenance.get("image"),
                "target": e.target,
                "method": e.method,
                "parameters": dict(e.parameters),
                "score": e.score,
                "of": e.of,
                "unit": e.unit,
                "labels": self.source,
                "width": self.width,
                "region_pixels": 0 if e.region is None else int(e.region.sum()),
                "ring_pixels": int(t.ring.sum()),
                "context_pixels": int(t.context.sum()),
                "left_out": int(t.left_out.sum()),
                "inside": self.inside,
                "unlabelled": self.unlabelled,
                "classes": [asdict(c) for c in self.classes],
                "notes": [*self.notes, *e.notes],
                "provenance": dict(e.provenance),
            }
        )

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .png, .svg, .pdf draw the salient context and bars of what it consists of; .csv has a line
        for each class; .json everything. Raises NameNotFoundError for another suffix.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix in FIGURES:
            self._draw(path)
        else:
            write_text(self._table() if suffix == "csv" else as_json(self.to_dict()), path)
        return path

    def _table(self) -> str:
        """CSV, a line for each class."""
        text = StringIO(newline="")
        writer = csv.DictWriter(text, list(ClassContext.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(finite(asdict(c)) for c in self.classes)
        return text.getvalue()

    def _draw(self, path: Path) -> None:
        with drawing("drawing context statistics"):
            from seglens.viz.context.figure import Column, Row, context_figure

        e, t = self.explanation, self.tally
        rows = [Row(c.index, c.name, (c.saliency, c.ring, c.context), c.told) for c in self.classes]
        details = (
            "outside the region",
            f"{self.width} px around it: {t.ring.sum():,} px",
            f"outside the region: {t.context.sum():,} px",
            "salient / ring",
            "salient / all",
        )
        titles = ("salient context", "ring", "all context", "log2", "log2")
        columns = [Column(*both) for both in zip(titles, details, strict=True)]
        figure = context_figure(e, self.labels, self.ring, rows, columns, self._facts(), [*self.notes, *e.notes])
        write_drawn(figure, path)

    def _facts(self) -> list[str]:
        e = self.explanation
        named = f"{e.method} at {e.layer}" if e.layer else e.method
        score = f"score {number(e.score, 4)} ({e.of})"
        whose = f"labels of the {self.source}"
        image = e.provenance.get("image")
        return [named, f"target: {e.target}", score, e.network, *([image] if image else []), whose]

    def __str__(self) -> str:
        columns = list(zip(*(c.told for c in self.classes), strict=True)) or [()] * len(_TITLES)
        names = ["class", *(c.name for c in self.classes)]
        widths = [max(map(len, (title, *column))) for title, column in zip(_TITLES, columns, strict=True)]
        first = max(map(len, names))
        lines = [", ".join(self._facts())]
        for name, cells in zip(names, [_TITLES, *(c.told for c in self.classes)], strict=True):
            lines.append("  ".join([name.ljust(first), *(c.rjust(w) for c, w in zip(cells, widths, strict=True))]))
        return "\n".join([*lines, *(f"{title}: {what}." for title, what in self.columns.items()), *self.notes])


def context_statistics(
    explanation: Explanation, truth: Source | None = None, width: int | None = None, *, ignore: int | None = 255
) -> ContextStatistics:
    """Which classes does the context consist of on which the network relied, and is that more than lies there anyway?

    The map's weight outside the region, class by class, as shares; beside it the classes in a ring around the region
    (the immediate context: a dilation of fixed width) and in all that lies outside it; and the log-ratio of the first
    to either. Of a signed map the positive part counts, which speaks for the target.

    explanation: of any method that asks about a region; `context-saliency` marks what the class needs of its context.
    truth: true labels of the image's own size; by default those that the explanation was given, else the network's own
    prediction is taken, which the result says. width: of the ring in pixels; by default 1/64 of the picture's longer
    side, at least 1 (`seglens.metrics.ring_width`). ignore: the true label that counts nowhere, None for none.

    Undefined is NaN: shares of a map that is zero outside the region, of a region that has no context, or no ring.
    Source: Hoyer et al. 2019, section 5, where the labels are true, the maps are context saliencies of instances, and
    the sums are over a data set: ``context_statistics(why).tally`` adds.
    Raises ParameterError, RegionError for explanations without a region, EmptyRegionError, ImageError, ShapeError.
    """
    e = explanation
    region, classes = _context_of(e)
    found, whose = _labels(e, classes, truth, ignore)
    chosen = ring_width(e.map.shape) if width is None else _whole(width)
    ring = ring_around(region, chosen)
    tally = ContextTally.of(np.maximum(e.map, 0), region, ring, found, classes)
    return ContextStatistics(
        explanation=e,
        tally=tally,
        labels=found,
        source=whose,
        ring=ring,
        width=chosen,
        notes=tuple(_notes(e, region, tally)),
    )


def _context_of(e: Explanation) -> tuple[NDArray[np.bool_], ClassTable]:
    """The region, and the classes that its context may have."""
    if not isinstance(e, Explanation):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError(
            f"context statistics are of one explanation, not of {type(e).__name__}.\n"
            "  Of several: [context_statistics(e) for e in several]; their tallies add."
        )
    if not asks(e):
        raise ParameterError(
            f"{e.method} asks about no class, so there is no region, and no context of it.\n"
            "  Take a method that does, such as context-saliency."
        )
    if e.region is None:
        raise RegionError(
            f"{e.network} gives one score for the whole image: there is no region, and no context outside of it.\n"
            "  Context statistics need a network that labels pixels."
        )
    if e.classes is None:
        raise ParameterError(f"the units of {e.network} are no classes, so its context cannot be told by class.")
    if not e.region.any():
        raise EmptyRegionError(f"no pixel lies in the region of {e.target}: there is nothing to have a context.")
    return e.region, e.classes


def _labels(
    e: Explanation, classes: ClassTable, truth: Source | None, ignore: int | None
) -> tuple[NDArray[np.int64], Whose]:
    """The label of each pixel, −1 where ignored, and whose labels they are."""
    given = e.truth if truth is None else read_labels(truth, classes, ignore).numpy()
    if given is not None:
        if given.shape != e.map.shape:
            raise ShapeError(
                f"the true labels {'' if truth is None else name_of(truth) + ' '}are {times(given.shape)}, the picture "
                f"is {times(e.map.shape)}.\n  Give labels of the picture's own size; they are never stretched to fit.",
                given.shape,
            )
        return (given if ignore is None else np.where(given == ignore, -1, given)), "truth"
    if e.prediction is None:
        raise ParameterError(
            f"the labels of {e.network} overlap, so that a pixel of its prediction has no one class.\n"
            "  Give true labels: truth=FILE, on the command line --truth FILE."
        )
    return e.prediction, "prediction"


def _whole(width: int) -> int:
    if isinstance(width, bool) or int(width) != width or width < 1:
        raise ParameterError(f"the width of the ring is a whole number of pixels from 1, not {width!r}.")
    return int(width)


def _notes(e: Explanation, region: NDArray[np.bool_], tally: ContextTally) -> list[str]:
    said: list[str] = []
    if e.signed:
        said.append("The map is signed: its positive part counts, which speaks for the target.")
    if (inside := _of_all(tally, tally.inside)) > 0:
        said.append(f"{percent(inside)} of the map's weight lies in the region itself, which is no context.")
    undefined = int((~region & ~np.isfinite(e.map)).sum())
    if undefined:
        said.append(f"{undefined:,} pixels outside the region count nowhere: the map is undefined there.")
    if unlabelled := int(tally.left_out[0]) - undefined:
        weight = percent(_of_all(tally, tally.unlabelled)) if tally.unlabelled.any() else "none"
        said.append(
            f"{unlabelled:,} pixels outside the region count nowhere, and {weight} of the map's weight with them: "
            "they have no class's label."
        )
    if region.all():
        said.append("The region is the whole picture: it has no context.")
    elif not tally.has("context")[0]:
        said.append("No pixel outside the region counts: there is no context to tell.")
    elif not tally.has("saliency")[0]:
        said.append("Nothing outside the region is salient, so the salient context has no shares.")
    elif not tally.has("ring")[0]:
        said.append("No pixel of the ring counts, so it has no shares.")
    return said


def _of_all(tally: ContextTally, part: NDArray[np.float64]) -> float:
    """A part of the map's weight as a share of all of it; NaN where there is none."""
    total = float(tally.saliency.sum() + tally.inside.sum() + tally.unlabelled.sum())
    return float(part.sum()) / total if total > 0 else float("nan")


def _signed(value: float) -> str:
    """A log-ratio in words, with its sign."""
    if value != value:
        return "–"
    return f"{value:+z.2f}".replace("-", "−").replace("inf", "∞")


def _percent(share: float) -> str:
    """A share in words; a little is never written as nothing."""
    if share != share:
        return "–"
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"
