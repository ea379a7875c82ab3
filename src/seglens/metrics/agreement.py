"""Agreement of maps: rank correlations against chance, the consensus, and the places where maps part."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seglens.core.comparison import LEVEL, Agreement, Contested
from seglens.core.errors import ParameterError, ShapeError, missing_extra
from seglens.core.masks import components

HIGH, LOW = 0.9, 0.5
"""Ranks of a contested place: in some method's top tenth, and in another's lower half, where all zeros of a map lie."""

Values = NDArray[np.floating]
_Doubles = NDArray[np.float64]


def ranks(values: Values, where: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """Rank of each value among those in `where`, in [0, 1], ties averaged; NaN elsewhere. Any shape.

    (r − 1) / (n − 1) for the r-th of n. All NaN for a constant map, which has no ranks, and for n = 1. Needs scipy.
    """
    try:
        from scipy.stats import rankdata
    except ImportError as absent:
        raise missing_extra("scipy", "image", "ranking maps") from absent
    where = np.isfinite(values) if where is None else where
    out = np.full(values.shape, np.nan)
    inside = values[where]
    if inside.size > 1 and inside.min() < inside.max():
        out[where] = (rankdata(inside) - 1) / (inside.size - 1)
    return out


def shifted(
    a: Values, b: Values, where: NDArray[np.bool_] | None = None, given: Values | None = None
) -> NDArray[np.float64]:
    """Pearson's correlation of a, shifted, with b, for every toroidal shift of the grid: [*grid], [0, …, 0] in place.

    Of ranks it is Spearman's. `where`: the pixels that count; a shift is judged on those that count before and after,
    and is NaN where they are fewer than half. `given`: partial correlation, this map held fixed:
    (r_ab − r_ag r_bg) / √((1 − r_ag²)(1 − r_bg²)). NaN where undefined. By Fourier transforms: all N shifts cost
    O(N log N), so no shift need be drawn at random.
    """
    inside = np.ones(a.shape, bool) if where is None else where
    if not inside.any():
        return np.full(a.shape, np.nan)
    if not inside.all():
        # What lies around the pixels that count would only lengthen the way of a shift.
        box = tuple(slice(int(i.min()), int(i.max()) + 1) for i in np.nonzero(inside))
        if inside[box].shape != inside.shape:
            return shifted(a[box], b[box], inside[box], None if given is None else given[box])
    lead = _Overlap(inside)
    moved, still = lead.centred(a), [lead.centred(b)] + ([] if given is None else [lead.centred(given)])
    r = lead.correlation(moved, still[0])
    if given is not None:
        r_mg = lead.correlation(moved, still[1])
        r_sg = lead.standing(still[0], still[1])
        rest = (1 - r_mg**2) * (1 - r_sg**2)
        r = np.where(rest > 1e-9, (r - r_mg * r_sg) / np.sqrt(np.maximum(rest, 1e-9)), np.nan)
    return r


class _Overlap:
    """Moments over the pixels that count both before and after each shift."""

    def __init__(self, inside: NDArray[np.bool_]) -> None:
        self._inside = inside
        self._full = bool(inside.all())
        self._w = inside.astype(np.float64)
        self._n = np.full((), inside.sum()) if self._full else np.rint(self._over(self._w, self._w))
        self._enough = self._n >= inside.sum() / 2

    def centred(self, values: Values) -> _Doubles:
        """Mean 0 and 0 outside, so that the sums below keep their digits."""
        inside = np.where(self._inside, values, 0.0).astype(np.float64)
        return np.where(self._inside, inside - inside.sum() / self._w.sum(), 0.0)

    def correlation(self, moved: _Doubles, still: _Doubles) -> _Doubles:
        """Of `moved`, shifted, with `still`."""
        w = self._w
        if self._full:
            sums = 0.0, (moved**2).sum(), 0.0, (still**2).sum()
        else:
            sums = self._over(moved, w), self._over(moved**2, w), self._over(w, still), self._over(w, still**2)
        return self._pearson(self._over(moved, still), *sums)

    def standing(self, a: _Doubles, b: _Doubles) -> _Doubles:
        """Of two maps that both stay, over the pixels that each shift of the third leaves."""
        w = self._w
        if self._full:
            return self._pearson(np.asarray((a * b).sum()), 0.0, (a**2).sum(), 0.0, (b**2).sum())
        return self._pearson(*(self._over(w, v) for v in (a * b, a, a**2, b, b**2)))

    def _pearson(
        self, ab: _Doubles, a: _Doubles | float, aa: _Doubles | float, b: _Doubles | float, bb: _Doubles | float
    ) -> _Doubles:
        n = np.maximum(self._n, 1)
        spread = np.maximum(aa - np.square(a) / n, 0) * np.maximum(bb - np.square(b) / n, 0)
        good = (spread > 1e-18) & self._enough
        r = (ab - a * b / n) / np.sqrt(np.where(good, spread, 1.0))
        return cast("_Doubles", np.where(good, np.clip(r, -1, 1), np.nan))

    @staticmethod
    def _over(moved: _Doubles, still: _Doubles) -> _Doubles:
        """Σ_p moved(p − s) still(p) for every shift s."""
        axes = tuple(range(still.ndim))
        spectrum = np.fft.rfftn(still, axes=axes) * np.conj(np.fft.rfftn(moved, axes=axes))
        return np.fft.irfftn(spectrum, still.shape, axes=axes)


def against_chance(correlations: NDArray[np.float64]) -> tuple[float, float, float]:
    """(r in place, what 95 of 100 shifts stay below, share of shifts with at least r) of what `shifted` gave."""
    here = float(correlations.flat[0])
    known = correlations[np.isfinite(correlations)]
    if np.isnan(here) or known.size < 2:
        return here, np.nan, np.nan
    # Rounding must not put the shift by nothing below itself.
    return here, float(np.quantile(known, 1 - LEVEL)), float((known >= here - 1e-9).mean())


def agreement(maps: Sequence[Values], where: NDArray[np.bool_] | None = None) -> Agreement:
    """Spearman's rank correlation of each pair of M maps [*grid], in [−1, 1], 1 for the same order, beside chance.

    Chance: maps are smooth, so two that have nothing to do with each other correlate more than independent pixels
    would. One of the pair is shifted over the other, round the edges, by every whole number of pixels; a pair agrees
    above chance where at most 5 % of these shifts, the one by nothing among them, correlate as well. That is exact
    where one map's law does not change by shifts, and knows nothing of what pictures have in common (sky above, road
    below). Over the pixels of `where`, by default those where all are finite. NaN for a constant map.
    Raises ShapeError, ParameterError for no maps.
    """
    where = _common(maps, where)
    ranked = [ranks(m, where) for m in maps]
    m = len(maps)
    tables = np.full((3, m, m), np.nan)
    for i in range(m):
        for j in range(i):
            tables[:, i, j] = tables[:, j, i] = against_chance(shifted(ranked[i], ranked[j], where))
    np.fill_diagonal(tables[0], [np.nan if np.isnan(r[where]).all() else 1.0 for r in ranked])
    return Agreement(correlations=tables[0], chance=tables[1], p=tables[2])


def consensus(maps: Sequence[Values]) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
    """(mean of the maps' ranks [*grid], in [0, 1]; their standard deviation, in [0, ½]; the maps without ranks).

    Ranks among the pixels where all maps are finite, NaN elsewhere; a constant map is left out. Both are NaN
    everywhere where none is left. Raises ShapeError, ParameterError for no maps.
    """
    where = _common(maps, None)
    ranked = [ranks(m, where) for m in maps]
    left_out = [i for i, r in enumerate(ranked) if np.isnan(r[where]).all()]
    used = np.stack([r for i, r in enumerate(ranked) if i not in left_out] or [np.full(where.shape, np.nan)])
    return used.mean(0).astype(np.float32), used.std(0).astype(np.float32), left_out


def contested(
    maps: Sequence[Values], labels: Sequence[str], most: int = 8
) -> tuple[NDArray[np.bool_], tuple[Contested, ...]]:
    """(bool [*grid], the places where maps part; the `most` largest connected ones of at least 1/1000 of the picture).

    A place is where some map's rank is at least 0.9 and another's at most 0.5. Ranks are averaged over 1/32 of the
    shorter side first: single pixels of gradient maps are noise that no one would call a disagreement about a place.
    A method counts as high in a connected place by a mean rank of at least 0.75, as low by one of at most 0.5; the
    highest and the lowest always do. Constant maps take no part. Needs scipy and scikit-image.
    """
    from scipy.ndimage import uniform_filter

    where = _common(maps, None)
    ranked = {n: r for n, m in zip(labels, maps, strict=True) if not np.isnan((r := ranks(m, where))[where]).all()}
    nowhere = np.zeros(where.shape, bool)
    if len(ranked) < 2:
        return nowhere, ()
    side = max(1, round(min(where.shape) / 32))
    weight = uniform_filter(where.astype(np.float64), side, mode="constant")
    smooth = np.stack(
        [
            uniform_filter(np.where(where, r, 0.0), side, mode="constant") / np.maximum(weight, 1e-12)
            for r in ranked.values()
        ]
    )
    disputed = where & (smooth.max(0) >= HIGH) & (smooth.min(0) <= LOW)
    numbered = components(disputed)
    sizes = np.bincount(numbered.ravel())
    sizes[0] = 0
    found: list[Contested] = []
    for k in np.argsort(-sizes, kind="stable")[:most]:
        if sizes[k] == 0 or sizes[k] < where.size / 1000:
            break
        inside = numbered == k
        means = {name: float(r[inside].mean()) for name, r in ranked.items()}
        order = sorted(means, key=lambda name: -means[name])
        high = [n for n in order if means[n] >= 0.75] or order[:1]
        low = sorted((n for n in order if means[n] <= LOW and n not in high), key=means.__getitem__) or order[-1:]
        found.append(Contested(mask=inside, ranks=means, high=tuple(high), low=tuple(low)))
    return disputed, tuple(found)


def _common(maps: Sequence[Values], where: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
    if not maps:
        raise ParameterError("no maps to compare.")
    for m in maps:
        if m.shape != maps[0].shape:
            raise ShapeError(
                f"maps of {maps[0].shape} and {m.shape} cannot be compared: give maps of one image.", m.shape
            )
    if where is not None and where.shape != maps[0].shape:
        raise ShapeError(f"a mask of {where.shape} for maps of {maps[0].shape}.", where.shape)
    finite = np.isfinite(np.stack(list(maps))).all(0)
    return cast("NDArray[np.bool_]", finite if where is None else finite & where)
