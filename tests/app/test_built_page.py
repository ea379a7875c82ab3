"""The page in the package is what its sources give, asks nothing of other machines, and travels in the wheel."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "seglens" / "app" / "_static"


@pytest.fixture
def script():
    told = importlib.util.spec_from_file_location("page_build", ROOT / "web" / "build.py")
    assert told is not None
    assert told.loader is not None
    module = importlib.util.module_from_spec(told)
    told.loader.exec_module(module)
    return module


def test_it_was_built_from_what_lies_in_web(script) -> None:
    assert script.built() == script.digest(), "the page is stale: python web/build.py"


def test_the_digest_sees_each_change_and_no_other(script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in script.SOURCES:
        (tmp_path / name).write_text(name)
    for folder in script.FOLDERS:
        (tmp_path / folder).mkdir()
    (tmp_path / "src" / "main.ts").write_text("one\ntwo\n")
    monkeypatch.setattr(script, "WEB", tmp_path)
    first = script.digest()
    (tmp_path / "src" / "main.ts").write_bytes(b"one\r\ntwo\r\n")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "left.js").write_text("not ours")
    assert script.digest() == first
    (tmp_path / "src" / "main.ts").write_text("one\nthree\n")
    assert script.digest() != first
    (tmp_path / "src" / "main.ts").rename(tmp_path / "src" / "other.ts")
    assert script.digest() != first


def test_it_asks_nothing_of_other_machines() -> None:
    names = re.compile(rb"""["'(`](?:https?:)?//([a-z0-9.-]+\.[a-z]{2,})""")
    for path in STATIC.rglob("*"):
        if path.suffix in (".js", ".css", ".html"):
            hosts = {m.decode() for m in names.findall(path.read_bytes())}
            # Names of XML vocabularies and pages of Svelte's error messages are never fetched.
            assert hosts <= {"www.w3.org", "svelte.dev"}, (path.name, hosts)


def test_scripts_are_files_and_there_are_few() -> None:
    page = (STATIC / "index.html").read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)", page), "the policy of the page allows no script inside it"
    assert not re.search(r"\son\w+=", page)
    total = sum(p.stat().st_size for p in STATIC.rglob("*") if p.suffix == ".js")
    assert total < 600_000


def test_the_wheel_holds_it_where_there_is_no_node(tmp_path: Path) -> None:
    # The hook of the build may not write into the checkout, so that it works on a copy of what the build reads.
    copy = tmp_path / "seglens"
    left = shutil.ignore_patterns("node_modules", "__pycache__", "weights")
    for name in ("src", "web"):
        shutil.copytree(ROOT / name, copy / name, ignore=left)
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=copy,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as held:
        names = set(held.namelist())
        there = {f"seglens/app/_static/{p.relative_to(STATIC).as_posix()}" for p in STATIC.rglob("*") if p.is_file()}
        assert there <= names
        assert held.read("seglens/app/_static/index.html") == (STATIC / "index.html").read_bytes()
    assert not any(n.startswith(("web/", "hatch_build")) for n in names)
    shutil.rmtree(copy / "src" / "seglens" / "app" / "_static")
    refused = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=copy,
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert refused.returncode != 0
    assert "The page is not built, and Node" in refused.stderr
