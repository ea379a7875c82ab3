"""Explanations in a browser: a fragment for notebooks, and a page that needs nothing but itself.

Pictures are data URIs, style and script are inline. All text that comes from outside (class names,
file names, notes) is escaped.
"""

import math
from collections.abc import Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.display import Display
from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation
from seglens.viz import live, words
from seglens.viz._script import SCRIPT
from seglens.viz.arrange import arrange, image_names
from seglens.viz.colours import OTHER, class_colours
from seglens.viz.display import DEFAULT, Shown, painted, sharing, show
from seglens.viz.media.document import document
from seglens.viz.media.html import facts, hexadecimal, notes, scale_bar, scrolling
from seglens.viz.media.store import Store, data_uri
from seglens.viz.media.style import STYLE
from seglens.viz.picture import Scale, colour, hatch_band, label_pictures, labels_picture, occurring, table_of
from seglens.viz.search import search_curve
from seglens.viz.slices import planes, stacked, stacks

_KINDS = {
    "none": None,
    "sequential": Scale(1, False, 1),
    "diverging": Scale(1, True, 1),
    "negative": Scale(1, False, 1, negative=True),
}
"""The scales that a reader can switch to, as the script names them."""

_ALT = {"Prediction": "The predicted class", "Truth": "The true class"}

_Choices = list[tuple[str, str, bool]]


def page(explanations: Sequence[Explanation], display: Display = DEFAULT) -> str:
    """A whole HTML document of one or more explanations, as `display` shows them until a reader switches.

    Raises ParameterError for none, or for a display that cannot be worked out; ShapeError.
    """
    return document(*_section(explanations, display), script=SCRIPT)


def fragment(explanations: Sequence[Explanation], display: Display = DEFAULT) -> str:
    """The same for a notebook: one element with its style and script; '' for no explanations."""
    if not explanations:
        return ""
    body, _ = _section(explanations, display)
    return f"<div>\n<style>{STYLE}</style>\n{body}\n<script>{SCRIPT}</script>\n</div>"


def _section(explanations: Sequence[Explanation], display: Display) -> tuple[str, str]:
    """The element and its title in plain words."""
    if not explanations:
        raise ParameterError("no explanations to show.")
    several = [show(e, display) for e in explanations]
    if display.shared:
        several = sharing(several)
    store = Store()
    if len(explanations) == 1:
        title = words.heading(explanations[0])
        inner = _card(several[0], store, level=1)
    else:
        plan = arrange(explanations)
        title = plan.title
        cards = "\n".join(_card(s, store, level=2) for s in several)
        inner = (
            f'<header class="top"><h1>{escape(plan.title)}</h1>'
            f'<p class="quiet">{escape(plan.subtitle)}</p>\n'
            f"{_summary(explanations, store)}\n{_controls(several, 'all maps')}</header>\n"
            f'<div class="cards">\n{cards}\n</div>'
        )
    return f'<section class="seglens">\n{store.html()}\n{inner}\n</section>', f"{title} · seglens"


def _card(shown: Shown, store: Store, level: int) -> str:
    e, z = shown.whole, shown.z
    if stacks(e):
        shown = stacked(shown)
    flat = shown.flat
    picture = store.picture(colour(flat.image))
    edge = store.edge(flat.region) if flat.region is not None else None
    views = [
        _view(shown, "Image", f"The image{words.place(e, z) and ', ' + words.place(e, z)}.", picture, edge)
        + _said(f"Outlined: the region asked about, {words.extent(e)}." if edge else "")
        + "</figure>"
    ]
    classes = table_of(e)
    listed = label_pictures(e) if stacks(e) else label_pictures(flat)
    for name, labels in label_pictures(flat).items():
        drawn = store.picture(labels_picture(labels, classes))
        alt = f"{_ALT.get(name, name)} of each pixel, as listed."
        views.append(_view(shown, name, alt, drawn, edge) + _legend(listed[name], classes) + "</figure>")
    views.append(_why(shown, picture, edge, store))
    if z is not None and not stacks(e):
        views += [_plane(plane, name, store) for name, plane in planes(shown)[1:]]
    name = f'id="{store.card(e)}"'
    where = "" if z is None else f"{'It opens at ' * stacks(e)}{words.place(e, z)}"
    where = f'<p class="quiet">{escape(where)}</p>' if where else ""
    below = [notes(words.remarks(shown)), _facts(e), search_curve(e), _provenance(e)]
    return (
        f"<article {name}>\n<h{level}>{escape(words.heading(e))}</h{level}>\n"
        f"<p>{escape(words.target(e))}</p>{where}\n"
        f'<div class="views">\n{"".join(views)}\n</div>\n'
        + "".join(f"{part}\n" for part in below if part)
        + "</article>"
    )


def _plane(plane: Shown, name: str, store: Store) -> str:
    """Another plane of a volume, still."""
    edge = store.edge(plane.flat.region) if plane.flat.region is not None else None
    alt = f"The map over the image, {name}."
    return _view(plane, f"Explanation, {name}", alt, store.picture(painted(plane)), edge) + "</figure>"


def _view(shown: Shown, title: str, alt: str, picture: str, edge: str | None, above: str = "", below: str = "") -> str:
    """One picture with its heading: an open <figure>, to be closed by the caller.

    Of slices that lie below each other, a window shows one.
    """
    height, width = shown.values.shape
    opened = closed = ""
    if shown.z is not None and stacks(shown.whole):
        height = shown.whole.map.shape[1]
        top = shown.z * (height + 1)
        size = f'width="{width}" height="{height}" viewBox="0 {top} {width} {height}"'
        opened = f'<svg class="slices" aria-hidden="true" {size}>'
        closed = "</svg>"
    ratio = width / height
    classes = ["view"]
    # Beyond 8 : 1 a picture would be a hairline: its pixels are stretched.
    shapes = ((1 / 8, "tower"), (0.4, "slim"), (0.7, "high"), (8.0, ""), (math.inf, "strip"))
    classes += [name for name in [next(n for most, n in shapes if ratio <= most)] if name]
    classes += ["small"] * (max(height, width) < 256)
    shape = " ".join(classes)
    role = "why" if above else "given"
    line = f'<use class="edge" href="#{edge}"/>' if edge else ""
    return (
        f'<figure class="{role}"><h3>{escape(title)}</h3><svg class="{shape}" '
        f'viewBox="0 0 {width} {height}" preserveAspectRatio="none" role="img" '
        f'aria-label="{escape(alt)}">{opened}<g{below}><use href="#{picture}"/></g>{above}{line}{closed}</svg>'
    )


def _why(shown: Shown, picture: str, edge: str | None, store: Store) -> str:
    """The map as a layer over the image, its colour bar and the controls."""
    e, scale, display = shown.whole, shown.scale, shown.display
    height, width = shown.values.shape
    above = (
        f'<image class="map" opacity="{display.opacity:g}" width="{width}" height="{height}" '
        f'preserveAspectRatio="none" href="{data_uri(shown.layer(scale, 1.0))}"{_live(shown, store)}/>'
    )
    grey = f"url(#{store.grey(scale)})"
    below = f' class="below" data-filter="{grey}"' + (f' filter="{grey}"' if display.grey else "")
    state = words.state(shown)
    alt = f"The map of {words.heading(e)} for {words.target(e)}, over the image. {state}".strip()
    html = _view(shown, "Explanation", alt, picture, edge, above, below)
    html += f'<figcaption class="state"{"" if state else " hidden"}>{escape(state and state + ".")}</figcaption>'
    html += _bar(scale, e.unit)
    told = " ".join([*words.beyond(shown), *words.choice(display, words.label(e), shown.inside)])
    html += f'<figcaption class="told">{escape(told)}</figcaption>'
    return html + _controls([shown], "map") + "</figure>"


def _bar(scale: Scale | None, unit: str) -> str:
    """The colour bar with its ends; hidden where there is no scale, for a reader may switch to one."""
    return f'<div class="scale"{"" if scale else " hidden"}>{scale_bar(scale or Scale(1, False, 1), unit)}</div>'


def _live(shown: Shown, store: Store) -> str:
    """Attributes from which the script draws the map anew, where a reader can switch."""
    e, display = shown.whole, shown.display
    if not _switches(shown):
        return ""
    told = {
        "values": data_uri(live.encoded(shown.flat)),
        "largest": repr(live.largest(e)),
        "band": str(hatch_band(shown.values.shape)),
        "even": "" if display.growing else "1",
        "unit": e.unit,
        "part": display.part,
        "within": display.within or "",
        "percentile": f"{display.percentile:g}",
    }
    told |= {kind: f"url(#{store.grey(scale)})" for kind, scale in _KINDS.items()}
    return "".join(f' data-{name}="{escape(value)}"' for name, value in told.items())


def _switches(shown: Shown) -> bool:
    """Whether a reader can switch what is shown: not of a volume of which the page holds one slice, nor where several
    maps share a scale."""
    held = shown.z is None or stacks(shown.whole)
    return held and not shown.display.shared and live.largest(shown.whole) > 0


def _controls(several: Sequence[Shown], of: str) -> str:
    display = several[0].display
    edge = any(s.whole.region is not None for s in several)
    opacity = round(100 * display.opacity)
    html = (
        f'<div class="controls" role="group" aria-label="Display of {of}" hidden>{_slider(several)}'
        f'<label>Opacity of {of}<input type="range" name="opacity" min="0" max="100" '
        f'value="{opacity}"><output>{opacity} %</output></label>'
        f'<label><input type="checkbox" name="grey"{" checked" * display.grey}>Grey image below</label>'
        + ('<label><input type="checkbox" name="edge" checked>Region outline</label>' if edge else "")
    )
    if able := [s.whole for s in several if _switches(s)]:
        name = words.label(able[0]) if len(several) == 1 else "its class"
        html += _choice("part", "Show", [live.parts(e) for e in able], display.part)
        html += _choice("within", "Where", [live.places(e, name) for e in able], display.within or "")
        html += (
            '<label>Colours end at percentile<input type="range" name="percentile" min="50" max="100" step="0.5" '
            f'value="{display.percentile:g}"><output>{display.percentile:g} %</output></label>'
        )
    return html + "</div>"


def _slider(several: Sequence[Shown]) -> str:
    """The choice of a slice, where all are volumes of as many slices; '' elsewhere."""
    depths = {len(s.whole.map) if stacks(s.whole) else 0 for s in several}
    if len(depths) > 1 or max(depths) < 2:
        return ""
    z = several[0].z
    return (
        f'<label>Slice<input type="range" name="slice" min="0" max="{max(depths) - 1}" step="1" value="{z}">'
        f"<output>{z}</output></label>"
    )


def _choice(name: str, title: str, each: Sequence[_Choices], chosen: str) -> str:
    """A list to choose from: what any of the maps offers; what none of them has can be seen but not chosen."""
    offered: dict[str, tuple[str, bool]] = {}
    for value, text, there in (one for choices in each for one in choices):
        offered[value] = (text, there or offered.get(value, ("", False))[1])
    if not offered:
        return ""
    options = "".join(
        f'<option value="{value}"{" selected" * (value == chosen)}{" disabled" * (not there)}>'
        f"{escape(text)}{'' if there else ' (none)'}</option>"
        for value, (text, there) in offered.items()
    )
    return f'<label>{title}<select name="{name}">{options}</select></label>'


def _legend(labels: NDArray[np.integer], classes: ClassTable) -> str:
    colours = class_colours(classes)
    items: list[str] = []
    for index, share in occurring(labels, classes):
        name = "no class" if index is None else classes.names[index]
        rgb = hexadecimal(OTHER if index is None else colours[index].tolist())
        items.append(
            '<li><svg viewBox="0 0 10 10" aria-hidden="true">'
            f'<rect width="10" height="10" rx="2" fill="{rgb}"/></svg>'
            f'<span>{escape(name)} <span class="quiet">{words.percent(share)}</span></span></li>'
        )
    return f'<ul class="legend">{"".join(items)}</ul>'


def _facts(e: Explanation) -> str:
    told = [("image", words.picture_name(e, 0))] if "image" in e.provenance else []
    told += [("score", words.score(e))] if words.asks(e) else []
    told += [
        ("unit of the map", e.unit),
        ("layer", e.layer or "reads none"),
        ("network", e.network),
        ("region", words.extent(e) or "the whole output"),
        *words.settings(e),
        *words.numbers(e),
        *words.lists(e),
    ]
    if e.cost is not None:
        told.append(("cost", str(e.cost)))
    return facts(told)


def _provenance(e: Explanation) -> str:
    if not e.provenance:
        return ""
    return f"<details><summary>Provenance</summary>{facts(e.provenance.items())}</details>"


def _said(text: str) -> str:
    return f"<figcaption>{escape(text)}</figcaption>" if text else ""


def _summary(explanations: Sequence[Explanation], store: Store) -> str:
    """A table of all explanations, each row a link to its card."""
    pictures = image_names(explanations)
    with_picture, with_cost = len(set(pictures)) > 1, any(e.cost for e in explanations)
    with_network = len({e.network for e in explanations}) > 1
    head = ["Method", "Target", *["Network"] * with_network, *["Image"] * with_picture]
    rows: list[str] = []
    for e, picture in zip(explanations, pictures, strict=True):
        link = f'<a href="#{store.card(e)}">{escape(words.heading(e))}</a>'
        cells = [words.target(e), *[e.network] * with_network, *[picture] * with_picture]
        numbers = [words.score(e) or "–"]
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
    return scrolling("Summary", f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>")
