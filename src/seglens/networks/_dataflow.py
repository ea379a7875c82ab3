"""What one forward pass did: every call of a module, every operation, and which values it read."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import (
    TorchDispatchMode,
    _disable_current_modes,  # pyright: ignore[reportPrivateUsage]
)
from torch.utils._pytree import tree_flatten_with_path, tree_leaves
from torch.utils.weak import WeakTensorKeyDictionary

from seglens.core.receptive import Follower
from seglens.networks._operations import detail_of, is_layout, is_valueless, name_of, raw_name
from seglens.networks.layers import tensors

Seen = tuple[tuple[int | None, ...], tuple[Fraction | None, ...]]
"""Receptive field and stride, per dimension of the image."""


@dataclass(slots=True, eq=False)
class Step:
    """One operation, in the order in which they ran; an input or an output of the network likewise.

    name: for readers; ':input' and ':output' stand for themselves. call: the innermost module call around it.
    reads: the steps whose values it read, in the order of its arguments, each with the shape that arrived.
    weights: the parameters that it read itself, by id, with their sizes.
    """

    name: str
    call: int
    reads: list[tuple[int, tuple[int, ...]]]
    weights: dict[int, int] = field(default_factory=dict[int, int])
    shape: tuple[int, ...] | None = None
    seen: Seen | None = None
    detail: str = ""
    explained: bool = False


@dataclass(slots=True, eq=False)
class Call:
    """One call of a module. number: of the calls of that path, from 0. parent: the call around it, -1 of the root.

    start: the number of steps before it. given: its arguments, each with the step that made it and its shape.
    parts: whether it called other modules. idle: it handed on what it was given.
    """

    path: str
    module: nn.Module
    number: int
    parent: int
    start: int
    given: list[tuple[int, tuple[int, ...]]] = field(default_factory=list[tuple[int, tuple[int, ...]]])
    parts: bool = False
    idle: bool = False
    shape: tuple[int, ...] | None = None
    seen: Seen | None = None


@dataclass(slots=True, eq=False)
class Trace:
    """One pass: calls (the first is the network itself) and steps, each in the order in which they began."""

    calls: list[Call]
    steps: list[Step]


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a tensor's values came from: the step that made them, None for constants, and the parameters in them."""

    step: int | None
    stamp: int
    weights: dict[int, int]


class _Recorder(TorchDispatchMode):
    """Notes each operation with the steps that made what it reads.

    Layout operations are no steps: what they give has the origin of what they took. Writes in place count as the
    newest origin of their memory, under whatever view it is read.
    """

    def __init__(self, module: nn.Module, follower: Follower) -> None:
        super().__init__()
        self.trace = Trace([Call("", module, 0, -1, 0)], [])
        self._follower = follower
        self._made: Any = WeakTensorKeyDictionary()
        self._written: dict[int, tuple[StorageWeakRef, _Origin]] = {}
        self._parameters = {id(p): p for p in module.parameters() if not is_lazy(p)}
        self._stack = [0]
        self._runs: dict[str, int] = {}
        self._clock = 0
        self._last = "reshape"

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        raw = raw_name(func)
        if is_valueless(raw):
            return out
        given = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        made = [t for t in tree_leaves(out) if isinstance(t, Tensor)]
        written = _written(func, args, kwargs) if func._schema.is_mutable else []
        self._clock += 1
        if written or not is_layout(func, raw):
            self._step(raw, args, given, made, written)
        else:
            self._last = name_of(raw)
            origin = next((o for o in map(self._origin, given) if o is not None), None)
            if origin is not None:
                for t in made:
                    self._made[t] = _Origin(origin.step, self._clock, origin.weights)
        return out

    def _step(self, raw: str, args: Any, given: list[Tensor], made: list[Tensor], written: list[Tensor]) -> None:
        outputs = made + [t for t in written if not any(t is m for m in made)]
        if not outputs:
            return
        if raw == "copy_" and _is_whole(written[0]):
            given = [t for t in given if t is not written[0]]
        step = Step(name_of(raw), self._stack[-1], [], shape=tuple(outputs[0].shape), detail=detail_of(raw, args))
        for t in given:
            self._read(step, t)
        # Of a layer's own operations nobody asks what they see, but what the layer's output does.
        module = self.trace.calls[self._stack[-1]].module
        if len(self._stack) == 1 or next(module.children(), None) is not None or not is_torchs(module):
            step.seen = self._sees(outputs[0])
        origin = self._add(step)
        for t in outputs:
            self._made[t] = origin
        for t in written:
            storage = _storage(t)
            if storage is not None:
                self._written = {k: v for k, v in self._written.items() if not v[0].expired()}
                self._written[storage.cdata] = (storage, origin)

    def begin(self, path: str, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Pre-hook: a module is called."""
        calls = self.trace.calls
        number = self._runs.get(path, 0)
        self._runs[path] = number + 1
        calls[self._stack[-1]].parts = True
        made = [(self._origin(t), tuple(t.shape)) for t in tensors((args, kwargs))]
        given = [(o.step, shape) for o, shape in made if o is not None and o.step is not None]
        calls.append(Call(path, module, number, self._stack[-1], len(self.trace.steps), given))
        self._stack.append(len(calls) - 1)

    def end(self, module: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        """Hook: a module gave its output, or failed. If it only rearranged, that is a step; if nothing, it is idle."""
        call = self.trace.calls[self._stack[-1]]
        found = list(tensors(out))
        if found and not call.parts and len(self.trace.steps) == call.start:
            before = {id(t) for t in tensors((args, kwargs))}
            fresh = [t for t in found if id(t) not in before]
            call.idle = not fresh
            if fresh:
                step = Step(self._last, self._stack[-1], [], shape=tuple(fresh[0].shape))
                for t in fresh:
                    self._read(step, t)
                origin = self._add(step)
                for t in fresh:
                    self._made[t] = origin
        if found:
            call.shape = tuple(found[0].shape)
            call.seen = self._sees(found[0])
        self._stack.pop()

    def take(self, given: Sequence[Tensor], explained: Tensor) -> None:
        """The network's inputs, in order; where these are known already, nothing."""
        for t in given:
            if self._made.get(t) is None:
                self._clock += 1
                step = Step(":input", 0, [], shape=tuple(t.shape), explained=t is explained)
                step.seen = self._sees(t)
                self._made[t] = self._add(step)

    def give(self, out: Any, scores: Tensor | None) -> None:
        """The network's outputs, each with its place in what the network returns."""
        parts, _ = tree_flatten_with_path(out)
        named = [("".join(_key(k) for k in path).lstrip("."), t) for path, t in parts if isinstance(t, Tensor)]
        # A structure that torch does not know is a leaf to it.
        named = named or [(str(i) if i else "", t) for i, t in enumerate(tensors(out))]
        for name, t in named:
            step = Step(":output", 0, [], shape=tuple(t.shape), detail=name, explained=t is scores)
            self._read(step, t)
            step.seen = self._sees(t)
            self._add(step)

    def _add(self, step: Step) -> _Origin:
        self.trace.steps.append(step)
        return _Origin(len(self.trace.steps) - 1, self._clock, {})

    def _read(self, step: Step, t: Tensor) -> None:
        origin = self._origin(t)
        if origin is None:
            return
        step.weights.update(origin.weights)
        if origin.step is not None:
            step.reads.append((origin.step, tuple(t.shape)))

    def _origin(self, t: Tensor) -> _Origin | None:
        if id(t) in self._parameters:
            return _Origin(None, 0, {id(t): t.numel()})
        origin = self._made.get(t)
        if self._written:
            storage = _storage(t)
            written = self._written.get(storage.cdata) if storage is not None else None
            if written is not None and (origin is None or origin.stamp < written[1].stamp):
                return written[1]
        return origin

    def _sees(self, t: Tensor) -> Seen | None:
        # Working it out takes operations of its own, which are none of the network's.
        with _disable_current_modes():
            reach = self._follower.reach(t)
            return None if reach is None else (reach.size, reach.stride)


def recorded(call: Callable[[], Tensor], module: nn.Module, x: Tensor, extra: Sequence[Tensor]) -> Trace:
    """The trace of one pass, without gradients. call: runs `module` once on `x`, and on `extra` beside it.

    Modules that refuse hooks (TorchScript) leave their operations to the module around them. Hooks and torch's
    settings are as before afterwards, whatever fails.
    """
    follower = Follower()
    recorder = _Recorder(module, follower)
    returned: list[Any] = []

    def enter(_: nn.Module, args: Any, kwargs: Any) -> None:
        recorder.take(list(tensors((args, kwargs))), x)

    def leave(_: nn.Module, args: Any, kwargs: Any, out: Any) -> None:
        returned.append(out)

    with ExitStack() as undo:
        # The fast path of transformer layers computes past their modules.
        undo.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        for path, m in module.named_modules():
            if isinstance(m, torch.jit.ScriptModule):
                continue
            before: Any = partial(recorder.begin, path) if path else enter
            after: Any = recorder.end if path else leave
            undo.callback(m.register_forward_pre_hook(before, with_kwargs=True).remove)
            # Also after a failure, which a module around may catch.
            undo.callback(m.register_forward_hook(after, with_kwargs=True, always_call=True).remove)
        with torch.no_grad(), follower:
            follower.root(x)
            with recorder:
                if isinstance(module, torch.jit.ScriptModule):
                    recorder.take([x, *extra], x)
                y = call()
                recorder.give(returned[-1] if returned else y, y)
                root = recorder.trace.calls[0]
                root.shape = tuple(y.shape)
    return recorder.trace


def type_of(module: nn.Module) -> str:
    """The class of a module, also of one that was compiled or exported, as far as it is known."""
    if isinstance(module, torch.jit.ScriptModule):
        return str(module.original_name)
    exported = getattr(module, "type_name", None)
    name = exported() if callable(exported) else None
    return name.rpartition(".")[2] if isinstance(name, str) and name else type(module).__name__


def is_torchs(module: nn.Module) -> bool:
    """Whether a module is of torch's own kinds, which count as one layer whatever they compute."""
    exported = getattr(module, "type_name", None)
    name = exported() if callable(exported) else None
    return (name if isinstance(name, str) else type(module).__module__).startswith("torch.nn.")


def _key(key: Any) -> str:
    """A step into a container: '.logits', '.0'."""
    value = next((getattr(key, name) for name in ("key", "idx", "name") if hasattr(key, name)), key)
    return f".{value}"


def _is_whole(t: Tensor) -> bool:
    """Whether a tensor shows every value of its memory, so that writing it leaves nothing of what was there."""
    return t.numel() * t.element_size() == t.untyped_storage().nbytes()


def _storage(t: Tensor) -> StorageWeakRef | None:
    try:
        return StorageWeakRef(t.untyped_storage())
    except NotImplementedError:
        # Sparse tensors and the like have none, hence no views.
        return None


def _written(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> list[Tensor]:
    """The tensors that an operation writes into, but for a norm's own statistics, which carry no data."""
    found: list[Tensor] = []
    for i, a in enumerate(func._schema.arguments):
        if a.alias_info is None or not a.alias_info.is_write or a.name in ("running_mean", "running_var"):
            continue
        value = args[i] if i < len(args) else kwargs.get(a.name)
        found += [t for t in tree_leaves(value) if isinstance(t, Tensor)]
    return found
