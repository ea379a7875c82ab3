"""Measures of latent units against closed forms, a second formulation, and planted truth."""

import itertools
import math

import numpy as np
import pytest
import torch

from seglens.core.errors import ParameterError, ShapeError
from seglens.metrics.latent import ACTIVE, activity, attention_consistency, kl_divergence, mutual_information


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_divergence_is_torchs(rng) -> None:
    mu, logvar = rng.standard_normal((2, 30, 4))
    posterior = torch.distributions.Normal(torch.from_numpy(mu), torch.from_numpy(np.exp(logvar / 2)))
    prior = torch.distributions.Normal(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))
    expected = torch.distributions.kl_divergence(posterior, prior).numpy()
    np.testing.assert_allclose(kl_divergence(mu, logvar), expected, atol=1e-12)
    assert kl_divergence(np.zeros((1, 2)), np.zeros((1, 2))).tolist() == [[0, 0]]


def test_activity_is_the_variance_of_the_mean(rng) -> None:
    mu = rng.standard_normal((5000, 3)) * [1, 0.2, 0.05]
    np.testing.assert_allclose(activity(mu), [1, 0.04, 0.0025], rtol=0.1)
    assert (activity(mu) > ACTIVE).tolist() == [True, True, False]
    assert np.isnan(activity(mu[:1])).all()


@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0, 3.0])
def test_information_of_a_gaussian_channel_lies_between_the_bounds(noise: float, rng) -> None:
    """μ ~ N(0, 1) and z = μ + noise: I = ½ log(1 + 1 / noise²)."""
    mu = rng.standard_normal((2000, 1))
    found = mutual_information(mu, np.full_like(mu, 2 * math.log(noise)))
    exact = 0.5 * math.log(1 + noise**-2)
    slack = 3 * float(found.error[0]) + 0.01
    assert found.lower[0] - slack <= exact <= found.upper[0] + slack
    assert found.upper[0] - found.lower[0] < 0.03 + 0.02 * exact / noise  # they close as N grows against exp(I)
    assert found.lower[0] <= found.upper[0]
    assert found.most == math.log(2000)


def test_information_of_images_that_are_all_told_apart_is_log_n() -> None:
    mu = np.arange(64.0)[:, None]
    found = mutual_information(mu, np.full((64, 1), -12.0))
    assert found.lower[0] == pytest.approx(math.log(64), abs=1e-9)
    assert found.lower[0] == pytest.approx(found.most)


def test_a_dead_unit_tells_nothing_whatever_its_scale(rng) -> None:
    mu = np.stack([np.zeros(500), 1e-3 * rng.standard_normal(500)], 1)
    found = mutual_information(mu, np.zeros_like(mu))
    np.testing.assert_allclose(found.lower, 0, atol=1e-4)  # 1e-3 of the noise: 5e-7 nats, and chance


def test_information_is_the_same_for_the_same_seed_and_in_pieces(rng, monkeypatch: pytest.MonkeyPatch) -> None:
    mu, logvar = rng.standard_normal((2, 50, 3))
    one = mutual_information(mu, logvar, seed=5)
    monkeypatch.setattr("seglens.metrics.latent._CELLS", 350)
    two = mutual_information(mu, logvar, seed=5)
    np.testing.assert_allclose(one.lower, two.lower, rtol=1e-12)
    np.testing.assert_allclose(one.upper, two.upper, rtol=1e-12)
    assert not np.allclose(one.lower, mutual_information(mu, logvar, seed=6).lower, rtol=1e-9)


def pairwise(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same means by correlating every pair."""
    n, d = maps.shape[:2]
    own, others = [[] for _ in range(d)], [[] for _ in range(d)]
    for a, b in itertools.permutations(range(n), 2):
        for i, j in itertools.product(range(d), repeat=2):
            one, two = maps[a, i].ravel(), maps[b, j].ravel()
            if np.ptp(one) > 0 and np.ptp(two) > 0:
                (own if i == j else others)[i].append(np.corrcoef(one, two)[0, 1])
    return (np.array([np.mean(r) if r else np.nan for r in part]) for part in (own, others))


def test_consistency_is_the_mean_over_all_pairs(rng) -> None:
    maps = rng.random((6, 3, 4, 5))
    maps[2, 1] = 0.7  # the same everywhere: left out
    found = attention_consistency(maps)
    own, others = pairwise(maps)
    np.testing.assert_allclose(found.own, own, atol=1e-12)
    np.testing.assert_allclose(found.others, others, atol=1e-12)
    assert found.maps.tolist() == [6, 5, 6]


def test_the_error_is_the_jackknifes(rng) -> None:
    maps = rng.random((7, 2, 3, 3))
    found = attention_consistency(maps)
    left = []
    for k in range(7):
        own, others = pairwise(np.delete(maps, k, 0))
        left.append(own - others)
    left = np.array(left)
    expected = np.sqrt(6 / 7 * ((left - left.mean(0)) ** 2).sum(0))
    np.testing.assert_allclose(found.error, expected, atol=1e-12)


def test_units_with_places_of_their_own_are_consistent_and_others_are_not(rng) -> None:
    maps = 0.1 * rng.random((20, 3, 8, 8))
    maps[:, 0, :4] += 1  # always above
    maps[:, 1, 4:] += 1  # always below
    for n in range(20):
        maps[n, 2, rng.integers(8), rng.integers(8)] += 1  # anywhere
    found = attention_consistency(maps)
    assert (found.own[:2] > 0.9).all()
    assert abs(found.own[2]) < 0.1
    excess = found.own - found.others
    assert (excess[:2] > 10 * found.error[:2]).all()
    assert excess[2] < 0.6


def test_what_cannot_be_said_is_nan() -> None:
    dead = attention_consistency(np.zeros((5, 2, 3, 3)))
    assert np.isnan(dead.own).all()
    assert np.isnan(dead.others).all()
    assert np.isnan(dead.error).all()
    assert dead.maps.tolist() == [0, 0]
    single = attention_consistency(np.random.default_rng(0).random((1, 2, 3, 3)))
    assert np.isnan(single.own).all()
    alone = attention_consistency(np.random.default_rng(0).random((4, 1, 3, 3)))
    assert np.isfinite(alone.own).all()
    assert np.isnan(alone.others).all()


def test_refusals() -> None:
    one = np.zeros((1, 2))
    with pytest.raises(ParameterError, match="at least two images"):
        mutual_information(one, one)
    with pytest.raises(ParameterError, match="draws = 0"):
        mutual_information(np.zeros((2, 1)), np.zeros((2, 1)), draws=0)
    with pytest.raises(ShapeError, match=r"two arrays \[N d\]"):
        kl_divergence(np.zeros((2, 1)), np.zeros((2, 2)))
    with pytest.raises(ShapeError, match=r"\[N d\]"):
        activity(np.zeros(3))
    with pytest.raises(ShapeError, match=r"\[N d H W\]"):
        attention_consistency(np.zeros((3, 3)))
