"""From a recipe and what its data tell to a network with its first weights, and to what opens it again."""

import inspect
from collections.abc import Mapping
from dataclasses import asdict, dataclass, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from seglens.core.convention import Convention
from seglens.core.errors import ParameterError, suggest
from seglens.core.saving import whole
from seglens.networks.description import Description, write_description
from seglens.run.training.data import Facts
from seglens.run.training.recipe import MASKED, Recipe
from seglens.run.training.seeds import seed_of

CONSTRUCTORS: Mapping[str, str] = {
    "VAE": "seglens.generative:VAE",
    "BurgessVAE": "seglens.generative:BurgessVAE",
    "CVAE": "seglens.generative:CVAE",
    "SegmentationVAE": "seglens.generative:SegmentationVAE",
    "Mgrad2VAE": "seglens.generative:Mgrad2VAE",
    "UNet": "seglens.networks.builtin:UNet",
    "XceptionUNet": "seglens.generative:XceptionUNet",
}
"""What builds each architecture."""

_MEAN, _STD = 0.5, 0.25  # of pixels in 0..1, for networks whose output is no picture


@dataclass(frozen=True, slots=True)
class Built:
    """A network with its first weights. constructor, arguments: plain values that build it again. convention: how
    pictures become its input."""

    module: nn.Module
    constructor: str
    arguments: Mapping[str, Any]
    convention: Convention

    @property
    def parameters(self) -> int:
        """How many numbers are learned."""
        return sum(p.numel() for p in self.module.parameters())


def build(recipe: Recipe, facts: Facts) -> Built:
    """The network of a recipe. The same recipe and data give the same weights; global random states stay as they were.

    Raises ParameterError for an argument that the constructor does not have or refuses, for one that the data tell,
    and for a size that the network does not take.
    """
    constructor = CONSTRUCTORS[recipe.architecture]
    module_name, _, name = constructor.partition(":")
    maker: type[nn.Module] = getattr(import_module(module_name), name)
    told = _told(recipe, facts)
    for key in recipe.model:
        if key in told or key in ("channels", "classes", "size", "conditions"):
            raise ParameterError(f"model.{key} is told by the data, and has no place in the recipe.")
    arguments = {**told, **{k: _settled(v) for k, v in recipe.model.items()}}
    signature = inspect.signature(maker)
    if not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        for key in recipe.model:
            if key not in signature.parameters:
                known = [n for n in signature.parameters if n not in told]
                raise ParameterError(
                    f"{name} has no argument {key!r}.{suggest(key, known)}\n  Those for [model]: {', '.join(known)}."
                )
        bound = signature.bind(**arguments)
        bound.apply_defaults()
        arguments = dict(bound.arguments)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(recipe.seed, "weights"))
        try:
            module = maker(**arguments)
        except (TypeError, ValueError) as wrong:
            if isinstance(wrong, ParameterError):
                raise
            raise ParameterError(f"[model] does not build a {name}: {wrong}") from wrong
    _check_size(module, name, facts.size)
    config = getattr(module, "config", None)
    if is_dataclass(config) and not isinstance(config, type):
        arguments = asdict(config)
    return Built(module, constructor, _listed(arguments), _convention(recipe, facts, module))


def write_network(
    state: Mapping[str, Tensor], built: Built, recipe: Recipe, facts: Facts, path: Path, name: str = ""
) -> None:
    """Weights as safetensors, and beside them the description with which `seglens.load` opens them."""
    with whole(path) as file:
        file.write(save({k: v.detach().cpu().contiguous().clone() for k, v in state.items()}))
    draws_images = recipe.kind not in MASKED
    convention = built.convention.to_dict()
    description = Description(
        name=name or f"{recipe.data.name.partition(':')[0]}-{recipe.kind}",
        task="encode" if draws_images else "segment",
        classes=None if draws_images else facts.classes,
        emits="logits",
        link="none" if draws_images else "softmax",
        constructor=built.constructor,
        constructor_arguments=built.arguments,
        input={key: convention[key] for key in ("channels", "order", "range", "mean", "std", "divisor", "size")},
    )
    write_description(description, path.with_suffix(".toml"))


def read_weights(module: nn.Module, path: Path) -> None:
    """Weights that `write_network` wrote, into the module that they are of."""
    module.load_state_dict(load_file(path))


def _told(recipe: Recipe, facts: Facts) -> dict[str, Any]:
    """Arguments that the data tell."""
    told: dict[str, Any] = {"channels": facts.channels}
    if recipe.kind != "segmenter":
        told["size"] = facts.size
    if recipe.kind == "cvae":
        told["conditions"] = facts.conditions
    if facts.classes is not None and recipe.kind in MASKED:
        told["classes"] = len(facts.classes) if recipe.architecture == "UNet" else facts.classes.names
    return told


def _convention(recipe: Recipe, facts: Facts, module: nn.Module) -> Convention:
    # An autoencoder of images is to give back what it was given: pixels in 0..1.
    plain = recipe.kind not in MASKED
    return Convention(
        channels=facts.channels,
        mean=(0.0 if plain else _MEAN,) * facts.channels,
        std=(1.0 if plain else _STD,) * facts.channels,
        divisor=int(getattr(module, "divisor", 1)) if recipe.kind == "segmenter" else 1,
        size=facts.size,
    )


def _check_size(module: nn.Module, name: str, size: tuple[int, int]) -> None:
    divisor = getattr(module, "divisor", 1)
    if isinstance(divisor, int) and any(side % divisor for side in size):
        fit = tuple(max(divisor, round(side / divisor) * divisor) for side in size)
        raise ParameterError(
            f"{name} takes pictures whose sides are multiples of {divisor}, not {size[0]} x {size[1]}.\n"
            f"  Nearest: --size {fit[0]}x{fit[1]} (data.size = [{fit[0]}, {fit[1]}])."
        )


def _settled(value: Any) -> Any:
    return tuple(_settled(v) for v in cast("list[Any]", value)) if isinstance(value, list | tuple) else value


def _listed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _listed(v) for k, v in cast("Mapping[str, Any]", value).items()}
    return [_listed(v) for v in cast("list[Any]", value)] if isinstance(value, list | tuple) else value
