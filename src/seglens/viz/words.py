"""What a picture says in words: headings, numbers, and the remarks that keep it honest."""

from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.display import Display
from seglens.core.explanation import Explanation
from seglens.viz.display import DEFAULT, Shown
from seglens.viz.picture import Scale, table_of

_READ = {"logits": "logit", "probabilities": "probability", "log-probabilities": "log-probability"}
PARTS = {"all": "whole map", "positive": "positive part", "negative": "negative part", "absolute": "absolute values"}
PLACES = {
    "region": "in the region asked about",
    "prediction": "where {} is predicted",
    "truth": "where {} is true",
    "both": "where {} is predicted and true",
    "either": "where {} is predicted or true",
}
_NOWHERE = {
    "region": "the region is empty",
    "prediction": "{} is predicted nowhere",
    "truth": "{} is true nowhere",
    "both": "{} is nowhere both predicted and true",
    "either": "{} is neither predicted nor true anywhere",
}


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
    """Method and layer; of a method that explains no score, what it shows: 'fusion-map, probabilities'."""
    named = f"{e.method} at {e.layer}" if e.layer else e.method
    # An activation is no logit, whatever would have been read.
    return f"{named}, {e.of}" if not asks(e) and _READ.get(e.of, e.of) in e.unit else named


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


def asks(e: Explanation) -> bool:
    """Whether a score is explained; methods that show the network as it is ask nothing."""
    return bool(e.channel) or bool(np.isfinite(e.score))


def target(e: Explanation) -> str:
    """The question, for a reader."""
    return e.target if asks(e) else "asks about no class"


def score(e: Explanation) -> str:
    """The score and what it is made of; '' for methods that explain none."""
    return f"{number(e.score, 4)} ({e.of})" if asks(e) else ""


def facts(e: Explanation, z: int | None) -> list[str]:
    """What was asked of which network, and its answer."""
    asked = [f"target: {e.target}", f"score {score(e)}"] if asks(e) else [target(e)]
    return [fact for fact in (*asked, place(e, z), e.network) if fact]


def numbers(e: Explanation) -> list[tuple[str, str]]:
    """Names and values of the extras that are single numbers; of a number that stands for something, that."""
    return [(n, _said(v)) for n, v in e.numbers.items() if not isinstance(v, dict)]


def lists(e: Explanation) -> list[tuple[str, str]]:
    """Names of the extras that are lists of named numbers, and all of each in words: 'mean 0.55, blur 0.4'."""
    named = [(n, v) for n, v in e.numbers.items() if isinstance(v, dict)]
    return [(n, ", ".join(f"{entry} {number(value)}" for entry, value in v.items())) for n, v in named]


def _said(value: float | str) -> str:
    return number(value, 4) if isinstance(value, float) else plain(value)


def place(e: Explanation, z: int | None) -> str:
    """Which slice of a volume is shown; '' for an image."""
    return "" if z is None else f"slice {z} of {len(e.map)} (0 to {len(e.map) - 1}), of greatest weight"


def extent(e: Explanation) -> str:
    """How much of the image was asked about."""
    if e.region is None:
        return ""
    n, share = int(e.region.sum()), float(e.region.mean())
    one, what = ("voxel", "volume") if e.map.ndim == 3 else ("pixel", "image")
    return f"{n:,} {one}{'s' * (n != 1)}, {percent(share)} of the {what}"


def state(shown: Shown) -> str:
    """What is to be said of a picture without colours; '' where it has some."""
    e, display = shown.whole, shown.display
    if not np.isfinite(e.map).any():
        return "The map is undefined everywhere"
    if not np.nan_to_num(e.map, posinf=0, neginf=0).any():
        return "The map is zero everywhere"
    if shown.scale is not None:
        return ""
    if display.within is not None and not shown.visible.size:
        return f"Nothing to show: {_NOWHERE[display.within].format(label(e))}"
    where = f" {PLACES[display.within].format(label(e))}" if display.within else ""
    if not np.isfinite(shown.visible).any():
        return f"Nothing to show: the map is undefined{where}"
    if display.part in ("positive", "negative"):
        return f"Nothing to show: the map has no {display.part} values{where}"
    return f"Nothing to show: the map is zero{where}"


def exceeds(scale: Scale) -> bool:
    """Whether the greatest absolute value lies so far beyond the last colour that the two differ in print."""
    return scale.clipped and number(scale.largest) != number(scale.limit)


def beyond(shown: Shown) -> list[str]:
    """That what is shown has values beyond the last colour, where it has."""
    scale = shown.scale
    if scale is None or not exceeds(scale):
        return []
    end = f"{number(scale.low if scale.negative else scale.limit)} {shown.whole.unit}"
    return [f"Colours end at {end}; the greatest absolute value is {number(scale.largest)}."]


def label(e: Explanation) -> str:
    """Name of the class asked about, the first of a contrast."""
    names = table_of(e).names
    return names[e.label] if e.label is not None and e.label < len(names) else f"class {e.label}"


def choice(display: Display, name: str, inside: NDArray[np.bool_] | None = None) -> list[str]:
    """That the picture does not show all of the map in the usual way, where it does not.

    name: of the class asked about. inside: where the map is shown, to say how much of the image that is.
    """
    shown = [PARTS[display.part]] if display.part != "all" else []
    if display.within is not None:
        share = f" ({percent(float(inside.mean()))} of the pixels)" if inside is not None else ""
        shown.append(f"only {PLACES[display.within].format(name)}{share}")
    said = [f"Shown: {', '.join(shown)}; the colours fit what is shown."] if shown else []
    how: list[str] = []
    if display.percentile != DEFAULT.percentile:
        how.append(f"colours end at percentile {display.percentile:g} of what is shown")
    if display.opacity != DEFAULT.opacity:
        how.append(f"opacity {percent(display.opacity)}")
    if display.growing != DEFAULT.growing:
        how.append("opacity the same for all values")
    if display.grey != DEFAULT.grey:
        how.append("image in its own colours")
    return said + ([f"Display: {', '.join(how)}."] if how else [])


def remarks(shown: Shown) -> list[str]:
    """What is to be said of the map in any picture, followed by the explanation's own notes."""
    said: list[str] = []
    empty = state(shown)
    if empty.startswith("The map"):
        said.append(f"{empty}: the picture says nothing about the image.")
    elif _is_even(shown.whole.map):
        # Without a region a score was asked of a network that answers for the image as a whole.
        alone = shown.whole.region is None and asks(shown.whole)
        why = ": the network gives one score for the whole image" if alone else ""
        said.append(f"The map is the same everywhere{why}.")
    undefined = float((~np.isfinite(shown.visible)).mean()) if shown.visible.size else 0.0
    if 0 < undefined < 1:
        of = "pixels" if shown.display.within is None else "pixels shown"
        said.append(f"Hatched in grey: undefined, {percent(undefined)} of the {of}.")
    error = shown.whole.extras.get("standard-error")
    if error is not None and error.shape == shown.whole.map.shape and np.isfinite(error).any():
        median = number(float(np.nanmedian(error)))
        said.append(f"Standard error of a pixel's value: {median} {shown.whole.unit}, median.")
    return [*said, *shown.whole.notes]


def _is_even(values: NDArray[np.floating]) -> bool:
    """Whether several pixels all have one value."""
    return values.size > 1 and bool((values == values.flat[0]).all()) and bool(np.isfinite(values.flat[0]))


def picture_name(e: Explanation, i: int) -> str:
    """File name of the image where the provenance holds one, else its number."""
    known = e.provenance.get("image")
    return PurePath(known).name if known else f"image {i + 1}"
