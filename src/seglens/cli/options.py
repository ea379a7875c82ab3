"""Options made from the methods' own fields: a new method, or a plugin's, needs no line here."""

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.markup import escape

from seglens.core.errors import ParameterError
from seglens.core.method import METHODS, Method
from seglens.core.parameters import Parameter
from seglens.run.methods import method_cards

_TYPES: dict[str, type] = {"bool": bool, "int": int, "float": float}


@dataclass(frozen=True, slots=True, eq=False)
class MethodOption:
    """One option on the command line: a field that one or several methods have.

    takers: the methods, each with its own bounds and default. argument: its name in Python.
    """

    field: str
    flag: str
    takers: dict[str, Parameter]

    @property
    def argument(self) -> str:
        """Apart from the command's own arguments, whatever those are called."""
        return f"of_method_{self.field}"

    @property
    def kind(self) -> str:
        """The kind that all takers agree on, else text, which each reads for itself."""
        kinds = {p.kind for p in self.takers.values()}
        return kinds.pop() if len(kinds) == 1 else "str"

    @property
    def help(self) -> str:
        """What it does, its choices or bounds, its default; said for each taker where they differ."""
        said: dict[str, list[str]] = {}
        for name, p in self.takers.items():
            facts = [" | ".join(p.choices)] if p.choices else []
            facts += [str(p.bounds)] if p.bounds is not None else []
            facts += [] if p.default is None else [f"default {shown(p.default)}"]
            aside = f" ({'; '.join(facts)})" if facts else ""
            said.setdefault(f"{p.help or p.name}{aside}", []).append(name)
        if len(said) == 1:
            return escape(next(iter(said)))
        return escape("; ".join(f"{', '.join(names)}: {text}" for text, names in said.items()))

    def parameter(self) -> inspect.Parameter:
        """The option as typer reads it from a signature; None where it was not given."""
        kind = self.kind
        flags = f"--{self.flag}/--no-{self.flag}" if kind == "bool" else f"--{self.flag}"
        option = typer.Option(
            flags,
            help=self.help,
            metavar={"bool": "", "int": "N", "float": "X", "choice": "WORD"}.get(kind, "TEXT"),
            rich_help_panel=f"Options of {', '.join(self.takers)}",
            show_default=False,
        )
        hint = Annotated[_TYPES.get(kind, str) | None, option]
        return inspect.Parameter(self.argument, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def method_options(taken: Sequence[str]) -> list[MethodOption]:
    """The options of all methods but for the layer. A name in `taken` gets the prefix 'method-'."""
    takers: dict[str, dict[str, Parameter]] = {}
    for card in method_cards():
        for p in card.parameters:
            if p.name != "layer":
                takers.setdefault(p.name, {})[card.name] = p
    options: list[MethodOption] = []
    for field, by_method in sorted(takers.items()):
        flag = field.replace("_", "-")
        options.append(MethodOption(field, f"method-{flag}" if flag in taken else flag, by_method))
    return options


def with_method_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the methods' options added; it receives those that were given as `settings`, by flag."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
    options = method_options([p.name.replace("_", "-") for p in own])

    @functools.wraps(command)
    def widened(**given: Any) -> None:
        settings = {o: v for o in options if (v := given.pop(o.argument)) is not None}
        command(**given, settings=settings)

    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    del widened.__wrapped__
    widened.__annotations__ = {}
    widened.__signature__ = inspect.Signature([*own, *(o.parameter() for o in options)])  # pyright: ignore[reportAttributeAccessIssue]
    return widened


def make_methods(names: Sequence[str], settings: dict[MethodOption, Any]) -> list[Method]:
    """The methods with the options that were given. Each option goes to those methods that take it.

    Raises NameNotFoundError for a method; typer.BadParameter for an option that none of them takes, or out of bounds.
    """
    classes = {name: METHODS[name] for name in names}
    for option in settings:
        if not any(name in option.takers for name in classes):
            raise typer.BadParameter(
                f"{' and '.join(classes)} {'has' if len(classes) == 1 else 'have'} no such option; "
                f"it belongs to: {', '.join(option.takers)}.",
                param_hint=f"--{option.flag}",
            )
    made: list[Method] = []
    for name, method in classes.items():
        fields = {o.field: _read(o.takers[name], v, o) for o, v in settings.items() if name in o.takers}
        try:
            made.append(method(**fields))
        except ParameterError as wrong:
            hints = [f"--{o.flag}" for o in settings if o.field in str(wrong).partition(" ")[0]]
            raise typer.BadParameter(str(wrong), param_hint=hints[0] if hints else None) from wrong
    return made


def _read(p: Parameter, value: Any, option: MethodOption) -> Any:
    """The value in the method's own kind: text where methods disagree about the option."""
    if not isinstance(value, str) or p.kind not in _TYPES:
        return value
    try:
        if p.kind == "bool":
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[value.lower()]
        return _TYPES[p.kind](value)
    except (ValueError, KeyError) as wrong:
        raise typer.BadParameter(f"{value!r} is no {p.kind}.", param_hint=f"--{option.flag}") from wrong


def shown(value: Any) -> str:
    """A default in words; a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
