"""AUC-ROC over pixels: against its definition, over all pairs."""

import numpy as np
import pytest

from seglens.core.errors import ShapeError
from seglens.metrics.roc import auc_roc, macro


def test_it_is_the_chance_that_a_pixel_of_the_class_scores_above_another():
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 6, (2, 3, 5, 7)).astype(float)  # with ties
    labels = rng.integers(0, 3, (2, 5, 7))
    found = auc_roc(scores, labels)
    for k in range(3):
        of, rest = scores[:, k][labels == k], scores[:, k][labels != k]
        wins = (of[:, None] > rest).mean() + 0.5 * (of[:, None] == rest).mean()
        assert found[k] == pytest.approx(wins, abs=1e-12)


def test_a_class_that_is_nowhere_or_everywhere_has_none_and_the_mean_is_over_the_rest():
    scores = np.random.default_rng(1).random((1, 3, 4, 4))
    labels = np.zeros((1, 4, 4), int)
    labels[0, :2] = 1
    found = auc_roc(scores, labels)
    assert np.isnan(found[2])
    assert macro(found) == pytest.approx(found[:2].mean())
    assert np.isnan(macro(auc_roc(scores, np.zeros((1, 4, 4), int))))


def test_ignored_pixels_do_not_count():
    rng = np.random.default_rng(2)
    scores, labels = rng.random((1, 2, 6, 6)), rng.integers(0, 2, (1, 6, 6))
    labels[0, :, 3:] = 255
    assert auc_roc(scores, labels) == pytest.approx(auc_roc(scores[..., :3], labels[..., :3]))


def test_any_growing_function_of_the_scores_gives_the_same():
    rng = np.random.default_rng(3)
    scores, labels = rng.normal(size=(1, 2, 6, 6)), rng.integers(0, 2, (1, 6, 6))
    assert auc_roc(scores, labels) == pytest.approx(auc_roc(1 / (1 + np.exp(-scores)), labels))


def test_pixels_that_do_not_pair_are_refused():
    with pytest.raises(ShapeError, match="same pixels"):
        auc_roc(np.zeros((1, 2, 4, 4)), np.zeros((1, 4, 5), int))
