"""How far long work has come: methods say it, and whoever shows it listens."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int, int], None]
"""Told what is being done, how many parts of it are done, and how many there are."""

_listening: ContextVar[Listener | None] = ContextVar("listening", default=None)


@contextmanager
def watching(listener: Listener) -> Generator[None]:
    """While the block runs, `listener(what, done, total)` hears of long work, such as the masks of RISE.

    An exception that it raises ends the work, which leaves network and input as they were.
    """
    before = _listening.set(listener)
    try:
        yield
    finally:
        _listening.reset(before)


def tell(what: str, done: int, total: int) -> None:
    """Say that `done` of `total` parts are done; nothing where nobody listens."""
    listener = _listening.get()
    if listener is not None:
        listener(what, done, total)
