"""Autoencoders as networks: what ours say of themselves, and how their published relatives lie on disk."""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch import nn

from seglens.core.classes import ClassTable
from seglens.core.errors import NetworkError, ParameterError
from seglens.core.network import Network
from seglens.generative.burgess import BurgessVAE
from seglens.generative.coder import Coder, Encoder, is_coder, latent_of
from seglens.networks.checkpoint import load_checkpoint
from seglens.networks.loaded import Loaded, Request
from seglens.networks.pickles import damaged


def settled(loaded: Loaded) -> Loaded:
    """With what an autoencoder of `seglens.generative` says of itself: pixels in 0..1, channels and size, its classes.

    Anything else as it came.
    """
    module = loaded.module
    if not is_coder(module) or not _is_ours(module):
        return loaded
    config: Any = cast("Any", module.coder if isinstance(module, Encoder) else module).config
    own = {"channels": config.channels, "size": config.size, "mean": 0.0, "std": 1.0}
    fields = dict(loaded.fields)
    names = getattr(module, "classes", None)
    if names and not isinstance(module, Encoder):
        fields.setdefault("classes", ClassTable.of(names))
    return replace(loaded, convention={**own, **loaded.convention}, fields=fields)


def as_units(network: Network, given: Mapping[str, Any]) -> Network:
    """The network of its latent units, where it is an autoencoder that gives images; any other as it is.

    One that gives masks stays a segmenter, whose units `latent_of` gives. A stated link leaves everything as stated.
    Raises ParameterError where classes were given, which images and units have not.
    """
    module = network.module
    if not isinstance(module, Coder) or module.produces != "image" or "link" in given:
        return network
    if "classes" in given:
        raise ParameterError(
            f"{network.name} is an autoencoder of images: what is explained of it are its {module.latent} latent "
            "units, numbered from 0, which have no classes.\n  Leave the classes out."
        )
    return latent_of(network)


def load_disentangling(path: Path, request: Request) -> Loaded:
    """A VAE in a folder as the public disentangling-vae repository writes it: specs.json and the weights model.pt.

    Raises NetworkError for specifications that are damaged or of another architecture, and for weights that do not fit.
    """
    specs = _specs(path)
    kind, size, latent = specs.get("model_type"), specs.get("img_size"), specs.get("latent_dim")
    if kind != "Burgess":
        raise NetworkError(f"{path.name}/specs.json is of a model of type {kind!r}; the only one known is 'Burgess'.")
    shape = cast("list[object]", size) if isinstance(size, list) else []
    if len(shape) != 3 or not all(isinstance(n, int) for n in shape) or not isinstance(latent, int):
        raise NetworkError(
            f"{path.name}/specs.json is to state img_size = [channels, height, width] and latent_dim, not {size!r} and "
            f"{latent!r}."
        )
    channels, height, width = cast("list[int]", shape)
    weights = path / "model.pt"
    if not weights.is_file():
        raise NetworkError(f"{str(path)!r} holds specs.json, but not the weights, model.pt.")
    build = partial(BurgessVAE, channels=channels, size=(height, width), latent=latent)
    return load_checkpoint(weights, Request(trust=request.trust, constructor=cast("Any", build)))


def _specs(path: Path) -> dict[str, Any]:
    try:
        found: object = json.loads((path / "specs.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as failed:
        raise damaged(f"{path.name}/specs.json", failed) from failed
    if not isinstance(found, dict):
        raise damaged(f"{path.name}/specs.json", ValueError("it holds no table of keys"))
    return cast("dict[str, Any]", found)


def _is_ours(module: object) -> bool:
    coder: object = module.coder if isinstance(module, Encoder) else module
    return isinstance(coder, nn.Module) and type(coder).__module__.startswith("seglens.generative.")
