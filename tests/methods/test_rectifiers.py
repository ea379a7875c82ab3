"""Which steps of a network count as rectifiers, what is refused, and what is named as not seen."""

import warnings
from functools import partial

import pytest
import torch
from plain import asked, pictures, relu_net
from rectified import Act, guided_by_hand, three_convolutions
from torch import nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from seglens.core.errors import GuessWarning, RectifierError
from seglens.core.network import Network
from seglens.core.slopes import slopes
from seglens.core.targets import Targets
from seglens.methods import GuidedBackprop
from seglens.methods._rectifiers import find_rectifiers, guided
from seglens.testing import untouched

SIGNED = GuidedBackprop("signed")
ZERO = torch.zeros((), dtype=torch.float64)

NO_RECTIFIERS = {
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "hard sigmoid": F.hardsigmoid,
    "hard sigmoid written out": lambda z: F.relu6(z + 3) / 6,
    "hard sigmoid by a factor": lambda z: (z + 3).clamp(0, 6) * (1 / 6),
    "hard sigmoid in two clamps": lambda z: (z + 3).clamp(min=0).clamp(max=6) / 6,
    "hard sigmoid by ReLU": lambda z: F.relu(z + 3).clamp_max(6) / 6,
    "gated by a hard sigmoid": lambda z: z * (F.relu6(z.mean((2, 3), keepdim=True) + 3) / 6),
    "hardtanh": nn.Hardtanh(),
    "clamp(-1, 1)": lambda z: z.clamp(-1, 1),
    "clamp from a small number": lambda z: z.clamp(min=1e-6),
    "clamp from above": lambda z: z.clamp(max=1),
    "maximum of 1": lambda z: torch.maximum(z, torch.ones_like(ZERO)),
    "log of a sigmoid": F.logsigmoid,
    "soft shrinkage": F.softshrink,
    "hard shrinkage": F.hardshrink,
    "soft sign": F.softsign,
    "x - tanh x": F.tanhshrink,
    "absolute value": torch.abs,
    "square": lambda z: z * z,
    "bell of two gates": lambda z: z.sigmoid() * (1 - z.sigmoid()),
    "gate from elsewhere": lambda z: z * torch.sigmoid(z.mean((2, 3), keepdim=True)),
    "softmax": lambda z: z.softmax(1),
    "nothing": lambda z: z,
    "mask that spreads over channels": lambda z: z.masked_fill(torch.eye(z.shape[-1], dtype=torch.bool), 0.0),
}


@pytest.mark.parametrize("name", NO_RECTIFIERS)
def test_without_a_rectifier_it_refuses(name):
    net, x = three_convolutions(NO_RECTIFIERS[name]), pictures()
    with untouched(net, x), pytest.raises(RectifierError) as raised:
        GuidedBackprop()(net, x, asked(1))
    assert str(raised.value) == (
        "no rectifier was met on the way from the score of Sequential to its input, so guided back-propagation would "
        "be the plain gradient.\n  Use saliency for that."
    )


def test_every_activation_of_torch_is_decided_upon():
    """An activation that a later torch brings fails here until someone decides."""
    rectifiers = {"Threshold", "ReLU", "RReLU", "ReLU6", "SiLU", "Mish", "Hardswish", "ELU", "CELU", "SELU", "GELU"}
    rectifiers |= {"LeakyReLU", "Softplus", "PReLU"}
    others = {"Hardtanh", "Sigmoid", "Hardsigmoid", "Tanh", "GLU", "Hardshrink", "LogSigmoid", "Softshrink", "Softsign"}
    others |= {"Tanhshrink", "Softmin", "Softmax", "Softmax2d", "LogSoftmax"}
    every = set(torch.nn.modules.activation.__all__) - {"MultiheadAttention"}
    assert every == rectifiers | others
    for name in every:
        make = getattr(nn, name)
        layer = make(0, 0) if name == "Threshold" else make(1) if name in ("GLU", "Softmin", "Softmax") else make()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            y = layer.eval()(torch.rand(1, 4, 2, 2, requires_grad=True))
        found = find_rectifiers([y.grad_fn, *(n for n, _ in y.grad_fn.next_functions if n is not None)])
        assert bool(found.nodes) == (name in rectifiers), name
        assert not found.doubtful


def test_an_activation_in_another_precision_is_seen():
    """As some networks write GELU and Swish: cast, rectified, and cast back."""
    z = torch.rand(1, 2, 3, 3, dtype=torch.float16, requires_grad=True)
    y = (z.float() * torch.sigmoid(z.float())).half()
    product = y.grad_fn.next_functions[0][0]
    assert find_rectifiers([y.grad_fn, product]).nodes == (product,)


class OneSide(nn.Module):
    """The only rectifier lies on the way to the second input."""

    def forward(self, x, other):
        return torch.tanh(x) + torch.relu(other) * x


def test_a_rectifier_beside_the_way_does_not_count():
    other = torch.rand(2, 2, 8, 8, requires_grad=True)
    net = Network(module=OneSide(), extra=(other,))
    with untouched(net, other), pytest.raises(RectifierError, match="no rectifier was met"):
        GuidedBackprop()(net, pictures().float(), asked(1))


@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, pictures())])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("part", [False, True])
def test_torchscript_is_refused(make, part):
    script = make(relu_net().module)
    net = Network(module=nn.Sequential(script, nn.ReLU()) if part else script, name="scripted")
    for _ in range(3):
        with pytest.raises(RectifierError, match=r"compiled TorchScript(.|\n)*torch.export") as raised:
            GuidedBackprop()(net, pictures(), asked(1))
    assert ("its layer '0' is" in str(raised.value)) == part


def scaled_and_rectified(z: torch.Tensor) -> torch.Tensor:
    return torch.relu(z * 2.0) * 0.5


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_function_is_refused_once_it_is_fused():
    """The first calls run step by step, and are right; later ones hide their steps."""
    function = torch.jit.script(scaled_and_rectified)
    net, x = three_convolutions(function), pictures()
    expected = guided_by_hand(net, x, 1, torch.relu).sum(1).float()
    said: list[str] = []
    for _ in range(4):
        try:
            found = SIGNED(net, x, asked(1)).values[:, 0]
        except RectifierError as refused:
            said.append(str(refused))
        else:
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)
    assert said
    assert all("compiled TorchScript" in text for text in said)


def test_checkpoints_are_seen_through_or_refused():
    """Kept from memory, a part is made again in the reverse pass: seen where it is not reentrant."""
    x = pictures()
    expected = SIGNED(relu_net(), x, asked(1)).values
    inner = relu_net().module[1:4]
    for reentrant in (False, True):
        net = relu_net()
        part = Act(partial(checkpoint, inner, use_reentrant=reentrant))
        net = Network(module=nn.Sequential(net.module[0], part, net.module[4]))
        if reentrant:
            with untouched(net, x), pytest.raises(RectifierError, match="use_reentrant=False"):
                SIGNED(net, x, asked(1))
        else:
            torch.testing.assert_close(SIGNED(net, x, [asked(1), asked(2)]).values[:, :1], expected)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_compiled_part_runs_as_it_is_written():
    """Its rectifiers would be out of reach in a compiled graph: for the time of the call it is not compiled."""
    net = relu_net()
    expected = SIGNED(net, pictures(), asked(1)).values
    part = torch.compile(net.module[1:4], backend="aot_eager")
    net = Network(module=nn.Sequential(net.module[0], part, net.module[4]))
    torch.testing.assert_close(SIGNED(net, pictures(), asked(1)).values, expected)


class Swish(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        s = x.sigmoid()
        return g * (s + x * s * (1 - s))


def half_in_place(z):
    z[:, :2].relu_()
    return z


DOUBTFUL = {
    "custom function": (Swish.apply, r"SwishBackward"),
    "in place on a view": (half_in_place, "an operation in place on a view"),
    "where": (lambda z: torch.where(z > 0, z, ZERO), "a choice or mask of the input's size"),
    "choice of two": (lambda z: torch.where(z > 0, z, torch.sin(z)), "a choice or mask of the input's size"),
    "mask": (lambda z: z * (z > 0), "a choice or mask of the input's size"),
    "mask of numbers": (lambda z: z * (z > 0).double(), "a choice or mask of the input's size"),
    "fill": (lambda z: z.masked_fill(z < 0, 0.0), "a choice or mask of the input's size"),
    "larger of two": (lambda z: torch.maximum(z, z.flip(3)), r"torch\.maximum"),
    "smaller of two": (lambda z: torch.minimum(z, z.flip(3)), r"torch\.minimum"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
def test_what_cannot_be_seen_is_named(name):
    """Beside a rectifier a warning; alone, an error that names it."""
    function, named = DOUBTFUL[name]
    net, x = relu_net(), pictures()
    net.module[1] = Act(function)
    with untouched(net, x), pytest.warns(GuessWarning, match=f"changes 1 rectifier.*passes through {named}"):
        SIGNED(net, x, asked(1))
    net = three_convolutions(function)
    with untouched(net, x), pytest.raises(RectifierError, match=f"one of these is a rectifier.*{named}"):
        SIGNED(net, x, asked(1))


def test_the_larger_of_x_and_a_part_of_x_is_a_leaky_relu():
    written = three_convolutions(lambda z: torch.maximum(0.1 * z, z))
    own = three_convolutions(lambda z: F.leaky_relu(z, 0.1))
    x = pictures()
    torch.testing.assert_close(SIGNED(written, x, asked(1)).values, SIGNED(own, x, asked(1)).values)


def test_module_hooks_of_the_user_are_no_doubt():
    net, x = relu_net(), pictures()
    expected = SIGNED(net, x, asked(1)).values
    net.module[1].register_full_backward_hook(lambda module, grad_input, grad_output: None)
    torch.testing.assert_close(SIGNED(net, x, asked(1)).values, expected)


def test_hooks_are_gone_after_the_call_and_after_an_error():
    """The same graph gives the plain gradient again, whatever happened inside."""
    net, x = relu_net(), pictures()
    with slopes(net, x, Targets.of(asked(1))) as found:
        before = found.linear(lambda g: g)
        with guided(net, found) as count:
            assert count == 2
            changed = found.linear(lambda g: g)
        with pytest.raises(KeyError), guided(net, found):
            raise KeyError
        assert torch.equal(found.linear(lambda g: g), before)
        assert not torch.allclose(changed, before)
