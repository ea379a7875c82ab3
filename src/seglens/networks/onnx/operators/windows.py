"""What convolutions and pools share: sizes and pads of sliding windows."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from seglens.networks.onnx.nodes import Node

CONV = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d, 3: torch.nn.functional.conv3d}
TRANSPOSED = {
    1: torch.nn.functional.conv_transpose1d,
    2: torch.nn.functional.conv_transpose2d,
    3: torch.nn.functional.conv_transpose3d,
}


@dataclass(frozen=True, slots=True)
class Windows:
    """Sliding windows over d axes: sizes, steps, gaps, and what is padded before and behind.

    auto: NOTSET takes the pads as given; VALID has none; SAME_UPPER and SAME_LOWER pad so that the output has the
    input's size over the step, the odd place behind or before.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    before: tuple[int, ...]
    behind: tuple[int, ...]
    auto: str
    ceil: bool

    @classmethod
    def of(cls, node: Node, kernel: Sequence[int]) -> "Windows":
        """From a node's attributes. Raises UnsupportedError for more than three axes."""
        d = len(kernel)
        if not 1 <= d <= 3:
            raise node.refuse(f"{d} axes")
        auto = node.setting("auto_pad", "NOTSET")
        pads = node.setting("pads", None) if auto == "NOTSET" else None
        pads = pads or [0] * (2 * d)
        return cls(
            kernel=tuple(kernel),
            stride=tuple(node.setting("strides", None) or [1] * d),
            dilation=tuple(node.setting("dilations", None) or [1] * d),
            before=tuple(pads[:d]),
            behind=tuple(pads[d:]),
            auto=auto,
            ceil=bool(node.setting("ceil_mode", 0)),
        )

    @property
    def even(self) -> bool:
        """Whether the same is padded before and behind whatever the input, and nothing is cut, so torch can pad."""
        return self.auto in ("NOTSET", "VALID") and self.before == self.behind and min(self.before) >= 0

    def span(self, axis: int) -> int:
        """Places from a window's first to its last."""
        return (self.kernel[axis] - 1) * self.dilation[axis] + 1

    def pads(self, sizes: Sequence[int]) -> tuple[list[int], list[int]]:
        """What is padded before and behind each axis of these sizes, without what rounding up asks for."""
        if self.auto not in ("SAME_UPPER", "SAME_LOWER"):
            return list(self.before), list(self.behind)
        before, behind = list[int](), list[int]()
        for a, n in enumerate(sizes):
            out = -(-n // self.stride[a])
            total = max((out - 1) * self.stride[a] + self.span(a) - n, 0)
            less = total // 2
            upper = self.auto == "SAME_UPPER"
            before.append(less if upper else total - less)
            behind.append(total - less if upper else less)
        return before, behind

    def excess(self, sizes: Sequence[int]) -> list[int]:
        """Places behind the padding that rounding up adds, so that the last window is whole (negative: takes away)."""
        if not self.ceil:
            return [0] * len(sizes)
        before, behind = self.pads(sizes)
        found: list[int] = []
        for a, n in enumerate(sizes):
            rest = n + before[a] + behind[a] - self.span(a)
            last = -(-rest // self.stride[a])
            # A window that would begin in the padding behind is left out.
            last -= last * self.stride[a] >= n + before[a]
            found.append(last * self.stride[a] - rest)
        return found


def padded(x: Tensor, before: Sequence[int], behind: Sequence[int], value: float = 0.0) -> Tensor:
    """x with `value` around its last axes; a negative number cuts."""
    sides = [n for a in reversed(range(len(before))) for n in (before[a], behind[a])]
    return pad(x, sides, value=value) if any(sides) else x
