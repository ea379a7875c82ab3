"""Contact sheets to files: a picture a page, one PDF, or one page for the browser."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from seglens.core.errors import NameNotFoundError, missing_extra, suggest
from seglens.core.progress import tell
from seglens.viz.contact import Contact
from seglens.viz.contact_page import contact_page
from seglens.viz.writers import METADATA, whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg", "pdf", "html")


def write_contact(contact: Contact, path: Path) -> list[Path]:
    """Write a sheet by the suffix of `path`; returns the files, in order.

    PDF and HTML hold all pages. PNG (200 dots per inch) and SVG hold one each: 'maps.png' where there is one, else
    'maps-1.png' and so on, with zeros in front so that they sort. Each file appears when it is complete.
    Raises NameNotFoundError for another suffix, MissingExtraError without matplotlib.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in FORMATS:
        raise NameNotFoundError(
            f"cannot write a contact sheet as {path.name!r}.{suggest(suffix, FORMATS)}\n"
            f"  Give a suffix of {', '.join(f'.{f}' for f in FORMATS)}."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "html":
        content = contact_page(contact).encode()
        whole(path, lambda file: file.write(content))
        return [path]
    try:
        from matplotlib.backends.backend_pdf import PdfPages

        from seglens.viz._sheet import settled
        from seglens.viz.contact_figures import page_count, pages
    except ImportError as absent:
        if (absent.name or "").split(".")[0] != "matplotlib":
            raise
        raise missing_extra("matplotlib", "image", f"writing .{suffix}") from absent

    count = page_count(contact)

    def drawn() -> "Iterator[Figure]":
        for number, figure in enumerate(pages(contact), 1):
            # Vector files keep the maps' own pixels: matplotlib resamples unless told not to.
            for image in figure.axes[0].images if suffix != "png" else ():
                image.set_interpolation("none")
            yield figure
            tell("pages", number, count)

    def bind(file: BinaryIO) -> None:
        with settled(), PdfPages(file, metadata=METADATA["pdf"]) as book:
            for figure in drawn():
                book.savefig(figure, facecolor="white")

    if suffix == "pdf":
        whole(path, bind)
        return [path]
    digits = len(str(count))
    written: list[Path] = []
    for number, figure in enumerate(drawn(), 1):
        one = path if count == 1 else path.with_name(f"{path.stem}-{number:0{digits}d}{path.suffix}")
        whole(one, partial(_draw, figure, suffix))
        written.append(one)
    return written


def _draw(figure: "Figure", suffix: str, file: BinaryIO) -> None:
    from seglens.viz._sheet import settled

    with settled():
        figure.savefig(file, format=suffix, dpi=200, facecolor="white", metadata=METADATA[suffix])
