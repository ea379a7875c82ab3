"""Fields of a method as parameters: described for forms, and refused where they are written."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest

from seglens.core.errors import ParameterError
from seglens.core.parameters import Bounds, Help, Parameter, Rule, check_parameters, parameters


@dataclass(frozen=True)
class Method:
    layer: Annotated[str | None, Help("which")] = None
    n: Annotated[int, Bounds(ge=1, le=9), Help("how many")] = 3
    share: Annotated[float, Bounds(above=0)] = 0.5
    how: Literal["sum", "mean"] = "sum"
    on: bool = True
    most: Annotated[float | None, Bounds(ge=0)] = None

    def __post_init__(self):
        check_parameters(self)


def test_description():
    assert parameters(Method) == [
        Parameter("layer", "str", None, True, (), None, "which"),
        Parameter("n", "int", 3, False, (), Bounds(ge=1, le=9), "how many"),
        Parameter("share", "float", 0.5, False, (), Bounds(above=0), ""),
        Parameter("how", "choice", "sum", False, ("sum", "mean"), None, ""),
        Parameter("on", "bool", True, False, (), None, ""),
        Parameter("most", "float", None, True, (), Bounds(ge=0), ""),
    ]


@pytest.mark.parametrize("fields", [{}, {"n": 1}, {"n": 9}, {"share": 1}, {"layer": "a"}, {"most": 0}, {"n": 4.0}])
def test_what_is_taken(fields):
    Method(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n": 0}, "Method.n is to be >= 1 and <= 9, not 0"),
        ({"n": 10}, "Method.n is to be >= 1 and <= 9, not 10"),
        ({"n": 2.5}, "Method.n is to be a whole number, not 2.5"),
        ({"n": True}, "Method.n is to be a whole number, not True"),
        ({"n": "3"}, "Method.n is to be a whole number, not '3'"),
        ({"n": None}, "Method.n is to be a whole number, not None"),
        ({"n": float("inf")}, "Method.n is to be"),
        ({"n": float("nan")}, "Method.n is to be"),
        ({"share": 0}, "Method.share is to be > 0, not 0"),
        ({"share": float("nan")}, "Method.share is to be > 0, not nan"),
        ({"most": -1}, "Method.most is to be >= 0, not -1"),
        ({"how": "men"}, "Method.how is to be one of sum, mean, not 'men'.\n  Nearest: 'mean'"),
        ({"how": 3}, "Method.how is to be one of sum, mean, not 3"),
        ({"on": 1}, "Method.on is to be True or False, not 1"),
        ({"layer": 3}, "Method.layer is to be a string, not 3"),
    ],
)
def test_what_is_refused(fields, message):
    with pytest.raises(ParameterError, match=message):
        Method(**fields)


def even(given):
    if given != 4:
        raise ParameterError(f"to be four, not {given!r}.")


EVEN = Rule(even)


@dataclass(frozen=True)
class Ruled:
    what: Annotated[Annotated[Literal["zero"] | int, EVEN] | None, Help("even")] = None

    def __post_init__(self):
        check_parameters(self)


def test_a_rule_admits_what_no_list_holds():
    assert parameters(Ruled) == [Parameter("what", "text", None, True, ("zero",), None, "even", EVEN)]
    for fine in (None, "zero", 4):
        Ruled(fine)
    with pytest.raises(ParameterError, match=r"^Ruled\.what is to be four, not 5\.$"):
        Ruled(5)
