"""Agreement of maps: against scipy and by hand, against brute force, on random fields, and on planted disputes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata, spearmanr

from seglens.core.errors import ParameterError, ShapeError
from seglens.metrics.agreement import agreement, consensus, contested, ranks, shifted

RNG = np.random.default_rng(5)


def fields(n, *shape, seed=0):
    return np.random.default_rng(seed).normal(size=(n, *(shape or (9, 13))))


def smooth(rng, sigma, shape=(48, 64), margin=0):
    """A smooth random field; periodic without a margin, cut from a larger one with it."""
    if not margin:
        return gaussian_filter(rng.normal(size=shape), sigma, mode="wrap")
    large = gaussian_filter(rng.normal(size=[n + 2 * margin for n in shape]), sigma)
    return large[margin:-margin, margin:-margin]


def test_ranks_by_hand():
    np.testing.assert_allclose(ranks(np.array([[5.0, 1.0], [1.0, 9.0]])), [[2 / 3, 1 / 6], [1 / 6, 1]])
    assert np.isnan(ranks(np.ones((2, 3)))).all()
    assert np.isnan(ranks(np.ones((1, 1)))).all()
    some = ranks(np.array([3.0, np.nan, 1.0, 2.0]))
    np.testing.assert_allclose(some, [1, np.nan, 0, 0.5])


def test_correlation_by_hand():
    """Ranks 1, 2½, 2½, 4 and 1, 3, 2, 4: Σ dx dy = 4½, Σ dx² = 4½, Σ dy² = 5."""
    found = agreement([np.array([[1.0, 2.0, 2.0, 4.0]]), np.array([[1.0, 3.0, 2.0, 4.0]])]).correlations
    np.testing.assert_allclose(found, [[1, 4.5 / np.sqrt(22.5)], [4.5 / np.sqrt(22.5), 1]])


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float64, st.sampled_from([(2, 7), (2, 3, 5), (2, 2, 3, 4)]), elements=st.integers(-3, 3).map(float)
    )
)
def test_correlation_is_scipys_ties_and_all(pair):
    a, b = pair
    found = agreement([a, b]).correlations[0, 1]
    if a.min() == a.max() or b.min() == b.max():
        assert np.isnan(found)
    else:
        assert found == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-9)


def test_order_and_monotone_scale_change_nothing():
    maps = list(fields(4))
    whole, order = agreement(maps), [2, 0, 3, 1]
    again = agreement([maps[i] for i in order])
    bent = agreement([np.exp(3 * m) if i % 2 else 7 * m**3 for i, m in enumerate(maps)])
    for name in ("correlations", "p", "chance"):
        table = getattr(whole, name)
        np.testing.assert_allclose(getattr(again, name), table[np.ix_(order, order)], atol=1e-12)
        np.testing.assert_allclose(getattr(bent, name), table, atol=1e-12)
    for before, after in zip(consensus(maps)[:2], consensus([maps[i] for i in order])[:2], strict=True):
        np.testing.assert_allclose(before, after, atol=1e-6)


def test_consensus_of_identical_and_of_opposite_maps():
    (m,) = fields(1)
    mean, spread, left_out = consensus([m, m, 2 * m])
    np.testing.assert_allclose(mean, ranks(m), atol=1e-6)
    np.testing.assert_allclose(spread, 0, atol=1e-7)
    assert left_out == []
    mean, spread, _ = consensus([m, -m])
    np.testing.assert_allclose(mean, 0.5, atol=1e-6)
    np.testing.assert_allclose(spread, np.abs(ranks(m) - 0.5), atol=1e-6)


def test_a_constant_map_is_left_out_by_number():
    a, b = fields(2)
    mean, _, left_out = consensus([a, np.full_like(a, 3), b])
    assert left_out == [1]
    np.testing.assert_allclose(mean, (ranks(a) + ranks(b)) / 2, atol=1e-6)
    found = agreement([a, np.zeros_like(a), b])
    assert np.isnan(found.correlations[1]).all()
    assert not found.above[1].any()
    nothing, spread, left_out = consensus([np.zeros_like(a)])
    assert left_out == [0]
    assert np.isnan(nothing).all()
    assert np.isnan(spread).all()


def test_undefined_pixels_take_no_part():
    a, b = fields(2)
    holes = np.zeros(a.shape, bool)
    holes[2:5, 3:9] = True
    known = ~holes
    found = agreement([np.where(holes, np.nan, a), b]).correlations[0, 1]
    assert found == pytest.approx(spearmanr(a[known], b[known]).statistic)
    mean, _, _ = consensus([np.where(holes, np.nan, a), b])
    assert np.isnan(mean[holes]).all()
    np.testing.assert_allclose(mean[known], (rankdata(a[known]) + rankdata(b[known]) - 2) / 2 / (known.sum() - 1), 1e-5)


@pytest.mark.parametrize("shape", [(12, 17), (5, 6, 7)])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("partial", [False, True])
def test_every_shift_against_brute_force(shape, masked, partial):
    a, b, g = np.random.default_rng(1).normal(size=(3, *shape)) + 4
    where = np.random.default_rng(2).random(shape) > 0.25 if masked else np.ones(shape, bool)
    found = shifted(a, b, where if masked else None, g if partial else None)
    assert found.shape == shape
    for shift in [(0,) * len(shape), tuple(n - 1 for n in shape), (3, 2, 1)[: len(shape)]]:
        axes = tuple(range(len(shape)))
        moved, both = np.roll(a, shift, axes), np.roll(where, shift, axes) & where
        if both.sum() < where.sum() / 2:
            assert np.isnan(found[shift])
            continue
        c = np.corrcoef([moved[both], b[both], g[both]])
        r = c[0, 1]
        if partial:
            # Partial correlation is that of the residuals of two regressions: another formulation.
            def rest(v, by):
                design = np.column_stack([by, np.ones_like(by)])
                return v - design @ np.linalg.lstsq(design, v, rcond=None)[0]

            r = np.corrcoef(rest(moved[both], g[both]), rest(b[both], g[both]))[0, 1]
        assert found[shift] == pytest.approx(r, abs=1e-9)


def test_a_shift_stays_inside_the_box_that_counts():
    a, b = fields(2, 20, 30)
    where = np.zeros(a.shape, bool)
    where[4:10, 7:22] = True
    np.testing.assert_allclose(shifted(a, b, where), shifted(a[4:10, 7:22], b[4:10, 7:22]), atol=1e-12)


def test_shifts_that_leave_too_little_are_undefined():
    where = np.zeros((1, 40), bool)
    where[0, :10] = where[0, 30:] = True
    where[0, 12] = True
    a, b = fields(2, 1, 40)
    found = shifted(a, b, where)
    left = [(np.roll(where, s, 1) & where).sum() for s in range(40)]
    assert [bool(np.isnan(r)) for r in found[0]] == [n < where.sum() / 2 for n in left]
    assert np.isnan(shifted(a, b, np.zeros_like(where))).all()


@pytest.mark.parametrize(("sigma", "margin", "most"), [(1, 0, 0.09), (4, 0, 0.09), (3, 12, 0.11)])
def test_independent_smooth_fields_agree_above_chance_one_time_in_twenty(sigma, margin, most):
    """Exact for periodic fields, nearly so for pieces of larger ones. A test for independent pixels would fail."""
    rng = np.random.default_rng(7)
    n = 300
    found = [agreement([smooth(rng, sigma, margin=margin) for _ in range(2)]) for _ in range(n)]
    rate = np.mean([f.above[0, 1] for f in found])
    assert 0.02 <= rate <= most
    pixels = 48 * 64
    naive = np.mean([abs(f.correlations[0, 1]) > 1.96 / np.sqrt(pixels - 1) for f in found])
    assert naive > 0.2


def test_fields_with_something_in_common_are_found():
    rng = np.random.default_rng(3)
    common = smooth(rng, 3)
    pairs = [[common + 0.8 * smooth(rng, 3) for _ in range(2)] for _ in range(20)]
    assert all(agreement(pair).above[0, 1] for pair in pairs)


def test_the_shift_by_nothing_counts():
    a = fields(1)[0]
    found = agreement([a, a.copy()])
    assert found.p[0, 1] == pytest.approx(1 / a.size)
    assert np.isnan(found.p[0, 0])


def test_a_planted_dispute_is_found_where_it_is():
    base = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    one, other, third = base.copy(), base.copy(), base.copy()
    one[8:20, 10:26] = 5  # the top of one map, left as it was, near the bottom, in the others
    disputed, places = contested([one, other, third], ["one", "other", "third"])
    assert len(places) == 1
    (place,) = places
    assert (place.mask == disputed).all()
    assert (place.high, place.low) == (("one",), ("other", "third"))
    assert place.ranks["one"] > 0.9 > 0.5 > place.ranks["other"]
    y, x, bottom, right = place.box
    assert max(abs(y - 8), abs(x - 10), abs(bottom - 20), abs(right - 26)) <= 1
    assert place.pixels == disputed.sum()
    assert "high by one" in str(place)


def test_places_come_by_size_and_no_more_than_asked():
    base = np.linspace(0, 1, 64 * 96).reshape(64, 96)
    one = base.copy()
    for k in range(4):
        one[2 : 6 + 3 * k, 20 * k + 2 : 20 * k + 14] = 5
    disputed, places = contested([one, base], ["one", "base"], most=3)
    sizes = [p.pixels for p in places]
    assert len(places) == 3
    assert sizes == sorted(sizes, reverse=True)
    assert disputed.sum() > sum(sizes)


def test_maps_that_agree_dispute_nothing():
    m = smooth(np.random.default_rng(1), 3)
    for maps in ([m, m * 3], [m, np.zeros_like(m)], [m]):
        disputed, places = contested(maps, list("abc")[: len(maps)])
        assert not disputed.any()
        assert places == ()


def test_noise_from_pixel_to_pixel_is_no_dispute_about_a_place():
    rng = np.random.default_rng(2)
    large = smooth(rng, 8, (128, 128))
    maps = [large + 0.3 * large.std() * rng.normal(size=large.shape) for _ in range(2)]
    assert contested(maps, ["a", "b"])[0].mean() < 0.01


def test_refusals():
    with pytest.raises(ParameterError, match="no maps to compare"):
        agreement([])
    with pytest.raises(ShapeError, match=r"maps of \(2, 3\) and \(3, 2\)"):
        consensus([np.ones((2, 3)), np.ones((3, 2))])
    with pytest.raises(ShapeError, match="a mask of"):
        agreement([np.ones((2, 3))], np.ones((3, 3), bool))
