"""What a network found: areas on the picture, scores of a classifier, values of units."""

import math

import pytest
import torch
from torch import nn

import seglens as sl


class Scores(nn.Module):
    """The same scores for every picture."""

    def __init__(self, *scores):
        super().__init__()
        self.scores = nn.Parameter(torch.tensor(scores))

    def forward(self, x):
        return self.scores * torch.ones(len(x), 1)


PICTURE = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(0))


def found(*scores, **fields):
    return sl.find_classes(sl.Network(module=Scores(*scores), **fields), PICTURE)


def test_a_classifier_gives_logit_and_probability_of_every_class():
    table = found(-1.0, 2.0, 0.5, classes=sl.ClassTable(("cat", "dog", "owl")))
    assert [f.name for f in table] == ["dog", "owl", "cat"]
    assert [f.index for f in table] == [1, 2, 0]
    assert [f.logit for f in table] == [2.0, 0.5, -1.0]
    total = math.exp(-1) + math.exp(2) + math.exp(0.5)
    for f in table:
        assert f.confidence == pytest.approx(math.exp(f.logit) / total)
        assert (f.pixels, f.share, f.instances) == (None, None, None)
    assert list(table[0].to_dict()) == ["index", "name", "pixels", "share", "confidence", "instances", "logit"]


def test_saturated_probabilities_are_ranked_by_their_logits():
    table = found(-200.0, 100.0, -150.0, -180.0)
    assert [f.index for f in table] == [1, 2, 3, 0]
    assert [f.confidence for f in table] == [1.0, 0.0, 0.0, 0.0]


def test_one_channel_is_two_classes():
    table = found(-1.5)
    assert [(f.name, f.logit) for f in table] == [("background", 1.5), ("foreground", -1.5)]
    assert [f.confidence for f in table] == pytest.approx([1 / (1 + math.exp(-1.5)), 1 / (1 + math.exp(1.5))])


def test_independent_labels_do_not_share_one_probability():
    table = found(1.0, 3.0, link="sigmoid")
    assert [f.confidence for f in table] == pytest.approx([1 / (1 + math.exp(-3)), 1 / (1 + math.exp(-1))])


def test_logits_of_a_network_that_gives_probabilities_are_logarithms():
    table = found(0.25, 0.75, emits="probabilities")
    assert [f.logit for f in table] == pytest.approx([math.log(0.75), math.log(0.25)])
    assert [f.confidence for f in table] == pytest.approx([0.75, 0.25])


def test_units_have_values_and_a_segmenter_no_single_logit():
    assert [(f.name, f.confidence, f.logit) for f in found(4.0, -2.0, link="none")] == [
        ("unit 0", 4.0, None),
        ("unit 1", -2.0, None),
    ]
    net = sl.Network(module=nn.Conv2d(3, 2, 1))
    assert {f.logit for f in sl.find_classes(net, PICTURE)} == {None}
