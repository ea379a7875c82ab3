"""Padding goes with the pixel that it repeats: else a replaced edge would still be seen there."""

import torch
from torch import Tensor

from seglens.core.frame import Frame


def repeated(values: Tensor, frame: Frame) -> Tensor:
    """Values [n *resized], or [n *grid], on the grid [n *grid], with the picture's last row and column as padding."""
    for d, (own, n) in enumerate(zip(frame.resized, frame.grid, strict=True), start=1):
        if own != n:
            values = values.index_select(d, torch.arange(n, device=values.device).clamp_max(own - 1))
    return values
