"""Anomaly attention: derivatives that know nothing of what is normal, weights that do, and planted anomalies."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import seglens as sl
from seglens.core.errors import NetworkError, ParameterError
from seglens.core.targets import Channel, Target
from seglens.generative import VAE
from seglens.run.latent.anomaly import NormalUnits, anomaly_attention, anomaly_scores, normal_units

sys.path.insert(0, str(Path(__file__).parent))
from test_latent_attention import Patches, patches, small

pytestmark = [
    pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning"),
    pytest.mark.filterwarnings("ignore::seglens.core.errors.DeadUnitWarning"),
]


def pictures(n: int, seed: int, low: int = 90, high: int = 110) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(low, high, (n, 16, 16), dtype=np.uint8))


def auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    wins = (positive[:, None] > negative[None]).mean() + (positive[:, None] == negative[None]).mean() / 2
    return float(wins)


def test_normal_units_are_mean_and_total_variance():
    """σ̄² = E σ² + Var μ: the variance of draws from all posteriors together."""
    images = pictures(30, 0)
    normal = normal_units(patches(), images)
    x = torch.from_numpy(np.stack(images)[:, None] / 255).float()
    mu, logvar = Patches().encode(x)
    rng = np.random.default_rng(1)
    sigma = (logvar / 2).exp().detach().numpy()
    draws = mu.detach().numpy() + sigma * rng.standard_normal((4000, 30, 17))
    np.testing.assert_allclose(normal.mean, draws.mean((0, 1)), atol=0.01)
    np.testing.assert_allclose(normal.variance, draws.reshape(-1, 17).var(0), rtol=0.03)
    assert normal.images == 30


def test_at_no_noise_the_derivative_of_the_difference_is_that_of_mu():
    """u = μ(x) − μ̄ + √(σ² + σ̄²)·0: to autograd the same function, whatever normal images are. With noise it is not."""
    vae, mean, variance = small(VAE), torch.randn(5), torch.rand(5)
    a = vae.encoder.stage1(torch.rand(1, 3, 16, 16)).detach().requires_grad_()
    features = vae.encoder.stage2(a).flatten(1)
    mu, logvar = vae.encoder.mu(features), vae.encoder.logvar(features)
    by_mu = torch.autograd.grad(mu[0, 2], a, retain_graph=True)[0]
    for epsilon in (0.0, 1.0):
        u = mu - mean + (logvar.exp() + variance).sqrt() * epsilon
        by_u = torch.autograd.grad(u[0, 2], a, retain_graph=True)[0]
        assert torch.equal(by_u, by_mu) == (epsilon == 0)


@pytest.mark.parametrize("change", [+90, -80])
def test_a_planted_anomaly_is_where_the_map_is(change):
    """One patch of another brightness: its unit deviates most, and nearly all of the map lies in that patch."""
    network, normal = patches(), normal_units(patches(), pictures(40, 2))
    (image,) = pictures(1, 3)
    inside = np.zeros((16, 16), bool)
    inside[8:12, 4:8] = True
    changed = np.where(inside, image.astype(int) + change, image).clip(0, 255).astype(np.uint8)
    found = anomaly_attention(network, changed, normal, layer="cut", directed=change > 0)
    assert found.units[0].unit == 9
    assert np.sign(found.units[0].deviation) == np.sign(change)
    assert found.units[0].mu - found.units[0].normal == pytest.approx(10 * change / 255, rel=0.1)
    assert auroc(found.explanation.map[inside], found.explanation.map[~inside]) == 1.0
    assert found.explanation.share(inside) > 0.25
    assert found.score > 3 * anomaly_attention(network, image, normal, layer="cut").score
    assert sum(u.share for u in found.units) == pytest.approx(1)
    numbers = found.explanation.numbers["deviation"]
    assert isinstance(numbers, dict)
    assert numbers["unit 9"] == pytest.approx(found.units[0].deviation)


def test_directed_explains_what_lowers_a_unit_that_is_too_low():
    """−z_i for u_i < 0. With signed maps it is the undirected map turned round, unit by unit."""
    network = patches()
    normal = NormalUnits(np.full(17, 100.0), np.ones(17), 9)
    (image,) = pictures(1, 3)
    method = sl.GradCAM(relu=False)
    low = anomaly_attention(network, image, normal, layer="cut", method=method)
    plain = anomaly_attention(network, image, normal, layer="cut", method=method, directed=False)
    np.testing.assert_allclose(low.explanation.map, -plain.explanation.map, rtol=1e-6)


def test_the_map_is_the_weighed_mean_of_the_units_maps():
    network, normal = patches(), normal_units(patches(), pictures(40, 2))
    (image,) = pictures(1, 4, 60, 160)
    found = anomaly_attention(network, image, normal, layer="cut")
    signed = sorted(found.units, key=lambda u: u.unit)
    maps = [
        sl.explain(
            network, image, sl.GradCAM("cut"), Target(Channel(((u.unit, 1.0 if u.deviation >= 0 else -1.0),)))
        ).map
        for u in signed
    ]
    expected = sum(u.share * m for u, m in zip(signed, maps, strict=True))
    np.testing.assert_allclose(found.explanation.map, expected, rtol=1e-5, atol=1e-9)
    deviation = np.array([u.deviation for u in signed])
    np.testing.assert_allclose(found.score, np.sqrt((deviation**2).mean()))
    np.testing.assert_allclose([u.share for u in signed], np.abs(deviation) / np.abs(deviation).sum())


def test_scores_part_planted_anomalies_from_normal_images():
    """AUROC 1 where one patch of 16 is 30 levels brighter, ½ where nothing is planted."""
    network, normal = patches(), normal_units(patches(), pictures(60, 5))
    fresh, others = pictures(40, 6), pictures(40, 7)
    planted = [image.copy() for image in others]
    for k, image in enumerate(planted):
        image[4 * (k % 4) :, 4 * (k // 4 % 4) :][:4, :4] += 30
    scores = anomaly_scores(network, fresh, normal)
    assert auroc(anomaly_scores(network, planted, normal), scores) == 1.0
    assert abs(auroc(anomaly_scores(network, others, normal), scores) - 0.5) < 0.2
    np.testing.assert_allclose(scores[0], anomaly_attention(network, fresh[0], normal, layer="cut").score, rtol=1e-4)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ParameterError, match="two images or more"):
        normal_units(patches(), pictures(1, 0))
    with pytest.raises(ParameterError, match="normal units are 3, patches has 17"):
        anomaly_attention(patches(), pictures(1, 0)[0], NormalUnits(np.zeros(3), np.ones(3), 9))
    with pytest.raises(NetworkError, match="no latent units"):
        anomaly_attention("streets-unet", pictures(1, 0)[0], NormalUnits(np.zeros(3), np.ones(3), 9))
