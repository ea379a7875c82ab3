"""A real server in a process of its own, with folders of pictures to look into."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from page_client import PIXELS, UPLOAD, Page, ended, started

from seglens.app.process import command
from seglens.app.settings import Settings
from seglens.datasets.streets import Streets


@pytest.fixture(scope="session")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pictures/, labels/ and a secret beside it that is in no root."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "root" / "images").mkdir(parents=True)
    (folder / "root" / "labels").mkdir()
    for i, scene in enumerate(Streets(3, (48, 96), seed=3)):
        Image.fromarray(scene.image).save(folder / "root" / "images" / f"street{i}.png")
        if i < 2:
            Image.fromarray(scene.labels).save(folder / "root" / "labels" / f"street{i}.png")
    (folder / "secret").mkdir()
    Image.fromarray(scene.image).save(folder / "secret" / "secret.png")
    (folder / "root" / "out").symlink_to(folder / "secret")
    (folder / "root" / "images" / "leads_out.png").symlink_to(folder / "secret" / "secret.png")
    return folder


def settings(given: Path, store: Path) -> Settings:
    return Settings(
        port=0,
        store=str(store),
        roots=(str(given / "root"),),
        browser=False,
        upload=UPLOAD,
        pixels=PIXELS,
        patience=3.0,
    )


@pytest.fixture(scope="session")
def page(given: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """An open tab on a running server."""
    found = started(command(settings(given, tmp_path_factory.mktemp("store"))))
    found.enter()
    yield found
    ended(found)


@pytest.fixture(scope="session")
def net(page: Page) -> str:
    """Id of the network that the page begins with."""
    return page.get("/api/session")["start"]["network"]
