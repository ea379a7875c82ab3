"""Networks: what comes out of a module, how it is read, and what is said when it cannot be."""

from collections import namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

from seglens.core.classes import ClassTable
from seglens.core.errors import (
    ClassNotFoundError,
    LayerNotFoundError,
    NetworkError,
    NonFiniteError,
    ParameterError,
    ShapeError,
)
from seglens.core.network import Network, is_out_of_memory, unwrap, upsampled

Y = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))


def net(**fields):
    return Network(module=fields.pop("module", nn.Identity()), **fields)


class Returns(nn.Module):
    """Gives whatever a function makes of a convolution's output."""

    def __init__(self, make):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.make = make

    def forward(self, x):
        return self.make(self.conv(x))


@dataclass
class Result:
    logits: Tensor
    hidden: Tensor


Pair = namedtuple("Pair", ["first", "second"])


@pytest.mark.parametrize(
    ("make", "output"),
    [
        (lambda y: y, None),
        (lambda y: {"out": y, "aux": 2 * y}, None),
        (lambda y: {"aux": 2 * y, "pred": y}, None),
        (lambda y: {"some": y}, None),
        (lambda y: (y,), None),
        (lambda y: (y, 3), None),
        (lambda y: Result(y, 2 * y), None),
        (lambda y: {"a": 2 * y, "b": y}, "b"),
        (lambda y: (2 * y, y), 1),
        (lambda y: [2 * y, y], -1),
        (lambda y: (2 * y, y), "1"),
        (lambda y: Result(2 * y, y), "hidden"),
        (lambda y: Pair(2 * y, y), "second"),
    ],
)
def test_outputs_of_every_form(make, output):
    network = net(module=Returns(make), output=output)
    torch.testing.assert_close(network(X), network.module.conv(X))


@pytest.mark.parametrize(
    ("make", "output", "message"),
    [
        (lambda y: {"a": y, "b": y}, None, r"Returns returned a \(2, 4, 4, 5\), b \(2, 4, 4, 5\): which of them holds"),
        (lambda y: (y, y), None, r"0 \(2, 4, 4, 5\), 1 .*\n  Say so with output=KEY, or output=INDEX"),
        (lambda y: "text", None, "returned a str without tensors"),
        (lambda y: {"a": y}, "b", r"returned no tensor under output='b'; there is: a \(2, 4, 4, 5\)"),
        (lambda y: (y,), 3, "returned no tensor under output=3"),
        (
            lambda y: y.argmax(1, keepdim=True),
            None,
            r"whole numbers \(torch.int64\): labels, not scores.*\n.*before its argmax",
        ),
    ],
)
def test_outputs_that_are_refused(make, output, message):
    with pytest.raises(NetworkError, match=message):
        net(module=Returns(make), output=output)(X)


@pytest.mark.parametrize(("make", "shape"), [(lambda y: y.sum(), ()), (lambda y: y[:1], (1, 4, 4, 5))])
def test_outputs_of_another_shape(make, shape):
    with pytest.raises(ShapeError, match=r"for 2 image\(s\); expected \[2, channels\]") as caught:
        net(module=Returns(make))(X)
    assert caught.value.actual == shape


@pytest.mark.parametrize("of", ["logits", "probabilities", "log-probabilities"])
def test_softmax_and_sigmoid(of):
    p = {"softmax": Y.exp() / Y.exp().sum(1, keepdim=True), "sigmoid": 1 / (1 + (-Y).exp())}
    for link in ("softmax", "sigmoid"):
        expected = {"logits": Y, "probabilities": p[link], "log-probabilities": p[link].log()}[of]
        torch.testing.assert_close(net(link=link).scores(Y, of), expected)


@pytest.mark.parametrize("emits", ["logits", "probabilities"])
def test_one_channel_is_two_classes_and_never_a_softmax(emits):
    """Class 1 by y and σ(y), class 0 by −y and σ(−y); a softmax over ±y would give σ(2y)."""
    y = Y[:, :1]
    s = 1 / (1 + (-y).exp())
    network, given = net(emits=emits), y if emits == "logits" else s
    torch.testing.assert_close(network.scores(given, "logits"), torch.cat([-y, y], 1))
    torch.testing.assert_close(network.scores(given, "probabilities"), torch.cat([1 - s, s], 1))
    torch.testing.assert_close(network.scores(given, "log-probabilities"), torch.cat([1 - s, s], 1).log())
    assert not torch.allclose(network.scores(given, "probabilities")[:, 1:], 1 / (1 + (-2 * y).exp()))
    assert torch.equal(network.members(given, 1), y[:, 0] > 0)
    assert torch.equal(network.members(given, 0), y[:, 0] <= 0)
    assert torch.equal(network.labels(given), (y[:, 0] > 0).long())
    assert network.class_table(given).names == ("background", "foreground")


@pytest.mark.parametrize("emits", ["logits", "probabilities"])
def test_independent_labels_overlap(emits):
    given = Y if emits == "logits" else Y.sigmoid()
    network = net(link="sigmoid", emits=emits)
    members = torch.stack([network.members(given, c) for c in range(3)], 1)
    assert torch.equal(members, Y > 0)
    assert (members.sum(1) == 0).any()
    assert (members.sum(1) > 1).any()
    assert network.labels(given) is None


def test_softmax_labels():
    assert torch.equal(net().labels(Y), Y.argmax(1))
    assert torch.equal(net().members(Y, 2), Y.argmax(1) == 2)


def test_logits_of_probabilities():
    p = Y.softmax(1)
    torch.testing.assert_close(net(emits="probabilities").scores(p, "logits"), p.log())
    q = Y.sigmoid()
    torch.testing.assert_close(net(emits="probabilities", link="sigmoid").scores(q, "logits"), Y)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_probabilities_of_0_and_1_give_finite_logits_and_gradients(link, dtype):
    p = torch.tensor([[0.0, 1.0, 0.5]], dtype=dtype, requires_grad=True)
    network = net(emits="probabilities", link=link)
    for of in ("logits", "log-probabilities"):
        values = network.scores(p, of)
        assert bool(torch.isfinite(values).all())
        assert values.detach().abs().max() <= 16
        assert bool(torch.isfinite(torch.autograd.grad(values.sum(), p)[0]).all())
        assert values[0, 0] < values[0, 2] < values[0, 1] + 1e-9


def test_half_precision_is_read_in_float32():
    assert net().scores(Y.half(), "probabilities").dtype == torch.float32
    assert upsampled(net(), Y.half(), (8, 10)).dtype == torch.float32
    assert net().scores(Y, "logits").dtype == torch.float64


def test_units_are_read_as_they_are():
    assert net(link="none").scores(Y, "logits") is Y
    with pytest.raises(ParameterError, match="Identity has no classes, so no probabilities"):
        net(link="none").scores(Y, "probabilities")


def test_class_tables():
    assert net().class_table(Y).names == ("class 0", "class 1", "class 2")
    table = ClassTable(("a", "b"), ((0, 0, 0), (1, 2, 3)))
    assert net(classes=table).class_table(Y[:, :1]) is table
    with pytest.raises(NetworkError, match=r"names 2 classes, but Identity gives 3 channel\(s\).\n  Give 3 names"):
        net(classes=table).class_table(Y)
    with pytest.raises(NetworkError, match=r"gives 1 channel\(s\), two classes.\n  Give 2 names"):
        net(classes=ClassTable(("a",))).class_table(Y[:, :1])
    assert ClassTable.from_dict(table.to_dict()) == table


@pytest.mark.parametrize(("name", "index"), [("car", 0), ("CAR", 0), ("Sky", 1), ("sky", 2), ("1", 1), (2, 2)])
def test_class_names(name, index):
    assert ClassTable(("car", "Sky", "sky")).index(name) == index


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cra", "no class 'cra' among 3.\n  Nearest: 'car'.\n  All of them: car, Sky, sky"),
        ("SKY", "no class 'SKY'"),
        (3, "no class 3: the network has 3, numbered 0 to 2"),
        (-1, "no class -1"),
        ("-1", "no class -1"),
    ],
)
def test_unknown_classes(name, message):
    with pytest.raises(ClassNotFoundError, match=message):
        ClassTable(("car", "Sky", "sky")).index(name)


def test_malformed_class_tables():
    with pytest.raises(ParameterError, match="these occur twice: a"):
        ClassTable(("a", "b", "a"))
    with pytest.raises(ParameterError, match="1 colours for 2 classes"):
        ClassTable(("a", "b"), ((0, 0, 0),))


def test_wrapped_networks_are_unwrapped():
    inner = nn.Conv2d(3, 4, 1)
    assert unwrap(nn.DataParallel(inner)) is inner
    assert Network(module=nn.DataParallel(inner)).name == "Conv2d"
    compiled = torch.compile(inner, backend="eager")
    assert unwrap(compiled) is inner
    assert unwrap(nn.DataParallel(compiled)) is inner


def lightning(**members):
    """A class that is named as Lightning's, without Lightning: `unwrap` goes by name, and imports nothing."""
    base = type("LightningModule", (nn.Module,), {"__module__": "lightning.pytorch"})
    return type("Shell", (base,), members)


def test_a_lightning_shell_without_forward_stands_for_its_network():
    shell = lightning()()
    shell.loss = nn.CrossEntropyLoss()
    assert unwrap(shell) is shell
    shell.model = nn.Conv2d(3, 4, 1)
    assert unwrap(shell) is shell.model
    shell.other = nn.Conv2d(3, 4, 1)
    assert unwrap(shell) is shell


def test_a_lightning_module_with_its_own_forward_is_the_network():
    shell = lightning(forward=lambda self, x: self.model(x) * 2)()
    shell.model = nn.Conv2d(3, 4, 1)
    assert unwrap(shell) is shell
    torch.testing.assert_close(Network(module=shell)(X), 2 * shell.model(X))


def test_nan_weights_are_named():
    module = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 2, 1))
    with torch.no_grad():
        module[1].weight[0, 0] = torch.nan
    network = net(module=module)
    with pytest.raises(NonFiniteError, match=r"image 0, 1 of the batch.\n  Its tensor '1.weight' is not finite"):
        network.check_finite(network(X))
    with pytest.raises(NonFiniteError, match=r"for image 1 of the batch.\n  Its weights are finite"):
        net().check_finite(torch.tensor([[1.0], [torch.inf]]))


def test_failures_inside_the_network_give_advice():
    network = net(module=nn.Sequential(nn.Conv2d(1, 2, 3)))
    with pytest.raises(NetworkError, match=r"convolution takes 1 channel\(s\) \(if not grouped\), the input has 3"):
        network(X)
    with pytest.raises(NetworkError, match="A side this small may be less than the network's stride"):
        net(module=nn.Conv2d(3, 2, 9))(X)
    odd = net(module=Returns(lambda y: torch.cat([y, y[:, :, ::2]], 1)))
    with pytest.raises(NetworkError, match=r"divisor = 32 would pad to \(64, 64\)"):
        odd(torch.zeros(1, 3, 33, 40))


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("can't allocate memory")])
def test_memory_errors_pass_unchanged(error):
    def fail(y):
        raise error

    assert is_out_of_memory(error)
    with pytest.raises(type(error), match="memory"):
        net(module=Returns(fail))(X)


class TwoInputs(nn.Module):
    def forward(self, condition, x):
        return x * condition[:, :, None, None]


def test_extra_inputs_are_tiled_to_the_batch():
    condition = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    network = net(module=TwoInputs(), extra=(condition,), explained=1)
    torch.testing.assert_close(network(X), X * condition[:, :, None, None])
    blocks = torch.cat([X, X + 1, X + 2])
    torch.testing.assert_close(network(blocks), blocks * condition.repeat(3, 1)[:, :, None, None])
    with pytest.raises(ShapeError, match="an extra input holds 2 rows, which do not divide a batch of 3"):
        network(blocks[:3])
    with pytest.raises(ParameterError, match=r"Network.explained is 2, but there are 2 inputs \(from 0\)"):
        network.with_(explained=2)


def test_layers_by_name():
    module = nn.Sequential(nn.Sequential(nn.Conv2d(1, 1, 1)))
    network = net(module=module, source="unet.pt2")
    assert network.layer("0.0") is module[0][0]
    with pytest.raises(
        LayerNotFoundError, match=r"no layer '0.1' in Sequential \(2 layers\).\n  Nearest: '0.0'"
    ) as caught:
        network.layer("0.1")
    assert "All of them: seglens layers unet.pt2" in str(caught.value)
    with pytest.raises(LayerNotFoundError, match="no layer ''"):
        network.layer("")


def test_device_and_type_follow_the_module():
    network = net(module=nn.Conv2d(3, 2, 1).double())
    assert network(X).dtype == network.dtype == torch.float64
    assert net().dtype == torch.float32
    assert net().device == torch.device("cpu")
