"""A comparison in the browser: one page that needs nothing but itself."""

from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from seglens.core.comparison import Comparison, Dependence, Interval
from seglens.viz import words
from seglens.viz.comparison import content
from seglens.viz.comparison.content import Board, Panel
from seglens.viz.media.document import document
from seglens.viz.media.html import facts, hexadecimal, notes, scale_bar, scrolling
from seglens.viz.media.store import Store, data_uri
from seglens.viz.picture import is_dark

_STYLE = """
.compared h2{margin:2rem 0 .35rem;padding-top:1rem;border-top:1px solid var(--rule)}
.compared .panels{display:grid;gap:1.25rem;align-items:start;margin:1rem 0;
grid-template-columns:repeat(auto-fill,minmax(min(100%,19rem),1fr))}
.compared .matrix{width:auto}
.compared .matrix th,.compared .matrix td{border:0;padding:.3rem .5rem;min-width:4.2rem;text-align:center;
vertical-align:middle;font-variant-numeric:tabular-nums;white-space:nowrap;overflow-wrap:normal}
.compared .matrix th[scope=row]{text-align:right;font-weight:400}
.compared .matrix thead th{white-space:normal;vertical-align:bottom;max-width:9rem}
.compared .cell{padding:0!important}
.compared .cell svg{display:block;width:100%;height:2rem}
.compared .test thead th{white-space:normal;max-width:9rem}
.compared .test .n{white-space:normal}
.compared .test td:last-child{min-width:11rem}
.compared .test th,.compared .test td{vertical-align:middle}
.compared .dots{display:block;width:100%;min-width:10rem;height:2.1rem}
.compared .weak{color:var(--warn);font-weight:600}
.compared .key{max-width:60rem}
.compared ol{margin:.5rem 0;padding-left:1.4rem;font-size:.875rem}
"""
_HALF = 50  # SVG units of one unit of correlation, halved


def comparison_page(made: Comparison) -> str:
    """A whole HTML document of a comparison. Raises ShapeError."""
    b, store = content.board(made), Store()
    told = "  ·  ".join(content.facts(made, b))
    edge = store.edge(b.region) if b.region is not None else None
    places = store.edge(b.places)
    common = [_panel(p, b, places if p.title == "disputed" else edge) for p in b.common]
    said = content.remarks(made)
    body = [
        f'<header class="top"><h1>{escape(content.title(made))}</h1><p class="quiet">{escape(told)}</p></header>',
        notes(said),
        f'<div class="panels">{"".join(_panel(p, b, edge) for p in (b.image, *b.maps))}</div>',
        "<h2>Together</h2>",
        f'<div class="panels">{"".join(common)}</div>',
        _places(made),
        f'<h2>Do they agree?</h2><p class="quiet key">{escape(content.ABOUT["table"])}</p>',
        _matrix(made),
    ]
    if made.dependences:
        body += [
            f"<h2>Do they hear the network? ({made.dependences[0].draws} shuffled copies)</h2>",
            f'<p class="quiet key">{escape(content.ABOUT["test"])}</p>',
            _test(made),
        ]
        if any(d.curve is not None for d in made.dependences):
            body += [f'<p class="quiet key">{escape(content.ABOUT["cascade"])}</p>', _cascade(made.dependences)]
        body.append(_unmoved(made))
    body.append(_methods(made))
    inner = "\n".join(part for part in body if part)
    section = f'<section class="seglens compared">\n{store.html()}\n{inner}\n</section>'
    return document(section, f"{content.title(made)} · seglens", _STYLE)


def _panel(panel: Panel, b: Board, edge: str | None) -> str:
    height, width = panel.picture.shape[:2]
    disputed = panel.title == "disputed"
    line = f'<use class="edge" href="#{edge}"/>' if edge else ""
    small = " small" * (max(height, width) < 256)
    size = max(height, width) / 20
    marks = "".join(
        f'<g><circle cx="{m.x:g}" cy="{m.y(1.2 * size):g}" r="{0.6 * size:g}" fill="#fff" stroke="#1a1a1a" '
        f'stroke-width="1" vector-effect="non-scaling-stroke"/><text x="{m.x:g}" y="{m.y(1.2 * size):g}" '
        f'font-size="{0.9 * size:g}" fill="#1a1a1a" text-anchor="middle" '
        f'dominant-baseline="central">{m.number}</text></g>'
        for m in (b.marks if disputed else ())
    )
    html = (
        f'<figure><h3>{escape(panel.title)}</h3><svg class="view{small}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(f"{panel.title}. {panel.said}".strip())}"><image width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{data_uri(panel.picture)}"/>{line}{marks}</svg>'
    )
    if panel.scale is not None:
        html += scale_bar(panel.scale, panel.unit)
    told = "Outlined: the region asked about." if panel is b.image and edge else panel.said
    return html + (f"<figcaption>{escape(told)}</figcaption>" if told else "") + "</figure>"


def _places(made: Comparison) -> str:
    told = [str(c) for c in made.contested[: content.NUMBERED]]
    return f"<ol>{''.join(f'<li>{escape(t)}.</li>' for t in told)}</ol>" if told else ""


def _matrix(made: Comparison) -> str:
    colours = content.matrix_colours(made)
    heads = "".join(f'<th scope="col">{escape(n)}</th>' for n in made.labels)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>'
        + "".join(_cell(content.cell(made, i, j), colours[i, j]) for j in range(len(made.labels)))
        + "</tr>"
        for i, name in enumerate(made.labels)
    )
    return scrolling(
        "Rank correlations",
        f'<table class="matrix"><thead><tr><td></td>{heads}</tr></thead><tbody>{rows}</tbody></table>',
    )


def _cell(text: str, rgb: NDArray[np.uint8]) -> str:
    """A table cell with a ground of its own: style attributes are what the page's policy forbids."""
    ink = "#fff" if is_dark(rgb) else "#1a1a1a"
    return (
        f'<td class="cell"><svg viewBox="0 0 60 24" role="img" aria-label="{escape(text)}">'
        f'<rect x="-600" y="-240" width="1260" height="504" fill="{hexadecimal(rgb)}"/>'
        f'<text x="30" y="12" font-size="11" fill="{ink}" text-anchor="middle" '
        f'dominant-baseline="central">{escape(text)}</text></svg></td>'
    )


def _test(made: Comparison) -> str:
    low, high = content.axis(made.dependences)
    heads = "".join(
        f'<th scope="col"{how}>{t}</th>'
        for t, how in (
            ("Method", ""),
            ("Likeness to shuffled copies", ""),
            ("With copies", ' class="n"'),
            ("Beyond decay", ' class="n"'),
            ("With signs", ' class="n"'),
            ("Copies among themselves", ' class="n"'),
            ("What may be claimed", ""),
        )
    )
    weak = ' class="weak"'
    rows = "".join(
        f'<tr><th scope="row">{escape(d.label)}</th><td>{_dots(d, low, high)}</td>'
        f'<td class="n">{_interval(d.trained)}</td>'
        f'<td class="n">{_interval(d.beyond)}</td>'
        f'<td class="n">{_interval(d.signed) if d.signed else "no signs"}</td>'
        f'<td class="n">{escape(content.plain(d.copies.value))}</td>'
        f"<td{weak * bool(d.weak)}>{escape(d.claim)}{_known(d)}</td></tr>"
        for d in made.dependences
    )
    inner = f'<table class="test"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return scrolling("Randomisation test", inner)


def _interval(i: Interval) -> str:
    """An interval that in a narrow column breaks after its estimate, not within its brackets."""
    return escape(content.interval(i).replace(", ", ",\N{NO-BREAK SPACE}"))


def _known(d: Dependence) -> str:
    return f' <span class="weak">(known to depend weakly: {escape(d.known)})</span>' if d.known else ""


def _dots(d: Dependence, low: float, high: float) -> str:
    """The two bars with whiskers and references as a drawing, on one axis for all rows."""

    def at(value: float) -> float:
        return (min(max(value, low), high) - low) * 2 * _HALF

    width = (high - low) * 2 * _HALF
    drawn = [f'<line x1="{at(0):g}" x2="{at(0):g}" y1="0" y2="24" stroke="#8a8f98" stroke-width=".5"/>']
    for i, colour, chance, y in ((d.trained, "#a9bfe4", d.chance, 2), (d.beyond, "#3f73c4", d.chance_beyond, 13)):
        if np.isnan(i.value):
            continue
        start, end = sorted((at(0), at(i.value)))
        drawn.append(f'<rect x="{start:g}" y="{y}" width="{max(end - start, 0.4):g}" height="9" fill="{colour}"/>')
        if np.isfinite(i.low):
            a, b = at(i.low), at(i.high)
            path = f"M{a:g} {y + 4.5}H{b:g}M{a:g} {y + 2}v5M{b:g} {y + 2}v5"
            drawn.append(f'<path d="{path}" stroke="currentColor" stroke-width=".7" fill="none"/>')
        if np.isfinite(chance):
            drawn.append(f'<rect x="{at(chance) - 0.4:g}" y="{y - 1}" width=".8" height="11" fill="#c06a14"/>')
    if np.isfinite(d.copies.value):
        x = at(d.copies.value)
        drawn.append(f'<path d="M{x:g} 3.5l2.4 3-2.4 3-2.4-3z" fill="currentColor"/>')
    alt = f"{d.label}: with copies {content.interval(d.trained)}, beyond decay {content.interval(d.beyond)}"
    return (
        f'<svg class="dots" viewBox="-3 0 {width + 6:g} 24" preserveAspectRatio="xMinYMid" role="img" '
        f'aria-label="{escape(alt)}">{"".join(drawn)}</svg>'
    )


def _cascade(dependences: Sequence[Dependence]) -> str:
    rows = [d for d in dependences if d.curve is not None]
    heads = "".join(f'<th scope="col">{n}</th>' for n in rows[0].steps)
    lines: list[str] = []
    for d in rows:
        values = np.asarray(d.curve)
        cells = zip(values, content.correlation_colours(values), strict=True)
        lines.append(
            f'<tr><th scope="row">{escape(d.label)}</th>'
            + "".join(_cell(content.plain(float(v)), rgb) for v, rgb in cells)
            + "</tr>"
        )
    return scrolling(
        "Cascade",
        f'<table class="matrix"><thead><tr><td></td>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table>',
    )


def _unmoved(made: Comparison) -> str:
    """Tensors that shuffling could not change, by reason."""
    by_reason: dict[str, list[str]] = {}
    for name, why in made.unmoved.items():
        by_reason.setdefault(why, []).append(name)
    if not by_reason:
        return ""
    items = "".join(
        f"<li>{len(names)} × {escape(why)}: {escape(', '.join(names))}</li>" for why, names in by_reason.items()
    )
    title = f"Tensors that shuffling left as they were: {len(made.unmoved)}"
    return f"<details><summary>{title}</summary><ul>{items}</ul></details>"


def _methods(made: Comparison) -> str:
    told = [
        (label, "; ".join([*([f"reads {e.layer}"] if e.layer else []), *(f"{k} = {v}" for k, v in words.settings(e))]))
        for label, e in zip(made.labels, made.explanations, strict=True)
    ]
    return f"<details><summary>Methods and their parameters</summary>{facts(told)}</details>"
