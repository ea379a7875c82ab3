"""A finished drawing to a file."""

from pathlib import Path

from matplotlib.figure import Figure

from seglens.core.errors import ParameterError
from seglens.viz._sheet import settled
from seglens.viz.writers import METADATA, whole


def write_drawn(drawn: Figure, path: Path) -> None:
    """Write a figure as PNG (200 dots per inch), SVG or PDF by the suffix of `path`, complete or not at all.

    Raises ParameterError for another suffix.
    """
    suffix = path.suffix.lstrip(".").lower()
    if suffix not in METADATA:
        raise ParameterError(f"cannot draw a figure as {path.name!r}: use .png, .svg or .pdf.")
    if suffix != "png":
        # Vector files keep the image's own pixels: matplotlib resamples unless told not to.
        for axes in drawn.axes:
            for image in axes.images:
                image.set_interpolation("none")
    with settled():
        whole(
            path,
            lambda file: drawn.savefig(file, format=suffix, dpi=200, facecolor="white", metadata=METADATA[suffix]),
        )
