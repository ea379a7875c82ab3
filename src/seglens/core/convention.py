"""The input convention of a network: from pixel values to the tensor that its first layer receives."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Annotated, Any, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad

from seglens.core.arrays import Axes
from seglens.core.errors import ImageError, ParameterError, suggest
from seglens.core.frame import Frame, resize
from seglens.core.parameters import Bounds, check_parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Convention:
    """How pictures become the network's input.

    channels: of the input; None takes the picture's own. order: of three channels.
    range: values to which black and white of the file's own depth are mapped before mean and std.
    mean, std: one value a channel, or one for all; x = (value − mean) / std.
    per_image: subtract each image's own mean and divide by its own standard deviation, over all its values;
    done after `range`, before mean and std.
    divisor: both sides are to be multiples of it. size: (H, W) that the network was made for.
    fit: 'pad' repeats the last row and column up to the divisor (after resizing to `size`, where given);
    'resize' scales to the nearest multiple.
    axes, window, bands: how arrays and medical volumes are read, as `seglens.read_image` says: what their dimensions
    are, which numbers are black and white, and which channels are displayed.
    """

    channels: Annotated[int | None, Bounds(ge=1)] = 3
    order: Literal["RGB", "BGR"] = "RGB"
    range: tuple[float, float] = (0.0, 1.0)
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    per_image: bool = False
    divisor: Annotated[int, Bounds(ge=1)] = 1
    size: tuple[int, ...] | None = None
    fit: Literal["pad", "resize"] = "pad"
    axes: Axes | None = None
    window: tuple[float, float] | None = None
    bands: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("range", "mean", "std", "size", "window", "bands"):
            value = getattr(self, name)
            if isinstance(value, int | float):
                value = (value,)
            if value is not None:
                object.__setattr__(self, name, tuple(value))
        for name in ("mean", "std"):
            n = len(getattr(self, name))
            if self.channels is not None and n not in (1, self.channels):
                raise ParameterError(
                    f"Convention.{name} has {n} values for {self.channels} channels: give one for each, or one."
                )
        if any(s <= 0 for s in self.std):
            raise ParameterError(f"Convention.std is to be > 0, not {self.std}.")
        if len(self.range) != 2 or self.range[0] >= self.range[1]:
            raise ParameterError(f"Convention.range is (value of black, value of white), not {self.range}.")
        if self.window is not None and (len(self.window) != 2 or self.window[0] >= self.window[1]):
            raise ParameterError(f"Convention.window is (black, white), black below white, not {self.window}.")
        if self.bands is not None and (len(self.bands) not in (1, 3) or min(self.bands) < 0):
            raise ParameterError(
                f"Convention.bands is (red, green, blue), or one channel in grey, from 0, not {self.bands}."
            )
        check_parameters(self)

    def frame(self, original: tuple[int, ...]) -> Frame:
        """Where an image of that size will lie on the network's input grid."""
        size = self.size if self.size is not None and len(self.size) == len(original) else original
        if self.fit == "resize":
            size = tuple(max(self.divisor, round(n / self.divisor) * self.divisor) for n in size)
        grid = tuple(-(-n // self.divisor) * self.divisor for n in size)
        return Frame(original, size, grid)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Pixel values [B C *space] in 0..1 (black to white), RGB, to the network's input values.

        Linear in the pixels for each image; with `per_image` its coefficients depend on the image.
        """
        lo, hi = self.range
        x = pixels * (hi - lo) + lo
        if self.order == "BGR" and x.shape[1] == 3:
            x = x.flip(1)
        if self.per_image:
            dims = tuple(range(1, x.ndim))
            # Population standard deviation; a constant image becomes 0, not NaN.
            x = (x - x.mean(dims, keepdim=True)) / x.std(dims, keepdim=True, correction=0).clamp_min(1e-8)
        return self.scale(x)

    def scale(self, x: Tensor) -> Tensor:
        """(x − mean) / std, channel by channel: the last step of `normalise`."""
        return (x - self._per_channel(self.mean, x)) / self._per_channel(self.std, x)

    def unscale(self, x: Tensor) -> Tensor:
        """x · std + mean, channel by channel."""
        return x * self._per_channel(self.std, x) + self._per_channel(self.mean, x)

    def denormalise(self, x: Tensor) -> Tensor | None:
        """Back from input values to pixel values in 0..1; None where `per_image` has lost them."""
        if self.per_image:
            return None
        y = self.unscale(x)
        if self.order == "BGR" and y.shape[1] == 3:
            y = y.flip(1)
        lo, hi = self.range
        return (y - lo) / (hi - lo)

    def prepare(self, pixels: Tensor) -> tuple[Tensor, Frame]:
        """One image's pixel values [C *space] in 0..1 to the network's input [1 C *grid] and its Frame.

        Raises ImageError where the channels do not fit: grey is repeated to three, three are averaged to
        one (ITU-R 601 luma), anything else is refused.
        """
        frame = self.frame(tuple(pixels.shape[1:]))
        x = self.resized(pixels, frame.resized)
        extra = [g - r for g, r in zip(frame.grid, frame.resized, strict=True)]
        if any(extra):
            # Padding comes after normalising, so that a per-image mean is the picture's own.
            sides = [side for n in reversed(extra) for side in (0, n)]
            x = pad(x, sides, mode="replicate")
        return x, frame

    def resized(self, pixels: Tensor, size: tuple[int, ...]) -> Tensor:
        """One image's pixel values [C *space] in 0..1 as input values [1 C *size]. Raises ImageError, likewise."""
        return self.normalise(resize(self._with_channels(pixels)[None], size))

    def _with_channels(self, pixels: Tensor) -> Tensor:
        have, want = pixels.shape[0], self.channels
        if want is None or have == want:
            return pixels
        if have == 1:
            return pixels.expand(want, *pixels.shape[1:])
        if have == 3 and want == 1:
            luma = torch.tensor([0.299, 0.587, 0.114], dtype=pixels.dtype, device=pixels.device)
            return torch.einsum("c...,c->...", pixels, luma)[None]
        raise ImageError(
            f"the image has {have} channels, the network takes {want}.\n"
            "  Give an image with as many, or state the network's own in its description (channels = …)."
        )

    def _per_channel(self, values: tuple[float, ...], x: Tensor) -> Tensor:
        return torch.tensor(values, dtype=x.dtype, device=x.device).view(1, -1, *[1] * (x.ndim - 2))

    def to_dict(self) -> dict[str, Any]:
        """Plain form for files: what differs from None."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items() if v is not None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> "Convention":
        """From the plain form. Raises ParameterError for an unknown key, with the nearest."""
        known = [f.name for f in fields(cls)]
        for key in plain:
            if key not in known:
                raise ParameterError(
                    f"unknown key {key!r} in the input convention.{suggest(key, known)}\n"
                    f"  All of them: {', '.join(known)}."
                )
        return cls(**plain)
