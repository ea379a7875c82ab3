"""Jobs: at once where known, beside each other, cancelled, paused, gone on with; a worker's death is survived."""

import json
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from page_client import Page
from websockets.sync.client import connect

IMAGE = "streets-3"
TARGET = {"channel": "rider"}


def search(net: str, steps: int, **more: Any) -> dict[str, Any]:
    """A search that does not end by itself before its last step."""
    parameters = {"steps": steps, "early": False, "start": 0.5, **more}
    return {"network": net, "image": IMAGE, "method": "grid-saliency", "parameters": parameters, "target": TARGET}


def rise(net: str, masks: int, seed: int) -> dict[str, Any]:
    """Long work that cannot be paused."""
    return {
        "network": net,
        "image": IMAGE,
        "method": "rise",
        "parameters": {"masks": masks, "seed": seed},
        "target": TARGET,
    }


def test_a_question_asked_again_is_answered_at_once(page: Page, net: str) -> None:
    asked = {"network": net, "image": IMAGE, "method": "saliency", "parameters": {}, "target": TARGET}
    first = page.ask("explain", **asked)
    job, again = page.begin("explain", **asked)
    assert again == first
    assert job["state"] == "done"
    other = page.ask("explain", **{**asked, "target": {"channel": "person"}})
    assert other["key"] != first["key"]
    assert first["meta"]["target"] == "rider in predicted(rider)"
    shown = page.array(first, "map")
    assert np.nanmax(np.abs(shown)) == pytest.approx(first["meta"]["greatest"])


def test_a_search_is_watched_paused_and_gone_on_with_as_if_nothing_had_been(page: Page, net: str) -> None:
    with connect(f"ws://{page.host}/api/live", origin=page.origin, additional_headers={"Cookie": page.cookie}) as live:  # pyright: ignore
        job, _ = page.begin("explain", **search(net, 9))
        running = page.until(job["id"], lambda j: j["preview"] >= 2)
        assert running["resumable"]
        seen = page.get(f"/api/jobs/{job['id']}/preview")
        assert seen["meta"]["stopped"] >= 1
        plane = page.send("GET", f"/api/jobs/{job['id']}/preview/map")
        assert len(plane.body) == 2 * int(np.prod(seen["arrays"]["map"]["shape"]))
        answer = json.loads(page.send("DELETE", f"/api/jobs/{job['id']}").body)
        paused = page.over(job["id"])
        assert paused["state"] == "paused"
        # The answer may reach a page after the word of the pause: by their times it is told which is the later.
        assert running["at"] < answer["at"] < paused["at"]
        part = page.get(f"/api/results/{job['key']}")
        assert 1 <= part["meta"]["stopped"] < 9
        assert len(part["meta"]["curves"]["loss"]) == 9
        assert sum(v is not None for v in part["meta"]["curves"]["loss"]) == part["meta"]["stopped"]
        # Meanwhile the network answers others, and what was stopped counts as no answer.
        page.ask("explain", network=net, image=IMAGE, method="grad-cam", parameters={}, target=TARGET)
        assert page.get(f"/api/jobs/{job['id']}")["state"] == "paused"
        page.post(f"/api/jobs/{job['id']}/resume")
        done = page.over(job["id"])
        assert done["state"] == "done"
        heard = [json.loads(live.recv(timeout=20)) for _ in range(3)]
        assert heard[0]["type"] == "socket"
        assert all(m["type"] in ("job", "network", "sets", "worker") for m in heard[1:])
    resumed = page.get(f"/api/results/{job['key']}")
    assert resumed["meta"]["stopped"] is None
    # The same search under another key, for its sparsity is written out.
    whole = page.ask("explain", **search(net, 9, sparsity=0.05))
    assert whole["key"] != resumed["key"]
    assert np.array_equal(page.array(whole, "map"), page.array(resumed, "map"))
    assert whole["meta"]["curves"] == resumed["meta"]["curves"]
    assert page.has_torch() is not True


def test_a_quick_question_does_not_wait_for_a_long_one(page: Page, net: str) -> None:
    long, _ = page.begin("explain", **rise(net, 100_000, 1))
    page.until(long["id"], lambda j: j["state"] == "running")
    page.ask("explain", network=net, image="streets-4", method="saliency", parameters={}, target=TARGET)
    assert page.get(f"/api/jobs/{long['id']}")["state"] == "running"
    second, _ = page.begin("explain", **rise(net, 100_000, 2))
    assert page.get(f"/api/jobs/{second['id']}")["state"] == "waiting"
    same, _ = page.begin("explain", **rise(net, 100_000, 2))
    assert same["id"] == second["id"]
    assert page.send("DELETE", f"/api/jobs/{second['id']}").json["state"] == "cancelled"
    page.until(long["id"], lambda j: j["total"] > 0)
    page.send("DELETE", f"/api/jobs/{long['id']}")
    assert page.over(long["id"])["state"] == "cancelled"
    assert page.send("POST", f"/api/jobs/{long['id']}/resume").status == 409


@contextmanager
def opened(page: Page, name: str) -> Generator[Page]:
    """Another tab of the same browser, with its socket, until it is killed."""
    tab = replace(page, tab=name)
    cookie = {"Cookie": page.cookie}
    with connect(f"ws://{page.host}/api/live", origin=page.origin, additional_headers=cookie) as live:  # pyright: ignore
        hello = json.loads(live.recv(timeout=20))
        assert tab.send("PUT", f"/api/live/{hello['id']}").json == {"open": True}
        yield tab


def test_what_another_tab_waits_for_goes_on(page: Page, net: str) -> None:
    asked = rise(net, 100_000, 7)
    with opened(page, "a") as a:
        with opened(page, "b") as b:
            job = a.begin("explain", **asked)[0]["id"]
            assert b.begin("explain", **asked)[0]["id"] == job
            page.until(job, lambda j: j["total"] > 0)
            assert a.send("DELETE", f"/api/jobs/{job}").json["state"] == "cancelled"
            done = page.get(f"/api/jobs/{job}")["done"]
            assert page.until(job, lambda j: j["done"] > done)["state"] == "running"
            assert a.begin("explain", **asked)[0]["id"] == job  # a takes it up again
            assert b.send("DELETE", f"/api/jobs/{job}").json["state"] == "cancelled"
            assert page.get(f"/api/jobs/{job}")["state"] == "running"
            b.begin("explain", **asked)
        # b was killed, and keeps nothing alive.
        a.send("DELETE", f"/api/jobs/{job}")
        assert page.over(job)["state"] == "cancelled"


def test_a_search_that_two_tabs_watch_is_paused_for_one_of_them(page: Page, net: str) -> None:
    asked = search(net, 9, sparsity=0.07)
    with opened(page, "a") as a, opened(page, "b") as b:
        job, _ = a.begin("explain", **asked)
        b.begin("explain", **asked)
        page.until(job["id"], lambda j: j["preview"] >= 1)
        assert a.send("DELETE", f"/api/jobs/{job['id']}").json["state"] == "paused"
        part = page.get(f"/api/results/{job['key']}")["meta"]["stopped"]
        assert page.get(f"/api/jobs/{job['id']}")["state"] == "running"
        assert a.post(f"/api/jobs/{job['id']}/resume")["state"] == "running"
        assert page.over(job["id"])["state"] == "done"
    whole = page.get(f"/api/results/{job['key']}")
    assert (1 <= part < 9, whole["meta"]["stopped"]) == (True, None)


def test_a_worker_that_is_killed_takes_its_job_along_and_nothing_else(page: Page, net: str) -> None:
    held, _ = page.begin("explain", **search(net, 6, sparsity=0.06))
    page.until(held["id"], lambda j: j["preview"] >= 1)
    page.send("DELETE", f"/api/jobs/{held['id']}")
    assert page.over(held["id"])["state"] == "paused"
    job, _ = page.begin("explain", **rise(net, 100_000, 3))
    page.until(job["id"], lambda j: j["total"] > 0)
    before = set(page.workers())
    assert len(before) == 2
    page.signal_workers(signal.SIGKILL)
    lost = page.over(job["id"])
    assert lost["state"] == "failed"
    assert lost["error"]["kind"] == "WorkerError"
    assert "killed" in lost["error"]["message"]
    assert "memory" in lost["error"]["message"]
    page.ask("explain", network=net, image="streets-5", method="saliency", parameters={}, target=TARGET)
    page.ask("explain", **rise(net, 20, 3))
    assert not before & set(page.workers())
    # What was paused in it begins anew.
    page.post(f"/api/jobs/{held['id']}/resume")
    assert page.over(held["id"])["state"] == "done"


def test_a_worker_that_does_not_listen_is_ended(page: Page, net: str) -> None:
    job, _ = page.begin("explain", **rise(net, 100_000, 4))
    page.until(job["id"], lambda j: j["total"] > 0)
    page.signal_workers(signal.SIGSTOP)
    began = time.monotonic()
    page.send("DELETE", f"/api/jobs/{job['id']}")
    assert page.over(job["id"])["state"] == "cancelled"
    assert time.monotonic() - began > 2.9  # its patience
    page.signal_workers(signal.SIGCONT)
    page.ask("explain", **rise(net, 20, 4))


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "JSON"),
        (b"[1]", 400, "table"),
        (b"\xff\xfe", 400, "JSON"),
        (b"[" * 100_000, 400, "JSON"),
        (b'{"task": "open"}', 422, "source"),
        (b'{"task": "opne", "args": {}}', 422, "open"),
        (b'{"task": ["open"], "args": {}}', 422, "no task"),
        (b'{"task": "segment", "args": {"network": "n0", "image": "streets-0", "more": 1}}', 422, "more"),
        (b'{"task": "segment", "args": {"network": "n0", "image": "streets-0"}}', 404, "no network"),
        (b'{"task": "decode", "args": {"network": "n0", "z": [NaN]}}', 422, "z"),
        (
            b'{"task": "describe", "args": {"network": "n0", "description": {"constructor": "os:system"}}}',
            422,
            "constructor",
        ),
        (b" " * 5_000_000, 413, "bytes"),
    ],
)
def test_what_makes_no_sense_is_said_to_make_none(page: Page, body: bytes, status: int, words: str) -> None:
    answer = page.send("POST", "/api/jobs", body)
    assert answer.status == status, answer.body
    assert words in answer.json["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/jobs/none"),
        ("DELETE", "/api/jobs/none"),
        ("POST", "/api/jobs/none/resume"),
        ("GET", "/api/jobs/none/preview"),
        ("GET", "/api/results/" + "0" * 64),
        ("GET", "/api/results/..%2f..%2fnetworks.json"),
        ("GET", f"/api/results/{'0' * 64}/arrays/map"),
        ("GET", f"/api/results/{'0' * 64}/file.png"),
        ("GET", "/api/sets/none/images"),
        ("GET", "/api/images/none/picture"),
        ("GET", "/api/images/streets-64/picture"),
        ("GET", "/api/elsewhere"),
    ],
)
def test_what_is_not_there_is_said_not_to_be(page: Page, method: str, path: str) -> None:
    answer = page.send(method, path)
    assert answer.status == 404, answer.body
    assert set(answer.json) == {"kind", "message"}


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"method": "grad-camm"}, "NameNotFoundError"),
        ({"parameters": {"lyer": "x"}}, "ParameterError"),
        ({"parameters": {"layer": "nowhere"}}, "LayerNotFoundError"),
        ({"target": {"channel": "unicorn"}}, "ClassNotFoundError"),
        ({"target": {"channel": "rider", "region": "box(0, 0, 1"}}, "RegionError"),
        ({"target": {"channel": "rider", "region": "__import__('os').system('x')"}}, "RegionError"),
        ({"target": {"channel": "rider", "region": "mask('/etc/passwd')"}}, "MaskError"),
        ({"target": {"channel": "sky", "region": "predicted(sky) & predicted(road)"}}, "EmptyRegionError"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(page: Page, net: str, change: dict[str, Any], kind: str) -> None:
    asked = {"network": net, "image": IMAGE, "method": "grad-cam", "parameters": {}, "target": TARGET, **change}
    answer = page.send("POST", "/api/jobs", json.dumps({"task": "explain", "args": asked}))
    fault = answer.json
    if answer.status == 200:
        fault = page.over(fault["job"]["id"])["error"]
    assert fault["kind"] == kind
    assert fault["message"]
