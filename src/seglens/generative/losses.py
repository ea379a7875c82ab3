"""What autoencoders are trained on: reconstruction, the latent space's divergence from its prior, attention.

Units: nats for one image, summed over its pixels and channels, so that reconstruction + KL is the negative evidence
lower bound; Jaccard and Dice losses lie in 0..1. Everything is computed in single precision at least, whatever the
tensors are (half precision under autocast), and from logits where there are logits.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from seglens.core.errors import ParameterError, ShapeError
from seglens.generative.config import Likelihood

__all__ = [
    "IGNORE",
    "bce",
    "beta_divergence",
    "cross_entropy",
    "dice",
    "elbo",
    "gaussian",
    "jaccard",
    "kl",
    "kl_per_unit",
    "kl_weight",
    "mse",
    "one_hot",
]

IGNORE = 255
"""The label of pixels whose class is not known: they belong to no loss."""

SMOOTHING = 1e-5
"""s of the Jaccard and Dice losses."""

_FLOOR = 1e-6  # of what the β-divergence compares


def bce(logits: Tensor, x: Tensor) -> Tensor:
    """Binary cross-entropy [B] of pixels x in 0..1: Σ softplus(r) − x·r, from logits r; −log of a Bernoulli."""
    r, x = _wide(logits), _wide(x)
    _same("bce", r, x)
    return _sum(F.softplus(r) - x * r)


def mse(values: Tensor, x: Tensor) -> Tensor:
    """½ Σ (r − x)² [B]: −log of a Gaussian of variance 1, but for its constant; the β-divergence of β = 2."""
    r, x = _wide(values), _wide(x)
    _same("mse", r, x)
    return _sum((r - x).square()) / 2


def gaussian(values: Tensor, x: Tensor, deviation: float = 1.0) -> Tensor:
    """−log N(x; r, s²) [B], with its constant: Σ (x − r)²/(2s²) + ½ log 2πs²."""
    entries = values[0].numel()
    return mse(values, x) / deviation**2 + entries * (math.log(deviation) + math.log(2 * math.pi) / 2)


def beta_divergence(values: Tensor, x: Tensor, beta: float) -> Tensor:
    """Σ d_β(x | y) [B] of pixels x, y ≥ 0: Itakura-Saito at β = 0, Kullback-Leibler at 1, ½ squared error at 2.

    d_β(x|y) = (x^β + (β−1) y^β − β x y^{β−1}) / (β (β−1)), Févotte and Idier 2011, doi:10.1162/NECO_a_00168. Both
    are raised by 1e-6, without which black pixels had infinite divergence for β ≤ 0. Computed from u = log(x/y) as
    y^β (expm1(βu)/β − expm1(u)) / (β−1), or near β = 1 as y^β (e^u expm1((β−1)u)/(β−1) − expm1(u)) / β: the same
    number, without the cancellation, so that the limits at 0 and 1 are reached smoothly.
    """
    y, x = _wide(values), _wide(x)
    _same("beta-divergence", y, x)
    x, y = x.clamp(min=0) + _FLOOR, y.clamp(min=0) + _FLOOR
    u = x.log() - y.log()
    if beta < 0.5:
        d = (_expm1_over(beta, u) - u.expm1()) / (beta - 1)
    else:
        d = (u.exp() * _expm1_over(beta - 1, u) - u.expm1()) / beta
    return _sum(y**beta * d)


def _expm1_over(k: float, u: Tensor) -> Tensor:
    """(e^{ku} − 1)/k, which is u at k = 0."""
    return u if k == 0 else (k * u).expm1() / k


def cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Σ over known pixels of −log p(label) [B]. logits [B K H W], labels [B H W] with 255 where unknown.

    weights: of the classes [K], of mean 1 where the unit is to stay nats.
    """
    _check_labels(logits, labels)
    known = weights if weights is None else weights.to(logits.device, _wide(logits).dtype)
    each = F.cross_entropy(_wide(logits), labels.long(), known, ignore_index=IGNORE, reduction="none")
    return _sum(each)


def jaccard(logits: Tensor, labels: Tensor) -> Tensor:
    """Jaccard loss [B] in 0..1: the mean over classes of J_c = 1 − (Σyp + s)/(Σy + Σp − Σyp + s), s = 1e-5.

    p: the class's softmax probability, y: its mask, both over known pixels. A class that is not in an image has no
    Jaccard index there and is left out of that image's mean (its J would be 1 for whatever is predicted, as s is all
    there is to meet); an image without known pixels has the loss 0.
    """
    y, p = _masks(logits, labels)
    both = (y * p).sum((2, 3))
    return _over_present(1 - (both + SMOOTHING) / (y.sum((2, 3)) + p.sum((2, 3)) - both + SMOOTHING), y)


def dice(logits: Tensor, labels: Tensor) -> Tensor:
    """Dice loss [B] in 0..1: the mean over classes of 1 − (2Σyp + s)/(Σy + Σp + s); absent classes as in `jaccard`."""
    y, p = _masks(logits, labels)
    both = (y * p).sum((2, 3))
    return _over_present(1 - (2 * both + SMOOTHING) / (y.sum((2, 3)) + p.sum((2, 3)) + SMOOTHING), y)


def kl_per_unit(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) of every unit [B d], in nats: ½ (μ² + σ² − 1 − log σ²)."""
    with torch.autocast(mu.device.type, enabled=False):
        m, v = _wide(mu), _wide(logvar)
        return (m.square() + (v.expm1() - v)) / 2


def kl(mu: Tensor, logvar: Tensor, free_bits: float = 0.0) -> Tensor:
    """KL(q(z|x) ‖ N(0, I)), the mean over the batch, in nats: a scalar.

    free_bits: nats that each unit may spend freely: Σ_j max(free_bits, mean over the batch of KL_j), so that a unit
    below is not pushed any lower (Kingma et al. 2016, arXiv:1606.04934, equation 15).
    """
    units = kl_per_unit(mu, logvar).mean(0)
    return units.clamp(min=free_bits).sum() if free_bits > 0 else units.sum()


def kl_weight(step: int, beta: float = 1.0, warmup: int = 0) -> float:
    """The weight of the KL at a step of training: rises from 0 in a line to β within `warmup` steps."""
    return beta if warmup <= 0 else beta * min(1.0, step / warmup)


def elbo(
    raw: Tensor, x: Tensor, mu: Tensor, logvar: Tensor, likelihood: Likelihood = "bernoulli", deviation: float = 1.0
) -> Tensor:
    """log p(x|z) − KL(q(z|x) ‖ p(z)) [B] in nats, for raw reconstructions from draws z.

    Its mean over draws is the evidence lower bound. deviation: s of a Gaussian likelihood.
    """
    missed = bce(raw, x) if likelihood == "bernoulli" else gaussian(raw, x, deviation)
    return -missed - kl_per_unit(mu, logvar).sum(1)


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """Masks [B K H W] of labels [B H W]; all zero where the label is 255."""
    known = labels != IGNORE
    masks = F.one_hot(torch.where(known, labels, 0).long(), classes) * known[..., None]
    return masks.movedim(-1, 1)


def _masks(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Masks and probabilities, both zero where the label is unknown."""
    _check_labels(logits, labels)
    wide = _wide(logits)
    return one_hot(labels, logits.shape[1]).to(wide), wide.softmax(1) * (labels != IGNORE)[:, None]


def _over_present(each: Tensor, y: Tensor) -> Tensor:
    """The mean over classes [B K] that have a pixel in y."""
    there = (y.sum((2, 3)) > 0).to(each)
    return (each * there).sum(1) / there.sum(1).clamp(min=1)


def _wide(t: Tensor) -> Tensor:
    return t if t.dtype in (torch.float32, torch.float64) else t.float()


def _sum(each: Tensor) -> Tensor:
    return each.flatten(1).sum(1)


def _same(name: str, a: Tensor, b: Tensor) -> None:
    if a.shape != b.shape:
        raise ShapeError(f"{name} compares pixels one by one: {list(a.shape)} is not {list(b.shape)}.", tuple(a.shape))


def _check_labels(logits: Tensor, labels: Tensor) -> None:
    if labels.is_floating_point():
        raise ParameterError("labels are class numbers, not values: give an integer tensor.")
    if logits.ndim != 4 or labels.shape != (logits.shape[0], *logits.shape[2:]):
        raise ShapeError(
            f"class logits [B K H W] are compared with labels [B H W], not {list(logits.shape)} with "
            f"{list(labels.shape)}.",
            tuple(labels.shape),
        )
