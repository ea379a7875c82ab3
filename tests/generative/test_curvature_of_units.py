"""Second derivatives of latent units: differences, known Hessians, what is zero, and how far estimates are off."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian, jacrev, vmap

from seglens.core.errors import ParameterError
from seglens.generative.layers import drawn
from seglens.generative.second_order import curvature, diag, diag_of_tail, gradients, hvp_ones

# torch's own forward mode calls what it has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")

SHAPE = (2, 4, 4)


def difference(value, h=1e-4):
    """The derivative of value(step) at 0 by central differences of fourth order."""
    return (8 * (value(h) - value(-h)) - (value(2 * h) - value(-2 * h))) / (12 * h)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


class Tail(nn.Module):
    """What lies behind a map [B 2 4 4]: a convolution, a dense layer, μ and log σ² of 3 units."""

    def __init__(self, act):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(2, 4, 3, 2, 1), act, nn.Flatten(), nn.Linear(16, 6), act)
        self.mu, self.logvar = nn.Linear(6, 3), nn.Linear(6, 3)
        self.double()
        with torch.no_grad():
            for k, p in enumerate(self.parameters()):
                p.copy_(normal(*p.shape, seed=k) * 0.6)

    def forward(self, a):
        h = self.features(a)
        return self.mu(h), self.logvar(h)


SMOOTH = {"silu": nn.SiLU(), "softplus": nn.Softplus(), "tanh": nn.Tanh(), "gelu": nn.GELU(), "elu": nn.ELU()}
BENT = {"relu": nn.ReLU(), "leaky": nn.LeakyReLU(0.3)}
EPSILON = normal(1, 3, seed=50)


def read(tail, a, of):
    mu, logvar = tail(a)
    return mu if of == "mu" else drawn(mu, logvar, EPSILON)


def hessians(tail, a, of):
    """The whole Hessian of Σ z of each image [B n n], written out by torch.func."""

    def total(flat):
        return read(tail, flat.view(1, *SHAPE), of).sum()

    return vmap(hessian(total))(a.flatten(1))


@pytest.mark.parametrize("of", ["mu", "sample"])
@pytest.mark.parametrize("act", SMOOTH)
def test_row_sums_are_the_differences_of_gradients(act, of):
    """H·1 = lim (∇(A + h) − ∇(A − h)) / 2h, h the same everywhere."""
    tail, a = Tail(SMOOTH[act]), normal(3, *SHAPE, seed=9).requires_grad_()
    (found,) = hvp_ones(read(tail, a, of), [a])
    h = 1e-5
    ahead, behind = ((a.detach() + s * h).requires_grad_() for s in (1, -1))
    slopes = [gradients(read(tail, at, of), [at])[0] for at in (ahead, behind)]
    torch.testing.assert_close(found, (slopes[0] - slopes[1]) / (2 * h), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(found, hessians(tail, a, of).sum(2).view_as(a), rtol=1e-9, atol=1e-11)
    assert found.abs().max() > 1e-2


@pytest.mark.parametrize("of", ["mu", "sample"])
def test_the_exact_diagonal(of):
    tail, a = Tail(nn.SiLU()), normal(2, *SHAPE, seed=9).requires_grad_()
    found = diag(read(tail, a, of), [a])
    assert found.error is None
    assert found.probes is None
    expected = hessians(tail, a, of).diagonal(dim1=1, dim2=2).view_as(a)
    torch.testing.assert_close(found.values[0], expected, rtol=1e-9, atol=1e-12)


def test_known_hessians():
    """Σ softplus(W a): Wᵀ diag(s(1 − s)) W with s the sigmoid. Half aᵀ Q a: Q, whatever a is."""
    w, a = normal(5, 8), normal(2, 8, seed=1).requires_grad_()
    s = (a @ w.T).sigmoid().detach()
    h = torch.einsum("mi,bm,mj->bij", w, s * (1 - s), w)
    z = nn.functional.softplus(a @ w.T)
    torch.testing.assert_close(hvp_ones(z, [a])[0], h.sum(2))
    torch.testing.assert_close(diag(z, [a]).values[0], h.diagonal(dim1=1, dim2=2))
    q = normal(8, 8, seed=2)
    q = q + q.T
    z = ((a @ q) * a).sum(1, keepdim=True) / 2
    torch.testing.assert_close(hvp_ones(z, [a])[0], q.sum(1).expand(2, -1))
    torch.testing.assert_close(diag(z, [a]).values[0], q.diagonal().expand(2, -1))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("act", BENT)
def test_the_mean_has_no_curvature_with_rectifiers(act, frozen):
    """∇²μ = 0 almost everywhere, exactly; and none by the last layer before a linear head, whatever is before."""
    tail, a = Tail(BENT[act]).requires_grad_(not frozen), normal(3, *SHAPE, seed=9).requires_grad_()
    mu = tail(a)[0]
    for found in (hvp_ones(mu, [a])[0], diag(mu, [a]).values[0], diag(mu, [a], probes=2).values[0]):
        assert found.shape == a.shape
        assert found.count_nonzero() == 0
    assert gradients(mu, [a])[0].count_nonzero() > 0
    head = nn.Linear(5, 3).requires_grad_(not frozen)
    last = torch.randn(2, 5, generator=seeded(), requires_grad=True)
    assert hvp_ones(head(last), [last])[0].count_nonzero() == 0


@pytest.mark.parametrize("act", BENT)
def test_a_sample_of_rectifiers_is_the_rank_one_noise(act):
    """H = ¼ Σ_j σ_j ε_j g_j g_jᵀ, g_j = ∇ℓ_j: rank one for each unit, with the sign of the noise."""
    tail, a = Tail(BENT[act]), normal(3, *SHAPE, seed=9).requires_grad_()
    logvar = tail(a)[1]
    sigma = (logvar / 2).exp().detach()
    g = vmap(jacrev(lambda flat: tail(flat.view(1, *SHAPE))[1][0]))(a.detach().flatten(1))  # [B d n]
    h = torch.einsum("bj,bji,bjk->bik", sigma * EPSILON / 4, g, g)
    z = read(tail, a, "sample")
    torch.testing.assert_close(hvp_ones(z, [a])[0].flatten(1), h.sum(2), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(diag(z, [a]).values[0].flatten(1), h.diagonal(dim1=1, dim2=2), rtol=1e-10, atol=1e-13)
    mu, logvar = tail(a)
    flipped = hvp_ones(drawn(mu, logvar, -EPSILON), [a])[0]
    torch.testing.assert_close(flipped, -hvp_ones(drawn(mu, logvar, EPSILON), [a])[0])


@pytest.mark.parametrize("act", [*BENT, "silu"])
def test_curvature_is_its_formula(act):
    tail, a = Tail({**BENT, **SMOOTH}[act]), normal(3, *SHAPE, seed=9).requires_grad_()
    logvar = tail(a)[1]
    g = vmap(jacrev(lambda flat: tail(flat.view(1, *SHAPE))[1][0]))(a.detach().flatten(1))
    expected = torch.einsum("bj,bji->bi", (logvar / 2).exp().detach() / 4, g**2)
    torch.testing.assert_close(curvature(logvar, [a]).values[0].flatten(1), expected, rtol=1e-10, atol=1e-14)


def test_curvature_is_the_size_of_the_noise_in_the_diagonal():
    """With one unit it is the RMS of the diagonal over draws, here over ε = ±1 (whose square is the mean one)."""
    tail, a = Tail(nn.ReLU()), normal(2, *SHAPE, seed=9).requires_grad_()
    mu, logvar = (t[:, :1] for t in tail(a))
    both = torch.stack([diag(mu + e * (logvar / 2).exp(), [a]).values[0] for e in (1, -1)])
    torch.testing.assert_close(both.square().mean(0).sqrt(), curvature(logvar, [a]).values[0])
    torch.testing.assert_close(both.mean(0), torch.zeros_like(a), rtol=0, atol=1e-15)


def test_many_units_go_in_several_batches():
    w, a = normal(19, 6), normal(2, 6, seed=1).requires_grad_()
    logvar = a @ w.T * 0.1
    expected = (logvar / 2).exp() @ (0.1 * w) ** 2 / 4
    torch.testing.assert_close(curvature(logvar, [a]).values[0], expected.detach())


def estimates(kind, probes, seed, a, tail):
    mu, logvar = tail(a)
    if kind == "diag":
        return diag(mu, [a], probes=probes, generator=seeded(seed))
    return curvature(logvar, [a], probes=probes, generator=seeded(seed))


@pytest.mark.parametrize("kind", ["diag", "curvature"])
def test_estimates_lie_within_their_errors(kind):
    """The deviations over stated errors have the spread of Student's t, and no bias."""
    tail, a = Tail(nn.SiLU()), normal(2, *SHAPE, seed=9).requires_grad_()
    exact = estimates(kind, None, 0, a, tail).values[0]
    found = estimates(kind, 256, 1, a, tail)
    assert found.probes == 256
    off = (found.values[0] - exact) / found.error[0]
    assert 0.7 < off.square().mean().sqrt() < 1.3
    assert off.abs().max() < 5
    short = estimates(kind, 16, 1, a, tail)
    assert 3 < (short.error[0].mean() / found.error[0].mean()) < 5.3  # √16 = 4


def test_the_spread_of_hutchinsons_estimate_is_the_off_diagonal():
    """One probe's variance at entry i is Σ_{j≠i} H_ij²; stated error × √probes approaches its root."""
    tail, a = Tail(nn.SiLU()), normal(1, *SHAPE, seed=9).requires_grad_()
    h = hessians(tail, a, "mu")[0]
    spread = (h.square().sum(1) - h.diagonal().square()).sqrt()
    found = diag(tail(a)[0], [a], probes=400, generator=seeded(3))
    ratio = found.error[0].flatten() * 20 / spread
    assert 0.9 < ratio.mean() < 1.1
    diagonal = torch.linspace(1, 2, 8, dtype=torch.float64)
    flat = normal(2, 8).requires_grad_()
    alone = diag((diagonal * flat**2 / 2).sum(1, keepdim=True), [flat], probes=2)
    torch.testing.assert_close(alone.values[0], diagonal.expand(2, -1))
    assert alone.error[0].count_nonzero() == 0


def test_one_probe_states_no_error():
    tail, a = Tail(nn.SiLU()), normal(2, *SHAPE, seed=9).requires_grad_()
    assert estimates("diag", 1, 0, a, tail).error[0].isnan().all()
    with pytest.raises(ParameterError, match="an estimate needs one random vector or more"):
        estimates("curvature", 0, 0, a, tail)


@pytest.mark.parametrize("kind", ["diag", "curvature"])
def test_probes_are_shared_by_the_images_and_fixed_by_the_generator(kind):
    tail, a = Tail(nn.SiLU()), normal(3, *SHAPE, seed=9).requires_grad_()
    together = estimates(kind, 3, 7, a, tail).values[0]
    alone = estimates(kind, 3, 7, a[1:2].detach().requires_grad_(), tail).values[0]
    torch.testing.assert_close(together[1:2], alone, rtol=1e-12, atol=1e-14)
    assert torch.equal(together, estimates(kind, 3, 7, a, tail).values[0])
    assert not torch.allclose(together, estimates(kind, 3, 8, a, tail).values[0])


@pytest.mark.parametrize("act", SMOOTH)
def test_the_diagonal_of_one_nonlinearity(act):
    """(W∘W)ᵀ(φ″∘c) against n products with H; the same with a c of every image, and where u has no gradient."""
    phi = SMOOTH[act]
    w, a, c = normal(7, 10), normal(3, 10, seed=1).requires_grad_(), normal(3, 7, seed=2)
    u = a @ w.T
    exact = diag((phi(u) * c), [a]).values[0]
    torch.testing.assert_close(diag_of_tail(u, phi, w, c), exact, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(diag_of_tail(u.detach(), phi, w, c), exact, rtol=1e-10, atol=1e-12)
    one = diag((phi(u) * c[:1]), [a]).values[0]
    torch.testing.assert_close(diag_of_tail(u, phi, w, c[0]), one, rtol=1e-10, atol=1e-12)


def test_several_layers_each_by_itself():
    """The Hessian by a layer's map has no terms that cross to another's."""
    tail, a = Tail(nn.SiLU()), normal(2, *SHAPE, seed=9).requires_grad_()
    b = tail.features[:2](a)
    z = tail.mu(tail.features[2:](b))
    late = b.detach().requires_grad_()
    for of in (lambda z, at: hvp_ones(z, at), lambda z, at: diag(z, at).values):
        early_found, late_found = of(z, [a, b])
        torch.testing.assert_close(early_found, of(z, [a])[0], rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(late_found, of(tail.mu(tail.features[2:](late)), [late])[0], rtol=1e-10, atol=1e-13)


KINDS = {
    "gradients": lambda mu, logvar, a: gradients(mu, [a], create_graph=True)[0],
    "hvp_ones": lambda mu, logvar, a: hvp_ones(mu, [a], create_graph=True)[0],
    "hvp_ones of a sample": lambda mu, logvar, a: hvp_ones(drawn(mu, logvar, EPSILON), [a], create_graph=True)[0],
    "diag": lambda mu, logvar, a: diag(mu, [a], create_graph=True).values[0],
    "diag, 2 probes": lambda mu, logvar, a: diag(mu, [a], probes=2, generator=seeded(4), create_graph=True).values[0],
    "curvature": lambda mu, logvar, a: curvature(logvar, [a], create_graph=True).values[0],
    "curvature, 2 probes": lambda mu, logvar, a: curvature(
        logvar, [a], probes=2, generator=seeded(4), create_graph=True
    ).values[0],
}


@pytest.mark.parametrize("act", ["silu", "softplus", "elu", "gelu"])
@pytest.mark.parametrize("kind", KINDS)
def test_they_can_be_trained_on(kind, act):
    """The derivative of a function of the maps by all weights, along a random direction, against differences."""
    tail = Tail(SMOOTH[act])
    weights = dict(tail.named_parameters())
    direction = {k: normal(*p.shape, seed=i + 30) / 10 for i, (k, p) in enumerate(weights.items())}
    slope = normal(2, *SHAPE, seed=70)

    def value(step):
        a = normal(2, *SHAPE, seed=9).requires_grad_()
        moved = {k: p + step * direction[k] for k, p in weights.items()}
        mu, logvar = functional_call(tail, moved, a)
        return (KINDS[kind](mu, logvar, a) * slope).sin().sum()

    got = torch.autograd.grad(value(0.0), list(weights.values()), materialize_grads=True)
    along = sum((g * d).sum() for g, d in zip(got, direction.values(), strict=True))
    numeric = difference(value)
    torch.testing.assert_close(along, numeric, rtol=1e-7, atol=1e-8)
    assert numeric.abs() > 1e-3


def test_nothing_is_left_behind_without_create_graph():
    tail, a = Tail(nn.SiLU()), normal(2, *SHAPE, seed=9).requires_grad_()
    mu, logvar = tail(a)
    for found in (hvp_ones(mu, [a])[0], diag(mu, [a], probes=2).values[0], curvature(logvar, [a]).values[0]):
        assert not found.requires_grad
    assert all(p.grad is None for p in tail.parameters())


@pytest.mark.parametrize(
    ("norm", "right"),
    [(nn.GroupNorm(2, 4), True), (nn.BatchNorm2d(4).eval(), True), (nn.BatchNorm2d(4), False)],
    ids=["group norm", "batch norm in evaluation", "batch norm in training"],
)
def test_which_norms_are_right_at_third_order(norm, right):
    """Why Mgrad2VAE has no batch norm: torch's third derivative through it in training mode is wrong, in silence.

    Fails, to be noticed, where torch repairs it.
    """
    norm = norm.double()
    layers = nn.Sequential(nn.Conv2d(2, 4, 3, 1, 1), norm, nn.SiLU(), nn.Conv2d(4, 2, 3, 1, 1), nn.SiLU()).double()
    weights = dict(layers.named_parameters())
    start = {k: normal(*p.shape, seed=i) * 0.5 for i, (k, p) in enumerate(weights.items())}
    direction = {k: normal(*p.shape, seed=i + 30) / 10 for i, (k, p) in enumerate(weights.items())}

    def value(step):
        a = normal(3, *SHAPE, seed=9).requires_grad_()
        moved = {k: (p + step * direction[k]).requires_grad_() for k, p in start.items()}
        z = functional_call(layers, moved, a).flatten(1)
        return hvp_ones(z, [a], create_graph=True)[0].sin().sum(), moved

    y, at = value(0.0)
    got = torch.autograd.grad(y, list(at.values()), materialize_grads=True)
    along = sum((g * d).sum() for g, d in zip(got, direction.values(), strict=True))
    numeric = difference(lambda step: value(step)[0])
    assert torch.allclose(along, numeric, rtol=1e-5) == right, (along, numeric)
