"""Masks that were drawn on the page, by the digest of their pixels."""

import json
import re
from hashlib import sha256
from pathlib import Path

import numpy as np

from seglens.app.faults import Fault
from seglens.app.room import MASKS, Room

_NAMED = re.compile(r"""mask\(\s*['"]([^'"]*)['"]\s*\)""")
_ID = re.compile(r"[0-9a-f]{64}")


class Masks:
    """A folder of masks as .npy, bool [H W]."""

    def __init__(self, room: Room, pixels: int) -> None:
        self.folder = room.folder / MASKS
        self.folder.mkdir(parents=True, exist_ok=True)
        self._room, self._pixels = room, pixels

    def keep(self, data: bytes, height: int, width: int) -> str:
        """Keep a mask of one byte a pixel, 0 for outside; returns its id. Raises Fault for another length."""
        if height < 1 or width < 1 or height * width > self._pixels:
            raise Fault(422, "MaskError", f"a mask of {height} × {width} pixels: height and width are to be given.")
        if len(data) != height * width:
            message = f"a mask of {height} × {width} has one byte a pixel, {height * width}, not {len(data)}."
            raise Fault(422, "MaskError", message)
        inside = np.frombuffer(data, np.uint8).reshape(height, width) != 0
        id = sha256(json.dumps([height, width]).encode() + inside.tobytes()).hexdigest()
        path = self.folder / f"{id}.npy"
        if not path.exists():
            part = self.folder / f".{id}.part"
            with part.open("wb") as file:
                np.save(file, inside)
            part.replace(path)
            self._room.added(path)
        self._room.use(path)
        return id

    def path(self, id: str) -> Path:
        """The file of a mask. Raises Fault 404."""
        path = self.folder / f"{id}.npy"
        if not _ID.fullmatch(id) or not path.is_file():
            raise Fault(
                404,
                "MaskError",
                f"no mask {id[:80]!r} is kept: it was dropped, as what was not used for long makes room for others, or"
                " never sent.\n  Draw it again (PUT /api/masks).",
            )
        self._room.use(path)
        return path

    def named_in(self, region: str) -> dict[str, str]:
        """Files of the masks that the text of a region names, by id. Raises Fault 404."""
        return {id: str(self.path(id)) for id in _NAMED.findall(region)}
