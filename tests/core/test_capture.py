"""Taps: what they keep, what they hand on, and the exact mathematics of cutting at a layer."""

from collections import namedtuple

import pytest
import torch
from torch import nn

from seglens.core.capture import capture, first_tensor, split_call
from seglens.core.errors import BatchMixingWarning, CaptureError, LayerNotFoundError, RepeatedLayerWarning
from seglens.core.network import Network

X = torch.rand(2, 3, 6, 6, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.a = nn.Conv2d(3, 3, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)
        self.b = nn.Conv2d(3, 3, 3, padding=1)
        self.unused = nn.Conv2d(3, 3, 1)
        self.pick = nn.MaxPool2d(2, return_indices=True)

    def forward(self, x):
        return self.relu(self.b(self.relu(self.a(x))))


@pytest.mark.parametrize("name", ["a", "b"])
def test_keeps_what_the_layer_gave_before_an_in_place_operation(name):
    net = Network(module=Net())
    with torch.no_grad():
        a = net.module.a(X)
        expected = {"a": a, "b": net.module.b(a.clamp(min=0))}[name]
    assert bool((expected < 0).any())
    with capture(net, [name]) as taps:
        net(X)
        torch.testing.assert_close(taps[name].detach(), expected)


def test_the_first_tap_is_a_leaf_and_a_later_one_depends_on_it():
    net = Network(module=Net())
    with capture(net, ["a", "b"]) as taps:
        y = net(X)
        assert taps["a"].is_leaf
        assert not taps["b"].is_leaf
        by_a = torch.autograd.grad(y.sum(), taps["a"], retain_graph=True)[0]
        by_b = torch.autograd.grad(y.sum(), taps["b"], retain_graph=True)[0]
        chained = torch.autograd.grad(taps["b"], taps["a"], by_b)[0]
    torch.testing.assert_close(by_a, chained)


def test_a_layer_that_runs_twice():
    net = Network(module=Net())
    with torch.no_grad():
        first = net.module.a(X).clamp(min=0)
        second = net.module.b(first).clamp(min=0)
    with capture(net, ["relu", "relu#0", "relu#1", "relu#2"]) as taps:
        net(X)
        with pytest.warns(RepeatedLayerWarning, match=r"layer 'relu' runs 2 times .* the last call is taken.*'relu#0'"):
            torch.testing.assert_close(taps["relu"].detach(), second)
        torch.testing.assert_close(taps["relu#0"].detach(), first)
        torch.testing.assert_close(taps["relu#1"].detach(), second)
        with pytest.raises(CaptureError, match=r"runs 2 time\(s\) in one pass \(numbered from 0\); there is no call 2"):
            taps["relu#2"]


def test_only_the_last_forward_pass_counts():
    net = Network(module=Net())
    with capture(net, ["a"]) as taps:
        net(X)
        net(2 * X)
        torch.testing.assert_close(taps["a"].detach(), net.module.a(2 * X))


def test_layers_without_a_map():
    net = Network(module=Net())
    with capture(net, ["unused"]) as taps:
        net(X)
        with pytest.raises(CaptureError, match="layer 'unused' exists in Net but did not run in its forward pass"):
            taps["unused"]
        with pytest.raises(CaptureError, match="layer 'b' was not tapped; tapped are: unused"):
            taps["b"]
        assert list(taps) == ["unused"]
        assert len(taps) == 1
    with pytest.raises(LayerNotFoundError, match="no layer 'c' in Net"), capture(net, ["c#1"]):
        pass


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripted_layers_take_no_taps():
    net = Network(module=nn.Sequential(torch.jit.script(nn.Sequential(nn.Conv2d(3, 2, 1)))))
    with pytest.raises(CaptureError, match=r"layer '0.0' .* compiled TorchScript"), capture(net, ["0.0"]):
        pass


def test_batch_statistics_warn():
    net = Network(module=nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)))
    with pytest.warns(BatchMixingWarning, match=r"normalises over the batch .*layer '0'"), capture(net):
        pass


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 1),
        nn.Conv2d(4, 6, 1, bias=False),
        nn.Conv2d(4, 6, 1, dilation=2, padding_mode="circular"),
    ],
    ids=["with bias", "without", "options that change nothing"],
)
def test_the_head_is_weight_times_input_plus_bias(layer):
    net = Network(module=nn.Sequential(nn.Conv2d(3, 4, 3), layer))
    with capture(net, head=True) as taps:
        net(X)
        found = torch.einsum("kj,bj...->bk...", taps.head.weight, taps.head.input)
        bias = 0 if layer.bias is None else layer.bias[:, None, None]
        torch.testing.assert_close(found + bias, taps.head.output)
        assert taps.head.name == "1"
    assert taps.head is None


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, 3),
        nn.Conv2d(4, 6, 1, stride=2),
        nn.Conv2d(4, 6, 1, padding=1),
        nn.Conv2d(4, 6, 1, groups=2),
        nn.Conv2d(4, 6, (1, 2)),
        nn.ConvTranspose2d(4, 6, 1),
        nn.Linear(4, 4),
    ],
    ids=str,
)
def test_no_head(layer):
    net = Network(module=nn.Sequential(nn.Conv2d(3, 4, 3), layer))
    with capture(net, head=True) as taps:
        net(X)
        assert taps.head is None


Named = namedtuple("Named", ["n", "value"])


@pytest.mark.parametrize(
    "form",
    [lambda y: (1, y), lambda y: {"n": 1, "value": y}, lambda y: Named(1, y), lambda y: [None, (2, y)]],
    ids=["tuple", "mapping", "named tuple", "nested"],
)
def test_layers_with_structured_output(form):
    class Layer(nn.Module):
        def forward(self, x):
            return form(2 * x)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = Layer()

        def forward(self, x):
            return 3 * first_tensor(self.layer(x))

    net = Network(module=Net())
    with capture(net, ["layer"]) as taps:
        y = net(X)
        torch.testing.assert_close(taps["layer"].detach(), 2 * X)
        gradient = torch.autograd.grad(y.sum(), taps["layer"])[0]
    assert bool((gradient == 3).all())


@pytest.mark.parametrize(
    ("name", "parts"), [("a.b", ("a.b", None)), ("a#2", ("a", 2)), ("a#b#10", ("a#b", 10)), ("a#", ("a#", None))]
)
def test_call_numbers(name, parts):
    assert split_call(name) == parts
