"""How far maps hang on a method's settings: for each value of a field, what becomes of the maps, as numbers."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np

from seglens.core.comparison import two_digits
from seglens.core.errors import NameNotFoundError, suggest
from seglens.core.explanation import Explanation
from seglens.core.saving import as_json, finite, suffix_of, write_text
from seglens.viz.media.files import FIGURES, drawing, write_drawn
from seglens.viz.words import number, percent, plain

FORMATS = (*FIGURES, "csv", "json")
"""Suffixes that a sensitivity can be saved with."""

COMPARED = ("correlation", "overlap", "mean", "area")
"""What is measured of every map: the first two against the map of the default; see `Sensitivity`."""


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean over maps of one number: over the `defined` of `of` maps for which it is; NaN where there are none."""

    value: float
    defined: int
    of: int


@dataclass(frozen=True, slots=True)
class MapNumbers:
    """One map. image: its name; target: the question. numbers: by measure, NaN where undefined."""

    image: str
    target: str
    numbers: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setting:
    """The method with one value of one field, all else as it was given.

    field: its name; '' for the default, the method as it was given. value: as given; text: in words. maps: one for each
    image and target that came out. shown: the map of the first image and target, None where it did not come out.
    """

    field: str
    value: Any
    text: str
    maps: tuple[MapNumbers, ...] = ()
    shown: Explanation | None = None

    @property
    def name(self) -> str:
        """Such as 'size = 8'."""
        return f"{self.field} = {self.text}" if self.field else self.text

    def mean(self, measure: str) -> Mean:
        """Over the maps of this setting."""
        values = np.array([m.numbers.get(measure, np.nan) for m in self.maps], np.float64)
        known = values[np.isfinite(values)]
        return Mean(float(known.mean()) if known.size else float("nan"), int(known.size), len(values))


@dataclass(frozen=True, slots=True)
class SettingFailure:
    """An image that gave no map with a setting ('' for the default, without which it counts nowhere), and why."""

    image: str
    setting: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sensitivity:
    """What becomes of a method's maps where one of its fields has another value, the same images and targets asked.

    default: the method as it was given, which the others are compared to. settings: field by field, value by value, one
    field at a time. Of each map, of what speaks for the target, max(map, 0), the measures are
    correlation: Spearman's with the map of the default, in [−1, 1]. NaN where one is the same everywhere.
    overlap: of the pixels in the top share of the two maps (`top` of the picture, by value; what is not above 0 is in
    none), those in both over those in either, in [0, 1]. NaN where both have none.
    mean: over the picture, in `unit`; the mass of the map over its area.
    area: share of the picture that has at least half the map's greatest value, in [0, 1]. NaN for a map that is zero.
    Those of 'extras' are the single numbers that the method tells of each map.

    parameters: of the default. targets: the questions in words. images: names of those that came out with the default.
    total: how many images were asked about; with fewer, it is not finished. failures: what did not come out.
    """

    network: str
    method: str
    parameters: Mapping[str, Any]
    unit: str
    top: float
    targets: tuple[str, ...]
    images: tuple[str, ...]
    total: int
    default: Setting
    settings: tuple[Setting, ...]
    failures: tuple[SettingFailure, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that were varied, in order."""
        return tuple(dict.fromkeys(s.field for s in self.settings))

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of all that is measured: those of every map, then what the method tells."""
        told = dict.fromkeys(n for s in (self.default, *self.settings) for m in s.maps for n in m.numbers)
        return (*COMPARED, *(n for n in told if n not in COMPARED))

    def of(self, field: str) -> tuple[Setting, ...]:
        """The settings of one field. Raises NameNotFoundError."""
        if field not in self.fields:
            raise NameNotFoundError(
                f"{field!r} was not varied.{suggest(field, self.fields)}\n  There are: {', '.join(self.fields)}."
            )
        return tuple(s for s in self.settings if s.field == field)

    def table(self, field: str) -> list[list[str]]:
        """Rows of words: headings, 'default' with its value first; then for each measure its mean with each setting, in
        brackets over how many maps where it is not all of them, a dash where it is undefined for all; then how many
        maps there are."""
        columns = (self.default, *self.of(field))
        rows = [[field, f"default {self._own(field)}", *(s.text for s in columns[1:])]]
        rows += [[name, *(_cell(name, s.mean(name)) for s in columns)] for name in self.measures]
        return [*rows, ["maps", *(str(len(s.maps)) for s in columns)]]

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .png, .svg, .pdf show the maps of the first image and target; .csv has a line for each map,
        .json the means and every map. Raises NameNotFoundError for another suffix, MissingExtraError.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix in FIGURES:
            self._draw(path)
        else:
            write_text(self._lines() if suffix == "csv" else as_json(self.to_dict()) + "\n", path)
        return path

    def to_dict(self) -> dict[str, Any]:
        """All but the maps in plain form, stable for --json; NaN becomes None."""

        def told(s: Setting) -> dict[str, Any]:
            means = {name: s.mean(name) for name in self.measures}
            return {
                "field": s.field or None,
                "value": s.value if isinstance(s.value, bool | int | float | str | None) else s.text,
                "means": {n: {"value": m.value, "defined": m.defined, "of": m.of} for n, m in means.items()},
                "maps": [{"image": m.image, "target": m.target, **m.numbers} for m in s.maps],
            }

        return finite(
            {
                "network": self.network,
                "method": self.method,
                "parameters": dict(self.parameters),
                "unit": self.unit,
                "top": self.top,
                "targets": list(self.targets),
                "images": list(self.images),
                "total": self.total,
                "default": told(self.default),
                "settings": [told(s) for s in self.settings],
                "failures": [{"image": f.image, "setting": f.setting, "error": f.error} for f in self.failures],
                "provenance": dict(self.provenance),
            }
        )

    def _own(self, field: str) -> str:
        """The default's value of a field; '–' where the method works it out for each picture."""
        value = self.parameters.get(field)
        return "–" if value is None else plain(value)

    def _lines(self) -> str:
        """CSV, a line for each map; what is undefined is empty."""
        text = StringIO(newline="")
        writer = csv.DictWriter(text, ["field", "value", "image", "target", *self.measures])
        writer.writeheader()
        for s in (self.default, *self.settings):
            for m in s.maps:
                writer.writerow({"field": s.field, "value": s.text, "image": m.image, "target": m.target}
                                | finite(dict(m.numbers)))  # fmt: skip
        return text.getvalue()

    def _draw(self, path: Path) -> None:
        with drawing("drawing maps side by side"):
            from seglens.viz.sensitivity.figure import Panel, sensitivity_figure

        def panel(s: Setting, field: str) -> Panel:
            numbers = s.maps[0].numbers if s.maps and s.shown is not None else {}
            r, area = numbers.get("correlation", np.nan), numbers.get("area", np.nan)
            told = [f"correlation {two_digits(r)}"] if s.field and np.isfinite(r) else []
            told += [f"area {percent(area)}"] if np.isfinite(area) else []
            own = f"default ({field} = {self._own(field)})" if self.parameters.get(field) is not None else "default"
            return Panel(s.name if s.field else own, s.shown, ", ".join(told))

        rows = [(f, [panel(s, f) for s in (self.default, *self.of(f))]) for f in self.fields]
        write_drawn(sensitivity_figure(rows, self._facts()), path)

    def _facts(self) -> list[str]:
        given = ", ".join(f"{name} = {plain(value)}" for name, value in self.parameters.items())
        return [self.method, f"{self.targets[0]}", f"{self.images[0]}, {self.network}", given]

    def __str__(self) -> str:
        n, m = len(self.images), len(self.targets)
        lines = [f"{self.method} on {n} image{'s' * (n != 1)} and {m} target{'s' * (m != 1)}, {self.network}"]
        for f in self.fields:
            rows = self.table(f)
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines += ["", *("  ".join(_aligned(row, widths)).rstrip() for row in rows)]
        lines += [
            f"{f.image}{', ' * bool(f.setting)}{f.setting}: {f.error.partition(chr(10))[0]}" for f in self.failures
        ]
        return "\n".join(lines)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))]


def _cell(measure: str, mean: Mean) -> str:
    if not mean.defined:
        return "–"
    if measure in ("correlation", "overlap"):
        told = two_digits(mean.value)
    else:
        told = percent(mean.value) if measure == "area" else number(mean.value)
    return told if mean.defined == mean.of else f"{told} ({mean.defined})"
