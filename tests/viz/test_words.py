from dataclasses import replace

import numpy as np
import pytest

from seglens.viz import words
from seglens.viz.display import show
from seglens.viz.picture import Scale


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-1.2345, "−1.23"),
        (1234567, "1.23×10⁶"),
        (-4.5e-12, "−4.5×10⁻¹²"),
        (float("nan"), "undefined"),
        (float("-inf"), "−∞"),
    ],
)
def test_numbers(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (0.0001, "under 0.1 %"), (0.0123, "1.2 %"), (0.5, "50 %"), (0.9999, "over 99.9 %"), (1, "100 %")],
)
def test_shares(share, text):
    assert words.percent(share) == text


def test_settings_leave_out_the_layer(make):
    e = make(parameters={"layer": "a", "signed": True, "baseline": None, "sizes": (1, 2.5)})
    assert words.settings(e) == [("signed", "yes"), ("baseline", "default"), ("sizes", "1, 2.5")]


def test_numbers_that_stand_for_something_are_told_as_that(make):
    extras = {
        "objective": np.array(0.25),
        "settled": np.array(1.0),
        "fill": np.array(np.nan),
        "sweep": np.array([0.5, 0.125]),
        "alpha": np.array([1.0, 2.0, 3.0]),
    }
    e = make(extras=extras, names={"settled": ("no", "yes"), "fill": ("mean", "blur"), "sweep": ("mean", "blur")})
    assert e.numbers["sweep"] == {"mean": 0.5, "blur": 0.125}
    assert words.numbers(e) == [("objective", "0.25"), ("settled", "yes"), ("fill", "undefined")]
    assert words.lists(e) == [("sweep", "mean 0.5, blur 0.125")]


def test_a_zero_map_is_named(make):
    e = make(map=np.zeros((24, 36), np.float32), notes=("a note",))
    assert words.state(show(e)) == "The map is zero everywhere"
    assert words.remarks(show(e)) == [
        "The map is zero everywhere: the picture says nothing about the image.",
        "a note",
    ]


def test_undefined_pixels_are_counted(make):
    values = np.ones((24, 36), np.float32)
    values[:12] = np.nan
    assert words.remarks(show(make(map=values))) == ["Hatched in grey: undefined, 50 % of the pixels."]
    assert words.state(show(make(map=np.full((24, 36), np.nan)))) == "The map is undefined everywhere"


def test_clipping_is_told_with_what_it_hides(make):
    told = words.beyond(replace(show(make()), scale=Scale(1.5, False, 3.0)))
    assert told == ["Colours end at 1.5 logit; the greatest absolute value is 3."]
    assert words.beyond(replace(show(make()), scale=Scale(3.0, False, 3.0))) == []


def test_clipping_that_cannot_be_seen_in_print_is_not_told(make):
    assert words.beyond(replace(show(make()), scale=Scale(3.0, False, 3.0001))) == []
    assert words.beyond(replace(show(make()), scale=Scale(3.0, True, 3.0001, negative=True))) == []


def test_a_map_that_is_the_same_everywhere_is_named(make):
    even = np.full((24, 36), -2.5, np.float32)
    assert words.remarks(show(make(map=even))) == ["The map is the same everywhere."]
    assert words.remarks(show(make(map=even, region=None))) == [
        "The map is the same everywhere: the network gives one score for the whole image."
    ]
    asks_nothing = make(map=even, region=None, score=float("nan"))
    assert words.remarks(show(asks_nothing)) == ["The map is the same everywhere."]
    even[0, 0] = -2.4
    assert words.remarks(show(make(map=even))) == []
    assert words.remarks(show(make((1, 1), map=np.ones((1, 1), np.float32)))) == []
    assert not any("same" in r for r in words.remarks(show(make(map=np.full((24, 36), np.inf, np.float32)))))


def test_extent(make):
    assert words.extent(make()) == "96 pixels, 11 % of the image"
    one = np.zeros((24, 36), bool)
    one[0, 0] = True
    assert words.extent(make(region=one)) == "1 pixel, 0.12 % of the image"
    assert words.extent(make(region=None)) == ""


def test_the_standard_error_of_an_estimate_is_told(make):
    values = np.full((24, 36), 0.5, np.float32)
    values[0, 0] = 1
    error = np.full((24, 36), 0.125, np.float32)
    error[0] = np.nan
    e = make(map=values, extras={"standard-error": error}, unit="probability")
    assert words.remarks(show(e)) == ["Standard error of a pixel's value: 0.125 probability, median."]
