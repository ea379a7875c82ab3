"""Context tallies: shares that are known by hand, rings against a brute-force dilation, requests that add."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, ShapeError
from seglens.metrics import CONTEXT_RATIO, CONTEXT_SHARE, ContextTally, ring_around, ring_width

ABC = ClassTable(("road", "bicycle", "sky"))
IGNORED = 255


def tally(saliency, region, labels, width=1, classes=ABC):
    region = np.asarray(region, bool)
    return ContextTally.of(np.asarray(saliency, float), region, ring_around(region, width), np.asarray(labels), classes)


def scene(seed, size=(9, 12), k=3):
    """Saliency with zeros, a ragged region, labels of which some are ignored."""
    rng = np.random.default_rng(seed)
    saliency = np.where(rng.random(size) < 0.5, rng.random(size), 0)
    labels = np.where(rng.random(size) < 0.1, IGNORED, rng.integers(0, k, size))
    return saliency, rng.random(size) < 0.15, labels


def by_hand(saliency, region, labels, width, k=3):
    """Pixel by pixel: saliency, ring and context of each class, what lies inside and on nothing, what is left out."""
    found = np.zeros((3, k))
    inside = unlabelled = left_out = 0.0
    points = [np.array(p) for p in np.argwhere(region)]
    for p in np.ndindex(*region.shape):
        defined = np.isfinite(saliency[p])
        if region[p]:
            inside += saliency[p] if defined else 0
        elif not 0 <= labels[p] < k:
            unlabelled += saliency[p] if defined else 0
            left_out += 1
        elif not defined:
            left_out += 1
        else:
            near = any(np.abs(p - q).max() <= width for q in points)
            found[:, labels[p]] += saliency[p], near, 1
    return found, inside, unlabelled, left_out


@given(st.integers(0, 10**6), st.sampled_from([(9, 12), (1, 14), (4, 5, 6)]), st.sampled_from([1, 2, 5, 30]))
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
def test_equals_counting_pixel_by_pixel(seed, size, width):
    saliency, region, labels = scene(seed, size)
    saliency.flat[:: 1 + seed % 7] = np.nan
    region &= np.random.default_rng(seed).random(size) < 0.4
    found = tally(saliency, region, labels, width)
    rows, inside, unlabelled, left_out = by_hand(saliency, region, labels, width)
    np.testing.assert_allclose(np.concatenate([found.saliency, found.ring, found.context]), rows)
    np.testing.assert_allclose([found.inside[0], found.unlabelled[0]], [inside, unlabelled])
    assert found.left_out[0] == left_out


def test_shares_and_ratios_by_hand():
    #        region 0..1, ring of 1: pixel 2; one pixel is ignored
    labels = [[2, 0, 0, 1, 1, 2, IGNORED, 0]]
    region = [[1, 1, 0, 0, 0, 0, 0, 0]]
    saliency = [[9, 9, 1, 2, 4, 1, 8, 0]]
    found = tally(saliency, region, labels, width=3)
    np.testing.assert_allclose(found.shares("saliency"), [1 / 8, 6 / 8, 1 / 8])
    np.testing.assert_allclose(found.shares("ring"), [1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(found.shares("context"), [2 / 5, 2 / 5, 1 / 5])
    np.testing.assert_allclose(found.log_ratios("ring"), [np.log2(3 / 8), np.log2(9 / 8), np.inf])
    np.testing.assert_allclose(found.log_ratios("context"), [np.log2(5 / 16), np.log2(15 / 8), np.log2(5 / 8)])
    assert (found.inside[0], found.unlabelled[0], found.left_out[0]) == (18, 8, 1)
    # One request: its mean is itself.
    for part in ("saliency", "ring", "context"):
        np.testing.assert_array_equal(found.shares(part, "requests"), found.shares(part))


def test_a_class_without_saliency_is_minus_infinity_and_one_that_is_nowhere_undefined():
    found = tally([[5, 0, 3, 0]], [[1, 0, 0, 0]], [[0, 0, 1, 0]], width=3)
    np.testing.assert_array_equal(found.shares("saliency"), [0, 1, 0])
    assert found.log_ratios("ring")[0] == -np.inf
    assert np.isnan(found.log_ratios("ring")[2])
    assert CONTEXT_RATIO.undefined
    assert CONTEXT_SHARE.undefined


def test_nothing_salient_and_no_ring_are_undefined_and_the_rest_stays():
    labels, region = [[0, 0, 1]], [[1, 0, 0]]
    empty = tally([[7, 0, 0]], region, labels)
    assert np.isnan(empty.shares("saliency")).all()
    assert np.isnan(empty.log_ratios()).all()
    np.testing.assert_array_equal(empty.shares("ring"), [1, 0, 0])
    np.testing.assert_array_equal(empty.shares("context"), [0.5, 0.5, 0])
    undefined = tally([[np.nan] * 3], region, labels)
    assert np.isnan(undefined.shares("saliency")).all()
    assert undefined.left_out[0] == 2
    # All that lies around the region is ignored.
    ringless = tally([[0, 0, 4]], region, [[0, IGNORED, 1]])
    assert np.isnan(ringless.shares("ring")).all()
    assert np.isnan(ringless.log_ratios("ring")).all()
    np.testing.assert_array_equal(ringless.log_ratios("context")[1:2], [0])
    everything = tally([[1, 1, 1]], [[1, 1, 1]], labels)
    for part in ("saliency", "ring", "context"):
        assert np.isnan(everything.shares(part)).all()
        assert everything.has(part).tolist() == [False]


@pytest.mark.parametrize("width", [1, 2, 4, 50])
@pytest.mark.parametrize("size", [(13, 17), (6, 7, 8)])
def test_the_ring_is_a_dilation_less_the_region(size, width):
    region = np.random.default_rng(width).random(size) < 0.02
    near = ndimage.maximum_filter(region, 2 * width + 1, mode="constant")
    np.testing.assert_array_equal(ring_around(region, width), near & ~region)
    assert not ring_around(np.zeros(size, bool), width).any()
    assert not ring_around(np.ones(size, bool), width).any()


def test_what_of_a_ring_lies_in_the_region_does_not_count():
    region = np.array([[True, False, False]])
    wide = np.array([[True, True, False]])
    found = ContextTally.of(np.ones((1, 3)), region, wide, np.zeros((1, 3), int), ABC)
    assert found.ring.tolist() == [[1, 0, 0]]


def test_a_region_at_the_picture_s_edge_has_its_ring_within_the_picture():
    region = np.zeros((6, 6), bool)
    region[0, 0] = True
    found = tally(np.ones((6, 6)), region, np.zeros((6, 6), int), width=2)
    assert found.ring[0, 0] == 8


@pytest.mark.parametrize("factor", [2.0**-40, 0.3, 1e6])
def test_the_scale_of_the_map_does_not_matter(factor):
    saliency, region, labels = scene(1)
    a, b = tally(saliency, region, labels), tally(factor * saliency, region, labels)
    np.testing.assert_allclose(b.shares("saliency"), a.shares("saliency"), rtol=1e-12)
    np.testing.assert_allclose(b.log_ratios(), a.log_ratios(), rtol=1e-9)
    assert not np.allclose(b.saliency, a.saliency)


def test_classes_in_another_order_give_the_same_in_that_order():
    saliency, region, labels = scene(2)
    order = np.array([2, 0, 1])  # the new index of each class
    renamed = np.where(labels == IGNORED, IGNORED, order[labels % 3])
    a, b = tally(saliency, region, labels), tally(saliency, region, renamed)
    for part in ("saliency", "ring", "context"):
        np.testing.assert_array_equal(b.shares(part)[order], a.shares(part))
    np.testing.assert_array_equal(b.log_ratios()[order], a.log_ratios())


def test_saliency_that_is_spread_evenly_is_the_whole_context():
    _, region, labels = scene(3)
    found = tally(np.full(region.shape, 0.37), region, labels)
    np.testing.assert_allclose(found.log_ratios("context"), 0, atol=1e-12)


def test_requests_add():
    scenes = [scene(seed, (8, 8 + seed)) for seed in range(4)]
    each = [tally(*s) for s in scenes]
    together = reduce(add, each)
    joined = ContextTally.joined(iter(each))
    assert len(together) == len(joined) == 4
    for name in ("saliency", "ring", "context", "inside", "unlabelled", "left_out"):
        rows = getattr(together, name)
        np.testing.assert_array_equal(rows, getattr(joined, name))
        np.testing.assert_array_equal(rows, np.concatenate([getattr(t, name) for t in each]))
    # By mass two pictures are as one that shows both, far enough apart for their rings.
    wide = [
        np.pad(a, ((0, 0), (0, 3)), constant_values=fill) for a, fill in zip(scenes[0], (0, 0, IGNORED), strict=True)
    ]
    one = tally(*(np.concatenate([a, b], 1) for a, b in zip(wide, scenes[1], strict=True)))
    for part in ("saliency", "ring", "context"):
        np.testing.assert_allclose((each[0] + each[1]).shares(part), one.shares(part))


def test_sums_and_means_over_requests_by_hand():
    many = tally([[0, 8, 0]], [[1, 0, 0]], [[0, 1, 0]]) + tally([[0, 0, 1, 1]], [[1, 0, 0, 0]], [[0, 0, 0, 1]])
    np.testing.assert_allclose(many.shares("saliency"), [1 / 10, 9 / 10, 0])
    np.testing.assert_allclose(many.shares("saliency", "requests"), [1 / 4, 3 / 4, 0])
    np.testing.assert_allclose(many.shares("context"), [3 / 5, 2 / 5, 0])
    np.testing.assert_allclose(many.shares("context", "requests"), [(1 / 2 + 2 / 3) / 2, (1 / 2 + 1 / 3) / 2, 0])


def test_a_request_without_saliency_is_in_no_mean_and_in_no_ratio():
    full = tally([[0, 8, 2]], [[1, 0, 0]], [[0, 1, 0]], width=2)
    empty = tally([[3, 0, 0]], [[1, 0, 0]], [[0, 2, 2]], width=2)
    many = full + empty
    assert many.has("saliency").tolist() == [True, False]
    for by in ("mass", "requests"):
        np.testing.assert_array_equal(many.shares("saliency", by), full.shares("saliency"))
        np.testing.assert_array_equal(many.log_ratios("ring", by), full.log_ratios())
        # What surrounds the empty one is known all the same.
        np.testing.assert_allclose(many.shares("ring", by), [0.25, 0.25, 0.5])


def test_the_ring_s_width_goes_with_the_picture():
    assert ring_width((1024, 2048)) == 32
    assert ring_width((96, 192)) == ring_width((192, 96)) == 3
    assert ring_width((20, 30)) == ring_width((1,)) == 1
    assert ring_width((64, 128, 640)) == 10


def test_what_is_refused():
    one = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"one shape: saliency \[2, 3\], region \[2, 2\], ring"):
        tally(one, one[:, :2], one.astype(int))
    with pytest.raises(ParameterError, match="positive part"):
        tally(-one, one == 0, one.astype(int))
    for width in (0, -1):
        with pytest.raises(ParameterError, match="at least 1 pixel"):
            tally(one, one == 0, one.astype(int), width)
    found = tally(*scene(0))
    with pytest.raises(ParameterError, match="no tallies"):
        ContextTally.joined([])
    with pytest.raises(ParameterError, match="different class tables"):
        found + tally(*scene(0), classes=ClassTable(("road", "bike", "sky")))
    with pytest.raises(ParameterError, match="not of 'rings'"):
        found.shares("rings")
    with pytest.raises(ParameterError, match="not by 'pixels'"):
        found.shares("ring", "pixels")
