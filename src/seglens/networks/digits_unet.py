"""The U-Nets of the context-bias benchmark, with small encoders after VGG16, ResNet18 and MobileNetV2.

They are made for grey pictures of 64 x 64 and trained in minutes on one processor core
(`seglens.run.bench.training`). What they share: five blocks at strides 1, 2, 4, 8 and 16, the last of which is the
end of the encoder; batch norm; and that each pixel's logits can hang on every pixel of a 64 x 64 picture, without
which a network could not take up a bias in the context. Where the originals begin with strides of 2 or 4 because
their pictures are larger, these begin with 1, and all else keeps its order, its depth and the ratios of its widths.
"""

from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.core.errors import ParameterError, ShapeError, suggest

Backbone = Literal["vgg16", "resnet18", "mobilenet-v2"]
BACKBONES: tuple[Backbone, ...] = get_args(Backbone)
"""The encoders that `DigitsUNet` can have."""


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution and batch norm; keeps the size but for `stride`."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


def _plain(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """`depth` 3x3 convolutions, each with batch norm and ReLU."""
    block = nn.Sequential()
    for number in range(depth):
        block.extend((*_conv(inputs if number == 0 else outputs, outputs), nn.ReLU()))
    return block


class BasicBlock(nn.Module):
    """relu(x + two 3x3 convolutions), He et al. 2016, arXiv:1512.03385.

    Where the shape changes, x is averaged over the stride and projected by a 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*_conv(inputs, outputs, 3, stride), nn.ReLU())
        self.conv2 = _conv(outputs, outputs)
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(nn.AvgPool2d(stride), *_conv(inputs, outputs, 1))
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Same size as x, less its stride."""
        return self.relu(self.shortcut(x) + self.conv2(self.conv1(x)))


def _residuals(inputs: int, outputs: int) -> nn.Sequential:
    """ResNet18's stage: two basic blocks, the first of stride 2."""
    return nn.Sequential(BasicBlock(inputs, outputs, stride=2), BasicBlock(outputs, outputs))


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 depthwise convolution, linear 1x1 projection; plus x where the shape is kept.

    Sandler et al. 2018, arXiv:1801.04381. An expansion of 1 leaves the first step out.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, expansion: int = 6) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = nn.Identity() if expansion == 1 else nn.Sequential(*_conv(inputs, hidden, 1), nn.ReLU6())
        self.depthwise = nn.Sequential(*_conv(hidden, hidden, 3, stride, hidden), nn.ReLU6())
        self.project = _conv(hidden, outputs, 1)
        self.keeps = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        """Same size as x, less its stride."""
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.keeps else y


def _inverted(inputs: int, *stages: tuple[int, int]) -> nn.Sequential:
    """MobileNetV2's stages (channels, depth) one after another, the first of stride 2."""
    block = nn.Sequential()
    for outputs, depth in stages:
        for _ in range(depth):
            block.append(InvertedResidual(inputs, outputs, stride=2 if len(block) == 0 else 1))
            inputs = outputs
    return block


class DigitsEncoder(nn.Module):
    """Five blocks at strides 1, 2, 4, 8 and 16; gives the output of each. `widths`: their channels.

    vgg16: 2, 2, 3, 3 and 3 convolutions, pooled in between (w, 2w, 4w, 8w, 8w channels).
    resnet18: a 7x7 convolution, then four stages of two basic blocks (w, w, 2w, 4w, 8w).
    mobilenet-v2: a convolution and an inverted residual without expansion, then stages of 2, 3, 4 + 3 and 3 + 1
    inverted residuals (w, 3w/2, 2w, 6w, 20w; inside the last two 4w and 10w before).
    """

    def __init__(self, backbone: Backbone, channels: int, width: int) -> None:
        super().__init__()
        w = width
        self.pool = nn.MaxPool2d(2) if backbone == "vgg16" else nn.Identity()
        if backbone == "vgg16":
            self.widths = (w, 2 * w, 4 * w, 8 * w, 8 * w)
            depths = (2, 2, 3, 3, 3)
            steps = zip((channels, *self.widths[:-1]), self.widths, depths, strict=True)
            blocks = [_plain(inputs, outputs, depth) for inputs, outputs, depth in steps]
        elif backbone == "resnet18":
            self.widths = (w, w, 2 * w, 4 * w, 8 * w)
            blocks = [nn.Sequential(*_conv(channels, w, 7), nn.ReLU())]
            blocks += [_residuals(*io) for io in pairwise(self.widths)]
        else:
            self.widths = (w, 3 * w // 2, 2 * w, 6 * w, 20 * w)
            first = InvertedResidual(2 * w, w, expansion=1)
            blocks = [
                nn.Sequential(*_conv(channels, 2 * w), nn.ReLU6(), first),
                _inverted(w, (3 * w // 2, 2)),
                _inverted(3 * w // 2, (2 * w, 3)),
                _inverted(2 * w, (4 * w, 4), (6 * w, 3)),
                _inverted(6 * w, (10 * w, 3), (20 * w, 1)),
            ]
        self.block1, self.block2, self.block3, self.block4, self.block5 = blocks

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor, Tensor], Tensor]:
        """The outputs of the first four blocks, finest first, and of the last."""
        one = self.block1(x)
        two = self.block2(self.pool(one))
        three = self.block3(self.pool(two))
        four = self.block4(self.pool(three))
        return (one, two, three, four), self.block5(self.pool(four))


class DigitsDecoder(nn.Module):
    """Four blocks from coarse to fine: one 3x3 convolution each of what came before, doubled, and the encoder's.

    Each gives as many channels as the encoder has one level up, so that what is doubled next is small.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        one, two, three, four, five = widths
        self.block4 = _plain(five + four, three, 1)
        self.block3 = _plain(three + three, two, 1)
        self.block2 = _plain(two + two, one, 1)
        self.block1 = _plain(one + one, one, 1)

    def forward(self, x: Tensor, skips: tuple[Tensor, ...]) -> Tensor:
        """Decoded features at full size, from the end of the encoder and its skips, finest first."""
        blocks = (self.block4, self.block3, self.block2, self.block1)
        for block, skip in zip(blocks, reversed(skips), strict=True):
            doubled = interpolate(x, skip.shape[-2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([doubled, skip], 1))
        return x


class DigitsUNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) for textured digits, with padding, batch norm and bilinear upsampling.

    [B channels H W] -> logits [B classes H W]. H and W must be multiples of `divisor` = 16; ShapeError otherwise.
    encoder: "vgg16", "resnet18" or "mobilenet-v2", in small (see `DigitsEncoder`). width: the channels of its first
    block, w; the originals have 64, 64 and 16.
    Layers: `encoder.block1` to `encoder.block5` (strides 1, 2, 4, 8, 16; the last is the end of the encoder),
    `decoder.block4` to `decoder.block1`, `head` (1x1).
    Raises ParameterError for an encoder that does not exist and for a width under 2.
    """

    divisor = 16

    def __init__(self, encoder: Backbone = "vgg16", width: int = 8, channels: int = 1, classes: int = 11) -> None:
        super().__init__()
        if encoder not in BACKBONES:
            raise ParameterError(
                f"no encoder {encoder!r}.{suggest(encoder, BACKBONES)}\n  All of them: {', '.join(BACKBONES)}."
            )
        if width < 2:
            raise ParameterError(f"width = {width}: a block needs 2 channels or more.")
        self.encoder = DigitsEncoder(encoder, channels, width)
        self.decoder = DigitsDecoder(self.encoder.widths)
        self.head = nn.Conv2d(self.encoder.widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B K H W] for images [B C H W]. Raises ShapeError where the divisor does not fit."""
        height, width = x.shape[-2:]
        if height % self.divisor or width % self.divisor:
            fit = tuple(-(-side // self.divisor) * self.divisor for side in (height, width))
            raise ShapeError(
                f"DigitsUNet takes images whose sides are multiples of {self.divisor}; got {height} x {width}.\n"
                f"  Pad or resize to {fit[0]} x {fit[1]}.",
                tuple(x.shape),
            )
        skips, end = self.encoder(x)
        return self.head(self.decoder(end, skips))
