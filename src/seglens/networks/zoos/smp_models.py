"""segmentation-models-pytorch: segmenters by name, out of a folder of save_pretrained, or in memory."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from torch import nn

from seglens.core.errors import NetworkError
from seglens.networks.loaded import Loaded, Request
from seglens.networks.zoos.building import assumed, built, entry, fetched, filled, unknown, values
from seglens.networks.zoos.repair import library

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES = ("inceptionresnetv2", "inceptionv4", "xception")
"""Encoders whose ImageNet weights were trained on values from −1 to 1."""


def smp_model(name: str, arguments: Mapping[str, Any], download: bool) -> Loaded:
    """A model of segmentation-models-pytorch, 'Unet' or another of its architectures.

    arguments: its own (encoder_name, classes, …). With download its encoder gets the weights that `encoder_weights`
    names ('imagenet'); the decoder stays random, since none is offered. Without, encoder_weights plays no part.
    Sides are padded to the encoder's stride, so that its maps lie on the picture's grid.
    Raises NameNotFoundError for an architecture or encoder, with the nearest; NetworkError, MissingExtraError.
    """
    smp: Any = library("segmentation_models_pytorch", "zoo", f"smp:{name}")
    source = f"smp:{name}"
    make = _architecture(smp, name)
    _check_encoder(smp, str(arguments.get("encoder_name", "resnet34")))
    bare = {**arguments, "encoder_weights": None}
    if not download:
        return _assumed(_told(built(source, make, bare)), arguments)
    wanted = {"encoder_weights": "imagenet", **arguments}
    loaded = _told(fetched(source, make, wanted, bare), wanted)
    note = f"{source} has trained weights in its encoder only: its decoder is random, and so is what it says."
    return replace(loaded, notes=(note,))


def adapt_smp(model: object) -> Loaded | None:
    """A model of segmentation-models-pytorch in memory, with the mean and std of its encoder's weights.

    Where it was made with encoder_weights=None, a note says that ImageNet's were taken.
    """
    if not isinstance(model, nn.Module) or not hasattr(model, "encoder") or not hasattr(model, "segmentation_head"):
        return None
    config = _configuration(model)
    loaded = _told(model, config)
    return loaded if config.get("encoder_weights") else _assumed(loaded, config)


def load_smp_folder(path: Path, request: Request) -> Loaded:
    """A folder of save_pretrained: config.json with the weights beside it.

    Raises NetworkError where it is damaged, NameNotFoundError for what this version does not have.
    """
    smp: Any = library("segmentation_models_pytorch", "zoo", f"the folder {path.name!r}")
    config: dict[str, Any] = json.loads((path / "config.json").read_text(encoding="utf-8"))
    make = _architecture(smp, entry(config, "_model_class", str, path))
    _check_encoder(smp, entry(config, "encoder_name", str, path))
    arguments = {k: v for k, v in config.items() if not k.startswith("_")}
    bare = {**arguments, "encoder_weights": None}
    module = filled(path, request, lambda: built(f"smp:{config['_model_class']}", make, bare))
    loaded = _told(module, arguments)
    return loaded if arguments.get("encoder_weights") else _assumed(loaded, arguments)


def _architecture(smp: Any, name: str) -> Any:
    known: Mapping[str, Any] = smp.MODEL_ARCHITECTURES_MAPPING
    if name.lower() not in known:
        raise unknown("architecture of segmentation-models-pytorch", name, [c.__name__ for c in known.values()])
    return known[name.lower()]


def _check_encoder(smp: Any, name: str) -> None:
    """Known names only: what a 'tu-' encoder calls a model may be an address, from which it is fetched unasked."""
    if ":" in name or "/" in name:
        raise NetworkError(f"the encoder {name!r} names a place on a hub or a disk, not an encoder of the library.")
    timm: Any = library("timm", "zoo", "an encoder")
    if name.startswith("tu-"):
        if not timm.is_model(name.removeprefix("tu-").partition(".")[0]):
            raise unknown("encoder", name, [f"tu-{n}" for n in timm.list_models()])
    elif not name.startswith("timm-") and name not in smp.encoders.encoders:
        raise unknown("encoder", name, smp.encoders.encoders)


def _configuration(model: nn.Module) -> Mapping[str, Any]:
    found: object = getattr(model, "config", None)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _told(model: nn.Module, arguments: Mapping[str, Any] | None = None) -> Loaded:
    arguments = _configuration(model) if arguments is None else arguments
    channels = int(arguments.get("in_channels", 3))
    convention: dict[str, Any] = {"channels": channels, "divisor": int(getattr(model.encoder, "output_stride", 32))}
    mean, std = _normalisation(model, arguments)
    mean, std = values(mean, channels), values(std, channels)
    if mean is not None and std is not None:
        convention |= {"mean": mean, "std": std}
    fields: dict[str, Any] = {}
    if (head := _activation(model)) is not None:
        fields |= {"emits": "probabilities", "link": head}
    if getattr(model, "classification_head", None) is not None:
        # Pairs of masks and labels of the whole image.
        fields["output"] = 0
    return Loaded(model, convention, fields=fields)


def _normalisation(model: nn.Module, arguments: Mapping[str, Any]) -> tuple[object, object]:
    """Mean and std of the encoder's weights: timm's own; what the library keeps in its cache; ImageNet's usual."""
    inner: object = getattr(model.encoder, "model", None)
    config: object = getattr(inner, "pretrained_cfg", None)
    if isinstance(config, Mapping):
        found = cast("Mapping[str, object]", config)
        return found.get("mean"), found.get("std")
    name, weights = str(arguments.get("encoder_name", "resnet34")), arguments.get("encoder_weights") or "imagenet"
    if (kept := _kept(name, weights)) is not None:
        return kept.get("mean"), kept.get("std")
    return ((0.5,), (0.5,)) if name in _HALVES else _IMAGENET


def _kept(encoder: str, weights: object) -> Mapping[str, object] | None:
    """The settings that came with an encoder's weights, from the hub's cache on this disk; nothing is fetched."""
    smp: Any = library("segmentation_models_pytorch", "zoo", "an encoder")
    hub: Any = library("huggingface_hub", "zoo", "an encoder")
    offered = smp.encoders.encoders.get(encoder, {}).get("pretrained_settings", {}).get(weights)
    if not isinstance(offered, Mapping) or "repo_id" not in offered:
        return None
    place = cast("Mapping[str, str]", offered)
    found = hub.try_to_load_from_cache(place["repo_id"], "config.json", revision=place.get("revision"))
    return json.loads(Path(found).read_text(encoding="utf-8")) if isinstance(found, str) else None


def _activation(model: nn.Module) -> Literal["softmax", "sigmoid"] | None:
    """The link inside the segmentation head; None where it gives logits."""
    for layer in cast("nn.Module", model.segmentation_head).modules():
        if isinstance(layer, nn.Softmax | nn.Softmax2d):
            return "softmax"
        if isinstance(layer, nn.Sigmoid):
            return "sigmoid"
    return None


def _assumed(loaded: Loaded, arguments: Mapping[str, Any]) -> Loaded:
    """The same with the note that mean and std are those of other weights."""
    if "mean" not in loaded.convention:
        return loaded
    usual = f"the normalisation of the usual weights of encoder {arguments.get('encoder_name', 'resnet34')}"
    return replace(loaded, guesses=(assumed(usual, loaded.convention["mean"], loaded.convention["std"]),))
