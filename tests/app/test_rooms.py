"""The server's parts by themselves: paths, names, digests, the store, arrays, and what a tab is told."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from seglens.app.faults import Fault
from seglens.app.live import Live
from seglens.app.pairing import by_stem, is_truth, partner, truth_folders
from seglens.app.paths import Roots
from seglens.app.process import command
from seglens.app.python_line import network_text, target_text
from seglens.app.settings import Settings
from seglens.app.static import read_static
from seglens.app.store import Store
from seglens.app.tasks.outcome import Outcome, encoded, keep
from seglens.app.workers import words_of


def stored(store: Store, n: int, size: int, used: float) -> str:
    key = f"{n:064x}"
    keep(store, Outcome(meta={"n": n}, arrays={"a": np.zeros(size, np.uint8)}), key, "test", {})
    os.utime(store.results / key / "meta.json", (used, used))
    return key


def test_the_longest_unused_results_make_room(tmp_path: Path) -> None:
    store = Store(tmp_path, 5_000)
    keys = [stored(store, n, 2_000, 1000.0 + n) for n in range(4)]
    assert store.result(keys[0]) is not None  # used now, so it stays
    assert store.evict() == 2
    assert [store.at(k) is not None for k in keys] == [True, False, False, True]


def test_the_result_that_was_used_last_stays_however_large(tmp_path: Path) -> None:
    store = Store(tmp_path, 10)
    key = stored(store, 1, 5_000, 1000.0)
    assert store.evict() == 0
    assert store.at(key) is not None


def test_a_result_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    store = Store(tmp_path, 10**6)
    key = "a" * 64

    def broken(_: Path) -> None:
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        keep(store, Outcome(meta={}, keep=broken), key, "test", {})
    assert store.at(key) is None
    (part,) = store.results.iterdir()
    store.clean()
    assert part.exists()  # another server may be at it
    os.utime(part, (1000, 1000))
    store.clean()
    assert list(store.results.iterdir()) == []
    keep(store, Outcome(meta={"x": float("nan")}, whole=False), key, "test", {})
    assert store.result(key) == {
        "key": key,
        "task": "test",
        "meta": {"x": None},
        "arrays": {},
        "formats": [],
        "python": "",
    }
    assert store.result(key, whole=True) is None
    keep(store, Outcome(meta={"x": 1.0}), key, "test", {})
    assert store.result(key, whole=True) is not None


@pytest.mark.parametrize("key", ["..", "../x", "A" * 64, "", "a" * 63, "a" * 64 + "/.."])
def test_what_is_no_key_leads_nowhere(tmp_path: Path, key: str) -> None:
    store = Store(tmp_path, 10)
    assert store.at(key) is None
    assert store.array("a" * 64, "../meta") is None


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([[True, False]]), "uint8"),
        (np.arange(300), "uint16"),
        (np.array([-1, 5]), "int32"),
        (np.array([70000]), "int32"),
        (np.array([1e-30, -3e-30, np.nan]), "float16"),
        (np.array([1e30, 0.0]), "float16"),
        (np.zeros((2, 3), np.float32), "float16"),
    ],
)
def test_arrays_come_back_as_they_were(values: np.ndarray, dtype: str) -> None:
    data, how = encoded(values)
    assert how["dtype"] == dtype
    back = (
        np.frombuffer(data, np.dtype(dtype).newbyteorder("<")).reshape(how["shape"]).astype(np.float64) * how["scale"]
    )
    assert np.allclose(back, values.astype(np.float64), rtol=1e-3, atol=1e-3 * how["scale"], equal_nan=True)
    if dtype != "float16":
        assert np.array_equal(back, values)


def test_a_path_is_followed_before_it_is_asked_where_it_leads(tmp_path: Path) -> None:
    (tmp_path / "root" / "in").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "root" / "away").symlink_to(tmp_path / "other")
    (tmp_path / "root" / "near").symlink_to(tmp_path / "root" / "in")
    # A folder whose name begins as the root's is not in it.
    (tmp_path / "root-2").mkdir()
    roots = Roots((str(tmp_path / "root"),))
    id = roots.items[0].id
    assert roots.resolve(id, "near") == (tmp_path / "root" / "in").resolve()
    assert roots.resolve(id, "") == (tmp_path / "root").resolve()
    for path in ("away", "../root-2", "..", "in/../../other", str(tmp_path / "other")):
        with pytest.raises(Fault) as refused:
            roots.resolve(id, path)
        assert refused.value.status == 403
    with pytest.raises(Fault):
        roots.resolve("0" * 12, "in")


def test_truths_are_found_where_data_sets_keep_them(tmp_path: Path) -> None:
    for name in (
        "JPEGImages/a.jpg",
        "SegmentationClass/a.png",
        "leftImg8bit/val/x_leftImg8bit.png",
        "gtFine/val/x_gt_labelIds.png",
        "flat/b.png",
        "flat/b_mask.png",
        "photos/c.jpg",
        "labels/c.png",
        "labels/c.jpg",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    roots = Roots((str(tmp_path),))

    def truth(folder: str, stem: str) -> Path | None:
        place = tmp_path / folder
        return partner(stem, by_stem(place, truth_folders(place, roots)))

    assert truth("JPEGImages", "a") == tmp_path / "SegmentationClass/a.png"
    assert truth("flat", "b") == tmp_path / "flat/b_mask.png"
    assert truth("photos", "c") == tmp_path / "labels/c.png"
    assert is_truth("b_mask", {"b", "b_mask"})
    assert not is_truth("face_mask", {"face_mask"})
    outside = Roots((str(tmp_path / "JPEGImages"),))
    assert truth_folders(tmp_path / "JPEGImages", outside) == []


def test_a_slow_tab_hears_the_latest_word_of_each_job_and_every_end() -> None:
    async def told() -> list[str]:
        live = Live()
        tab = live.join()
        assert tab is not None
        for n in range(2000):
            live.say(f"job {n % 2}", {"type": "job", "job": {"id": n % 2, "state": "running", "done": n}})
        live.say("job 1", {"type": "job", "job": {"id": 1, "state": "done"}})
        for n in range(600):
            live.say(f"job x{n}", {"type": "job", "job": {"id": f"x{n}", "state": "running"}})
        live.leave(tab)
        live.say("job 0", {"type": "job", "job": {"id": "too late", "state": "done"}})
        heard: list[str] = []
        while True:
            try:
                heard.append(await asyncio.wait_for(tab.get(), 0.05))
            except TimeoutError:
                return heard

    heard = [json.loads(w) for w in asyncio.run(told())]
    assert len(heard) == 512
    assert heard.pop(0)["type"] == "socket"
    words = [w["job"] for w in heard]
    assert [w["state"] for w in words if w["id"] == 1] == ["done"]
    assert words[-1]["id"] == "x599"
    assert "too late" not in {w["id"] for w in words}


def test_how_a_worker_ended_is_said_in_words() -> None:
    assert "memory" in words_of(-9)
    assert "SIGSEGV" in words_of(-11)
    assert "exit code 3" in words_of(3)


def test_python_lines_say_what_was_asked() -> None:
    spec = {"load": "a.pt2", "description": None}
    assert network_text(spec) == "'a.pt2'"
    told = {**spec, "description": {"name": "n", "classes": ["a", "b"], "input": {"mean": 0.5}}}
    assert network_text(told) == "sl.load('a.pt2', name='n', classes=['a', 'b'], convention={'mean': 0.5})"
    asked = {"channel": "a", "against": "b", "region": "mask('0123') & predicted(a)", "reduce": "sum"}
    text = target_text(asked, {"0123": "/kept/m.npy"})
    assert text == (
        "sl.Target(sl.channel('a') - sl.channel('b'), "
        "sl.parse_region(\"mask('/kept/m.npy') & predicted(a)\", lambda p: np.load(p)), reduce='sum')"
    )
    assert target_text({"channel": 3, "reduce": "mean"}, {}) == "3"


def test_static_files_are_those_of_the_folder_and_the_page_says_where_it_is_not_built(tmp_path: Path) -> None:
    assert b"not built" in read_static(tmp_path / "nothing")["/"].data
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<p>here")
    (tmp_path / "assets" / "a.js").write_text("1")
    (tmp_path / "BUILD.json").write_text("{}")
    files = read_static(tmp_path)
    assert set(files) == {"/", "/index.html", "/assets/a.js"}
    assert files["/"].data == b"<p>here"
    assert files["/assets/a.js"].type.startswith("text/javascript")
    assert files["/assets/a.js"].lasting
    assert not files["/"].lasting


def test_the_server_s_modules_bring_no_torch_along() -> None:
    words = command(Settings())
    script = words[2].replace(
        "main(sys.argv[1])", "print(sorted(m for m in sys.modules if m in ('torch', 'seglens.run')))"
    )
    assert script != words[2]
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
