"""How quick the page's drawing of a network is: layout and frame times of large graphs, in a real Chromium.

    python -m benchmarks.page_graph [GRAPH.json …] [--pictures FOLDER] [--chromium PATH]

Graphs are files that `Graph.save` wrote; without any, SegFormers of random weights are run: B5, and one of 1,821
nodes. Needs Node, `npm ci` in web/, Playwright and a Chromium. Layout times are of a worker that has just begun
(`first`), so its code is not compiled yet, and of the same question asked again; frame times are between two frames
while the drawing is dragged, or zoomed by the wheel, to and fro, a step a frame: median/95th percentile.
"""

import argparse
import functools
import json
import shutil
import statistics
import subprocess
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

WEB = Path(__file__).resolve().parents[1] / "web"
WIDTH, HEIGHT = 1440, 900
FRAMES = 120


def main() -> None:
    """Measure each graph and print a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="*", type=Path)
    parser.add_argument("--pictures", type=Path, help="folder for pictures of what is measured")
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("chromium-browser"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        site = Path(folder) / "site"
        build(site)
        graphs = given.graphs or segformers(Path(folder))
        with served(site) as address:
            for graph in graphs:
                shutil.copy(graph, site / "graph.json")
                print(json.dumps({"graph": graph.stem} | measured(address, given.chromium, given.pictures, graph.stem)))


def build(site: Path) -> None:
    """The scratch page, built into a folder."""
    config = WEB / "tests" / "graph" / "scratch.config.ts"
    command = ["npx", "vite", "build", "--config", str(config), "--outDir", str(site), "--emptyOutDir"]
    subprocess.run([*command, "--logLevel", "warn"], cwd=WEB, check=True)


def segformers(folder: Path) -> list[Path]:
    """Graphs of SegFormer-B5, and of one with more and narrower blocks, both with random weights."""
    import seglens as sl
    from seglens.networks.transformers.library import library

    library_ = library()
    made: list[Path] = []
    for name, blocks, widths in (("segformer-b5", 40, [64, 128, 320, 512]), ("segformer-deep", 108, [8, 16, 16, 32])):
        config = library_.SegformerConfig(
            depths=[3, 6, blocks, 3], hidden_sizes=widths, num_attention_heads=[1, 2, 4, 8], num_labels=19
        )
        network = sl.load(library_.SegformerForSemanticSegmentation(config).eval())
        made.append(sl.network_graph(network, size=(64, 128)).save(folder / f"{name}.json"))
    return made


class served:
    """A folder over HTTP on this machine alone, for as long as the block lasts."""

    def __init__(self, folder: Path) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))

    def __enter__(self) -> str:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *failed: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def measured(address: str, chromium: str | None, pictures: Path | None, name: str) -> dict[str, Any]:
    """Layout and frame times of the graph that lies in the served folder, in milliseconds."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" else None)
        page.goto(f"{address}/scratch.html")
        page.wait_for_selector(".map")
        found: dict[str, Any] = {"nodes": len(_graph(page)["nodes"])}
        found["few open"] = _rounded(page.evaluate("() => bench.layoutTimes(false)"))
        found["all open"] = _rounded(page.evaluate("() => bench.layoutTimes(true)"))
        if pictures:
            page.screenshot(path=pictures / f"{name}.png")
        found["frames, few open"] = _frames(page)
        page.get_by_role("button", name="Open all").click()
        page.wait_for_timeout(600)
        if pictures:
            page.screenshot(path=pictures / f"{name}-near.png")
        found["frames, all open, near"] = _frames(page)
        page.get_by_role("button", name="Fit").click()
        page.wait_for_timeout(400)
        if pictures:
            page.screenshot(path=pictures / f"{name}-whole.png")
        found["frames, all open, whole"] = _frames(page)
        browser.close()
    if faults:
        raise RuntimeError(f"the page reported: {'; '.join(faults)}")
    return found


def _graph(page: Any) -> dict[str, Any]:
    return page.evaluate("() => fetch('graph.json').then((answer) => answer.json())")


def _frames(page: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for what, zoom in (("pan", "false"), ("zoom", "true")):
        times = sorted(page.evaluate(f"() => bench.moved({FRAMES}, {zoom})"))
        found[what] = f"{statistics.median(times):.0f}/{times[int(len(times) * 0.95)]:.0f}"
    return found


def _rounded(found: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in found.items()}


if __name__ == "__main__":
    main()
