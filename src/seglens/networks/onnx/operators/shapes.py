"""Sizes, and operators that lay values out anew without computing with them."""

from collections.abc import Callable, Sequence
from functools import partial
from math import ceil, prod
from typing import Any

import torch
from torch import Tensor, nn

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.operators.pointwise import together
from seglens.networks.onnx.tensors import bounded, decode, torch_type, whole

layout = partial(operator, subject="Sizes and layout", folds=True)


@layout("Shape")
def shape(node: Node) -> Callable[..., Any]:
    """The sizes of a tensor, or of its axes start to end."""
    start, end = node.setting("start", 0), node.setting("end", None)
    return lambda x: torch.tensor(list(x.shape)[start:end], dtype=torch.int64)


@layout("Size")
def size(node: Node) -> Callable[..., Any]:
    """How many numbers a tensor holds."""
    return lambda x: torch.tensor(x.numel())


@layout("Identity")
def identity(node: Node) -> nn.Module:
    """x."""
    return nn.Identity()


@layout("Dropout")
def dropout(node: Node) -> nn.Module | Callable[..., Any]:
    """x, as nothing is dropped when a network is explained."""
    if not node.gives(1):
        node.claimed.update(p for p in (1, 2) if node.known(p) is not None)
        return nn.Identity() if len(node.inputs) == 1 + len(node.claimed) else lambda x, *_: x
    return lambda x, *_: (x, torch.ones_like(x, dtype=torch.bool))


@layout("Reshape", numbers=(1,))
def reshape(node: Node) -> Callable[..., Any]:
    """To another shape: 0 keeps a size (unless allowzero), −1 takes what is left."""
    keeps = not node.setting("allowzero", 0)

    def run(x: Tensor, to: Tensor) -> Tensor:
        return x.reshape([x.shape[i] if n == 0 and keeps else n for i, n in enumerate(whole(to))])

    return run


@layout("Flatten")
def flatten(node: Node) -> nn.Module | Callable[..., Any]:
    """To two axes: those before `axis`, and the others."""
    axis = node.setting("axis", 1)
    if axis == 1:
        return lambda x: x.flatten(1) if x.ndim > 1 else x.reshape(-1, 1)

    def run(x: Tensor) -> Tensor:
        at = axis if axis >= 0 else axis + x.ndim
        return x.reshape(prod(x.shape[:at]), prod(x.shape[at:]))

    return run


@layout("Transpose")
def transpose(node: Node) -> Callable[..., Any]:
    """Axes in another order; by default reversed."""
    order = node.setting("perm", None)
    return lambda x: x.permute(order if order is not None else list(range(x.ndim))[::-1])


@layout("Squeeze", numbers=(1,))
def squeeze(node: Node) -> Callable[..., Any]:
    """Without axes of size 1: those named, or all."""
    settled = node.setting("axes", None)

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        named = settled if axes is None else whole(axes)
        if named is None:
            return x.squeeze()
        gone = {a % x.ndim for a in named}
        return x.reshape([n for a, n in enumerate(x.shape) if a not in gone]) if x.ndim else x

    return run


@layout("Unsqueeze", numbers=(1,))
def unsqueeze(node: Node) -> Callable[..., Any]:
    """With axes of size 1, numbered in the output."""
    settled = node.setting("axes", None)

    def run(x: Tensor, axes: Tensor | None = None) -> Tensor:
        named = settled if axes is None else whole(axes)
        total = x.ndim + len(named)
        for a in sorted(a % total for a in named):
            x = x.unsqueeze(a)
        return x

    return run


@layout("Expand", numbers=(1,))
def expand(node: Node) -> Callable[..., Any]:
    """Broadcast with a shape: sizes of 1 on either side yield."""

    def run(x: Tensor, to: Tensor) -> Tensor:
        shape = list(torch.broadcast_shapes(x.shape, torch.Size(whole(to))))
        return x.expand(bounded(shape, "Expand"))

    return run


@layout("Tile", numbers=(1,))
def tile(node: Node) -> Callable[..., Any]:
    """Repeated along each axis."""

    def run(x: Tensor, repeats: Tensor) -> Tensor:
        times = whole(repeats)
        bounded([n * r for n, r in zip(x.shape, times, strict=True)], "Tile")
        return x.repeat(times)

    return run


@layout("Concat")
def concat(node: Node) -> Callable[..., Any]:
    """Along an axis."""
    axis = node.setting("axis", 1)
    return lambda *xs: torch.cat(together(*xs), axis)


@layout("Split", numbers=(1,))
def split(node: Node) -> Callable[..., Any]:
    """In parts along an axis: of given sizes, or equal ones (the last may be smaller)."""
    axis, settled = node.setting("axis", 0), node.setting("split", None)
    parts = node.setting("num_outputs", None) or len(node.outputs)

    def run(x: Tensor, sizes: Tensor | None = None) -> tuple[Tensor, ...]:
        wanted = settled if sizes is None else whole(sizes)
        if wanted is None:
            n = x.shape[axis]
            each = ceil(n / parts)
            wanted = [min(each, n - k * each) for k in range(parts)]
        return tuple(x.split(wanted, axis))

    return run


@layout("Slice", numbers=(1, 2, 3, 4))
def slices(node: Node) -> Callable[..., Any]:
    """Parts of axes from start to end by steps, also backwards."""
    if node.version < 10:
        settled = [node.setting(n, None) for n in ("starts", "ends", "axes")]
        return lambda x: sliced(x, settled[0], settled[1], settled[2], None)

    def run(x: Tensor, starts: Tensor, ends: Tensor, axes: Tensor | None = None, steps: Tensor | None = None) -> Tensor:
        return sliced(
            x,
            whole(starts),
            whole(ends),
            None if axes is None else whole(axes),
            None if steps is None else whole(steps),
        )

    return run


def sliced(
    x: Tensor, starts: Sequence[int], ends: Sequence[int], axes: Sequence[int] | None, steps: Sequence[int] | None
) -> Tensor:
    """x[start:end:step] along each axis; a negative step reads backwards."""
    for k, (start, end) in enumerate(zip(starts, ends, strict=True)):
        axis = (axes[k] if axes else k) % x.ndim
        step = steps[k] if steps else 1
        n = x.shape[axis]
        if step > 0:
            first, last, _ = slice(start, end, step).indices(n)
            x = x[(*[slice(None)] * axis, slice(first, max(first, last), step))]
            continue
        # Python reads -1 as the last index; ONNX's far negative end means 'to the very first'.
        first = min(start + n if start < 0 else start, n - 1)
        last = max(end + n if end < 0 else end, -1)
        index = torch.arange(first, last, step) if first > last else torch.empty(0, dtype=torch.int64)
        x = x.index_select(axis, index.to(x.device))
    return x


@layout("Constant")
def constant(node: Node) -> Callable[..., Any]:
    """A tensor that lies in the node itself."""
    value = constant_of(node)
    return lambda: value


def constant_of(node: Node) -> Tensor:
    """What a node Constant holds. Raises UnsupportedError for text, and for sparse tensors."""
    for name, kind in (("value_float", torch.float32), ("value_int", torch.int64)):
        if name in node.attributes:
            return torch.tensor(node.attributes[name], dtype=kind)
        if f"{name}s" in node.attributes:
            return torch.tensor(node.attributes[f"{name}s"], dtype=kind)
    if "value" not in node.attributes:
        raise node.refuse(f"holds {', '.join(node.attributes) or 'nothing'}")
    return decode(node.attributes["value"], f"the constant {node.outputs[0]!r}")


@layout("ConstantOfShape", numbers=(0,))
def constant_of_shape(node: Node) -> Callable[..., Any]:
    """One number in every place of a shape."""
    proto = node.setting("value", None)
    value = torch.zeros(1) if proto is None else decode(proto, "the value of ConstantOfShape")
    number = value.reshape(-1)[0]
    return lambda to: torch.full(bounded(whole(to), "ConstantOfShape"), number.item(), dtype=number.dtype)


@layout("Range", numbers=(0, 1, 2))
def arange(node: Node) -> Callable[..., Any]:
    """start, start + delta, … below limit."""

    def run(start: Tensor, limit: Tensor, delta: Tensor) -> Tensor:
        a, b, d = start.item(), limit.item(), delta.item()
        n = max(ceil((b - a) / d), 0)
        bounded([n], "Range")
        exact = torch.float64 if start.is_floating_point() else torch.int64
        return (a + torch.arange(n, dtype=exact) * d).to(start.dtype)

    return run


@layout("EyeLike")
def eye_like(node: Node) -> Callable[..., Any]:
    """Ones on a diagonal, of another matrix's size."""
    kind, k = node.setting("dtype", None), node.setting("k", 0)

    def run(x: Tensor) -> Tensor:
        rows, columns = x.shape
        at = torch.arange(columns, device=x.device) - torch.arange(rows, device=x.device)[:, None]
        return (at == k).to(x.dtype if kind is None else torch_type(kind) or x.dtype)

    return run


@layout("Trilu", numbers=(1,))
def trilu(node: Node) -> Callable[..., Any]:
    """The upper or lower triangle of matrices, zeros elsewhere."""
    upper = node.setting("upper", 1)

    def run(x: Tensor, k: Tensor | None = None) -> Tensor:
        diagonal = 0 if k is None else int(k.item())
        return x.triu(diagonal) if upper else x.tril(diagonal)

    return run


@layout("DepthToSpace")
def depth_to_space(node: Node) -> nn.Module | Callable[..., Any]:
    """Channels into blocks of pixels: by columns (CRD, torch's pixel shuffle), or by depth (DCR)."""
    b = node.setting("blocksize", 1)
    if node.setting("mode", "DCR") == "CRD":
        return nn.PixelShuffle(b)

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.reshape(n, b, b, c // b**2, h, w).permute(0, 3, 4, 1, 5, 2).reshape(n, c // b**2, h * b, w * b)

    return run


@layout("SpaceToDepth")
def space_to_depth(node: Node) -> Callable[..., Any]:
    """Blocks of pixels into channels, the place in the block first (CRD, from operator set 28: the channel first)."""
    b = node.setting("blocksize", 1)
    last = node.setting("mode", "DCR") == "CRD"

    def run(x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // b, b, w // b, b)
        order = (0, 1, 3, 5, 2, 4) if last else (0, 3, 5, 1, 2, 4)
        return blocks.permute(order).reshape(n, c * b**2, h // b, w // b)

    return run


@layout("Col2Im", numbers=(1, 2))
def col2im(node: Node) -> Callable[..., Any]:
    """Windows written out as columns, summed into an image again."""
    strides, pads, gaps = (node.setting(n, None) for n in ("strides", "pads", "dilations"))

    def run(x: Tensor, image: Tensor, block: Tensor) -> Tensor:
        out, kernel = whole(image), whole(block)
        if len(out) != 2:
            raise ValueError(f"Col2Im is supported for two axes, not {len(out)}")
        sides = pads or [0] * 4
        # Folded into the image with its padding, which is cut off then: pads may differ from side to side.
        padded = [n + sides[i] + sides[i + len(out)] for i, n in enumerate(out)]
        y = nn.functional.fold(x, tuple(padded), tuple(kernel), dilation=gaps or 1, stride=strides or 1)
        return y[:, :, sides[0] : sides[0] + out[0], sides[1] : sides[1] + out[1]]

    return run


@layout("CenterCropPad", numbers=(1,))
def center_crop_pad(node: Node) -> Callable[..., Any]:
    """Cut or padded around the middle to a size."""
    axes = node.setting("axes", None)

    def run(x: Tensor, to: Tensor) -> Tensor:
        for axis, want in zip(axes or range(x.ndim), whole(to), strict=True):
            have = x.shape[axis]
            if have > want:
                x = x.narrow(axis, (have - want) // 2, want)
            elif have < want:
                before = (want - have) // 2
                sides = [0] * (2 * x.ndim)
                at = 2 * (x.ndim - 1 - axis % x.ndim)
                sides[at : at + 2] = [before, want - have - before]
                x = nn.functional.pad(x, sides)
        return x

    return run
