"""Second-order attention against known Hessians, finite differences, and what theory says of it."""

import warnings
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from seglens.core.cost import measured
from seglens.core.errors import NoCurvatureWarning, ParameterError, SamplingNoiseWarning, ZeroMapWarning
from seglens.core.network import Network
from seglens.core.regions import box
from seglens.core.targets import Target, Targets, channel
from seglens.generative.coder import latent_of
from seglens.generative.vae import VAE
from seglens.methods import SecondOrder

UNITS = 3


class Quadratic(nn.Module):
    """Units z_i = ½ aᵀ Q_i a, with a the flattened output of `layer`, which is twice the image."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 1, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(2 * torch.eye(2)[:, :, None, None])
        q = torch.randn(UNITS, 12, 12, generator=torch.Generator().manual_seed(1))
        self.register_buffer("q", q + q.transpose(1, 2))

    def forward(self, x):
        a = self.layer(x).flatten(1)
        return torch.einsum("bi,uij,bj->bu", a, self.q, a) / 2


def quadratic() -> tuple[Network, Tensor]:
    x = torch.rand(2, 2, 2, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return Network(module=Quadratic().double(), link="none", name="quadratic"), x


def encoder(activation, seed=0, **fields) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        fields = {"channels": 1, "size": (16, 16), "latent": 4, "widths": (4, 6), "convolutions": 1} | fields
        vae = VAE(activation=activation, **fields).double().eval()
        with torch.no_grad():
            vae.encoder.logvar.weight.mul_(10)
    return Network(module=vae, name="vae")


def images(batch=2) -> Tensor:
    return torch.rand(batch, 1, 16, 16, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def quietly(method, network, x, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return method(network, x, Targets.of(targets))


def test_a_known_hessian():
    """Row sums Q·1 and the diagonal, at a layer that is twice the input: derivatives by the layer, not by the image."""
    net, x = quadratic()
    q = net.module.q
    rows = SecondOrder("layer")(net, x, Targets.of(range(UNITS))).extras["filters"]
    expected = q.sum(2).reshape(UNITS, 2, 2, 3).expand(2, -1, -1, -1, -1)
    torch.testing.assert_close(rows, expected)
    diagonal = SecondOrder("layer", variant="diag")(net, x, Targets.of(range(UNITS))).extras["filters"]
    expected = q.diagonal(dim1=1, dim2=2).reshape(UNITS, 2, 2, 3).expand(2, -1, -1, -1, -1)
    torch.testing.assert_close(diagonal, expected)
    assert not torch.allclose(rows, diagonal, rtol=0.5)


@pytest.mark.parametrize("layer", ["encoder.stage1", "encoder.stage2.conv1", "encoder.stage2"])
def test_row_sums_are_differences_of_gradients_along_ones(layer):
    """H·1 = (∇S(A + h·1) − ∇S(A − h·1)) / 2h, in float64."""
    net, x = latent_of(encoder("silu", pooling="average")), images()
    sum_of_units = channel(0) + channel(1) + channel(2) + channel(3)
    found = quietly(SecondOrder(layer), net, x, Target(sum_of_units)).extras["filters"][:, 0]

    def gradient(step: float) -> Tensor:
        kept = []

        def shift(module, args, output):
            kept.append((output + step).detach().requires_grad_())
            return kept[0]

        handle = net.module.get_submodule(layer).register_forward_hook(shift)
        z = net.module(x)
        handle.remove()
        return torch.autograd.grad(z.sum(), kept[0])[0]

    h = 1e-5
    expected = (gradient(h) - gradient(-h)) / (2 * h)
    # Behind the last pooling everything is linear; before it the activations bend.
    if layer == "encoder.stage2":
        assert not found.any()
        assert float(expected.abs().max()) < 1e-10
    else:
        assert float(expected.abs().max()) > 1e-3
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


class Tail(nn.Module):
    """A convolution, then Linear, an activation, Linear: one nonlinearity behind the layer `conv`."""

    def __init__(self, act, mixing_first=False):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.first = nn.Linear(3 * 16, 9)
        self.between = nn.Linear(9, 9) if mixing_first else nn.Identity()
        self.act = act
        self.last = nn.Linear(9, 4)

    def forward(self, x):
        return self.last(self.act(self.between(self.act(self.first(self.conv(x).flatten(1))))))


@pytest.mark.parametrize("act", [nn.SiLU(), nn.Softplus(), nn.Tanh()])
def test_the_closed_form_with_one_nonlinearity_is_the_exact_diagonal(act, monkeypatch):
    """(W∘W)ᵀ(φ″∘u) by one product, against 48 products with the Hessian."""
    torch.manual_seed(0)
    net = Network(module=Tail(act).double(), link="none")
    x = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    targets = [Target(0), Target(channel(1) - 2 * channel(3))]
    with measured() as closed:
        found = SecondOrder("conv", variant="diag")(net, x, Targets.of(targets)).extras["filters"]
    monkeypatch.setattr("seglens.methods.second_order._by_squared_weights", lambda *_: None)
    with measured() as by_products:
        expected = SecondOrder("conv", variant="diag")(net, x, Targets.of(targets)).extras["filters"]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    assert closed.flops < by_products.flops / 4


def test_with_two_nonlinearities_the_closed_form_is_not_used(monkeypatch):
    torch.manual_seed(0)
    net = Network(module=Tail(nn.SiLU(), mixing_first=True).double(), link="none")
    x = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    found = SecondOrder("conv", variant="diag")(net, x, Targets.of(0)).extras["filters"]
    monkeypatch.setattr("seglens.methods.second_order._by_squared_weights", lambda *_: None)
    expected = SecondOrder("conv", variant="diag")(net, x, Targets.of(0)).extras["filters"]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


def test_the_stated_error_of_an_estimate_is_the_measured_one():
    """Over 120 seeds: unbiased, and the spread is the standard error that each states (RMS over seeds and places)."""
    net, x = quadratic()
    exact = SecondOrder("layer", variant="diag")(net, x, Targets.of(0)).extras["coarse"]
    maps, errors = [], []
    for seed in range(120):
        extras = SecondOrder("layer", variant="diag", probes=8, seed=seed)(net, x, Targets.of(0)).extras
        maps.append(extras["coarse"])
        errors.append(extras["standard-error"])
    maps, errors = torch.stack(maps), torch.stack(errors)
    measured_spread, stated = maps.std(0).square().mean().sqrt(), errors.square().mean().sqrt()
    assert abs(float(stated / measured_spread) - 1) < 0.1
    off = (maps.mean(0) - exact) / (maps.std(0) / 120**0.5)
    assert float(off.abs().max()) < 4
    assert float(measured_spread) > 0.1 * float(exact.abs().mean())


def test_relative_error_shrinks_with_the_root_of_the_probes():
    net, x = quadratic()
    few, many = (
        SecondOrder("layer", variant="diag", probes=n)(net, x, Targets.of(0)).extras["relative-error"]
        for n in (16, 1024)
    )
    assert float((few / many).median()) == pytest.approx(8, rel=0.35)


@pytest.mark.parametrize("variant", ["hvp_ones", "diag"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_zero_where_theory_says_zero(activation, variant):
    """Piecewise linear encoders: exactly zero at every layer, and a warning that says why and what to do."""
    net, x = latent_of(encoder(activation)), images()
    for layer in ("encoder.stage1", "encoder.stage2"):
        with pytest.warns(ZeroMapWarning), pytest.warns(NoCurvatureWarning, match=r"(?s)piecewise linear .*curvature"):
            maps = SecondOrder(layer, variant=variant, probes=4 if variant == "diag" else None)(net, x, Targets.of(0))
        assert not maps.values.any()


def test_curvature_in_closed_form():
    """¼ Σ |w_i| σ_i (∂ℓ_i/∂A)², by one reverse pass a unit."""
    network = encoder("relu")
    net, x = latent_of(network), images()
    a = network.module.encoder.stage1(x).detach().requires_grad_()
    features = network.module.encoder.stage2(a).flatten(1)
    logvar = network.module.encoder.logvar(features)
    assert float(logvar.detach().abs().max()) < 12  # within, the bound on log σ² is the identity
    each = [torch.autograd.grad(logvar[:, i].sum(), a, retain_graph=True)[0] for i in range(4)]
    sigma = (logvar / 2).exp().detach()
    terms = torch.stack([sigma[:, i, None, None, None] * g**2 / 4 for i, g in enumerate(each)], 1)
    targets = [Target(2), Target(channel(0) - 3 * channel(1))]
    found = SecondOrder("encoder.stage1", variant="curvature")(net, x, Targets.of(targets))
    torch.testing.assert_close(found.extras["filters"][:, 0], terms[:, 2])
    torch.testing.assert_close(found.extras["filters"][:, 1], terms[:, 0] + 3 * terms[:, 1])
    assert not found.signed
    torch.testing.assert_close(
        found.score[:, 0].double(), network.module.encode(x)[0][:, 2].detach(), rtol=1e-6, atol=1e-6
    )
    estimate = SecondOrder("encoder.stage1", variant="curvature", probes=400)(net, x, Targets.of(targets[1]))
    off = (estimate.extras["coarse"] - found.extras["coarse"][:, 1:]) / estimate.extras["standard-error"].clamp_min(
        1e-12
    )
    assert float(off.abs().mean()) < 1.5


def test_curvature_is_the_size_of_a_samples_second_derivative_over_the_noise():
    """ReLU: the diagonal of a sample of unit i is ε_i times its curvature: sign of the noise, RMS the curvature."""
    network, x = encoder("relu"), images()
    curved = SecondOrder("encoder.stage2", variant="curvature")(latent_of(network), x, Targets.of(1)).extras["filters"]
    signs = set()
    for seed in range(6):
        epsilon = torch.randn(4, generator=torch.Generator().manual_seed(seed))[1]
        drawn = latent_of(network, "sample", seed)
        with pytest.warns(SamplingNoiseWarning, match="sign is that of the drawn noise"):
            found = SecondOrder("encoder.stage2", variant="diag")(drawn, x, Targets.of(1)).extras["filters"]
        torch.testing.assert_close(found, float(epsilon) * curved, rtol=1e-8, atol=1e-14)
        signs.add(float(epsilon) > 0)
    assert signs == {True, False}


def test_the_published_rows_of_a_sample_are_rank_one_and_turn_with_the_noise():
    """¼ σ ε g (gᵀ1), for ReLU."""
    network, x = encoder("relu"), images(1)
    a = network.module.encoder.stage1(x).detach().requires_grad_()
    logvar = network.module.encoder.logvar(network.module.encoder.stage2(a).flatten(1))
    g = torch.autograd.grad(logvar[:, 1].sum(), a)[0]
    for seed in (0, 1, 2):
        epsilon = float(torch.randn(4, generator=torch.Generator().manual_seed(seed))[1])
        found = quietly(SecondOrder("encoder.stage1"), latent_of(network, "sample", seed), x, 1).extras["filters"][:, 0]
        expected = epsilon * (logvar[:, 1] / 2).exp().detach()[:, None, None, None] / 4 * g * g.sum()
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "aggregate"),
    [
        ("mean", lambda f: f.mean(2)),
        ("sum", lambda f: f.sum(2)),
        ("l2", lambda f: f.square().sum(2).sqrt()),
        ("absolute", lambda f: f.abs().mean(2)),
    ],
)
def test_aggregation_over_channels(channels, aggregate):
    net, x = quadratic()
    maps = SecondOrder("layer", channels=channels)(net, x, Targets.of(range(UNITS)))
    torch.testing.assert_close(maps.extras["coarse"], aggregate(maps.extras["filters"]))
    assert maps.signed == (channels in ("mean", "sum"))
    estimate = SecondOrder("layer", variant="diag", channels=channels, probes=3)(net, x, Targets.of(0))
    assert ("standard-error" in estimate.extras) == (channels in ("mean", "sum"))


def test_a_sum_of_units_is_the_sum_of_their_maps():
    net, x = quadratic()
    maps = SecondOrder("layer")(net, x, Targets.of([*range(3), channel(0) + channel(1) + channel(2)]))
    torch.testing.assert_close(maps.extras["coarse"][:, 3], maps.extras["coarse"][:, :3].sum(1))


@pytest.mark.parametrize(
    "network", [quadratic()[0], encoder("relu"), latent_of(encoder("relu"), "logvar")], ids=["encoder", "vae", "logvar"]
)
def test_curvature_needs_a_log_variance(network):
    x = quadratic()[1] if network.name == "quadratic" else images()
    with pytest.raises(ParameterError, match="made of the log-variance of latent units"):
        SecondOrder(variant="curvature")(network, x, Targets.of(0))


def test_a_segmenter_is_explained_over_a_region():
    """Row sums for the mean of a probability over a box, against nested autograd by hand."""
    torch.manual_seed(1)
    body, head = nn.Conv2d(1, 3, 3, padding=1), nn.Conv2d(3, 2, 1)
    net = Network(module=nn.Sequential(body, nn.SiLU(), head).double())
    x = torch.rand(2, 1, 6, 6, dtype=torch.float64)
    a = body(x).detach().requires_grad_()
    p = head(nn.functional.silu(a)).softmax(1)[:, 1, 1:4, 2:5].mean((1, 2))
    g = torch.autograd.grad(p.sum(), a, create_graph=True)[0]
    expected = torch.autograd.grad(g.sum(), a)[0]
    found = SecondOrder("0")(net, x, Targets.of(Target(1, box(1, 2, 4, 5), of="probabilities"))).extras["filters"]
    torch.testing.assert_close(found[:, 0], expected, rtol=1e-10, atol=1e-14)


def test_a_hard_sigmoid_behind_the_layer():
    """torch has no second derivative of its own; the gate's is zero, the product's is not."""

    class Gate(nn.Module):
        def forward(self, a):
            return a * nn.functional.hardsigmoid(a)

    torch.manual_seed(2)
    net = Network(module=nn.Sequential(nn.Conv2d(1, 2, 1), Gate(), nn.Conv2d(2, 1, 1)).double(), link="sigmoid")
    x = torch.rand(1, 1, 4, 4, dtype=torch.float64)
    found = SecondOrder("0", variant="diag")(net, x, Targets.of(Target(1, box(0, 0, 4, 4), reduce="sum")))
    a = net.module[0](x)
    # (a·(a + 3)/6)″ = 1/3 within ±3, times the head's weight.
    inside = (a.abs() < 3).double() / 3 * net.module[2].weight[0][None]
    torch.testing.assert_close(found.extras["filters"][:, 0], inside.detach(), rtol=1e-9, atol=1e-12)


def test_cost_in_forward_passes():
    """hvp_ones of a sum of units: at most F + 4τF at the first stage; curvature: F and d reverse passes at most."""
    network = encoder("silu", latent=8, size=(32, 32), widths=(8, 16, 32), convolutions=2)
    net, x = latent_of(network), torch.rand(2, 1, 32, 32, dtype=torch.float64)
    with torch.no_grad(), measured() as once:
        net.module(x)
    total = channel(0)
    for unit in range(1, 8):
        total = total + channel(unit)
    spent = []
    for method in (SecondOrder("encoder.stage1"), SecondOrder("encoder.stage1", variant="curvature")):
        with measured() as meter:
            quietly(method, net, x, Target(total))
        spent.append(meter.flops / once.flops)
    assert spent[0] <= 1 + 4
    assert spent[1] <= 1 + 8
    by_probes = []
    for probes in (4, 8):
        with measured() as meter:
            quietly(SecondOrder("encoder.stage1", variant="diag", probes=probes), net, x, Target(total))
        by_probes.append(meter.flops / once.flops)
    (a, b) = next(pairwise(by_probes))
    assert (b - a) / 4 <= 3
