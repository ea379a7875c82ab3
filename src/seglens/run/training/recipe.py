"""How a network is trained, in one readable file: everything that determines its weights, and nothing else."""

import tomllib
import types
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, Self, Union, cast, get_args, get_origin, get_type_hints

from seglens.core.errors import ParameterError, SeglensError, suggest
from seglens.core.parameters import Bounds, check_parameters
from seglens.core.saving import write_text
from seglens.generative import Objective
from seglens.networks.toml import dumps

Kind = Literal["vae", "cvae", "seg-vae", "mgrad2vae", "segmenter"]
"""What is trained: an autoencoder of images, a conditional one, one whose decoder draws masks, one with attention from
second-order derivatives, a plain segmenter."""

KINDS: tuple[Kind, ...] = get_args(Kind)

ARCHITECTURES: Mapping[Kind, tuple[str, ...]] = types.MappingProxyType(
    {
        "vae": ("VAE", "BurgessVAE"),
        "cvae": ("CVAE",),
        "seg-vae": ("SegmentationVAE",),
        "mgrad2vae": ("Mgrad2VAE",),
        "segmenter": ("UNet", "XceptionUNet"),
    }
)
"""Networks of each kind; the first is the default."""

MASKED: tuple[Kind, ...] = ("seg-vae", "mgrad2vae", "segmenter")
"""Kinds that learn the masks of the data's classes."""

Schedule = Literal["constant", "one-cycle", "cosine", "step"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed", "bf16-true", "16-true", "64-true"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataRecipe:
    """What is shown.

    name: 'streets', 'faces', 'sprites', or NAME:PATH of a set on disk. size: (height, width); None for the set's own.
    train, validation, test: at most so many pictures of each split; None for all of them. seed: of sets made by rule.
    flip: mirror half the pictures, left for right. conditions: attributes that a conditional network is given; none
    stands for all that the set has.
    """

    name: str
    size: tuple[int, int] | None = None
    train: Annotated[int | None, Bounds(ge=1)] = None
    validation: Annotated[int | None, Bounds(ge=1)] = None
    test: Annotated[int | None, Bounds(ge=1)] = None
    seed: Annotated[int, Bounds(ge=0)] = 0
    flip: bool = False
    conditions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise ParameterError(f"data.size is (height, width) in pixels, not {list(self.size)}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimiserRecipe:
    """How it is made small.

    rate: the greatest learning rate. schedule: 'constant'; 'one-cycle', up over the first 15 % of the steps and down to
    almost nothing by half cosines; 'cosine', only down; 'step', times `factor` at each of the `milestones`, which are
    shares of all steps. weight_decay: decoupled for adamw. clip: greatest norm of the gradient; 0 for no limit.
    """

    name: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: Annotated[float, Bounds(above=0)] = 1e-3
    schedule: Schedule = "one-cycle"
    milestones: tuple[float, ...] = (0.5, 0.75)
    factor: Annotated[float, Bounds(above=0, le=1)] = 0.1
    weight_decay: Annotated[float, Bounds(ge=0)] = 0.0
    clip: Annotated[float, Bounds(ge=0)] = 0.0

    def __post_init__(self) -> None:
        check_parameters(self)
        if any(not 0 < m < 1 for m in self.milestones) or list(self.milestones) != sorted(self.milestones):
            raise ParameterError(
                f"optimiser.milestones are shares of all steps, rising between 0 and 1, not {list(self.milestones)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Everything that determines a trained network.

    kind, architecture: what is trained; see `ARCHITECTURES`. model: arguments of its constructor but those that the
    data tell (channels, classes, size, conditions). batch: pictures of one step, over all devices together. epochs or
    steps: how long, one of them. seed: of the first weights, of the order, of mirroring, of the draws from the
    posterior. precision: Lightning's name for it. patience: stop after so many epochs without a better held-out
    figure; 0 for never. balance: in cross-entropies of masks, classes weigh (their share of the pixels)^-balance, of
    mean 1; 0 for all alike. loss: see `seglens.generative.Objective`; of a segmenter its reconstruction alone.
    """

    kind: Kind
    architecture: str = ""
    batch: Annotated[int, Bounds(ge=1)] = 32
    epochs: Annotated[int | None, Bounds(ge=1)] = None
    steps: Annotated[int | None, Bounds(ge=1)] = None
    seed: Annotated[int, Bounds(ge=0)] = 0
    precision: Precision = "32-true"
    patience: Annotated[int, Bounds(ge=0)] = 0
    balance: Annotated[float, Bounds(ge=0, le=1)] = 0.0
    data: DataRecipe
    model: Mapping[str, Any] = field(default_factory=dict[str, Any])
    loss: Objective = field(default_factory=Objective)
    optimiser: OptimiserRecipe = OptimiserRecipe()

    def __post_init__(self) -> None:
        if self.kind in KINDS and not self.architecture:
            object.__setattr__(self, "architecture", ARCHITECTURES[self.kind][0])
        check_parameters(self)
        if self.architecture not in ARCHITECTURES[self.kind]:
            known = ARCHITECTURES[self.kind]
            raise ParameterError(
                f"architecture = {self.architecture!r}: a {self.kind} is one of {', '.join(known)}."
                f"{suggest(self.architecture, known)}"
            )
        if (self.epochs is None) == (self.steps is None):
            raise ParameterError("how long to train is to be said once: by epochs or by steps.")

    def to_dict(self) -> dict[str, Any]:
        """Plain form for files, without what is None."""
        return _plain(self)

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """From the plain form. Raises ParameterError: an unknown key (with the nearest), a value of the wrong kind."""
        return _made(cls, plain, "")

    def with_(self, changes: Mapping[str, Any]) -> "Recipe":
        """With other values by dotted names, such as {'loss.beta': 4.0, 'model.latent': 10}.

        Setting epochs unsets steps, and the other way round. Raises ParameterError, likewise.
        """
        plain = self.to_dict()
        for name, value in changes.items():
            *tables, key = name.split(".")
            place = plain
            for table in tables:
                inner = place.setdefault(table, {})
                if not isinstance(inner, dict):
                    raise ParameterError(f"{name}: {table} is a value and has no parts.")
                place = cast("dict[str, Any]", inner)
            if value is None:
                place.pop(key, None)
            else:
                place[key] = deepcopy(value)
            if name in ("epochs", "steps") and value is not None:
                plain.pop("steps" if name == "epochs" else "epochs", None)
        if "kind" in changes and "architecture" not in changes:
            plain.pop("architecture")
        return Recipe.from_dict(plain)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file. Raises ParameterError, which begins with the file's name."""
    try:
        plain = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as failed:
        raise ParameterError(f"{path.name} is no valid TOML: {failed}.") from failed
    except UnicodeDecodeError as failed:
        raise ParameterError(f"{path.name} is no text in UTF-8 ({failed}).") from failed
    except OSError as failed:
        raise ParameterError(f"{path.name} cannot be read: {failed}") from failed
    try:
        return Recipe.from_dict(plain)
    except SeglensError as failed:
        raise ParameterError(f"{path.name}: {failed}") from failed


def write_recipe(recipe: Recipe, path: Path) -> None:
    """Write a recipe as TOML; what stood there is replaced."""
    write_text(dumps(recipe.to_dict()), path)


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Where two recipes differ: 'loss.beta: 1.0, not 4.0', in the order of the file."""
    a, b = _flat(one.to_dict()), _flat(other.to_dict())
    return [
        f"{key}: {_shown(a.get(key))}, not {_shown(b.get(key))}"
        for key in dict.fromkeys([*a, *b])
        if a.get(key) != b.get(key)
    ]


def _made(cls: type[Any], plain: Mapping[str, Any], place: str) -> Any:
    """A dataclass from its plain form; `place` is the dotted name of the table, for messages."""
    known = {f.name: f for f in fields(cls)}
    hints = get_type_hints(cls)
    given: dict[str, Any] = {}
    for key, value in plain.items():
        if key not in known:
            raise ParameterError(
                f"unknown key '{place}{key}'.{'' if place else _elsewhere(key)}{suggest(key, known)}\n"
                f"  All of them: {', '.join(known)}."
            )
        given[key] = _value(hints[key], value, place + key)
    for key, f in known.items():
        if key not in given and f.default is MISSING and f.default_factory is MISSING:
            raise ParameterError(f"'{place}{key}' is missing.")
    return cls(**given)


def _elsewhere(key: str) -> str:
    found = [f"[{name}]" for name, table in _TABLES.items() if key in {f.name for f in fields(table)}]
    return f"\n  It belongs under {' or '.join(found)}." if found else ""


def _value(hint: Any, value: Any, name: str) -> Any:
    if hint in _TABLES.values() or get_origin(hint) is _MAPPING:
        if not isinstance(value, Mapping):
            raise ParameterError(f"'{name}' is to be a table, not {value!r}.")
        table = cast("Mapping[str, Any]", value)
        return _made(hint, table, f"{name}.") if hint in _TABLES.values() else dict(table)
    members = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    of_tuple = next((m for m in members if get_origin(m) is tuple), None)
    if of_tuple is None:
        return value
    kind = get_args(of_tuple)[0]
    items: list[Any] = list(cast("Sequence[Any]", value)) if isinstance(value, list | tuple) else []
    if not isinstance(value, list | tuple) or not all(_is(kind, item) for item in items):
        raise ParameterError(f"'{name}' is to be a list of {_PLURAL[kind]}, not {value!r}.")
    return tuple(kind(item) for item in items)


def _is(kind: type, item: Any) -> bool:
    wanted = (int, float) if kind is float else (kind,)
    return isinstance(item, wanted) and not (isinstance(item, bool) and kind is not bool)


_PLURAL: Mapping[type, str] = {int: "whole numbers", float: "numbers", str: "texts"}
_TABLES: Mapping[str, type[Any]] = {"data": DataRecipe, "loss": Objective, "optimiser": OptimiserRecipe}
_MAPPING = get_origin(Mapping[str, Any])


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def _flat(plain: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in plain.items():
        if isinstance(value, Mapping):
            flat |= _flat(cast("Mapping[str, Any]", value), f"{before}{key}.")
        else:
            flat[before + key] = value
    return flat


def _plain(recipe: Any) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for f in fields(recipe):
        value = getattr(recipe, f.name)
        if hasattr(value, "__dataclass_fields__"):
            value = _plain(value)
        elif isinstance(value, Mapping):
            value = {k: _listed(v) for k, v in cast("Mapping[str, Any]", value).items()}
        if value is not None:
            plain[f.name] = _listed(value)
    return plain


def _listed(value: Any) -> Any:
    """Lists for tuples, at any depth: what TOML gives back."""
    return [_listed(v) for v in cast("list[Any]", value)] if isinstance(value, list | tuple) else value
