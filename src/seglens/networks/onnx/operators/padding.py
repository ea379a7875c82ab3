"""Padding."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.tensors import bounded, whole

_TORCH = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


@partial(operator, subject="Padding")("Pad", numbers=(1, 2, 3))
def padding(node: Node) -> Callable[..., Any]:
    """A constant, the mirror image, the edge or the other end around a tensor; negative pads cut."""
    mode = node.setting("mode", "constant")
    if mode not in ("constant", *_TORCH):
        raise node.refuse(f"mode={mode!r}")
    if node.version < 11:
        sides, value = node.setting("pads", []), node.setting("value", 0.0)
        return lambda x: _padded(x, sides, range(x.ndim), mode, value)

    def run(x: Tensor, pads: Tensor, value: Tensor | None = None, axes: Tensor | None = None) -> Tensor:
        along = range(x.ndim) if axes is None else [a % x.ndim for a in whole(axes)]
        number = 0 if value is None or not value.numel() else value.item()
        return _padded(x, whole(pads), along, mode, number)

    return run


def _padded(x: Tensor, pads: Any, axes: Any, mode: str, value: float) -> Tensor:
    n = len(pads) // 2
    around = {a: (pads[k], pads[k + n]) for k, a in enumerate(axes)}
    bounded([size + sum(around.get(a, (0, 0))) for a, size in enumerate(x.shape)], "Pad")
    for a, (before, behind) in around.items():
        # What is cut goes first, so that edges and mirrors are those of what remains.
        first, last = max(-before, 0), x.shape[a] - max(-behind, 0)
        x = x.narrow(a, first, last - first) if (first, last) != (0, x.shape[a]) else x
    grown = {a: (max(b, 0), max(e, 0)) for a, (b, e) in around.items() if max(b, 0) or max(e, 0)}
    if not grown:
        return x
    if mode == "constant" or (min(grown) >= 2 and 3 <= x.ndim <= 5 and _fits(x, grown, mode)):
        lowest = 0 if mode == "constant" else 2
        sides = [n for a in reversed(range(lowest, x.ndim)) for n in grown.get(a, (0, 0))]
        return pad(x, sides, mode=_TORCH.get(mode, mode), value=value if mode == "constant" else None)
    for a, (before, behind) in grown.items():
        x = x.index_select(a, _places(x.shape[a], before, behind, mode).to(x.device))
    return x


def _fits(x: Tensor, grown: dict[int, tuple[int, int]], mode: str) -> bool:
    """Whether torch pads so much of it in this mode, in one turn."""
    room = {"reflect": -1, "wrap": 0}
    return x.is_floating_point() and (
        mode == "edge" or all(max(sides) <= x.shape[a] + room[mode] for a, sides in grown.items())
    )


def _places(n: int, before: int, behind: int, mode: str) -> Tensor:
    index = torch.arange(-before, n + behind)
    if mode == "edge":
        return index.clamp(0, n - 1)
    if mode == "wrap":
        return index % n
    period = max(2 * (n - 1), 1)
    index = index % period
    return torch.where(index < n, index, period - index)
