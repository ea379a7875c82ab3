"""`untouched` sees every kind of change, and nothing where nothing changed."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seglens.core.network import Network
from seglens.testing import TOYS, TouchedError, untouched


class Net(nn.Module):
    """A little of everything, gradients and hooks of its owner's included."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.relu = nn.ReLU()
        self.tail = nn.Sequential(nn.Conv2d(4, 2, 1))
        nn.init.zeros_(self.tail[0].bias)
        self.register_buffer("fleeting", torch.ones(2), persistent=False)
        self.register_parameter("absent", None)
        self.table = torch.arange(3.0)
        self.options = {"a": 1}
        self.conv.weight.grad = torch.ones_like(self.conv.weight)
        self.conv.register_forward_hook(lambda *_: None)

    def forward(self, x: Tensor) -> Tensor:
        return self.tail(self.relu(self.norm(self.conv(x))))


def in_place(tensor: Tensor, factor: float) -> None:
    with torch.no_grad():
        tensor.mul_(factor)


def swap_class(net: Net) -> None:
    class Other(nn.ReLU):
        pass

    net.relu.__class__ = Other


def nothing(*_: Any) -> None:
    """A hook."""


def reorder(net: Net) -> None:
    net._modules["conv"] = net._modules.pop("conv")


def replace_value_keeping_version(net: Net) -> None:
    # .data shares no version counter: only the values tell.
    net.conv.weight.data.add_(1.0)


KINDS: dict[str, tuple[Callable[[Net, Tensor], Any], str]] = {
    "parameter, values": (lambda n, x: in_place(n.conv.weight, 2), "'conv.weight': values"),
    "parameter, values through .data": (lambda n, x: replace_value_keeping_version(n), "values"),
    "parameter, written to": (lambda n, x: in_place(n.conv.weight, 1), "version"),
    "parameter, sign of zero": (
        lambda n, x: n.tail[0].bias.data.neg_(),
        "'tail.0.bias': values",
    ),
    "parameter, replaced": (
        lambda n, x: setattr(n.conv, "weight", nn.Parameter(n.conv.weight.detach().clone())),
        "parameter 'conv.weight' is another object",
    ),
    "parameter, new": (lambda n, x: setattr(n, "absent", nn.Parameter(torch.ones(1))), "absent"),
    "parameter, gone": (lambda n, x: delattr(n.conv, "bias"), "'conv.bias'"),
    "parameter, requires_grad": (
        lambda n, x: n.conv.weight.requires_grad_(False),
        "'conv.weight': requires_grad was True, is False",
    ),
    "parameter, type": (lambda n, x: n.double(), "values"),
    "parameter, .grad": (lambda n, x: n.zero_grad(), "'conv.weight': .grad"),
    "parameter, .grad replaced": (
        lambda n, x: setattr(n.conv.weight, "grad", torch.ones_like(n.conv.weight)),
        "'conv.weight': .grad is another object",
    ),
    "parameter, .grad's values": (lambda n, x: n.conv.weight.grad.mul_(2), ".grad's values"),
    "parameter, hook": (lambda n, x: n.conv.weight.register_hook(nothing), "hooks"),
    "parameter, hook after accumulation": (
        lambda n, x: n.conv.weight.register_post_accumulate_grad_hook(nothing),
        "hooks after accumulation",
    ),
    "buffer, values": (lambda n, x: n.norm.running_mean.add_(1), "'norm.running_mean': values"),
    "buffer, replaced": (
        lambda n, x: setattr(n.norm, "running_mean", n.norm.running_mean.clone()),
        "buffer 'norm.running_mean' is another object",
    ),
    "buffer, new": (lambda n, x: n.register_buffer("more", torch.ones(1)), "more"),
    "buffer, made persistent": (
        lambda n, x: n.register_buffer("fleeting", n.fleeting, persistent=True),
        "non-persistent",
    ),
    "forward in training mode": (lambda n, x: n(x), "running_mean"),
    "training flag": (lambda n, x: n.eval(), "module 'conv': training was True"),
    "training flag, one layer": (lambda n, x: n.norm.eval(), "module 'norm': training"),
    "in-place flag": (lambda n, x: setattr(n.relu, "inplace", True), "inplace"),
    "plain attribute, new": (lambda n, x: setattr(n.conv, "kept", x), "'kept' is new"),
    "plain attribute, gone": (lambda n, x: delattr(n, "options"), "'options' is gone"),
    "plain attribute, other object": (lambda n, x: setattr(n, "options", {"a": 1}), "options"),
    "plain tensor, values": (lambda n, x: n.table.add_(1), "'table': values"),
    "forward, replaced": (lambda n, x: setattr(n.conv, "forward", n.conv.forward), "'forward'"),
    "class": (lambda n, x: swap_class(n), "module 'relu': its class"),
    "submodule, replaced": (lambda n, x: setattr(n, "relu", nn.ReLU()), "submodule 'relu'"),
    "submodule, new": (lambda n, x: n.tail.append(nn.ReLU()), "'tail.1'"),
    "submodule, wrapped": (
        lambda n, x: setattr(n, "conv", nn.Sequential(n.conv)),
        "submodule 'conv'",
    ),
    "submodules, order": (lambda n, x: reorder(n), "submodules in order"),
    "hook on all modules": (
        lambda n, x: nn.modules.module.register_module_forward_hook(nothing),
        "hooks on all modules",
    ),
    "tensor, values": (lambda n, x: in_place(x, 2), "tensor 0: values"),
    "tensor, written to": (lambda n, x: in_place(x, 1), "tensor 0: version"),
    "tensor, requires_grad": (lambda n, x: x.requires_grad_(), "tensor 0: requires_grad"),
    "tensor, .grad": (lambda n, x: setattr(x, "grad", x.clone()), "tensor 0: .grad"),
    "tensor, shape": (lambda n, x: x.unsqueeze_(0), "tensor 0: values"),
    "torch's random state": (lambda n, x: torch.rand(1), "torch's random state"),
    "numpy's random state": (lambda n, x: np.random.rand(), "numpy's random state"),  # noqa: NPY002
    "Python's random state": (lambda n, x: random.random(), "Python's random state"),
    "gradient mode": (lambda n, x: torch._C._set_grad_enabled(False), "gradient mode"),
    "default dtype": (lambda n, x: torch.set_default_dtype(torch.float64), "default dtype"),
    "default device": (lambda n, x: torch.set_default_device("meta"), "default device"),
    "deterministic algorithms": (
        lambda n, x: torch.use_deterministic_algorithms(True),
        "deterministic algorithms",
    ),
    "anomaly detection": (lambda n, x: torch.autograd.set_detect_anomaly(True), "anomaly"),
    "autocast": (lambda n, x: torch.set_autocast_enabled("cpu", True), "autocast on cpu"),
    "autocast type": (
        lambda n, x: torch.set_autocast_dtype("cpu", torch.float16),
        "autocast type on cpu",
    ),
    "cudnn.benchmark": (
        lambda n, x: setattr(torch.backends.cudnn, "benchmark", True),
        "cudnn.benchmark",
    ),
}

HOOKS = (
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
    "register_backward_hook",
    "register_state_dict_post_hook",
    "register_state_dict_pre_hook",
    "register_load_state_dict_pre_hook",
    "register_load_state_dict_post_hook",
)


@pytest.fixture
def net() -> Net:
    return Net()


@pytest.fixture
def x() -> Tensor:
    return torch.rand(2, 3, 6, 6)


@pytest.fixture(autouse=True)
def _restored():
    """What the changes below do to the process does not reach other tests."""
    yield
    nn.modules.module._global_forward_hooks.clear()
    torch._C._set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.use_deterministic_algorithms(False)
    torch.autograd.set_detect_anomaly(False)
    torch.set_autocast_enabled("cpu", False)
    torch.set_autocast_dtype("cpu", torch.bfloat16)
    torch.backends.cudnn.benchmark = False


@pytest.mark.parametrize("kind", KINDS)
def test_sees(kind: str, net: Net, x: Tensor):
    change, said = KINDS[kind]
    with pytest.raises(TouchedError) as caught, untouched(net, x):
        change(net, x)
    assert said in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_sees_it_although_the_block_raised(kind: str, net: Net, x: Tensor):
    change, said = KINDS[kind]

    def block() -> None:
        change(net, x)
        raise LookupError("of the block")

    with pytest.raises(TouchedError) as caught, untouched(net, x):
        block()
    assert said in str(caught.value)
    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize("register", HOOKS)
@pytest.mark.parametrize("layer", ["", "conv", "tail.0"])
def test_sees_a_hook(register: str, layer: str, net: Net):
    module = net.get_submodule(layer)
    with pytest.raises(TouchedError, match="_hooks"), untouched(net):
        getattr(module, register)(nothing)


def test_sees_a_hook_removed_or_exchanged(net: Net):
    with pytest.raises(TouchedError, match="_forward_hooks"), untouched(net):
        net.conv._forward_hooks.clear()
    handle = net.tail.register_forward_hook(nothing)

    def exchange() -> None:
        handle.remove()
        net.tail.register_forward_hook(nothing)

    with pytest.raises(TouchedError, match="_forward_hooks"), untouched(net):
        exchange()


def test_sees_another_mode():
    mode = torch.inference_mode()
    with pytest.raises(TouchedError, match="inference mode"), untouched(nn.ReLU()):
        mode.__enter__()
    mode.__exit__(None, None, None)


def test_sees_all_changes_at_once(net: Net, x: Tensor):
    def change() -> None:
        net.norm.eval()
        x.requires_grad_()
        torch.rand(1)

    with pytest.raises(TouchedError) as caught, untouched(net, x):
        change()
    assert len(caught.value.changes) == 3


def test_sees_extra_inputs_of_a_network(net: Net):
    extra = torch.ones(2)
    with pytest.raises(TouchedError, match="tensor 0"), untouched(Network(module=net, extra=(extra,))):
        extra.add_(1)


@pytest.mark.parametrize("name", TOYS)
def test_clean_use_passes(name: str):
    toy = TOYS[name]()
    for subject in (toy.user, toy.network):
        with untouched(subject, toy.x):
            [p.sum() for p in toy.network.module.parameters()]


def test_what_is_undone_passes(net: Net, x: Tensor):
    with untouched(net, x):
        net.conv.register_forward_hook(nothing).remove()
        net.conv.weight.register_hook(nothing).remove()
        before = net.training
        net.train(not before).train(before)
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.rand(1)


def test_nan_equals_itself(net: Net):
    with torch.no_grad():
        net.conv.weight[0] = torch.nan
    with untouched(net, torch.tensor([torch.nan])):
        pass


def test_error_of_the_block_comes_out_as_it_was(net: Net):
    with pytest.raises(LookupError, match="of the block"), untouched(net):
        raise LookupError("of the block")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_and_odd_tensors(net: Net):
    script = torch.jit.trace(net.eval(), torch.rand(1, 3, 6, 6))
    with torch.inference_mode():
        inferred = torch.ones(2)
    empty, whole = torch.empty(0, 3), torch.arange(3)
    flags, half = torch.tensor([True]), torch.ones(2, dtype=torch.bfloat16)
    sparse = torch.eye(3).to_sparse()
    with untouched(script, inferred, empty, whole, flags, half, sparse):
        script(torch.rand_like(torch.ones(1, 3, 6, 6), generator=torch.Generator()))
    with pytest.raises(TouchedError), untouched(script):
        script.train()
