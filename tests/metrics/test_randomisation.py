"""The randomisation test: copies that leave the network alone, all tensors, planted methods, the region held."""

import copy
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.errors import EmptyRegionError, NetworkError, ParameterError, SeglensError, SeglensWarning, ShapeError
from seglens.core.maps import finish
from seglens.core.slopes import slopes
from seglens.datasets import Streets
from seglens.metrics.randomisation import held, randomisation_test
from seglens.metrics.shuffling import draw_seed, order_of_use, shuffled_copy, state_of
from seglens.testing import untouched

TARGET = sl.Target(1, sl.box(4, 5, 12, 15))


def network(seed=0, **more):
    torch.manual_seed(seed)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.Conv2d(8, 3, 1),
    )  # fmt: skip
    for p in module[1].parameters():
        nn.init.uniform_(p, 0.5, 1.5)
    module[1].running_mean.uniform_(-0.2, 0.2)
    module[1].running_var.uniform_(0.5, 2)
    return sl.Network(module=module, default_layer="3", **more)


def picture(height=20, width=26):
    """Smooth blobs, and edges between them."""
    rng = np.random.default_rng(0)
    field = np.cumsum(np.cumsum(rng.normal(size=(3, height, width)), 1), 2)
    return (
        torch.from_numpy(np.sign(field) * 0.4 + 0.5).float()[None]
        + 0.05 * torch.from_numpy(rng.random((1, 3, height, width))).float()
    )


@dataclass(frozen=True, slots=True)
class Edges:
    """An edge detector: it looks at the picture and never at the network."""

    def __call__(self, network, x, targets):
        scores = sl.Targets.of(targets)
        with slopes(network, x, scores) as found:
            values = torch.zeros_like(x[:, :1])
            values[:, :, 1:] += (x[:, :, 1:] - x[:, :, :-1]).abs().sum(1, keepdim=True)
            values[..., 1:] += (x[..., 1:] - x[..., :-1]).abs().sum(1, keepdim=True)
            return finish(values, found.scores, found.values, found.output, signed=False)


@dataclass(frozen=True, slots=True)
class Distance(Edges):
    """The same for any picture and any network."""

    def __call__(self, network, x, targets):
        with slopes(network, x, sl.Targets.of(targets)) as found:
            y, z = torch.meshgrid(*(torch.arange(n, dtype=torch.float32) for n in x.shape[2:]), indexing="ij")
            values = (-torch.hypot(y - 8, z - 10))[None, None]
            return finish(values, found.scores, found.values, found.output)


@dataclass(frozen=True, slots=True)
class WeightNoise(Edges):
    """Noise that hangs on nothing but the weights."""

    def __call__(self, network, x, targets):
        seed = hash(tuple(v for p in network.module.parameters() for v in p.detach().flatten().tolist())) % 2**31
        with slopes(network, x, sl.Targets.of(targets)) as found:
            values = torch.rand(1, 1, *x.shape[2:], generator=torch.Generator().manual_seed(seed))
            return finish(values, found.scores, found.values, found.output, signed=False)


def judged(methods, **how):
    return {d.label: d for d in randomisation_test(network(), picture(), sl.Targets.of(TARGET), methods, **how)}


def test_planted_methods_are_told_apart():
    found = judged({"edges": Edges(), "distance": Distance(), "noise": WeightNoise()}, draws=8)
    edges, distance, noise = found["edges"], found["distance"], found["noise"]
    assert edges.trained.value == pytest.approx(1)
    assert edges.beyond.value == pytest.approx(1)
    assert edges.copies.value == pytest.approx(1)
    assert abs(edges.blind.value) < 0.2
    assert edges.weak is True
    assert "picture and architecture" in edges.claim
    assert distance.trained.value == pytest.approx(1)
    assert distance.blind.value == pytest.approx(1)
    assert distance.weak is True
    assert abs(noise.trained.value) < 0.1
    assert noise.trained.low <= noise.trained.value <= noise.trained.high
    assert noise.weak is False
    assert "does not prove" in noise.claim
    assert (edges.signed, noise.signed) == (None, None)
    assert distance.signed is not None


def test_decay_around_the_region_alone_is_not_called_weak():
    """Three 7 × 7 blurs before the head: gradients fall off with distance whatever the weights are."""
    torch.manual_seed(1)
    layers = [nn.Conv2d(3, 6, 7, padding=3)]
    for _ in range(3):
        layers += [nn.ReLU(), nn.Conv2d(6, 6, 7, padding=3)]
    net = sl.Network(module=nn.Sequential(*layers))
    targets = sl.Targets.of(sl.Target(1, sl.pixel(16, 18)))
    (found,) = randomisation_test(net, picture(32, 36), targets, {"saliency": sl.Saliency()}, draws=4)
    assert found.trained.value > 0.8
    assert found.blind.value > 0.8
    assert found.beyond.value < 0.3
    assert found.weak is False
    assert "decay" in found.claim


def test_correlations_are_those_of_maps_made_by_hand():
    from scipy.stats import spearmanr

    net, x = network(), picture()
    targets, seen = held(net, x, sl.Targets.of(TARGET))
    method = sl.InputXGradient()
    trained = method(net, x, targets).values[0, 0][seen].numpy()
    rows = []
    for d in range(3):
        module = shuffled_copy(net.module, draw_seed(4, d))
        rows.append(method(net.with_(module=module), x, targets).values[0, 0][seen].numpy())
    (found,) = randomisation_test(net, x, sl.Targets.of(TARGET), {"m": method}, draws=3, seed=4)

    def r(a, b):
        return spearmanr(a, b).statistic

    assert found.trained.value == pytest.approx(np.mean([r(abs(trained), abs(v)) for v in rows]), abs=1e-6)
    assert found.signed.value == pytest.approx(np.mean([r(trained, v) for v in rows]), abs=1e-6)
    pairs = [r(abs(rows[i]), abs(rows[j])) for i in range(3) for j in range(i)]
    assert found.copies.value == pytest.approx(np.mean(pairs), abs=1e-6)
    assert 0 < found.chance < 1


def test_the_last_step_of_a_cascade_is_the_whole_network():
    found = judged({"saliency": sl.Saliency(), "edges": Edges()}, draws=3, cascade=3)
    for d in found.values():
        assert d.curve.shape == (3,)
        assert d.curve[-1] == pytest.approx(d.trained.value, abs=1e-9)
    assert found["saliency"].steps == (3, 7, 10)
    np.testing.assert_allclose(found["edges"].curve, 1)
    # The head alone leaves the features as they were.
    assert found["saliency"].curve[0] > found["saliency"].curve[-1]


def test_the_same_seed_gives_the_same_numbers():
    once, again, other = (judged({"s": sl.Saliency()}, draws=3, seed=s)["s"] for s in (1, 1, 2))
    assert once.to_dict() == again.to_dict()
    assert once.trained != other.trained


def test_the_network_stays_as_it_was():
    net, x = network(), picture()
    net.module.train()
    next(net.module.parameters()).grad = torch.ones_like(next(net.module.parameters()))
    with untouched(net, x):
        randomisation_test(net, x, sl.Targets.of(TARGET), {"s": sl.Saliency(), "e": Edges()}, draws=3, cascade=2)


@dataclass(frozen=True, slots=True)
class Faulty(Edges):
    """Works on the trained network, and fails on copies."""

    kind: type[Exception]
    seen: list = field(default_factory=list)

    def __call__(self, network, x, targets):
        self.seen.append(network)
        if len(self.seen) > 1:
            raise self.kind("planted")
        return Edges.__call__(self, network, x, targets)


def test_a_method_that_fails_on_copies_is_counted_not_judged():
    net, x = network(), picture()
    with untouched(net, x):
        (found,) = randomisation_test(net, x, sl.Targets.of(TARGET), {"f": Faulty(SeglensError)}, draws=4)
    assert (found.draws, found.undefined, found.weak) == (4, 4, None)
    assert np.isnan(found.trained.value)
    assert "4" in found.claim


def test_what_is_no_fault_of_the_copy_is_raised_and_nothing_stays_changed():
    net, x = network(), picture()
    with untouched(net, x), pytest.raises(ZeroDivisionError):
        randomisation_test(net, x, sl.Targets.of(TARGET), {"f": Faulty(ZeroDivisionError)}, draws=3)


def test_the_region_is_that_of_the_trained_network():
    net, x = network(), picture()
    with torch.no_grad():
        net.module[-1].bias -= net.module.eval()(x).mean((0, 2, 3))
        where = (net.module(x).argmax(1) == 1)[0]
    assert 0 < where.sum() < where.numel()
    targets, _ = held(net, x, sl.Targets.of("1"))
    for d in range(3):
        copied = net.with_(module=shuffled_copy(net.module, d))
        with torch.no_grad():
            y = copied.module.eval()(x)
        assert not torch.equal(y.argmax(1)[0] == 1, where)
        assert torch.equal(targets.bind(copied, x, y).masks[0, 0], where)


def test_what_the_region_can_see():
    """Two 3 × 3 convolutions: two pixels around the box, and no more."""
    _, seen = held(network(), picture(), sl.Targets.of(TARGET))
    expected = torch.zeros(20, 26, dtype=torch.bool)
    expected[2:14, 3:17] = True
    assert torch.equal(seen, expected)


def test_a_classifier_is_tested_too():
    net = network()
    whole = net.with_(module=nn.Sequential(*net.module, nn.AdaptiveAvgPool2d(1), nn.Flatten()), default_layer=None)
    (found,) = randomisation_test(whole, picture(), sl.Targets.of(sl.Target(1)), {"s": sl.Saliency()}, draws=3)
    assert -1 <= found.trained.value <= 1


class Transformer(nn.Module):
    """Class token, table of positions, scale as a bare parameter: what walks over `reset_parameters` miss."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, 4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 31, 8))
        self.norm = nn.LayerNorm(8)
        self.gain = nn.Parameter(torch.rand(8))
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.tied = nn.Linear(8, 8)
        self.head = nn.Linear(8, 3)
        self.again = self.tied
        self.register_buffer("mask", torch.zeros(31, 31).index_fill(1, torch.tensor([2]), -torch.inf))
        self.register_buffer("index", torch.arange(31))
        self.register_buffer("table", torch.rand(31, 8), persistent=False)
        self.register_buffer("trail", torch.rand(8))
        with torch.no_grad():
            self.norm.weight.uniform_()

    def forward(self, x):
        a = self.patches(x)
        size = a.shape[2:]
        t = torch.cat([self.token.expand(len(x), -1, -1), a.flatten(2).mT], 1) + self.positions + self.table
        t = self.norm(t) * self.gain
        t = t + self.attention(t, t, t, attn_mask=self.mask, need_weights=False)[0] + self.trail
        t = self.head(self.again(self.tied(t)))[:, 1:]
        return t.mT.unflatten(2, size)


def test_every_learned_tensor_is_shuffled_and_the_others_are_named():
    torch.manual_seed(0)
    module = Transformer()
    made = shuffled_copy(module, 3)
    state = state_of(module)
    mine, theirs = ({**dict(m.named_parameters()), **dict(m.named_buffers())} for m in (module, made))
    assert set(state.learned) | set(state.unmoved) == set(mine)
    assert state.unmoved == {
        "mask": "holds infinities or NaN, as masks do",
        "index": "whole numbers",
        "table": "not saved with the network, so not learned",
        "norm.bias": "the same value throughout",
        "attention.in_proj_bias": "the same value throughout",
        "attention.out_proj.bias": "the same value throughout",
    }
    for name in state.learned:
        assert not torch.equal(mine[name], theirs[name]), name
        assert torch.equal(mine[name].flatten().sort()[0], theirs[name].flatten().sort()[0]), name
    for name in state.unmoved:
        assert torch.equal(mine[name], theirs[name]), name
    assert {"token", "positions", "gain", "trail", "attention.in_proj_weight"} <= set(state.learned)
    missed = {"token", "positions", "gain"}
    walked = {n for n, m in module.named_modules() if hasattr(m, "reset_parameters")}
    assert all(name.rpartition(".")[0] not in walked for name in missed)
    assert made.again is made.tied
    assert not {t.data_ptr() for t in mine.values()} & {t.data_ptr() for t in theirs.values()}


def test_running_statistics_are_shuffled_and_stay_variances():
    net = network()
    made = shuffled_copy(net.module, 0)
    assert not torch.equal(made[1].running_var, net.module[1].running_var)
    assert (made[1].running_var > 0).all()
    assert state_of(net.module).unmoved == {"1.num_batches_tracked": "whole numbers"}


def test_a_part_is_shuffled_as_in_the_whole():
    net = network()
    whole, part = shuffled_copy(net.module, 5), shuffled_copy(net.module, 5, {"3.weight", "1.running_mean"})
    for name, value in part.state_dict().items():
        origin = whole if name in ("3.weight", "1.running_mean") else net.module
        assert torch.equal(value, origin.state_dict()[name]), name


def test_order_of_use_is_that_of_the_pass():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.last = nn.Conv2d(4, 2, 1)
            self.never = nn.Linear(2, 2)
            self.first = nn.Parameter(torch.rand(4, 3, 1, 1))

        def forward(self, x):
            return self.last(nn.functional.conv2d(x, self.first).relu())

    net, x = sl.Network(module=Backwards()), torch.rand(1, 3, 4, 4)
    with untouched(net, x):
        found = order_of_use(net, x)
    assert found == ["first", "last.weight", "last.bias", "never.weight", "never.bias"]


def test_a_module_that_cannot_be_copied_is_refused():
    class Locked(nn.Conv2d):
        def __deepcopy__(self, memo):
            raise TypeError("held by a driver")

    class Same(nn.Conv2d):
        def __deepcopy__(self, memo):
            return self

    class Shallow(nn.Conv2d):
        def __deepcopy__(self, memo):
            return copy.copy(self)

    for kind, said in ((Locked, "held by a driver"), (Same, "shares 'weight'"), (Shallow, "shares 'weight'")):
        module = kind(3, 2, 3)
        with untouched(module), pytest.raises(NetworkError, match=said) as raised:
            shuffled_copy(module, 0)
        assert "randomise=0" in str(raised.value)


def test_compiled_torchscript_is_shuffled_too():
    module = network().module.eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        scripted = torch.jit.trace(module, picture(), check_trace=False)
    made = shuffled_copy(scripted, 5)
    with torch.no_grad():
        assert sorted(state_of(scripted).learned) == sorted(state_of(module).learned)
        assert not torch.allclose(made(picture()), scripted(picture()))


def test_gradients_are_not_copied():
    net = network()
    net.module(picture()).sum().backward()
    assert all(p.grad is None for p in shuffled_copy(net.module, 0).parameters())
    assert all(p.grad is not None for p in net.module.parameters())


def test_refusals():
    net, x = network(), picture()
    for draws in (1, 2):
        with pytest.raises(ParameterError, match="at least 3"):
            randomisation_test(net, x, sl.Targets.of(TARGET), {}, draws=draws)
    with pytest.raises(ShapeError, match="one image and one target"):
        held(net, x.repeat(2, 1, 1, 1), sl.Targets.of(TARGET))
    with pytest.raises(EmptyRegionError):
        held(net, x, sl.Targets.of(sl.Target(1, sl.box(0, 0, 2, 2) & sl.box(5, 5, 6, 6))))


def test_maps_of_noise_are_no_news():
    """Rectified maps of copies are often zero; that is counted, not warned of."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", SeglensWarning)
        found = judged({"c": sl.GradCAM()}, draws=6)
    assert 0 <= found["c"].undefined <= 6


def test_guided_backpropagation_moves_less_than_the_gradient():
    """Adebayo et al. 2018, on a trained network: the only ordering that is claimed."""
    net = sl.load("streets-unet")
    scene = Streets(16, (192, 384), seed=3)[14]
    x, _ = net.convention.prepare(sl.read_image(scene.image).pixels)
    methods = {"saliency": sl.Saliency(), "guided": sl.GuidedBackprop()}
    found = {d.label: d for d in randomisation_test(net, x, sl.Targets.of("car"), methods, draws=3)}
    assert found["guided"].trained.value > found["saliency"].trained.value
    assert found["saliency"].weak is False
