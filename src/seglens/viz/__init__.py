"""Results to pictures: overlays, figures for papers, pages for the browser.

Sees results only, never a network. The files here draw explanations; `contact`, `comparison` and `evaluation` draw
what their names say, and `media` holds what all figures and pages are made of and written by. matplotlib is imported
when a figure is asked for; overlays and pages do without it.
"""

from typing import TYPE_CHECKING, Any

from seglens.viz.colours import colormap, palette
from seglens.viz.display import overlay
from seglens.viz.picture import Scale, rgba, scale_of

if TYPE_CHECKING:
    from seglens.viz.figures import figure, grid

__all__ = ["Scale", "colormap", "figure", "grid", "overlay", "palette", "rgba", "scale_of"]


def __getattr__(name: str) -> Any:
    if name in ("figure", "grid"):
        from seglens.viz import figures

        return getattr(figures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
