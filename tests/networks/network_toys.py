"""Modules that the weights of these tests belong to; named in descriptions as 'network_toys:Toy'."""

import torch
from torch import Tensor, nn


class Toy(nn.Module):
    """A segmenter with `classes` channels that wants sides that `divisor` divides."""

    def __init__(self, classes: int = 2, divisor: int = 1, channels: int = 3) -> None:
        super().__init__()
        self.divisor = divisor
        self.conv = nn.Conv2d(channels, 4, 3, padding=1)
        self.head = nn.Conv2d(4, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        if any(n % self.divisor for n in x.shape[2:]):
            raise ValueError(f"sides are to be multiples of {self.divisor}")
        return self.head(self.conv(x).relu())


class Classifier(nn.Module):
    """Pools everything; takes sides of 32 only."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(3 * 32 * 32, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.dense(x.flatten(1))


def make(classes: int = 2) -> nn.Module:
    """A function that builds, where a class is expected."""
    return Toy(classes)


def not_a_module() -> int:
    """Builds nothing of use."""
    return 3


def state(**changes: Tensor) -> dict[str, Tensor]:
    """Weights of a Toy, the same each time."""
    torch.manual_seed(0)
    return {**Toy().state_dict(), **changes}
