"""One true object that the network labels in part rightly and in part wrongly, and why it labels each part so."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.comparison import Agreement, two_digits
from seglens.core.display import Display
from seglens.core.errors import NameNotFoundError
from seglens.core.explanation import Explanation, Explanations, save
from seglens.core.saving import as_json, suffix_of, write_text
from seglens.core.view import Region
from seglens.run.context import ContextStatistics
from seglens.viz.media.files import FIGURES
from seglens.viz.words import percent

FORMATS = (*FIGURES, "html", "json", "npz")
"""Suffixes that the parts of an object can be saved with."""

_TOLD = 3  # classes of a context that a sentence names


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """The pixels of an object that are predicted as one class, and why they are.

    label: that class; correct: whether it is the true one. pixels: the part's area; share: of the object's, in 0..1.
    mask: bool [*picture]. region: for targets, ``Target(part.label, part.region)``; its text is what --region takes.
    statistics: why the network says `label` there, and on which true classes lies, outside the part, what speaks for
    it, max(map, 0); the other parts of the object are context too. rest: how much lies on these, as a share of all that
    lies on any class; NaN where nothing does.
    """

    label: str
    correct: bool
    pixels: int
    share: float
    mask: NDArray[np.bool_]
    region: Region
    statistics: ContextStatistics
    rest: float

    @property
    def explanation(self) -> Explanation:
        """Why the network says `label` there."""
        return self.statistics.explanation

    @property
    def name(self) -> str:
        """Such as 'labelled person (wrong)'."""
        return f"labelled {self.label} ({'right' if self.correct else 'wrong'})"

    @property
    def context(self) -> dict[str, float]:
        """Share of each class that the truth has outside the part, the largest first; `rest` is in the object's own.

        They sum to 1; all NaN where nothing outside speaks for the label.
        """
        return {c.name: c.saliency for c in self.statistics.classes}

    def difference(self, other: "Part") -> float:
        """How far two contexts differ in what they consist of: ½ Σ |p − q| over the shares of the classes, from 0 (the
        same mixture) to 1 (nothing in common). NaN where nothing speaks for one of the labels."""
        one, two = self.context, other.context
        return sum(abs(one.get(name, 0.0) - two.get(name, 0.0)) for name in {*one, *two}) / 2

    def __str__(self) -> str:
        n = f"{self.pixels:,} pixel{'s' * (self.pixels != 1)}"
        told = ", ".join([f"{name} {percent(v)}" for name, v in self.context.items() if v > 0][:_TOLD])
        rest = f"; {percent(self.rest)} is the rest of the object" if self.rest > 0 else ""
        why = f"context {told}{rest}" if told else "nothing around it speaks for that"
        return f"{self.name}: {n}, {percent(self.share)} of it; {why}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectParts:
    """The rightly and the wrongly labelled parts of one true object, each explained for the class it was given.

    truth: the object's class. at: a pixel of it. pixels: its area. mask: bool [*picture]. parts: the right one first
    where there is one, then the wrong ones, the largest first; parts of fewer than `least` pixels are left out.
    agreement: rank correlations of what speaks for the parts' labels, outside the object, pair by pair.
    network, name: of the network and of the picture. notes: what is to be known besides.
    """

    truth: str
    at: tuple[int, ...]
    pixels: int
    mask: NDArray[np.bool_]
    parts: tuple[Part, ...]
    agreement: Agreement
    least: int
    network: str
    name: str
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def correct(self) -> Part | None:
        """The part that is labelled rightly; None where none is, or too small a one."""
        return next((p for p in self.parts if p.correct), None)

    @property
    def wrong(self) -> tuple[Part, ...]:
        """The parts that are labelled wrongly, the largest first."""
        return tuple(p for p in self.parts if not p.correct)

    @property
    def explanations(self) -> Explanations:
        """The explanations of the parts, in their order."""
        return Explanations([p.explanation for p in self.parts])

    @property
    def contrasts(self) -> list[str]:
        """How the context of the right part differs from that of each wrong one, in words."""
        right = self.correct
        if right is None:
            return []
        return [
            f"{right.label} and {p.label}: contexts differ by {two_digits(right.difference(p))} (0 the same mixture, "
            f"1 nothing in common), maps correlate at {two_digits(self.correlation(right.label, p.label))}"
            for p in self.wrong
        ]

    @property
    def left_out(self) -> int:
        """Pixels of the object that are in no part."""
        return int((self.mask & ~np.logical_or.reduce([p.mask for p in self.parts])).sum())

    def __getitem__(self, label: str) -> Part:
        """The part that was labelled so. Raises NameNotFoundError."""
        for part in self.parts:
            if part.label == label:
                return part
        raise NameNotFoundError(
            f"no part of this {self.truth} is labelled {label!r}.\n"
            f"  There are: {', '.join(p.label for p in self.parts)}."
        )

    def correlation(self, a: str, b: str) -> float:
        """Spearman's correlation of the maps of two parts outside the object, by label. Raises NameNotFoundError."""
        i, j = (self.parts.index(self[label]) for label in (a, b))
        return float(self.agreement.correlations[i, j])

    def save(self, path: str | Path, display: Display | None = None) -> Path:
        """Write to `path`: .png, .svg, .pdf and .html show the parts side by side, by default on one scale; .json has
        all numbers but the maps, and .npz the raw maps, which open again as Explanations.

        Raises NameNotFoundError for another suffix, MissingExtraError, ParameterError as `seglens.save`.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix == "json":
            write_text(as_json(self.to_dict()) + "\n", path)
            return path
        if suffix == "npz":
            return save(self.explanations, path, display)
        one_unit = len({e.unit for e in self.explanations}) == 1
        return save(self._pictured(), path, display or Display(shared=one_unit))

    def to_dict(self) -> dict[str, Any]:
        """All but the maps in plain form, stable for JSON; undefined numbers are NaN."""
        first = self.parts[0].explanation
        return {
            "network": self.network,
            "image": self.name,
            "truth": self.truth,
            "at": list(self.at),
            "pixels": self.pixels,
            "least": self.least,
            "left_out": self.left_out,
            "method": first.method,
            "parameters": dict(first.parameters),
            "layer": first.layer,
            "parts": [
                {
                    "label": p.label,
                    "correct": p.correct,
                    "pixels": p.pixels,
                    "share": p.share,
                    "region": str(p.region),
                    "score": p.explanation.score,
                    "of": p.explanation.of,
                    "inside": p.statistics.inside,
                    "context": p.context,
                    "rest": p.rest,
                    "around": {c.name: c.ring for c in p.statistics.classes},
                }
                for p in self.parts
            ],
            "correlations": self.agreement.correlations.tolist(),
            "chance": self.agreement.chance.tolist(),
            "differences": [[p.difference(q) for q in self.parts] for p in self.parts],
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }

    def _pictured(self) -> list[Explanation]:
        """The explanations with questions that a caption holds."""
        return [
            replace(p.explanation, target=f"{p.name}, {percent(p.share)} of the {self.truth}").with_notes(self.notes)
            for p in self.parts
        ]

    def __str__(self) -> str:
        lines = [f"One {self.truth} at {self.at} in {self.name}, {self.pixels:,} pixels, seen by {self.network}"]
        lines += [f"  {p}" for p in self.parts]
        lines += [f"  {told}" for told in self.contrasts]
        return "\n".join(lines)
