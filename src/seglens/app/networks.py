"""Networks by id: where each comes from, under which description, and what is known of it once it was opened."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seglens.app.digests import content_of, digest_of
from seglens.app.faults import Fault
from seglens.app.paths import Roots

_KEPT = 500  # networks that are remembered from run to run


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """How a worker opens a network. source: as the page says it. load: as `seglens.load` takes it.

    fingerprint: of the file's bytes, the description beside it and the one stated here. file: whether it is on disk.
    """

    id: str
    source: str
    load: str
    file: bool
    fingerprint: str
    description: dict[str, Any] | None

    def payload(self) -> dict[str, Any]:
        """For a worker."""
        return {
            "id": self.id,
            "source": self.source,
            "load": self.load,
            "file": self.file,
            "description": self.description,
        }


class Networks:
    """The networks of this server. given: sources that the command line named, which need lie in no root."""

    def __init__(self, folder: Path, roots: Roots, builtin: list[str], given: str | None, version: str) -> None:
        self._memory = folder / "networks.json"
        self._roots = roots
        self.builtin = builtin
        self._given = given
        self._version = version
        self._specs: dict[str, NetworkSpec] = {}
        self.infos: dict[str, dict[str, Any]] = {}
        try:
            self._known: dict[str, Any] = json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self._known = {}

    def spec(self, source: str, description: dict[str, Any] | None = None) -> NetworkSpec:
        """The network of a source as it is now. Raises Fault for one that is not there, or lies outside the roots."""
        load, file = self._located(source)
        parts: list[Any] = [source, self._version, description]
        if file:
            path = Path(load)
            beside = [p for s in (".toml", ".json") if (p := path.with_suffix(s)).is_file() and p != path]
            parts += [content_of(p) for p in (path, *beside)]
        fingerprint = digest_of(parts)
        spec = NetworkSpec(f"n{fingerprint[:15]}", source, load, file, fingerprint, description)
        if spec.id not in self._specs:
            self._specs[spec.id] = spec
            self._remember(spec)
        return spec

    def get(self, id: str) -> NetworkSpec:
        """The network of an id, also of an earlier run where its file is as it was. Raises Fault 404."""
        found = self._specs.get(id)
        if found is None and isinstance(known := self._known.get(id), list) and len(known) == 2:
            again = self.spec(str(known[0]), known[1])
            found = again if again.id == id else None
        if found is None:
            raise Fault(404, "NetworkError", f"no network {id!r} is open: its file may have changed.\n  Open it again.")
        return found

    def _located(self, source: str) -> tuple[str, bool]:
        if source in self.builtin:
            return source, False
        if source == self._given:
            path = Path(source).expanduser()
            return (str(path.resolve()), True) if path.exists() else (source, False)
        root, colon, path = source.partition(":")
        if not colon:
            raise Fault(
                404,
                "NetworkError",
                f"no network {source!r}: neither one that ships nor a file, written ROOT:PATH.\n"
                f"  Those that ship: {', '.join(self.builtin)}.",
            )
        return str(self._roots.resolve(root, path)), True

    def _remember(self, spec: NetworkSpec) -> None:
        self._known.pop(spec.id, None)
        self._known[spec.id] = [spec.source, spec.description]
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        part = self._memory.with_suffix(".part")
        part.write_text(json.dumps(self._known), encoding="utf-8")
        part.replace(self._memory)
