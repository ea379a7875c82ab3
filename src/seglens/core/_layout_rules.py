"""How each aten operation changes of what the axes are made: one rule per kind, and nothing known for all others."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch

from seglens.core._layout import (
    BATCH,
    Axis,
    Block,
    Factor,
    Layout,
    Side,
    agreed,
    channels,
    gathered,
    is_dim,
    marks,
    merged,
    reconciled,
    regrouped,
    settled,
    size,
    stretched,
    unknown,
    whole_side,
    with_axis,
    without,
)
from seglens.core._window_rules import per_dim


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: its arguments by the schema's names, and what is known of its tensors.

    look: the layout of a tensor, None for one that does not come from the image. dims: of the image. batch: of images.
    meet: told of axes whose place in the image was not seen, when an operation shows it.
    """

    named: Mapping[str, Any]
    look: Callable[[Any], Layout | None]
    inputs: Sequence[Layout]
    shapes: Sequence[tuple[int, ...]]
    dims: int
    batch: int
    meet: Callable[[Sequence[Axis]], None]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.shapes[0]

    def layout(self, name: str) -> Layout:
        """Of an argument; one that does not come from the image has channels only."""
        t = self.named[name]
        return self.look(t) or unknown(tuple(t.shape))


Answer = Layout | Sequence[Layout]
Rule = Callable[[Op, Layout], Answer]
"""Of the operation and its main input's layout: of its outputs, or of all of them."""


def _same(op: Op, s: Layout) -> Layout:
    return s


def _view(op: Op, s: Layout) -> Layout:
    return regrouped(s, op.shape)


def _as_strided(op: Op, s: Layout) -> Layout:
    """What pooling to one place calls on channels-last memory: the very same view."""
    dense = [prod(op.shape[a + 1 :]) for a in range(len(op.shape))]
    same = all(n == 1 or a == b for n, a, b in zip(op.shape, op.named["stride"], dense, strict=True))
    return s if same and s.shape == op.shape else unknown(op.shape)


def _permute(op: Op, s: Layout) -> Layout:
    return replace(s, axes=tuple(s.axes[d] for d in op.named["dims"]))


def _transpose(op: Op, s: Layout) -> Layout:
    if len(s.axes) < 2:
        return s
    axes = list(s.axes)
    a, b = op.named.get("dim0", 0), op.named.get("dim1", 1)
    axes[a], axes[b] = axes[b], axes[a]
    return replace(s, axes=tuple(axes))


def _expand(op: Op, s: Layout) -> Layout:
    return merged([s], op.shape)


def _repeat(op: Op, s: Layout) -> Layout:
    """A repeated axis is its copies, and within each what it was."""
    extra = len(op.shape) - len(s.axes)
    axes = ((),) * extra + s.axes
    times = op.named["repeats"]
    return settled([channels(k) + axis for k, axis in zip(times, axes, strict=True)], s.sides, s.known)


def without_axis(s: Layout, at: int, kept: bool) -> Layout:
    """After a sum, mean or choice along an axis.

    Where its innermost stretch of a dimension goes, what is left is a coarser grid of that dimension.
    """
    gone = s.axes[at]
    axes: list[Axis] = [*s.axes[:at], *([()] if kept else []), *s.axes[at + 1 :]]
    sides = dict(s.sides)
    for f in gone:
        side = sides.get(f.of) if isinstance(f, Factor) and f.of is not None else None
        if not isinstance(f, Factor) or f.of is None or side is None:
            continue
        if f.step == 1 and f.of != BATCH and side == Side(f.size * (side.size // f.size)) and side.size > f.size:
            axes = [stretched(axis, f.of, lambda step, by=f.size: step // by) for axis in axes]
            sides[f.of] = Side(side.size // f.size)
        else:
            del sides[f.of]
    return settled(axes, sides, s.known)


def _select(op: Op, s: Layout) -> Layout:
    return without_axis(s, op.named["dim"] % len(s.axes), kept=False)


def _unbind(op: Op, s: Layout) -> Layout:
    return without_axis(s, op.named["dim"] % len(s.axes), kept=False)


def _over_dims(op: Op, s: Layout) -> Answer:
    """Sums, means, maxima along axes `dim`, which shrink to 1 or go; all others stay."""
    given = op.named.get("dim")
    ndim = len(s.axes)
    over = list(range(ndim)) if given is None or given == [] else per_dim(given, 1)
    over = sorted((a % ndim for a in over), reverse=True)
    found: list[Layout] = []
    for shape in op.shapes:
        out = s
        for a in over:
            out = without_axis(out, a, kept=len(shape) == ndim)
        found.append(out)
    return found


def _slice(op: Op, s: Layout) -> Layout:
    at = op.named["dim"] % len(s.axes)
    return sliced(s, at, range(size(s.axes[at]))[slice(op.named["start"], op.named["end"], op.named["step"])])


def _split(op: Op, s: Layout) -> Answer:
    at, start, found = op.named["dim"] % len(s.axes), 0, list[Layout]()
    for shape in op.shapes:
        found.append(sliced(s, at, range(start, start + shape[at])))
        start += shape[at]
    return found


def sliced(s: Layout, at: int, places: range) -> Layout:
    """Only these places of an axis: of a dimension, a grid of its own; of extra entries or content, what is meant."""
    axis, n = s.axes[at], len(places)
    if n == size(axis) and places.step == 1:
        return s
    of = whole_side(s, at)
    if of is not None:
        side = s.sides[of]
        if side.shift or not n:
            return with_axis(without(s, of), at, channels(n))
        before = sum(p < side.before for p in places)
        after = sum(p >= side.size - side.after for p in places)
        sides = {**s.sides, of: Side(n, 0, before, after)}
        return settled((*s.axes[:at], (Factor(n, of),), *s.axes[at + 1 :]), sides, s.known)
    if len(axis) == 1 and isinstance(axis[0], Block) and n and places.step == 1:
        block = axis[0]
        end = block.size - block.after
        if places.start <= block.before and places.stop >= end:
            rest = Block(block.before - places.start, block.inner, places.stop - end)
            return with_axis(s, at, (rest,))
    return with_axis(s, at, channels(n))


def _index(op: Op, s: Layout) -> Layout:
    """x[:, ids]: of channels, others; of anything else, nobody knows which."""
    given = [(a, i) for a, i in enumerate(op.named.get("indices", [])) if i is not None]
    if "index" in op.named:
        given = [(op.named["dim"] % len(s.axes), op.named["index"])]
    if len(given) != 1 or given[0][1].dtype == torch.bool or given[0][1].ndim > 1:
        return unknown(op.shape)
    at = given[0][0]
    return with_axis(s, at, channels(op.shape[at]))


def _roll(op: Op, s: Layout) -> Layout:
    dims = op.named["dims"]
    if not dims:
        return unknown(op.shape)
    for axis, by in zip(dims, op.named["shifts"], strict=True):
        at = axis % len(s.axes)
        of = whole_side(s, at)
        if of is not None:
            side = s.sides[of]
            moved = replace(side, shift=(side.shift + by) % side.size)
            s = replace(s, sides={**s.sides, of: moved})
        elif marks(s.axes[at]):
            s = with_axis(s, at, channels(size(s.axes[at])))
    return s


def _flip(op: Op, s: Layout) -> Layout:
    for axis in op.named["dims"]:
        at = axis % len(s.axes)
        if marks(s.axes[at]):
            s = with_axis(s, at, channels(size(s.axes[at])))
    return s


def _sorted(op: Op, s: Layout) -> Answer:
    """Sorting and choosing the largest: along the axis nobody knows which place is which."""
    at = (-1 if op.named.get("dim") is None else op.named["dim"]) % len(s.axes)
    return [with_axis(s, at, channels(shape[at])) for shape in op.shapes]


def _unfold(op: Op, s: Layout) -> Layout:
    """Tensor.unfold with windows side by side is a view of its own; others overlap."""
    at, k = op.named["dimension"] % len(s.axes), op.named["size"]
    n = size(s.axes[at])
    if op.named["step"] != k or n % k:
        return unknown(op.shape)
    shape = list(s.shape)
    cut = regrouped(s, [*shape[:at], n // k, k, *shape[at + 1 :]])
    return replace(cut, axes=(*cut.axes[: at + 1], *cut.axes[at + 2 :], cut.axes[at + 1]))


def _first(op: Op, s: Layout) -> Answer:
    return [s, *map(unknown, op.shapes[1:])]


def _linear(op: Op, s: Layout) -> Layout:
    last = len(s.axes) - 1
    return with_axis(without_axis(s, last, kept=True), last, channels(op.shape[-1]))


# Of several inputs.


def pointwise(op: Op) -> Answer:
    return [merged(op.inputs, shape) for shape in op.shapes]


def _matmul(op: Op) -> Layout:
    """out[…, i, j]: rows of the left, columns of the right.

    Where both run along the same dimensions (attention: queries and keys), the rows count and the columns are channels.
    """
    names = [n for n in ("self", "mat1", "batch1", "mat2", "batch2") if n in op.named]
    left, right = (op.layout(n) for n in names[-2:])
    left = without_axis(left, len(left.axes) - 1, kept=True)
    rows, columns = left.axes[-2], right.axes[-1]
    if marks(rows) & marks(columns):
        columns = channels(size(columns))
    over = [replace(s, axes=s.axes[:-2]) for s in (left, right)]
    return gathered((left, right), [*agreed(over, op.shape[:-2]), rows, columns])


def _attention(op: Op) -> Answer:
    """Each query's answer stands where the query stood; keys and values tell of the batch at most."""
    q, k, v = (op.layout(n) for n in ("query", "key", "value"))
    asked = settled((*q.axes[:-1], v.axes[-1]), q.sides, q.known)
    rest = [settled((*s.axes[:-2], (), ()), s.sides, s.known) for s in (k, v)]
    return [merged([asked, *rest], op.shape), *map(unknown, op.shapes[1:])]


def _cat(op: Op) -> Layout:
    """Beside what runs along the image in this axis, all other parts are extra entries."""
    parts = [t for t in op.named["tensors"] if t.shape != (0,)]
    at = op.named["dim"] % len(op.shape)
    given = [op.look(t) or unknown(tuple(t.shape)) for t in parts]
    one = [1 if a == at else n for a, n in enumerate(op.shape)]
    given = reconciled(given, one)
    axes = agreed(given, one)
    axes[at] = channels(op.shape[at])
    running = [i for i, s in enumerate(given) if any(is_dim(of) or of == BATCH for of in marks(s.axes[at]))]
    lost = any(op.look(t) is not None and not s.known for t, s in zip(parts, given, strict=True))
    if len(running) != 1 or lost or BATCH in marks(given[running[0]].axes[at]):
        return gathered(given, axes)
    i = running[0]
    before, after = (sum(size(s.axes[at]) for s in beside) for beside in (given[:i], given[i + 1 :]))
    of = whole_side(given[i], at)
    if of is None or given[i].sides[of].shift:
        axes[at] = (Block(before, given[i].axes[at], after),)
        return gathered(given, axes)
    # Rows beside a map's rows are padding, over which windows may slide.
    axes[at] = (Factor(op.shape[at], of),)
    side = given[i].sides[of]
    given[i] = replace(
        given[i], sides={**given[i].sides, of: Side(op.shape[at], 0, side.before + before, side.after + after)}
    )
    return gathered(given, axes)


def _stack(op: Op) -> Layout:
    at = op.named["dim"] % len(op.shape)
    shape = [*op.shape[:at], *op.shape[at + 1 :]]
    around = merged(op.inputs, shape)
    return replace(around, axes=(*around.axes[:at], channels(op.shape[at]), *around.axes[at:]))


SEVERAL: dict[str, Callable[[Op], Answer]] = {
    "cat": _cat,
    "stack": _stack,
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm", "_addmm_activation"), _matmul),
    **dict.fromkeys(
        (
            "scaled_dot_product_attention",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_cudnn_attention",
            "_scaled_dot_product_fused_attention_overrideable",
            "_scaled_dot_product_attention_math",
            "_native_multi_head_attention",
        ),
        _attention,
    ),
    # torch tags most pointwise operations itself; these it does not
    **dict.fromkeys(
        (
            "copy_",
            "copy",
            "native_dropout",
            "_prelu_kernel",
            "hardswish",
            "log_sigmoid_forward",
            "rrelu_with_noise",
            "where",
            "dropout",
            "masked_fill",
            "lerp",
        ),
        pointwise,
    ),
}
"""Operations that read several tensors of the network at once, by name."""

_COPIES = (
    "clone detach alias _to_copy lift_fresh contiguous positive _conj resolve_conj resolve_neg _softmax _log_softmax "
    "softmax log_softmax _safe_softmax cumsum cumprod logcumsumexp fill zero native_channel_shuffle channel_shuffle "
    "_transformer_encoder_layer_fwd linalg_vector_normalize"
)
VIEWS = "view _unsafe_view reshape _reshape_alias unsqueeze squeeze flatten unflatten"
_OVER_DIMS = (
    "sum mean amax amin max min argmax argmin prod any all std var var_mean std_mean logsumexp "
    "linalg_vector_norm norm median mode"
)
NORMS = (
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm "
    "miopen_batch_norm native_group_norm native_layer_norm _fused_rms_norm"
)

MAIN: dict[str, Rule] = {
    "as_strided": _as_strided,
    "permute": _permute,
    **dict.fromkeys(("transpose", "t"), _transpose),
    "expand": _expand,
    "repeat": _repeat,
    "select": _select,
    "unbind": _unbind,
    "slice": _slice,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split"), _split),
    **dict.fromkeys(("index", "index_select"), _index),
    "roll": _roll,
    "flip": _flip,
    "unfold": _unfold,
    **dict.fromkeys(("linear", "mkldnn_linear"), _linear),
    **dict.fromkeys(("sort", "topk", "kthvalue"), _sorted),
    **dict.fromkeys(_COPIES.split(), _same),
    **dict.fromkeys(VIEWS.split(), _view),
    **dict.fromkeys(_OVER_DIMS.split(), _over_dims),
    **dict.fromkeys(NORMS.split(), _first),
}
"""Operations of one tensor of the network (and parameters), by name."""
