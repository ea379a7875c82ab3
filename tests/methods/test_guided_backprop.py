"""Guided back-propagation against a pass by hand, in every spelling, and where it must refuse or warn."""

import math
import warnings
from functools import partial

import pytest
import torch
from plain import asked, gradient, in_box, pictures, relu_net, score
from rectified import Act, GuidedReLU, guided_by_hand, three_convolutions
from torch import nn
from torch.nn import functional as F

import seglens as sl
from seglens.core.cost import measured
from seglens.core.errors import CaptureError, GuessWarning, ParameterError, RectifierError
from seglens.core.network import Network
from seglens.core.regions import everything
from seglens.core.targets import Target, channel
from seglens.methods import GuidedBackprop
from seglens.testing import toys, untouched

SIGNED = GuidedBackprop("signed")
ZERO = torch.zeros((), dtype=torch.float64)

RELUS = {
    "module": nn.ReLU(),
    "in-place module": nn.ReLU(inplace=True),
    "F.relu": F.relu,
    "F.relu in place": partial(F.relu, inplace=True),
    "torch.relu": torch.relu,
    "torch.relu_": torch.relu_,
    "Tensor.relu_": lambda z: z.relu_(),
    "clamp(min=0)": lambda z: z.clamp(min=0),
    "clamp_(min=0)": lambda z: z.clamp_(min=0),
    "clamp_min": lambda z: torch.clamp_min(z, 0),
    "clamp_min_": lambda z: z.clamp_min_(0.0),
    "clamp by a tensor": lambda z: z.clamp(min=ZERO),
    "clamp_min by a tensor": lambda z: z.clamp_min(ZERO),
    "maximum": lambda z: torch.maximum(z, ZERO),
    "maximum, constant first": lambda z: torch.maximum(ZERO, z),
    "fmax": lambda z: torch.fmax(z, ZERO),
    "threshold": nn.Threshold(0.0, 0.0),
    "threshold in place": nn.Threshold(0.0, 0.0, inplace=True),
    "hardtanh of 0 to much": nn.Hardtanh(0.0, 1e9),
    "(x + |x|) / 2": lambda z: (z + z.abs()) / 2,
    "leaky with slope 0": lambda z: torch.where(z > 0, z, z * 0.0),
}


@pytest.mark.parametrize("spelling", RELUS)
def test_every_spelling_is_the_pass_by_hand(spelling):
    net, x = three_convolutions(RELUS[spelling]), pictures()
    found = SIGNED(net, x, [asked(c) for c in range(3)])
    for c in range(3):
        by_hand = guided_by_hand(net, x, c, torch.relu)
        plain = guided_by_hand(net, x, c, torch.relu, rule=False)
        torch.testing.assert_close(found.values[:, c], by_hand.sum(1).float(), rtol=1e-5, atol=1e-7)
        # The measure itself: by hand without the rule, it is autograd's own gradient, and another map.
        own = gradient(lambda v, c=c: score(three_convolutions(torch.relu).module(v), c), x)
        torch.testing.assert_close(plain, own, rtol=1e-7, atol=1e-9)
        assert (by_hand - plain).abs().max() > 0.1 * plain.abs().max()


@pytest.mark.parametrize("how", ["sum", "max", "l2", "signed"])
def test_a_twin_of_custom_functions_and_reductions(how):
    """The same weights with custom autograd functions for ReLUs, differentiated by plain autograd."""
    net, x = relu_net(), pictures()
    twin = nn.Sequential(*(Act(GuidedReLU.apply) if isinstance(m, nn.ReLU) else m for m in net.module))
    found = GuidedBackprop(how)(net, x, [asked(c) for c in (2, 0)])
    for t, c in enumerate((2, 0)):
        g = gradient(lambda v, c=c: score(twin(v), c), x)
        expected = {"sum": g.abs().sum(1), "max": g.abs().amax(1), "l2": g.square().sum(1).sqrt(), "signed": g.sum(1)}
        torch.testing.assert_close(found.values[:, t], expected[how].float())
    assert found.unit == "{score} per unit of input"
    assert found.signed == (how == "signed")
    assert found.layer is None


RELU6S = [nn.ReLU6(), nn.ReLU6(True), F.relu6, nn.Hardtanh(0, 6), lambda z: z.clamp(0, 6), lambda z: z.clamp_(0, 6)]


@pytest.mark.parametrize("spelling", range(len(RELU6S)))
def test_relu6_lets_nothing_through_above_6(spelling):
    net, x = three_convolutions(RELU6S[spelling]), pictures() * 12
    inside = net.module[0](x)
    assert (inside > 6).float().mean() > 0.05
    found = SIGNED(net, x, asked(1)).values[:, 0]
    by_hand = guided_by_hand(net, x, 1, lambda z: z.clamp(0, 6))
    torch.testing.assert_close(found, by_hand.sum(1).float(), rtol=1e-5, atol=1e-7)
    assert not torch.allclose(found, guided_by_hand(net, x, 1, torch.relu).sum(1).float(), rtol=0.1)


PRELU = nn.PReLU(init=0.3)
OWN_DERIVATIVE = {
    "leaky": nn.LeakyReLU(0.2),
    "leaky in place": nn.LeakyReLU(0.2, inplace=True),
    "PReLU": PRELU,
    "RReLU": nn.RReLU().eval(),
    "ELU": nn.ELU(0.7),
    "ELU in place": nn.ELU(inplace=True),
    "SELU": nn.SELU(),
    "CELU": nn.CELU(1.5),
    "CELU in place": nn.CELU(1.5, inplace=True),
    "SiLU": nn.SiLU(),
    "SiLU in place": nn.SiLU(inplace=True),
    "GELU": nn.GELU(),
    "GELU by tanh": nn.GELU("tanh"),
    "Mish": nn.Mish(),
    "hard swish": nn.Hardswish(),
    "softplus": nn.Softplus(2.0),
    "thresholded": nn.Threshold(0.25, 0.0),
    "written out: Swish": lambda z: z * torch.sigmoid(z),
    "written out: x σ(1.702 x)": lambda z: z * torch.sigmoid(1.702 * z),
    "written out: Mish": lambda z: z * torch.tanh(F.softplus(z)),
    "written out: GELU": lambda z: z * 0.5 * (1 + torch.erf(z / math.sqrt(2))),
    "written out: GELU by tanh": lambda z: 0.5 * z * (1 + torch.tanh(0.7978845608 * (z + 0.044715 * z**3))),
    "written out: hard swish": lambda z: z * F.relu6(z + 3) / 6,
    "written out: hard swish by a gate": lambda z: z * (F.relu6(z + 3) / 6),
    "written out: softplus": lambda z: torch.where(z * 2 > 20, z, torch.log1p(torch.exp(z * 2)) / 2),
    "written out: Mish by choice": lambda z: z * torch.tanh(torch.where(z > 20, z, torch.log1p(torch.exp(z)))),
    "written out: leaky": lambda z: torch.where(z > 0, z, 0.2 * z),
    "written out: ELU": lambda z: torch.where(z > 0, z * 1.0, torch.expm1(z) * 0.5),
}


@pytest.mark.parametrize("name", OWN_DERIVATIVE)
def test_other_rectifiers_keep_their_own_derivative(name):
    """g ↦ max(g, 0) · φ′(x), φ′ by central differences."""
    function = OWN_DERIVATIVE[name]
    net, x = three_convolutions(function), pictures() * 4
    found = SIGNED(net, x, [asked(c) for c in range(3)])
    for c in range(3):
        by_hand = guided_by_hand(net, x, c, function)
        torch.testing.assert_close(found.values[:, c], by_hand.sum(1).float(), rtol=1e-5, atol=1e-6)
        assert (by_hand - guided_by_hand(net, x, c, function, rule=False)).abs().max() > 1e-3


class Nested(nn.Module):
    """ReLUs under other names, inside other modules: one module used twice, a function, and a module of its own."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.third, self.last = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 3, 1)
        self.r1 = nn.Sequential(nn.Sequential(nn.ReLU(inplace=True)))

    def forward(self, x, r=None):
        one = self.r1 if r is None else r
        a = one(self.first(x))
        b = one(self.second(a))
        return self.last((F.relu if r is None else r)(self.third(b + a)))


def nested():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return Network(module=Nested().double())


def expected_of_nested(net, x, c):
    return gradient(lambda v: score(net.module(v, GuidedReLU.apply), c), x)


def test_functions_names_nesting_and_reuse_make_no_difference():
    net, x = nested(), pictures()
    found = SIGNED(net, x, [asked(c) for c in range(3)])
    for c in range(3):
        expected = expected_of_nested(net, x, c)
        torch.testing.assert_close(found.values[:, c], expected.sum(1).float())
        plain = gradient(lambda v, c=c: score(net.module(v), c), x)
        assert (expected - plain).abs().max() > 0.1 * plain.abs().max()


def test_replacing_modules_misses_functions_and_names():
    """Swapping what is called 'relu', or every nn.ReLU, is the plain gradient or half the rule; ours is neither."""
    net, x = nested(), pictures()
    ours = SIGNED(net, x, asked(1)).values[:, 0]

    def swapped(chosen):
        other = nested().module
        for owner in list(other.modules()):
            for name, child in list(owner.named_children()):
                if chosen(name, child):
                    setattr(owner, name, Act(GuidedReLU.apply))
        return gradient(lambda v: score(other(v), 1), x).sum(1).float()

    plain = gradient(lambda v: score(net.module(v), 1), x).sum(1).float()
    assert torch.equal(swapped(lambda name, child: name == "relu"), plain)
    by_modules = swapped(lambda name, child: isinstance(child, nn.ReLU))
    for theirs in (plain, by_modules):
        assert (ours - theirs).abs().max() > 0.05 * ours.abs().max()
    torch.testing.assert_close(ours, expected_of_nested(net, x, 1).sum(1).float())


def test_outputs_kept_by_module_and_shape_collide_where_a_relu_is_reused():
    """A table of outputs by module and shape holds the last call's only: the first is then masked by another's."""
    net, x = nested(), pictures()
    kept = {}

    class Tabled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, v):
            y = v.clamp(min=0)
            kept[tuple(y.shape)] = y
            return y

        @staticmethod
        def backward(ctx, g):
            return g.clamp(min=0) * (kept[tuple(g.shape)] > 0)

    collided = gradient(lambda v: score(net.module(v, Tabled.apply), 1), x).sum(1).float()
    expected = expected_of_nested(net, x, 1).sum(1).float()
    assert (collided - expected).abs().max() > 0.05 * expected.abs().max()
    torch.testing.assert_close(SIGNED(net, x, asked(1)).values[:, 0], expected)


@pytest.mark.filterwarnings("ignore:Setting backward hooks:UserWarning")
def test_parity_with_captum():
    peer = pytest.importorskip("captum.attr", exc_type=ImportError).GuidedBackprop
    net = relu_net()
    # It takes every ReLU for itself once.
    x = pictures()

    class Scores(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net.module

        def forward(self, v):
            return torch.stack([score(self.net(v), c) for c in range(3)], 1)

    ours = SIGNED(net, x, [asked(c) for c in range(3)])
    for c in range(3):
        theirs = peer(Scores()).attribute(x.clone().requires_grad_(), target=c).detach().sum(1)
        torch.testing.assert_close(ours.values[:, c], theirs.float(), rtol=1e-6, atol=1e-6)
    functional = three_convolutions(F.relu)
    net = functional
    theirs = peer(Scores()).attribute(x.clone().requires_grad_(), target=1).detach()
    plain = gradient(lambda v: score(functional.module(v), 1), x)
    torch.testing.assert_close(theirs, plain)
    guided = SIGNED(functional, x, asked(1)).values[:, 0]
    assert (guided - plain.sum(1)).abs().max() > 0.1 * plain.abs().max()


@pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")
def test_the_rule_is_not_linear_so_no_pass_is_shared():
    """More classes than the head has inputs, over one region: each by itself, as its twin of functions says."""
    toy = toys.unet()
    found = SIGNED(toy.network, toy.x, toy.targets)
    alone = [SIGNED(toy.network, toy.x, [t]).values for t in toy.targets]
    torch.testing.assert_close(torch.cat(alone, 1), found.values)
    asked_of = [channel(3), channel(0), channel(3) - channel(0)]
    maps = SIGNED(toy.network, toy.x, [Target(c, everything) for c in asked_of]).values
    difference = maps[:, 0] - maps[:, 1]
    assert (maps[:, 2] - difference).abs().max() > 0.1 * difference.abs().max()


def test_images_of_a_batch_do_not_mix():
    net, x = relu_net(), pictures(3, 2, 8, 8)
    together = GuidedBackprop()(net, x, asked(1)).values
    alone = torch.cat([GuidedBackprop()(net, row[None], asked(1)).values for row in x])
    torch.testing.assert_close(together, alone)


def test_nothing_outside_the_receptive_field():
    """Two 3 × 3 convolutions and a stride of 2 around pixels 0..1: nothing from pixel 7 on."""
    net, x = relu_net(), pictures()
    found = GuidedBackprop()(net, x, Target(1, sl.pixel(0, 0))).values
    assert (found[..., 7:, :] == 0).all()
    assert (found[..., 7:] == 0).all()
    assert (found[..., :4, :4] > 0).any()


@pytest.mark.parametrize("fail", ["no rectifier", "backward", "wrong class"])
def test_errors_leave_the_network_untouched(fail):
    net = three_convolutions(torch.tanh if fail == "no rectifier" else torch.relu)
    x = pictures()
    if fail == "backward":
        toy = toys.failing(0)
        net, x = toy.network, toy.x
    target = Target("nobody" if fail == "wrong class" else 1, everything)
    with untouched(net, x), warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        with pytest.raises((RectifierError, RuntimeError, LookupError)):
            GuidedBackprop()(net, x, target)
        assert issubclass(RectifierError, CaptureError)


@pytest.mark.parametrize("activation", [nn.ReLU(inplace=True), nn.ReLU6(), nn.SiLU(), nn.Hardswish(), nn.Mish()])
@pytest.mark.parametrize("decomposed", [False, True])
def test_exported_programs_agree_with_their_module(activation, decomposed, tmp_path):
    """Decomposed, an activation is a product or a choice of simpler steps."""
    net, x = three_convolutions(activation), pictures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(net.module, (x,))
        torch.export.save(program.run_decompositions() if decomposed else program, tmp_path / "net.pt2")
        loaded = sl.load(tmp_path / "net.pt2")
    ours, theirs = (SIGNED(n, x, [asked(c) for c in range(3)]) for n in (net, loaded))
    torch.testing.assert_close(theirs.values, ours.values, rtol=1e-5, atol=1e-7)


class Pooled(nn.Module):
    """Features averaged over space: to [B K], or to [B K 1 1]."""

    def __init__(self, flat):
        super().__init__()
        self.body, self.flat = relu_net().module[:4], flat
        torch.manual_seed(4)
        self.head = nn.Linear(5, 3).double()

    def forward(self, x):
        y = self.head(self.body(x).mean((2, 3)))
        return y if self.flat else y[:, :, None, None]


def test_a_classifier_is_a_segmenter_of_one_pixel():
    x = pictures()
    one = GuidedBackprop()(Network(module=Pooled(True)), x, [Target(c) for c in range(3)])
    other = GuidedBackprop()(Network(module=Pooled(False)), x, [Target(c, everything) for c in range(3)])
    torch.testing.assert_close(one.values, other.values)
    torch.testing.assert_close(one.score, other.score)
    assert (one.values > 0).any()


def test_probabilities_pass_the_rule_after_their_link():
    """The link and the upsampling are the score's, not the network's: no rule there."""
    net, x = relu_net(), pictures()
    twin = nn.Sequential(*(Act(GuidedReLU.apply) if isinstance(m, nn.ReLU) else m for m in net.module))
    g = gradient(lambda v: score(twin(v), 1, of="probabilities"), x)
    found = SIGNED(net, x, asked(1, of="probabilities")).values[:, 0]
    torch.testing.assert_close(found, g.sum(1).float())
    assert in_box(found).isfinite().all()


@pytest.mark.parametrize("targets", [1, 3])
def test_costs_a_reverse_pass_a_target(targets):
    net, x = relu_net(), pictures()
    with measured() as forward, torch.no_grad():
        net.module(x)
    with measured() as cost:
        GuidedBackprop()(net, x, [asked(c) for c in range(targets)])
    assert cost.flops / forward.flops == pytest.approx(1 + targets, rel=0.01)


def test_wrong_reduction_is_refused():
    with pytest.raises(ParameterError, match="channels"):
        GuidedBackprop("mean")
