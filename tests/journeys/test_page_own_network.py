"""An owner's network on the page: opened from a file, described, saved beside the weights, asked, and taken away."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seglens as sl

pytest.importorskip("fastapi")
pytest.importorskip("playwright.sync_api")

from browser import CHROMIUM, served, tabs

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: the page is not looked at (apt install chromium)"),
]

QUARTERS = ((230, 20, 20), (20, 230, 20), (230, 230, 20), (20, 20, 20))
"""Red, green, both, neither."""


class Lights(nn.Module):
    """Says of each pixel which of red, green and blue light is in it: labels that do not exclude each other."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.zero_()
            for k in range(3):
                self.body[0].weight[k, k, 1, 1] = 1
                self.head.weight[k, k] = 20
            self.head.bias[:] = -10

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B 3 H W] in 0..1 to logits."""
        return self.head(self.body(x))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights without a description, and a picture of four quarters."""
    found = tmp_path_factory.mktemp("own")
    torch.export.save(torch.export.export(Lights().eval(), (torch.zeros(1, 3, 64, 64),)), found / "lights.pt2")
    quarters = np.zeros((64, 64, 3), np.uint8)
    for colour, (y, x) in zip(QUARTERS, ((0, 0), (0, 32), (32, 0), (32, 32)), strict=True):
        quarters[y : y + 32, x : x + 32] = colour
    (found / "pictures").mkdir()
    Image.fromarray(quarters).save(found / "pictures" / "quarters.png")
    return found


def test_it_is_described_saved_asked_and_taken_away(browser: Any, folder: Path, tmp_path: Path) -> None:
    told = {
        "network": str(folder / "lights.pt2"),
        "images": str(folder / "pictures"),
        "roots": [str(folder)],
    }
    with served(tmp_path / "store", **told) as address, tabs(browser, address) as tab:
        page = tab.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        tab.go("#/options")
        page.get_by_label("Emits").select_option("logits")
        page.get_by_label("Link").select_option("sigmoid")
        page.get_by_role("button", name="Paste a list").click()
        page.get_by_role("textbox", name="One class a line").fill("red 230 20 20\ngreen 20 230 20\nblue 20 20 230")
        page.get_by_role("button", name="Take 3 classes").click()
        page.get_by_role("button", name="Save beside the weights").click()
        page.get_by_text("described in lights.toml").wait_for()
        tab.keep("own-1-described")

        tab.turn("Inspect")
        sees = page.locator(".classes")
        sees.get_by_text("red", exact=True).wait_for()
        assert "red 50.0 % 100 % green 50.0 % 100 %" in " ".join(sees.inner_text().split())
        # A pixel of the yellow quarter has two labels, one of the black quarter none.
        tab.panel(1).locator("canvas").focus()
        page.keyboard.press("Shift+ArrowDown")
        page.get_by_text("row 42, column 32", exact=True).wait_for()
        page.keyboard.press("Shift+ArrowLeft")
        page.get_by_text("row 42, column 22 · red 100 %, green 100 %", exact=True).wait_for()
        tab.keep("own-2-several")

        sees.get_by_text("red", exact=True).click()
        panel = tab.panel(2)
        panel.get_by_role("button", name="Save and more of panel 2").click()
        with page.expect_download() as saved:
            panel.get_by_role("link", name="npz").click()
        saved.value.save_as(tmp_path / "red.npz")
        panel.get_by_role("button", name="Copy the Python line").click()
        page.get_by_text("The Python line is in the clipboard.").wait_for()
        line = page.evaluate("navigator.clipboard.readText()")

    # What the page said is what Python and the command line say.
    shown, space = sl.open(tmp_path / "red.npz"), dict[str, Any]()
    exec(line.replace("\nsl.explain", "\nwhy = sl.explain"), space)
    assert isinstance(shown, sl.Explanation)
    assert shown.target == space["why"].target == "red in predicted(red)"
    np.testing.assert_array_equal(shown.map, space["why"].map)
    assert shown.region is not None
    assert shown.region.sum() == 64 * 32
    described = subprocess.run(
        [Path(sys.executable).with_name("seglens"), "describe", folder / "lights.pt2", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = json.loads(described.stdout)
    assert (told["classes"], told["link"], told["emits"]) == (["red", "green", "blue"], "sigmoid", "logits")
    assert told["colours"] == [[230, 20, 20], [20, 230, 20], [20, 20, 230]]
