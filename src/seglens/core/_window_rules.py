"""Rules for operations that read windows: convolution, pooling, resizing, padding, shuffling."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from seglens.core._sight import Line, Sight, mix, sweep

Sights = Sequence[Sight | None]


@dataclass(frozen=True, slots=True)
class Call:
    """One operation: its arguments by the schema's names, and what its tensors see.

    look: the sight of a tensor argument, None where it sees nothing of the root.
    inputs: the sights of all followed arguments. outputs: its tensors, flat.
    """

    func: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    named: dict[str, Any]
    look: Callable[[Any], Sight | None]
    inputs: list[Sight]
    outputs: list[Tensor]

    def sight(self, *names: str) -> Sight | None:
        """Of the first of these arguments that the operation has."""
        return next((self.look(self.named[n]) for n in names if n in self.named), None)

    def shape(self, i: int = 0) -> tuple[int, ...]:
        return tuple(self.outputs[i].shape)


Rule = Callable[[Call, Sight], Sights | Sight]
"""Of the operation and its main input's sight: what the outputs see, or all of them."""


def affine(jump: Fraction | int, lo: Fraction | int, hi: Fraction | int) -> Line:
    return Line(Fraction(jump), Fraction(lo), Fraction(hi))


def _fitted(first: Tensor, last: Tensor, jump: Fraction) -> Line:
    """The tightest affine law of this jump over windows given one by one."""
    p, q = jump.numerator, jump.denominator
    drift = p * torch.arange(len(first))
    lo, hi = (first * q - drift).min(), (last * q - drift).max()
    return Line(jump, Fraction(int(lo), q), Fraction(int(hi), q))


def _range_taps(first: Tensor, last: Tensor) -> Tensor:
    """Taps of windows given by their ends; -1 fills the shorter ones."""
    taps = first[:, None] + torch.arange(int((last - first).max()) + 1)
    return torch.where(taps <= last[:, None], taps, -1)


def per_dim(value: Any, dims: int, default: Any = None) -> list[Any]:
    """A number per spatial dimension, from torch's int, one-element or full list."""
    if value is None or (isinstance(value, Sequence) and not value):
        value = default
    values = list(value) if isinstance(value, Sequence) else [value]
    return values * dims if len(values) == 1 else values


def _grid(s: Sight, dims: int) -> Sight:
    """A map whose last axes are its space: named so where earlier operations lost their meaning."""
    n = len(s.shape)
    if dims != len(s.lines) or any(tag is not None for f in s.axes for _, tag in f):
        return s
    axes = tuple(((m, a - n + dims if a >= n - dims else None),) for a, m in enumerate(s.shape))
    return Sight(s.shape, s.first, s.last, axes, s.lines)


def _windows(
    s: Sight, out: tuple[int, ...], kernel: list[int], stride: list[int], pad: list[int],
    dilation: list[int], cut: bool = False,
) -> Sight:  # fmt: skip
    """Sliding windows over the last axes: index i reads stride * i - pad + dilation * (0 .. k - 1)."""
    dims = len(kernel)
    s = _grid(s, dims)
    for d in range(dims):
        k, step, before, gap = kernel[d], stride[d], pad[d], dilation[d]
        start = torch.arange(out[d - dims]) * step - before
        law = affine(step, -before, gap * (k - 1) - before)
        s = sweep(s, d - dims, start[:, None] + gap * torch.arange(k), law)
    return s


def _convolution(call: Call, s: Sight) -> Sight:
    arg = call.named
    kernel = list(arg["weight"].shape[2:])
    dims = len(kernel)
    stride, pad, gap = (per_dim(arg[n], dims) for n in ("stride", "padding", "dilation"))
    s, out = mix(s, [-dims - 1]), call.shape()
    if not arg["transposed"]:
        return channels(_windows(s, out, kernel, stride, pad, gap), out, dims)
    s = _grid(s, dims)
    for d in range(dims):
        k, step, before = kernel[d], stride[d], pad[d]
        # Input i is written to step * i - pad + gap * t: solved for i, where that is a whole number.
        reach = torch.arange(out[d - dims])[:, None] + before - gap[d] * torch.arange(k)
        taps = torch.where(reach % step == 0, reach // step, -1)
        law = affine(Fraction(1, step), Fraction(before - gap[d] * (k - 1), step), Fraction(before, step))
        s = sweep(s, d - dims, taps, law)
    return channels(s, out, dims)


def channels(s: Sight, out: tuple[int, ...], dims: int) -> Sight:
    """With the number of channels of `out`; windows are constant along channels here."""
    axis = len(out) - dims - 1
    axes = (*s.axes[:axis], ((out[axis], None),), *s.axes[axis + 1 :])
    return Sight(out, s.first, s.last, axes, s.lines)


def _pool(dims: int) -> Rule:
    def rule(call: Call, s: Sight) -> Sight:
        arg = call.named
        kernel = per_dim(arg["kernel_size"], dims)
        stride = per_dim(arg.get("stride"), dims, kernel)
        pad, gap = per_dim(arg["padding"], dims), per_dim(arg.get("dilation"), dims, 1)
        return _windows(s, call.shape(), kernel, stride, pad, gap)

    return rule


def _adaptive(dims: int) -> Rule:
    def rule(call: Call, s: Sight) -> Sight:
        s = _grid(s, dims)
        for d in range(-dims, 0):
            n, out = s.shape[d], call.shape()[d]
            index = torch.arange(out)
            first, last = index * n // out, -((index + 1) * -n // out) - 1
            law = _fitted(first, last, Fraction(n, out))
            s = sweep(s, d, _range_taps(first, last), law)
        return s

    return rule


def _jump(n: int, out: int, scale: float | None, corners: bool) -> Fraction:
    """How far apart in the input neighbours of a resized map lie."""
    if corners:
        return Fraction(n - 1, out - 1) if out > 1 else Fraction(0)
    if scale:  # torch uses the factor it was given, even where rounding gave another size
        return Fraction(1 / scale).limit_denominator(1 << 20)
    return Fraction(n, out)


def _resize(dims: int, kind: str) -> Rule:
    def rule(call: Call, s: Sight) -> Sight:
        arg = call.named
        given = [v for n, v in arg.items() if n.startswith("scale")]
        scales = given[0] if given and isinstance(given[0], Sequence) else given
        scales = list(scales) if scales and scales[0] is not None else [None] * dims
        s = _grid(s, dims)
        for d in range(dims):
            n, out = s.shape[d - dims], call.shape()[d - dims]
            jump = _jump(n, out, scales[d], bool(arg.get("align_corners")))
            first, last = _TAPS[kind](n, out, jump, scales[d], bool(arg.get("align_corners")))
            law = _fitted(first, last, jump) if jump else None
            taps = _range_taps(first.clamp(0, n - 1), last.clamp(0, n - 1))
            s = sweep(s, d - dims, taps, law)
        return s

    return rule


def _centres(out: int, jump: Fraction, corners: bool) -> tuple[Tensor, Tensor]:
    """Floor and ceiling of where each output index lies among the input's indices, exactly.

    Whole numbers have equal floor and ceiling: their neighbours have weight 0.
    """
    p, q = jump.numerator, jump.denominator
    index = torch.arange(out)
    top, bottom = (index * p, q) if corners else ((2 * index + 1) * p - q, 2 * q)
    return top // bottom, -(-top // bottom)


def _linear_taps(n: int, out: int, jump: Fraction, _: Any, corners: bool) -> tuple[Tensor, Tensor]:
    return _centres(out, jump, corners)


def _cubic_taps(n: int, out: int, jump: Fraction, _: Any, corners: bool) -> tuple[Tensor, Tensor]:
    floor, ceil = _centres(out, jump, corners)
    between = (ceil > floor).long()
    return floor - between, ceil + between


def _nearest_taps(n: int, out: int, jump: Fraction, scale: Any, corners: bool) -> tuple[Tensor, Tensor]:
    return _asked(torch.ops.aten.upsample_nearest1d, n, out, scale)


def _nearest_exact_taps(n: int, out: int, jump: Fraction, scale: Any, corners: bool) -> tuple[Tensor, Tensor]:
    return _asked(torch.ops.aten._upsample_nearest_exact1d, n, out, scale)


def _asked(op: Any, n: int, out: int, scale: Any) -> tuple[Tensor, Tensor]:
    """Nearest neighbours as torch rounds them, in its own single precision."""
    index = op(torch.arange(float(n)).view(1, 1, n), [out], scale).long().flatten()
    return index, index


def _antialiased(width: int) -> Callable[..., tuple[Tensor, Tensor]]:
    def taps(n: int, out: int, jump: Fraction, _: Any, corners: bool) -> tuple[Tensor, Tensor]:
        index = torch.arange(out, dtype=torch.float64)
        scale = float(jump)
        centre, support = scale * (index + 0.5), width / 2 * max(scale, 1.0)
        return (centre - support - 0.5).floor().long(), (centre + support + 0.5).ceil().long()

    return taps


_TAPS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "linear": _linear_taps,
    "cubic": _cubic_taps,
    "nearest": _nearest_taps,
    "nearest_exact": _nearest_exact_taps,
    "linear_aa": _antialiased(2),
    "cubic_aa": _antialiased(4),
}


def _padded(index: Callable[[Tensor, int], Tensor]) -> Rule:
    """Padding: `index` turns positions relative to the input, of length n, into those read."""

    def rule(call: Call, s: Sight) -> Sight:
        pad = call.named["pad" if "pad" in call.named else "padding"]
        for i, before in enumerate(pad[::2]):  # the last axis comes first
            n, out = s.shape[-1 - i], call.shape()[-1 - i]
            law = affine(1, -before, -before)
            s = sweep(s, -1 - i, index(torch.arange(out) - before, n)[:, None], law)
        return s

    return rule


def _reflected(index: Tensor, n: int) -> Tensor:
    return (n - 1) - ((n - 1) - index.abs()).abs()


def _shuffle(call: Call, s: Sight) -> Sight:
    r = call.named["upscale_factor"]
    law = affine(Fraction(1, r), Fraction(1 - r, r), 0)
    s = mix(s, [-3])
    for axis in (-2, -1):
        s = sweep(s, axis, (torch.arange(s.shape[axis] * r) // r)[:, None], law)
    return channels(s, call.shape(), 2)


def _unshuffle(call: Call, s: Sight) -> Sight:
    r = call.named["downscale_factor"]
    size = [n // r for n in s.shape[-2:]]
    s = _windows(mix(s, [-3]), (*s.shape[:-2], *size), [r, r], [r, r], [0, 0], [1, 1])
    return channels(s, call.shape(), 2)


def _as_is(index: Tensor, _: int) -> Tensor:
    return index


def _clamped(index: Tensor, n: int) -> Tensor:
    return index.clamp(0, n - 1)


def _each(pattern: str, rule: Callable[[int], Rule]) -> dict[str, Rule]:
    return {pattern.format(d): rule(d) for d in (1, 2, 3)}


def _nearest(dims: int) -> Rule:
    return _resize(dims, "nearest")


def _nearest_exact(dims: int) -> Rule:
    return _resize(dims, "nearest_exact")


WINDOWS: dict[str, Rule] = {
    "convolution": _convolution,
    "_convolution": _convolution,
    "constant_pad_nd": _padded(_as_is),
    **_each("reflection_pad{}d", lambda _: _padded(_reflected)),
    **_each("replication_pad{}d", lambda _: _padded(_clamped)),
    **_each("avg_pool{}d", _pool),
    **_each("max_pool{}d", _pool),
    **_each("max_pool{}d_with_indices", _pool),
    **_each("adaptive_avg_pool{}d", _adaptive),
    **_each("_adaptive_avg_pool{}d", _adaptive),
    **_each("adaptive_max_pool{}d", _adaptive),
    **_each("upsample_nearest{}d", _nearest),
    **_each("_upsample_nearest_exact{}d", _nearest_exact),
    "upsample_linear1d": _resize(1, "linear"),
    "upsample_bilinear2d": _resize(2, "linear"),
    "upsample_trilinear3d": _resize(3, "linear"),
    "upsample_bicubic2d": _resize(2, "cubic"),
    "_upsample_bilinear2d_aa": _resize(2, "linear_aa"),
    "_upsample_bicubic2d_aa": _resize(2, "cubic_aa"),
    "pixel_shuffle": _shuffle,
    "pixel_unshuffle": _unshuffle,
}
"""Operations that read windows of their main input, by name."""
