"""A network that labels each pixel with the number painted there, so that its prediction is chosen by the test."""

import numpy as np
import torch
from torch import nn

from seglens.core.classes import ClassTable
from seglens.core.convention import Convention
from seglens.core.network import Network


class Painted(nn.Module):
    """Grey [B 1 *space] with values k/255 to logits [B K *space], 4 for class k and 0 for the others."""

    def __init__(self, k: int, stride: int = 1) -> None:
        super().__init__()
        self.k, self.stride = k, stride
        self.calls: list[int] = []

    def forward(self, x):
        self.calls.append(len(x))
        if self.stride > 1:
            x = nn.functional.avg_pool2d(x, self.stride)
        label = (x[:, 0] * 255).round().long().clamp(0, self.k - 1)
        # A trace of the input, so that there is a gradient.
        return 4 * nn.functional.one_hot(label, self.k).movedim(-1, 1).float() + x / 8


class Bits(nn.Module):
    """Grey [B 1 *space] to K independent logits: class k is predicted where bit k of the value is set."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def forward(self, x):
        value = (x[:, 0] * 255).round().long()
        return torch.stack([(value >> k & 1) * 2.0 - 1 for k in range(self.k)], 1) + x / 8


def network(module=None, *, k=3, link=None, classes=None, **convention):
    module = module or Painted(k)
    names = classes or ClassTable.numbered(k)
    return Network(module=module, link=link, classes=names, convention=Convention(channels=1, **convention))


def painting(labels):
    """The image on which `Painted` predicts these labels."""
    return np.asarray(labels, np.uint8)


def scenes(n, size=(12, 15), k=3, seed=0):
    """n pairs of an image and its true labels, of which some are to be ignored."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        said = rng.integers(0, k, size)
        truth = np.where(rng.random(size) < 0.7, said, rng.integers(0, k, size))
        yield painting(said), np.where(rng.random(size) < 0.1, 255, truth)
