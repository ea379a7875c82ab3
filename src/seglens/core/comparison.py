"""A finished comparison: several methods asked one question of one image, and how far they agree."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import NameNotFoundError
from seglens.core.explanation import Explanation, Explanations, save
from seglens.core.regions import mask
from seglens.core.registry import Registry
from seglens.core.saving import as_json, suffix_of, write_text
from seglens.core.view import Region

LEVEL = 0.05
"""Share of shifts that may correlate as well as the maps do, where these are said to agree above chance."""

ALIKE = 0.3
"""Partial rank correlation with shuffled copies from which a map is said to depend weakly on the network: by Cohen's
convention the least that is no small one, about a tenth of the variance of ranks."""

SAME = 0.99
"""Rank correlation with shuffled copies from which a map is said not to change at all."""

ComparisonWriter = Callable[["Comparison", Path], None]
COMPARISON_WRITERS: Registry[ComparisonWriter] = Registry("file type", "seglens.comparison_writers")
"""What draws a comparison, by suffix; `run.compare`, which makes comparisons, brings what `viz` has."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A number with the interval in which it lies at 95 %; all NaN where it is undefined."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Such as '0.32 [0.28, 0.37]'; the number alone where it has no interval."""
        told = two_digits(self.value)
        return told if math.isnan(self.low) else f"{told} [{two_digits(self.low)}, {two_digits(self.high)}]"


def two_digits(r: float) -> str:
    """A correlation for readers, without a minus before nothing; a dash where undefined."""
    return "–" if math.isnan(r) else f"{round(r, 2) + 0.0:.2f}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Agreement:
    """How far M maps agree, pair by pair; NaN where a map has no ranks.

    correlations: Spearman's, [M M]. chance: [M M], what 95 of 100 toroidal shifts of one map over the other stay below.
    p: [M M], the share of shifts that correlate at least as well as the maps do in place. Both are NaN of a map with
    itself.
    """

    correlations: NDArray[np.float64]
    chance: NDArray[np.float64]
    p: NDArray[np.float64]

    @property
    def above(self) -> NDArray[np.bool_]:
        """[M M]: whether a pair agrees above chance, p ≤ 0.05."""
        return self.p <= LEVEL


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contested:
    """A connected place that some methods rank high and others low.

    mask: bool [*grid], on the picture's grid. ranks: each method's mean rank there, in [0, 1]. high, low: the methods
    on either side, the most decided first.
    """

    mask: NDArray[np.bool_]
    ranks: Mapping[str, float]
    high: tuple[str, ...]
    low: tuple[str, ...]

    @property
    def region(self) -> Region:
        """The place as a region, to ask about it."""
        return mask(self.mask, f"contested({', '.join(self.high)} against {', '.join(self.low)})")

    @property
    def pixels(self) -> int:
        """How large it is."""
        return int(self.mask.sum())

    @property
    def box(self) -> tuple[int, ...]:
        """The smallest box around it, as `seglens.box` takes it."""
        found = np.nonzero(self.mask)
        return (*(int(i.min()) for i in found), *(int(i.max()) + 1 for i in found))

    def __str__(self) -> str:
        where = f"box({', '.join(map(str, self.box))})"
        size = f"{self.pixels:,} pixel{'s' * (self.pixels != 1)}"
        return f"{size} in {where}: high by {_ranked(self, self.high)}; low by {_ranked(self, self.low)}"


def _ranked(place: Contested, names: Sequence[str]) -> str:
    return ", ".join(f"{name} ({place.ranks[name]:.2f})" for name in names)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Dependence:
    """What became of one method's map when the network's numbers were shuffled.

    All are rank correlations of the sizes |map| inside the receptive field of the region, over `draws` shuffled copies.
    trained: of the network's map with the copies'. copies: of the copies' with each other, which architecture and
    picture alone produce. blind: of the network's map with those that the copies give for the picture with its pixels
    shuffled, which architecture and region alone produce. beyond: partial correlation of the network's map with the
    copies', the mean of these blind maps held fixed: likeness beyond the decay with distance. signed: of the maps with
    their signs; None for maps that have none. chance, chance_beyond: what 95 of 100 shifts of the network's map stay
    below. undefined: copies whose map was the same everywhere, or failed. curve: `trained` after each step of a
    cascade from output to input; steps: how many of the network's tensors were shuffled by then.
    known: where it was found to depend weakly on networks; '' for a method of which nothing is known.
    """

    label: str
    trained: Interval
    copies: Interval
    blind: Interval
    beyond: Interval
    signed: Interval | None
    chance: float
    chance_beyond: float
    draws: int
    undefined: int = 0
    curve: NDArray[np.float64] | None = None
    steps: tuple[int, ...] = ()
    known: str = ""

    @property
    def weak(self) -> bool | None:
        """Whether the map is much like those of shuffled copies, beyond what distance alone makes alike.

        None where too few copies gave a map. The limits are argued in docs/decisions/randomisation-test.md.
        """
        if math.isnan(self.trained.low):
            return None
        if self.trained.value >= SAME:
            return True
        return self.beyond.low > self.chance_beyond and self.beyond.value >= ALIKE

    @property
    def claim(self) -> str:
        """What may be claimed, in words."""
        if self.weak is None:
            return (
                f"of {self.draws} shuffled copies {self.undefined} gave no map with ranks: too few are left to say more"
            )
        if self.weak:
            return "hangs largely on picture and architecture: weights that learned nothing give much the same map"
        if self.trained.value >= ALIKE and self.trained.low > self.chance:
            detail = "and a little of its detail" if self.beyond.low > self.chance_beyond else "not its detail"
            return f"moves with the weights; what stays alike is its decay around the region, {detail}"
        return "moves with the weights, which does not prove that it is faithful to them"

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for JSON."""
        intervals = ("trained", "copies", "blind", "beyond", "signed")
        found = {name: getattr(self, name) for name in intervals}
        return {
            "method": self.label,
            **{n: None if v is None else {"value": v.value, "low": v.low, "high": v.high} for n, v in found.items()},
            "chance": self.chance,
            "chance_beyond": self.chance_beyond,
            "draws": self.draws,
            "undefined": self.undefined,
            "steps": list(self.steps),
            "curve": None if self.curve is None else self.curve.tolist(),
            "known": self.known or None,
            "weak": self.weak,
            "claim": self.claim,
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """Several methods' maps of one question, side by side, with what they share and where they part.

    explanations: in the order asked. labels: a name for each, all different. agreement: of the values that speak for
    the target, max(map, 0), pair by pair. consensus: mean over methods of their ranks in [0, 1], [*grid]; spread: their
    standard deviation. left_out: methods without ranks, with the reason. contested: places that some rank high and
    others low, the largest first; disputed: bool [*grid], all of them. dependences: the randomisation test, method by
    method; empty where it was not asked for. unmoved: tensors that shuffling could not change, with the reason.
    failures: methods that gave no map, with the error. notes: what was warned of.
    """

    explanations: Explanations
    labels: tuple[str, ...]
    agreement: Agreement
    consensus: NDArray[np.float32]
    spread: NDArray[np.float32]
    disputed: NDArray[np.bool_]
    contested: tuple[Contested, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    dependences: tuple[Dependence, ...] = ()
    unmoved: Mapping[str, str] = field(default_factory=dict[str, str])
    failures: Mapping[str, str] = field(default_factory=dict[str, str])
    notes: tuple[str, ...] = ()
    seed: int = 0

    @property
    def target(self) -> str:
        """The question in words."""
        return self.explanations[0].target

    @property
    def apart(self) -> list[tuple[str, str]]:
        """Pairs of methods that do not agree above chance."""
        above, known = self.agreement.above, ~np.isnan(self.agreement.p)
        pairs = [(i, j) for i in range(len(self.labels)) for j in range(i)]
        return [(self.labels[j], self.labels[i]) for i, j in pairs if known[i, j] and not above[i, j]]

    def correlation(self, a: str, b: str) -> float:
        """Spearman's correlation of two methods, by label. Raises NameNotFoundError."""
        for name in (a, b):
            if name not in self.labels:
                raise NameNotFoundError(f"no map {name!r} in this comparison.\n  There are: {', '.join(self.labels)}.")
        return float(self.agreement.correlations[self.labels.index(a), self.labels.index(b)])

    def as_explanations(self) -> Explanations:
        """The maps, and the consensus as one more: method 'consensus', in ranks, with spread and tables as extras."""
        first = self.explanations[0]
        extras: dict[str, NDArray[Any]] = {
            "spread": self.spread,
            "disputed": self.disputed,
            "labels": np.array(self.labels),
            "correlations": self.agreement.correlations,
            "chance": self.agreement.chance,
            "p": self.agreement.p,
        }
        consensus = replace(
            first,
            map=self.consensus,
            method="consensus",
            parameters={"methods": ", ".join(n for n in self.labels if n not in self.left_out)},
            layer=None,
            unit="mean rank of the methods",
            signed=False,
            notes=self.notes,
            cost=None,
            extras=extras,
        )
        return Explanations([*self.explanations, consensus])

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .png, .svg, .pdf and .html are for the eye, .json has all numbers but the maps, and .npz the
        raw maps, which open again as Explanations with the consensus as the last.

        Raises NameNotFoundError for another suffix, MissingExtraError.
        """
        path = Path(path)
        suffix = suffix_of(path, ("npz", "json", *COMPARISON_WRITERS))
        if suffix == "npz":
            return save(self.as_explanations(), path)
        if suffix == "json":
            write_text(as_json(self.to_dict()) + "\n", path)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            COMPARISON_WRITERS[suffix](self, path)
        return path

    def to_dict(self) -> dict[str, Any]:
        """All but the maps in plain form, stable for JSON; undefined numbers are NaN."""
        first = self.explanations[0]
        return {
            "network": first.network,
            "target": first.target,
            "score": first.score,
            "of": first.of,
            "size": list(first.map.shape),
            "seed": self.seed,
            "methods": [
                {"label": n, "method": e.method, "parameters": dict(e.parameters), "layer": e.layer, "unit": e.unit}
                for n, e in zip(self.labels, self.explanations, strict=True)
            ],
            "correlations": self.agreement.correlations.tolist(),
            "chance": self.agreement.chance.tolist(),
            "p": self.agreement.p.tolist(),
            "not_above_chance": [list(pair) for pair in self.apart],
            "left_out": dict(self.left_out),
            "failures": dict(self.failures),
            "spread": float(self.spread[np.isfinite(self.spread)].mean()) if np.isfinite(self.spread).any() else None,
            "disputed": float(self.disputed.mean()),
            "contested": [
                {"box": list(c.box), "pixels": c.pixels, "high": c.high, "low": c.low, "ranks": dict(c.ranks)}
                for c in self.contested
            ],
            "randomisation": [d.to_dict() for d in self.dependences],
            "unmoved": dict(self.unmoved),
            "notes": list(self.notes),
        }

    def __getitem__(self, label: str) -> Explanation:
        """The explanation of that label. Raises NameNotFoundError."""
        self.correlation(label, label)
        return self.explanations[self.labels.index(label)]

    def __str__(self) -> str:
        return f"Comparison of {', '.join(self.labels)}: {self.target}"
