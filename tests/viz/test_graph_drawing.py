"""The drawing of a graph: every node once, nothing over anything else, wires from node to node and past the others."""

import re
from xml.etree import ElementTree

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seglens.core.network import Network
from seglens.networks.graph import Edge, Graph, Group, Node, graph_of
from seglens.networks.load import load
from seglens.viz import _nested
from seglens.viz._layered import Box, Wire, layered, spaced
from seglens.viz._nested import nested
from seglens.viz.graph import KINDS, svg_of

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def whole() -> Graph:
    return graph_of(load("streets-deeplab"), torch.rand(1, 3, 32, 32))


def boxes_of(root: ElementTree.Element, kind: str) -> dict[str, tuple[float, float, float, float]]:
    found = {}
    for g in root.iter(f"{SVG}g"):
        if g.get("class", "").partition(" ")[0] == kind:
            rects = [r for r in g.iter(f"{SVG}rect") if kind == "group" or r.get("class") == "body"]
            assert g.get("data-id") not in found
            found[g.get("data-id")] = tuple(float(rects[0].get(k)) for k in ("x", "y", "width", "height"))
    return found


def overlap(a, b) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


def within(inner, outer) -> bool:
    return (
        inner[0] >= outer[0]
        and inner[1] >= outer[1]
        and inner[0] + inner[2] <= outer[0] + outer[2]
        and inner[1] + inner[3] <= outer[1] + outer[3]
    )


def check_drawing(graph: Graph) -> None:
    """All that holds of every drawing, read from the SVG itself."""
    root = ElementTree.fromstring(svg_of(graph))
    nodes, groups = boxes_of(root, "node"), boxes_of(root, "group")
    assert set(nodes) == {n.id for n in graph.nodes}
    assert set(groups) == {g.id for g in graph.groups}
    parent = {**{g.id: g.parent for g in graph.groups}, **{n.id: n.group for n in graph.nodes}}
    boxes = {**nodes, **groups}
    around: dict[str, set[str]] = {}
    for i in boxes:
        at, around[i] = parent[i], set()
        while at is not None:
            around[i].add(at)
            at = parent[at]
    for i, box in boxes.items():
        for j, other in boxes.items():
            if j in around[i]:
                assert within(box, other), (i, j)
            elif i < j and i not in around[j]:
                assert not overlap(box, other), (i, j)
    wires = [p for p in root.iter(f"{SVG}path") if p.get("data-source")]
    assert {(p.get("data-source"), p.get("data-target")) for p in wires} == {(e.source, e.target) for e in graph.edges}
    assert len(wires) == len({(e.source, e.target) for e in graph.edges})
    for p in wires:
        source, target = p.get("data-source"), p.get("data-target")
        line = sampled(p.get("d"))
        (x0, y0), (x1, y1) = line[0], line[-1]
        a, b = nodes[source], nodes[target]
        assert y0 == pytest.approx(a[1] + a[3], abs=0.11)
        assert a[0] <= x0 <= a[0] + a[2]
        assert y1 == pytest.approx(b[1], abs=0.11)
        assert b[0] <= x1 <= b[0] + b[2]
        for i, (x, y, w, h) in nodes.items():
            if i not in (source, target):
                assert not any(x < px < x + w and y < py < y + h for px, py in line), (source, target, i)


def sampled(path: str) -> list[tuple[float, float]]:
    """Points along a path of M, V and C."""
    points: list[tuple[float, float]] = []
    for command, text in re.findall(r"([MVC])([^MVC]*)", path):
        v = [float(t) for t in text.split()]
        if command == "M":
            points.append((v[0], v[1]))
            continue
        x0, y0 = points[-1]
        c = (
            [(x0, y0), (x0, y0), (x0, v[0]), (x0, v[0])]
            if command == "V"
            else [(x0, y0), *zip(v[::2], v[1::2], strict=True)]
        )
        for k in range(1, 13):
            t = k / 12
            share = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3]
            points.append(tuple(sum(s * p[a] for s, p in zip(share, c, strict=True)) for a in (0, 1)))
    return points


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_a_drawing_shows_every_node_once_and_nothing_over_anything_else(whole: Graph, depth: int) -> None:
    check_drawing(whole.collapsed(depth))


@st.composite
def graphs(draw) -> Graph:
    """Any acyclic graph with nested groups whose nodes stand together."""
    n = draw(st.integers(1, 9))
    groups: list[Group] = []
    of: list[str | None] = [None] * n

    def split(low: int, high: int, around: str | None, depth: int) -> None:
        if depth > 3 or high - low < 1:
            return
        a, b = sorted((draw(st.integers(low, high)), draw(st.integers(low, high))))
        if b > a:
            name = f"g{len(groups)}"
            groups.append(Group(name, draw(st.sampled_from(["Block", "B" * 40])), name, around, depth))
            of[a:b] = [name] * (b - a)
            split(a, b, name, depth + 1)
        split(b, high, around, depth + 1)

    split(0, n, None, 1)
    nodes = [Node(f"n{i}", draw(st.sampled_from(list(KINDS))), "Type", f"n{i}", of[i], shape=(1, i)) for i in range(n)]
    used: set[str | None] = set(of)
    for g in reversed(groups):
        used |= {g.parent} if g.id in used else set()
    pairs = [(s, t) for t in range(n) for s in range(t) if draw(st.integers(0, 9)) < 3]
    edges = [Edge(f"n{s}", f"n{t}", k, ((1, s),)) for k, (s, t) in enumerate(pairs)]
    return Graph("net", "Net", 0, tuple(nodes), tuple(edges), tuple(g for g in groups if g.id in used))


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_any_graph_is_drawn_without_overlaps(graph: Graph) -> None:
    check_drawing(graph)


def test_wires_with_a_way_round_are_drawn_as_such() -> None:
    nodes = tuple(Node(i, "other", i, i) for i in "abcd")
    edges = tuple(Edge(s, t) for s, t in ("ab", "bc", "ac", "ad"))
    root = ElementTree.fromstring(svg_of(Graph("net", "Net", 0, nodes, edges, ())))
    kinds = {
        p.get("data-source") + p.get("data-target"): p.get("class")
        for p in root.iter(f"{SVG}path")
        if p.get("data-source")
    }
    assert kinds == {"ab": "wire", "bc": "wire", "ac": "skip", "ad": "wire"}


def test_names_that_are_no_xml_are_shown_as_they_are() -> None:
    module = nn.Sequential()
    module.add_module('<a href="x">&\x00\x1b', nn.Conv2d(3, 2, 1))
    svg = svg_of(graph_of(Network(module=module, name="<script>alert(1)</script>"), torch.rand(1, 3, 4, 4)))
    root = ElementTree.fromstring(svg)
    assert "script" not in {e.tag.removeprefix(SVG) for e in root.iter()}
    assert any(e.text == '<a href="x">&' for e in root.iter(f"{SVG}tspan"))
    assert root.find(f"{SVG}title").text == "<script>alert(1)</script>: dataflow graph"


def test_a_node_says_its_kind_in_words_and_its_numbers_under_the_mouse(whole: Graph) -> None:
    root = ElementTree.fromstring(svg_of(whole))
    (conv,) = (g for g in root.iter(f"{SVG}g") if g.get("data-id") == "encoder.stage2.conv1.0")
    assert "Conv2d" in "".join(conv.itertext())
    told = conv.find(f"{SVG}title").text
    for words in ("encoder.stage2.conv1.0", "3×3, stride 2", "output 1×40×8×8", "8,640 parameters", "px", "stride 4"):
        assert words in told
    style = root.find(f"{SVG}style").text
    assert "prefers-color-scheme:dark" in style
    assert all(f".stripe.k-{n.kind}" in style for n in whole.nodes)


def test_equal_blocks_are_laid_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []
    monkeypatch.setattr(_nested, "layered", lambda *a: drawn.append(a) or layered(*a))
    blocks = [nn.Sequential(nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU()), nn.Sigmoid()) for _ in range(10)]
    graph = graph_of(Network(module=nn.Sequential(*blocks)), torch.rand(1, 3, 4, 4))
    sizes = {n.id: (80.0, 24.0) for n in graph.nodes}
    layout = nested(graph, sizes, {g.id: 40.0 for g in graph.groups})
    # the whole, the blocks, and what is in them
    assert len(drawn) == 3
    first, last = layout.boxes["0.0"], layout.boxes["9.0"]
    assert first[2:] == last[2:]
    # in line, not each a little aside of the one before
    assert first[0] == pytest.approx(last[0], abs=0.2)


def test_a_skip_passes_by_the_side() -> None:
    level = layered([Box(80, 20)] * 4, [Wire(0, 1), Wire(1, 2), Wire(2, 3), Wire(0, 3)])
    middles = [x + 40 for x, _ in level.corners]
    assert max(middles) - min(middles) < 1
    assert [y for _, y in level.corners] == sorted(y for _, y in level.corners)
    assert max(abs(x - middles[0]) for x, _ in level.routes[3]) > 40
    # straight along both boxes that it passes
    assert len({round(x, 3) for x, y in level.routes[3][2:-1]}) == 1


def test_what_is_narrower_than_its_groups_name_stands_in_the_middle() -> None:
    graph = Graph("net", "Net", 0, (Node("a", "other", "T", "a", "g"),), (), (Group("g", "Block", "g", None, 1),))
    layout = nested(graph, {"a": (20.0, 20.0)}, {"g": 200.0})
    (x, _, w, _), (left, _, width, _) = layout.boxes["a"], layout.boxes["g"]
    assert x + w / 2 == pytest.approx(left + width / 2)


def test_a_level_ends_where_it_began() -> None:
    boxes = [Box(8, 0, "first"), Box(80, 20), Box(200, 20), Box(60, 20), Box(8, 0, "last")]
    level = layered(boxes, [Wire(0, 1), Wire(1, 2), Wire(1, 3), Wire(3, 4)], 30, 14)
    assert level.corners[0][0] == level.corners[4][0]


def test_rows_are_ordered_so_that_wires_need_not_cross() -> None:
    level = layered([Box(20, 20)] * 6, [Wire(0, 5), Wire(1, 4), Wire(2, 3)])
    x = [corner[0] for corner in level.corners]
    assert sorted(range(3), key=x.__getitem__) == [5 - i for i in sorted(range(3, 6), key=x.__getitem__)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.1, 10), st.floats(0, 20)), min_size=1, max_size=6), st.data())
def test_places_are_the_nearest_that_keep_apart(rows: list[tuple[float, float, float]], data) -> None:
    wanted, weights, steps = ([r[k] for r in rows] for k in range(3))
    steps = steps[1:]
    found = spaced(wanted, weights, steps)
    assert all(b - a >= s - 1e-6 for a, b, s in zip(found, found[1:], steps, strict=False))

    def cost(places: list[float]) -> float:
        return sum(w * (p - x) ** 2 for w, p, x in zip(weights, places, wanted, strict=True))

    # no other allowed places are nearer
    other = [data.draw(st.floats(-80, 80))]
    for s in steps:
        other.append(other[-1] + s + data.draw(st.floats(0, 30)))
    mixed = [0.99 * a + 0.01 * b for a, b in zip(found, other, strict=True)]
    assert cost(found) <= min(cost(other), cost(mixed)) + 1e-6
