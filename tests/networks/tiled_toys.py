"""Networks that are tiled in these tests: some see a bounded field, some do not."""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.core.convention import Convention
from seglens.core.network import Network


class Unet(nn.Module):
    """Two poolings, skips, a transposed convolution and a resizing; sides are multiples of 4."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True))
        self.second = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(4, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU())
        self.bottom = nn.Sequential(nn.MaxPool2d(2), nn.Conv2d(5, 6, 3, padding=1), nn.Tanh())
        self.up = nn.ConvTranspose2d(6, 5, 2, 2)
        self.joint = nn.Conv2d(10, 4, 3, padding=1)
        self.head = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        a = self.first(x)
        b = self.second(a)
        c = self.joint(torch.cat([self.up(self.bottom(b)), b], 1)).relu()
        c = interpolate(c, scale_factor=2, mode="bilinear", align_corners=False)
        return {"out": self.head(torch.cat([c, a], 1))}


class Dilated(nn.Module):
    """No stride, a field of 1 + 2 + 4 + 6 = 13 pixels; one channel out, uneven dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(4, 4, 3, padding=2, dilation=2),
            nn.ELU(),
            nn.Conv2d(4, 4, 3, padding=(3, 2), dilation=(3, 2)),
            nn.Sigmoid(),
        )
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class Strided(nn.Module):
    """Scores on a quarter of the grid, from convolutions with strides of 2 in modules and in functions."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 5, 5, stride=2, padding=2)
        self.head = nn.Conv2d(5, 3, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        return (self.head(nn.functional.avg_pool2d(self.down(x).relu(), 3, 2, 1)),)


class Unpadded(nn.Module):
    """Valid convolutions, whose output is smaller than the input; a layer that runs twice."""

    def __init__(self) -> None:
        super().__init__()
        self.start = nn.Conv2d(3, 4, 3)
        self.again = nn.Conv2d(4, 4, 3)
        self.head = nn.Conv2d(4, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.again(self.again(self.start(x).relu()).relu()).relu())


class Volume(nn.Module):
    """[B 1 D H W] to two classes, with a stride of 2."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv3d(1, 3, 2, stride=2)
        self.mid = nn.Conv3d(3, 3, 3, padding=1)
        self.up = nn.ConvTranspose3d(3, 2, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.mid(self.down(x).relu()).relu())


class Squeezed(nn.Module):
    """A gate from global pooling: every score sees every pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 4, 3, padding=1)
        self.gate = nn.Linear(4, 4)
        self.head = nn.Conv2d(4, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.body(x).relu()
        return self.head(a * self.gate(a.mean((2, 3))).sigmoid()[:, :, None, None])


class Placed(nn.Module):
    """Adds the places of pixels to them: a field of 3 pixels, yet no tile can know where it lies."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(2, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        place = torch.arange(x.shape[3], dtype=x.dtype).expand(1, 1, *x.shape[2:]) / 10
        return self.body(torch.cat([x, place.expand(len(x), -1, -1, -1)], 1))


def network(kind: type[nn.Module], channels: int = 3, divisor: int = 1) -> Network:
    """Of the same weights each time, in float64, its norms with statistics of their own."""
    generator = torch.Generator().manual_seed(5)
    module = kind()
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (1 if p.ndim < 2 else 1.5 / p[0].numel() ** 0.5))
        for name, b in module.named_buffers():
            if b.is_floating_point():
                b.copy_(torch.rand(b.shape, generator=generator) + (0.5 if "var" in name else 0))
    return Network(module=module.double(), convention=Convention(channels=channels, divisor=divisor))


def picture(seed: int, *shape: int) -> Tensor:
    """Values in 0..1, float64."""
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
