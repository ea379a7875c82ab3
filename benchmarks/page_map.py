"""How soon a map of 1024 × 2048 is seen in the page, and how soon it has other colours: python -m benchmarks.page_map

A real Chromium, a server of its own, a street of that size. In milliseconds: from the last byte of the map's answer to
the frame that shows it, and from a move of a slider or a choice to the frame that shows that. The browser is as people
have it: no inspector listens to its network, which would keep a copy of each answer, 30 ms of a map; and looked at are
the frames that the page draws of itself, as a watcher's own would make it wait for their turn, 17 ms each.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from PIL import Image
from websockets.sync.client import ClientConnection, connect

from seglens.datasets import Streets

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "journeys"))

from browser import CHROMIUM, served

SIZE = (1024, 2048)
CLASSES = ("road", "sky", "building", "car", "vegetation", "person", "sidewalk", "pole")
LOOKS: dict[str, tuple[object, ...]] = {
    "Map": (0.2, 0.4, 0.6, 0.8, 0.5),
    "Colours": ("grey", "sequential", "grey", "auto", "grey"),
    # A map that is nowhere negative, so that it is gone and back.
    "Sign": ("negative", "both", "negative", "absolute", "negative"),
}

# `told.asked` and `told.turned`: the milliseconds that it took; null where nothing looked different in two seconds.
WATCH = """
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const until = async (found) => { while (!found()) await sleep(20); return found(); };
  const seen = { changes: [], answered: [] };
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (/arrays\\/map$/.test(one.name)) seen.answered.push(one.responseEnd);
  }).observe({ type: "resource", buffered: true });
  // Notes when the canvas of the second panel looks different, after all that is drawn in a frame.
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
  const frame = window.requestAnimationFrame;
  window.requestAnimationFrame = (work) => frame((time) => {
    work(time);
    drawn.port2.postMessage(null);
  });
  const first = async (since) => {
    for (let tries = 0; tries < 100; tries++) {
      const found = seen.changes.find((at) => at > since);
      if (found) return found - since;
      await sleep(20);
    }
    return null;
  };
  const named = (all, name) =>
    [...document.querySelectorAll(all)].find((one) => one.textContent.trim().startsWith(name));
  window.told = {
    async asked(name) {
      const legend = await until(() => named("aside button", name));
      seen.changes.length = seen.answered.length = 0;
      legend.click();
      await until(() => seen.answered.length && document.querySelector('[data-panel="2"][data-stage="done"]'));
      const waited = await first(seen.answered[0]);
      await sleep(1000);
      return waited;
    },
    async turned(label, value) {
      const field = named("label", label).querySelector("input, select");
      seen.changes.length = 0;
      const at = performance.now();
      field.value = value;
      field.dispatchEvent(new Event(field.tagName === "SELECT" ? "change" : "input", { bubbles: true }));
      const waited = await first(at);
      await sleep(500);
      return waited;
    },
  };
"""


class Tab:
    """A tab in which scripts are run, and of which nothing else is asked."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0

    def run(self, script: str) -> Any:
        """The value of an expression, or of what it promises."""
        self._last += 1
        told = {"expression": script, "awaitPromise": True, "returnByValue": True}
        self._socket.send(json.dumps({"id": self._last, "method": "Runtime.evaluate", "params": told}))
        while (heard := json.loads(self._socket.recv(timeout=120))).get("id") != self._last:
            pass
        if "exceptionDetails" in heard.get("result", {}) or "error" in heard:
            raise RuntimeError(f"in the page: {heard}")
        return heard["result"]["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true. While a page is opened there is none in which to ask."""
        end = time.monotonic() + 120
        while time.monotonic() < end:
            with suppress(RuntimeError):
                if self.run(f"Boolean({script})"):
                    return
            time.sleep(0.1)
        raise TimeoutError(f"the page does not come to {script}")


@contextmanager
def tab(address: str, profile: Path) -> Generator[Tab]:
    """A Chromium of a fresh profile that shows an address."""
    command = [
        str(CHROMIUM),
        "--headless=new",
        "--no-sandbox",
        "--remote-debugging-port=0",
        f"--user-data-dir={profile}",
    ]
    size = "--window-size=1366,768"
    process = subprocess.Popen([*command, size, address], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        port = profile / "DevToolsActivePort"
        while not port.exists() or not port.read_text().strip():
            time.sleep(0.1)
        at = f"127.0.0.1:{port.read_text().splitlines()[0]}"
        with urlopen(f"http://{at}/json/list") as answer:
            page = next(one for one in json.load(answer) if one["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Tab(socket)
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Measure, and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        pictures.mkdir()
        Image.fromarray(Streets(1, SIZE, seed=3)[0].image).save(pictures / "street.png")
        told = {"network": "streets-unet", "images": str(pictures), "roots": (str(pictures),)}
        with served(Path(folder) / "store", **told) as address, tab(address, Path(folder) / "profile") as page:
            page.wait("document.querySelector('aside button')")
            page.run(WATCH)
            print(f"map of {SIZE[0]} × {SIZE[1]} | ms")
            waits = [page.run(f"told.asked({name!r})") for name in CLASSES]
            print(f"answer to picture, the first map of a tab | {_shown(waits[:1])}")
            print(f"answer to picture, the next {len(waits) - 1} | {_shown(waits[1:])}")
            for label, values in LOOKS.items():
                times = [page.run(f"told.turned({label!r}, {value!r})") for value in values]
                print(f"{label.lower()} to picture | {_shown(times)}")


def _shown(times: list[float | None]) -> str:
    known = [t for t in times if t is not None]
    if len(known) < len(times):
        return f"{len(times) - len(known)} of {len(times)} times nothing looked different"
    return f"{statistics.median(known):.0f} (greatest {max(known):.0f})"


if __name__ == "__main__":
    main()
