"""The page's side in Python: requests as its own code sends them, and as nobody should."""

import http.client
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

UPLOAD, PIXELS = 300_000, 1_000_000
"""Bytes and pixels that the server of these tests takes."""

SLOW = 150.0
"""Seconds after which something that should have happened has not."""


@dataclass
class Answer:
    """status, headers in small letters, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Page:
    """A browser's tab. process: the server's; address: as printed, with the token. tab: as it calls itself."""

    process: "subprocess.Popen[str]"
    address: str
    cookie: str = ""
    tab: str = ""

    @property
    def host(self) -> str:
        return self.address.split("/")[2]

    @property
    def origin(self) -> str:
        return f"http://{self.host}"

    def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, *, bare: bool = False
    ) -> Answer:
        """A request with what the page sends along; `bare` leaves all of that out."""
        connection = http.client.HTTPConnection(self.host, timeout=SLOW)
        own = {} if bare else {"Cookie": self.cookie}
        if not bare and method not in ("GET", "HEAD"):
            own |= {"Origin": self.origin, "X-Seglens": "1", "X-Seglens-Tab": self.tab}
        sent = {k: v for k, v in {**own, **(headers or {})}.items() if v != ""}
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def enter(self) -> None:
        """Open the address with its token."""
        answer = self.send("GET", self.address.split(self.host)[1], bare=True)
        assert answer.status == 303
        self.cookie = answer.headers["set-cookie"].split(";")[0]

    def get(self, path: str) -> Any:
        answer = self.send("GET", path)
        assert answer.status == 200, answer.body
        return answer.json

    def post(self, path: str, words: Any = None) -> Any:
        answer = self.send("POST", path, json.dumps(words))
        assert answer.status == 200, answer.body
        return answer.json

    def begin(self, task: str, **args: Any) -> tuple[dict[str, Any], dict[str, Any] | None]:
        """(job, result)."""
        found = self.post("/api/jobs", {"task": task, "args": args})
        return found["job"], found["result"]

    def until(self, job: str, when: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The job, once it is so."""
        end = time.monotonic() + SLOW
        while time.monotonic() < end:
            found = self.get(f"/api/jobs/{job}")
            if when(found):
                return found
            time.sleep(0.02)
        raise AssertionError(f"nothing came of {found}")

    def over(self, job: str) -> dict[str, Any]:
        """The job, once nothing more comes of it by itself."""
        return self.until(job, lambda j: j["state"] not in ("waiting", "running"))

    def ask(self, task: str, **args: Any) -> dict[str, Any]:
        """The result of a task that goes well."""
        job, result = self.begin(task, **args)
        if result is not None:
            return result
        job = self.over(job["id"])
        assert job["state"] == "done", job
        return self.get(f"/api/results/{job['key']}")

    def failed(self, task: str, **args: Any) -> dict[str, str]:
        """The fault of a task that does not."""
        job = self.over(self.begin(task, **args)[0]["id"])
        assert job["state"] == "failed", job
        return job["error"]

    def array(self, result: dict[str, Any], name: str) -> np.ndarray:
        """Values of an array, as the page works them out."""
        info = result["arrays"][name]
        answer = self.send("GET", f"/api/results/{result['key']}/arrays/{name}")
        assert answer.status == 200
        stored = np.frombuffer(answer.body, np.dtype(info["dtype"]).newbyteorder("<")).reshape(info["shape"])
        return stored.astype(np.float64) * info["scale"] if info["dtype"].startswith("float") else stored

    def has_torch(self) -> bool | None:
        """Whether the server's process has loaded torch; None where the system does not tell."""
        maps = Path(f"/proc/{self.process.pid}/maps")
        return "libtorch" in maps.read_text() if maps.exists() else None

    def workers(self) -> list[int]:
        """Process ids of the server's workers."""
        listed = subprocess.run(
            ["ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
        )
        rows = (line.split(None, 2) for line in listed.stdout.splitlines())
        own = str(self.process.pid)
        return [int(r[0]) for r in rows if len(r) == 3 and r[1] == own and "spawn_main" in r[2]]

    def signal_workers(self, number: signal.Signals) -> None:
        for pid in self.workers():
            os.kill(pid, number)


def started(words: list[str], **more: Any) -> Page:
    """A server's process, once it has said where it listens."""
    process = subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **more,
    )
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        found = re.search(r"http://\S+/\?token=\S+", line)
        if found:
            return Page(process, found[0])
    raise AssertionError(f"the server did not start: {said}")


def ended(page: Page) -> int:
    """End it as Ctrl-C does; its exit code."""
    page.process.send_signal(signal.SIGINT)
    code = page.process.wait(15)
    assert page.process.stdout is not None
    page.process.stdout.close()
    return code
