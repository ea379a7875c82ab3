"""Mgrad2VAE: what its branch is fed, that it can be trained through it, in every mode; and that it learns."""

import gc
import weakref

import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from seglens.core.capture import capture
from seglens.core.errors import NoCurvatureWarning, ParameterError
from seglens.core.network import Network
from seglens.core.targets import Target
from seglens.generative import Mgrad2VAE, Objective
from seglens.generative.attention_branch import levelled
from seglens.generative.mgrad2vae import ATTENTION
from seglens.methods import GradCAM
from seglens.testing.untouched import untouched

FED = [a for a in ATTENTION if a != "none"]
DIFFERENTIATED = ["hvp_ones", "diag", "curvature", "gradients"]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def small(**changes):
    fields = {"classes": ("a", "b", "c"), "size": (8, 16), "latent": 3, "widths": (3, 4, 5), "dense": 6, "branch": 4}
    return Mgrad2VAE(**{**fields, **changes}).double()


def images(b=2, size=(8, 16), seed=1):
    return torch.rand(b, 3, *size, generator=seeded(seed), dtype=torch.float64)


def labels(b=2, size=(8, 16), classes=3, seed=2):
    return torch.randint(0, classes, (b, *size), generator=seeded(seed))


def slopes(net, x, scale, step, of="mu", noise=None):
    """∇ Σ z by the map of a scale, with `step` added to it, from the layers themselves."""
    encoder = net.encoder
    with torch.no_grad():
        for number in range(1, scale + 1):
            x = encoder.get_submodule(f"stage{number}")(x)
    a = (x + step).requires_grad_()
    y = a
    for number in range(scale + 1, len(net.config.widths) + 1):
        y = encoder.get_submodule(f"stage{number}")(y)
    h = encoder.dense(y.flatten(1))
    z = encoder.mu(h) if of == "mu" else encoder.mu(h) + (encoder.logvar(h) / 2).exp() * noise
    return torch.autograd.grad(z.sum(), a)[0]


@pytest.mark.parametrize("of", ["mu", "sample"])
def test_it_is_fed_the_row_sums_of_the_hessian(of):
    """At each scale, against differences of gradients that the layers themselves give."""
    net, x = small(of=of), images()
    epsilon = torch.randn(1, 3, generator=seeded(0)).double()
    for scale, found in enumerate(net.attention_maps(x).tensors, 1):
        h = 1e-5
        ahead, behind = (slopes(net, x, scale, s, of, epsilon) for s in (h, -h))
        torch.testing.assert_close(found, (ahead - behind) / (2 * h), rtol=1e-5, atol=1e-9)
        assert found.abs().max() > 1e-4


def test_it_is_fed_first_gradients_maps_or_noise():
    x = images()
    net = small(attention="gradients")
    for scale, found in enumerate(net.attention_maps(x).tensors, 1):
        torch.testing.assert_close(found, slopes(net, x, scale, 0))
    net, kept = small(attention="activations"), []
    for number in (1, 2, 3):
        net.encoder.get_submodule(f"stage{number}").register_forward_hook(lambda m, i, o: kept.append(o.detach()))
    for found, expected in zip(net.attention_maps(x).tensors, kept, strict=True):
        assert torch.equal(found, expected)
    tensors = small(attention="noise").attention_maps(x).tensors
    assert [t.shape for t in tensors] == [(2, 3, 8, 16), (2, 4, 4, 8), (2, 5, 2, 4)]
    assert all(torch.equal(t[0], t[1]) for t in tensors)
    assert 0.8 < torch.cat([t[0].flatten() for t in tensors]).std() < 1.2


def test_it_is_fed_the_diagonal():
    """The last scale exactly; the others in the mean over probes."""
    net, x = small(attention="diag", probes=1000), images(1)
    found = net.attention_maps(x).tensors
    for scale in (2, 3):
        a = _map(net, x, scale)
        h, exact = 1e-5, torch.zeros_like(a)
        for place in range(a.numel()):
            step = torch.zeros_like(a).flatten()
            step[place] = h
            ends = [slopes(net, x, scale, s * step.view_as(a)).flatten()[place] for s in (1, -1)]
            exact.view(-1)[place] = (ends[0] - ends[1]) / (2 * h)
        if scale == 3:
            torch.testing.assert_close(found[2], exact, rtol=1e-5, atol=1e-9)
        else:
            assert (found[1] - exact).norm() < 0.4 * exact.norm()


def _map(net, x, scale):
    with torch.no_grad():
        for number in range(1, scale + 1):
            x = net.encoder.get_submodule(f"stage{number}")(x)
    return x


def test_rectifiers_warn_and_feed_zeros_or_noise():
    with pytest.warns(NoCurvatureWarning, match=r"activation='relu' makes μ piecewise linear.*the branch is fed zeros"):
        flat = small(activation="relu")
    assert all(t.count_nonzero() == 0 for t in flat.attention_maps(images()).tensors)
    assert flat(images()).isfinite().all()
    with pytest.warns(NoCurvatureWarning, match=r"the sign of its noise"):
        papers = small(activation="relu", of="sample")
    x = images()
    noise = torch.randn(2, 3, generator=seeded(5)).double()
    there, back = (papers._encoded(x, n, None)[2] for n in (noise, -noise))
    for one, other in zip(there, back, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(one, -other, rtol=1e-9, atol=1e-15)


@pytest.mark.filterwarnings("ignore::seglens.core.errors.NoCurvatureWarning")
def test_the_papers_setting_is_the_rank_one_noise():
    """H·1 = ¼ Σ_j σ_j ε_j g_j (g_j·1), from the gradients of log σ² alone."""
    net, x = small(activation="relu", of="sample"), images()
    noise = torch.randn(2, 3, generator=seeded(5)).double()
    found = net._encoded(x, noise, None)[2]
    _, logvar, maps = net.encoder(x, differentiated=True)
    for scale, a in enumerate(maps):
        expected = torch.zeros_like(a)
        for j in range(3):
            (g,) = torch.autograd.grad(logvar[:, j].sum(), a, retain_graph=True)
            weight = (logvar[:, j] / 2).exp() * noise[:, j] / 4 * g.flatten(1).sum(1)
            expected += weight[:, None, None, None] * g
        torch.testing.assert_close(found[scale], expected.detach(), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize("of", ["mu", "sample"])
@pytest.mark.parametrize("attention", DIFFERENTIATED)
def test_gradients_through_the_branch(attention, of):
    """The whole loss's derivative by all weights, along a random direction, against differences: third order.

    Attention and scales alone, so that nothing comes past the derivatives; then the encoder's weights alone.
    """
    net, x, y = small(attention=attention, of=of), images(), labels()
    weights = {k: p.detach() for k, p in net.named_parameters()}
    direction = {
        k: torch.randn(p.shape, generator=seeded(i), dtype=p.dtype) / 10 for i, (k, p) in enumerate(weights.items())
    }

    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            passed = self.net.training_pass(x, None, seeded(7))
            return sum(cross_entropy(t, y) for t in (passed.attention, *passed.scales))

    def loss(step, moving):
        moved = {f"net.{k}": (p + step * direction[k] * moving(k)).requires_grad_() for k, p in weights.items()}
        return functional_call(Whole(), moved, x), moved

    for moving in (lambda k: 1, lambda k: k.startswith("encoder")):
        value, at = loss(0.0, moving)
        got = torch.autograd.grad(value, list(at.values()), materialize_grads=True)
        along = sum((g * direction[k] * moving(k)).sum() for g, k in zip(got, weights, strict=True))
        h = 1e-4
        f = {s: loss(s * h, moving)[0].item() for s in (-2, -1, 1, 2)}
        numeric = (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)
        assert along.item() == pytest.approx(numeric, rel=1e-6, abs=1e-9)
        assert abs(numeric) > 1e-4


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1.0, 1e12])
def test_tensors_lose_their_scale_and_nothing_else(scale):
    t = torch.randn(3, 4, 5, 6, generator=seeded())
    t[1] *= 100
    found = levelled(scale * t)
    torch.testing.assert_close(found, levelled(t), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[:1], levelled(scale * t[:1]), rtol=1e-6, atol=1e-7)
    assert torch.equal(found.sign(), t.sign())
    order = t[0].flatten().argsort()
    assert (found[0].flatten()[order].diff() >= 0).all()
    heavy = torch.zeros(1, 1, 100, 100)
    heavy[0, 0, 0, 0] = scale
    assert levelled(heavy).max() == pytest.approx(10, rel=0.01)  # r = 100


def test_the_scaling_is_right_to_differentiate_also_at_zero():
    t = torch.randn(2, 3, 4, generator=seeded(), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(levelled, t)
    assert torch.autograd.gradgradcheck(levelled, t)
    zero = torch.zeros(1, 2, 3, requires_grad=True)
    (g,) = torch.autograd.grad(levelled(zero).sum(), zero)
    assert levelled(zero).count_nonzero() == 0
    assert g.isfinite().all()


@pytest.mark.parametrize("attention", ATTENTION)
def test_every_mode_gives_the_same(attention):
    """Training flag, no gradients, inference mode, frozen weights, and an image made in inference mode."""
    net, x = small(attention=attention), images()
    expected = net(x).detach()
    assert torch.equal(net.eval()(x).detach(), expected)
    with torch.no_grad():
        quiet = net(x)
    with torch.inference_mode():
        inner = net(x)
        made = net(images())
        maps = None if attention == "none" else net.attention_maps(images())
    for found in (quiet, inner, made):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)
        assert not found.requires_grad
    if maps is not None:
        assert not any(t.requires_grad for t in (maps.attention, *maps.scales, *maps.tensors))
    torch.testing.assert_close(net(x[1:]), expected[1:])  # images do not mix
    net.requires_grad_(False)
    assert torch.equal(net(x).detach(), expected)
    assert all(p.grad is None for p in net.parameters())


@pytest.mark.parametrize("attention", ["hvp_ones", "curvature"])
def test_no_graph_outlives_a_pass_without_gradients(attention):
    net, x, seen = small(attention=attention), images(), []
    for layer in (net.encoder.stage1, net.encoder.dense, net.branch.fuse):
        layer.register_forward_hook(lambda m, i, o: seen.append(weakref.ref(o)))
    gc.disable()  # so that what only a cycle keeps counts as kept
    try:
        with torch.no_grad():
            kept = net(x)
        assert kept.grad_fn is None
        assert len(seen) == 3
        assert not any(ref() is not None for ref in seen)
    finally:
        gc.enable()


@pytest.mark.parametrize("attention", FED)
def test_training_draws_from_its_generator_alone(attention):
    net, x = small(attention=attention, latent=12), images()
    state = torch.get_rng_state()
    one, two, other = (net.training_pass(x, None, seeded(s)) for s in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(one.raw, two.raw)
    assert torch.equal(one.attention, two.attention)
    assert not torch.equal(one.raw, other.raw)
    drawn = attention in ("diag", "curvature", "noise")
    assert torch.equal(one.attention, other.attention) != drawn
    assert len(one.scales) == 3
    assert all(s.shape == (2, 3, 8, 16) for s in (one.raw, one.attention, *one.scales))


@pytest.mark.parametrize("attention", DIFFERENTIATED)
def test_under_autocast_derivatives_keep_their_precision(attention):
    net, x = small(attention=attention).float(), images().float()
    exact = net.attention_maps(x)
    with torch.autocast("cpu", torch.bfloat16):
        half = net.attention_maps(x)
        loss = Objective(reconstruction="cross-entropy")(net.training_pass(x, None, seeded()), labels())["loss"]
    for one, other in zip(half.tensors, exact.tensors, strict=True):
        assert torch.equal(one, other)
    torch.testing.assert_close(half.attention.float(), exact.attention, rtol=0, atol=0.03)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in net.parameters())


@pytest.mark.parametrize("attention", ["hvp_ones", "curvature", "activations", "none"])
def test_a_method_sees_the_branch_too(attention):
    """Under `capture`, frozen: a score's derivative by a map, whose change reaches the output both ways.

    Against differences of the network's own output when the map is changed by a hook.
    """
    module = small(attention=attention).eval()
    net, x = Network(module=module), images(1)
    layer = module.encoder.stage2
    with capture(net, ["encoder.stage2"]) as taps:
        y = net(x)
        a = taps["encoder.stage2"]
        (got,) = torch.autograd.grad(y[:, 1].sum(), a)
        direction = torch.randn(a.shape, generator=seeded(9), dtype=a.dtype)
        along = (got * direction).sum().item()

    def score(step):
        hook = layer.register_forward_hook(lambda m, i, o: o + step * direction)
        with torch.no_grad():
            value = module(x)[:, 1].sum().item()
        hook.remove()
        return value

    h = 1e-4
    numeric = (8 * (score(h) - score(-h)) - (score(2 * h) - score(-2 * h))) / (12 * h)
    assert along == pytest.approx(numeric, rel=1e-6)
    with untouched(module):
        maps = GradCAM("encoder.stage3", relu=False)(net, x, [Target(1), Target(2)])
    assert maps.values.shape == (1, 2, 8, 16)


def test_latent_vectors_decode_without_an_image():
    net = small()
    z = torch.zeros(2, 3).double()
    assert net.decode(z).shape == (2, 3, 8, 16)
    ablated = small(attention="none")
    mu, _ = ablated.encode(images())
    torch.testing.assert_close(ablated(images()), ablated.decode(mu))
    with pytest.raises(ParameterError, match="built with attention='none': it has no attention maps"):
        ablated.attention_maps(images())


def test_the_controls_have_the_same_weights_to_train():
    """The same layers for all that is fed; without the branch, the same encoder and decoder."""
    counts = {a: sum(p.numel() for p in Mgrad2VAE(size=(16, 32), attention=a).parameters()) for a in ATTENTION}
    assert len({counts[a] for a in FED}) == 1
    net, ablated = Mgrad2VAE(size=(16, 32)), Mgrad2VAE(size=(16, 32), attention="none")
    branch = sum(p.numel() for p in net.branch.parameters()) + sum(p.numel() for p in net.decoder.blend.parameters())
    assert counts["none"] == counts["hvp_ones"] - branch
    assert set(ablated.state_dict()) < set(net.state_dict())


@pytest.mark.parametrize("attention", ["hvp_ones", "none"])
def test_latent_vectors_beside_an_image_are_decoded_with_what_its_branch_makes(attention: str) -> None:
    torch.manual_seed(3)
    model = Mgrad2VAE(size=(16, 24), latent=4, widths=(4, 6), dense=8, branch=4, attention=attention).eval()
    x, others = torch.rand(1, 3, 16, 24), torch.randn(3, 4)
    with torch.no_grad():
        mu, _ = model.encode(x)
        beside = model.decode_beside(torch.cat([mu, others]), x)
        torch.testing.assert_close(beside[:1], model(x))
        # The branch adds the same before the last layers, whatever z is; without a branch nothing is added.
        alone = model.decode(torch.cat([mu, others]))
    assert bool(torch.equal(beside, alone)) == (attention == "none")
