"""Curves over latent sizes: a panel for each number, a line for each variant, the recommended size marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from seglens.viz.colours import palette
from seglens.viz.media.sheet import FAINT, INK, QUIET, settled, wrapped

_WIDE, _HIGH, _ACROSS = 3.0, 2.3, 3  # inches of a panel, panels in a row
_HEAD, _LINE = 0.45, 0.16


@dataclass(frozen=True, slots=True)
class Curve:
    """One variant in one panel: points of size, mean, and standard error (NaN for none)."""

    variant: str
    panel: str
    points: Sequence[tuple[int, float, float]]


def sweep_figure(
    title: str,
    panels: Mapping[str, str],
    curves: Sequence[Curve],
    marks: Mapping[str, int],
    said: Sequence[str],
) -> Figure:
    """panels: by key, with their titles; those without a point are left out. marks: the size to mark, by variant."""
    drawn = [key for key in panels if any(c.panel == key and c.points for c in curves)]
    across = min(_ACROSS, max(1, len(drawn)))
    rows = max(1, -(-len(drawn) // across))
    width = max(across * _WIDE, 5.2)
    notes = [line for text in said for line in wrapped(text, 7, width - 0.4)]
    height = _HEAD + rows * _HIGH + len(notes) * _LINE + 0.2
    variants = list(dict.fromkeys(c.variant for c in curves))
    colours = dict(zip(variants, palette(len(variants)), strict=True))
    with settled():
        figure = Figure((width, height), dpi=100, facecolor="white")
        figure.text(0.2 / width, 1 - 0.3 / height, title, fontsize=11, fontweight="bold", color=INK)
        for i, key in enumerate(drawn):
            left, top = (i % across) * width / across, _HEAD + (i // across) * _HIGH
            box = (left + 0.55, height - top - _HIGH + 0.42, width / across - 0.7, _HIGH - 0.75)
            axes = figure.add_axes((box[0] / width, box[1] / height, box[2] / width, box[3] / height))
            axes.set_title(panels[key], fontsize=8, fontweight="bold", color=QUIET, loc="left")
            axes.set_xlabel("latent units", fontsize=7, color=QUIET)
            axes.tick_params(labelsize=7, colors=INK)
            axes.set_xscale("log")
            axes.minorticks_off()
            for side in ("top", "right"):
                axes.spines[side].set_visible(False)
            sizes = sorted({n for c in curves if c.panel == key for n, _, _ in c.points})
            axes.set_xticks(sizes, [str(n) for n in sizes])
            for curve in (c for c in curves if c.panel == key and c.points):
                x, y, e = np.array(curve.points, np.float64).T
                colour = tuple(v / 255 for v in colours[curve.variant])
                errors = np.where(np.isfinite(e), e, 0.0)
                axes.errorbar(x, y, errors, color=colour, marker="o", markersize=3, linewidth=1.2, capsize=2)
                chosen = marks.get(curve.variant)
                if chosen in x:
                    at = int(np.flatnonzero(x == chosen)[0])
                    axes.plot(x[at], y[at], "o", markersize=9, fillstyle="none", color=colour)
            axes.ticklabel_format(axis="y", style="plain", useOffset=False)
            low, high = axes.get_ylim()
            middle = (low + high) / 2
            if high - low < 0.02 * abs(middle):
                # What is the same for all sizes but for chance would look like a mountain range.
                axes.set_ylim(middle - 0.1 * abs(middle), middle + 0.1 * abs(middle))
            axes.grid(visible=True, color=FAINT, linewidth=0.4)
        if len(variants) > 1:
            for i, name in enumerate(variants):
                colour = tuple(v / 255 for v in colours[name])
                place = (0.2 + i * 1.9) / width, 1 - 0.46 / height
                figure.text(*place, f"● {name}", fontsize=7, color=colour)
        for i, line in enumerate(notes):
            place = (0.2 / width, (0.12 + (len(notes) - i - 1) * _LINE) / height)
            figure.text(*place, line, fontsize=7, color=QUIET)
    return figure
