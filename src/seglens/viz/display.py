"""What a display shows of an explanation: the part, the place, and the colours that fit them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seglens.core.display import Display, Part, Within
from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation
from seglens.viz import outline
from seglens.viz.picture import Scale, colour, flat, greyed, rgba, scale_of

DEFAULT = Display()

_WITHOUT = "Leave `within` out"


@dataclass(frozen=True, slots=True)
class Shown:
    """An explanation as a display shows it.

    whole: the explanation. flat: the same on the slice of a volume that is shown, z: which; None for an image.
    values: [H W], the part of the map on that slice. inside: [H W], where it is shown; None for everywhere.
    visible: [N], the values shown in the whole volume, which `scale` fits; None where they have no weight.
    """

    whole: Explanation
    display: Display
    flat: Explanation
    z: int | None
    values: NDArray[np.floating]
    inside: NDArray[np.bool_] | None
    visible: NDArray[np.floating]
    scale: Scale | None

    def layer(self, scale: Scale | None, opacity: float | None = None) -> NDArray[np.uint8]:
        """The map as colours [H W 4]; `opacity` in place of the display's."""
        opacity = self.display.opacity if opacity is None else opacity
        return rgba(self.values, scale, opacity=opacity, growing=self.display.growing, inside=self.inside)


def show(explanation: Explanation, display: Display = DEFAULT) -> Shown:
    """The explanation as `display` shows it. Raises ParameterError where `within` cannot be worked out, ShapeError."""
    e = explanation
    inside = place_of(e, display.within)
    values = part_of(e.map, display.part)
    # A size that does not fit is told by `flat`.
    known = values if inside is None or inside.shape != values.shape else np.where(inside, values, 0)
    seen, z = flat(e, known)
    visible = (values if inside is None else values[inside]).ravel()
    return Shown(
        e,
        display,
        seen,
        z,
        values if z is None else values[z],
        inside if inside is None or z is None else inside[z],
        visible,
        _scale([visible], display),
    )


def shared_scale(several: Sequence[Shown]) -> Scale | None:
    """One scale for several maps of one display. Raises ParameterError where their units differ."""
    units = sorted({s.whole.unit for s in several})
    if len(units) > 1:
        raise ParameterError(
            f"maps in {' and '.join(repr(u) for u in units)} cannot share a scale.\n"
            "  Give each its own (shared=False), or compare maps of one unit."
        )
    return _scale([s.visible for s in several], several[0].display) if several else None


def sharing(several: Sequence[Shown]) -> list[Shown]:
    """The same with one scale for all; its `largest` stays each one's own. Raises ParameterError as `shared_scale`."""
    common = shared_scale(several)
    if common is None:
        return list(several)
    return [replace(s, scale=replace(common, largest=s.scale.largest if s.scale else 0.0)) for s in several]


def part_of(values: NDArray[np.floating], part: Part) -> NDArray[np.floating]:
    """The values that are of the part, 0 for the others, NaN where undefined; 'all' is the array itself."""
    if part == "all":
        return values
    known = np.where(np.isfinite(values), values, np.nan)
    return np.abs(known) if part == "absolute" else np.clip(known, *((0, None) if part == "positive" else (None, 0)))


def place_of(e: Explanation, within: Within | None) -> NDArray[np.bool_] | None:
    """Where the map is shown, [*grid]; None for everywhere.

    Raises ParameterError where the explanation lacks what is needed: a region, a class, its prediction or truth.
    """
    if within is None:
        return None
    start = f"within={within!r} cannot be shown for {e.method}: "
    if within == "region":
        if e.region is None:
            raise ParameterError(f"{start}it has no region, the image is asked about as a whole.\n  {_WITHOUT}.")
        return e.region
    instead = f"{_WITHOUT}, or show the request region: within='region'." if e.region is not None else f"{_WITHOUT}."
    if e.label is None:
        raise ParameterError(f"{start}it asks about no class.\n  {instead}")
    masks: list[NDArray[np.bool_]] = []
    if within != "truth":
        if e.prediction is None:
            raise ParameterError(
                f"{start}there is no predicted class of each pixel, since the network labels the image as a whole, or "
                f"its labels overlap.\n  {instead}"
            )
        masks.append(e.prediction == e.label)
    if within != "prediction":
        if e.truth is None:
            raise ParameterError(
                f"{start}no true labels were given.\n"
                "  Give them where it is explained: truth=FILE, on the command line --truth FILE."
            )
        masks.append(e.truth == e.label)
    if len({m.shape for m in masks}) > 1:
        flat(e)
    return np.logical_and.reduce(masks) if within == "both" else np.logical_or.reduce(masks)


def overlay(
    explanation: Explanation,
    display: Display = DEFAULT,
    *,
    scale: Scale | None = None,
    region: bool = True,
) -> NDArray[np.uint8]:
    """The map laid over its image: uint8 [H W 3], the image's own size.

    scale: of the colours; None takes the one that fits what is shown. region: whether the outline of the request
    region is painted in. A volume shows one slice, see `flat`. Raises ParameterError, ShapeError.
    """
    return painted(show(explanation, display), scale, region=region)


def painted(shown: Shown, scale: Scale | None = None, *, region: bool = False) -> NDArray[np.uint8]:
    """`overlay` of what is shown already."""
    seen, scale = shown.flat, scale or shown.scale
    below = colour(greyed(seen.image, scale) if shown.display.grey else seen.image).astype(np.float64)
    above = shown.layer(scale)
    alpha = above[..., 3:].astype(np.float64) / 255
    mixed = np.rint(below * (1 - alpha) + above[..., :3] * alpha).astype(np.uint8)
    return outline.painted(mixed, seen.region) if region and seen.region is not None else mixed


def _scale(visible: Sequence[NDArray[np.floating]], display: Display) -> Scale | None:
    scale = scale_of(np.concatenate(visible), display.percentile)
    if scale is not None and display.part == "negative":
        return replace(scale, diverging=False, negative=True)
    return scale
