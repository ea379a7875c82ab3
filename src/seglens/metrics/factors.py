"""Known factors of variation, such as a sprite's place and rotation: their kinds, classes, and differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ParameterError, ShapeError, suggest

Kind = Literal["ordered", "categorical", "circular"]

_CIRCULAR = ("rotation", "orientation", "angle", "azimuth", "hue", "direction")
_CATEGORICAL = ("shape", "class", "digit", "label", "kind", "type", "category", "identity", "style")
_MOST = 50  # values of a factor that is guessed to be categorical

SYMMETRY: Mapping[str, int] = {"square": 4, "rectangle": 2, "ellipse": 2, "triangle": 3, "heart": 1, "circle": 0}
"""By how many turns a full one is divided after which a shape looks the same; 0: by any."""

_Values = Annotated[NDArray[np.float64], "[N]"]


@dataclass(frozen=True, slots=True, eq=False)
class Factor:
    """One factor of N images.

    kind: 'ordered', by size; 'categorical', names without order; 'circular', an angle. values: [N]; NaN where the image
    has none. period: of an angle, in its own unit. turns: int [N], the symmetry of each image's shape: its angle has
    the period `period` / turns, and none at all where turns is 0. Images with different turns are looked at apart,
    since the same angle means different things for them.
    """

    name: str
    kind: Kind
    values: _Values
    period: float = 2 * math.pi
    turns: NDArray[np.intp] | None = None

    @property
    def known(self) -> NDArray[np.bool_]:
        """[N]: where the factor is defined."""
        there = np.isfinite(self.values)
        return there if self.kind != "circular" or self.turns is None else there & (self.turns > 0)

    @property
    def groups(self) -> list[NDArray[np.bool_]]:
        """Masks [N] of the images that are looked at together."""
        if self.kind != "circular" or self.turns is None:
            return [self.known]
        return [self.known & (self.turns == t) for t in np.unique(self.turns[self.known])]

    @property
    def phase(self) -> _Values:
        """Of an angle: where in its image's own period it lies, in [0, 1); NaN where undefined."""
        turns = np.ones(len(self.values)) if self.turns is None else self.turns.astype(np.float64)
        phase: NDArray[np.float64] = np.where(turns > 0, self.values * turns / self.period, np.nan)
        # An angle that is a whole period but for rounding is 0.
        phase = np.round(phase - np.floor(phase), 9)
        return np.where(phase == 1, 0.0, phase)

    @property
    def varies(self) -> bool:
        """Whether it has more than one value anywhere."""
        seen = self.phase if self.kind == "circular" else self.values
        return any(np.unique(seen[g]).size > 1 for g in self.groups)

    def classes(self, bins: int = 10) -> NDArray[np.intp]:
        """Labels [N] from 0, −1 where undefined: its own values where these are at most `bins` or categorical, else
        `bins` of equal frequency (an angle: of equal width)."""
        labels = np.full(len(self.values), -1, np.intp)
        inside = self.known
        seen = self.phase[inside] if self.kind == "circular" else self.values[inside]
        unique, places = np.unique(seen, return_inverse=True)
        if self.kind == "categorical" or unique.size <= bins:
            labels[inside] = places
        elif self.kind == "circular":
            labels[inside] = np.minimum((seen * bins).astype(np.intp), bins - 1)
        else:
            labels[inside] = equal_frequency(seen, bins)
        return labels

    def targets(self) -> NDArray[np.float64]:
        """What a regression predicts of it, [N k]: its value; for an angle cosine and sine of its phase; for categories
        a column each."""
        if self.kind == "circular":
            turn = 2 * math.pi * self.phase
            return np.stack([np.cos(turn), np.sin(turn)], 1)
        if self.kind == "categorical":
            return (self.values[:, None] == np.unique(self.values[self.known])).astype(np.float64)
        return self.values[:, None]

    def difference(self, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far rows a and b [M k] of `targets` are apart, [M]: |Δ| of a value; half the length of the chord of
        angles, in [0, 1]; half the summed difference of the shares of categories, in [0, 1]."""
        if self.kind == "circular":
            return np.linalg.norm(a - b, axis=1) / 2
        size = np.abs(a - b)
        return size.sum(1) / 2 if self.kind == "categorical" else size[:, 0]

    def taken(self, where: NDArray[np.intp] | NDArray[np.bool_]) -> "Factor":
        """The same of some of the images."""
        turns = None if self.turns is None else self.turns[where]
        return Factor(self.name, self.kind, self.values[where], self.period, turns)


def factors_of(
    names: Sequence[str],
    values: NDArray[np.floating],
    *,
    kinds: Mapping[str, Kind] | None = None,
    symmetry: Sequence[int] | None = None,
) -> list[Factor]:
    """Factors of N images from their values [N F].

    kinds: of some of them by name. The others are told by their names: 'rotation', 'orientation', 'angle', 'azimuth',
    'hue', 'direction' are angles (in degrees where any is beyond 2π, else in
    radians; a hue within 1 in turns); 'shape', 'class', 'digit' and the
    like are categories if they are whole numbers; all else is ordered.
    symmetry: the turns of each shape, by the value of the factor 'shape', for the angles: see `Factor.turns`.
    Raises ShapeError, ParameterError for a name or a kind that is none.
    """
    if values.ndim != 2 or values.shape[1] != len(names):
        raise ShapeError(
            f"values of {len(names)} factors are [N {len(names)}], not {list(values.shape)}.", values.shape
        )
    stated: Mapping[str, Kind] = kinds or {}
    for name, given in stated.items():
        if name not in names:
            raise ParameterError(f"no factor {name!r}.{suggest(name, names)}\n  All of them: {', '.join(names)}.")
        if given not in ("ordered", "categorical", "circular"):
            raise ParameterError(f"{name}: a factor is 'ordered', 'categorical' or 'circular', not {given!r}.")
    columns = values.astype(np.float64)
    turns: NDArray[np.intp] | None = None
    if symmetry is not None and "shape" in names:
        shape = columns[:, list(names).index("shape")]
        if np.nanmax(shape, initial=0) >= len(symmetry) or np.nanmin(shape, initial=0) < 0:
            raise ParameterError(f"symmetry names {len(symmetry)} shapes, but there are others among the images.")
        turns = np.asarray(symmetry, np.intp)[np.nan_to_num(shape).astype(np.intp)]
    found: list[Factor] = []
    for i, name in enumerate(names):
        column = columns[:, i]
        kind = stated[name] if name in stated else _guess(name, column)
        if kind == "circular":
            greatest = float(np.nanmax(np.abs(column), initial=0))
            period = 2 * math.pi if greatest <= 2 * math.pi + 1e-6 else 360.0
            period = 1.0 if "hue" in name.casefold() and greatest <= 1 else period
            found.append(Factor(name, kind, column, period, turns))
        else:
            found.append(Factor(name, kind, column))
    return found


def equal_frequency(values: NDArray[np.floating], bins: int) -> NDArray[np.intp]:
    """Labels [N] in 0..bins−1 by rank, so that bins are as full as ties allow; equal values share a label."""
    order = np.sort(values)
    # The rank of the middle of each run of equal values.
    low, high = np.searchsorted(order, values, "left"), np.searchsorted(order, values, "right")
    return np.minimum((low + high) * bins // (2 * len(values)), bins - 1).astype(np.intp)


def _guess(name: str, column: _Values) -> Kind:
    words = name.casefold().replace("-", "_").split("_")
    if any(w in _CIRCULAR for w in words):
        return "circular"
    known = column[np.isfinite(column)]
    whole = bool((known == np.round(known)).all()) and np.unique(known).size <= _MOST
    return "categorical" if whole and any(w in _CATEGORICAL for w in words) else "ordered"
