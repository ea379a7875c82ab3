"""One tile through a network: with the maps of some layers given, and no further than is asked for."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from torch import Tensor, nn

from seglens.core.capture import TAKES_NO_HOOKS, first_tensor
from seglens.core.capture import (
    _with_first_tensor as with_first_tensor,  # pyright: ignore[reportPrivateUsage]
)
from seglens.core.errors import CaptureError
from seglens.core.network import Network
from seglens.networks._tile_probe import OUTPUT, Call


class _ReachedError(BaseException):
    """Ends a pass at the layer that was asked for; no error, so that no module's own handling of errors takes it."""


class TileRunner:
    """Runs the network on tiles up to the call `stop`; the calls in `given` hand on what they are given.

    Hooks sit on the network's layers while the block of `hooked` lasts.
    """

    def __init__(self, network: Network, given: Sequence[Call], stop: Call) -> None:
        self._network = network
        self._stop = stop
        self._paths = dict.fromkeys(path for path, _ in (*given, stop) if path)
        self._given: Mapping[Call, Tensor] = {}
        self._counts: dict[str, int] = {}
        self._found: Tensor | None = None

    @contextmanager
    def hooked(self) -> Generator["TileRunner"]:
        """Raises CaptureError for layers that take no hooks."""
        with ExitStack() as undo:
            for path in self._paths:
                undo.callback(_hook(self._network, path, partial(self._pass, path)).remove)
            yield self

    def __call__(self, inputs: Sequence[Tensor], given: Mapping[Call, Tensor]) -> Tensor:
        """What the call asked for gives on one tile. Raises CaptureError where it does not run."""
        self._given, self._counts, self._found = given, {}, None
        try:
            returned = self._network.module(*inputs)
        except _ReachedError:
            returned = None
        found, self._given, self._found = self._found, {}, None
        if self._stop == OUTPUT:
            return self._network.pick(returned)
        if found is None:
            raise CaptureError(f"layer {self._stop[0]!r} of {self._network.name} ran on some tiles, and not on others.")
        return found

    def _pass(self, path: str, module: nn.Module, args: Any, output: Any) -> Any:
        call = (path, self._counts.get(path, 0))
        self._counts[path] = call[1] + 1
        if call == self._stop:
            self._found = first_tensor(output)
            raise _ReachedError
        return with_first_tensor(output, self._given[call]) if call in self._given else None


def _hook(network: Network, path: str, hook: Any) -> Any:
    try:
        return network.layer(path).register_forward_hook(hook)
    except (RuntimeError, AttributeError) as refused:
        raise CaptureError(f"layer {path!r} of {network.name} cannot be tapped: {TAKES_NO_HOOKS}") from refused
