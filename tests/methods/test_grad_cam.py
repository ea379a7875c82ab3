"""Grad-CAM and Seg-Grad-CAM: the paper's formula with an explicit Jacobian, three kinds of derivative, geometry."""

from contextlib import nullcontext

import pytest
import torch
from plain import BOX, BOX_SIZE, asked, in_box, lively, network, pictures, relu_net, score
from torch import nn
from torch.func import jvp, vmap
from torch.nn.functional import interpolate

from seglens.core.cost import measured
from seglens.core.errors import LayerNotFoundError, LinearHeadWarning, ParameterError, ReachWarning, ShapeError
from seglens.core.network import Network
from seglens.core.regions import box, everything, pixel
from seglens.core.targets import Target
from seglens.methods import GradCAM
from seglens.methods.grad_cam import grad_cam_at_layers

LAYERS = (0, 1, 2, 3)


def tail(net, layer):
    """What lies behind a layer, as a function of its output."""
    return net.module[layer + 1 :]


def activation(net, layer, x):
    return net.module[: layer + 1](x).detach()


def alpha_by_hand(net, layer, x, c):
    """mean_uv of the whole Jacobian ∂y_c(p)/∂A_k(u, v), averaged over p in BOX; every entry written out."""
    rows = []
    for a in activation(net, layer, x):

        def pixels(v):
            y = interpolate(tail(net, layer)(v[None]), size=(8, 8), mode="bilinear", align_corners=False)
            return y[0, c]

        jacobian = torch.autograd.functional.jacobian(pixels, a)  # [H W K u v]
        rows.append(in_box(jacobian.permute(2, 3, 4, 0, 1)).mean((1, 2)) / BOX_SIZE)
    return torch.stack(rows)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("reduce", ["mean", "sum"])
def test_equation_1_of_the_paper(layer, reduce):
    """L^c = ReLU(Σ_k α_k A_k), α_k = 1/N Σ_uv ∂(Σ_{M} y^c)/∂A_k(u, v); the mean divides by |M|."""
    net, x = relu_net(), pictures()
    a = activation(net, layer, x)
    found = GradCAM(str(layer))(net, x, [asked(c, reduce=reduce) for c in (0, 2)])
    for t, c in enumerate((0, 2)):
        alpha = alpha_by_hand(net, layer, x, c) * (BOX_SIZE if reduce == "sum" else 1)
        coarse = sum(alpha[:, k, None, None] * a[:, k] for k in range(a.shape[1])).clamp(min=0)
        torch.testing.assert_close(found.extras["alpha"][:, t], alpha, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(found.extras["coarse"][:, t], coarse, rtol=1e-10, atol=1e-12)
        full = interpolate(coarse[:, None], size=(8, 8), mode="bilinear", align_corners=False)[:, 0]
        torch.testing.assert_close(found.values[:, t], full.float())
    assert not found.signed
    assert found.unit == "{score}"


@pytest.mark.parametrize("of", ["probabilities", "log-probabilities"])
def test_what_is_read(of):
    net, x = relu_net(), pictures()
    a = activation(net, 1, x).requires_grad_()
    g = torch.autograd.grad(score(tail(net, 1)(a), 2, of=of).sum(), a)[0]
    found = GradCAM("1")(net, x, asked(2, of=of))
    torch.testing.assert_close(found.extras["alpha"][:, 0], g.mean((2, 3)), rtol=1e-9, atol=1e-13)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
@pytest.mark.parametrize("layer", LAYERS)
def test_forward_mode_reverse_mode_and_differences_agree(layer):
    """α_k is the directional derivative of S along 1_k/N: three independent ways to it."""
    net, x = relu_net(), pictures(1, 2, 8, 8)
    a = activation(net, layer, x)
    channels, n = a.shape[1], a[0, 0].numel()
    directions = torch.eye(channels, dtype=a.dtype)[:, None, :, None, None].expand(-1, 1, -1, *a.shape[2:]) / n

    def s(v):
        return score(tail(net, layer)(v), 1)[0]

    forward = vmap(lambda d: jvp(s, (a,), (d,))[1])(directions)
    step = 1e-5
    numeric = torch.stack([(s(a + step * d) - s(a - step * d)) / (2 * step) for d in directions]).detach()
    kinks = [torch.equal(*((tail(net, layer)[0](a + e * d) > 0) for e in (step, -step))) for d in directions]
    reverse = GradCAM(str(layer))(net, x, asked(1)).extras["alpha"][0, 0]
    torch.testing.assert_close(reverse, forward, rtol=1e-12, atol=1e-15)
    usable = torch.tensor(kinks)
    assert usable.any()
    torch.testing.assert_close(reverse[usable], numeric[usable], rtol=1e-6, atol=1e-9)


def pooled(classes=3, **fields):
    """A convolutional classifier: features, average over space, linear."""
    return lively(
        network(
            nn.Conv2d(2, 4, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(4, classes),
            seed=17,
            **fields,
        )
    )


def test_a_pooled_classifier_gives_its_class_activation_map():
    """Zhou et al.: CAM_c = Σ_k w_ck A_k. With the average over N places in front of w, α_k = w_ck/N."""
    net, x = pooled(), pictures()
    a, w = activation(net, 1, x), net.module[4].weight.detach()
    cam = torch.einsum("ck,bkuv->bcuv", w, a)
    found = GradCAM("1", relu=False)(net, x, [0, 1, 2])
    torch.testing.assert_close(found.extras["coarse"], cam / 16, rtol=1e-12, atol=1e-14)
    assert found.scores.masks is None
    torch.testing.assert_close(found.score, net.module(x).detach().float())


def test_classifier_and_one_pixel_segmenter_give_the_same_map():
    """The same weights as dense layer on a vector and as 1×1 convolution on one pixel; the region is everything."""
    classifier, x = pooled(), pictures()
    segmenter = network(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1))
    with torch.no_grad():
        for theirs, ours in zip(classifier.module.parameters(), segmenter.module.parameters(), strict=True):
            ours.copy_(theirs.reshape(ours.shape))
    for of in ("logits", "probabilities"):
        a = GradCAM("1")(classifier, x, [Target(c, of=of) for c in range(3)])
        b = GradCAM("1")(segmenter, x, [Target(c, everything, of=of) for c in range(3)])
        torch.testing.assert_close(a.values, b.values)
        torch.testing.assert_close(a.score, b.score)


def test_rectified_before_it_is_enlarged():
    """ReLU of the small map, then bilinear: never negative, and not the ReLU of the enlarged map."""
    net, x = relu_net(), pictures()
    raw = GradCAM("3", relu=False)(net, x, asked(1))
    found = GradCAM("3")(net, x, asked(1))
    assert bool((raw.extras["coarse"] < 0).any())
    assert bool((raw.extras["coarse"] > 0).any())
    assert raw.signed
    first = interpolate(raw.extras["coarse"].clamp(min=0), size=(8, 8), mode="bilinear", align_corners=False)
    later = interpolate(raw.extras["coarse"], size=(8, 8), mode="bilinear", align_corners=False).clamp(min=0)
    torch.testing.assert_close(found.values, first.float())
    assert bool((found.values >= 0).all())
    assert (first - later).abs().max() > 0.05 * first.max()


def test_moves_with_the_image_by_the_total_stride():
    """Everything circular: an image moved by the stride moves the coarse map by one, the full one by the stride."""
    net = network(
        nn.Conv2d(2, 4, 3, stride=2, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, stride=2, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(5, 5, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.Conv2d(5, 3, 3, padding=1, padding_mode="circular"),
    )
    x = pictures(1, 2, 24, 24)
    moved = x.roll((4, 8), (2, 3))
    method = GradCAM("3", relu=False)
    here = method(net, x, Target(1, box(8, 8, 11, 10)))
    there = method(net, moved, Target(1, box(12, 16, 15, 18)))
    coarse = here.extras["coarse"].roll((1, 2), (2, 3))
    torch.testing.assert_close(there.extras["coarse"], coarse, rtol=1e-10, atol=1e-14)
    # Away from the borders, where bilinear enlarging repeats the edge.
    inner = (..., slice(6, 18), slice(10, 18))
    torch.testing.assert_close(there.values[inner], here.values.roll((4, 8), (2, 3))[inner])
    assert not torch.allclose(there.values[inner], here.values.roll((4, 9), (2, 3))[inner])


def test_half_pixel_centres():
    """A peak in coarse cell 1 of 4 lies, on 16 pixels, around 1.5 · 4 − ½ = 5.5, not at 1/3 · 15 = 5."""
    net = network(nn.Conv2d(1, 1, 4, stride=4, bias=False), nn.ReLU(), nn.Conv2d(1, 2, 3, padding=1))
    with torch.no_grad():
        net.module[0].weight.fill_(1.0)
        net.module[2].weight.fill_(1.0)
    x = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    x[..., 4:8, 4:8] = 1.0
    found = GradCAM("1")(net, x, Target(0, everything)).values[0, 0].double()
    assert found.max() > 0
    at = torch.arange(16, dtype=torch.float64)
    torch.testing.assert_close((found.sum(0) * at).sum() / found.sum(), torch.tensor(5.5, dtype=torch.float64))
    torch.testing.assert_close(found[:, 5], found[:, 6])


@pytest.mark.parametrize("how", ["signed", "absolute", "positive"])
def test_weights(how):
    net, x = relu_net(), pictures()
    found = GradCAM("3", weights=how, relu=False)(net, x, asked(1))
    alpha = found.extras["alpha"]
    assert bool((alpha < 0).any())
    used = {"signed": alpha, "absolute": abs(alpha), "positive": alpha.clamp(min=0)}[how]
    expected = torch.einsum("btk,bkuv->btuv", used, activation(net, 3, x))
    torch.testing.assert_close(found.extras["coarse"], expected)


def test_the_default_layer_is_named():
    net, x = relu_net(default_layer="1"), pictures()
    found = GradCAM()(net, x, asked(1))
    assert found.layer == "1"
    torch.testing.assert_close(found.values, GradCAM("1")(net, x, asked(1)).values)


def headed(*behind):
    """A network whose layer 1 feeds a linear 1×1 head."""
    return lively(network(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1), *behind, seed=37))


@pytest.mark.parametrize(("reduce", "factor"), [("mean", 1 / 64), ("sum", BOX_SIZE / 64)])
def test_before_a_linear_head_it_is_the_logit_map(reduce, factor):
    """α_k = w_ck·|R|/N for sums, w_ck/N for means: the map is ReLU(logit − bias), rescaled, whatever the region."""
    net, x = headed(), pictures()
    with pytest.warns(ReachWarning), pytest.warns(LinearHeadWarning, match="layer '1' feeds a linear 1×1 head"):
        found = GradCAM("1")(net, x, asked(2, reduce=reduce))
    logit = net.module(x)[:, 2].detach() - net.module[2].bias[2].detach()
    torch.testing.assert_close(found.values[:, 0], (factor * logit).clamp(min=0).float())


def test_before_a_linear_head_and_an_enlargement():
    """Each enlarged pixel is a weighted mean of coarse ones, so α_k = w_ck/N again."""
    net, x = headed(nn.Upsample(scale_factor=2, mode="bilinear")), pictures(2, 2, 4, 4)
    with pytest.warns(ReachWarning), pytest.warns(LinearHeadWarning):
        found = GradCAM("1")(net, x, Target(2, pixel(1, 2)))
    torch.testing.assert_close(found.extras["alpha"][0, 0], net.module[2].weight[2, :, 0, 0].detach() / 16)


@pytest.mark.parametrize(
    ("net", "layer", "target"),
    [
        (relu_net(), "3", asked(0)),
        (headed(), "0", asked(0)),
        (headed(nn.Conv2d(3, 3, 3, padding=1)), "1", asked(0)),
        (headed(nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1)), "1", asked(0)),
        (headed(), "1", asked(0, of="probabilities")),
    ],
    ids=["no 1×1 head", "an earlier layer", "a 1×1 layer inside", "one inside before a ReLU", "probabilities"],
)
def test_no_warning_where_the_map_is_not_the_logits(net, layer, target, recwarn):
    """Elsewhere α are not a head's weights, and the map is no rescaled logit map: the warning would be untrue."""
    GradCAM(layer)(net, pictures(), target)
    assert [w for w in recwarn if issubclass(w.category, LinearHeadWarning)] == []


def support(net, layer, x, region):
    """Brute force: the places of A from which any pixel of the region's logits can be moved, on positive weights."""
    a = activation(net, layer, x)
    y0 = interpolate(tail(net, layer)(a), size=x.shape[2:], mode="bilinear", align_corners=False)
    top, left, bottom, right = region
    seen = torch.zeros(a.shape[2:], dtype=torch.bool)
    for u in range(a.shape[2]):
        for v in range(a.shape[3]):
            b = a.clone()
            b[:, :, u, v] += 1.0
            y = interpolate(tail(net, layer)(b), size=x.shape[2:], mode="bilinear", align_corners=False)
            seen[u, v] = (y - y0)[:, :, top:bottom, left:right].abs().max() > 0
    return seen


@pytest.mark.parametrize("region", [(0, 0, 1, 1), (7, 9, 8, 10), (3, 2, 6, 9)])
@pytest.mark.parametrize("layer", [1, 3])
def test_truncated_to_what_the_region_sees(region, layer):
    net, x = relu_net(), pictures(1, 2, 16, 16)
    with torch.no_grad():
        for p in net.module.parameters():
            p.abs_()
    seen = support(net, layer, x, region)
    assert bool(seen.any())
    assert not bool(seen.all())
    target = Target(1, box(*region))
    with pytest.warns(ReachWarning, match=rf"map at {layer} reaches beyond .* can see \(\d+% of 1 in box\(.*\)\)"):
        whole = GradCAM(str(layer))(net, x, target).extras["coarse"][0, 0]
    cut = GradCAM(str(layer), truncate=True)(net, x, target).extras["coarse"][0, 0]
    assert bool((whole[~seen] > 0).any())
    torch.testing.assert_close(cut, whole * seen, rtol=0, atol=0)


def test_reach_is_each_regions_own():
    """One region sees everything, the other does not: only the other is named, with its share."""
    net, x = relu_net(), pictures(1, 2, 16, 16)
    with torch.no_grad():
        for p in net.module.parameters():
            p.abs_()
    with pytest.warns(ReachWarning) as caught:
        found = GradCAM("3")(net, x, [Target(0, everything), Target(0, pixel(2, 2))])
    assert len(caught) == 1
    seen = support(net, 3, x, (2, 2, 3, 3))
    coarse = found.extras["coarse"][0, 1]
    share = coarse[~seen].sum() / coarse.sum()
    assert f"its region can see ({share:.0%} of 0 in pixel(2, 2))" in str(caught[0].message)


@pytest.mark.parametrize("truncate", [False, True])
@pytest.mark.parametrize(("call", "own"), [("1#0", "1"), ("1#1", "3"), ("1", "3")])
@pytest.mark.filterwarnings("ignore::seglens.core.errors.RepeatedLayerWarning")
def test_each_call_of_a_layer_has_its_own_reach(call, own, truncate):
    """Where a layer runs twice, on grids of two sizes, each call is as the same layer written twice."""
    convolutions = [nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 3, 3, padding=1)]
    a, b, c = lively(network(*convolutions)).module
    pool = nn.MaxPool2d(2)
    twice, apart = network(a, pool, b, pool, c), network(a, nn.MaxPool2d(2), b, nn.MaxPool2d(2), c)
    target = Target(1, box(0, 0, 3, 3))
    with pytest.warns(ReachWarning) if not truncate else nullcontext():
        found = GradCAM(call, relu=False, truncate=truncate)(twice, pictures(1, 2, 16, 16), target)
    with pytest.warns(ReachWarning) if not truncate else nullcontext():
        expected = GradCAM(own, relu=False, truncate=truncate)(apart, pictures(1, 2, 16, 16), target)
    assert torch.equal(found.values, expected.values)
    assert bool((found.values != 0).any())


@pytest.mark.parametrize("layer", ["0", "2"])
def test_an_in_place_relu_after_the_layer_changes_nothing(layer):
    net, x = relu_net(), pictures()
    twin = network(*(nn.ReLU(inplace=True) if isinstance(m, nn.ReLU) else m for m in relu_net().module))
    twin.module.load_state_dict(net.module.state_dict())
    a, b = (GradCAM(layer, relu=False)(n, x, asked(1)) for n in (net, twin))
    assert torch.equal(a.extras["coarse"], b.extras["coarse"])
    assert torch.equal(a.extras["alpha"], b.extras["alpha"])


class Tally(torch.autograd.Function):
    """The identity, which counts how often it is passed in reverse."""

    reverse = 0

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        Tally.reverse += 1
        return g


class Counted(nn.Module):
    """A network that counts its passes, forward and (at its output) reverse."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.forward_passes = 0

    def forward(self, x):
        self.forward_passes += 1
        return Tally.apply(self.inner(x))


@pytest.mark.filterwarnings("ignore::seglens.core.errors.ReachWarning")
def test_all_layers_at_one_forward_and_t_reverse_passes():
    inner, x = relu_net(), pictures()
    net = Network(module=Counted(inner.module))
    layers, targets = ["inner.0", "inner.1", "inner.2", "inner.3"], [asked(0), Target(2, pixel(3, 3))]
    Tally.reverse = 0
    found = grad_cam_at_layers(net, x, targets, layers)
    assert net.module.forward_passes == 1
    assert Tally.reverse == len(targets)
    assert [m.layer for m in found] == layers
    for layer, maps in zip(layers, found, strict=True):
        alone = GradCAM(layer)(net, x, targets)
        torch.testing.assert_close(maps.extras["alpha"], alone.extras["alpha"], rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(maps.values, alone.values, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("how", ["absolute", "positive"])
def test_options_hold_at_all_layers(how):
    net, x = relu_net(), pictures()
    method = GradCAM(weights=how, relu=False)
    for maps in grad_cam_at_layers(net, x, [asked(0)], ["3", "2"], method):
        expected = GradCAM(maps.layer, weights=how, relu=False)(net, x, asked(0))
        torch.testing.assert_close(maps.values, expected.values)
        assert maps.signed


@pytest.mark.parametrize("targets", [1, 3])
def test_cost_is_one_pass_and_the_tail_for_each_target(targets):
    """F + T·τ·F, by torch's own counts; the tail's weights take no part, so its reverse pass costs τ."""
    net, x = relu_net(classes=8), pictures()
    with torch.no_grad():
        with measured() as whole:
            net.module(x)
        with measured() as behind:
            tail(net, 1)(activation(net, 1, x))
    f, tau = whole.flops, (behind.flops - _cost(net.module[:2], x)) / whole.flops
    with measured() as spent:
        GradCAM("1")(net, x, [asked(c) for c in range(targets)])
    assert spent.flops / f == pytest.approx(1 + targets * tau, rel=0.02)


def _cost(module, x):
    with measured() as spent, torch.no_grad():
        module(x)
    return spent.flops


def test_layers_that_cannot_be_read():
    with pytest.raises(LayerNotFoundError, match=r"no layer '33' in Sequential \(5 layers\).\n  Nearest: '3'"):
        GradCAM("33")(relu_net(), pictures(), asked(0))
    with pytest.raises(ShapeError, match=r"layer '3' of Sequential gives \(2, 4\), no map of channels") as caught:
        GradCAM("3")(pooled(), pictures(), 0)
    assert caught.value.actual == (2, 4)
    with pytest.raises(ShapeError, match="no map of channels"):
        grad_cam_at_layers(pooled(), pictures(), [0], ["1", "3"])


def test_bad_parameters():
    with pytest.raises(ParameterError, match=r"GradCAM.weights is to be one of signed, absolute, positive, not 'sign'"):
        GradCAM(weights="sign")
    with pytest.raises(ParameterError, match=r"GradCAM.layer is to be a string, not 3"):
        GradCAM(3)
    with pytest.raises(ParameterError, match=r"GradCAM.relu is to be True or False, not 1"):
        GradCAM(relu=1)


def test_box_lies_where_the_tests_think():
    mask = torch.zeros(8, 8)
    mask[BOX[0] : BOX[2], BOX[1] : BOX[3]] = 1
    found = GradCAM("1")(relu_net(), pictures(), asked(0)).scores.masks[0, 0]
    assert torch.equal(found.float(), mask)
