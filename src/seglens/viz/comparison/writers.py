"""Comparisons to files: a figure, or a page for the browser."""

from pathlib import Path

from seglens.core.comparison import Comparison
from seglens.core.saving import suffix_of, write_text
from seglens.viz.comparison.page import comparison_page
from seglens.viz.media.files import FIGURES, drawing, write_drawn

FORMATS = (*FIGURES, "html")
"""Suffixes of what shows a comparison."""


def write_comparison(made: Comparison, path: Path) -> None:
    """Write a comparison by the suffix of `path`: a figure as PNG (200 dots per inch), SVG or PDF, or one HTML page.

    The file appears when it is complete. Raises NameNotFoundError for another suffix, MissingExtraError without
    matplotlib, ShapeError.
    """
    suffix = suffix_of(path, FORMATS)
    if suffix == "html":
        write_text(comparison_page(made), path)
        return
    with drawing(f"writing .{suffix}"):
        from seglens.viz.comparison.figure import comparison_figure

    write_drawn(comparison_figure(made), path)
