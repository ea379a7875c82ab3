"""SmoothGrad: noise 0, the explicit loop, and draws that no batching changes."""

import pytest
import torch
from plain import asked, gradient, network, pictures, relu_net, score
from torch import nn

from seglens.core import batches
from seglens.core.errors import ParameterError
from seglens.methods import Saliency, SmoothGrad
from seglens.methods.saliency import over_channels


@pytest.mark.parametrize("how", ["sum", "max", "l2", "signed"])
def test_without_noise_it_is_saliency(how):
    net, x = relu_net(), pictures()
    found = SmoothGrad(samples=3, noise=0.0, channels=how)(net, x, [asked(0), asked(2)])
    expected = Saliency(how)(net, x, [asked(0), asked(2)])
    torch.testing.assert_close(found.values, expected.values)
    torch.testing.assert_close(found.score, expected.score)


def test_a_linear_network_does_not_feel_the_noise():
    net, x = network(nn.Conv2d(2, 3, 3, padding=1)), pictures()
    found = SmoothGrad(samples=4, noise=0.5)(net, x, asked(1)).values
    torch.testing.assert_close(found, Saliency()(net, x, asked(1)).values)


@pytest.mark.parametrize("how", ["sum", "signed"])
def test_equals_the_loop_over_the_same_draws(how):
    """|mean of gradients|, not mean of |gradients|; σ from each image's own range; one draw for all images."""
    net, x = relu_net(), pictures()
    method = SmoothGrad(samples=5, noise=0.2, channels=how, seed=3)
    total = torch.zeros_like(x)
    for i in range(5):
        draw = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(3 * 1_000_003 + i)).double()
        for b in range(2):
            sigma = 0.2 * (x[b].max() - x[b].min())
            noisy = x[b : b + 1] + sigma * draw
            total[b] += gradient(lambda v: score(net.module(v), 1), noisy)[0]
    found = method(net, x, asked(1)).values
    torch.testing.assert_close(found, over_channels((total / 5)[:, None], how).float(), rtol=1e-5, atol=1e-7)


def test_draws_do_not_depend_on_batching(monkeypatch):
    net, x = relu_net(), pictures(3, 2, 8, 8)
    method = SmoothGrad(samples=6)
    whole = method(net, x, asked(1)).values
    torch.testing.assert_close(method(net, x[[2]], asked(1)).values, whole[[2]])
    torch.testing.assert_close(method(net, x[[2, 0]], asked(1)).values, whole[[2, 0]])
    monkeypatch.setitem(batches.PIXELS, "cpu", 64 * 2)
    torch.testing.assert_close(method(net, x, asked(1)).values, whole)


def test_seeds_differ_and_repeat():
    net, x = relu_net(), pictures()
    one, again, other = (SmoothGrad(samples=2, seed=s)(net, x, asked(1)).values for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_the_region_is_that_of_the_clean_image():
    net, x = relu_net(), pictures()
    found = SmoothGrad(samples=2, noise=2.0)(net, x, 0)
    assert torch.equal(found.scores.masks, Saliency()(net, x, 0).scores.masks)
    torch.testing.assert_close(found.score, Saliency()(net, x, 0).score)


@pytest.mark.parametrize(
    ("field", "value"), [("samples", 0), ("noise", -0.1), ("noise", float("nan")), ("seed", -1), ("seed", 2**63)]
)
def test_bad_parameters(field, value):
    with pytest.raises(ParameterError, match=rf"SmoothGrad.{field} is to be"):
        SmoothGrad(**{field: value})
