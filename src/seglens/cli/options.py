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

_WIDEST = 72  # characters of a heading that a terminal of 80 columns holds
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
    def negative(self) -> str | None:
        """The flag that says no, for what is yes or no."""
        return f"--no-{self.flag}" if self.kind == "bool" else None

    @property
    def panel(self) -> str:
        """The heading under which the help has it."""
        return self._all if len(self._all) <= _WIDEST else f"Options of {len(self.takers)} methods"

    @property
    def _all(self) -> str:
        return f"Options of {', '.join(self.takers)}"

    @property
    def help(self) -> str:
        """What it does, its choices or bounds, its default; said for each taker where they differ."""
        said: dict[str, list[str]] = {}
        for name, p in self.takers.items():
            facts = [" | ".join(p.choices)] if p.choices else []
            facts += [str(p.bounds)] if p.bounds is not None else []
            facts += [] if p.default is None else [f"default {shown(p.default)}"]
            facts += [f"{self.negative} for no"] if self.negative and p.default is True else []
            aside = f" ({'; '.join(facts)})" if facts else ""
            said.setdefault(f"{p.help or p.name}{aside}", []).append(name)
        if len(said) == 1 and self.panel == self._all:
            return escape(next(iter(said)))
        return escape("; ".join(f"{', '.join(names)}: {text}" for text, names in said.items()))

    def parameters(self) -> list[inspect.Parameter]:
        """The option as typer reads it from a signature; None where it was not given.

        What is yes or no has a second flag for no, which only the help of the first names: a pair side by side is
        wider than a terminal where the name is long.
        """
        metavar = {"bool": "", "int": "N", "float": "X", "choice": "WORD"}.get(self.kind, "TEXT")
        option = typer.Option(
            f"--{self.flag}", help=self.help, metavar=metavar, rich_help_panel=self.panel, show_default=False
        )
        given = [self._parameter(self.argument, _TYPES.get(self.kind, str), option)]
        if self.negative is not None:
            given.append(self._parameter(f"no_{self.argument}", bool, typer.Option(self.negative, hidden=True)))
        return given

    def taken(self, given: dict[str, Any]) -> Any:
        """Its value, taken out of the arguments that were given; None where it was not. Raises typer.BadParameter."""
        value, no = given.pop(self.argument), given.pop(f"no_{self.argument}", None)
        if value and no:
            raise typer.BadParameter(f"--{self.flag} and {self.negative} were both given.")
        return False if no else value

    @staticmethod
    def _parameter(name: str, kind: type, option: Any) -> inspect.Parameter:
        hint = Annotated[kind | None, option]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=hint)


def method_options(taken: Sequence[str]) -> list[MethodOption]:
    """The options of all methods but for the layer, those of the same methods together.

    A name in `taken` gets the prefix 'method-'.
    """
    takers: dict[str, dict[str, Parameter]] = {}
    for card in method_cards():
        for p in card.parameters:
            if p.name != "layer":
                takers.setdefault(p.name, {})[card.name] = p
    options: list[MethodOption] = []
    for field, by_method in sorted(takers.items(), key=lambda taker: (list(taker[1]), taker[0])):
        flag = field.replace("_", "-")
        options.append(MethodOption(field, f"method-{flag}" if flag in taken else flag, by_method))
    return options


def with_method_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the methods' options added; it receives those that were given as `settings`, by flag."""
    own = [p for p in inspect.signature(command, eval_str=True).parameters.values() if p.name != "settings"]
    options = method_options([p.name.replace("_", "-") for p in own])

    @functools.wraps(command)
    def widened(**given: Any) -> None:
        settings = {o: v for o in options if (v := o.taken(given)) is not None}
        command(**given, settings=settings)

    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    del widened.__wrapped__
    widened.__annotations__ = {}
    widened.__signature__ = inspect.Signature([*own, *(p for o in options for p in o.parameters())])  # pyright: ignore[reportAttributeAccessIssue]
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
