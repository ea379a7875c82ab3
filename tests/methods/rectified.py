"""Guided back-propagation written out by hand, layer by layer, without autograd, and networks of every spelling."""

from collections.abc import Callable

import numpy as np
import torch
from plain import BOX, BOX_SIZE, lively, network
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.core.network import Network

Activation = Callable[[Tensor], Tensor]


class Act(nn.Module):
    """An activation given as a function, so that no module of torch's is there to be found."""

    def __init__(self, function: Activation) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


class GuidedReLU(torch.autograd.Function):
    """Springenberg's rule as a custom function: the independent formulation by autograd."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return torch.where((g > 0) & (x > 0), g, torch.zeros_like(g))


def three_convolutions(activation: Activation, classes: int = 3) -> Network:
    """Convolution, activation, strided convolution, activation, convolution to classes on half the size."""
    make = activation if isinstance(activation, nn.Module) else Act(activation)
    plain = lively(
        network(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(5, classes, 3, padding=1),
        )
    )
    first, _, second, _, last = plain.module
    return Network(module=nn.Sequential(first, make, second, make, last).double())


def convolved(x: np.ndarray, conv: nn.Conv2d) -> np.ndarray:
    """[B C H W] through a 3 × 3 convolution with padding 1, tap by tap."""
    w, b, s = conv.weight.detach().numpy(), conv.bias.detach().numpy(), conv.stride[0]
    h, v = x.shape[2:]
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((len(x), len(w), -(-h // s), -(-v // s))) + b[:, None, None]
    for i in range(3):
        for j in range(3):
            y += np.einsum("oc,bchv->bohv", w[:, :, i, j], wide[:, :, i : i + h : s, j : j + v : s])
    return y


def transposed(g: np.ndarray, conv: nn.Conv2d, h: int, v: int) -> np.ndarray:
    """The transpose of `convolved` without bias, from [B O …] to [B C h v]: every tap gives back what it took."""
    w, s = conv.weight.detach().numpy(), conv.stride[0]
    wide = np.zeros((len(g), w.shape[1], h + 2, v + 2))
    for i in range(3):
        for j in range(3):
            wide[:, :, i : i + h : s, j : j + v : s] += np.einsum("oc,bohv->bchv", w[:, :, i, j], g)
    return wide[:, :, 1:-1, 1:-1]


def seed(batch: int, classes: int, c: int) -> np.ndarray:
    """∂(mean over BOX of channel c, upsampled from 4 × 4 to 8 × 8) / ∂ logits: what each impulse gives there."""
    impulses = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    top, left, bottom, right = BOX
    shares = interpolate(impulses, size=(8, 8), mode="bilinear", align_corners=False)[:, 0, top:bottom, left:right]
    g = np.zeros((batch, classes, 4, 4))
    g[:, c] = (shares.sum((1, 2)) / BOX_SIZE).reshape(4, 4).numpy()
    return g


def derivative(function: Activation, z: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """φ′ by central differences: no derivative of torch's is used."""
    with torch.no_grad():
        ahead, behind = (function(torch.from_numpy(z + d)).numpy() for d in (step, -step))
    return (ahead - behind) / (2 * step)


def guided_by_hand(net: Network, x: Tensor, c: int, function: Activation, *, rule: bool = True) -> Tensor:
    """Γ [B C H W] of `three_convolutions`: forward and backward pass by hand. rule=False: the plain gradient."""
    first, second, last = (m for m in net.module if isinstance(m, nn.Conv2d))

    def phi(z: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return function(torch.from_numpy(z.copy())).numpy()

    def back(g: np.ndarray, z: np.ndarray) -> np.ndarray:
        return (np.maximum(g, 0) if rule else g) * derivative(function, z)

    z1 = convolved(x.numpy(), first)
    z2 = convolved(phi(z1), second)
    g = back(transposed(seed(len(x), last.out_channels, c), last, 4, 4), z2)
    g = back(transposed(g, second, 8, 8), z1)
    return torch.from_numpy(transposed(g, first, 8, 8))
