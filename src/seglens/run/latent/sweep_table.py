"""What a sweep over latent sizes finds: a table, and the size that it recommends, by a stated rule."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np

from seglens.core.saving import as_json, finite, suffix_of, write_text
from seglens.run.latent.statistics_table import aligned
from seglens.viz.media.files import FIGURES, drawing, write_drawn

FORMATS = (*FIGURES, "csv", "json")
"""Suffixes that a sweep can be saved with."""

TOLERANCE = 0.02
"""Share of the least error by which another may be greater and still count as as good."""

RULE = (
    "The smallest size whose held-out error is within one standard error of the best size's, or within {tolerance} "
    "of it where that is more, and beyond which no larger size has more than one further active unit."
)

NUMBERS = ("error", "kl", "active", "mig", "disentanglement", "attention", "seconds")
"""What is averaged over seeds; see `Run`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One network of a sweep, on pictures that it did not learn from; NaN where undefined or not asked for.

    variant: what else was varied, in words, '' for nothing. error: mean squared error of pixels in 0..1 of images, 1 −
    mean IoU of masks. kl: nats a picture. active: units. mig, disentanglement (DCI): in [0, 1], where factors are
    known. attention: mean over active units of their consistency less that with other units. seconds: of training.
    parameters: of the network. folder: where it lies.
    """

    variant: str
    latent: int
    seed: int
    error: float
    kl: float
    active: float
    mig: float = math.nan
    disentanglement: float = math.nan
    attention: float = math.nan
    seconds: float = math.nan
    parameters: int = 0
    folder: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean over seeds, and its standard error, NaN for one seed. n: seeds for which it is defined."""

    mean: float
    error: float
    n: int


@dataclass(frozen=True, slots=True)
class Recommendation:
    """A size for one variant. settled: whether the rule was met within the sizes tried; why: in a sentence."""

    variant: str
    latent: int
    settled: bool
    why: str


@dataclass(frozen=True, slots=True)
class RunFailure:
    """A network that could not be trained or measured, and why."""

    variant: str
    latent: int
    seed: int
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Networks of several latent sizes, and losses. kind, data: as `train` takes them. total: how many were asked for.
    produces: 'image' or 'masks', what the error is in. tolerance: of the rule, see `RULE`."""

    kind: str
    data: str
    runs: tuple[Run, ...]
    total: int
    produces: Literal["image", "masks"]
    tolerance: float = TOLERANCE
    failures: tuple[RunFailure, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def variants(self) -> tuple[str, ...]:
        """What else was varied, in order; ('',) for nothing."""
        return tuple(dict.fromkeys(r.variant for r in self.runs))

    def latents(self, variant: str) -> tuple[int, ...]:
        """Sizes of which there is a network, rising."""
        return tuple(sorted({r.latent for r in self.runs if r.variant == variant}))

    def mean(self, variant: str, latent: int, number: str) -> Summary:
        """Of one of `NUMBERS`, over seeds."""
        values = np.array(
            [getattr(r, number) for r in self.runs if r.variant == variant and r.latent == latent], np.float64
        )
        known = values[np.isfinite(values)]
        if not known.size:
            return Summary(math.nan, math.nan, 0)
        spread = float(known.std(ddof=1) / math.sqrt(known.size)) if known.size > 1 else math.nan
        return Summary(float(known.mean()), spread, int(known.size))

    @property
    def recommendations(self) -> tuple[Recommendation, ...]:
        """A size for each variant with a network whose error is defined."""
        found = (recommend(self, variant) for variant in self.variants)
        return tuple(r for r in found if r is not None)

    def table(self, variant: str) -> list[list[str]]:
        """Rows of words: headings, then for each size error, KL, active units, MIG, DCI, attention, seconds, seeds."""
        word = "squared error" if self.produces == "image" else "1 − IoU"
        rows = [["latent", word, "KL", "active", "MIG", "DCI", "attention", "seconds", "seeds"]]
        chosen = {r.variant: r.latent for r in self.recommendations}.get(variant)
        for latent in self.latents(variant):
            of = {name: self.mean(variant, latent, name) for name in NUMBERS}
            rows.append(
                [
                    f"{latent}{' *' if latent == chosen else ''}",
                    _with_error(of["error"]),
                    _plain(of["kl"].mean, 1),
                    _plain(of["active"].mean, 1),
                    _plain(of["mig"].mean, 2),
                    _plain(of["disentanglement"].mean, 2),
                    _plain(of["attention"].mean, 2),
                    _plain(of["seconds"].mean, 0),
                    str(of["error"].n),
                ]
            )
        return rows

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .csv a line for each network, .json everything, .png, .svg, .pdf the curves.

        Raises NameNotFoundError for another suffix, MissingExtraError.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix in FIGURES:
            with drawing("drawing a sweep"):
                from seglens.viz.latent.curves import Curve, sweep_figure
            word = "mean squared error" if self.produces == "image" else "1 − mean IoU"
            titles = {
                "error": word,
                "active": "active units",
                "kl": "KL, nats",
                "mig": "MIG",
                "disentanglement": "disentanglement (DCI)",
                "attention": "attention, own less others'",
            }
            curves = [Curve(v or "error", name, self._points(v, name)) for name in titles for v in self.variants]
            marks = {r.variant or "error": r.latent for r in self.recommendations}
            said = [r.why for r in self.recommendations] + [self.rule]
            write_drawn(sweep_figure(f"{self.kind} on {self.data}, by latent size", titles, curves, marks, said), path)
        else:
            write_text(self._lines() if suffix == "csv" else as_json(self.to_dict()) + "\n", path)
        return path

    def _points(self, variant: str, number: str) -> list[tuple[int, float, float]]:
        """Size, mean and standard error, where there are any."""
        means = ((n, self.mean(variant, n, number)) for n in self.latents(variant))
        return [(n, m.mean, m.error) for n, m in means if m.n]

    @property
    def rule(self) -> str:
        """How a size is recommended."""
        return RULE.format(tolerance=f"{100 * self.tolerance:g} %")

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; NaN becomes None."""
        points = [
            {"variant": v, "latent": n, **{name: asdict(self.mean(v, n, name)) for name in NUMBERS}}
            for v in self.variants
            for n in self.latents(v)
        ]
        return finite(
            {
                "kind": self.kind,
                "data": self.data,
                "total": self.total,
                "produces": self.produces,
                "rule": self.rule,
                "recommendations": [asdict(r) for r in self.recommendations],
                "sizes": points,
                "runs": [asdict(r) for r in self.runs],
                "failures": [asdict(f) for f in self.failures],
                "provenance": dict(self.provenance),
            }
        )

    def _lines(self) -> str:
        text = StringIO(newline="")
        writer = csv.DictWriter(text, list(Run.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(finite(asdict(r)) for r in self.runs)
        return text.getvalue()

    def __str__(self) -> str:
        lines = [f"{self.kind} on {self.data}: {len(self.runs)} of {self.total} networks"]
        for variant in self.variants:
            lines += ["", *([variant] if variant else []), *aligned(self.table(variant))]
        lines += ["", *(r.why for r in self.recommendations), self.rule]
        lines += [
            f"{f.variant}{', ' * bool(f.variant)}{f.latent} units, seed {f.seed}: {f.error.partition(chr(10))[0]}"
            for f in self.failures
        ]
        return "\n".join(lines)


def recommend(sweep: Sweep, variant: str) -> Recommendation | None:
    """The size that `RULE` chooses; None where no network has an error.

    Where no size meets both conditions, the smallest whose error is good enough. It is settled unless that is so, or
    the largest size tried was needed while all its units are active: then a larger one may serve better.
    """
    sizes = [n for n in sweep.latents(variant) if sweep.mean(variant, n, "error").n]
    if not sizes:
        return None
    errors = {n: sweep.mean(variant, n, "error") for n in sizes}
    active = {n: sweep.mean(variant, n, "active").mean for n in sizes}
    best = min(sizes, key=lambda n: (errors[n].mean, n))
    slack = max(sweep.tolerance * abs(errors[best].mean), errors[best].error if errors[best].n > 1 else 0.0)
    good = [n for n in sizes if errors[n].mean <= errors[best].mean + slack]
    full = [n for n in good if all(active[m] <= active[n] + 1 for m in sizes if m > n)]
    chosen = (full or good)[0]
    last = sizes[-1]
    name = f"{variant}: " if variant else ""
    said = f"{name}{chosen} latent units"
    if not full:
        return Recommendation(
            variant, chosen, False, f"{said}, for the error alone: active units still grow beyond it, to "
            f"{active[last]:.3g} of {last}.",
        )  # fmt: skip
    if chosen == last and active[last] > last - 0.5:
        return Recommendation(
            variant,
            chosen,
            False,
            f"{said}, the largest size tried, all of them active: a larger one may serve better.",
        )
    beside = "the least error" if chosen == best else f"an error as good as the least, at {best}"
    return Recommendation(variant, chosen, True, f"{said}: {active[chosen]:.3g} of them active, and {beside}.")


def _with_error(s: Summary) -> str:
    if not s.n:
        return "–"
    return f"{s.mean:.3g}" + (f" ± {s.error:.1g}" if math.isfinite(s.error) else "")


def _plain(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else "–"


def words_of_variant(values: Mapping[str, Any]) -> str:
    """Such as 'loss.beta 4, loss.reconstruction mse', with the last part of each name."""
    return ", ".join(f"{name.rpartition('.')[2]} {value}" for name, value in values.items())


def sorted_runs(runs: Sequence[Run]) -> tuple[Run, ...]:
    """By variant in order of appearance, then size, then seed."""
    variants = list(dict.fromkeys(r.variant for r in runs))
    return tuple(sorted(runs, key=lambda r: (variants.index(r.variant), r.latent, r.seed)))
