"""Methods as cards: name, formula and parameters, for lists, forms and options."""

from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

from seglens.core.method import METHODS
from seglens.core.parameters import Parameter, parameters


@dataclass(frozen=True, slots=True)
class MethodCard:
    """One method in words.

    summary: the first line of its docstring, which is its formula. doc: all of it. reads_layer: whether a layer can be
    chosen for it. problem: why a plugin's method cannot be used; it then has no parameters.
    """

    name: str
    summary: str
    doc: str
    reads_layer: bool
    parameters: tuple[Parameter, ...]
    problem: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json."""
        return {
            "name": self.name,
            "summary": self.summary,
            "doc": self.doc,
            "reads_layer": self.reads_layer,
            "parameters": [_plain(p) for p in self.parameters],
            "problem": self.problem,
        }


def method_card(name: str) -> MethodCard:
    """The card of one method. Raises NameNotFoundError, and whatever importing a plugin raises."""
    method = METHODS[name]
    doc = cleandoc(method.__doc__ or "")
    found = tuple(parameters(method))
    return MethodCard(name, doc.partition("\n")[0], doc, any(p.name == "layer" for p in found), found)


def method_cards() -> list[MethodCard]:
    """The cards of all methods, by name. A plugin that cannot be imported is listed with its problem."""
    cards: list[MethodCard] = []
    for name in METHODS:
        try:
            cards.append(method_card(name))
        except Exception as broken:  # noqa: BLE001  a plugin may raise anything; the others stay usable
            problem = f"{type(broken).__name__}: {broken}"
            cards.append(MethodCard(name, "", "", False, (), problem))
    return cards


def _plain(p: Parameter) -> dict[str, Any]:
    bounds = p.bounds
    return {
        "name": p.name,
        "kind": p.kind,
        "default": p.default,
        "optional": p.optional,
        "choices": list(p.choices),
        "bounds": None if bounds is None else {"ge": bounds.ge, "le": bounds.le, "above": bounds.above},
        "help": p.help,
    }
