"""Second derivatives of latent units by the maps of encoder layers: what Mgrad2VAE is built on, done rightly.

Abukmeil et al. 2021 speak of ∂²z/∂L². Their code takes the gradient of the sum of a gradient: row sums of the Hessian
H of Σ_j z_j, not its diagonal. And z = μ + e^{ℓ/2}ε with ReLU and max-pooling: μ and ℓ are piecewise linear there,
∇²μ = 0 almost everywhere, and what is left is H = ¼ Σ_j σ_j ε_j g_j g_jᵀ with g_j = ∇ℓ_j, which carries the sign of
the noise and vanishes in expectation. So there are three things to compute:

- `hvp_ones`: H·1, their computation, of μ (free of noise; not zero for smooth activations) or of a sample;
- `diag`: the diagonal of H, their text;
- `curvature`: ¼ Σ_j σ_j g_j², how large that noise-driven diagonal is (each term's RMS over the noise), for
  piecewise linear encoders. For smooth ones it is something else than the diagonal: E ∂²z/∂L² = diag ∇²μ.

All take the tensors of a pass, in which `at` (the maps [B …] of one or several layers) lie on the way to the units.
Images must not influence each other (no batch norm in training mode). With `create_graph` the results can be trained
on, at third order for the first two; then no normalisation whose third derivatives torch gets wrong (batch norm in
training, layer norm, instance norm) may lie between.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.generative.layers import signs

__all__ = ["Estimate", "curvature", "diag", "diag_of_tail", "gradients", "hvp_ones"]

_AT_ONCE = 8  # reverse passes run together


@dataclass(frozen=True, slots=True)
class Estimate:
    """Maps [B …], one for each tensor of `at`, and the standard error of each entry, None where they are exact.

    probes: random vectors averaged over; None for exact values. The error is that of the mean over them, from their
    own spread: NaN with one probe, which has none.
    """

    values: tuple[Tensor, ...]
    error: tuple[Tensor, ...] | None = None
    probes: int | None = None


def gradients(z: Tensor, at: Sequence[Tensor], *, create_graph: bool = False) -> tuple[Tensor, ...]:
    """∇ Σ_j z_j by each of `at`; zero where z does not depend on it."""
    return _gradients(z.sum(), at, create_graph=create_graph)


def hvp_ones(z: Tensor, at: Sequence[Tensor], *, create_graph: bool = False) -> tuple[Tensor, ...]:
    """H·1 for the Hessian H of Σ_j z_j by each of `at`: what the code of Abukmeil et al. computes.

    z [B d]: μ, or a sample. One reverse pass to all of `at`, and one more through the part behind each.
    """
    slopes = _gradients(z.sum(), at, create_graph=True)
    return tuple(
        _gradients(slope.sum(), [a], create_graph=create_graph)[0] for slope, a in zip(slopes, at, strict=True)
    )


def diag(
    z: Tensor,
    at: Sequence[Tensor],
    *,
    probes: int | None = None,
    generator: torch.Generator | None = None,
    create_graph: bool = False,
) -> Estimate:
    """The diagonal of the Hessian H of Σ_j z_j by each of `at`: what the text of Abukmeil et al. says.

    probes=None: exact, by one product with H for each of the n entries of a map (for small maps). Otherwise
    Hutchinson's estimate, the mean of v∘Hv over `probes` Rademacher vectors v, shared by the images. It is unbiased;
    entry i has the standard deviation √(Σ_{j≠i} H_ij²) for one probe, so its relative error is large where the
    diagonal is not (1.4, 0.46, 0.20 at 8, 64, 512 probes on a small encoder).
    Raises ParameterError for fewer than one probe.
    """
    _check_probes(probes)
    slopes = _gradients(z.sum(), at, create_graph=True)
    if probes is None:
        return Estimate(
            tuple(_exact_diagonal(g, a, create_graph=create_graph) for g, a in zip(slopes, at, strict=True))
        )

    def draw() -> tuple[Tensor, ...]:
        found: list[Tensor] = []
        for slope, a in zip(slopes, at, strict=True):
            v = signs((1, *a.shape[1:]), a, generator)
            found.append(v * _gradients((slope * v).sum(), [a], create_graph=create_graph)[0])
        return tuple(found)

    return _averaged(draw, probes)


def diag_of_tail(
    before: Tensor, act: Callable[[Tensor], Tensor], weight: Tensor, after: Tensor, *, create_graph: bool = False
) -> Tensor:
    """The exact diagonal [B n] where one nonlinearity lies behind: (W∘W)ᵀ (φ″(u) ∘ c).

    For Σ_j z_j = cᵀ φ(u), u = W a + b. before: u [B m]. act: φ, entry by entry. weight: W [m n]. after: c [m] or
    [B m], how Σ_j z_j depends on φ(u). One product, where Hutchinson's estimate takes hundreds.
    """
    u = before if before.requires_grad else before.detach().requires_grad_()
    slope = _gradients(act(u).sum(), [u], create_graph=True)[0]
    bend = _gradients(slope.sum(), [u], create_graph=create_graph)[0]
    return (bend * after) @ weight.square()


def curvature(
    logvar: Tensor,
    at: Sequence[Tensor],
    *,
    probes: int | None = None,
    generator: torch.Generator | None = None,
    create_graph: bool = False,
) -> Estimate:
    """¼ Σ_j σ_j (∂ℓ_j/∂A)² by each of `at`, with σ = e^{ℓ/2}; never negative.

    logvar: ℓ [B d]. probes=None: exact, by d reverse passes. Otherwise the unbiased ¼ mean_v (Jᵀ(v∘√σ))² over
    `probes` Rademacher vectors v of d entries, shared by the images: one reverse pass each (relative error 0.41 with
    8, 0.16 with 64 on a small encoder). Second order only, also where it is trained on.
    Raises ParameterError for fewer than one probe.
    """
    _check_probes(probes)
    root = (logvar / 4).exp()  # √σ

    def squares(v: Tensor) -> tuple[Tensor, ...]:
        slopes = torch.autograd.grad(
            logvar, list(at), v * root, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
        return tuple(slope.square() / 4 for slope in slopes)

    if probes is not None:
        return _averaged(lambda: squares(signs((1, logvar.shape[1]), logvar, generator)), probes)
    units = torch.eye(logvar.shape[1], dtype=logvar.dtype, device=logvar.device)
    totals: list[Tensor] = [torch.zeros_like(a) for a in at]
    for rows in units.split(_AT_ONCE):
        together = torch.autograd.grad(
            logvar,
            list(at),
            rows[:, None] * root,
            is_grads_batched=True,
            retain_graph=True,
            create_graph=create_graph,
            materialize_grads=True,
        )
        totals = [total + slope.square().sum(0) / 4 for total, slope in zip(totals, together, strict=True)]
    return Estimate(tuple(totals))


def _gradients(y: Tensor, at: Sequence[Tensor], *, create_graph: bool) -> tuple[Tensor, ...]:
    """∂y/∂a; zeros where y does not depend on a, which torch would refuse to say."""
    if not y.requires_grad:
        return tuple(torch.zeros_like(a) for a in at)
    return torch.autograd.grad(y, list(at), retain_graph=True, create_graph=create_graph, materialize_grads=True)


def _exact_diagonal(slope: Tensor, a: Tensor, *, create_graph: bool) -> Tensor:
    """∂slope_i/∂a_i for every entry i of an image."""
    if not slope.requires_grad:
        return torch.zeros_like(a)
    flat = slope.flatten(1)
    columns = [
        _gradients(column.sum(), [a], create_graph=create_graph)[0].flatten(1)[:, place]
        for place, column in enumerate(flat.unbind(1))
    ]
    return torch.stack(columns, 1).view_as(a)


def _averaged(draw: Callable[[], tuple[Tensor, ...]], probes: int) -> Estimate:
    """Mean and standard error of the mean over `probes` draws (Welford's recurrence, so that nothing is stored)."""
    means = list(draw())
    squares = [torch.zeros_like(m) for m in means]
    for number, drawn in _numbered(draw, probes):
        for k, value in enumerate(drawn):
            off = value - means[k]
            means[k] = means[k] + off / number
            squares[k] = squares[k] + (off * (value - means[k])).detach()
    if probes == 1:
        errors = tuple(torch.full_like(m, torch.nan) for m in means)
    else:
        errors = tuple((s / (probes - 1) / probes).sqrt() for s in squares)
    return Estimate(tuple(means), errors, probes)


def _numbered(draw: Callable[[], tuple[Tensor, ...]], probes: int) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
    return ((number, draw()) for number in range(2, probes + 1))


def _check_probes(probes: int | None) -> None:
    if probes is not None and probes < 1:
        raise ParameterError(f"probes = {probes}: an estimate needs one random vector or more; None is exact.")
