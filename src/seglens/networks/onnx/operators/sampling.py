"""Reading an image at computed places."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.tensors import bounded, whole

sampling = partial(operator, subject="Sampling")


@sampling("GridSample")
def sample(node: Node) -> Callable[..., Any]:
    """An image [B C H W] (or a volume) at the places of a grid [B H' W' 2], which run from −1 to 1."""
    told = node.setting("mode", "bilinear")
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(told) or str(told)
    beyond, corners = node.setting("padding_mode", "zeros"), bool(node.setting("align_corners", 0))
    return lambda x, grid: grid_sample(x, grid, mode, beyond, corners)


@sampling("AffineGrid", numbers=(1,))
def grid_of(node: Node) -> Callable[..., Any]:
    """The places that an affine map theta [B 2 3] (or [B 3 4]) gives."""
    corners = bool(node.setting("align_corners", 0))

    def run(theta: Tensor, size: Tensor) -> Tensor:
        return affine_grid(theta, bounded(whole(size), "AffineGrid"), corners)

    return run


@sampling("RoiAlign")
def roi_align(node: Node) -> Callable[..., Any]:
    """The means, or the largest, of bilinear samples in the cells of boxes."""
    rows, columns = node.setting("output_height", 1), node.setting("output_width", 1)
    ratio, scale = node.setting("sampling_ratio", 0), node.setting("spatial_scale", 1.0)
    default = "half_pixel" if node.version >= 16 else "output_half_pixel"
    half = node.setting("coordinate_transformation_mode", default) == "half_pixel"
    if node.setting("mode", "avg") != "avg":
        raise node.refuse("mode='max'")

    def box(x: Tensor, roi: Tensor) -> Tensor:
        corner = roi * scale - (0.5 if half else 0.0)
        left, top, right, bottom = corner.unbind()
        width, height = right - left, bottom - top
        if not half:
            width, height = width.clamp_min(1), height.clamp_min(1)
        across = ratio or int(torch.ceil(width / columns))
        down = ratio or int(torch.ceil(height / rows))
        at_x = left + (torch.arange(columns * across, device=x.device) + 0.5) * width / (columns * across)
        at_y = top + (torch.arange(rows * down, device=x.device) + 0.5) * height / (rows * down)
        found = _bilinear(x, at_y, at_x)
        return found.unflatten(-1, (columns, across)).mean(-1).unflatten(-2, (rows, down)).mean(-2)

    def run(x: Tensor, rois: Tensor, batch: Tensor) -> Tensor:
        found = [box(x[int(b)], r) for r, b in zip(rois, batch, strict=True)]
        return torch.stack(found) if found else x.new_zeros(0, x.shape[1], rows, columns)

    return run


def _bilinear(x: Tensor, at_y: Tensor, at_x: Tensor) -> Tensor:
    """[C H W] at a grid of places; 0 beyond a place outside, the border between there and the last place."""

    def weights(at: Tensor, n: int) -> Tensor:
        inside = (at >= -1) & (at <= n)
        places = torch.arange(n, device=at.device, dtype=at.dtype)
        near = (1 - (at.clamp(0, n - 1)[:, None] - places).abs()).clamp_min(0)
        return near * inside[:, None]

    return weights(at_y, x.shape[1]) @ x @ weights(at_x, x.shape[2]).T
