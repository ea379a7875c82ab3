"""Derivatives through a dense layer that reads a whole layer: the rows of its weight, wherever that is exact."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.core import dense as module_under_test
from seglens.core.cost import measured
from seglens.core.network import Network
from seglens.core.regions import box, everything
from seglens.core.slopes import slopes
from seglens.core.targets import Target, Targets, channel
from seglens.methods import GradCAM, HiResCAM, LayerCAM

UNITS = 6


class Net(nn.Module):
    """A convolution gives A [B 5 4 4]; `way` reads it with the dense layers below."""

    def __init__(self, way):
        super().__init__()
        self.conv = nn.Conv2d(2, 5, 3, stride=2, padding=1)
        self.wide = nn.Linear(80, 2 * UNITS)
        self.mu = nn.Linear(80, UNITS)
        self.logvar = nn.Linear(80, UNITS)
        self.hidden = nn.Linear(80, 7, bias=False)
        self.middle = nn.Linear(7, 5)
        self.last = nn.Linear(5, UNITS)
        self.on_hidden = nn.Linear(7, UNITS)
        self.around = nn.Linear(5, UNITS)
        self.norm = nn.BatchNorm1d(80)
        self.back = nn.Linear(7, 4 * 2 * 2)
        self.way = way

    def forward(self, x):
        return self.way(self, self.conv(x))


def sample(n, a):
    f = a.flatten(1).tanh()
    return n.mu(f) + (n.logvar(f) / 2).exp() * torch.linspace(-1, 1, UNITS, dtype=a.dtype)


def mu_only(n, a):
    f = a.flatten(1)
    z = n.mu(f)
    n.logvar(f)
    return z


def masks(n, a):
    h = n.hidden(a.relu().flatten(1)).relu()
    return interpolate(n.back(h).reshape(-1, 4, 2, 2), size=(8, 8), mode="bilinear")


STRAIGHT = {
    "half of a dense layer": (lambda n, a: n.wide(a.flatten(1)).chunk(2, 1)[0], 0),
    "its second half": (lambda n, a: n.wide(a.flatten(1)).chunk(2, 1)[1], 0),
    "every second number": (lambda n, a: n.wide(a.flatten(1)).view(-1, UNITS, 2).unbind(-1)[1], 0),
    "backwards places": (lambda n, a: n.wide(a.flatten(1))[:, 3 : 3 + UNITS], 0),
    "a layer of its own": (mu_only, 0),
    "rectified before": (lambda n, a: n.mu(torch.relu(a).flatten(1)), 0),
    "rectified in place, and squashed": (lambda n, a: n.mu(torch.relu_(a).tanh().flatten(1)), 0),
    "smooth before": (lambda n, a: n.mu(nn.functional.silu(a.flatten(1))), 0),
    "a sample, of two layers": (sample, UNITS),
    "two dense layers": (lambda n, a: n.on_hidden(n.hidden(a.flatten(1)).relu()), UNITS),
    "three": (lambda n, a: n.last(n.middle(n.hidden(a.relu().flatten(1)).tanh()).relu()), UNITS),
    "twice the same layer": (lambda n, a: n.mu(a.flatten(1)) * n.mu(a.relu().flatten(1)), UNITS),
    "masks behind it": (masks, 4),
}
"""Ways on which one or more dense layers read all of A, and the reverse passes that are left."""

OTHERWISE = {
    "bypassed": lambda n, a: n.mu(a.flatten(1)) + n.around(a.mean((2, 3))),
    "channels last": lambda n, a: n.mu(a.permute(0, 2, 3, 1).flatten(1)),
    "turned": lambda n, a: n.mu(a.transpose(2, 3).flatten(1)),
    "mirrored": lambda n, a: n.mu(a.flip(3).flatten(1)),
    "normalised": lambda n, a: n.mu(n.norm(a.flatten(1))),
    "gated": lambda n, a: n.mu((a * a.sigmoid()).flatten(1)),
    "softmax over places": lambda n, a: n.mu(a.flatten(1).softmax(1)),
    "parts of A twice": lambda n, a: n.mu(torch.cat([a[:, :3], a[:, 1:3]], 1).flatten(1)),
    "a node nobody knows": lambda n, a: n.mu((a + 0).flatten(1)),
}


def build(way) -> Network:
    torch.manual_seed(4)
    return Network(module=Net(way).double(), link=None if way is masks else "none")


def pictures(batch=3) -> Tensor:
    return torch.rand(batch, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def questions(way) -> list[Target]:
    if way is masks:
        return [Target(k, box(1, 2, 6, 7)) for k in range(4)]
    return [*(Target(k) for k in range(UNITS - 1)), Target(channel(5) - 2 * channel(0))]


def one_by_one(net: Network, x: Tensor, targets) -> Tensor:
    """GAP of ∂S/∂A by plain autograd: [B T K]."""
    a = net.module.conv(x).detach().requires_grad_()
    y = net.module.way(net.module, a + 0)
    if y.ndim > 2:
        rows = [y[:, k, 1:6, 2:7].mean((1, 2)) for k in range(4)]
    else:
        rows = [*(y[:, k] for k in range(UNITS - 1)), y[:, 5] - 2 * y[:, 0]]
    return torch.stack([torch.autograd.grad(r.sum(), a, retain_graph=True)[0].mean((2, 3)) for r in rows], 1)


def gap(g: Tensor) -> Tensor:
    return g.flatten(2).mean(2)


@pytest.mark.parametrize("name", STRAIGHT)
def test_equal_to_one_reverse_pass_a_target(name):
    way, passes = STRAIGHT[name]
    net, x = build(way), pictures()
    net.module.eval()
    expected = one_by_one(net, x, questions(way))
    with slopes(net, x, Targets.of(questions(way)), ["conv"]) as found:
        alpha = found.linear(gap, alike=True)
        assert found.passes == passes
        torch.testing.assert_close(alpha, expected, rtol=1e-12, atol=1e-15)
        assert len(found._readers) == (2 if name in ("a sample, of two layers", "twice the same layer") else 1)


@pytest.mark.parametrize("name", OTHERWISE)
def test_exact_where_the_rows_are_not_the_derivatives(name):
    net, x = build(OTHERWISE[name]), pictures()
    net.module.eval()
    net.module.norm.running_mean.uniform_(-1, 1)
    expected = one_by_one(net, x, questions(None))
    with slopes(net, x, Targets.of(questions(None)), ["conv"]) as found:
        torch.testing.assert_close(found.linear(gap, alike=True), expected, rtol=1e-12, atol=1e-15)
        assert found.passes == UNITS


def test_a_hook_of_the_users_that_changes_the_dense_output():
    net, x = build(mu_only), pictures()
    plain = one_by_one(net, x, None)
    net.module.mu.register_forward_hook(lambda m, args, y: 3 * y)
    with slopes(net, x, Targets.of(questions(None)), ["conv"]) as found:
        torch.testing.assert_close(found.linear(gap, alike=True), 3 * plain, rtol=1e-12, atol=1e-15)
        assert found.passes == UNITS


def test_a_hook_that_puts_another_layers_product_in_its_place():
    """The same kind of node from the same input, but not this layer's weight."""
    net, x = build(mu_only), pictures()
    other = nn.Linear(80, UNITS).double().requires_grad_(False)
    net.module.mu.register_forward_hook(lambda m, args, y: other(args[0]))
    expected = one_by_one(net, x, None)
    with slopes(net, x, Targets.of(questions(None)), ["conv"]) as found:
        torch.testing.assert_close(found.linear(gap, alike=True), expected, rtol=1e-12, atol=1e-15)


def test_closed_form_of_linear_relu_linear():
    """α = W₂·diag(mask)·GAP(W₁): the same matrix for all images of one mask, and no other."""
    way = STRAIGHT["two dense layers"][0]
    net, x = build(way), pictures()
    m = net.module
    hidden = m.hidden(m.conv(x).flatten(1))
    pooled = m.hidden.weight.reshape(7, 5, 16).mean(2)
    expected = torch.stack([m.on_hidden.weight @ torch.diag((h > 0).double()) @ pooled for h in hidden])
    alpha = GradCAM("conv", relu=False)(net, x, Targets.of(range(UNITS))).extras["alpha"]
    torch.testing.assert_close(alpha, expected.detach(), rtol=1e-12, atol=1e-15)
    assert not torch.allclose(alpha[0], alpha[1])


def test_rows_are_taken_in_parts_where_they_are_many(monkeypatch):
    for name in ("half of a dense layer", "rectified before", "a sample, of two layers"):
        way = STRAIGHT[name][0]
        net, x = build(way), pictures()
        whole = GradCAM("conv", relu=False)(net, x, Targets.of(range(UNITS))).extras["alpha"]
        monkeypatch.setattr(module_under_test, "ROWS_LIMIT", 80 * 8 * 2)
        parts = GradCAM("conv", relu=False)(net, x, Targets.of(range(UNITS))).extras["alpha"]
        monkeypatch.undo()
        torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("method", [HiResCAM("conv"), LayerCAM("conv")])
def test_what_weighs_places_by_the_image_is_not_taken_from_the_rows(method):
    """Σ_k G∘A differs from image to image: these methods differentiate, and agree with plain autograd."""
    way = STRAIGHT["rectified before"][0]
    net, x = build(way), pictures()
    a = net.module.conv(x).detach().requires_grad_()
    y = net.module.way(net.module, a + 0)
    for unit in range(UNITS):
        g = torch.autograd.grad(y[:, unit].sum(), a, retain_graph=True)[0]
        weight = g.relu() if isinstance(method, LayerCAM) else g
        expected = (weight * a).sum(1).relu().detach()
        coarse = method(net, x, Targets.of(unit)).extras["coarse"][:, 0]
        torch.testing.assert_close(coarse, expected, rtol=1e-10, atol=1e-14)


class Encoder(nn.Module):
    """Three stages of two convolutions, and one dense layer for μ and log σ² of D units, after a ReLU or not."""

    def __init__(self, units, rectified_after):
        super().__init__()
        layers, width = [], 3
        for wider in (16, 32, 64):
            layers += [nn.Conv2d(width, wider, 3, 1, 1), nn.ReLU(), nn.Conv2d(wider, wider, 3, 2, 1), nn.ReLU()]
            width = wider
        self.stages = nn.Sequential(*layers[: -1 if rectified_after else None])
        self.dense = nn.Linear(64 * 8 * 8, 2 * units)

    def forward(self, x):
        return self.dense(torch.relu(self.stages(x)).flatten(1)).chunk(2, 1)[0]


@pytest.mark.parametrize("before", [False, True])
def test_a_hundred_units_cost_one_forward_pass(before):
    """≤ 1.05 F for D = 100; by a reverse pass for each unit it were far more."""
    torch.manual_seed(0)
    net = Network(module=Encoder(100, before), link="none")
    x = torch.rand(2, 3, 64, 64)
    with torch.no_grad(), measured() as once:
        net(x)
    targets = Targets.of(range(100))
    with measured() as spent:
        maps = GradCAM("stages", relu=False)(net, x, targets)
    assert maps.values.shape == (2, 100, 64, 64)
    assert spent.flops / once.flops <= 1.05
    with measured() as naive, slopes(net, x, targets, ["stages"]) as found:
        alpha = found.linear(gap)
    assert naive.flops / once.flops > 2
    torch.testing.assert_close(maps.extras["alpha"], alpha, rtol=1e-4, atol=1e-7)


def test_a_whole_layer_beside_the_image():
    """With the image among what is differentiated by, nothing is taken from the rows, and all is right."""
    net, x = build(mu_only), pictures()
    expected = one_by_one(net, x, None)
    with slopes(net, x, Targets.of(questions(None)), ["conv"], image=True) as found:
        pooled = found.linear(lambda g, by_x: gap(g))
    torch.testing.assert_close(pooled, expected, rtol=1e-12, atol=1e-15)


def test_probabilities_of_a_classifier_that_flattens():
    net = Network(module=build(mu_only).module)
    x = pictures()
    a = net.module.conv(x).detach().requires_grad_()
    p = net.module.way(net.module, a + 0).softmax(1)
    expected = torch.autograd.grad(p[:, 2].sum(), a)[0].mean((2, 3))
    alpha = GradCAM("conv", relu=False)(net, x, Targets.of(Target(2, of="probabilities"))).extras["alpha"]
    torch.testing.assert_close(alpha[:, 0], expected, rtol=1e-12, atol=1e-15)


def test_the_way_from_the_output_must_be_whole():
    """`everything` of masks: a region on an output with space goes by passes through the decoder, down to the layer."""
    net, x = build(masks), pictures()
    with slopes(net, x, Targets.of([Target(0, everything), Target(1, everything)]), ["conv"]) as found:
        alike = found.linear(gap, alike=True)
        assert found.passes == 2
        plain = found.linear(gap)
    torch.testing.assert_close(alike, plain, rtol=1e-12, atol=1e-15)
