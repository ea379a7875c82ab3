"""Volumes in pictures: three planes through one voxel in figures, every slice in a page, one scale for all."""

import base64
import json
import os
import re
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256
from html import unescape
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from reading import Reader, overlaps, said
from viz_cases import made

from seglens.core.display import Display
from seglens.viz import figure, figures, live, slices
from seglens.viz.display import painted, show
from seglens.viz.page import page
from seglens.viz.slices import centre, planes, stacked, stacks

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZE = (5, 12, 16)


def spotted(at=(3, 4, 7), **changed):
    """A map whose slice 3 weighs most, with a greatest value of its own in each slice."""
    values = np.zeros(SIZE, np.float32)
    values[0, 0, 0] = 9.0  # the greatest of all, in a slice that weighs little
    values[3] = 0.5
    values[at] = -4.0
    return made(SIZE, map=values, **changed)


class TestPlanes:
    def test_they_are_cut_at_the_greatest_value_of_the_heaviest_slice(self):
        e = spotted()
        shown = show(e)
        assert centre(shown) == (3, 4, 7)
        slice_, row, column = planes(shown)
        assert [name for name, _ in (slice_, row, column)] == [
            "slice 3",
            "row 4: slices × columns",
            "column 7: slices × rows",
        ]
        for (_, plane), cut in zip((slice_, row, column), (np.s_[3], np.s_[:, 4], np.s_[:, :, 7]), strict=True):
            np.testing.assert_array_equal(plane.values, e.map[cut])
            np.testing.assert_array_equal(plane.flat.image, e.image[cut])
            np.testing.assert_array_equal(plane.flat.region, e.region[cut])
            np.testing.assert_array_equal(plane.flat.prediction, e.prediction[cut])
            assert plane.scale == shown.scale

    def test_one_value_has_one_colour_in_all_planes(self):
        """The planes meet in lines: there they are the same to the pixel."""
        e = spotted(image=np.full(SIZE, 90, np.uint8))
        a, b, c = (painted(plane) for _, plane in planes(show(e)))
        np.testing.assert_array_equal(a[4], b[3])
        np.testing.assert_array_equal(a[:, 7], c[3])
        np.testing.assert_array_equal(b[:, 7], c[:, 4])

    def test_what_is_not_shown_does_not_count(self):
        assert centre(show(spotted(), Display(part="positive"))) != (3, 4, 7)
        region = np.zeros(SIZE, bool)
        region[2, 5, 6] = True
        e = spotted(region=region)
        shown = show(replace(e, map=e.map + (np.indices(SIZE)[0] == 2)), Display(within="region"))
        assert centre(shown) == (2, 5, 6)
        for (_, plane), cut in zip(planes(shown), (np.s_[2], np.s_[:, 5], np.s_[:, :, 6]), strict=True):
            np.testing.assert_array_equal(plane.inside, region[cut])

    def test_without_weight_they_meet_in_the_region_or_the_middle(self):
        zero = np.zeros(SIZE, np.float32)
        region = np.zeros(SIZE, bool)
        region[1, 2, 3] = True
        assert centre(show(made(SIZE, map=zero, region=region))) == (1, 2, 3)
        assert centre(show(made(SIZE, map=zero, region=None))) == (2, 6, 8)
        assert "|value|" not in " ".join(said(figure(made(SIZE, map=zero))))

    def test_an_image_has_one(self):
        shown = show(made())
        assert planes(shown) == [("", shown)]
        with pytest.raises(ValueError, match="no slices"):
            centre(shown)


class TestFigure:
    def test_it_says_where_the_planes_are(self):
        texts = said(figure(spotted()))
        for text in (
            "Explanation, slice 3",
            "Explanation, row 4: slices × columns",
            "Explanation, column 7: slices × rows",
            "The three planes meet at slice 3, row 4, column 7, of the greatest |value| on that slice.",
        ):
            assert text in texts
        assert overlaps(figure(spotted())) == []

    def test_it_draws_all_three_with_one_bar(self, monkeypatch):
        drawn, bars = [], []
        kept = figures.Sheet.picture, figures._bar

        def picture(sheet, x, y, width, height, image, edges=None):
            drawn.append((image, width / image.shape[1], height / image.shape[0]))
            kept[0](sheet, x, y, width, height, image, edges)

        monkeypatch.setattr(figures.Sheet, "picture", picture)
        monkeypatch.setattr(figures, "_bar", lambda *a, **k: bars.append(1) or kept[1](*a, **k))
        e = spotted()
        figure(e)
        assert len(bars) == 1
        assert [image.shape[:2] for image, *_ in drawn] == [(12, 16), (12, 16), (12, 16), (5, 16), (5, 12)]
        for (image, *_), (_, plane) in zip(drawn[2:], planes(show(e)), strict=True):
            np.testing.assert_array_equal(image, painted(plane))
        # A voxel is a square of one size.
        np.testing.assert_allclose([side for _, *sides in drawn for side in sides], drawn[0][1])

    @pytest.mark.parametrize("size", [(1, 12, 16), (40, 3, 4), (2, 100, 120), (1, 1, 1), (3, 1, 30)])
    def test_uneven_volumes(self, size):
        fig = figure(made(size))
        assert overlaps(fig) == []
        assert ("stretched" in " ".join(said(fig))) == (size != (1, 1, 1))

    def test_channels_in_colour(self):
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
        for (_, plane), cut in zip(planes(show(spotted(image=image))), (3, np.s_[:, 4], np.s_[:, :, 7]), strict=True):
            np.testing.assert_array_equal(plane.flat.image, image[cut])


class TestPage:
    def test_it_holds_every_slice(self):
        e = spotted(image=np.random.default_rng(1).integers(0, 256, SIZE, dtype=np.uint8))
        read = Reader(page([e]))
        windows = [a for a in read.all("svg") if a.get("class") == "slices"]
        assert {a["viewbox"] for a in windows} == {"0 39 16 12"}
        assert len(windows) == 3
        pictures = [_decoded(a["href"]) for a in read.all("image") if a.get("height") == "65"]
        grey = next(p for p in pictures if np.array_equal(p[:12, :, 0], e.image[0]))
        for z in range(5):
            np.testing.assert_array_equal(grey[13 * z : 13 * z + 12, :, 0], e.image[z])
        slider = next(a for a in read.all("input") if a["name"] == "slice")
        assert (slider["min"], slider["max"], slider["value"]) == ("0", "4", "3")
        assert "It opens at slice 3 of 5 (0 to 4), of greatest weight" in page([e])

    def test_values_of_every_slice_come_back(self):
        e = spotted()
        values = next(a for a in Reader(page([e])).all("image") if "data-values" in a)
        red, green, _ = _decoded(values["data-values"])[..., :3].astype(int).transpose(2, 0, 1)
        level = 16 * red + (green >> 4) - live.LEVELS - 1
        found = (np.sign(level) * (level / live.LEVELS) ** 2 * live.largest(e)).reshape(5, 13, 16)
        np.testing.assert_allclose(found[:, :12], e.map, atol=9 * 2 / live.LEVELS)
        assert not found[:, 12].any()

    def test_shares_of_classes_are_of_the_volume(self):
        prediction = np.zeros(SIZE, np.int64)
        prediction[0] = 1
        html = page([spotted(prediction=prediction)])
        assert 'rider <span class="quiet">20 %' in html

    def test_the_outline_of_one_slice_stays_out_of_the_next(self):
        region = np.zeros(SIZE, bool)
        region[1, 11, 4:6] = True
        html = page([spotted(region=region)])
        ys = {
            float(y) for path in re.findall(r'<path d="([^"]*)"', html) for y in re.findall(r"M[\d.]+ ([\d.]+)", path)
        }
        assert ys == {13 + 11, 13 + 12}  # slice 2 begins at 26

    def test_a_large_volume_shows_three_planes_instead(self, monkeypatch):
        monkeypatch.setattr(slices, "MOST", int(np.prod(SIZE)) - 1)
        e = spotted()
        assert not stacks(e)
        html = page([e])
        assert "slices" not in [a.get("class") for a in Reader(html).all("svg")]
        assert "row 4: slices × columns" in html
        assert 'name="slice"' not in html

    def test_of_several_one_slider_where_they_have_as_many_slices(self):
        same = Reader(page([spotted(), spotted(method="rise")]))
        assert len([a for a in same.all("input") if a["name"] == "slice"]) == 3
        others = Reader(page([spotted(), made((4, 12, 16))]))
        assert len([a for a in others.all("input") if a["name"] == "slice"]) == 2

    def test_within_holds_in_every_slice(self):
        e = spotted()
        shown = stacked(show(e, Display(within="region")))
        np.testing.assert_array_equal(shown.inside.reshape(5, 13, 16)[:, :12], e.region)
        assert not shown.layer(shown.scale)[..., 3].reshape(5, 13, 16)[:, :12][~e.region].any()


ASKS = """
(async () => {
  const card = document.querySelector("article"), map = card.querySelector(".map");
  const slider = card.querySelector('[name="slice"]');
  slider.value = 1;
  slider.dispatchEvent(new Event("input"));
  const told = {views: [...card.querySelectorAll(".slices")].map((s) => s.getAttribute("viewBox")),
                said: slider.parentElement.querySelector("output").textContent};
  map.setAttribute("href", "");
  card.querySelector('[name="part"]').value = "positive";
  card.querySelector('[name="part"]').dispatchEvent(new Event("input"));
  while (!map.getAttribute("href")) await new Promise((on) => setTimeout(on, 30));
  told.href = map.getAttribute("href");
  const out = document.createElement("pre");
  out.id = "told";
  out.textContent = JSON.stringify(told);
  document.body.append(out);
})();
"""


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium")
def test_in_a_browser_the_slider_moves_all_pictures_and_switches_draw_every_slice(tmp_path):
    e = spotted()
    digest = base64.b64encode(sha256(ASKS.encode()).digest()).decode()
    html = page([e]).replace("script-src ", f"script-src 'sha256-{digest}' ")
    file = tmp_path / "why.html"
    file.write_text(html.replace("</body>", f"<script>{ASKS}</script></body>"))
    command = [BROWSER, "--headless", "--disable-gpu", "--virtual-time-budget=60000", f"--user-data-dir={tmp_path}/p"]
    command += ["--no-sandbox"] * (os.geteuid() == 0)
    dom = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=100).stdout
    told = json.loads(unescape(re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)[1]))
    assert told["views"] == ["0 13 16 12"] * 3
    assert told["said"] == "1"
    shown = stacked(show(e, Display(part="positive")))
    expected, found = shown.layer(shown.scale, 1.0).astype(float), _decoded(told["href"]).astype(float)
    for below in (0, 255):
        over = [p[..., :3] * p[..., 3:] / 255 + below * (1 - p[..., 3:] / 255) for p in (found, expected)]
        assert np.abs(over[0] - over[1]).max() <= 4


def _decoded(uri):
    raw = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(BytesIO(raw)).convert("RGBA"))
