"""Fills: what stands for 'nothing there', stated in pixel values before normalisation."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import conv1d, pad

from seglens.core.errors import ImageError, ParameterError, ShapeError, suggest
from seglens.core.images import Source, is_array, read_image
from seglens.core.network import Network
from seglens.core.parameters import Rule

NamedFill = Literal["black", "white", "grey", "mean", "blur", "noise"]
FILLS: tuple[NamedFill, ...] = get_args(NamedFill)

_LEVELS = {"black": 0.0, "grey": 0.5, "white": 1.0}
_NOISE_SEED = 0


def check_fill(given: Any) -> None:
    """Raise ParameterError for what is no fill: no name, no pixel value or colour in 0..1, no picture there."""
    kinds = (str, int, float, tuple, os.PathLike, np.ndarray, Tensor, Image.Image)
    if isinstance(given, bool) or not isinstance(given, kinds):
        raise ParameterError(f"to be a name, a number, a colour or a picture, not {given!r}.")
    try:
        _levels(given)
    except ParameterError as wrong:
        if not isinstance(given, str) or not Path(given).expanduser().is_file():
            raise
        if is_array(given):
            return  # how it is read, the network says
        try:
            read_image(given)
        except ImageError as broken:
            raise ParameterError(f"a picture that cannot be read: {broken}") from wrong


Fill = Annotated[NamedFill | float | tuple[float, ...] | Source, Rule(check_fill)]
"""A name, a pixel value or a colour in 0..1 ("0.25", "0.2,0.5,0.3"), or a picture: a file, an array, a PIL image."""


def fill(network: Network, x: Tensor, kind: Fill, shown: Tensor | None = None) -> Tensor:
    """The input [B C *grid] of a picture without content, for inputs x of the same shape.

    black, grey, white: pixel value 0, ½, 1 in every channel; a number or a colour: that one. mean: each image's own
    mean colour. blur: each image under a Gaussian of σ = 1/16 of its longer side, cut at 3σ, edges repeated. noise:
    every pixel and channel uniform in 0..1, the same draws for images of one size. Another picture: resized to the
    image.
    A network that standardises each image by itself has no black of its own: there black and white are the
    image's darkest and brightest value, and all else lies between them; another picture is standardised by itself.
    shown: bool [B *grid], the pixels that are image and not padding; None: all. Mean colour, longer side, noise and
    picture are those of the image. (Its darkest and brightest value padding does not change, as it repeats pixels.)
    Raises ParameterError for what is no fill, ImageError for a picture that cannot be read, ShapeError for a colour of
    another number of channels.
    """
    named = kind if isinstance(kind, str) else None
    if named == "mean":
        return _mean(x, shown).expand_as(x)
    if named == "blur":
        longer = [max(size) for size in _sizes(x, shown)]
        return torch.cat([gaussian(one, n / 16) for one, n in zip(x.split(1), longer, strict=True)])
    if named == "noise":
        return _levelled(network, x, _each_size(x, shown, lambda size: _noise(x, size)))
    if (levels := _levels(kind, picture=True)) is not None:
        if len(levels) not in (1, x.shape[1]):
            raise ShapeError(f"a colour of {len(levels)} channels does not fill images of {x.shape[1]}.")
        colour = torch.tensor(levels, dtype=x.dtype, device=x.device).reshape(1, -1, *[1] * (x.ndim - 2))
        return _levelled(network, x, colour.expand_as(x))
    pixels = network.read(kind).pixels.to(x)  # pyright: ignore[reportArgumentType]
    if pixels.ndim != x.ndim - 1:
        raise ShapeError(f"a fill of {pixels.ndim - 1} dimensions does not fit images of {x.ndim - 2}.")
    return _each_size(x, shown, lambda size: network.convention.resized(pixels, size))


def name_of_fill(kind: Fill) -> str:
    """A fill in one word or so, for messages and tables."""
    if isinstance(kind, str | float | int | os.PathLike):
        return str(kind)
    return ",".join(f"{level:g}" for level in kind) if isinstance(kind, tuple) else "picture"


def _levels(kind: Any, picture: bool = False) -> tuple[float, ...] | None:
    """Pixel values of a constant colour; None for other fills. Raises ParameterError where it is none at all.

    `picture`: text that is neither name nor number is the path of one.
    """
    if isinstance(kind, str) and kind in FILLS:
        return (_LEVELS[kind],) if kind in _LEVELS else None
    if isinstance(kind, str):
        try:
            kind = tuple(float(part) for part in kind.split(","))
        except ValueError:
            if picture:
                return None
            near = suggest(kind, FILLS)
            raise ParameterError(
                f"to be a name, a number, a colour or a picture file, not {kind!r}.{near}\n"
                f"  Names: {', '.join(FILLS)}; numbers and colours lie in 0..1, such as 0.25 or 0.2,0.5,0.3."
            ) from None
    if isinstance(kind, int | float):
        kind = (kind,)
    if not isinstance(kind, tuple):
        return None
    levels = tuple(float(level) for level in kind)
    if not levels or not all(math.isfinite(level) and 0 <= level <= 1 for level in levels):
        raise ParameterError(f"to be pixel values in 0..1, from black to white, not {kind}.")
    return levels


def _levelled(network: Network, x: Tensor, pixels: Tensor) -> Tensor:
    """Input values of pixel values [B C *grid] in 0..1, for a network that may standardise each image by itself."""
    if network.convention.per_image:
        if network.convention.order == "BGR" and pixels.shape[1] == 3:
            pixels = pixels.flip(1)
        # The darkest and brightest are looked for before each channel is shifted by a mean of its own.
        values = network.convention.unscale(x)
        lo, hi = (v.reshape(-1, *[1] * (x.ndim - 1)) for v in (values.flatten(1).amin(1), values.flatten(1).amax(1)))
        return network.convention.scale(lo + pixels * (hi - lo))
    return network.convention.normalise(pixels)


def _noise(x: Tensor, size: tuple[int, ...]) -> Tensor:
    """[1 C *size], uniform in 0..1, the same on any device."""
    generator = torch.Generator().manual_seed(_NOISE_SEED)
    return torch.rand(1, x.shape[1], *size, generator=generator).to(x)


def _each_size(x: Tensor, shown: Tensor | None, make: Callable[[tuple[int, ...]], Tensor]) -> Tensor:
    """`make(size)` [1 C *size] for every image in its own size, [B C *grid], padded as images are."""
    made: dict[tuple[int, ...], Tensor] = {}
    for size in _sizes(x, shown):
        if size not in made:
            sides = [s for own, n in zip(reversed(size), reversed(x.shape[2:]), strict=True) for s in (0, n - own)]
            made[size] = pad(make(size), sides, mode="replicate") if any(sides) else make(size)
    return torch.cat([made[size] for size in _sizes(x, shown)])


def _sizes(x: Tensor, shown: Tensor | None) -> list[tuple[int, ...]]:
    """The size of each image without its padding."""
    if shown is None:
        return [tuple(x.shape[2:])] * x.shape[0]
    return [tuple((one.nonzero().amax(0) + 1).tolist()) for one in shown]


def _mean(x: Tensor, shown: Tensor | None) -> Tensor:
    """Mean colour [B C 1…] of the pixels shown."""
    dims = tuple(range(2, x.ndim))
    if shown is None:
        return x.mean(dims, keepdim=True)
    inside = shown[:, None]
    # As a share of all pixels, since a plain sum may overflow half precision; where all are shown it is 1 exactly.
    share = inside.sum(dims, keepdim=True) / inside[0].numel()
    return (x * inside).mean(dims, keepdim=True) / share.to(x)


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
