"""Factors read off decoded pictures, without the network: those of the most similar pictures of the data set."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from seglens.metrics.factors import Factor

_NUMBERS = 4096  # of a picture, at most: larger ones are averaged down
_COARSEST = 16  # frequencies to either side
_NEIGHBOURS = 8
_AT_ONCE = 512
_TRIED = 1000  # pictures on which the readings are tried

_Doubles = NDArray[np.float64]


def _pixels(pictures: Tensor) -> Tensor:
    """[N P]: pixels as they are, averaged down where they are many."""
    n, c, h, w = pictures.shape
    by = max(1.0, (c * h * w / _NUMBERS) ** 0.5)
    return adaptive_avg_pool2d(pictures.float(), (max(1, round(h / by)), max(1, round(w / by)))).reshape(n, -1)


def _spectrum(pictures: Tensor) -> Tensor:
    """[N P]: sizes of the lowest Fourier coefficients, which do not change where a picture is shifted."""
    size = torch.fft.rfft2(pictures.float()).abs()
    k = _COARSEST
    rows = size if size.shape[2] <= 2 * k else torch.cat([size[:, :, :k], size[:, :, -k:]], 2)
    return rows[..., :k].flatten(1)


_LOOKS: tuple[Callable[[Tensor], Tensor], ...] = (_pixels, _spectrum)


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """N pictures with known factors, to which others are compared: by pixels, or by the sizes of Fourier coefficients.

    Each factor is read in the way that reads it better in the known pictures, each of them by the others. unread: [F],
    the mean difference of those readings from the truth, over that between two pictures drawn at random: 0 is perfect,
    1 no better than a guess. usual: [F], that mean difference of two; see `Factor.difference`.
    """

    known: tuple[Tensor, ...]
    factors: tuple[Factor, ...]
    targets: tuple[_Doubles, ...]
    way: tuple[int, ...]
    unread: _Doubles
    usual: _Doubles

    @classmethod
    def of(cls, pictures: Tensor, factors: Sequence[Factor], seed: int = 0) -> "Nearest":
        """From pictures [N C H W] in 0..1, at least two."""
        known = tuple(look(pictures) for look in _LOOKS)
        targets = tuple(f.targets() for f in factors)
        usual = np.array([random_difference(f, seed) for f in factors])
        errors = np.stack([_errors(flat, factors, targets) for flat in known]) / usual
        way = np.where(np.isfinite(errors), errors, np.inf).argmin(0)
        unread = errors[way, np.arange(len(factors))]
        return cls(known, tuple(factors), targets, tuple(way.tolist()), unread, usual)

    def read(self, pictures: Tensor) -> list[tuple[_Doubles, NDArray[np.intp] | None]]:
        """Of each factor its `Factor.targets` [M k] in M pictures, and the symmetry [M] of an angle that has one.

        The mean over the eight nearest by squared difference, weighed by 1 / (d² + d²_8 / 8); of an angle over those
        that share the symmetry of the nearest. NaN where it is undefined.
        """
        seen = {w: _nearest(_LOOKS[w](pictures), self.known[w]) for w in set(self.way)}
        return [
            _mean(factor, values, *seen[w])
            for factor, values, w in zip(self.factors, self.targets, self.way, strict=True)
        ]


def random_difference(factor: Factor, seed: int = 0) -> float:
    """Mean difference of a factor between two images drawn at random, of one symmetry; NaN where it does not vary."""
    rng = np.random.default_rng((seed, 3))
    found: list[_Doubles] = []
    targets = factor.targets()
    for group in factor.groups:
        inside = np.flatnonzero(group)
        if len(inside) > 1:
            a, b = (rng.permutation(inside) for _ in range(2))
            found.append(factor.difference(targets[a[a != b]], targets[b[a != b]]))
    joined = np.concatenate(found) if found else np.empty(0)
    return float(joined.mean()) if joined.size and joined.any() else float("nan")


def _nearest(flat: Tensor, known: Tensor, itself: bool = False) -> tuple[NDArray[np.intp], _Doubles]:
    """Places and weights [M 8] of the nearest known pictures. itself: the pictures are the first of the known ones."""
    squares = known.square().sum(1)
    k = max(1, min(_NEIGHBOURS, len(known) - int(itself)))
    places: list[NDArray[np.intp]] = []
    weights: list[_Doubles] = []
    for start in range(0, len(flat), _AT_ONCE):
        part = flat[start : start + _AT_ONCE]
        distance = (squares - 2 * part @ known.T + part.square().sum(1, keepdim=True)).clamp_min(0)
        if itself:
            own = torch.arange(len(part))
            distance[own, start + own] = torch.inf
        near, at = distance.double().topk(k, 1, largest=False)
        places.append(at.numpy())
        weights.append((1 / (near + near[:, -1:] / _NEIGHBOURS + 1e-9)).numpy())
    return np.concatenate(places), np.concatenate(weights)


def _mean(
    factor: Factor, values: _Doubles, places: NDArray[np.intp], weights: _Doubles
) -> tuple[_Doubles, NDArray[np.intp] | None]:
    used = weights * factor.known[places]
    turns = None if factor.turns is None else factor.turns[places]
    if turns is not None:
        used = used * (turns == turns[:, :1])
    total = used.sum(1, keepdims=True)
    mean = (used[..., None] * np.nan_to_num(values[places])).sum(1) / np.where(total > 0, total, np.nan)
    if factor.kind == "circular":
        length = np.linalg.norm(mean, axis=1, keepdims=True)
        mean = mean / np.where(length > 1e-9, length, np.nan)
    return mean, None if turns is None else turns[:, 0]


def _errors(known: Tensor, factors: Sequence[Factor], targets: Sequence[_Doubles]) -> _Doubles:
    """Mean difference between readings of the known pictures by the others and the truth, [F]."""
    places, weights = _nearest(known[:_TRIED], known, itself=True)
    out: list[float] = []
    for factor, values in zip(factors, targets, strict=True):
        read, turns = _mean(factor, values, places, weights)
        difference = factor.difference(read, values[: len(read)])
        inside = np.isfinite(difference) & factor.known[: len(read)]
        if turns is not None and factor.turns is not None:
            inside &= turns == factor.turns[: len(read)]
        out.append(float(difference[inside].mean()) if inside.any() else float("nan"))
    return np.array(out)
