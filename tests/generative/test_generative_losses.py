"""Losses of autoencoders: closed forms, second formulations, limits, what is undefined, and their derivatives."""

import math

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

from seglens.core.errors import ParameterError, ShapeError
from seglens.generative import Objective, Pass
from seglens.generative.losses import (
    bce,
    beta_divergence,
    cross_entropy,
    dice,
    gaussian,
    jaccard,
    kl,
    kl_per_unit,
    kl_weight,
    mse,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def values(*shape, seed=0):
    return torch.randn(shape, generator=seeded(seed), dtype=torch.float64)


def pixels(*shape, seed=0):
    return torch.rand(shape, generator=seeded(seed), dtype=torch.float64)


def labels(classes=3, size=(2, 5, 4), seed=0, unknown=True):
    y = torch.randint(0, classes, size, generator=seeded(seed))
    if unknown:
        y[0, 0, :3] = 255
    return y


def test_likelihoods_are_those_of_the_distributions():
    r, x = values(2, 3, 4, 4), pixels(2, 3, 4, 4, seed=1)
    binary = (x > 0.5).double()
    torch.testing.assert_close(bce(r, binary), -Bernoulli(logits=r).log_prob(binary).flatten(1).sum(1))
    torch.testing.assert_close(gaussian(r, x, 0.3), -Normal(r, 0.3).log_prob(x).flatten(1).sum(1))
    # Between 0 and 1 binary cross-entropy is least, and equal to the entropy, where the probability is the value.
    best = bce(x.logit(), x)
    torch.testing.assert_close(best, Bernoulli(x).entropy().flatten(1).sum(1))
    assert (bce(x.logit() + 0.1, x) > best).all()


def test_bce_of_extreme_logits_is_finite_and_exact():
    r = torch.tensor([[1000.0, -1000.0, 1000.0, -1000.0]], requires_grad=True)
    x = torch.tensor([[1.0, 0.0, 0.0, 1.0]])
    assert bce(r, x).item() == 2000
    bce(r, x).backward()
    assert r.grad.tolist() == [[0, 0, 1, -1]]


def test_cross_entropy_is_summed_over_known_pixels():
    logits, y = values(2, 3, 5, 4), labels()
    each = -Categorical(logits=logits.movedim(1, -1)).log_prob(torch.where(y == 255, 0, y))
    torch.testing.assert_close(cross_entropy(logits, y), (each * (y != 255)).flatten(1).sum(1))
    w = torch.tensor([0.5, 1.0, 1.5])
    weighted = each * w.double()[torch.where(y == 255, 0, y)] * (y != 255)
    torch.testing.assert_close(cross_entropy(logits, y, w), weighted.flatten(1).sum(1))
    assert cross_entropy(logits, torch.full_like(y, 255)).tolist() == [0, 0]


@pytest.mark.parametrize("loss", [jaccard, dice])
def test_overlap_losses_by_counting(loss):
    """For hard predictions: 1 − |∩|/|∪| (or 2|∩| over the sum), averaged over the classes that are there."""
    y, predicted = labels(seed=3), labels(seed=4, unknown=False)
    y[1][y[1] == 2] = 0  # the second image lacks class 2
    logits = 200.0 * torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).double()
    expected = []
    for image in range(2):
        known = y[image] != 255
        each = []
        for c in range(3):
            a, b = (y[image] == c) & known, (predicted[image] == c) & known
            if a.any():
                whole = (a | b).sum() if loss is jaccard else a.sum() + b.sum()
                each.append(1 - (1 if loss is jaccard else 2) * float((a & b).sum()) / float(whole))
        expected.append(sum(each) / len(each))
    torch.testing.assert_close(loss(logits, y), torch.tensor(expected).double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("loss", [jaccard, dice])
def test_classes_that_are_not_there(loss):
    """They neither count nor pull: raising an absent class costs only what the present ones lose by it."""
    y = torch.zeros(1, 4, 4, dtype=torch.long)
    logits = values(1, 3, 4, 4).requires_grad_()
    only = torch.stack([logits[:, 0], logits[:, 1:].logsumexp(1)], 1)
    torch.testing.assert_close(loss(logits, y), loss(only, y))
    nothing = loss(logits, torch.full_like(y, 255))
    assert nothing.item() == 0
    (gradient,) = torch.autograd.grad(nothing, logits)
    assert gradient.count_nonzero() == 0


def test_jaccard_is_the_formula_with_its_smoothing():
    p = pixels(1, 2, 3, 3).softmax(1)
    y = labels(2, (1, 3, 3), unknown=False)
    mask = torch.stack([y[0] == 0, y[0] == 1]).double()
    both, s = (mask * p[0]).sum((1, 2)), 1e-5
    j = 1 - (both + s) / (mask.sum((1, 2)) + p[0].sum((1, 2)) - both + s)
    torch.testing.assert_close(jaccard(p.log(), y)[0], j.mean(), rtol=1e-13, atol=0)


def written_out(x, y, beta):
    x, y = x + 1e-6, y + 1e-6
    if beta == 0:
        return x / y - (x / y).log() - 1
    if beta == 1:
        return x * (x / y).log() - x + y
    return (x**beta + (beta - 1) * y**beta - beta * x * y ** (beta - 1)) / (beta * (beta - 1))


@pytest.mark.parametrize("beta", [-1, 0, 0.3, 0.5, 0.7, 1, 1.5, 2, 3])
def test_beta_divergence_is_the_formula(beta):
    x, y = pixels(2, 1, 4, 4), pixels(2, 1, 4, 4, seed=1)
    x[0, 0, 0, 0] = 0
    torch.testing.assert_close(
        beta_divergence(y, x, beta), written_out(x, y, beta).flatten(1).sum(1), rtol=1e-9, atol=0
    )
    torch.testing.assert_close(beta_divergence(x, x, beta), torch.zeros(2).double(), rtol=0, atol=1e-9)
    assert (beta_divergence(y, x, beta) > 0).all()


def test_beta_divergence_goes_smoothly_into_its_limits():
    x, y = pixels(1, 1, 4, 4), pixels(1, 1, 4, 4, seed=1)
    torch.testing.assert_close(beta_divergence(y, x, 2), mse(y, x), rtol=1e-9, atol=0)
    for limit in (0.0, 1.0):
        at = beta_divergence(y, x, limit)
        for step in (1e-12, -1e-12, 1e-7, -1e-7):
            # The formula as it is written loses all digits here: it divides 1e-16 by 1e-12.
            torch.testing.assert_close(beta_divergence(y, x, limit + step), at, rtol=20 * abs(step) + 1e-12, atol=0)
    below, above = (beta_divergence(y, x, 0.5 + step) for step in (-1e-12, 0))
    torch.testing.assert_close(below, above, rtol=1e-10, atol=0)


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0, 2.0])
def test_gradients_of_image_losses(beta):
    x = pixels(1, 1, 3, 3, seed=1)
    r = (pixels(1, 1, 3, 3) + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: beta_divergence(r, x, beta), r)
    assert torch.autograd.gradcheck(lambda r: bce(r, x), r)


@pytest.mark.parametrize("loss", [jaccard, dice, cross_entropy])
def test_gradients_of_mask_losses(loss):
    logits, y = values(2, 3, 3, 3).requires_grad_(), labels(size=(2, 3, 3))
    assert torch.autograd.gradcheck(lambda r: loss(r, y), logits)


def test_kl_is_the_divergence_of_normals():
    mu, logvar = values(5, 4), values(5, 4, seed=1)
    expected = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_per_unit(mu, logvar), expected, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(kl(mu, logvar), expected.sum(1).mean())
    assert kl_per_unit(torch.zeros(1, 1), torch.zeros(1, 1)).item() == 0


def test_kl_of_small_log_variances_keeps_its_digits():
    """e^ℓ − 1 − ℓ = ℓ²/2 + …: taken apart as it is written, nothing is left of it in single precision."""
    logvar = torch.tensor([[1e-3]])
    assert kl_per_unit(torch.zeros(1, 1), logvar).item() == pytest.approx(1e-6 / 4, rel=1e-3)


def test_free_bits_stop_the_push_unit_by_unit():
    """Of the mean over the batch: a unit below its allowance has no gradient, one above has the whole."""
    mu = torch.tensor([[0.1, 2.0], [0.3, 1.0]], dtype=torch.float64, requires_grad=True)
    logvar = torch.zeros(2, 2, dtype=torch.float64)
    loss = kl(mu, logvar, free_bits=0.2)
    assert loss.item() == pytest.approx(0.2 + (4 + 1) / 4)
    (g,) = torch.autograd.grad(loss, mu)
    torch.testing.assert_close(g, torch.tensor([[0.0, 1.0], [0.0, 0.5]], dtype=torch.float64))


def test_kl_weight_rises_in_a_line():
    assert [kl_weight(s, 4.0, 10) for s in (0, 5, 10, 1000)] == [0, 2, 4, 4]
    assert kl_weight(0, 0.5) == 0.5


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened(dtype):
    """Sums over thousands of pixels leave half precision's range or lose its digits."""
    r, x = torch.full((1, 3, 200, 200), -1.0, dtype=dtype), torch.ones(1, 3, 200, 200, dtype=dtype)
    assert bce(r, x).item() == pytest.approx(120_000 * math.log1p(math.e), rel=1e-4)
    with torch.autocast("cpu", torch.bfloat16):
        assert kl(torch.full((1, 4), 300.0).to(dtype), torch.zeros(1, 4).to(dtype)).item() == 180_000


def given(**changes):
    y = labels(3, (2, 4, 4))
    passed = Pass(values(2, 3, 4, 4), values(2, 5), values(2, 5, seed=1), values(2, 3, 4, 4, seed=2))
    scales = (values(2, 3, 4, 4, seed=3), values(2, 3, 4, 4, seed=4))
    return Pass(passed.raw, passed.mu, passed.logvar, changes.get("attention", passed.attention), scales), y


def test_the_whole_loss_is_equation_3_with_every_scale():
    passed, y = given()
    parts = Objective(reconstruction="cross-entropy", beta=0.5, warmup=10, attention=2.0, scales=0.25)(passed, y, 4)
    assert list(parts) == ["loss", "reconstruction", "kl", "attention", "scale1", "scale2"]
    torch.testing.assert_close(parts["attention"], cross_entropy(passed.attention, y).mean())
    torch.testing.assert_close(parts["scale2"], cross_entropy(passed.scales[1], y).mean())
    torch.testing.assert_close(parts["kl"], kl(passed.mu, passed.logvar))
    whole = parts["reconstruction"] + 0.2 * parts["kl"] + 2 * parts["attention"]
    torch.testing.assert_close(parts["loss"], whole + 0.25 * (parts["scale1"] + parts["scale2"]))


def test_losses_joined():
    passed, y = given()
    parts = Objective(reconstruction="cross-entropy+jaccard", beta=0)(passed, y)
    torch.testing.assert_close(parts["jaccard"], 16 * jaccard(passed.raw, y).mean())
    torch.testing.assert_close(parts["reconstruction"], parts["jaccard"] + cross_entropy(passed.raw, y).mean())


@pytest.mark.parametrize("name", ["bce", "mse", "beta-divergence"])
def test_masks_compared_one_by_one_leave_unknown_pixels_out(name):
    passed, y = given()
    found = Objective(reconstruction=name, beta=0, divergence=1.5)(passed, y)["reconstruction"]
    known = (y != 255)[:, None].expand(-1, 3, -1, -1)
    masks = torch.nn.functional.one_hot(torch.where(y == 255, 0, y), 3).movedim(-1, 1).double()
    r, p = passed.raw, passed.raw.softmax(1)
    each = {
        "bce": -Bernoulli(logits=r).log_prob(masks),
        "mse": (p - masks) ** 2 / 2,
        "beta-divergence": written_out(masks, p, 1.5),
    }[name]
    torch.testing.assert_close(found, (each * known).flatten(1).sum(1).mean(), rtol=1e-9, atol=0)


def test_images_by_their_likelihood():
    x, r = pixels(2, 1, 4, 4), values(2, 1, 4, 4)
    passed = Pass(r, values(2, 3), values(2, 3))
    squared = Objective(reconstruction="mse")
    torch.testing.assert_close(squared(passed, x)["reconstruction"], mse(r.sigmoid(), x).mean(), rtol=1e-6, atol=0)
    torch.testing.assert_close(squared(passed, x, likelihood="gaussian")["reconstruction"], mse(r, x).mean())
    with pytest.raises(ParameterError, match=r"'bce' needs logits: build the model with likelihood='bernoulli'"):
        Objective()(passed, x, likelihood="gaussian")
    with pytest.raises(ParameterError, match="'jaccard' compares masks, and this model reconstructs images"):
        Objective(reconstruction="jaccard")(passed, x)


def test_what_does_not_fit_is_refused():
    with pytest.raises(
        ParameterError, match=r"to be a loss or several joined by '\+', not 'jacard'.\n  Nearest: 'jacc"
    ):
        Objective(reconstruction="jacard")
    with pytest.raises(ParameterError, match=r"Objective.beta is to be >= 0, not -1"):
        Objective(beta=-1)
    with pytest.raises(ParameterError, match="labels are class numbers"):
        cross_entropy(values(1, 2, 3, 3), values(1, 3, 3))
    with pytest.raises(ShapeError, match=r"\[1, 2, 3, 3\] with \[1, 4, 3\]"):
        jaccard(values(1, 2, 3, 3), labels(2, (1, 4, 3), unknown=False))
    with pytest.raises(ShapeError, match=r"bce compares pixels one by one"):
        bce(values(1, 2, 3, 3), values(1, 1, 3, 3))
