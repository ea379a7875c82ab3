"""A verification as figure and page: what is drawn is what was found; volumes, overlapping labels, hostile names."""

from dataclasses import replace

import numpy as np
import pytest
from reading import Reader, loads, overlaps, said
from viz_cases import CASES, made

from seglens.core.classes import ClassTable
from seglens.viz.verification import content
from seglens.viz.verification.content import Content
from seglens.viz.verification.figure import verification_figure
from seglens.viz.verification.page import verification_page

EVIL = '"><script>alert(1)</script>'
SENTENCES = (
    "Removing the salient context (90 pixels, 10 % of the context) lowers p(rider) from 0.97 to 0.31.",
    "Matched random context: 0.95 on average (20 draws), p = 0.048.",
)


def verified(explanation=None, **changes):
    e = explanation or made(label=1, of="probabilities", map=np.linspace(-1, 3, 864, dtype=np.float32).reshape(24, 36))
    classes = e.classes or ClassTable(("road", "rider", "sky"))
    rng = np.random.default_rng(2)
    k = len(classes)
    first = rng.integers(0, k, e.map.shape)
    fields = {
        "explanation": e,
        "labels": (first, (first + 1) % k),
        "classes": classes,
        "outside": "no class",
        "independent": False,
        "without": 255 - e.image,
        "control": e.image // 2,
        "changed": "without the salient context",
        "keeping": False,
        "said": SENTENCES,
        "quantity": "p(rider)",
        "probabilities": (0.971, 0.312, 0.123),
        "scores": (4.25, -1.5, -2.0),
        "ious": (0.9, 0.25, 0.125),
        "dices": (0.95, 0.4, 0.222),
        "shares": tuple((i, (0.5, 0.25, 0.125)) for i in range(min(k, 12))),
        "draws": np.linspace(0.9, 0.99, 20),
        "facts": ("removed: 90 of 900 pixels of context", "filled with: mean", "unet", "street.png"),
        "notes": ("planted note",),
        "provenance": {"torch": "2.9"},
    }
    return Content(**{**fields, **changes})


KINDS = {
    "usual": lambda: verified(),
    "kept": lambda: verified(keeping=True, changed="with the salient context alone"),
    "no controls": lambda: verified(control=None, draws=np.zeros(0)),
    "differences": lambda: verified(quantity="p(rider) − p(sky)", probabilities=(0.5, -0.75, -0.25)),
    "logits": lambda: verified(made(of="logits")),
    "overlapping labels": lambda: verified(
        independent=True, outside="not rider", labels=(np.where(np.eye(24, 36, dtype=int), 1, -1),) * 2
    ),
    **{
        name: (lambda name=name: verified(CASES[name][0]))
        for name in ("volume", "grey volume", "grey", "1x1", "3x500", "500x3", "zero", "undefined", "many classes",
                     "hostile names")
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_figures_say_all_and_nothing_overlaps(kind):
    c = KINDS[kind]()
    figure = verification_figure(c)
    assert overlaps(figure) == []
    text = " ".join(said(figure))
    for word in (
        "(a) Explanation",
        "(b)",
        "(c) Image with",
        "(d)",
        "from 0.97 to 0.31",
        "planted note",
    ):
        assert word in text, word
    assert c.changed.split()[-1] in text


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_well_formed_and_load_nothing(kind):
    c = KINDS[kind]()
    html = verification_page(c)
    read = Reader(html)
    assert read.open == []
    assert loads(html) == []
    for word in (*SENTENCES, "planted note", c.changed, "Method and provenance"):
        assert word in read.text, word
    assert len(read.all("figure")) == 4 + (c.control is not None)
    assert "One of 20 controls" in read.text or c.control is None


def test_the_four_panels_and_the_control():
    c = verified()
    b = content.board(c)
    assert [p.title for p in b.panels] == [
        "Explanation: grad-cam at encoder.4",
        "Segmentation",
        "Image without the salient context",
        "Segmentation without the salient context",
    ]
    np.testing.assert_array_equal(b.panels[2].picture, c.without)
    np.testing.assert_array_equal(b.control.picture, c.control)
    np.testing.assert_array_equal(b.panels[1].labels, c.labels[0])
    np.testing.assert_array_equal(b.panels[3].labels, c.labels[1])
    assert "outlined: the region asked about" in b.panels[0].said
    kept = content.board(replace(c, keeping=True, changed="with the salient context alone"))
    assert kept.panels[2].title == "Image with the salient context alone"
    assert kept.control.title == "One of 20 controls: with random context alone"


def test_overlapping_labels_show_the_class_asked_about():
    b = content.board(KINDS["overlapping labels"]())
    assert [p.title for p in b.panels[1::2]] == ["Predicted rider", "Predicted rider without the salient context"]
    text = " ".join(said(verification_figure(KINDS["overlapping labels"]())))
    assert "not rider" in text


def test_a_volume_shows_one_slice_in_all_panels():
    e = made((5, 12, 16))
    e.map[3] += 10
    c = verified(e)
    b = content.board(c)
    assert "slice 3 of 5" in b.place
    np.testing.assert_array_equal(b.panels[2].picture, c.without[3])
    np.testing.assert_array_equal(b.panels[3].labels, c.labels[1][3])
    assert "slice 3 of 5" in verification_page(c)


def test_the_table_and_the_scale():
    rows = content.rows(verified(made(of="logits")))
    assert rows[0] == ("p(rider)", None, ["0.971", "0.312", "0.123"])
    assert rows[1] == ("score (logits)", None, ["4.25", "−1.5", "−2"])
    assert [r[0] for r in rows[-3:]] == ["labelled road", "labelled rider", "labelled sky"]
    assert rows[-1][2] == ["50 %", "25 %", "12 %"]
    assert not any("score" in name for name, *_ in content.rows(verified()))
    assert content.axis(verified()) == (0, 1)
    assert content.axis(verified(probabilities=(0.5, -0.75, 0.1))) == (-1, 1)
    assert content.axis(verified(probabilities=(1.5, 0.75, 0.1))) == (0, 1.5)
    told = content.marks(verified())
    assert [values for *_, values in told] == [tuple(np.linspace(0.9, 0.99, 20)), (0.123,), (0.971,), (0.312,)]
    assert told[0][0] == "without matched random context (20 draws, mean 0.945)"
    assert len(content.marks(verified(draws=np.zeros(0)))) == 3


def test_what_comes_from_outside_is_escaped():
    c = verified(
        made(target=EVIL, method=EVIL, network=EVIL, unit=EVIL, classes=ClassTable(("a", EVIL, "c"))),
        quantity=EVIL, said=(EVIL,), facts=(EVIL,), notes=(EVIL,), changed=EVIL, outside=EVIL, provenance={EVIL: EVIL},
    )  # fmt: skip
    html = verification_page(c)
    assert "<script>alert" not in html
    assert Reader(html).open == []
    assert EVIL in Reader(html).text
