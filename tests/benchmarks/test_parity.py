"""The same maps as Captum and pytorch-grad-cam, once their own conventions are undone; beside other proofs.

A shared mistake would pass here: these tests show that a person who changes tools gets the same maps.
"""

from copy import deepcopy

import numpy as np
import pytest
import torch

import seglens as sl

CHANNELS = [3, 7, 11]
pytestmark = pytest.mark.filterwarnings("ignore::seglens.SeglensWarning")


def ours(case, method, channels):
    """Our maps [T H W]."""
    return method(case.network, case.x, case.targets(channels)).values[0].numpy()


def of_logits(case, method):
    """Our map [1 H W] of a method that reads probabilities unless it is asked for logits."""
    target = sl.Target(case.channel, sl.mask(case.region), of="logits")
    return method(case.network, case.x, sl.Targets.of(target)).values[0].numpy()


def assert_agree(mine, theirs, difference=1e-5):
    """Maps [T H W] agree to `difference` of the largest value, and none is blank."""
    from benchmarks.agreement import Agreement

    found = Agreement.between(mine, theirs)
    assert found.blank == 0
    assert found.difference <= difference
    assert found.correlation >= 1 - 1e-6


@pytest.fixture(scope="module")
def channels(unet):
    """Classes whose Grad-CAM is not zero everywhere, as it may be with untrained weights."""
    maps = ours(unet, sl.GradCAM(unet.layer), list(range(19)))
    return [c for c in range(19) if maps[c].any()][:3]


@pytest.fixture(scope="module")
def asked(unet, channels):
    """The case asked about one of those classes."""
    from dataclasses import replace

    return replace(unet, channel=channels[0])


class TestCaptum:
    @pytest.fixture(autouse=True)
    def installed(self, need):
        need("captum")

    def test_saliency(self, asked):
        from benchmarks import peers

        assert_agree(ours(asked, sl.Saliency(), [asked.channel]), peers.captum_saliency(asked))

    def test_input_x_gradient(self, asked):
        from benchmarks import peers

        assert_agree(ours(asked, sl.InputXGradient(), [asked.channel]), peers.captum_input_x_gradient(asked))

    def test_integrated_gradients_at_the_same_nodes(self, asked):
        from benchmarks import peers

        method = sl.IntegratedGradients(nodes=7, most=7, baseline="white")
        # Not black: a network without biases is homogeneous, so along the ray from zero any nodes would do.
        baseline = torch.ones_like(asked.x)
        assert_agree(ours(asked, method, [asked.channel]), peers.captum_integrated_gradients(asked, 7, baseline))

    def test_guided_backprop_on_relu_modules(self, asked):
        from benchmarks import peers

        assert_agree(ours(asked, sl.GuidedBackprop(), [asked.channel]), peers.captum_guided_backprop(asked))

    def test_guided_grad_cam(self, asked):
        from benchmarks import peers

        theirs = peers.captum_guided_grad_cam(asked)
        assert_agree(ours(asked, sl.GuidedGradCAM(asked.layer), [asked.channel]), theirs)

    def test_occlusion_where_strides_end_with_the_picture(self, asked):
        from benchmarks import peers
        from seglens.perturb import fill

        covered = fill(asked.network, asked.x, "mean")
        theirs = peers.captum_occlusion(asked, 32, 16, covered)
        assert_agree(of_logits(asked, sl.Occlusion(size=32, stride=16, fill="mean")), theirs)
        # Elsewhere Captum cuts its last patches off, and ours move together: other parts, another map.
        theirs = peers.captum_occlusion(asked, 32, 24, covered)
        with pytest.raises(AssertionError):
            assert_agree(of_logits(asked, sl.Occlusion(size=32, stride=24, fill="mean")), theirs)

    def test_activation_of_a_named_channel(self, asked):
        from benchmarks import peers

        mine = ours(asked, sl.Activation(asked.layer, channel=5), [asked.channel])
        assert_agree(mine, peers.captum_activation(asked, 5))
        with pytest.raises(AssertionError):
            assert_agree(mine, peers.captum_activation(asked, 6))

    def test_activation_of_the_channel_that_contributes_most(self, asked):
        from benchmarks import peers

        assert_agree(ours(asked, sl.Activation(asked.layer), [asked.channel]), peers.captum_activation(asked))

    def test_smooth_grad_without_noise(self, asked):
        from benchmarks import peers

        still = sl.SmoothGrad(samples=3, noise=0.0)
        assert_agree(ours(asked, still, [asked.channel]), peers.captum_smooth_grad(asked, 3, 0.0))

    def test_smooth_grad_with_our_noise_handed_to_captum(self, asked, monkeypatch):
        from dataclasses import replace

        from benchmarks import peers

        # Captum passes all draws at once, which in single precision turns rectifiers on or off on some processors.
        asked = replace(asked, module=deepcopy(asked.module).double(), x=asked.x.double())
        method = sl.SmoothGrad(samples=4, noise=0.1)
        draws = []
        given = torch.randn

        def seen(*size, **options):
            draws.append(given(*size, **options))
            return draws[-1]

        with monkeypatch.context() as patch:
            patch.setattr(torch, "randn", seen)
            mine = ours(asked, method, [asked.channel])
        assert len(draws) == 4
        monkeypatch.setattr(torch, "normal", lambda mean, std, **_: torch.cat(draws) * std)
        sigma = 0.1 * float(asked.x.max() - asked.x.min())
        assert_agree(mine, peers.captum_smooth_grad(asked, 4, sigma))

    def test_grad_cam_of_several_classes(self, unet, channels):
        from benchmarks import peers

        assert_agree(ours(unet, sl.GradCAM(unet.layer), channels), peers.captum_grad_cam(unet, channels))

    def test_hires_cam(self, asked):
        from benchmarks import peers

        assert_agree(ours(asked, sl.HiResCAM(asked.layer), [asked.channel]), peers.captum_hires_cam(asked))


class TestPytorchGradCam:
    @pytest.fixture(autouse=True)
    def installed(self, need):
        need("pytorch_grad_cam")

    @pytest.mark.parametrize(
        ("name", "method"), [("GradCAM", sl.GradCAM), ("HiResCAM", sl.HiResCAM), ("LayerCAM", sl.LayerCAM)]
    )
    def test_maps_scaled_from_0_to_1(self, unet, channels, name, method):
        from benchmarks.agreement import from_0_to_1

        from benchmarks import peers

        assert_agree(from_0_to_1(ours(unet, method(unet.layer), channels)), peers.cam(unet, name, channels))

    def test_guided_backprop_scaled_as_the_cams_are(self, asked):
        from copy import deepcopy
        from dataclasses import replace

        from benchmarks.agreement import from_0_to_1

        from benchmarks import peers

        # It exchanges the network's ReLUs for good.
        theirs = peers.cam_guided_backprop(replace(asked, module=deepcopy(asked.module)))
        assert_agree(from_0_to_1(ours(asked, sl.GuidedBackprop(), [asked.channel])), theirs)

    def test_grad_cam_plus_plus_but_for_what_it_adds_to_the_denominator(self, asked):
        from benchmarks.agreement import from_0_to_1

        from benchmarks import peers

        activation, gradient = of_the_sum(asked)
        mine = ours(asked, sl.GradCAMPlusPlus(asked.layer), [asked.channel])
        theirs = peers.cam(asked, "GradCAMPlusPlus", [asked.channel])
        size = asked.region.sum()
        # Ours is the paper's formula as it stands; theirs the same one with 1e-6 in it, which shows.
        assert_agree(mine, plus_plus(activation, gradient, 0.0, asked) / size)
        assert_agree(theirs, from_0_to_1(plus_plus(activation, gradient, 1e-6, asked)))


def of_the_sum(case):
    """Activation A and gradient of the sum over the region by A, float64 arrays [K u v], straight from autograd."""
    kept = []
    handle = case.module.get_submodule(case.layer).register_forward_hook(lambda *given: kept.append(given[2]))
    try:
        y = case.module(case.x)
    finally:
        handle.remove()
    total = (y[0, case.channel] * torch.from_numpy(case.region)).sum()
    (gradient,) = torch.autograd.grad(total, kept[0])
    return kept[0][0].detach().double().numpy(), gradient[0].double().numpy()


def plus_plus(a, g, eps, case):
    """Grad-CAM++ [1 H W] by its formula, with `eps` in the denominator."""
    below = 2 * g**2 + a.sum((1, 2), keepdims=True) * g**3 + eps
    share = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
    coarse = np.maximum(((share * np.maximum(g, 0)).sum((1, 2))[:, None, None] * a).sum(0), 0)
    up = torch.nn.functional.interpolate(torch.from_numpy(coarse)[None, None], case.x.shape[2:], mode="bilinear")
    return up[0].float().numpy()


class TestTheComparisonCanFail:
    def test_on_another_class(self, unet, channels):
        maps = ours(unet, sl.GradCAM(unet.layer), channels)
        with pytest.raises(AssertionError):
            assert_agree(maps, maps[::-1])

    def test_on_maps_upsampled_with_aligned_corners(self, asked):
        found = sl.GradCAM(asked.layer)(asked.network, asked.x, asked.targets([asked.channel]))
        shifted = torch.nn.functional.interpolate(
            found.extras["coarse"], asked.x.shape[2:], mode="bilinear", align_corners=True
        )
        with pytest.raises(AssertionError):
            assert_agree(found.values[0].numpy(), shifted[0].numpy())

    def test_on_a_slight_scale(self, asked):
        maps = ours(asked, sl.Saliency(), [asked.channel])
        with pytest.raises(AssertionError):
            assert_agree(maps, maps * 1.0001)

    def test_on_fewer_nodes(self, asked, need):
        need("captum")
        from benchmarks import peers

        theirs = peers.captum_integrated_gradients(asked, 6, torch.ones_like(asked.x))
        with pytest.raises(AssertionError):
            assert_agree(
                ours(asked, sl.IntegratedGradients(nodes=7, most=7, baseline="white"), [asked.channel]), theirs
            )

    @pytest.mark.parametrize("planted", [np.zeros((1, 4, 4)), np.full((1, 4, 4), np.nan), np.ones((1, 4, 5))])
    def test_on_maps_that_cannot_be_compared(self, planted):
        from benchmarks.agreement import Agreement

        with pytest.raises(ValueError):
            Agreement.between(np.ones((1, 4, 4)), planted)
        with pytest.raises(ValueError):
            Agreement.between(planted * 0, planted * 0)
