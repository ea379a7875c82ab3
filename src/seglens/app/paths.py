"""Folders that the server was given: everything on disk is named by the id of such a root and a path below it."""

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from seglens.app.faults import Fault

IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
NETWORKS = (".pt2", ".pt", ".pth", ".ts", ".ckpt", ".safetensors", ".keras", ".h5", ".hdf5", ".onnx", ".bin")
_FOLDERS = ("model.safetensors", "pytorch_model.bin", "model.pt")

LISTED = 5000
"""Entries of one folder that are listed."""


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that was given. id: the same in every run. path: real, without links."""

    id: str
    name: str
    path: Path


class Roots:
    """The folders that were given; nothing outside them is ever opened."""

    def __init__(self, folders: tuple[str, ...]) -> None:
        real = dict.fromkeys(os.path.realpath(f) for f in folders)
        self.items = [
            Root(sha256(path.encode()).hexdigest()[:12], Path(path).name or path, Path(path))
            for path in real
            if os.path.isdir(path)
        ]

    def resolve(self, root: str, path: str) -> Path:
        """The real path below a root. Raises Fault 404 for an unknown root or no such file, 403 for one outside."""
        found = next((r for r in self.items if r.id == root), None)
        if found is None:
            raise Fault(404, "RootError", f"no folder {root!r} was given to the page.\n  Start it with --root FOLDER.")
        outside = Fault(403, "RootError", f"{path!r} does not lie in {found.name!r}, so it is not opened.")
        parts = path.replace("\\", "/").split("/")
        if "\0" in path or path.startswith(("/", "\\")) or ":" in parts[0] or ".." in parts:
            raise outside
        real = Path(os.path.realpath(found.path.joinpath(*parts)))
        # A link may lead anywhere; what counts is where it leads.
        if not real.is_relative_to(found.path):
            raise outside
        if not real.exists():
            raise Fault(404, "RootError", f"no file {path!r} in {found.name!r}.")
        return real

    def place(self, path: Path) -> tuple[str, str] | None:
        """Root id and path below it of a real path; None where it lies in no root."""
        real = Path(os.path.realpath(path))
        # The innermost root names it most shortly.
        for root in sorted(self.items, key=lambda r: -len(r.path.parts)):
            if real.is_relative_to(root.path):
                return root.id, real.relative_to(root.path).as_posix()
        return None

    def entries(self, root: str, path: str) -> list[dict[str, Any]]:
        """What lies in a folder: folders first, then by name; hidden files are left out."""
        folder = self.resolve(root, path)
        if not folder.is_dir():
            raise Fault(422, "RootError", f"{path!r} is no folder.")
        base = next(r.path for r in self.items if r.id == root)
        found: list[dict[str, Any]] = []
        with os.scandir(folder) as scan:
            for entry in scan:
                if entry.name.startswith("."):
                    continue
                real = Path(os.path.realpath(entry.path))
                if not real.is_relative_to(base):
                    continue
                try:
                    size = entry.stat().st_size
                except OSError:
                    continue
                below = f"{path.rstrip('/')}/{entry.name}" if path else entry.name
                found.append({"path": below, "name": entry.name, "kind": kind_of(real), "bytes": size})
        found.sort(key=lambda e: (e["kind"] != "folder", e["name"].casefold()))
        return found[:LISTED]


def kind_of(path: Path) -> str:
    """'folder', 'network', 'image' or 'other'. A folder that a library wrote a network into is a network."""
    if path.is_dir():
        config = (path / "config.json").is_file() or (path / "specs.json").is_file()
        return "network" if config and any((path / f).is_file() for f in _FOLDERS) else "folder"
    suffix = path.suffix.lower()
    return "image" if suffix in IMAGES else "network" if suffix in NETWORKS else "other"
