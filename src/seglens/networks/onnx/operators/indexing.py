"""Reading and writing by index, sorting, and sums along an axis."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.operators.pointwise import together
from seglens.networks.onnx.tensors import bounded, whole

indexing = partial(operator, subject="Indexing and sorting")


def _wrapped(index: Tensor, n: int) -> Tensor:
    """Indices from the end as such from the start."""
    return torch.where(index < 0, index + n, index).long()


@indexing("Gather", folds=True)
def gather(node: Node) -> Callable[..., Any]:
    """Places of one axis, in the shape of the indices."""
    axis = node.setting("axis", 0)

    def run(x: Tensor, index: Tensor) -> Tensor:
        at = axis % x.ndim
        bounded([*x.shape[:at], *index.shape, *x.shape[at + 1 :]], "Gather")
        if index.ndim == 0:
            return x.select(at, int(index))
        rows = _wrapped(index.to(x.device), x.shape[at])
        found = x.index_select(at, rows.reshape(-1))
        return found if index.ndim == 1 else found.unflatten(at, index.shape)

    return run


@indexing("GatherElements", folds=True)
def gather_elements(node: Node) -> Callable[..., Any]:
    """One place of an axis for every place of the output."""
    axis = node.setting("axis", 0)

    def run(x: Tensor, index: Tensor) -> Tensor:
        x, index = together(x, index)
        return x.gather(axis, _wrapped(index, x.shape[axis]))

    return run


@indexing("GatherND", folds=True)
def gather_nd(node: Node) -> Callable[..., Any]:
    """Parts named by several indices each; batch_dims leading axes run along."""
    batch = node.setting("batch_dims", 0)

    def run(x: Tensor, index: Tensor) -> Tensor:
        x, index = together(x, index)
        lead = x.shape[:batch]
        index = index.long()
        places = tuple(_wrapped(index[..., k], x.shape[batch + k]) for k in range(index.shape[-1]))
        if batch:
            grids = torch.meshgrid(*(torch.arange(n, device=x.device) for n in lead), indexing="ij")
            extra = places[0].ndim - batch
            places = (*(g.reshape(*lead, *[1] * extra) for g in grids), *places)
        return x[places]

    return run


@indexing("Scatter", "ScatterElements")
def scatter_elements(node: Node) -> Callable[..., Any]:
    """A copy with single places overwritten, added to, or otherwise combined."""
    axis, how = node.setting("axis", 0), node.setting("reduction", "none")
    name = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}.get(how)

    def run(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        x, index, updates = together(x, index, updates)
        index = _wrapped(index, x.shape[axis])
        if name is None:
            return x.scatter(axis, index, updates)
        return x.scatter_reduce(axis, index, updates, name, include_self=True)

    return run


@indexing("ScatterND")
def scatter_nd(node: Node) -> Callable[..., Any]:
    """A copy with parts overwritten, added to, or otherwise combined."""
    how = node.setting("reduction", "none")
    if how not in ("none", "add"):
        raise node.refuse(f"reduction={how!r}")

    def run(x: Tensor, index: Tensor, updates: Tensor) -> Tensor:
        x, index, updates = together(x, index, updates)
        places = tuple(_wrapped(index[..., k], x.shape[k]) for k in range(index.shape[-1]))
        return x.index_put(places, updates, accumulate=how == "add")

    return run


@indexing("ArgMax", "ArgMin")
def argmax(node: Node) -> Callable[..., Any]:
    """Where the largest or smallest number stands: the first such place, or the last."""
    axis, keep, last = node.setting("axis", 0), bool(node.setting("keepdims", 1)), node.setting("select_last_index", 0)
    largest = node.op == "ArgMax"

    def run(x: Tensor) -> Tensor:
        n = x.shape[axis]
        seen = x.flip(axis) if last else x
        index = seen.argmax(axis, keepdim=keep) if largest else seen.argmin(axis, keepdim=keep)
        return n - 1 - index if last else index

    return run


@indexing("TopK", numbers=(1,))
def topk(node: Node) -> Callable[..., Any]:
    """The k largest or smallest numbers along an axis in their order, and where they stand."""
    axis, largest = node.setting("axis", -1), bool(node.setting("largest", 1))
    settled = node.setting("k", None)

    def run(x: Tensor, k: Tensor | None = None) -> tuple[Tensor, Tensor]:
        count = settled if k is None else int(k.reshape(-1)[0])
        # Of equal numbers the first: torch's own topk takes any.
        found = x.sort(dim=axis, descending=largest, stable=True)
        return found.values.narrow(axis, 0, count), found.indices.narrow(axis, 0, count)

    return run


@indexing("CumSum", "CumProd", numbers=(1,))
def cumulative(node: Node) -> Callable[..., Any]:
    """Running sums or products along an axis, also from its end, also without the place itself."""
    exclusive, backwards = node.setting("exclusive", 0), node.setting("reverse", 0)
    product = node.op == "CumProd"

    def run(x: Tensor, axis: Tensor) -> Tensor:
        at = int(axis.reshape(-1)[0])
        y = x.flip(at) if backwards else x
        y = (y.cumprod(at) if product else y.cumsum(at)).to(x.dtype)
        if exclusive:
            first = torch.full_like(y.narrow(at, 0, 1), 1 if product else 0)
            y = torch.cat([first, y.narrow(at, 0, y.shape[at] - 1)], at)
        return y.flip(at) if backwards else y

    return run


@indexing("OneHot", numbers=(1, 2))
def one_hot(node: Node) -> Callable[..., Any]:
    """One value at the named place of a new axis, another one elsewhere."""
    axis = node.setting("axis", -1)

    def run(index: Tensor, depth: Tensor, values: Tensor) -> Tensor:
        n = int(depth.reshape(-1)[0])
        at = axis if axis >= 0 else axis + index.ndim + 1
        bounded([*index.shape, n], "OneHot")
        places = torch.arange(n, device=index.device).reshape([-1, *[1] * (index.ndim - at)])
        wanted = torch.where(index < 0, index + n, index).unsqueeze(at)
        off, on = values.to(index.device).reshape(-1)
        return torch.where(places == wanted, on, off)

    return run


@indexing("NonZero")
def non_zero(node: Node) -> Callable[..., Any]:
    """The indices of all numbers but 0, a column each."""
    return lambda x: x.nonzero().T


@indexing("Compress")
def compress(node: Node) -> Callable[..., Any]:
    """The places of an axis where a condition holds."""
    axis = node.setting("axis", None)

    def run(x: Tensor, condition: Tensor) -> Tensor:
        x, condition = together(x, condition)
        index = condition.nonzero().reshape(-1)
        return x.reshape(-1).index_select(0, index) if axis is None else x.index_select(axis, index)

    return run


@indexing("ReverseSequence", numbers=(1,))
def reverse_sequence(node: Node) -> Callable[..., Any]:
    """The first n places of each row backwards."""
    time, batch = node.setting("time_axis", 0), node.setting("batch_axis", 1)

    def run(x: Tensor, lengths: Tensor) -> Tensor:
        rows = [
            torch.cat([r.narrow(t, 0, n).flip(t), r.narrow(t, n, r.shape[t] - n)], t)
            for r, n in zip(x.unbind(batch), whole(lengths), strict=True)
            for t in [time - (time > batch)]
        ]
        return torch.stack(rows, batch)

    return run
