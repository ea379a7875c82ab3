import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from skimage.morphology import dilation

from seglens.viz.display import overlay
from seglens.viz.outline import edges, painted

REGIONS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=9))


@given(REGIONS)
def test_edges_are_exactly_the_borders_of_pixels(region):
    """Every unit border between a pixel of the region and another, once; no other."""
    inside = np.pad(region, 1)
    expected = {("h", x, y) for y, x in np.argwhere(inside[1:, 1:-1] != inside[:-1, 1:-1])}
    expected |= {("v", x, y) for y, x in np.argwhere(inside[1:-1, 1:] != inside[1:-1, :-1])}
    found = []
    for x0, y0, x1, y1 in edges(region).astype(int):
        assert (x0 == x1) != (y0 == y1)
        found += [("h", x, y0) for x in range(x0, x1)] + [("v", x0, y) for y in range(y0, y1)]
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_straight_runs_are_one_line():
    region = np.zeros((50, 60), bool)
    region[10:20, 5:45] = True
    assert sorted(map(tuple, edges(region))) == [
        (5, 10, 5, 20),
        (5, 10, 45, 10),
        (5, 20, 45, 20),
        (45, 10, 45, 20),
    ]


def test_a_ragged_region_is_drawn_coarser_but_not_beyond_the_image():
    region = np.indices((101, 67)).sum(0) % 2 == 0
    drawn = edges(region, most=200)
    assert 0 < len(drawn) <= 200
    assert drawn[:, 0::2].max() == 67
    assert drawn[:, 1::2].max() == 101


@pytest.mark.parametrize("level", [0, 128, 255])
@pytest.mark.parametrize("where", ["middle", "corner", "everything", "pixel"])
def test_the_outline_is_seen_on_any_background(make, level, where):
    region = np.zeros((24, 36), bool)
    region[{"middle": np.s_[8:16, 9:20], "corner": np.s_[:6, :7], "everything": np.s_[:, :],
            "pixel": np.s_[12, 12]}[where]] = True  # fmt: skip
    image = np.full((24, 36, 3), level, np.uint8)
    drawn = painted(image, region)
    stands_out = np.abs(drawn.astype(int) - level).max(-1) > 100
    # All along the border, at it or beside it, something differs from the background by far.
    border = np.zeros_like(region)
    for x0, y0, x1, y1 in edges(region).astype(int):
        border[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = True
    missed = border & ~dilation(stands_out, np.ones((3, 3)))
    assert not missed.any()
    assert (drawn[region] == 255).all(-1).any()
    assert (drawn == 0).all(-1).any()


def test_inside_and_outside_stay_free():
    region = np.zeros((40, 40), bool)
    region[10:30, 10:30] = True
    drawn = painted(np.full((40, 40, 3), 77, np.uint8), region)
    assert (drawn[12:28, 12:28] == 77).all()
    assert (drawn[:9] == 77).all()
    assert (drawn[9, 9:31] == 0).all()
    assert (drawn[10, 10:30] == 255).all()
    assert (drawn[11, 11:29] == 0).all()


def test_the_line_grows_with_the_image():
    region = np.zeros((1200, 1200), bool)
    region[300:900, 300:900] = True
    drawn = painted(np.full((1200, 1200, 3), 77, np.uint8), region)
    assert (drawn[:, 600] == 255).all(-1).sum() == 8  # four pixels at the upper edge, four below


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3)])
def test_no_room_no_line(make, shape):
    image = np.full((*shape, 3), 77, np.uint8)
    np.testing.assert_array_equal(painted(image, np.ones(shape, bool)), image)


@given(REGIONS, st.integers(0, 255))
def test_painting_keeps_size_and_source(region, level):
    image = np.full((*region.shape, 3), level, np.uint8)
    drawn = painted(image, region)
    assert drawn.shape == image.shape
    assert (image == level).all()


def test_overlay_paints_it_on_request(make):
    e = make()
    with_line, without = overlay(e), overlay(e, region=False)
    assert (with_line != without).any()
    np.testing.assert_array_equal(with_line, painted(without, e.region))
