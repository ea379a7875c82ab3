"""The rows of the benchmark's tables: means over networks with intervals, and what was left out of them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.run.bench.plan import Kind
from seglens.run.bench.records import Record, Scores
from seglens.run.bench.statistics import Interval, mean_known


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One method on the networks of one kind, biased towards one digit or (None) towards any.

    cbl: over the networks that took up the bias; cbl_all: over all of them. cbd: of the biased class; cbd_others: of
    the other classes, of twins of the class known by the texture's absence; cbd_fair: of the same classes in unbiased
    networks. …_pixels: pixel by pixel, not on cells. networks: on which the method gave maps; failed: on which not;
    took_up: of the former, those that took up the bias. pictures: of the biased class, explained; missed: of it,
    predicted nowhere; empty: explained with nothing in the context, which have no CBL. dead: masks of any class of
    which the method says that their search failed. seconds, passes: per picture, of any class; median_steps: masks
    tried for a picture, the median.
    """

    kind: Kind
    digit: int | None
    method: str
    cbl: Interval
    cbl_all: Interval
    cbl_pixels: Interval
    cbd: Interval
    cbd_others: Interval
    cbd_fair: Interval
    cbd_pixels: Interval
    networks: int
    took_up: int
    failed: int
    pictures: int
    missed: int
    empty: int
    dead: int
    seconds: float
    passes: float
    median_steps: float

    def to_dict(self) -> dict[str, Any]:
        """Plain form."""
        return asdict(self)

    def flat(self) -> dict[str, Any]:
        """One line of a table: each interval as name, name_low, name_high and name_n."""
        line: dict[str, Any] = {}
        for f in fields(self):
            value = getattr(self, f.name)
            if not isinstance(value, Interval):
                line[f.name] = "all" if f.name == "digit" and value is None else value
                continue
            line |= {f.name: value.mean, f"{f.name}_low": value.low, f"{f.name}_high": value.high}
            line[f"{f.name}_n"] = value.n
        return line


@dataclass(frozen=True, slots=True, kw_only=True)
class Uptake:
    """How networks of one kind, biased towards one digit or (None) any, do on unbiased pictures.

    before, after: IoU of the biased class (see `Record`). own: the same on pictures like those they were trained on.
    other: of twins, the IoU there of the class known by the texture's absence. took_up: networks of which it fell by
    `statistics.DROP` or more.
    """

    kind: Kind
    digit: int | None
    networks: int
    took_up: int
    own: Interval
    other: Interval
    before: Interval
    after: Interval


def row(kind: Kind, digit: int | None, method: str, records: Sequence[Record]) -> Row:
    """One method over all records of a kind and digit. records: of all kinds."""
    mine = chosen(records, kind, digit)
    given = [r for r in mine if method in r.scores]
    fair = [r.scores[method] for r in records if r.part.kind == "unbiased" and method in r.scores]
    digits = sorted({d for r in mine if (d := r.part.digit) is not None})
    told = [r.told[method] for r in given]

    def over(value: Callable[[Record, Scores], float], some: Iterable[Record] = given) -> Interval:
        return Interval.over(value(r, r.scores[method]) for r in some)

    gated = [r for r in given if r.took_up]
    return Row(
        kind=kind,
        digit=digit,
        method=method,
        cbl=over(lambda _, s: s.cbl, gated),
        cbl_all=over(lambda _, s: s.cbl),
        cbl_pixels=over(lambda _, s: s.cbl_pixels, gated),
        cbd=over(lambda r, s: s.cbd[_digit(r)]),
        cbd_others=over(lambda r, s: mean_known(np.delete(s.cbd, _digit(r)))),
        cbd_fair=Interval.over(mean_known(s.cbd[digits]) for s in fair),
        cbd_pixels=over(lambda r, s: s.cbd_pixels[_digit(r)]),
        networks=len(given),
        took_up=len(gated),
        failed=len(mine) - len(given),
        pictures=sum(r.scores[method].pictures for r in given),
        missed=sum(int(r.missed[_digit(r)]) for r in mine),
        empty=sum(r.scores[method].empty for r in given),
        dead=sum(t.dead for t in told),
        seconds=mean_known(t.seconds for t in told),
        passes=mean_known(t.passes for t in told),
        median_steps=_median([t.measures.steps for t in told if t.measures is not None]),
    )


def uptake(kind: Kind, digit: int | None, records: Sequence[Record]) -> Uptake:
    """How the networks of a kind and digit do. records: of all kinds."""
    mine = chosen(records, kind, digit)
    others = [float(r.own[other]) for r in mine if (other := getattr(r.part.plant, "other", None)) is not None]
    return Uptake(
        kind=kind,
        digit=digit,
        networks=len(mine),
        took_up=sum(r.took_up for r in mine),
        own=Interval.over(r.own[_digit(r)] for r in mine),
        other=Interval.over(others),
        before=Interval.over(r.before for r in mine),
        after=Interval.over(r.after for r in mine),
    )


def matrix(
    records: Sequence[Record], kind: Kind, digits: Sequence[int], of: Callable[[Record], NDArray[np.float64] | None]
) -> NDArray[np.float64]:
    """[1 + D 10], figure 4's heat maps: the first row of unbiased networks, then of those biased towards each digit.

    of: values [10] by class of a record, None where it has none. Each cell is a mean over networks, NaN for none.
    """
    lines = [[r for r in records if r.part.kind == "unbiased"], *(chosen(records, kind, d) for d in digits)]
    found = np.full((len(lines), 10), np.nan)
    for i, some in enumerate(lines):
        values = [v for r in some if (v := of(r)) is not None]
        if values:
            found[i] = [mean_known(np.stack(values)[:, c]) for c in range(10)]
    return found


def chosen(records: Sequence[Record], kind: Kind, digit: int | None) -> list[Record]:
    """The records of a kind and digit; None for any."""
    return [r for r in records if r.part.kind == kind and digit in (None, r.part.digit)]


def _median(parts: Sequence[NDArray[np.float64]]) -> float:
    """Of all values that are not NaN; NaN of none."""
    known = np.concatenate([np.zeros(0), *(p[np.isfinite(p)] for p in parts)])
    return float(np.median(known)) if len(known) else float("nan")


def _digit(record: Record) -> int:
    digit = record.part.digit
    if digit is None:
        raise ValueError("an unbiased network has no biased class")
    return digit
