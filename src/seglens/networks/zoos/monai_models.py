"""MONAI: segmenters and classifiers of medical images by name, in two and three dimensions."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from seglens.networks.loaded import Loaded
from seglens.networks.zoos.building import built, no_weights, unknown, without
from seglens.networks.zoos.repair import library

SEGMENTERS = (
    *("UNet", "BasicUNet", "BasicUNetPlusPlus", "AttentionUnet", "UNETR", "SwinUNETR"),
    *("SegResNet", "SegResNetDS", "DynUNet", "VNet", "FlexibleUNet", "HighResNet"),
)
CLASSIFIERS = (
    *("DenseNet121", "DenseNet169", "DenseNet201", "DenseNet264", "SEResNet50", "SEResNet101", "SEResNet152"),
    *("SENet154", "EfficientNetBN", "ViT"),
)
_FIXED = {"BasicUNet": 16, "BasicUNetPlusPlus": 16, "VNet": 16, "FlexibleUNet": 32, "SwinUNETR": 32}
"""Divisors of the sides that no argument tells."""
_LOADING = ("pretrained_path", "pretrained_url", "pretrained_loading", "load_path", "weights_path", "pretrain")


def monai_model(name: str, arguments: Mapping[str, Any], download: bool) -> Loaded:
    """A network of MONAI, such as 'UNet', with its own arguments (spatial_dims, in_channels, out_channels, …).

    Channels come from in_channels, the divisor of the sides from its strides or blocks, a fixed size from img_size.
    MONAI says nothing of how pictures become input, which is therefore guessed unless stated. It offers no weights
    for these networks (its bundles are files of their own), so download=True raises NetworkError.
    Raises NameNotFoundError with the nearest names, NetworkError, ParameterError, MissingExtraError.
    """
    source = f"monai:{name}"
    library("monai", "zoo", source)
    nets: Any = library("monai.networks.nets", "zoo", source)
    known = {n.lower(): n for n in (*SEGMENTERS, *CLASSIFIERS)}
    if name.lower() not in known:
        raise unknown("network of MONAI", name, known.values())
    if download:
        raise no_weights(source, "MONAI's come in bundles, each with its own arguments.")
    name = known[name.lower()]
    make = getattr(nets, name)
    given = without(arguments, _LOADING, source)
    if "pretrained" in inspect.signature(make).parameters:
        given["pretrained"] = False
    return Loaded(built(source, make, given), _convention(name, given))


def _convention(name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """What the arguments settle of the input convention."""
    settled: dict[str, Any] = {}
    channels = arguments.get("in_channels")
    if isinstance(channels, int):
        settled["channels"] = channels
    size = arguments.get("img_size")
    dims = int(arguments.get("spatial_dims", 3))
    if name in ("UNETR", "ViT") and size is not None:
        settled["size"] = tuple(cast("Sequence[int]", size)) if isinstance(size, Sequence) else (int(size),) * dims
    elif (divisor := _divisor(name, arguments)) > 1:
        settled["divisor"] = divisor
    return settled


def _divisor(name: str, arguments: Mapping[str, Any]) -> int:
    """The least number that divides both sides of whatever the network halves and doubles again."""
    if name in ("UNet", "AttentionUnet", "DynUNet"):
        # A stride may be given for each axis; all axes are to be divisible.
        steps = [max(s) if isinstance(s, Sequence) else int(s) for s in arguments.get("strides", ())]
        return math.prod(steps)
    if name in ("SegResNet", "SegResNetDS"):
        return 2 ** (len(arguments.get("blocks_down", (1, 2, 2, 4))) - 1)
    return _FIXED.get(name, 1)
