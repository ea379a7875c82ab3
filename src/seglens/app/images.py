"""Sets of pictures: built in, folders, uploads; each picture by an id that is the same in every run."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from seglens.app import pictures
from seglens.app.digests import content_of, digest_of
from seglens.app.faults import Fault
from seglens.app.pairing import by_stem, is_truth, partner, truth_folders
from seglens.app.paths import IMAGES, Roots
from seglens.app.room import SHIPPED, THUMBNAILS, TRUTHS, UPLOADS, Room

LISTED = 20000
"""Pictures of one folder that are listed."""

BUILTIN = {"streets": (64, 384, 192), "faces": (64, 64, 64)}
"""Built-in sets: how many pictures, width and height; made by `seglens.run.shipped` when they are asked for."""


@dataclass(slots=True)
class Picture:
    """One picture. path, truth: files; of a built-in one where they will lie once a worker made them.

    size: (width, height). problem: of the file. unfit: a truth that was looked at, and why it cannot be used, if so.
    """

    id: str
    name: str
    set: str
    path: Path
    truth: Path | None = None
    builtin: int | None = None
    size: tuple[int, int] | None = None
    problem: str | None = None
    unfit: tuple[Path, str] | None = None

    def payload(self, version: str) -> dict[str, Any]:
        """For a worker."""
        if self.builtin is not None:
            return {"id": self.id, "name": self.name, "set": self.set, "index": self.builtin, "version": version}
        truth = None if self.truth is None else str(self.truth)
        return {"id": self.id, "name": self.name, "set": self.set, "path": str(self.path), "truth": truth}


@dataclass(slots=True)
class PictureSet:
    """A set. origin: 'built in', 'folder' or 'uploads'."""

    id: str
    name: str
    origin: str
    members: list[Picture] = field(default_factory=list[Picture])

    def to_dict(self) -> dict[str, Any]:
        """ImageSet of api.ts."""
        return {"id": self.id, "name": self.name, "origin": self.origin, "size": len(self.members)}


class Images:
    """All sets. Folders that were opened, and truths that were given by hand, are remembered from run to run."""

    def __init__(self, room: Room, roots: Roots, pixels: int, version: str) -> None:
        folder = room.folder
        self._room = room
        self._roots = roots
        self._version = version
        self.pixels = pixels
        self.uploads = folder / UPLOADS
        self.truths = folder / TRUTHS
        self.shipped = folder / SHIPPED / version
        self.small = folder / THUMBNAILS
        self._dropped: dict[str, str] = {}
        self._memory = folder / "sets.json"
        for place in (self.uploads, self.truths, self.shipped, self.small):
            place.mkdir(parents=True, exist_ok=True)
        self.sets: dict[str, PictureSet] = {}
        self._by_id: dict[str, Picture] = {}
        self._folders: dict[str, list[str]] = self._remembered()
        for name, (count, width, height) in BUILTIN.items():
            members = [
                Picture(
                    f"{name}-{i}",
                    f"{name}-{i}.png",
                    name,
                    self.shipped / f"{name}-{i}.png",
                    self.shipped / f"{name}-{i}.labels.png",
                    i,
                    (width, height),
                )
                for i in range(count)
            ]
            self._add(PictureSet(name, name, "built in", members))
        self._add(PictureSet("uploads", "uploads", "uploads", self._uploaded()))

    def listed(self) -> list[dict[str, Any]]:
        """Every set; uploads only where there are any."""
        return [s.to_dict() for s in self.sets.values() if s.members or s.origin != "uploads"]

    def set(self, id: str) -> PictureSet:
        """A set, also a folder of an earlier run. Raises Fault 404."""
        if id not in self.sets and id in self._folders:
            self.open(*self._folders[id])
        if id not in self.sets:
            raise Fault(404, "ImageError", f"no set {id!r} is open.\n  Open its folder again.")
        return self.sets[id]

    def get(self, id: str) -> Picture:
        """A picture, also of a folder of an earlier run. Counts as use. Raises Fault 404, 410 for a dropped upload."""
        if id not in self._by_id and (name := id.rpartition("-")[0]) in self._folders:
            self.set(name)
        if id not in self._by_id and id.startswith("uploads-"):
            name = self._dropped.get(id, f"the upload {id!r}")
            raise Fault(410, "ImageError", f"{name} was dropped{self._full}\n  Add it again.")
        if id not in self._by_id:
            raise Fault(404, "ImageError", f"no picture {id!r} is known.\n  Open its folder again.")
        picture = self._by_id[id]
        if picture.set == "uploads":
            self._room.use(picture.path)
        elif picture.truth is not None and picture.truth.parent == self.truths:
            self._room.use(picture.truth)
        return picture

    @property
    def _full(self) -> str:
        limit = self._room.limit / 2**30
        return f": uploads, drawn masks and thumbnails have {limit:.3g} GiB together, and others were used since."

    def drop(self, ids: Iterable[str]) -> None:
        """Uploads, and truths of other pictures, that are not on the disk any more."""
        for id in self._by_id.keys() & ids:
            picture = self._by_id[id]
            if picture.set == "uploads" and not picture.path.is_file():
                self._dropped[id] = picture.name
                del self._by_id[id]
                # Another list, for somebody may be going through this one.
                self.sets["uploads"].members = [p for p in self.sets["uploads"].members if p is not picture]
            elif picture.truth is not None and not picture.truth.is_file():
                picture.truth = None
                self._dropped[id] = picture.name

    def truth(self, picture: Picture) -> Path:
        """The file of its true labels. Raises Fault 404 without, 410 where they were dropped."""
        if picture.truth is not None:
            return picture.truth
        if picture.id in self._dropped:
            raise Fault(
                410, "ImageError", f"the true labels of {picture.name} were dropped{self._full}\n  Give them again."
            )
        raise Fault(404, "ImageError", f"{picture.name} has no true labels.\n  Give it a label image.")

    def made(self, path: Path) -> None:
        """A picture was made of another, or of a built-in set."""
        self._room.added(path)

    def open(self, root: str, path: str) -> PictureSet:
        """The pictures right in a folder, with the truths that their names tell; or one file's folder."""
        folder = self._roots.resolve(root, path)
        if not folder.is_dir():
            raise Fault(422, "ImageError", f"{path!r} is no folder of pictures.")
        id = "f" + digest_of([root, path.strip("/")])[:11]
        with os.scandir(folder) as scan:
            names = [e.name for e in scan if not e.name.startswith(".") and Path(e.name).suffix.lower() in IMAGES]
        stems = {Path(n).stem for n in names}
        names = sorted((n for n in names if not is_truth(Path(n).stem, stems)), key=_natural)[:LISTED]
        if not names:
            raise Fault(
                404, "ImageError", f"no pictures lie in {path or folder.name!r}.\n  Expected {' '.join(IMAGES)}."
            )
        truths = by_stem(folder, truth_folders(folder, self._roots))
        members: list[Picture] = []
        for name in names:
            real = Path(os.path.realpath(folder / name))
            if self._roots.place(real) is None:
                continue
            own = f"{id}-{sha256(name.encode()).hexdigest()[:12]}"
            truth = partner(Path(name).stem, truths)
            members.append(Picture(own, name, id, real, self._given(own) or (truth if truth != real else None)))
        self._folders[id] = [root, path]
        self._memory.write_text(json.dumps(self._folders), encoding="utf-8")
        return self._add(PictureSet(id, folder.name, "folder", members))

    def upload(self, name: str, data: bytes) -> Picture:
        """Keep an uploaded picture. Raises Fault for what is none."""
        form = pictures.check(data, name or "the upload", self.pixels)
        plain = re.sub(r"[^\w.-]+", "_", Path(name.replace("\\", "/")).name)[-80:].lstrip(".") or "upload"
        if Path(plain).suffix.lower() not in IMAGES:
            plain += f".{form.lower()}"
        digest = sha256(data).hexdigest()[:16]
        place = self.uploads / digest
        place.mkdir(exist_ok=True)
        before = next((p for p in place.iterdir() if not p.name.startswith(".")), None)
        if before is None:
            before = place / plain
            part = place / f".{plain}.part"
            part.write_bytes(data)
            part.replace(before)
            self._room.added(before)
        found = self._by_id.get(f"uploads-{digest}") or self._upload(before)
        if found.id not in self._by_id:
            self._dropped.pop(found.id, None)
            self.sets["uploads"].members.append(found)
            self._by_id[found.id] = found
        return found

    def give_truth(self, id: str, data: bytes) -> Picture:
        """Take a label image as a picture's truth, instead of one that names told. Raises Fault for another size."""
        picture = self.get(id)
        if picture.builtin is not None:
            raise Fault(409, "ImageError", f"{picture.name} is built in and has its exact truth.")
        form = pictures.check(data, "the truth", self.pixels)
        if form in ("JPEG", "WEBP"):
            message = f"a {form} changes values near edges, so it is no use as labels.\n  Save it as PNG."
            raise Fault(415, "ImageError", message)
        part = self.truths / f".{id}.part"
        part.write_bytes(data)
        size = pictures.size_of(part, self.pixels)
        if size != self.size_of(picture):
            part.unlink()
            raise Fault(422, "ShapeError", _another_size("the truth", size, picture.name, self.size_of(picture)))
        picture.truth = part.replace(self.truths / f"{id}.{form.lower()}")
        self._room.added(picture.truth)
        return picture

    def size_of(self, picture: Picture) -> tuple[int, int]:
        """(width, height). Raises Fault for a file that cannot be read."""
        if picture.size is None:
            picture.size = pictures.size_of(picture.path, self.pixels)
        return picture.size

    def _unfit(self, picture: Picture) -> str:
        """Why the truth that names told cannot be used; nothing where it can, as far as its size tells."""
        truth = picture.truth
        if truth is None or picture.builtin is not None or picture.problem is not None:
            return ""
        if picture.unfit is None or picture.unfit[0] != truth:
            try:
                size, own = pictures.size_of(truth, self.pixels), self.size_of(picture)
                why = "" if size == own else _another_size(f"the truth {truth.name}", size, picture.name, own)
            except (Fault, OSError) as broken:
                why = broken.message if isinstance(broken, Fault) else f"{truth.name} cannot be read: {broken}"
            picture.unfit = truth, why
        return picture.unfit[1]

    def info(self, picture: Picture) -> dict[str, Any]:
        """ImageInfo of api.ts; what is wrong with the file is said in it."""
        try:
            width, height = self.size_of(picture)
        except Fault as fault:
            width = height = 0
            picture.problem = fault.message
        except OSError as gone:
            width = height = 0
            picture.problem = f"{picture.name} cannot be read: {gone}"
        unfit = self._unfit(picture)
        found: dict[str, Any] = {
            "id": picture.id,
            "name": picture.name,
            "set": picture.set,
            "width": width,
            "height": height,
            "truth": picture.truth is not None and not unfit,
            **({"unfit": unfit} if unfit else {}),
        }
        return found if picture.problem is None else {**found, "problem": picture.problem}

    def content(self, picture: Picture) -> list[str]:
        """What tells a picture and its truth from any other. Raises Fault where the file is gone."""
        if picture.builtin is not None:
            return [picture.id, self._version]
        try:
            found = [content_of(picture.path), picture.path.name]
            return found if picture.truth is None else [*found, content_of(picture.truth)]
        except OSError as gone:
            raise Fault(404, "ImageError", f"{picture.name} cannot be read any more: {gone}") from gone

    def payload(self, picture: Picture) -> dict[str, Any]:
        """For a worker."""
        return picture.payload(self._version)

    def _add(self, found: PictureSet) -> PictureSet:
        self.sets[found.id] = found
        self._by_id.update((p.id, p) for p in found.members)
        return found

    def _remembered(self) -> dict[str, list[str]]:
        try:
            found = json.loads(self._memory.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(k): [str(v[0]), str(v[1])] for k, v in found.items()}

    def _uploaded(self) -> list[Picture]:
        found = [f for d in self.uploads.iterdir() if d.is_dir() for f in d.iterdir() if not f.name.startswith(".")]
        return [self._upload(path) for path in sorted(found, key=lambda p: p.stat().st_mtime)]

    def _upload(self, path: Path) -> Picture:
        id = f"uploads-{path.parent.name}"
        return Picture(id, path.name, "uploads", path, self._given(id))

    def _given(self, id: str) -> Path | None:
        return next(iter(self.truths.glob(f"{id}.*")), None)


def _natural(name: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", name)
    return [(0, int(p), "") if p.isdigit() else (1, 0, p.casefold()) for p in parts if p]


def _another_size(what: str, size: tuple[int, int], name: str, own: tuple[int, int]) -> str:
    """Of two sizes (width, height), said height first like shapes everywhere."""
    (width, height), (w, h) = size, own
    return f"{what} is {height} × {width} (height × width), {name} is {h} × {w}: it is never stretched to fit."
