"""Entanglement against known factors: mutual information, MIG, modularity, DCI, and what follows what."""

import math
import random
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ShapeError, UndefinedWarning, missing_extra
from seglens.metrics.factors import Factor, equal_frequency

FACTOR_BINS = 10
"""Into how many classes factors are cut for mutual information, where they have more values."""

_UNIT_BINS = (12, 60)  # least and most; 60 is divisible by every small number of equally frequent values
_A_BIN = 40  # images a class of a unit

_Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class DCI:
    """Eastwood and Williams 2018. importance: [d F], of each unit for predicting each factor, columns sum to 1.

    disentanglement: in [0, 1], 1 where each unit serves one factor; units: [d] of each. completeness: in [0, 1], 1
    where each factor is served by one unit; factors: [F] of each. informativeness: [F], on images held out: R² of
    ordered factors and angles, accuracy above that of the most frequent class of categories; 1 is perfect, 0 no better
    than a constant. NaN where undefined.
    """

    importance: _Doubles
    disentanglement: float
    units: _Doubles
    completeness: float
    factors: _Doubles
    informativeness: _Doubles


def information_matrix(
    z: NDArray[np.floating], factors: Sequence[Factor], *, factor_bins: int = FACTOR_BINS
) -> _Doubles:
    """I(z_i; v_k) / H(v_k), [d F], in [0, 1]: how much of a factor's entropy a unit tells.

    z: [N d]. Units are cut into classes of equal frequency (60, fewer for under 2,400 images), so that no monotone
    transformation changes anything; factors as `Factor.classes`. Estimated from counts, less their bias (Miller and
    Madow: (joint − rows − columns + 1) / 2N of occupied cells), not below 0. An angle is looked at within each group of
    images of one symmetry: Σ_g n_g I_g / Σ_g n_g H_g. NaN for a factor that does not vary.
    """
    return _information(_cells(z, factors, factor_bins), z.shape[1])


def information_by_chance(
    z: NDArray[np.floating], factors: Sequence[Factor], *, permutations: int = 20, seed: int = 0
) -> _Doubles:
    """[F]: the greatest entry of each column of `information_matrix` where images and factors are shuffled against each
    other: the mean over `permutations` of the maximum over units, plus two standard deviations."""
    cells = _cells(z, factors, FACTOR_BINS)
    rng = np.random.default_rng((seed, 1))
    most = [
        _information([[(u, rng.permutation(v)) for u, v in of_factor] for of_factor in cells], z.shape[1]).max(0)
        for _ in range(permutations)
    ]
    return np.mean(most, 0) + 2 * np.std(most, 0)


def mutual_information_gap(information: _Doubles) -> tuple[float, _Doubles]:
    """MIG, and of each factor [F]: the most that a unit tells of a factor less the second most, over its entropy.

    information: of `information_matrix`. Chen, Li, Grosse and Duvenaud 2018, arXiv:1802.04942. In [0, 1], 1 where each
    factor lies in one unit alone. The mean is over factors that vary; NaN with one unit, where there is no second.
    """
    if len(information) < 2:
        return math.nan, np.full(information.shape[1], np.nan)
    ordered = np.sort(information, 0)
    gaps = ordered[-1] - ordered[-2]
    return _mean(gaps), gaps


def modularity(information: _Doubles, least: float = 0.0) -> tuple[float, _Doubles]:
    """Mean, and of each unit [d]: 1 − Σ_{k≠k*} m_ik² / (m_ik*² (F − 1)), k* the factor of which it tells most.

    Ridgeway and Mozer 2018, arXiv:1802.05312, on shares of entropy. 1 where a unit tells of one factor only. NaN with
    one factor, and for units that tell of none more than `least`.
    """
    known = information[:, np.isfinite(information).all(0)]
    count = known.shape[1]
    if count < 2:
        return math.nan, np.full(len(information), np.nan)
    most = known.max(1)
    rest = (known**2).sum(1) - most**2
    found = np.where(most > least, 1 - rest / np.where(most > least, most**2, 1.0) / (count - 1), np.nan)
    return _mean(found), found


def association(z: NDArray[np.floating], factors: Sequence[Factor]) -> _Doubles:
    """Correlation of units and factors, [d F].

    Ordered: Spearman's rank correlation, in [−1, 1]. Categorical: √ of the share of a unit's variance that lies between
    the categories, in [0, 1]. Angle: √R² of the unit regressed on cosine and sine of the phase, in [0, 1], R² weighed
    over groups of one symmetry. NaN where a unit or a factor does not vary.
    """
    out = np.full((z.shape[1], len(factors)), np.nan)
    for k, factor in enumerate(factors):
        if not factor.varies:
            continue
        signs: _Doubles | None = None
        explained, weights = np.zeros(z.shape[1]), 0
        for group in factor.groups:
            if factor.kind == "ordered":
                r = _standard(np.stack([_ranks(column) for column in z[group].T], 1))
                v = _standard(_ranks(factor.values[group])[:, None])
                share = signs = (r * v).mean(0)
            else:
                share = _explained(_standard(np.asarray(z[group], np.float64)), factor.taken(group).targets())
            explained += share * group.sum()
            weights += int(group.sum())
        out[:, k] = signs if signs is not None else np.sqrt(explained / max(weights, 1))
    return out


def dci(
    z: NDArray[np.floating],
    factors: Sequence[Factor],
    *,
    by: Literal["boosting", "lasso"] = "boosting",
    images: int = 2500,
    seed: int = 0,
) -> DCI:
    """Disentanglement, completeness and informativeness, from how well factors are predicted and by which units.

    Eastwood and Williams 2018 ("A framework for the quantitative evaluation of disentangled representations"). by:
    'boosting', gradient-boosted trees with their importances (as Locatello et al. 2019, arXiv:1811.12359), or the
    paper's 'lasso' with the sizes of its coefficients. A categorical factor is predicted as a class, an angle by cosine
    and sine of its phase, in each group of one symmetry. images: at most so many, four fifths to learn from. With P_ik
    the importance over the sum of its row, disentanglement of unit i is 1 − H(P_i) / log F, and their mean is weighed
    by the row sums; completeness is the same of columns, 1 − H / log d, unweighed. NaN with one factor, or one unit.
    Needs scikit-learn.
    """
    z = np.asarray(z, np.float64)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(z))[:images]
    fit = _boosted if by == "boosting" else _lasso
    importance = np.full((z.shape[1], len(factors)), np.nan)
    informed = np.full(len(factors), np.nan)
    for k, factor in enumerate(factors):
        if not factor.varies:
            continue
        total, scores, weights = np.zeros(z.shape[1]), 0.0, 0
        for group in factor.groups:
            inside = chosen[group[chosen]]
            part = factor.taken(inside)
            if len(inside) < 10 or not part.varies:
                continue
            found, score = fit(_standard(z[inside]), part, seed)
            total += found * len(inside)
            scores += score * len(inside)
            weights += len(inside)
        if weights and total.sum() > 0:
            importance[:, k], informed[k] = total / total.sum(), scores / weights
    known = importance[:, np.isfinite(importance).all(0)]
    d, f = known.shape
    rows, columns = np.full(len(importance), np.nan), np.full(len(factors), np.nan)
    mean = math.nan
    if f > 1:
        sums = known.sum(1)
        rows = np.where(sums > 0, 1 - _entropy(known / np.where(sums > 0, sums, 1)[:, None]) / math.log(f), np.nan)
        mean = float(np.nansum(rows * sums) / sums.sum())
    if d > 1 and f:
        columns[np.isfinite(importance).all(0)] = 1 - _entropy(known.T) / math.log(d)
    return DCI(importance, mean, rows, _mean(columns), columns, informed)


def warn_of_constant(factors: Sequence[Factor]) -> None:
    """Say which factors do not vary, and are NaN in every measure."""
    still = [f.name for f in factors if not f.varies]
    if still:
        warnings.warn(
            UndefinedWarning(f"{', '.join(still)}: the same in all images, so that nothing can be said to follow it."),
            stacklevel=3,
        )


_Cells = list[list[tuple[NDArray[np.intp], NDArray[np.intp]]]]
"""For each factor and each of its groups the classes of the units [n d], and those of the factor [n]."""


def _cells(z: NDArray[np.floating], factors: Sequence[Factor], factor_bins: int) -> _Cells:
    z = np.asarray(z, np.float64)
    if z.ndim != 2 or any(len(f.values) != len(z) for f in factors):
        raise ShapeError(f"units are [N d] of as many images as the factors, not {list(z.shape)}.", z.shape)
    found: _Cells = []
    known: dict[bytes, NDArray[np.intp]] = {}
    for factor in factors:
        labels, pairs = factor.classes(factor_bins), list[tuple[NDArray[np.intp], NDArray[np.intp]]]()
        for group in factor.groups:
            if not group.any():
                continue
            key = group.tobytes()
            if key not in known:
                bins = min(max(int(group.sum()) // _A_BIN, _UNIT_BINS[0]), _UNIT_BINS[1])
                known[key] = np.stack([equal_frequency(column, bins) for column in z[group].T], 1)
            pairs.append((known[key], labels[group]))
        found.append(pairs)
    return found


def _information(cells: _Cells, d: int) -> _Doubles:
    out = np.full((d, len(cells)), np.nan)
    for k, pairs in enumerate(cells):
        entropy = sum(len(v) * _entropy_of(np.bincount(v)) for _, v in pairs)
        if entropy > 0:
            shared = sum(len(v) * np.array([_shared(column, v) for column in units.T]) for units, v in pairs)
            out[:, k] = np.clip(shared / entropy, 0, 1)
    return out


def _shared(a: NDArray[np.intp], b: NDArray[np.intp]) -> float:
    """I(a; b) in nats from counts, less Miller and Madow's bias, not below 0."""
    width = int(b.max()) + 1
    joint = np.bincount(a * width + b, minlength=(int(a.max()) + 1) * width).reshape(-1, width)
    rows, columns = joint.sum(1), joint.sum(0)
    plain = _entropy_of(rows) + _entropy_of(columns) - _entropy_of(joint.ravel())
    occupied = np.count_nonzero(joint) - np.count_nonzero(rows) - np.count_nonzero(columns) + 1
    return max(0.0, plain - occupied / (2 * len(a)))


def _entropy_of(counts: NDArray[np.intp]) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def _entropy(p: _Doubles) -> _Doubles:
    """Of each row."""
    return -(p * np.log(np.where(p > 0, p, 1))).sum(1)


def _mean(values: _Doubles) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else math.nan


def _ranks(values: _Doubles) -> _Doubles:
    order = np.sort(values)
    return (np.searchsorted(order, values, "left") + np.searchsorted(order, values, "right")) / 2.0


def _standard(columns: _Doubles) -> _Doubles:
    """Mean 0 and standard deviation 1; NaN for a column that is the same everywhere."""
    spread = columns.std(0)
    return (columns - columns.mean(0)) / np.where(
        spread > 1e-12 * np.abs(columns).max(0, initial=1e-300), spread, np.nan
    )


def _explained(r: _Doubles, targets: _Doubles) -> _Doubles:
    """R² of standardised columns r [N d] regressed on targets [N k] and a constant."""
    inputs = np.column_stack([np.ones(len(targets)), targets])
    known = np.isfinite(r).all(0)
    out = np.full(r.shape[1], np.nan)
    if known.any():
        fitted = inputs @ np.linalg.lstsq(inputs, r[:, known], rcond=None)[0]
        out[known] = np.clip(1 - ((r[:, known] - fitted) ** 2).mean(0), 0, 1)
    return out


def _boosted(z: _Doubles, factor: Factor, seed: int) -> tuple[_Doubles, float]:
    ensemble: Any = _learners("sklearn.ensemble")
    cut = max(1, len(z) * 4 // 5)
    z = np.nan_to_num(z)
    if factor.kind == "categorical":
        labels = factor.classes()
        if np.unique(labels[:cut]).size < 2:
            return np.zeros(z.shape[1]), math.nan
        model: Any = ensemble.GradientBoostingClassifier(random_state=seed, n_estimators=60)
        model.fit(z[:cut], labels[:cut])
        return model.feature_importances_, _skill(model.predict(z[cut:]), labels[cut:])
    total, scores = np.zeros(z.shape[1]), list[float]()
    for target in _standard(factor.targets()).T:
        model = ensemble.GradientBoostingRegressor(random_state=seed, n_estimators=60)
        model.fit(z[:cut], target[:cut])
        total += model.feature_importances_
        scores.append(_r2(model.predict(z[cut:]), target[cut:]))
    return total, float(np.mean(scores))


def _lasso(z: _Doubles, factor: Factor, seed: int) -> tuple[_Doubles, float]:
    linear: Any = _learners("sklearn.linear_model")
    cut = max(1, len(z) * 4 // 5)
    z = np.nan_to_num(z)
    targets = np.nan_to_num(_standard(factor.targets()))
    model: Any = linear.Lasso(alpha=0.02, random_state=seed).fit(z[:cut], targets[:cut])
    found = np.atleast_2d(cast("_Doubles", model.coef_))
    predicted = np.reshape(model.predict(z[cut:]), targets[cut:].shape)
    if factor.kind == "categorical":
        score = _skill(predicted.argmax(1), factor.classes()[cut:])
    else:
        score = float(np.mean([_r2(p, t) for p, t in zip(predicted.T, targets[cut:].T, strict=True)]))
    return np.abs(found).sum(0), score


def _learners(module: str) -> Any:
    state = random.getstate()
    try:
        return import_module(module)
    except ImportError as absent:
        raise missing_extra("scikit-learn", "image", "predicting factors from latent units") from absent
    finally:
        # Something among all that it imports draws a number.
        random.setstate(state)


def _r2(predicted: _Doubles, real: _Doubles) -> float:
    spread = float(((real - real.mean()) ** 2).mean())
    return max(0.0, 1 - float(((predicted - real) ** 2).mean()) / spread) if spread > 0 else math.nan


def _skill(predicted: NDArray[np.intp], real: NDArray[np.intp]) -> float:
    chance = float(np.bincount(real).max()) / len(real)
    right = float((predicted == real).mean())
    return max(0.0, (right - chance) / (1 - chance)) if chance < 1 else math.nan
