"""HiResCAM: gradient × activation, and the sum that it keeps."""

import pytest
import torch
from plain import asked, gradient, network, pictures, relu_net, score
from torch import nn

from seglens.core.targets import channel
from seglens.methods import HiResCAM


@pytest.mark.parametrize("layer", [0, 1, 2, 3])
@pytest.mark.parametrize("relu", [True, False])
def test_equals_the_dense_formula(layer, relu):
    net, x = relu_net(), pictures()
    a = net.module[: layer + 1](x).detach()
    found = HiResCAM(str(layer), relu=relu)(net, x, [asked(0), asked(2)])
    for t, c in enumerate((0, 2)):
        g = gradient(lambda v, c=c: score(net.module[layer + 1 :](v), c), a)
        expected = sum(g[:, k] * a[:, k] for k in range(a.shape[1]))
        expected = expected.clamp(min=0) if relu else expected
        torch.testing.assert_close(found.extras["coarse"][:, t], expected, rtol=1e-10, atol=1e-13)
    assert found.signed is not relu


@pytest.mark.parametrize("target", [asked(1), asked(channel(0) - channel(2), reduce="sum")], ids=str)
def test_sums_to_the_score_less_the_bias(target):
    """For a tail linear in A: Σ G ∘ A = S(A) − S(0)."""
    net = network(
        nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.Conv2d(5, 3, 3, padding=1)
    )
    x = pictures()
    found = HiResCAM("1", relu=False)(net, x, target)
    empty = network(nn.Identity())
    empty.module.append(nn.Conv2d(4, 5, 3, stride=2, padding=1)).append(nn.Conv2d(5, 3, 3, padding=1))
    at_zero = found.scores(net.module[2:](torch.zeros(2, 4, 8, 8, dtype=torch.float64))).detach()
    torch.testing.assert_close(found.extras["coarse"].sum((2, 3)).float(), found.score - at_zero.float())


def test_a_tail_with_a_rectifier_does_not_sum():
    """The same with a ReLU and biases behind the layer: the check above can fail."""
    net, x = relu_net(), pictures()
    found = HiResCAM("1", relu=False)(net, x, asked(1))
    at_zero = found.scores(net.module[2:](torch.zeros(2, 4, 8, 8, dtype=torch.float64))).detach()
    assert (found.extras["coarse"].sum((2, 3)) - (found.score - at_zero)).abs().min() > 1e-3


def test_sums_to_a_classifiers_logit_less_the_bias():
    net = network(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    x = pictures()
    found = HiResCAM("1", relu=False)(net, x, [0, 1, 2])
    expected = (net.module(x) - net.module[4].bias).detach()
    torch.testing.assert_close(found.extras["coarse"].sum((2, 3)), expected)
