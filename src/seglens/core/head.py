"""The linear head of a network: its last layer that works place by place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Head:
    """The last pointwise linear layer of a pass: output [B K *s] = weight [K m] · input [B m *s] + bias."""

    name: str
    weight: Tensor
    bias: Tensor | None
    input: Tensor
    output: Tensor

    def is_linear(self, batch: int) -> bool:
        """Whether the output really is what weight and bias make of the input, image by image.

        It is not where a hook of the user's changed it, or where images or places were folded into rows.
        """
        x, y = self.input.detach(), self.output.detach()
        if x.shape[0] != batch or y.shape[0] != batch or x.ndim != y.ndim:
            return False
        exact = torch.promote_types(x.dtype, torch.float32)
        again = torch.einsum("km,bm...->bk...", self.weight.to(exact), x.to(exact))
        if self.bias is not None:
            again = again + self.bias.to(exact).reshape(1, -1, *[1] * (x.ndim - 2))
        close = 64 * torch.finfo(y.dtype).eps
        return bool(torch.allclose(again, y.to(exact), rtol=close, atol=close * float(again.abs().max())))


def is_pointwise(layer: nn.Module) -> bool:
    """Whether a layer is linear place by place: dense, or a plain convolution of one pixel."""
    if type(layer) is nn.Linear:
        return True
    if type(layer) not in (nn.Conv1d, nn.Conv2d, nn.Conv3d):
        return False
    conv = cast("nn.Conv2d", layer)
    ones = all(k == 1 for k in conv.kernel_size) and all(s == 1 for s in conv.stride)
    return ones and conv.groups == 1 and not any(cast("Sequence[int]", conv.padding))
