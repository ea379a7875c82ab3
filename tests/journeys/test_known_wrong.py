"""What other tools are known to get wrong, one by one, and the test that ours differs; and those not tested elsewhere.

Each test here makes the mistake in a few lines, shows that it really goes wrong, and that ours is right.
Read in Neuroscope (ea13d1d), or run with Captum 0.9.0, grad-cam 1.5.7, MONAI 1.6.1, Xplique 2.0.0, torchcam 0.5.0,
Quantus 0.6, and Seg_XRes_CAM.
"""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import zoom
from torch import nn
from torch.nn.functional import interpolate

import seglens as sl
from seglens.core.network import Network
from seglens.core.regions import box, everything, pixel
from seglens.core.targets import Target
from seglens.metrics import Confusion
from seglens.perturb.masks import RandomMasks
from seglens.testing import untouched

TESTS = Path(__file__).parents[1]
HERE = "journeys/test_known_wrong.py"

NEUROSCOPE = {
    "the target is the class's sum over all pixels": [f"{HERE}::test_a_region_is_asked_about_and_nothing_else"],
    "the score is what comes out of a softmax": [f"{HERE}::test_a_saturated_softmax_hides_nothing"],
    "saliency is the signed maximum over channels": [f"{HERE}::test_a_signed_maximum_over_channels_drops_the_largest"],
    "guided back-propagation keeps outputs by module and shape": [
        "methods/test_guided_backprop.py::test_outputs_kept_by_module_and_shape_collide_where_a_relu_is_reused",
    ],
    "maps are enlarged by cubic splines": [f"{HERE}::test_enlarging_neither_undershoots_nor_shifts"],
    "SSM and GSSM read the selected layer": [
        "methods/test_ssm.py::test_it_reads_the_output_whatever_layer_is_looked_at",
    ],
    "the similarity map knows the selected classes only": [
        "methods/test_similarity_map.py::test_the_mean_of_the_score_over_each_predicted_class",
    ],
    "XRAI keeps segments that gain next to nothing": [
        "methods/test_xrai.py::test_the_least_gain_is_a_share_of_the_picture",
        "methods/test_growth.py::test_gains_below_the_least_are_dropped_for_good",
    ],
    "the fusion map is clipped at zero and rounded to bytes": [
        "methods/test_fusion_map.py::test_neither_clipped_nor_rounded_to_bytes",
    ],
    "the fusion map drops the last class": ["methods/test_fusion_map.py::test_every_class_counts_the_last_ones_too"],
    "IoU of argmax / n in 8 bits": [f"{HERE}::test_iou_is_not_that_of_class_zero_alone"],
    "class ids are lost from 22 classes on": [
        f"{HERE}::test_class_ids_come_through_whatever_their_number",
        "metrics/test_confusion.py::test_no_class_number_is_lost",
        "methods/test_growth.py::test_more_classes_than_a_byte_of_fractions_can_tell",
    ],
    "the axes of the confusion matrix are labelled the other way round": [
        "metrics/test_confusion.py::test_by_hand_rows_are_the_truth_and_columns_the_prediction",
        "viz/evaluation/test_confusion_figure.py::test_what_was_taken_for_what_stands_in_the_row_of_the_truth",
    ],
    "a class that the truth lacks spoils the confusion matrix": [
        "metrics/test_confusion.py::test_a_class_that_occurs_nowhere_is_undefined_and_in_no_mean",
        "metrics/test_confusion.py::test_rows_and_columns_sum_to_one_or_are_undefined",
    ],
    "labels are resized with a picture's filter": ["run/test_evaluate.py::test_true_labels_are_never_resized"],
    "no label can be ignored": ["metrics/test_confusion.py::test_the_ignored_label_may_be_a_class_or_none"],
    "Grad-CAM++ takes one row of the gradient": [f"{HERE}::test_grad_cam_plus_plus_sees_every_row"],
    "one channel never gets its sigmoid": [f"{HERE}::test_one_channel_is_no_softmax"],
    "the option to add a softmax is ignored": [
        "methods/test_score_map.py::test_is_the_upsampled_output_read_as_asked",
    ],
    "grey pictures are cropped to three columns": [f"{HERE}::test_a_grey_picture_keeps_its_columns"],
    "counts are pooled over all images": "no mistake: ours pools too, and keeps each image's own counts",
    "Windows only, names that libraries removed, missing packages": "no result: it stops",
    "pickled modules only, files of other kinds rejected, endless loading": "no result: it stops",
    "buttons connected twice, work on the thread of the window, properties of torch layers": "no result: the window",
}

PEERS = {
    "1 what an in-place ReLU leaves is taken for the layer's output": [
        "methods/test_activation.py::test_what_an_inplace_rectifier_does_behind_the_layer_is_not_shown",
        "methods/test_grad_cam.py::test_an_in_place_relu_after_the_layer_changes_nothing",
    ],
    "2 guided back-propagation without effect": [
        "methods/test_guided_backprop.py::test_replacing_modules_misses_functions_and_names",
        "methods/test_rectifiers.py::test_without_a_rectifier_it_refuses",
    ],
    "3 the network is left modified": [
        "methods/test_conformance.py::test_conforms",
        "methods/test_guided_backprop.py::test_errors_leave_the_network_untouched",
    ],
    "4 normalised maps look alike, or upside down": [f"{HERE}::test_scale_and_sign_of_a_map_are_kept"],
    "5 Score-CAM's softmax saturates on sums": "no such method here",
    "6 an empty class gives zeros": [f"{HERE}::test_an_empty_class_is_no_map_of_zeros"],
    "6 no target means the highest class id": [f"{HERE}::test_no_target_is_not_the_highest_id"],
    "7 images beyond the targets are dropped": [f"{HERE}::test_one_target_is_asked_of_every_image"],
    "8 errors are printed and swallowed": [f"{HERE}::test_an_error_inside_comes_out"],
    "9 the softmax is taken over the width": [f"{HERE}::test_probabilities_are_over_classes"],
    "10 Grad-CAM++ fails on a segmenter": [
        "methods/test_grad_cam_plus_plus.py::test_equals_the_definition_on_the_sum",
    ],
    "11 enlarging shifts, undershoots or leaves blocks": [f"{HERE}::test_enlarging_neither_undershoots_nor_shifts"],
    "12 randomisation skips tensors": [
        "metrics/test_randomisation.py::test_every_learned_tensor_is_shuffled_and_the_others_are_named",
    ],
    "13 the operator that was asked for is ignored": [
        "methods/test_grad_cam.py::test_what_is_read",
        "methods/test_saliency.py::test_a_contrast_is_a_difference_and_a_factor_a_factor",
    ],
    "14 RISE draws from the normal distribution": [f"{HERE}::test_masks_keep_the_share_that_was_asked_for"],
    "15 class ids through fractions": [f"{HERE}::test_class_ids_come_through_whatever_their_number"],
    "16 not the same twice (here on the processor, to the bit)": ["methods/test_conformance.py::test_conforms"],
}


def collected_from(file: str) -> list[str]:
    """Names that pytest collects from a file, as often as they are defined."""
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]


def test_every_test_that_is_named_exists_and_every_test_here_is_named():
    named = {
        name for table in (NEUROSCOPE, PEERS) for found in table.values() if isinstance(found, list) for name in found
    }
    for name in named:
        file, _, function = name.partition("::")
        assert Path(file).name.startswith("test_"), f"pytest collects nothing from {file}"
        assert collected_from(file).count(function) == 1, name
    own = {f"{HERE}::{name}" for name in collected_from(HERE) if not name.startswith("test_every_test_that_is_named")}
    assert own <= named
    assert {key.split()[0] for key in PEERS} == {str(i) for i in range(1, 17)}


class Ids(nn.Module):
    """Logits of n classes, the largest being the class whose id is the pixel's own 8-bit value."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.ids = nn.Parameter(torch.arange(float(n)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        k = self.ids[:, None, None]
        return k * (2 * 255 * x - k)  # −(v − k)², but for what no class hangs on


def ids_network(n: int) -> Network:
    return sl.load(Ids(n), classes=[f"c{i}" for i in range(n)], convention={"channels": 1})


def linear(*weights: list[float]) -> Network:
    """A 1 × 1 convolution without bias, a list of weights for each class."""
    conv = nn.Conv2d(len(weights[0]), len(weights), 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(weights)[:, :, None, None])
    return Network(module=conv)


def gradient(f, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


def test_a_region_is_asked_about_and_nothing_else():
    torch.manual_seed(0)
    net, x = Network(module=nn.Conv2d(1, 2, 3, padding=1)), torch.rand(1, 1, 9, 9)
    summed = gradient(lambda v: net.module(v)[:, 1], x)[0, 0].detach()
    kernel = net.module.weight[1, 0].detach()
    # Of a whole picture, the inside is one constant and says nothing of any place.
    torch.testing.assert_close(summed[1:-1, 1:-1], kernel.sum().expand(7, 7))
    ours = sl.Saliency("signed")(net, x, Target(1, pixel(4, 6))).values[0, 0]
    expected = torch.zeros(9, 9)
    expected[3:6, 5:8] = kernel
    torch.testing.assert_close(ours, expected)


def test_a_saturated_softmax_hides_nothing():
    net, x = linear([60.0, 0.0], [0.0, 60.0]), torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1).expand(1, 2, 4, 4)
    assert not gradient(lambda v: net.module(v).softmax(1)[:, 0], x).any()
    torch.testing.assert_close(sl.Saliency()(net, x, Target(0, everything)).values, torch.full((1, 1, 4, 4), 60 / 16))


def test_a_signed_maximum_over_channels_drops_the_largest():
    net, x = linear([0.5, -3.0, 0.0], [-1.0, -2.0, -4.0]), torch.rand(1, 3, 2, 2)
    signed = [gradient(lambda v, c=c: net.module(v)[:, c], x).amax(1).flatten()[0].item() for c in (0, 1)]
    assert signed == [0.5, -1.0]  # the weakest of the second class, and below zero
    targets = [Target(c, everything, reduce="sum") for c in (0, 1)]
    for how, expected in (("sum", (3.5, 7.0)), ("max", (3.0, 4.0))):
        found = sl.Saliency(how)(net, x, targets).values
        torch.testing.assert_close(found, torch.tensor(expected)[None, :, None, None].expand(1, 2, 2, 2))


def test_enlarging_neither_undershoots_nor_shifts():
    """A peak of 1 in cell (1, 1) of 4 × 4 lies on 32 pixels around 1.5 · 8 − ½ = 11.5."""
    net = Network(module=nn.Sequential(nn.Conv2d(1, 1, 8, stride=8, bias=False), nn.ReLU(), nn.Conv2d(1, 1, 1)))
    with torch.no_grad():
        net.module[0].weight.fill_(1 / 64)
        net.module[2].weight.fill_(1.0)
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:16, 8:16] = 1
    with pytest.warns(sl.errors.LinearHeadWarning):
        ours = sl.GradCAM("1")(net, x, Target(1, everything, reduce="sum"))
    coarse = ours.extras["coarse"]
    peak = torch.zeros(4, 4)
    peak[1, 1] = coarse.max()
    assert torch.equal(coarse[0, 0], peak)

    def centre(values: torch.Tensor) -> float:
        return float((values.sum(0) * torch.arange(32)).sum() / values.sum())

    cubic = zoom(coarse[0, 0].numpy() / float(coarse.max()), 8, order=3)
    aligned = interpolate(coarse, size=(32, 32), mode="bilinear", align_corners=True)[0, 0]
    blocks = interpolate(coarse, size=(32, 32), mode="nearest")[0, 0]
    assert cubic.min() < -0.1
    assert centre(aligned) - 11.5 < -1
    assert len(blocks.unique()) == 2
    assert ours.values.min() == 0
    assert centre(ours.values[0, 0]) == pytest.approx(11.5, abs=1e-4)
    assert len(ours.values.unique()) > 20


def test_iou_is_not_that_of_class_zero_alone():
    truth = np.array([[0, 1, 2, 3], [3, 2, 1, 0]], np.uint8)
    theirs = (truth / 4).astype(np.uint8)
    assert not theirs.any()
    found = sl.evaluate(ids_network(4), truth, truth)
    assert found.tallies.iou.tolist() == [1, 1, 1, 1]
    # What that prediction is worth, had it been the network's.
    assert Confusion.of(truth, theirs, found.classes).tallies.iou.tolist() == [0.25, 0, 0, 0]


@pytest.mark.parametrize("n", [21, 22, 55, 150])
def test_class_ids_come_through_whatever_their_number(n, tmp_path):
    ids = np.arange(n, dtype=np.uint8)[None].repeat(2, 0)
    theirs = (ids / n * n).astype(np.uint8)
    assert (theirs == ids).all() == (n < 22), "the trap that this test is about"
    net = ids_network(n)
    why = sl.explain(net, ids, "score-map", f"c{n - 1}")
    why.save(tmp_path / "why.npz")
    for kept in (why, sl.open(tmp_path / "why.npz")):
        assert (kept.prediction == ids).all()
        assert (kept.region == (ids == n - 1)).all()
    assert (sl.evaluate(net, ids, ids).confusion.counts == 2 * np.eye(n)).all()


def test_grad_cam_plus_plus_sees_every_row():
    """A region in the lower half: the first row of the gradient is zero, and so were the weights made of it."""
    torch.manual_seed(1)
    net = Network(module=nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 2, 3, padding=1)))
    x, asked = torch.rand(1, 1, 8, 8), Target(0, box(5, 0, 8, 8), reduce="sum")
    a = net.module[:2](x).detach()
    g = gradient(lambda v: net.module[2](v)[:, 0, 5:], a)[0]
    alpha = g**2 / (2 * g**2 + a[0].sum((1, 2), keepdim=True) * g**3)
    weights = (alpha.nan_to_num() * g.relu()).sum((1, 2))
    expected = torch.einsum("k,khw->hw", weights, a[0]).relu()
    assert not g[:, 0].any()  # the row of which theirs makes all weights, and so the map
    assert expected.max() > 0
    with pytest.warns(sl.errors.ReachWarning):
        found = sl.GradCAMPlusPlus("1")(net, x, asked)
    torch.testing.assert_close(found.values[0, 0], expected)


def test_one_channel_is_no_softmax():
    net, x = linear([2.0]), torch.tensor([[-1.0, 3.0]]).reshape(1, 1, 1, 2)
    softmax = net.module(x).softmax(1)
    assert (softmax == 1).all()
    assert not softmax.argmax(1).any()
    found = sl.ScoreMap()(net, x, Target(1, everything))
    torch.testing.assert_close(found.values[0, 0], torch.sigmoid(torch.tensor([[-2.0, 6.0]])))
    assert net.labels(found.output).tolist() == [[[0, 1]]]
    torch.testing.assert_close(sl.Saliency()(net, x, Target(1, everything)).values, torch.ones(1, 1, 1, 2))


def test_a_grey_picture_keeps_its_columns(tmp_path):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    assert grey[..., :3].shape == (6, 3)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    for net in (ids_network(256), sl.load("streets-classifier")):
        name = net.classes.names[5]
        why = sl.explain(net, tmp_path / "grey.png", "saliency", Target(name, None))
        assert why.map.shape == (6, 8)
        assert (why.image.reshape(6, 8, -1)[..., 0] == grey).all()
    assert (sl.explain(ids_network(256), grey, "score-map", Target("c5", everything)).prediction == grey).all()


def test_scale_and_sign_of_a_map_are_kept():
    torch.manual_seed(2)
    layers = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    net, x, asked = Network(module=layers), torch.rand(1, 1, 8, 8), Target(0, everything)
    strong = sl.GradCAM("1")(net, x, asked).values[0, 0]
    with torch.no_grad():
        layers[2].weight *= 1e-9
    weak = sl.GradCAM("1")(net, x, asked).values[0, 0]

    def normalised(m: torch.Tensor) -> torch.Tensor:
        return (m - m.min()) / (m.max() - m.min())

    torch.testing.assert_close(normalised(weak), normalised(strong))
    assert np.corrcoef((1 - normalised(strong)).flatten(), strong.flatten())[0, 1] == pytest.approx(-1)
    torch.testing.assert_close(weak / 1e-9, strong)
    assert weak.max() < 1e-8 < strong.max()


def test_an_empty_class_is_no_map_of_zeros():
    """Class 2 is predicted in the second picture only."""
    net = ids_network(3)
    x = torch.tensor([[0, 1, 1, 0], [0, 2, 2, 1]]).reshape(2, 1, 1, 4) / 255
    inside = net.module(x).argmax(1) == 2
    silent = gradient(lambda v: net.module(v)[:, 2] * inside, x)
    assert not silent[0].any()
    assert silent[1].any()
    with pytest.raises(sl.errors.EmptyRegionError, match=r"no pixel lies in predicted\(2\)"):
        sl.Saliency()(net, x[:1], sl.Targets.of(2))
    with pytest.warns(sl.errors.EmptyRegionWarning, match="image 0"):
        found = sl.Saliency()(net, x, sl.Targets.of(2))
    assert found.values[0].isnan().all()
    assert torch.isfinite(found.values[1]).all()
    assert found.score[0].isnan().all()


def test_no_target_is_not_the_highest_id():
    ids = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 7]], np.uint8)
    assert ids.max() == 7
    why = sl.explain(ids_network(9), ids, "saliency")
    assert why.channel == "c1"
    assert why.target == "c1 in predicted(c1)"


def test_one_target_is_asked_of_every_image():
    torch.manual_seed(3)
    module = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 3, padding=1))
    net, x, asked = Network(module=module), torch.rand(3, 1, 8, 8), [Target(1, everything)]
    zipped = gradient(lambda v: sum(out[1].mean() for _, out in zip(asked, module(v), strict=False)), x)
    assert zipped[0].any()
    assert not zipped[1:].any()
    found = sl.Saliency("signed")(net, x, asked).values
    alone = torch.cat([sl.Saliency("signed")(net, x[i : i + 1], asked).values for i in range(3)])
    torch.testing.assert_close(found, alone)
    torch.testing.assert_close(found, gradient(lambda v: module(v)[:, 1].mean((1, 2)), x))


def test_an_error_inside_comes_out():
    class Swallowing:
        def __enter__(self):
            return self

        def __exit__(self, kind, *_):
            return kind is IndexError

    with Swallowing():
        values = [0][1]
    with pytest.raises(NameError):  # what the caller meets instead
        values.clear()
    net, image = ids_network(3), np.zeros((4, 4), np.uint8)
    with untouched(net), pytest.raises(sl.errors.ClassNotFoundError, match="c9"):
        sl.explain(net, image, "saliency", "c9")
    with untouched(net), pytest.raises(IndexError), sl.capture(net):
        [0][1]


def test_probabilities_are_over_classes():
    torch.manual_seed(4)
    net, x = Network(module=nn.Conv2d(2, 3, 1)), torch.rand(1, 2, 4, 5)
    over_width = net.module(x).softmax(-1)
    assert (over_width.sum(1) - 1).abs().max() > 0.1
    assert net.module(x).argmax(-1).max() > 2  # no class, but a column
    found = sl.ScoreMap()(net, x, [Target(c, everything) for c in range(3)])
    torch.testing.assert_close(found.values.sum(1), torch.ones(1, 4, 5))
    torch.testing.assert_close(found.values, net.module(x).softmax(1).detach())
    assert torch.equal(net.labels(found.output), found.values.argmax(1))


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_masks_keep_the_share_that_was_asked_for(keep):
    normal = torch.randn(100_000, generator=torch.Generator().manual_seed(0)) < keep
    drawn = RandomMasks((32, 32), 8, keep).draw(0, 400, torch.zeros(()))
    assert float(drawn.mean()) == pytest.approx(keep, abs=0.02)
    assert float(normal.float().mean()) == pytest.approx({0.1: 0.54, 0.5: 0.69, 0.9: 0.82}[keep], abs=0.01)
