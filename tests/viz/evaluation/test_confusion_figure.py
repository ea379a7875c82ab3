"""The confusion matrix drawn: rows are the truth, columns the prediction, as figure and on the page."""

import numpy as np
import pytest
from reading import Reader, drawn, loads, overlaps, said, texts

from seglens.core.classes import ClassTable
from seglens.viz.evaluation.cells import UNDEFINED, cell_colours, cell_text
from seglens.viz.evaluation.confusion import confusion_figure
from seglens.viz.evaluation.page import evaluation_page
from seglens.viz.picture import is_dark

AB = ClassTable(("road", "car"))
COUNTS = np.array([[1, 3], [0, 4]])
"""Three pixels of road were taken for car, none of car for road."""

SHARE = "share of the true class's pixels"


def shares(counts):
    total = counts.sum(1, keepdims=True).astype(float)
    return np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)


def middles(fig):
    """Of each text, where its middle lies on the page (y downwards), and its rotation."""
    renderer = drawn(fig)
    found = {}
    for text in texts(fig):
        box = text.get_window_extent(renderer)
        place = (box.x0 + box.x1) / 2, fig.bbox.y1 - (box.y0 + box.y1) / 2
        found.setdefault(text.get_text(), []).append((*place, text.get_rotation()))
    return found


def test_what_was_taken_for_what_stands_in_the_row_of_the_truth():
    at = middles(confusion_figure(COUNTS, shares(COUNTS), AB, SHARE, ["net"]))
    (x, y, turned), (truth_x, truth_y, truth_turned) = at["prediction"][0], at["truth"][0]
    cells = {name: at[name][0] for name in ("25", "75", "100")}
    assert turned == 0
    assert truth_turned == 90
    assert y < min(c[1] for c in cells.values())
    assert truth_x < min(c[0] for c in cells.values())
    assert cells["25"][0] < x < cells["75"][0]
    assert cells["75"][1] < truth_y < cells["100"][1]
    # 75 % of road were taken for car: in the row named road, in the column named car.
    rows = {name: next(p for p in at[name] if p[2] == 0) for name in AB.names}
    columns = {name: next(p for p in at[name] if p[2] == 90) for name in AB.names}
    assert cells["75"][1] == pytest.approx(rows["road"][1], abs=3)
    assert cells["75"][0] == pytest.approx(columns["car"][0], abs=3)
    assert cells["100"][1] == pytest.approx(rows["car"][1], abs=3)
    assert cells["25"][0] == pytest.approx(columns["road"][0], abs=3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, ""),
        (np.nan, ""),
        (0.001, "<1"),
        (0.005, "<1"),
        (0.006, "1"),
        (0.995, ">99"),
        (0.25, "25"),
        (0.9949, "99"),
        (0.999, ">99"),
        (1, "100"),
    ],
)
def test_shares_in_cells_never_make_nothing_or_all_of_a_little_less(value, expected):
    assert cell_text(value, True) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, ""), (7, "7"), (999, "999"), (1000, "1.0k"), (9949, "9.9k"), (9960, "10k"), (123456, "123k"), (2.1e6, "2.1M")],
)
def test_pixels_in_cells_are_short(value, expected):
    assert cell_text(value, False) == expected


def test_colours_tell_never_from_seldom_and_undefined_from_both():
    cells = np.array([[1.0, 0.001, 0.0, np.nan]])
    much, little, never, undefined = cell_colours(cells, True)[0]
    assert tuple(undefined) == UNDEFINED
    assert tuple(never) == (255, 255, 255)
    assert tuple(little) != (255, 255, 255)
    assert is_dark(much)
    assert not is_dark(little)
    pixels = cell_colours(np.array([[0.0, 1.0, 1e3, 1e6]]), False)[0].astype(int).sum(-1)
    assert (np.diff(pixels) < 0).all()


@pytest.mark.parametrize("k", [1, 2, 12, 40])
@pytest.mark.parametrize("pixels", [True, False])
def test_nothing_overlaps_for_few_or_many_classes(k, pixels):
    names = ("$x$", "traffic light", "Straße", "a name that goes on and on and does not end at all, ever")
    table = ClassTable(tuple((*names, *(f"class {i}" for i in range(k)))[:k]))
    counts = np.random.default_rng(0).integers(0, 2_000_000, (k, k))
    counts[k // 2] = 0
    fig = confusion_figure(counts, counts.astype(float) if pixels else shares(counts), table, *what(pixels))
    assert overlaps(fig) == []
    text = " ".join(said(fig))
    assert ("Grey: undefined" in text) is (not pixels)


def what(pixels):
    return ("pixels" if pixels else SHARE), ["net", "3 images", "mean IoU 0.7"]


def told(**more):
    row = {"iou": 0.25, "dice": 0.4, "precision": 1.0, "recall": None, "boundary_f": 0.5}
    image = {"pixel_accuracy": 0.5, "mean_iou": None, "mean_dice": 0.1, "mean_boundary_f": 0.2}
    return {
        "network": "net",
        "pixels": 8,
        "ignored": 2,
        "overall": {"mean_iou": 0.25, "mean_boundary_f": None},
        "classes": [{"name": n, "pixels": 4, "predicted": 1, **row} for n in ("<i>road</i>", "car")],
        "images": [{"image": "a&b.png", "pixels": 8, "ignored": 2, "notes": ["<turned>"], **image}],
        "failures": [{"image": "bad.png", "error": "<script>alert(1)</script>"}],
        "provenance": {"seglens": "1"},
        **more,
    }


def test_the_page_is_well_formed_escaped_and_says_which_is_which():
    table = ClassTable(("<i>road</i>", "car"))
    html = evaluation_page(told(), table, COUNTS, shares(COUNTS), SHARE)
    read = Reader(html)
    assert read.open == []
    assert not read.all("i")
    assert len(read.all("script")) == 1
    assert loads(html) == []
    assert "truth <i>road</i>, predicted car: 3 pixels, 75.00%" in read.text
    (matrix,) = [a for a in read.all("svg") if a.get("class") == "matrix"]
    assert "Rows are the truth, columns the prediction" in matrix["aria-label"]
    for word in ("a&b.png", "<turned>", "bad.png", "<script>alert(1)</script>", "0.250", "–", "boundary F"):
        assert word in read.text
    assert ">nan" not in html


def test_the_page_of_independent_labels_says_why_there_is_no_matrix():
    html = evaluation_page(told(failures=[]), ClassTable(("<i>road</i>", "car")), None, None, "pixels")
    assert "no matrix says which was taken for which" in html
    assert "Not evaluated" not in html
