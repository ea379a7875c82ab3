"""Guided Grad-CAM: the product of two maps, each made by its own formula, from one forward pass."""

import warnings

import pytest
import torch
from plain import asked, gradient, pictures, relu_net, score
from rectified import Act, GuidedReLU, three_convolutions
from torch import nn
from torch.nn.functional import interpolate

import seglens as sl
from seglens.core.cost import measured
from seglens.core.errors import LinearHeadWarning, ParameterError, ReachWarning, RectifierError, ShapeError
from seglens.core.network import Network
from seglens.core.regions import everything, pixel
from seglens.core.targets import Target
from seglens.methods import GradCAM, GuidedBackprop, GuidedGradCAM
from seglens.testing import toys, untouched

LAYERS = ("0", "1", "2", "3")


def guided_twin(net):
    """The same weights with Springenberg's rule as a custom autograd function."""
    return nn.Sequential(*(Act(GuidedReLU.apply) if isinstance(m, nn.ReLU) else m for m in net.module))


def by_formula(net, layer, x, c):
    """Signed over channels: Γ · up(ReLU Σ α A), α from plain autograd on the tail, Γ from the twin."""
    i = int(layer) + 1
    a = net.module[:i](x).detach()
    alpha = gradient(lambda v: score(net.module[i:](v), c), a).mean((2, 3), keepdim=True)
    coarse = (alpha * a).sum(1, keepdim=True).clamp(min=0)
    twin = guided_twin(net)
    fine = gradient(lambda v: score(twin(v), c), x)
    return fine, coarse[:, 0], interpolate(coarse, size=(8, 8), mode="bilinear", align_corners=False)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("how", ["sum", "max", "l2", "signed"])
def test_formula(layer, how):
    """The window does not depend on the channel, so it may come before or after they become one."""
    net, x = relu_net(), pictures()
    found = GuidedGradCAM(layer, how)(net, x, [asked(c) for c in (2, 1)])
    for t, c in enumerate((2, 1)):
        fine, coarse, window = by_formula(net, layer, x, c)
        p = fine * window
        expected = {"sum": p.abs().sum(1), "max": p.abs().amax(1), "l2": p.square().sum(1).sqrt(), "signed": p.sum(1)}
        assert (window > 0).any()
        torch.testing.assert_close(found.values[:, t], expected[how].float())
        torch.testing.assert_close(found.extras["coarse"][:, t], coarse)
    assert found.unit == "{score}² per unit of input"
    assert found.signed == (how == "signed")
    assert found.layer == layer


@pytest.mark.parametrize("layer", LAYERS)
def test_it_is_the_product_of_the_two_methods(layer):
    """Its α are plain gradients, although Γ is not: the same bits as Grad-CAM's."""
    net, x, targets = relu_net(), pictures(), [asked(c) for c in range(3)]
    found = GuidedGradCAM(layer)(net, x, targets)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReachWarning)
        cam = GradCAM(layer)(net, x, targets)
    fine = GuidedBackprop()(net, x, targets)
    torch.testing.assert_close(found.extras["alpha"], cam.extras["alpha"])
    torch.testing.assert_close(found.pictures["guided-backprop"], fine.values)
    torch.testing.assert_close(found.values, cam.values * fine.values)
    torch.testing.assert_close(found.score, cam.score)
    # The rule changed α too if it were there when they were made.
    twin = guided_twin(net)
    i = int(layer) + 1
    changed = gradient(lambda v: score(twin[i:](v), 1), net.module[:i](x).detach()).mean((2, 3))
    if layer != "3":  # behind which there is no rectifier
        assert (changed - found.extras["alpha"][:, 1]).abs().max() > 1e-3


def test_a_mean_over_a_region_of_n_pixels_is_the_sum_by_n_squared():
    net, x = relu_net(), pictures()
    maps = GuidedGradCAM("2")(net, x, [asked(1), asked(1, reduce="sum")]).values
    torch.testing.assert_close(maps[:, 1], maps[:, 0] * 25**2)


def test_one_forward_pass():
    """F for the pass, τ F for Grad-CAM's gradients and F for the guided ones, for each target."""
    net, x = relu_net(), pictures()
    with measured() as forward, torch.no_grad():
        net.module(x)
    with measured() as cam, warnings.catch_warnings():
        warnings.simplefilter("ignore", ReachWarning)
        GradCAM("2")(net, x, [asked(c) for c in range(3)])
    with measured() as cost:
        GuidedGradCAM("2")(net, x, [asked(c) for c in range(3)])
    assert cost.flops == pytest.approx(cam.flops + 3 * forward.flops, rel=0.01)


@pytest.mark.parametrize(
    "name", ["U-Net", "classifier", "volume", "two inputs", "in-place ReLU", "one ReLU used twice"]
)
@pytest.mark.filterwarnings("ignore::seglens.SeglensWarning")
def test_the_product_on_other_networks(name):
    toy = toys.made(name)
    found = GuidedGradCAM(toy.layer)(toy.network, toy.x, toy.targets)
    cam = GradCAM(toy.layer)(toy.network, toy.x, toy.targets)
    fine = GuidedBackprop()(toy.network, toy.x, toy.targets)
    expected = cam.values * fine.values
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    assert (expected > 0).any()


def test_the_default_layer_is_the_end_of_the_encoder():
    net, x = relu_net(default_layer="1"), pictures()
    found = GuidedGradCAM()(net, x, asked(1))
    assert found.layer == "1"
    torch.testing.assert_close(found.values, GuidedGradCAM("1")(net, x, asked(1)).values)


def test_zero_where_the_region_cannot_be_seen_from():
    """Grad-CAM reaches everywhere; Γ does not, and cuts it: no warning is needed."""
    net, x = relu_net(), pictures()
    corner = Target(2, pixel(0, 0))
    with pytest.warns(ReachWarning):
        cam = GradCAM("2")(net, x, corner)
    found = GuidedGradCAM("2")(net, x, corner).values
    assert (cam.values[..., 7:, 7:] > 0).any()
    assert (found[..., 7:, :] == 0).all()
    assert (found[..., 7:] == 0).all()
    assert (found > 0).any()


def test_a_layer_that_feeds_a_linear_head_is_told():
    net = Network(module=nn.Sequential(*relu_net().module[:4], nn.Conv2d(5, 3, 1).double()))
    with pytest.warns(LinearHeadWarning, match="layer '3' feeds a linear"):
        GuidedGradCAM("3")(net, pictures(), asked(1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_refusals_leave_the_network_untouched():
    x = pictures()
    for net, layer, error in (
        (three_convolutions(torch.tanh), "2", RectifierError),
        (Network(module=torch.jit.trace(relu_net().module, x)), "2", RectifierError),
        (relu_net(), "nowhere", LookupError),
        (toys.tokens().network, "ranked", ShapeError),
    ):
        given = toys.tokens().x if layer == "ranked" else x
        with untouched(net, given), pytest.raises(error):
            GuidedGradCAM(layer)(net, given, asked(1))
    with pytest.raises(ParameterError, match="channels"):
        GuidedGradCAM("2", "mean")


class Pooled(nn.Module):
    """Features averaged over space: to [B K], or to [B K 1 1]."""

    def __init__(self, flat):
        super().__init__()
        self.body, self.flat = relu_net().module[:4], flat
        self.head = nn.Linear(5, 3).double()
        nn.init.constant_(self.head.bias, 0.0)
        with torch.no_grad():
            self.head.weight.copy_(torch.linspace(-0.2, 1.0, 15, dtype=torch.float64).reshape(5, 3).mT)

    def forward(self, x):
        y = self.head(self.body(x).mean((2, 3)))
        return y if self.flat else y[:, :, None, None]


def test_a_classifier_is_a_segmenter_of_one_pixel():
    x = pictures()
    one = GuidedGradCAM("body.2")(Network(module=Pooled(True)), x, [Target(c) for c in range(3)])
    other = GuidedGradCAM("body.2")(Network(module=Pooled(False)), x, [Target(c, everything) for c in range(3)])
    torch.testing.assert_close(one.values, other.values)
    assert (one.values > 0).any()


@pytest.mark.filterwarnings("ignore:Setting:UserWarning")
def test_parity_with_captum():
    """There signed by channel, and upsampled by nearest neighbour unless told otherwise."""
    peer = pytest.importorskip("captum.attr", exc_type=ImportError).GuidedGradCam
    net, x = Network(module=Pooled(True)), pictures()
    ours = GuidedGradCAM("body.2", "signed")(net, x, [Target(c) for c in range(3)])
    for c in range(3):
        made = peer(net.module, net.module.body[2])
        theirs = made.attribute(x.clone().requires_grad_(), c, interpolate_mode="bilinear").detach().sum(1)
        torch.testing.assert_close(ours.values[:, c], theirs.float(), rtol=1e-6, atol=1e-6)


def test_an_exported_program_agrees_with_its_module(tmp_path):
    net, x = relu_net(), pictures()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net.module, (x,)), tmp_path / "net.pt2")
        loaded = sl.load(tmp_path / "net.pt2")
    ours, theirs = (GuidedGradCAM("2")(n, x, [asked(0), asked(2)]) for n in (net, loaded))
    torch.testing.assert_close(theirs.values, ours.values)


@pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_under_autocast(dtype):
    toy = toys.made("plain").asking(*toys.TARGETS[:3])
    expected = GuidedGradCAM("norm")(toy.network, toy.x, toy.targets).values
    with torch.autocast("cpu", dtype=dtype):
        found = GuidedGradCAM("norm")(toy.network, toy.x, toy.targets).values
    assert found.dtype == torch.float32
    assert (expected > 0).any()
    assert (found - expected).abs().max() < 0.1 * expected.abs().max()
