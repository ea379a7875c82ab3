"""What the autoencoders are built from: activations and their start, the posterior's heads, conditions, draws."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from seglens.core.errors import ParameterError, ShapeError
from seglens.generative.config import Activation, Pooling

PIECEWISE_LINEAR: frozenset[Activation] = frozenset({"relu", "leaky_relu"})
"""Activations whose second derivative is zero wherever it exists."""

_LINEAR = 12.0
_MARGIN = 2.0
LOGVAR_BOUND = _LINEAR + _MARGIN
"""log σ² lies strictly between ∓ this: σ between 9e-4 and 1097."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What a pass in training gives.

    raw: the decoder's output [B K H W] for a draw from the posterior. mu, logvar: the posterior [B d].
    attention: class logits [B K H W] of the aggregated attention, None for a model without. scales: those of each
    encoder scale, finest first.
    """

    raw: Tensor
    mu: Tensor
    logvar: Tensor
    attention: Tensor | None = None
    scales: tuple[Tensor, ...] = ()


def activation(name: Activation) -> nn.Module:
    """A layer of that activation, not in place (what it receives may be differentiated by)."""
    kinds: dict[str, nn.Module] = {
        "relu": nn.ReLU(),
        "leaky_relu": nn.LeakyReLU(0.2),
        "elu": nn.ELU(),
        "silu": nn.SiLU(),
        "gelu": nn.GELU(),
        "softplus": nn.Softplus(),
        "tanh": nn.Tanh(),
    }
    return kinds[name]


def initialise(layers: nn.Module, before: Activation | None, scale: float = 1.0) -> None:
    """Weights of all linear maps inside, so that the variance of what they give is kept by the activation behind.

    std = scale / √(fan_in · E φ(u)²), u standard normal, which for ReLU is He et al. 2015, arXiv:1502.01852; without
    an activation 1/√fan_in. Biases are zero. torch's own start shrinks the variance sixfold at each ReLU: after
    eight convolutions nothing of the image would be left.
    """
    power = 1.0 if before is None else _power(before)
    for layer in layers.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            inputs = layer.weight.shape[0] if isinstance(layer, nn.ConvTranspose2d) else layer.weight.shape[1]
            taps = layer.weight[0, 0].numel()
            if isinstance(layer, nn.ConvTranspose2d):
                taps /= math.prod(layer.stride)  # of the kernel's places, so many fall on one pixel of the output
            nn.init.normal_(layer.weight, std=scale / math.sqrt(inputs * taps * power))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _power(name: Activation) -> float:
    """E φ(u)² for standard normal u."""
    u = torch.linspace(-8, 8, 3201, dtype=torch.float64)
    density = torch.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)
    return float((activation(name)(u) ** 2 * density).sum() * (u[1] - u[0]))


def stage(inputs: int, outputs: int, convolutions: int, act: Activation, pooling: Pooling | None) -> nn.Sequential:
    """`convolutions` 3×3 convolutions, each with its activation, and a halving of the size (None: no halving).

    Its layers: conv1, act1, conv2, act2, …, pool. With pooling 'stride' the last convolution halves.
    """
    layers = nn.Sequential()
    for number in range(1, convolutions + 1):
        step = 2 if pooling == "stride" and number == convolutions else 1
        layers.add_module(f"conv{number}", nn.Conv2d(inputs, outputs, 3, step, 1))
        layers.add_module(f"act{number}", activation(act))
        inputs = outputs
    if pooling in ("max", "average"):
        layers.add_module("pool", nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2))
    initialise(layers, act)
    return layers


def bounded(raw: Tensor) -> Tensor:
    """log σ² from the head's output r: r where |r| ≤ 12, bent smoothly (C²) to lie within ±14 outside.

    With c = clamp(r, ∓12): c + 2·tanh((r − c)/2). Bounded, so that exp cannot overflow, not even in half precision
    after the halving of the exponent. Not by a clamp alone, behind which the gradient is zero and a unit that went
    there never returns. The identity inside, so that an encoder with ReLU stays piecewise linear (on that rest the
    closed forms of second derivatives) and published weights keep their function.
    """
    centre = raw.clamp(-_LINEAR, _LINEAR)
    return centre + _MARGIN * torch.tanh((raw - centre) / _MARGIN)


def posterior(features: Tensor, mu: nn.Linear, logvar: nn.Linear) -> tuple[Tensor, Tensor]:
    """μ and bounded log σ² [B d] of features [B n], in the weights' precision also under autocast."""
    with torch.autocast(features.device.type, enabled=False):
        wide = features.to(mu.weight.dtype)
        return mu(wide), bounded(logvar(wide))


def drawn(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """z = μ + exp(log σ² / 2)·ε."""
    return mu + (logvar / 2).exp() * noise


def normal(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal draws, from `generator` (on its own device) or, with None, from torch's own."""
    place = like.device if generator is None else generator.device
    return torch.randn(tuple(shape), generator=generator, device=place).to(like)


def signs(shape: Sequence[int], like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Rademacher draws: ±1 with equal chance."""
    place = like.device if generator is None else generator.device
    return (torch.randint(0, 2, tuple(shape), generator=generator, device=place) * 2 - 1).to(like)


def check_image(owner: str, x: Tensor, channels: int, size: tuple[int, int]) -> None:
    """Raise ShapeError where images are not [B channels *size]: the latent head is made for one size."""
    if x.ndim != 4 or tuple(x.shape[1:]) != (channels, *size):
        raise ShapeError(
            f"{owner} takes images [B {channels} {size[0]} {size[1]}], not {list(x.shape)}.\n"
            "  Resize them, or build the model with that size=….",
            tuple(x.shape),
        )


def check_latent(owner: str, z: Tensor, latent: int) -> None:
    """Raise ShapeError where latent vectors are not [B latent]."""
    if z.ndim != 2 or z.shape[1] != latent:
        raise ShapeError(f"{owner} decodes latent vectors [B {latent}], not {list(z.shape)}.", tuple(z.shape))


def as_condition(owner: str, condition: Tensor | None, names: tuple[str, ...], like: Tensor) -> Tensor | None:
    """The condition [B c] in the kind of `like` [B …], None for a model without conditions.

    Whole numbers [B] are taken as classes, one of the names each, and become one-hot; one row serves all images.
    Raises ParameterError for a condition that is missing, of the wrong shape or uncalled for.
    """
    if not names:
        if condition is not None and condition.numel():
            raise ParameterError(f"{owner} was built without conditions and takes none.\n  Give conditions=(names…).")
        return None
    if condition is None:
        raise ParameterError(
            f"{owner} needs a condition [B {len(names)}]: {', '.join(names)}.\n"
            "  Or whole numbers [B], each one of them by its place."
        )
    if condition.ndim == 1 and not condition.is_floating_point():
        if condition.numel() and not 0 <= int(condition.min()) <= int(condition.max()) < len(names):
            raise ParameterError(f"a class of the condition is not one of 0 to {len(names) - 1}: {condition.tolist()}.")
        condition = one_hot(condition.long(), len(names))
    if condition.ndim != 2 or condition.shape[1] != len(names) or condition.shape[0] not in (1, like.shape[0]):
        raise ParameterError(
            f"the condition of {owner} is to be [{like.shape[0]} {len(names)}] ({', '.join(names)}), "
            f"not {list(condition.shape)}."
        )
    return condition.to(like).expand(like.shape[0], -1)


class Planes(nn.Module):
    """A condition [B c] as constant planes [B planes H W] beside an image: a learned linear embedding, spread out."""

    def __init__(self, conditions: int, planes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(conditions, planes)
        initialise(self, None)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """[B C+planes H W]."""
        planes = self.linear(condition)[:, :, None, None].expand(-1, -1, *x.shape[2:])
        return torch.cat([x, planes.to(x.dtype)], 1)
