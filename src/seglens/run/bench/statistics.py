"""Means over networks with their intervals, and which networks took up the bias that they were shown."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DROP = 0.1
"""A network has taken up a bias where the IoU of the biased digit on unbiased pictures falls by as much or more."""

DRAWS = 10_000
"""Resamples of a bootstrap interval."""

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean over n networks, and its percentile bootstrap interval at 95 %. NaN where undefined; one has no interval.

    Of a handful of networks such an interval is too narrow: read it together with n.
    """

    mean: float
    low: float
    high: float
    n: int

    @classmethod
    def over(cls, values: Iterable[float], seed: int = 0) -> "Interval":
        """Of one value a network; what is NaN is left out, and not among the n."""
        known = np.array([v for v in values if np.isfinite(v)], np.float64)
        if not len(known):
            return cls(np.nan, np.nan, np.nan, 0)
        mean = float(known.mean())
        if len(known) == 1:
            return cls(mean, np.nan, np.nan, 1)
        drawn = np.random.default_rng(seed).integers(len(known), size=(DRAWS, len(known)))
        low, high = np.quantile(known[drawn].mean(1), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return cls(mean, float(low), float(high), len(known))


def took_up(unbiased: float, biased: float) -> bool:
    """Whether the IoU fell by at least `DROP`; not where one is undefined. Differences within rounding count."""
    return bool(unbiased - biased >= DROP - 1e-9)


def mean_known(values: Iterable[float] | NDArray[np.floating]) -> float:
    """The mean of what is not NaN; NaN of nothing."""
    known = [float(v) for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else float("nan")
