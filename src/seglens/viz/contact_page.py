"""A contact sheet in the browser: one page that needs nothing but itself."""

from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.viz import words
from seglens.viz._assets import PAGE_STYLE, STYLE
from seglens.viz._store import Store, data_uri
from seglens.viz.contact import EMPTY, Contact, Tile, bar_colour
from seglens.viz.page import document
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
    remarks = "".join(f"<li>{escape(r)}</li>" for r in contact.notes)
    store = Store()
    picture = _picture(contact, store)
    body = (
        f'<section class="seglens contact">\n{store.html()}\n<header>'
        f"{picture}<div><h1>{escape(contact.title)}</h1>{facts}{_bar(contact)}{_choice(contact)}</div></header>\n"
        f'<p class="quiet">{escape(" ".join(contact.key()))}</p>\n'
        + (f'<div class="notes"><h3>Notes</h3><ul>{remarks}</ul></div>\n' if remarks else "")
        + f'<ol class="tiles">{tiles}</ol>\n</section>'
    )
    return document(body, f"{contact.title} · seglens", STYLE + PAGE_STYLE + _STYLE, _SCRIPT)


def _tile(contact: Contact, tile: Tile, place: int) -> str:
    height, width = _shape(contact)
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
        shade = "#{:02x}{:02x}{:02x}".format(*bar_colour(tile.weight))
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
    asked = contact.region is not None and not contact.region.all()
    line = f'<use href="#{store.edge(contact.region)}"/>' if asked and contact.region is not None else ""
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="The image."><use href="#{drawn}"/>{line}</svg>'


def _bar(contact: Contact) -> str:
    scale = contact.scale()
    if scale is None:
        return ""
    low, high = words.number(scale.low), words.number(scale.limit)
    if not contact.shared:
        low, high = ("−greatest" if contact.diverging else "0"), "each channel's greatest"
    colours = np.rint(scale.colours[None] * 255).astype(np.uint8)
    return (
        f'<div class="scale"><svg class="bar" viewBox="0 0 256 8" preserveAspectRatio="none" role="img" '
        f'aria-label="Colour bar from {escape(low)} to {escape(high)} {escape(contact.unit)}"><image width="256" '
        f'height="8" preserveAspectRatio="none" href="{data_uri(colours)}"/></svg>'
        f'<div class="ends"><span>{escape(low)}</span><span>{escape(high)} ({escape(contact.unit)})</span></div></div>'
    )


def _choice(contact: Contact) -> str:
    """A choice of order, where another than by number was given."""
    numbers = [t.number for t in contact.tiles]
    if numbers == sorted(numbers):
        return ""
    return (
        '<div class="controls" hidden><label>Order <select><option value="place">as given</option>'
        '<option value="number">by number</option></select></label></div>'
    )


def _shape(contact: Contact) -> tuple[int, int]:
    """Height and width at which tiles are drawn: the picture's, sides beyond 3 : 1 or 8 : 1 stretched."""
    height, width = contact.image.shape[:2]
    return round(1000 / min(max(width / height, 1 / 3), 8.0)), 1000


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A large picture with its pixels averaged; a small one as it is."""
    height, width = picture.shape[:2]
    if max(height, width) <= _PIXELS:
        return picture
    share = _PIXELS / max(height, width)
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX))
