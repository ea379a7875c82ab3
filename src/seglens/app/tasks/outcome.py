"""What a task gives back, and how it lies in the store."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.app.store import Store
from seglens.core.saving import finite

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """meta: what api.ts says of the task. arrays: by name. python: the line that gives the same.

    formats: suffixes that `save` writes; the path's suffix tells which. keep: writes into the result's folder what
    later tasks read. whole: False for what was stopped on the way. made: what the library gave, where later tasks use
    it.
    """

    meta: Mapping[str, Any]
    arrays: Arrays = field(default_factory=dict[str, NDArray[Any]])
    python: str = ""
    formats: tuple[str, ...] = ()
    save: Callable[[Path], object] | None = None
    keep: Callable[[Path], object] | None = None
    whole: bool = True
    made: object = None


@dataclass(frozen=True, slots=True)
class Glimpse:
    """Where an iterative task stands. make: its outcome as it would be now; `stopped` says that it ends here."""

    step: int
    total: int
    make: Callable[[bool], Outcome]


Steps = Iterator[Glimpse]


def encoded(values: NDArray[Any]) -> tuple[bytes, dict[str, Any]]:
    """An array as bytes, little-endian in C order, with what tells how to read them: value = stored · scale.

    Truth values become uint8, whole numbers the smallest type that holds them, and all others float16 of the value
    over the greatest finite size, so that no map is too large or too small for it.
    """
    a = np.asarray(values)
    scale = 1.0
    if a.dtype == np.bool_ or a.dtype == np.uint8:
        stored = a.astype("u1")
    elif a.dtype.kind in "iu":
        low, high = (int(a.min()), int(a.max())) if a.size else (0, 0)
        stored = a.astype("u1" if low >= 0 and high < 256 else "<u2" if low >= 0 and high < 65536 else "<i4")
    else:
        a = a.astype(np.float64)
        sizes = np.abs(a[np.isfinite(a)])
        scale = float(sizes.max(initial=0.0)) or 1.0
        stored = (a / scale).astype("<f2")
    name = {"u1": "uint8", "u2": "uint16", "i4": "int32", "f2": "float16"}[stored.dtype.str[1:]]
    return np.ascontiguousarray(stored).tobytes(), {"dtype": name, "shape": list(a.shape), "scale": scale}


def as_result(outcome: Outcome, key: str, task: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Result of api.ts, and the bytes of its arrays."""
    data: dict[str, bytes] = {}
    arrays: dict[str, Any] = {}
    for name, values in outcome.arrays.items():
        data[name], how = encoded(values)
        arrays[name] = {"name": name, **how}
    result = {
        "key": key,
        "task": task,
        "meta": finite(dict(outcome.meta)),
        "arrays": arrays,
        "formats": list(outcome.formats),
        "python": outcome.python,
    }
    return result, data


def keep(store: Store, outcome: Outcome, key: str, task: str, request: Mapping[str, Any]) -> None:
    """Put an outcome into the store, whole or not at all."""
    result, data = as_result(outcome, key, task)
    part = store.begin()
    for name, stored in data.items():
        (part / f"{name}.bin").write_bytes(stored)
    if outcome.keep is not None:
        outcome.keep(part)
    store.finish(part, key, result, request, whole=outcome.whole)
