"""The page's files, read once when the server starts: what is not among them does not exist."""

import mimetypes
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

BUILT = Path(__file__).parent / "_static"

_ABSENT = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>seglens</title></head>
<body><h1>The page is not built</h1>
<p>This copy of seglens holds the server, but not the page's files. In a checkout of the repository, run
<code>npm ci</code> and <code>npm run build</code> in the folder <code>web</code>; or install a released package.</p>
</body></html>
"""

_TYPES = {
    ".js": "text/javascript",
    ".css": "text/css",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
}


@dataclass(frozen=True, slots=True)
class File:
    """One file: bytes, type, digest; `lasting` where its name changes with its content."""

    data: bytes
    type: str
    etag: str
    lasting: bool


def read_static(folder: Path | None) -> dict[str, File]:
    """Path of an address to its file; '/' is the page itself, which says so where it is not built."""
    place = BUILT if folder is None else folder
    found: dict[str, File] = {}
    for path in sorted(place.rglob("*")) if place.is_dir() else ():
        if path.is_file() and path.name != "BUILD.json" and not path.name.startswith("."):
            name = path.relative_to(place).as_posix()
            found[f"/{name}"] = _file(path.read_bytes(), path.suffix, lasting=name.startswith("assets/"))
    found["/"] = found.get("/index.html") or _file(_ABSENT.encode(), ".html", lasting=False)
    return found


def _file(data: bytes, suffix: str, *, lasting: bool) -> File:
    kind = _TYPES.get(suffix.lower()) or mimetypes.guess_type(f"x{suffix}")[0] or "application/octet-stream"
    text = kind.startswith("text/") or kind == "image/svg+xml"
    return File(data, f"{kind}; charset=utf-8" if text else kind, f'"{sha256(data).hexdigest()[:24]}"', lasting)
