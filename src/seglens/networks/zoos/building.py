"""What all zoos share: a model built by its library, with weights only where that was asked for."""

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from seglens.core.errors import MissingExtraError, NameNotFoundError, NetworkError, ParameterError, suggest
from seglens.networks.checkpoint import load_checkpoint, load_safetensors
from seglens.networks.loaded import Request
from seglens.networks.pickles import damaged

_ABSENT = re.compile(r"No module named '(\w+)")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""Files in which save_pretrained keeps weights, in the order in which they are looked for."""


def built(source: str, make: Callable[..., object], arguments: Mapping[str, Any]) -> nn.Module:
    """The module that `make` gives with the arguments; the global random state is as before.

    Raises NetworkError where that fails, with the library's own first words.
    """
    try:
        with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
            # What a library deprecates in itself.
            warnings.simplefilter("ignore")
            module = make(**arguments)
    # A library may refuse its arguments in any way.
    except Exception as failed:
        if isinstance(failed, ImportError) and (absent := _ABSENT.search(str(failed))):
            raise MissingExtraError(
                f"{source} needs {absent[1]}, which is not installed.\n  It comes with: pip install {absent[1]}"
            ) from failed
        raise NetworkError(
            f"{source} cannot be built with the arguments {dict(arguments)}: {first_line(failed)}\n"
            "  State them with arguments={…}, or under [constructor_arguments] in the description beside the weights."
        ) from failed
    if not isinstance(module, nn.Module):
        raise NetworkError(f"{source} gave a {type(module).__name__}, not a torch.nn.Module.")
    return module


def fetched(
    source: str, make: Callable[..., object], arguments: Mapping[str, Any], bare: Mapping[str, Any]
) -> nn.Module:
    """The module with the weights that its library downloads.

    bare: the arguments that ask for no weights; where not even those build a module, they are to blame, else the
    download. Raises NetworkError.
    """
    try:
        return built(source, make, arguments)
    except NetworkError as failed:
        built(source, make, bare)
        cause = failed.__cause__ or failed
        raise NetworkError(
            f"the weights of {source} could not be fetched: {first_line(cause)}\n"
            f"  Is there a connection? Weights that lie here: load('WEIGHTS.pth', constructor={source!r})."
        ) from cause


def filled(folder: Path, request: Request, make: Callable[[], nn.Module]) -> nn.Module:
    """The module with the weights that lie in a folder of save_pretrained. Raises NetworkError, UnsafeFileError."""
    files = [folder / name for name in WEIGHTS if (folder / name).is_file()]
    if not files:
        raise NetworkError(f"no weights lie in {str(folder)!r}; looked for: {', '.join(WEIGHTS)}.")
    load = load_safetensors if files[0].suffix == ".safetensors" else load_checkpoint
    # Only weights are taken: a whole pickled module is none of what save_pretrained writes.
    return load(files[0], Request(trust=request.trust, constructor=make)).module


def entry(config: Mapping[str, object], key: str, kind: type, folder: Path) -> Any:
    """An entry of a folder's config.json. Raises NetworkError where it is absent or of another kind."""
    value = config.get(key)
    if not isinstance(value, kind):
        raise damaged(f"{folder.name}/config.json", ValueError(f"{key!r} is {value!r}, not a {kind.__name__}"))
    return value


def without(arguments: Mapping[str, Any], refused: Sequence[str], source: str) -> dict[str, Any]:
    """The arguments, none of which may name a file or an address to load from. Raises ParameterError."""
    for name in arguments:
        if name in refused:
            raise ParameterError(
                f"{source} takes no argument {name!r} here: weights come from the file that is loaded, or with "
                "download=True."
            )
    return dict(arguments)


def unknown(what: str, name: str, known: Iterable[str]) -> NameNotFoundError:
    """The error for a name that a library does not have, with the nearest."""
    names = sorted(known)
    listed = ", ".join(names[:12]) + (f", … ({len(names)})" if len(names) > 12 else "")
    return NameNotFoundError(f"no {what} {name!r}.{suggest(name, names)}\n  Known are: {listed}.")


def no_weights(source: str, why: str) -> NetworkError:
    """The error for a download of what is not offered."""
    return NetworkError(
        f"there are no weights of {source} to fetch: {why}\n  Your own: load('WEIGHTS.pth', constructor={source!r})."
    )


def assumed(loaded_from: str, mean: Sequence[float], std: Sequence[float]) -> str:
    """The note that a normalisation is the library's usual one, which the weights need not have been trained with."""
    return (
        f"took {loaded_from} for the input's: mean {_listed(mean)}, std {_listed(std)}. If these weights were trained "
        "with others, state them with convention=…, or in the description beside the weights."
    )


def values(plain: object, channels: int) -> tuple[float, ...] | None:
    """Mean or std as one number a channel; None where there are not as many."""
    if not isinstance(plain, Sequence) or isinstance(plain, str):
        return None
    found = tuple(float(v) for v in cast("Sequence[float]", plain))
    if len(set(found)) == 1:
        found = found[:1]
    return found if len(found) in (1, channels) else None


def first_line(failed: BaseException) -> str:
    """What an error says, in one line."""
    said = [line.strip() for line in str(failed).splitlines() if line.strip()]
    return said[0][:300] if said else type(failed).__name__


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{n:g}" for n in numbers)
