"""Configurations of autoencoders: frozen dataclasses of plain values, as a file beside weights holds them."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, Literal, TypeVar, cast

from seglens.core.errors import ParameterError, suggest
from seglens.core.parameters import Rule, check_parameters

Activation = Literal["relu", "leaky_relu", "elu", "silu", "gelu", "softplus", "tanh"]
Pooling = Literal["max", "average", "stride"]
Likelihood = Literal["bernoulli", "gaussian"]

C = TypeVar("C")


def settle(config: Any) -> None:
    """Lists become tuples, and every field is checked. Raises ParameterError.

    To be called from `__post_init__`: a TOML file knows lists alone, and a frozen configuration is to hold nothing
    that changes.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if isinstance(value, list):
            object.__setattr__(config, field.name, tuple(cast("list[object]", value)))
    check_parameters(config)


def configured(kind: type[C], config: C | None, values: Mapping[str, Any]) -> C:
    """`config` (None: its defaults) with `values` in the place of its own.

    Raises ParameterError for a value without a field, with the nearest name, and for one that the field refuses.
    """
    known = [field.name for field in fields(cast("Any", kind))]
    for name in values:
        if name not in known:
            raise ParameterError(
                f"{kind.__name__} has no {name!r}.{suggest(name, known)}\n  Its fields: {', '.join(known)}."
            )
    return kind(**values) if config is None else replace(cast("Any", config), **values)


def divisible(owner: str, size: tuple[int, int], by: int, why: str) -> None:
    """Raise ParameterError where a side is no multiple of `by`."""
    if any(side % by for side in size):
        fit = tuple(max(by, round(side / by) * by) for side in size)
        raise ParameterError(
            f"{owner}.size is {size[0]} x {size[1]}, but {why}: both sides are to be multiples of {by}.\n"
            f"  The nearest such size: {fit[0]} x {fit[1]}."
        )


def whole(value: object) -> bool:
    """Whether it is a whole number of 1 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _size(value: object) -> None:
    if not isinstance(value, tuple) or len(cast("tuple[object, ...]", value)) != 2 or not all(map(whole, value)):
        raise ParameterError(f"to be (height, width) in pixels, such as (64, 64), not {value!r}.")


def _widths(value: object) -> None:
    if not isinstance(value, tuple) or not value or not all(map(whole, cast("tuple[object, ...]", value))):
        raise ParameterError(f"to be the channels of each stage, such as (32, 64, 128, 256), not {value!r}.")


def _names(value: object) -> None:
    names = cast("tuple[object, ...]", value) if isinstance(value, tuple) else None
    if names is None or not all(isinstance(n, str) and n for n in names) or len(set(names)) < len(names):
        raise ParameterError(f"to be different names, such as ('smile', 'glasses'), not {value!r}.")


def _classes(value: object) -> None:
    _names(value)
    if len(cast("tuple[str, ...]", value)) < 2:
        raise ParameterError(f"to be the names of two classes or more, not {value!r}.")


SIZE = Rule(_size)
WIDTHS = Rule(_widths)
NAMES = Rule(_names)
CLASSES = Rule(_classes)
