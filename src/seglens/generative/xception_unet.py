"""A U-Net with an encoder in the manner of Xception: the segmenter that the autoencoders are measured against."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.core.errors import ShapeError
from seglens.core.parameters import Bounds
from seglens.generative.config import CLASSES, WIDTHS, configured, settle

__all__ = ["XceptionUNet", "XceptionUNetConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class XceptionUNetConfig:
    """What an `XceptionUNet` is built from.

    channels: of the images. classes: names, in the order of the output's channels. widths: channels of each level; all
    but the first halve the size. The original begins with 32 and has 128, 256, 728 behind.
    """

    channels: Annotated[int, Bounds(ge=1)] = 3
    classes: Annotated[tuple[str, ...], CLASSES] = ("background", "object")
    widths: Annotated[tuple[int, ...], WIDTHS] = (16, 32, 64, 96)

    def __post_init__(self) -> None:
        settle(self)


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    """ReLU, 3×3 convolution of each channel by itself, 1×1 over channels, batch norm."""
    return nn.Sequential(
        nn.ReLU(),
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class _Block(nn.Module):
    """Two separable convolutions and a halving max-pool, plus a 1×1 convolution of stride 2 (Chollet 2017)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first = _separable(inputs, outputs)
        self.second = _separable(outputs, outputs)
        self.pool = nn.MaxPool2d(3, 2, 1)
        # Every second pixel, which is the stride of the 1×1 convolution: as an argument of its own, it makes torch 2.13
        # write beyond its memory in the reverse pass on a CPU (oneDNN, channels last, fewer than 8 channels).
        self.thinned = nn.MaxPool2d(1, 2)
        self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Half the size."""
        return self.pool(self.second(self.first(x))) + self.shortcut(self.thinned(x))


class _Up(nn.Module):
    """Doubled bilinearly, the encoder's map beside it, two separable convolutions, plus a 1×1 convolution."""

    def __init__(self, inputs: int, beside: int) -> None:
        super().__init__()
        self.first = _separable(inputs + beside, beside)
        self.second = _separable(beside, beside)
        self.shortcut = nn.Conv2d(inputs + beside, beside, 1)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """The skip's size and channels."""
        doubled = interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)
        both = torch.cat([doubled, skip], 1)
        return self.second(self.first(both)) + self.shortcut(both)


class _Encoder(nn.Module):
    """`level1` at full size, then `level2`, …, each half the size of the one before."""

    def __init__(self, c: XceptionUNetConfig) -> None:
        super().__init__()
        self._levels = len(c.widths)
        self.level1 = nn.Sequential(
            nn.Conv2d(c.channels, c.widths[0], 3, padding=1, bias=False),
            nn.BatchNorm2d(c.widths[0]),
            _separable(c.widths[0], c.widths[0]),
        )
        for number, (inputs, outputs) in enumerate(pairwise(c.widths), 2):
            self.add_module(f"level{number}", _Block(inputs, outputs))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps of all levels, finest first."""
        maps: list[Tensor] = []
        for number in range(1, self._levels + 1):
            x = self.get_submodule(f"level{number}")(x)
            maps.append(x)
        return maps


class _Decoder(nn.Module):
    """From the coarsest level up to `level1`."""

    def __init__(self, c: XceptionUNetConfig) -> None:
        super().__init__()
        self._levels = len(c.widths)
        for number, (beside, inputs) in enumerate(pairwise(c.widths), 1):
            self.add_module(f"level{number}", _Up(inputs, beside))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Features at full size."""
        y = maps[-1]
        for number in range(self._levels - 1, 0, -1):
            y = self.get_submodule(f"level{number}")(y, maps[number - 1])
        return y


class XceptionUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) whose encoder has Xception's blocks (Chollet 2017, arXiv:1610.02357), in small.

    [B C H W] to class logits [B K H W]; H and W are multiples of `divisor` = 2^(levels − 1); ShapeError otherwise.
    Layers: `encoder.level1` to `encoder.level4` (the end of the encoder), `decoder.level3` to `decoder.level1`,
    `head`. Built from an `XceptionUNetConfig` or from its fields.
    """

    def __init__(self, config: XceptionUNetConfig | None = None, /, **fields: Any) -> None:
        super().__init__()
        self.config = c = configured(XceptionUNetConfig, config, fields)
        self.classes = c.classes
        self.divisor = 2 ** (len(c.widths) - 1)
        self.encoder = _Encoder(c)
        self.decoder = _Decoder(c)
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(c.widths[0], len(c.classes), 1))

    def forward(self, x: Tensor) -> Tensor:
        """Class logits."""
        if x.shape[-2] % self.divisor or x.shape[-1] % self.divisor:
            fit = tuple(-(-side // self.divisor) * self.divisor for side in x.shape[-2:])
            raise ShapeError(
                f"XceptionUNet takes images whose sides are multiples of {self.divisor}; got "
                f"{x.shape[-2]} x {x.shape[-1]}.\n  Pad or resize to {fit[0]} x {fit[1]}.",
                tuple(x.shape),
            )
        return self.head(self.decoder(self.encoder(x)))
