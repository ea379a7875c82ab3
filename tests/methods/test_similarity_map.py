"""Similarity map: its closed form."""

import pytest
import torch
from growing import slowly
from hypothesis import given, settings
from hypothesis import strategies as st
from plain import pictures, relu_net
from torch import nn
from torch.nn.functional import interpolate

from seglens.core.errors import ParameterError
from seglens.core.network import Network
from seglens.core.regions import box, everything
from seglens.core.targets import Target
from seglens.methods import ScoreMap, SimilarityMap


class Given(nn.Module):
    """The picture itself is the output."""

    def forward(self, x):
        return x


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 6), st.integers(1, 7), st.integers(1, 7), st.integers(0, 10**6))
def test_the_mean_of_the_score_over_each_predicted_class(classes, height, width, seed):
    y = 3 * torch.randn(2, classes, height, width, generator=torch.Generator().manual_seed(seed))
    asked = [Target(c, everything, of=of) for c in range(classes) for of in ("logits", "probabilities")]
    found = SimilarityMap()(Network(module=Given(), link="softmax"), y, asked).values
    labels = y.argmax(1)
    for t in range(len(asked)):
        s = (y if t % 2 == 0 else y.softmax(1))[:, t // 2]
        for b in range(2):
            for c in range(classes):
                inside = labels[b] == c
                if inside.any():
                    mean = s[b][inside].double().mean().float()
                    torch.testing.assert_close(found[b, t][inside], mean.expand(int(inside.sum())))


def test_on_a_network_of_lower_resolution_labels_are_those_of_the_upsampled_output():
    net, x = relu_net(), pictures()
    found = SimilarityMap()(net, x, Target(1, everything)).values[:, 0]
    y = interpolate(net.module(x), size=(8, 8), mode="bilinear", align_corners=False).detach()
    s, labels = y.softmax(1)[:, 1].float(), y.argmax(1)
    for b in range(2):
        for c in labels[b].unique():
            inside = labels[b] == c
            torch.testing.assert_close(found[b][inside], s[b][inside].mean().expand(int(inside.sum())))
    assert len(labels.unique()) > 1
    assert found.sum().item() == pytest.approx(s.sum().item(), rel=1e-5)


def test_the_class_asked_about_is_strongest_where_it_is_predicted():
    """Its mean logit over its own pixels beats its mean over any other class's, by far."""
    y = torch.randn(1, 4, 30, 30, generator=torch.Generator().manual_seed(0))
    labels = y.argmax(1)[0]
    found = SimilarityMap()(Network(module=Given()), y, [Target(c, everything, of="logits") for c in range(4)]).values
    for c in range(4):
        assert bool((found[0, c] == found[0, c].max()).eq(labels == c).all())


def test_independent_labels_overlap_so_it_is_growth_over_their_masks():
    """What no mask holds gets its own mean."""
    y = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(4))
    masks = y[0] > 0
    assert bool((masks.sum(0) > 1).any() and (masks.sum(0) == 0).any())
    found = SimilarityMap()(Network(module=Given(), link="sigmoid"), y, Target(1, everything)).values[0, 0]
    expected = slowly(y.sigmoid()[0, 1].double().numpy(), masks.numpy(), torch.ones(12, 12, dtype=torch.bool).numpy())
    torch.testing.assert_close(found, torch.from_numpy(expected).float())
    nowhere = masks.sum(0) == 0
    torch.testing.assert_close(found[nowhere].unique(), y.sigmoid()[0, 1][nowhere].mean()[None])


def test_a_class_predicted_nowhere_is_no_part_of_it():
    y = torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(0))
    y[:, 2] = -50
    found = SimilarityMap()(Network(module=Given()), y, Target(2, everything)).values
    assert len(found.unique()) == 2
    assert bool(found.isfinite().all())


def test_the_region_sets_the_score_and_nothing_else():
    net, x = relu_net(), pictures()
    found = SimilarityMap()(net, x, [Target(0, everything), Target(0, box(1, 1, 3, 3))])
    assert torch.equal(found.values[:, 0], found.values[:, 1])
    torch.testing.assert_close(found.score, ScoreMap()(net, x, [*found.scores.items]).score)


def test_units_have_no_labels():
    with pytest.raises(ParameterError, match="units, not classes"):
        SimilarityMap()(relu_net(link="none"), pictures(), Target(0, everything))
