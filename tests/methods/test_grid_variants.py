"""Grid saliency's gradient variants: eq. 4, eq. 5 and the mean filter, against the paper's formulas in plain torch."""

from functools import cache, partial

import pytest
import torch
from plain import BOX, asked, gradient, network, pictures, relu_net
from torch import nn
from torch.nn.functional import avg_pool2d, pad, softmax

import seglens as sl
from seglens.core.capture import capture
from seglens.core.errors import EmptyRegionError, EmptyRegionWarning, ParameterError, RegionError, ZeroMapWarning
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.regions import box, everything, mask, pixel, predicted
from seglens.core.slopes import Slopes, slopes
from seglens.core.targets import Target, Targets
from seglens.datasets import Plant, Streets
from seglens.methods import IntegratedGradients, Saliency, SmoothGrad
from seglens.methods._grid import context_of
from seglens.methods.integrated_gradients import mean_gradient
from seglens.perturb.cells import pooled
from seglens.testing import CHECKS, Traits, conformance

SHOWN = torch.zeros(8, 8, dtype=torch.bool)
SHOWN[BOX[0] : BOX[2], BOX[1] : BOX[3]] = True

SIZES = {
    "saliency": Saliency,
    "smooth-grad": partial(SmoothGrad, samples=3, noise=0.2),
    "integrated-gradients": partial(IntegratedGradients, nodes=12, multiply_by_inputs=False),
}
"""The paper's three: sizes of gradients, never negative."""

ALL = {
    **SIZES,
    "saliency, signed": partial(Saliency, "signed"),
    "smooth-grad, signed": partial(SmoothGrad, samples=3, channels="signed"),
    "integrated-gradients, complete": partial(IntegratedGradients, nodes=4, gap=0.5, most=64),
}


def smooth_net():
    """Without kinks, so that the integral's sums converge as those of smooth functions do."""
    return network(nn.Conv2d(2, 4, 3, padding=1), nn.Softplus(), nn.Conv2d(4, 3, 3, padding=1))


def slope_by_formula(net, x, c=1):
    """∂S/∂x with S = ‖R ∘ f_c(x)‖₁ / ‖R‖₁ and f the softmax, R being BOX."""
    return gradient(lambda v: (softmax(net.module(v), 1)[:, c] * SHOWN).sum((1, 2)) / SHOWN.sum(), x)


@cache
def by_formula(name):
    """Eq. 4 of the paper for the region's score; integrated gradients as the right sum, extrapolated."""
    net, x = smooth_net(), pictures()
    if name == "saliency":
        return slope_by_formula(net, x).abs().sum(1)
    if name == "smooth-grad":
        total = torch.zeros_like(x)
        for i in range(3):
            draw = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(i)).double()
            sigma = 0.2 * (x.amax((1, 2, 3)) - x.amin((1, 2, 3))).reshape(-1, 1, 1, 1)
            total += slope_by_formula(net, x + sigma * draw)
        return (total / 3).abs().sum(1)
    # The error of n steps is C/n + O(1/n²), the first of which goes.
    return (2 * right_sum(net, x, 400) - right_sum(net, x, 200)).abs().sum(1)


def right_sum(net, x, n):
    """1/n Σ_k G(k x / n), k = 1 … n, as the paper writes it: [B C H W]."""
    return sum(slope_by_formula(net, x * (k / n)) for k in range(1, n + 1)) / n


@pytest.mark.parametrize("cells", [(4, 4), (2, 4), (8, 8), (1, 1)])
@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("name", SIZES)
def test_equals_the_papers_formulas(name, context, cells):
    """Eq. 4 on the region's score, times 1 − R, then avg_pool2d with kernel and stride W_I/W_S × H_I/H_S."""
    net, x = smooth_net(), pictures()
    expected = by_formula(name)
    if context:
        expected = expected * (1 - SHOWN.double())
    kernel = (8 // cells[0], 8 // cells[1])
    coarse = avg_pool2d(expected[:, None], kernel, kernel)
    target = asked(1, of="probabilities")
    # In float64, as extras of a float64 network are; to what is left of the extrapolated sum.
    tolerance = 1e-4 if name == "integrated-gradients" else 1e-9
    found = SIZES[name](context=context, cells=cells)(net, x, target)
    assert found.extras["cells"].dtype == torch.float64
    torch.testing.assert_close(found.extras["cells"], coarse, rtol=tolerance, atol=0)
    tiles = coarse.repeat_interleave(kernel[0], 2).repeat_interleave(kernel[1], 3)
    torch.testing.assert_close(found.values, tiles.float(), rtol=tolerance + 1e-6, atol=0)
    fine = SIZES[name](context=context)(net, x, target)
    torch.testing.assert_close(fine.values[:, 0], expected.float(), rtol=tolerance + 1e-6, atol=1e-9)
    assert not fine.extras.keys() & {"cells"}
    assert not found.signed


def test_the_papers_right_sum_goes_to_ours():
    """Gauss–Legendre nodes are converged; the right sum's distance to them halves with twice the steps."""
    net, x = smooth_net(), pictures(1, 2, 8, 8)
    method = partial(IntegratedGradients, multiply_by_inputs=False, context=True, cells="8x8")
    ours, more = (method(nodes=n)(net, x, asked(1, of="probabilities")).extras["cells"][:, 0] for n in (12, 40))
    torch.testing.assert_close(ours, more, rtol=1e-10, atol=1e-14)
    outside = ~SHOWN
    off = [float(((right_sum(net, x, n).abs().sum(1) - ours) * outside).norm() / ours.norm()) for n in (25, 50, 100)]
    assert off[0] < 0.05
    assert off[0] > 1e-4
    assert off[1] / off[0] == pytest.approx(0.5, abs=0.02)
    assert off[2] / off[1] == pytest.approx(0.5, abs=0.01)


def test_a_planted_linear_network():
    """y = Σ_d w(d) x(p + d), asked at one pixel: the map is |w| around it and nothing in it; cells counted by hand."""
    net = network(nn.Conv2d(1, 1, 3, padding=1, bias=False), link="none")
    kernel = torch.tensor([[1.0, -2.0, 3.0], [-4.0, 5.0, -6.0], [7.0, -8.0, 9.0]], dtype=torch.float64)
    with torch.no_grad():
        net.module[0].weight[0, 0] = kernel
    x, target = pictures(1, 1, 8, 8), Target(0, pixel(3, 4))
    expected = torch.zeros(8, 8)
    expected[2:5, 3:6] = kernel.abs()
    expected[3, 4] = 0
    for make in SIZES.values():
        fine = make(context=True)(net, x, target).values[0, 0]
        torch.testing.assert_close(fine, expected)
        # Quarters meet at row 4 and column 4: |w| of each, 5 left out, over 16 pixels.
        coarse = make(context=True, cells="2x2")(net, x, target).extras["cells"][0, 0]
        quarters = torch.tensor([[1 + 4, 2 + 3 + 6], [7, 8 + 9]], dtype=torch.float64) / 16
        torch.testing.assert_close(coarse, quarters)


@pytest.mark.parametrize("name", ALL)
def test_the_context_map_is_the_map_outside_and_nothing_within(name):
    net, x = relu_net(), pictures()
    targets = [asked(0), Target(2, predicted(2)), Target(1, pixel(0, 7), reduce="sum")]
    whole, outside = ALL[name]()(net, x, targets), ALL[name](context=True)(net, x, targets)
    masks = outside.scores.masks
    assert bool(masks.any() and (~masks).any())
    assert bool((outside.values[masks] == 0).all())
    assert torch.equal(outside.values[~masks], whole.values[~masks])
    assert torch.equal(outside.score, whole.score)
    assert outside.extras.keys() == whole.extras.keys()
    for key, extra in whole.extras.items():
        assert torch.equal(outside.extras[key], extra)


@pytest.mark.parametrize("cells", ["3x5", "8x1", (7, 6), "1x1"])
@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_cells_keep_the_sum_and_the_mean(name, context, cells):
    """Also where they do not divide the picture: a pixel that several share counts in each by its part."""
    net, x = relu_net(), pictures()
    targets = [asked(0), asked(2)]
    fine = ALL[name](context=context)(net, x, targets).values
    found = ALL[name](context=context, cells=cells)(net, x, targets)
    coarse = found.extras["cells"]
    area = 64 / coarse[0, 0].numel()
    scale = float(fine.abs().flatten(2).sum(2).max())
    torch.testing.assert_close(coarse.sum((2, 3)) * area, fine.double().sum((2, 3)), rtol=0, atol=1e-6 * scale)
    torch.testing.assert_close(coarse.mean((2, 3)), fine.double().mean((2, 3)), rtol=0, atol=1e-6 * scale / 64)
    # On the picture, every pixel has the value of the cell in which its centre lies.
    rows, columns = (((torch.arange(8) + 0.5) * n / 8).long() for n in coarse.shape[2:])
    assert torch.equal(found.values, coarse.float()[:, :, rows][:, :, :, columns])


def test_without_fields_nothing_changed():
    """Bit for bit what the gradients themselves give, by the pieces that the methods are made of."""
    net, x = relu_net(), pictures()
    targets = Targets.of([asked(0), asked(2, of="probabilities")])
    with slopes(net, x, targets) as found:
        plain = found.linear(lambda g: g).abs().sum(2)
    assert torch.equal(Saliency()(net, x, targets).values, plain.float())
    with capture(net, head=True) as taps:
        scores = targets.bind(net, x, net(x).detach())
        integrated = mean_gradient(net, x, 0 * x, scores, taps, 5)
        noise = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0)).to(x)
        sigma = 0.1 * (x.amax((1, 2, 3)) - x.amin((1, 2, 3))).reshape(-1, 1, 1, 1)
        noisy = (x + sigma * noise).requires_grad_()
        smooth = Slopes(scores, net(noisy), [noisy], taps.head).linear(lambda g: g).abs().sum(2)
    # Of a node's weights the sum, and of one noisy copy the mean, are what they are.
    method = IntegratedGradients(nodes=5, multiply_by_inputs=False)
    assert torch.equal(method(net, x, targets).values, integrated.abs().sum(2).float())
    complete = IntegratedGradients(nodes=5, most=5, gap=1e3)
    assert torch.equal(complete(net, x, targets).values, (integrated * x[:, None]).sum(2).float())
    assert torch.equal(SmoothGrad(samples=1, noise=0.1)(net, x, targets).values, smooth.float())
    for make in ALL.values():
        assert "cells" not in make()(net, x, targets).extras


def test_completeness_is_that_of_the_whole_map():
    """No warning for what context and cells leave out: signs are kept, gap and nodes are those of the integral."""
    net, x = relu_net(), pictures()
    method = partial(IntegratedGradients, nodes=4, gap=0.02, most=64)
    plain, found = method()(net, x, asked(0)), method(context=True, cells="4x4")(net, x, asked(0))
    assert found.signed
    assert bool((found.extras["cells"] < 0).any() and (found.extras["cells"] > 0).any())
    assert found.unit == plain.unit == "{score}"
    for key in ("completeness-gap", "baseline-score", "nodes"):
        assert torch.equal(found.extras[key], plain.extras[key])
    part = (plain.values * ~SHOWN).sum((2, 3))
    assert bool(((part - plain.values.sum((2, 3))).abs() > 0.05 * part.abs()).all())
    torch.testing.assert_close(found.values.sum((2, 3)), part)


def framed():
    """Three pictures of different sizes on one grid of 12 × 12: [3 2 12 12] and their frames."""
    sizes = ((8, 10), (12, 12), (7, 5))
    parts = [pictures(1, 2, *size, seed=i) for i, size in enumerate(sizes)]
    x = torch.cat([pad(p, (0, 12 - p.shape[3], 0, 12 - p.shape[2]), mode="replicate") for p in parts])
    return x, tuple(Frame(size, size, (12, 12)) for size in sizes)


@pytest.mark.parametrize("context", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_pictures_of_different_sizes_on_one_grid(name, context):
    """Each has the cells of its own picture; padding is in no cell, is no context, and shows nothing."""
    (x, frames), net = framed(), relu_net()
    items = (asked(0), Target(1, predicted(1)), Target(2, pixel(3, 3)))
    method = ALL[name](context=context, cells="3x4")
    together = method(net, x, Targets(items=items, frames=frames))
    fine = ALL[name]()(net, x, Targets(items=items, frames=frames))
    for b, (h, w) in enumerate(f.original for f in frames):
        alone = method(net, x[b : b + 1], Targets(items=items, frames=frames[b : b + 1]))
        torch.testing.assert_close(alone.values[0], together.values[b], rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(alone.extras["cells"][0], together.extras["cells"][b], rtol=1e-5, atol=1e-8)
        kept = ~together.scores.masks[b] if context else torch.ones(1, 12, 12, dtype=torch.bool)
        own = (fine.values[b] * kept)[:, :h, :w].double()
        found = together.extras["cells"][b]
        torch.testing.assert_close(found.mean((1, 2)), own.mean((1, 2)), rtol=1e-4, atol=1e-8)
        assert bool((together.values[b, :, h:] == 0).all() and (together.values[b, :, :, w:] == 0).all())
    # 12 × 12 is divided by 3 × 4 cells.
    own = fine.values[1] * ~together.scores.masks[1] if context else fine.values[1]
    expected = avg_pool2d(own[:, None], (4, 3))[:, 0].double()
    torch.testing.assert_close(together.extras["cells"][1], expected, rtol=1e-5, atol=1e-7)


def test_padding_is_no_context_either():
    (x, frames), net = framed(), relu_net()
    found = Saliency(context=True)(net, x, Targets(items=(Target(2, pixel(3, 3)),), frames=frames))
    whole = Saliency()(net, x, Targets(items=(Target(2, pixel(3, 3)),), frames=frames))
    assert bool((whole.values[2, 0, :, 5:] != 0).any())
    shown = torch.stack([f.valid() for f in frames])[:, None]
    assert bool((found.values[~shown] == 0).all())
    assert torch.equal(context_of(found.scores, frames), shown & ~found.scores.masks)


def test_volumes():
    net = Network(module=nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.Tanh(), nn.Conv3d(2, 2, 1)).double())
    x, region = pictures(2, 1, 5, 8, 6), box(1, 1, 1, 3, 5, 4)
    for make in ALL.values():
        fine = make(context=True)(net, x, Target(1, region))
        masks = fine.scores.masks
        assert bool((fine.values[masks] == 0).all() and (fine.values[~masks] != 0).any())
        found = make(context=True, cells="2x4x3")(net, x, Target(1, region))
        assert found.values.shape == fine.values.shape
        expected = pooled(fine.values[:, 0], (2, 4, 3), [Frame.identity((5, 8, 6))] * 2)
        torch.testing.assert_close(found.extras["cells"][:, 0].float(), expected, rtol=1e-4, atol=1e-8)
        with pytest.raises(ParameterError, match="4 × 4 cells are of 2 dimension"):
            make(cells="4x4")(net, x, Target(1, region))


def classifier():
    return Network(module=nn.Sequential(nn.Flatten(), nn.Linear(128, 3)).double(), name="digits")


@pytest.mark.parametrize("name", ALL)
def test_one_score_for_the_whole_image_has_no_context(name):
    """Cells it has: they are cells of the picture."""
    net, x = classifier(), pictures()
    with pytest.raises(RegionError, match=r"digits gives one score .* nothing lies outside.*\n +Ask without context"):
        ALL[name](context=True)(net, x, Target(1))
    fine, found = ALL[name]()(net, x, Target(1)), ALL[name](cells="4x4")(net, x, Target(1))
    torch.testing.assert_close(found.extras["cells"].float(), avg_pool2d(fine.values, 2), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("region", [everything, None, box(0, 0, 8, 8), mask(torch.ones(8, 8, dtype=torch.bool))])
def test_a_region_that_leaves_nothing_alone_is_an_error(region):
    for make in ALL.values():
        with pytest.raises(EmptyRegionError, match=r"is the whole image, so nothing lies outside.*\n.*smaller region"):
            make(context=True)(relu_net(), pictures(), Target(1, region))


@pytest.mark.parametrize("name", ALL)
def test_a_region_that_leaves_nothing_in_a_batch(name):
    """NaN and a warning that names image and target, for the map and its cells alone; the others are as ever."""
    net, x = relu_net(), pictures(3, 2, 8, 8)
    where = torch.zeros(3, 8, 8, dtype=torch.bool)
    where[0, 2:5, 2:6] = where[2, 0, 0] = True
    where[1] = True
    items = (Target(1, mask(where)), asked(0))
    method = ALL[name](context=True, cells="4x4")
    with pytest.warns(EmptyRegionWarning) as caught:
        found = method(net, x, items)
    assert [w.message.image for w in caught] == [1]
    assert "leave no context, their maps are NaN: 1 in mask" in str(caught[0].message)
    assert bool(found.values[1, 0].isnan().all() and found.extras["cells"][1, 0].isnan().all())
    assert int(found.values.isnan().sum()) == 64
    assert bool(found.score.isfinite().all())
    torch.testing.assert_close(found.values[:, 1], method(net, x, items[1]).values[:, 0], rtol=1e-5, atol=1e-8)
    for b in (0, 2):
        one = method(net, x[b : b + 1], Target(1, mask(where[b])))
        torch.testing.assert_close(one.values[0, 0], found.values[b, 0], rtol=1e-5, atol=1e-8)


def test_an_empty_region_is_no_context():
    """Its context would be everything, but there is no score; beside it, a region of everything: nothing is left."""
    net, x = relu_net(), pictures()
    where = torch.zeros(2, 8, 8, dtype=torch.bool)
    where[0, 2:5, 2:6] = True
    with pytest.warns(EmptyRegionWarning, match="empty regions.*image 1") as caught:
        found = Saliency(context=True, cells="4x4")(net, x, Target(1, mask(where)))
    assert len(caught) == 1
    assert bool(found.values[1].isnan().all() and found.extras["cells"][1].isnan().all())
    assert bool(found.values[0].isfinite().all() and found.extras["cells"][0].isfinite().all())
    where[0] = True
    with pytest.warns(EmptyRegionWarning), pytest.raises(EmptyRegionError, match="nothing lies outside"):
        Saliency(context=True)(net, x, Target(1, mask(where)))


def test_what_no_context_moves_is_announced():
    """Pixel by pixel, a network sees nothing outside its region."""
    net = network(nn.Conv2d(2, 3, 1))
    with pytest.warns(ZeroMapWarning, match="zero everywhere, no part is that of pixels outside the region: 1 in box"):
        found = Saliency(context=True, cells="2x2")(net, pictures(1, 2, 8, 8), asked(1))
    assert bool((found.extras["cells"] == 0).all())


@pytest.mark.parametrize("make", [Saliency, SmoothGrad, IntegratedGradients])
@pytest.mark.parametrize("cells", ["4by4", "0x4", 4.5, "4x-1", (2, 2.5)])
def test_what_is_no_number_of_cells(make, cells):
    with pytest.raises(ParameterError, match=rf"{make.__name__}.cells is to be the number of cells"):
        make(cells=cells)


@pytest.mark.parametrize("fields", [{"cells": "9x4"}, {"cells": "4"}, {"context": True}])
def test_refused_before_the_work(fields):
    """After the one pass that tells the regions, not after all noisy copies or nodes."""
    net, x = relu_net(), pictures()
    seen = []
    net.module[0].register_forward_hook(lambda *_: seen.append(1))
    for make in ALL.values():
        seen.clear()
        with pytest.raises((ParameterError, EmptyRegionError)):
            make(**fields)(net, x, Target(1, everything))
        assert len(seen) == 1


def test_cells_are_averaged_in_full_precision_under_autocast():
    net, x = relu_net(), pictures().float()
    net.module.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fine = Saliency(context=True)(net, x, asked(0))
        coarse = Saliency(context=True, cells="3x5")(net, x, asked(0))
    expected = pooled(fine.values[:, 0], (3, 5), [Frame.identity((8, 8))] * 2)
    torch.testing.assert_close(coarse.extras["cells"][:, 0], expected, rtol=1e-6, atol=0)


# Those of which one toy is a volume, which has not two but three numbers of cells.
VOLUMES = ("explains: volume", "batch", "determinism")


@pytest.mark.parametrize("check", [check for check in CHECKS if check not in VOLUMES])
def test_conforms(check):
    """Context and cells together; context alone is among the variants of the whole suite."""
    conformance(partial(Saliency, context=True, cells="3x4"), Traits(context=True))[check]()


def test_a_planted_cue_holds_more_of_the_context_map():
    """Riders ride bicycles: the network that learned it looks at those more than its sister, who did not."""
    share = dict.fromkeys(("streets-unet", "streets-unet-biased"), 0.0)
    scenes = [s for s in Streets(12, (96, 192), seed=12, plant=Plant(riders_on_bicycles=1.0)) if s.cue.sum() > 200]
    method = IntegratedGradients(nodes=4, multiply_by_inputs=False, context=True)
    for name in share:
        for scene in scenes[:3]:
            where = scene.labels == 7
            found = sl.explain(name, scene.image, method, Target("rider", mask(where), of="probabilities")).map
            share[name] += float(found[scene.cue].sum() / found.sum()) / 3
    assert share["streets-unet-biased"] > 1.7 * share["streets-unet"]
