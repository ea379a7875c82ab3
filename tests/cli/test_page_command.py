"""seglens app: says at once what is wrong, prints an address that is answered, ends with Ctrl-C, forgets nothing."""

import http.client
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import torch
from typed import flat, run

pytest.importorskip("fastapi")
sys.path.insert(0, str(Path(__file__).parents[1] / "app"))

from page_client import ended, started


def test_a_network_that_cannot_be_opened_is_said_at_once(tmp_path: Path) -> None:
    assert "no network 'streets-uent'" in flat(run("app", "streets-uent", code=1))
    (tmp_path / "bad.pt2").write_bytes(b"nothing")
    assert "bad.pt2" in flat(run("app", "bad.pt2", code=1))
    module = torch.nn.Conv2d(3, 4, 3)
    for name, what in (("whole.pth", module), ("weights.pt", module.state_dict())):
        torch.save(what, tmp_path / name)
        said = flat(run("app", tmp_path / name, code=1))
        # Options that other commands have.
        assert re.search("--trust|--constructor", said)
        assert said.endswith(
            "The page has no such option: it goes by what is written beside a file, and runs no code of files."
        )


def test_pictures_and_folders_that_are_not_there_are_said_at_once(tmp_path: Path) -> None:
    assert "no file or folder 'nowhere'" in flat(run("app", "streets-unet", "nowhere", code=1))
    (tmp_path / "notes.md").write_text("# none")
    said = flat(run("app", "streets-unet", tmp_path / "notes.md", code=1))
    assert "notes.md is no picture that the page shows. Expected .png" in said
    assert "no folder" in flat(run("app", "--root", "nowhere", code=1))


def test_it_serves_until_it_is_interrupted_and_results_survive(street: Path, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-c",
        "from seglens.cli import main; main()",
        "app",
        "streets-unet",
        str(street),
        "--port",
        "0",
        "--no-browser",
    ]
    words += ["--store", str(tmp_path / "store")]
    page = started(words, cwd=tmp_path)
    page.enter()
    session = page.get("/api/session")
    image = session["start"]["image"]
    folder = image.rpartition("-")[0]
    assert {i["name"] for i in page.get(f"/api/sets/{folder}/images")} >= {"street.png"}
    asked = {"network": session["start"]["network"], "image": image, "method": "saliency", "parameters": {}}
    first = page.ask("explain", **asked, target={"channel": "car"})
    workers = page.workers()
    assert len(workers) == 2
    assert ended(page) == 0
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    again = started(words, cwd=tmp_path)
    again.enter()
    # Asked before anything was opened: ids hold from run to run.
    _, found = again.begin("explain", **asked, target={"channel": "car"})
    assert found == first
    assert len(again.send("GET", f"/api/results/{first['key']}/arrays/map").body) == 2 * 48 * 96
    again.process.send_signal(signal.SIGTERM)
    again.process.wait(20)
    assert again.process.stdout is not None
    again.process.stdout.close()


def test_a_port_that_is_taken_is_said_to_be(tmp_path: Path) -> None:
    import socket

    from seglens.app.process import command
    from seglens.app.settings import Settings

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = Settings(port=port, store=str(tmp_path), browser=False)
        told = subprocess.run(command(settings), capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in told.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C of a terminal is sent to a group of processes")
def test_ctrl_c_while_the_workers_begin_is_not_answered_with_their_stacks(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "from seglens.cli import main; main()", "app", "--no-browser", "--port", "0"]
    words += ["--store", str(tmp_path)]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, start_new_session=True
    )
    assert process.stdout is not None
    address = urlsplit(process.stdout.readline().strip())
    # It answers once its workers have begun, which import for seconds from then on.
    asked = http.client.HTTPConnection(address.netloc, timeout=60)
    asked.request("GET", f"/?{address.query}")
    assert asked.getresponse().status == 303
    asked.close()
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    assert "Traceback" not in said
    assert process.returncode == 0
