"""The fields of a method as parameters: their bounds, checked once; their description, for forms and options."""

import types
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from seglens.core.errors import ParameterError, suggest


@dataclass(frozen=True, slots=True)
class Bounds:
    """Closed interval of a number; None leaves a side open. `above`: strictly greater than."""

    ge: float | None = None
    le: float | None = None
    above: float | None = None

    def __str__(self) -> str:
        parts: list[str] = []
        if self.above is not None:
            parts.append(f"> {self.above:g}")
        if self.ge is not None:
            parts.append(f">= {self.ge:g}")
        if self.le is not None:
            parts.append(f"<= {self.le:g}")
        return " and ".join(parts)

    def admits(self, value: float) -> bool:
        """Whether the number lies within; NaN never does."""
        return (
            value == value
            and (self.ge is None or value >= self.ge)
            and (self.le is None or value <= self.le)
            and (self.above is None or value > self.above)
        )


@dataclass(frozen=True, slots=True)
class Help:
    """One line on what a parameter does, with its unit."""

    text: str


@dataclass(frozen=True, slots=True)
class Rule:
    """What admits values that no list holds, such as '4x4': `check` raises ParameterError, which says what is wrong.

    Its text goes on from 'Method.field is '. Such a parameter is given as text on the command line; choices, where
    there are any, are the names among its values.
    """

    check: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One field of a method, as a form or a command-line option needs it.

    `kind` is 'bool', 'int', 'float', 'str', 'choice' or 'text', which a `rule` admits; `optional`: None is allowed.
    """

    name: str
    kind: str
    default: Any
    optional: bool
    choices: tuple[str, ...] = ()
    bounds: Bounds | None = None
    help: str = ""
    rule: Rule | None = None


def parameters(method: type) -> list[Parameter]:
    """The parameters of a method's dataclass, in order."""
    hints = get_type_hints(method, include_extras=True)
    found: list[Parameter] = []
    for field in fields(method):
        hint = hints[field.name]
        optional = False
        extras: list[Any] = []
        # Optional and Annotated may lie within each other, in any order.
        while get_origin(hint) in (Annotated, Union, types.UnionType):
            if get_origin(hint) is Annotated:
                hint, *more = get_args(hint)
                extras += more
            else:
                members = [a for a in get_args(hint) if a is not type(None)]
                optional |= len(members) < len(get_args(hint))
                hint = members[0]
        bounds = next((e for e in extras if isinstance(e, Bounds)), None)
        rule = next((e for e in extras if isinstance(e, Rule)), None)
        text = next((e.text for e in extras if isinstance(e, Help)), "")
        choices = tuple(get_args(hint)) if get_origin(hint) is Literal else ()
        kind = "text" if rule else "choice" if choices else getattr(hint, "__name__", "str")
        default = None if field.default is MISSING else field.default
        found.append(Parameter(field.name, kind, default, optional, choices, bounds, text, rule))
    return found


def check_parameters(method: Any) -> None:
    """Raise ParameterError where a field of the method's dataclass is out of its bounds or of the wrong kind.

    Called from `__post_init__`, so that a wrong value is refused where it is written.
    """
    owner = type(method).__name__
    for p in parameters(type(method)):
        value: Any = getattr(method, p.name)
        if value is None and p.optional:
            continue
        if p.rule is not None:
            if not (isinstance(value, str) and value in p.choices):
                try:
                    p.rule.check(value)
                except ParameterError as wrong:
                    raise ParameterError(f"{owner}.{p.name} is {wrong}") from None
        elif p.kind in ("int", "float"):
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
            if number is None or (p.kind == "int" and not number.is_integer()):
                raise ParameterError(f"{owner}.{p.name} is to be {_a(p.kind)}, not {value!r}.")
            if p.bounds and not p.bounds.admits(number):
                raise ParameterError(f"{owner}.{p.name} is to be {p.bounds}, not {value!r}.")
        elif p.kind == "bool" and not isinstance(value, bool):
            raise ParameterError(f"{owner}.{p.name} is to be True or False, not {value!r}.")
        elif p.kind == "str" and not isinstance(value, str):
            raise ParameterError(f"{owner}.{p.name} is to be a string, not {value!r}.")
        elif p.choices and value not in p.choices:
            near = suggest(value, p.choices) if isinstance(value, str) else ""
            raise ParameterError(f"{owner}.{p.name} is to be one of {', '.join(p.choices)}, not {value!r}.{near}")


def _a(kind: str) -> str:
    return "a whole number" if kind == "int" else "a number"
