"""Layouts, by observation: where the image's grid lies in every tensor of any network."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from seglens.core._layout import BATCH, NEVER_SEEN, Axis, Factor, Layout, Side, image, marks, settled, unknown
from seglens.core._layout_map import MapForm, form_of, is_plain
from seglens.core._layout_marks import Marks, carried
from seglens.core._layout_rules import MAIN, SEVERAL, Answer, Op, pointwise
from seglens.core._layout_windows import WINDOWS
from seglens.core._reach_rules import VALUELESS
from seglens.core.receptive import named_arguments, written_tensors

__all__ = ["Held", "LayoutFollower", "MapForm"]


@dataclass(slots=True, eq=False)
class Held:
    """How a tensor holds its map.

    plain: it is one, [B C *space], as it stands. form: else how it is made one. Neither: no grid is known in it.
    doubtful: it has the image's number of axes, and none of them is known to be the image's. It becomes plain when a
    later convolution, pooling or resizing slides over its last axes. whole: every dimension of the image is known to
    lie in it, none reduced to one place.
    """

    plain: bool
    form: MapForm | None = None
    doubtful: bool = False
    whole: bool = False


@dataclass(slots=True, eq=False)
class _Unseen:
    """A tensor of which only later operations may show where its axes lie: its marks, one an axis, and what waits."""

    marks: tuple[int, ...]
    held: Held


class LayoutFollower(TorchDispatchMode):
    """Follows, operation by operation, of what the axes of each tensor are made, from an image [B C *space] on.

    It reads operations, not modules, so that a grid is known wherever one can be followed: in tokens [B N C] with class
    and register tokens, in windows, also shifted ones, in channels-last maps and in heads. An operation without a rule
    loses it; nothing is guessed from sizes. Convolution, pooling and resizing over as many axes as the image has show
    its axes anew. What leaves torch (numpy, `.item()`) is lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self._root: tuple[int, ...] = ()
        self._seen: Any = WeakTensorKeyDictionary()
        self._unseen: list[_Unseen] = []
        self._marks: Any = WeakTensorKeyDictionary()

    def root(self, x: Tensor) -> None:
        """Follow images x [B C *space] from here on."""
        self._root = tuple(x.shape)
        self._seen = WeakTensorKeyDictionary()
        self._seen[x] = image(x.shape)

    @property
    def dims(self) -> int:
        """How many dimensions the image has."""
        return len(self._root) - 2

    def layout(self, t: Any) -> Layout | None:
        """Of what a tensor's axes are made; None where it does not come from the image."""
        return self._seen.get(t) if isinstance(t, Tensor) else None

    def held(self, t: Tensor) -> Held:
        """How a tensor holds its map. One of which nothing was seen is watched from here on."""
        s = self.layout(t) or unknown(tuple(t.shape))
        if is_plain(s, self.dims):
            return Held(True, whole=len(s.dims) == self.dims)
        form = form_of(s, self.dims)
        held = Held(False, form, form is None and t.ndim == self.dims + 2)
        if held.doubtful:
            self._watch(t, held)
        return held

    def like(self, t: Tensor, other: Tensor) -> None:
        """Say that `t` has the layout of `other`, whatever made it."""
        s = self._seen.get(other)
        if s is not None:
            self._seen[t] = s

    def mark(self, t: Tensor, bit: int) -> None:
        """Give the image's entries of `t`, and all that is computed from them later, the mark number `bit`."""
        self._marks[t] = self._marks.get(t, Marks()) | Marks(1 << bit, 0 if self._extras(t) else 1 << bit)

    def marks(self, t: Tensor) -> int:
        """The marks of all that `t` was computed from, as a set of bits."""
        return self._marks.get(t, Marks()).all

    def _extras(self, t: Tensor) -> int:
        s = self.layout(t)
        return s.extras if s is not None else 0

    def _watch(self, t: Tensor, held: Held) -> None:
        first = NEVER_SEEN + 10 * len(self._unseen)
        unseen = _Unseen(tuple(range(first, first + t.ndim)), held)
        self._unseen.append(unseen)
        axes: list[Axis] = [(Factor(n, mark),) for n, mark in zip(t.shape, unseen.marks, strict=True)]
        sides = {mark: Side(n) for n, mark in zip(t.shape, unseen.marks, strict=True)}
        if t.shape[0] == self._root[0]:
            axes[0] = (Factor(t.shape[0], BATCH),)
            sides[BATCH] = Side(t.shape[0])
            del sides[unseen.marks[0]]
        self._seen[t] = settled(axes, sides)

    def _meet(self, axes: Sequence[Axis]) -> None:
        """Windows slid over these axes as over an image: what was unseen in them is a map if it lies as in one."""
        for unseen in self._unseen:
            if any(marks(axis) & set(unseen.marks) for axis in axes):
                lies = (not axis or marks(axis) == {m} for axis, m in zip(axes[2:], unseen.marks[2:], strict=True))
                unseen.held.plain = all(lies) and len(axes) == len(unseen.marks)
                unseen.held.doubtful = not unseen.held.plain

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        out = func(*args, **kwargs)
        name = func._schema.name.removeprefix("aten::")
        outputs = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        if name in VALUELESS or not self._root:
            return out
        named = named_arguments(func, args, kwargs)
        if func._schema.is_mutable:
            outputs += [t for t in written_tensors(func, named) if not any(t is o for o in outputs)]
        inputs = [s for s in map(self.layout, given) if s is not None]
        slides = name in WINDOWS
        if not outputs or not (inputs or slides):
            return out
        op = Op(named, self.layout, inputs, [tuple(t.shape) for t in outputs], self.dims, self._root[0], self._meet)
        layouts = _layouts(name, func, op)
        marked = self._marked(name, func, op, given, layouts) if self._marks else []
        for t, s in zip(outputs, layouts, strict=True):
            self._seen[t] = s
        for t, m in zip(outputs, marked, strict=False):
            self._marks[t] = m
        return out

    def _marked(
        self, name: str, func: Any, op: Op, given: Sequence[Tensor], layouts: Sequence[Layout]
    ) -> Sequence[Marks]:
        every = Marks()
        for t in given:
            every |= self._marks.get(t, Marks())
        if not every.all:
            return []
        named: dict[str, Marks] = {}
        for n, value in op.named.items():
            several = value if isinstance(value, list | tuple) else [value]
            found = [(i, self._marks.get(t)) for i, t in enumerate(several) if isinstance(t, Tensor)]
            named |= {n if several[0] is value else f"{n}.{i}": m for i, m in found if m is not None}
        return [carried(name, func, op, named, every, s, i) for i, s in enumerate(layouts)]


def _layouts(name: str, func: Any, op: Op) -> list[Layout]:
    """Of each output of an operation; unknown where no rule knows."""
    try:
        found = _by_rule(name, func, op)
    except (RuntimeError, LookupError, TypeError, ValueError):
        # An argument that no rule foresaw must not end the user's forward pass: not to know is safe.
        found = []
    listed = [found] * len(op.shapes) if isinstance(found, Layout) else list(found)
    listed += [unknown(()) for _ in op.shapes[len(listed) :]]
    return [s if s.shape == shape else unknown(shape) for s, shape in zip(listed, op.shapes, strict=True)]


def _by_rule(name: str, func: Any, op: Op) -> Answer:
    if name not in SEVERAL:
        name = name.removesuffix("_")
    if name in SEVERAL:
        return SEVERAL[name](op)
    main = next((n for n in ("self", "input", "src", "query") if n in op.named), None)
    if main is not None and (name in MAIN or name in WINDOWS):
        return (MAIN.get(name) or WINDOWS[name])(op, op.layout(main))
    return pointwise(op) if torch.Tag.pointwise in func.tags else []
