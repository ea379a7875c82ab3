"""Small networks in float64, and scores and derivatives written out by hand, without seglens."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, logsigmoid

from seglens.core.network import Network
from seglens.core.regions import box
from seglens.core.targets import Target

BOX = (1, 2, 6, 7)
BOX_SIZE = 25


def network(*layers: nn.Module, seed: int = 0, **fields: object) -> Network:
    """A sequential network with float64 weights that a seed decides."""
    module = nn.Sequential(*layers).double()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator, dtype=torch.float64) / p[0].numel() ** 0.5)
    return Network(module=module, **fields)


def lively(net: Network) -> Network:
    """The same, biases set so that every channel of a convolution averages 0 over `pictures()`: no ReLU is dead."""
    x = pictures()
    with torch.no_grad():
        for layer in net.module:
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                layer.bias -= layer(x).mean((0, 2, 3))
            x = layer(x)
    return net


def relu_net(classes: int = 3, **fields: object) -> Network:
    """Layers 0 to 4: convolution, ReLU, strided convolution, ReLU, convolution to classes on half the size."""
    return lively(
        network(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(5, classes, 3, padding=1),
            **fields,
        )
    )


def pictures(*shape: int, seed: int = 1) -> Tensor:
    """Values in 0..1, float64."""
    return torch.rand(*(shape or (2, 2, 8, 8)), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def asked(channel: object, **fields: object) -> Target:
    """A target over BOX."""
    return Target(channel, box(*BOX), **fields)


def in_box(pixels: Tensor) -> Tensor:
    """Pixels [… H W] to the sum over BOX, [ … ]."""
    top, left, bottom, right = BOX
    return pixels[..., top:bottom, left:right].sum((-2, -1))


def read(y: Tensor, of: str, link: str, emits: str) -> Tensor:
    """What a score is read off, by its definition: logits, probabilities or log-probabilities of raw output y."""
    if emits == "probabilities":
        logits = y.log() if link == "softmax" else torch.logit(y)
        return {"logits": logits, "probabilities": y, "log-probabilities": y.log()}[of]
    if link == "softmax":
        p = y.exp() / y.exp().sum(1, keepdim=True)
        return {"logits": y, "probabilities": p, "log-probabilities": p.log()}[of]
    return {"logits": y, "probabilities": 1 / (1 + (-y).exp()), "log-probabilities": logsigmoid(y)}[of]


def score(y: Tensor, channel: int, grid: tuple[int, int] = (8, 8), of: str = "logits", link: str = "softmax") -> Tensor:
    """Mean over BOX of one channel of output y, on the input grid: [B]."""
    big = interpolate(y, size=grid, mode="bilinear", align_corners=False)
    return in_box(read(big, of, link, "logits")[:, channel]) / BOX_SIZE


def gradient(f: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """∂ΣS/∂at by plain autograd; rows of a batch do not mix, so this is each row's own."""
    at = at.detach().clone().requires_grad_()
    return torch.autograd.grad(f(at).sum(), at)[0]


def differences(
    f: Callable[[Tensor], Tensor], at: Tensor, kinks: Callable[[Tensor], Tensor], step: float = 1e-6
) -> tuple[Tensor, Tensor]:
    """Central differences of f [B] → by every entry of one row `at` [1 …], and where they can be trusted.

    kinks: the signs [n …] of everything rectified on the way; an entry at which they change within the step is not
    differentiable to this accuracy, and is left out.
    """
    n = at.numel()
    steps = step * torch.eye(n, dtype=at.dtype).reshape(n, *at.shape[1:])
    ahead, behind = at + steps, at - steps
    smooth = (kinks(ahead) == kinks(behind)).flatten(1).all(1)
    return ((f(ahead) - f(behind)) / (2 * step)).reshape(at.shape), smooth.reshape(at.shape)


def signs(module: nn.Sequential) -> Callable[[Tensor], Tensor]:
    """The signs of all that enters a ReLU of a sequential network."""

    def of(x: Tensor) -> Tensor:
        found = []
        with torch.no_grad():
            for layer in module:
                if isinstance(layer, nn.ReLU):
                    found.append((x > 0).flatten(1))
                x = layer(x)
        return torch.cat(found, 1) if found else torch.zeros(len(x), 1)

    return of
