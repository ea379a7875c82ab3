"""What a picture says in words: headings, numbers, and the remarks that keep it honest."""

from pathlib import PurePath
from typing import Any

import numpy as np

from seglens.core.explanation import Explanation
from seglens.viz.picture import Scale


def number(value: float, digits: int = 3) -> str:
    """A number for readers: `digits` significant ones, a true minus sign, powers of ten written out."""
    if not np.isfinite(value):
        return "undefined" if np.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        text = f"{mantissa}×10{raised}"
    return text.replace("-", "−")


def percent(share: float) -> str:
    """A share in [0, 1] as a percentage; a little is never written as nothing, nor nearly all as all."""
    if 0 < share < 0.001:
        return "under 0.1 %"
    if 0.999 < share < 1:
        return "over 99.9 %"
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


def heading(e: Explanation) -> str:
    """Method and layer."""
    return f"{e.method} at {e.layer}" if e.layer else e.method


def settings(e: Explanation) -> list[tuple[str, str]]:
    """Names and values of the method's parameters, but for the layer, which the heading names."""
    return [(name, plain(v)) for name, v in e.parameters.items() if name != "layer"]


def plain(value: Any) -> str:
    """A parameter's value in words."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return number(value, 6)
    if isinstance(value, (list, tuple)):
        return ", ".join(plain(v) for v in value)
    return str(value)


def score(e: Explanation) -> str:
    """The score and what it is made of."""
    return f"{number(e.score, 4)} ({e.of})" if e.channel or np.isfinite(e.score) else f"of no class ({e.of})"


def place(e: Explanation, z: int | None) -> str:
    """Which slice of a volume is shown; '' for an image."""
    return "" if z is None else f"slice {z} of {len(e.map)} (0 to {len(e.map) - 1}), of greatest weight"


def extent(e: Explanation) -> str:
    """How much of the image was asked about."""
    if e.region is None:
        return ""
    n, share = int(e.region.sum()), float(e.region.mean())
    what = "volume" if e.map.ndim == 3 else "image"
    return f"{n:,} pixel{'s' * (n != 1)}, {percent(share)} of the {what}"


def state(e: Explanation) -> str:
    """What is to be said of a map without colours; '' where it has some."""
    if not np.isfinite(e.map).any():
        return "The map is undefined everywhere"
    if not np.nan_to_num(e.map, posinf=0, neginf=0).any():
        return "The map is zero everywhere"
    return ""


def beyond(e: Explanation, scale: Scale | None) -> list[str]:
    """That the map has values beyond the last colour, where it has."""
    if scale is None or not scale.clipped:
        return []
    return [f"Colours end at {number(scale.limit)} {e.unit}; the greatest absolute value is {number(scale.largest)}."]


def remarks(e: Explanation) -> list[str]:
    """What is to be said of the map in any picture, followed by the explanation's own notes."""
    said: list[str] = []
    undefined = float((~np.isfinite(e.map)).mean())
    if empty := state(e):
        said.append(f"{empty}: the picture says nothing about the image.")
    if 0 < undefined < 1:
        said.append(f"Hatched in grey: undefined, {percent(undefined)} of the pixels.")
    return [*said, *e.notes]


def picture_name(e: Explanation, i: int) -> str:
    """File name of the image where the provenance holds one, else its number."""
    known = e.provenance.get("image")
    return PurePath(known).name if known else f"image {i + 1}"
