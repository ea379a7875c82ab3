"""A worker's process: takes one task after the other from its pipe, and tells how it goes.

It is the only one with torch, which is imported when it runs, and not with this module: the server names `main`.
"""

import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from seglens.app.faults import Fault, fault_of
from seglens.app.store import Store
from seglens.app.tasks.outcome import Glimpse, Outcome, Steps, as_result, keep
from seglens.core.progress import watching

EVERY = 0.12
"""Seconds between previews, and between words of progress."""

HELD = 4
"""Searches that are kept when they are paused; the oldest goes, and would begin anew."""

RECENT = 6
"""Outcomes that are kept for the files that may be asked of them."""

Send = Callable[..., None]


def main(connection: Connection, cancel: Event, folder: str, threads: int) -> None:
    """Work until the pipe closes. cancel: set while the task at hand is to end."""
    # Ctrl-C reaches every process of the terminal; the server says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("MPLBACKEND", "Agg")
    import torch

    torch.set_num_threads(threads)
    warnings.simplefilter("ignore")
    try:
        Worker(connection, cancel, Store(Path(folder), 0)).run()
    except (EOFError, OSError, KeyboardInterrupt):
        # The server is gone, and nobody is left to tell.
        sys.exit(0)


class Worker:
    """What it holds: open networks, paused searches, recent outcomes."""

    def __init__(self, connection: Connection, cancel: Event, store: Store) -> None:
        from seglens.app.tasks.table import TASKS
        from seglens.app.tasks.work import Cancelled, Work

        self._pipe, self._cancel, self._store = connection, cancel, store
        self._tasks, self._cancelled = TASKS, Cancelled
        self._work = Work(store)
        self._held: OrderedDict[str, tuple[str, str, Mapping[str, Any], Steps]] = OrderedDict()
        self._recent: OrderedDict[str, Outcome] = OrderedDict()
        self._told = 0.0

    def run(self) -> None:
        """Until 'stop'."""
        from seglens.app.tasks.facts import facts

        self._pipe.send(("ready", json.dumps(facts())))
        while True:
            message = self._pipe.recv()
            match message:
                case ("run", job, task, key, payload):
                    self._attempt(job, lambda job=job, task=task, key=key, p=payload: self._begin(job, task, key, p))
                case ("resume", job):
                    self._attempt(job, lambda job=job: self._go_on(job))
                case ("drop", job):
                    self._held.pop(job, None)
                case ("warm", spec):
                    self._warm(spec)
                case _:
                    return

    def _warm(self, spec: Mapping[str, Any]) -> None:
        try:
            self._work.network(spec)
        except Exception:  # noqa: BLE001  whoever asks for it hears why it cannot be opened
            return

    def _attempt(self, job: str, work: Callable[[], None]) -> None:
        self._pipe.send(("begun", job))
        try:
            work()
        except self._cancelled:
            self._pipe.send(("cancelled", job))
        except Exception as failed:  # noqa: BLE001  whatever a network does, the next task is to be taken
            from seglens.core.network import is_out_of_memory

            if is_out_of_memory(failed):
                self._work.forget()
                self._held.clear()
                self._recent.clear()
                failed = MemoryError(str(failed))
            fault = fault_of(failed)
            if fault.status == 500:
                traceback.print_exception(failed)
            self._pipe.send(("failed", job, fault.status, fault.kind, fault.message))

    def _begin(self, job: str, task: str, key: str, payload: Mapping[str, Any]) -> None:
        if task == "file":
            self._pipe.send(("done", job, str(self._file(job, payload["key"], payload["suffix"]))))
            return
        with watching(self._listener(job)):
            made = self._tasks[task](self._work, payload)
        if made is None:
            self._pipe.send(("done", job, None))
        elif isinstance(made, Outcome):
            self._finish(job, task, key, payload, made)
        else:
            self._follow(job, task, key, payload, made)

    def _go_on(self, job: str) -> None:
        if job not in self._held:
            raise Fault(410, "WorkerError", "the paused search is not held any more.\n  Start it anew.")
        task, key, payload, steps = self._held.pop(job)
        self._follow(job, task, key, payload, steps)

    def _follow(self, job: str, task: str, key: str, payload: Mapping[str, Any], steps: Steps) -> None:
        """Step after step, to the end or until it is to pause; its outcome so far is kept then."""
        until = 0.0
        last: Glimpse | None = None
        while True:
            # The listener is silent and never raises: an exception would end the search for good.
            step = next(steps, None)
            if step is None:
                break
            last = step
            self._tell(job, "masks", step.step, step.total)
            if self._cancel.is_set():
                self._held[job] = (task, key, payload, steps)
                while len(self._held) > HELD:
                    self._held.popitem(last=False)
                self._finish(job, task, key, payload, step.make(True))
                return
            if (shown := time.monotonic()) >= until:
                result, data = as_result(step.make(True), key, task)
                # As text: a version that torch made a type of its own would bring torch into the server.
                self._pipe.send(("preview", job, json.dumps(result, allow_nan=False), data))
                # Of large pictures a preview takes its time: a fifth of the work at most is showing it.
                until = max(shown + EVERY, time.monotonic() + 4 * (time.monotonic() - shown))
        if last is None:
            raise Fault(500, "WorkerError", "the search gave nothing at all.")
        self._finish(job, task, key, payload, last.make(False))

    def _finish(self, job: str, task: str, key: str, payload: Mapping[str, Any], outcome: Outcome) -> None:
        keep(self._store, outcome, key, task, {"task": task, "payload": payload})
        self._recent[key] = outcome
        while len(self._recent) > RECENT:
            self._recent.popitem(last=False)
        self._pipe.send(("done", job, None) if outcome.whole else ("paused", job))

    def _file(self, job: str, key: str, suffix: str) -> Path:
        """Make a file of a result, beside it in the store."""
        outcome, folder = self._recent.get(key), self._store.at(key)
        if folder is None:
            raise Fault(404, "ResultError", "the result is not kept any more.\n  Ask again.")
        if outcome is None:
            from seglens.app.tasks.again import made_again

            with watching(self._listener(job)):
                outcome = made_again(self._work, key, folder)
        if outcome.save is None or suffix not in outcome.formats:
            formats = ", ".join(outcome.formats) or "none"
            raise Fault(404, "ResultError", f"this result cannot be saved as .{suffix}.\n  Its formats: {formats}.")
        part, path = folder / f"part.{suffix}", folder / f"file.{suffix}"
        outcome.save(part)
        part.replace(path)
        return path

    def _listener(self, job: str) -> Callable[[str, int, int], None]:
        def listen(what: str, done: int, total: int) -> None:
            if self._cancel.is_set():
                raise self._cancelled
            self._tell(job, what, done, total)

        return listen

    def _tell(self, job: str, what: str, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._told >= EVERY or done == total:
            self._told = now
            self._pipe.send(("progress", job, str(what), int(done), int(total)))
