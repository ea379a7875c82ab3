"""Explanations to files: figures in PNG, SVG and PDF, and the page in HTML."""

from collections.abc import Sequence
from pathlib import Path

from seglens.core.display import Display
from seglens.core.explanation import Explanation
from seglens.core.saving import write_text
from seglens.viz.display import DEFAULT
from seglens.viz.media.files import drawing, write_drawn
from seglens.viz.page import page


def write_figure(explanations: Sequence[Explanation], path: Path, display: Display = DEFAULT) -> None:
    """One figure of all explanations, PNG (200 dots per inch), SVG or PDF by the suffix of `path`.

    The file appears under its name when it is complete. Raises ParameterError for no explanations,
    another suffix or a display that cannot be worked out, MissingExtraError without matplotlib.
    """
    with drawing(f"writing {path.suffix.lower()}"):
        from seglens.viz.figures import figure, grid

    one = len(explanations) == 1
    write_drawn(figure(explanations[0], display) if one else grid(explanations, display), path)


def write_page(explanations: Sequence[Explanation], path: Path, display: Display = DEFAULT) -> None:
    """One self-contained HTML page of all explanations.

    The file appears under its name when it is complete. Raises ParameterError for no explanations.
    """
    write_text(page(explanations, display), path)
