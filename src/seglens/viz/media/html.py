"""Parts that pages share, as HTML; words given to them are plain and are escaped here."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from seglens.viz import words
from seglens.viz.media.store import data_uri
from seglens.viz.picture import Scale


def notes(remarks: Sequence[str], title: str = "Notes") -> str:
    """A list of remarks that stands out; '' for none."""
    if not remarks:
        return ""
    items = "".join(f"<li>{escape(r)}</li>" for r in remarks)
    return f'<div class="notes"><h3>{escape(title)}</h3><ul>{items}</ul></div>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Names with their values."""
    return "<dl>" + "".join(f"<div><dt>{escape(n)}</dt><dd>{escape(v)}</dd></div>" for n, v in pairs) + "</dl>"


def scrolling(name: str, inner: str) -> str:
    """A box around what may be wider than the page, such as a table. inner: HTML."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{inner}</div>'


def scale_bar(scale: Scale, unit: str) -> str:
    """The colour bar of a scale with its ends, zero where it lies between them, and the unit below."""
    ends = [words.number(scale.low), *(["0"] * scale.diverging), words.number(scale.high)]
    bar = colour_bar(scale.colours, ends, f"Colour bar from {ends[0]} to {ends[-1]} {unit}")
    return f'{bar}<div class="unit">{escape(unit)}</div>'


def colour_bar(colours: NDArray[np.float64], ends: Sequence[str], said: str) -> str:
    """A colour bar [256 3] with what stands below it, from end to end. said: the same for those who cannot see it."""
    picture = np.rint(colours[None] * 255).astype(np.uint8)
    return (
        f'<svg class="bar" viewBox="0 0 256 8" preserveAspectRatio="none" role="img" aria-label="{escape(said)}">'
        f'<image width="256" height="8" preserveAspectRatio="none" href="{data_uri(picture)}"/></svg>'
        f'<div class="ends">{"".join(f"<span>{escape(t)}</span>" for t in ends)}</div>'
    )


def hexadecimal(rgb: Iterable[int]) -> str:
    """A colour as CSS and SVG write it."""
    return "#{:02x}{:02x}{:02x}".format(*(int(v) for v in rgb))
