"""Contact sheets: what the colours stand for, what is said, and that nothing overlaps on any page."""

import re

import numpy as np
import pytest
from PIL import Image
from reading import overlaps, said, texts

from seglens.core.errors import NameNotFoundError, ParameterError, ShapeError
from seglens.viz.colours import table
from seglens.viz.contact import figures
from seglens.viz.contact.content import Contact, Tile, bar_colour
from seglens.viz.contact.figures import page_count, pages
from seglens.viz.contact.page import contact_page
from seglens.viz.contact.writers import write_contact

RNG = np.random.default_rng(0)


def tile(number, values=None, weight=float("nan")):
    values = RNG.random((6, 12)) * (number + 1) if values is None else values
    return Tile(number=number, values=np.asarray(values, np.float32), weight=weight)


def sheet(tiles, shape=(24, 48), **fields):
    known = {"title": "Activations of encoder.4", "facts": ["a fact", "another"], "unit": "activation"}
    image = RNG.integers(0, 255, (*shape, 3), np.uint8)
    return Contact(**{**known, "image": image, "tiles": tiles, **fields})


def weighed(n, **fields):
    tiles = [tile(k, weight=(n / 2 - k) / n) for k in range(n)]
    return sheet(tiles, weight_unit="logit", heaviest=0.5, **fields)


CASES = {
    "one": sheet([tile(0)]),
    "five": weighed(5),
    "many": weighed(100, shape=(30, 40)),
    "tall": weighed(40, shape=(90, 10)),
    "wide": weighed(40, shape=(4, 300)),
    "shared": weighed(12, shared=True),
    "signed": sheet([tile(k, RNG.standard_normal((6, 12)) * 300) for k in range(1200, 1230)]),
    "zeros": sheet([tile(0, np.zeros((2, 2)), 0.0), tile(1)], weight_unit="logit"),
    "only zeros": sheet([tile(0, np.zeros((2, 2)))]),
    "undefined": sheet([tile(0, np.full((2, 2), np.nan)), tile(1, [[1.0, np.inf]])]),
    "hostile": weighed(
        3, title="<b>$x_{$</b>" + "long" * 60, facts=["<script>alert(1)</script>" * 9], notes=["n" * 99]
    ),
    "grey": sheet([tile(0)], image=np.full((9, 9), 90, np.uint8), region=np.eye(9, dtype=bool)),
}


@pytest.fixture(params=list(CASES))
def case(request):
    return CASES[request.param]


def test_no_text_overlaps_or_leaves_the_page(case):
    count = 0
    for fig in pages(case):
        count += 1
        assert overlaps(fig) == []
        width, height = fig.get_size_inches()
        assert width == pytest.approx(8.27)
        assert height <= 11.7
    assert count == page_count(case)


def test_every_tile_stands_on_one_page_in_order():
    contact, numbers = CASES["many"], []
    for number, fig in enumerate(pages(contact), 1):
        assert f"page {number} of {page_count(contact)}" in said(fig)
        numbers += [int(t.get_text()) for t in texts(fig) if t.get_fontweight() == "bold" and t.get_text().isdigit()]
    assert numbers == list(range(100))


def test_what_is_said_of_each_scale():
    own, one = weighed(3), weighed(3, shared=True)
    assert "Each map has its own scale" in own.key()[0]
    assert own.range(own.tiles[0]) == f"0 … {own.tiles[0].values.max():.2g}"
    assert "All maps share one scale" in one.key()[0]
    assert one.range(one.tiles[0]) == ""
    assert one.scale(one.tiles[0]) == one.scale() == one.scale(one.tiles[2])
    assert one.scale().limit == max(t.values.max() for t in one.tiles)


def test_one_negative_value_makes_all_diverging():
    """Else the same colour would be nothing on one tile and a large value on the next."""
    contact = sheet([tile(0, [[0.0, 2.0]]), tile(1, [[-4.0, 1.0]])])
    assert contact.diverging
    white = np.rint(table("diverging")[128] * 255)
    assert np.abs(contact.picture(contact.tiles[0])[0, 0] - white).max() <= 3
    assert contact.range(contact.tiles[0]) == "±2"
    assert contact.range(contact.tiles[1]) == "±4"
    last = np.rint(table("diverging")[0] * 255)
    assert (contact.picture(contact.tiles[1])[0, 0] == last).all()


def test_colours_are_exact():
    contact = sheet([tile(0, [[0.0, 1.0, 4.0]])])
    expected = np.rint(table("sequential")[[0, round(255 / 4), 255]] * 255)
    np.testing.assert_array_equal(contact.picture(contact.tiles[0])[0], expected)


def test_a_zero_tile_is_marked_and_explained():
    contact = CASES["zeros"]
    words = [word for fig in pages(contact) for word in said(fig)]
    assert words.count("zero") == 1
    assert any("zero at every place shown" in word for word in words)
    assert (contact.picture(contact.tiles[0]) == 238).all()
    assert ">zero</text>" in contact_page(contact)


def test_bars_measure_against_the_whole_layer():
    contact = sheet([tile(0, weight=-1.0), tile(1, weight=0.5)], heaviest=4.0, weight_unit="logit")
    assert [contact.share(t) for t in contact.tiles] == [0.25, 0.125]
    assert [contact.weight(t) for t in contact.tiles] == ["−1", "+0.5"]
    assert bar_colour(-1.0)[2] > bar_colour(-1.0)[0]
    assert bar_colour(1.0)[0] > bar_colour(1.0)[2]
    assert 'width="25.00"' in contact_page(contact)


@pytest.mark.parametrize(
    ("value", "expected"), [(123.4, "0 … 123"), (0.001234, "0 … 0.0012"), (12345.0, "0 … 1.2×10⁴")]
)
def test_numbers_are_short(value, expected):
    contact = sheet([tile(0, [[0.0, value]])])
    assert contact.range(contact.tiles[0]) == expected


def test_the_page_needs_nothing_else_and_escapes(case):
    html = contact_page(case)
    assert html.count("<li data-place") == len(case.tiles)
    assert "<script>alert" not in html
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "script-src 'sha256-" in html


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "html"])
def test_same_sheet_same_bytes(tmp_path, suffix):
    for name in ("a", "b"):
        write_contact(CASES["five"], tmp_path / f"{name}.{suffix}")
    a, b = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("a", "b"))
    assert a == b
    if suffix == "png":
        assert len(np.unique(np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3), axis=0)) > 50


def test_pages_sort_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(figures, "_DOWN", 1)
    written = write_contact(sheet([tile(k) for k in range(81)], shape=(8, 8)), tmp_path / "deep" / "maps.svg")
    assert [p.name for p in written] == [f"maps-{n:02d}.svg" for n in range(1, 12)]
    assert sorted(p.name for p in (tmp_path / "deep").iterdir()) == [p.name for p in written]


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(NameNotFoundError, match="Nearest: 'png'"):
        write_contact(CASES["one"], tmp_path / "maps.pgn")
    with pytest.raises(ParameterError, match="no maps"):
        sheet([])
    with pytest.raises(ShapeError, match=r"\[h w\], not \[2, 2, 2\]"):
        sheet([tile(0, np.zeros((2, 2, 2)))])
    assert list(tmp_path.iterdir()) == []
