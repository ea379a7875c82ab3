"""Which latent units matter: divergence from the prior, activity, information, and attention that keeps its place."""

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ParameterError, ShapeError

ACTIVE = 0.01
"""Variance of μ over the data from which a unit counts as active (Burda et al. 2016)."""

Posteriors = Annotated[NDArray[np.floating], "[N d], of N images and d units"]

_CELLS = 2**24  # of the matrix of densities that is held at once


@dataclass(frozen=True, slots=True, eq=False)
class Information:
    """I(x; z_i) in nats, between two bounds, for each unit.

    lower, upper: [d]; see `mutual_information`. error: [d], standard error of the lower one over the images. most: log
    N, which the lower one cannot pass: a unit that comes near it may carry more.
    """

    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    error: NDArray[np.float64]
    most: float


@dataclass(frozen=True, slots=True, eq=False)
class Consistency:
    """Whether a unit's attention stays where it is from image to image; see `attention_consistency`.

    own, others: [d], mean correlations, NaN where undefined. error: [d], standard error of own − others over images.
    maps: [d], for how many images the unit's map is not the same everywhere.
    """

    own: NDArray[np.float64]
    others: NDArray[np.float64]
    error: NDArray[np.float64]
    maps: NDArray[np.intp]


def kl_divergence(mu: Posteriors, logvar: Posteriors) -> NDArray[np.float64]:
    """KL(q(z_i|x) ‖ N(0, 1)) = ½ (μ² + σ² − 1 − log σ²), [N d] in nats, ≥ 0."""
    mu, logvar = _pair(mu, logvar)
    return 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)


def activity(mu: Posteriors) -> NDArray[np.float64]:
    """Var_x μ_i over the images, [d]; unbiased, NaN for one image. A unit above `ACTIVE` is active.

    Source: Burda, Grosse and Salakhutdinov 2016, arXiv:1509.00519, section 5.
    """
    mu = np.asarray(mu, np.float64)
    if mu.ndim != 2:
        raise ShapeError(f"posterior means are [N d], not {list(mu.shape)}.", mu.shape)
    if len(mu) < 2:
        return np.full(mu.shape[1], np.nan)
    return mu.var(0, ddof=1)


def mutual_information(mu: Posteriors, logvar: Posteriors, *, seed: int = 0, draws: int = 4) -> Information:
    """I(x; z_i) = E_x KL(q(z_i|x) ‖ q(z_i)) from N images, each unit by itself, between two estimates.

    With z drawn from q(z_i|x_n), the marginal q(z) is the mean of q(z|x_m) over the images. With the image itself
    among them, E log q(z|x_n) / (1/N Σ_m q(z|x_m)) is in expectation a lower bound of I over the distribution that the
    images come from, and at most log N; of these N images as the whole of the data it is the information itself. With
    the image left out it is in expectation an upper bound.
    Source: Poole et al. 2019, arXiv:1905.06922 (section 2; the densities are known here, so nothing is learned).
    error is the standard deviation over images over √N; that images share their marginal is not in it. draws: of z for
    each image. Raises ParameterError for fewer than two images.
    """
    mu, logvar = _pair(mu, logvar)
    n, d = mu.shape
    if n < 2:
        raise ParameterError("mutual information needs at least two images; with one, nothing can be told apart.")
    if draws < 1:
        raise ParameterError(f"draws = {draws}: at least one for each image.")
    # With a second number, so that no data drawn from the same seed are its own noise.
    rng = np.random.default_rng((seed, 1))
    noise = rng.standard_normal((draws, n, d))
    lower, upper = np.zeros((draws, n, d)), np.zeros((draws, n, d))
    rows = max(1, _CELLS // n)
    for i in range(d):
        inverse = np.exp(-logvar[:, i])
        for k in range(draws):
            z = mu[:, i] + np.exp(logvar[:, i] / 2) * noise[k, :, i]
            for start in range(0, n, rows):
                part = slice(start, min(n, start + rows))
                # log q(z_n | x_m) but for ½ log 2π, which drops out; [rows N]
                density = -0.5 * ((z[part, None] - mu[None, :, i]) ** 2 * inverse + logvar[:, i])
                at = np.arange(part.start, part.stop)
                own = density[at - start, at].copy()
                lower[k, part, i] = own - _log_mean(density, n)
                density[at - start, at] = -np.inf
                upper[k, part, i] = own - _log_mean(density, n - 1)
    per_image = lower.mean(0)
    return Information(
        per_image.mean(0), upper.mean((0, 1)), per_image.std(0, ddof=1) / math.sqrt(n), float(math.log(n))
    )


def attention_consistency(maps: NDArray[np.floating]) -> Consistency:
    """Mean correlation of a unit's maps over pairs of images, beside that with other units' maps of other images.

    maps: [N d H W], N images and d units. own_i is the mean over pairs n ≠ m of Pearson's r(M_i(x_n), M_i(x_m)), in
    [−1, 1]: 1 where a unit looks at the same place whatever the image. others_i, its null, is the mean over n ≠ m and
    j ≠ i of r(M_i(x_n), M_j(x_m)): what any two maps of this network have in common. A map that is the same everywhere
    has no correlation and is left out. Both are sums over unit vectors, so no pair is left out and none drawn: with
    v_in the standardised map of length 1, Σ_{n≠m} v_in·v_im = ‖Σ_n v_in‖² − Σ_n ‖v_in‖².
    error: jackknife over images. All are NaN with fewer than two maps; others and error also with one unit.
    """
    if maps.ndim < 3:
        raise ShapeError(f"attention maps are [N d H W], not {list(maps.shape)}.", maps.shape)
    n, d = maps.shape[:2]
    flat = maps.reshape(n, d, -1).astype(np.float64)
    flat = flat - flat.mean(2, keepdims=True)
    length = np.linalg.norm(flat, axis=2)
    there = length > 1e-9 * np.maximum(np.abs(maps.reshape(n, d, -1)).max(2), 1e-300)
    v = np.where(there[..., None], flat / np.where(there, length, 1)[..., None], 0.0)
    total, count = v.sum(0), there.sum(0)
    own, others = _means(total, count, v, there)
    difference = np.full((n, d), np.nan)
    for left in range(n):
        rest = np.arange(n) != left
        a, b = _means(total - v[left], count - there[left], v[rest], there[rest])
        difference[left] = a - b
    known = np.isfinite(difference)
    m = known.sum(0)
    filled = np.where(known, difference, 0.0)
    mean = filled.sum(0) / np.maximum(m, 1)
    spread = np.where(known, (difference - mean) ** 2, 0.0).sum(0)
    error = np.where(m > 1, np.sqrt(spread * (m - 1) / np.maximum(m, 1)), np.nan)
    return Consistency(own, others, error, count)


def _means(
    total: NDArray[np.float64], count: NDArray[np.intp], v: NDArray[np.float64], there: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean correlations of each unit with itself and with the others, over pairs of different images."""
    pairs = count * (count - 1)
    own = (np.einsum("ip,ip->i", total, total) - count) / np.where(pairs > 0, pairs, 1)
    every = total.sum(0)
    # Pairs of unit i with any other unit: all pairs of images, less those of an image with itself.
    sums = total @ every - np.einsum("ip,ip->i", total, total)
    within = np.einsum("nip,np->i", v, v.sum(1)) - there.sum(0)
    present = there.sum(1)
    cross = count * (count.sum() - count) - (there * (present[:, None] - there)).sum(0)
    others = (sums - within) / np.where(cross > 0, cross, 1)
    return np.where(pairs > 0, own, np.nan), np.where(cross > 0, others, np.nan)


def _log_mean(density: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """log 1/n Σ_m exp(density) over the last axis."""
    top = density.max(1)
    return top + np.log(np.exp(density - top[:, None]).sum(1)) - math.log(n)


def _pair(mu: Posteriors, logvar: Posteriors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mu, logvar = np.asarray(mu, np.float64), np.asarray(logvar, np.float64)
    if mu.ndim != 2 or mu.shape != logvar.shape:
        raise ShapeError(
            f"posteriors are two arrays [N d], not {list(mu.shape)} and {list(logvar.shape)}.", tuple(mu.shape)
        )
    return mu, logvar
