"""Finished figures to files: the same figure gives the same bytes."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seglens.core.errors import ParameterError, missing_extra
from seglens.core.saving import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# No dates and no version: the same explanation gives the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": "seglens", "Producer": None},
}

FIGURES = tuple(_METADATA)
"""Suffixes of figures."""


@contextmanager
def drawing(purpose: str) -> Generator[None, None, None]:
    """For imports of what draws figures: without matplotlib, MissingExtraError names `purpose` and the remedy."""
    try:
        yield
    except ImportError as absent:
        if (absent.name or "").split(".")[0] != "matplotlib":
            raise
        raise missing_extra("matplotlib", "image", purpose) from absent


def write_drawn(figure: "Figure", path: Path) -> None:
    """Write a figure as PNG (200 dots per inch), SVG or PDF by the suffix of `path`, complete or not at all.

    Raises ParameterError for another suffix.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in FIGURES:
        raise ParameterError(f"cannot draw a figure as {path.name!r}: use .png, .svg or .pdf.")
    from seglens.viz.media.sheet import settled

    if suffix != "png":
        _keep_pixels(figure)
    with settled(), whole(path) as file:
        figure.savefig(file, format=suffix, dpi=200, facecolor="white", metadata=_METADATA[suffix])


def write_book(figures: "Iterable[Figure]", path: Path) -> None:
    """Write figures as the pages of one PDF, complete or not at all; each is asked for when its page is due."""
    from matplotlib.backends.backend_pdf import PdfPages

    from seglens.viz.media.sheet import settled

    with settled(), whole(path) as file, PdfPages(file, metadata=_METADATA["pdf"]) as book:
        for figure in figures:
            _keep_pixels(figure)
            book.savefig(figure, facecolor="white")


def _keep_pixels(figure: "Figure") -> None:
    # Vector files keep the images' own pixels: matplotlib resamples unless told not to.
    for axes in figure.axes:
        for image in axes.images:
            image.set_interpolation("none")
