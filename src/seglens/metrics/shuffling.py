"""A network without what it learned: a copy of it in which every tensor's numbers are shuffled."""

import copy
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from seglens.core.capture import capture, own
from seglens.core.errors import NetworkError
from seglens.core.network import Network


@dataclass(frozen=True, slots=True)
class State:
    """The tensors of a module by name. learned: those that shuffling changes. unmoved: the others, with the reason."""

    learned: tuple[str, ...]
    unmoved: dict[str, str]


def state_of(module: nn.Module) -> State:
    """What training left in a module: every parameter, and every floating buffer that belongs to its saved state.

    Buffers that are not saved (attention masks, coordinate tables) are made by code, not learned; whole numbers count
    or index; a tensor of one value has nothing to shuffle. These stay, and are named. Tied tensors count once.
    """
    saved = module.state_dict(keep_vars=True)
    kept = {id(t) for t in saved.values()}
    parameters = dict(module.named_parameters())
    learned: list[str] = []
    unmoved: dict[str, str] = {}
    for name, t in _tensors(module).items():
        if name not in parameters and name not in saved and id(t) not in kept:
            unmoved[name] = "not saved with the network, so not learned"
        elif not (t.is_floating_point() or t.is_complex()):
            unmoved[name] = "whole numbers"
        elif t.numel() < 2:
            unmoved[name] = "a single value"
        elif bool((t == t.flatten()[0]).all()):
            unmoved[name] = "the same value throughout"
        elif not bool(torch.isfinite(t).all()):
            unmoved[name] = "holds infinities or NaN, as masks do"
        else:
            learned.append(name)
    return State(tuple(learned), unmoved)


def shuffled_copy(module: nn.Module, seed: int, names: Collection[str] | None = None) -> nn.Module:
    """A deep copy in which the numbers of each learned tensor are permuted at random within that tensor.

    Each tensor keeps its distribution, so signals keep about their scale, and a network stays a live one; batch norm's
    running means and variances are shuffled among channels, the variances staying positive. `names`: only these; a
    tensor's permutation is the same whichever others are shuffled with it. The module itself is never touched.
    Raises NetworkError where it cannot be copied, or the copy shares memory with it.
    """
    try:
        made = copy.deepcopy(module)
    except Exception as refused:  # a user's module may refuse in any way
        raise NetworkError(
            f"{type(module).__name__} cannot be copied, so it cannot be randomised without being changed: {refused}\n"
            "  Give a module that copy.deepcopy takes, or leave the test out (randomise=0)."
        ) from refused
    before = {place for t in _tensors(module).values() if (place := _storage(t))}
    tensors = _tensors(made)
    if shared := [name for name, t in tensors.items() if _storage(t) in before]:
        raise NetworkError(
            f"a copy of {type(module).__name__} shares {shared[0]!r} with it, so shuffling would change the network.\n"
            "  Its class defines how it is copied (__deepcopy__): make that a true copy, or leave the test out "
            "(randomise=0)."
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name in state_of(module).learned:
            t = tensors[name]
            order = torch.randperm(t.numel(), generator=generator)
            if names is None or name in names:
                t.copy_(t.flatten()[order.to(t.device)].view_as(t))
    for p in made.parameters():
        p.grad = None
    return made


def order_of_use(network: Network, x: Tensor) -> list[str]:
    """The learned tensors in the order in which a pass first uses them; those that it never uses come last. Costs F."""
    learned = state_of(network.module).learned
    tensors = _tensors(network.module)
    uses = _Uses({name: tensors[name] for name in learned})
    with capture(network), torch.no_grad():
        x = own(network, x)
        with uses:
            network(x)
    return [*uses.order, *(name for name in learned if name not in uses.order)]


def draw_seed(seed: int, draw: int, purpose: int = 0) -> int:
    """Seeds that do not meet, whatever the seed they come from."""
    return int(np.random.SeedSequence([seed, draw, purpose]).generate_state(1, np.uint64)[0] >> np.uint64(1))


class _Uses(TorchDispatchMode):
    """Notes when each tensor's memory is first read, by whatever operation: layers, functions, compiled TorchScript."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        self.order: list[str] = []
        self._waiting: dict[int, list[str]] = {}
        for name, t in tensors.items():
            self._waiting.setdefault(_storage(t), []).append(name)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for t in tree_leaves((args, kwargs)):
            if isinstance(t, Tensor):
                self.order += self._waiting.pop(_storage(t), [])
        return func(*args, **(kwargs or {}))


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _storage(t: Tensor) -> int:
    """Where its memory begins; 0 for a tensor without any."""
    try:
        return t.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):
        return 0
