"""What latent_statistics finds: a line for each unit, ranked by what it tells."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from seglens.core.saving import as_json, finite, suffix_of, write_text
from seglens.viz.media.files import FIGURES, drawing, write_drawn

FORMATS = (*FIGURES, "csv", "json")
"""Suffixes that statistics can be saved with."""

_HEADS = ("unit", "KL", "Var μ", "information", "at most", "sensitivity", "attention", "others")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitStatistics:
    """One latent unit; NaN where undefined.

    kl: nats. variance: of μ over the images; active: whether it is above 0.01, None for one image.
    information, information_upper: estimates in nats of I(x; z), expected below and above it; information_error:
    standard error of the first. sensitivity: of the decoder, RMS of ∂x̂/∂z. consistency, consistency_others: mean
    correlation of the unit's attention with its own on other images, and with that of other units; consistency_error:
    of the difference. maps: on how many images it attends to anything.
    """

    unit: int
    kl: float
    variance: float
    information: float
    information_upper: float
    information_error: float
    sensitivity: float
    consistency: float
    consistency_others: float
    consistency_error: float
    maps: int
    active: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentStatistics:
    """All units of an autoencoder, in order. images: how many pictures; data: which. most: log of their number in nats,
    which no `information` passes. produces: 'image' or 'masks', what sensitivity is in. attention, layer: the method,
    '' where none was asked for, and the layer it read."""

    network: str
    data: str
    images: int
    units: tuple[UnitStatistics, ...]
    most: float
    produces: str
    attention: str = ""
    layer: str | None = None
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def ranked(self) -> tuple[UnitStatistics, ...]:
        """The units by what they tell of the picture: information, in hundredths of a nat, then KL."""
        return tuple(sorted(self.units, key=lambda u: (-round(_or(u.information), 2), -_or(u.kl), u.unit)))

    @property
    def active(self) -> tuple[int, ...]:
        """Numbers of the units whose mean varies with the picture."""
        return tuple(u.unit for u in self.units if u.active)

    @property
    def dead(self) -> tuple[int, ...]:
        """Numbers of the units whose mean does not."""
        return tuple(u.unit for u in self.units if u.active is False)

    @property
    def kl(self) -> float:
        """KL of all units together, nats a picture."""
        return math.fsum(u.kl for u in self.units)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers do not say by themselves."""
        said: list[str] = []
        full = [str(u.unit) for u in self.units if u.information > 0.9 * self.most]
        if full:
            said.append(
                f"Information of unit {', '.join(full)} is near log {self.images} = {self.most:.2f}, the most that can "
                "be told from so many pictures: it may be more."
            )
        greatest = max((u.sensitivity for u in self.units), default=0.0)
        used = [str(u.unit) for u in self.units if u.active is False and u.sensitivity > 0.1 * greatest]
        if used:
            said.append(f"The decoder hears unit {', '.join(used)}, though the encoder never moves it.")
        deaf = [str(u.unit) for u in self.units if u.active and u.sensitivity < 0.01 * greatest]
        if deaf:
            said.append(f"The encoder moves unit {', '.join(deaf)}, but the decoder hardly hears it.")
        return tuple(said)

    def table(self) -> list[list[str]]:
        """Rows of words, the units ranked: headings, then unit, KL, Var μ, information with its standard error, its
        upper estimate, sensitivity, consistency of attention with its standard error, and that of other units."""
        rows: list[list[str]] = [[*_HEADS] if self.attention else [*_HEADS[:6]]]
        for u in self.ranked:
            row = [
                f"{u.unit}{' dead' if u.active is False else ''}",
                _number(u.kl),
                _number(u.variance),
                f"{_number(u.information)} ± {u.information_error:.2f}" if math.isfinite(u.information) else "–",
                _number(u.information_upper),
                f"{u.sensitivity:.2g}",
            ]
            if self.attention:
                error = f" ± {u.consistency_error:.2f}" if math.isfinite(u.consistency_error) else ""
                row += [f"{u.consistency:.2f}{error}" if math.isfinite(u.consistency) else "–"]
                row += [f"{u.consistency_others:.2f}" if math.isfinite(u.consistency_others) else "–"]
            rows.append([cell.replace("-", "−") for cell in row])
        return rows

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .csv and .json every number, .png, .svg, .pdf bars. Raises NameNotFoundError for another
        suffix, MissingExtraError."""
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix in FIGURES:
            with drawing("drawing latent statistics"):
                from seglens.viz.latent.units import units_figure
            write_drawn(units_figure(*self._drawn()), path)
        else:
            write_text(self._lines() if suffix == "csv" else as_json(self.to_dict()) + "\n", path)
        return path

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; NaN becomes None."""
        return finite(
            {
                "network": self.network,
                "data": self.data,
                "images": self.images,
                "latent": len(self.units),
                "active": list(self.active),
                "dead": list(self.dead),
                "kl": self.kl,
                "most": self.most,
                "produces": self.produces,
                "attention": self.attention or None,
                "layer": self.layer,
                "ranked": [u.unit for u in self.ranked],
                "units": [asdict(u) for u in self.units],
                "notes": list(self.notes),
                "provenance": dict(self.provenance),
            }
        )

    def _lines(self) -> str:
        text = StringIO(newline="")
        writer = csv.DictWriter(text, list(UnitStatistics.__dataclass_fields__))
        writer.writeheader()
        writer.writerows(finite(asdict(u)) for u in self.units)
        return text.getvalue()

    def _drawn(self) -> tuple[str, list[str], list[str], list[tuple[str, str, list[float], list[float]]], list[str]]:
        """What the figure shows: title, facts, names of units, and columns of bars with their errors."""
        ranked = self.ranked
        none = [math.nan] * len(ranked)
        pixels = "RMS of ∂x̂/∂z, pixel values" if self.produces == "image" else "RMS of ∂p/∂z, probabilities"
        columns = [
            ("information", "nats, ± standard error", [u.information for u in ranked],
             [u.information_error for u in ranked]),
            ("KL", "nats", [u.kl for u in ranked], none),
            ("sensitivity", pixels, [u.sensitivity for u in ranked], none),
        ]  # fmt: skip
        if self.attention:
            excess = [u.consistency - u.consistency_others for u in ranked]
            columns.append(("attention", "own less others' correlation", excess, [u.consistency_error for u in ranked]))
        names = [f"unit {u.unit}{', dead' if u.active is False else ''}" for u in ranked]
        facts = [self.network, self.data, f"{len(self.active)} of {len(self.units)} units active"]
        return "Which latent units matter", facts, names, columns, list(self.notes)

    def __str__(self) -> str:
        lines = [f"{self.network}, {self.data}: {len(self.active)} of {len(self.units)} units active"]
        if self.dead:
            lines.append(f"Dead: {', '.join(map(str, self.dead))}")
        return "\n".join([*lines, "", *aligned(self.table()), *self.notes])


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words in columns, the first to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _number(value: float) -> str:
    """Two decimals, a dash where undefined; a little is not written as nothing."""
    if not math.isfinite(value):
        return "–"
    return "<0.01" if 0 < value < 0.005 else f"{value:.2f}".replace("-0.00", "0.00")


def _or(value: float) -> float:
    return value if math.isfinite(value) else 0.0
