"""GSSM: the predicted masks join the segments."""

import pytest
import torch
from growing import EVERYWHERE, SCENE, felzenszwalb_masks, segmenter, slowly
from plain import pictures, relu_net
from torch.nn.functional import interpolate

from seglens.core.errors import ParameterError
from seglens.core.regions import everything
from seglens.core.targets import Target
from seglens.methods import GSSM, SSM, ScoreMap, SimilarityMap


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize("of", ["logits", "probabilities"])
def test_equals_the_slow_formulation(link, of):
    net = segmenter(link=link)
    found = GSSM()(net, SCENE, Target(1, everything, of=of)).values[0, 0]
    y = interpolate(net.module(SCENE), size=(48, 96), mode="bilinear", align_corners=False).detach()
    p = y.softmax(1) if link == "softmax" else y.sigmoid()
    s = (y if of == "logits" else p)[0, 1]
    predicted = torch.stack([(y.argmax(1) == c if link == "softmax" else p[:, c] > 0.5)[0] for c in range(4)])
    masks = torch.cat([felzenszwalb_masks(net, SCENE), predicted])
    expected = slowly(s.numpy(), masks.numpy(), EVERYWHERE)
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


def test_one_channel_adds_the_masks_of_both_classes():
    net = segmenter(classes=1)
    found = GSSM()(net, SCENE, Target(0, everything)).values[0, 0]
    y = interpolate(net.module(SCENE), size=(48, 96), mode="bilinear", align_corners=False)[0, 0].detach()
    masks = torch.cat([felzenszwalb_masks(net, SCENE), torch.stack([y <= 0, y > 0])])
    expected = slowly((-y).sigmoid().numpy(), masks.numpy(), EVERYWHERE)
    torch.testing.assert_close(found, torch.from_numpy(expected).float(), rtol=1e-5, atol=1e-6)


def test_the_sum_is_that_of_the_score_map():
    net = segmenter()
    asked = [Target(c, everything) for c in range(4)]
    found, s = GSSM()(net, SCENE, asked).values, ScoreMap()(net, SCENE, asked).values
    torch.testing.assert_close(found.sum((2, 3)), s.sum((2, 3)), rtol=1e-4, atol=1e-3)


def test_masks_sharpen_where_segments_do_not_follow_the_prediction():
    """One segment holds the whole picture: SSM is one number, GSSM tells the classes apart, as the similarity map."""
    x = torch.full((1, 3, 8, 8), 0.5, dtype=torch.float64)
    net = segmenter(classes=2)
    # Zero padding makes the border differ although the picture does not.
    ssm, gssm, similarity = (m()(net, x, Target(0, everything)).values for m in (SSM, GSSM, SimilarityMap))
    assert len(ssm.unique()) == 1
    s = ScoreMap()(net, x, Target(0, everything)).values
    assert ssm[0, 0, 0, 0].item() == pytest.approx(s.mean().item(), rel=1e-5)
    labels = interpolate(net.module(x), size=(8, 8), mode="bilinear").argmax(1)
    assert len(labels.unique()) == 2
    assert len(gssm.unique()) == 2
    torch.testing.assert_close(gssm.max(), similarity.max())


def test_units_have_no_masks():
    with pytest.raises(ParameterError, match="units, not classes"):
        GSSM()(relu_net(link="none"), pictures(), Target(0, everything))


def test_bad_parameters():
    with pytest.raises(ParameterError, match=r"GSSM\.size is to be"):
        GSSM(size=0)
