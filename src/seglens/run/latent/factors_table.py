"""What latent_factors finds: for each unit the factor that it follows, and measures of entanglement."""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.saving import as_json, finite, suffix_of, write_text
from seglens.metrics.disentanglement import DCI
from seglens.run.latent.statistics_table import aligned
from seglens.viz.media.files import FIGURES, drawing, write_drawn

FORMATS = (*FIGURES, "csv", "json")
"""Suffixes that factors can be saved with."""

EQUALLY, ALSO = 0.8, 0.25
"""Shares of the information about its factor from which a unit follows another one as well, or somewhat."""

_Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Following:
    """What a unit follows: the factor of which it tells most, None for a dead unit and one that tells of none.

    information: share of the factor's entropy. association: correlation by the factor's kind. moved: how far moving the
    unit moves the factor in decoded pictures, 1 as far as between any two pictures of the set; NaN where it was not
    tried. moves: the factor that it moves most. equally: others of which it tells nearly as much, four fifths or more;
    also: those of which it tells a quarter or more.
    """

    unit: int
    factor: str | None
    information: float
    association: float
    moved: float
    moves: str | None
    equally: tuple[str, ...]
    also: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LatentFactors:
    """Units [d] of an autoencoder against factors [F] that are known. NaN where undefined.

    information: [d F], I(z; v) / H(v), in [0, 1]; chance: [F], what shuffled pictures reach. association: [d F],
    Spearman's for ordered factors, else a correlation in [0, 1]. mig, gaps: mutual information gap, in [0, 1], and
    that of each factor. modularity, unit_modularity: likewise. dci: None where it was not asked for. moved: [d F], None
    where it was not tried, see `Following`; unread: [F], how far readings of real pictures are off, in the same
    measure: what is not above it may be noise of the reading. active: units whose mean varies.
    """

    network: str
    data: str
    images: int
    factors: tuple[str, ...]
    kinds: tuple[str, ...]
    active: tuple[int, ...]
    information: _Doubles
    chance: _Doubles
    association: _Doubles
    mig: float
    gaps: _Doubles
    modularity: float
    unit_modularity: _Doubles
    dci: DCI | None = None
    moved: _Doubles | None = None
    unread: _Doubles | None = None
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def dead(self) -> tuple[int, ...]:
        """Units whose mean does not vary."""
        return tuple(i for i in range(len(self.information)) if i not in self.active)

    @property
    def follows(self) -> tuple[Following, ...]:
        """Of each unit, in order."""
        return tuple(self._following(i) for i in range(len(self.information)))

    @property
    def untold(self) -> tuple[str, ...]:
        """Factors that vary, and of which no unit tells more than chance."""
        columns = zip(self.factors, self.information.T, self.chance, strict=True)
        return tuple(name for name, told, chance in columns if np.isfinite(told).all() and told.max() <= chance)

    def _following(self, i: int) -> Following:
        told = np.where(self.information[i] > self.chance, self.information[i], 0.0)
        told = np.nan_to_num(told)
        moves = None
        if self.moved is not None and np.isfinite(self.moved[i]).any() and i in self.active:
            moves = self.factors[int(np.nanargmax(self.moved[i]))]
        if i not in self.active or not told.any():
            return Following(i, None, 0.0, math.nan, math.nan, moves, (), ())
        k = int(told.argmax())
        rest = [(told[j], name) for j, name in enumerate(self.factors) if j != k and told[j] >= ALSO * told[k]]
        rest.sort(reverse=True)
        return Following(
            unit=i,
            factor=self.factors[k],
            information=float(told[k]),
            association=float(self.association[i, k]),
            moved=math.nan if self.moved is None else float(self.moved[i, k]),
            moves=moves,
            equally=tuple(name for share, name in rest if share >= EQUALLY * told[k]),
            also=tuple(name for share, name in rest if share < EQUALLY * told[k]),
        )

    def table(self) -> list[list[str]]:
        """Rows of words, for active units: unit, the factor that it follows, share of its entropy, correlation, how far
        it moves it, what it moves most, and what it follows besides. By information."""
        rows = [["unit", "follows", "of entropy", "correlation", "moves it", "moves most", "also"]]
        for f in sorted(self.follows, key=lambda f: (-f.information, f.unit)):
            if f.unit in self.active:
                told = f"{100 * f.information:.0f} %" if f.factor else "–"
                row = [
                    str(f.unit),
                    " + ".join((f.factor, *f.equally)) if f.factor else "none",
                    told,
                    _two(f.association),
                    _two(f.moved),
                ]
                rows.append([*row, f.moves or "–", ", ".join(f.also) or "–"])
        return rows

    def scores(self) -> list[tuple[str, float]]:
        """Names and values of the measures of entanglement."""
        found = [("MIG", self.mig), ("modularity", self.modularity)]
        if self.dci is not None:
            found += [
                ("disentanglement (DCI)", self.dci.disentanglement),
                ("completeness (DCI)", self.dci.completeness),
                ("informativeness (DCI)", _mean(self.dci.informativeness)),
            ]
        return found

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .csv a line for each unit and factor, .json everything, .png, .svg, .pdf the matrices.

        Raises NameNotFoundError for another suffix, MissingExtraError.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix in FIGURES:
            self._draw(path)
        else:
            write_text(self._lines() if suffix == "csv" else as_json(self.to_dict()) + "\n", path)
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; NaN becomes None."""
        d = self.dci
        return finite(
            {
                "network": self.network,
                "data": self.data,
                "images": self.images,
                "factors": [{"name": n, "kind": k} for n, k in zip(self.factors, self.kinds, strict=True)],
                "active": list(self.active),
                "dead": list(self.dead),
                "untold": list(self.untold),
                "scores": {
                    "mig": self.mig,
                    "modularity": self.modularity,
                    "disentanglement": None if d is None else d.disentanglement,
                    "completeness": None if d is None else d.completeness,
                    "informativeness": None if d is None else _mean(d.informativeness),
                },
                "units": [
                    {
                        "unit": f.unit,
                        "active": f.unit in self.active,
                        "follows": f.factor,
                        "information": f.information,
                        "association": f.association,
                        "moved": f.moved,
                        "moves": f.moves,
                        "equally": list(f.equally),
                        "also": list(f.also),
                    }
                    for f in self.follows
                ],
                "information": self.information.tolist(),
                "chance": self.chance.tolist(),
                "association": self.association.tolist(),
                "moved": None if self.moved is None else self.moved.tolist(),
                "unread": None if self.unread is None else self.unread.tolist(),
                "gaps": self.gaps.tolist(),
                "importance": None if d is None else d.importance.tolist(),
                "informativeness": None if d is None else d.informativeness.tolist(),
                "provenance": dict(self.provenance),
            }
        )

    def _lines(self) -> str:
        text = StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(["unit", "active", "factor", "information", "chance", "association", "moved"])
        for i in range(len(self.information)):
            for k, name in enumerate(self.factors):
                moved = math.nan if self.moved is None else float(self.moved[i, k])
                numbers = [self.information[i, k], self.chance[k], self.association[i, k], moved]
                writer.writerow([i, i in self.active, name, *finite([float(v) for v in numbers])])
        return text.getvalue()

    def _draw(self, path: Path) -> None:
        with drawing("drawing units and factors"):
            from seglens.viz.latent.units import matrix_figure
        panels = [
            ("Tells", "share of the factor's entropy", self.information),
            ("Goes with", "correlation; rank correlation of ordered factors", self.association),
        ]
        if self.moved is not None:
            panels.append(("Moves", "in decoded pictures; 1: as between any two pictures", self.moved))
        rows = [f"unit {i}{'' if i in self.active else ', dead'}" for i in range(len(self.information))]
        said = ", ".join(f"{name} {_two(value)}" for name, value in self.scores())
        facts = [self.network, self.data]
        write_drawn(matrix_figure("Units and factors", facts, rows, self.factors, panels, [said, *self.notes]), path)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers do not say by themselves."""
        said: list[str] = []
        if self.untold:
            said.append(f"No unit tells of {', '.join(self.untold)}.")
        if self.unread is not None:
            off = [f"{name} {_two(float(v))}" for name, v in zip(self.factors, self.unread, strict=True)]
            said.append(f"Readings of real pictures are off by: {', '.join(off)}.")
        return tuple(said)

    def __str__(self) -> str:
        head = f"{self.network}, {self.data}: {len(self.active)} of {len(self.information)} units active"
        dead = [f"Dead: {', '.join(map(str, self.dead))}"] if self.dead else []
        return "\n".join([head, *dead, "", *aligned(self.table()), "", *self.told(), *self.notes])

    def told(self) -> list[str]:
        """The measures of entanglement in lines of words."""
        scores = [f"{name.removesuffix(' (DCI)')} {_two(value)}" for name, value in self.scores()]
        return [", ".join(scores[:2]), *([f"DCI: {', '.join(scores[2:])}"] if scores[2:] else [])]


def _two(value: float) -> str:
    return f"{value:.2f}".replace("-", "−") if math.isfinite(value) else "–"


def _mean(values: _Doubles) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan
