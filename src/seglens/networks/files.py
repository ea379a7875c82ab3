"""What a file is, told by its content: its suffix may say anything."""

import zipfile
from pathlib import Path
from typing import Literal

from seglens.core.errors import NetworkError
from seglens.networks.pickles import damaged

Kind = Literal["exported", "scripted", "pickle", "safetensors", "unknown"]

_LFS = b"version https://git-lfs.github.com/spec/"

_FOREIGN = (
    (b"\x89HDF\r\n", "an HDF5 file, as Keras writes it"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"BZh", "a bzip2 archive: unpack it first"),
    (b"\xfd7zXZ", "an xz archive: unpack it first"),
    (b"GGUF", "a GGUF file of a language model"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"%PDF", "a PDF document"),
)


def kind_of(path: Path) -> Kind:
    """Which of the kinds of network files this is.

    Raises NetworkError for what is surely none: empty, a git-LFS pointer, a web page, text, an
    archive or image.
    """
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        raise NetworkError(f"{path.name} is empty (0 bytes): the copy or the download failed.")
    if head.startswith(_LFS):
        raise NetworkError(
            f"{path.name} is a git-LFS pointer, not the weights: the repository was cloned without "
            "its large files.\n"
            "  Fetch them with: git lfs install && git lfs pull"
        )
    if head.lstrip()[:64].lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise NetworkError(
            f"{path.name} is a web page, not weights: the download gave a login, consent or error "
            "page.\n"
            "  Open it in a browser to see which, and download the file itself."
        )
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise NetworkError(f"{path.name} is {what}; expected .pt2, TorchScript, .safetensors or a state dict.")
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_archive(path)
    if _is_safetensors(head):
        return "safetensors"
    if head.startswith(b"\x80") and head[1:2] <= b"\x05":
        return "pickle"
    if _is_text(head):
        raise NetworkError(
            f"{path.name} is a text file, not weights; it begins: {head[:40].decode(errors='replace')!r}."
        )
    return "unknown"


def _kind_of_archive(path: Path) -> Kind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError) as failed:
        raise damaged(path.name, failed) from failed
    last = {n.rpartition("/")[2] for n in names}
    if "archive_format" in last or "serialized_exported_program.json" in names:
        return "exported"
    if "constants.pkl" in last:
        return "scripted"
    if "data.pkl" in last:
        return "pickle"
    held = ", ".join(sorted(names)[:5])
    raise NetworkError(
        f"{path.name} is a zip archive, but none that torch writes; it holds: {held}.\n"
        "  Unpack it if the network lies inside."
    )


def _is_safetensors(head: bytes) -> bool:
    size = int.from_bytes(head[:8], "little")
    return len(head) > 8 and head[8:9] == b"{" and 2 <= size < 2**32


def _is_text(head: bytes) -> bool:
    return all(b >= 32 or b in b"\t\n\r\f" for b in head)
