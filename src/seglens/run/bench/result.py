"""What the context-bias benchmark found: its tables, its files, and what they came from."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.saving import as_json, finite, write_text
from seglens.run.bench.estimate import seconds_for
from seglens.run.bench.measuring import Measures
from seglens.run.bench.pictures import Sources
from seglens.run.bench.plan import SIZES, Kind, Plan
from seglens.run.bench.records import Record
from seglens.run.bench.roster import BASELINES, ENTRIES
from seglens.run.bench.rows import Row, Uptake, chosen, matrix, row, uptake
from seglens.run.bench.statistics import DROP, mean_known
from seglens.viz.bench.parts import Band, Bar, Strip
from seglens.viz.media.files import drawing, write_drawn

TABLE, RESULTS, FIGURE, TWINS = "table.csv", "results.json", "figure4.png", "twins.png"
"""The files of a result."""

_SHOWN = 2  # pictures of twins that the figure shows


@dataclass(frozen=True, slots=True)
class Fills:
    """Which fill was chosen, and on what: mean P0 of each fill, over all networks for choosing and on each by name."""

    chosen: str
    removed: Mapping[str, float]
    networks: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContextBias:
    """The whole result. records: of every network but those for choosing, in the plan's order. fills: what was chosen.

    provenance: versions, device, sources of digits and textures. seconds: of this run. done, reused: stages. notes:
    what was said on the way, such as files that were damaged.
    """

    plan: Plan
    sources: Sources
    fills: Fills
    records: tuple[Record, ...]
    provenance: Mapping[str, str]
    seconds: float
    done: int
    reused: int
    notes: tuple[str, ...] = field(default=())

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """The kinds of biased networks: strengths, then twins."""
        return (*self.plan.strengths, "twin")

    @property
    def rows(self) -> tuple[Row, ...]:
        """Each method on each kind, towards any digit and towards each."""
        return tuple(self._rows())

    def _rows(self) -> Iterator[Row]:
        for kind in self.kinds:
            for digit in (None, *self.plan.digits):
                yield from (row(kind, digit, method, self.records) for method in self.plan.methods)

    def row(self, kind: Kind, method: str, digit: int | None = None) -> Row:
        """One of the rows."""
        return row(kind, digit, method, self.records)

    @property
    def uptakes(self) -> tuple[Uptake, ...]:
        """How networks of each kind and digit do on unbiased pictures; None for any digit first."""
        return tuple(uptake(kind, d, self.records) for kind in self.kinds for d in (None, *self.plan.digits))

    def uptake(self, kind: Kind, digit: int | None = None) -> Uptake:
        """One of them."""
        return uptake(kind, digit, self.records)

    @property
    def failures(self) -> list[str]:
        """For each method that failed anywhere, on how many networks, and what it said of the first."""
        said: list[str] = []
        for method in self.plan.methods:
            where = [r for r in self.records if r.told[method].failure]
            if where:
                first = where[0]
                n = f"{len(where)} of {len(self.records)} networks"
                said.append(f"{method} failed on {n}. On {first.part.name}: {first.told[method].failure}")
        return said

    @property
    def full_seconds(self) -> float:
        """How long the paper's size would take here, by what networks and methods took; NaN where nothing tells."""
        full = SIZES["full"]
        return seconds_for(full, self.plan, self.records)

    def heat(self, kind: Kind, method: str | None) -> NDArray[np.float64]:
        """[1 + D 10]: figure 4's heat map of the mean CBD of a method, or (None) of the IoU on unbiased pictures."""
        if method is None:
            return matrix(self.records, kind, self.plan.digits, lambda r: r.unbiased[:10])
        return matrix(
            self.records, kind, self.plan.digits, lambda r: r.scores[method].cbd if method in r.scores else None
        )

    @property
    def says(self) -> list[str]:
        """What every table and figure names: digits, textures, network, how many seeds."""
        sources, p = self.sources.says, self.plan
        seeds = f"{p.seeds} seed{'s' * (p.seeds > 1)}"
        return [
            sources["digits"],
            f"textures: {sources['textures']}",
            f"U-Net with {p.recipe.encoder} encoder, width {p.recipe.width}, {p.recipe.steps:,} steps",
            f"{seeds}, {len(p.textures)} bias texture{'s' * (len(p.textures) > 1)}",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Plain form; NaN becomes None."""
        return finite(
            {
                "plan": asdict(self.plan),
                "sources": {**self.sources.says, "digests": dict(self.sources.digests)},
                "gate": DROP,
                "fills": asdict(self.fills),
                "uptake": [asdict(u) for u in self.uptakes],
                "rows": [r.to_dict() for r in self.rows],
                "networks": [r.to_dict() for r in self.records],
                "methods": {name: _entry(name) for name in self.plan.methods},
                "seconds": self.seconds,
                "stages": {"done": self.done, "reused": self.reused},
                "full_seconds": self.full_seconds,
                "provenance": dict(self.provenance),
                "notes": list(self.notes),
            }
        )

    def table(self) -> str:
        """All rows as CSV; what is undefined is left empty."""
        text = StringIO(newline="")
        lines = [finite(r.flat()) for r in self.rows]
        sources = self.sources.says
        head = {"digits": sources["digits"], "textures": sources["textures"], "encoder": self.plan.recipe.encoder}
        writer = csv.DictWriter(text, [*lines[0], *(f"of_{name}" for name in head)])
        writer.writeheader()
        for line in lines:
            writer.writerow({**line, **{f"of_{name}": value for name, value in head.items()}})
        return text.getvalue()

    def save(self, folder: Path) -> list[Path]:
        """Write table.csv, results.json, figure4.png and twins.png. Raises MissingExtraError without matplotlib."""
        write_text(self.table(), folder / TABLE)
        write_text(as_json(self.to_dict()), folder / RESULTS)
        with drawing("drawing figure 4"):
            from seglens.viz.bench.figure4 import figure4
            from seglens.viz.bench.twins import twins_figure

        write_drawn(figure4([self._band(kind) for kind in self.plan.strengths], self.says), folder / FIGURE)
        twins = [r for r in self.records if r.part.kind == "twin"]
        write_drawn(
            twins_figure(self._band("twin").bars, self._others(), self._strips(twins[0]), self.says), folder / TWINS
        )
        return [folder / name for name in (TABLE, RESULTS, FIGURE, TWINS)]

    def _band(self, kind: Kind) -> Band:
        methods = [m for m in self.plan.methods if any(m in r.scores for r in chosen(self.records, kind, None))]
        said = self.uptake(kind)
        return Band(
            title=f"{kind} bias: {said.took_up} of {said.networks} networks took it up",
            digits=self.plan.digits,
            iou=self.heat(kind, None),
            cbd={method: self.heat(kind, method) for method in methods},
            bars=[self._bar(kind, method) for method in methods],
        )

    def _bar(self, kind: Kind, method: str) -> Bar:
        """mCBL of the networks that took up the bias; of all, pale, where none did."""
        whole = self.row(kind, method)
        gated = whole.cbl.n > 0
        shown = whole.cbl if gated else whole.cbl_all
        each = [self.row(kind, method, digit) for digit in self.plan.digits]
        dots = [(r.cbl if gated else r.cbl_all).mean for r in each]
        return Bar(method, shown.mean, shown.low, shown.high, shown.n, pale=not gated, dots=dots)

    def _others(self) -> list[tuple[str, float, float]]:
        """Of each method, the mean CBD of the twin known by a texture, and of the one known by its absence."""
        rows = [self.row("twin", method) for method in self.plan.methods]
        return [(r.method, r.cbd.mean, r.cbd_others.mean) for r in rows if r.networks]

    def _strips(self, record: Record) -> list[Strip]:
        """The first pictures of one network of twins, with every method's mask."""
        part = record.part
        data = self.sources.data(10 * _SHOWN, part.stream("test"), part.plant, "test")
        strips: list[Strip] = []
        for index in part.pictures(2 * _SHOWN):
            scene = data[index]
            masks = {
                name: mask
                for name, told in record.told.items()
                if name not in BASELINES and told.measures and (mask := _mask(told.measures, index)) is not None
            }
            if masks:
                how = "known by its texture" if scene.digit == part.digit else "texture is absent"
                strips.append(Strip(scene.image, scene.cue, f"{scene.digit}: {how}", masks))
        return sorted(strips, key=lambda strip: not strip.cue.any())


def _mask(measures: Measures, index: int) -> NDArray[np.float32] | None:
    at = np.flatnonzero(measures.image == index)
    return measures.mask[at[0]] if len(at) else None


def _entry(name: str) -> dict[str, Any]:
    e = ENTRIES[name]
    return {"method": e.method, "says": e.says, "fields": dict(e.fields), "of": e.of, "bounded": e.bounded}


def fills_of(swept: Sequence[tuple[str, Mapping[str, float]]]) -> Fills:
    """The fill with the largest mean P0 over networks, each with its P0 by fill."""
    names = list(swept[0][1])
    removed = {name: mean_known(found[name] for _, found in swept) for name in names}
    # Where nothing is predicted, nothing is removed, and the first will do.
    best = max(names, key=lambda name: removed[name] if removed[name] == removed[name] else -1.0)
    return Fills(best, removed, {network: dict(found) for network, found in swept})
