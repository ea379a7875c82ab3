"""Fills: what stands for 'nothing there', stated in pixel values before normalisation."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from seglens.core.network import Network

Fill = Literal["black", "white", "grey", "mean", "blur"]
FILLS: tuple[Fill, ...] = get_args(Fill)

_LEVELS = {"black": 0.0, "grey": 0.5, "white": 1.0}


def fill(network: Network, x: Tensor, kind: Fill) -> Tensor:
    """The input [B C *grid] of a picture without content, for inputs x of the same shape.

    black, grey, white: pixel value 0, ½, 1 in every channel. mean: each image's own mean colour. blur: each image
    under a Gaussian of σ = 1/16 of its longer side, cut at 3σ, edges repeated.
    A network that standardises each image by itself has no black of its own: there black and white are the
    image's darkest and brightest value, grey their middle.
    """
    if kind == "mean":
        return x.mean(tuple(range(2, x.ndim)), keepdim=True).expand_as(x)
    if kind == "blur":
        return gaussian(x, max(x.shape[2:]) / 16)
    level = _LEVELS[kind]
    if network.convention.per_image:
        # The darkest and brightest are looked for before each channel is shifted by a mean of its own.
        values = network.convention.unscale(x)
        lo, hi = values.flatten(1).amin(1), values.flatten(1).amax(1)
        flat = (lo + level * (hi - lo)).reshape(-1, *[1] * (x.ndim - 1)).expand_as(x)
        return network.convention.scale(flat)
    return network.convention.normalise(torch.full_like(x, level))


def gaussian(x: Tensor, sigma: float) -> Tensor:
    """x [B C *grid] smoothed by a Gaussian of that many pixels, one dimension after another."""
    radius = max(1, round(3 * sigma))
    at = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = (kernel / kernel.sum()).reshape(1, 1, -1)
    for dim in range(2, x.ndim):
        rows = x.movedim(dim, -1)
        shape = rows.shape
        rows = pad(rows.reshape(-1, 1, shape[-1]), (radius, radius), mode="replicate")
        x = conv1d(rows, kernel).reshape(shape).movedim(-1, dim)
    return x
