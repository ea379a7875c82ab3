"""How soon a map of 1024 × 2048 is seen in the page, and how soon it has other colours: python -m benchmarks.page_map

A real Chromium, a server of its own, a street of that size. In milliseconds: from the last byte of the map's answer to
the frame that shows it, and from a move of a slider or a choice to the frame that shows that. A frame is 17.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from seglens.datasets import Streets

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "journeys"))

from browser import CHROMIUM, served, tabs

SIZE = (1024, 2048)

# Notes, frame by frame, when the canvas of the second panel looks different, and when the map's answer had come.
WATCH = """() => {
  const seen = (window.__seen = { changes: [], answered: null });
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (/arrays\\/map$/.test(one.name)) seen.answered = one.responseEnd;
  }).observe({ type: "resource", buffered: true });
  const small = document.createElement("canvas");
  small.width = 48; small.height = 24;
  const context = small.getContext("2d", { willReadFrequently: true });
  let before = "";
  const look = () => {
    const canvas = document.querySelector('[data-panel="2"] canvas');
    if (canvas && canvas.width) {
      context.drawImage(canvas, 0, 0, 48, 24);
      const now = context.getImageData(0, 0, 48, 24).data.join();
      if (now !== before) seen.changes.push(performance.now());
      before = now;
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""

TURN = """([label, value]) => {
  const field = [...document.querySelectorAll("label")].find((one) => one.textContent.trim().startsWith(label))
    .querySelector("input, select");
  window.__seen.changes = [];
  window.__seen.turned = performance.now();
  field.value = value;
  field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
}"""


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as running:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        Image.fromarray(Streets(1, SIZE, seed=3)[0].image).save(pictures / "street.png")
        browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        told = {"network": "streets-unet", "images": str(pictures), "roots": (str(pictures),)}
        with served(Path(folder) / "store", **told) as address, tabs(browser, address) as tab:
            tab.go()
            road = tab.page.locator("aside").get_by_text("road", exact=True).first
            road.wait_for()
            tab.page.evaluate(WATCH)
            road.click()
            tab.panel(2)
            tab.page.wait_for_timeout(3000)
            seen = tab.page.evaluate("() => window.__seen")
            after = [t - seen["answered"] for t in seen["changes"] if t > seen["answered"]]
            print(f"map of {SIZE[0]} × {SIZE[1]} | ms")
            print(f"answer to picture | {after[0]:.0f}")
            for label, values in (("Map", [0.2, 0.4, 0.6, 0.8, 0.5]), ("Sign", ["positive", "negative", "absolute"])):
                times: list[float] = []
                for value in values:
                    tab.page.evaluate(TURN, [label, str(value)])
                    tab.page.wait_for_timeout(800)
                    now = tab.page.evaluate("() => window.__seen")
                    times += [now["changes"][0] - now["turned"]] if now["changes"] else []
                shown = f"{statistics.median(times):.0f} (greatest {max(times):.0f})" if times else "nothing changed"
                print(f"{label.lower()} to picture | {shown}")
        browser.close()


if __name__ == "__main__":
    main()
