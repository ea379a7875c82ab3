"""A folder that transformers wrote, read so that nothing in it runs and nothing outside it is opened."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from seglens.core.errors import NetworkError, UnsafeFileError
from seglens.networks.files import kind_of
from seglens.networks.pickles import damaged, load_tensors

_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
"""Names under which weights lie, in the order in which they are looked for."""

_FOREIGN = {
    "tf_model.h5": "from_pretrained(FOLDER, from_tf=True)",
    "flax_model.msgpack": "from_pretrained(FOLDER, from_flax=True)",
}

_UNREAD = frozenset(
    {
        # Code, attention kernels and quantisers that a configuration may name would be fetched, and run.
        "auto_map",
        "attn_implementation",
        "_attn_implementation",
        "_attn_implementation_internal",
        "experts_implementation",
        "_experts_implementation",
        "_experts_implementation_internal",
        "custom_pipelines",
        "name_or_path",
        "_name_or_path",
        # How a checkpoint was stored says nothing on how it is to be run.
        "dtype",
        "torch_dtype",
    }
)

_WAY_ROUND = (
    "Save it anew where it comes from, with model.save_pretrained(FOLDER); or, if you trust whoever made the file as "
    "you trust their programs, load it with trust=True."
)


def read_table(path: Path) -> dict[str, Any]:
    """A JSON file of the folder. Raises NetworkError where it is no table of keys."""
    name = f"{path.parent.name}/{path.name}"
    try:
        found: object = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as failed:
        raise damaged(name, failed) from failed
    if not isinstance(found, dict):
        raise damaged(name, ValueError("it holds no table of keys"))
    return cast("dict[str, Any]", found)


def without_code(value: Any) -> Any:
    """A configuration without what could name code, a kernel or a place to fetch from, at any depth."""
    if isinstance(value, Mapping):
        table = cast("Mapping[str, Any]", value)
        return {k: without_code(v) for k, v in table.items() if k not in _UNREAD}
    if isinstance(value, list):
        return [without_code(v) for v in cast("list[Any]", value)]
    return value


def read_weights(folder: Path, trust: bool) -> dict[str, Tensor]:
    """All tensors of the folder's checkpoint: safetensors where there are any, else the pickle, weights-only.

    Raises NetworkError: none there, damaged, an index that names no plain file of the folder; UnsafeFileError: a
    pickle that asks for more than tensors.
    """
    found = next((folder / n for n in _WEIGHTS if (folder / n).is_file()), None)
    if found is None:
        raise NetworkError(f"{folder.name} holds no weights.{_other_weights(folder)}\n  Expected {_listed(_WEIGHTS)}.")
    if found.suffix != ".json":
        return _tensors(found, trust)
    index = read_table(found).get("weight_map")
    if not isinstance(index, dict) or not all(isinstance(n, str) for n in cast("dict[str, object]", index).values()):
        raise damaged(found.name, ValueError("it has no 'weight_map' of tensors to files"))
    names = sorted(set(cast("dict[str, str]", index).values()))
    state: dict[str, Tensor] = {}
    for name in names:
        if not name or Path(name).name != name or name == ".." or "\\" in name:
            raise UnsafeFileError(
                f"{found.name} names the file {name[:80]!r}, which lies outside the folder, so it was not opened.\n"
                "  Parts of a checkpoint lie beside their index: save the model anew with save_pretrained."
            )
        if not (folder / name).is_file():
            raise NetworkError(
                f"{name}, a part of {folder.name}'s weights, is not there.\n  Copy or download it again."
            )
        state |= _tensors(folder / name, trust)
    return state


def _tensors(path: Path, trust: bool) -> dict[str, Tensor]:
    kind = kind_of(path)
    if kind == "safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError, KeyError) as failed:
            raise damaged(path.name, failed) from failed
    if kind != "pickle" or path.suffix == ".safetensors":
        raise damaged(path.name, ValueError("it is no file of weights as its name says"))
    found: object = _unpickled(path) if trust else load_tensors(path, path.name, _WAY_ROUND)
    table = cast("Mapping[object, object]", found) if isinstance(found, Mapping) else {}
    if not table or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in table.items()):
        raise NetworkError(f"{path.name} is no table of tensors.\n  Expected what save_pretrained writes.")
    return dict(cast("Mapping[str, Tensor]", table))


def _unpickled(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as failed:
        raise damaged(path.name, failed) from failed


def _other_weights(folder: Path) -> str:
    for name, how in _FOREIGN.items():
        if (folder / name).is_file():
            return f"\n  It has {name}: convert it once, in transformers 4, with {how} and save_pretrained."
    if (folder / "adapter_config.json").is_file():
        return "\n  It has an adapter only: merge it into its model (merge_and_unload) and save that."
    return ""


def _listed(names: tuple[str, ...]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"
