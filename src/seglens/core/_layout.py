"""Of what the axes of a tensor are made: batch, channels, stretches of the image's dimensions, extra entries."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import TypeGuard

BATCH = -1
"""The mark of factors that count images."""

NEVER_SEEN = 1000
"""From here on numbers stand for axes whose place in the image was not seen, rather than for image dimensions."""


@dataclass(frozen=True, slots=True)
class Factor:
    """One of the sizes whose row-major product an axis is.

    of: the image dimension along which it runs, BATCH, or None for channels. step: how far one step along it goes in
    that dimension: the place is the sum of index × step over the dimension's factors.
    """

    size: int
    of: int | None = None
    step: int = 1


@dataclass(frozen=True, slots=True)
class Block:
    """Entries of which the first `before` and the last `after` are extra: class tokens, registers."""

    before: int
    inner: tuple["Part", ...]
    after: int

    @property
    def size(self) -> int:
        return self.before + size(self.inner) + self.after


Part = Factor | Block
Axis = tuple[Part, ...]
"""Outermost first; nothing of size 1."""


@dataclass(frozen=True, slots=True)
class Side:
    """A dimension as it is spread over a tensor: `before` and `after` of its `size` positions are padding.

    shift: by how much it was rolled: position p holds what belongs to p − shift.
    """

    size: int
    shift: int = 0
    before: int = 0
    after: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """Of what each axis of a tensor is made.

    sides: the dimensions (and BATCH) that are whole in it. known: False where an operation without a rule made it.
    """

    axes: tuple[Axis, ...]
    sides: Mapping[int, Side]
    known: bool = True

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(map(size, self.axes))

    @property
    def dims(self) -> list[int]:
        """The image's dimensions that are whole in it."""
        return sorted(d for d in self.sides if is_dim(d))

    @property
    def extras(self) -> int:
        """How many entries beside the image's stand in its axes."""
        blocks = [p for axis in self.axes for p in axis if isinstance(p, Block)]
        return sum(b.before + b.after for b in blocks)


def is_dim(of: int | None) -> TypeGuard[int]:
    """Whether a factor's mark is a dimension of the image."""
    return of is not None and 0 <= of < NEVER_SEEN


def size(axis: Axis) -> int:
    return prod(p.size for p in axis)


def channels(n: int) -> Axis:
    return (Factor(n),) if n > 1 else ()


def unknown(shape: Sequence[int]) -> Layout:
    return Layout(tuple(map(channels, shape)), {}, known=False)


def image(shape: Sequence[int]) -> Layout:
    """Of an image [B C *space]."""
    axes = ((Factor(shape[0], BATCH),), channels(shape[1]), *((Factor(n, d),) for d, n in enumerate(shape[2:])))
    return settled(axes, {BATCH: Side(shape[0]), **{d: Side(n) for d, n in enumerate(shape[2:])}})


def factors(axis: Axis) -> list[Factor]:
    """All factors of an axis, those inside blocks too."""
    found: list[Factor] = []
    for p in axis:
        found += [p] if isinstance(p, Factor) else factors(p.inner)
    return found


def marks(axis: Axis) -> set[int]:
    """What an axis runs along, but channels."""
    return {f.of for f in factors(axis) if f.of is not None}


def settled(axes: Sequence[Axis], sides: Mapping[int, Side], known: bool = True) -> Layout:
    """A layout in normal form: dimensions whose factors are not each there once become channels."""
    axes = tuple(map(joined, axes))
    whole = dict(sides)
    for of, side in sides.items():
        step = 1
        for f in sorted((f for axis in axes for f in factors(axis) if f.of == of), key=lambda f: f.step):
            step = step * f.size if f.step == step else 0
        if step != side.size:
            del whole[of]
    axes = tuple(joined(_kept(axis, whole)) for axis in axes)
    return Layout(axes, whole, known)


def _kept(axis: Axis, whole: Mapping[int, Side]) -> Axis:
    return tuple(
        replace(p, inner=_kept(p.inner, whole)) if isinstance(p, Block) else p if p.of in whole else Factor(p.size)
        for p in axis
    )


def joined(parts: Axis) -> Axis:
    """Parts in normal form: no ones, and neighbours that are one factor as one."""
    out: list[Part] = []
    for p in parts:
        if isinstance(p, Block):
            inner = joined(p.inner)
            if not marks(inner):
                p = Factor(p.size)
            elif p.before == p.after == 0:
                out += inner
                continue
            elif len(inner) == 1 and isinstance(inner[0], Block):
                p = Block(p.before + inner[0].before, inner[0].inner, inner[0].after + p.after)
            else:
                p = replace(p, inner=inner)
        if p.size == 1:
            continue
        last = out[-1] if out else None
        if isinstance(p, Factor) and isinstance(last, Factor) and _follows(last, p):
            out[-1] = Factor(last.size * p.size, p.of, p.step)
        else:
            out.append(p)
    return tuple(out)


def _follows(outer: Factor, inner: Factor) -> bool:
    return outer.of == inner.of and (inner.of is None or outer.step == inner.step * inner.size)


def without(layout: Layout, *lost: int) -> Layout:
    """The same, as if nobody knew where these dimensions are."""
    return settled(layout.axes, {of: side for of, side in layout.sides.items() if of not in lost}, layout.known)


def with_axis(layout: Layout, at: int, *axes: Axis) -> Layout:
    """With an axis exchanged for others, or for none."""
    at %= len(layout.axes)
    return settled((*layout.axes[:at], *axes, *layout.axes[at + 1 :]), layout.sides, layout.known)


def whole_side(layout: Layout, at: int) -> int | None:
    """The dimension that an axis is, all of it and nothing else; None where it is something else."""
    axis = layout.axes[at]
    if len(axis) != 1 or not isinstance(axis[0], Factor) or axis[0].of in (None, BATCH):
        return None
    of = axis[0].of
    return of if of in layout.sides and layout.sides[of].size == axis[0].size else None


def stretched(axis: Axis, of: int, change: Callable[[int], int]) -> Axis:
    """With other steps of the factors of one dimension."""
    return tuple(
        replace(p, inner=stretched(p.inner, of, change))
        if isinstance(p, Block)
        else replace(p, step=change(p.step))
        if p.of == of
        else p
        for p in axis
    )


def regrouped(layout: Layout, shape: Sequence[int]) -> Layout:
    """After a view or reshape: the parts dealt out to the new axes, and cut where one spans two."""
    if prod(shape) == 0:
        return unknown(shape)
    queue = list(joined(tuple(p for axis in layout.axes for p in axis)))
    out: list[Axis] = []
    for n in shape:
        taken: list[Part] = []
        while (done := size(tuple(taken))) < n:
            need, rest = divmod(n, done)
            p = queue.pop(0)
            if not rest and need % p.size == 0:
                taken.append(p)
            elif not rest and isinstance(p, Factor) and p.size % need == 0:
                inner = p.size // need
                taken.append(Factor(need, p.of, p.step * inner))
                queue.insert(0, Factor(inner, p.of, p.step))
            else:
                return unknown(shape)
        out.append(tuple(taken))
    return settled(out, layout.sides, layout.known)


def refined(layout: Layout) -> Layout:
    """As a map would be read: what space-to-depth and depth-to-space by views make of channels and steps.

    The innermost stretch of a dimension that stands among channels, its other stretches elsewhere, is channels of a
    coarser grid. Channels that stand within a dimension are finer steps along it; not where no channel would be left,
    since a map that was flattened looks the same.
    """
    layout = _coarser(layout)
    finer = {
        f.of: g.size
        for axis in layout.axes
        for f, g in pairwise(axis)
        if isinstance(f, Factor) and isinstance(g, Factor) and is_dim(f.of) and f.step == 1 and g.of is None
    }
    if not finer:
        return layout
    axes: list[Axis] = []
    for axis in layout.axes:
        parts: list[Part] = []
        for p in axis:
            last = parts[-1] if parts else None
            if isinstance(last, Factor) and last.of in finer and last.step == 1 and p == Factor(finer[last.of]):
                parts[-1] = Factor(last.size * p.size, last.of)
            elif isinstance(p, Factor) and p.of in finer and p.step > 1:
                parts.append(replace(p, step=p.step * finer[p.of]))
            else:
                parts.append(p)
        axes.append(tuple(parts))
    sides = {of: _scaled(side, finer.get(of, 1)) for of, side in layout.sides.items()}
    found = settled(axes, sides, layout.known)
    left = any(f.of is None for axis in found.axes for f in factors(axis))
    return found if left or len(found.axes) == len(found.dims) + 2 else layout


def _coarser(layout: Layout) -> Layout:
    axes, sides = list(layout.axes), dict(layout.sides)
    for a, axis in enumerate(layout.axes):
        if not any(isinstance(p, Factor) and p.of is None for p in axis):
            continue
        for f in factors(axis):
            alone = sum(g.of == f.of for g in factors(axis)) == 1
            if not is_dim(f.of) or f.step > 1 or not alone or sides[f.of].size == f.size or sides[f.of].shift:
                continue
            axes[a] = tuple(Factor(f.size) if p == f else p for p in axes[a])
            axes = [stretched(other, f.of, lambda step, by=f.size: step // by) for other in axes]
            side = sides[f.of]
            sides[f.of] = Side(side.size // f.size, 0, side.before // f.size, side.after // f.size)
    return settled(axes, sides, layout.known)


def _scaled(side: Side, by: int) -> Side:
    return Side(side.size * by, side.shift * by, side.before * by, side.after * by)


def merged(layouts: Sequence[Layout], shape: Sequence[int]) -> Layout:
    """Of a pointwise operation's output: an operand that runs along the image carries those that do not.

    Where two run along different things in one axis, nobody knows.
    """
    layouts = reconciled(layouts, shape)
    return gathered(layouts, agreed(layouts, shape))


def reconciled(layouts: Sequence[Layout], shape: Sequence[int]) -> list[Layout]:
    """Tensors that meet: where two run along different things, as maps would be read."""
    return list(map(refined, layouts)) if None in _agreed(layouts, shape) else list(layouts)


def gathered(layouts: Sequence[Layout], axes: Sequence[Axis]) -> Layout:
    """These axes, of an output of these tensors, with the sides that they share."""
    return settled(axes, _shared_sides(layouts, axes), any(s.known for s in layouts))


def agreed(layouts: Sequence[Layout], shape: Sequence[int]) -> list[Axis]:
    """Each axis of a broadcast shape, as the operands that have it see it; channels where they do not agree."""
    return [channels(n) if axis is None else axis for axis, n in zip(_agreed(layouts, shape), shape, strict=True)]


def _agreed(layouts: Sequence[Layout], shape: Sequence[int]) -> list[Axis | None]:
    aligned = [((),) * (len(shape) - len(s.axes)) + s.axes for s in layouts]
    found: list[Axis | None] = []
    for a, n in enumerate(shape):
        given = {axes[a] for axes in aligned if size(axes[a]) == n}
        spread = {axis for axis in given if any(is_dim(of) for of in marks(axis))}
        spread = spread or {axis for axis in given if marks(axis)}
        found.append(None if len(spread) > 1 else next(iter(spread), channels(n)))
    return found


def _shared_sides(layouts: Sequence[Layout], axes: Sequence[Axis]) -> dict[int, Side]:
    """The dimensions of several tensors that meet; where they were rolled differently, nobody's."""
    used = {of for axis in axes for of in marks(axis)}
    sides: dict[int, Side] = {}
    for of in dict.fromkeys(of for s in layouts for of in s.sides):
        given = [s.sides[of] for s in layouts if of in s.sides]
        most = max(side.size for side in given)
        same = [side for side in given if side.size == most]
        if len({side.shift for side in same}) == 1 and (of in used or most == 1):
            before, after = min(side.before for side in same), min(side.after for side in same)
            sides[of] = replace(same[0], before=before, after=after)
    return sides
