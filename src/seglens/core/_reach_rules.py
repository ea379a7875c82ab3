"""Which input positions each aten operation reads: one rule per kind, and the union for all others."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from seglens.core._sight import Sight, hull, joined, mix, moved, reshaped, sweep, union
from seglens.core._window_rules import (
    WINDOWS,
    Call,
    Rule,
    Sights,
    affine,
    per_dim,
)


def _slice(call: Call, s: Sight) -> Sight:
    arg, axis = call.named, call.named["dim"]
    start, stop, step = slice(arg["start"], arg["end"], arg["step"]).indices(s.shape[axis])
    index = torch.arange(start, max(start, stop), step)
    return sweep(s, axis, index[:, None], affine(step, start, start))


def _split(call: Call, s: Sight) -> Sights:
    axis, start, parts = call.named["dim"], 0, list[Sight]()
    for part in call.outputs:
        n = part.shape[axis]
        index = torch.arange(start, start + n)
        parts.append(sweep(s, axis, index[:, None], affine(1, start, start)))
        start += n
    return parts


def _roll(call: Call, s: Sight) -> Sight:
    dims = call.named["dims"]
    if not dims:
        return hull([s], call.shape())
    for axis, shift in zip(dims, call.named["shifts"], strict=True):
        n = s.shape[axis]
        s = sweep(s, axis, ((torch.arange(n) - shift) % n)[:, None], None)
    return s


def _flip(call: Call, s: Sight) -> Sight:
    for axis in call.named["dims"]:
        s = sweep(s, axis, torch.arange(s.shape[axis]).flip(0)[:, None], None)
    return s


def _repeat(call: Call, s: Sight) -> Sight:
    s = union([s], (*[1] * (len(call.shape()) - len(s.shape)), *s.shape))
    for axis, n in enumerate(call.shape()):
        if n != s.shape[axis]:
            s = sweep(s, axis, (torch.arange(n) % s.shape[axis])[:, None], None)
    return s


def _index(call: Call, s: Sight) -> Sight:
    """x[:, ids]: one index tensor of one axis. Others read anything."""
    given = [(a, i) for a, i in enumerate(call.named.get("indices", [])) if i is not None]
    if "index" in call.named:
        given = [(call.named["dim"], call.named["index"])]
    axis, index = given[0] if len(given) == 1 else (0, None)
    if index is None or index.dtype == torch.bool or index.ndim != 1:
        return hull(call.inputs, call.shape())
    index = index.detach().cpu().long()
    return sweep(s, axis, torch.where(index < 0, index + s.shape[axis], index)[:, None], None)


def _move(call: Call, s: Sight) -> Sights:
    def move(t: Tensor) -> Any:
        return call.func(t, *call.args[1:], **call.kwargs)

    return moved(s, move)


def _view(call: Call, s: Sight) -> Sight:
    return reshaped(s, call.shape())


def _same(call: Call, s: Sight) -> Sight:
    return s


def _over_dims(call: Call, s: Sight) -> Sights:
    """Sums, means, softmax, sorting, ...: mixes the axes `dim`, and keeps, shrinks or drops them."""
    given = call.named.get("dim")
    ndim = len(s.shape)
    over = list(range(ndim)) if given is None or given == [] else per_dim(given, 1)
    over = [a % ndim for a in over] if ndim else []
    return [_fit(mix(s, over), over, tuple(o.shape)) for o in call.outputs]


def _fit(s: Sight, over: Sequence[int], shape: tuple[int, ...]) -> Sight:
    """A mixed sight in the shape of an output, whose axes `over` have other sizes or are gone."""
    kept = [a for a in range(len(s.shape)) if a not in over]
    if len(shape) == len(s.shape):
        axes = tuple(((n, s.owner(a)),) if a in over else s.axes[a] for a, n in enumerate(shape))
        return Sight(shape, s.first, s.last, axes, s.lines)
    if len(shape) != len(kept):
        return hull([s], shape)
    return Sight(
        shape,
        tuple(v.reshape([v.shape[a] for a in kept]) for v in s.first),
        tuple(v.reshape([v.shape[a] for a in kept]) for v in s.last),
        tuple(s.axes[a] for a in kept),
        s.lines,
    )


def _batch_norm(call: Call, s: Sight) -> Sights:
    training = call.named.get("training", call.named.get("train", "no_training" not in str(call.func)))
    if training:
        s = mix(s, [a for a in range(len(s.shape)) if a != 1])
    return _first(call, s)


def _group_norm(call: Call, s: Sight) -> Sights:
    return _first(call, mix(s, range(1, len(s.shape))))


def _layer_norm(call: Call, s: Sight) -> Sights:
    return _first(call, mix(s, range(-len(call.named["normalized_shape"]), 0)))


def _first(call: Call, s: Sight) -> Sights:
    """The main output, and statistics that may see all of it."""
    return [s, *(hull([s], tuple(o.shape)) for o in call.outputs[1:])]


# Of several followed inputs.


def _pointwise(call: Call) -> Sights:
    return [union(call.inputs, tuple(o.shape)) for o in call.outputs]


def _cat(call: Call) -> Sight:
    # torch lets an empty one-dimensional tensor pass among others
    parts = [t for t in call.named["tensors"] if t.shape != (0,)]
    axis = call.named["dim"]
    return joined([call.look(t) for t in parts], [t.shape[axis] for t in parts], axis)


def _stack(call: Call) -> Sight:
    axis, shape = call.named["dim"], call.shape()

    def unsqueezed(t: Tensor) -> Tensor:
        return t.unsqueeze(axis)

    return union([moved(s, unsqueezed)[0] for s in call.inputs], shape)


def _matmul(call: Call) -> Sight:
    """out[.., i, j] reads row i of the left and column j of the right, and the added bias."""
    names = [n for n in ("self", "mat1", "batch1", "mat2", "batch2") if n in call.named]
    left, right = names[-2:]
    parts: list[Sight] = []
    bias = call.look(call.named["self"]) if len(names) == 3 else None
    if bias:
        parts.append(bias)
    for name, axis in ((left, -1), (right, -2)):
        s = call.look(call.named[name])
        if s:
            s = mix(s, [axis])
            at = axis % len(s.shape)
            axes = (*s.axes[:at], ((1, None),), *s.axes[at + 1 :])
            parts.append(Sight((*s.shape[:at], 1, *s.shape[at + 1 :]), s.first, s.last, axes, s.lines))
    return union(parts, call.shape())


def _attention(call: Call) -> Sights:
    """Query i reads itself, all keys and all values (of its own batch entry and head)."""
    q, k, v = (call.look(call.named[n]) for n in ("query", "key", "value"))
    parts = [mix(q, [-1])] if q else []
    for s in (k, v):
        if s:
            s = mix(s, [-2, -1])
            shape = (*s.shape[:-2], 1, 1)
            axes = (*s.axes[:-2], ((1, None),), ((1, None),))
            parts.append(Sight(shape, s.first, s.last, axes, s.lines))
    if len(call.inputs) != len([s for s in (q, k, v) if s]):
        return [hull(call.inputs, tuple(o.shape)) for o in call.outputs]
    first = union(parts, call.shape())
    return [first, *(hull([first], tuple(o.shape)) for o in call.outputs[1:])]


def _linear(call: Call, s: Sight) -> Sight:
    return _fit(mix(s, [-1]), [len(s.shape) - 1], call.shape())


SEVERAL: dict[str, Callable[[Call], Sights | Sight]] = {
    "cat": _cat,
    "stack": _stack,
    **dict.fromkeys(("mm", "bmm", "addmm", "baddbmm"), _matmul),
    **dict.fromkeys(
        (
            "scaled_dot_product_attention",
            "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_flash_attention_for_cpu",
            "_scaled_dot_product_efficient_attention",
            "_scaled_dot_product_fused_attention_overrideable",
            "_scaled_dot_product_attention_math",
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
        ),
        _pointwise,
    ),
}
"""Operations that read several tensors of the network at once, by name."""

_COPIES = "channel_shuffle clone detach alias _to_copy lift_fresh contiguous positive _conj resolve_conj"
_MOVES = "permute transpose t select unsqueeze squeeze expand unbind unfold diagonal"
_OVER_DIMS = (
    "sum mean amax amin max min argmax argmin prod any all std var var_mean std_mean logsumexp "
    "linalg_vector_norm norm _softmax _log_softmax softmax log_softmax cumsum cumprod logcumsumexp "
    "sort topk kthvalue median mode _safe_softmax glu"
)

MAIN: dict[str, Rule] = {
    **WINDOWS,
    "linear": _linear,
    "slice": _slice,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split"), _split),
    "roll": _roll,
    "flip": _flip,
    "repeat": _repeat,
    **dict.fromkeys(("index", "index_select"), _index),
    **dict.fromkeys(
        ("native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training",
         "cudnn_batch_norm", "miopen_batch_norm"),
        _batch_norm,
    ),
    "native_group_norm": _group_norm,
    **dict.fromkeys(("native_layer_norm", "_fused_rms_norm"), _layer_norm),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(_COPIES.split(), _same),
    **dict.fromkeys(_MOVES.split(), _move),
    **dict.fromkeys(_OVER_DIMS.split(), _over_dims),
}  # fmt: skip
"""Operations of one tensor of the network (and parameters), by name."""

VALUELESS = frozenset(
    [f"{kind}_like" for kind in ("zeros", "ones", "empty", "full", "rand", "randn", "randint")]
    + [f"new_{kind}" for kind in ("zeros", "ones", "empty", "full", "empty_strided")]
)
"""Operations that take a tensor for its shape alone."""


def sights_of(call: Call) -> list[Sight]:
    """What each output of an operation sees; all that any input sees, where no rule knows better."""
    shapes = [tuple(o.shape) for o in call.outputs]
    try:
        seen = _by_rule(call)
    except (RuntimeError, LookupError, TypeError, ValueError):
        # An argument that no rule foresaw must not end the user's forward pass: too much is safe.
        seen = None
    listed = [seen] * len(shapes) if seen is None or isinstance(seen, Sight) else list(seen)
    listed += [None] * (len(shapes) - len(listed))
    return [
        s if s is not None and s.shape == shape else hull(call.inputs, shape)
        for s, shape in zip(listed, shapes, strict=True)
    ]


def _by_rule(call: Call) -> Sights | Sight | None:
    name = call.func._schema.name.removeprefix("aten::")
    if name not in SEVERAL:
        name = name.removesuffix("_")
    if name in SEVERAL:
        return SEVERAL[name](call)
    if name in MAIN:
        # A rule speaks of its main input: where another one sees the root too, it does not hold.
        s = call.sight("self", "input")
        return MAIN[name](call, s) if s and len(call.inputs) == 1 else None
    return _pointwise(call) if torch.Tag.pointwise in call.func.tags else None
