"""Explanations in a browser: a fragment for notebooks, and a page that needs nothing but itself.

Pictures are data URIs, style and script are inline, and the page's Content-Security-Policy lets
nothing else in. All text that comes from outside (class names, file names, notes) is escaped.
"""

import math
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation
from seglens.viz import words
from seglens.viz._assets import PAGE_STYLE, SCRIPT, STYLE
from seglens.viz.arrange import arrange, image_names
from seglens.viz.colours import OTHER, class_colours
from seglens.viz.outline import edges
from seglens.viz.picture import (
    LUMA,
    PERCENTILE,
    Scale,
    backdrop,
    colour,
    flat,
    labels_picture,
    occurring,
    rgba,
    scale_of,
    table_of,
)

_OPACITY = 90  # percent, where the slider starts


def page(explanations: Sequence[Explanation]) -> str:
    """A whole HTML document of one or more explanations. Raises ParameterError for none, ShapeError."""
    body, title = _section(explanations)
    style = STYLE + PAGE_STYLE
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n'
        f"<style>{style}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n"
        f"<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def fragment(explanations: Sequence[Explanation]) -> str:
    """The same for a notebook: one element with its style and script; '' for no explanations."""
    if not explanations:
        return ""
    body, _ = _section(explanations)
    return f"<div>\n<style>{STYLE}</style>\n{body}\n<script>{SCRIPT}</script>\n</div>"


def _section(explanations: Sequence[Explanation]) -> tuple[str, str]:
    """The element and its title in plain words."""
    if not explanations:
        raise ParameterError("no explanations to show.")
    store = _Store()
    if len(explanations) == 1:
        title = words.heading(explanations[0])
        inner = _card(explanations[0], store, level=1)
    else:
        plan = arrange(explanations)
        title = plan.title
        cards = "\n".join(_card(e, store, level=2) for e in explanations)
        inner = (
            f'<header class="top"><h1>{escape(plan.title)}</h1>'
            f'<p class="quiet">{escape(plan.subtitle)}</p>\n'
            f"{_summary(explanations, store)}\n{_controls(explanations, 'all maps')}</header>\n"
            f'<div class="cards">\n{cards}\n</div>'
        )
    return f'<section class="seglens">\n{store.html()}\n{inner}\n</section>', f"{title} · seglens"


class _Store:
    """What several cards show, kept once: pictures and outlines that the cards refer to by id."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def card(self, e: Explanation) -> str:
        """An id of the explanation, for links to it: the same for the same content."""
        told = repr((str(e), e.parameters)).encode() + e.map.tobytes() + e.image.tobytes()
        return "seglens-" + sha256(told).hexdigest()[:16]

    def picture(self, image: NDArray[np.uint8]) -> str:
        """Keep an image [H W 3]; returns its id."""
        height, width = image.shape[:2]
        return self._keep(
            "image", f' width="{width}" height="{height}" preserveAspectRatio="none" href="{data_uri(image)}"/>'
        )

    def edge(self, region: NDArray[np.bool_]) -> str:
        """Keep an outline; returns its id."""
        path = "".join(f"M{x0:g} {y0:g}" + (f"H{x1:g}" if y0 == y1 else f"V{y1:g}") for x0, y0, x1, y1 in edges(region))
        # Attributes, not a style sheet: its selectors do not see into what <use> copies.
        lines = "".join(
            f'<path d="{path}" stroke="{colour}" stroke-width="{width}" fill="none" '
            'stroke-linecap="square" vector-effect="non-scaling-stroke"/>'
            for colour, width in (("#000", 3.5), ("#fff", 1.5))
        )
        return self._keep("g", f">{lines}</g>")

    def grey(self, scale: Scale | None) -> str:
        """Keep the filter that turns an image into the backdrop of a map; returns its id."""
        keep, add = backdrop(scale)
        row = " ".join(f"{keep * weight:.4f}" for weight in LUMA) + f" 0 {add:.4f} "
        return self._keep(
            "filter",
            ' x="0" y="0" width="1" height="1" color-interpolation-filters="sRGB">'
            f'<feColorMatrix values="{row * 3}0 0 0 1 0"/></filter>',
        )

    def _keep(self, tag: str, rest: str) -> str:
        """Keep the element `<tag id=…rest`, its id being made of its content; returns the id."""
        name = "seglens-" + sha256(f"{tag}{rest}".encode()).hexdigest()[:16]
        self._kept[name] = f'<{tag} id="{name}"{rest}'
        return name

    def html(self) -> str:
        """The hidden element that holds all of it."""
        return (
            '<svg class="store" width="0" height="0" aria-hidden="true" focusable="false"><defs>'
            + "".join(self._kept.values())
            + "</defs></svg>"
        )


def _card(e: Explanation, store: _Store, level: int) -> str:
    shown, z = flat(e)
    scale = scale_of(e.map, PERCENTILE)
    picture = store.picture(colour(shown.image))
    edge = store.edge(shown.region) if shown.region is not None else None
    views = [
        _view(shown, "Image", f"The image{words.place(e, z) and ', ' + words.place(e, z)}.", picture, edge)
        + _said(f"Outlined: the region asked about, {words.extent(e)}." if edge else "")
        + "</figure>"
    ]
    if shown.prediction is not None:
        classes = table_of(e)
        drawn = store.picture(labels_picture(shown.prediction, classes))
        views.append(
            _view(shown, "Prediction", "The predicted class of each pixel, as listed.", drawn, edge)
            + _legend(shown)
            + "</figure>"
        )
    views.append(_why(e, shown, scale, picture, edge, store.grey(scale)))
    name = f'id="{store.card(e)}"'
    where = f'<p class="quiet">{escape(words.place(e, z))}</p>' if z is not None else ""
    return (
        f"<article {name}>\n<h{level}>{escape(words.heading(e))}</h{level}>\n"
        f"<p>{escape(e.target)}</p>{where}\n"
        f'<div class="views">\n{"".join(views)}\n</div>\n'
        f"{_notes(words.remarks(e))}{_facts(e)}\n{_provenance(e)}</article>"
    )


def _view(e: Explanation, title: str, alt: str, picture: str, edge: str | None, above: str = "", grey: str = "") -> str:
    """One picture with its heading: an open <figure>, to be closed by the caller."""
    height, width = e.map.shape
    ratio = width / height
    classes = ["view"]
    # Beyond 8 : 1 a picture would be a hairline: its pixels are stretched.
    shapes = ((1 / 8, "tower"), (0.4, "slim"), (0.7, "high"), (8.0, ""), (math.inf, "strip"))
    classes += [name for name in [next(n for most, n in shapes if ratio <= most)] if name]
    classes += ["small"] * (max(height, width) < 256)
    below = f' class="below" data-filter="url(#{grey})" filter="url(#{grey})"' if grey else ""
    shape = " ".join(classes)
    role = "why" if above else "given"
    line = f'<use class="edge" href="#{edge}"/>' if edge else ""
    return (
        f'<figure class="{role}"><h3>{escape(title)}</h3><svg class="{shape}" '
        f'viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(alt)}"><g{below}><use href="#{picture}"/></g>{above}{line}</svg>'
    )


def _why(e: Explanation, shown: Explanation, scale: Scale | None, picture: str, edge: str | None, grey: str) -> str:
    """The map as a layer over the image, its colour bar and the controls."""
    height, width = shown.map.shape
    layer = rgba(shown.map, scale, growing=True)
    above = (
        f'<image class="map" opacity="{_OPACITY / 100:g}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{data_uri(layer)}"/>'
    )
    state = words.state(e)
    alt = f"The map of {words.heading(e)} for {e.target}, over the image. {state}".strip()
    html = _view(shown, "Explanation", alt, picture, edge, above, grey)
    if state:
        html += f'<figcaption class="state">{escape(state)}.</figcaption>'
    if scale is not None:
        ends = [words.number(scale.low), *(["0"] * scale.diverging), words.number(scale.limit)]
        colours = np.rint(scale.colours[None] * 255).astype(np.uint8)
        bar = f"Colour bar from {ends[0]} to {ends[-1]} {e.unit}"
        html += (
            f'<svg class="bar" viewBox="0 0 256 8" preserveAspectRatio="none" role="img" '
            f'aria-label="{escape(bar)}"><image width="256" height="8" preserveAspectRatio="none" '
            f'href="{data_uri(colours)}"/></svg>'
            f'<div class="ends">{"".join(f"<span>{t}</span>" for t in ends)}</div>'
            f'<div class="unit">{escape(e.unit)}</div>'
        )
    html += _said(" ".join(words.beyond(e, scale)))
    return html + _controls([e], "map") + "</figure>"


def _controls(explanations: Sequence[Explanation], of: str) -> str:
    edge = any(e.region is not None for e in explanations)
    return (
        f'<div class="controls" role="group" aria-label="Display of {of}" hidden>'
        f'<label>Opacity of {of}<input type="range" name="opacity" min="0" max="100" '
        f'value="{_OPACITY}"><output>{_OPACITY} %</output></label>'
        '<label><input type="checkbox" name="grey" checked>Grey image below</label>'
        + ('<label><input type="checkbox" name="edge" checked>Region outline</label>' if edge else "")
        + "</div>"
    )


def _legend(e: Explanation) -> str:
    if e.prediction is None:
        return ""
    classes = table_of(e)
    colours = class_colours(classes)
    items: list[str] = []
    for index, share in occurring(e.prediction, classes):
        name = "no class" if index is None else classes.names[index]
        rgb = "#{:02x}{:02x}{:02x}".format(*(OTHER if index is None else colours[index]))
        items.append(
            '<li><svg viewBox="0 0 10 10" aria-hidden="true">'
            f'<rect width="10" height="10" rx="2" fill="{rgb}"/></svg>'
            f'<span>{escape(name)} <span class="quiet">{words.percent(share)}</span></span></li>'
        )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _facts(e: Explanation) -> str:
    facts = [("image", words.picture_name(e, 0))] if "image" in e.provenance else []
    facts += [
        ("score", words.score(e)),
        ("unit of the map", e.unit),
        ("layer", e.layer or "reads none"),
        ("network", e.network),
        ("region", words.extent(e) or "the whole output"),
        *words.settings(e),
        *((n, words.number(float(a.item()), 6)) for n, a in _scalars(e)),
    ]
    if e.cost is not None:
        facts.append(("cost", str(e.cost)))
    return _list(facts)


def _scalars(e: Explanation) -> list[tuple[str, NDArray[np.generic]]]:
    arrays = ((name, np.asarray(value)) for name, value in e.extras.items())
    return [(name, a) for name, a in arrays if a.size == 1 and a.dtype.kind in "biuf"]


def _provenance(e: Explanation) -> str:
    if not e.provenance:
        return ""
    return f"<details><summary>Provenance</summary>{_list(list(e.provenance.items()))}</details>\n"


def _list(pairs: Sequence[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in pairs) + "</dl>"


def _notes(remarks: list[str]) -> str:
    if not remarks:
        return ""
    items = "".join(f"<li>{escape(r)}</li>" for r in remarks)
    return f'<div class="notes"><h3>Notes</h3><ul>{items}</ul></div>\n'


def _said(text: str) -> str:
    return f"<figcaption>{escape(text)}</figcaption>" if text else ""


def _summary(explanations: Sequence[Explanation], store: _Store) -> str:
    """A table of all explanations, each row a link to its card."""
    pictures = image_names(explanations)
    with_picture, with_cost = len(set(pictures)) > 1, any(e.cost for e in explanations)
    with_network = len({e.network for e in explanations}) > 1
    head = ["Method", "Target", *["Network"] * with_network, *["Image"] * with_picture]
    rows: list[str] = []
    for e, picture in zip(explanations, pictures, strict=True):
        link = f'<a href="#{store.card(e)}">{escape(words.heading(e))}</a>'
        cells = [e.target, *[e.network] * with_network, *[picture] * with_picture]
        numbers = [words.score(e)]
        if with_cost:
            numbers.append(f"{e.cost.passes:.2f} F" if e.cost else "not counted")
        rows.append(
            f'<tr><th scope="row">{link}</th>'
            + "".join(f"<td>{escape(c)}</td>" for c in cells)
            + "".join(f'<td class="n">{escape(c)}</td>' for c in numbers)
            + "</tr>"
        )
    heads = "".join(f'<th scope="col">{h}</th>' for h in head)
    heads += "".join(f'<th scope="col" class="n">{h}</th>' for h in ["Score", *["Cost"] * with_cost])
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Summary"><table><thead><tr>{heads}'
        f"</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture [H W 3] or [H W 4] as a PNG inside a URI, without loss."""
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode()


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()
