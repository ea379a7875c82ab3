"""Sums, means and extremes over axes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.tensors import whole

Reduction = Callable[[Tensor, list[int], bool], Tensor]


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for a in sorted(axes, reverse=True):
        x = x.prod(a, keepdim=keep)
    return x


def _extreme(name: str) -> Reduction:
    def run(x: Tensor, axes: list[int], keep: bool) -> Tensor:
        if x.dtype == torch.bool:
            return getattr(x.to(torch.uint8), name)(axes, keepdim=keep).bool()
        return getattr(x, name)(axes, keepdim=keep)

    return run


_REDUCTIONS: dict[str, Reduction] = {
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keep),
    "ReduceLogSum": lambda x, axes, keep: x.sum(axes, keepdim=keep).log(),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keepdim=keep),
    "ReduceMax": _extreme("amax"),
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "ReduceMin": _extreme("amin"),
    "ReduceProd": _product,
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep, dtype=x.dtype),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keepdim=keep, dtype=x.dtype),
}


@partial(operator, subject="Reductions", numbers=(1,), folds=True)(*_REDUCTIONS)
def reduction(node: Node) -> Callable[..., Any]:
    """Over the named axes, an attribute or an input by operator set; over all where none is named, or over none."""
    reduce, keep = _REDUCTIONS[node.op], bool(node.setting("keepdims", 1))
    settled, nothing = node.setting("axes", None), bool(node.setting("noop_with_empty_axes", 0))

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        named = settled if axes is None else whole(axes)
        if not named and nothing:
            return _PLAIN[node.op](x) if node.op in _PLAIN else x
        over = [a % x.ndim for a in named] if named else list(range(x.ndim))
        if not over:
            return reduce(x.reshape(1), [0], False)
        if not x.is_floating_point() and node.op in ("ReduceMean", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"):
            return reduce(x.double(), over, keep).to(x.dtype)
        return reduce(x, over, keep)

    return run


_PLAIN: dict[str, Callable[[Tensor], Tensor]] = {
    "ReduceL1": torch.abs,
    "ReduceL2": torch.abs,
    "ReduceLogSum": torch.log,
    "ReduceSumSquare": torch.square,
}
"""What a reduction over no axis still does to each number."""
