"""What a display shows: parts and places by hand, colours that fit them, and an explanation that stays as it is."""

from dataclasses import replace
from typing import get_args

import matplotlib
import numpy as np
import pytest
from viz_cases import CASES, made

from seglens.cli.display import PartWord, WithinWord
from seglens.core.classes import ClassTable
from seglens.core.display import Display, Part, Within
from seglens.core.errors import ParameterError, ShapeError
from seglens.core.explanation import open_explanations, save
from seglens.viz import figure, grid, overlay, words
from seglens.viz.colours import table
from seglens.viz.display import part_of, show
from seglens.viz.page import page
from seglens.viz.picture import Scale, greyed, label_pictures, rgba

NAN = float("nan")
VALUES = np.array([[-4.0, -1.0, 0.0, 2.0], [8.0, NAN, -2.0, 1.0]], np.float32)
PREDICTION = np.array([[1, 1, 0, 1], [0, 1, 2, 2]])
TRUTH = np.array([[1, 0, 0, 1], [1, 0, 2, 255]])
REGION = np.array([[False, False, True, True], [False, False, True, True]])


def small(**changed):
    fields = {"map": VALUES, "region": REGION, "prediction": PREDICTION, "truth": TRUTH, "label": 1, "channel": "rider"}
    return made((2, 4), **{**fields, **changed})


def texts(fig):
    return " ".join(t.get_text() for t in fig.findobj(matplotlib.text.Text))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("all", VALUES),
        ("positive", [[0, 0, 0, 2], [8, NAN, 0, 1]]),
        ("negative", [[-4, -1, 0, 0], [0, NAN, -2, 0]]),
        ("absolute", [[4, 1, 0, 2], [8, NAN, 2, 1]]),
    ],
)
def test_parts_by_hand(part, expected):
    np.testing.assert_array_equal(part_of(VALUES, part), expected)
    np.testing.assert_array_equal(show(small(), Display(part=part)).values, expected)


def test_what_is_infinite_is_undefined_in_every_part():
    both = np.array([[np.inf, -np.inf]])
    for part in ("positive", "negative", "absolute"):
        assert np.isnan(part_of(both, part)).all()


@pytest.mark.parametrize(
    ("within", "expected"),
    [
        ("region", [[0, 0, 1, 1], [0, 0, 1, 1]]),
        ("prediction", [[1, 1, 0, 1], [0, 1, 0, 0]]),
        ("truth", [[1, 0, 0, 1], [1, 0, 0, 0]]),
        ("both", [[1, 0, 0, 1], [0, 0, 0, 0]]),
        ("either", [[1, 1, 0, 1], [1, 1, 0, 0]]),
    ],
)
def test_places_by_hand(within, expected):
    shown = show(small(), Display(within=within))
    np.testing.assert_array_equal(shown.inside, np.array(expected, bool))
    assert sorted(shown.visible[~np.isnan(shown.visible)]) == sorted(
        v for v, there in zip(VALUES.ravel(), np.ravel(expected), strict=True) if there and v == v
    )


@pytest.mark.parametrize(
    ("display", "scale"),
    [
        (Display(percentile=100), Scale(8, True, 8)),
        (Display(part="positive", percentile=100), Scale(8, False, 8)),
        (Display(part="negative", percentile=100), Scale(4, False, 4, negative=True)),
        (Display(part="absolute", percentile=100), Scale(8, False, 8)),
        (Display(within="both", percentile=100), Scale(4, True, 4)),
        (Display(within="truth", part="positive", percentile=100), Scale(8, False, 8)),
        (Display(within="both", part="positive", percentile=100), Scale(2, False, 2)),
        # Of 4, 1, 2 the median, of -4, -1, -2 too; of what is neither 0 nor undefined.
        (Display(within="prediction", percentile=50), Scale(2, True, 4)),
        (Display(part="negative", percentile=50), Scale(2, False, 4, negative=True)),
        # Between 1 and 2 of the ordered 1, 2, 8: 1 + 0.4 * (2 - 1).
        (Display(part="positive", percentile=20), Scale(1.4, False, 8)),
    ],
)
def test_the_scale_is_that_of_what_is_shown(display, scale):
    found = show(small(), display).scale
    assert found.limit == pytest.approx(scale.limit)
    assert replace(found, limit=scale.limit) == scale


def test_outside_of_the_place_the_picture_is_the_backdrop_alone():
    for growing in (True, False):
        shown = overlay(small(), Display(within="truth", growing=growing), region=False)
        scale = show(small(), Display(within="truth")).scale
        below = np.repeat(greyed(small().image, scale)[..., None], 3, -1)
        outside = TRUTH != 1
        np.testing.assert_array_equal(shown[outside], below[outside])
        assert (shown != below).any(-1)[~outside].all()
    # What is undefined outside is not hatched there either.
    assert not show(small(), Display(within="truth")).layer(scale)[1, 1].any()
    assert show(small(), Display(within="prediction")).layer(scale)[1, 1, 3] > 0


def test_negative_values_keep_the_colours_that_speak_against():
    scale = Scale(2.0, False, 2.0, negative=True)
    assert (scale.low, scale.high) == (-2.0, 0.0)
    drawn = rgba(np.array([[-2.0, -9.0, 0.0]]), scale)[0, :, :3]
    blue, white = (np.rint(table("diverging")[i] * 255).astype(int).tolist() for i in (0, 127))
    assert drawn.tolist() == [blue, blue, white]


def test_nothing_of_an_explanation_changes(tmp_path):
    e = small()
    before = [a.copy() for a in (e.map, e.image, e.region, e.prediction, e.truth)]
    display = Display(part="negative", within="either", percentile=70, opacity=0.5, growing=False, grey=False)
    overlay(e, display)
    figure(e, display)
    grid([e, e], replace(display, shared=True))
    page([e], display)
    for now, then in zip((e.map, e.image, e.region, e.prediction, e.truth), before, strict=True):
        np.testing.assert_array_equal(now, then)
    e.save(tmp_path / "why.png", display)
    e.save(tmp_path / "why.npz")
    np.testing.assert_array_equal(open_explanations(tmp_path / "why.npz").map, VALUES)


def test_raw_values_have_no_display(tmp_path):
    with pytest.raises(ParameterError, match=r"\.npz keeps every raw value.\n  Leave the display out, or save a pict"):
        save([small()], tmp_path / "new" / "why.npz", Display(part="positive"))
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"part": "plus"}, "Display.part is to be one of all, positive, negative, absolute, not 'plus'"),
        ({"within": "intersection"}, "Display.within is to be one of region, prediction, truth, both, either"),
        ({"percentile": 0}, "Display.percentile is to be > 0 and <= 100, not 0"),
        ({"percentile": 101.0}, "Display.percentile is to be > 0 and <= 100"),
        ({"opacity": 1.5}, "Display.opacity is to be >= 0 and <= 1"),
        ({"grey": 1}, "Display.grey is to be True or False"),
    ],
)
def test_values_out_of_bounds(wrong, message):
    with pytest.raises(ParameterError, match=message):
        Display(**wrong)


@pytest.mark.parametrize(
    ("changed", "within", "message"),
    [
        (
            {"region": None},
            "region",
            "'region' cannot be shown for grad-cam: it has no region, .*\n  Leave `within`",
        ),
        ({"label": None}, "truth", "it asks about no class.\n  Leave `within` out, or show the request region"),
        ({"label": None, "region": None}, "truth", "it asks about no class.\n  Leave `within` out.$"),
        ({"prediction": None}, "both", "there is no predicted class of each pixel"),
        (
            {"truth": None},
            "either",
            "no true labels were given.\n  Give them where it is explained: truth=.*--truth",
        ),
    ],
)
def test_a_place_that_cannot_be_worked_out(changed, within, message):
    with pytest.raises(ParameterError, match=message):
        figure(small(**changed), Display(within=within))


def test_only_what_is_needed_is_asked_for():
    assert show(small(truth=None), Display(within="prediction")).inside.sum() == 4
    assert show(small(prediction=None), Display(within="truth")).inside.sum() == 3


def test_a_truth_of_another_size():
    for within in (None, "truth", "both", "prediction"):
        with pytest.raises(ShapeError, match=r"the map is \[2, 4\], the truth \[4, 4\]"):
            show(small(truth=np.zeros((4, 4), int)), Display(within=within))


@pytest.mark.parametrize(
    ("changed", "display", "said"),
    [
        ({"label": 2, "truth": PREDICTION * 0}, Display(within="truth"), "sky is true nowhere"),
        ({"prediction": TRUTH * 0}, Display(within="prediction"), "rider is predicted nowhere"),
        ({"prediction": (TRUTH == 0) * 1}, Display(within="both"), "rider is nowhere both predicted and true"),
        (
            {"prediction": TRUTH * 0, "truth": TRUTH * 0},
            Display(within="either"),
            "rider is neither predicted nor true anywhere",
        ),
        ({"region": REGION & False}, Display(within="region"), "the region is empty"),
        ({"map": np.abs(VALUES)}, Display(part="negative"), "the map has no negative values"),
        ({"map": -np.abs(VALUES)}, Display(part="positive"), "the map has no positive values"),
        (
            {"map": np.where(TRUTH == 1, 1, -1.0)},
            Display(part="negative", within="truth"),
            "the map has no negative values where rider is true",
        ),
        ({"map": np.where(TRUTH == 1, 0, 1.0)}, Display(within="truth"), "the map is zero where rider is true"),
        ({"map": np.where(TRUTH == 1, NAN, 1.0)}, Display(within="truth"), "the map is undefined where rider is true"),
    ],
)
def test_nothing_to_show_is_said_on_the_picture(changed, display, said):
    e = small(**changed)
    assert words.state(show(e, display)) == f"Nothing to show: {said}"
    assert f"Nothing to show: {said}" in texts(figure(e, display)).replace("\n", " ")
    assert f"Nothing to show: {said}." in page([e], display)
    assert words.state(show(small())) == ""


def test_a_display_is_told_where_it_is_not_the_usual_one():
    usual = texts(figure(small()))
    assert "Shown:" not in usual
    assert "Display:" not in usual
    told = texts(figure(small(), Display(part="positive", within="both")))
    assert "Shown: positive part, only where rider is predicted and true (25 % of the pixels)" in told
    assert "the colours fit what is shown" in told
    told = texts(figure(small(), Display(percentile=90, opacity=0.5, growing=False, grey=False)))
    assert "Display: colours end at percentile 90 of what is shown, opacity 50 %, opacity the same for all" in told
    other = small(label=2, target="sky")
    told = texts(grid([small(), other], Display(part="absolute", within="region")))
    assert "Shown: absolute values, only in the region asked about; the colours fit what is shown." in told
    assert "Shown: only where the class asked about is predicted;" in texts(
        grid([small(), other], Display(within="prediction"))
    )
    assert "Shown: only where rider is predicted;" in texts(grid([small(), small()], Display(within="prediction")))


def test_ends_of_the_bar_of_negative_values():
    told = [t.get_text() for t in figure(small(), Display(part="negative")).findobj(matplotlib.text.Text)]
    assert "−3.98" in told  # percentile 99.5 of 1, 2, 4
    assert "0" in told
    assert "Colours end at −3.98 logit; the greatest absolute value is 4." in told


def test_one_scale_is_that_of_all_that_is_shown():
    several = [small(), small(map=VALUES * 3, method="rise")]
    told = texts(grid(several, Display(within="both", shared=True, percentile=100)))
    assert told.count("−12") == 2
    assert "All maps share one scale." in told


def test_a_volume_shows_the_slice_with_most_of_what_is_shown():
    values = np.zeros((3, 4, 5), np.float32)
    values[0], values[1], values[2] = 9, -5, -1
    truth = np.zeros((3, 4, 5), int)
    truth[2] = 1
    e = made((3, 4, 5), map=values, truth=truth, label=1, extras={"winner": truth, "gap": np.array(0.1)})
    assert [show(e, d).z for d in (Display(), Display(part="negative"), Display(within="truth"))] == [0, 1, 2]
    shown = show(e, Display(within="truth"))
    assert shown.inside.all()
    assert shown.flat.truth.shape == shown.flat.extras["winner"].shape == (4, 5)


def test_panels_of_labels():
    second = np.full((2, 4), 2)
    margin = np.ones((2, 4), np.float32)
    e = small(extras={"winner": PREDICTION, "second": second, "margin": margin, "gap": np.array(3)})
    found = label_pictures(e)
    assert list(found) == ["Prediction, winner", "Truth", "second"]
    np.testing.assert_array_equal(found["second"], second)
    for told in (texts(figure(e)), page([e])):
        assert "Prediction, winner" in told
        assert "sky 100 %" in told.replace('<span class="quiet">', "").replace("</span>", "")
    assert "second" not in texts(figure(small()))
    assert list(label_pictures(small(prediction=None, truth=None))) == []


def test_the_truth_is_shown_where_it_was_given():
    without = small(truth=None)
    assert "Truth" in texts(figure(small()))
    assert "Truth" not in texts(figure(without))
    assert "<h3>Truth</h3>" in page([small()])
    assert "<h3>Truth</h3>" not in page([without])
    assert "no class 12 %" in texts(figure(small()))  # one pixel of eight is not labelled


def test_a_method_that_asks_nothing():
    e = small(
        method="fusion-map", layer=None, channel="", label=None, score=NAN, of="probabilities", unit="probability",
        target="no class", region=None, parameters={},
    )  # fmt: skip
    assert words.heading(e) == "fusion-map, probabilities"
    assert words.facts(e, None) == ["asks about no class", "unet"]
    for told in (texts(figure(e)), texts(grid([e, replace(e, network="other")])), page([e, small()])):
        assert "score undefined" not in told
        assert "target: no class" not in told
        assert "undefined (probabilities)" not in told
    shows = replace(e, method="activation", layer="a", unit="activation", extras={"channel": np.array(17)})
    assert words.heading(shows) == "activation at a"
    assert "channel 17" in texts(figure(shows))


def test_numbers_among_the_extras():
    extras = {"channel": np.array(17), "contribution": np.array([0.421]), "curve": np.arange(3.0), "who": np.array("x")}
    assert words.numbers(small(extras=extras)) == [("channel", "17"), ("contribution", "0.421")]
    assert words.numbers(made((1, 1), extras={"winner": np.array([[1]])})) == []


@pytest.mark.parametrize("kind", list(CASES))
@pytest.mark.parametrize("display", [Display(part="negative"), Display(part="absolute", shared=True)], ids=str)
def test_every_kind_can_be_shown_in_part(kind, display):
    case = CASES[kind]
    assert page(case, display).startswith("<!DOCTYPE html>")
    assert overlay(case[0], display).shape[-1] == 3
    assert words.state(show(case[0], display)) or show(case[0], display).scale is not None


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (500, 3), (2, 2)])
def test_labels_on_small_and_narrow_pictures_stay_on_the_page(shape):
    from reading import overlaps

    e = made(shape, label=1, prediction=np.zeros(shape, int), classes=ClassTable(("a", "a rider of some length")))
    display = Display(within="prediction")
    assert overlaps(figure(e, display)) == []
    assert overlaps(grid([e, replace(e, method="rise")], display)) == []


def test_words_of_the_command_line_are_those_of_the_display():
    assert {w.value for w in PartWord} == set(get_args(Part))
    assert {w.value for w in WithinWord} == set(get_args(Within))
