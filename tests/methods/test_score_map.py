"""Score map: read off the output by its definition; a classifier is a segmenter of one pixel."""

import pytest
import torch
from plain import BOX, asked, network, pictures, read, relu_net
from torch import nn
from torch.nn.functional import interpolate

import seglens as sl
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.regions import everything, pixel
from seglens.core.targets import Target, Targets, channel
from seglens.methods import GSSM, SSM, FusionMap, ScoreMap, SimilarityMap

OFS = ("logits", "probabilities", "log-probabilities")


class Fixed(nn.Module):
    """The same output for every input."""

    def __init__(self, y):
        super().__init__()
        self.y = nn.Parameter(y)

    def forward(self, x):
        return self.y.expand(len(x), *self.y.shape[1:]) * 1.0


def up(y, size=(8, 8)):
    return interpolate(y, size=size, mode="bilinear", align_corners=False)


@pytest.mark.parametrize("of", OFS)
@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("emits", ["logits", "probabilities"])
def test_is_the_upsampled_output_read_as_asked(of, link, emits):
    net, x = relu_net(link=link, emits=emits), pictures()
    if emits == "probabilities":
        net.module.append(nn.Softmax(1) if link == "softmax" else nn.Sigmoid())
    found = ScoreMap()(net, x, [asked(c, of=of) for c in range(3)])
    expected = read(up(net.module(x)), of, link, emits)
    torch.testing.assert_close(found.values, expected.detach().float())
    assert found.signed == (of != "probabilities")
    assert found.unit == "{score}"


def test_probabilities_are_the_default():
    net, x = relu_net(), pictures()
    found = ScoreMap()(net, x, [Target(c, everything) for c in range(3)])
    torch.testing.assert_close(found.values.sum(1), torch.ones(2, 8, 8))
    assert {t.of for t in found.scores.items} == {"probabilities"}


def test_the_link_comes_after_upsampling():
    """Else the map of a pixel would not be the score of that pixel: a softmax of means is no mean of softmaxes."""
    net, x = relu_net(), 20 * pictures()
    found = ScoreMap()(net, x, Target(1, everything)).values[:, 0]
    before = up(net.module(x).softmax(1))[:, 1].float()
    assert (found - before).abs().max() > 0.01
    at = ScoreMap()(net, x, Target(1, pixel(3, 4)))
    torch.testing.assert_close(at.score[:, 0], found[:, 3, 4])


def test_its_mean_over_the_region_is_the_score():
    net, x = relu_net(), pictures()
    contrast = channel(1) - 0.5 * channel(2)
    for target in (asked(0), asked(contrast), asked(contrast, of="logits"), asked(2, reduce="sum")):
        found = ScoreMap()(net, x, target)
        top, left, bottom, right = BOX
        part = found.values[:, 0, top:bottom, left:right]
        torch.testing.assert_close(part.sum((1, 2)) if target.reduce == "sum" else part.mean((1, 2)), found.score[:, 0])


def test_contrasts_are_signed():
    net, x = relu_net(), pictures()
    found = ScoreMap()(net, x, asked(channel(0) - channel(1)))
    assert found.signed
    assert bool((found.values < 0).any())
    assert not ScoreMap()(net, x, asked(channel(0) + channel(1))).signed


def test_one_channel_is_two_classes():
    net, x = network(nn.Conv2d(2, 1, 3, padding=1)), pictures()
    found = ScoreMap()(net, x, [Target(0, everything), Target(1, everything)]).values
    torch.testing.assert_close(found[:, 1], net.module(x)[:, 0].sigmoid().detach().float())
    torch.testing.assert_close(found.sum(1), torch.ones(2, 8, 8))


def test_units_are_read_as_they_are():
    net, x = relu_net(link="none"), pictures()
    found = ScoreMap()(net, x, Target(2, everything))
    torch.testing.assert_close(found.values[:, 0], up(net.module(x))[:, 2].detach().float())
    assert found.signed


Y = 2 * torch.randn(1, 4, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("of", [None, *OFS])
@pytest.mark.parametrize(("link", "classes"), [("softmax", 4), ("sigmoid", 4), (None, 1), (None, 4)])
@pytest.mark.parametrize("method", [ScoreMap, SSM, GSSM, SimilarityMap, FusionMap])
def test_a_classifier_is_a_segmenter_of_one_pixel(method, link, classes, of):
    """The same map, for every method that reads the output; and that map is one number."""
    x = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    y = Y[:, :classes]
    asked_of = [Target(c, of=of) for c in range(max(classes, 2))]
    classifier = method()(Network(module=Fixed(y), link=link), x, asked_of)
    segmenter = method()(Network(module=Fixed(y[:, :, None, None]), link=link), x, asked_of)
    torch.testing.assert_close(classifier.values, segmenter.values, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(classifier.score, segmenter.score, rtol=1e-6, atol=1e-7)
    for name, picture in classifier.pictures.items():
        torch.testing.assert_close(picture, segmenter.pictures[name], rtol=1e-6, atol=1e-7)
    if method is not FusionMap:
        constant = classifier.score[:, :, None, None].expand_as(classifier.values)
        torch.testing.assert_close(classifier.values, constant)
    assert classifier.signed == segmenter.signed


def test_explained_from_a_picture_it_is_on_the_pictures_own_grid():
    """Padding is cut off, and the unit is named."""
    net = sl.Network(module=nn.Conv2d(3, 3, 1), convention=sl.Convention(divisor=8))
    picture = torch.rand(3, 13, 21, generator=torch.Generator().manual_seed(1))
    why = sl.explain(net, picture, "score-map", Target(1, everything))
    expected = net.module(picture[None]).softmax(1)[0, 1].detach()
    torch.testing.assert_close(torch.from_numpy(why.map), expected)
    assert why.unit == "probability"
    logits = sl.explain(net, picture, "score-map", Target(1, everything, of="logits"))
    torch.testing.assert_close(torch.from_numpy(logits.map), net.module(picture[None])[0, 1].detach())
    assert logits.unit == "logit"


@pytest.mark.parametrize("method", [SSM, GSSM, SimilarityMap])
def test_what_is_gathered_over_parts_is_not_gathered_over_padding(method):
    net, x = relu_net(), pictures()
    frame = Frame((6, 7), (6, 7), (8, 8))
    padded = Targets(items=(Target(0, everything), Target(1, everything)), frames=(frame, frame))
    found = method()(net, x, padded).values
    assert not found[:, :, 6:].any()
    assert not found[:, :, :, 7:].any()
    s = ScoreMap()(net, x, padded).values[:, :, :6, :7]
    torch.testing.assert_close(found.sum((2, 3)), s.sum((2, 3)))
