"""Jobs: what is asked of the workers, in what order, and how it stands."""

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

from seglens.app.faults import Fault
from seglens.app.live import Live
from seglens.app.store import Store
from seglens.app.tasks import LANES, Lane
from seglens.app.workers import Process, threads

State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]

KEPT = 200
"""Jobs that are listed; finished ones beyond it are forgotten."""

WAITING = 100
"""Jobs that wait in one lane; more are refused."""

SWEEP = 20
"""New results after which the store is held to its size."""

_LINGERS = 30.0  # seconds for which the last preview of a job that has ended is still given


@dataclass(slots=True, eq=False)
class Job:
    """One task under way. own: of the server itself, told to nobody. held: a paused search is in the worker.

    begun: the worker has it in hand; again: it was handed to one that died before that, and is handed out once more.
    askers: tabs that asked and did not leave; left: who waits for what a search has so far, while others go on.
    shown: the latest preview, its result as JSON and the bytes of its arrays. heard: when the worker last spoke of it;
    gap: the longest that it was silent, in seconds.
    """

    id: str
    task: str
    key: str
    title: str
    lane: Lane
    payload: Mapping[str, Any]
    own: bool = False
    resumable: bool = False
    state: State = "waiting"
    what: str = ""
    done: int = 0
    total: int = 0
    preview: int = 0
    error: dict[str, Any] | None = None
    held: bool = False
    ending: bool = False
    spent: float = 0.0
    since: float | None = None
    shown: tuple[str, dict[str, bytes]] | None = None
    killer: asyncio.TimerHandle | None = None
    askers: set[str] = field(default_factory=set[str])
    left: "list[asyncio.Future[None]]" = field(default_factory=list["asyncio.Future[None]"])
    begun: bool = False
    again: bool = False
    heard: float = 0.0
    gap: float = 0.0
    finished: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it by itself."""
        return self.state not in ("waiting", "running")

    def to_dict(self) -> dict[str, Any]:
        """Job of api.ts, as it is now."""
        now = time.monotonic()
        running = 0.0 if self.since is None else now - self.since
        return {
            "id": self.id,
            "at": now,
            "task": self.task,
            "key": self.key,
            "title": self.title,
            "state": self.state,
            "what": self.what,
            "done": self.done,
            "total": self.total,
            "seconds": round(self.spent + running, 3),
            "preview": self.preview,
            "resumable": self.resumable,
            "error": self.error,
        }


class Jobs:
    """The queue of each lane, and the worker at its end.

    ended: told of each job that is done, before anybody else hears of it. patience: seconds that a worker has to
    listen when a job is cancelled, before it is killed and started anew; longer where its steps are.
    """

    def __init__(self, store: Store, live: Live, patience: float, ended: Callable[[Job], None]) -> None:
        self._store, self._live, self._patience, self._ended = store, live, patience, ended
        self._jobs: dict[str, Job] = {}
        self._waiting: dict[str, deque[Job]] = {lane: deque() for lane in LANES}
        self._current: dict[str, Job | None] = dict.fromkeys(LANES)
        self._stored = 0
        self.facts: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._memory = store.folder / f"facts-{version('seglens')}.json"
        if (known := self._remembered()) is not None:
            self.facts.set_result(known)
        self.workers = {lane: Process(lane, str(store.folder), threads(), self._told, self._died) for lane in LANES}

    def start(self) -> None:
        """Start the workers."""
        for worker in self.workers.values():
            worker.start()

    def stop(self) -> None:
        """End the workers. Blocks for a moment."""
        for worker in self.workers.values():
            worker.stop()

    def warm(self, spec: Mapping[str, Any]) -> None:
        """Have every worker open a network that is likely to be asked."""
        for worker in self.workers.values():
            worker.send("warm", spec)

    def listed(self) -> list[dict[str, Any]]:
        """Every job, the oldest first."""
        return [job.to_dict() for job in self._jobs.values()]

    def get(self, id: str) -> Job:
        """A job. Raises Fault 404."""
        if id not in self._jobs:
            raise Fault(404, "JobError", f"no job {id[:60]!r} is known; finished ones are forgotten after a while.")
        return self._jobs[id]

    def submit(
        self,
        task: str,
        key: str,
        title: str,
        lane: Lane,
        payload: Mapping[str, Any],
        *,
        resumable: bool,
        kept: bool,
        tab: str = "",
    ) -> tuple[Job, dict[str, Any] | None]:
        """A job for a question, with its result where it is known already. The same question is not asked twice.

        kept: whether a result in the store answers it. tab: who asks. Raises Fault 429 where too much is waiting.
        """
        result = self._store.result(key, whole=True) if kept else None
        if result is not None:
            job = Job(secrets.token_hex(8), task, key, title, lane, payload, state="done", resumable=resumable)
            self._add(job)
            return job, result
        for job in reversed(self._jobs.values()) if kept else ():
            same = job.key == key and job.task == task and not job.ending
            if same and (not job.over or job.state == "paused"):
                return self.resume(job.id, tab), None
        if len(self._waiting[lane]) >= WAITING:
            raise Fault(429, "JobError", f"{WAITING} jobs are waiting already.\n  Cancel some, or wait.")
        job = Job(secrets.token_hex(8), task, key, title, lane, payload, resumable=resumable)
        job.askers |= {tab} - {""}
        self._add(job)
        self._enqueue(job)
        return job, None

    async def own(self, lane: Lane, task: str, payload: Mapping[str, Any]) -> Any:
        """Have a worker do something for the server itself, behind what people asked for. Raises its Fault."""
        job = Job(secrets.token_hex(8), task, "", task, lane, payload, own=True)
        self._enqueue(job)
        return await job.finished

    async def leave(self, id: str, tab: str) -> dict[str, Any]:
        """A tab wants a job to end; it goes on while another open one waits for it. The job as that tab is to see it.

        Of a search that goes on, what it has so far is kept as if it had been paused. Without a tab it ends for all.
        """
        job = self.get(id)
        job.askers.discard(tab)
        if not tab or job.over or not job.askers & self._live.tabs:
            return self.cancel(id).to_dict()
        if job.resumable and job.state == "running" and not job.ending:
            kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            job.left.append(kept)
            self.workers[job.lane].interrupt()
            await asyncio.wait([kept], timeout=self._patience + 2 * job.gap)
            if job.over or self._store.result(job.key) is not None:
                return {**job.to_dict(), "state": job.state if job.over else "paused"}
        return {**job.to_dict(), "state": "cancelled"}

    def cancel(self, id: str) -> Job:
        """End a job; one that searches is paused, and one that is paused is given up."""
        job = self.get(id)
        worker = self.workers[job.lane]
        if job.state == "waiting":
            self._waiting[job.lane].remove(job)
            self._end(job, "cancelled")
        elif job.state == "running" and not job.ending:
            job.ending = True
            worker.interrupt()
            # It listens between two steps, and how long these are it has shown.
            patience = self._patience + 2 * job.gap
            job.killer = asyncio.get_running_loop().call_later(patience, worker.kill)
        elif job.state == "paused":
            worker.send("drop", job.id)
            job.held = False
            self._end(job, "cancelled")
        return job

    def resume(self, id: str, tab: str = "") -> Job:
        """Go on with a paused job, from the start where its worker is gone; one that went on for others is joined.

        Raises Fault 409 for one that failed or was cancelled.
        """
        job = self.get(id)
        if job.state in ("failed", "cancelled"):
            raise Fault(409, "JobError", f"the job is {job.state}, and only one that is paused can go on.")
        job.askers |= {tab} - {""}
        if job.state != "paused":
            return job
        job.state, job.ending = "waiting", False
        job.finished = asyncio.get_running_loop().create_future()
        self._enqueue(job)
        return job

    def _add(self, job: Job) -> None:
        self._jobs[job.id] = job
        over = [j.id for j in self._jobs.values() if j.over and j.state != "paused"]
        for id in over[: max(0, len(self._jobs) - KEPT)]:
            del self._jobs[id]

    def _enqueue(self, job: Job) -> None:
        self._waiting[job.lane].append(job)
        self._say(job)
        self._next(job.lane)

    def _next(self, lane: str) -> None:
        worker, waiting = self.workers[lane], self._waiting[lane]
        if self._current[lane] is not None or not waiting:
            return
        if not worker.alive:
            worker.start()
            return
        if not worker.ready:
            return
        # People first: pictures of built-in sets can wait.
        job = next((j for j in waiting if not j.own), waiting[0])
        waiting.remove(job)
        self._current[lane] = job
        job.state, job.since, job.begun = "running", time.monotonic(), False
        job.heard = job.since
        if job.held:
            job.held = False
            worker.send("resume", job.id)
        else:
            worker.send("run", job.id, job.task, job.key, job.payload)
        self._say(job)

    def _told(self, lane: str, message: tuple[Any, ...]) -> None:
        kind = message[0]
        if kind == "ready":
            if not self.facts.done():
                self.facts.set_result(json.loads(message[1]))
            self._remember(message[1])
            self._next(lane)
            return
        job = self._current[lane]
        if job is None or job.id != message[1]:
            return
        now = time.monotonic()
        job.gap, job.heard = max(job.gap, now - job.heard), now
        match message:
            case ("begun", _):
                job.begun = True
            case ("progress", _, what, done, total):
                job.what, job.done, job.total = what, done, total
                self._say(job)
            case ("preview", _, result, arrays):
                job.shown, job.preview = (result, arrays), job.preview + 1
                self._say(job)
            case ("done", _, found):
                self._end(job, "done", found)
            case ("paused" | "cancelled", _) if job.left and not job.ending:
                # What it has so far is kept for those who left; the others wait on.
                again = ("run", job.id, job.task, job.key, job.payload)
                self.workers[lane].send(*(("resume", job.id) if kind == "paused" else again))
                self._released(job)
            case ("paused", _):
                job.held = True
                self._end(job, "paused")
            case ("cancelled", _):
                self._end(job, "cancelled")
            case ("failed", _, status, kind, text):
                self._end(job, "failed", fault=Fault(status, kind, text))
            case _:
                return

    def _released(self, job: Job) -> None:
        left, job.left = job.left, []
        for one in left:
            if not one.done():
                one.set_result(None)

    def _remembered(self) -> dict[str, Any] | None:
        """The facts of an earlier run, so that the page need not wait for a library to be imported."""
        try:
            return json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def _remember(self, text: str) -> None:
        part = self._memory.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(self._memory)

    def _died(self, lane: str, words: str) -> None:
        self._live.say(f"worker {lane}", {"type": "worker", "lane": lane, "message": words})
        for job in self._jobs.values():
            if job.lane == lane:
                job.held = False
        job = self._current[lane]
        if job is not None:
            if job.ending:
                self._end(job, "cancelled")
            elif not job.begun and not job.again and not self.workers[lane].hopeless:
                # It was on its way to a worker that was dead already, and had no part in that.
                job.again, job.state, job.since = True, "waiting", None
                self._current[lane] = None
                self._waiting[lane].appendleft(job)
                self._say(job)
            else:
                self._end(job, "failed", fault=Fault(500, "WorkerError", words))
        if self.workers[lane].hopeless:
            # It never comes to life: what waits is told, or it would wait for ever.
            waiting = list(self._waiting[lane])
            self._waiting[lane].clear()
            for one in waiting:
                self._end(one, "failed", fault=Fault(500, "WorkerError", words))

    def _end(self, job: Job, state: State, found: Any = None, fault: Fault | None = None) -> None:
        if job.since is not None:
            job.spent += time.monotonic() - job.since
            job.since = None
        if job.killer is not None:
            job.killer.cancel()
            job.killer = None
        if self._current[job.lane] is job:
            self._current[job.lane] = None
        job.ending = False
        job.error = None if fault is None else fault.to_dict()
        if state == "done" and not job.own:
            try:
                self._ended(job)
            except Fault as failed:
                state, job.error = "failed", failed.to_dict()
        job.state = state
        if job.shown is not None and state in ("done", "cancelled", "failed"):
            # A page that asked for the latest preview a moment ago is still to be answered.
            asyncio.get_running_loop().call_later(_LINGERS, _forget, job)
        if fault is not None and job.own:
            job.finished.set_exception(fault)
        elif not job.finished.done():
            job.finished.set_result(found)
        self._released(job)
        self._say(job)
        if state in ("done", "paused") and not job.own:
            self._stored += 1
            if self._stored % SWEEP == 0:
                asyncio.get_running_loop().run_in_executor(None, self._store.evict)
        self._next(job.lane)

    def _say(self, job: Job) -> None:
        if not job.own:
            self._live.say(f"job {job.id}", {"type": "job", "job": job.to_dict()})


def _forget(job: Job) -> None:
    """Let go of the last preview of a job that has ended."""
    if job.state in ("done", "cancelled", "failed"):
        job.shown = None
