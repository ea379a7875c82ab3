"""The table of operators, and what an entry tells of one."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import nn

from seglens.networks.onnx.nodes import Node

OLDEST, NEWEST = 7, 28
"""Operator sets between which the meaning of every operator of the table was read in ONNX's own documents."""

Build = Callable[[Node], nn.Module | Callable[..., Any]]
"""Of a node: a torch module that takes the inputs which it does not hold itself, or a function of all its inputs."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. build: makes it of a node. subject: of the operators beside it, for the documents.

    numbers: places of inputs that are read as numbers (a shape, axes), not computed with. folds: whether it may be
    worked out while loading where all its inputs are known, as its output is no larger than them or checked for size.
    """

    build: Build
    subject: str
    numbers: frozenset[int]
    folds: bool


OPERATORS: dict[str, Operator] = {}
"""Operators of ONNX's own domain by name."""


def operator(*names: str, subject: str, numbers: Iterable[int] = (), folds: bool = False) -> Callable[[Build], Build]:
    """Enter what builds these operators into the table."""

    def enter(build: Build) -> Build:
        for name in names:
            OPERATORS[name] = Operator(build, subject, frozenset(numbers), folds)
        return build

    return enter
