"""What must be known of a network before its tiles can be joined: strides, receptive fields and sizes."""

from collections.abc import Generator, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from math import lcm
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes  # pyright: ignore[reportPrivateUsage]
from torch.utils._pytree import tree_leaves

from seglens.core._sight import Line
from seglens.core.capture import first_tensor
from seglens.core.network import Network
from seglens.core.receptive import Follower

Call = tuple[str, int]
"""A layer's path, and which of its calls in one pass; OUTPUT for the network's scores."""

OUTPUT: Call = ("", -1)


@dataclass(frozen=True, slots=True)
class Look:
    """One tensor of a pass over one tile: its shape, and the affine law of its receptive field in each dimension."""

    shape: tuple[int, ...]
    lines: tuple[Line | None, ...]

    @property
    def grid(self) -> tuple[int, ...]:
        """Its sizes along the image's dimensions."""
        return self.shape[2:]


def look(network: Network, inputs: Sequence[Tensor], paths: Iterable[str]) -> dict[Call, Look]:
    """Every call of the layers of those paths in the order in which they end, and the output last, of one pass.

    inputs: of the module, the explained one a tile [B C *tile]. Under no mode of the caller: nothing here is counted
    or followed but by us.
    """
    seen: dict[Call, Look] = {}
    with _disable_current_modes(), torch.no_grad(), _kept_random_state(inputs[network.explained].device):
        x = inputs[network.explained] = inputs[network.explained].detach().clone()  # pyright: ignore[reportIndexIssue]
        follower = Follower()

        def note(path: str, module: nn.Module, args: Any, output: Any) -> None:
            t = first_tensor(output)
            if t is not None:
                call = sum(p == path for p, _ in seen)
                seen[(path, call)] = _looked(follower, t, x)

        with ExitStack() as undo:
            for path in paths:
                handle = network.layer(path).register_forward_hook(partial(note, path))
                undo.callback(handle.remove)
            follower.root(x)
            with follower:
                y = network.pick(network.module(*inputs))
            seen[OUTPUT] = _looked(follower, y, x)
    return seen


def unit_of(network: Network, x: Tensor, least: int) -> tuple[int, ...]:
    """For each dimension the least common multiple of all strides inside the network, and of `least`.

    Tiles that begin at its multiples fall on every grid of the network as the whole picture does. Strides that do not
    divide x [B C *tile] twice (of adaptive pooling, say) do not count: no place suits them. Raises NetworkError.
    """
    with _disable_current_modes(), torch.no_grad(), _kept_random_state(x.device):
        strides = _Strides()
        strides.root(x)
        with strides:
            network(x)
    units = [least] * (x.ndim - 2)
    for found in sorted(strides.found):
        d, jump = found
        joint = lcm(units[d], jump)
        if x.shape[2 + d] % joint == 0 and joint <= x.shape[2 + d] // 2:
            units[d] = joint
    return tuple(units)


class _Strides(Follower):
    """Notes the whole strides of everything that a pass computes, in functions as in modules."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[tuple[int, int]] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        for t in tree_leaves(out):
            reach = self.reach(t) if isinstance(t, Tensor) else None
            for d, jump in enumerate(reach.stride if reach else ()):
                if jump is not None and jump.denominator == 1 and jump > 1:
                    self.found.add((d, int(jump)))
        return out


def _looked(follower: Follower, t: Tensor, x: Tensor) -> Look:
    reach = follower.reach(t) if t.ndim > 2 else None
    lines = reach.lines if reach is not None else (None,) * (x.ndim - 2)
    return Look(tuple(t.shape), lines)


@contextmanager
def _kept_random_state(device: torch.device) -> Generator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
