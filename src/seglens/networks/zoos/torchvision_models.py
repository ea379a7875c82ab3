"""torchvision: segmenters and classifiers by name."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from seglens.core.errors import NetworkError
from seglens.networks.loaded import Loaded
from seglens.networks.zoos.building import assumed, built, fetched, no_weights, unknown
from seglens.networks.zoos.repair import import_torchvision


def torchvision_model(name: str, arguments: Mapping[str, Any], download: bool) -> Loaded:
    """A segmenter or classifier of torchvision, such as 'deeplabv3_resnet50'.

    arguments: its own (num_classes, aux_loss, …); `weights` names those to fetch with download, else its default ones
    are fetched. Mean, std and size are those of its weights' transforms; without download a note says that they were
    taken. Class names: those of the weights that were fetched.
    Raises NameNotFoundError with the nearest names; NetworkError also for detectors, whose boxes are no scores of
    pixels; MissingExtraError.
    """
    models: Any = import_torchvision().models
    source = f"torchvision:{name}"
    known = {n for group in (models, models.segmentation) for n in models.list_models(module=group)}
    if name not in known:
        if name in models.list_models():
            raise NetworkError(
                f"{source} gives boxes, flow, labels of videos or integers, not scores of pixels or of one image.\n"
                "  Explained are its models for classification and segmentation."
            )
        raise unknown("model of torchvision", name, known)
    offered = models.get_model_weights(name)
    wanted = arguments.get("weights")
    bare = {**arguments, "name": name, "weights": None}
    if name in models.list_models(module=models.segmentation):
        # Its default is to fetch weights of the encoder.
        bare["weights_backbone"] = None
    if not download:
        weights = next(iter(offered), None)
        return _assumed(_told(built(source, models.get_model, bare), weights), name)
    if wanted is not None and wanted not in offered.__members__:
        raise unknown(f"weights of {source}", str(wanted), offered.__members__)
    weights = offered[wanted] if wanted is not None else getattr(offered, "DEFAULT", None)
    if weights is None:
        raise no_weights(source, "torchvision offers none.")
    module = fetched(source, models.get_model, {**bare, "weights": weights}, bare)
    loaded = _told(module, weights)
    categories = [str(c) for c in weights.meta.get("categories", ())]
    classes = {"classes": _distinct(categories)} if categories else {}
    return replace(loaded, fields={**loaded.fields, **classes})


def adapt_torchvision(model: object) -> Loaded | None:
    """A segmenter of torchvision in memory: which output it is. Mean and std it does not hold: they are guessed."""
    return Loaded(model, fields=_fields(model)) if isinstance(model, nn.Module) and _fields(model) else None


def _told(model: nn.Module, weights: Any) -> Loaded:
    convention: dict[str, Any] = {}
    if weights is not None:
        transforms = weights.transforms()
        convention |= {"channels": 3, "mean": tuple(transforms.mean), "std": tuple(transforms.std)}
        if crop := getattr(transforms, "crop_size", None):
            side = list(crop)
            convention["size"] = (side[0], side[-1])
    return Loaded(model, convention, fields=_fields(model))


def _assumed(loaded: Loaded, name: str) -> Loaded:
    if "mean" not in loaded.convention:
        return loaded
    usual = f"the normalisation of torchvision's own weights of {name}"
    return replace(loaded, guesses=(assumed(usual, loaded.convention["mean"], loaded.convention["std"]),))


def _fields(model: nn.Module) -> dict[str, Any]:
    """Segmenters of torchvision return {'out': scores, 'aux': scores of a side branch}."""
    package = type(model).__module__
    return {"output": "out"} if package.startswith("torchvision.models.segmentation.") else {}


def _distinct(names: list[str]) -> tuple[str, ...]:
    """Names that differ: ImageNet has two cranes and two maillots."""
    return tuple(n if names.count(n) == 1 else f"{n} {i}" for i, n in enumerate(names))
