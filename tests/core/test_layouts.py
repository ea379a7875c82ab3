"""Layouts: the same network in other forms gives the same maps, and what is not known is said."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from seglens.core.capture import capture
from seglens.core.errors import ShapeError
from seglens.core.layouts import LayoutFollower
from seglens.core.network import Network
from seglens.core.targets import Target
from seglens.core.twice import twice_differentiable
from seglens.methods import Activation, GradCAM, HiResCAM, LayerCAM

X = torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


class Plain(nn.Module):
    """A convolution of stride 4, three pointwise layers, and a mean over space: [B C H W] throughout."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patch = nn.Conv2d(3, 6, 4, stride=4)
        self.mix = nn.Conv2d(6, 8, 1)
        self.act = nn.GELU()
        self.last = nn.Conv2d(8, 5, 1)

    def shared(self):
        """Weights of the pointwise layers as those of dense layers."""
        return {
            "patch": (self.patch.weight.flatten(1), self.patch.bias),
            "mix": (self.mix.weight.flatten(1), self.mix.bias),
            "last": (self.last.weight.flatten(1), self.last.bias),
        }

    def forward(self, x):
        return (self.last(self.act(self.mix(self.act(self.patch(x))))) ** 2).mean((2, 3))


class Dense(nn.Module):
    """The same weights as dense layers; how tensors are laid out in between is each subclass's own."""

    def __init__(self, plain):
        super().__init__()
        self.act = nn.GELU()
        for name, (weight, bias) in plain.shared().items():
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            layer.weight, layer.bias = nn.Parameter(weight.detach().clone()), nn.Parameter(bias.detach().clone())
            setattr(self, name, layer)

    def patches(self, x):
        return self.act(self.patch(F.unfold(x, 4, stride=4).transpose(1, 2)))


class Tokens(Dense):
    def forward(self, x):
        return (self.last(self.act(self.mix(self.patches(x)))) ** 2).mean(1)


class ClassTokens(Dense):
    """One class token before the places and two registers behind; they are mixed like the others, and left out."""

    def forward(self, x):
        t = self.patches(x)
        cls, registers = torch.ones(1, 1, 6), torch.zeros(1, 2, 6)
        t = torch.cat([cls.expand(len(x), -1, -1), t, registers.expand(len(x), -1, -1)], 1)
        return (self.last(self.act(self.mix(t)))[:, 1:-2] ** 2).mean(1)


class ChannelsLast(Dense):
    def forward(self, x):
        b, c, h, w = x.shape
        t = x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).flatten(3)
        t = self.act(self.mix(self.act(self.patch(t))))
        return (self.last(t) ** 2).mean((1, 2))


class Windows(Dense):
    """Windows of 4 × 4 on a 6 × 8 grid, padded at the bottom; also rolled by 2."""

    shift = 0

    def forward(self, x):
        b, h, w = len(x), x.shape[2] // 4, x.shape[3] // 4
        t = F.pad(self.patches(x).view(b, h, w, 6), (0, 0, 0, -w % 4, 0, -h % 4))
        t = torch.roll(t, (-self.shift, -self.shift), (1, 2))
        high, wide = t.shape[1:3]
        t = t.view(b, high // 4, 4, wide // 4, 4, 6).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, 6)
        t = self.last(self.act(self.mix(t)))
        t = t.view(b, high // 4, wide // 4, 4, 4, 5).permute(0, 1, 3, 2, 4, 5).reshape(b, high, wide, 5)
        t = torch.roll(t, (self.shift, self.shift), (1, 2))[:, :h, :w]
        return (t**2).mean((1, 2))


class ShiftedWindows(Windows):
    shift = 2


class Heads(Dense):
    """Places as batch entries beside heads: [B·N heads C/heads]."""

    def forward(self, x):
        t = self.patches(x)
        b, n = t.shape[:2]
        t = self.act(self.mix(t.reshape(b * n, 6)).view(b * n, 2, 4)).reshape(b, n, 8)
        return (self.last(t) ** 2).mean(1)


FORMS = [Tokens, ClassTokens, ChannelsLast, Windows, ShiftedWindows, Heads]


@pytest.mark.filterwarnings("ignore:zero everywhere")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("layer", ["patch", "last"])
def test_other_forms_of_a_network_give_the_same_maps(form, layer):
    plain = Plain()
    networks = [Network(module=m, link="softmax") for m in (plain, form(plain))]
    torch.testing.assert_close(networks[1].module(X), plain(X))
    targets = [Target(1), Target(4)]
    for method in (GradCAM(layer, relu=False), HiResCAM(layer), LayerCAM(layer), Activation(layer)):
        expected, found = (method(n, X, targets) for n in networks)
        torch.testing.assert_close(found.values, expected.values, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(found.extras["coarse"], expected.extras["coarse"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_layers_behind_receive_what_they_would_without_taps(form):
    module = form(Plain())
    network = Network(module=module)
    # With frozen weights too: torch takes another way through a dense layer with them on some processors.
    with capture(network):
        expected = network(X)
    torch.testing.assert_close(expected, module(X))
    with capture(network, ["patch", "mix", "last"]) as taps:
        y = network(X)
        assert torch.equal(y, expected)
        assert [taps[n].shape[2:] for n in taps] == [(6, 8)] * 3
        assert taps["patch"].is_leaf
        by_mix = torch.autograd.grad(y[:, 0].sum(), taps["mix"], retain_graph=True)[0]
        chained = torch.autograd.grad(taps["mix"], taps["patch"], by_mix, retain_graph=True)[0]
        whole = torch.autograd.grad(y[:, 0].sum(), taps["patch"], create_graph=True)[0]
        torch.testing.assert_close(whole, chained)
        rows = torch.autograd.grad(y[0], taps["mix"], torch.eye(5), is_grads_batched=True, retain_graph=True)[0]
        torch.testing.assert_close(rows[0][0], by_mix[0])
        assert bool(torch.autograd.grad(whole.square().sum(), taps["patch"])[0].any())


def test_later_passes_and_other_sizes_know_their_forms_too():
    network = Network(module=ClassTokens(Plain()))
    wide = torch.rand(3, 3, 16, 40, generator=torch.Generator().manual_seed(1))
    with capture(network, ["mix"]) as taps:
        for x, grid in ((X, (6, 8)), (X + 1, (6, 8)), (wide, (4, 10)), (X, (6, 8))):
            network(x)
            assert taps["mix"].shape == (len(x), 8, *grid)
        torch.testing.assert_close(taps["mix"], Plain().mix(F.gelu(Plain().patch(X))))


def test_gradients_before_and_behind_agree_where_the_input_requires_one():
    network = Network(module=ShiftedWindows(Plain()))
    x = X.clone().requires_grad_()
    with capture(network, ["mix"]) as taps:
        y = network(x)[:, 0].sum()
        by_layer, by_input = torch.autograd.grad(y, [taps["mix"], x], retain_graph=True)
        torch.testing.assert_close(torch.autograd.grad(taps["mix"], x, by_layer)[0], by_input)


# What is followed: any chain of the usual changes of form keeps the map.


def _changed(t, step):
    """A channels-last map, windows or tokens in another form, or the same with its values squashed."""
    if step == "roll" and t.ndim == 4:
        return t.roll((1, -2), (1, 2))
    if step == "pad" and t.ndim == 4:
        return F.pad(t, (0, 0, 1, 1, 0, 2))
    if step == "windows" and t.ndim == 4 and t.shape[1] % 2 == t.shape[2] % 2 == 0:
        b, h, w, c = t.shape
        return t.view(b, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
    if step == "tokens" and t.ndim == 4:
        return t.flatten(1, 2)
    if step == "extra" and t.ndim == 3:
        return torch.cat([torch.full_like(t[:, :2], 9.0), t, torch.zeros_like(t[:, :1])], 1)
    if step == "heads" and t.ndim == 3 and t.shape[2] % 2 == 0:
        return t.unflatten(2, (2, -1)).transpose(1, 2)
    return None


@given(
    st.tuples(st.integers(1, 3), st.integers(2, 4), st.sampled_from([4, 6]), st.just(4)),
    st.lists(st.sampled_from(["roll", "pad", "windows", "tokens", "extra", "heads", "squash"]), max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_to_map_and_back(shape, chain):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    follower = LayoutFollower()
    with follower:
        follower.root(x)
        t, values, headed, rolled = x.permute(0, 2, 3, 1) + 0, x, False, False
        for step in chain:
            # Rows beside a rolled map are no padding, and heads no map to be padded or rolled.
            new = None if headed or (rolled and step == "pad") else _changed(t, step)
            headed, rolled = (headed or step == "heads"), (rolled or step == "roll")
            t, values = (t.sigmoid(), values.sigmoid()) if new is None else (new, values)
        held = follower.held(t)
    assert held.form is not None
    found = held.form.to_map(t)
    assert held.form.shape == found.shape
    assert torch.equal(held.form.from_map(found, t), t)
    torch.testing.assert_close(found, values)
    other = torch.rand_like(found)
    changed = held.form.from_map(other, t)
    assert torch.equal(held.form.to_map(changed), other)
    extra = held.form.from_map(torch.zeros_like(found), torch.ones_like(t))
    assert int(extra.sum()) == t.numel() - found.numel()


# What is not known.


class Queries(nn.Module):
    """A hundred learned queries that look at all places, as detection transformers have them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.queries = nn.Parameter(torch.randn(100, 8))
        self.decoder = nn.MultiheadAttention(8, 2, batch_first=True)
        self.boxes = nn.Linear(8, 4)

    def forward(self, x):
        t = self.patch(x).flatten(2).transpose(1, 2)
        found, _ = self.decoder(self.queries.expand(len(x), -1, -1), t, t, need_weights=False)
        return self.boxes(found).mean(1)


def test_queries_are_no_places():
    network = Network(module=Queries(), link="softmax")
    expected = r"(?s)'decoder' of Queries gives \(2, 100, 8\), no map .* but tokens whose places .* such as 'patch'"
    with pytest.raises(ShapeError, match=expected):
        GradCAM("decoder")(network, X, [Target(0)])


class Lost(nn.Module):
    """Channels last, and then an operation that may have put anything anywhere."""

    def __init__(self, order):
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 6, 4, stride=4)
        self.odd = nn.Module()
        self.odd.forward = lambda t: t.permute(order).sort(1)[0].sort(2)[0].sort(3)[0]
        self.after = nn.Conv2d(6, 4, 3, padding=1)
        self.back = [order.index(a) for a in range(4)]

    def forward(self, x):
        return self.after(self.odd(self.conv(x)).permute(self.back)).mean((2, 3))


def test_a_lost_map_is_taken_where_a_convolution_shows_that_it_is_one():
    network = Network(module=Lost((0, 1, 2, 3)), link="softmax")
    assert GradCAM("odd")(network, X, [Target(0)]).extras["coarse"].shape == (2, 1, 6, 8)


def test_a_lost_map_of_another_order_is_refused():
    network = Network(module=Lost((0, 2, 3, 1)), link="softmax")
    with pytest.raises(
        ShapeError, match=r"layer 'odd' of Lost gives \(2, 6, 8, 6\), and which of its axes .* was lost"
    ):
        GradCAM("odd")(network, X, [Target(0)])


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t[:, :40],
        lambda t: t[:, torch.randperm(48)],
        lambda t: t.sort(1)[0],
        lambda t: t.flip(1),
        lambda t: t.roll(1, 1),
        lambda t: torch.cat([t, t], 1),
        lambda t: t.transpose(1, 2) @ t,
        lambda t: torch.linalg.qr(t)[0],
    ],
    ids=["part", "order", "sorted", "mirrored", "rolled over rows", "twice", "channels", "no rule"],
)
def test_changes_after_which_no_grid_is_known(change):
    follower = LayoutFollower()
    x = torch.rand(2, 6, 6, 8)
    with follower:
        follower.root(x)
        t = x.flatten(2).transpose(1, 2)
        assert follower.held(t).form is not None
        assert follower.held(change(t)).form is None


def test_a_pass_that_fails_leaves_no_follower_behind():
    class Fails(Plain):
        def forward(self, x):
            self.patch(x)
            raise ValueError("no")

    network = Network(module=Fails())
    with capture(network, ["patch"]):
        for _ in range(2):
            with pytest.raises(Exception, match="no"):
                network(X)
            assert not torch.utils._python_dispatch._get_current_dispatch_mode_stack()


# Second derivatives.


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.patch = nn.Conv2d(3, 4, 4, stride=4)
        self.gate = nn.Hardsigmoid(inplace=True)

    def forward(self, x):
        t = self.patch(x).flatten(2).transpose(1, 2)
        return self.gate(F.scaled_dot_product_attention(t, t, t) * 2 + 0).mean(1)


def test_passes_can_be_differentiated_twice():
    network = Network(module=Attends().double())
    x = X[:1, :, :8, :8].double()

    def gradient(at, twice):
        with capture(network, ["patch"], twice=twice) as taps:
            at = at.clone().requires_grad_()
            y = network(at).pow(3).sum()
            g = torch.autograd.grad(y, at, create_graph=twice)[0]
            return (g, torch.autograd.grad(g.square().sum(), at)[0]) if twice else (g, taps["patch"])

    once, _ = gradient(x, False)
    again, second = gradient(x, True)
    torch.testing.assert_close(again, once)
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(0))
    ends = [gradient(x + e * direction, False)[0].square().sum() for e in (1e-5, -1e-5)]
    torch.testing.assert_close((second * direction).sum(), (ends[0] - ends[1]) / 2e-5, rtol=1e-5, atol=1e-9)
    at = x.clone().requires_grad_()
    with capture(network):
        first = torch.autograd.grad(network(at).sum(), at, create_graph=True)[0]
        with pytest.raises(RuntimeError, match="is not implemented"):
            torch.autograd.grad(first.sum(), at)


@pytest.mark.parametrize(
    "call", [F.hardsigmoid, torch.ops.aten.hardsigmoid.default, lambda t: F.hardsigmoid(t * 1, True)]
)
def test_hard_sigmoids_keep_their_values(call):
    x = torch.linspace(-5, 5, 101)
    with twice_differentiable():
        found = call(x)
    torch.testing.assert_close(found, F.hardsigmoid(x))


def test_a_spread_vector_beside_a_map_leaves_the_map_a_map():
    """As in pyramids: what is pooled over the image and spread again lies along axes that nobody saw."""

    class Spread(nn.Module):
        def forward(self, y):
            return y.mean((2, 3), keepdim=True).expand(-1, -1, *y.shape[2:])

    class Joined(nn.Module):
        def forward(self, a, b):
            return torch.cat([a, b], 1)

    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.spread, self.joined = Spread(), Joined()

        def forward(self, x):
            return self.joined(x, self.spread(x))

    network = Network(module=Pyramid())
    x = torch.rand(2, 3, 4, 5)
    with capture(network, ["spread", "joined"]) as taps:
        y = network(x)
        torch.testing.assert_close(taps["joined"], y.detach())
        assert taps["joined"].shape == (2, 6, 4, 5)
