"""Grad-CAM++ against its definition: exp(S), differentiated three times by every single activation."""

import pytest
import torch
from plain import BOX_SIZE, asked, in_box, network, pictures
from torch import nn
from torch.nn.functional import interpolate

from seglens.core.network import Network
from seglens.core.regions import everything
from seglens.core.targets import Target, Targets
from seglens.methods import GradCAMPlusPlus

SCALE = 0.05
"""Makes the sum over the region small enough for its exponential."""

SHARE = 16 / 64
"""Output pixels for each pixel of the input, on whose grid the region lies: the network has a stride of 2."""


def net_and_tail():
    net = network(
        nn.Conv2d(2, 3, 3, stride=2, padding=1),
        nn.Sigmoid(),
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, padding=1),
    )
    with torch.no_grad():
        net.module[4].weight *= SCALE
        net.module[4].bias *= SCALE
    return net, net.module[2:]


def weights_by_hand(tail, a, c, scale=1.0):
    """Chattopadhay et al.: Y = exp(S); α = Y″/(2Y″ + ΣA·Y‴); w = Σ α·ReLU(Y′), divided by Y at the end.

    One moved activation at a time: row i of the batch has t_i added to its i-th entry, and Y is differentiated by
    t_i three times. The tail is piecewise linear, as the closed form asks.
    """
    n = a.numel()
    t = torch.zeros(n, dtype=a.dtype, requires_grad=True)
    moved = a + torch.diag(t).reshape(n, *a.shape[1:])
    y = interpolate(tail(moved), size=(8, 8), mode="bilinear", align_corners=False)
    big = (in_box(y[:, c]) * scale).exp()
    first, second, third = big, None, None
    derivatives = []
    for _ in range(3):
        (first,) = torch.autograd.grad(first.sum(), t, create_graph=True)
        derivatives.append(first.reshape(a.shape[1:]).detach())
    first, second, third = derivatives
    below = 2 * second + a[0].sum((1, 2))[:, None, None] * third
    alpha = torch.where(below == 0, torch.zeros_like(below), second / below)
    return (alpha * first.clamp(min=0)).sum((1, 2)) / big[0].detach()


@pytest.mark.parametrize("c", [0, 1, 2])
def test_equals_the_definition_on_the_sum(c):
    net, tail = net_and_tail()
    x = pictures(1, 2, 8, 8)
    a = net.module[:2](x).detach()
    w = weights_by_hand(tail, a, c, SHARE) / SHARE
    expected = torch.einsum("k,kuv->uv", w, a[0]).clamp(min=0)
    assert expected.max() > 0
    found = GradCAMPlusPlus("1")(net, x, asked(c, reduce="sum"))
    torch.testing.assert_close(found.extras["coarse"][0, 0], expected, rtol=1e-8, atol=1e-12)
    full = interpolate(expected[None, None], size=(8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(found.values, full.float())


def test_a_mean_is_the_sums_map_divided_by_the_size():
    """α is not homogeneous in S: taken on the mean itself the map would be another."""
    net, tail = net_and_tail()
    with torch.no_grad():
        net.module[4].weight /= SCALE
    x = pictures()
    mean = GradCAMPlusPlus("1")(net, x, asked(1)).extras["coarse"]
    total = GradCAMPlusPlus("1")(net, x, asked(1, reduce="sum")).extras["coarse"]
    assert mean.max() > 0
    torch.testing.assert_close(mean * BOX_SIZE, total, rtol=1e-10, atol=1e-12)
    a = net.module[:2](x[:1]).detach()
    on_the_mean = torch.einsum("k,kuv->uv", weights_by_hand(tail, a, 1, SHARE / BOX_SIZE), a[0]).clamp(min=0)
    assert not torch.allclose(mean[0, 0], on_the_mean, rtol=0.02)


def test_a_classifier_is_a_segmenter_of_one_pixel():
    net, _ = net_and_tail()
    pooled = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    x = pictures()
    classifier = net.with_(module=nn.Sequential(*net.module, *pooled))
    segmenter = net.with_(module=nn.Sequential(*net.module, pooled[0]))
    one = GradCAMPlusPlus("1")(classifier, x, Targets.of(Target(1))).values
    other = GradCAMPlusPlus("1")(segmenter, x, Targets.of(Target(1, everything))).values
    assert one.max() > 0
    torch.testing.assert_close(other, one)


def test_nothing_overflows():
    """exp(S) itself would be infinite: 64 pixels of logits around a thousand."""
    net, _ = net_and_tail()
    with torch.no_grad():
        net.module[4].bias += 1000
    found = GradCAMPlusPlus("1")(Network(module=net.module.float()), pictures().float(), Target(0, everything))
    assert bool(torch.isfinite(found.values).all())


def test_powers_of_huge_slopes_do_not_overflow():
    net, _ = net_and_tail()
    with torch.no_grad():
        net.module[4].weight *= 1e25
    found = GradCAMPlusPlus("1")(Network(module=net.module.float()), pictures().float(), Target(1, everything))
    assert bool(torch.isfinite(found.values).all())
    assert found.values.max() > 0


def test_zero_gradients_give_no_weight():
    """0/0 → 0: channels that the score does not feel neither speak nor spoil the map."""
    net, _ = net_and_tail()
    with torch.no_grad():
        net.module[2].weight[:, 0] = 0
    found = GradCAMPlusPlus("1")(net, pictures(), asked(1))
    assert bool(torch.isfinite(found.values).all())
    assert found.values.max() > 0


def test_truncation():
    net, _ = net_and_tail()
    x = pictures(1, 2, 8, 8)
    cut = GradCAMPlusPlus("1", truncate=True)(net, x, asked(1))
    assert torch.equal(cut.values, GradCAMPlusPlus("1")(net, x, asked(1)).values)
