"""Pools: the largest, the mean and norms of windows."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.operators.windows import CONV, Windows, padded
from seglens.networks.onnx.tensors import whole

pooling = partial(operator, subject="Pooling")

_MAX: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
_MEAN: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
_LARGEST: dict[int, Any] = {
    1: nn.functional.max_pool1d,
    2: nn.functional.max_pool2d,
    3: nn.functional.max_pool3d,
}


@pooling("MaxPool")
def max_pool(node: Node) -> nn.Module | Callable[..., Any]:
    """The largest number of each window, and where it stands in the whole tensor."""
    w = Windows.of(node, node.setting("kernel_shape", ()))
    d = len(w.kernel)
    fits = all(2 * p <= k for p, k in zip(w.before, w.kernel, strict=True))
    if w.even and fits and not node.gives(1):
        return _MAX[d](w.kernel, w.stride, w.before, w.dilation, False, w.ceil)
    if node.setting("storage_order", 0) and node.gives(1):
        raise node.refuse("indices in column order (storage_order=1)")

    def run(x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        sizes = x.shape[2:]
        before, behind = w.pads(sizes)
        behind = [n + e for n, e in zip(behind, w.excess(sizes), strict=True)]
        lowest = -torch.inf if x.is_floating_point() else torch.iinfo(x.dtype).min
        wide = padded(x, before, behind, lowest)
        y, index = _LARGEST[d](wide, w.kernel, w.stride, 0, w.dilation, False, True)
        return (y, _in_whole(index, wide.shape[2:], before, sizes)) if node.gives(1) else y

    return run


def _in_whole(index: Tensor, wide: torch.Size, before: list[int], sizes: torch.Size) -> Tensor:
    """Places in padded planes [B C *] as places in the whole unpadded tensor."""
    flat = torch.zeros_like(index)
    for a in reversed(range(len(sizes))):
        place = index % wide[a] - before[a]
        index = index // wide[a]
        flat = flat + place * prod(sizes[a + 1 :])
    planes = torch.arange(flat.shape[0] * flat.shape[1], device=flat.device) * prod(sizes)
    return flat + planes.reshape(*flat.shape[:2], *[1] * len(sizes))


@pooling("MaxUnpool", numbers=(2,))
def max_unpool(node: Node) -> Callable[..., Any]:
    """Each number at the place it came from, zeros elsewhere."""
    w = Windows.of(node, node.setting("kernel_shape", ()))

    def run(x: Tensor, index: Tensor, shape: Tensor | None = None) -> Tensor:
        natural = [
            (n - 1) * s + k - b - e
            for n, s, k, b, e in zip(x.shape[2:], w.stride, w.kernel, w.before, w.behind, strict=True)
        ]
        sizes = [*x.shape[:2], *natural]
        # Indices count in the tensor of its natural size, which may lie in a larger one.
        flat = x.new_zeros(prod(sizes)).scatter(0, index.reshape(-1), x.reshape(-1))
        if shape is None or (wanted := whole(shape)) == sizes:
            return flat.reshape(sizes)
        rest = [0] * len(w.kernel)
        return padded(flat.reshape(sizes), rest, [b - a for a, b in zip(natural, wanted[2:], strict=True)])

    return run


@pooling("AveragePool")
def average_pool(node: Node) -> nn.Module | Callable[..., Any]:
    """The mean of each window: of what lies in the image, or with its padding (count_include_pad)."""
    w = Windows.of(node, node.setting("kernel_shape", ()))
    d = len(w.kernel)
    counted = bool(node.setting("count_include_pad", 0))
    dense = all(g == 1 for g in w.dilation)
    fits = all(2 * p <= k for p, k in zip(w.before, w.kernel, strict=True))
    if w.even and dense and fits and not w.ceil:
        return _MEAN[d](w.kernel, w.stride, w.before, False, counted)

    def total(x: Tensor) -> Tensor:
        ones = x.new_ones(x.shape[1], 1, *w.kernel)
        return CONV[d](x, ones, None, w.stride, 0, w.dilation, x.shape[1])

    def run(x: Tensor) -> Tensor:
        sizes = x.shape[2:]
        before, behind = w.pads(sizes)
        excess = w.excess(sizes)
        far = [n + e for n, e in zip(behind, excess, strict=True)]
        there = x.new_ones(1, 1, *sizes)
        there = padded(there, before, behind, 1.0 if counted else 0.0)
        there = padded(there, [0] * d, excess)
        return total(padded(x, before, far)) / total(there)

    return run


@pooling("LpPool")
def lp_pool(node: Node) -> Callable[..., Any]:
    """The p-norm of each window."""
    w = Windows.of(node, node.setting("kernel_shape", ()))
    p = node.setting("p", 2)

    def run(x: Tensor) -> Tensor:
        before, behind = w.pads(x.shape[2:])
        behind = [n + e for n, e in zip(behind, w.excess(x.shape[2:]), strict=True)]
        ones = x.new_ones(x.shape[1], 1, *w.kernel)
        powers = padded(x.abs() ** p, before, behind)
        return CONV[len(w.kernel)](powers, ones, None, w.stride, 0, w.dilation, x.shape[1]) ** (1 / p)

    return run


@pooling("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(node: Node) -> Callable[..., Any]:
    """The mean, the largest or the p-norm of each channel."""
    p = node.setting("p", 2)

    def run(x: Tensor) -> Tensor:
        axes = list(range(2, x.ndim))
        if node.op == "GlobalAveragePool":
            return x.mean(axes, keepdim=True)
        if node.op == "GlobalMaxPool":
            return x.amax(axes, keepdim=True)
        return torch.linalg.vector_norm(x, p, axes, True)

    return run
