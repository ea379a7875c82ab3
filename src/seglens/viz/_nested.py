"""Groups in groups: each level drawn by itself, from the innermost outwards, equal ones once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from seglens.networks.graph import Edge, Graph
from seglens.viz._layered import Box, Level, Point, Wire, layered

HEADER = 24.0
"""Room for the name of a group, above what is inside."""
MARGIN = 14.0
"""Between a group's frame and what is inside."""
_PORT = 8.0  # room that a wire takes on a group's edge

Size = tuple[float, float]
Rectangle = tuple[float, float, float, float]
"""Left, top, width, height."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything is. boxes: by the ids of nodes and groups. paths: points of each edge, by (source, target).

    A path changes x between rows alone, where it is to be drawn as a curve that leaves and arrives upright.
    """

    boxes: Mapping[str, Rectangle]
    paths: Mapping[tuple[str, str], tuple[Point, ...]]
    width: float
    height: float


@dataclass(slots=True, eq=False)
class _Part:
    """A group with its level drawn: members in order, and which node's values come in and go out at which port."""

    members: list[str]
    ports_in: dict[str, int] = field(default_factory=dict[str, int])
    ports_out: dict[str, int] = field(default_factory=dict[str, int])
    wires: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    level: Level | None = None
    size: Size = (0.0, 0.0)
    shift: float = 0.0


def nested(graph: Graph, sizes: Mapping[str, Size], titles: Mapping[str, float]) -> Layout:
    """The layout of a graph. sizes: of the nodes' boxes, by id. titles: the width that each group's name takes."""
    return _Nesting(graph, sizes, titles).layout()


class _Nesting:
    def __init__(self, graph: Graph, sizes: Mapping[str, Size], titles: Mapping[str, float]) -> None:
        self._graph, self._sizes, self._titles = graph, sizes, titles
        self._memo: dict[object, Level] = {}
        parent: dict[str, str | None] = {g.id: g.parent for g in graph.groups}
        parent |= {n.id: n.group for n in graph.nodes}
        # Outermost first, '' for the whole.
        self._chain: dict[str, list[str]] = {}
        for n in graph.nodes:
            chain, at = list[str](), n.group
            while at is not None:
                chain.append(at)
                at = parent[at]
            self._chain[n.id] = ["", *reversed(chain)]
        self._parts: dict[str, _Part] = {gid: _Part([]) for gid in ["", *(g.id for g in graph.groups)]}
        for n in graph.nodes:
            chain = [*self._chain[n.id], n.id]
            for group, member in pairwise(chain):
                members = self._parts[group].members
                if not members or members[-1] != member:
                    members.append(member)
        self._edges_of: dict[str, list[Edge]] = {gid: [] for gid in self._parts}
        for e in graph.edges:
            for gid in dict.fromkeys([*self._chain[e.source], *self._chain[e.target]]):
                self._edges_of[gid].append(e)

    def layout(self) -> Layout:
        """Levels from the innermost outwards, then places from the outermost inwards."""
        for gid in [*(g.id for g in reversed(self._graph.groups)), ""]:
            self._draw(gid, self._parts[gid])
        boxes: dict[str, Rectangle] = {}
        self._place("", (0.0, 0.0), boxes)
        whole = self._parts[""].size
        paths = {(e.source, e.target): self._path(e, boxes) for e in self._graph.edges}
        return Layout(boxes, paths, *whole)

    def _draw(self, gid: str, part: _Part) -> None:
        number = {m: i for i, m in enumerate(part.members)}
        ends: dict[tuple[str, str], None] = {}
        for e in self._edges_of[gid]:
            source, target = self._member(e.source, gid), self._member(e.target, gid)
            if source == target:
                continue
            if source is None:
                part.ports_in.setdefault(e.source, len(part.ports_in))
            if target is None:
                part.ports_out.setdefault(e.source, len(part.ports_out))
            ends.setdefault((e.source, target or ""))
        first, last = len(part.ports_in), len(part.ports_in) + len(part.members)
        boxes = [Box(_PORT, 0.0, "first")] * first
        boxes += [Box(*self._size(m)) for m in part.members]
        boxes += [Box(_PORT, 0.0, "last")] * len(part.ports_out)
        wires: list[Wire] = []
        for source, target in ends:
            member = self._member(source, gid)
            start = part.ports_in[source] if member is None else first + number[member]
            end = first + number[target] if target else last + part.ports_out[source]
            part.wires[source, target] = len(wires)
            wires.append(Wire(start, end, self._leaves(member, source), self._enters(target, source)))
        key = (tuple(boxes), tuple(wires))
        if key not in self._memo:
            self._memo[key] = layered(boxes, wires, HEADER + MARGIN / 2, MARGIN)
        level = part.level = self._memo[key]
        if not gid:
            part.size = (level.width, level.height)
            return
        width = max(level.width + 2 * MARGIN, self._titles[gid] + 2 * MARGIN)
        part.shift = (width - level.width) / 2
        top = 0.0 if part.ports_in else HEADER + MARGIN / 2
        bottom = 0.0 if part.ports_out else MARGIN
        part.size = (width, top + level.height + bottom)

    def _size(self, member: str) -> Size:
        return self._parts[member].size if member in self._parts else self._sizes[member]

    def _member(self, node: str, gid: str) -> str | None:
        """What of the group's members a node is, or is in; None outside it."""
        chain = [*self._chain[node], node]
        for group, member in pairwise(chain):
            if group == gid:
                return member
        return None

    def _leaves(self, member: str | None, source: str) -> float | None:
        if member is None or member not in self._parts:
            return None
        part = self._parts[member]
        return self._port(part, len(part.ports_in) + len(part.members) + part.ports_out[source])

    def _enters(self, member: str, source: str) -> float | None:
        if member not in self._parts or not member:
            return None
        part = self._parts[member]
        return self._port(part, part.ports_in[source])

    def _port(self, part: _Part, number: int) -> float:
        if part.level is None:
            raise ValueError("a group is drawn before the group around it")
        return part.level.corners[number][0] + _PORT / 2 + part.shift

    def _place(self, gid: str, corner: Point, boxes: dict[str, Rectangle]) -> None:
        part = self._parts[gid]
        origin = self._origin(part, gid, corner)
        level = part.level
        for i, member in enumerate(part.members, start=len(part.ports_in)):
            x, y = level.corners[i] if level else (0.0, 0.0)
            at = (origin[0] + x, origin[1] + y)
            boxes[member] = (*at, *self._size(member))
            if member in self._parts:
                self._place(member, at, boxes)

    def _origin(self, part: _Part, gid: str, corner: Point) -> Point:
        """Where the level's own zero lies: below the header, unless ports lie on the upper edge."""
        if not gid:
            return corner
        return (corner[0] + part.shift, corner[1] + (0.0 if part.ports_in else HEADER + MARGIN / 2))

    def _path(self, e: Edge, boxes: Mapping[str, Rectangle]) -> tuple[Point, ...]:
        """The wires of an edge, level by level: outwards to the innermost group around both ends, and in again."""
        source, target = self._chain[e.source], self._chain[e.target]
        common = sum(a == b for a, b in zip(source, target, strict=False))
        levels = [*reversed(source[common:]), *target[common - 1 :]]
        points: list[Point] = []
        for gid in levels:
            part = self._parts[gid]
            x, y = self._origin(part, gid, boxes[gid][:2] if gid else (0.0, 0.0))
            wire = part.wires[e.source, self._member(e.target, gid) or ""]
            route: Sequence[Point] = part.level.routes[wire] if part.level else ()
            points += [(x + px, y + py) for px, py in route]
        return tuple(p for i, p in enumerate(points) if not i or not _same(p, points[i - 1]))


def _same(a: Point, b: Point) -> bool:
    return abs(a[0] - b[0]) < 1e-6 and abs(a[1] - b[1]) < 1e-6
