"""What a file is, told by its content: its suffix may say anything."""

import json
import zipfile
from pathlib import Path
from typing import Literal, cast

from seglens.core.errors import NetworkError
from seglens.networks.pickles import damaged

Kind = Literal["exported", "scripted", "pickle", "safetensors", "keras", "hdf5", "onnx", "unknown"]

_LFS = b"version https://git-lfs.github.com/spec/"

_FOREIGN = (
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
            raise NetworkError(
                f"{path.name} is {what}; expected .pt2, TorchScript, .safetensors, a state dict, .onnx or .keras."
            )
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_archive(path)
    if _is_safetensors(head):
        return "safetensors"
    if head.startswith(b"\x89HDF\r\n"):
        return "hdf5"
    if _is_onnx(head):
        return "onnx"
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
    if "config.json" in names and "metadata.json" in names:
        return "keras"
    held = ", ".join(sorted(names)[:5])
    raise NetworkError(
        f"{path.name} is a zip archive, but none that torch or Keras writes; it holds: {held}.\n"
        "  Unpack it if the network lies inside."
    )


def _is_safetensors(head: bytes) -> bool:
    size = int.from_bytes(head[:8], "little")
    return len(head) > 8 and head[8:9] == b"{" and 2 <= size < 2**32


def _is_onnx(head: bytes) -> bool:
    """A protocol buffer whose first field is a small number, the version of the ONNX format, as all exporters write."""
    return len(head) > 3 and head[0] == 0x08 and 1 <= head[1] <= 64 and head[2] & 7 == 2 and head[2] >> 3 <= 25


def kind_of_folder(path: Path) -> str | None:
    """The library that saved a network in this folder, told by what lies in it: a name of LOADERS, or None.

    Raises NetworkError for a SavedModel of TensorFlow, and for a config.json that is none.
    """
    if (path / "saved_model.pb").is_file():
        raise NetworkError(
            f"{str(path)!r} is a SavedModel of TensorFlow, a graph that only TensorFlow runs.\n"
            "  Save the model with model.save('NAME.keras') there, or convert it with tf2onnx, and load that."
        )
    config = path / "config.json"
    if not config.is_file():
        return "disentangling-vae" if _has_specs(path) else None
    try:
        found: object = json.loads(config.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as failed:
        raise damaged(f"{path.name}/config.json", failed) from failed
    if not isinstance(found, dict):
        raise damaged(f"{path.name}/config.json", ValueError("it holds no table of keys"))
    keys = set(cast("dict[str, object]", found))
    if keys & {"architectures", "model_type", "transformers_version"}:
        return "transformers"
    if "encoder_name" in keys or "_model_class" in keys:
        return "smp"
    return "timm" if {"architecture", "pretrained_cfg"} <= keys else None


def _has_specs(path: Path) -> bool:
    """Whether the folder holds the specs.json of a VAE, of which the loader knows more."""
    specs = path / "specs.json"
    return specs.is_file() and b'"model_type"' in specs.read_bytes()


def _is_text(head: bytes) -> bool:
    return all(b >= 32 or b in b"\t\n\r\f" for b in head)
