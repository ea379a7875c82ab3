import base64
import re
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from seglens.core.cost import Cost
from seglens.core.errors import ParameterError
from seglens.viz.page import data_uri, fragment, page

LOADING = {"src", "href", "srcset", "data", "poster", "action", "xlink:href", "background"}
EMPTY = {"meta", "link", "input", "img", "br", "hr"}


class Reader(HTMLParser):
    """Elements with their attributes, text, and whether all that opens is closed."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def test_a_page_is_well_formed_and_loads_nothing(case):
    html = page(case)
    read = Reader(html)
    assert read.open == []
    ids = {attrs["id"] for _, attrs in read.tags if "id" in attrs}
    for tag, attrs in read.tags:
        for name in LOADING & attrs.keys():
            value = attrs[name]
            assert value.startswith("data:") or value[1:] in ids, (tag, name, value[:80])
        assert "style" not in attrs  # the policy would refuse it
        assert not [name for name in attrs if name.startswith("on")]
    style = "".join(re.findall(r"<style>(.*?)</style>", html, re.DOTALL))
    assert "@import" not in style
    assert "url(" not in style


def test_ids_occur_once(case):
    different = [e for i, e in enumerate(case) if str(e) not in map(str, case[:i])]
    found = [attrs["id"] for _, attrs in Reader(page(different)).tags if "id" in attrs]
    assert len(found) == len(set(found))


def test_the_policy_admits_just_the_pages_own_style_and_script(make):
    html = page([make()])
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none'; img-src data:;")
    for kind in ("style", "script"):
        (inner,) = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
        digest = base64.b64encode(sha256(inner.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_what_comes_from_outside_is_escaped(make):
    evil = '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>'
    e = make(
        target=evil,
        method=evil,
        layer=evil,
        unit=evil,
        of=evil,
        network=evil,
        notes=(evil,),
        parameters={evil: evil},
        provenance={"image": evil, evil: evil},
        extras={evil: np.array(1.0)},
    )
    from seglens.core.classes import ClassTable

    e = [e, make(classes=ClassTable((evil, "b", "c")))]
    for html in (page(e[:1]), page(e), fragment(e)):
        read = Reader(html)
        assert len(read.all("script")) == 1
        assert read.all("img") == []
        assert "alert(1)</script><img" not in html
        assert evil in read.text  # said, not run


def test_what_a_page_says(make):
    e = make(
        cost=Cost(3_000_000_000, 1_200_000_000, 0.42),
        notes=("a warning",),
        extras={"gap": np.array([0.0123]), "curve": np.arange(5.0), "name": np.array("x")},
    )
    text = Reader(page([e])).text
    for said in (
        "grad-cam at encoder.4", "rider in predicted(rider)", "7.312 (logits)", "logit", "a warning",
        "2.50 F (3 GFLOP), 0.42 s", "steps", "50", "gap", "0.0123", "torch", "2.9", "street.png",
        "96 pixels, 11 % of the image", "road",
    ):  # fmt: skip
        assert said in text
    assert "curve" not in text


def test_several_have_a_table_that_leads_to_each(make):
    read = Reader(page([make(), make(method="rise", cost=Cost(10, 5, 1.0))]))
    articles = [attrs["id"] for attrs in read.all("article")]
    assert [attrs["href"] for attrs in read.all("a")] == [f"#{name}" for name in articles]
    assert "2.00 F" in read.text
    assert "not counted" in read.text


def test_every_picture_has_words_and_every_control_a_label(case):
    read = Reader(page(case))
    for attrs in read.all("svg"):
        assert attrs.get("aria-hidden") == "true" or attrs["aria-label"]
    assert len(read.all("label")) == len(read.all("input")) + len(read.all("select")) > 0


def test_pictures_keep_their_pixels():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    raw = base64.b64decode(data_uri(picture).removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(raw))), picture)


def test_what_several_share_is_kept_once(make):
    one, three = (page([make(method=m) for m in ms]) for ms in (("a", "b"), ("a", "b", "c", "d")))
    shared = data_uri(make().image)
    assert one.count(shared) == three.count(shared) == 1


def test_without_outline_no_switch_for_it(make):
    plain = Reader(page([make(region=None)]))
    assert "edge" not in {attrs["name"] for attrs in plain.all("input")}
    assert "edge" in {attrs["name"] for attrs in Reader(page([make()])).all("input")}


def test_a_notebook_gets_a_fragment(make):
    html = fragment([make()])
    assert html.startswith("<div>")
    assert "<html" not in html
    assert Reader(html).open == []
    assert fragment([]) == ""


def test_a_page_of_nothing():
    with pytest.raises(ParameterError, match="no explanations to show"):
        page([])


def luminance(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def test_text_has_contrast_in_both_schemes():
    """WCAG AA: 4.5 : 1 of every text colour on every background, light and dark."""
    from seglens.viz._assets import STYLE

    sets = [dict(re.findall(r"--(\w+):(#\w+)", block)) for block in re.findall(r"\{(--[^}]*)\}", STYLE)]
    assert len(sets) == 2
    for colours in sets:
        full = {n: c if len(c) == 7 else "#" + "".join(2 * d for d in c[1:]) for n, c in colours.items()}
        for text in ("ink", "quiet", "accent", "warn"):
            for below in ("paper", "plate"):
                a, b = sorted((luminance(full[text]), luminance(full[below])))
                assert (b + 0.05) / (a + 0.05) >= 4.5, (text, below)
