"""One network as a module, exported, scripted, as ONNX and as mere weights: the suite for networks, beside its twin."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import seglens as sl
from seglens.core.network import Network
from seglens.networks.builtin import DilatedNet
from seglens.testing import NETWORK_CHECKS, TWIN_CHECKS, Toy, network_conformance

LAYER = "encoder.stage4"
QUESTIONS = (
    sl.Target(1, sl.box(8, 8, 24, 24)),
    sl.Target(sl.channel(0) - sl.channel(2), sl.box(0, 0, 15, 31)),
    sl.Target(2, sl.pixel(16, 16), reduce="sum"),
)
PLAIN = {"channels": 3}
EXAMPLE = (torch.zeros(2, 3, 32, 32),)
ANY_BATCH = ({0: torch.export.Dim("batch", min=1)},)


def small() -> nn.Module:
    """A dilated network with a pyramid of scales and a skip, in small."""
    return DilatedNet(classes=4, widths=(6, 8, 10, 12), pyramid=8, decoder=8)


@pytest.fixture(scope="module")
def module() -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = small().eval()
        for norm in net.modules():
            if isinstance(norm, nn.BatchNorm2d):
                # As trained: what is folded into convolutions must be more than the identity.
                nn.init.uniform_(norm.weight, 0.8, 1.6)
                nn.init.normal_(norm.bias, 0.0, 0.3)
                nn.init.uniform_(norm.running_var, 0.5, 1.5)  # type: ignore[arg-type]
        return net


def exported(net: nn.Module, folder: Path) -> Network:
    program = torch.export.export(net, EXAMPLE, dynamic_shapes=ANY_BATCH)
    torch.export.save(program, folder / "net.pt2")
    return sl.load(folder / "net.pt2", convention=PLAIN)


def onnx(net: nn.Module, folder: Path) -> Network:
    pytest.importorskip("onnxscript")
    torch.onnx.export(net, EXAMPLE, folder / "net.onnx", dynamo=True, dynamic_shapes=ANY_BATCH, verbose=False)
    return sl.load(folder / "net.onnx", convention=PLAIN)


def weights(net: nn.Module, folder: Path) -> Network:
    save_file(net.state_dict(), folder / "net.safetensors")
    return sl.load(folder / "net.safetensors", constructor=small, convention=PLAIN)


SOURCES: dict[str, Callable[[nn.Module, Path], Network]] = {"exported": exported, "ONNX": onnx, "weights": weights}


@pytest.fixture(scope="module", params=SOURCES)
def toy(request: pytest.FixtureRequest, module: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Toy:
    with warnings.catch_warnings():
        # What torch deprecates of its own while it exports.
        warnings.simplefilter("ignore")
        network = SOURCES[request.param](module, tmp_path_factory.mktemp("net"))
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    twin = Toy(network=Network(module=module), x=x, targets=QUESTIONS, layer=LAYER, user=module)
    return Toy(network=network, x=x.clone(), targets=QUESTIONS, layer=LAYER, user=network.module, twin=twin)


@pytest.mark.parametrize("check", [*NETWORK_CHECKS, *TWIN_CHECKS])
def test_it_conforms_and_equals_its_twin(toy: Toy, check: str):
    network_conformance(lambda: toy, twin=True)[check]()


def test_traced_networks_equal_their_twin_by_their_input(module: nn.Module, tmp_path: Path):
    """TorchScript's layers take no taps: what reads the input alone is the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, torch.rand(1, 3, 32, 32)).save(tmp_path / "net.ts")  # type: ignore[no-untyped-call]
    network = sl.load(tmp_path / "net.ts", convention=PLAIN)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    twin = Toy(network=Network(module=module), x=x, targets=QUESTIONS, layer=None, user=module)
    toy = Toy(network=network, x=x, targets=QUESTIONS, layer=None, user=network.module, twin=twin)
    suite = network_conformance(lambda: toy, twin=True)
    by_input = ("saliency", "input-x-gradient", "integrated-gradients", "occlusion", "context-saliency")
    for check in ("output", "gradient", "twin: output", *(f"twin: {name}" for name in by_input)):
        suite[check]()
