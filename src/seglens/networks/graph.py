"""The dataflow graph of a network: layers and operations, what flows between them, modules as nested groups."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from torch import Tensor

from seglens.core.capture import capture
from seglens.core.errors import LayerNotFoundError, ParameterError, suggest
from seglens.core.network import Network
from seglens.core.registry import Registry
from seglens.core.saving import as_json, suffix_of, write_text

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A call of a layer, an operation outside layers, an input, an output, or a collapsed group.

    id: stable for the same network and input size; of a call 'path', or 'path#k' where the layer runs several times,
    which is the name under which `capture` taps it. kind: one of `KINDS`. type: the class, or the operation's name.
    path: of the layer, or of the module whose code the operation belongs to. call, calls: which call of how many.
    group: the innermost group around it, None for none. parameters: those that it holds or reads. shape: of its
    (first) output. field: receptive field in pixels per image dimension, None = the whole image; the tuple is None
    where the output does not depend on the image. stride: pixels from one position to the next, None where there is no
    such number. detail: settings in words, such as a kernel's size; of an output its place in what the network
    returns. contains: the nodes in a collapsed group, else 1. explained: of an input that it is the explained one, of
    an output that it holds the scores.
    """

    id: str
    kind: str
    type: str
    path: str
    group: str | None = None
    call: int = 0
    calls: int = 1
    parameters: int = 0
    shape: Shape | None = None
    field: tuple[int | None, ...] | None = None
    stride: tuple[Fraction | None, ...] | None = None
    detail: str = ""
    contains: int = 1
    explained: bool = False

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values; a stride that is no whole number becomes a float."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class Edge:
    """What one node reads of another.

    source, target: ids of nodes. position: its place among what the target reads, in the order of the arguments.
    shapes: of the tensors as they arrive, different ones only. count: how many edges of the whole graph it stands for.
    """

    source: str
    target: str
    position: int = 0
    shapes: tuple[Shape, ...] = ()
    count: int = 1

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class Group:
    """A call of a module that calls others; or a module that is never called itself, as a list of layers.

    The nodes of a group run one after the other, with none of another group between them. So a list whose layers
    run in turns with other modules makes several groups of one path. id: as of nodes; 'path~k' for the k-th of several
    groups of a list. parent: the group around it, None for none. depth: the parts of its path. Other fields: as of
    nodes.
    """

    id: str
    type: str
    path: str
    parent: str | None
    depth: int
    call: int = 0
    calls: int = 1
    parameters: int = 0
    shape: Shape | None = None
    field: tuple[int | None, ...] | None = None
    stride: tuple[Fraction | None, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return _plain(self)


@dataclass(frozen=True, slots=True)
class Graph:
    """How data flows through a network on one input.

    Nodes stand in the order in which they ran, and every edge leads from an earlier node to a later one: collapsed
    or not, the graph has no cycles. Groups stand after the groups around them. network, type, parameters: name, class
    and size of the whole. idle: paths of layers that ran and handed on what they were given (Identity; Dropout in
    evaluation mode), which are no nodes.
    """

    network: str
    type: str
    parameters: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    groups: tuple[Group, ...]
    idle: tuple[str, ...] = ()

    @property
    def depth(self) -> int:
        """The depth from which on nothing is collapsed."""
        return max((g.depth for g in self.groups), default=0) + 1

    def readable_depth(self, most: int = 60) -> int:
        """The largest depth that leaves at most so many nodes, at least 1. Raises ParameterError for most < 1."""
        if most < 1:
            raise ParameterError(f"most = {most}: the number of nodes that a reader takes in is 1 or more.")
        return next((d for d in range(self.depth, 1, -1) if len(self.collapsed(d).nodes) <= most), 1)

    def collapsed(self, depth: int | None = None, groups: Iterable[str] = ()) -> "Graph":
        """The graph in which some modules are one node each, with all that is inside.

        depth: so many levels of modules stay: every module whose path has `depth` parts or more becomes a node.
        groups: ids of groups, or paths (every group of that path). Edges inside a node go; those that then join the
        same two nodes become one, with their shapes and their number. Raises LayerNotFoundError for an unknown group,
        ParameterError for a depth below 1.
        """
        if depth is not None and depth < 1:
            raise ParameterError(f"depth = {depth}: a graph is collapsed to 1 level or more.")
        closed = self._closed(depth, list(groups))
        inside: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.group in closed:
                inside.setdefault(closed[node.group], []).append(node)
        by_id = {g.id: g for g in self.groups}
        home = {n.id: gid for gid, members in inside.items() for n in members}
        nodes: dict[str, Node] = {}
        for node in self.nodes:
            gid = home.get(node.id)
            if gid is None:
                nodes[node.id] = node
            elif gid not in nodes:
                nodes[gid] = _as_node(by_id[gid], sum(n.contains for n in inside[gid]))
        kept = {n.group for n in nodes.values()}
        for g in reversed(self.groups):
            if g.id in kept:
                kept.add(g.parent)
        return replace(
            self,
            nodes=tuple(nodes.values()),
            edges=_projected(self.edges, home),
            groups=tuple(g for g in self.groups if g.id in kept),
        )

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON values."""
        return _plain(self)

    def save(self, path: str | Path, depth: int | None = None) -> Path:
        """Write to `path`: .json holds the graph, .svg draws it.

        depth: levels of modules that stay; by default all in a file of numbers, and in a picture those that it can
        show readably. Raises NameNotFoundError for another suffix, ParameterError for a depth below 1.
        """
        path = Path(path)
        suffix = suffix_of(path, ("json", *GRAPH_WRITERS))
        if suffix == "json":
            write_text(as_json(self.to_dict() if depth is None else self.collapsed(depth).to_dict()), path)
        else:
            GRAPH_WRITERS[suffix](self.collapsed(depth or self.readable_depth()), path)
        return path

    def _closed(self, depth: int | None, groups: Sequence[str]) -> dict[str | None, str]:
        """For each group that vanishes, the outermost one that becomes a node in its place."""
        ids, paths = {g.id for g in self.groups}, {g.path for g in self.groups}
        unknown = next((name for name in groups if name not in ids and name not in paths), None)
        if unknown is not None:
            raise LayerNotFoundError(
                f"no group {unknown!r} in the graph of {self.network} ({len(ids)} groups).{suggest(unknown, ids)}\n"
                "  A group is a module that calls others; a layer is one node already."
            )
        closed: dict[str | None, str] = {}
        for g in self.groups:
            if g.parent in closed:
                closed[g.id] = closed[g.parent]
            elif (depth is not None and g.depth >= depth) or g.id in groups or g.path in groups:
                closed[g.id] = g.id
        return closed


GraphWriter = Callable[[Graph, Path], None]
"""Draws a graph into a file."""

GRAPH_WRITERS: Registry[GraphWriter] = Registry("file type", "seglens.graph_writers")


def graph_of(network: Network, x: Tensor) -> Graph:
    """The dataflow graph of a network for input x [B C *grid], from one pass; the network is left as it was.

    A module that refuses hooks (TorchScript) shows its operations without its modules. Values that leave torch
    (numpy, `.item()`) take their edges with them.
    """
    from seglens.networks._dataflow import recorded
    from seglens.networks._grouping import grouped

    if not network.extra:
        x = x[:1]
    x = x.detach().to(device=network.device, dtype=network.dtype)
    with capture(network):
        trace = recorded(lambda: network(x), network.module, x, network.extra)
    return grouped(trace, network.name)


def _as_node(g: Group, contains: int) -> Node:
    return Node(
        g.id,
        "module",
        g.type,
        g.path,
        g.parent,
        g.call,
        g.calls,
        g.parameters,
        g.shape,
        g.field,
        g.stride,
        contains=contains,
    )


def _projected(edges: Sequence[Edge], home: dict[str, str]) -> tuple[Edge, ...]:
    """Edges between the nodes that stand for theirs; `home` names these where they are others."""
    merged: dict[tuple[str, str, int | None], Edge] = {}
    arrivals: dict[str, int] = {}
    for e in edges:
        source, target = home.get(e.source, e.source), home.get(e.target, e.target)
        if source == target:
            continue
        whole = source == e.source and target == e.target
        # Between nodes that stay as they are, a tensor that is read twice is two edges.
        key = (source, target, e.position if whole else None)
        known = merged.get(key)
        if known is not None:
            shapes = tuple(dict.fromkeys(known.shapes + e.shapes))
            merged[key] = replace(known, shapes=shapes, count=known.count + e.count)
            continue
        position = e.position
        if target != e.target:
            position = arrivals.get(target, 0)
            arrivals[target] = position + 1
        merged[key] = replace(e, source=source, target=target, position=position)
    return tuple(merged.values())


def _plain(value: Any) -> Any:
    if isinstance(value, Node | Edge | Group | Graph):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    return value
