"""A table of trained networks: rows of several seeds each, means with their spread, and differences seed by seed."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from seglens.core.errors import ParameterError
from seglens.core.saving import as_json, suffix_of, write_text

FORMS = ("csv", "json", "md")


@dataclass(frozen=True, slots=True)
class Run:
    """One trained network: the row that it belongs to, its seed, its scores by name, and facts about its making."""

    row: str
    seed: int
    scores: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean of n networks and the standard deviation between them (n − 1); NaN where fewer than two."""

    mean: float
    deviation: float
    n: int

    @classmethod
    def over(cls, values: Sequence[float]) -> "Spread":
        """What is NaN is left out, and not among the n."""
        known = np.array([v for v in values if np.isfinite(v)], np.float64)
        if not len(known):
            return cls(np.nan, np.nan, 0)
        return cls(float(known.mean()), float(known.std(ddof=1)) if len(known) > 1 else float("nan"), len(known))

    def text(self, digits: int = 3) -> str:
        """As '0.912 ± 0.004'; '–' where undefined."""
        if not self.n:
            return "–"
        spread = f" ± {self.deviation:.{digits}f}" if np.isfinite(self.deviation) else ""
        return f"{self.mean:.{digits}f}{spread}"


@dataclass(frozen=True, slots=True)
class Lead:
    """How far one row is ahead of another in one score, seed by seed.

    mean: of the differences. ahead: seeds in which the first is the better one. n: seeds that both have.
    """

    mean: float
    deviation: float
    ahead: int
    n: int

    def text(self, digits: int = 3) -> str:
        """As '+0.012 ± 0.003 (5 of 5)'; '–' without a common seed."""
        if not self.n:
            return "–"
        spread = f" ± {self.deviation:.{digits}f}" if np.isfinite(self.deviation) else ""
        return f"{self.mean:+.{digits}f}{spread} ({self.ahead} of {self.n})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What many networks scored. title, about: what was compared, on what. columns: scores to show, in order.

    lower: the columns in which less is better.
    """

    title: str
    about: str
    columns: tuple[str, ...]
    runs: tuple[Run, ...]
    lower: frozenset[str] = frozenset()

    @property
    def rows(self) -> tuple[str, ...]:
        """Names of the rows in the order in which they come."""
        return tuple(dict.fromkeys(run.row for run in self.runs))

    def values(self, row: str, column: str) -> dict[int, float]:
        """The score of each seed; NaN where the network has none."""
        return {run.seed: run.scores.get(column, float("nan")) for run in self.runs if run.row == row}

    def spread(self, row: str, column: str) -> Spread:
        """Mean and deviation over the seeds."""
        return Spread.over(list(self.values(row, column).values()))

    def lead(self, row: str, over: str, column: str, over_column: str | None = None) -> Lead:
        """How far `row` is ahead of `over`, over the seeds that both have; the sign says which is better."""
        mine, theirs = self.values(row, column), self.values(over, over_column or column)
        sign = -1.0 if column in self.lower else 1.0
        differences = [sign * (mine[s] - theirs[s]) for s in mine if s in theirs]
        spread = Spread.over(differences)
        ahead = sum(d > 0 for d in differences if np.isfinite(d))
        return Lead(spread.mean, spread.deviation, ahead, spread.n)

    def to_dict(self) -> dict[str, Any]:
        """Plain form."""
        return {
            "title": self.title,
            "about": self.about,
            "columns": list(self.columns),
            "lower_is_better": sorted(self.lower),
            "rows": [
                {
                    "row": row,
                    **{
                        c: {"mean": s.mean, "deviation": s.deviation, "n": s.n}
                        for c in self.columns
                        for s in [self.spread(row, c)]
                    },
                }
                for row in self.rows
            ],
            "runs": [
                {"row": r.row, "seed": r.seed, "scores": dict(r.scores), "facts": dict(r.facts)} for r in self.runs
            ],
        }

    def to_csv(self) -> str:
        """One line a network, every score and fact of it."""
        scores = list(dict.fromkeys(name for run in self.runs for name in run.scores))
        facts = list(dict.fromkeys(name for run in self.runs for name in run.facts))
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["row", "seed", *scores, *facts])
        for run in self.runs:
            numbers = [f"{run.scores[s]:.6g}" if s in run.scores else "" for s in scores]
            writer.writerow([run.row, run.seed, *numbers, *(run.facts.get(f, "") for f in facts)])
        return text.getvalue()

    def to_markdown(self, digits: int = 3) -> str:
        """Means with deviations as a table."""
        lines = ["| " + " | ".join(["", *self.columns, "n"]) + " |", "|---" * (len(self.columns) + 2) + "|"]
        for row in self.rows:
            spreads = [self.spread(row, c) for c in self.columns]
            cells = [s.text(digits) for s in spreads]
            lines.append("| " + " | ".join([row, *cells, str(max(s.n for s in spreads))]) + " |")
        return "\n".join(lines) + "\n"

    def save(self, path: str | Path) -> Path:
        """Write as .csv (one line a network), .json (everything) or .md (means). Raises NameNotFoundError."""
        path = Path(path)
        suffix = suffix_of(path, FORMS)
        text = {"csv": self.to_csv, "md": self.to_markdown, "json": lambda: as_json(self.to_dict())}[suffix]()
        write_text(text, path)
        return path

    def __post_init__(self) -> None:
        seen: set[tuple[str, int]] = set()
        for run in self.runs:
            if (run.row, run.seed) in seen:
                raise ParameterError(f"the row {run.row!r} has two networks of seed {run.seed}.")
            seen.add((run.row, run.seed))
