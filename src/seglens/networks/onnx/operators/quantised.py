"""Numbers in few bits: rounded as stored, and differentiated as if they were not."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.operators.pointwise import together
from seglens.networks.onnx.tensors import torch_type

quantised = partial(operator, subject="Quantisation")

_LIMITS = {21: (0, 15), 22: (-8, 7)}


def _spread(values: Tensor, x: Tensor, axis: int, block: int) -> Tensor:
    """One value for all, one along an axis, or one for each block of places along it."""
    if values.ndim == 0 or values.numel() == 1:
        return values.reshape([])
    if values.ndim == 1:
        return values.reshape([-1 if a == axis % x.ndim else 1 for a in range(x.ndim)])
    return values.repeat_interleave(block or x.shape[axis] // values.shape[axis], axis)


@quantised("QuantizeLinear")
def quantize(node: Node) -> Callable[..., Any]:
    """round(x/scale) + zero, cut to the range of the type. Held as floating numbers, whose gradient is 1 inside it."""
    axis, block = node.setting("axis", 1), node.setting("block_size", 0)
    number = node.setting("output_dtype", 0)
    zero = node.known(2)
    kind = torch_type(number) if number else torch.uint8 if zero is None and not node.has(2) else None
    kind = zero.dtype if zero is not None else kind
    if kind is None or kind.is_floating_point:
        raise node.refuse("to a floating type, or to one that is not stored")
    limits = torch.iinfo(kind)
    low, high = _LIMITS.get(number, (limits.min, limits.max))

    def run(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        x, scale = together(x, scale)
        y = x / _spread(scale, x, axis, block)
        y = y + (y.round() - y).detach()
        if zero is not None:
            y = y + _spread(zero.to(x.device), x, axis, block).to(y.dtype)
        return y.clamp(low, high)

    return run


@quantised("DequantizeLinear", folds=True)
def dequantize(node: Node) -> Callable[..., Any]:
    """(x − zero)·scale."""
    axis, block = node.setting("axis", 1), node.setting("block_size", 0)

    def run(x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
        x, scale = together(x, scale)
        y = x.to(scale.dtype)
        if zero is not None:
            y = y - _spread(zero.to(x.device), x, axis, block).to(scale.dtype)
        return y * _spread(scale, x, axis, block)

    return run


@quantised("DynamicQuantizeLinear")
def dynamic_quantize(node: Node) -> Callable[..., Any]:
    """To eight bits over the range of the values at hand, with that range's scale and zero."""

    def run(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        low, high = x.min().clamp_max(0), x.max().clamp_min(0)
        scale = (high - low) / 255
        zero = (-low / scale).round().clamp(0, 255)
        y = x / scale
        y = (y + (y.round() - y).detach() + zero).clamp(0, 255)
        return y, scale, zero.detach()

    return run
