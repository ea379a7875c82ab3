"""A verification in the browser: one page that needs nothing but itself."""

from collections.abc import Iterable
from html import escape

from seglens.viz import words
from seglens.viz.colours import OTHER, class_colours
from seglens.viz.media.document import document
from seglens.viz.media.html import facts, hexadecimal, notes, scale_bar, scrolling
from seglens.viz.media.store import Store, data_uri
from seglens.viz.picture import occurring
from seglens.viz.verification import content
from seglens.viz.verification.content import Content, Panel

_STYLE = """
.verified .panels{display:grid;gap:1.25rem;align-items:start;margin:1rem 0;
grid-template-columns:repeat(auto-fit,minmax(min(100%,24rem),1fr))}
.verified .said{max-width:60rem;font-size:1.05rem;margin:1rem 0}
.verified .draws{display:block;width:100%;height:auto;margin:.5rem 0;max-width:60rem;color:var(--ink)}
.verified .swatch{width:.75rem;height:.75rem;vertical-align:-.05rem;margin-right:.4rem}
.verified table{max-width:60rem}
.verified h2{margin:1.75rem 0 .5rem}
"""


def verification_page(c: Content) -> str:
    """A whole HTML document of a verification. Raises ShapeError."""
    b, store = content.board(c), Store()
    edge = store.edge(b.region) if b.region is not None else None
    panels = (*b.panels, *([b.control] if b.control is not None else []))
    inner = "\n".join(
        part
        for part in (
            f'<header class="top"><h1>{escape(content.title(c))}</h1>'
            f'<p class="quiet">{escape("  ·  ".join(content.facts(c, b)))}</p></header>',
            f'<p class="said">{escape(" ".join(c.said))}</p>',
            f'<div class="panels">{"".join(_panel(p, c, edge) for p in panels)}</div>',
            f"<h2>{escape(c.quantity)} over the region</h2>",
            _draws(c),
            _legend([(text, hexadecimal(rgb)) for text, rgb, _ in content.marks(c)]),
            "<h2>The region before and after</h2>",
            _table(c),
            notes(b.remarks),
            f"<details><summary>Method and provenance</summary>{facts(_told(c))}</details>",
        )
        if part
    )
    section = f'<section class="seglens verified">\n{store.html()}\n{inner}\n</section>'
    return document(section, f"{content.title(c)}, verified · seglens", _STYLE)


def _panel(panel: Panel, c: Content, edge: str | None) -> str:
    height, width = panel.picture.shape[:2]
    line = f'<use class="edge" href="#{edge}"/>' if edge else ""
    small = " small" * (max(height, width) < 256)
    html = (
        f'<figure><h3>{escape(panel.title)}</h3><svg class="view{small}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(f"{panel.title}. {panel.said}".strip())}"><image width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{data_uri(panel.picture)}"/>{line}</svg>'
    )
    if panel.scale is not None:
        html += scale_bar(panel.scale, panel.unit)
    if panel.labels is not None:
        colours = class_colours(c.classes)
        found = occurring(panel.labels, c.classes)
        names = [f"{c.outside if i is None else c.classes.names[i]} {words.percent(share)}" for i, share in found]
        fills = [hexadecimal(OTHER if i is None else colours[i].tolist()) for i, _ in found]
        html += _legend(zip(names, fills, strict=True))
    return html + (f"<figcaption>{escape(panel.said)}</figcaption>" if panel.said else "") + "</figure>"


def _legend(items: Iterable[tuple[str, str]]) -> str:
    """Names with their colours, as CSS writes them."""
    listed = "".join(
        f'<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10" rx="2" fill="{fill}"/></svg>'
        f"<span>{escape(name)}</span></li>"
        for name, fill in items
    )
    return f'<ul class="legend">{listed}</ul>'


def _draws(c: Content) -> str:
    """The probabilities on one axis, the random draws among them, as a drawing."""
    low, high = content.axis(c)

    def at(value: float) -> float:
        return 10 + (value - low) / (high - low) * 580

    drawn = ['<path d="M10 40H590" stroke="currentColor" stroke-width="1"/>']
    for k in range(5):
        tick = low + (high - low) * k / 4
        drawn.append(
            f'<path d="M{at(tick):g} 40v5" stroke="currentColor"/><text x="{at(tick):g}" y="58" font-size="11" '
            f'fill="currentColor" text-anchor="middle">{escape(words.number(tick, 2))}</text>'
        )
    for text, rgb, values in content.marks(c):
        thick, top = (2, 12) if rgb == content.DRAWN else (5, 4)
        drawn += [
            f'<rect x="{at(v) - thick / 2:g}" y="{top}" width="{thick}" height="{40 - top}" '
            f'fill="{hexadecimal(rgb)}"><title>{escape(text)}</title></rect>'
            for v in values
        ]
    said = "; ".join(text for text, _, _ in content.marks(c))
    return f'<svg class="draws" viewBox="0 0 600 64" role="img" aria-label="{escape(said)}">{"".join(drawn)}</svg>'


def _table(c: Content) -> str:
    heads = "".join(f'<th scope="col" class="n">{escape(h)}</th>' for h in content.heads(c))
    lines: list[str] = []
    for name, rgb, cells in content.rows(c):
        swatch = "" if rgb is None else _swatch(hexadecimal(rgb))
        row = "".join(f'<td class="n">{escape(cell)}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row">{swatch}{escape(name)}</th>{row}</tr>')
    body = f"<table><thead><tr><td></td>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return scrolling("The region before and after", body)


def _swatch(fill: str) -> str:
    return f'<svg class="swatch" viewBox="0 0 1 1"><rect width="1" height="1" fill="{fill}"/></svg>'


def _told(c: Content) -> list[tuple[str, str]]:
    e = c.explanation
    return [("method", words.heading(e)), *words.settings(e), *c.provenance.items()]
