"""The U-Nets of the context-bias benchmark: their shapes, their depth, and that every pixel sees the whole picture."""

import pytest
import torch
from torch import nn

from seglens.core.capture import capture
from seglens.core.errors import ParameterError, ShapeError
from seglens.core.network import Network
from seglens.core.receptive import Follower
from seglens.networks.digits_unet import BACKBONES, DigitsUNet, InvertedResidual

BLOCKS = tuple(f"encoder.block{number}" for number in range(1, 6))


def convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Conv2d)]


@pytest.mark.parametrize("encoder", BACKBONES)
@pytest.mark.parametrize(("height", "width"), [(64, 64), (32, 48)])
def test_logits_have_the_size_of_the_picture_and_blocks_halve_it(encoder, height, width):
    network = DigitsUNet(encoder, width=4, channels=2, classes=5)
    x = torch.rand(2, 2, height, width)
    with capture(Network(module=network), (*BLOCKS, "decoder.block4", "decoder.block1")) as taps:
        assert network(x).shape == (2, 5, height, width)
        for name, stride in zip(BLOCKS, (1, 2, 4, 8, 16), strict=True):
            assert taps[name].shape[2:] == (height // stride, width // stride)
        channels = tuple(taps[name].shape[1] for name in BLOCKS)
        assert channels == network.encoder.widths
        assert taps["decoder.block4"].shape[2:] == (height // 8, width // 8)
        assert taps["decoder.block1"].shape[2:] == (height, width)


@pytest.mark.parametrize("encoder", BACKBONES)
def test_every_pixel_can_depend_on_the_whole_picture(encoder):
    network = DigitsUNet(encoder, width=2).eval()
    x = torch.rand(1, 1, 64, 64)
    with torch.no_grad(), Follower() as follower:
        follower.root(x)
        reach = follower.reach(network(x))
    for corner in ((0, 0), (0, 63), (63, 0), (63, 63)):
        assert reach.window(corner) == ((0, 63), (0, 63))


@pytest.mark.parametrize("encoder", BACKBONES)
def test_a_corner_does_depend_on_the_opposite_corner(encoder):
    torch.manual_seed(0)
    network = DigitsUNet(encoder, width=4).double().eval()
    x = torch.rand(8, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    slope = torch.autograd.grad(network(x)[:, :, :8, :8].sum(), x)[0]
    assert slope[:, :, -8:, -8:].abs().max() > 0


def test_the_encoders_are_as_deep_as_what_they_are_named_after():
    vgg, resnet, mobilenet = (DigitsUNet(encoder, width=4).encoder for encoder in BACKBONES)
    assert len(convolutions(vgg)) == 13
    # 18 layers less the linear one, and a projection where the channels or the size change
    assert sum(layer.kernel_size != (1, 1) for layer in convolutions(resnet)) == 17
    inverted = [block for block in mobilenet.modules() if isinstance(block, InvertedResidual)]
    assert len(inverted) == 17
    assert all(convolutions(block.depthwise)[0].groups > 1 for block in inverted)
    assert sum(block.keeps for block in inverted) == 10


@pytest.mark.parametrize("encoder", BACKBONES)
def test_every_convolution_but_the_head_is_normalised(encoder):
    network = DigitsUNet(encoder, width=4)
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert len(norms) == len(convolutions(network)) - 1
    assert all(layer.bias is None for layer in convolutions(network) if layer is not network.head)


@pytest.mark.parametrize("encoder", BACKBONES)
def test_every_parameter_takes_part(encoder):
    network = DigitsUNet(encoder, width=4)
    network(torch.rand(2, 1, 32, 32)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_a_size_that_does_not_fit_says_what_would():
    with pytest.raises(ShapeError, match=r"multiples of 16; got 60 x 64\.\n  Pad or resize to 64 x 64\."):
        DigitsUNet(width=2)(torch.zeros(1, 1, 60, 64))


def test_an_unknown_encoder_names_the_nearest():
    with pytest.raises(ParameterError, match=r"no encoder 'vgg'.\n  Nearest: 'vgg16'.\n  All of them: vgg16, resnet18"):
        DigitsUNet("vgg")


def test_a_width_is_two_or_more():
    with pytest.raises(ParameterError, match="width = 1: a block needs 2 channels or more"):
        DigitsUNet(width=1)
