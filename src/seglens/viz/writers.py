"""Explanations to files: figures in PNG, SVG and PDF, and the page in HTML."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from seglens.core.display import Display
from seglens.core.errors import ParameterError, missing_extra
from seglens.core.explanation import Explanation
from seglens.viz.display import DEFAULT
from seglens.viz.page import page

# No dates and no version: the same explanation gives the same bytes.
METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": "seglens", "Producer": None},
}


def write_figure(explanations: Sequence[Explanation], path: Path, display: Display = DEFAULT) -> None:
    """One figure of all explanations, PNG (200 dots per inch), SVG or PDF by the suffix of `path`.

    The file appears under its name when it is complete. Raises ParameterError for no explanations,
    another suffix or a display that cannot be worked out, MissingExtraError without matplotlib.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in METADATA:
        raise ParameterError(f"cannot draw a figure as {path.name!r}: use .png, .svg or .pdf.")
    if not explanations:
        raise ParameterError("no explanations to draw.")
    try:
        from seglens.viz import figures
        from seglens.viz._sheet import settled
    except ImportError as absent:
        if (absent.name or "").split(".")[0] != "matplotlib":
            raise
        raise missing_extra("matplotlib", "image", f"writing .{suffix}") from absent

    one = len(explanations) == 1
    drawn = figures.figure(explanations[0], display) if one else figures.grid(explanations, display)
    if suffix != "png":
        # Vector files keep the image's own pixels: matplotlib resamples unless told not to.
        for axes in drawn.axes:
            for image in axes.images:
                image.set_interpolation("none")

    def write(file: BinaryIO) -> None:
        with settled():
            drawn.savefig(file, format=suffix, dpi=200, facecolor="white", metadata=METADATA[suffix])

    whole(path, write)


def write_page(explanations: Sequence[Explanation], path: Path, display: Display = DEFAULT) -> None:
    """One self-contained HTML page of all explanations.

    The file appears under its name when it is complete. Raises ParameterError for no explanations.
    """
    content = page(explanations, display).encode()

    def write(file: BinaryIO) -> None:
        file.write(content)

    whole(path, write)


def whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write beside and move, so that an interrupted save never leaves half a file under the name."""
    beside = path.with_name(path.name + ".part")
    try:
        with beside.open("wb") as file:
            write(file)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
