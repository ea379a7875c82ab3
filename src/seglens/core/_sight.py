"""What each position of a tensor sees of a root: exact intervals, carried through layouts and windows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")

NOTHING = (1 << 40, -1)
"""First and last of an empty window: the neutral elements of minimum and maximum."""

Factors = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True, slots=True)
class Line:
    """Index i, away from borders, sees root indices jump * i + lo to jump * i + hi (the integers)."""

    jump: Fraction
    lo: Fraction
    hi: Fraction

    @property
    def size(self) -> int:
        """The most root indices that one index sees."""
        period = self.jump.denominator
        return max(
            (self.jump * i + self.hi).__floor__() - (self.jump * i + self.lo).__ceil__() + 1 for i in range(period)
        )

    def after(self, inner: "Line") -> "Line":
        """This line read through `inner`: where this one's indices are positions of `inner`."""
        jump, shift = inner.jump, inner.jump * self.lo + inner.lo
        return Line(jump * self.jump, shift, jump * self.hi + inner.hi)

    def joined(self, other: "Line", n: int) -> "Line":
        """The hull of both, exact for equal jumps, else valid over indices 0 to n - 1."""
        drift = (other.jump - self.jump) * max(n - 1, 0)
        return Line(
            self.jump,
            min(self.lo, other.lo, other.lo + drift),
            max(self.hi, other.hi, other.hi + drift),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """First and last root index that each position of one tensor depends on, per root dimension.

    shape: of the tensor. first, last: one integer tensor per root dimension, with the tensor's
    number of axes, each axis of full size or of size 1 (where the value does not vary along it).
    axes: per axis, the sizes it is a row-major product of, each with the root dimension it runs
    along, or None. lines: the same as an affine law without borders; None where there is none.
    """

    shape: tuple[int, ...]
    first: tuple[Tensor, ...]
    last: tuple[Tensor, ...]
    axes: tuple[Factors, ...]
    lines: tuple[Line | None, ...]

    def owner(self, axis: int) -> int | None:
        """The root dimension that an axis runs along, alone; else None."""
        factors = self.axes[axis]
        return factors[0][1] if len(factors) == 1 else None

    def varies(self, axis: int) -> frozenset[int]:
        """The root dimensions whose window may change along an axis."""
        tagged = {tag for _, tag in self.axes[axis] if tag is not None}
        roots = range(len(self.lines))
        return frozenset(tagged | {r for r in roots if self.first[r].shape[axis] > 1 or self.last[r].shape[axis] > 1})


def root_sight(shape: tuple[int, ...], dims: Sequence[int]) -> Sight:
    """Of the root itself: each position sees itself."""
    index = tuple(torch.arange(shape[d]).view([-1 if a == d else 1 for a in range(len(shape))]) for d in dims)
    order = {d: r for r, d in enumerate(dims)}
    axes = tuple(((n, order.get(a)),) for a, n in enumerate(shape))
    same = Line(Fraction(1), Fraction(0), Fraction(0))
    return Sight(tuple(shape), index, index, axes, (same,) * len(dims))


def hull(sights: Sequence[Sight], shape: tuple[int, ...]) -> Sight:
    """Every position sees all that any position of any of `sights` sees: always enough.

    Axes keep their meaning where the number of axes does; nothing relies on it but reports.
    """
    ones = [1] * len(shape)
    roots = range(len(sights[0].lines))
    # A tensor without positions sees nothing.
    none = [torch.tensor([v]) for v in NOTHING]
    first = tuple(torch.cat([*(s.first[r].flatten() for s in sights), none[0]]).min().view(ones) for r in roots)
    last = tuple(torch.cat([*(s.last[r].flatten() for s in sights), none[1]]).max().view(ones) for r in roots)
    like = next((s for s in sights if len(s.shape) == len(shape)), None)
    axes = tuple(((n, like.owner(a) if like else None),) for a, n in enumerate(shape))
    return Sight(shape, first, last, axes, (None,) * len(roots))


def sweep(s: Sight, axis: int, taps: Tensor, line: Line | None) -> Sight:
    """Each new index along `axis` reads the old indices in its row of `taps` [new k].

    Taps outside the axis read padding, hence nothing. `line` is the affine law of the taps.
    """
    axis %= len(s.shape)
    n, new = s.shape[axis], len(taps)
    inside = (taps >= 0) & (taps < n)
    index = taps.clamp(0, max(n - 1, 0)).flatten()
    inside = inside.view([*inside.shape] + [1] * (len(s.shape) - axis - 1))

    def gathered(values: Tensor, neutral: int) -> Tensor:
        read = values.index_select(axis, index).unflatten(axis, tuple(taps.shape))
        return read.masked_fill(~inside, neutral)

    first = tuple(v if v.shape[axis] == 1 else gathered(v, NOTHING[0]).amin(axis + 1) for v in s.first)
    last = tuple(v if v.shape[axis] == 1 else gathered(v, NOTHING[1]).amax(axis + 1) for v in s.last)
    owner, lost, lines = s.owner(axis), s.varies(axis), list(s.lines)
    for r in lost:
        inner = lines[r]
        lines[r] = line.after(inner) if r == owner and line and inner else None
    axes = _put(s.axes, axis, ((new, owner),))
    return Sight(_put(s.shape, axis, new), first, last, axes, tuple(lines))


def mix(s: Sight, over: Sequence[int]) -> Sight:
    """Every position along the axes `over` sees what all of them see."""
    over = sorted({a % len(s.shape) for a in over})
    lost = frozenset[int]().union(*(s.varies(a) for a in over if s.shape[a] > 1))
    if not lost:
        return s
    first = tuple(v.amin(over, keepdim=True) for v in s.first)
    last = tuple(v.amax(over, keepdim=True) for v in s.last)
    lines = tuple(None if r in lost else line for r, line in enumerate(s.lines))
    return replace(s, first=first, last=last, lines=lines)


def resized(s: Sight, shape: tuple[int, ...]) -> Sight:
    """The same sight after an operation that changed sizes only along axes where nothing varies."""
    if s.shape == shape:
        return s
    axes = tuple(
        f if old == new else ((new, s.owner(a)),)
        for a, (f, old, new) in enumerate(zip(s.axes, s.shape, shape, strict=True))
    )
    return replace(s, shape=shape, axes=axes)


def union(sights: Sequence[Sight], shape: tuple[int, ...]) -> Sight:
    """Each position of the broadcast `shape` sees what the operands' positions there see."""
    if all(s is sights[0] for s in sights) and sights[0].shape == shape:
        return sights[0]
    wide = [_aligned(s, len(shape)) for s in sights]
    first, last = wide[0].first, wide[0].last
    for s in wide[1:]:
        first = tuple(map(torch.minimum, first, s.first))
        last = tuple(map(torch.maximum, last, s.last))
    axes = tuple(_shared_axis([s.axes[a] for s in wide], n) for a, n in enumerate(shape))
    owners = {f[0][1]: n for f, n in zip(axes, shape, strict=True) if len(f) == 1}
    lines: list[Line | None] = []
    for r in range(len(first)):
        line = wide[0].lines[r]
        for s in wide[1:]:
            other = s.lines[r]
            line = line.joined(other, owners[r]) if line and other and r in owners else None
        # An operand stretched along this axis shows one window everywhere: no affine law.
        stretched = any(s.shape[a] != n and s.owner(a) == r for s in wide for a, n in enumerate(shape))
        lines.append(None if stretched else line)
    return Sight(shape, first, last, axes, tuple(lines))


def _aligned(s: Sight, ndim: int) -> Sight:
    """With axes of size 1 in front, as broadcasting does."""
    extra = ndim - len(s.shape)
    if not extra:
        return s
    ones = [1] * extra
    return Sight(
        (*ones, *s.shape),
        tuple(v.reshape(ones + list(v.shape)) for v in s.first),
        tuple(v.reshape(ones + list(v.shape)) for v in s.last),
        (((1, None),),) * extra + s.axes,
        s.lines,
    )


def _shared_axis(candidates: Sequence[Factors], n: int) -> Factors:
    """What an axis of size n runs along, if the operands that have that size agree."""
    tagged = {f for f in candidates if _size(f) == n and any(tag is not None for _, tag in f)}
    return tagged.pop() if len(tagged) == 1 else ((n, None),)


def joined(sights: Sequence[Sight | None], sizes: Sequence[int], axis: int) -> Sight:
    """Concatenation along `axis`; None stands for an operand that sees nothing, `sizes` its lengths.

    Along an axis where nothing varies (channels) every position sees what any operand's does.
    """
    seen = [s for s in sights if s is not None]
    axis %= len(seen[0].shape)
    shape = _put(seen[0].shape, axis, sum(sizes))
    lost = frozenset[int]().union(*(s.varies(axis) for s in seen))
    if not lost:
        return union([resized(s, shape) for s in seen], shape)

    def along(values: list[Tensor | None], neutral: int) -> Tensor:
        parts = [torch.full([1] * len(shape), neutral) if v is None else v for v in values]
        common = [max(p.shape[a] for p in parts) for a in range(len(shape))]
        lengths = zip(parts, sizes, strict=True)
        return torch.cat([p.expand(_put(tuple(common), axis, n)) for p, n in lengths], axis)

    roots = range(len(seen[0].lines))
    first = tuple(along([s.first[r] if s else None for s in sights], NOTHING[0]) for r in roots)
    last = tuple(along([s.last[r] if s else None for s in sights], NOTHING[1]) for r in roots)
    axes = tuple(_shared_axis([s.axes[a] for s in seen], n) for a, n in enumerate(shape))
    owners = {s.owner(axis) for s in seen}
    axes = _put(axes, axis, ((shape[axis], owners.pop() if len(owners) == 1 else None),))
    same = seen[0].lines
    lines = tuple(same[r] if r not in lost and all(s.lines[r] == same[r] for s in seen) else None for r in roots)
    return Sight(shape, first, last, axes, lines)


def moved(s: Sight, move: Callable[[Tensor], Any]) -> list[Sight]:
    """The sights of the outputs of a layout operation (permute, select, unfold, ...).

    The operation itself is applied to the windows, expanded without memory: what stays
    constant along an axis is seen by its stride of 0.
    """
    first = [_listed(move(v.expand(s.shape))) for v in s.first]
    last = [_listed(move(v.expand(s.shape))) for v in s.last]
    # A probe with one telling stride per axis says where each axis went.
    strides = [10007 + 2 * a for a in range(len(s.shape))]
    probes = _listed(move(torch.empty_strided(s.shape, strides, device="meta")))
    sights: list[Sight] = []
    for i, probe in enumerate(probes):
        axes: list[Factors] = []
        free = set(range(len(s.shape)))
        # From the right, as unsqueeze gives a new axis the stride of the one after it.
        for n, stride in reversed(list(zip(probe.shape, probe.stride(), strict=True))):
            came = next((a for a in free if strides[a] == stride and s.shape[a] == n), None)
            free.discard(-1 if came is None else came)
            axes.insert(0, ((n, None),) if came is None else s.axes[came])
        kept = {tag for factors in axes for _, tag in factors}
        sights.append(
            Sight(
                tuple(probe.shape),
                tuple(_narrowed(v[i]) for v in first),
                tuple(_narrowed(v[i]) for v in last),
                tuple(axes),
                tuple(line if r in kept else None for r, line in enumerate(s.lines)),
            )
        )
    return sights


def reshaped(s: Sight, shape: tuple[int, ...]) -> Sight:
    """The sight of a view or reshape, exact where axes are split or merged."""
    if s.shape == shape:
        return s
    if not prod(shape):
        return hull([s], shape)
    pairs = _paired(s.shape, shape)
    axes = _regrouped(s.axes, shape)
    kept = {tag for factors in axes for _, tag in factors}
    return Sight(
        shape,
        tuple(_reshaped_values(v, s.shape, shape, pairs) for v in s.first),
        tuple(_reshaped_values(v, s.shape, shape, pairs) for v in s.last),
        axes,
        tuple(line if r in kept else None for r, line in enumerate(s.lines)),
    )


def _paired(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[range, range]]:
    """The finest runs of old and new axes with equal numbers of elements, in order."""
    pairs: list[tuple[range, range]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        start, a, b = (i, j), 1, 1
        while True:
            if a <= b and i < len(old):
                a, i = a * old[i], i + 1
            elif j < len(new):
                b, j = b * new[j], j + 1
            else:
                a, i = a * old[i], i + 1
            if a == b:
                break
        pairs.append((range(start[0], i), range(start[1], j)))
    return pairs


def _reshaped_values(
    values: Tensor, old: tuple[int, ...], new: tuple[int, ...], pairs: list[tuple[range, range]]
) -> Tensor:
    """Windows after a reshape: runs along which they are constant stay of size 1."""
    wide, target, changed = list(values.shape), [1] * len(new), list[int]()
    for before, after in pairs:
        if any(values.shape[a] > 1 for a in before):
            for a in before:
                wide[a] = old[a]
            for a in after:
                target[a] = new[a]
            changed += after if len(after) > 1 else ()
    out = values.expand(wide).reshape(target)
    for a in changed:
        one = out.narrow(a, 0, 1)
        out = one if bool((out == one).all()) else out
    return out


def _regrouped(axes: tuple[Factors, ...], shape: tuple[int, ...]) -> tuple[Factors, ...]:
    """The factors of the axes dealt out to the new axes; a root dimension cut in two loses its tag."""
    queue = [factor for factors in axes for factor in factors]
    out: list[Factors] = []
    for n in shape:
        taken: list[tuple[int, int | None]] = []
        size = 1
        while queue and (size < n or (n == 1 and queue[0][0] == 1 and not taken)):
            factor, tag = queue.pop(0)
            need = n // size
            if need % factor:
                if factor % need:
                    return tuple(((m, None),) for m in shape)
                queue.insert(0, (factor // need, None))
                factor, tag = need, None
            taken.append((factor, tag))
            size *= factor
        taken = [f for f in taken if f != (1, None)] or [(n, None)]
        out.append(tuple(taken))
    return tuple(out)


def _put(items: tuple[T, ...], at: int, item: T) -> tuple[T, ...]:
    return (*items[:at], item, *items[at + 1 :])


def _listed(out: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [out] if isinstance(out, Tensor) else list(out)


def _narrowed(values: Tensor) -> Tensor:
    for a in range(values.ndim):
        if values.stride(a) == 0 and values.shape[a] > 1:
            values = values.narrow(a, 0, 1)
    return values


def _size(factors: Factors) -> int:
    return prod(n for n, _ in factors)
