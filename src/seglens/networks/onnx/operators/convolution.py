"""Convolutions, plain and transposed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.operators.windows import CONV, TRANSPOSED, Windows, padded

convolution = partial(operator, subject="Convolution")

_PLAIN: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_BACK: dict[int, Any] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


class _Uneven:
    """A convolution before which the input is padded by itself: more on one side, or by the input's size."""

    windows: Windows

    def forward(self, input: Tensor) -> Tensor:
        """The convolution of the padded input."""
        return cast("Any", super()).forward(padded(input, *self.windows.pads(input.shape[2:])))


class UnevenConv1d(_Uneven, nn.Conv1d):
    """Along one axis."""


class UnevenConv2d(_Uneven, nn.Conv2d):
    """Along two axes."""


class UnevenConv3d(_Uneven, nn.Conv3d):
    """Along three axes."""


_UNEVEN: dict[int, Any] = {1: UnevenConv1d, 2: UnevenConv2d, 3: UnevenConv3d}


@convolution("Conv")
def conv(node: Node) -> nn.Module | Callable[..., Any]:
    """Convolution; with known weights it is torch's own layer."""
    weight = node.known(1)
    groups = node.setting("group", 1)
    if weight is None or (node.has(2) and node.known(2) is None):
        return _of_computed_weights(node)
    w = Windows.of(node, weight.shape[2:])
    make = (_PLAIN if w.even else _UNEVEN)[len(w.kernel)]
    module = make(
        weight.shape[1] * groups,
        weight.shape[0],
        w.kernel,
        w.stride,
        w.before if w.even else 0,
        w.dilation,
        groups,
        node.has(2),
        device="meta",
    )
    module.weight = node.take(1)
    if node.has(2):
        module.bias = node.take(2)
    if not w.even:
        module.windows = w
    return module


def _of_computed_weights(node: Node) -> Callable[..., Any]:
    groups = node.setting("group", 1)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        w = Windows.of(node, weight.shape[2:])
        x = padded(x, *w.pads(x.shape[2:]))
        return CONV[len(w.kernel)](x, weight, bias, w.stride, 0, w.dilation, groups)

    return run


@dataclass(frozen=True, slots=True)
class Cropped:
    """A transposed convolution whose full output is cut, or goes on with the bias alone, side by side.

    extra: places added behind. out: the output's sizes, where they are asked for.
    """

    windows: Windows
    groups: int
    extra: tuple[int, ...]
    out: tuple[int, ...] | None

    def __call__(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """[B C *s] to [B K *s']."""
        w = self.windows
        y = TRANSPOSED[len(w.kernel)](x, weight, None, w.stride, 0, 0, self.groups, w.dilation)
        before, behind = list[int](), list[int]()
        for a, n in enumerate(x.shape[2:]):
            first, last = self._cut(a, n, w.stride[a] * (n - 1) + w.span(a) + self.extra[a])
            before.append(-first)
            behind.append(self.extra[a] - last)
        y = padded(y, before, behind)
        return y if bias is None else y + bias.reshape(1, -1, *[1] * (x.ndim - 2))

    def _cut(self, axis: int, n: int, full: int) -> tuple[int, int]:
        """What is cut from the beginning and the end of an axis."""
        w = self.windows
        if self.out is None and w.auto in ("NOTSET", "VALID"):
            return w.before[axis], w.behind[axis]
        total = full - (self.out[axis] if self.out is not None else n * w.stride[axis])
        if total < 0:
            return 0, total
        less = total // 2
        return (less, total - less) if w.auto == "SAME_UPPER" else (total - less, less)


@convolution("ConvTranspose")
def conv_transpose(node: Node) -> nn.Module | Callable[..., Any]:
    """Transposed convolution; with known weights and even pads it is torch's own layer."""
    groups = node.setting("group", 1)
    out = node.setting("output_shape", None)
    weight = node.known(1)

    def settled(sizes: Sequence[int]) -> tuple[Windows, tuple[int, ...]]:
        w = Windows.of(node, sizes)
        return w, tuple(node.setting("output_padding", None) or [0] * len(w.kernel))

    if weight is None or (node.has(2) and node.known(2) is None):

        def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
            w, extra = settled(weight.shape[2:])
            return Cropped(w, groups, extra, None if out is None else tuple(out[-len(extra) :]))(x, weight, bias)

        return run
    w, extra = settled(weight.shape[2:])
    steps = [max(s, g) for s, g in zip(w.stride, w.dilation, strict=True)]
    if out is not None or not w.even or any(e >= s for e, s in zip(extra, steps, strict=True)):
        return Cropped(w, groups, extra, None if out is None else tuple(out[-len(extra) :]))
    module = _BACK[len(w.kernel)](
        weight.shape[0],
        weight.shape[1] * groups,
        w.kernel,
        w.stride,
        w.before,
        extra,
        groups,
        node.has(2),
        w.dilation,
        device="meta",
    )
    module.weight = node.take(1)
    if node.has(2):
        module.bias = node.take(2)
    return module


@convolution("DeformConv")
def deform_conv(node: Node) -> Callable[..., Any]:
    """Convolution that reads each tap at a place moved by a computed offset, bilinearly, zeros outside."""
    groups, parts = node.setting("group", 1), node.setting("offset_group", 1)

    def run(
        x: Tensor, weight: Tensor, offset: Tensor, bias: Tensor | None = None, mask: Tensor | None = None
    ) -> Tensor:
        w = Windows.of(node, weight.shape[2:])
        if len(w.kernel) != 2 or w.auto not in ("NOTSET", "VALID"):
            raise ValueError("DeformConv is supported for two axes and stated pads only")
        b, c, height, width = x.shape
        rows, columns = offset.shape[2:]
        taps = w.kernel[0] * w.kernel[1]
        offset = offset.reshape(b, parts, taps, 2, rows, columns)

        def places(n: int) -> Tensor:
            return torch.arange(n, dtype=x.dtype, device=x.device)

        grid_y = places(rows)[:, None] * w.stride[0] - w.before[0]
        grid_x = places(columns)[None] * w.stride[1] - w.before[1]
        tap_y = (places(w.kernel[0]) * w.dilation[0]).repeat_interleave(w.kernel[1])
        tap_x = (places(w.kernel[1]) * w.dilation[1]).repeat(w.kernel[0])
        y = grid_y + tap_y[:, None, None] + offset[:, :, :, 0]
        at = grid_x + tap_x[:, None, None] + offset[:, :, :, 1]
        # grid_sample with align_corners=False puts pixel i at (2i + 1) / n - 1.
        grid = torch.stack([(2 * at + 1) / width - 1, (2 * y + 1) / height - 1], -1)
        grid = grid.reshape(b * parts, taps * rows, columns, 2)
        found = nn.functional.grid_sample(x.reshape(b * parts, c // parts, height, width), grid, align_corners=False)
        found = found.reshape(b, parts, c // parts, taps, rows, columns)
        if mask is not None:
            found = found * mask.reshape(b, parts, 1, taps, rows, columns)
        found = found.reshape(b, groups, c // groups * taps, rows * columns)
        matrix = weight.reshape(groups, weight.shape[0] // groups, -1)
        result = torch.einsum("gok,bgkp->bgop", matrix, found).reshape(b, -1, rows, columns)
        return result if bias is None else result + bias.reshape(1, -1, 1, 1)

    return run
