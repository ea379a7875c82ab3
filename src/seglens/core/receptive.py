"""Receptive fields, exact: which input positions a tensor of any network can depend on."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from seglens.core._reach_rules import VALUELESS, sights_of
from seglens.core._sight import Line, Sight, hull, root_sight, union
from seglens.core._window_rules import Call
from seglens.core.errors import CaptureError, ParameterError, ShapeError


@dataclass(frozen=True, slots=True, eq=False)
class Reach:
    """What one tensor sees of the root.

    extent: the root's spatial sizes. shape: the tensor's own grid, () where it has none.
    first, last: per root dimension, integers [*shape]: the first and last index of the root that
    a position depends on, clipped to the extent; first > last where it sees nothing.
    lines: per root dimension the same as an affine law away from borders, None where there is none.
    axes: the tensor's axes that run along the root's dimensions, None where some are lost.
    """

    extent: tuple[int, ...]
    shape: tuple[int, ...]
    first: tuple[Tensor, ...]
    last: tuple[Tensor, ...]
    lines: tuple[Line | None, ...]
    axes: tuple[int, ...] | None

    @property
    def size(self) -> tuple[int | None, ...]:
        """The receptive field per root dimension, borders aside (it may exceed the root).

        Where no affine law holds it is the widest window found; None where that is everything.
        """
        return tuple(
            line.size if line else _widest(a, b, n)
            for line, a, b, n in zip(self.lines, self.first, self.last, self.extent, strict=True)
        )

    @property
    def stride(self) -> tuple[Fraction | None, ...]:
        """How far the window moves from one position to the next; None without an affine law."""
        return tuple(line.jump if line else None for line in self.lines)

    def window(self, index: Sequence[int]) -> tuple[tuple[int, int], ...] | None:
        """First and last root index (inclusive) per dimension, seen from one position; None: nothing."""
        if len(index) != len(self.shape):
            raise ShapeError(f"an index of {len(index)} numbers into a grid of shape {self.shape}")
        at = tuple(index)
        ends = tuple((int(a[at]), int(b[at])) for a, b in zip(self.first, self.last, strict=True))
        return ends if all(a <= b for a, b in ends) else None

    def seen_from(self, mask: Tensor) -> Tensor:
        """The union of the windows of all set positions: bool [B *shape] -> bool [B *extent].

        Each window adds +1 and -1 at its corners; sums along each dimension then count the windows
        over each place. Raises ShapeError.
        """
        if tuple(mask.shape[1:]) != self.shape or mask.dtype != torch.bool:
            raise ShapeError(
                f"a mask of {mask.dtype} {list(mask.shape)} where bool [B, *{list(self.shape)}] is expected",
                tuple(mask.shape),
            )
        where = mask.cpu().nonzero().unbind(1)
        first = [v[where[1:]].expand(len(where[0])) for v in self.first]
        last = [v[where[1:]].expand(len(where[0])) for v in self.last]
        full = torch.stack([a <= b for a, b in zip(first, last, strict=True)]).all(0)
        batch = where[0][full]
        ends = [(a[full], b[full] + 1) for a, b in zip(first, last, strict=True)]
        dims = len(self.extent)
        count = torch.zeros([len(mask), *(n + 1 for n in self.extent)], dtype=torch.int64)
        for corner in range(1 << dims):
            picks = [corner >> d & 1 for d in range(dims)]
            at = [e[p] for e, p in zip(ends, picks, strict=True)]
            sign = torch.tensor((-1) ** sum(picks))
            count.index_put_((batch, *at), sign.expand(len(batch)), accumulate=True)
        for d in range(dims):
            count = count.cumsum(d + 1).narrow(d + 1, 0, self.extent[d])
        return (count > 0).to(mask.device)


def _widest(first: Tensor, last: Tensor, extent: int) -> int | None:
    widest = max(int((last - first + 1).max()), 0) if first.numel() else 0
    return None if widest >= extent else widest


@dataclass(slots=True)
class _Entry:
    sight: Sight
    stamp: int


@dataclass(slots=True)
class _Stain:
    """What was written into a storage, for other tensors that show the same memory.

    storage: a weak reference, which keeps the address from being used again.
    """

    storage: StorageWeakRef
    sight: Sight
    stamp: int


class Follower(TorchDispatchMode):
    """Follows, operation by operation, what each tensor depends on of a root tensor.

    It reads operations, not modules: functional calls, exported programs and TorchScript are
    followed alike, with gradients or without. Exact (the smallest interval per dimension that
    holds all positions read; weights of zero count, rounding of interpolation weights does not):
    convolution, transposed or not, pooling, adaptive pooling, resizing (antialiased: an upper
    bound), padding, slicing, flips, rolls, concatenation, layouts, windows made by views, and all
    pointwise operations between them. Channels of a tensor are not told apart, nor are images.
    Operations without a rule, and norms over space, see all that their inputs see. What leaves
    torch (numpy, `.item()`) is lost: a tensor made from that sees nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._extent: tuple[int, ...] = ()
        self._batched = True
        self._clock = 0
        self._seen: Any = WeakTensorKeyDictionary()
        self._stains: dict[int, _Stain] = {}
        self._marks: Any = WeakTensorKeyDictionary()

    def root(self, t: Tensor, dims: Sequence[int] | None = None) -> None:
        """Follow `t` from here on, along its axes `dims` (default: all but the first two).

        May be called mid-way, say by a forward hook with a layer's output; a further call
        replaces the root. Raises ParameterError where there is no such axis.
        """
        axes = list(range(2, t.ndim)) if dims is None else [d % t.ndim for d in dims]
        if not axes or len(set(axes)) != len(axes) or max(axes) >= t.ndim:
            raise ParameterError(f"no spatial axes {dims} in a root of shape {list(t.shape)}")
        self._extent = tuple(t.shape[a] for a in axes)
        self._batched = 0 not in axes
        self._seen, self._stains = WeakTensorKeyDictionary(), {}
        self._clock += 1
        self._seen[t] = _Entry(root_sight(tuple(t.shape), axes), self._clock)

    def reach(self, t: Tensor) -> Reach | None:
        """What `t` sees of the root; None where it does not depend on it. Raises CaptureError."""
        if not self._extent:
            raise CaptureError("nothing is followed yet: name a root first")
        s = self._sight(t)
        if s is None:
            return None
        # Among axes of one entry each, a dimension of one position may seem to lie in the batch's, where it never does.
        along = range(1 if self._batched else 0, t.ndim)
        owners = {s.owner(a): a for a in along if s.owner(a) is not None}
        whole = len(owners) == len(self._extent)
        grid = sorted(owners.values()) if whole else list(range(2, t.ndim))
        rest = [a for a in range(t.ndim) if a not in grid]
        shape = tuple(t.shape[a] for a in grid)
        lost = {r for a in rest for r in s.varies(a)}

        def on_grid(v: Tensor, least: bool) -> Tensor:
            if rest:
                v = v.amin(rest) if least else v.amax(rest)
            return v.expand(shape)

        return Reach(
            self._extent,
            shape,
            tuple(on_grid(v, True) for v in s.first),
            tuple(on_grid(v, False) for v in s.last),
            tuple(None if r in lost else line for r, line in enumerate(s.lines)),
            tuple(owners[r] for r in range(len(self._extent))) if whole else None,
        )

    def mark(self, t: Tensor, bit: int) -> None:
        """Give `t`, and all that is computed from it later, the mark number `bit`."""
        self._marks[t] = self.marks(t) | 1 << bit

    def marks(self, t: Tensor) -> int:
        """The marks that `t` carries, as a set of bits."""
        return self._marks.get(t, 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        out = func(*args, **kwargs)
        outputs = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        if func._schema.name.removeprefix("aten::") in VALUELESS:
            return out
        named = named_arguments(func, args, kwargs)
        written = written_tensors(func, named) if func._schema.is_mutable else []
        outputs += [t for t in written if not any(t is o for o in outputs)]
        marks = 0
        for t in given:
            marks |= self._marks.get(t, 0)
        if marks:
            for t in outputs:
                self._marks[t] = marks
        inputs = [s for s in map(self._sight, given) if s is not None]
        if inputs and outputs:
            call = Call(func, args, kwargs, named, self._sight, inputs, outputs)
            self._settle(written, outputs, sights_of(call))
        return out

    def _settle(self, written: list[Tensor], outputs: list[Tensor], sights: list[Sight]) -> None:
        """Remember what the outputs see; memory written in place is seen by its views too."""
        self._clock += 1
        for t, s in zip(outputs, sights, strict=True):
            if any(t is w for w in written):
                before = self._seen.get(t)
                if before is None or before.sight is not s:
                    self._stain(t, s)
            self._seen[t] = _Entry(s, self._clock)

    def _stain(self, t: Tensor, s: Sight) -> None:
        storage = StorageWeakRef(t.untyped_storage())
        self._stains = {k: v for k, v in self._stains.items() if not v.storage.expired()}
        old = self._stains.get(storage.cdata)
        blurred = hull([s, old.sight] if old else [s], (1,))
        self._stains[storage.cdata] = _Stain(storage, blurred, self._clock)

    def _sight(self, t: Any) -> Sight | None:
        if not isinstance(t, Tensor):
            return None
        entry = self._seen.get(t)
        if not self._stains:
            return entry.sight if entry else None
        stain = self._stains.get(StorageWeakRef(t.untyped_storage()).cdata)
        if stain is None or (entry and entry.stamp >= stain.stamp):
            return entry.sight if entry else None
        if entry is None:
            return hull([stain.sight], tuple(t.shape))
        return union([entry.sight, hull([stain.sight], entry.sight.shape)], entry.sight.shape)


def named_arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments of a call by the names of the operation's schema, defaults included."""
    named: dict[str, Any] = {}
    for i, a in enumerate(func._schema.arguments):
        if i < len(args):
            named[a.name] = args[i]
        elif a.name in kwargs:
            named[a.name] = kwargs[a.name]
        elif a.has_default_value():
            named[a.name] = a.default_value
    return named


def written_tensors(func: Any, named: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operation writes into."""
    return [
        t
        for a in func._schema.arguments
        if a.alias_info is not None and a.alias_info.is_write
        for t in tree_leaves(named.get(a.name))
        if isinstance(t, Tensor)
    ]
