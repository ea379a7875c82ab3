"""timm: classifiers and encoders by name, out of a folder of save_pretrained, or in memory."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from torch import nn

from seglens.core.errors import NetworkError
from seglens.networks.loaded import Loaded, Request
from seglens.networks.zoos.building import assumed, built, entry, fetched, filled, unknown, values, without
from seglens.networks.zoos.repair import library

_REFUSED = ("pretrained", "checkpoint_path", "pretrained_cfg", "pretrained_cfg_overlay", "cache_dir")
"""Arguments of create_model that load something."""


def timm_model(name: str, arguments: Mapping[str, Any], download: bool) -> Loaded:
    """A model of timm, 'resnet18' or with the tag of its weights 'resnet18.a1_in1k'.

    Mean, std and size are those of the weights that timm offers under that name; without download a note says that
    they were taken. Class names: ImageNet's, where as many classes are predicted.
    Raises NameNotFoundError with the nearest names, NetworkError, ParameterError, MissingExtraError.
    """
    timm: Any = library("timm", "zoo", f"timm:{name}")
    source = f"timm:{name}"
    _check_name(timm, name)
    given = {"model_name": name, **without(arguments, _REFUSED, source)}
    if download:
        return _told(fetched(source, timm.create_model, {**given, "pretrained": True}, given))
    return _assumed(_told(built(source, timm.create_model, given)), name)


def adapt_timm(model: object) -> Loaded | None:
    """A model of timm in memory, with the mean, std and size of its own `pretrained_cfg`."""
    return _told(model) if isinstance(model, nn.Module) and _configuration(model) else None


def load_timm_folder(path: Path, request: Request) -> Loaded:
    """A folder of timm's save_pretrained: config.json with the weights beside it.

    Raises NetworkError where it is damaged, NameNotFoundError for an architecture that this timm does not have.
    """
    timm: Any = library("timm", "zoo", f"the folder {path.name!r}")
    config: Mapping[str, object] = json.loads((path / "config.json").read_text(encoding="utf-8"))
    name = entry(config, "architecture", str, path)
    _check_name(timm, name)
    arguments: dict[str, Any] = dict(entry(config, "model_args", dict, path)) if "model_args" in config else {}
    if "num_classes" in config:
        arguments.setdefault("num_classes", config["num_classes"])
    given = {"model_name": name, **without(arguments, _REFUSED, path.name)}
    module = filled(path, request, lambda: built(f"timm:{name}", timm.create_model, given))
    own = dict(entry(config, "pretrained_cfg", dict, path))
    own.update({k: config[k] for k in ("label_names", "label_descriptions") if k in config})
    return _told(module, own)


def _check_name(timm: Any, name: str) -> None:
    """Only names of timm's own registry: any other is an address from which code-free weights are fetched unasked."""
    if ":" in name or "/" in name:
        raise NetworkError(
            f"timm:{name} names a place on a hub or a disk, not a model of timm.\n"
            "  Fetch its folder, and load that: load('FOLDER')."
        )
    base = name.partition(".")[0]
    if not timm.is_model(base):
        raise unknown("model of timm", base, timm.list_models())


def _configuration(model: nn.Module) -> Mapping[str, Any]:
    found: object = getattr(model, "pretrained_cfg", None)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def _told(model: nn.Module, own: Mapping[str, Any] | None = None) -> Loaded:
    """What timm's configuration tells of a model: the folder's own, or the one that the model carries."""
    config = _configuration(model) if own is None else own
    channels = _channels(model, config)
    convention: dict[str, Any] = {"channels": channels}
    mean, std = values(config.get("mean"), channels), values(config.get("std"), channels)
    if mean is not None and std is not None:
        convention |= {"mean": mean, "std": std}
    size = _size(model, config)
    if size is not None:
        convention["size"] = size
    fields: dict[str, Any] = {}
    if (classes := _classes(model, config)) is not None:
        fields["classes"] = classes
    if getattr(model, "num_classes", None) == 0:
        fields["link"] = "none"
    return Loaded(model, convention, fields=fields)


def _assumed(loaded: Loaded, name: str) -> Loaded:
    """The same with the note that the mean is that of other weights."""
    if "mean" not in loaded.convention:
        return loaded
    usual = f"the normalisation of timm's own weights of {name}"
    return replace(loaded, guesses=(assumed(usual, loaded.convention["mean"], loaded.convention["std"]),))


def _channels(model: nn.Module, config: Mapping[str, Any]) -> int:
    """Channels of the input: those of the layer that the configuration names as first, else as configured."""
    first = config.get("first_conv")
    for name in [first] if isinstance(first, str) else []:
        try:
            weight: object = getattr(model.get_submodule(name), "weight", None)
        except AttributeError:
            continue
        if isinstance(weight, nn.Parameter) and weight.ndim == 4:
            return weight.shape[1]
    size = config.get("input_size")
    return int(cast("Sequence[int]", size)[0]) if isinstance(size, Sequence) else 3


def _size(model: nn.Module, config: Mapping[str, Any]) -> tuple[int, int] | None:
    """(H, W) that the model was made for: its patch embedding's own, else the configured one."""
    grid: object = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if isinstance(grid, tuple) and len(cast("tuple[int, ...]", grid)) == 2:
        return cast("tuple[int, int]", grid)
    size = config.get("input_size")
    return tuple(cast("Sequence[int]", size)[1:]) if isinstance(size, Sequence) else None  # pyright: ignore[reportReturnType]


def _classes(model: nn.Module, config: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Class names in the configuration, or of the ImageNet that the configured weights were trained on."""
    n: object = getattr(model, "num_classes", None)
    names: object = config.get("label_names")
    told: object = config.get("label_descriptions")
    if isinstance(names, Sequence) and not isinstance(names, str) and len(cast("Sequence[str]", names)) == n:
        listed = [str(v) for v in cast("Sequence[str]", names)]
        if isinstance(told, Mapping):
            listed = [str(cast("Mapping[str, str]", told).get(v, v)) for v in listed]
        return distinct(listed)
    if n != config.get("num_classes", n) or not isinstance(n, int) or n < 2:
        return None
    data: Any = library("timm", "zoo", "class names").data  # pyright: ignore[reportAttributeAccessIssue]
    subset = data.infer_imagenet_subset(dict(config))
    if subset is None:
        return None
    known = [str(v) for v in data.ImageNetInfo(subset).label_descriptions()]
    return distinct(known) if len(known) == n else None


def distinct(names: Sequence[str]) -> tuple[str, ...]:
    """The first word of each of ImageNet's lists of synonyms, the whole list where that would not be unique.

    What is still the same twice (ImageNet has two cranes) gets its number.
    """
    short = [name.partition(",")[0] for name in names]
    whole = [s if short.count(s) == 1 else n for s, n in zip(short, names, strict=True)]
    return tuple(w if whole.count(w) == 1 else f"{w} {i}" for i, w in enumerate(whole))
