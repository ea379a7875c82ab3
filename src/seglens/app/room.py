"""Room on the disk for what people bring and what is made small of it: one bound, the longest unused go."""

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

UPLOADS, TRUTHS, MASKS, THUMBNAILS, SHIPPED = "uploads", "truths", "masks", "thumbnails", "shipped"
"""Folders of uploaded pictures, truths given by hand, drawn masks, what is made of pictures, built-in pictures."""


class Room:
    """The folders together, held to `limit` bytes. dropped: told which uploads and truths went, by the pictures' ids.

    Use is the time of access, set by hand: many disks do not keep it, and a changed time of writing would make a file
    look like another one.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self.dropped: Callable[[set[str]], None] = lambda ids: None
        self._lock = threading.Lock()
        # Counted when something is first added.
        self._taken = limit

    def use(self, path: Path) -> None:
        """Count as used now."""
        try:
            os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
        except OSError:
            # It went meanwhile, which whoever reads it hears.
            return

    def added(self, path: Path) -> None:
        """A file was written; the longest unused are deleted where all together are more than the limit."""
        self.use(path)
        with self._lock:
            self._taken += path.stat().st_size
            gone = self._evict() if self._taken > self.limit else set[str]()
        if gone:
            self.dropped(gone)

    def _evict(self) -> set[str]:
        found = sorted(self._things())
        total, gone = sum(size for _, size, _ in found), set[str]()
        # What was used last is being looked at, however large it is.
        for _, size, files in found[:-1]:
            if total <= self.limit:
                break
            total -= size
            for path in files:
                if path.parent.parent.name == UPLOADS:
                    gone.add(f"uploads-{path.parent.name}")
                    shutil.rmtree(path.parent, ignore_errors=True)
                    continue
                if path.parent.name == TRUTHS:
                    gone.add(path.stem)
                path.unlink(missing_ok=True)
        self._taken = total
        return gone

    def _things(self) -> Iterator[tuple[int, int, list[Path]]]:
        """What goes together, with when it was last used and its bytes: an upload with its truth, else each file."""
        own: set[Path] = set()
        for place in (self.folder / UPLOADS).glob("*/*"):
            if not place.name.startswith("."):
                truths = list((self.folder / TRUTHS).glob(f"uploads-{place.parent.name}.*"))
                own.update(truths)
                yield from _measured([place, *truths])
        for name in (TRUTHS, MASKS, THUMBNAILS, SHIPPED):
            for path in (self.folder / name).rglob("*"):
                if path.is_file() and not path.name.startswith(".") and path not in own:
                    yield from _measured([path])


def _measured(files: list[Path]) -> Iterator[tuple[int, int, list[Path]]]:
    try:
        stats = [path.stat() for path in files]
    except OSError:
        # It went meanwhile.
        return
    yield max(s.st_atime_ns for s in stats), sum(s.st_size for s in stats), files
