"""One door for every network: a module, a file, or the name of one that ships."""

import os
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from seglens.core.classes import ClassTable
from seglens.core.convention import Convention
from seglens.core.errors import GuessWarning, NameNotFoundError, NetworkError, suggest
from seglens.core.network import Network, unwrap
from seglens.networks.autoencoders import as_units, settled
from seglens.networks.description import Description, description_beside, read_description
from seglens.networks.files import Kind, kind_of, kind_of_folder
from seglens.networks.loaded import ADAPTERS, LOADERS, ZOOS, Constructor, Loaded, Request, zoo_name
from seglens.networks.module import first_channels, from_module

_CODERS = ("faces-vae", "faces-cvae", "faces-seg-vae", "streets-mgrad2vae")

BUILTIN = (
    *("streets-unet", "streets-deeplab", "streets-unet-biased", "streets-classifier", "streets-vgg"),
    *_CODERS,
)
"""Names of the networks that ship."""

_LOADER_OF: dict[Kind, str] = {
    "exported": "pt2",
    "scripted": "ts",
    "pickle": "pth",
    "safetensors": "safetensors",
    "keras": "keras",
    "hdf5": "h5",
    "onnx": "onnx",
}
_AMBIGUOUS = ("pt", "pth", "ckpt", "bin", "pt2", "ts", "safetensors", "keras", "h5", "hdf5", "onnx")


def load(
    source: object,
    *,
    trust: bool = False,
    constructor: Constructor | None = None,
    arguments: Mapping[str, Any] | None = None,
    classes: ClassTable | Iterable[str] | None = None,
    convention: Convention | Mapping[str, Any] | None = None,
    download: bool = False,
    device: str | torch.device | None = None,
    **fields: Any,
) -> Network:
    """A network from a module, a file, a folder, or a name.

    source: a torch module, also one of Keras (on its torch backend) or transformers; an ONNX model; a Network (its
    fields can be changed here); 'streets-unet' and the others of BUILTIN; a file of torch.export (.pt2), TorchScript
    (.pt, .ts), safetensors, a state dict (.pt, .pth, .ckpt), Keras (.keras, .h5) or ONNX (.onnx), which is opened as
    what it holds, whatever its suffix; a folder of transformers' save_pretrained; a model of a zoo by name
    ('timm:resnet18', 'smp:Unet', 'torchvision:deeplabv3_resnet50', 'monai:UNet'), with `download=True`; a folder of
    specs.json and model.pt as disentangling-vae writes it. An autoencoder of images is the network of its latent units
    (`latent_of`); one of masks is a segmenter, of which `latent_of` gives the units. A description
    of the same stem beside the file (unet.toml beside unet.pt2) tells classes, output and input; what is given here
    goes before it, and it before what the file tells. Where none tells the input convention, it is guessed, which a
    GuessWarning says. convention: a `Convention`, or a mapping of some of its fields, the others as told.
    trust: whether code inside the file may run. constructor, arguments: what builds the module of mere weights: a
    callable, 'package.module:Class', whose package is imported, or a zoo's name. download: whether a zoo may fetch the
    weights that it offers. fields: further ones of `Network`.

    Raises NetworkError: no such file (with the nearest names), damaged, of another kind, weights
    that do not fit; UnsafeFileError: it could run code, and is not trusted; ParameterError: an
    unknown field; MissingExtraError: its library is not installed.
    """
    given: dict[str, Any] = {**fields, "classes": classes, "convention": convention}
    given = {k: v for k, v in given.items() if v is not None}
    if isinstance(source, Network):
        network = _changed(source, given)
    elif isinstance(source, str | os.PathLike):
        if isinstance(source, str) and source in BUILTIN and not Path(source).is_file():
            network = _builtin(source, given)
        elif (named := zoo_name(source)) is not None and not Path(source).is_file():
            network = _from_zoo(*named, arguments or {}, download, given)
        else:
            network = as_units(_from_file(_existing(source), trust, constructor, arguments, given), given)
    elif (adapted := _adapted(source)) is not None:
        network = _told(adapted, Description(), given, type(source).__name__, "convention=…")
    elif isinstance(source, nn.Module) and (own := settled(Loaded(unwrap(source)))).convention:
        network = as_units(_told(own, Description(), given, type(own.module).__name__, "convention=…"), given)
    elif isinstance(source, nn.Module):
        network = as_units(from_module(source, **given), given)
        if convention is None:
            _warn_of_guess(network.name, network.convention, "convention=…")
    else:
        raise NetworkError(
            f"a network is a torch module, a path or a name, not a {type(source).__name__}.\n"
            f"  Names: {', '.join(BUILTIN)}.\n"
            f"  Objects of other libraries are taken from: {', '.join(ADAPTERS)}."
        )
    if device is not None:
        network.module.to(device)
    return network


def _changed(network: Network, given: dict[str, Any]) -> Network:
    if "classes" in given:
        given["classes"] = ClassTable.of(given["classes"])
    if isinstance(stated := given.get("convention"), Mapping):
        given["convention"] = Convention.from_dict({**asdict(network.convention), **stated})
    return network.with_(**given) if given else network


def _builtin(name: str, given: dict[str, Any]) -> Network:
    shipped = import_module(f"seglens.networks.builtin{'_coders' if name in _CODERS else ''}")
    module: nn.Module = shipped.build(name)
    path = Path(__file__).parent / "weights" / f"{name}.toml"
    told = {"name": name, "source": name, **given}
    return as_units(_assembled(settled(Loaded(module)), read_description(path), told), given)


def _adapted(source: object) -> Loaded | None:
    """The network in an object of another library, by the packages of its classes; None where none speaks up."""
    # Announces what to make of exported programs and of what torch makes of them.
    import_module("seglens.networks.exported")
    packages = dict.fromkeys(c.__module__.partition(".")[0] for c in type(source).__mro__)
    for package in packages:
        if package in ADAPTERS and (loaded := ADAPTERS[package](source)) is not None:
            return loaded
    return None


def _from_zoo(zoo: str, name: str, arguments: Mapping[str, Any], download: bool, given: dict[str, Any]) -> Network:
    source = f"{zoo}:{name}"
    if not download:
        raise NetworkError(
            f"{source} names a model without its weights, and nothing is downloaded unasked.\n"
            f"  Your own weights: load('WEIGHTS.pth', constructor={source!r}). Those that {zoo} offers: download=True, "
            "or --download."
        )
    loaded = ZOOS[zoo](name, arguments, download)
    return _told(loaded, Description(), {"source": source, **given}, name, "convention=…")


def _from_file(
    path: Path,
    trust: bool,
    constructor: Constructor | None,
    arguments: Mapping[str, Any] | None,
    given: dict[str, Any],
) -> Network:
    beside = description_beside(path)
    description = read_description(beside) if beside is not None else Description()
    request = Request(
        trust=trust,
        constructor=constructor or description.constructor,
        arguments=description.constructor_arguments if arguments is None else arguments,
        named_in=None if constructor is not None else beside,
    )
    loaded = _loader(path)(path, request)
    where = f"{path.with_suffix('.toml').name} beside it"
    return _told(loaded, description, {"source": str(path), **given}, path.stem, where)


def _told(loaded: Loaded, description: Description, given: dict[str, Any], name: str, where: str) -> Network:
    """The network, and warnings of what was not told."""
    loaded = settled(loaded)
    network = _assembled(loaded, description, given, name)
    told = description.input is not None or "convention" in given
    for note in (*loaded.notes, *(() if told else loaded.guesses)):
        warnings.warn(note, GuessWarning, stacklevel=4)
    if not told and "mean" not in loaded.convention:
        _warn_of_guess(network.name, network.convention, where)
    return network


def _loader(path: Path) -> Any:
    for module in ("exported", "scripted", "checkpoint"):
        import_module(f"seglens.networks.{module}")
    if path.is_dir():
        # `_existing` lets no other folder through.
        return LOADERS[kind_of_folder(path) or ""]
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in ("toml", "json"):
        raise NetworkError(f"{path.name} is a description, not a network.\n  Give the file beside it.")
    if suffix not in _AMBIGUOUS:
        if suffix in LOADERS:
            return LOADERS[suffix]
        kind_of(path)
        raise NetworkError(
            f"{path.name} has the suffix {path.suffix!r}, which no loader "
            f"takes.{suggest(suffix, LOADERS)}\n"
            f"  Taken are: {', '.join('.' + s for s in sorted({*LOADERS, *_AMBIGUOUS}))}."
        )
    kind = kind_of(path)
    if kind == "unknown":
        raise NetworkError(
            f"{path.name} is no file that torch, safetensors, Keras or ONNX wrote, or its beginning is "
            "damaged.\n"
            "  Expected an exported program (.pt2), TorchScript, .safetensors, a state dict, .keras or .onnx."
        )
    return LOADERS[_LOADER_OF[kind]]


def _assembled(loaded: Loaded, description: Description, given: dict[str, Any], name: str = "") -> Network:
    """The network, from what is given, else described, else settled by the file."""
    settled = dict(loaded.convention)
    if "channels" not in settled and (channels := first_channels(loaded.module)) is not None:
        settled["channels"] = channels
    fields: dict[str, Any] = {"name": name, "batch": loaded.batch, "convention": description.convention(settled)}
    fields.update(loaded.fields)
    fields.update(description.fields())
    fields.update(given)
    if isinstance(stated := given.get("convention"), Mapping):
        # What is not stated here is still what description and file tell.
        fields["convention"] = Convention.from_dict({**settled, **(description.input or {}), **stated})
    module, emits = loaded.module, fields.get("emits", "logits")
    if loaded.emitting is not None and emits != loaded.fields.get("emits", "logits"):
        module = loaded.emitting(emits)
    return from_module(module, **fields)


def _existing(source: str | os.PathLike[str]) -> Path:
    path = Path(source).expanduser()
    if path.is_dir() and kind_of_folder(path) is not None:
        return path
    if path.is_dir():
        files = sorted(p.name for p in path.iterdir() if p.suffix.lower().lstrip(".") in _AMBIGUOUS)
        inside = f"  In it: {', '.join(files[:6])}." if files else "  No network's file lies in it."
        raise NetworkError(f"{str(path)!r} is a folder; name the network's file.\n{inside}")
    if path.exists():
        return path
    text = os.fspath(source)
    if not path.suffix and len(path.parts) == 1:
        raise NameNotFoundError(
            f"no network {text!r}: neither a file nor one that ships.{suggest(text, BUILTIN)}\n"
            f"  Those that ship: {', '.join(BUILTIN)}."
        )
    if not path.parent.is_dir():
        raise NetworkError(f"no file {text!r}: the folder {str(path.parent)!r} does not exist.")
    near = suggest(path.name, sorted(p.name for p in path.parent.iterdir() if p.is_file()))
    raise NetworkError(f"no file {text!r}.{near}\n  Networks that ship: {', '.join(BUILTIN)}.")


def _warn_of_guess(name: str, convention: Convention, where: str) -> None:
    lo, hi = convention.range
    channels = "the picture's own" if convention.channels is None else str(convention.channels)
    warnings.warn(
        f"guessed how {name} takes images: {channels} channel(s), {convention.order}, values "
        f"{lo:g} to {hi:g}, "
        f"mean 0, std 1. State it in {where}; `seglens describe` writes one.",
        GuessWarning,
        stacklevel=3,
    )
