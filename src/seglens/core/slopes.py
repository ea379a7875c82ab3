"""Derivatives of scores by a layer or the input, for all targets at the least number of reverse passes."""

from collections import defaultdict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from seglens.core.capture import capture, own
from seglens.core.dense import DenseReader, dense_readers, nodes_behind, selection
from seglens.core.errors import CaptureError
from seglens.core.head import Head
from seglens.core.network import Network, Of, upsampled
from seglens.core.receptive import Follower, Reach
from seglens.core.targets import Scores, Targets

HALF = (torch.float16, torch.bfloat16)

BASIS_LIMIT = 2**30
"""Bytes of stored basis derivatives above which targets are differentiated one by one instead."""


@dataclass(frozen=True, slots=True)
class _Basis:
    """Reverse passes that several targets share: ∂S_t/∂A = Σ_j coefficients[b, t, j] · ∂(h_j·w)/∂A.

    h: input of the head [B m *s]; w: the region's weights on the head's grid [B 1 *s]; targets: their indices;
    coefficients: [B T' m].
    """

    head: Head
    pattern: Tensor
    targets: list[int]
    coefficients: Tensor


class Slopes:
    """∂S_t/∂A of every target t, where A is the output of one or several layers, or the input.

    `values` [B T] are the scores, `at` the tensors A (detached), `output` the raw output (detached).
    `reach`: what the output's pixels on the input grid see of the layer, where that was followed. `passes` counts the
    reverse passes made so far.
    """

    def __init__(
        self,
        scores: Scores,
        y: Tensor,
        at: Sequence[Tensor],
        head: Head | None,
        reach: Reach | None = None,
        dense: Sequence[Head] = (),
    ) -> None:
        self.scores = scores
        self.output = y.detach()
        # Sums over places and channels are not to be taken in half precision.
        self.at = tuple(_wide(a.detach()) for a in at)
        self.reach = reach
        self.passes = 0
        self._y = y
        self._at = tuple(at)
        self._read: dict[Of, Tensor] = {}
        self.values = scores(self.output)
        if not y.requires_grad:
            raise CaptureError(
                f"the score of {scores.network.name} does not depend on the layer asked about, or the network "
                "cuts the gradient (detach, argmax, no_grad): there is nothing to differentiate."
            )
        self._head = head
        self._dense = tuple(dense)
        self._half = y.dtype in HALF or any(a.dtype in HALF for a in at) or torch.is_autocast_enabled(y.device.type)

    def __len__(self) -> int:
        return len(self.scores.items)

    def each(self) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """(t, derivatives [B *A] by each tensor of `at`), one target after another, in no fixed order."""
        size = sum(a.numel() * a.element_size() for a in self._at)
        left = set(range(len(self)))
        for basis in self._bases:
            if size * basis.coefficients.shape[2] > BASIS_LIMIT:
                continue
            stored = [torch.stack(parts) for parts in zip(*self._passes(basis), strict=True)]
            for row, t in enumerate(basis.targets):
                c = basis.coefficients[:, row]
                yield t, tuple(torch.einsum("bj,jb...->b...", c.to(g.dtype), g) for g in stored)
            left -= set(basis.targets)
        for t in sorted(left):
            yield t, self._one(t)

    def alone(self) -> Iterator[tuple[int, tuple[Tensor, ...]]]:
        """As `each`, in order, and every target by a reverse pass of its own.

        For gradients that are not linear in the score, because a rule of the reverse pass was changed.
        """
        for t in range(len(self)):
            yield t, self._one(t)

    def by(self, i: int) -> "Slopes":
        """The same pass, differentiated by tensor i of `at` alone; `passes` counts from 0, and nothing is followed."""
        return Slopes(self.scores, self._y, [self._at[i]], self._head)

    def nodes(self) -> Iterator[Any]:
        """The nodes of the autograd graph on a way from the output to `at`: what a reverse pass runs through."""
        return nodes_between(self._y, self._at)

    def linear(self, reduce: Callable[..., Tensor], *, alike: bool = False) -> Tensor:
        """[B T …]: `reduce(*derivatives)` of every target, where `reduce` is linear in each image's derivatives.

        Linearity lets targets share passes without storing them: it is applied to the basis and then combined.
        `alike`: it does the same to every image, whatever the image holds, as a mean over space does. Where a dense
        layer h reads all of the (one) layer's output it is then applied to the rows of that layer's weight, and passes
        lead from the output back to h only; none where the output is part of h, as latent units often are.
        """
        if alike and self._readers:
            return self._by_rows(reduce)
        found: dict[int, Tensor] = {}
        for basis in self._bases:
            total: Tensor | None = None
            for j, gradients in enumerate(self._passes(basis)):
                part = reduce(*gradients)
                c = basis.coefficients[:, :, j].to(part.dtype)
                part = c.reshape(*c.shape, *[1] * (part.ndim - 1)) * part[:, None]
                total = part if total is None else total.add_(part)
            if total is not None:
                found.update({t: total[:, row] for row, t in enumerate(basis.targets)})
        for t in range(len(self)):
            if t not in found:
                found[t] = reduce(*self._one(t))
        return torch.stack([found[t] for t in range(len(self))], 1)

    def feeds_head(self, i: int = 0) -> bool:
        """Whether a linear head alone makes every target's score of layer i of `at`: ∂S/∂A then is the head's weights.

        That is so where the head's input is that layer's output, no path goes round the head, and what comes after it
        treats channels alike and linearly, as the derivative there shows.
        """
        head, a = self._head, self.at[i]
        if head is None or head.input.shape != a.shape or not torch.equal(_wide(head.input.detach()), a):
            return False
        if not head.is_linear(len(self._y)) or _goes_round(self._y, head.output):
            return False
        if len(head.weight) > 1:
            return all(self._basis(head, [t]) is not None for t in range(len(self)))
        return all(target.of == "logits" for target in self.scores.items)

    @cached_property
    def _readers(self) -> list[DenseReader]:
        """Dense layers that read all of the one layer of `at`, and on which alone the output hangs; none elsewhere."""
        if len(self._at) != 1 or self._half:
            return []
        behind = set(nodes_behind(self._y.grad_fn))
        found = [r for r in dense_readers(self._dense, self._at[0]) if r.head.output.grad_fn in behind]
        return [] if _goes_round(self._y, *(r.head.output for r in found)) else found

    def _by_rows(self, reduce: Callable[..., Tensor]) -> Tensor:
        """`linear` by the rows of the dense layers' weights."""
        shape, readers = self._at[0].shape, self._readers
        plain = self.scores.masks is None and not self.scores.network.is_binary(self._y)
        plain = plain and self.scores.network.emits == "logits" and all(t.of == "logits" for t in self.scores.items)
        if plain and len(readers) == 1 and (places := selection(self._y, readers[0].head.output)) is not None:
            numbers = places.tolist()
            terms = [{numbers[k]: weight for k, weight in of_one.items()} for of_one in self.scores.terms]
            return readers[0].selected(terms, reduce, shape)
        self.passes += len(self)
        hs = [r.head.output for r in readers]
        each = [torch.autograd.grad(self._score(t), hs, retain_graph=True) for t in range(len(self))]
        by_layer = [torch.stack([_wide(g.detach()) for g in of_one], 1) for of_one in zip(*each, strict=True)]
        return torch.stack([r.combined(c, reduce, shape) for r, c in zip(readers, by_layer, strict=True)]).sum(0)

    def _one(self, t: int) -> tuple[Tensor, ...]:
        found = self._reverse(self._score(t), None)
        return tuple(g / self._lift(t).reshape(-1, *[1] * (g.ndim - 1)).to(g) for g in found) if self._half else found

    def _score(self, t: int) -> Tensor:
        """S_t summed over the images, which do not mix, times `_lift`. Its graph lives for one pass only."""
        one = self.scores.one(self._y, t, self._read)
        return (one * self._lift(t).to(one)).sum() if self._half else one.sum()

    def _lift(self, t: int) -> Tensor:
        """[n·B] or [1]: in half precision means are differentiated as sums, since 1 over many pixels would be 0."""
        sizes = self.scores.sizes()[:, t]
        return sizes.repeat(len(self._y) // len(sizes)) if len(sizes) > 1 else sizes

    def _passes(self, basis: _Basis) -> Iterator[tuple[Tensor, ...]]:
        h = basis.head.input
        for j in range(h.shape[1]):
            seed = torch.zeros_like(h)
            seed[:, j] = basis.pattern[:, 0]
            yield self._reverse(h, seed)

    def _reverse(self, of: Tensor, seed: Tensor | None) -> tuple[Tensor, ...]:
        self.passes += 1
        # A layer beside the path has derivative zero.
        found = torch.autograd.grad(of, self._at, seed, retain_graph=True, allow_unused=True, materialize_grads=True)
        return tuple(map(_wide, found))

    @cached_property
    def _bases(self) -> list[_Basis]:
        """Worked out when first asked for: what differentiates every target alone needs none."""
        head = self._head
        if head is None:
            return []
        m = head.weight.shape[1]
        groups = [g for g in self.scores.same_region() if len(g) > m]
        if not groups or not head.output.requires_grad or not head.input.requires_grad:
            return []
        if not all(_leads_to(head.input, a) for a in self._at):
            return []
        if _goes_round(self._y, head.output) or not head.is_linear(len(self._y)):
            return []
        found = (self._basis(head, group) for group in groups)
        return [basis for basis in found if basis is not None]

    def _basis(self, head: Head, group: list[int]) -> _Basis | None:
        """The group's shared passes; None where the derivative at the head's output is no channel ⊗ place product.

        What comes behind the head must treat all channels alike and linearly: ∂S_t by channel k of the head's output
        is then the target's weight of class k, times a pattern of places that all targets share. It is checked on one
        random combination of the targets, which meets that form only if each of them does.
        """
        weights = _wide(head.weight.new_zeros(len(group), len(head.weight)))
        for row, t in zip(weights, group, strict=True):
            for k, weight in self.scores.terms[t].items():
                if k >= len(row) or self.scores.network.is_binary(self._y):
                    return None
                row[k] = weight
        strongest = int(weights.abs().amax(1).argmax())
        k = int(weights[strongest].abs().argmax())
        pattern = self._at_head(head, self._score(group[strongest]))[:, k : k + 1] / weights[strongest, k]
        r = torch.randn(len(group), generator=torch.Generator().manual_seed(len(group))).to(weights)
        total = torch.stack([self._score(t) * r[i] for i, t in enumerate(group)]).sum()
        expected = (r @ weights)[None, :, None] * pattern
        found = self._at_head(head, total)
        # Against each image's own size: a mean over many pixels is small beside another image's single pixel.
        rounding = 1e-4 * expected.abs() + 1e-5 * expected.abs().amax((1, 2), keepdim=True)
        if not bool(((found - expected).abs() <= rounding).all()):
            return None
        coefficients = (weights @ head.weight.to(weights.dtype)).expand(len(head.input), -1, -1)
        if self._half:
            coefficients = coefficients / self._lift(group[0])[:, None, None].to(coefficients)
        shape = (head.input.shape[0], 1, *head.input.shape[2:])
        return _Basis(head, pattern.reshape(shape).to(head.input.dtype), group, coefficients)

    def _at_head(self, head: Head, of: Tensor) -> Tensor:
        """The derivative by the head's output, [B K places]: cheap, since little comes behind a head."""
        g = _wide(torch.autograd.grad(of, head.output, retain_graph=True)[0].detach())
        return g.flatten(2) if g.ndim > 2 else g[:, :, None]


@contextmanager
def slopes(
    network: Network,
    x: Tensor,
    targets: Targets,
    layers: Sequence[str] | None = None,
    *,
    of: Of = "logits",
    follow: bool = False,
    image: bool = False,
) -> Generator[Slopes]:
    """One forward pass, ready to differentiate every target by the output of `layers`, or by x where None.

    `image`: by `layers` and then by x too, which is the last of `at`; `by` takes one of them alone.

    Cost: F for the pass; each reverse pass is the share τ of F that lies behind the earliest layer. T targets take
    T of them, and where T targets share a region and the network ends in a pointwise linear head with m inputs,
    min(T, m). That the targets' derivatives are such combinations is checked on the derivative at the head's output,
    and that no path goes round the head on the graph: else every target is differentiated by itself.
    `follow`: find out what the output sees of the (one) layer, as `reach`.
    """
    follower = Follower() if follow else None
    with capture(network, layers or (), head=True, seen=_root_of(follower)) as taps:
        x = own(network, x)
        if layers is None or image:
            x = x.clone().requires_grad_()
        with follower or nullcontext():
            y = network(x)
            pixels = upsampled(network, y, tuple(x.shape[2:])) if follower else y
        at = [taps[name] for name in layers or ()] + ([x] if layers is None or image else [])
        reach = follower.reach(pixels) if follower and at[0].ndim > 2 else None
        yield Slopes(targets.bind(network, x, y, of), y, at, taps.head, reach, taps.dense)


def _root_of(follower: Follower | None) -> Callable[[Tensor], None] | None:
    """Follow from a layer's output on; one without space has nothing to follow."""
    return None if follower is None else lambda a: follower.root(a) if a.ndim > 2 else None


def _wide(values: Tensor) -> Tensor:
    """In no less than float32."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _leads_to(end: Tensor, start: Tensor) -> bool:
    """Whether `end` was computed from `start`, on the graph."""
    if end is start:
        return False
    return any(_makes(node, start) for node in nodes_behind(end.grad_fn))


def nodes_between(y: Tensor, ends: Sequence[Tensor]) -> Iterator[Any]:
    """The nodes of the autograd graph on a way from y to one of `ends`, which are on its graph or leaves."""
    readers: defaultdict[Any, list[Any]] = defaultdict(list)
    makers: list[Any] = []
    for node in nodes_behind(y.grad_fn):
        for following, _ in node.next_functions:
            readers[following].append(node)
        makers += [node] if any(_makes(node, a) for a in ends) else []
    waiting, seen = [node for end in makers for node in readers[end]], set[object]()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            yield node
            waiting += readers[node]


def _makes(node: Any, a: Tensor) -> bool:
    """Whether a node of the graph is the one whose gradient is that of `a`."""
    return node is a.grad_fn if a.grad_fn is not None else getattr(node, "variable", None) is a


def _goes_round(y: Tensor, *through: Tensor) -> bool:
    """Whether some path of the graph leads from y to a leaf without passing any of `through`."""
    return any(hasattr(node, "variable") for node in nodes_behind(y.grad_fn, *(t.grad_fn for t in through)))
