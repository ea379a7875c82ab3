"""Where commands run: an empty folder, a terminal of 80 columns without colours; and a street to ask about."""

from pathlib import Path

import pytest
from PIL import Image

from seglens.cli import show
from seglens.datasets.streets import Streets


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    # Set, not deleted, so that --traceback of one test is undone after it.
    monkeypatch.setenv(show.TRACEBACK, "0")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def street(terminal: None, tmp_path: Path) -> Path:
    """street.png in the folder, and its labels as truth.png."""
    scene = Streets(1, (48, 96), seed=3)[0]
    path = tmp_path / "street.png"
    Image.fromarray(scene.image).save(path)
    Image.fromarray(scene.labels).save(tmp_path / "truth.png")
    return path
