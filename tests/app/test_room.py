"""Uploads, masks and thumbnails have one bound: the longest unused go, and whoever asks for them hears so."""

import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from page_client import Page, ended, started
from PIL import Image

from seglens.app.process import command
from seglens.app.room import Room
from seglens.app.settings import Settings

BOUND = 100_000
"""Bytes; an upload here has some 30,000."""


def noise(seed: int) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (100, 100, 3), np.uint8)).save(out, "PNG")
    return out.getvalue()


def kept(folder: Path) -> int:
    places = (folder / name for name in ("uploads", "truths", "masks", "thumbnails", "shipped"))
    return sum(f.stat().st_size for place in places for f in place.rglob("*") if f.is_file())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def small(folder: Path) -> Iterator[Page]:
    """A tab on a server with little room."""
    found = started(command(Settings(port=0, store=str(folder), browser=False, brought=BOUND)))
    found.enter()
    yield found
    ended(found)


def test_an_upload_that_made_room_is_said_to_be_dropped(small: Page, folder: Path) -> None:
    net = small.get("/api/session")["start"]["network"]
    ids = [small.send("PUT", f"/api/uploads?name=mine{n}.png", noise(n)).json["id"] for n in range(2)]
    listed = small.get("/api/sets/uploads/images")
    assert [i["id"] for i in listed] == ids
    assert small.send("GET", f"/api/images/{ids[0]}").status == 200  # used last, so it stays
    for n in (2, 3):
        assert small.send("PUT", f"/api/uploads?name=mine{n}.png", noise(n)).status == 200
    assert kept(folder) <= BOUND
    for name in ("", "/picture", "/thumbnail", "/truth"):
        gone = small.send("GET", f"/api/images/{ids[1]}{name}")
        assert gone.status == 410
        assert gone.json["kind"] == "ImageError"
        assert "mine1.png was dropped" in gone.json["message"]
        assert "Add it again" in gone.json["message"]
    asked = small.send(
        "POST", "/api/jobs", f'{{"task": "segment", "args": {{"network": "{net}", "image": "{ids[1]}"}}}}'
    )
    assert asked.status == 410
    assert ids[1] not in [i["id"] for i in small.get("/api/sets/uploads/images")]
    again = small.send("PUT", "/api/uploads?name=mine1.png", noise(1)).json
    assert again["id"] == ids[1]
    assert small.send("GET", f"/api/images/{ids[1]}/picture").status == 200


def test_masks_and_thumbnails_count_and_go_too(small: Page, folder: Path) -> None:
    first = small.send("PUT", "/api/masks?height=100&width=100", bytes(10_000)).json["id"]
    for n in range(1, 12):
        assert small.send("PUT", "/api/masks?height=100&width=100", bytes([1] * n + [0] * (10_000 - n))).status == 200
        assert small.send("GET", f"/api/images/streets-{n}/thumbnail").status == 200
        assert kept(folder) <= BOUND
    target = {"channel": "road", "region": f"mask('{first}')"}
    net = small.get("/api/session")["start"]["network"]
    args = {"network": net, "image": "streets-3", "method": "saliency", "parameters": {}, "target": target}
    answer = small.send("POST", "/api/jobs", json.dumps({"task": "explain", "args": args}))
    assert answer.status == 404
    assert "Draw it again" in answer.json["message"]


def test_a_truth_goes_with_its_upload_and_that_of_a_folder_by_itself(tmp_path: Path) -> None:
    room = Room(tmp_path, 2_500)
    gone: list[set[str]] = []
    room.dropped = gone.append
    for name, used in (("uploads/aa/x.png", 1), ("truths/uploads-aa.png", 4), ("truths/fb-1.png", 2)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(bytes(1_000))
        os.utime(tmp_path / name, (used, 0))
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "m.npy").write_bytes(bytes(400))
    room.added(tmp_path / "masks" / "m.npy")
    assert gone == [{"fb-1"}]
    (tmp_path / "masks" / "n.npy").write_bytes(bytes(400))
    room.added(tmp_path / "masks" / "n.npy")
    assert gone == [{"fb-1"}, {"uploads-aa"}]
    assert [p.name for p in sorted(tmp_path.rglob("*")) if p.is_file()] == ["m.npy", "n.npy"]
