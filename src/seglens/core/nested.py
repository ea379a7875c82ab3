"""Graphs inside one node: parts of a network that are computed again, piece by piece, in the reverse pass."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

Node = Any
"""A node of torch's autograd graph."""

Rule = Callable[[Iterable[Node]], AbstractContextManager[None]]
"""Changes what a reverse pass does at some of the nodes that it is given, for as long as the block lasts."""


@runtime_checkable
class Nested(Protocol):
    """What such a node carries as its attribute `nested`.

    rules: applied to the graph of every piece, when that is made and run through.
    """

    rules: list[Rule]

    def sample(self, node: Node) -> AbstractContextManager[Iterable[Node]]:
        """The nodes of one piece's graph; the others are built of the same steps. Costs that piece's forward pass."""
        ...


def nested_in(node: Node) -> Nested | None:
    """What a node holds inside; None for all of torch's own."""
    found = getattr(node, "nested", None)
    return found if isinstance(found, Nested) else None
