"""A layered drawing of one level of a graph: boxes in rows from top to bottom, and the wires between them.

After Sugiyama, Tagawa and Toda 1981: rows by the longest path; wires through several rows as chains of bends; rows
ordered by barycentres, so that few wires cross; then places along the rows, each row in turn by least squares under the
order that it has (pool adjacent violators), and what is nearly in line is put in line.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]

BEND = 10.0
"""Room that a wire takes where it passes by boxes."""
GAP = 18.0
"""Between boxes of a row."""
_LEAST, _MOST = 26.0, 64.0  # between rows
_SWEEPS = 8
_SETTLING = 14
_APART = 14.0  # between wires that enter one box
INFINITE = float("inf")


@dataclass(frozen=True, slots=True)
class Box:
    """What is placed. row: 'first' and 'last' are for the ports of a level, which lie on its upper and lower edge."""

    width: float
    height: float
    row: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """From box to box, by their numbers; the source stands before the target.

    leaves, enters: where, from the box's left edge; None leaves the place on the box to the drawing. Wires that leave
    one box at the same place are drawn as one trunk.
    """

    source: int
    target: int
    leaves: float | None = None
    enters: float | None = None


@dataclass(frozen=True, slots=True)
class Level:
    """Where the boxes' upper left corners are, the points of each wire, and the size of it all.

    Between two points of different x a wire is to be drawn as a curve that leaves and arrives upright; between rows
    alone is x to change, so that no wire runs over a box.
    """

    corners: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]
    width: float
    height: float


@dataclass(slots=True)
class _Vertex:
    """A box, or a bend of a trunk, in a row."""

    box: int | None
    width: float
    x: float = 0.0


@dataclass(slots=True)
class _Segment:
    """Between neighbouring rows: from place `leaves` of a vertex to place `enters` of another, from their middles."""

    upper: int
    lower: int
    leaves: float = 0.0
    enters: float = 0.0
    fixed: bool = False


def layered(boxes: Sequence[Box], wires: Sequence[Wire], head: float = 0.0, foot: float = 0.0) -> Level:
    """Place boxes and wires. head, foot: room between the ports and the first and last row of other boxes."""
    rows_of = _rows(boxes, wires)
    chains, vertices, rows, segments = _vertices(boxes, wires, rows_of)
    drawing = _Drawing(vertices, rows, segments)
    drawing.order()
    drawing.spread_entries()
    drawing.settle()
    first, last = ([i for i, b in enumerate(boxes) if b.row == row] for row in ("first", "last"))
    drawing.line_up(first, last)
    return _measured(boxes, wires, rows_of, drawing, chains, head, foot)


def _rows(boxes: Sequence[Box], wires: Sequence[Wire]) -> list[int]:
    """The row of each box: below all that it reads; what reads nothing stands just above its first reader."""
    above: dict[int, list[int]] = {}
    below: dict[int, list[int]] = {}
    for w in wires:
        above.setdefault(w.target, []).append(w.source)
        below.setdefault(w.source, []).append(w.target)
    top = int(any(b.row == "first" for b in boxes))
    rows = [0] * len(boxes)
    for i, b in enumerate(boxes):
        if not b.row:
            rows[i] = max([top, *(rows[s] + 1 for s in above.get(i, []))])
    for i, b in enumerate(boxes):
        if not b.row and i not in above:
            rows[i] = max(
                rows[i], min((rows[t] for t in below.get(i, []) if not boxes[t].row), default=rows[i] + 1) - 1
            )
    last = max((r for r, b in zip(rows, boxes, strict=True) if not b.row), default=top) + 1
    return [last if b.row == "last" else r for r, b in zip(rows, boxes, strict=True)]


Trunk = tuple[int, float | None]


def _vertices(
    boxes: Sequence[Box], wires: Sequence[Wire], rows_of: Sequence[int]
) -> tuple[list[list[int]], list[_Vertex], list[list[int]], list[_Segment]]:
    """Boxes and bends in rows, the segments between these, and for each wire its chain of segments."""
    vertices = [_Vertex(i, b.width) for i, b in enumerate(boxes)]
    rows: list[list[int]] = [[] for _ in range(max(rows_of, default=0) + 1)]
    for i, r in enumerate(rows_of):
        rows[r].append(i)
    bends: dict[tuple[Trunk, int], int] = {}
    known: dict[tuple[int, int, float | None, float | None], int] = {}
    segments: list[_Segment] = []
    chains: list[list[int]] = []
    for w in wires:
        chain, at = list[int](), w.source
        for r in range(rows_of[w.source] + 1, rows_of[w.target] + 1):
            to = w.target
            if r < rows_of[w.target]:
                key = ((w.source, w.leaves), r)
                if key not in bends:
                    bends[key] = len(vertices)
                    rows[r].append(len(vertices))
                    vertices.append(_Vertex(None, BEND))
                to = bends[key]
            link = (at, to, w.leaves if at == w.source else None, w.enters if to == w.target else None)
            if link not in known:
                known[link] = len(segments)
                segment = _Segment(at, to)
                if at == w.source and w.leaves is not None:
                    segment.leaves = w.leaves - boxes[at].width / 2
                if to == w.target and w.enters is not None:
                    segment.enters, segment.fixed = w.enters - boxes[to].width / 2, True
                segments.append(segment)
            chain.append(known[link])
            at = to
        chains.append(chain)
    return chains, vertices, rows, segments


class _Drawing:
    """Vertices in rows: first their order is found, then their places."""

    def __init__(self, vertices: list[_Vertex], rows: list[list[int]], segments: list[_Segment]) -> None:
        self.vertices, self.rows, self.segments = vertices, rows, segments
        self._place_in_row: dict[int, tuple[list[int], int]] = {}
        self._up: list[list[_Segment]] = [[] for _ in vertices]
        self._down: list[list[_Segment]] = [[] for _ in vertices]
        for s in segments:
            self._up[s.lower].append(s)
            self._down[s.upper].append(s)

    def order(self) -> None:
        """Sort the rows so that few segments cross; the best of several sweeps down and up stays."""
        best, least = [list(r) for r in self.rows], self._crossings()
        for sweep in range(_SWEEPS):
            if not least:
                break
            down = sweep % 2 == 0
            for r in range(1, len(self.rows)) if down else range(len(self.rows) - 2, -1, -1):
                self._sort(r, down)
            crossings = self._crossings()
            if crossings < least:
                best, least = [list(r) for r in self.rows], crossings
        self.rows = best

    def _sort(self, r: int, down: bool) -> None:
        near = self.rows[r - 1 if down else r + 1]
        place = {v: i for i, v in enumerate(near)}
        keys: dict[int, float] = {}
        for i, v in enumerate(self.rows[r]):
            ends = self._up[v] if down else self._down[v]
            others = [(s.upper, s.leaves) if down else (s.lower, s.enters) for s in ends]
            spots = [place[o] + off / (self.vertices[o].width + 1) for o, off in others]
            # What has no neighbour there keeps its place among the others.
            keys[v] = sum(spots) / len(spots) if spots else i * len(near) / len(self.rows[r])
        self.rows[r] = sorted(self.rows[r], key=keys.__getitem__)

    def _crossings(self) -> int:
        total = 0
        for upper, lower in zip(self.rows, self.rows[1:], strict=False):
            place = {v: i for i, v in enumerate(upper)} | {v: i for i, v in enumerate(lower)}
            ends = sorted(
                ((place[s.upper], s.leaves), (place[s.lower], s.enters)) for v in upper for s in self._down[v]
            )
            seen: list[tuple[int, float]] = []
            for _, end in ends:
                total += len(seen) - bisect_left(seen, (end[0], end[1] + 1e-6))
                insort(seen, end)
        return total

    def spread_entries(self) -> None:
        """Wires that enter one box do so side by side, in their order, the one from the box above in the middle."""
        place = {v: i for row in self.rows for i, v in enumerate(row)}
        for v, vertex in enumerate(self.vertices):
            free = [s for s in self._up[v] if not s.fixed]
            if vertex.box is None or len(free) < 2:
                continue
            free.sort(key=lambda s: (place[s.upper], s.leaves))
            boxes = [i for i, s in enumerate(free) if self.vertices[s.upper].box is not None]
            middle = boxes[0] if len(boxes) == 1 else (len(free) - 1) / 2
            step = min(_APART, (vertex.width / 2 - 8) / max(middle, len(free) - 1 - middle))
            for i, s in enumerate(free):
                s.enters = (i - middle) * step

    def settle(self) -> None:
        """Places along the rows: each vertex where its neighbours are, as far as the row's order allows."""
        self._place_in_row = {v: (row, i) for row in self.rows for i, v in enumerate(row)}
        for row in self.rows:
            at = 0.0
            for v in row:
                self.vertices[v].x = at + self.vertices[v].width / 2
                at += self.vertices[v].width + GAP
            for v in row:
                self.vertices[v].x -= (at - GAP) / 2
        for sweep in range(_SETTLING):
            for row in self.rows if sweep % 2 == 0 else self.rows[::-1]:
                self._settle_row(row, sweep % 2 == 0, sweep >= _SETTLING - 4)
        self._straighten()

    def line_up(self, first: list[int], last: list[int]) -> None:
        """Where a level has one port on an edge, the nearest one on the other stands over or under it.

        Groups in a series then stand in line, instead of each a little further aside than the one before.
        """
        for one, others in ((last, first), (first, last)):
            if len(one) == 1 and others:
                x = self.vertices[one[0]].x
                v = min(others, key=lambda v: abs(self.vertices[v].x - x))
                least, most = self._room(v)
                self.vertices[v].x = min(max(x, least), most)
                return

    def _settle_row(self, row: list[int], down: bool, both: bool) -> None:
        wanted, weights, steps = list[float](), list[float](), list[float]()
        for i, v in enumerate(row):
            vertex = self.vertices[v]
            pulls = [(self._pull(v, s.upper), self.vertices[s.upper].x + s.leaves - s.enters) for s in self._up[v]]
            back = [(self._pull(v, s.lower), self.vertices[s.lower].x + s.enters - s.leaves) for s in self._down[v]]
            pulls = pulls + back if both else (pulls or back) if down else (back or pulls)
            total = sum(p for p, _ in pulls)
            wanted.append(sum(p * x for p, x in pulls) / total if pulls else vertex.x)
            # Boxes stay in line with one another; bends make way.
            weights.append((1.0 if vertex.box is None else 12.0) if pulls else 0.1)
            if i:
                before = self.vertices[row[i - 1]]
                steps.append((before.width + vertex.width) / 2 + _gap(before, vertex))
        for v, x in zip(row, spaced(wanted, weights, steps), strict=True):
            self.vertices[v].x = x

    def _pull(self, v: int, other: int) -> float:
        """Like draws like: boxes stand under boxes, and bends under bends."""
        return 1.0 if self._alike(v, other) else 0.02

    def _alike(self, v: int, other: int) -> bool:
        return (self.vertices[v].box is None) == (self.vertices[other].box is None)

    def _straighten(self) -> None:
        """What is nearly in line comes in line: chains of boxes first, then bends, as far as their rows have room."""
        for bends in (False, True):
            done = set[int]()
            for row in self.rows:
                for v in row:
                    if v not in done and (self.vertices[v].box is None) == bends:
                        train = self._train(v)
                        done.update(t for t, _ in train)
                        self._align(train)

    def _train(self, v: int) -> list[tuple[int, float]]:
        """The vertices that hang on v one below the other, each the only one of its kind, and how far each stands off
        v's place for a straight wire."""
        train, off = [(v, 0.0)], 0.0
        while True:
            below = [s for s in self._down[v] if self._alike(v, s.lower)]
            if len(below) != 1:
                return train
            s = below[0]
            if sum(self._alike(s.upper, s.lower) for s in self._up[s.lower]) != 1:
                return train
            off += s.leaves - s.enters
            v = s.lower
            train.append((v, off))

    def _align(self, train: list[tuple[int, float]]) -> None:
        """Give pieces of a train, as long as they can be, one place each."""
        piece: list[tuple[int, float]] = []
        low, high = -INFINITE, INFINITE
        for v, off in [*train, (-1, 0.0)]:
            least, most = self._room(v) if v >= 0 else (INFINITE, -INFINITE)
            if max(low, least - off) > min(high, most - off):
                mean = sum(self.vertices[u].x - o for u, o in piece) / max(len(piece), 1)
                for u, o in piece:
                    self.vertices[u].x = min(max(mean, low), high) + o
                piece, low, high = [], -INFINITE, INFINITE
            piece.append((v, off))
            low, high = max(low, least - off), min(high, most - off)

    def _room(self, v: int) -> tuple[float, float]:
        """Between which places a vertex may stand without its neighbours moving."""
        row, i = self._place_in_row[v]
        vertex = self.vertices[v]
        least, most = -INFINITE, INFINITE
        if i:
            other = self.vertices[row[i - 1]]
            least = other.x + (other.width + vertex.width) / 2 + _gap(other, vertex)
        if i + 1 < len(row):
            other = self.vertices[row[i + 1]]
            most = other.x - (other.width + vertex.width) / 2 - _gap(vertex, other)
        # Rounding of the places before must not shut a vertex out from where it stands.
        return min(least, vertex.x), max(most, vertex.x)


def _gap(one: _Vertex, other: _Vertex) -> float:
    return GAP if one.box is not None and other.box is not None else BEND


def spaced(wanted: Sequence[float], weights: Sequence[float], steps: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones, by weighted least squares, each at least a step behind the one before.

    Exact, by pooling adjacent violators: places less the steps before them must not fall.
    """
    before = [0.0]
    for s in steps:
        before.append(before[-1] + s)
    pools: list[list[float]] = []  # mean, weight, members
    for x, w, b in zip(wanted, weights, before, strict=False):
        pools.append([x - b, w, 1])
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            mean, weight, n = pools.pop()
            last = pools[-1]
            pools[-1] = [(last[0] * last[1] + mean * weight) / (last[1] + weight), last[1] + weight, last[2] + n]
    flat = [mean for mean, _, n in pools for _ in range(int(n))]
    return [x + b for x, b in zip(flat, before, strict=False)]


def _measured(
    boxes: Sequence[Box],
    wires: Sequence[Wire],
    rows_of: Sequence[int],
    drawing: _Drawing,
    chains: Sequence[Sequence[int]],
    head: float,
    foot: float,
) -> Level:
    """From places to coordinates: left edge 0, rows one below the other."""
    vertices, segments = drawing.vertices, drawing.segments
    left = min((v.x - v.width / 2 for v in vertices), default=0.0)
    heights = [max((boxes[v].height for v in row if v < len(boxes)), default=0.0) for row in drawing.rows]
    row_of = {v: r for r, row in enumerate(drawing.rows) for v in row}
    widest = [0.0] * len(heights)
    for s in segments:
        slant = abs(vertices[s.upper].x + s.leaves - vertices[s.lower].x - s.enters)
        widest[row_of[s.upper]] = max(widest[row_of[s.upper]], slant)
    tops = [0.0]
    for r, height in enumerate(heights[:-1]):
        gap = min(_LEAST + widest[r] / 8, _MOST)
        if r == 0 and any(b.row == "first" for b in boxes):
            gap = head + min(widest[r] / 8, _LEAST)
        elif r == len(heights) - 2 and any(b.row == "last" for b in boxes):
            gap = foot + min(widest[r] / 8, _LEAST)
        tops.append(tops[-1] + height + gap)
    corners = tuple((vertices[i].x - b.width / 2 - left, tops[rows_of[i]]) for i, b in enumerate(boxes))
    routes: list[tuple[Point, ...]] = []
    for w, chain in zip(wires, chains, strict=True):
        first = segments[chain[0]]
        x = vertices[w.source].x + first.leaves - left
        r = rows_of[w.source]
        points = [(x, tops[r] + boxes[w.source].height), (x, tops[r] + heights[r])]
        for k in chain:
            s = segments[k]
            r += 1
            x = vertices[s.lower].x + s.enters - left
            points.append((x, tops[r]))
            if s.lower != w.target:
                points.append((x, tops[r] + heights[r]))
        routes.append(tuple(p for i, p in enumerate(points) if not i or p != points[i - 1]))
    right = max((v.x + v.width / 2 for v in vertices), default=0.0)
    return Level(corners, tuple(routes), right - left, tops[-1] + heights[-1])
