"""From a tensor of known layout to the map [B C *space] that it holds, and back."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from seglens.core._layout import BATCH, Block, Factor, Layout, Part, factors, is_dim, marks, refined, whole_side


class Step(Protocol):
    """A change of form, and how it is taken back: `undo` puts `m` into the place of `do(t)` in t."""

    def do(self, t: Tensor) -> Tensor: ...

    def undo(self, m: Tensor, t: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class Reshape:
    shape: tuple[int, ...]

    def do(self, t: Tensor) -> Tensor:
        return t.reshape(self.shape)

    def undo(self, m: Tensor, t: Tensor) -> Tensor:
        return m.reshape(t.shape)


@dataclass(frozen=True, slots=True)
class Permute:
    order: tuple[int, ...]

    def do(self, t: Tensor) -> Tensor:
        return t.permute(self.order)

    def undo(self, m: Tensor, t: Tensor) -> Tensor:
        return m.permute([self.order.index(a) for a in range(len(self.order))])


@dataclass(frozen=True, slots=True)
class Narrow:
    """Only the image's entries along an axis; those around it stay as they are."""

    axis: int
    start: int
    length: int

    def do(self, t: Tensor) -> Tensor:
        return t.narrow(self.axis, self.start, self.length)

    def undo(self, m: Tensor, t: Tensor) -> Tensor:
        end = self.start + self.length
        after = t.narrow(self.axis, end, t.shape[self.axis] - end)
        return torch.cat([t.narrow(self.axis, 0, self.start), m, after], self.axis)


@dataclass(frozen=True, slots=True)
class Unroll:
    axis: int
    shift: int

    def do(self, t: Tensor) -> Tensor:
        return t.roll(-self.shift, self.axis)

    def undo(self, m: Tensor, t: Tensor) -> Tensor:
        return m.roll(self.shift, self.axis)


@dataclass(frozen=True)
class MapForm:
    """How a tensor of some shape holds a map [B C *space].

    layout: of the tensor. dims: of the image. Both ways are differentiable and keep the other's history:
    `from_map(to_map(t), t)` is t, and what of t belongs to no place of the map (class tokens, padding) comes from t.
    """

    layout: Layout
    dims: int

    def to_map(self, t: Tensor) -> Tensor:
        """The map [B C *space] that t holds."""
        for step in self._steps:
            t = step.do(t)
        return t

    def from_map(self, m: Tensor, t: Tensor) -> Tensor:
        """t with the map m [B C *space] in the place of its own."""
        before: list[Tensor] = []
        for step in self._steps:
            before.append(t)
            t = step.do(t)
        for step, whole in zip(reversed(self._steps), reversed(before), strict=True):
            m = step.undo(m, whole)
        return m

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the map."""
        rest = prod(f.size for f in self._whole if f.of is None)
        sides = [self.layout.sides[d] for d in range(self.dims)]
        return (self.layout.sides[BATCH].size, rest, *(s.size - s.before - s.after for s in sides))

    @property
    def word(self) -> str:
        """What the form is called: 'channels last', 'tokens 14×14 + 1', 'windows 7×7'."""
        layout = self.layout
        inner = [_inner(layout, d) for d in range(self.dims)]
        if any(n != layout.sides[d].size for d, n in enumerate(inner)):
            return f"windows {'×'.join(map(str, inner))}"
        tokens = [axis for axis in layout.axes if len([of for of in marks(axis) if is_dim(of)]) > 1]
        if tokens or layout.extras:
            extra = f" + {layout.extras}" if layout.extras else ""
            return f"tokens {'×'.join(str(n) for n in self.shape[2:])}{extra}"
        last = layout.axes[-1]
        return "channels last" if last and not marks(last) else "map in another order"

    @cached_property
    def _whole(self) -> list[Factor]:
        parts = [p for axis in self.layout.axes for p in axis]
        while (found := _first_block(parts)) is not None:
            at, block = found
            parts[at : at + 1] = block.inner
        return [p for p in parts if isinstance(p, Factor)]

    @cached_property
    def _steps(self) -> tuple[Step, ...]:
        parts = [p for axis in self.layout.axes for p in axis]
        steps: list[Step] = [Reshape(_sizes(parts))]
        while (found := _first_block(parts)) is not None:
            at, block = found
            parts[at : at + 1] = block.inner
            steps += [Narrow(at, block.before, prod(_sizes(block.inner))), Reshape(_sizes(parts))]
        whole = self._whole
        order = [_by_step(whole, BATCH), [i for i, f in enumerate(whole) if f.of is None]]
        order += [_by_step(whole, d) for d in range(self.dims)]
        steps.append(Permute(tuple(i for group in order for i in group)))
        steps.append(Reshape(tuple(prod(whole[i].size for i in group) for group in order)))
        for d in range(self.dims):
            side = self.layout.sides[d]
            if side.shift:
                steps.append(Unroll(2 + d, side.shift))
            if side.before or side.after:
                steps.append(Narrow(2 + d, side.before, side.size - side.before - side.after))
        return tuple(steps)


def _first_block(parts: Sequence[Part]) -> tuple[int, Block] | None:
    return next(((i, p) for i, p in enumerate(parts) if isinstance(p, Block)), None)


def _sizes(parts: Sequence[Part]) -> tuple[int, ...]:
    return tuple(p.size for p in parts)


def _by_step(whole: Sequence[Factor], of: int) -> list[int]:
    return sorted((i for i, f in enumerate(whole) if f.of == of), key=lambda i: -whole[i].step)


def _inner(layout: Layout, d: int) -> int:
    """The length of the innermost stretch of a dimension."""
    whole = [f for axis in layout.axes for f in factors(axis) if f.of == d]
    return min(whole, key=lambda f: f.step).size if len(whole) > 1 else layout.sides[d].size


def is_plain(layout: Layout, dims: int) -> bool:
    """Whether a tensor is a map [B C *space] as it stands; dimensions that were reduced to one place count."""
    layout = refined(layout)
    if len(layout.axes) != dims + 2 or marks(layout.axes[0]) - {BATCH} or marks(layout.axes[1]):
        return False
    if BATCH not in layout.sides or any(f.of is None for f in layout.axes[0] if isinstance(f, Factor)):
        return False
    for d in range(dims):
        if layout.axes[2 + d] and (whole_side(layout, 2 + d) != d or layout.sides[d].shift):
            return False
    return True


def form_of(layout: Layout, dims: int) -> MapForm | None:
    """How to read a tensor of this layout as a map; None where it holds none whose grid is known.

    A matrix [B d] never does: a vector for each image stays one, even if it is a flattened map.
    """
    if len(layout.axes) < 3 and not any(is_dim(of) for axis in layout.axes[:1] for of in marks(axis)):
        return None
    layout = refined(layout)
    if BATCH not in layout.sides or any(d not in layout.sides for d in range(dims)):
        return None
    return MapForm(layout, dims)
