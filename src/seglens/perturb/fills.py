"""Fills: what stands for 'nothing there', stated in pixel values before normalisation."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import conv1d, pad

from seglens.core.network import Network

Fill = Literal["black", "white", "grey", "mean", "blur"]
FILLS: tuple[Fill, ...] = get_args(Fill)

_LEVELS = {"black": 0.0, "grey": 0.5, "white": 1.0}


def fill(network: Network, x: Tensor, kind: Fill, shown: Tensor | None = None) -> Tensor:
    """The input [B C *grid] of a picture without content, for inputs x of the same shape.

    black, grey, white: pixel value 0, ½, 1 in every channel. mean: each image's own mean colour. blur: each image
    under a Gaussian of σ = 1/16 of its longer side, cut at 3σ, edges repeated.
    A network that standardises each image by itself has no black of its own: there black and white are the
    image's darkest and brightest value, grey their middle.
    shown: bool [B *grid], the pixels that are image and not padding; None: all. Mean colour and longer side are those
    of the image. (Its darkest and brightest value padding does not change, as it repeats pixels.)
    """
    if kind == "mean":
        return _mean(x, shown).expand_as(x)
    if kind == "blur":
        longer = [max(x.shape[2:])] * x.shape[0] if shown is None else [_longer(one) for one in shown]
        return torch.cat([gaussian(one, n / 16) for one, n in zip(x.split(1), longer, strict=True)])
    level = _LEVELS[kind]
    if network.convention.per_image:
        # The darkest and brightest are looked for before each channel is shifted by a mean of its own.
        values = network.convention.unscale(x)
        lo, hi = values.flatten(1).amin(1), values.flatten(1).amax(1)
        flat = (lo + level * (hi - lo)).reshape(-1, *[1] * (x.ndim - 1)).expand_as(x)
        return network.convention.scale(flat)
    return network.convention.normalise(torch.full_like(x, level))


def _mean(x: Tensor, shown: Tensor | None) -> Tensor:
    """Mean colour [B C 1…] of the pixels shown."""
    dims = tuple(range(2, x.ndim))
    if shown is None:
        return x.mean(dims, keepdim=True)
    inside = shown[:, None]
    # As a share of all pixels, since a plain sum may overflow half precision; where all are shown it is 1 exactly.
    share = inside.sum(dims, keepdim=True) / inside[0].numel()
    return (x * inside).mean(dims, keepdim=True) / share.to(x)


def _longer(shown: Tensor) -> int:
    """Longer side of the picture that is shown, [*grid]."""
    places = shown.nonzero()
    return int((places.amax(0) - places.amin(0)).max()) + 1


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
