"""Two published portrait segmenters, written from the names and shapes of their trained tensors and from their papers.

SINet: Park et al. 2019, arXiv:1911.09099. ExtremeC3Net: Park et al. 2019, arXiv:1908.03093. Channel widths, kernels
and dilations are the tensors' own; what no tensor tells (pooled branches, the order of things) is the papers'. Both
take BGR values 0 to 255 less their mean, divided by their standard deviation and then by 255, of 224 × 224 portraits.
"""

import itertools

import torch
from torch import Tensor, nn

PORTRAIT = {
    "order": "BGR",
    "range": (0.0, 255.0),
    "mean": (107.304565, 115.69884, 132.35703),
    "std": tuple(255 * s for s in (63.97182, 65.1337, 68.29726)),
    "size": (224, 224),
}
"""The convention of both."""

# Kernel and pooling of the two branches of each squeeze module.
_FINE = (((3, 1), (5, 1)), ((3, 1), (3, 1)))
_COARSE = (
    ((3, 1), (5, 1)),
    ((3, 1), (3, 1)),
    ((5, 1), (3, 2)),
    ((5, 2), (3, 4)),
    ((3, 1), (3, 1)),
    ((5, 1), (5, 1)),
    ((3, 2), (3, 4)),
    ((3, 1), (5, 2)),
)


class SINet(nn.Module):
    """[B 3 H W] to two logits [B 2 H W]; sides are multiples of 32.

    The decoder lets fine features through only where the coarse prediction is unsure (1 − max p).
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _SqueezedEncoder()
        self.up = nn.UpsamplingBilinear2d(scale_factor=2)
        self.bn_3 = _norm(2)
        self.level2_C = _ConvNormAct(48, 2, 1)
        self.bn_2 = _norm(2)
        self.classifier = nn.Sequential(
            nn.UpsamplingBilinear2d(scale_factor=2), nn.Conv2d(2, 2, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        coarse, fine = self.encoder(x)
        coarse = self.bn_3(self.up(coarse))
        unsure = 1 - coarse.softmax(1).amax(1, keepdim=True)
        return self.classifier(self.bn_2(self.up(self.level2_C(fine) * unsure + coarse)))


class _SqueezedEncoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.level1 = _ConvNormAct(3, 12, 3, stride=2)
        self.level2_0 = _Squeezed(12, 16, hidden=None)
        self.level2 = nn.ModuleList(_SpatialSqueeze(16 if i == 0 else 48, 48, b) for i, b in enumerate(_FINE))
        self.BR2 = _NormAct(64)
        self.level3_0 = _Squeezed(64, 48, hidden=32)
        self.level3 = nn.ModuleList(_SpatialSqueeze(48 if i == 0 else 96, 96, b) for i, b in enumerate(_COARSE))
        self.BR3 = _NormAct(144)
        self.classifier = _Conv(144, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        first = fine = self.level2_0(self.level1(x))
        for block in self.level2:
            fine = block(fine)
        second = coarse = self.level3_0(self.BR2(torch.cat([first, fine], 1)))
        for block in self.level3:
            coarse = block(coarse)
        return self.classifier(self.BR3(torch.cat([second, coarse], 1))), fine


class _SpatialSqueeze(nn.Module):
    """A grouped 1×1 reduction whose channels are shuffled, then two branches beside each other."""

    def __init__(self, inputs: int, outputs: int, branches: tuple[tuple[int, int], tuple[int, int]]) -> None:
        super().__init__()
        half = outputs // 2
        self.c1 = _Conv(inputs, half, 1, groups=2)
        self.d1 = _Branch(half, *branches[0])
        self.d2 = _Branch(half, *branches[1])
        self.BR = _NormAct(outputs)
        self.residual = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        shuffled = nn.functional.channel_shuffle(self.c1(x), 2)
        both = torch.cat([self.d1(shuffled), self.d2(shuffled)], 1)
        return self.BR(x + both if self.residual else both)


class _Branch(nn.Module):
    """A separable convolution at a resolution reduced by `pooled`."""

    def __init__(self, channels: int, kernel: int, pooled: int) -> None:
        super().__init__()
        self.down = nn.AvgPool2d(pooled) if pooled > 1 else nn.Identity()
        self.up = nn.UpsamplingBilinear2d(scale_factor=pooled) if pooled > 1 else nn.Identity()
        self.conv = nn.Sequential(_deep(channels, kernel), _norm(channels))
        self.act_conv1x1 = nn.Sequential(nn.PReLU(channels), nn.Conv2d(channels, channels, 1, bias=False))
        self.bn = _norm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.up(self.act_conv1x1(self.conv(self.down(x)))))


class _Squeezed(nn.Module):
    """A depthwise convolution of stride 2, its channels weighed by what they hold on average, and a 1×1 one."""

    def __init__(self, inputs: int, outputs: int, hidden: int | None) -> None:
        super().__init__()
        weigh = _Weigh(inputs, hidden)
        self.conv = nn.Sequential(_deep(inputs, 3, stride=2), weigh, nn.Conv2d(inputs, outputs, 1, bias=False))
        self.bn = _norm(outputs)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class _Weigh(nn.Module):
    def __init__(self, channels: int, hidden: int | None) -> None:
        super().__init__()
        widths = (channels, channels) if hidden is None else (channels, hidden, channels)
        steps = [(nn.Linear(a, b), nn.PReLU(b)) for a, b in itertools.pairwise(widths)]
        self.dense = nn.Sequential(*(layer for step in steps for layer in step))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.dense(x.mean((2, 3)))[..., None, None]


class ExtremeC3(nn.Module):
    """[B 3 H W] to ONE logit [B 1 H W]; sides are multiples of 4. A coarse and a fine path are added."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = _ConcentratedEncoder()
        self.upsample = nn.Sequential(
            nn.Conv2d(112, 24, 1, bias=False), nn.BatchNorm2d(24), nn.UpsamplingBilinear2d(scale_factor=2)
        )
        self.Fine = nn.Sequential(_Conv(3, 24, 3, stride=2), _Concentrated(24, 24, (2, 4, 8), residual=True))
        self.classifier = nn.Sequential(
            _NormAct(24), nn.UpsamplingBilinear2d(scale_factor=2), nn.Conv2d(24, 1, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.upsample(self.encoder(x)) + self.Fine(x))


class _ConcentratedEncoder(nn.Module):
    """Features [B 112 H/4 W/4]; the picture itself, made smaller, is handed to each level."""

    def __init__(self) -> None:
        super().__init__()
        self.smaller = nn.AvgPool2d(2)
        self.level1 = _ConvNormAct(3, 24, 3, stride=2)
        self.b1 = _NormAct(27)
        self.level2_0 = _Downward(27, 48, (1, 2, 3))
        self.level2 = nn.ModuleList([_Concentrated(48, 48, (1, 3, 4), residual=True)])
        self.b2 = _NormAct(99)
        self.level3_0 = _Concentrated(99, 56, (1, 3, 5), residual=False)
        self.level3 = nn.ModuleList(_Concentrated(56, 56, (2, 4, 8), residual=True) for _ in range(5))
        self.b3 = _NormAct(112)

    def forward(self, x: Tensor) -> Tensor:
        half = self.smaller(x)
        first = second = self.level2_0(self.b1(torch.cat([self.level1(x), half], 1)))
        for block in self.level2:
            second = block(second)
        third = last = self.level3_0(self.b2(torch.cat([second, first, self.smaller(half)], 1)))
        for block in self.level3:
            last = block(last)
        return self.b3(torch.cat([third, last], 1))


class _Concentrated(nn.Module):
    """A 1×1 reduction, then three dilated branches beside each other."""

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, int, int], *, residual: bool) -> None:
        super().__init__()
        self.c1 = _Conv(inputs, outputs // 3, 1)
        self.d1, self.d2, self.d3 = _branches(outputs, dilations)
        self.bn = _NormAct(outputs)
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.c1(x)
        joined = torch.cat([self.d1(reduced), self.d2(reduced), self.d3(reduced)], 1)
        return self.bn(x + joined if self.residual else joined)


class _Downward(nn.Module):
    """The same behind a 3×3 convolution of stride 2."""

    def __init__(self, inputs: int, outputs: int, dilations: tuple[int, int, int]) -> None:
        super().__init__()
        self.c1 = _Conv(inputs, outputs // 3, 3, stride=2)
        self.d1, self.d2, self.d3 = _branches(outputs, dilations)
        self.bn = _norm(outputs)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.c1(x)
        return self.act(self.bn(torch.cat([self.d1(reduced), self.d2(reduced), self.d3(reduced)], 1)))


class _Dilated(nn.Module):
    """A dilated separable convolution; for d > 1 behind a depthwise one of (2d − 1)×1 and 1×(2d − 1), which gathers
    what the dilated one steps over."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        layers = [_deep(inputs, 3, dilation=dilation), nn.Conv2d(inputs, outputs, 1, bias=False)]
        if dilation > 1:
            reach, k = dilation - 1, 2 * dilation - 1
            column = nn.Conv2d(inputs, inputs, (k, 1), padding=(reach, 0), groups=inputs, bias=False)
            row = nn.Conv2d(inputs, inputs, (1, k), padding=(0, reach), groups=inputs, bias=False)
            normed = [nn.BatchNorm2d(inputs), nn.PReLU(inputs), row, nn.BatchNorm2d(inputs)]
            layers = [column, *normed, *layers]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


def _branches(outputs: int, dilations: tuple[int, int, int]) -> list[_Dilated]:
    third = outputs // 3
    widths = (outputs - 2 * third, third, third)
    return [_Dilated(third, width, d) for width, d in zip(widths, dilations, strict=True)]


def _deep(channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A depthwise convolution that keeps the size (but for its stride)."""
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups=channels, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)


class _Conv(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _NormAct(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = _norm(channels)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(x))


class _ConvNormAct(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = _norm(outputs)
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))
