"""The suite for networks passes good ones and finds planted faults."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from seglens.core.network import Network
from seglens.testing import NETWORK_CHECKS, TOYS, TWIN_CHECKS, ConformanceError, Toy, network_conformance

GOOD = ("plain", "odd sizes", "volume", "classifier", "U-Net", "in-place ReLU", "DataParallel")


@pytest.mark.parametrize("check", NETWORK_CHECKS)
@pytest.mark.parametrize("name", GOOD)
def test_good_networks_pass(name: str, check: str):
    network_conformance(TOYS[name])[check]()


@pytest.mark.parametrize("check", TWIN_CHECKS)
def test_twins_pass(check: str):
    network_conformance(TOYS["functional ReLU"], twin=True)[check]()


class Planted(nn.Module):
    """A network around another one, with a fault."""

    def __init__(self, inner: nn.Module, fault: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        return self.fault(self.inner, x)


class Straight(torch.autograd.Function):
    """A wrong derivative: three times the right one."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> Tensor:
        return 3 * grads[0]


CALLS: list[int] = []


def counting(net: nn.Module, x: Tensor) -> Tensor:
    """What is kept outside of the module, nobody can put back."""
    CALLS.append(0)
    return net(x) + 0.01 * len(CALLS)


def mixing(net: nn.Module, x: Tensor) -> Tensor:
    return net(x - x.mean((0, 2, 3), keepdim=True))


def unseen(net: nn.Module, x: Tensor) -> Tensor:
    return torch.func.functional_call(net, {}, (x.detach(),)) + 0 * x.sum()


def writing(net: nn.Module, x: Tensor) -> Tensor:
    y = net(x)
    with torch.no_grad():
        next(net.parameters()).mul_(1.0001)
    return y


FAULTS: dict[str, tuple[Callable[[nn.Module, Tensor], Tensor], str]] = {
    "another answer each time": (counting, "output"),
    "a wrong derivative": (lambda net, x: Straight.apply(net(x)), "gradient"),
    "images that mix": (mixing, "batch"),
    "no gradient to the input": (unseen, "gradient"),
    "weights that change": (writing, "output"),
    "blank maps": (unseen, "explains: saliency"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault: str):
    plant, check = FAULTS[fault]

    def sample() -> Toy:
        toy = TOYS["plain"]()
        module = Planted(toy.user, plant)
        network = Network(module=module, classes=toy.network.classes, default_layer="inner.norm", name="planted")
        return replace(toy, network=network, user=module, layer="inner.norm", twin=None)

    suite = network_conformance(sample)
    with pytest.raises(AssertionError):
        suite[check]()


def test_layers_that_no_tap_sees_are_found():
    """As in modules whose forward runs a graph of its own, beside the layers that it shows."""

    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv2d(3, 4, 3)
            self.head = nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.conv2d(x, self.body.weight, self.body.bias)
            return nn.functional.conv2d(y, self.head.weight, self.head.bias)

    module = Hidden().eval()
    toy = replace(TOYS["plain"](), network=Network(module=module, name="hidden"), user=module)
    with pytest.raises(ConformanceError, match="0 of 3 layers were seen to run"):
        network_conformance(lambda: toy)["layers"]()


def test_another_function_is_no_twin():
    def sample() -> Toy:
        toy = TOYS["in-place ReLU"]()
        with torch.no_grad():
            toy.user.get_submodule("head").get_parameter("bias").add_(torch.tensor([0.0, 0.1, 0.0, 0.0]))
        return toy

    suite = network_conformance(sample, twin=True)
    with pytest.raises(ConformanceError, match="output against its twin's"):
        suite["twin: output"]()
