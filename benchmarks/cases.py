"""The networks, images and regions that all contestants are given."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import seglens as sl
from seglens.datasets import Streets
from seglens.networks.zoos.repair import import_torchvision


@dataclass(frozen=True, slots=True)
class Case:
    """One network on one image, asked about the mean logit of a class over a region.

    module: in eval mode, [1 C H W] to logits [1 K H W]. x: its input. region: bool [H W], the same for every class.
    channel: the class of a single question. layer: the end of the encoder.
    """

    name: str
    module: nn.Module
    x: Tensor
    region: NDArray[np.bool_]
    channel: int
    classes: int
    layer: str

    @property
    def network(self) -> sl.Network:
        """The module as seglens takes it; its input is prepared already."""
        return sl.Network(module=self.module, name=self.name)

    def targets(self, channels: list[int]) -> sl.Targets:
        """The questions as seglens takes them: the mean logit of each channel over the region."""
        region = sl.mask(self.region)
        return sl.Targets.of([sl.Target(c, region) for c in channels])

    def score(self, x: Tensor) -> Tensor:
        """The same questions as a function of the input, [B K]."""
        mask = torch.from_numpy(self.region)
        return (self.module(x) * mask).sum((2, 3)) / mask.sum()


def smp_unet(classes: int = 19, size: tuple[int, int] = (96, 192), *, pointwise_head: bool = False) -> Case:
    """U-Net with ResNet-18 encoder of segmentation-models-pytorch, untrained, over the middle of a noise image.

    Cost and agreement do not depend on what weights say. pointwise_head: a 1×1 head instead of its 3×3 one.
    """
    import_torchvision()
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    module = smp.Unet("resnet18", encoder_weights=None, classes=classes).eval()
    if pointwise_head:
        head = module.segmentation_head
        head[0] = nn.Conv2d(head[0].in_channels, classes, 1)
    h, w = size
    region = np.zeros(size, bool)
    region[h // 4 : 3 * h // 4, w // 4 : 3 * w // 4] = True
    return Case(
        name="smp U-Net, ResNet-18",
        module=module,
        x=torch.randn(1, 3, h, w, generator=torch.Generator().manual_seed(1)),
        region=region,
        channel=7 % classes,
        classes=classes,
        layer="encoder.layer4",
    )


def streets_unet() -> Case:
    """The trained U-Net that ships, on a held-out street, over the road that it finds there."""
    network = sl.load("streets-unet")
    scene = Streets(1, size=(96, 192), seed=1_000_000)[0]
    x, _ = network.convention.prepare(sl.read_image(scene.image).pixels)
    road = network.class_table(network(x)).index("road")
    with torch.no_grad():
        region = network.members(network(x), road)[0].numpy()
    return Case(
        name="streets-unet",
        module=network.module,
        x=x,
        region=region,
        channel=road,
        classes=len(network.classes or ()),
        layer="bottleneck",
    )
