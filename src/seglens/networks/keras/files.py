"""Keras files opened without running them: Keras 3's archive and Keras 2's HDF5, checked before Keras sees them."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seglens.core.errors import NetworkError, UnsafeFileError, missing_extra
from seglens.networks.keras.config import WAY_ROUND, read_config
from seglens.networks.pickles import damaged

_CONFIG, _METADATA, _WEIGHTS = "config.json", "metadata.json", "model.weights.h5"
_LARGEST_TEXT = 2**26
"""Bytes of the largest configuration that is read: 64 MiB."""
_FLOOR, _EXPANSION = 2**26, 100
"""From 64 MiB on, data may be at most 100 times as large as what is stored of it."""
_FILTERS = (1, 2, 3, 4, 5, 6, 32000)
"""HDF5's own filters and h5py's lzf; any other is a plugin, machine code that HDF5 looks for on disk."""


def rebuilt_archive(path: Path, folder: Path, trust: bool) -> Path:
    """A copy of a .keras file in `folder`, of checked parts only; with trust the parts are taken as they are.

    Raises UnsafeFileError for what could run code or write elsewhere, NetworkError for a damaged file, or one of
    Keras 2.
    """
    copy = folder / "model.keras"
    members = _members(path, trust)
    metadata = _table(members[_METADATA], path.name)
    version = str(metadata.get("keras_version", ""))
    if version.startswith(("0.", "1.", "2.")):
        raise NetworkError(
            f"{path.name} was written by Keras {version}, whose .keras files Keras 3 does not read.\n"
            "  Open it there and save it as HDF5, model.save('NAME.h5'): that file loads here."
        )
    config = read_config(members[_CONFIG], path.name, trust=trust)
    if _WEIGHTS in members:
        weights = folder / _WEIGHTS
        weights.write_bytes(members[_WEIGHTS])
        check_hdf5(weights, path.name)
    with zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as out:
        out.writestr(_METADATA, json.dumps(metadata))
        out.writestr(_CONFIG, json.dumps(config))
        for name, data in members.items():
            if name not in (_METADATA, _CONFIG):
                out.writestr(name, data)
    return copy


def weights_of(path: Path, folder: Path) -> Path:
    """The checked weights in a .keras file or an HDF5 file, as a file in `folder` that Keras's load_weights takes."""
    if zipfile.is_zipfile(path):
        members = _members(path, trust=False)
        copy = folder / _WEIGHTS
        copy.write_bytes(members[_WEIGHTS])
    else:
        copy = folder / _WEIGHTS
        shutil.copyfile(path, copy)
    check_hdf5(copy, path.name)
    with _opened(copy, path.name) as file:
        legacy = "layer_names" in file.attrs or "model_weights" in file
    # Keras tells the two layouts of HDF5 apart by the name of the file.
    return copy.rename(folder / "old.h5") if legacy else copy


def rebuilt_hdf5(path: Path, folder: Path, trust: bool) -> Path | None:
    """A checked copy of a model in HDF5 in `folder`, its configuration in Keras 3's words; None where it has none.

    Raises UnsafeFileError, NetworkError.
    """
    copy = folder / "model.h5"
    shutil.copyfile(path, copy)
    check_hdf5(copy, path.name)
    with _opened(copy, path.name) as file:
        text: Any = file.attrs.get("model_config")
    if text is None:
        return None
    if not isinstance(text, str | bytes):
        raise damaged(path.name, ValueError("its configuration is no text"))
    config = read_config(text, path.name, legacy=True, trust=trust)
    h5py = _h5py()
    try:
        with h5py.File(copy, "r+") as file:
            file.attrs["model_config"] = json.dumps(config)
            if "training_config" in file.attrs:
                del file.attrs["training_config"]
    except (OSError, KeyError, ValueError, RuntimeError) as failed:
        raise damaged(path.name, failed) from failed
    return copy


def check_hdf5(path: Path, name: str) -> None:
    """Every object of an HDF5 file lies in it, once, as plain numbers that are about as large as they are said to be.

    Raises UnsafeFileError for links out of the file or around in it, datasets stored elsewhere, filters of plugins and
    declared sizes that would fill the memory; NetworkError for a damaged file.
    """
    try:
        with _opened(path, name) as file:
            for place, why in _strange(file, "", {_address(file)}):
                raise UnsafeFileError(
                    f"{name} was not opened: its part {place!r} {why}.\n"
                    "  Files that Keras saves hold nothing of the kind. Save the model again, or ask for another copy."
                )
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, RecursionError) as failed:
        if isinstance(failed, UnsafeFileError):
            raise
        raise damaged(name, failed) from failed


def _strange(group: Any, path: str, seen: set[int]) -> Iterator[tuple[str, str]]:
    """Parts of a group that no file of Keras has, each with what is wrong."""
    h5py = _h5py()
    for key in group:
        place = f"{path}/{key}"
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            yield place, "is a link to somewhere else"
            continue
        found = group[key]
        if _address(found) in seen:
            yield place, "is another name of a part that it has already"
            continue
        seen.add(_address(found))
        if isinstance(found, h5py.Group):
            yield from _strange(found, place, seen)
        elif not isinstance(found, h5py.Dataset):
            yield place, f"is a {type(found).__name__}"
        elif (why := _strange_data(found)) is not None:
            yield place, why


def _strange_data(data: Any) -> str | None:
    if data.is_virtual or data.external:
        return "is stored in another file"
    if data.dtype.kind not in "fiub" and data.dtype.kind not in "SU":
        return f"holds {data.dtype}, not numbers"
    filters = data.id.get_create_plist()
    if any(filters.get_filter(i)[0] not in _FILTERS for i in range(filters.get_nfilters())):
        return "is packed by a plugin of HDF5"
    stored = data.id.get_storage_size()
    if data.nbytes > _FLOOR and data.nbytes > _EXPANSION * stored:
        return f"is said to hold {data.nbytes:,} bytes, of which {stored:,} are stored"
    return None


def _address(found: Any) -> int:
    return int(_h5py().h5o.get_info(found.id).addr)


def _opened(path: Path, name: str) -> Any:
    try:
        return _h5py().File(path, "r")
    except (OSError, ValueError, RuntimeError) as failed:
        raise damaged(name, failed) from failed


def _h5py() -> Any:
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as missing:
        raise missing_extra("h5py", "keras", "opening Keras's files") from missing
    return h5py


def _members(path: Path, trust: bool) -> dict[str, bytes]:
    """The members of a .keras archive by name, each read within bounds."""
    try:
        with zipfile.ZipFile(path) as archive:
            infos = [i for i in archive.infolist() if not i.is_dir()]
            _check_members(infos, path.name, trust)
            found = {i.filename: archive.read(i) for i in infos}
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as failed:
        if isinstance(failed, NetworkError):
            raise
        raise damaged(path.name, failed) from failed
    if missing := [n for n in (_CONFIG, _METADATA, _WEIGHTS) if n not in found]:
        raise damaged(path.name, ValueError(f"it lacks {', '.join(missing)}"))
    return found


def _check_members(infos: list[zipfile.ZipInfo], name: str, trust: bool) -> None:
    names = [i.filename for i in infos]
    if len(set(names)) != len(names):
        raise UnsafeFileError(
            f"{name} holds two members of one name, of which two readers may each see another.\n  {WAY_ROUND}"
        )
    if outside := [
        n for n in names if n.startswith(("/", "\\")) or ".." in n.replace("\\", "/").split("/") or ":" in n
    ]:
        raise UnsafeFileError(f"{name} was not opened: its member {outside[0]!r} would be written outside its folder.")
    if infos and min(i.header_offset for i in infos) > 0:
        # Python's reader takes any bytes before an archive, so two readers may see two archives.
        raise damaged(name, ValueError("the archive does not begin where the file begins"))
    if not trust and (others := [n for n in names if n not in (_CONFIG, _METADATA, _WEIGHTS)]):
        raise UnsafeFileError(
            f"{name} was not opened: beside layers and weights it holds {', '.join(map(repr, sorted(others)[:4]))}, "
            f"which some layers read as files of their own.\n  {WAY_ROUND}"
        )
    for i in infos:
        if i.filename in (_CONFIG, _METADATA) and i.file_size > _LARGEST_TEXT:
            raise UnsafeFileError(f"{name} was not opened: its {i.filename} is said to hold {i.file_size:,} bytes.")
        if i.file_size > _FLOOR and i.file_size > _EXPANSION * i.compress_size:
            raise UnsafeFileError(
                f"{name} was not opened: its {i.filename} would grow from {i.compress_size:,} to {i.file_size:,} bytes."
            )


def _table(data: bytes, name: str) -> dict[str, Any]:
    try:
        found: object = json.loads(data)
    except (ValueError, RecursionError) as failed:
        raise damaged(name, failed) from failed
    if not isinstance(found, dict):
        raise damaged(name, ValueError("its metadata is no table"))
    return {str(k): v for k, v in found.items() if isinstance(v, str)}
