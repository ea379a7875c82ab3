"""SSM: growth on the score map over real segments, against the text word by word."""

import pytest
import torch
from growing import EVERYWHERE, SCENE, felzenszwalb_masks, segmenter, slowly
from torch import nn
from torch.nn.functional import interpolate

import seglens as sl
from seglens.core.errors import ParameterError
from seglens.core.network import Network
from seglens.core.regions import box, everything, pixel
from seglens.core.targets import Target, channel
from seglens.datasets import Streets
from seglens.methods import SSM, ScoreMap

ASKED = (
    Target(1, everything),
    Target(2, everything, of="logits"),
    Target(channel(0) - channel(3), everything, of="logits"),
)


@pytest.mark.parametrize("target", ASKED, ids=str)
def test_equals_the_slow_formulation(target):
    net = segmenter()
    found = SSM()(net, SCENE, target).values[0, 0]
    y = interpolate(net.module(SCENE), size=(48, 96), mode="bilinear", align_corners=False)[0].detach()
    s = {1: y.softmax(0)[1], 2: y[2]}.get(target.channel, y[0] - y[3])
    masks = felzenszwalb_masks(net, SCENE)
    expected = slowly(s.numpy(), masks.numpy(), EVERYWHERE)
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)
    assert len(found.unique()) > 10


def test_every_segment_is_consumed_so_the_sum_is_that_of_the_score_map():
    net = segmenter()
    found, s = SSM()(net, SCENE, ASKED).values, ScoreMap()(net, SCENE, ASKED).values
    torch.testing.assert_close(found.sum((2, 3)), s.sum((2, 3)), rtol=1e-4, atol=1e-2)
    # It says less than the score map, and in the same places.
    assert bool((found.var((2, 3)) < s.var((2, 3))).all())
    assert bool((((found - found.mean((2, 3), keepdim=True)) * s).sum((2, 3)) > 0).all())


def test_the_region_sets_the_score_and_nothing_else():
    net = segmenter()
    places = (everything, box(0, 0, 10, 10), pixel(40, 90))
    found = SSM()(net, SCENE, [Target(1, place) for place in places])
    assert torch.equal(found.values[:, 0], found.values[:, 1])
    assert torch.equal(found.values[:, 0], found.values[:, 2])
    assert len(found.score.unique()) == 3


def test_negative_scores_are_neither_clipped_nor_hidden():
    """As published, scores clipped at zero would leave nothing of a class whose logits are all negative."""
    net = segmenter()
    with torch.no_grad():
        net.module.bias -= 100
    target = Target(1, everything, of="logits")
    found = SSM()(net, SCENE, target)
    assert found.signed
    assert bool((found.values < 0).all())
    # A constant added to the scores is added to the map.
    moved = segmenter()
    expected = SSM()(moved, SCENE, target).values - 100
    torch.testing.assert_close(found.values, expected, rtol=1e-4, atol=1e-4)


def test_it_reads_the_output_whatever_layer_is_looked_at():
    """As published, the attribution was channel number c of the selected layer: another thing at every other layer."""
    first = nn.Conv2d(3, 6, 3, padding=1).double()
    net = Network(module=nn.Sequential(first, nn.ReLU(), nn.Conv2d(6, 4, 1).double()))
    found = SSM()(net, SCENE, Target(2, everything, of="logits"))
    assert "layer" not in SSM.__dataclass_fields__
    assert found.layer is None
    output = net.module(SCENE)[0, 2].detach()
    hidden = first(SCENE)[0, 2].detach()
    assert found.values.sum().item() == pytest.approx(output.sum().item(), rel=1e-4)
    assert abs(found.values.sum().item() - hidden.sum().item()) > 1


def test_classes_in_another_order_are_the_same_maps():
    net, order = segmenter(), [2, 0, 3, 1]
    moved = segmenter()
    with torch.no_grad():
        moved.module.weight.copy_(net.module.weight[order])
        moved.module.bias.copy_(net.module.bias[order])
    first = SSM()(net, SCENE, [Target(c, everything) for c in order]).values
    torch.testing.assert_close(SSM()(moved, SCENE, [Target(c, everything) for c in range(4)]).values, first)


def test_a_smaller_working_size_gives_coarser_parts():
    net = segmenter()
    fine, coarse = (SSM(size=size)(net, SCENE, ASKED[0]).values for size in (224, 24))
    assert len(coarse.unique()) < len(fine.unique())
    blocks = coarse[0, 0].reshape(12, 4, 24, 4)
    assert bool((blocks == blocks[:, :1, :, :1]).all())
    torch.testing.assert_close(fine.sum(), coarse.sum(), rtol=1e-4, atol=1e-3)


def test_explained_by_name_it_lies_on_the_picture():
    why = sl.explain("streets-unet", Streets(1, (48, 96), seed=3)[0].image, "ssm", Target("road", everything))
    assert why.map.shape == (48, 96)
    assert why.unit == "probability"
    assert not why.signed
    assert 0 <= why.map.min() < why.map.max() <= 1


@pytest.mark.parametrize("size", [0, 2.5, "64"])
def test_bad_parameters(size):
    with pytest.raises(ParameterError, match=r"SSM\.size is to be"):
        SSM(size=size)
