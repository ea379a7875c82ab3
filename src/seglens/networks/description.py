"""The description of a network: a small readable TOML or JSON beside its weights."""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, cast

from seglens.core.classes import ClassTable
from seglens.core.convention import Convention
from seglens.core.errors import NetworkError, ParameterError, SeglensError, suggest
from seglens.networks.toml import dumps

Task = Literal["segment", "classify", "encode"]

SUFFIXES = (".toml", ".json")

EXAMPLE = """\
name = "my-unet"
task = "segment"            # or "classify", "encode"
classes = ["road", "car"]   # in the order of the channels
emits = "logits"            # or "probabilities"
link = "softmax"            # or "sigmoid"

[input]
channels = 3
order = "RGB"
range = [0.0, 1.0]          # what black and white become before mean and std
mean = [0.485, 0.456, 0.406]
std = [0.229, 0.224, 0.225]
divisor = 32                # both sides are to be multiples of it
"""
"""A description as a person writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is stated of a network; None (or empty) is not stated.

    name: for messages and titles. task: what its output is. classes: names in the order of the
    channels, and their colours. emits, link, output, default_layer: as in `Network`. input: how
    pictures become input; the keys of `Convention`, of which some may be left out. constructor,
    constructor_arguments: what builds the module that a file of mere weights belongs to,
    'package.module:Class'.
    """

    name: str | None = None
    task: Task | None = None
    classes: ClassTable | None = None
    emits: Literal["logits", "probabilities"] | None = None
    link: Literal["softmax", "sigmoid", "none"] | None = None
    output: str | int | None = None
    default_layer: str | None = None
    constructor: str | None = None
    constructor_arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    input: Mapping[str, Any] | None = None

    def convention(self, settled: Mapping[str, Any]) -> Convention:
        """The input convention: what is stated, else what is `settled` elsewhere, else Convention's defaults."""
        return Convention.from_dict({**settled, **(self.input or {})})

    def fields(self) -> dict[str, Any]:
        """The fields of `Network` that are stated, but for the convention."""
        stated = {
            "name": self.name,
            "classes": self.classes,
            "emits": self.emits,
            "link": "none" if self.task == "encode" and self.link is None else self.link,
            "output": self.output,
            "default_layer": self.default_layer,
        }
        return {k: v for k, v in stated.items() if v is not None}

    def to_dict(self) -> dict[str, Any]:
        """Plain form for files, in the order in which a person reads it; without what is not stated."""
        table = self.classes
        plain: dict[str, Any] = {
            "name": self.name,
            "task": self.task,
            "classes": list(table.names) if table else None,
            "colours": [list(c) for c in table.colours] if table and table.colours else None,
            "emits": self.emits,
            "link": self.link,
            "output": self.output,
            "default_layer": self.default_layer,
            "constructor": self.constructor,
            "constructor_arguments": dict(self.constructor_arguments) or None,
            "input": dict(self.input) if self.input is not None else None,
        }
        return {k: v for k, v in plain.items() if v is not None}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Self:
        """From the plain form. Raises ParameterError: unknown key (nearest named), wrong kind of value."""
        _check(plain, _KEYS, "")
        known = dict(plain)
        names, colours = known.pop("classes", None), known.pop("colours", None)
        if colours is not None and names is None:
            raise ParameterError("'colours' are given without 'classes': whose are they?")
        if names is not None:
            known["classes"] = ClassTable.from_dict({"names": names, "colours": colours})
        if "input" in known:
            _check(known["input"], _INPUT_KEYS, "[input] ")
            # Refused here, where the file is known, rather than at the first image.
            Convention.from_dict({"channels": None, **known["input"]})
        return cls(**known)


def read_description(path: Path) -> Description:
    """The description in a .toml or .json file.

    Raises NetworkError, which begins with the file's name: bad syntax (with its line), an unknown
    key (with the nearest), a value of the wrong kind.
    """
    try:
        text = path.read_text(encoding="utf-8")
        plain: object = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as failed:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise NetworkError(f"{path.name} is no valid {kind}: {failed}.") from failed
    except UnicodeDecodeError as failed:
        raise NetworkError(f"{path.name} is no text in UTF-8 ({failed}).") from failed
    except OSError as failed:
        raise NetworkError(f"{path.name} cannot be read: {failed}") from failed
    if not isinstance(plain, dict):
        raise NetworkError(f"{path.name} is to hold one table of keys, not a {type(plain).__name__}.")
    try:
        return Description.from_dict(cast("dict[str, Any]", plain))
    except (SeglensError, TypeError) as failed:
        raise NetworkError(f"{path.name}: {failed}") from failed


def write_description(description: Description, path: Path) -> None:
    """Write a description as .toml or .json, by the path's suffix; what stood there is replaced."""
    plain = description.to_dict()
    if path.suffix == ".json":
        text = json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    elif path.suffix == ".toml":
        text = dumps(plain)
    else:
        raise ParameterError(f"a description is a .toml or a .json file, not {path.name!r}.")
    path.write_text(text, encoding="utf-8")


def description_beside(path: Path) -> Path | None:
    """The description of a network's file: of the same stem, beside it; None where there is none.

    Raises NetworkError where there are two.
    """
    found = [p for s in SUFFIXES if (p := path.with_suffix(s)).is_file() and p != path]
    if len(found) > 1:
        raise NetworkError(f"{path.name} has two descriptions, {' and '.join(p.name for p in found)}: remove one.")
    return found[0] if found else None


def _is_numbers(value: object) -> bool:
    return isinstance(value, list | tuple) and all(_is_number(v) for v in cast("list[object]", value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_numeric(value: object) -> bool:
    return _is_number(value) or _is_numbers(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_constructor(value: object) -> bool:
    return isinstance(value, str) and ":" in value


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_names(value: object) -> bool:
    return bool(value) and isinstance(value, list) and all(map(_is_text, cast("list[object]", value)))


def _is_colours(value: object) -> bool:
    return isinstance(value, list) and all(
        isinstance(c, list)
        and len(cast("list[object]", c)) == 3
        and all(_is_whole(v) and 0 <= v <= 255 for v in cast("list[int]", c))
        for c in cast("list[object]", value)
    )


def _one_of(*choices: str) -> tuple[Callable[[object], bool], str]:
    return (lambda value: value in choices), "one of " + ", ".join(repr(c) for c in choices)


_TEXT = (_is_text, "a text")
_KEYS: dict[str, tuple[Callable[[object], bool], str]] = {
    "name": _TEXT,
    "task": _one_of("segment", "classify", "encode"),
    "classes": (_is_names, "a list of texts, at least one"),
    "colours": (_is_colours, "a list of [red, green, blue], each 0 to 255"),
    "emits": _one_of("logits", "probabilities"),
    "link": _one_of("softmax", "sigmoid", "none"),
    "output": ((lambda v: _is_text(v) or _is_whole(v)), "a text or a whole number"),
    "default_layer": _TEXT,
    "constructor": (_is_constructor, "a text 'package.module:Class' or 'zoo:name'"),
    "constructor_arguments": (_is_table, "a table"),
    "input": (_is_table, "a table"),
}
_NUMBERS = _is_numeric, "a number or a list of numbers"
_INPUT_KEYS: dict[str, tuple[Callable[[object], bool], str]] = {
    "channels": (_is_whole, "a whole number"),
    "order": _one_of("RGB", "BGR"),
    "range": (
        (lambda v: _is_numbers(v) and len(cast("list[float]", v)) == 2),
        "two numbers, [black, white]",
    ),
    "mean": _NUMBERS,
    "std": _NUMBERS,
    "per_image": (_is_flag, "true or false"),
    "divisor": (_is_whole, "a whole number"),
    "size": (
        (lambda v: isinstance(v, list | tuple) and all(_is_whole(n) for n in cast("list[object]", v))),
        "a list of whole numbers, [height, width]",
    ),
    "fit": _one_of("pad", "resize"),
    "axes": _one_of("HW", "HWC", "CHW", "DHW", "CDHW", "DHWC"),
    "window": (
        (lambda v: _is_numbers(v) and len(cast("list[float]", v)) == 2),
        "two numbers, [black, white]",
    ),
    "bands": (
        (lambda v: isinstance(v, list | tuple) and all(_is_whole(n) for n in cast("list[object]", v))),
        "a list of whole numbers, [red, green, blue] or one",
    ),
}


def _check(plain: Mapping[str, Any], keys: Mapping[str, tuple[Callable[[object], bool], str]], place: str) -> None:
    for key, value in plain.items():
        if key not in keys:
            elsewhere = "\n  It belongs under [input]." if not place and key in _INPUT_KEYS else ""
            raise ParameterError(
                f"unknown key {place}{key!r}.{elsewhere or suggest(key, keys)}\n  All of them: {', '.join(keys)}."
            )
        fits, kind = keys[key]
        if not fits(value):
            raise ParameterError(f"{place}{key!r} is to be {kind}, not {value!r}.")
