"""The networks that ship with the package: small, plain, trained on `datasets.streets`.

Their weights, input conventions (TOML) and model cards lie beside each other in `weights/`, and
`recipes/streets.py` makes them again. Inputs are images [B 3 H W], RGB, divided by 255 and
normalised as the TOML says; outputs are logits.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.core.errors import NameNotFoundError, ShapeError, suggest

WEIGHTS = Path(__file__).parent / "weights"


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolution, batch norm, ReLU; keeps the size but for `stride`."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


def _pair(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_conv(inputs, outputs), _conv(outputs, outputs))


def _plain(inputs: int, outputs: int, depth: int) -> nn.Sequential:
    """3x3 convolutions with bias, each with its ReLU, named by number."""
    block = nn.Sequential()
    for number in range(1, depth + 1):
        block.add_module(f"conv{number}", nn.Conv2d(inputs if number == 1 else outputs, outputs, 3, padding=1))
        block.add_module(f"relu{number}", nn.ReLU())
    return block


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, like.shape[-2:], mode="bilinear", align_corners=False)


class Encoder(nn.Module):
    """Four blocks, each at half the size of the one before; gives the output of each."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.block1 = _pair(channels, widths[0])
        self.block2 = _pair(widths[0], widths[1])
        self.block3 = _pair(widths[1], widths[2])
        self.block4 = _pair(widths[2], widths[3])
        self.pool = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The four blocks' outputs, finest first."""
        one = self.block1(x)
        two = self.block2(self.pool(one))
        three = self.block3(self.pool(two))
        return one, two, three, self.block4(self.pool(three))


class Decoder(nn.Module):
    """Four blocks from coarse to fine; each sees the one before, doubled, and the encoder's."""

    def __init__(self, widths: tuple[int, int, int, int], bottleneck: int) -> None:
        super().__init__()
        self.block4 = _pair(bottleneck + widths[3], widths[3])
        self.block3 = _pair(widths[3] + widths[2], widths[2])
        self.block2 = _pair(widths[2] + widths[1], widths[1])
        self.block1 = _pair(widths[1] + widths[0], widths[0])

    def forward(self, x: Tensor, skips: tuple[Tensor, Tensor, Tensor, Tensor]) -> Tensor:
        """Decoded features at full size, from the bottleneck and the encoder's skips."""
        blocks = (self.block1, self.block2, self.block3, self.block4)
        for block, skip in zip(reversed(blocks), reversed(skips), strict=True):
            x = block(torch.cat([_resized(x, skip), skip], 1))
        return x


class UNet(nn.Module):
    """U-Net (Ronneberger et al. 2015) with padding, batch norm and bilinear upsampling.

    [B channels H W] -> logits [B classes H W]. H and W must be multiples of `divisor` = 16, so that
    every feature map lies exactly under the pixels it speaks of; ValueError otherwise.
    Layers: `encoder.block1` to `encoder.block4` (strides 1, 2, 4, 8), `bottleneck` (stride 16, the
    end of the encoder), `decoder.block4` to `decoder.block1`, `head` (1x1).
    """

    divisor = 16

    def __init__(
        self,
        channels: int = 3,
        classes: int = 11,
        widths: tuple[int, int, int, int] = (16, 32, 48, 64),
        bottleneck: int = 96,
    ) -> None:
        super().__init__()
        self.encoder = Encoder(channels, widths)
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = _pair(widths[3], bottleneck)
        self.decoder = Decoder(widths, bottleneck)
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B K H W] for images [B 3 H W]. Raises ShapeError where the divisor does not fit."""
        height, width = x.shape[-2:]
        if height % self.divisor or width % self.divisor:
            fit = tuple(-(-side // self.divisor) * self.divisor for side in (height, width))
            raise ShapeError(
                f"UNet takes images whose sides are multiples of {self.divisor}; got "
                f"{height} x {width}.\n  Pad or resize to {fit[0]} x {fit[1]}.",
                tuple(x.shape),
            )
        skips = self.encoder(x)
        return self.head(self.decoder(self.bottleneck(self.pool(skips[-1])), skips))


class Residual(nn.Module):
    """relu(x + two 3x3 convolutions), with a 1x1 projection of x where the channels change."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv(inputs, outputs, stride, dilation)
        self.conv2 = nn.Sequential(
            nn.Conv2d(outputs, outputs, 3, padding=dilation, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = (
            nn.Identity()
            if inputs == outputs and stride == 1
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        )
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Same size as x, less its stride."""
        return self.relu(self.shortcut(x) + self.conv2(self.conv1(x)))


class DilatedEncoder(nn.Module):
    """Stages at strides 2, 4, 8 and, dilated instead of strided, 8 again; gives first and last."""

    def __init__(self, channels: int, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(_conv(channels, widths[0], 2), _conv(widths[0], widths[0]))
        self.stage2 = Residual(widths[0], widths[1], stride=2)
        self.stage3 = nn.Sequential(Residual(widths[1], widths[2], stride=2), Residual(widths[2], widths[2]))
        self.stage4 = nn.Sequential(
            Residual(widths[2], widths[3], dilation=2), Residual(widths[3], widths[3], dilation=2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Fine (stride 2) and coarse (stride 8) features."""
        fine = self.stage1(x)
        return fine, self.stage4(self.stage3(self.stage2(fine)))


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling: 1x1, dilated 3x3 and image pooling side by side, then 1x1."""

    def __init__(self, inputs: int, branch: int, outputs: int, rates: tuple[int, ...] = (2, 4, 6)) -> None:
        super().__init__()
        self.point = nn.Sequential(nn.Conv2d(inputs, branch, 1, bias=False), nn.BatchNorm2d(branch), nn.ReLU())
        self.dilated = nn.ModuleList([_conv(inputs, branch, dilation=rate) for rate in rates])
        self.image = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(inputs, branch, 1, bias=False),
            nn.BatchNorm2d(branch),
            nn.ReLU(),
        )
        self.project = nn.Sequential(
            nn.Conv2d(branch * (2 + len(rates)), outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Context at several rates and of the whole image, at the input's size."""
        scales = [self.point(x), *(branch(x) for branch in self.dilated)]
        return self.project(torch.cat([*scales, self.image(x).expand_as(scales[0])], 1))


class DilatedNet(nn.Module):
    """DeepLabv3+ (Chen et al. 2018) in small: dilated encoder, ASPP, one fine skip, 1x1 head.

    [B channels H W] -> logits [B classes H W], any size: the head works at stride 2 and its logits
    are upsampled bilinearly to the image's size.
    Layers: `encoder.stage1` (stride 2) to `encoder.stage4` (stride 8, dilation 2, the end of the
    encoder), `aspp` (stride 8), `decoder` (stride 2), `head` (1x1, stride 2).
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 11,
        widths: tuple[int, int, int, int] = (24, 40, 64, 80),
        pyramid: int = 48,
        decoder: int = 32,
    ) -> None:
        super().__init__()
        self.encoder = DilatedEncoder(channels, widths)
        self.aspp = ASPP(widths[3], branch=40, outputs=pyramid)
        self.decoder = _pair(pyramid + widths[0], decoder)
        self.head = nn.Conv2d(decoder, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B K H W] for images [B 3 H W] of any size."""
        fine, coarse = self.encoder(x)
        merged = torch.cat([_resized(self.aspp(coarse), fine), fine], 1)
        return _resized(self.head(self.decoder(merged)), x)


class CropClassifier(nn.Module):
    """Four convolution blocks, global average pooling, a linear head: any size from 16 x 16 on.

    [B channels H W] -> logits [B classes]. Layers: `features.block1` to `features.block4`
    (strides 1, 2, 4, 8; the last is the end of the encoder), `pool`, `head`.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 7,
        widths: tuple[int, int, int, int] = (16, 32, 48, 64),
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        for number, (inputs, outputs) in enumerate(zip((channels, *widths[:-1]), widths, strict=True), start=1):
            if number > 1:
                self.features.add_module(f"pool{number - 1}", nn.MaxPool2d(2))
            self.features.add_module(f"block{number}", _pair(inputs, outputs))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B K] for crops [B 3 H W]."""
        return self.head(self.pool(self.features(x)).flatten(1))


class VGG(nn.Module):
    """VGG16 (Simonyan and Zisserman 2015, arXiv:1409.1556) with an eighth of its channels; no normalisation either.

    Thirteen 3x3 convolutions in five blocks of 2, 2, 3, 3 and 3, each with its ReLU, each block followed by
    max-pooling; then three fully connected layers (the hidden ones a 32nd as wide) with ReLU and dropout between.
    [B channels H W] -> logits [B classes], made for 96 x 96, where the last pooling leaves 3 x 3 places; those of
    other sizes are averaged to 3 x 3 first. Sides of 32 or more; ShapeError otherwise.
    Layers: `features.block1` to `features.block5` (strides 1, 2, 4, 8, 16; the last is what Grad-CAM reads, before
    its pooling), in each `conv1`, `relu1` and so on; `features.pool1` to `features.pool5`; `pool`, `classifier`.
    """

    smallest = 32  # five poolings leave one place

    def __init__(
        self,
        channels: int = 3,
        classes: int = 7,
        widths: tuple[int, int, int, int, int] = (8, 16, 32, 64, 64),
        hidden: int = 128,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        blocks = zip((channels, *widths[:-1]), widths, (2, 2, 3, 3, 3), strict=True)
        for number, (inputs, outputs, depth) in enumerate(blocks, start=1):
            self.features.add_module(f"block{number}", _plain(inputs, outputs, depth))
            self.features.add_module(f"pool{number}", nn.MaxPool2d(2))
        self.pool = nn.AdaptiveAvgPool2d(3)
        self.classifier = nn.Sequential(
            nn.Linear(widths[-1] * 9, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden, classes),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                # Without normalisation, thirteen layers learn only where the signal neither dies nor grows (He et al.).
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B K] for crops [B 3 H W]. Raises ShapeError for a side under 32."""
        if min(x.shape[-2:]) < self.smallest:
            raise ShapeError(
                f"VGG pools five times, so that sides are to be {self.smallest} or more; got "
                f"{x.shape[-2]} x {x.shape[-1]}.\n  Resize to 96 x 96, for which it was trained.",
                tuple(x.shape),
            )
        return self.classifier(self.pool(self.features(x)).flatten(1))


@dataclass(frozen=True, slots=True)
class Builtin:
    """A shipped network: how to construct it, and the file that holds its weights.

    The input convention lies beside the weights as `.toml`, the model card as `.md`.
    """

    constructor: Callable[[], nn.Module]
    weights: Path


BUILTIN: dict[str, Builtin] = {
    name: Builtin(constructor, WEIGHTS / f"{name}.safetensors")
    for name, constructor in (
        ("streets-unet", UNet),
        ("streets-deeplab", DilatedNet),
        ("streets-unet-biased", UNet),
        ("streets-classifier", CropClassifier),
        ("streets-vgg", VGG),
    )
}


def build(name: str) -> nn.Module:
    """The shipped network `name` with its trained weights, on the CPU, in eval mode.

    Raises NameNotFoundError for a name that is not in `BUILTIN`.
    """
    if name not in BUILTIN:
        raise NameNotFoundError(
            f"no built-in network {name!r}.{suggest(name, BUILTIN)}\n  All of them: {', '.join(BUILTIN)}."
        )
    network = BUILTIN[name].constructor()
    network.load_state_dict(load_file(BUILTIN[name].weights))
    return network.eval()
