"""Activation maps: the layer's own numbers, and contributions by finite differences, a slow loop and closed forms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import asked, lively, network, pictures, relu_net, score
from torch import nn
from torch.nn.functional import interpolate

from seglens.core.cost import measured
from seglens.core.errors import (
    EmptyRegionError,
    EmptyRegionWarning,
    LayerNotFoundError,
    NonFiniteError,
    ParameterError,
    ShapeError,
    ZeroMapWarning,
)
from seglens.core.method import takes_target
from seglens.core.network import Network
from seglens.core.regions import box, everything, mask
from seglens.core.targets import Target, channel
from seglens.methods import Activation, HiResCAM
from seglens.methods.activation import by_contribution
from seglens.testing import untouched

LAYERS = (0, 1, 2, 3)


def hooked(net, layer, x):
    """What a plain forward hook sees, copied at once."""
    kept = []
    handle = net.module.get_submodule(layer).register_forward_hook(
        lambda _m, _i, out: kept.append(out.detach().clone())
    )
    try:
        with torch.no_grad():
            net.module(x)
    finally:
        handle.remove()
    return kept[-1]


def scaled(net, layer, k, factor, x, c):
    """S of class c over the box, where channel k of a layer is multiplied on its way."""

    def scale(_module, _inputs, out):
        out = out.clone()
        out[:, k] *= factor
        return out

    handle = net.module.get_submodule(layer).register_forward_hook(scale)
    try:
        with torch.no_grad():
            return score(net.module(x), c)
    finally:
        handle.remove()


@pytest.mark.parametrize("layer", LAYERS)
def test_a_named_channel_is_what_the_layer_gave(layer):
    net, x = relu_net(), pictures()
    found = Activation(str(layer), channel=2)(net, x, Target(None))
    a = hooked(net, str(layer), x)[:, 2]
    assert torch.equal(found.extras["coarse"][:, 0], a)
    expected = interpolate(a[:, None], size=(8, 8), mode="bilinear", align_corners=False)[:, 0]
    torch.testing.assert_close(found.values[:, 0], expected.float())
    assert found.score.isnan().all()
    assert found.unit == "activation"
    assert found.extras["channel"].tolist() == [[2], [2]]
    assert bool((a < 0).any()) == (layer in (0, 2))


@pytest.mark.parametrize("method", [Activation("0", channel=1), Activation("0")])
def test_what_an_inplace_rectifier_does_behind_the_layer_is_not_shown(method):
    """A hook that keeps the tensor itself finds it rectified afterwards; this does not."""
    net = network(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 1))
    x, kept = pictures(), []
    handle = net.module[0].register_forward_hook(lambda _m, _i, out: kept.append(out))
    with torch.no_grad():
        net.module(x)
    handle.remove()
    assert (kept[0] >= 0).all()
    found = method(net, x, asked(1))
    k = found.extras["channel"][:, 0]
    expected = net.module[0](x).detach()[torch.arange(2), k]
    assert torch.equal(found.extras["coarse"][:, 0], expected)
    assert (expected < 0).any()


@pytest.mark.parametrize("layer", LAYERS)
def test_contributions_are_a_slow_sum(layer):
    net, x = relu_net(), pictures()
    targets = [asked(2), asked(0), asked(channel(1) - channel(2))]
    found = Activation(str(layer))(net, x, targets).extras["contributions"]
    a = net.module[: layer + 1](x).detach().requires_grad_()
    fixed = a.detach()
    y = net.module[layer + 1 :](a)
    for t, s in enumerate((score(y, 2), score(y, 0), score(y, 1) - score(y, 2))):
        g = torch.autograd.grad(s.sum(), a, retain_graph=True)[0]
        for b in range(2):
            for k in range(a.shape[1]):
                slow = sum(
                    float(g[b, k, u, v] * fixed[b, k, u, v]) for u in range(g.shape[2]) for v in range(g.shape[3])
                )
                assert float(found[b, t, k]) == pytest.approx(slow, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_contribution_is_the_growth_of_the_score_with_the_channel(layer):
    """c_k = d S(A_k · (1 + ε)) / dε, by central differences through a hook; kinks within the step are left out."""
    net, x, step, usable = relu_net(), pictures(), 1e-6, 0
    c = Activation(str(layer))(net, x, asked(1)).extras["contributions"][:, 0]
    for k in range(c.shape[1]):
        ahead, here, behind = (scaled(net, str(layer), k, 1 + e, x, 1) for e in (step, 0.0, -step))
        smooth = ((ahead - here) - (here - behind)).abs() < 1e-12
        usable += int(smooth.sum())
        torch.testing.assert_close(((ahead - behind) / (2 * step))[smooth], c[:, k][smooth], rtol=1e-6, atol=1e-8)
    assert usable > 0.8 * c.numel()


@pytest.mark.parametrize("target", [asked(1), asked(channel(0) - channel(2), reduce="sum")], ids=str)
def test_contributions_of_a_linear_tail_sum_to_the_score_less_its_bias(target):
    net = lively(
        network(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 3, stride=2, padding=1), nn.Conv2d(5, 3, 3))
    )
    found = Activation("1")(net, pictures(), target)
    at_zero = found.scores(net.module[2:](torch.zeros(2, 4, 8, 8, dtype=torch.float64))).detach()
    torch.testing.assert_close(found.extras["contributions"].sum(2).float(), found.score - at_zero.float())
    bent = Activation("1")(relu_net(), pictures(), target)
    there = bent.scores(relu_net().module[2:](torch.zeros(2, 4, 8, 8, dtype=torch.float64))).detach()
    assert (bent.extras["contributions"].sum(2) - (bent.score - there)).abs().min() > 1e-3


def test_a_contribution_to_a_linear_head_is_weight_times_mean():
    """GAP and a dense layer: c_k = w_ck · mean A_k, the terms of CAM."""
    net = lively(network(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
    x = pictures()
    found = Activation("1")(net, x, [0, 1, 2]).extras["contributions"]
    a = net.module[:2](x).detach()
    expected = net.module[4].weight.detach()[None] * a.mean((2, 3))[:, None]
    torch.testing.assert_close(found, expected)


def test_contributions_sum_to_the_map_of_hires_cam():
    """Summed over places instead of channels, the same products: both sums agree."""
    net, x = relu_net(), pictures()
    c = Activation("1")(net, x, [asked(0), asked(1)]).extras["contributions"].sum(2)
    whole = HiResCAM("1", relu=False)(net, x, [asked(0), asked(1)]).extras["coarse"].sum((2, 3))
    torch.testing.assert_close(c, whole)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_channel_of_each_image_and_target_is_its_own(rank):
    net, x = relu_net(), pictures(4, 2, 8, 8, seed=5)
    found = Activation("3", rank=rank)(net, x, [asked(c) for c in range(3)])
    a, c = hooked(net, "3", x), found.extras["contributions"]
    chosen = found.extras["channel"]
    assert len(chosen.unique()) > 1
    for b in range(4):
        for t in range(3):
            k = sorted(range(5), key=lambda k, b=b, t=t: (-float(c[b, t, k]), k))[rank - 1]
            assert int(chosen[b, t]) == k
            assert float(found.extras["contribution"][b, t]) == float(c[b, t, k])
            assert torch.equal(found.extras["coarse"][b, t], a[b, k])


@pytest.mark.parametrize("planted", range(4))
def test_the_channel_that_alone_carries_the_class_ranks_first(planted):
    """The head reads one channel for class 1; the channel with the largest activation is another."""
    net = network(nn.Conv2d(2, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 3, 1))
    with torch.no_grad():
        net.module[0].bias[(planted + 1) % 4] += 20
        net.module[2].weight[1] = 0
        net.module[2].weight[1, planted] = 1
    found = Activation("1")(net, pictures(), asked(1))
    assert found.extras["channel"].tolist() == [[planted], [planted]]
    others = [k for k in range(4) if k != planted]
    assert (found.extras["contributions"][:, 0, others] == 0).all()
    assert (hooked(net, "1", pictures()).mean((0, 2, 3)).argmax() == (planted + 1) % 4).all()


@given(st.lists(st.sampled_from([-1.0, -0.0, 0.0, 0.5, 2.0]), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_ties_rank_by_number(values):
    order = by_contribution(torch.tensor(values)).tolist()
    assert order == sorted(range(len(values)), key=lambda k: (-values[k], k))


def test_channels_that_are_zero_rank_by_number_between_those_for_and_those_against():
    net, x = relu_net(), pictures(1, 2, 8, 8)
    with torch.no_grad():
        net.module[2].bias[[1, 3]] -= 100
    c = Activation("3")(net, x, asked(1)).extras["contributions"][0, 0]
    order = by_contribution(c).tolist()
    assert (c[[1, 3]] == 0).all()
    assert order.index(3) == order.index(1) + 1
    assert (c[order[: order.index(1)]] > 0).all()
    assert (c[order[order.index(3) + 1 :]] < 0).all()
    with pytest.warns(ZeroMapWarning, match="zero everywhere at 3"):
        found = Activation("3", rank=order.index(1) + 1)(net, x, asked(1))
    assert found.extras["channel"].item() == 1


def test_images_of_a_batch_and_targets_do_not_mix():
    net, x = relu_net(), pictures(3, 2, 8, 8)
    targets = [asked(c) for c in range(3)]
    together = Activation("3")(net, x, targets)
    for b in range(3):
        for t in range(3):
            alone = Activation("3")(net, x[b : b + 1], targets[t])
            torch.testing.assert_close(alone.values[0, 0], together.values[b, t])
            torch.testing.assert_close(alone.extras["contributions"][0, 0], together.extras["contributions"][b, t])


def test_a_classifier_and_a_segmenter_of_one_pixel_agree():
    layers = nn.Conv2d(2, 4, 3), nn.Softplus(), nn.AdaptiveAvgPool2d(1)
    segmenter = network(*layers, nn.Conv2d(4, 3, 1))
    classifier = network(*layers, nn.Flatten(), nn.Linear(4, 3))
    with torch.no_grad():
        classifier.module[4].weight.copy_(segmenter.module[3].weight[:, :, 0, 0])
        classifier.module[4].bias.copy_(segmenter.module[3].bias)
    x = pictures()
    a = Activation("1")(segmenter, x, [Target(c, everything) for c in range(3)])
    b = Activation("1")(classifier, x, [0, 1, 2])
    torch.testing.assert_close(a.values, b.values)
    torch.testing.assert_close(a.extras["contributions"], b.extras["contributions"])
    assert torch.equal(a.extras["channel"], b.extras["channel"])


def test_many_targets_share_reverse_passes():
    """40 classes over a head of 4 inputs: 1 + at most 4 τ, not 1 + 40 τ."""
    net = network(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 40, 1))
    x = pictures(1, 2, 16, 16)
    targets = [Target(c, everything) for c in range(40)]
    with measured(net.device) as few, torch.no_grad():
        net.module(x)
    with measured(net.device) as cost:
        found = Activation("1")(net, x, targets)
    assert cost.flops < 8 * few.flops
    alone = Activation("1")(net, x, targets[7])
    torch.testing.assert_close(found.extras["contributions"][:, 7], alone.extras["contributions"][:, 0])


def test_an_empty_region_has_no_channel():
    net, x = relu_net(), pictures()
    where = torch.zeros(2, 8, 8, dtype=torch.bool)
    where[0, 1:4, 1:4] = True
    with pytest.warns(EmptyRegionWarning, match="image 1"):
        found = Activation("3")(net, x, Target(1, mask(where)))
    assert found.extras["channel"][1].item() == -1
    for name in ("contribution", "contributions"):
        assert found.extras[name][1].isnan().all()
        assert found.extras[name][0].isfinite().all()
    assert found.values[1].isnan().all()
    with untouched(net.module, x), pytest.raises(EmptyRegionError):
        Activation("3")(net, x, Target(1, mask(torch.zeros(2, 8, 8, dtype=torch.bool))))


def test_where_nothing_contributes_it_says_so():
    net, x = relu_net(), pictures(1, 2, 8, 8)
    with torch.no_grad():
        net.module[4].weight[1] = 0
    with pytest.warns(ZeroMapWarning, match=r"no channel of 3 contributes to 1 in box\(1, 2, 6, 7\): every"):
        found = Activation("3")(net, x, [asked(1), asked(0)])
    assert (found.extras["contributions"][:, 0] == 0).all()
    assert found.extras["channel"][:, 0].tolist() == [0]
    assert (found.extras["contributions"][:, 1] != 0).any()


class Hollow(nn.Module):
    """Channel 1 has infinities that the rest of the network does not read."""

    def __init__(self):
        super().__init__()
        self.first, self.mark, self.last = nn.Conv2d(2, 3, 1), nn.Identity(), nn.Conv2d(3, 2, 1)

    def forward(self, x):
        a = self.first(x)
        a = self.mark(torch.cat([a[:, :1], a[:, 1:2] / 0.0, a[:, 2:]], 1))
        return self.last(torch.where(a.isfinite(), a, 0.0))


def test_what_is_not_finite_is_shown_but_not_ranked():
    torch.manual_seed(0)
    net, x = Network(module=Hollow()), pictures().float()
    with untouched(net.module, x), pytest.raises(NonFiniteError, match=r"layer 'mark' of Hollow .* in channel 1, so"):
        Activation("mark")(net, x, Target(0, everything))
    assert not Activation("mark", channel=1)(net, x, Target(None)).values.isfinite().any()


def test_a_named_channel_needs_no_question_and_no_reverse_pass():
    net, x = relu_net(), pictures()
    assert takes_target(Activation())
    assert not takes_target(Activation(channel=0))
    for p in net.module.parameters():
        p.register_hook(lambda _: pytest.fail("a reverse pass ran"))
    with measured(net.device) as once, torch.no_grad():
        net.module(x)
    with untouched(net.module, x), measured(net.device) as cost:
        found = Activation("1", channel=3)(net, x, [Target(None), asked(1)])
    assert cost.flops == once.flops
    assert found.score[:, 0].isnan().all()
    torch.testing.assert_close(found.score[:, 1], score(net.module(x), 1).detach().float())
    assert torch.equal(found.values[:, 0], found.values[:, 1])


def test_ranking_needs_a_question():
    with pytest.raises(ParameterError, match="the target names none"):
        Activation("1")(relu_net(), pictures(), Target(None))


@pytest.mark.parametrize(
    ("method", "error", "said"),
    [
        (Activation("1", channel=4), ParameterError, r"no channel 4 in layer '1' .* 4 channels, numbered 0 to 3"),
        (Activation("1", rank=5), ParameterError, r"no rank 5 in layer '1' .* 4 channels, ranks 1 to 4"),
        (Activation("7"), LayerNotFoundError, "no layer '7'"),
        (Activation("7", channel=0), LayerNotFoundError, "no layer '7'"),
    ],
)
def test_what_is_not_there_is_refused(method, error, said):
    net, x = relu_net(), pictures()
    with untouched(net.module, x), pytest.raises(error, match=said):
        method(net, x, asked(1))


def test_a_layer_without_space_is_refused():
    net = network(nn.Conv2d(2, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    for method in (Activation("2"), Activation("2", channel=0)):
        with pytest.raises(ShapeError, match="layer '2'"):
            method(net, pictures(), 1)


@pytest.mark.parametrize("fields", [{"channel": -1}, {"rank": 0}, {"channel": 1.5}, {"channel": 3, "rank": 2}])
def test_fields_that_make_no_sense(fields):
    with pytest.raises(ParameterError, match=r"Activation\.(channel|rank)"):
        Activation("1", **fields)


def test_volumes():
    net = network(nn.Conv3d(1, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Conv3d(4, 2, 1))
    x = pictures(2, 1, 6, 8, 10)
    found = Activation("1", rank=2)(net, x, Target(1, box(1, 1, 1, 5, 6, 7)))
    assert found.values.shape == (2, 1, 6, 8, 10)
    k = found.extras["channel"][:, 0]
    expected = interpolate(
        hooked(net, "1", x)[torch.arange(2), k][:, None], size=(6, 8, 10), mode="trilinear", align_corners=False
    )
    torch.testing.assert_close(found.values, expected.float())


def test_under_autocast_contributions_keep_their_digits():
    net = Network(module=relu_net().module.float())
    x = pictures().float()
    exact = Activation("1")(net, x, asked(1)).extras["contributions"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = Activation("1")(net, x, asked(1)).extras["contributions"]
    assert rough.dtype == torch.float32
    torch.testing.assert_close(rough, exact, rtol=0, atol=0.03 * float(exact.abs().max()))
