"""The page as a new user finds it, in a real browser: with the mouse, with keys alone, and by its address."""

import re
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt

import seglens as sl

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from browser import CHROMIUM, Tab, served, tabs

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page is not looked at (apt install chromium)"),
]

AXE = Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory):
    with served(tmp_path_factory.mktemp("store"), network="streets-unet-biased") as found:
        yield found


def picture(tab: Tab, name: str = "streets-3") -> np.ndarray:
    """The pixels of an image of the page."""
    host = "/".join(tab.address.split("/")[:3])
    answer = tab.page.request.get(f"{host}/api/images/{name}/picture")
    return np.asarray(Image.open(BytesIO(answer.body())).convert("RGB"))


def middle(inside: np.ndarray) -> tuple[int, int]:
    """The (row, column) that lies deepest in a mask."""
    depth = distance_transform_edt(np.pad(inside, 1))
    y, x = np.unravel_index(int(depth.argmax()), depth.shape)
    return int(y) - 1, int(x) - 1


def on_screen(tab: Tab, pixel: tuple[int, int], size: tuple[int, int], panel: int = 1) -> tuple[float, float]:
    """Where the middle of a pixel of the picture lies on the screen, while all of it is shown."""
    box = tab.page.locator(f'[data-panel="{panel}"] canvas').bounding_box()
    scale = min(box["width"] / size[1], box["height"] / size[0])
    left = box["x"] + (box["width"] - scale * size[1]) / 2
    top = box["y"] + (box["height"] - scale * size[0]) / 2
    return left + (pixel[1] + 0.5) * scale, top + (pixel[0] + 0.5) * scale


def seen(tab: Tab) -> None:
    """Wait until the network has said what it sees."""
    tab.panel(1)
    tab.page.locator("aside").get_by_text("rider", exact=True).first.wait_for()


def ask_for_the_rider(tab: Tab) -> np.ndarray:
    """Click the largest rider; gives the pixels of the picture."""
    seen(tab)
    pixels = picture(tab)
    rider = sl.segment("streets-unet-biased", pixels).mask("rider")
    tab.page.mouse.click(*on_screen(tab, middle(rider), rider.shape))
    tab.panel(2)
    return pixels


def test_why_it_is_called_a_rider(browser, address: str, tmp_path: Path) -> None:
    with tabs(browser, address) as tab:
        tab.go()
        seen(tab)
        tab.keep("1-open")
        pixels = ask_for_the_rider(tab)
        ask = tab.page.locator("[data-ask]")
        assert "Why does the network call this segment" in " ".join(ask.inner_text().split())
        tab.keep("2-asked")

        # What stands in the map's file is what the library says of the same question.
        tab.page.get_by_role("button", name="Save and more of panel 2").click()
        with tab.page.expect_download() as downloading:
            tab.page.get_by_role("link", name="npz", exact=True).click()
        downloading.value.save_as(tmp_path / "why.npz")
        kept = sl.open(tmp_path / "why.npz")
        inside = kept.region
        same = sl.explain("streets-unet-biased", pixels, "hires-cam", sl.Target("rider", sl.mask(inside)))
        np.testing.assert_allclose(kept.map, same.map, rtol=1e-4, atol=1e-6)
        assert kept.channel == "rider"
        tab.page.keyboard.press("Escape")

        tab.page.get_by_role("button", name="What around it made the network say so?").click()
        tab.panel(3)
        tab.keep("3-context")
        tab.page.get_by_role("button", name="Take it away and look again").click()
        tab.panel(4)
        said = " ".join(ask.inner_text().split())
        before, after = map(float, re.search(r"p\(rider\) in the region ([\d.]+) → ([\d.]+)", said).groups())
        assert after < before - 0.2, said
        assert "as large and as far away did as much" in said
        tab.keep("4-without")

        # The address restores all four panels, in a browser that has never been here.
        fragment = tab.page.evaluate("() => location.hash")
    with tabs(browser, address, "dark") as other:
        other.go(fragment)
        other.panel(4)
        again = " ".join(other.page.locator("[data-ask]").inner_text().split())
        assert f"{before:g} → {after:g}" in again.replace("0.90 ", "0.9 "), again
        other.keep("5-restored-dark")


def test_everything_by_keys(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        tab.go()
        # At once: what is pointed at before the network has answered is taken up when it has.
        tab.panel(1)
        keys = tab.page.keyboard
        keys.press("1")
        assert tab.page.evaluate("() => document.activeElement.tagName") == "CANVAS"
        keys.press("ArrowDown")
        keys.press("Enter")
        tab.panel(2)
        keys.press("Escape")
        keys.press("g")
        tree = tab.page.get_by_role("tree")
        tree.wait_for()
        first = tree.get_by_role("treeitem").first
        first.focus()
        for key in ("ArrowDown", "ArrowDown", "Enter"):
            keys.press(key)
        assert "l=" in tab.page.evaluate("() => location.hash")
        # In the tree letters look for a layer; elsewhere they are the page's.
        tab.page.evaluate("() => document.activeElement.blur()")
        keys.press("?")
        tab.page.get_by_role("dialog").wait_for()
        keys.press("Escape")
        tab.page.get_by_role("dialog").wait_for(state="hidden")
        keys.press("i")
        tab.panel(1)
        name = tab.page.get_by_title("All images", exact=True).inner_text()
        keys.press("]")
        assert tab.page.get_by_title("All images", exact=True).inner_text() != name


def test_layers_chosen_in_the_drawing_are_read(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        tab.go()
        ask_for_the_rider(tab)
        find = tab.page.get_by_label("Find layers by name or type")
        card = tab.page.get_by_label("The layer at hand")
        for name, choose, explain in (
            ("encoder.pool", "Choose", "Explain at this layer"),
            ("bottleneck", "Choose as well", "Explain at these layers"),
        ):
            tab.turn("Network")
            find.fill(name)
            find.press("Enter")
            card.get_by_role("button", name=choose, exact=True).click()
            tab.keep(f"layers-{name}")
            card.get_by_role("button", name=explain).click()
            assert "encoder.pool#0" in tab.panel(2).inner_text()
        assert "bottleneck" in tab.panel(3).inner_text()
        # The next question is asked of both too; of one layer again, its map alone is there.
        tab.page.locator("aside").get_by_text("car", exact=True).first.click()
        for place in (2, 3):
            tab.page.locator(f'[data-panel="{place}"]').get_by_text("car", exact=True).wait_for()
        tab.turn("Network")
        card.get_by_role("button", name="Drop bottleneck").click()
        card.get_by_role("button", name="Explain at this layer").click()
        tab.page.locator('[data-panel="3"]').wait_for(state="detached")
        assert "encoder.pool#0" in tab.panel(2).inner_text()


def test_back_leads_to_the_question_and_the_image_before(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        page = tab.page
        tab.go()
        ask_for_the_rider(tab)
        legend = page.locator("aside").first
        chips = page.locator('[data-panel="2"] header')
        page.wait_for_url(lambda url: "t=rider" in url)
        legend.get_by_text("car", exact=True).click()
        chips.get_by_text("car", exact=True).wait_for()
        page.wait_for_url(lambda url: "t=car" in url)
        image = page.url.partition("i=")[2].partition("&")[0]
        page.keyboard.press("]")
        page.wait_for_url(lambda url: f"i={image}" not in url)
        # What names no place of a picture is asked of the next one too; a segment is one of this picture only.
        tab.panel(2)
        assert "all that is called car" in page.locator("[data-ask] .question").inner_text()
        following = picture(tab, page.url.partition("i=")[2].partition("&")[0])
        road = sl.segment("streets-unet-biased", following).mask("road")
        page.mouse.click(*on_screen(tab, middle(road), road.shape))
        chips.get_by_text("road", exact=True).wait_for()
        page.wait_for_url(lambda url: "t=road" in url)
        page.keyboard.press("]")
        page.wait_for_url(lambda url: "t=" not in url)
        chips.wait_for(state="detached")
        page.go_back()
        chips.get_by_text("road", exact=True).wait_for()
        page.go_back()
        chips.get_by_text("car", exact=True).wait_for()
        # The image before, with what was asked of it; then the question before.
        page.go_back()
        chips.get_by_text("car", exact=True).wait_for()
        assert f"i={image}" in page.url
        page.go_back()
        chips.get_by_text("rider", exact=True).wait_for()
        assert "this segment" in page.locator("[data-ask] .question").inner_text()
        page.wait_for_timeout(600)
        page.go_forward()
        chips.get_by_text("car", exact=True).wait_for()


def test_back_leads_to_the_network_before(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        page = tab.page
        tab.go("#/inspect?n=streets-unet&s=streets&i=streets-3&t=car&p=prediction|map:grad-cam|map:hires-cam")
        tab.panel(3)
        page.wait_for_timeout(600)
        page.get_by_title("Open another network").click()
        page.get_by_role("dialog").get_by_text("streets-deeplab", exact=True).click()
        page.get_by_role("dialog").wait_for(state="detached")
        page.wait_for_url(lambda url: "n=streets-deeplab" in url)
        # It is asked the same.
        chips = page.locator('[data-panel="2"][data-stage="done"] header')
        chips.get_by_text("car", exact=True).wait_for()
        assert page.locator("[data-panel]").count() == 2
        page.wait_for_timeout(600)
        page.go_back()
        page.locator("header").get_by_text("streets-unet", exact=True).wait_for()
        tab.panel(3)
        titles = [one.inner_text() for one in page.locator("[data-panel] header .title").all()]
        assert titles == ["Prediction", "grad-cam", "hires-cam"]


def test_without_its_question_no_answer_stays(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        page = tab.page
        tab.go()
        seen(tab)
        page.keyboard.press("b")
        box = page.locator('[data-panel="1"] canvas').bounding_box()
        page.mouse.move(box["x"] + 200, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 300, box["y"] + 280, steps=4)
        page.mouse.up()
        tab.panel(2)
        page.get_by_role("button", name="Clear what is drawn").click()
        page.locator("[data-ask]").get_by_text("Click what you want explained.").wait_for()
        assert page.locator("[data-panel]").count() == 1
        page.get_by_role("button", name="One step back").click()
        tab.panel(2)
        # The layers to choose from are those of the network that is open, though another one's were listed before.
        for name, layer in (("streets-unet-biased", "bottleneck"), ("streets-deeplab", "aspp")):
            if name not in page.get_by_title("Open another network").inner_text():
                page.get_by_title("Open another network").click()
                page.get_by_role("dialog").get_by_text(name, exact=True).click()
                page.wait_for_url(lambda url, name=name: f"n={name}" in url)
            method = page.get_by_text("Any method")
            if not page.get_by_role("button", name="Run", exact=True).is_visible():
                method.click()
            page.locator("[data-ask] button.layer").click()
            dialog = page.get_by_role("dialog")
            dialog.get_by_role("treeitem").first.wait_for()
            assert layer in dialog.inner_text()
            page.keyboard.press("Escape")
            dialog.wait_for(state="detached")


def test_an_address_of_another_network_is_followed_when_that_is_open(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        page = tab.page
        tab.go("#/latent?n=faces-cvae&s=faces&i=faces-0")
        page.get_by_role("img", name="The reconstruction").wait_for()
        other = "n=streets-unet&s=streets&i=streets-3&t=car&p=prediction|error|map:grad-cam"
        page.evaluate("(fields) => { location.hash = `#/inspect?${fields}` }", other)
        tab.panel(3)
        page.get_by_text("of the pixels are wrong, in red").wait_for()
        assert page.get_by_role("log", name="Messages").inner_text() == ""
        # An address that leaves open which image is meant is of the one that is shown.
        page.evaluate("() => { location.hash = '#/images?n=streets-unet&s=streets' }")
        page.wait_for_url(lambda url: "i=streets-3" in url)


def test_the_set_is_measured_and_what_is_confused_gone_through(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        page = tab.page
        tab.go("#/dataset")
        page.get_by_role("button", name=re.compile("^Evaluate")).click()
        scores = page.get_by_role("region", name="Scores of each class")
        confusion = scores.get_by_role("button", name=re.compile("taken for")).first
        confusion.wait_for()
        truth, said = re.match(r"(.*) taken for (.*?)\s*[\d,]+$", " ".join(confusion.inner_text().split())).groups()  # pyright: ignore
        confusion.click()
        behind = page.get_by_role("region", name="Images", exact=True)
        behind.get_by_role("heading", name=f"{truth} taken for {said}").wait_for()
        many = behind.get_by_role("listitem").count()
        assert 1 < many < 64
        tab.keep("6-dataset")

        # Each of them is asked about the same.
        behind.get_by_role("listitem").first.get_by_role("button").click()
        strip = page.get_by_role("listbox")

        def asked() -> str:
            tab.panel(2)
            question = page.locator("[data-ask] .question")
            question.get_by_text(f"every {truth} taken for {said}").wait_for()
            return page.get_by_title("All images", exact=True).inner_text()

        first = asked()
        assert strip.get_attribute("aria-label") == f"{many} images"
        page.keyboard.press("]")
        page.get_by_title("All images", exact=True).get_by_text(first, exact=True).wait_for(state="detached")
        second = asked()
        tab.keep("6-behind-a-confusion")
        # Not the next of the set, but the one with the most such pixels but one; the same after the tab is opened anew.
        names = [one.get_attribute("title") for one in strip.locator(".name").all()]
        assert names[:2] == [first, second]
        page.wait_for_url(lambda url: "p=" in url)
        page.reload()
        assert asked() == second
        page.get_by_role("listbox", name=f"{many} images").wait_for()
        page.get_by_role("button", name="All images of the set").click()
        page.get_by_role("listbox", name="64 images").wait_for()


DRAWN = "(picture) => [...picture.querySelectorAll('canvas')].map((c) => c.toDataURL()).join()"


def drawn(picture: Any) -> str:
    """What a picture of the page shows, to be compared."""
    return picture.evaluate(DRAWN)


def test_latent_units_under_sliders(browser, address: str) -> None:
    with tabs(browser, address) as tab:
        page = tab.page
        tab.go("#/latent?n=faces-cvae&s=faces&i=faces-0")
        units = page.get_by_role("list", name=re.compile("^Latent units")).get_by_role("listitem")
        rebuilt = page.get_by_role("img", name="The reconstruction")
        rebuilt.wait_for()
        assert units.count() == 16
        before = drawn(rebuilt)

        # The unit that tells the most, moved by keys; its attention lies over the image, and what it does beside it.
        slider = units.first.get_by_role("slider")
        slider.focus()
        slider.press("End")
        moved = page.get_by_role("img", name="What the sliders decode to")
        moved.wait_for()
        assert drawn(moved) != before
        page.get_by_role("img", name=re.compile("^Unit .* at ")).nth(6).wait_for()
        page.get_by_text(re.compile(r"where unit \d+ looks, over it")).wait_for()
        tab.keep("7-latent")
        far = drawn(moved)
        page.wait_for_url(lambda url: "lz=" in url)
        page.reload()
        page.wait_for_function(
            f"(far) => [...document.querySelectorAll('[role=img]')].some((one) => ({DRAWN})(one) === far)", arg=far
        )

        # Another attribute changes the picture as well; and all goes back.
        glasses = page.get_by_role("checkbox", name=re.compile("glasses"))
        glasses.set_checked(not glasses.is_checked())
        page.wait_for_function(
            f"([picture, far]) => ({DRAWN})(picture) !== far",
            arg=[page.get_by_role("img", name="What the sliders decode to").element_handle(), far],
        )
        page.get_by_role("button", name="Reset all").click()
        rebuilt.wait_for()
        assert drawn(rebuilt) == before

        # From one image to another: the ends are the two reconstructions, and each step is a picture of its own.
        page.get_by_role("button", name="Between two images").click()
        steps = page.get_by_role("button", name=re.compile(r"^Step \d+$"))
        steps.nth(8).wait_for()
        pictures = [drawn(one.get_by_role("img")) for one in steps.all()]
        assert len(set(pictures)) == 9
        steps.nth(4).click()
        page.get_by_text("50.0 %").wait_for()
        tab.keep("7-between")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(browser, address: str, scheme: str) -> None:
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: npm ci in web/")
    with tabs(browser, address, scheme) as tab:
        tab.go()
        ask_for_the_rider(tab)
        tab.page.evaluate(AXE.read_text(encoding="utf-8"))
        wrong: dict[str, list[Any]] = {}
        for view in ("Inspect", "Network", "Images", "Data set", "Options", "Report"):
            tab.turn(view)
            tab.page.locator("main").wait_for()
            tab.page.wait_for_timeout(1500)
            tab.keep(f"8-{view.lower().replace(' ', '')}-{scheme}")
            found = tab.page.evaluate(
                "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
            )
            if found["violations"]:
                wrong[view] = [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found["violations"]]
        assert wrong == {}
