"""Gradient × input: the closed form of a linear network, and finite differences."""

import torch
from plain import asked, differences, gradient, network, pictures, relu_net, score, signs
from torch import nn

from seglens.core.regions import pixel
from seglens.core.targets import Target
from seglens.methods import InputXGradient


def test_closed_form_of_a_convolution():
    net, x = network(nn.Conv2d(2, 3, 3, padding=1)), pictures(1, 2, 8, 8)
    expected = torch.zeros(1, 8, 8, dtype=torch.float64)
    expected[0, 3:6, 1:4] = (net.module[0].weight[2].detach() * x[0, :, 3:6, 1:4]).sum(0)
    found = InputXGradient()(net, x, Target(2, pixel(4, 2)))
    torch.testing.assert_close(found.values[:, 0], expected.float())
    assert found.signed
    assert found.unit == "{score}"


def test_sums_to_the_score_without_bias():
    """A network of degree one in x (ReLU and convolutions without bias): Σ x ∘ ∂S/∂x = S, by Euler."""
    net = network(nn.Conv2d(2, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 3, 3, bias=False))
    found = InputXGradient()(net, pictures(), [asked(0), asked(2)])
    torch.testing.assert_close(found.values.sum((2, 3)), found.score)


def test_bias_takes_no_share():
    """The same with biases does not sum to S: the check above can fail."""
    found = InputXGradient()(relu_net(), pictures(), asked(0))
    assert (found.values.sum((2, 3)) - found.score).abs().min() > 1e-3


def test_equals_x_times_the_gradient_and_finite_differences():
    net, x = relu_net(), pictures(1, 2, 8, 8)
    found = InputXGradient()(net, x, asked(1)).values[:, 0].double()
    torch.testing.assert_close(found, (x * gradient(lambda v: score(net.module(v), 1), x)).sum(1), rtol=1e-6, atol=1e-8)
    slope, smooth = differences(lambda v: score(net.module(v), 1), x, signs(net.module))
    usable = smooth.all(1)
    torch.testing.assert_close(found[usable], (x * slope).sum(1)[usable], rtol=1e-6, atol=1e-7)
