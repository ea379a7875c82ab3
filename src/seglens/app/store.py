"""Results on disk, under the digest of their question: what was asked before comes back at once."""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_KEY = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,60}")
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")

HEAD = "meta.json"


class Store:
    """Folders KEY/ with meta.json (result, request, whether it is whole), NAME.bin for each array, and files of it.

    A result is written beside and renamed, so that there is all of it or nothing. limit: bytes; see `evict`.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.results = folder / "results"
        self.limit = limit
        self.results.mkdir(parents=True, exist_ok=True)

    def at(self, key: str) -> Path | None:
        """The folder of a result; None where there is none, or the key is no key."""
        path = self.results / key
        return path if _KEY.fullmatch(key) and (path / HEAD).is_file() else None

    def head(self, key: str) -> dict[str, Any] | None:
        """What meta.json holds; a damaged one is as none. Counts as use."""
        path = self.at(key)
        if path is None:
            return None
        try:
            found: object = json.loads((path / HEAD).read_text(encoding="utf-8"))
            os.utime(path / HEAD)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None  # pyright: ignore[reportUnknownVariableType]

    def result(self, key: str, *, whole: bool = False) -> dict[str, Any] | None:
        """The result; `whole` leaves out what was stopped on the way."""
        head = self.head(key)
        if head is None or (whole and not head.get("whole")):
            return None
        return head.get("result")

    def array(self, key: str, name: str) -> Path | None:
        """The file of an array's bytes."""
        return self._file(key, f"{name}.bin") if _NAME.fullmatch(name) else None

    def file(self, key: str, suffix: str) -> Path | None:
        """A file that was made of the result, where it was made already."""
        return self._file(key, f"file.{suffix}") if _SUFFIX.fullmatch(suffix) else None

    def _file(self, key: str, name: str) -> Path | None:
        path = self.at(key)
        return None if path is None or not (path / name).is_file() else path / name

    def begin(self) -> Path:
        """An empty folder to fill, which `finish` makes a result."""
        return Path(tempfile.mkdtemp(prefix=".part-", dir=self.results))

    def finish(
        self, part: Path, key: str, result: Mapping[str, Any], request: Mapping[str, Any], *, whole: bool
    ) -> None:
        """Make a filled folder the result of that key, over one that is there."""
        head = {"result": result, "request": request, "whole": whole}
        (part / HEAD).write_text(json.dumps(head, ensure_ascii=False, allow_nan=False), encoding="utf-8")
        target = self.results / key
        if target.exists():
            old = self.begin()
            target.rename(old / "old")
            part.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        else:
            part.rename(target)

    def amend(self, key: str, result: Mapping[str, Any]) -> None:
        """Replace what a result says of itself."""
        path, head = self.at(key), self.head(key)
        if path is not None and head is not None:
            part = path / f".{HEAD}.part"
            part.write_text(json.dumps({**head, "result": result}, ensure_ascii=False), encoding="utf-8")
            part.replace(path / HEAD)

    def clean(self) -> None:
        """Throw away what was begun more than an hour ago and never finished; another server may be writing now."""
        for part in self.results.glob(".part-*"):
            if time.time() - part.stat().st_mtime > 3600:
                shutil.rmtree(part, ignore_errors=True)

    def evict(self) -> int:
        """Delete results until the rest fits the limit, the longest unused first; returns how many went."""
        sizes: list[tuple[float, int, Path]] = []
        for path in self.results.iterdir():
            if path.name.startswith("."):
                continue
            try:
                used = (path / HEAD).stat().st_mtime
                sizes.append((used, sum(f.stat().st_size for f in path.iterdir()), path))
            except OSError:
                continue
        total, gone = sum(size for _, size, _ in sizes), 0
        # What was used last is being looked at, however large it is.
        for _, size, path in sorted(sizes)[:-1]:
            if total <= self.limit:
                break
            shutil.rmtree(path, ignore_errors=True)
            total, gone = total - size, gone + 1
        return gone
