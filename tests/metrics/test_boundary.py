"""Boundary F against brute force over all pairs of pixels, and cases whose answer is known."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglens.core.errors import MissingExtraError, ParameterError, ShapeError
from seglens.metrics import BOUNDARY_F, boundary, contour, tolerance_for


def slow_contour(mask, known):
    """Pixels of the mask with a neighbour across a side that is not in it, one by one."""
    points = []
    for p in np.ndindex(*mask.shape):
        if not (mask[p] and known[p]):
            continue
        for axis in range(mask.ndim):
            for step in (-1, 1):
                q = (*p[:axis], p[axis] + step, *p[axis + 1 :])
                there = all(0 <= v < n for v, n in zip(q, mask.shape, strict=True))
                if there and known[q] and not mask[q]:
                    points.append(p)
    return np.array(sorted(set(points)), float).reshape(-1, mask.ndim)


def slow(truth, said, known, tolerance):
    was, pred = slow_contour(truth, known), slow_contour(said, known)
    if not len(was) and not len(pred):
        return float("nan"), float("nan"), float("nan")
    distance = np.sqrt(((was[:, None] - pred[None]) ** 2).sum(-1))
    precision = (distance.min(0) <= tolerance).mean() if len(was) and len(pred) else 0.0
    recall = (distance.min(1) <= tolerance).mean() if len(was) and len(pred) else 0.0
    f = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return (precision if len(pred) else float("nan")), (recall if len(was) else float("nan")), f


@given(
    st.integers(0, 10**6),
    st.sampled_from([(7, 9), (1, 12), (4, 5, 6)]),
    st.sampled_from([0, 1, 1.5, 2, 2.3]),
    st.sampled_from([0.0, 0.1, 0.5, 0.97, 1.0]),
)
@settings(max_examples=120, deadline=None, derandomize=True, database=None)
def test_equals_brute_force(seed, size, tolerance, share):
    rng = np.random.default_rng(seed)
    truth, said = rng.random(size) < share, rng.random(size) < 0.4
    known = rng.random(size) < 0.8
    for a, b in ((truth, said), (said, truth)):
        found = boundary(a, b, known, tolerance)
        np.testing.assert_allclose((found.precision, found.recall, found.f), slow(a, b, known, tolerance))


@pytest.mark.parametrize("shift", range(6))
def test_a_contour_that_is_shifted_counts_up_to_the_tolerance(shift):
    columns = np.broadcast_to(np.arange(40) < 10, (30, 40))
    moved = np.broadcast_to(np.arange(40) < 10 + shift, (30, 40))
    for tolerance in (0, 1, 3):
        expected = 1.0 if shift <= tolerance else 0.0
        assert boundary(columns, moved, tolerance=tolerance).f == expected


def test_half_a_contour_found_is_recall_of_a_half():
    truth = np.zeros((30, 60), bool)
    truth[10:14, 5:9] = truth[10:14, 45:49] = True
    said = truth.copy()
    said[:, 30:] = False
    found = boundary(truth, said, tolerance=1)
    assert (found.precision, found.recall, found.f) == (1, 0.5, pytest.approx(2 / 3))


def test_the_same_is_one_and_without_any_contour_there_is_no_score():
    mask = np.zeros((8, 8), bool)
    mask[2:5, 3:6] = True
    assert boundary(mask, mask).f == 1
    empty, full = np.zeros((8, 8), bool), np.ones((8, 8), bool)
    for a, b in ((empty, empty), (full, full), (full, empty)):
        found = boundary(a, b)
        assert np.isnan([found.precision, found.recall, found.f]).all()
    missed, invented = boundary(mask, empty), boundary(empty, mask)
    assert (missed.f, missed.recall, invented.f, invented.precision) == (0, 0, 0, 0)
    assert np.isnan(missed.precision)
    assert np.isnan(invented.recall)
    assert BOUNDARY_F.undefined


def test_neither_the_edge_of_the_picture_nor_that_of_an_ignored_area_is_a_contour():
    mask = np.zeros((6, 10), bool)
    mask[:, :4] = True
    known = np.ones_like(mask)
    assert set(np.argwhere(contour(mask, known))[:, 1]) == {3}
    known[:, 4:6] = False
    assert not contour(mask, known).any()
    # What is predicted inside the ignored area counts nowhere.
    known = np.ones_like(mask)
    known[:, 6:] = False
    said = mask.copy()
    said[2:4, 7:9] = True
    assert boundary(mask, said, known).f == 1
    assert boundary(mask, said).f < 1


def test_the_default_tolerance_is_three_quarters_of_a_per_cent_of_the_diagonal():
    assert tolerance_for((1024, 2048)) == pytest.approx(0.0075 * np.hypot(1024, 2048))
    assert tolerance_for((30, 40)) == 1
    assert tolerance_for((300, 400, 1200)) == pytest.approx(0.0075 * 1300)
    columns = np.arange(400)
    a, b, c = (np.broadcast_to(columns < n, (300, 400)) for n in (100, 103, 104))
    assert boundary(a, b).f == 1  # 3 <= 3.75
    assert boundary(a, c).f == 0


def test_what_is_refused():
    a, b = np.ones((2, 3), bool), np.ones((2, 4), bool)
    with pytest.raises(ShapeError, match="one shape"):
        boundary(a, b)
    for wrong in (-1, float("nan")):
        with pytest.raises(ParameterError, match="from 0"):
            boundary(a, a, tolerance=wrong)


def test_without_scipy_the_line_that_brings_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.spatial", None)
    with pytest.raises(MissingExtraError, match=r"needs scipy.*\n.*seglens\[image\]"):
        boundary(np.eye(4, dtype=bool), np.eye(4, dtype=bool))
