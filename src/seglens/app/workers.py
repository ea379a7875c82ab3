"""Worker processes seen from the server: started, spoken to over a pipe, told to end, killed, started again."""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

Receive = Callable[[str, tuple[Any, ...]], None]
Died = Callable[[str, str], None]

BEFORE_READY = 3
"""Deaths in a row, before it was ready, after which it is not started again by itself."""


@contextmanager
def _deaf() -> Generator[None]:
    """Processes that begin in here do not hear Ctrl-C, which a terminal sends to all: not while they import, either."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may say so; elsewhere no terminal's server runs.
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Process:
    """The worker of one lane. receive: told each of its messages; died: told in words how it ended, unasked.

    Both are called in the event loop's thread. A message of a process that is gone is not passed on.
    """

    def __init__(self, lane: str, folder: str, threads: int, receive: Receive, died: Died) -> None:
        self.lane = lane
        self.ready = False
        self._folder, self._threads = folder, threads
        self._receive, self._died = receive, died
        self._context = multiprocessing.get_context("spawn")
        self._cancel = self._context.Event()
        self._process: Any = None
        self._pipe: Connection | None = None
        self._turn = 0
        self._failures = 0
        self._loop = asyncio.get_running_loop()

    @property
    def pid(self) -> int | None:
        """Of the process; None where there is none."""
        return None if self._process is None else self._process.pid

    @property
    def alive(self) -> bool:
        """Whether there is one to be spoken to."""
        return self._pipe is not None

    @property
    def hopeless(self) -> bool:
        """Whether it died again and again before it was ready, and is started only when somebody asks for something."""
        return self._failures >= BEFORE_READY

    def start(self) -> None:
        """A new process, which says 'ready' once it has imported everything."""
        from seglens.app.worker import main

        self._turn += 1
        self.ready = False
        ours, theirs = self._context.Pipe()
        # An event of its own: one that was killed may have died holding the lock of the old one.
        self._cancel = self._context.Event()
        self._process = self._context.Process(
            target=main,
            args=(theirs, self._cancel, self._folder, self._threads),
            name=f"seglens {self.lane}",
            daemon=True,
        )
        with _deaf():
            self._process.start()
        theirs.close()
        self._pipe = ours
        threading.Thread(target=self._listen, args=(ours, self._process, self._turn), daemon=True).start()

    def send(self, *message: Any) -> None:
        """Pass a message on; one that dies meanwhile is heard of as `died`."""
        if message[0] in ("run", "resume"):
            self._cancel.clear()
        if self._pipe is not None:
            try:
                self._pipe.send(message)
            except OSError:
                return

    def interrupt(self) -> None:
        """Ask it to end what it does."""
        self._cancel.set()

    def kill(self) -> None:
        """End it at once; `died` follows."""
        if self._process is not None:
            self._process.kill()

    def stop(self) -> None:
        """End it for good, gently first. Blocks for a second at most."""
        self._turn += 1
        if self._process is None or self._pipe is None:
            return
        self._cancel.set()
        self.send("stop")
        self._process.join(1.0)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(1.0)
        self._pipe.close()
        self._pipe = None

    def _listen(self, pipe: Connection, process: Any, turn: int) -> None:
        while True:
            try:
                message = pipe.recv()
            except (EOFError, OSError):
                break
            self._later(self._told, turn, message)
        process.join(2.0)
        self._later(self._ended, turn, process.exitcode)

    def _later(self, call: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:
            # The loop is closed: the server ends.
            return

    def _told(self, turn: int, message: tuple[Any, ...]) -> None:
        if turn == self._turn:
            if message[0] == "ready":
                self.ready, self._failures = True, 0
            self._receive(self.lane, message)

    def _ended(self, turn: int, code: int | None) -> None:
        if turn != self._turn:
            return
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        self._failures = 0 if self.ready else self._failures + 1
        self.ready = False
        self._died(self.lane, words_of(code))
        if not self.alive and not self.hopeless:
            self.start()


def words_of(code: int | None) -> str:
    """How a process ended, in words a person can act on."""
    if code is not None and code == -int(getattr(signal, "SIGKILL", 9)):
        return (
            "the worker was killed: most often because memory ran out.\n"
            "  Try a smaller picture or fewer steps; a new worker is ready."
        )
    if code is not None and code < 0:
        return f"the worker crashed ({_signal(-code)}).\n  A new one was started; the terminal may show more."
    return f"the worker ended (exit code {code}).\n  A new one was started; the terminal may show more."


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def threads() -> int:
    """Threads of a worker: OMP_NUM_THREADS, else one less than there are cores, which the browser needs."""
    told = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(told) if told.isdigit() and int(told) else max(1, cores - 1)
