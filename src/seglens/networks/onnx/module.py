"""The torch module that an ONNX graph becomes: nodes as layers, run in the graph's order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from seglens.core.errors import NetworkError, SeglensError
from seglens.core.network import is_out_of_memory
from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators import Operator

_SMALL = 64
"""Whole numbers up to so many are indices and sizes, and stay on the CPU, where they are read."""


class Operation(nn.Module):
    """A node as a function of its inputs: those known beforehand are its own, the others are given.

    Learned ones are parameters, fixed ones buffers that belong to no saved state; small whole numbers are neither.
    """

    def __init__(self, node: Node, run: Callable[..., Any], numbers: frozenset[int]) -> None:
        super().__init__()
        self._run = run
        self._slots: list[_Slot] = []
        given = 0
        for place, name in enumerate(node.inputs):
            if place in node.claimed:
                continue
            if place in node.constants:
                self._slots.append(self._kept(node, place, place in numbers))
            elif name:
                self._slots.append(given)
                given += 1
            else:
                self._slots.append(None)

    def _kept(self, node: Node, place: int, number: bool) -> "_Slot":
        constant = node.constants[place]
        value = constant.tensor
        if number or (not value.is_floating_point() and value.numel() <= _SMALL):
            return value
        if constant.learned and value.is_floating_point():
            name = "bias" if node.op in ("Add", "Sub") else "weight"
            if name in self._parameters:
                name = f"{name}_{place}"
            # A value for each channel is a row: kept as one, it is not taken for a matrix that mixes channels.
            row = sum(n != 1 for n in value.shape) <= 1 and value.ndim > 0
            self.register_parameter(name, node.take(place, "row", _as_row) if row else node.take(place))
        else:
            name = f"constant_{place}"
            self.register_buffer(name, value, persistent=False)
        return name, tuple(value.shape)

    def forward(self, *given: Any) -> Any:
        """The node's output, or a tuple of them."""
        return self._run(*(self._value(slot, given) for slot in self._slots))

    def _value(self, slot: "_Slot", given: tuple[Any, ...]) -> Any:
        if isinstance(slot, int):
            return given[slot]
        if isinstance(slot, tuple):
            return getattr(self, slot[0]).reshape(slot[1])
        return slot


_Slot = int | tuple[str, tuple[int, ...]] | Tensor | None
"""An input: which of the given ones, the name and shape of one that it holds, a plain number, or left out."""


def _as_row(t: Tensor) -> Tensor:
    return t.reshape(-1)


_CLASSES: dict[str, type[Operation]] = {}


def module_of(node: Node, entry: Operator) -> nn.Module:
    """A node's module. Raises UnsupportedError for a setting that its operator does not support."""
    built = entry.build(node)
    if isinstance(built, nn.Module):
        return built
    # Named after the operator, so that layer trees tell what it is.
    made = _CLASSES.setdefault(node.op, type(node.op, (Operation,), {"__module__": __name__, "__doc__": node.op}))
    return made(node, built, entry.numbers)


class Block(nn.Module):
    """Nodes that belong together by their names. It gives the one value that it hands on, where there is just one.

    Its layers run by themselves; calling it lets whoever watches it see that value, or change it.
    """

    def forward(self, x: Any) -> Any:
        """x."""
        return x


@dataclass(slots=True)
class Step:
    """One node's turn. computed: its module. reads, gives: names of values; frees: those read for the last time.

    sizes: it computes sizes, on the CPU and apart from the layers. cast: places among `reads` of such numbers, which
    a layer computes with. blocks: called with its first output, in turn, as they end here.
    """

    name: str
    op: str
    computed: nn.Module
    reads: tuple[str, ...]
    gives: tuple[str, ...]
    frees: tuple[str, ...] = ()
    sizes: bool = False
    cast: tuple[int, ...] = ()
    blocks: tuple[nn.Module, ...] = ()


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output of the graph. order: axes from torch's order (channels second) to the graph's, or back.

    shown: the name under which an output is handed out, where its value has another.
    """

    name: str
    order: tuple[int, ...] | None = None
    shown: str = ""


@dataclass(slots=True)
class Plan:
    """All that a graph runs by, beside its layers."""

    inputs: list[Port]
    outputs: list[Port]
    steps: list[Step] = field(default_factory=list[Step])
    fixed: dict[str, Tensor] = field(default_factory=dict[str, Tensor])


class OnnxModule(nn.Module):
    """An ONNX graph as a module: [B C *space] in, the graph's output, or its outputs by name, with channels second.

    A layer's path is its node's name in torch's form; `node_names` tells which node it is. Tensors are let go after
    their last use. Raises NetworkError, which names the node, where one fails.
    """

    def __init__(self, plan: Plan, layers: dict[str, nn.Module], node_names: dict[str, str], kind: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("like", torch.empty(0, dtype=kind), persistent=False)
        self.like: Tensor
        self.node_names = node_names
        self.plan = plan
        for path, layer in layers.items():
            *above, name = path.split(".")
            parent: nn.Module = self
            for part in above:
                if part not in parent._modules:
                    parent.add_module(part, Block())
                parent = parent.get_submodule(part)
            parent.add_module(name, layer)

    def forward(self, *inputs: Tensor) -> Any:
        """The graph's output for its inputs, in the graph's order."""
        values = self.run(inputs, {port.name for port in self.plan.outputs})
        found = {p.shown or p.name: _permuted(values[p.name], p.order) for p in self.plan.outputs}
        return next(iter(found.values())) if len(found) == 1 else found

    def run(
        self, inputs: Sequence[Tensor], keep: set[str], seen: Callable[[Step, tuple[Any, ...]], None] | None = None
    ) -> dict[str, Any]:
        """The values named in `keep`; `seen` is called with each step and what it gave."""
        plan = self.plan
        if len(inputs) != len(plan.inputs):
            names = ", ".join(repr(p.name) for p in plan.inputs)
            raise NetworkError(
                f"the graph takes {len(plan.inputs)} input(s), {names}, not {len(inputs)}.\n"
                "  Give the others in that order: extra=(tensor, …)."
            )
        values: dict[str, Any] = {**plan.fixed}
        for port, x in zip(plan.inputs, inputs, strict=True):
            x = x.to(self.like.dtype) if x.is_floating_point() else x
            values[port.name] = _permuted(x, port.order)
        for step in plan.steps:
            given = [values[n] for n in step.reads]
            for place in step.cast:
                given[place] = self._like_images(given[place])
            result = self._called(step, given)
            for block in step.blocks:
                result = (block(result[0]), *result[1:])
            if seen is not None:
                seen(step, result)
            for name, value in zip(step.gives, result, strict=False):
                if name:
                    values[name] = value
            for name in step.frees:
                if name not in keep:
                    values.pop(name, None)
        return values

    def _called(self, step: Step, given: list[Any]) -> tuple[Any, ...]:
        try:
            result = step.computed(*given)
        except Exception as failed:
            if is_out_of_memory(failed) or isinstance(failed, SeglensError):
                raise
            shapes = ", ".join(str(list(v.shape)) for v in given if isinstance(v, Tensor))
            first = str(failed).strip().partition("\n")[0][:300]
            raise NetworkError(
                f"node {step.name!r} ({step.op}) failed on inputs of shape {shapes}: {first}"
            ) from failed
        return result if isinstance(result, tuple) else (result,)

    def _like_images(self, value: Any) -> Any:
        """Numbers made of sizes, where the images are and, if floating, in their type."""
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        return value.to(self.like.device, self.like.dtype if value.dtype == torch.float32 else None)


def _permuted(value: Any, order: tuple[int, ...] | None) -> Any:
    return value if order is None else value.permute(order)
