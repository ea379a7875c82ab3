"""What the script of a page draws: the values it is given, and, in a real browser, the pictures it makes of them."""

import base64
import json
import os
import re
import shutil
import subprocess
from hashlib import sha256
from html import unescape
from io import BytesIO
from itertools import product

import numpy as np
import pytest
from PIL import Image
from reading import Reader
from viz_cases import made

from seglens.core.display import Display
from seglens.viz import live, slices, words
from seglens.viz.display import show
from seglens.viz.page import page

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def signed(**changed):
    """24 x 36, of both signs over four powers of ten, in part undefined, with everything to choose from."""
    rng = np.random.default_rng(3)
    level = np.sign(rng.normal(size=(24, 36))) * rng.integers(0, live.LEVELS + 1, (24, 36)) ** rng.uniform(0, 1)
    values = (np.sign(level) * (np.rint(np.abs(level)) / live.LEVELS) ** 2 * 3.0).astype(np.float32)
    values[0, 0] = -3.0
    values[5:9, 5:9] = np.nan
    region = np.zeros((24, 36), bool)
    region[4:12, 3:20] = True
    truth = np.zeros((24, 36), int)
    truth[2:15, 7:30] = 1
    return made(map=values, region=region, truth=truth, label=1, **changed)


def test_values_come_back_from_the_picture():
    e = signed()
    red, green, blue = live.encoded(e).astype(int).transpose(2, 0, 1)
    level = 16 * red + (green >> 4) - live.LEVELS - 1
    found = np.sign(level) * (level / live.LEVELS) ** 2 * live.largest(e)
    known = np.isfinite(e.map)
    np.testing.assert_allclose(found[known], e.map[known], rtol=1e-5)
    np.testing.assert_array_equal((green & live.UNDEFINED) == 0, known)
    for flag, place in ((live.REGION, e.region), (live.PREDICTED, e.prediction == 1), (live.TRUE, e.truth == 1)):
        np.testing.assert_array_equal((green & flag) > 0, place)
    assert not blue.any()


def test_any_values_come_back_nearly_and_none_is_lost():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(50, 50)) * 10.0 ** rng.uniform(-30, 0, (50, 50))).astype(np.float32)
    values[0, :9] = 0
    red, green, _ = live.encoded(made((50, 50), map=values)).astype(int).transpose(2, 0, 1)
    level = 16 * red + (green >> 4) - live.LEVELS - 1
    np.testing.assert_array_equal(np.sign(level), np.sign(values))
    found = np.sign(level) * (level / live.LEVELS) ** 2 * np.abs(values).max()
    np.testing.assert_allclose(found, values, atol=np.abs(values).max() / live.LEVELS)


def test_a_map_without_negative_values_has_no_parts_to_choose_from():
    assert live.parts(made()) == []
    assert [p[0] for p in live.parts(signed())] == ["all", "positive", "negative", "absolute"]
    assert [there for *_, there in live.parts(made(map=np.full((24, 36), -1.0)))] == [True, False, True, True]


def test_places_to_choose_from():
    assert [p[0] for p in live.places(signed(), "a")] == ["", "region", "prediction", "truth", "both", "either"]
    assert [p[0] for p in live.places(made(), "a")] == ["", "region"]
    assert live.places(made(region=None), "a") == []
    nowhere = {p[0]: p[2] for p in live.places(signed(prediction=np.zeros((24, 36), int)), "a")}
    assert nowhere == {"": True, "region": True, "prediction": False, "truth": True, "both": False, "either": True}


def test_what_a_page_offers():
    nowhere = signed(prediction=np.zeros((24, 36), int))
    html = page([nowhere], Display(part="positive", percentile=80))
    read = Reader(html)
    assert [a["name"] for a in read.all("select")] == ["part", "within"]
    options = read.all("option")
    assert [o["value"] for o in options if "selected" in o] == ["positive", ""]
    assert [o["value"] for o in options if "disabled" in o] == ["prediction", "both"]
    assert "where rider is predicted (none)" in read.text
    assert {"value": "80", "max": "100"}.items() <= next(
        a for a in read.all("input") if a["name"] == "percentile"
    ).items()
    (drawn,) = (a for a in read.all("image") if a.get("class") == "map")
    assert (drawn["data-part"], drawn["data-within"], float(drawn["data-largest"])) == ("positive", "", 3.0)
    ids = {a["id"] for _, a in read.tags if "id" in a}
    assert {drawn[f"data-{kind}"][5:-1] for kind in ("none", "sequential", "diverging", "negative")} <= ids
    several = Reader(page([made(), nowhere]))
    assert [a["name"] for a in several.all("select")] == ["part", "within", "within", "part", "within"]


@pytest.mark.parametrize(
    "still", [made((5, 12, 16)), made(map=np.zeros((24, 36), np.float32))], ids=["large volume", "zero"]
)
def test_without_something_to_switch_no_switches(still, monkeypatch):
    monkeypatch.setattr(slices, "MOST", 5 * 12 * 16 - 1)
    assert not [a for a in Reader(page([still])).all("image") if "data-values" in a]
    assert Reader(page([still])).all("select") == []
    one_scale = Reader(page([made(), made()], Display(shared=True)))
    assert not [a for a in one_scale.all("image") if "data-values" in a]


ASKS = """
(async () => {
  const card = document.querySelector("article"), told = [];
  const pause = () => new Promise((on) => setTimeout(on, 30));
  for (const [part, within, percentile] of COMBINATIONS) {
    const asked = {part, within, percentile};
    for (const name in asked) card.querySelector(`[name="${name}"]`).value = asked[name];
    const map = card.querySelector(".map");
    map.setAttribute("href", "");
    card.querySelector('[name="part"]').dispatchEvent(new Event("input"));
    while (!map.getAttribute("href")) await pause();
    await pause();
    told.push({
      href: map.getAttribute("href"),
      ends: [...card.querySelectorAll(".ends span")].map((s) => s.textContent),
      state: card.querySelector(".state").textContent,
      told: card.querySelector(".told").textContent,
      scale: !card.querySelector(".scale").hidden,
      below: card.querySelector(".below").getAttribute("filter"),
      bar: card.querySelector(".bar image").getAttribute("href"),
    });
  }
  const out = document.createElement("pre");
  out.id = "told";
  out.textContent = JSON.stringify(told);
  document.body.append(out);
})();
"""


def picture(uri):
    raw = base64.b64decode(uri.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(BytesIO(raw)).convert("RGBA")).astype(float)


def over(layer, below):
    alpha = layer[..., 3:] / 255
    return layer[..., :3] * alpha + below * (1 - alpha)


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium")
def test_in_a_browser_the_script_draws_what_python_draws(tmp_path):
    e = signed()
    asked = [
        *product(("all", "positive", "negative", "absolute"), ("", "region", "both", "either"), (99.5,)),
        *product(("all", "negative"), ("prediction", "truth"), (50, 80)),
    ]
    asks = ASKS.replace("COMBINATIONS", json.dumps(asked))
    digest = base64.b64encode(sha256(asks.encode()).digest()).decode()
    # The page's own policy stays in force; this script is let in beside it.
    html = page([e]).replace("script-src ", f"script-src 'sha256-{digest}' ")
    file = tmp_path / "why.html"
    file.write_text(html.replace("</body>", f"<script>{asks}</script></body>"))
    command = [BROWSER, "--headless", "--disable-gpu", "--virtual-time-budget=60000", f"--user-data-dir={tmp_path}/p"]
    command += ["--no-sandbox"] * (os.geteuid() == 0)
    dom = subprocess.run([*command, "--dump-dom", file.as_uri()], capture_output=True, text=True, timeout=100).stdout
    answers = json.loads(unescape(re.search(r'<pre id="told">(.*?)</pre>', dom, re.DOTALL)[1]))
    kinds = dict(re.findall(r'data-(none|sequential|diverging|negative)="(url\(#[^"]*\))"', html))
    assert len(answers) == len(asked)
    for (part, within, percentile), answer in zip(asked, answers, strict=True):
        shown = show(e, Display(part=part, within=within or None, percentile=percentile))
        scale = shown.scale
        expected, found = shown.layer(scale, 1.0).astype(float), picture(answer["href"])
        for below in (0, 255):
            # A canvas rounds faint colours; what is seen differs by no more than a step of the table.
            assert np.abs(over(found, below) - over(expected, below)).max() <= 4, (part, within, percentile)
        ends = [words.number(scale.low), *["0"] * scale.diverging, words.number(scale.high)]
        assert answer["ends"] == ends
        kind = "negative" if scale.negative else "diverging" if scale.diverging else "sequential"
        assert answer["below"] == kinds[kind]
        bar = picture(answer["bar"])[0, :, :3]
        np.testing.assert_allclose(bar, np.rint(scale.colours * 255), atol=0.5)
        assert (answer["state"], answer["scale"]) == ("", True)
        assert " ".join(words.beyond(shown)) in answer["told"]
        assert ("Shown:" in answer["told"]) == (part != "all" or within != "")
