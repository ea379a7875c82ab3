"""A dense layer that reads the whole output of another: derivatives through it are the rows of its weight."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seglens.core.head import Head

ROWS_LIMIT = 2**26
"""Bytes of weight rows that are held at once, times the slope of what lies before the layer."""

SELECTING = (
    *("View", "UnsafeView", "ReshapeAlias", "Alias", "Clone", "Squeeze", "Unsqueeze"),
    *("Split", "SplitWithSizes", "Unbind", "Slice", "Select", "Narrow", "T", "Transpose", "Permute"),
)
"""Nodes of the autograd graph that hand some of the numbers on, each in one place."""
ARRANGING = ("View", "UnsafeView", "ReshapeAlias", "Alias", "Clone", "Squeeze", "Unsqueeze")
"""Those that hand on all of them, in the same order."""
POINTWISE = (
    *("Relu", "LeakyRelu", "Threshold", "Hardtanh", "Silu", "Gelu", "Elu", "Celu", "Softplus", "Mish", "Tanh"),
    *("Sigmoid", "Hardswish", "LogSigmoid", "Hardshrink", "Softshrink"),
)
"""Functions of one number each."""

MIXING = ("Addmm", "Mm", "Mul", "Add", "Sub", "Sum", "Mean", "Convolution")
"""Those that, in a chain, are linear: of their operands one alone is differentiated."""


@dataclass(frozen=True, slots=True)
class DenseReader:
    """A dense layer h = W·φ(A) + b that reads every number of a layer's output A, in order.

    head: the dense layer. slope: φ′(A) [B *A]; None where φ is the identity. Then ∂h_j/∂A = W_j ∘ φ′(A), with row W_j
    in A's shape: no pass runs through what lies between.
    """

    head: Head
    slope: Tensor | None

    def combined(self, coefficients: Tensor, reduce: Callable[[Tensor], Tensor], shape: torch.Size) -> Tensor:
        """Σ_j coefficients[b, t, j] · reduce(∂h_j/∂A): [B T …] for coefficients [B T m] and A of `shape` [B K *grid].

        `reduce` takes rows [n K *grid] to [n …], linear in each and alike for all: it is applied to the weight's rows
        instead of the derivatives of each target, once for all images where φ is the identity.
        """
        parts: list[Tensor] = []
        for some, rows in self._reduced((coefficients != 0).flatten(0, 1).any(0).nonzero().flatten(), reduce, shape):
            c, r = coefficients[:, :, some], rows.to(coefficients.dtype)
            each = [torch.tensordot(c[b], r[b % len(r)], 1) for b in range(len(c))]
            parts.append(torch.stack(each))
        return torch.stack(parts).sum(0)

    def selected(
        self, terms: Sequence[Mapping[int, float]], reduce: Callable[[Tensor], Tensor], shape: torch.Size
    ) -> Tensor:
        """The same where coefficients are few, alike for all images, and by number: rows are picked, not multiplied."""
        used = sorted({j for one in terms for j in one})
        index = torch.tensor(used, device=self.head.weight.device)
        rows = torch.cat([part for _, part in self._reduced(index, reduce, shape)], 1)
        found = rows.new_zeros(len(rows), len(terms), *rows.shape[2:])
        for t, one in enumerate(terms):
            for j, weight in one.items():
                found[:, t] += weight * rows[:, used.index(j)]
        return found.expand(shape[0], *found.shape[1:])

    def _reduced(
        self, used: Tensor, reduce: Callable[[Tensor], Tensor], shape: torch.Size
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Numbers of h, and [B n …] of their reduced derivatives ([1 n …] where images do not matter), in parts."""
        weight = self.head.weight
        size = max(1, ROWS_LIMIT // (weight.shape[1] * weight.element_size()))
        for some in used.split(size):
            rows = weight[some].reshape(len(some), *shape[1:])
            rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
            slopes = (None,) if self.slope is None else self.slope
            yield some, torch.stack([reduce(rows if d is None else rows * d) for d in slopes])


def dense_readers(layers: Sequence[Head], a: Tensor) -> list[DenseReader]:
    """The dense layers among those that ran that read all of A and nothing else.

    Known on the autograd graph: from the layer's input back to A lead only reshapes and functions of one number, and
    the layer's output is the product of that input with the weight itself, which no hook has changed.
    """
    found: list[DenseReader] = []
    for head in layers:
        if head.input.ndim != 2 or len(head.input) != len(a) or head.input.numel() != a.numel():
            continue
        between = chain(head.input, a)
        if between is None or not set(between) <= {*ARRANGING, *POINTWISE} or not is_product(head):
            continue
        slope = None
        if not set(between) <= set(ARRANGING):
            ones = torch.ones_like(head.input)
            slope = torch.autograd.grad(head.input, a, ones, retain_graph=True)[0].detach()
        found.append(DenseReader(head, slope))
    return found


def selection(y: Tensor, h: Tensor) -> Tensor | None:
    """Which number of h [B m] each number of y [B d] is: indices [d]; None where y is more than a part of h."""
    between = chain(y, h)
    if between is None or not set(between) <= set(SELECTING) or y.ndim != 2 or h.ndim != 2 or len(y) != len(h):
        return None
    if y is h:
        return torch.arange(h.shape[1], device=h.device)
    # Every number of y is numbered, and its number found again where it came from.
    numbers = torch.arange(1, y.shape[1] + 1, device=y.device, dtype=y.dtype).expand_as(y).contiguous()
    found = torch.autograd.grad(y, h, numbers, retain_graph=True)[0]
    places = found[0].nonzero().flatten()
    order = found[0, places].long() - 1
    if not torch.equal(found, found[:1].expand_as(found)) or not torch.equal(
        order.sort().values, numbers[0].long() - 1
    ):
        return None
    return places[order.argsort()]


def is_product(head: Head) -> bool:
    """Whether a dense layer's output is the product of its input with its own weight, by the node that made it."""
    node = head.output.grad_fn
    if node is None or kind_of_node(node) not in ("Addmm", "Mm") or getattr(node, "_saved_alpha", 1) != 1:
        return False
    readers = [following for following, _ in node.next_functions if following is not None]
    saved = getattr(node, "_saved_mat2", None)
    if readers != [head.input.grad_fn] or not isinstance(saved, Tensor):
        return False
    return saved.data_ptr() == head.weight.data_ptr() and saved.T.shape == head.weight.shape


def chain(end: Tensor, start: Tensor) -> list[str] | None:
    """Kinds of the nodes that lead from `end` back to `start`, where that is one way without forks; else None."""
    if end is start:
        return []
    kinds: list[str] = []
    node, place = end.grad_fn, end.output_nr
    while node is not None:
        if node is start.grad_fn and place == start.output_nr:
            return kinds
        if start.grad_fn is None and getattr(node, "variable", None) is start:
            return kinds
        ways = [(following, at) for following, at in node.next_functions if following is not None]
        if len(ways) != 1:
            return None
        kinds.append(kind_of_node(node))
        node, place = ways[0]
    return None


def kind_of_node(node: Any) -> str:
    """'Relu' of ReluBackward0."""
    return str(node.name()).partition("Backward")[0].rpartition("::")[2]


def nodes_behind(start: Any, *stops: Any) -> Iterator[Any]:
    """All nodes of the graph behind `start`, itself too, without `stops` and what lies only behind those."""
    waiting, seen = [start], set[object]()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen or node in stops:
            continue
        seen.add(node)
        yield node
        waiting += [following for following, _ in node.next_functions]
