"""Vanilla gradients: closed forms, finite differences, and every way of reading a score."""

import pytest
import torch
from plain import BOX_SIZE, asked, differences, gradient, in_box, network, pictures, read, relu_net, score, signs
from torch import nn
from torch.nn.functional import interpolate

from seglens.core.errors import ParameterError
from seglens.core.regions import everything, pixel
from seglens.core.targets import Target, channel
from seglens.methods import Saliency

REDUCTIONS = {
    "sum": lambda g: g.abs().sum(1),
    "max": lambda g: g.abs().max(1).values,
    "l2": lambda g: (g**2).sum(1) ** 0.5,
    "signed": lambda g: g.sum(1),
}


@pytest.mark.parametrize("how", REDUCTIONS)
def test_gradient_of_a_convolution_is_its_kernel(how):
    """y_c(p) = Σ_d w_c(d)·x(p + d), so ∂y_c(p)/∂x is the kernel around p and 0 elsewhere."""
    net = network(nn.Conv2d(2, 3, 3, padding=1))
    expected = torch.zeros(1, 2, 8, 8, dtype=torch.float64)
    expected[0, :, 3:6, 1:4] = net.module[0].weight[2].detach()
    found = Saliency(how)(net, pictures(1, 2, 8, 8), Target(2, pixel(4, 2)))
    torch.testing.assert_close(found.values[:, 0], REDUCTIONS[how](expected).float())
    assert found.values.dtype == torch.float32
    assert found.unit == "{score} per unit of input"
    assert found.signed == (how == "signed")


@pytest.mark.parametrize("how", REDUCTIONS)
def test_reductions_of_a_batch_with_several_targets(how):
    net, x = relu_net(), pictures()
    found = Saliency(how)(net, x, [asked(c) for c in (2, 0)])
    for t, c in enumerate((2, 0)):
        expected = REDUCTIONS[how](gradient(lambda v, c=c: score(net.module(v), c), x))
        torch.testing.assert_close(found.values[:, t], expected.float())


def test_finite_differences():
    net, x = relu_net(), pictures(1, 2, 8, 8)
    slope, smooth = differences(lambda v: score(net.module(v), 1), x, signs(net.module))
    usable = smooth.all(1)
    assert usable.float().mean() > 0.9
    found = Saliency("signed")(net, x, asked(1)).values[:, 0].double()
    torch.testing.assert_close(found[usable], slope.sum(1)[usable], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("of", ["logits", "probabilities", "log-probabilities"])
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("emits", ["logits", "probabilities"])
def test_what_is_read(of, link, emits):
    """Independent formulation: upsample, apply the link by its formula, average, differentiate by plain autograd."""
    last = {"logits": nn.Identity(), "softmax": nn.Softmax(1), "sigmoid": nn.Sigmoid()}[
        "logits" if emits == "logits" else link
    ]
    net, x = network(*relu_net().module, last, link=link, emits=emits), pictures()

    def by_hand(v):
        y = interpolate(net.module(v), size=(8, 8), mode="bilinear", align_corners=False)
        return in_box(read(y, of, link, emits)[:, 1]) / BOX_SIZE

    found = Saliency("signed")(net, x, asked(1, of=of))
    torch.testing.assert_close(found.values[:, 0], gradient(by_hand, x).sum(1).float(), rtol=1e-5, atol=1e-7)
    torch.testing.assert_close(found.score[:, 0], by_hand(x).detach().float())


def test_a_contrast_is_a_difference_and_a_factor_a_factor():
    net, x = relu_net(), pictures()
    found = Saliency("signed")(net, x, [asked(0), asked(2), asked(channel(0) - 3 * channel(2))]).values
    torch.testing.assert_close(found[:, 2], found[:, 0] - 3 * found[:, 1])


def test_a_contrast_of_probabilities_is_a_difference():
    net, x = relu_net(), pictures()
    targets = [asked(c, of="probabilities") for c in (0, 2, channel(0) - channel(2))]
    found = Saliency("signed")(net, x, targets).values
    torch.testing.assert_close(found[:, 2], found[:, 0] - found[:, 1])


@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_a_sum_is_a_mean_times_the_size(of):
    net, x = relu_net(), pictures()
    found = Saliency()(net, x, [asked(1, of=of), asked(1, of=of, reduce="sum")])
    torch.testing.assert_close(found.values[:, 1], found.values[:, 0] * BOX_SIZE)
    torch.testing.assert_close(found.score[:, 1], found.score[:, 0] * BOX_SIZE)


def test_no_region_is_everything():
    net, x = relu_net(), pictures()
    found = Saliency()(net, x, [Target(1), Target(1, everything)]).values
    assert torch.equal(found[:, 0], found[:, 1])


def test_unknown_reduction():
    with pytest.raises(ParameterError, match=r"Saliency.channels is to be one of sum, max, l2, signed, not 'l3'"):
        Saliency("l3")
