"""Weights without a network: safetensors or a state dict, into a module that the user names."""

import importlib
import importlib.util
import sys
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from seglens.core.errors import GuessWarning, NetworkError, UnsafeFileError, suggest
from seglens.networks.loaded import LOADERS, ZOOS, Loaded, Request, zoo_name
from seglens.networks.pickles import damaged, load_tensors

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "params")
"""Keys under which training scripts keep the weights among other things."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.")
"""What DataParallel, torch.compile and Lightning put before every name."""

_WAY_ROUND = (
    "Save only the weights, torch.save(model.state_dict(), PATH), or export the network with "
    "torch.export.save to "
    "a .pt2 file; or, if you trust whoever made the file as you trust their programs, load it with "
    "trust=True."
)


@LOADERS.register("safetensors")
def load_safetensors(path: Path, request: Request) -> Loaded:
    """The weights in a .safetensors file, in the module that `request.constructor` builds."""
    try:
        state: Mapping[str, Tensor] = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as failed:
        raise damaged(path.name, failed) from failed
    return _filled(_built(path, request), state, path.name)


@LOADERS.register("pth")
def load_checkpoint(path: Path, request: Request) -> Loaded:
    """The weights in a file of `torch.save`, in the module that `request.constructor` builds.

    Read weights-only; with trust also by pickle, in which case a whole pickled module is taken as
    it is.
    Raises UnsafeFileError where the pickle asks for more than tensors, and NetworkError.
    """
    if request.trust:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = torch.load(path, map_location="cpu", weights_only=False)
        except Exception as failed:
            raise damaged(path.name, failed) from failed
        if isinstance(found, nn.Module):
            return Loaded(found)
    else:
        found = load_tensors(path, path.name, _WAY_ROUND)
    return _filled(_built(path, request), found, path.name)


def into(module: nn.Module, checkpoint: object, name: str) -> nn.Module:
    """The module with a checkpoint's weights in it.

    Weights nested under one of WRAPPERS, or named with PREFIXES, are found where only one reading
    fits, which a GuessWarning says. `name` is the file's, for messages.
    Raises NetworkError where names or shapes differ, listing the first of each.
    """
    expected = module.state_dict()
    state, said = _unwrapped(checkpoint, set(expected), name)
    # Absent from checkpoints made before torch counted batches; it plays no part in evaluation.
    missing = [k for k in expected if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in expected]
    wrong = [
        f"{k} is {list(state[k].shape)}, not {list(expected[k].shape)}"
        for k in expected
        if k in state and state[k].shape != expected[k].shape
    ]
    if missing or unexpected or wrong:
        raise NetworkError(
            f"the weights in {name} do not fit {type(module).__name__}."
            + _listed("Missing", missing)
            + _listed("Unexpected", unexpected)
            + _listed("Of another shape", wrong)
            + "\n  Is it the right constructor, with the right arguments?"
        )
    module.load_state_dict({**expected, **state})
    if said:
        warnings.warn(f"{name}: {'; '.join(said)}.", GuessWarning, stacklevel=2)
    return module


def _filled(built: Loaded, checkpoint: object, name: str) -> Loaded:
    return replace(built, module=into(built.module, checkpoint, name))


def construct(request: Request) -> Loaded:
    """What `request.constructor` builds; a model of a zoo with what the zoo knows of it, its weights still random.

    A constructor named by text is imported, which runs the code of that package: the caller named
    it. One that only a description names may have come with the file, so it must be a module class
    of an installed package, not any function with any arguments, unless trusted. Raises
    NetworkError, UnsafeFileError.
    """
    maker, shown = request.constructor, request.constructor
    if (named := zoo_name(maker)) is not None:
        return ZOOS[named[0]](named[1], request.arguments, False)
    if isinstance(maker, str):
        if request.named_in is not None and not request.trust and _is_file(maker):
            raise _not_trusted(request, "is a file")
        maker = _imported(maker)
        is_class = isinstance(maker, type) and issubclass(maker, nn.Module)
        if request.named_in is not None and not request.trust and not is_class:
            raise _not_trusted(request, "is no torch.nn.Module class")
    if not callable(maker):
        raise NetworkError(
            f"the constructor {shown!r} cannot be called.\n  Name a class or a function: 'package.module:Class'."
        )
    try:
        built: object = maker(**request.arguments)
    except Exception as failed:
        raise NetworkError(
            f"the constructor {shown!r} failed with the arguments {dict(request.arguments)}: "
            f"{failed}\n"
            "  State them under [constructor_arguments] in the description, or give a function "
            "that takes none."
        ) from failed
    if not isinstance(built, nn.Module):
        raise NetworkError(f"the constructor {shown!r} gave a {type(built).__name__}, not a torch.nn.Module.")
    return Loaded(built)


def _built(path: Path, request: Request) -> Loaded:
    if request.constructor is None:
        raise NetworkError(
            f"{path.name} holds weights, not a network: which module do they belong to?\n"
            "  Say so with constructor='package.module:Class', or in "
            f"{path.with_suffix('.toml').name} beside it."
        )
    return construct(request)


def _not_trusted(request: Request, why: str) -> UnsafeFileError:
    return UnsafeFileError(
        f"the constructor {request.constructor!r} that {request.named_in} names {why}, so it was "
        "not called: a "
        "description may have come with the file.\n"
        "  Name it yourself with constructor=…, or load with trust=True."
    )


def _is_file(text: str) -> bool:
    return text.rpartition(":")[0].endswith(".py")


def _imported(text: str) -> Any:
    package, colon, name = text.rpartition(":")
    if not colon or not package or not name:
        raise NetworkError(f"the constructor {text!r} is to be written 'package.module:Class' or 'file.py:Class'.")
    found: Any = _from_file(package) if _is_file(text) else _from_package(package, text)
    for part in name.split("."):
        if not hasattr(found, part):
            public = [n for n in vars(found) if not n.startswith("_")]
            raise NetworkError(f"{package!r} has no {part!r}, named as constructor.{suggest(part, public)}")
        found = getattr(found, part)
    return found


def _from_package(package: str, text: str) -> ModuleType:
    try:
        return importlib.import_module(package)
    except Exception as failed:
        raise NetworkError(
            f"the module of the constructor {text!r} cannot be imported: {failed}\n"
            "  Install its package, put its folder on PYTHONPATH, or write 'path/to/file.py:Class'."
        ) from failed


def _from_file(file: str) -> ModuleType:
    path = Path(file).expanduser()
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise NetworkError(f"there is no file {file!r}, named as the constructor's.")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pickles of what the file defines look their module up by name.
    sys.modules.setdefault(path.stem, module)
    try:
        spec.loader.exec_module(module)
    except Exception as failed:
        raise NetworkError(f"{file!r}, named as the constructor's, failed: {failed}") from failed
    return module


def _unwrapped(checkpoint: object, expected: set[str], name: str) -> tuple[dict[str, Tensor], list[str]]:
    """The weights in a checkpoint, and what was done to find them."""
    said: list[str] = []
    state = _as_state(checkpoint)
    if state is None:
        inside = _candidates(checkpoint)
        if len(inside) > 1:
            fitting = {k: s for k, s in inside.items() if set(_stripped(s, expected)[0]) >= expected}
            inside = fitting or inside
        if len(inside) != 1:
            held = ", ".join(map(repr, inside)) if inside else _contents(checkpoint)
            raise NetworkError(
                f"{name} holds no single set of weights: {held}.\n"
                "  Take out the right one and save it alone: torch.save(torch.load(PATH)[KEY], "
                "NEW)."
            )
        key, state = next(iter(inside.items()))
        said.append(f"the weights were taken from under {key!r}")
    state, removed = _stripped(state, expected)
    said += [f"the prefix {p!r} was removed from their names" for p in removed]
    return state, said


def _as_state(value: object) -> dict[str, Tensor] | None:
    if not isinstance(value, Mapping) or not value:
        return None
    items = cast("Mapping[object, object]", value)
    if all(isinstance(k, str) and isinstance(v, Tensor) for k, v in items.items()):
        return dict(cast("Mapping[str, Tensor]", value))
    return None


def _candidates(value: object, path: str = "") -> dict[str, dict[str, Tensor]]:
    """Sets of weights under the usual keys, one level further where those nest."""
    found: dict[str, dict[str, Tensor]] = {}
    if isinstance(value, Mapping):
        items = cast("Mapping[object, object]", value)
        for key in WRAPPERS:
            if key in items:
                state = _as_state(items[key])
                if state is not None:
                    found[path + key] = state
                elif not path:
                    found |= _candidates(items[key], f"{key}.")
    return found


def _stripped(state: dict[str, Tensor], expected: set[str]) -> tuple[dict[str, Tensor], list[str]]:
    """The weights without prefixes that all names share and that the module's names lack."""
    removed: list[str] = []
    while not set(state) & expected:
        prefix = next((p for p in PREFIXES if all(k.startswith(p) for k in state)), None)
        if prefix is None:
            break
        state = {k.removeprefix(prefix): v for k, v in state.items()}
        removed.append(prefix)
    return state, removed


def _contents(checkpoint: object) -> str:
    if isinstance(checkpoint, Mapping):
        keys = [str(k) for k in cast("Mapping[object, object]", checkpoint)]
        return f"it has the entries {', '.join(keys[:8])}{', …' if len(keys) > 8 else ''}"
    return f"it is a {type(checkpoint).__name__}"


def _listed(title: str, names: Iterable[str]) -> str:
    names = list(names)
    more = f", … ({len(names)} in all)" if len(names) > 4 else ""
    return f"\n  {title}: {', '.join(names[:4])}{more}." if names else ""
