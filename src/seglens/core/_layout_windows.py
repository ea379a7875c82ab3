"""Layouts under operations that slide windows: convolution, pooling, resizing, padding, shuffling."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod

from seglens.core._layout import (
    BATCH,
    Axis,
    Block,
    Factor,
    Layout,
    Side,
    channels,
    is_dim,
    marks,
    refined,
    settled,
    size,
    stretched,
    unknown,
    whole_side,
    with_axis,
)
from seglens.core._layout_rules import Answer, Op, Rule, sliced
from seglens.core._window_rules import per_dim


def slid(op: Op, s: Layout, dims: int, steady: Sequence[bool], channel: Axis | None = None) -> Layout:
    """After windows slid over the last `dims` axes.

    steady: where an index stays where it was (stride 1, same size). channel: the new axis before these; None keeps it.
    Windows over as many axes as the image has show that these are the image's, where nothing says what they are.
    """
    s = refined(s)
    first = len(s.axes) - dims
    axes, sides = list(s.axes), dict(s.sides)
    if channel is not None and first:
        axes[first - 1] = channel
    shown = _shown(op, s, dims)
    if any(s.axes[2 + d] for d in shown):
        op.meet(s.axes)
    for d in shown:
        axes[2 + d], sides[d] = (Factor(op.shape[2 + d], d),), Side(op.shape[2 + d])
    if shown and BATCH not in sides and op.shape[0] == op.batch:
        axes[0], sides[BATCH] = (Factor(op.batch, BATCH),), Side(op.batch)
    out = Layout(tuple(axes), sides, s.known or bool(shown))
    for d in range(dims):
        a = first + d
        if d not in shown and not (steady[d] and op.shape[a] == size(s.axes[a])):
            out = _resized(out, a, op.shape[a])
    return settled(out.axes, out.sides, out.known)


def _shown(op: Op, s: Layout, dims: int) -> list[int]:
    """The dimensions of the image of which windows over all its axes are what first shows where they lie."""
    if dims != op.dims or len(s.axes) != dims + 2:
        return []
    held = [{of for of in marks(axis) if is_dim(of)} for axis in s.axes]
    elsewhere = set[int]().union(*held[:2], *(held[2 + d] - {d} for d in range(dims)))
    return [] if elsewhere else [d for d in range(dims) if not held[2 + d]]


def _resized(s: Layout, at: int, n: int) -> Layout:
    """With another number of positions along an axis."""
    axis = s.axes[at]
    only = axis[0] if len(axis) == 1 else None
    lost = replace(s, axes=(*s.axes[:at], channels(n), *s.axes[at + 1 :]))
    if not isinstance(only, Factor) or only.of is None or only.of not in s.sides or only.of == BATCH or only.step > 1:
        return lost
    side, whole = s.sides[only.of], whole_side(s, at) is not None
    if side.shift or (not whole and (side.before or side.after)):
        return lost
    old = only.size
    axes = [stretched(a, only.of, lambda step: step // old * n if step > 1 else step) for a in s.axes]
    axes[at] = (Factor(n, only.of),)
    return replace(s, axes=tuple(axes), sides={**s.sides, only.of: Side(side.size // old * n)})


def _convolution(op: Op, s: Layout) -> Layout:
    kernel = list(op.named["weight"].shape[2:])
    dims = len(kernel)
    first = len(op.shape) - dims
    stride = per_dim(op.named["stride"], dims)
    steady = [step == 1 and op.shape[first + d] == s.shape[first + d] for d, step in enumerate(stride)]
    channel = channels(op.shape[first - 1])
    groups, before = op.named["groups"], s.axes[first - 1]
    if before and before[0] == Factor(op.batch, BATCH) and groups % op.batch == 0 and op.batch > 1:
        # One group for each image: their own weights.
        channel = (before[0], *channels(op.shape[first - 1] // op.batch))
    if prod(kernel) == 1 and all(steady) and s.known:
        # Nothing slides: such a convolution may as well run over tokens.
        return settled((*s.axes[: first - 1], channel, *s.axes[first:]), s.sides, s.known)
    return slid(op, s, dims, steady, channel)


def _window(dims: int) -> Rule:
    def rule(op: Op, s: Layout) -> Answer:
        stride = per_dim(op.named.get("stride"), dims, op.named.get("kernel_size", 0))
        first = len(op.shape) - dims
        steady = [step == 1 and op.shape[first + d] == s.shape[first + d] for d, step in enumerate(stride)]
        return [slid(op, s, dims, steady)] * len(op.shapes)

    return rule


def _resize(dims: int) -> Rule:
    def rule(op: Op, s: Layout) -> Answer:
        first = len(op.shape) - dims
        steady = [op.shape[first + d] == s.shape[first + d] for d in range(dims)]
        return [slid(op, s, dims, steady)] * len(op.shapes)

    return rule


def _pad(op: Op, s: Layout) -> Layout:
    """Rows around a dimension belong to no place of the image; around tokens they are extra entries."""
    pad = op.named["pad" if "pad" in op.named else "padding"]
    for i, (before, after) in enumerate(zip(pad[::2], pad[1::2], strict=True)):
        at = len(s.axes) - 1 - i
        n = op.shape[at]
        if before < 0 or after < 0:
            old = size(s.axes[at])
            s = sliced(s, at, range(max(-before, 0), old - max(-after, 0)))
            before, after = max(before, 0), max(after, 0)
        of = whole_side(s, at)
        if of is not None and not s.sides[of].shift:
            side = s.sides[of]
            sides = {**s.sides, of: Side(n, 0, side.before + before, side.after + after)}
            s = settled((*s.axes[:at], (Factor(n, of),), *s.axes[at + 1 :]), sides, s.known)
        elif marks(s.axes[at]) - {BATCH}:
            s = with_axis(s, at, (Block(before, s.axes[at], after),)) if before or after else s
        elif before or after:
            s = with_axis(s, at, channels(n))
    return s


def _shuffle(op: Op, s: Layout) -> Layout:
    return slid(op, s, 2, [False, False], channels(op.shape[-3]))


def _im2col(op: Op, s: Layout) -> Layout:
    """[B C H W] to [B C·k·k L]: each column is one place of a coarser grid."""
    arg = op.named
    counts: list[int] = []
    for d in range(2):
        k, gap, pad, step = (arg[n][d] for n in ("kernel_size", "dilation", "padding", "stride"))
        counts.append((s.shape[d - 2] + 2 * pad - gap * (k - 1) - 1) // step + 1)
    grid = replace(op, shapes=[(*op.shape[:-1], *counts)])
    found = slid(grid, s, 2, [False, False], channels(op.shape[-2]))
    return replace(found, axes=(*found.axes[:-2], found.axes[-2] + found.axes[-1]))


def _col2im(op: Op, s: Layout) -> Layout:
    """[B C·k·k L] to [B C H W]: the columns, laid out again over a grid."""
    axis = s.axes[-1]
    if len(axis) != 2 or not all(isinstance(p, Factor) for p in axis):
        return unknown(op.shape)
    columns = replace(s, axes=(*s.axes[:-1], (axis[0],), (axis[1],)))
    return slid(op, columns, 2, [False, False], channels(op.shape[-3]))


def _each(pattern: str, rule: Callable[[int], Rule]) -> dict[str, Rule]:
    return {pattern.format(d): rule(d) for d in (1, 2, 3)}


WINDOWS: dict[str, Rule] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "constant_pad_nd": _pad,
    **_each("reflection_pad{}d", lambda _: _pad),
    **_each("replication_pad{}d", lambda _: _pad),
    **_each("avg_pool{}d", _window),
    **_each("max_pool{}d", _window),
    **_each("max_pool{}d_with_indices", _window),
    **_each("adaptive_avg_pool{}d", _resize),
    **_each("_adaptive_avg_pool{}d", _resize),
    **_each("adaptive_max_pool{}d", _resize),
    **_each("upsample_nearest{}d", _resize),
    **_each("_upsample_nearest_exact{}d", _resize),
    "upsample_linear1d": _resize(1),
    "upsample_bilinear2d": _resize(2),
    "upsample_trilinear3d": _resize(3),
    "upsample_bicubic2d": _resize(2),
    "_upsample_bilinear2d_aa": _resize(2),
    "_upsample_bicubic2d_aa": _resize(2),
    "pixel_shuffle": _shuffle,
    "pixel_unshuffle": _shuffle,
    "im2col": _im2col,
    "col2im": _col2im,
}
"""Operations that slide windows over their main input, by name."""
