"""Integrated gradients: closed forms, completeness for every image and target, and what the baseline is."""

import numpy as np
import pytest
import torch
from plain import asked, gradient, network, pictures, relu_net, score
from torch import nn

from seglens.core.convention import Convention
from seglens.core.errors import CompletenessWarning, NonFiniteError, ParameterError
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.regions import everything
from seglens.core.targets import Target, Targets, channel
from seglens.methods import InputXGradient, IntegratedGradients


class Power(nn.Module):
    """Each entry to a power: a network whose gradient along the path is a polynomial in a."""

    def __init__(self, n):
        super().__init__()
        self.n = n

    def forward(self, x):
        return x**self.n


def powers(n):
    return network(nn.Conv2d(2, 3, 3, padding=1), Power(n), nn.Conv2d(3, 3, 1))


def kinked():
    """Targets that need different numbers of nodes: channel 0 is linear in x, channel 1 has kinks."""
    net = network(nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.Conv2d(2, 2, 1))
    with torch.no_grad():
        net.module[0].bias[0] = 50.0
        net.module[0].weight.abs_()
        net.module[2].weight[0, 1] = 0.0
        net.module[2].weight[1, 0] = 0.0
        net.module[0].bias[1] = -0.3
    return net


def test_a_linear_network_gives_input_times_gradient():
    net, x = network(nn.Conv2d(2, 3, 3, padding=1)), pictures()
    found = IntegratedGradients(nodes=1)(net, x, [asked(0), asked(2)])
    torch.testing.assert_close(found.values, InputXGradient()(net, x, [asked(0), asked(2)]).values)
    assert torch.equal(found.extras["nodes"], torch.ones(2, 2, dtype=torch.float64))


@pytest.mark.parametrize(("degree", "nodes"), [(2, 1), (3, 2), (4, 2), (5, 3), (6, 3)])
def test_n_nodes_are_exact_for_networks_of_degree_2n(degree, nodes):
    """Gauss–Legendre: n nodes integrate degree 2n − 1 exactly, and the gradient has one degree less than y."""
    net, x = powers(degree), pictures()
    found = IntegratedGradients(nodes=nodes, most=nodes, gap=1e-9)(net, x, [asked(0), asked(1)])
    assert found.extras["completeness-gap"].abs().max() < 1e-10
    # Entry by entry, by a fine midpoint rule.
    ends = (np.arange(200) + 0.5) / 200
    mean = sum(gradient(lambda v: score(net.module(v), 0), float(a) * x) for a in ends) / 200
    torch.testing.assert_close(found.values[:, 0].double(), (x * mean).sum(1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("degree", [3, 5])
def test_too_few_nodes_warn_with_the_gap(degree):
    with pytest.warns(CompletenessWarning, match=r"miss the change of score by .*% with 1 nodes .*raise `most`"):
        found = IntegratedGradients(nodes=1, most=1, gap=1e-6)(powers(degree), pictures(), asked(0))
    gap = found.extras["completeness-gap"][:, 0]
    change = found.score[:, 0] - found.extras["baseline-score"][:, 0]
    assert gap.abs().max() > 1e-4
    torch.testing.assert_close(1 - found.values.sum((2, 3))[:, 0] / change, gap.to(change), rtol=1e-3, atol=1e-5)


def test_complete_within_the_stated_gap_for_every_image_and_target():
    net, x = relu_net(), pictures(3, 2, 8, 8)
    targets = [asked(0), asked(channel(1) - channel(2), reduce="sum"), asked(2, of="probabilities")]
    found = IntegratedGradients(nodes=4, gap=0.01, most=1024)(net, x, targets)
    change = found.score - found.extras["baseline-score"]
    left = change - found.values.sum((2, 3))
    assert bool((left.abs() <= 0.01 * change.abs() + 2e-6).all())
    torch.testing.assert_close(found.extras["baseline-score"][:, 0], score(net.module(0 * x), 0).detach())


def test_doubling_is_each_pairs_own():
    """A linear target keeps its first nodes although another of the same image needs more; batching changes nothing."""
    net, x = kinked(), pictures(3, 2, 8, 8)
    method = IntegratedGradients(nodes=2, gap=1e-4, most=4096)
    together = method(net, x, [asked(0), asked(1)])
    nodes = together.extras["nodes"]
    assert bool((nodes[:, 0] == 2).all())
    assert bool((nodes[:, 1] > 4).all())
    assert len(nodes[:, 1].unique()) > 1
    for b in range(3):
        for t in range(2):
            alone = method(net, x[b : b + 1], asked(t))
            assert alone.extras["nodes"].item() == nodes[b, t]
            torch.testing.assert_close(alone.values[0, 0], together.values[b, t], rtol=1e-5, atol=1e-8)


def test_a_baseline_of_the_same_score_has_no_gap():
    """0/0: x is its own baseline, so the map is zero and the relative gap undefined."""
    net, x = relu_net(), torch.zeros(1, 2, 8, 8, dtype=torch.float64)
    with pytest.warns(match="zero everywhere"):
        found = IntegratedGradients(nodes=2)(net, x, asked(0))
    assert found.extras["completeness-gap"].isnan().all()


def test_without_multiplication_it_is_grid_saliencys_equation_4():
    """Σ_ch |1/n Σ_k ∂S/∂x (k x / n)| as n grows: an independent Riemann sum."""
    net = network(nn.Conv2d(2, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 3, 3, padding=1))
    x = pictures()
    steps = 400
    total = sum(gradient(lambda v: score(net.module(v), 1), x * (k + 0.5) / steps) for k in range(steps))
    found = IntegratedGradients(nodes=20, multiply_by_inputs=False)(net, x, asked(1))
    torch.testing.assert_close(found.values[:, 0].double(), (total / steps).abs().sum(1), rtol=1e-4, atol=1e-6)
    assert found.unit == "{score} per unit of input"
    assert not found.signed
    assert "completeness-gap" not in found.extras


@pytest.mark.parametrize(
    "convention",
    [
        Convention(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4)),
        Convention(mean=(104.0, 117.0, 123.0), range=(0, 255), order="BGR"),
    ],
    ids=["mean and std", "BGR of 0..255"],
)
@pytest.mark.parametrize(("kind", "level"), [("black", 0.0), ("grey", 0.5), ("white", 1.0)])
def test_baselines_are_pixel_values_before_normalisation(convention, kind, level):
    net = network(nn.Conv2d(3, 2, 3, padding=1), convention=convention)
    start = convention.normalise(torch.full((2, 3, 8, 8), level, dtype=torch.float64))
    x = convention.normalise(pictures(2, 3, 8, 8))
    found = IntegratedGradients(nodes=1, baseline=kind)(net, x, asked(0))
    torch.testing.assert_close(found.extras["baseline-score"][:, 0], score(net.module(start), 0).detach())
    weight = gradient(lambda v: score(net.module(v), 0), x)
    torch.testing.assert_close(found.values[:, 0], ((x - start) * weight).sum(1).float(), rtol=1e-4, atol=1e-5)


def test_the_region_is_that_of_the_image_itself():
    """Along the path the prediction changes; the region stays the image's own."""
    net, x = relu_net(), pictures(1, 2, 8, 8)
    found = IntegratedGradients(nodes=8, gap=0.5)(net, x, 0)
    mask = found.scores.masks[0, 0]
    y = nn.functional.interpolate(net.module(0 * x), size=(8, 8), mode="bilinear")
    torch.testing.assert_close(found.extras["baseline-score"][0, 0], y[0, 0][mask].mean().detach())


def test_a_network_undefined_on_the_baseline_is_named():
    """A network that standardises its input divides by zero on a black picture: no score, so no difference."""

    class Standardised(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 3, 3, padding=1)

        def forward(self, x):
            return self.conv((x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True))

    net = Network(module=Standardised())
    with pytest.raises(NonFiniteError, match="NaN"):
        IntegratedGradients(nodes=2)(net, pictures().float(), Target(0, everything))


@pytest.mark.parametrize(("field", "value"), [("nodes", 0), ("gap", 0.0), ("most", 2.5), ("baseline", "purple")])
def test_bad_parameters(field, value):
    with pytest.raises(ParameterError, match=rf"IntegratedGradients.{field} is to be"):
        IntegratedGradients(**{field: value})


def test_the_mean_colour_is_that_of_the_picture_without_padding():
    net, small = network(nn.Conv2d(2, 3, 3, padding=1)), pictures(1, 2, 5, 6)
    x = nn.functional.pad(small, (0, 2, 0, 3), mode="replicate")
    frame = Frame((5, 6), (5, 6), (8, 8))
    found = IntegratedGradients(nodes=1, baseline="mean")(
        net, x, Targets(items=(Target(0, everything),), frames=(frame,))
    )
    start = small.mean((2, 3), keepdim=True).expand_as(x)
    expected = (gradient(lambda v: net.module(v)[:, 0, :5, :6].mean((1, 2)), x) * (x - start)).sum(1)
    torch.testing.assert_close(found.values[:, 0], expected.float())
