"""Networks whose best masks are known, and the masks found in other ways."""

from itertools import product

import torch
from torch import Tensor, nn

from seglens.core.network import Network


class Weighted(nn.Module):
    """y = Σ_pixels weight · x: one unit, linear in what is kept of a white picture on black."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x[:, 0] * self.weight).flatten(1).sum(1, keepdim=True)


class Steep(nn.Module):
    """p = σ(steep · (Σ weight · x − at)) of one class at every pixel: saturated away from `at`."""

    def __init__(self, weight: Tensor, steep: float, at: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)
        self.steep, self.at = steep, at

    def forward(self, x: Tensor) -> Tensor:
        total = (x[:, 0] * self.weight).flatten(1).sum(1)
        logit = self.steep * (total - self.at)
        return logit.reshape(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:]) + 0 * x[:, :1]


class Seen(nn.Module):
    """Keeps every input that it was given."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.inputs.append(x.detach().clone())
        return self.inner(x)


def units(weight: Tensor) -> Network:
    return Network(module=Weighted(weight), link="none", classes=None)


def every_mask(cells: tuple[int, ...]) -> Tensor:
    """All masks of zeros and ones, [2^K *cells]."""
    n = torch.Size(cells).numel()
    return torch.tensor(list(product((0.0, 1.0), repeat=n))).reshape(-1, *cells)
