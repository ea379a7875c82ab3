"""Make the pictures of the page again: python docs/make_page_pictures.py

A real Chromium goes through the views of a server of its own, as a person would; takes two minutes.
"""

import re
import sys
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "journeys"))

from browser import CHROMIUM, Tab, served, tabs
from test_page_journeys import ask_for_the_rider, seen

HERE = Path(__file__).parent / "pictures"


def keep(tab: Tab, name: str) -> None:
    """What the tab shows. WebP: class colours are to stay what they are, which a palette of 256 does not keep."""
    tab.page.wait_for_timeout(2000)
    path = HERE / f"page-{name}.webp"
    Image.open(BytesIO(tab.page.screenshot())).convert("RGB").save(path, quality=86, method=6)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def inspect(tab: Tab) -> None:
    """A rider clicked, its context searched, and taken away."""
    tab.go()
    ask_for_the_rider(tab)
    tab.page.get_by_role("button", name="What around it made the network say so?").click()
    tab.panel(3)
    tab.page.get_by_role("button", name="Take it away and look again").click()
    tab.panel(4)


def network(tab: Tab) -> None:
    """The graph, with a layer chosen."""
    tab.go()
    seen(tab)
    tab.turn("Network")
    tab.page.get_by_role("treeitem", name=re.compile("^bottleneck")).click()
    tab.page.wait_for_timeout(6000)


def dataset(tab: Tab) -> None:
    """The confusion matrix."""
    tab.go("#/dataset")
    tab.page.get_by_role("button", name=re.compile("^Evaluate")).click()
    tab.page.locator("main table").first.wait_for()


def simple(view: str) -> Callable[[Tab], None]:
    """A view as it opens."""

    def go(tab: Tab) -> None:
        tab.go()
        seen(tab)
        tab.turn(view)
        tab.page.wait_for_timeout(4000)

    return go


def latent(tab: Tab) -> None:
    """Sliders of the autoencoder of faces."""
    tab.go("#/latent?n=faces-cvae&s=faces&i=faces-0")
    tab.page.locator("main").get_by_role("slider").first.wait_for()
    tab.page.wait_for_timeout(12_000)


def report(tab: Tab) -> None:
    """The maps of the rider and what came of taking its context away, gathered."""
    inspect(tab)
    for n in (2, 3, 4):
        panel = tab.panel(n)
        panel.get_by_role("button", name=f"Save and more of panel {n}").click()
        panel.get_by_role("button", name="Add to report").click()
        tab.page.keyboard.press("Escape")
    tab.turn("Report")
    tab.page.locator("main textarea").first.fill(
        "One pass says where its features are: at its legs, and at the motorcycle."
    )
    tab.page.wait_for_function("() => [...document.querySelectorAll('main li img')].every((one) => one.naturalWidth)")


if __name__ == "__main__":
    steps = {
        "inspect": (inspect, "dark"),
        "network": (network, "light"),
        "options": (simple("Options"), "light"),
        "images": (simple("Images"), "dark"),
        "dataset": (dataset, "light"),
        "latent": (latent, "dark"),
        "report": (report, "light"),
    }
    with (
        tempfile.TemporaryDirectory() as store,
        served(Path(store), network="streets-unet-biased") as address,
        sync_playwright() as running,
    ):
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, (step, scheme) in steps.items():
            with tabs(browser, address, scheme) as tab:
                step(tab)
                keep(tab, name)
        browser.close()
