"""The curve of a search for a mask, as pages draw it."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from seglens.viz.search import search_curve


def searched(make, curve, empty=0.6, objective=0.2):
    extras = {"loss": np.array(curve), "empty-loss": np.array(empty), "objective": np.array(objective)}
    return make(extras=extras)


def test_every_mask_that_was_tried_is_a_point(make):
    drawn = search_curve(searched(make, [0.8, 0.4, 0.2, np.nan, np.nan]))
    points = re.search(r'polyline points="([^"]+)"', drawn)[1].split()
    x, y = np.array([[float(v) for v in p.split(",")] for p in points]).T
    assert len(points) == 3
    np.testing.assert_allclose(np.diff(x), x[1] - x[0])
    # Heights are proportional to the objective, from zero.
    assert (y[1] - y[0]) / (y[2] - y[0]) == pytest.approx(0.4 / 0.6, abs=0.01)
    assert "Objective of 3 masks, from 0.8 down to 0.2; empty mask 0.6, returned 0.2" in drawn


def test_names_of_levels_that_are_near_do_not_cover_each_other(make):
    drawn = search_curve(searched(make, [0.5, 0.4], empty=0.401, objective=0.4))
    heights = [float(y) for y in re.findall(r'y="([\d.]+)">(?:empty mask|returned)', drawn)]
    assert abs(heights[0] - heights[1]) >= 13.9


def test_what_begins_far_above_is_cut_off_and_says_so(make):
    drawn = search_curve(searched(make, [6.4, 0.4, 0.2]))
    assert ">from 6.4</text>" in drawn
    assert ">1.5</text>" in drawn


@pytest.mark.parametrize("curve", [[np.nan, np.nan], [0.5, np.nan]])
def test_without_a_search_there_is_no_curve(make, curve):
    assert search_curve(searched(make, curve)) == ""
    assert search_curve(make(extras={})) == ""
    # Another method's loss is not that of a mask.
    assert search_curve(make(extras={"loss": np.array([0.5, 0.4])})) == ""


def test_an_objective_of_zero_is_drawn(make):
    ET.fromstring(search_curve(searched(make, [0.0, 0.0], empty=0.0, objective=0.0)))
