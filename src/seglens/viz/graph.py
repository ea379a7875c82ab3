"""A dataflow graph as SVG: from top to bottom, modules as boxes in boxes, on light ground and on dark."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from seglens.core.saving import write_text
from seglens.networks.graph import Edge, Graph, Group, Node
from seglens.viz._nested import Layout, Point, Rectangle, nested

KINDS = {
    "input": "#475569",
    "output": "#475569",
    "module": "#64748b",
    "convolution": "#0072b2",
    "linear": "#56b4e9",
    "attention": "#cc79a7",
    "normalisation": "#9aa3ad",
    "activation": "#e69f00",
    "pooling": "#d55e00",
    "resize": "#009e73",
    "join": "#b8a900",
    "other": "#a07a5a",
}
"""A colour for each kind of node; its type stands in words beside it."""

_LINE, _PAD, _STRIPE, _ROUND, _EDGE = 16.0, 9.0, 6.0, 11.0, 24.0
_LONGEST = 34  # characters of a line
_NARROW, _WIDE = frozenset("iljtfrI.,:;|'()[]!·/ "), frozenset("mwMW@%×→—")


def write_svg(graph: Graph, path: Path) -> None:
    """Draw a graph into a file; it appears under its name when it is complete."""
    write_text(svg_of(graph), path)


def svg_of(graph: Graph) -> str:
    """A graph as an SVG document, complete in itself and without scripts.

    Each node is a box with name, type and settings; with shape, receptive field and stride where its shape is another
    than that of what it reads. Operations outside layers are boxes with round ends, collapsed modules have a second
    edge. Wires lead downwards; those that have another way round, by further nodes, are drawn stronger. Under the
    mouse every box tells its full name and all numbers. Light or dark follows the reader's setting.
    """
    lines = {n.id: _lines(n, _is_news(n, graph)) for n in graph.nodes}
    sizes = {
        i: (max(_width(a, bold=k == 0) for k, a in enumerate(said)) + 2 * _PAD + _STRIPE, len(said) * _LINE + _PAD)
        for i, said in lines.items()
    }
    by_id = {g.id: g for g in graph.groups}
    titles = {g.id: _width(f"{_group_name(g, by_id)}  {g.type}", bold=True) for g in graph.groups}
    layout = nested(graph, sizes, titles)
    return _Sheet(graph, lines, by_id, layout).drawn()


class _Sheet:
    """The document: heading and legend, then groups, wires, nodes, each over the ones before."""

    def __init__(
        self, graph: Graph, lines: Mapping[str, Sequence[str]], groups: Mapping[str, Group], layout: Layout
    ) -> None:
        self._graph, self._lines, self._groups, self._layout = graph, lines, groups, layout

    def drawn(self) -> str:
        """The SVG document."""
        g = self._graph
        whole = sum(n.contains for n in g.nodes)
        shown = f"{len(g.nodes)} nodes" if whole == len(g.nodes) else f"{len(g.nodes)} nodes for {whole}"
        facts = f"{g.type} · {shown} · {g.parameters:,} parameters"
        kinds = [k for k in KINDS if any(n.kind == k for n in g.nodes) and k not in ("input", "output")]
        width = max(self._layout.width, _width(g.network, True) * 1.5, _width(facts), 260.0)
        legend, bottom = self._legend(kinds, width)
        top = bottom + _EDGE
        left = (width - self._layout.width) / 2 + _EDGE
        width, height = width + 2 * _EDGE, top + self._layout.height + _EDGE
        body = "\n".join(
            [*map(self._group, g.groups), *self._wires(), *(self._node(n) for n in g.nodes)],
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="seglens-graph" role="img" width="{_n(width)}" '
            f'height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}">\n'
            f"<title>{_text(f'{g.network}: dataflow graph')}</title>\n<desc>{_text(facts)}</desc>\n"
            f"<style>{_style(kinds)}</style>\n<defs>{_arrow('wire')}{_arrow('skip')}</defs>\n"
            f'<rect class="paper" width="100%" height="100%"/>\n'
            f'<text class="name" x="{_n(_EDGE)}" y="40">{_text(g.network)}</text>\n'
            f'<text class="fact" x="{_n(_EDGE)}" y="60">{_text(facts)}</text>\n{legend}\n'
            f'<g transform="translate({_n(left)} {_n(top)})">\n{body}\n</g>\n</svg>\n'
        )

    def _legend(self, kinds: Sequence[str], width: float) -> tuple[str, float]:
        x, y, parts = _EDGE, 84.0, list[str]()
        entries = [(k, _width(k) + 34) for k in kinds] + [("skip", _width("has a way round") + 44)]
        for kind, room in entries:
            if x > _EDGE and x + room > width + _EDGE:
                x, y = _EDGE, y + 20
            if kind == "skip":
                line = f'<path class="skip" d="M{_n(x)} {_n(y - 4)}h24"/>'
                parts.append(f'{line}<text class="fact" x="{_n(x + 30)}" y="{_n(y)}">has a way round</text>')
            else:
                swatch = f'<rect class="stripe k-{kind}" x="{_n(x)}" y="{_n(y - 10)}" width="12" height="12" rx="2"/>'
                parts.append(f'{swatch}<text class="fact" x="{_n(x + 18)}" y="{_n(y)}">{kind}</text>')
            x += room
        return "\n".join(parts), y

    def _group(self, g: Group) -> str:
        x, y, w, h = self._layout.boxes[g.id]
        name = _cut(_group_name(g, self._groups))
        return (
            f'<g class="group" data-id="{_text(g.id)}"><title>{_text(_told(g))}</title>'
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(w)}" height="{_n(h)}" rx="8"/>'
            f'<text x="{_n(x + 10)}" y="{_n(y + 17)}"><tspan class="b">{_text(name)}</tspan>'
            f" {_text(_cut(g.type))}</text></g>"
        )

    def _wires(self) -> list[str]:
        skips = _skips(self._graph)
        drawn: dict[tuple[str, str], list[Edge]] = {}
        for e in self._graph.edges:
            drawn.setdefault((e.source, e.target), []).append(e)
        # Those that bypass come last, over the others.
        return [self._wire(pair, drawn[pair], pair in skips) for pair in sorted(drawn, key=skips.__contains__)]

    def _wire(self, ends: tuple[str, str], edges: Sequence[Edge], skip: bool) -> str:
        kind = "skip" if skip else "wire"
        shapes = dict.fromkeys(s for e in edges for s in e.shapes)
        count = sum(e.count for e in edges)
        told = f"{ends[0]} → {ends[1]}: {', '.join(_shape(s) for s in shapes)}{f', {count} times' if count > 1 else ''}"
        return (
            f'<path class="{kind}" data-source="{_text(ends[0])}" data-target="{_text(ends[1])}" '
            f'd="{_curve(self._layout.paths[ends])}" marker-end="url(#seglens-{kind})">'
            f"<title>{_text(told)}</title></path>"
        )

    def _node(self, n: Node) -> str:
        x, y, w, h = self._layout.boxes[n.id]
        round_ = _ROUND if _is_operation(n) else 4.0
        under = _rect((x + 4, y + 4, w, h), 4.0, "under") if n.kind == "module" else ""
        stripe = f'<path class="stripe k-{n.kind}" d="{_stripe((x, y, w, h), round_)}"/>'
        said = self._lines[n.id]
        name, _, rest = said[0].partition("\t")
        text = [f'<tspan class="b">{_text(name)}</tspan>{_text(f" {rest}" if rest else "")}', *map(_text, said[1:])]
        at = f'x="{_n(x + (w + _STRIPE) / 2)}"'
        lines = "".join(
            f'<text class="{"m" if k else "l"}" {at} y="{_n(y + _PAD / 2 + 12 + k * _LINE)}">{line}</text>'
            for k, line in enumerate(text)
        )
        return (
            f'<g class="node k-{n.kind}" data-id="{_text(n.id)}"><title>{_text(_told(n))}</title>{under}'
            f"{_rect((x, y, w, h), round_, 'body')}{stripe}{lines}</g>"
        )


def _skips(graph: Graph) -> set[tuple[str, str]]:
    """The pairs of nodes between which data flows directly and also by way of further nodes."""
    into: dict[str, list[str]] = {}
    for e in graph.edges:
        into.setdefault(e.target, []).append(e.source)
    bit = {n.id: 1 << i for i, n in enumerate(graph.nodes)}
    before: dict[str, int] = {}
    found: set[tuple[str, str]] = set()
    for n in graph.nodes:  # in order: sources first
        sources = dict.fromkeys(into.get(n.id, []))
        past = 0
        for s in sources:
            past |= before[s]
        found |= {(s, n.id) for s in sources if past & bit[s]}
        before[n.id] = past
        for s in sources:
            before[n.id] |= bit[s]
    return found


def _is_news(n: Node, graph: Graph) -> bool:
    """Whether a node's shape is another than that of all that it reads."""
    return (
        n.shape is not None
        and n.kind != "output"
        and all(s != n.shape for e in graph.edges if e.target == n.id for s in e.shapes)
    )


def _is_operation(n: Node) -> bool:
    return n.kind in ("input", "output") or ":" in n.id.removeprefix(n.path)


def _lines(n: Node, news: bool) -> list[str]:
    """What stands in a node's box; in the first line name and type, a tabulator between them."""
    name = n.type if _is_operation(n) else n.path.rpartition(".")[2]
    if n.calls > 1 and not _is_operation(n):
        name += f"#{n.call}"
    kind = "" if _is_operation(n) else n.type
    said = [_cut(name) + ("\t" + _cut(" ".join(p for p in (kind, n.detail) if p)) if kind or n.detail else "")]
    if n.kind == "module":
        said[0] = f"{_cut(name)}\t{_cut(kind)}"
        said.append(f"{n.contains} nodes · {n.parameters:,} parameters")
    if news:
        said.append(_facts(n))
    return said


def _facts(n: Node | Group) -> str:
    parts = [_shape((n.shape or ())[1:] or n.shape or ())]
    if n.field is not None and getattr(n, "kind", "") != "input":
        parts.append(f"sees {_each(['all' if v is None else str(v) for v in n.field])}")
    if n.stride is not None and any(v not in (None, 1) for v in n.stride):
        parts.append(f"stride {_each(['–' if v is None else f'{float(v):g}' for v in n.stride])}")
    return " · ".join(p for p in parts if p)


def _told(n: Node | Group) -> str:
    """All that is known, for the box under the mouse."""
    said = [n.id or n.type, " ".join(p for p in (n.type, getattr(n, "detail", "")) if p)]
    if n.shape is not None:
        said.append(f"output {_shape(n.shape)}")
    said.append(f"{n.parameters:,} parameters")
    if n.field is not None:
        said.append(f"receptive field {_each(['all' if v is None else str(v) for v in n.field])} px")
    if n.stride is not None:
        said.append(f"stride {_each(['–' if v is None else f'{float(v):g}' for v in n.stride])}")
    if n.calls > 1:
        said.append(f"call {n.call} of {n.calls}, counted from 0")
    if isinstance(n, Node) and n.contains > 1:
        said.append(f"{n.contains} nodes inside")
    return "\n".join(said)


def _group_name(g: Group, groups: Mapping[str, Group]) -> str:
    """A group's path from that of the group around it on."""
    above = groups[g.parent].path if g.parent is not None else ""
    name = g.path.removeprefix(f"{above}.") if above else g.path
    return f"{name}#{g.call}" if g.calls > 1 else name


def _each(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else "×".join(values)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _width(text: str, bold: bool = False) -> float:
    """A line's width at 12 px, rather more than less: which font there is, only the reader's machine knows."""
    ems = sum(
        0.36 if c in _NARROW else 0.95 if c in _WIDE else 0.7 if c.isupper() else 0.6 for c in text.replace("\t", "  ")
    )
    return 12 * ems * (1.06 if bold else 1.0)


def _curve(points: Sequence[Point]) -> str:
    """Upright lines within rows, and between rows curves that leave and arrive upright."""
    drawn = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for (x0, y0), (x1, y1) in pairwise(points):
        if abs(x1 - x0) < 0.05:
            drawn.append(f"V{_n(y1)}")
        else:
            middle = _n((y0 + y1) / 2)
            drawn.append(f"C{_n(x0)} {middle} {_n(x1)} {middle} {_n(x1)} {_n(y1)}")
    return "".join(drawn)


def _rect(box: Rectangle, radius: float, name: str) -> str:
    x, y, w, h = map(_n, box)
    return f'<rect class="{name}" x="{x}" y="{y}" width="{w}" height="{h}" rx="{_n(radius)}"/>'


def _stripe(box: Rectangle, radius: float) -> str:
    """The left end of a box with round corners, as wide as the stripe."""
    x, y, _, h = box
    # Where the stripe is narrower than the corner, it ends on the corner's arc.
    r, w = radius, _STRIPE
    rise = r - (r * r - (r - w) ** 2) ** 0.5 if w < r else 0.0
    corner = min(r, w)
    return (
        f"M{_n(x + w)} {_n(y + rise)}{'' if w < r else f'H{_n(x + corner)}'}A{_n(r)} {_n(r)} 0 0 0 {_n(x)} {_n(y + r)}"
        f"V{_n(y + h - r)}A{_n(r)} {_n(r)} 0 0 0 {_n(x + corner)} {_n(y + h - rise)}H{_n(x + w)}Z"
    )


def _arrow(name: str) -> str:
    return (
        f'<marker id="seglens-{name}" viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="7" markerHeight="7" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="head-{name}" d="M0 .8 8 4 0 7.2Z"/></marker>'
    )


def _style(kinds: Sequence[str]) -> str:
    """Plain colours, which every program knows, and others where the reader's setting is dark."""
    light = {"paper": "#ffffff", "ink": "#1b1d21", "quiet": "#555a63", "wire": "#8a919c", "skip": "#1a4fa3"}
    dark = {"paper": "#14161a", "ink": "#e8eaee", "quiet": "#a9afb9", "wire": "#7d8591", "skip": "#8db8ff"}
    every = [*kinds, "input", "output"]
    return f"{_SHAPES}{_colours(light, every, 0.13)}@media (prefers-color-scheme:dark){{{_colours(dark, every, 0.3)}}}"


_SHAPES = (
    ".seglens-graph text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif}"
    ".seglens-graph .node text{text-anchor:middle}.seglens-graph .b{font-weight:650}"
    ".seglens-graph .name{font-size:18px;font-weight:650}"
    ".seglens-graph .wire,.seglens-graph .skip{fill:none;stroke-width:1.3}.seglens-graph .skip{stroke-width:2}"
    ".seglens-graph .group rect{fill:#808890;fill-opacity:.07;stroke:#808890;stroke-opacity:.55}"
    ".seglens-graph .group text{paint-order:stroke;stroke-width:4px;stroke-linejoin:round}"
)


def _colours(c: Mapping[str, str], kinds: Sequence[str], tint: float) -> str:
    rules = [
        f".paper,.under{{fill:{c['paper']}}}text{{fill:{c['ink']}}}.fact,.m,.group text{{fill:{c['quiet']}}}",
        f".group text{{stroke:{c['paper']}}}.wire{{stroke:{c['wire']}}}.skip{{stroke:{c['skip']}}}",
        f".head-wire{{fill:{c['wire']}}}.head-skip{{fill:{c['skip']}}}",
    ]
    for kind in kinds:
        colour = KINDS[kind]
        body = _mixed(colour, c["paper"], tint)
        rules.append(f".stripe.k-{kind}{{fill:{colour}}}.k-{kind} .body{{fill:{body};stroke:{colour}}}")
        rules.append(f".k-{kind} .under{{stroke:{colour}}}" if kind == "module" else "")
    return "".join(_scoped(r) for r in rules)


def _scoped(rules: str) -> str:
    """Rules that hold inside this drawing alone, should it stand in a page."""
    out: list[str] = []
    for rule in rules.split("}"):
        if rule:
            names, _, body = rule.partition("{")
            out.append(",".join(f".seglens-graph {n}" for n in names.split(",")) + "{" + body + "}")
    return "".join(out)


def _mixed(colour: str, paper: str, share: float) -> str:
    parts = [(int(colour[i : i + 2], 16), int(paper[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(a * share + b * (1 - share)):02x}" for a, b in parts)


def _text(value: Any) -> str:
    """Text for XML, also in attributes: escaped, and without the characters that XML does not allow."""
    return escape("".join(c for c in str(value) if c in "\n\t" or (c >= " " and c not in "\ufffe\uffff")), quote=True)


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
