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
CLASSES = ("road", "sky", "building", "car", "road")

# Notes when the canvas of the second panel looks different, after all that is drawn in a frame, and when answers came.
WATCH = """() => {
  const seen = (window.__seen = { changes: [], answered: [] });
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (/arrays\\/map$/.test(one.name)) seen.answered.push(one.responseEnd);
  }).observe({ type: "resource", buffered: true });
  const small = document.createElement("canvas");
  small.width = 48; small.height = 24;
  const context = small.getContext("2d", { willReadFrequently: true });
  const drawn = new MessageChannel();
  let before = "";
  drawn.port1.onmessage = () => {
    const canvas = document.querySelector('[data-panel="2"] canvas');
    if (!canvas || !canvas.width) return;
    const at = performance.now();
    context.drawImage(canvas, 0, 0, 48, 24);
    const now = context.getImageData(0, 0, 48, 24).data.join();
    if (now !== before) seen.changes.push(at);
    before = now;
  };
  const look = () => {
    drawn.port2.postMessage(null);
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
            legend = tab.page.locator("aside")
            legend.get_by_text(CLASSES[0], exact=True).first.wait_for()
            tab.page.evaluate(WATCH)
            waits: list[float] = []
            for name in CLASSES:
                tab.page.evaluate("() => { window.__seen.changes = []; window.__seen.answered = []; }")
                legend.get_by_text(name, exact=True).first.click()
                tab.panel(2)
                tab.page.wait_for_timeout(2000)
                seen = tab.page.evaluate("() => window.__seen")
                waits.append(min(t for t in seen["changes"] if t > seen["answered"][0]) - seen["answered"][0])
            print(f"map of {SIZE[0]} × {SIZE[1]} | ms")
            print(f"answer to picture, the first map of a tab | {waits[0]:.0f}")
            print(f"answer to picture, the next {len(waits) - 1} | {_shown(waits[1:])}")
            for label, values in (("Map", [0.2, 0.4, 0.6, 0.8, 0.5]), ("Sign", ["positive", "negative", "absolute"])):
                times: list[float] = []
                for value in values:
                    tab.page.evaluate(TURN, [label, str(value)])
                    tab.page.wait_for_timeout(800)
                    now = tab.page.evaluate("() => window.__seen")
                    times += [now["changes"][0] - now["turned"]] if now["changes"] else []
                print(f"{label.lower()} to picture | {_shown(times) if times else 'nothing changed'}")
        browser.close()


def _shown(times: list[float]) -> str:
    return f"{statistics.median(times):.0f} (greatest {max(times):.0f})"


if __name__ == "__main__":
    main()
