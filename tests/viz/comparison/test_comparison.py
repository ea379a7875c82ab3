"""A comparison as figure and page: what is drawn is what was found; volumes, weak methods, names from outside."""

import base64
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest
from reading import Reader, drawn, loads, said, texts

from seglens.core.comparison import Agreement, Comparison, Contested, Dependence, Interval
from seglens.core.explanation import Explanations
from seglens.viz.comparison.content import board, cell, correlation_colours, matrix_colours, places
from seglens.viz.comparison.figure import comparison_figure
from seglens.viz.comparison.page import comparison_page
from seglens.viz.comparison.writers import write_comparison

NAMES = ("grad-cam", "saliency", "edges", "flat")
LONG = ("guided-backprop at encoder.block4", "integrated-gradients", "input-x-gradient")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
EVIL = '"><script>alert(1)</script>'


def dependence(label, trained, beyond, **more):
    def about(r):
        return Interval(r, r - 0.1, r + 0.05)

    fields = {
        "copies": about(0.4),
        "blind": about(0.1),
        "signed": None,
        "chance": 0.2,
        "chance_beyond": 0.1,
        "draws": 5,
    }
    return Dependence(label=label, trained=about(trained), beyond=about(beyond), **{**fields, **more})


@pytest.fixture
def compared(make):
    def build(*grid, **changes):
        shape = grid or (24, 32)
        rng = np.random.default_rng(0)
        image = rng.integers(0, 255, (*shape, 3), np.uint8)
        region = np.zeros(shape, bool)
        region[..., 4:12, 6:20] = True
        maps = [rng.random(shape).astype(np.float32) for _ in NAMES]
        maps[3][:] = 0
        items = [
            replace(
                make(), map=m, image=image, region=region, prediction=None, truth=None, method=n, layer=None, extras={}
            )
            for n, m in zip(NAMES, maps, strict=True)
        ]
        r = np.array([[1, 0.5, -0.25, np.nan], [0.5, 1, 0.004, np.nan], [-0.25, 0.004, 1, np.nan], [np.nan] * 4])
        p = np.where(np.isfinite(r), 0.5, np.nan)
        p[0, 1] = p[1, 0] = 0.01
        np.fill_diagonal(p, np.nan)
        inside = np.zeros(shape, bool)
        inside[..., 2:6, 20:28] = True
        place = Contested(mask=inside, ranks={"grad-cam": 0.9, "edges": 0.2}, high=("grad-cam",), low=("edges",))
        made = Comparison(
            explanations=Explanations(items),
            labels=NAMES,
            agreement=Agreement(correlations=r, chance=p, p=p),
            consensus=rng.random(shape).astype(np.float32),
            spread=(rng.random(shape) / 2).astype(np.float32),
            disputed=inside,
            contested=(place,),
            left_out={"flat": "the same value everywhere"},
            dependences=(
                dependence("grad-cam", 0.1, -0.1),
                dependence("saliency", 0.7, 0.05, signed=Interval(0.01, -0.02, 0.03)),
                dependence("edges", 0.995, 0.9, known="Somebody 2018"),
                replace(dependence("flat", 0, 0, undefined=5), trained=Interval(*[np.nan] * 3), chance=np.nan),
            ),
            unmoved={"norm.bias": "the same value throughout"},
            failures={"rise": "planted"},
            notes=("planted note",),
        )
        return replace(made, **changes)

    return build


def written(figure):
    return " ".join(said(figure))


def test_what_is_told(compared):
    made = compared()
    assert [cell(made, 0, j) for j in range(4)] == ["1", "0.50", "(−0.25)", "–"]
    assert cell(made, 1, 2) == "(0.00)"
    assert cell(made, 3, 3) == "–"
    assert places(made) == ["1. 32 pixels in box(2, 20, 6, 28): high by grad-cam (0.90); low by edges (0.20)."]
    many = compared(contested=made.contested * 7)
    assert places(many)[-1] == "And 2 smaller or more."


def test_colours_of_correlations():
    rgb = correlation_colours(np.array([-1.0, 0.0, 1.0, np.nan]))
    assert rgb[0, 2] > rgb[0, 0]
    assert rgb[2, 0] > rgb[2, 2]
    assert rgb[1].min() > 230
    assert (rgb[3] == 206).all()


def test_doubtful_correlations_are_paler(compared):
    rgb = matrix_colours(compared()).astype(int)
    plain = correlation_colours(compared().agreement.correlations).astype(int)
    assert (rgb[0, 1] == plain[0, 1]).all()
    assert rgb[0, 2].sum() > plain[0, 2].sum()
    assert (rgb[1, 1] == plain[1, 1]).all()
    assert (rgb[3, 0] == 206).all()


def test_panels(compared):
    b = board(compared())
    assert [p.title for p in b.maps] == list(NAMES)
    assert [p.title for p in b.common] == ["consensus", "spread", "disputed"]
    assert (b.common[0].scale.high, b.common[1].scale.high) == (1, 0.5)
    assert "hangs largely on picture and architecture" in b.maps[2].said
    assert "hangs" not in b.maps[0].said
    assert "no ranks: the same value everywhere" in b.maps[3].said
    (mark,) = b.marks
    assert (mark.number, mark.top, mark.bottom, mark.x) == (1, 2, 6, 24)
    # Above the place where there is room, else below it: it hides nothing.
    assert mark.y(1) < 2
    assert mark.y(4) > 6
    inside, outside = b.common[2].picture[3, 22].astype(int), b.common[2].picture[20, 2].astype(int)
    assert inside[0] - inside[2] > 60
    assert (outside == outside[0]).all()
    assert b.place == ""


def test_a_volume_shows_one_slice_in_all_pictures(compared):
    made = compared(5, 24, 32)
    made.consensus[3] += 1
    made.explanations[1].map[:] = np.arange(5, dtype=np.float32)[:, None, None]
    b = board(made)
    assert b.place == "slice 3 of 5 (0 to 4)"
    assert all(p.picture.shape == (24, 32, 3) for p in (b.image, *b.maps, *b.common))
    assert (b.image.picture == made.explanations[0].image[3]).all()
    assert "slice 3 of 5" in written(comparison_figure(made))
    assert "slice 3 of 5" in comparison_page(made)


def test_the_figure_says_all_that_was_found(compared, tmp_path):
    made = compared()
    text = written(comparison_figure(made))
    for word in (*NAMES, "0.50", "(−0.25)", "consensus", "Do they hear the network?", "planted note", "rise failed"):
        assert word in text, word
    assert "5 shuffled copies" in text
    path = tmp_path / "c.png"
    write_comparison(made, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_nothing_is_written_beyond_the_paper(compared):
    figure = comparison_figure(compared())
    width, height = figure.get_size_inches()
    renderer = drawn(figure)
    for t in texts(figure):
        box = t.get_window_extent(renderer)
        assert box.x0 >= -1, t
        assert box.x1 <= width * figure.dpi + 1, t
        assert box.y0 >= -1, t
        assert box.y1 <= height * figure.dpi + 1, t


def test_without_the_test_and_with_a_cascade(compared):
    plain = compared(dependences=(), unmoved={})
    assert "Do they hear" not in written(comparison_figure(plain))
    assert "Do they hear" not in comparison_page(plain)
    falling = compared(dependences=(dependence("edges", 0.5, 0.4, curve=np.array([0.9, 0.512]), steps=(10, 92)),))
    for text in (written(comparison_figure(falling)), comparison_page(falling)):
        assert "0.51" in text
        assert "92" in text


def test_the_page_is_well_formed_and_loads_nothing(compared):
    html = comparison_page(compared())
    read = Reader(html)
    assert read.open == []
    assert loads(html) == []
    for word in (
        *NAMES,
        "(−0.25)",
        "planted note",
        "rise failed: planted",
        "norm.bias",
        "Somebody 2018",
        "0.01 [−0.02, 0.03]",
    ):
        assert word in read.text.replace("\N{NO-BREAK SPACE}", " "), word


def test_what_comes_from_outside_is_escaped(compared):
    made = compared()
    evil = replace(
        compared(labels=(EVIL, *NAMES[1:]), notes=(EVIL,), failures={EVIL: EVIL}, unmoved={EVIL: EVIL}),
        explanations=Explanations(
            [replace(e, target=EVIL, network=EVIL, unit=EVIL, layer=EVIL) for e in made.explanations]
        ),
        dependences=(replace(dependence("x", 0.5, 0.5), label=EVIL, known=EVIL),),
    )
    html = comparison_page(evil)
    assert "<script>alert" not in html
    assert Reader(html).open == []
    assert EVIL in Reader(html).text
    assert "alert(1)" in written(comparison_figure(evil))


def test_whether_a_map_is_called_weak():
    """By its likeness beyond decay, where that is above chance and no small one; or where it never changes at all."""
    assert dependence("a", 0.9, 0.05).weak is False
    assert dependence("a", 0.5, 0.35).weak is True
    assert dependence("a", 0.5, 0.35, chance_beyond=0.3).weak is False
    assert dependence("a", 0.5, 0.29).weak is False
    assert dependence("a", 0.995, 0.0).weak is True
    few = replace(dependence("a", 0.9, 0.9), trained=Interval(0.9, np.nan, np.nan))
    assert few.weak is None
    claims = {dependence("a", *v).claim for v in ((0.9, 0.05), (0.5, 0.35), (0.1, 0.0))} | {few.claim}
    assert len(claims) == 4


WIDTHS = """
const told = [...document.querySelectorAll(".scroll")].map(b => [b.ariaLabel, b.scrollWidth, b.clientWidth]);
const said = document.createElement("pre");
said.id = "told";
said.textContent = JSON.stringify(told);
document.body.append(said);
"""


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium")
def test_the_randomisation_table_fits_a_page_of_1100_pixels(compared, tmp_path):
    claims = [dependence(n, 0.1, -0.1, signed=Interval(-0.01, -0.02, 0.01), known="Adebayo et al. 2018") for n in LONG]
    digest = base64.b64encode(sha256(WIDTHS.encode()).digest()).decode()
    html = comparison_page(compared(dependences=tuple(claims))).replace("script-src ", f"script-src 'sha256-{digest}' ")
    file = tmp_path / "c.html"
    file.write_text(html.replace("</body>", f"<script>{WIDTHS}</script></body>"))
    command = [BROWSER, "--headless", "--disable-gpu", "--window-size=1100,900", f"--user-data-dir={tmp_path}/p"]
    command += ["--no-sandbox"] * (os.geteuid() == 0)
    dom = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=100).stdout
    told = {name: sizes for name, *sizes in json.loads(re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)[1])}
    needed, there = told["Randomisation test"]
    assert 800 < needed <= there
