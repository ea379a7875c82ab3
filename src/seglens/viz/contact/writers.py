"""Contact sheets to files: a picture a page, one PDF, or one page for the browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from seglens.core.progress import tell
from seglens.core.saving import suffix_of, write_text
from seglens.viz.contact.content import Contact
from seglens.viz.contact.page import contact_page
from seglens.viz.media.files import FIGURES, drawing, write_book, write_drawn

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (*FIGURES, "html")
"""Suffixes that a contact sheet can be saved with."""


def write_contact(contact: Contact, path: Path) -> list[Path]:
    """Write a sheet by the suffix of `path`; returns the files, in order.

    PDF and HTML hold all pages. PNG (200 dots per inch) and SVG hold one each: 'maps.png' where there is one, else
    'maps-1.png' and so on, with zeros in front so that they sort. Each file appears when it is complete.
    Raises NameNotFoundError for another suffix, MissingExtraError without matplotlib.
    """
    suffix = suffix_of(path, FORMATS)
    if suffix == "html":
        write_text(contact_page(contact), path)
        return [path]
    with drawing(f"writing .{suffix}"):
        from seglens.viz.contact.figures import page_count, pages

    count = page_count(contact)

    def told() -> "Iterator[Figure]":
        for number, figure in enumerate(pages(contact), 1):
            yield figure
            tell("pages", number, count)

    if suffix == "pdf":
        write_book(told(), path)
        return [path]
    digits = len(str(count))
    written: list[Path] = []
    for number, figure in enumerate(told(), 1):
        one = path if count == 1 else path.with_name(f"{path.stem}-{number:0{digits}d}{path.suffix}")
        write_drawn(figure, one)
        written.append(one)
    return written
