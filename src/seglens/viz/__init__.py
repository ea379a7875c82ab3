"""Explanations to pictures: overlays, figures for papers, a page for the browser.

Sees explanations only, never a network. matplotlib is imported when a figure is asked for; overlays
and pages do without it.
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
