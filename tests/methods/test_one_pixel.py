"""A classifier is a segmenter of one pixel: every method gives both the same map, through the door that people use.

The network is the built-in classifier, its logits [B K] as they are and as [B K 1 1]; in float64, so that what differs
is a formula and not the rounding of a probability near 1.
"""

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.method import METHODS, Method, takes_target
from seglens.core.network import Network
from seglens.datasets import CLASSES, Streets

QUICK: dict[str, dict[str, object]] = {
    "integrated-gradients": {"nodes": 4, "most": 4},
    "smooth-grad": {"samples": 3},
    "rise": {"masks": 24},
    "xrai": {"nodes": 4},
    "occlusion": {"size": 12},
    "grid-saliency": {"cells": "3x4", "steps": 8},
}
"""Fewer draws, nodes and steps, where the default is many."""

FLAT = ("second-order",)  # second derivatives of a network of rectifiers are zero
OF_CONTEXT = ("context-saliency",)
"""Methods of what lies outside a region: one pixel leaves nothing of the picture outside."""


class OnePixel(nn.Module):
    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.inner = classifier

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x)[:, :, None, None]


@pytest.fixture(scope="module")
def pair() -> tuple[Network, Network]:
    loaded = sl.load("streets-classifier")
    classifier = loaded.with_(module=loaded.module.double())
    segmenter = classifier.with_(module=OnePixel(classifier.module), default_layer=f"inner.{classifier.default_layer}")
    return classifier, segmenter


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """Part of a street, neither square nor of the network's size, with a car in its middle."""
    scene = Streets(16, (192, 384), seed=3)[14]
    rows, columns = np.nonzero(scene.labels == CLASSES.index("car"))
    top, left = int(np.median(rows)) - 30, int(np.median(columns)) - 34
    return scene.image[top : top + 60, left : left + 68]


def made(name: str) -> Method:
    return METHODS[name](**QUICK.get(name, {}))


@pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
@pytest.mark.parametrize("name", [n for n in METHODS.names() if n not in (*OF_CONTEXT, *FLAT)])
def test_every_method_gives_a_classifier_the_map_of_a_one_pixel_segmenter(name, pair, picture):
    classifier, segmenter = pair
    method = made(name)
    asked = ["car", "person", "building"] if takes_target(method) else [None]
    readings = [None, "probabilities"] if takes_target(method) else [None]
    one = sl.explain(classifier, picture, method, [sl.Target(c, of=of) for c in asked for of in readings])
    other = sl.explain(
        segmenter, picture, method, [sl.Target(c, sl.everything, of=of) for c in asked for of in readings]
    )
    assert len(one) == len(other) == len(asked) * len(readings)
    for a, b in zip(one, other, strict=True):
        assert np.isfinite(a.map).all()
        assert np.abs(a.map - b.map).max() <= 1e-5 * np.abs(a.map).max(), str(a)
        assert (a.score == pytest.approx(b.score, rel=1e-6)) or (np.isnan(a.score) and np.isnan(b.score))
        assert (a.unit, a.signed, a.of, a.channel, a.label) == (b.unit, b.signed, b.of, b.channel, b.label)
        assert a.map.shape == picture.shape[:2]
        assert set(a.extras) == set(b.extras)
        for key, value in a.extras.items():
            # What is undefined is so for both: a mask that is certified as empty has no search, nor a curve.
            close = 1e-6 * np.nan_to_num(np.abs(value)).max()
            np.testing.assert_allclose(value, b.extras[key], rtol=1e-5, atol=close, err_msg=key)
    # A rectified map may be zero for a class for which nothing speaks; not for the one that wins.
    assert one[0].map.any()
    if takes_target(method):
        # Maps of classes differ, so that equal ones are no accident.
        assert np.abs(one[0].map - one[-1].map).max() > 1e-3 * np.abs(one[0].map).max()


@pytest.mark.parametrize("name", OF_CONTEXT)
def test_without_context_there_is_nothing_to_explain_by(name, pair, picture):
    """Neither has any: the classifier has no regions, and the region of its twin is all of the picture."""
    classifier, segmenter = pair
    with pytest.raises(sl.errors.RegionError, match="nothing lies outside a region"):
        sl.explain(classifier, picture, made(name), "car")
    with pytest.raises(sl.errors.EmptyRegionError, match="everything is the whole image"):
        sl.explain(segmenter, picture, made(name), sl.Target("car", sl.everything))


def test_the_class_that_wins_needs_no_region(pair, picture):
    """A bare name asks where the class is predicted: of one pixel, everywhere or nowhere."""
    classifier, segmenter = pair
    found = sl.find_classes(classifier, picture)
    winner = found[0].name
    one, other = (sl.explain(net, picture, "grad-cam", winner) for net in pair)
    np.testing.assert_allclose(one.map, other.map, atol=1e-5 * one.map.max())
    assert one.region is None
    assert other.region is not None
    assert other.region.all()
    with pytest.raises(sl.errors.EmptyRegionError):
        sl.explain(segmenter, picture, "grad-cam", next(c for c in classifier.classes.names if c != winner))
