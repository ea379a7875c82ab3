"""Proof that a block of code leaves a network, its inputs and torch's global state as they were."""

import random
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
import torch
import torch.nn.modules.module as module_globals
from torch import Tensor, nn

from seglens.core.network import Network

# What torch keeps in a module's __dict__ for itself; each has facts of its own below.
_STORES = ("_parameters", "_buffers", "_modules", "_non_persistent_buffers_set", "training")
_SIMPLE = (bool, int, float, complex, str, bytes, tuple, type(None), torch.dtype, torch.device)


class TouchedError(AssertionError):
    """A block that was to leave everything as it was changed something. `changes` lists what."""

    def __init__(self, changes: Sequence[str]) -> None:
        super().__init__("these were to stay as they were:\n" + "".join(f"  {c}\n" for c in changes))
        self.changes = tuple(changes)


@dataclass(frozen=True, slots=True)
class _Fact:
    """One thing noted: the same object ('is'), the same bits of a tensor ('bits'), or equal ('==').

    Objects are held, not their ids, so that an id used again cannot pass for the old object.
    """

    kind: Literal["is", "bits", "=="]
    value: Any

    def still(self, later: "_Fact") -> bool:
        if self.kind == "is":
            return self.value is later.value
        if self.kind == "bits":
            return _same_bits(self.value, later.value)
        return type(self.value) is type(later.value) and bool(self.value == later.value)

    def change(self, later: "_Fact") -> str:
        if self.kind == "bits":
            return "changed"
        before, after = _short(self.value), _short(later.value)
        if self.kind == "is" and (before == after or isinstance(self.value, Tensor)):
            return f"is another object ({type(later.value).__name__})"
        return f"was {before}, is {after}"


_Facts = dict[str, _Fact]


@contextmanager
def untouched(subject: Network | nn.Module, *tensors: Tensor) -> Generator[None]:
    """Raise TouchedError after the block where it changed the module, the tensors or global state.

    Noted of every module: its class, training flag, instance attributes, submodules and hooks of every kind; of
    parameters: identity, values bit for bit, version, `requires_grad`, `.grad` and hooks; of buffers the same, but
    for the version, and whether they are persistent; the order of `state_dict`'s keys. Of the tensors (a Network's
    extra inputs are added): values, version, `requires_grad`, `.grad`, hooks. Of the process: the random states of
    torch, numpy and Python; gradient, inference and autocast mode, default type and device, deterministic
    algorithms, anomaly detection, hooks on all modules.

    A block that raises is checked too: its error is then the cause of the TouchedError. Attributes that are lists,
    dicts or other mutable objects are compared by identity alone.
    """
    module = subject if isinstance(subject, nn.Module) else subject.module
    if isinstance(subject, Network):
        tensors = (*tensors, *subject.extra)

    def note() -> _Facts:
        return {**_of_module(module), **_of_tensors(tensors), **_of_process()}

    before = note()
    try:
        yield
    except Exception as raised:
        if changes := _changes(before, note()):
            raise TouchedError(changes) from raised
        raise
    if changes := _changes(before, note()):
        raise TouchedError(changes)


def _changes(before: _Facts, after: _Facts) -> list[str]:
    gone = [f"{name} is gone" for name in before if name not in after]
    new = [f"{name} is new: {_short(f.value)}" for name, f in after.items() if name not in before]
    other = [
        f"{name} {fact.change(after[name])}"
        for name, fact in before.items()
        if name in after and not fact.still(after[name])
    ]
    return [*other, *new, *gone]


def _of_module(root: nn.Module) -> _Facts:
    facts: _Facts = {"state_dict: its keys in order": _Fact("==", tuple(root.state_dict()))}
    # With duplicates, so that one module under two names is noted under both.
    for path, module in root.named_modules(remove_duplicate=False):
        where = f"module {path!r}" if path else "the module itself"
        facts[f"{where}: its class"] = _Fact("is", type(module))
        facts[f"{where}: training"] = _Fact("==", module.training)
        facts |= _of_attributes(where, module)
        dot = f"{path}." if path else ""
        parameters = _entries(module, "_parameters", module.named_parameters)
        buffers = _entries(module, "_buffers", module.named_buffers)
        kept = vars(module).get("_modules")
        # TorchScript keeps a table of its own kind there, which cannot be walked.
        children = cast("Mapping[str, nn.Module | None]", kept if isinstance(kept, Mapping) else {}) or dict(
            module.named_children()
        )
        for kind, entries in (("parameter", parameters), ("buffer", buffers)):
            facts[f"{where}: its {kind}s in order"] = _Fact("==", tuple(entries))
            for name, tensor in entries.items():
                named = f"{kind} {dot + name!r}"
                facts[named] = _Fact("is", tensor)
                if tensor is not None:
                    # Restoring a buffer that forward changed is itself a write, so its version may go up.
                    facts |= _of_tensor(named, tensor, version=kind == "parameter")
        facts[f"{where}: its submodules in order"] = _Fact("==", tuple(children))
        for name, child in children.items():
            facts[f"submodule {dot + name!r}"] = _Fact("is", child)
        hidden = cast("Iterable[str]", getattr(module, "_non_persistent_buffers_set", ()))
        facts[f"{where}: its non-persistent buffers"] = _Fact("==", tuple(sorted(hidden)))
    return facts


def _entries(
    module: nn.Module, store: str, named: Callable[..., Iterable[tuple[str, Tensor]]]
) -> dict[str, Tensor | None]:
    """Own entries of a module, those that are None included; TorchScript has no such store."""
    own = module.__dict__.get(store)
    return dict(named(recurse=False) if own is None else cast("Mapping[str, Tensor]", own))


def _of_attributes(where: str, module: nn.Module) -> _Facts:
    facts: _Facts = {}
    for name, value in vars(module).items():
        if not isinstance(value, bool) and (name.endswith("_hooks") or "_hooks_" in name):
            facts[f"{where}: {name}"] = _hooks(value)
        elif name not in _STORES and not isinstance(value, torch.ScriptMethod):
            # TorchScript keeps its compiled methods here as they are first called.
            attribute = f"{where}: attribute {name!r}"
            if isinstance(value, Tensor):
                facts |= {attribute: _Fact("is", value)}
                facts |= _of_tensor(attribute, value, version=False)
            else:
                facts[attribute] = _Fact("==" if isinstance(value, _SIMPLE) else "is", value)
    return facts


def _hooks(store: Any) -> _Fact:
    """Hooks as (handle id, hook), in order; None counts as none, since torch creates stores lazily."""
    if isinstance(store, Mapping):
        return _Fact("==", tuple(cast("Mapping[Any, Any]", store).items()))
    return _Fact("==", tuple(store or ()))


def _of_tensors(tensors: Sequence[Tensor]) -> _Facts:
    facts: _Facts = {}
    for i, tensor in enumerate(tensors):
        facts |= _of_tensor(f"tensor {i}", tensor, version=True)
    return facts


def _of_tensor(name: str, tensor: Tensor, *, version: bool) -> _Facts:
    facts: _Facts = {
        f"{name}: values": _Fact("bits", tensor.detach().clone()),
        f"{name}: requires_grad": _Fact("==", tensor.requires_grad),
        f"{name}: grad_fn": _Fact("is", tensor.grad_fn),
        f"{name}: hooks": _hooks(getattr(tensor, "_backward_hooks", None)),
        f"{name}: hooks after accumulation": _hooks(getattr(tensor, "_post_accumulate_grad_hooks", None)),
    }
    if version and not tensor.is_inference():
        # A write of equal values is seen here: it breaks a backward pass that the caller still has to do.
        facts[f"{name}: version (it was written to)"] = _Fact("==", tensor._version)
    if tensor.is_leaf:
        grad = tensor.grad
        facts[f"{name}: .grad"] = _Fact("is", grad)
        if grad is not None:
            facts[f"{name}: .grad's values"] = _Fact("bits", grad.detach().clone())
    return facts


def _of_process() -> _Facts:
    cudnn = torch.backends.cudnn
    # The global state is the point here: code that uses it is what is to be found out.
    _, keys, *rest = cast("tuple[Any, ...]", np.random.get_state())  # noqa: NPY002
    facts: _Facts = {
        "torch's random state": _Fact("bits", torch.get_rng_state()),
        "numpy's random state": _Fact("==", (keys.tobytes(), *rest)),
        "Python's random state": _Fact("==", random.getstate()),
        "gradient mode": _Fact("==", torch.is_grad_enabled()),
        "inference mode": _Fact("==", torch.is_inference_mode_enabled()),
        "default dtype": _Fact("==", torch.get_default_dtype()),
        "default device": _Fact("==", torch.get_default_device()),
        "deterministic algorithms": _Fact("==", torch.are_deterministic_algorithms_enabled()),
        "deterministic algorithms only warn": _Fact("==", torch.is_deterministic_algorithms_warn_only_enabled()),
        "cudnn.deterministic": _Fact("==", cudnn.deterministic),
        "cudnn.benchmark": _Fact("==", cudnn.benchmark),
        "anomaly detection": _Fact("==", torch.is_anomaly_enabled()),
        "number of threads": _Fact("==", torch.get_num_threads()),
        "autocast cache": _Fact("==", torch.is_autocast_cache_enabled()),
    }
    if torch.cuda.is_initialized():
        for i, cuda in enumerate(torch.cuda.get_rng_state_all()):
            facts[f"random state of cuda:{i}"] = _Fact("bits", cuda)
    for device in ("cpu", "cuda"):
        facts[f"autocast on {device}"] = _Fact("==", torch.is_autocast_enabled(device))
        facts[f"autocast type on {device}"] = _Fact("==", torch.get_autocast_dtype(device))
    for name, store in vars(module_globals).items():
        if name.startswith("_global_") and name.endswith("hooks") and isinstance(store, dict):
            facts[f"hooks on all modules: {name}"] = _hooks(store)
    return facts


def _same_bits(before: Tensor, after: Tensor) -> bool:
    """Bit for bit, so that NaN equals itself and −0 is not 0."""
    alike = (before.shape, before.dtype, before.device) == (after.shape, after.dtype, after.device)
    if not alike or before.layout != after.layout:
        return False
    if before.layout != torch.strided:
        return _same_bits(before.to_dense(), after.to_dense())
    if before.is_meta:
        return True
    flat = (t.contiguous().reshape(-1).view(torch.uint8) for t in (before, after))
    return torch.equal(next(flat), next(flat)) if before.numel() else True


def _short(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "…"
