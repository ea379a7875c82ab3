"""The evidence lower bound of a linear Gaussian autoencoder, whose evidence and posterior are known in closed form.

x = W z + b + s·n with normal z and n: log p(x) = log N(x; b, WWᵀ + s²I), and the posterior of z is normal with
precision M/s², M = WᵀW + s²I, and mean M⁻¹Wᵀ(x − b) (probabilistic PCA, Tipping and Bishop 1999).
"""

import math

import torch
from torch.distributions import MultivariateNormal, kl_divergence

from seglens.generative.layers import drawn
from seglens.generative.losses import elbo

S = 0.4
N, D, LATENT = 30, 6, 2


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def world():
    w = torch.randn(D, LATENT, generator=seeded(1), dtype=torch.float64)
    b = torch.randn(D, generator=seeded(2), dtype=torch.float64)
    x = torch.randn(N, D, generator=seeded(3), dtype=torch.float64) * torch.linspace(0.3, 2, D).double() + b
    return w, b, x


def bound(w, b, x, mu, logvar):
    """The mean over draws, exactly: log p(x|z) is a quadratic in z, and the mean of a quadratic over a normal is its
    mean over the 2d points ±√d along the axes."""
    axes = math.sqrt(LATENT) * torch.cat([torch.eye(LATENT), -torch.eye(LATENT)]).double()
    each = [elbo(drawn(mu, logvar, e) @ w.T + b, x, mu, logvar, "gaussian", S) for e in axes]
    return torch.stack(each).mean(0)


def posterior(w, b, x):
    m = w.T @ w + S**2 * torch.eye(LATENT).double()
    return (x - b) @ w @ m.inverse(), S**2 * m.inverse()


def evidence(w, b, x):
    return MultivariateNormal(b, w @ w.T + S**2 * torch.eye(D).double()).log_prob(x)


def test_it_misses_the_evidence_by_the_divergence_from_the_posterior():
    """For whatever encoder: ELBO = log p(x) − KL(q(z|x) ‖ p(z|x))."""
    w, b, x = world()
    mu = torch.randn(N, LATENT, generator=seeded(4), dtype=torch.float64)
    logvar = torch.randn(N, LATENT, generator=seeded(5), dtype=torch.float64)
    mean, covariance = posterior(w, b, x)
    gap = kl_divergence(
        MultivariateNormal(mu, torch.diag_embed(logvar.exp())), MultivariateNormal(mean, covariance.expand(N, -1, -1))
    )
    torch.testing.assert_close(bound(w, b, x, mu, logvar), evidence(w, b, x) - gap, rtol=1e-11, atol=1e-11)
    assert gap.min() > 0.1


def test_it_is_the_evidence_where_the_encoder_is_the_posterior():
    """With orthogonal columns of W the posterior is diagonal, as an encoder's is."""
    w, b, x = world()
    w = torch.linalg.qr(w)[0] * torch.tensor([1.5, 0.7]).double()
    mean, covariance = posterior(w, b, x)
    logvar = covariance.diagonal().log().expand(N, -1)
    torch.testing.assert_close(bound(w, b, x, mean, logvar), evidence(w, b, x), rtol=1e-12, atol=1e-12)


def test_its_greatest_value_is_that_of_principal_components():
    """Trained from a random start, encoder and decoder reach the greatest likelihood that any W can have.

    It is known from the eigenvalues λ of the data's covariance: those of the model are the first d of λ, and s².
    """
    _, _, x = world()
    b = x.mean(0)
    values = torch.linalg.eigvalsh((x - b).T @ (x - b) / N).flip(0)
    model = torch.cat([values[:LATENT], torch.full((D - LATENT,), S**2).double()])
    best = -(D * math.log(2 * math.pi) + model.log().sum() + (values / model).sum()) / 2
    w = torch.randn(D, LATENT, generator=seeded(6), dtype=torch.float64).requires_grad_()
    read = torch.randn(D, LATENT, generator=seeded(7), dtype=torch.float64).requires_grad_()
    logvar = torch.zeros(LATENT, dtype=torch.float64, requires_grad=True)
    steps = torch.optim.LBFGS([w, read, logvar], max_iter=400, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def missed():
        steps.zero_grad()
        loss = -bound(w, b, x, (x - b) @ read, logvar.expand(N, -1)).mean()
        loss.backward()
        return loss

    start = -missed().item()
    steps.step(missed)
    reached = -missed().item()
    assert start < best - 1
    assert abs(reached - best) < 1e-7
    torch.testing.assert_close(evidence(w.detach(), b, x).mean(), best, rtol=1e-8, atol=0)
    mean, covariance = posterior(w.detach(), b, x)
    torch.testing.assert_close((x - b) @ read.detach(), mean, rtol=0, atol=2e-3)
    torch.testing.assert_close(logvar.detach().exp(), covariance.diagonal(), rtol=1e-3, atol=0)
