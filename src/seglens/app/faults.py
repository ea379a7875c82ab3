"""Failures in words, as the page shows them: a kind, a message, and the status that goes with it."""

import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from seglens.core.errors import (
    EmptyRegionError,
    MissingExtraError,
    NetworkError,
    NonFiniteError,
    ParameterError,
    SeglensError,
    UnsafeFileError,
)

_STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (MissingExtraError, 501),
    (UnsafeFileError, 403),
    (ParameterError, 422),
    (EmptyRegionError, 422),
    (NonFiniteError, 422),
    (LookupError, 404),
    (SeglensError, 422),
)


class Fault(Exception):
    """What is answered in place of a result. status: of HTTP. kind: name of the error. message: in words."""

    def __init__(self, status: int, kind: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message

    def to_dict(self) -> dict[str, Any]:
        """As the page reads it."""
        return {"kind": self.kind, "message": self.message}


@dataclass(frozen=True, slots=True)
class Told:
    """A failure that crossed a pipe: kind and message alone."""

    kind: str
    message: str

    def to_dict(self) -> dict[str, Any]:
        """As the page reads it."""
        return {"kind": self.kind, "message": self.message}


@contextmanager
def without_options() -> Generator[None]:
    """Errors of opening a network that advise an argument of `seglens.load` say that the page has none."""
    try:
        yield
    except (NetworkError, UnsafeFileError) as refused:
        if not re.search(r"\b(trust|constructor)=", str(refused)):
            raise
        said = "  The page has no such option: it goes by what is written beside a file, and runs no code of files."
        raise type(refused)(f"{refused}\n{said}") from refused


def fault_of(error: BaseException) -> Fault:
    """An error of seglens as a fault; one that nobody foresaw as a fault of ours."""
    if isinstance(error, Fault):
        return error
    if isinstance(error, SeglensError):
        status = next(status for kind, status in _STATUS if isinstance(error, kind))
        return Fault(status, type(error).__name__, str(error))
    if isinstance(error, MemoryError):
        message = "memory ran out.\n  Try a smaller picture, fewer steps, or close other networks."
        return Fault(507, "MemoryError", message)
    message = f"{type(error).__name__}: {error}\n  This is a fault in seglens; the terminal shows where it happened."
    return Fault(500, type(error).__name__, message)
