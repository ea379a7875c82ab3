"""Finished stages on disk, found again by a hash of everything that determines them."""

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from seglens.core.errors import SeglensWarning
from seglens.core.saving import finite, whole, write_arrays

T = TypeVar("T")

_ABOUT = "about"  # the entry of a file that says what it is


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of finished stages. A file is there whole or not at all; one that is damaged is told, and made again.

    Each is named for people, ends in the first signs of its key, and holds the whole key and facts about its making,
    such as versions and seconds, which do not determine it.
    """

    folder: Path

    def network(self, name: str, key: str, empty: Callable[[], nn.Module]) -> tuple[nn.Module, dict[str, Any]] | None:
        """The trained network and the facts, read into what `empty` makes; None where it is still to be trained."""
        path = self._path("networks", name, key, "safetensors")
        return self._read(path, lambda: _network(path, key, empty))

    def keep_network(self, name: str, key: str, module: nn.Module, facts: Mapping[str, Any]) -> None:
        """Write a trained network."""
        state = {n: t.detach().cpu().contiguous().clone() for n, t in module.state_dict().items()}
        about = {**facts, "key": key, "digest": _digest(state)}
        with whole(self._path("networks", name, key, "safetensors")) as file:
            file.write(save(state, {_ABOUT: json.dumps(finite(about))}))

    def arrays(self, kind: str, name: str, key: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """Arrays by name and the facts; None where they are still to be made."""
        path = self._path(kind, name, key, "npz")
        return self._read(path, lambda: _arrays(path, key))

    def keep_arrays(
        self, kind: str, name: str, key: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]
    ) -> None:
        """Write arrays."""
        about = np.array(json.dumps(finite({**facts, "key": key})))
        write_arrays({**arrays, _ABOUT: about}, self._path(kind, name, key, "npz"))

    def _path(self, kind: str, name: str, key: str, suffix: str) -> Path:
        return self.folder / kind / f"{name}.{key[:12]}.{suffix}"

    def _read(self, path: Path, read: Callable[[], T]) -> T | None:
        if not path.exists():
            return None
        try:
            return read()
        except Exception as damaged:  # noqa: BLE001 - a damaged file may raise anything, and is made again
            text = " ".join(str(damaged).split()) or type(damaged).__name__
            warnings.warn(SeglensWarning(f"{path} is damaged ({text}): that stage is done again."), stacklevel=3)
            return None


def key_of(*determines: Any) -> str:
    """A hash of plain values: the same for the same ones, in any process."""
    return sha256(json.dumps(determines, sort_keys=True, default=str).encode()).hexdigest()


def _network(path: Path, key: str, empty: Callable[[], nn.Module]) -> tuple[nn.Module, dict[str, Any]]:
    with safe_open(path, "pt") as file:
        about = _checked(json.loads(file.metadata()[_ABOUT]), key)
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    if _digest(state) != about["digest"]:
        raise ValueError("its weights are not those that were written")
    module = empty()
    module.load_state_dict(state)
    return module.eval(), about


def _arrays(path: Path, key: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    # Opened here, so that a damaged file is closed too.
    with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    about = _checked(json.loads(str(stored.pop(_ABOUT))), key)
    return stored, about


def _checked(about: dict[str, Any], key: str) -> dict[str, Any]:
    if about["key"] != key:
        raise ValueError("it is of another stage")
    return about


def _digest(state: Mapping[str, Tensor]) -> str:
    found = sha256()
    for name in sorted(state):
        found.update(f"{name} {tuple(state[name].shape)}".encode())
        found.update(state[name].numpy().tobytes())
    return found.hexdigest()
