"""A `.pt2` archive made anew from checked parts: torch never sees a byte that could run code.

`torch.export.load` unpickles without restriction: sample inputs fall back to it, weights and
constants that are pickled go straight to it, opaque constants through `pickle.loads`, and compiled
members are loaded as machine code. So the archive is not merely inspected: each pickle is read
weights-only and written again by this process, the graph is checked by `program`, raw tensors are
copied, and everything else is left out or refused. Two readers of the zip format can then not
disagree about what was checked.
"""

import json
import re
import zipfile
from io import BytesIO
from pathlib import Path

import torch

from seglens.core.errors import NetworkError, UnsafeFileError
from seglens.networks.pickles import damaged, load_tensors
from seglens.networks.program import WAY_ROUND, checked_json, checked_program

_MARKERS = (
    "archive_format",
    "archive_version",
    "version",
    ".data/version",
    ".format_version",
    ".storage_alignment",
    "byteorder",
)
_LEFT_OUT = (
    "data/extra/",
    "extra/",
    "extra_files/",
    ".data/serialization_id",
    "data/sample_outputs/",
)
_RAW = re.compile(r"data/(weights/weight|constants/tensor)_\d+")
_PICKLED = re.compile(
    r"data/(weights|constants|sample_inputs)/model\.pt"
    r"|serialized_(state_dict|constants|example_inputs)\.(pt|json)"
)
_CONFIG = re.compile(r"data/(weights/model_weights|constants/model_constants)_config\.json")
_PROGRAM = re.compile(r"models/model\.json|serialized_exported_program\.json")


def rebuilt(path: Path) -> BytesIO:
    """A copy in memory of an exported program's archive, of checked parts only.

    Holds the file about twice. Raises UnsafeFileError for what could run code, NetworkError for a
    damaged file or one that holds no exported program.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, path.name)
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError) as failed:
        raise damaged(path.name, failed) from failed
    if not any(_PROGRAM.fullmatch(_inner(m)) for m in members):
        raise NetworkError(
            f"{path.name} holds no exported program called 'model'; "
            f"it holds: {', '.join(sorted(members)[:6])}.\n"
            "  Write it with torch.export.save(torch.export.export(model, (example,)), PATH)."
        )
    pickled = _pickled_by_config(members, path.name)
    copy = BytesIO()
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as out:
        for full, data in members.items():
            if not _inner(full).startswith(_LEFT_OUT):
                out.writestr(full, _part(_inner(full), data, path.name, pickled))
    copy.seek(0)
    return copy


def _members(archive: zipfile.ZipFile, name: str) -> dict[str, bytes]:
    infos = [i for i in archive.infolist() if not i.is_dir()]
    names = [i.filename for i in infos]
    if len(set(names)) != len(names):
        raise UnsafeFileError(
            f"{name} holds two members of one name, of which two readers may each see another.\n  {WAY_ROUND}"
        )
    if infos and min(i.header_offset for i in infos) > 0:
        # Python's reader takes any bytes before an archive, so that of a cut file a pickle inside it,
        # an archive itself, would be read in its place.
        raise damaged(name, ValueError("the archive does not begin where the file begins"))
    if any(i.compress_type != zipfile.ZIP_STORED for i in infos):
        # torch.export stores; a small file that inflates without end would fill the memory.
        raise NetworkError(
            f"{name} is a compressed archive, which torch.export.save does not write.\n"
            "  Give the file as it was exported."
        )
    return {i.filename: archive.read(i) for i in infos}


def _inner(full: str) -> str:
    """A member's path without the archive's own name, which newer layouts put first."""
    first, _, rest = full.partition("/")
    known = ("data", ".data", "models", "extra_files", "extra")
    return rest if rest and first not in known else full


def _pickled_by_config(members: dict[str, bytes], name: str) -> set[str]:
    """Members whose configuration says that they are pickled tensors."""
    found: set[str] = set()
    for full, data in members.items():
        if _CONFIG.fullmatch(_inner(full)):
            config = checked_json(data, name).get("config")
            if not isinstance(config, dict):
                raise NetworkError(f"{name} is damaged: {_inner(full)} lists nothing.")
            for entry in config.values():
                target = f"{_inner(full).rpartition('/')[0]}/{entry['path_name']}"
                if not _RAW.fullmatch(target):
                    raise UnsafeFileError(
                        f"{name} holds the object {target!r}, which can only be unpickled, so it "
                        "was not opened.\n"
                        f"  {WAY_ROUND}"
                    )
                if entry.get("use_pickle"):
                    found.add(target)
    return found


def _part(inner: str, data: bytes, name: str, pickled: set[str]) -> bytes:
    """What goes into the copy for one member."""
    if inner in _MARKERS and re.fullmatch(rb"[\w.]{0,64}\s*", data):
        return data
    if _PROGRAM.fullmatch(inner):
        return checked_program(data, name)
    if _CONFIG.fullmatch(inner):
        return json.dumps(checked_json(data, name)).encode()
    if _PICKLED.fullmatch(inner) or inner in pickled:
        return _rewritten(data, f"{name} (its part {inner!r})") if data else data
    if _RAW.fullmatch(inner):
        return data
    what = "compiled code" if "aotinductor" in inner else "something that is no part of a network"
    raise UnsafeFileError(f"{name} holds {what} ({inner[:80]!r}), so it was not opened.\n  {WAY_ROUND}")


def _rewritten(data: bytes, name: str) -> bytes:
    written = BytesIO()
    torch.save(load_tensors(data, name, WAY_ROUND), written)
    return written.getvalue()
