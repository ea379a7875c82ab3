"""Digests of what is on disk and of questions, the same in every run."""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any


def digest_of(value: Mapping[str, Any] | list[Any]) -> str:
    """sha256 of a plain value as canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return sha256(text.encode()).hexdigest()


def content_of(path: Path) -> str:
    """sha256 of a file's bytes, or of the files right in a folder; read again only where size or time changed."""
    if path.is_dir():
        return digest_of([[f.name, content_of(f)] for f in sorted(path.iterdir()) if f.is_file()])
    stat = os.stat(path)
    return _content(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _content(path: str, changed: int, size: int) -> str:
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()
