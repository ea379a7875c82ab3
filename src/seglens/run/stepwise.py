"""explain_steps(): an explanation as it comes to be, for methods that search; to be watched, stopped, gone on with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, cast, runtime_checkable

import torch

from seglens.core.errors import ParameterError, SeglensWarning
from seglens.core.explanation import Explanation
from seglens.core.images import Source
from seglens.core.maps import Maps
from seglens.core.method import METHODS, Method, in_full
from seglens.core.network import Network
from seglens.core.targets import Channel, Target, Targets
from seglens.run.explain import as_explanations
from seglens.run.questions import (
    Case,
    NetworkSource,
    make_case,
    method_of,
    name_of_method,
    noted,
    open_network,
    targets_for,
)


class State(Protocol):
    """What an iterative method yields: the number of its step, and its maps as they then are."""

    @property
    def step(self) -> int:
        """Of the search."""
        ...

    @property
    def maps(self) -> Maps:
        """As the method would return them now."""
        ...


@runtime_checkable
class Iterative(Protocol):
    """A method that can be watched."""

    def iterate(self, network: Network, x: torch.Tensor, targets: Targets) -> Iterator[State]:
        """State after state; the last one holds what the method returns."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """Where a search stands. step: masks tried so far; total: the most that will be."""

    step: int
    total: int
    _state: State
    _network: Network
    _case: Case
    _method: Method
    _before: tuple[SeglensWarning, ...]

    def explanation(self) -> Explanation:
        """The explanation as it would be if the search ended here: worked out at each call, without a pass."""
        with noted() as notes:
            maps = self._state.maps
        said = dict.fromkeys(str(n) for n in (*self._before, *notes) if n.concerns(0, maps.layer))
        return as_explanations(self._network, self._case, self._method, maps, 0, list(said), None)[0]


def is_iterative(method: object) -> bool:
    """Whether a method, or its class, can be watched."""
    return callable(getattr(method, "iterate", None))


def explain_steps(
    network: NetworkSource,
    image: Source,
    method: str | Method,
    target: Target | Channel | str | int | None = None,
    *,
    truth: Source | None = None,
    instances: Source | None = None,
    ignore: int | None = 255,
    device: str | torch.device | None = None,
) -> Iterator[Step]:
    """The search for one explanation, step by step; the explanation of the last step is that of `explain`.

    Arguments as `explain` takes them, of one image and one target. The network is free between the steps, so that
    it may be asked something else, and the search goes on afterwards, or never.
    Raises ParameterError for a method that does not search (those that do: grid-saliency, context-saliency), at once;
    what `explain` raises, with the first step.
    """
    chosen = method_of(method)
    if not isinstance(chosen, Iterative):
        watched = [name for name in METHODS if is_iterative(METHODS[name])]
        raise ParameterError(
            f"{name_of_method(chosen)} is worked out at once, so there are no steps to watch.\n"
            f"  Methods that search: {', '.join(watched)}."
        )
    if not isinstance(target, Target | Channel | str | int | None):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ParameterError(f"one target is watched at a time, not {type(target).__name__}.")
    return _steps(open_network(network, device), image, chosen, target, truth, instances, ignore)


def _steps(
    network: Network,
    image: Source,
    method: Iterative,
    target: Target | Channel | str | int | None,
    truth: Source | None,
    instances: Source | None,
    ignore: int | None,
) -> Iterator[Step]:
    plain = cast("Method", method)
    case = make_case(network, image, truth=truth, instances=instances, ignore=ignore)
    total = int(in_full(plain).steps or 0)
    said: list[SeglensWarning] = []
    states: Iterator[State] | None = None
    while True:
        # Not around the loop: between the steps others may warn of their own.
        with noted() as notes:
            if states is None:
                states = method.iterate(network, case.x, targets_for(target, [case], network, ignore))
            state = next(states, None)
        said += notes
        if state is None:
            return
        yield Step(state.step, max(total, state.step), state, network, case, plain, tuple(said))
