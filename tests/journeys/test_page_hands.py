"""What hands do on the page beyond clicking: files let fall, pinches; and what it does when it is cut off."""

import http.client
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from seglens.datasets import Streets

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from browser import CHROMIUM, SLOW, Tab, served, tabs

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page is not looked at (apt install chromium)"),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(tmp_path_factory.mktemp("store"), network="streets-unet") as found:
        yield found


def seen(tab: Tab, name: str = "rider") -> None:
    """Wait until the network has said what it sees."""
    tab.panel(1)
    tab.page.locator(".classes").get_by_text(name, exact=True).first.wait_for()


LONG = "#/inspect?t=rider~~predicted(rider)&p=prediction|map:context-saliency;steps=2000;early=false"
"""A search for the context of riders that no machine ends while it is looked at."""


def said(tab: Tab) -> str:
    """What stands at the right."""
    return " ".join(tab.page.locator("[data-ask]").inner_text().split())


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def test_a_server_started_anew_is_found_again(browser: Any, tmp_path: Path) -> None:
    told = {"network": "streets-unet", "port": free_port()}
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(SLOW)
    errors: list[str] = []
    page.on("pageerror", lambda e: errors.append(str(e)))
    with served(tmp_path / "store", **told) as first:
        tab = Tab(page, first)
        # The server takes the search with it.
        tab.go(LONG)
        tab.panel(2, "waiting").get_by_text(re.compile(r"\d+ of \d+")).wait_for()
    page.get_by_text("Connection lost").wait_for()
    tab.keep("hands-1-lost")
    with served(tmp_path / "store", **told) as second:
        alert = page.get_by_role("alert").filter(has_text="started anew, and does not know this browser")
        alert.wait_for()
        assert "Open the address that its terminal printed in another tab" in alert.inner_text()
        tab.keep("hands-1-stranger")
        other = context.new_page()
        other.goto(second)
        alert.wait_for(state="detached")
        assert "Ask again" in tab.panel(2, "failed").inner_text()
        # What the network sees is there too, where the first server went before it could say so.
        page.locator(".classes").get_by_text("rider", exact=True).first.wait_for()
        tab.keep("hands-1-found")
        page.get_by_role("button", name="What around it made the network say so?").click()
        tab.panel(2, "waiting").get_by_text(re.compile(r"\d+ of \d+")).wait_for()
        page.get_by_role("button", name="Pause").first.click()
        page.get_by_text("Paused after").first.wait_for()
    context.close()
    assert errors == []


def test_a_short_absence_is_made_up_for(browser: Any, address: str) -> None:
    with tabs(browser, address) as tab:
        sockets: list[Any] = []

        def between(route: Any) -> None:
            route.connect_to_server()
            sockets.append(route)

        tab.page.route_web_socket(re.compile("/api/live"), between)
        tab.go(LONG)
        bar = tab.panel(2, "waiting").get_by_role("progressbar")
        # A bar without a value is one whose search has not begun.
        tab.page.wait_for_function("(bar) => bar.value > 0", arg=bar.element_handle())
        before = bar.evaluate("(bar) => bar.value")
        sockets[0].close()
        tab.page.get_by_text("Connection lost").wait_for()
        tab.page.get_by_text("Connection lost").wait_for(state="detached")
        assert len(sockets) == 2
        tab.page.wait_for_function("([bar, before]) => bar.value > before", arg=[bar.element_handle(), before])
        tab.page.get_by_role("button", name="Pause").first.click()
        tab.page.get_by_text("Paused after").first.wait_for()
        tab.keep("hands-1-short")


def drop(tab: Tab, files: list[Path]) -> None:
    """Let files fall on the middle of the page, as a file manager does."""
    hand = tab.page.context.new_cdp_session(tab.page)
    carried = {"items": [], "files": [str(f) for f in files], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        hand.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": carried})
        if kind == "dragOver":
            tab.keep("hands-2-over")


def street(place: Path, seed: int) -> bytes:
    """A small street as a PNG file; its bytes."""
    Image.fromarray(Streets(1, (64, 128), seed=seed)[0].image).save(place)
    return place.read_bytes()


def test_dropped_files_fare_each_for_itself(browser: Any, address: str, tmp_path: Path) -> None:
    mine, half, notes, other = (tmp_path / n for n in ("mine.png", "half.png", "notes.txt", "other.png"))
    whole = street(mine, 5)
    half.write_bytes(whole[: len(whole) // 2])
    notes.write_text("no picture at all")
    street(other, 6)
    with tabs(browser, address) as tab:
        tab.go("#/images")
        tab.page.get_by_role("listbox").wait_for()
        drop(tab, [mine, half, notes])
        fates = tab.page.get_by_role("region", name="Files that were brought")
        fates.get_by_text("1 of 3 files taken, 2 not.").wait_for()
        tab.keep("hands-2-dropped")
        damaged, foreign, good = (line.inner_text() for line in fates.get_by_role("listitem").all())
        assert damaged.startswith("half.png is damaged or cut short")
        assert foreign.startswith("notes.txt is no image that the page takes")
        assert good == "mine.png uploaded"
        sets = tab.page.get_by_role("combobox", name="Set")
        assert sets.locator("option:checked").inner_text() == "uploads (uploads, 1)"

        # A folder is no file; and on any other view files are taken too.
        drop(tab, [tmp_path])
        tab.page.get_by_text(f"{tmp_path.name} is a folder").wait_for()
        tab.turn("Inspect")
        drop(tab, [other])
        fates.get_by_text("1 of 1 file taken.").wait_for()
        names = tab.page.get_by_role("listbox").locator(".name")
        names.get_by_text("other.png").wait_for()
        assert sorted(n.inner_text() for n in names.all()) == ["mine.png", "other.png"]
        tab.page.get_by_role("button", name="Inspect this image").click()
        seen(tab, "road")
        assert tab.page.get_by_title("All images").inner_text() == "other.png"
        tab.keep("hands-2-inspected")
        # The two refusals, of which the browser complains as well.
        assert sum("415" in c for c in tab.complaints) == len(tab.complaints) == 4
        tab.complaints.clear()


def view(tab: Tab) -> tuple[float, float, float]:
    """(x, y, zoom) as the address has it, once it has settled."""
    tab.page.wait_for_timeout(600)
    found = re.search(r"[#&?]v=([^&]*)", tab.page.evaluate("() => location.hash"))
    return tuple(map(float, found[1].replace("%2C", ",").split(","))) if found else (0.5, 0.5, 1.0)  # pyright: ignore


class Fingers:
    """Two fingers on the first panel. box: where it lies; x, y: its middle."""

    def __init__(self, tab: Tab) -> None:
        self._session = tab.page.context.new_cdp_session(tab.page)
        self._session.send("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
        self.box = tab.page.locator('[data-panel="1"] canvas').bounding_box()
        self.x = self.box["x"] + self.box["width"] / 2
        self.y = self.box["y"] + self.box["height"] / 2

    def touch(self, kind: str, *points: tuple[float, float]) -> None:
        """Start, Move or End, with the places of all fingers that are down."""
        fingers = [{"x": px, "y": py, "id": i} for i, (px, py) in enumerate(points)]
        self._session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": fingers})

    def at(self, row: float, column: float) -> tuple[float, float]:
        """Where a pixel of a street, 128 × 256, lies on the screen while all of it is seen."""
        scale = min(self.box["height"] / 128, self.box["width"] / 256)
        return self.x + (column + 0.5 - 128) * scale, self.y + (row + 0.5 - 64) * scale


def test_what_was_called_off_is_asked_again(browser: Any, address: str) -> None:
    # A patch for each pixel: more passes than anybody waits for.
    with tabs(browser, address) as tab:
        tab.go("#/inspect?i=streets-3&t=rider~~predicted(rider)&p=prediction|map:occlusion;stride=1")
        panel = tab.page.locator('[data-panel="2"]')
        for again in (True, False):
            tab.panel(2, "waiting")
            panel.get_by_role("button", name="Cancel").click()
            panel.get_by_text("Cancelled.").wait_for()
            if again:
                panel.get_by_role("button", name="Ask again").click()
        tab.keep("hands-6-called-off")


def test_fingers_pinch_and_move(browser: Any, address: str) -> None:
    with tabs(browser, address) as tab:
        tab.go()
        seen(tab)
        fingers = Fingers(tab)
        touch, box, x, y = fingers.touch, fingers.box, fingers.x, fingers.y

        # Apart from 100 to 300 screen pixels, about the middle: three times as near, and nothing was asked.
        touch("Start", (x - 50, y))
        touch("Start", (x - 50, y), (x + 50, y))
        for d in (70, 90, 110, 130, 150):
            touch("Move", (x - d, y), (x + d, y))
        touch("End")
        assert view(tab) == pytest.approx((0.5, 0.5, 3.0), abs=0.02)
        assert "Click what you want explained." in said(tab)
        tab.keep("hands-4-pinched")

        # One finger takes the picture along: 90 pixels to the right are 90 of the 3 × as wide picture.
        touch("Start", (x, y))
        for d in (30, 60, 90):
            touch("Move", (x + d, y))
        touch("End")
        shown = min(box["width"], box["height"] * 2)
        assert view(tab) == pytest.approx((0.5 - 90 / (3 * shown), 0.5, 3.0), abs=0.005)
        assert "Click what you want explained." in said(tab)


def test_a_finger_taps_and_paints_and_a_second_one_calls_it_off(browser: Any, address: str) -> None:
    with tabs(browser, address) as tab:
        tab.go("#/inspect?i=streets-3")
        seen(tab)
        fingers = Fingers(tab)
        # The rider's body.
        rider = fingers.at(60, 155)
        fingers.touch("Start", rider)
        fingers.touch("End")
        tab.panel(2)
        assert "Why does the network call this segment, 1,572 pixels" in said(tab)
        assert "A first look, from a pass or two, at what speaks for rider." in said(tab)

        # An address that holds nothing but a tool and a zoom is one too.
        tab.go("#/inspect?i=streets-3&k=brush&v=0.4,0.5,2")
        seen(tab)
        assert view(tab) == (0.4, 0.5, 2.0)
        tab.page.keyboard.press("0")
        fingers = Fingers(tab)
        x, y = fingers.at(40, 40)
        fingers.touch("Start", (x, y))
        fingers.touch("Move", (x + 30, y))
        fingers.touch("Start", (x + 30, y), (x + 130, y))
        fingers.touch("End")
        tab.page.wait_for_timeout(500)
        assert "Click what you want explained." in said(tab)
        assert not tab.page.locator('[data-panel="2"]').count()

        fingers.touch("Start", (x, y))
        fingers.touch("Move", (x + 60, y))
        fingers.touch("End")
        tab.panel(2)
        assert "what you drew" in said(tab), said(tab)
        tab.keep("hands-5-painted")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="all of 127.0.0.0/8 is this machine on Linux alone")
def test_listening_for_others_it_warns_and_answers_by_number(tmp_path: Path) -> None:
    port = free_port()
    words = [sys.executable, "-c", "from seglens.cli import main; main()", "app", "--no-browser", "--host", "0.0.0.0"]
    words += ["--port", str(port), "--store", str(tmp_path)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None

    def status(at: str, path: str, host: str) -> int:
        connection = http.client.HTTPConnection(at, port, timeout=60)
        connection.request("GET", path, headers={"Host": host})
        found = connection.getresponse().status
        connection.close()
        return found

    try:
        token = process.stdout.readline().strip().partition("?")[2]
        for at in ("127.0.0.1", "127.0.0.2"):
            assert status(at, f"/?{token}", f"{at}:{port}") == 303
            assert status(at, "/?token=wrong", f"{at}:{port}") == 403
            # Neither a name that somebody points here, nor a number that was not asked.
            assert status(at, f"/?{token}", f"evil.example:{port}") == 421
            assert status(at, f"/?{token}", f"192.0.2.77:{port}") == 421
    finally:
        process.terminate()
        warned = process.communicate(timeout=60)[1]
    assert "where others reach it" in " ".join(warned.split())


def test_the_folder_of_the_command_line_is_what_is_seen_first(browser: Any, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    whole = street(pictures / "b.png", 5)
    (pictures / "half.png").write_bytes(whole[: len(whole) // 2])
    told = {"network": "streets-unet", "images": str(pictures), "roots": (str(pictures),)}
    with served(tmp_path / "store", **told) as address, tabs(browser, address) as tab:
        tab.go()
        tab.page.get_by_title("All images").get_by_text("b.png").wait_for()
        seen(tab, "road")
        tab.page.get_by_role("button", name="The next image").click()
        tab.page.get_by_text("half.png is damaged or cut short").first.wait_for()
        tab.keep("hands-9-damaged")
        # Of the picture that cannot be sent.
        assert all("415" in c for c in tab.complaints)
        tab.complaints.clear()
