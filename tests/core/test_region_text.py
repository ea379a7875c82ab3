"""Regions as text: what is written reads back as the same region, and nothing is ever evaluated."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seglens.core.errors import RegionError
from seglens.core.region_text import parse_region
from seglens.core.regions import (
    border,
    box,
    component,
    confused,
    everything,
    instance,
    outside,
    pixel,
    polygon,
    predicted,
    truth,
)

labels = st.one_of(
    st.sampled_from(
        ["car", "traffic light", "it's", 'a "b"', "class", "None", "True", "not", "everything", "ﬁre", "7"]
    ),
    st.integers(0, 30),
    st.text(min_size=1, max_size=6),
)
numbers = st.integers(-5, 3000)
points = st.tuples(*[st.floats(-10, 5000, allow_nan=False)] * 2)
leaves = st.one_of(
    st.just(everything),
    st.builds(pixel, numbers, numbers),
    st.builds(lambda y, x, h, w: box(y, x, y + h, x + w), numbers, numbers, st.integers(1, 9), st.integers(1, 9)),
    st.builds(lambda p: polygon(*p), st.lists(points, min_size=3, max_size=5)),
    st.builds(predicted, labels),
    st.builds(truth, labels),
    st.builds(
        lambda c, n, of: instance(c, largest=n, of=of),
        labels,
        st.integers(1, 9),
        st.sampled_from(["prediction", "truth"]),
    ),
    st.builds(lambda c, y, x: instance(c, at=(y, x)), labels, numbers, numbers),
    st.builds(lambda a, b: confused(truth=a, as_=b), labels, labels),
)
regions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda a, b: a & b, inner, inner),
        st.builds(lambda a, b: a | b, inner, inner),
        st.builds(outside, inner),
        st.builds(border, inner, st.integers(1, 5)),
        st.builds(lambda r, n: component(r, largest=n), inner, st.integers(1, 9)),
        st.builds(lambda r, y, x: component(r, at=(y, x)), inner, numbers, numbers),
    ),
    max_leaves=5,
)


@given(regions)
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_round_trip(region):
    assert parse_region(str(region)) == region


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("everything", everything),
        (" predicted(car) ", predicted("car")),
        ("predicted('traffic light')", predicted("traffic light")),
        ("predicted(3)", predicted(3)),
        ("a & b", None),
        ("~truth(car) | pixel(1, 2) & box(0, 0, 4, 4)", ~truth("car") | (pixel(1, 2) & box(0, 0, 4, 4))),
        ("outside(border(instance(car, largest=1), 3))", outside(border(instance("car", largest=1), 3))),
        ("border(predicted(car), width=2)", border(predicted("car"), 2)),
        ("instance(car, at=(3, 4), of=truth)", instance("car", at=(3, 4), of="truth")),
        ("polygon((0, 0), [1.5, 2], (-1, 4))", polygon((0, 0), (1.5, 2), (-1, 4))),
        ("confused(truth=car, as_=rider)", confused(truth="car", as_="rider")),
        (
            "component(confused(truth='traffic light', as_=2), at=(3, 4))",
            component(confused(truth="traffic light", as_=2), at=(3, 4)),
        ),
        ("component(~truth(car) | everything, largest=2)", component(~truth("car") | everything, largest=2)),
    ],
)
def test_reading(text, expected):
    if expected is None:
        with pytest.raises(RegionError, match="'a' is no region"):
            parse_region(text)
    else:
        assert parse_region(text) == expected


def test_masks_are_read_by_whom_may_read_files():
    asked = []

    def reader(path):
        asked.append(path.name)
        return np.eye(3)

    region = parse_region("~mask('a b.png')", reader)
    assert asked == ["a b.png"]
    assert str(region) == "~mask('a b.png')"
    with pytest.raises(RegionError, match="a mask from a file cannot be read here"):
        parse_region("mask('a.png')")
    with pytest.raises(RegionError, match="mask takes one file name in quotes"):
        parse_region("mask(3)", reader)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("predictd(car)", r"no region 'predictd'.\n  Nearest: 'predicted'"),
        ("predicted(car", "cannot read the region 'predicted\\(car'"),
        ("", "cannot read the region ''"),
        ("a\0b", "cannot read the region"),
        ("predicted(car) + truth(car)", r"'predicted\(car\) \+ truth\(car\)' is no region"),
        ("__import__('os').system('true')", "is no region"),
        ("predicted(open('x'))", r"\"open\('x'\)\" is neither a number, a name nor a tuple"),
        ("pixel()(1)", "is no region"),
        ("pixel(*a)", "is neither a number"),
        ("predicted()", "predicted takes other arguments: .*missing"),
        ("box(1, 2, x=3)", "box takes other arguments"),
        ("border(predicted(car), 'wide')", "width takes whole numbers"),
        ("polygon(1, 2, 3)", "corners are finite"),
        ("lambda: 0", "is no region"),
        ("border(3, 1)", "'3' is no region"),
        ("component(3, largest=1)", "'3' is no region"),
        ("component(truth(car))", "component takes either at="),
        ("component(truth(car), at=(1, 2), largest=1)", "component takes either at="),
        ("component(truth(car), largest=0)", "largest counts from 1"),
        ("component(largest=1)", "component takes other arguments"),
    ],
)
def test_what_is_refused(text, message):
    with pytest.raises(RegionError, match=message):
        parse_region(text)


@pytest.mark.parametrize(
    "text",
    [
        "pixel(a, 2)",
        "pixel(1.7, 2)",
        "box(a, b, c, d)",
        "box(0, 0, 2.5, 3)",
        "polygon((1, 2, 3), (1, 2, 3), (1, 2, 3))",
        "polygon((0, 0), (1, 1e999), (2, 2))",
        "predicted(1.5)",
        "predicted((1, 2))",
        "instance(car, at=x)",
        "instance(car, at=(1.5, 2))",
        "instance(car, largest=1.5)",
        "border(predicted(car), 1.5)",
        "~" * 5000 + "everything",
    ],
    ids=lambda text: text[:20],
)
def test_wrong_values_are_refused_as_such(text):
    """Wrong numbers and names: a RegionError, neither another exception nor a silent rounding."""
    with pytest.raises(RegionError):
        parse_region(text)
