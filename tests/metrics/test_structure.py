"""SSIM of masks: against its formula written out, and where it is undefined."""

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from seglens.core.errors import ShapeError
from seglens.metrics.structure import ssim


def _by_formula(a, b):
    """Wang et al. 2004, eq. 13, written out with an 11-tap window."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(values):
        return correlate1d(correlate1d(values, window, 0, mode="reflect"), window, 1, mode="reflect")

    ma, mb = blur(a), blur(b)
    va, vb, cov = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * ma * mb + c1) * (2 * cov + c2)) / ((ma**2 + mb**2 + c1) * (va + vb + c2))


def _scene(seed=0, size=(24, 40), classes=3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, size).repeat(2, 0).repeat(2, 1)[: size[0], : size[1]]
    p = rng.random((classes, *size))
    return p / p.sum(0), labels


def test_it_is_the_published_formula_averaged_over_the_classes_that_occur():
    p, labels = _scene()
    expected = np.mean([_by_formula((labels == k).astype(float), p[k]).mean() for k in range(3)])
    assert ssim(p, labels) == pytest.approx(expected, abs=1e-9)


def test_the_truth_itself_scores_one_and_its_negative_less_than_zero():
    _, labels = _scene(1)
    truth = (labels == np.arange(3)[:, None, None]).astype(float)
    assert ssim(truth, labels) == pytest.approx(1.0)
    assert ssim(1 - truth, labels) < 0


def test_classes_that_do_not_occur_do_not_count():
    p, labels = _scene(2)
    four = np.concatenate([p, np.zeros((1, *labels.shape))])
    assert ssim(four, labels) == ssim(p, labels)


def test_ignored_pixels_do_not_count_whatever_is_said_there():
    p, labels = _scene(3)
    labels = labels.copy()
    labels[:, 20:] = 255
    other = p.copy()
    other[:, :, 20:] = 0.123
    assert ssim(p, labels) == ssim(other, labels)
    assert np.isnan(ssim(p, np.full_like(labels, 255)))


def test_grids_that_differ_and_pictures_under_the_window_are_refused():
    p, labels = _scene(4)
    with pytest.raises(ShapeError, match="one grid"):
        ssim(p[:, :-1], labels)
    with pytest.raises(ShapeError, match="window"):
        ssim(p[:, :10], labels[:10])
