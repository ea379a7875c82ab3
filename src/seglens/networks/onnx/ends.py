"""The ends of a graph: how its input lies, which link closes it, and the scores before that link."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from seglens.networks.onnx.nodes import Node

LINKS = {"Softmax": "softmax", "LogSoftmax": "softmax", "Sigmoid": "sigmoid"}
_CARRIERS = ("Identity", "Cast", "Transpose")
"""Operators behind a link that only lay its values out anew."""

_BLENDS = ("Resize", "Upsample", "AveragePool", "Slice")
"""Operators behind a link after which its values are still probabilities, though no longer a function of one logit."""

_POINTWISE = ("Identity", "Cast", "Sub", "Add", "Mul", "Div", "Clip", "QuantizeLinear", "DequantizeLinear")
_CHANNELS_SECOND = ("Conv", "ConvTranspose", "BatchNormalization", "MaxPool", "AveragePool", "InstanceNormalization")


@dataclass(frozen=True, slots=True)
class End:
    """One output: its value's name, the axis of its classes, its link and what it holds. note: what was done to it."""

    name: str
    shown: str
    axis: int | None = None
    link: Literal["softmax", "sigmoid"] | None = None
    emits: Literal["logits", "probabilities"] = "logits"
    note: str = ""


@dataclass(slots=True)
class Graph:
    """Nodes with who makes and who reads each value; ranks and sizes of values where they are declared."""

    nodes: list[Node]
    ranks: Mapping[str, int]
    outputs: Sequence[str]
    makers: dict[str, Node] = field(default_factory=dict[str, Node])
    readers: defaultdict[str, list[Node]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        for node in self.nodes:
            for name in filter(None, node.outputs):
                self.makers[name] = node
            for name in filter(None, node.inputs):
                self.readers[name].append(node)

    def alone(self, name: str, reader: Node | None) -> bool:
        """Whether nothing but `reader` (None: the output) reads a value."""
        readers = self.readers[name]
        if reader is None:
            return not readers and list(self.outputs).count(name) == 1
        return len(readers) == 1 and readers[0] is reader and name not in self.outputs


def is_channels_last(graph: Graph, name: str, shape: Sequence[int | None]) -> bool:
    """Whether an image input is [B *space C]: its channels are brought forward first, or its sizes say so."""
    rank = len(shape)
    waiting, seen = [name], set[str]()
    while waiting:
        value = waiting.pop()
        for node in graph.readers[value] if value not in seen else ():
            if node.op == "Transpose" and node.setting("perm", None) == _forward(rank):
                return True
            if node.op in ("Conv", "BatchNormalization"):
                return False
            if node.op in _POINTWISE:
                waiting += [o for o in node.outputs if o]
        seen.add(value)
    return rank > 3 and shape[-1] in (1, 3, 4) and shape[1] not in (1, 3, 4)


def end_of(graph: Graph, name: str, channels_last: bool) -> End:
    """What closes one output. Links and choices of labels are taken off where only the output reads them."""
    shown, notes = name, list[str]()
    axis: int | None = None
    chain = _behind(graph, name)
    maker = graph.makers.get(chain[-1])
    if maker is not None and maker.op == "ArgMax":
        place: int = maker.setting("axis", 0)
        name = maker.inputs[0]
        axis = place if place >= 0 else place + graph.ranks.get(name, 0)
        notes.append(f"it ends in labels (ArgMax {maker.name!r}); the scores before them are taken")
        chain = _behind(graph, name)
        maker = graph.makers.get(chain[-1])
    if maker is not None and maker.op == "Squeeze" and _squeezed(graph, maker, chain) and axis is None:
        name, chain = maker.inputs[0], _behind(graph, maker.inputs[0])
        maker = graph.makers.get(chain[-1])
    link, emits = None, "logits"
    if maker is not None and maker.op in LINKS:
        link = LINKS[maker.op]
        told = _axis_behind(graph, maker, chain)
        axis = told if axis is None else axis
        if maker.op != "Sigmoid" and told is None:
            link = None
        elif _is_free(graph, chain, name, shown):
            notes.append(f"it ends in {maker.op} ({maker.name!r}); the logits before it are taken")
            _bypass(maker)
        else:
            emits = "probabilities" if maker.op != "LogSoftmax" else "logits"
            notes.append(f"its {maker.op} ({maker.name!r}) is read elsewhere too, so no logits are to be had")
    elif (blended := _blended(graph, chain)) is not None:
        link, emits = LINKS[blended.op], "probabilities"
        notes.append(f"probabilities ({blended.op} {blended.name!r}) are resized behind it, so no logits are to be had")
    if axis is None:
        axis = _class_axis(graph, name, channels_last)
    return End(
        name, shown, axis, _link(link), "probabilities" if emits == "probabilities" else "logits", "; ".join(notes)
    )


def distinct(graph: Graph, ends: Sequence[End]) -> list[End]:
    """Without labels beside the scores that they are chosen by, which say nothing more."""
    scores = {_behind(graph, e.name)[-1] for e in ends if e.name == e.shown}
    kept: dict[str, End] = {}
    for end in ends:
        source = _behind(graph, end.name)[-1]
        if end.name == end.shown or source not in scores:
            kept[end.name if end.name == end.shown else source] = end
    return list(kept.values())


def _link(name: str | None) -> Literal["softmax", "sigmoid"] | None:
    return "softmax" if name == "softmax" else "sigmoid" if name == "sigmoid" else None


def _forward(rank: int) -> list[int]:
    return [0, rank - 1, *range(1, rank - 1)]


def _backward(rank: int) -> list[int]:
    return [0, *range(2, rank), 1]


def _behind(graph: Graph, name: str) -> list[str]:
    """Values from the output back to the first that is not merely laid out anew."""
    chain = [name]
    while (node := graph.makers.get(chain[-1])) is not None and node.op in _CARRIERS:
        chain.append(node.inputs[0])
    return chain


def _axis_behind(graph: Graph, link: Node, chain: Sequence[str]) -> int | None:
    """The axis of a link's classes in the output; None where it has none."""
    if link.op == "Sigmoid":
        return None
    rank = graph.ranks.get(link.outputs[0]) or graph.ranks.get(chain[0])
    turns = [node for value in chain if (node := graph.makers.get(value)) is not None and node.op == "Transpose"]
    if rank is None:
        rank = next((len(t.setting("perm", ())) for t in turns), None)
    axis = link.setting("axis", -1 if link.version >= 13 else 1)
    if axis < 0:
        if rank is None:
            return None
        axis += rank
    if link.version < 13 and rank is not None and axis != rank - 1:
        # All axes from this one on are one to it: no link of one place's classes.
        return None
    for turn in reversed(turns):
        order = turn.setting("perm", None)
        axis = order.index(axis) if order else (rank or axis + 1) - 1 - axis
    return axis


def _is_free(graph: Graph, chain: Sequence[str], name: str, shown: str) -> bool:
    """Whether only this output reads what lies between it and its link."""
    for value in chain[1:]:
        if len(graph.readers[value]) > 1 or value in graph.outputs:
            return False
    # The largest score stays the largest without its link.
    readers = [r for r in graph.readers[chain[0]] if r.op != "ArgMax"]
    return len(readers) <= (1 if name != shown and name not in graph.outputs and chain[0] == name else 0)


def _bypass(node: Node) -> None:
    node.op, node.domain = "Identity", ""
    node.inputs, node.attributes = node.inputs[:1], {}


def _blended(graph: Graph, chain: Sequence[str]) -> Node | None:
    node = graph.makers.get(chain[-1])
    while node is not None and node.op in (*_BLENDS, *_CARRIERS):
        node = graph.makers.get(node.inputs[0])
    return node if node is not None and node.op in ("Softmax", "Sigmoid") and len(chain) < 64 else None


def _squeezed(graph: Graph, node: Node, chain: Sequence[str]) -> bool:
    """Whether an output [B *space] lost its one channel at the very end."""
    rank = graph.ranks.get(node.outputs[0])
    axes = node.setting("axes", None)
    return rank is not None and rank >= 3 and (axes == [1] or axes == [rank]) and len(chain) == 1


def _class_axis(graph: Graph, name: str, channels_last: bool) -> int | None:
    """The axis of channels where no link tells: by what made the value."""
    rank = graph.ranks.get(name)
    if rank is None or rank < 3:
        return None
    node = graph.makers.get(name)
    passed = 0
    while node is not None and passed < 64:
        if node.op == "Transpose":
            order = node.setting("perm", None)
            return rank - 1 if order == _backward(rank) else None
        if node.op in _CHANNELS_SECOND:
            return None
        if node.op in ("MatMul", "Gemm"):
            return rank - 1 if channels_last else None
        source = next((i for i in node.inputs if i in graph.makers), None)
        node = graph.makers.get(source) if source else None
        passed += 1
    return rank - 1 if channels_last and rank > 3 else None


def order_of(axis: int | None, rank: int | None) -> tuple[int, ...] | None:
    """Axes in torch's order, classes second; None where they are so already."""
    if axis is None or rank is None or axis == 1 or axis == 0:
        return None
    return (0, axis, *(a for a in range(1, rank) if a != axis))
