"""What the server is told when it starts."""

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

PORT = 8765
"""Taken where it is free and no other is named."""

UPLOAD = 64 * 2**20
"""Bytes of one upload."""

PIXELS = 2**26
"""Pixels of one picture: 8192 × 8192."""

STORE = 4 * 2**30
"""Bytes of results that are kept; the oldest used go first."""

BROUGHT = 2 * 2**30
"""Bytes of uploads, truths given by hand, drawn masks and thumbnails together; the oldest used go first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """host, port: where to listen; a port of None takes PORT where it is free. store: folder of results.

    roots: folders that may be looked into. network: what to open first, as `seglens.load` takes it; images: a folder
    or a file to begin with. static: folder of the built page. browser: whether to open one. upload, pixels, kept,
    brought: see UPLOAD, PIXELS, STORE, BROUGHT.
    """

    host: str = "127.0.0.1"
    port: int | None = None
    store: str = ""
    roots: tuple[str, ...] = ()
    network: str = "streets-unet"
    images: str | None = None
    static: str | None = None
    browser: bool = True
    upload: int = UPLOAD
    pixels: int = PIXELS
    kept: int = STORE
    brought: int = BROUGHT
    patience: float = field(default=4.0)

    def to_json(self) -> str:
        """For the command line of the server's process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Settings":
        """From what `to_json` wrote."""
        plain = json.loads(text)
        plain["roots"] = tuple(plain["roots"])
        return cls(**plain)

    @property
    def folder(self) -> Path:
        """Where results are kept."""
        return Path(self.store) if self.store else default_store()


def default_store() -> Path:
    """seglens/app in the user's cache directory, as the system has it."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "seglens" / "app"
