"""A server of the page and a real Chromium that looks at it; every complaint of the browser is a failure."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seglens.app.process import command
from seglens.app.settings import Settings

SLOW = 120_000
"""Milliseconds after which something that should have appeared has not; machines that run tests are busy."""

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
"""The system's browser; None where there is none."""

KEPT = os.environ.get("SEGLENS_PICTURES")
"""A folder in which the journeys leave a picture of each of their steps; None to leave none."""


@contextmanager
def served(store: Path, **told: Any) -> Iterator[str]:
    """The address of a server with its token, as the terminal shows it."""
    settings = Settings(**{"port": 0, "store": str(store), "browser": False} | told)
    process = subprocess.Popen(command(settings), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


@dataclass
class Tab:
    """A tab, and what its browser complained of. address: with the server's token."""

    page: Any
    address: str
    complaints: list[str] = field(default_factory=list)

    def go(self, fragment: str = "") -> None:
        """Open the page afresh, at the view and with the fields of `fragment`."""
        self.page.goto(self.address + fragment)
        self.page.locator("nav button").first.wait_for(timeout=SLOW)

    def turn(self, name: str) -> None:
        """To another view, by its name in the bar."""
        self.page.get_by_role("navigation", name="Views").get_by_role("button", name=name, exact=True).click()

    def panel(self, n: int, stage: str = "done") -> Any:
        """The n-th panel, once it is ready."""
        found = self.page.locator(f'[data-panel="{n}"][data-stage="{stage}"]')
        found.wait_for(timeout=SLOW)
        return found

    def keep(self, name: str) -> None:
        """Leave a picture, where somebody wants to look at it."""
        if KEPT:
            # What moves comes to rest.
            time.sleep(1)
            self.page.screenshot(path=str(Path(KEPT) / f"{name}.png"))


@contextmanager
def tabs(browser: Any, address: str, scheme: str = "light") -> Iterator[Tab]:
    """A tab of a fresh profile on a laptop's screen; at the end there is to be no complaint."""
    host = address.split("/")[2]
    context = browser.new_context(
        viewport={"width": 1366, "height": 768}, color_scheme=scheme, reduced_motion="reduce", accept_downloads=True
    )
    page = context.new_page()
    page.set_default_timeout(SLOW)
    tab = Tab(page, address)
    page.on("console", lambda m: tab.complaints.append(m.text) if m.type in ("error", "warning") else None)
    page.on("pageerror", lambda e: tab.complaints.append(str(e)))
    page.on("response", lambda r: tab.complaints.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    def watch(request: Any) -> None:
        if not request.url.startswith((f"http://{host}/", f"ws://{host}/", "blob:", "data:")):
            tab.complaints.append(f"a request to {request.url}")

    page.on("request", watch)
    yield tab
    context.close()
    assert not tab.complaints, "\n".join(tab.complaints)
