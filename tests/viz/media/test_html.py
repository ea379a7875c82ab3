"""What all pages are made of: pictures keep their pixels, words can be read and are escaped."""

import base64
import re
from io import BytesIO

import numpy as np
from PIL import Image
from reading import Reader

from seglens.viz.media.html import facts, hexadecimal, notes, scale_bar, scrolling
from seglens.viz.media.store import data_uri
from seglens.viz.media.style import STYLE
from seglens.viz.picture import Scale

EVIL = '"><script>alert(1)</script>'


def test_pictures_keep_their_pixels():
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (5, 7, 4), dtype=np.uint8)
    raw = base64.b64decode(data_uri(picture).removeprefix("data:image/png;base64,"))
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(raw))), picture)


def test_parts_escape_what_they_are_given():
    for html in (
        notes([EVIL], EVIL),
        facts([(EVIL, EVIL)]),
        scrolling(EVIL, "<p></p>"),
        scale_bar(Scale(1, True, 1), EVIL),
    ):
        read = Reader(html)
        assert read.open == []
        assert read.all("script") == []
        assert EVIL in read.text or any(EVIL in v for _, attrs in read.tags for v in attrs.values())
    assert notes([]) == ""


def test_a_bar_has_its_ends_and_zero_between_them():
    ends = re.compile(r"<span>(.*?)</span>")
    assert ends.findall(scale_bar(Scale(2, True, 2), "logit")) == ["−2", "0", "2"]
    assert ends.findall(scale_bar(Scale(2, False, 2), "logit")) == ["0", "2"]
    assert hexadecimal(np.array([0, 171, 255], np.uint8)) == "#00abff"


def luminance(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def test_text_has_contrast_in_both_schemes():
    """WCAG AA: 4.5 : 1 of every text colour on every background, light and dark."""
    sets = [dict(re.findall(r"--(\w+):(#\w+)", block)) for block in re.findall(r"\{(--[^}]*)\}", STYLE)]
    assert len(sets) == 2
    for colours in sets:
        full = {n: c if len(c) == 7 else "#" + "".join(2 * d for d in c[1:]) for n, c in colours.items()}
        for text in ("ink", "quiet", "accent", "warn"):
            for below in ("paper", "plate"):
                a, b = sorted((luminance(full[text]), luminance(full[below])))
                assert (b + 0.05) / (a + 0.05) >= 4.5, (text, below)
