"""Costs promised in forward passes F, counted on segmentation-models-pytorch's U-Net with ResNet-18 encoder."""

import numpy as np
import pytest
import torch

import seglens as sl
from seglens.core.cost import measured
from seglens.methods.grad_cam import grad_cam_at_layers

EVERY = list(range(19))
# What untrained weights give is of no interest here: zero maps and maps beyond the region's sight.
pytestmark = pytest.mark.filterwarnings("ignore::seglens.SeglensWarning")


def passes(work, forward):
    """Forward passes that `work` costs."""
    with measured() as counted:
        work()
    return counted.flops / forward


def cost(case, method, channels, forward):
    """Forward passes of a seglens method on some classes of the case."""
    return passes(lambda: method(case.network, case.x, case.targets(channels)), forward)


def test_a_pass_is_counted_as_one(unet, forward):
    with torch.no_grad():
        assert passes(lambda: unet.module(unet.x), forward) == 1
        assert passes(lambda: [unet.module(unet.x) for _ in range(3)], forward) == 3


@pytest.mark.parametrize("method", [sl.GradCAM, sl.GradCAMPlusPlus, sl.HiResCAM, sl.LayerCAM])
def test_one_class_at_the_end_of_the_encoder_costs_its_tail(unet, forward, method):
    found = cost(unet, method(unet.layer), [unet.channel], forward)
    assert 1 < found <= 1.6


@pytest.mark.parametrize("method", [sl.GradCAM, sl.GradCAMPlusPlus, sl.HiResCAM, sl.LayerCAM])
def test_nineteen_classes_in_one_call_cost_at_most_twelve_passes(unet, forward, method):
    assert cost(unet, method(unet.layer), EVERY, forward) <= 12


def test_finding_the_layer_costs_one_pass_more(unet, forward):
    named = cost(unet, sl.GradCAM(unet.layer), [unet.channel], forward)
    assert cost(unet, sl.GradCAM(), [unet.channel], forward) <= named + 1.001


def test_many_classes_over_one_region_cost_the_head_not_the_classes(unet):
    from benchmarks.cases import smp_unet
    from benchmarks.measure import forward_cost

    case = smp_unet(classes=150, size=(64, 128), pointwise_head=True)
    forward, _ = forward_cost(case)
    one = cost(case, sl.GradCAM(case.layer), [0], forward)
    inputs = case.module.segmentation_head[0].in_channels
    found = cost(case, sl.GradCAM(case.layer), list(range(150)), forward)
    assert found <= (1 + inputs * (one - 1)) * 1.02
    assert found < 12 < 1 + 150 * (one - 1)


def test_many_classes_agree_with_each_class_alone():
    from benchmarks.cases import smp_unet

    case = smp_unet(classes=40, size=(64, 128), pointwise_head=True)
    together = sl.GradCAM(case.layer)(case.network, case.x, case.targets(list(range(40))))
    for c in (0, 17, 39):
        alone = sl.GradCAM(case.layer)(case.network, case.x, case.targets([c]))
        torch.testing.assert_close(together.values[:, c], alone.values[:, 0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("classes", [1, 3])
@pytest.mark.parametrize("method", [sl.Saliency(), sl.InputXGradient()])
def test_gradients_by_the_image_cost_a_reverse_pass_a_class(unet, forward, method, classes):
    assert cost(unet, method, EVERY[:classes], forward) <= 1.001 * (1 + classes)


def test_score_maps_and_what_is_gathered_from_them_cost_one_pass(unet, forward):
    for method in (sl.ScoreMap(), sl.FusionMap(), sl.SSM(), sl.GSSM(), sl.SimilarityMap()):
        for channels in ([unet.channel], EVERY):
            assert cost(unet, method, channels, forward) == 1, method


def test_an_activation_map_costs_as_grad_cam_and_a_named_channel_one_pass(unet, forward):
    for channels, most in (([unet.channel], 1.6), (EVERY, 12)):
        assert 1 < cost(unet, sl.Activation(unet.layer), channels, forward) <= most
        assert cost(unet, sl.Activation(unet.layer, channel=3), channels, forward) == 1


@pytest.mark.parametrize("channels", [[7], EVERY])
def test_occlusion_and_rise_cost_a_pass_a_picture_and_one_however_many_the_classes(unet, forward, channels):
    # Patches of 64 at strides of 32 lie once over the height of 64 and three times over the width of 128.
    assert cost(unet, sl.Occlusion(size=64, stride=32), channels, forward) == 3 + 1
    # And the sums over the masks, 4 operations a pixel, mask and class.
    assert 5 + 1 <= cost(unet, sl.RISE(masks=5), channels, forward) <= 1.01 * (5 + 1)


@pytest.mark.parametrize("classes", [1, 3])
def test_xrai_costs_two_integrated_gradients(unet, forward, classes):
    # A pass and a reverse pass a class at each node, from black and from white; both baselines, and the picture.
    expected = 2 * 2 * (1 + classes) + 3
    assert expected - 1 < cost(unet, sl.XRAI(nodes=2), EVERY[:classes], forward) <= 1.001 * expected


def test_guided_gradients_cost_as_those_that_they_guide(unet, forward):
    assert cost(unet, sl.GuidedBackprop(), [unet.channel], forward) <= 2.001
    assert cost(unet, sl.GuidedGradCAM(unet.layer), [unet.channel], forward) <= 1.001 * (2 + 0.6)


def test_integrated_gradients_cost_two_passes_a_node_and_two(unet, forward):
    method = sl.IntegratedGradients(nodes=6, most=6)
    assert cost(unet, method, [unet.channel], forward) <= 1.001 * (2 * 6 + 2)


def test_smooth_grad_costs_two_passes_a_sample_and_one(unet, forward):
    assert cost(unet, sl.SmoothGrad(samples=6), [unet.channel], forward) <= 1.001 * (2 * 6 + 1)


def test_all_layers_together_cost_one_reverse_pass(unet, forward):
    layers = ["encoder.layer1", "encoder.layer2", "encoder.layer3", "encoder.layer4"]
    layers += [f"decoder.blocks.{i}" for i in range(5)]
    targets = unet.targets([unet.channel])
    assert passes(lambda: grad_cam_at_layers(unet.network, unet.x, targets, layers), forward) <= 2.1


@pytest.mark.parametrize(("classes", "least", "most"), [([7], 1.5, 1.6), (EVERY, 29, 31)])
def test_captum_pays_for_every_class_anew(unet, forward, need, classes, least, most):
    # The peers' known prices: that they are found again shows that the counter counts, and the bounds bind.
    need("captum")
    from benchmarks import peers

    assert least <= passes(lambda: peers.captum_grad_cam(unet, classes), forward) <= most


@pytest.mark.parametrize(("classes", "least", "most"), [([7], 2.9, 3), (EVERY, 55, 58)])
def test_pytorch_grad_cam_pays_for_every_class_anew(unet, forward, need, classes, least, most):
    need("pytorch_grad_cam")
    from benchmarks import peers

    assert least <= passes(lambda: peers.cam(unet, "GradCAM", classes), forward) <= most


def test_the_bounds_can_fail(unet, forward):
    one_by_one = passes(
        lambda: [sl.GradCAM(unet.layer)(unet.network, unet.x, unet.targets([c])) for c in EVERY], forward
    )
    assert one_by_one > 12


def test_a_small_run_of_the_benchmark_reports_every_method(need, capsys):
    need("captum", "pytorch_grad_cam", "torchvision")
    import json

    from benchmarks.__main__ import main

    assert main(["--network", "streets", "--repetitions", "1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    named = {row["task"].partition(",")[0] for row in rows}
    assert named >= set(sl.METHODS)
    for row in rows:
        assert np.isfinite(list(row["seconds"].values())).all()
        found = {"captum", "pytorch-grad-cam"} & set(row["passes"])
        assert found == set(row["agreement"])
