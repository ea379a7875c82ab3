"""A contact sheet in the browser: one page that needs nothing but itself."""

from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.viz.contact.content import EMPTY, Contact, Tile, bar_colour
from seglens.viz.media.document import document
from seglens.viz.media.html import colour_bar, hexadecimal, notes
from seglens.viz.media.store import Store, data_uri
from seglens.viz.picture import colour

_PIXELS = 256  # of a tile's longer side; more is not seen at its size

_STYLE = """
.contact header{display:flex;flex-wrap:wrap;gap:1rem 1.5rem;align-items:flex-start;margin-bottom:1.25rem}
.contact header>svg{flex:none;width:min(100%,20rem);height:auto;background:var(--tint)}
.contact header>div{flex:1 1 20rem;min-width:0}
.contact .tiles{display:grid;gap:1rem .75rem;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));
list-style:none;margin:1rem 0;padding:0}
.contact .tiles svg{display:block;width:100%;height:auto;background:var(--tint)}
.contact .tiles .weight{height:.3rem;margin:.15rem 0}
.contact .tiles div{display:flex;justify-content:space-between;font-size:.8125rem;line-height:1.35;
font-variant-numeric:tabular-nums}
.contact .cells{image-rendering:pixelated}
.contact .scale{max-width:22rem}
.contact select{font:inherit;color:inherit;background:var(--plate);border:1px solid var(--rule);
border-radius:.3rem;padding:.2rem .4rem}
"""

# Without a script the tiles stand in the order given; the choice appears when something answers it.
_SCRIPT = """
(() => {
  const choice = document.querySelector(".contact select");
  if (!choice) return;
  const list = document.querySelector(".contact .tiles");
  const tiles = [...list.children];
  choice.addEventListener("change", () => {
    const by = choice.value;
    list.append(...[...tiles].sort((a, b) => a.dataset[by] - b.dataset[by]));
  });
  choice.closest(".controls").hidden = false;
})();
"""


def contact_page(contact: Contact) -> str:
    """A whole HTML document of a contact sheet."""
    tiles = "".join(_tile(contact, tile, place) for place, tile in enumerate(contact.tiles))
    facts = "".join(f"<p>{escape(f)}</p>" for f in contact.facts)
    store = Store()
    picture = _picture(contact, store)
    head = f"<h1>{escape(contact.title)}</h1>{facts}{_bar(contact)}{_choice(contact)}"
    parts = [
        store.html(),
        f"<header>{picture}<div>{head}</div></header>",
        f'<p class="quiet">{escape(" ".join(contact.key()))}</p>',
        notes(contact.notes),
        f'<ol class="tiles">{tiles}</ol>',
    ]
    inner = "".join(f"{part}\n" for part in parts if part)
    body = f'<section class="seglens contact">\n{inner}</section>'
    return document(body, f"{contact.title} · seglens", _STYLE, _SCRIPT)


def _tile(contact: Contact, tile: Tile, place: int) -> str:
    height, width = round(1000 / contact.ratio), 1000
    picture = _small(contact.picture(tile))
    kind = ' class="cells"' if max(picture.shape) < _PIXELS else ""
    weight, empty = contact.weight(tile), contact.is_empty(tile)
    alt = f"Channel {tile.number}" + (f", contributes {weight} {contact.weight_unit}" if weight else "")
    said = (
        f'<text x="{width / 2:g}" y="{height / 2:g}" font-size="{width / 9:g}" fill="#5a5a5a" text-anchor="middle" '
        f'dominant-baseline="central">{EMPTY}</text>'
    )
    html = (
        f'<li data-place="{place}" data-number="{tile.number}">'
        f'<svg{kind} viewBox="0 0 {width} {height}" role="img" aria-label="{escape(alt)}">'
        f'<image width="{width}" height="{height}" preserveAspectRatio="none" href="{data_uri(picture)}"/>'
        f"{said if empty else ''}</svg>"
    )
    if contact.weighed:
        shade = hexadecimal(bar_colour(tile.weight))
        html += (
            '<svg class="weight" viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect width="{100 * contact.share(tile):.2f}" height="1" fill="{shade}"/></svg>'
        )
    below = f'<span class="quiet">{escape(contact.range(tile))}</span>'
    html += f"<div><b>{tile.number}</b>{f'<span>{escape(weight)}</span>' if weight else below}</div>"
    return html + (f"<div><span></span>{below}</div></li>" if weight else "</li>")


def _picture(contact: Contact, store: Store) -> str:
    height, width = contact.image.shape[:2]
    drawn = store.picture(colour(contact.image))
    line = "" if contact.outlined is None else f'<use href="#{store.edge(contact.outlined)}"/>'
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="The image."><use href="#{drawn}"/>{line}</svg>'


def _bar(contact: Contact) -> str:
    scale = contact.scale()
    if scale is None:
        return ""
    low, high = contact.ends
    said = f"Colour bar from {low} to {high} {contact.unit}"
    return f'<div class="scale">{colour_bar(scale.colours, (low, f"{high} ({contact.unit})"), said)}</div>'


def _choice(contact: Contact) -> str:
    """A choice of order, where another than by number was given."""
    numbers = [t.number for t in contact.tiles]
    if numbers == sorted(numbers):
        return ""
    return (
        '<div class="controls" hidden><label>Order <select><option value="place">as given</option>'
        '<option value="number">by number</option></select></label></div>'
    )


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A large picture with its pixels averaged; a small one as it is."""
    height, width = picture.shape[:2]
    if max(height, width) <= _PIXELS:
        return picture
    share = _PIXELS / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
