"""A classifier in the page: it is asked about the picture, and looks again at it without what was marked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import seglens as sl
from seglens.datasets import Streets

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from browser import CHROMIUM, Tab, served, tabs

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page is not looked at (apt install chromium)"),
    pytest.mark.filterwarnings("ignore::seglens.core.errors.FillWarning"),
]


def words(tab: Tab, place: str) -> str:
    return " ".join(tab.page.locator(place).inner_text().split())


def test_a_part_is_marked_and_the_picture_looked_at_without_it(browser: Any, tmp_path: Path) -> None:
    street = Streets(1, (192, 384), seed=3)[0].image
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.fromarray(street).save(pictures / "street.png")
    told = {"network": "streets-classifier", "images": str(pictures), "roots": [str(pictures)]}
    first = sl.find_classes("streets-classifier", street)[0]
    with served(tmp_path / "store", **told) as address, tabs(browser, address) as tab:
        page = tab.page
        tab.go()
        page.locator(".classes").get_by_text(first.name, exact=True).click()
        tab.panel(2)
        # What a network without places cannot answer is not to be chosen.
        page.get_by_text("Any method").click()
        assert page.locator("option:disabled").all_inner_texts() == ["context-saliency (of segmentation networks)"]
        page.get_by_text("Any method").click()
        page.get_by_role("button", name="Which part does it need to say so?").click()
        assert "grid-saliency" in tab.panel(3).inner_text()
        page.get_by_role("button", name="Take it away and look again").click()
        assert "what the network was shown" in tab.panel(4).inner_text()
        became = page.get_by_role("region", name="What became of it")
        became.wait_for()
        tab.keep("classifier-1-strongest")
        gone = words(tab, "[data-ask] .verdict")

        canvas = page.locator('[data-panel="1"] canvas').bounding_box()
        page.mouse.move(canvas["x"] + 120, canvas["y"] + 70)
        page.mouse.down()
        page.mouse.move(canvas["x"] + 260, canvas["y"] + 140, steps=4)
        page.mouse.up()
        page.get_by_role("button", name="painted pixels away").click()
        page.wait_for_url(lambda url: "verify:mask" in url)
        tab.panel(4)
        became.wait_for()
        tab.keep("classifier-2-marked")
        said = words(tab, "[data-ask] .verdict")
        again = page.url.partition("#")[2]
        page.goto("about:blank")
        tab.go(f"#{again}")
        tab.panel(4)
        became.wait_for()
        assert words(tab, "[data-ask] .verdict") == said

    # What the page said is what Python says.
    (painted,) = (np.load(path) for path in (tmp_path / "store").rglob("*.npy"))
    needed = sl.explain("streets-classifier", street, "grid-saliency", first.name)
    assert isinstance(needed, sl.Explanation)
    for mask, told in ((needed.strongest(0.1), gone), (painted, said)):
        found = sl.remove_mask("streets-classifier", street, mask, first.name)
        before, after = found.before.probability, found.after.probability
        assert f"{first.name} {before:.1%} {after:.1%}".replace("%", " %") in told
        seen = f"{found.removed_pixels:,} of the picture as the network sees it"
        assert f"{int(found.removed.sum()):,} pixels filled with mean: {seen}" in told
        likewise = round(21 * found.p_value) - 1
        chance = f"Of 20 random parts as large, {likewise} did" if likewise else "None of 20 random parts as large did"
        assert chance in told
        assert after < before
    assert gone != said
