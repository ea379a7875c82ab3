"""How context saliency hangs on its settings, and on the texture of the bias: on the networks of the benchmark."""

import csv
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch

from seglens.core.errors import NameNotFoundError, ParameterError, suggest
from seglens.core.saving import as_json, finite, write_text
from seglens.run.bench.clock import Listener
from seglens.run.bench.context_bias import explained, kinds_of, opened, provenance
from seglens.run.bench.plan import CHOICES, Kind, Plan
from seglens.run.bench.records import Record
from seglens.run.bench.result import Fills, fills_of
from seglens.run.bench.roster import ENTRIES, Entry
from seglens.run.bench.rows import Row, row
from seglens.viz.bench.parts import Bar, Group
from seglens.viz.media.files import drawing, write_drawn

Subject = Literal["sparsity", "steps", "fill", "cells", "texture"]
SUBJECTS: tuple[Subject, ...] = get_args(Subject)

VALUES: Mapping[str, tuple[Any, ...]] = MappingProxyType(
    {
        "sparsity": (0.01, 0.02, 0.05, 0.1, 0.2),
        "steps": (10, 20, 30, 50, 100, 200),
        "fill": (*CHOICES, "noise"),
        "cells": ("2x2", "4x4", "8x8", "16x16"),
    }
)
"""What is tried of each setting, one at a time: all others stay as they are, λ too where the cells change."""

METHODS = ("grid", "grid-reference")
"""Rows that are studied where nobody says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One method with one value of the setting, or on the networks of one bias texture, on one kind of networks."""

    value: str
    method: str
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudyResult:
    """One setting varied. lines: by kind, method and value. sources, says: as of the benchmark's result."""

    subject: Subject
    plan: Plan
    lines: tuple[Line, ...]
    fills: Fills
    says: tuple[str, ...]
    provenance: Mapping[str, str]
    seconds: float

    @property
    def failures(self) -> list[str]:
        """Values with which a method failed on some network."""
        return [f"{x.method}, {self.subject} {x.value}: {x.row.failed} networks" for x in self.lines if x.row.failed]

    def to_dict(self) -> dict[str, Any]:
        """Plain form; NaN becomes None."""
        return finite(
            {
                "subject": self.subject,
                "plan": asdict(self.plan),
                "says": list(self.says),
                "fills": asdict(self.fills),
                "lines": [{"value": x.value, **x.row.to_dict(), "method": x.method} for x in self.lines],
                "seconds": self.seconds,
                "provenance": dict(self.provenance),
            }
        )

    def table(self) -> str:
        """All lines as CSV."""
        text = StringIO(newline="")
        flat = [{self.subject: x.value, **finite(x.row.flat()), "method": x.method} for x in self.lines]
        writer = csv.DictWriter(text, [*flat[0], "of"])
        writer.writeheader()
        writer.writerows({**line, "of": "; ".join(self.says)} for line in flat)
        return text.getvalue()

    def save(self, folder: Path) -> list[Path]:
        """Write study-SUBJECT.csv, .json and .png. Raises MissingExtraError without matplotlib."""
        paths = [folder / f"study-{self.subject}.{suffix}" for suffix in ("csv", "json", "png")]
        write_text(self.table(), paths[0])
        write_text(as_json(self.to_dict()), paths[1])
        with drawing("drawing a study"):
            from seglens.viz.bench.study import study_figure

        write_drawn(study_figure(f"Context saliency by {self.subject}", self._groups(), self.says), paths[2])
        return paths

    def _groups(self) -> list[Group]:
        groups: dict[tuple[str, Kind], list[Line]] = {}
        for line in self.lines:
            groups.setdefault((line.method, line.row.kind), []).append(line)
        return [
            Group(f"{method}, {kind}", [_cbl(x) for x in some], [_cbd(x) for x in some])
            for (method, kind), some in groups.items()
        ]


def study(
    subject: str,
    plan: Plan,
    out: Path,
    *,
    device: str | torch.device | None = None,
    listener: Listener | None = None,
) -> StudyResult:
    """Vary one setting of context saliency, or tell the textures of the biases apart, on the networks of a plan.

    Networks and stages are those of `context_bias` in the same folder. methods of the plan: those of context saliency
    are studied; where the plan has all methods, `METHODS`.
    Raises NameNotFoundError for another subject, ParameterError where the plan names other methods only.
    """
    known: dict[str, Subject] = {name: name for name in SUBJECTS}
    if subject not in known:
        raise NameNotFoundError(f"no study of {subject!r}.{suggest(subject, SUBJECTS)}\n  All: {', '.join(SUBJECTS)}.")
    start = time.perf_counter()
    variants = _variants(known[subject], _studied(plan))
    entries = list(variants)
    parts = [p for p in plan.parts if not p.choosing]
    choosing = [p for p in plan.parts if p.choosing]
    kinds = ["train", "fills"] * len(choosing) + kinds_of(parts, entries)
    pipeline = opened(plan, out, device, kinds, listener)
    fills = fills_of([(p.name, pipeline.sweep(pipeline.train(p))) for p in choosing])
    records = explained(pipeline, parts, entries, fills.chosen)
    sources = pipeline.sources.says
    return StudyResult(
        subject=known[subject],
        plan=plan,
        lines=tuple(_lines(known[subject], plan, records, variants)),
        fills=fills,
        says=(sources["digits"], f"textures: {sources['textures']}", f"{plan.recipe.encoder} encoder"),
        provenance=provenance(pipeline.device),
        seconds=time.perf_counter() - start,
    )


def _studied(plan: Plan) -> list[Entry]:
    named = METHODS if plan.methods == tuple(ENTRIES) else plan.methods
    found = [ENTRIES[name] for name in named if ENTRIES[name].method == "context-saliency"]
    if not found:
        raise ParameterError(
            f"{', '.join(named)}: a study varies context saliency.\n"
            f"  Methods that it can vary: {', '.join(n for n, e in ENTRIES.items() if e.method == 'context-saliency')}."
        )
    return found


def _variants(subject: Subject, entries: Sequence[Entry]) -> dict[Entry, tuple[str, str]]:
    """Rows to be explained, each with its method's name and its value in words."""
    if subject == "texture":
        return {e: (e.name, "") for e in entries}
    return {
        e.with_(f"{e.name}, {subject} {value}", **{subject: value}): (e.name, str(value))
        for e in entries
        for value in VALUES[subject]
    }


def _lines(
    subject: Subject, plan: Plan, records: Sequence[Record], variants: Mapping[Entry, tuple[str, str]]
) -> list[Line]:
    kinds: tuple[Kind, ...] = (*plan.strengths, "twin")
    lines: list[Line] = []
    for kind in kinds:
        for entry, (method, value) in variants.items():
            if subject != "texture":
                lines.append(Line(value=value, method=method, row=row(kind, None, entry.name, records)))
                continue
            for texture in plan.textures:
                some = [r for r in records if r.part.texture in (None, texture)]
                lines.append(Line(value=str(texture), method=method, row=row(kind, None, method, some)))
    return lines


def _cbl(line: Line) -> Bar:
    gated = line.row.cbl.n > 0
    shown = line.row.cbl if gated else line.row.cbl_all
    return Bar(line.value, shown.mean, shown.low, shown.high, shown.n, pale=not gated)


def _cbd(line: Line) -> Bar:
    r = line.row
    return Bar(line.value, r.cbd.mean, r.cbd.low, r.cbd.high, r.cbd.n, dots=(r.cbd_others.mean,))
