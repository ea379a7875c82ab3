"""From a checked ONNX graph to a module: constants worked out, sizes set apart, nodes made layers, blocks found."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from seglens.core.errors import NetworkError
from seglens.networks.onnx.module import Block, OnnxModule, Plan, Port, Step, module_of
from seglens.networks.onnx.names import paths_of
from seglens.networks.onnx.nodes import Constant, Node, UnsupportedError, node_of
from seglens.networks.onnx.operators import NEWEST, OPERATORS
from seglens.networks.onnx.operators.shapes import constant_of
from seglens.networks.onnx.tensors import decode

FOLDED = 2**26
"""Numbers that a constant worked out while loading may hold."""


@dataclass(slots=True)
class _Made:
    """A node that stays, with its module. sizes: it computes sizes only."""

    node: Node
    module: nn.Module
    sizes: bool
    numbers: frozenset[int]


@dataclass(slots=True)
class Builder:
    """Builds one graph. weights: its initialisers, by name, as they lie in the file."""

    name: str
    weights: dict[str, Any]
    versions: dict[str, int]
    constants: dict[str, Constant] = field(default_factory=dict[str, Constant])
    sizes: set[str] = field(default_factory=set[str])
    made: list[_Made] = field(default_factory=list[_Made])
    refused: list[tuple[Node, str]] = field(default_factory=list[tuple[Node, str]])
    shared: dict[tuple[str, str], nn.Parameter] = field(default_factory=dict[tuple[str, str], nn.Parameter])

    def add(self, nodes: Iterable[Node]) -> None:
        """Take up nodes in their order. Raises NetworkError with all that are not supported."""
        waiting = deque(nodes)
        while waiting:
            node = waiting.popleft()
            try:
                waiting.extendleft(reversed(self._take(node)))
            except UnsupportedError as why:
                self.refused.append((node, str(why)))
        if self.refused:
            raise NetworkError(self._refusal())

    def _take(self, node: Node) -> list[Node]:
        """Take up one node; nodes that stand for it are handed back."""
        node.constants = {p: c for p, n in enumerate(node.inputs) if n and (c := self.constant(n)) is not None}
        if node.op == "Constant" and not node.domain:
            self.constants[node.outputs[0]] = Constant(constant_of(node), False, node.outputs[0])
            return []
        if node.op == "If" and not node.domain:
            return self._branch(node)
        entry = OPERATORS.get(node.op) if not node.domain else None
        if entry is None or _since(node) > NEWEST:
            raise UnsupportedError("")
        node.shared = self.shared
        given = [n for p, n in enumerate(node.inputs) if n and p not in node.constants]
        learned = any(c.learned for c in node.constants.values())
        sizes = entry.folds and not learned and (node.op in ("Shape", "Size") or all(n in self.sizes for n in given))
        if not given and entry.folds and self._fold(node, learned):
            return []
        module = module_of(node, entry)
        if sizes:
            self.sizes.update(n for n in node.outputs if n)
        self.made.append(_Made(node, module, sizes, entry.numbers))
        return []

    def constant(self, name: str) -> Constant | None:
        """A value known beforehand."""
        if name not in self.constants and name in self.weights:
            tensor = decode(self.weights[name], f"the weights {name!r} of {self.name}")
            self.constants[name] = Constant(tensor, tensor.is_floating_point(), name)
        return self.constants.get(name)

    def _fold(self, node: Node, learned: bool) -> bool:
        """Work a node out now, if that is no large thing."""
        if sum(c.tensor.numel() for c in node.constants.values()) > FOLDED:
            return False
        tensors = [c.tensor for c in node.constants.values()]
        if len(tensors) > 1 and node.op not in ("Concat", "Gather", "Reshape", "Expand", "Tile"):
            widest = 1
            for t in tensors:
                widest *= max(t.numel(), 1)
            if widest > FOLDED and not _broadcasts(tensors):
                return False
        # Inputs as plain values: a module that holds them would make parameters of what is gone in a moment.
        bare = Node(node.op, node.domain, node.version, node.name, node.inputs, node.outputs, node.attributes)
        built = OPERATORS[node.op].build(bare)
        places = [p for p in range(len(node.inputs)) if p not in bare.claimed]
        given = [node.constants[p].tensor if p in node.constants else None for p in places]
        try:
            with torch.no_grad():
                result = built(*given)
        except Exception as failed:
            if isinstance(failed, NetworkError):
                raise
            raise NetworkError(
                f"node {node.name!r} ({node.op}) of {self.name} cannot be worked out: {failed}"
            ) from failed
        for name, value in zip(node.outputs, result if isinstance(result, tuple) else (result,), strict=False):
            self.constants[name] = Constant(value, learned and value.is_floating_point(), name)
        return True

    def _branch(self, node: Node) -> list[Node]:
        """The nodes of the branch that is taken, where that is known."""
        known = node.known(0)
        if known is None:
            raise UnsupportedError("its condition is computed")
        graph = node.attributes["then_branch" if bool(known.reshape(-1)[0]) else "else_branch"]
        self.weights.update({t.name: t for t in graph.initializer})
        inside = [node_of(p, self.versions) for p in graph.node]
        ends = [
            Node("Identity", "", node.version, f"{node.name or 'If'}_{k}", (o.name,), (name,), {})
            for k, (o, name) in enumerate(zip(graph.output, node.outputs, strict=True))
        ]
        return inside + ends

    def _refusal(self) -> str:
        groups: defaultdict[tuple[str, str, int, str], list[str]] = defaultdict(list)
        for node, why in self.refused:
            groups[(node.domain, node.op, node.version, why)].append(node.name or f"(makes {node.outputs[0]!r})")
        return refusal(self.name, groups)

    def assembled(self, inputs: Sequence[Port], outputs: Sequence[Port], kind: torch.dtype) -> OnnxModule:
        """The module with these inputs and outputs. kind: the floating type of its input."""
        plan = Plan(list(inputs), list(outputs))
        kept = _needed(self.made, [p.name for p in outputs])
        layers = [m for m in kept if not m.sizes]
        paths = dict(zip((id(m) for m in layers), paths_of([m.node for m in layers]), strict=True))
        for m in kept:
            plan.steps.append(self._step(m))
        for port in outputs:
            if (fixed := self.constants.get(port.name)) is not None:
                plan.fixed[port.name] = fixed.tensor
        _free(plan)
        module = OnnxModule(
            plan,
            {paths[id(m)]: m.module for m in layers},
            {paths[id(m)]: m.node.name for m in layers},
            kind,
        )
        _close_blocks(
            module, plan, {s.gives[0]: paths[id(m)] for s, m in zip(plan.steps, kept, strict=True) if not m.sizes}
        )
        for m in kept:
            m.node.constants, m.node.shared = {}, {}
        return module

    def _step(self, m: _Made) -> Step:
        node = m.node
        places = [p for p, n in enumerate(node.inputs) if n and p not in node.constants]
        reads = tuple(node.inputs[p] for p in places)
        cast = tuple(
            k for k, p in enumerate(places) if not m.sizes and node.inputs[p] in self.sizes and p not in m.numbers
        )
        return Step(node.name or node.op, node.op, m.module, reads, node.outputs, (), m.sizes, cast)


def refusal(name: str, groups: Mapping[tuple[str, str, int, str], Sequence[str]]) -> str:
    """The text that lists every unsupported operator by (domain, operator, operator set, reason), and its nodes."""
    lines: list[str] = []
    for (domain, op, version, why), nodes in sorted(groups.items()):
        shown = ", ".join(map(repr, nodes[:4])) + (f" and {len(nodes) - 4} more" if len(nodes) > 4 else "")
        where = f"{domain}::{op}" if domain else op
        lines.append(f"    {where} (operator set {version}){f', {why}' if why else ''}: {shown}")
    return (
        f"{name} uses {len(groups)} operator(s) that are not supported:\n" + "\n".join(lines) + "\n"
        "  Export it in plain ONNX operators (not optimised for a runtime), or give the network in another form: a "
        ".pt2 of torch.export, or weights with their class."
    )


def _since(node: Node) -> int:
    """The operator set in which the operator got the meaning that is in force."""
    from onnx import defs

    try:
        return defs.get_schema(node.op, node.version, node.domain).since_version
    except Exception:  # noqa: BLE001 - an operator newer than the installed onnx: its checker tells
        return 0


def _broadcasts(tensors: Sequence[Tensor]) -> bool:
    try:
        return torch.broadcast_shapes(*(t.shape for t in tensors)).numel() <= FOLDED
    except RuntimeError:
        return False


def _needed(made: Sequence[_Made], outputs: Sequence[str]) -> list[_Made]:
    wanted, kept = set(outputs), list[_Made]()
    for m in reversed(made):
        if any(n in wanted for n in m.node.outputs if n):
            kept.append(m)
            wanted.update(n for p, n in enumerate(m.node.inputs) if n and p not in m.node.constants)
    return kept[::-1]


def _free(plan: Plan) -> None:
    """Note with each step the values that nobody reads after it."""
    last: dict[str, int] = {}
    for k, step in enumerate(plan.steps):
        for name in (*step.reads, *filter(None, step.gives)):
            last[name] = k
    ends: defaultdict[int, list[str]] = defaultdict(list)
    for name, k in last.items():
        ends[k].append(name)
    for k, step in enumerate(plan.steps):
        step.frees = tuple(ends[k])


def _close_blocks(module: OnnxModule, plan: Plan, paths: Mapping[str, str]) -> None:
    """Where a block hands on one value only, it is called with it, innermost first.

    paths: of layers, by the first value that they give.
    """
    made_in: dict[str, tuple[str, ...]] = {}
    for step in plan.steps:
        if step.gives[0] in paths:
            for name in filter(None, step.gives):
                made_in[name] = tuple(paths[step.gives[0]].split(".")[:-1])
    left: dict[tuple[str, ...], dict[str, None]] = defaultdict(dict)

    def leaves(name: str, reader: tuple[str, ...]) -> None:
        home = made_in.get(name, ())
        for depth in range(len(home), 0, -1):
            if reader[:depth] == home[:depth]:
                break
            left[home[:depth]][name] = None

    for step in plan.steps:
        if not step.sizes:
            reader = tuple(paths[step.gives[0]].split(".")[:-1])
            for name in step.reads:
                leaves(name, reader)
    for port in plan.outputs:
        leaves(port.name, ())
    closes: defaultdict[str, list[tuple[str, ...]]] = defaultdict(list)
    for block, names in left.items():
        if len(names) == 1:
            closes[next(iter(names))].append(block)
    for step in plan.steps:
        blocks = sorted(closes.get(step.gives[0], []), key=len, reverse=True)
        found = [module.get_submodule(".".join(b)) for b in blocks]
        step.blocks = tuple(b for b in found if isinstance(b, Block))


def unknown_operators(nodes: Iterable[Any], versions: Mapping[str, int]) -> dict[tuple[str, str, int, str], list[str]]:
    """Nodes of a graph and its subgraphs whose operator is not in the table, grouped for `refusal`."""
    found: defaultdict[tuple[str, str, int, str], list[str]] = defaultdict(list)
    for proto in nodes:
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        if domain or (proto.op_type not in OPERATORS and proto.op_type not in ("Constant", "If")):
            name = proto.name or f"(makes {proto.output[0]!r})" if proto.output else proto.name
            found[(domain, proto.op_type, versions.get(domain, 0), "")].append(name)
    return found


def counted(nodes: Iterable[Node]) -> Counter[str]:
    """How often each operator occurs."""
    return Counter(n.op for n in nodes)
