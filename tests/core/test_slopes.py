"""Slopes: many targets through the few channels of a linear head, wherever that is exact, and never elsewhere."""

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

import seglens as sl
from seglens.core import slopes as module_under_test
from seglens.core.cost import measured
from seglens.core.errors import CaptureError
from seglens.core.network import Network
from seglens.core.regions import box, everything, pixel, predicted
from seglens.core.slopes import slopes
from seglens.core.targets import Target, Targets, channel
from seglens.methods import GradCAM

BOX = box(1, 2, 5, 7)
INSIDE = torch.zeros(8, 8, dtype=torch.bool)
INSIDE[1:5, 2:7] = True


class Net(nn.Module):
    """`early`, `late`, then `head` (m = 4 to K = 9 channels), put together by a function of (self, x)."""

    def __init__(self, way, head, stride=1):
        super().__init__()
        self.early = nn.Conv2d(2, 5, 3, stride=stride, padding=1)
        self.late = nn.Conv2d(5, 4, 3, padding=1)
        self.head = head
        self.second = nn.Conv2d(9, 9, 1)
        self.around = nn.Conv2d(5, 9, 3, padding=1)
        self.way = way

    def forward(self, x):
        return self.way(self, x)

    def features(self, x):
        return torch.tanh(self.late(torch.tanh(self.early(x))))


def straight(self, x):
    return self.head(self.features(x))


def enlarged(self, x):
    return interpolate(self.head(self.features(x)), size=x.shape[2:], mode="bilinear")


def pooled(self, x):
    return self.head(self.features(x).mean((2, 3)))


def bypassed(self, x):
    a = torch.tanh(self.early(x))
    return self.head(torch.tanh(self.late(a))) + self.around(a)


def rectified(self, x):
    return torch.relu(self.head(self.features(x)))


def normalised(self, x):
    return self.head(self.features(x)).log_softmax(1)


def convolved(self, x):
    return nn.functional.avg_pool2d(self.head(self.features(x)), 3, 1, 1)


def two_heads(self, x):
    h = self.features(x)
    return self.second(self.head(h)) + self.head(h.flip(2))


def twice(self, x):
    h = self.features(x)
    return self.head(h) + 0.5 * self.head(h.roll(1, 3))


def auxiliary(self, x):
    """A second head that runs last and whose output is dropped, as deep supervision has it."""
    y = self.head(self.features(x))
    self.second(y.detach())
    return y


def gated(self, x):
    """The region's place weighs each channel by what the image holds there: no channel ⊗ place product."""
    y = self.head(self.features(x))
    return y * (1 + x[:, :1] * torch.arange(y.shape[1], dtype=x.dtype).reshape(1, -1, 1, 1))


def pointwise_by_rows(self, x):
    """A dense layer on the pixels as rows of a matrix: [B·H·W m] to [B·H·W K]."""
    h = self.features(x)
    rows = self.head(h.permute(0, 2, 3, 1).reshape(-1, h.shape[1]))
    return rows.reshape(x.shape[0], *h.shape[2:], -1).permute(0, 3, 1, 2)


def one_by_one_image(self, x):
    """Unbatched convolutions."""
    return torch.stack([self.head(h) for h in self.features(x)])


def conv_head(bias=True):
    return nn.Conv2d(4, 9, 1, bias=bias)


def build(way, head=None, dtype=torch.float64, stride=1):
    torch.manual_seed(3)
    return Network(module=Net(way, head or conv_head(), stride).to(dtype))


def pictures(batch=2, dtype=torch.float64):
    return torch.rand(batch, 2, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def by_hand(net: Network, x: Tensor, layer: str | None, c: int, mask: Tensor = INSIDE) -> Tensor:
    """∂S/∂A by plain autograd and a hook of its own: [B *A]. S is the mean of channel c over the mask."""
    kept = []

    def keep(module, args, output):
        kept.append(output if output.requires_grad else output.detach().requires_grad_())
        return kept[-1].clone()

    x = x.clone().requires_grad_(layer is None)
    handle = net.module.get_submodule(layer).register_forward_hook(keep) if layer else None
    y = net.module(x)
    if handle:
        handle.remove()
    if y.ndim > 2:
        y = interpolate(y, size=(8, 8), mode="bilinear", align_corners=False)
        s = (y[:, c] * mask).sum((1, 2)) / mask.sum((-2, -1))
    else:
        s = y[:, c]
    return torch.autograd.grad(s.sum(), kept[-1] if layer else x)[0]


def check(net, x, targets, layer, expected, passes, rtol=1e-12):
    """`linear` and `each` against derivatives by hand, and how many reverse passes each of them took."""
    layers = None if layer is None else [layer]
    scale = max(float(g.abs().max()) for g in expected)
    with slopes(net, x, Targets.of(targets), layers) as found:
        together = found.linear(lambda g: g)
        assert found.passes == passes
    for t, g in enumerate(expected):
        torch.testing.assert_close(together[:, t], g, rtol=rtol, atol=rtol * scale)
    with slopes(net, x, Targets.of(targets), layers) as found:
        seen = {t: g for t, (g,) in found.each()}
        assert found.passes == passes
    assert sorted(seen) == list(range(len(targets)))
    for t, g in enumerate(expected):
        torch.testing.assert_close(seen[t], g, rtol=rtol, atol=rtol * scale)


def all_classes(region=BOX):
    return [Target(c, region) for c in range(9)]


EXACT = {
    "1×1 convolution": (build(straight), 4),
    "without bias": (build(straight, conv_head(False)), 4),
    "enlarged behind the head": (build(enlarged, stride=2), 4),
    "enlarged on the way to the grid": (build(straight, stride=2), 4),
    "dense classifier": (build(pooled, nn.Linear(4, 9)), 4),
    "smoothed behind the head": (build(convolved), 4),
}
ELSEWHERE = {
    "bypassed by a skip connection": build(bypassed),
    "rectified behind the head": build(rectified),
    "log-softmax behind the head": build(normalised),
    "two heads": build(two_heads),
    "the head runs twice": build(twice),
    "an auxiliary head runs last": build(auxiliary),
    "gated behind the head": build(gated),
    "rows of a matrix": build(pointwise_by_rows, nn.Linear(4, 9)),
    "one image after another": build(one_by_one_image),
    "3×3 head": build(straight, nn.Conv2d(4, 9, 3, padding=1)),
    "grouped head": build(straight, nn.Conv2d(4, 8, 1, groups=2)),
}


@pytest.mark.parametrize("layer", [None, "early", "late"])
@pytest.mark.parametrize("case", EXACT)
def test_min_of_t_and_m_passes(case, layer):
    """T = 9 classes over one region by m = 4 reverse passes, equal to one by one to 1e-12."""
    net, m = EXACT[case]
    x = pictures()
    region = None if case == "dense classifier" else BOX
    expected = [by_hand(net, x, layer, c) for c in range(9)]
    check(net, x, all_classes(region), layer, expected, passes=m)
    check(net, x, all_classes(region)[:3], layer, expected[:3], passes=3)
    check(net, x, all_classes(region)[:4], layer, expected[:4], passes=4)


@pytest.mark.parametrize("layer", [None, "early", "late"])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("case", ELSEWHERE)
def test_exact_where_the_head_is_no_shortcut(case, batch, layer):
    """Whatever it decides to do here, it must be right: compared with derivatives by hand."""
    net, x = ELSEWHERE[case], pictures(batch)
    n = 8 if case == "grouped head" else 9
    expected = [by_hand(net, x, layer, c) for c in range(n)]
    with slopes(net, x, Targets.of(all_classes()[:n]), None if layer is None else [layer]) as found:
        together = found.linear(lambda g: g)
    scale = max(float(g.abs().max()) for g in expected)
    for t, g in enumerate(expected):
        torch.testing.assert_close(together[:, t], g, rtol=1e-12, atol=1e-12 * scale)


def test_float32():
    net, x = build(enlarged, dtype=torch.float32, stride=2), pictures(dtype=torch.float32)
    expected = [by_hand(net, x, "early", c) for c in range(9)]
    check(net, x, all_classes(), "early", expected, passes=4, rtol=1e-5)


@pytest.mark.parametrize(
    ("corrupt", "passes"),
    [
        (lambda g: [v * (1 + 1e-9) for v in g], 4),
        (lambda g: [v.roll(1, 3) for v in g], 4),
        (lambda g: [*g[1:], g[0]], 4),
        (lambda g: g, 9),
    ],
    ids=["size", "place", "order of classes", "number of passes"],
)
def test_a_planted_fault_is_noticed(corrupt, passes):
    """`check` can fail: by a billionth, by one pixel, by one class, by the count."""
    net, x = build(straight), pictures()
    expected = [by_hand(net, x, "early", c) for c in range(9)]
    with pytest.raises(AssertionError):
        check(net, x, all_classes(), "early", corrupt(expected), passes)


def test_probabilities_are_differentiated_one_by_one():
    net, x = build(straight), pictures()
    targets = [Target(c, BOX, of="probabilities") for c in range(9)]
    rows = []
    for c in range(9):
        a = x.clone().requires_grad_()
        p = net.module(a).softmax(1)[:, c]
        rows.append(torch.autograd.grad((p * INSIDE).sum() / INSIDE.sum(), a)[0])
    check(net, x, targets, None, rows, passes=9)


def test_a_region_for_each_target():
    net, x = build(straight), pictures()
    masks = [torch.zeros(8, 8, dtype=torch.bool) for _ in range(9)]
    for c, mask in enumerate(masks):
        mask[c % 8, 3] = True
    masks[8][2, 2] = True
    masks[8][0, 3] = False
    targets = [Target(c, pixel(c % 8, 3)) for c in range(8)] + [Target(8, pixel(2, 2))]
    check(net, x, targets, "early", [by_hand(net, x, "early", c, masks[c]) for c in range(9)], passes=9)


def test_a_region_that_differs_between_images():
    net, x = build(straight), pictures(3)
    with torch.no_grad():
        net.module.head.bias -= net.module(x).mean((0, 2, 3))
        mask = net.module(x).argmax(1) == 2
    sizes = mask.sum((1, 2))
    assert len(sizes.unique()) > 1
    assert bool((sizes > 0).all())
    expected = [by_hand(net, x, "early", c, mask) for c in range(9)]
    check(net, x, all_classes(predicted(2)), "early", expected, passes=4)


def test_groups_of_targets_mixed():
    """9 classes over the box by 4 passes, their contrast by none, 2 pixels and a probability by one pass each."""
    net, x = build(straight), pictures()
    corner = torch.zeros(8, 8, dtype=torch.bool)
    corner[7, 0] = True
    boxed = [by_hand(net, x, "early", c) for c in range(9)]
    a = [by_hand(net, x, "early", c, corner) for c in (1, 0)]
    targets = [Target(1, pixel(7, 0)), *all_classes(), Target(0, pixel(7, 0)), Target(channel(3) - 2 * channel(5), BOX)]
    check(net, x, targets, "early", [a[0], *boxed, a[1], boxed[3] - 2 * boxed[5]], passes=6)


def test_sums_and_means_are_groups_of_their_own():
    net, x = build(straight), pictures()
    boxed = [by_hand(net, x, "early", c) for c in range(9)]
    sums = [Target(c, BOX, reduce="sum") for c in range(9)]
    expected = boxed + [g * INSIDE.sum() for g in boxed]
    check(net, x, all_classes() + sums, "early", expected, passes=8)


def test_a_first_target_that_cancels():
    """Class 0 − class 0 has no derivative from which to read the places: the others must not suffer."""
    net, x = build(straight), pictures()
    boxed = [by_hand(net, x, "early", c) for c in range(9)]
    with slopes(net, x, Targets.of([Target(channel(0) - channel(0), BOX), *all_classes()]), ["early"]) as found:
        together = found.linear(lambda g: g)
    assert not together[:, 0].any()
    torch.testing.assert_close(together[:, 1:], torch.stack(boxed, 1), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("layer", ["head", "late"])
def test_layers_at_and_behind_the_head(layer):
    net, x = build(straight), pictures()
    expected = [by_hand(net, x, layer, c) for c in range(9)]
    with slopes(net, x, Targets.of(all_classes()), [layer]) as found:
        together = found.linear(lambda g: g)
    torch.testing.assert_close(together, torch.stack(expected, 1), rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("layers", [["early", "late"], ["early", "head"], ["late", "head"], ["head"]])
def test_several_layers_at_once(layers):
    """A layer on each side of the head: the derivative by what lies behind the head is no combination through it."""
    net, x = build(enlarged, stride=2), pictures()
    with slopes(net, x, Targets.of(all_classes()), layers) as found:
        pooled_together = found.linear(lambda *gs: torch.cat([g.flatten(2).sum(2) for g in gs], 1))
    parts = [torch.stack([by_hand(net, x, a, c).flatten(2).sum(2) for c in range(9)], 1) for a in layers]
    torch.testing.assert_close(pooled_together, torch.cat(parts, 2), rtol=1e-11, atol=1e-14)


def test_a_users_hook_that_changes_the_heads_output():
    """Then the output is not weight · input + bias, and the head's weights say nothing."""
    net, x = build(straight), pictures()
    factor = torch.linspace(0.5, 2, 8, dtype=torch.float64).reshape(1, 1, 8, 1)
    net.module.head.register_forward_hook(lambda m, args, y: y * factor)
    expected = [by_hand(net, x, "early", c) for c in range(9)]
    with slopes(net, x, Targets.of(all_classes()), ["early"]) as found:
        together = found.linear(lambda g: g)
    torch.testing.assert_close(together, torch.stack(expected, 1), rtol=1e-12, atol=1e-16)


def test_too_large_a_basis_is_not_stored(monkeypatch):
    monkeypatch.setattr(module_under_test, "BASIS_LIMIT", 10)
    net, x = build(straight), pictures()
    with slopes(net, x, Targets.of(all_classes()), ["early"]) as found:
        seen = {t: g for t, (g,) in found.each()}
        assert found.passes == 9
    for c in range(9):
        torch.testing.assert_close(seen[c], by_hand(net, x, "early", c), rtol=1e-12, atol=1e-16)


def test_a_layer_beside_the_path_has_derivative_zero():
    net, x = build(auxiliary), pictures()
    with slopes(net, x, Targets.of([Target(0, BOX)]), ["late", "second"]) as found:
        (_, gradients), *_ = found.each()
    assert gradients[0].any()
    assert not gradients[1].any()


def test_scores_and_output():
    net, x = build(enlarged, stride=2), pictures()
    with slopes(net, x, Targets.of(all_classes()), ["early"]) as found:
        y = net.module(x).detach()
        torch.testing.assert_close(found.output, y)
        torch.testing.assert_close(found.values, y[:, :, 1:5, 2:7].mean((2, 3)))
        torch.testing.assert_close(found.at[0], net.module.early(x).detach())
        assert len(found) == 9


@pytest.mark.parametrize("cut", [lambda y: y.detach(), lambda y: y.round().detach() + 0], ids=["detach", "round"])
def test_a_cut_gradient_is_named(cut):
    net, x = build(lambda self, v: cut(self.head(self.features(v)))), pictures()
    with (
        pytest.raises(
            CaptureError, match=r"does not depend on the layer asked about, or the network cuts the gradient"
        ),
        slopes(net, x, Targets.of([Target(0, everything)]), ["early"]),
    ):
        pass


def wide(classes, m=16):
    torch.manual_seed(0)
    return Network(
        module=nn.Sequential(
            nn.Conv2d(3, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, m, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(m, classes, 1),
        )
    )


def spent(net, targets):
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    with measured() as cost, slopes(net, x, Targets.of(targets), ["1"]) as found:
        found.linear(lambda g: g.flatten(2).mean(2))
    with measured() as once, torch.no_grad():
        net.module(x)
    return cost.flops / once.flops


def test_150_classes_cost_hardly_more_than_the_heads_16_channels():
    """Counted in F: classes beyond the head's 16 channels add next to nothing; with a place each they cost a pass."""
    net = wide(150)
    few = spent(net, [Target(c, everything) for c in range(16)])
    many = spent(net, [Target(c, everything) for c in range(150)])
    assert many < 1.1 * few
    apart = spent(net, [Target(c, box(0, 0, 1 + c, 3)) for c in range(16)])
    assert apart == pytest.approx(few, rel=0.01)
    regions = spent(net, [Target(c, region) for c in range(20) for region in (everything, BOX)])
    assert regions < 2.1 * few


def test_all_classes_of_grad_cam_at_the_heads_price():
    """The method takes the same way: 40 classes over one region cost what 16 do, 40 regions cost more."""
    net, x = wide(40), torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    prices = []
    for targets in (
        [Target(c, everything) for c in range(16)],
        [Target(c, everything) for c in range(40)],
        [Target(c, everything & box(0, 0, 16, 16 - c % 2)) for c in range(40)],
        [Target(c, everything, of="probabilities") for c in range(40)],
    ):
        with measured() as cost:
            GradCAM("1", relu=False, truncate=True)(net, x, targets)
        prices.append(cost.flops)
    assert prices[1] < 1.1 * prices[0]
    assert prices[2] < 2.2 * prices[0]
    assert prices[3] > 2 * prices[0]


def test_by_a_layer_and_the_image_from_one_pass():
    """Each alone, and both at once, are what a pass for that alone gives; shared passes stay shared."""
    net, x = build(straight), pictures()
    targets = Targets.of([Target(c, BOX) for c in range(9)])
    with slopes(net, x, targets, ["early"], image=True) as found:
        assert [tuple(a.shape) for a in found.at] == [(2, 5, 8, 8), (2, 2, 8, 8)]
        both = dict(found.each())
        layer, image = found.by(0), found.by(1)
        by_layer, by_image = layer.linear(lambda g: g), image.linear(lambda g: g)
        assert (layer.passes, image.passes, found.passes) == (4, 4, 4)
        torch.testing.assert_close(layer.values, found.values)
        assert torch.equal(image.at[0], x)
    for c in range(9):
        for g, made, name in zip(both[c], (by_layer, by_image), ("early", None), strict=True):
            expected = by_hand(net, x, name, c)
            torch.testing.assert_close(g, expected)
            torch.testing.assert_close(made[:, c], expected)


def test_nodes_lie_on_the_way_to_what_is_differentiated_by():
    """What leads only to another leaf, or only to the image behind a layer, is not run through."""

    class Forked(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Identity()

        def forward(self, x, other):
            return self.layer(x.tanh()).sigmoid() + other.exp() + x.sin()

    net = Network(module=Forked(), extra=(torch.rand(2, 2, 8, 8, requires_grad=True),))

    def names(found):
        return {node.name().removesuffix("Backward0") for node in found.nodes()} - {"Clone"}

    with slopes(net, pictures(dtype=torch.float32), Targets.of(Target(1, BOX)), ["layer"], image=True) as found:
        assert names(found.by(0)) == {"Add", "Sigmoid"}
        assert names(found.by(1)) == names(found) == {"Add", "Sigmoid", "Tanh", "Sin"}
        assert len(list(found.nodes())) == len(set(found.nodes()))
    with slopes(net, pictures(dtype=torch.float32), Targets.of(Target(1, BOX)), ["layer"]) as found:
        assert names(found) == {"Add", "Sigmoid"}


def deep():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return nn.Sequential(
            *(part for inputs in (3, 6, 6) for part in (nn.Conv2d(inputs, 6, 3, padding=1), nn.ReLU())),
            nn.Conv2d(6, 4, 1),
        ).eval()


class TestHalfPrecision:
    """A mean over many pixels has slopes of 1/|R|, which half precision has not: they are taken of the sum."""

    METHODS = (
        sl.Saliency(),
        sl.GuidedBackprop(),
        sl.GradCAM("4", relu=False),
        sl.GradCAMPlusPlus("4"),
        sl.HiResCAM("4", relu=False),
        sl.Activation("4"),
    )

    @pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=["float16", "bfloat16"])
    def test_large_regions_give_the_map_of_single_precision(self, method, dtype):
        toy = deep()
        x = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0))
        targets = Targets.of([Target(c, everything) for c in (1, 2)])
        expected = method(Network(module=toy), x, targets).values
        halved = Network(module=copy.deepcopy(toy).to(dtype))
        autocast = torch.autocast("cpu", dtype=dtype)
        found = [method(halved, x, targets).values]
        with autocast:
            found.append(method(Network(module=toy), x, targets).values)
        for values in found:
            alike = torch.nn.functional.cosine_similarity(values.flatten(2), expected.flatten(2), 2)
            assert alike.min() > 0.97

    def test_an_explanation_holds_no_half(self):
        method = sl.GradCAM("4", relu=False)
        image = np.zeros((32, 32, 3), np.uint8)
        why = sl.explain(Network(module=deep()), image, method, Target(1), precision="bfloat16")
        assert {a.dtype for a in why.extras.values()} == {np.dtype(np.float32)}
