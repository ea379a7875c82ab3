"""Contact sheets as figures: pages of A4 at most, one after another."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from seglens.viz.contact.content import EMPTY, Contact, Tile, bar_colour
from seglens.viz.media.sheet import INK, LINE, QUIET, Sheet, width_of, wrapped
from seglens.viz.outline import edges
from seglens.viz.picture import Scale, colour

_WIDTH, _HEIGHT = 8.27, 11.69  # inches: A4
_MARGIN, _GAP, _LEADING = 0.3, 0.09, 0.1
_TITLE, _TEXT, _SMALL, _TINY = 12.0, 8.0, 7.0, 6.0  # points
_ACROSS, _DOWN = 8, 12
_WIDEST = 1.8  # inches of one tile
_BAR, _WEIGHT = 0.09, 0.03


@dataclass(frozen=True, slots=True)
class _Plan:
    """How many tiles go where, and how large they are, in inches."""

    columns: int
    rows: int
    width: float
    height: float
    pages: int

    @classmethod
    def of(cls, contact: Contact) -> "_Plan":
        """As large as a page admits: eight in a row and as many rows as fit, fewer where there are fewer tiles."""
        n, room = len(contact.tiles), _WIDTH - 2 * _MARGIN
        columns = n if n <= 6 else min(_ACROSS, max(4, math.ceil(math.sqrt(n))))
        width = min((room - (columns - 1) * _GAP) / columns, _WIDEST)
        height = width / contact.ratio
        left = _HEIGHT - 2 * _MARGIN - 1.5 - _footer_height(contact)
        rows = max(1, min(_DOWN, int(left / (height + _caption_height(contact) + _LEADING))))
        # The same number of rows on every page, so that none is left nearly empty.
        count = -(-n // columns)
        pages = -(-count // rows)
        rows = -(-count // pages)
        return cls(columns, rows, width, height, -(-count // rows))


def page_count(contact: Contact) -> int:
    """How many pages the sheet takes."""
    return _Plan.of(contact).pages


def pages(contact: Contact) -> Iterator[Figure]:
    """The sheet's pages, each made when it is asked for."""
    plan = _Plan.of(contact)
    on_page = plan.columns * plan.rows
    for page in range(plan.pages):
        yield _page(contact, plan, page, contact.tiles[page * on_page : (page + 1) * on_page])


def _page(contact: Contact, plan: _Plan, page: int, tiles: Sequence[Tile]) -> Figure:
    sheet = Sheet(_WIDTH)
    top = _header(sheet, contact, plan, page)
    step = plan.height + _caption_height(contact) + _LEADING
    for i, tile in enumerate(tiles):
        row, column = divmod(i, plan.columns)
        _tile(sheet, _MARGIN + column * (plan.width + _GAP), top + row * step, contact, plan, tile)
    # All pages of a sheet are of one size.
    rows = plan.rows if plan.pages > 1 else -(-len(tiles) // plan.columns)
    y = top + rows * step + 0.04
    for remark in (*contact.key(), *contact.notes):
        y = sheet.paragraph(_MARGIN, y, remark, _WIDTH - 2 * _MARGIN, _SMALL, lines=3, colour=QUIET)
    return sheet.figure(y + _MARGIN)


def _header(sheet: Sheet, contact: Contact, plan: _Plan, page: int) -> float:
    """Picture, title, facts and the colour bar. Returns the y below them."""
    box = min(2.3, 1.15 * contact.ratio)
    tall = box / contact.ratio
    line = None if contact.outlined is None else edges(contact.outlined)
    sheet.picture(_MARGIN, _MARGIN, box, tall, colour(contact.image), line)
    x = _MARGIN + box + 0.2
    room = _WIDTH - _MARGIN - x
    number = f"page {page + 1} of {plan.pages}" if plan.pages > 1 else ""
    if number:
        sheet.text(_WIDTH - _MARGIN, _MARGIN + 0.05, number, _SMALL, colour=QUIET, align="right")
        room -= width_of(number, _SMALL) + 0.1
    y = sheet.paragraph(x, _MARGIN - 0.03, contact.title, room, _TITLE, bold=True, lines=2)
    for fact in contact.facts:
        y = sheet.paragraph(x, y, fact, _WIDTH - _MARGIN - x, _TEXT, lines=2)
    scale = contact.scale()
    if scale is not None:
        y = _colour_bar(sheet, x, y + 0.08, contact, scale)
    return max(y, _MARGIN + tall) + 0.16


def _colour_bar(sheet: Sheet, x: float, y: float, contact: Contact, scale: Scale) -> float:
    low, high = contact.ends
    left = x + width_of(low, _SMALL) + 0.07
    sheet.text(x, y - 0.025, low, _SMALL)
    sheet.bar(left, y, 1.6, _BAR, scale.colours, (False, False))
    sheet.text(left + 1.67, y - 0.025, f"{high} ({contact.unit})", _SMALL)
    return y + _SMALL * LINE / 72


def _tile(sheet: Sheet, x: float, y: float, contact: Contact, plan: _Plan, tile: Tile) -> None:
    sheet.picture(x, y, plan.width, plan.height, contact.picture(tile))
    if contact.is_empty(tile):
        middle = y + plan.height / 2 - _SMALL * LINE / 144
        sheet.text(x + plan.width / 2, middle, EMPTY, _SMALL, colour=QUIET, align="center")
    y += plan.height
    if contact.weighed:
        if share := contact.share(tile):
            shade = np.array([bar_colour(tile.weight)], np.float64) / 255
            sheet.bar(x, y + 0.012, max(share * plan.width, 0.008), _WEIGHT, shade, (False, False))
        y += _WEIGHT + 0.012
    below, weight = contact.range(tile), contact.weight(tile)
    sheet.text(x, y, str(tile.number), _TINY, bold=True)
    sheet.text(x + plan.width, y, weight or below, _TINY, colour=INK if weight else QUIET, align="right")
    if weight:
        sheet.text(x + plan.width, y + _TINY * LINE / 72, below, _TINY, colour=QUIET, align="right")


def _caption_height(contact: Contact) -> float:
    lines = 2 if contact.weighed and not contact.shared else 1
    return lines * _TINY * LINE / 72 + (_WEIGHT + 0.012 if contact.weighed else 0.0)


def _footer_height(contact: Contact) -> float:
    said = (*contact.key(), *contact.notes)
    lines = sum(len(wrapped(s, _SMALL, _WIDTH - 2 * _MARGIN, 3)) for s in said)
    return lines * _SMALL * LINE / 72 + 0.1
