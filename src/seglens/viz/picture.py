"""Maps to pictures. The only place in seglens where a map is normalised, and only for the eye."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, ShapeError
from seglens.core.explanation import Explanation
from seglens.viz import outline
from seglens.viz.colours import OTHER, class_colours, table

PERCENTILE = 99.5
"""Default end of the colours: gradient maps have a few huge values that would darken all others."""

OPACITY = 0.9
_GROWTH = 0.7  # of opacity with |value|: below 1, so that half the greatest value is well seen
LUMA = np.array([0.2126, 0.7152, 0.0722])
"""Weights of red, green and blue in grey (Rec. 709)."""

_LEAN = 0.35
_HATCH = np.array([[118, 118, 118], [176, 176, 176]], np.uint8)


@dataclass(frozen=True, slots=True)
class Scale:
    """Which values the colours stand for: [-limit, limit] where diverging, else [0, limit].

    limit: > 0, in the map's unit; values beyond it take the last colour. largest: greatest |value|.
    """

    limit: float
    diverging: bool
    largest: float

    @property
    def low(self) -> float:
        """Value of the first colour."""
        return -self.limit if self.diverging else 0.0

    @property
    def clipped(self) -> bool:
        """Whether values lie beyond the colours."""
        return self.largest > self.limit

    @property
    def colours(self) -> NDArray[np.float64]:
        """The 256 colours [256 3], sRGB in [0, 1]."""
        return table("diverging" if self.diverging else "sequential")


def scale_of(values: NDArray[np.floating], percentile: float = 100.0) -> Scale | None:
    """The scale of a map of any shape: symmetric about 0 where it has negative values, else from 0.

    The limit is the `percentile` (0 < p <= 100) of |value| over the values that are neither 0 nor
    undefined, so that a sparse map keeps its colours. None for a map that is zero or undefined
    everywhere: it has no scale. Raises ParameterError for a percentile out of range.
    """
    if not 0 < percentile <= 100:
        raise ParameterError(f"percentile = {percentile!r}: it lies above 0 and at most at 100.")
    flat = values[np.isfinite(values)].astype(np.float64)
    size = np.abs(flat[flat != 0])
    if not size.size:
        return None
    limit = float(np.percentile(size, percentile))
    return Scale(limit, bool(flat.min() < 0), float(size.max()))


def shared_scale(explanations: Sequence[Explanation], percentile: float = 100.0) -> Scale | None:
    """One scale for several maps. Raises ParameterError where their units differ."""
    units = sorted({e.unit for e in explanations})
    if len(units) > 1:
        raise ParameterError(
            f"maps in {' and '.join(repr(u) for u in units)} cannot share a scale.\n"
            "  Give each its own (shared=False), or compare maps of one unit."
        )
    values = [e.map.ravel() for e in explanations]
    return scale_of(np.concatenate(values), percentile) if values else None


def rgba(
    values: NDArray[np.floating], scale: Scale | None, *, opacity: float = 1.0, growing: bool = False
) -> NDArray[np.uint8]:
    """Colours [H W 4] of a map [H W]. Undefined pixels (NaN, infinite) are hatched in grey.

    opacity: in [0, 1], of the whole layer; `growing` lets it grow from 0 with |value|, reaching
    `opacity` at the scale's limit. No scale (a zero map): transparent but for undefined pixels.
    Raises ParameterError, ShapeError.
    """
    if not 0 <= opacity <= 1:
        raise ParameterError(f"opacity = {opacity!r}: it lies in [0, 1].")
    if values.ndim != 2:
        raise ShapeError(f"a map to draw is [H W], not {list(values.shape)}.", values.shape)
    known = np.isfinite(values)
    out = np.zeros((*values.shape, 4), np.uint8)
    if scale is not None:
        t = np.where(known, values, 0).astype(np.float64) / scale.limit
        t = t.clip(-1, 1)
        place = (t + 1) / 2 if scale.diverging else t.clip(0)
        colours = np.rint(scale.colours * 255).astype(np.uint8)
        out[..., :3] = colours[np.rint(place * (len(colours) - 1)).astype(np.intp)]
        strength = np.abs(t) ** _GROWTH if growing else np.ones_like(t)
        out[..., 3] = np.rint(255 * opacity * strength).astype(np.uint8)
    if not known.all():
        y, x = np.nonzero(~known)
        band = max(2, round(min(values.shape) / 60))
        out[y, x, :3] = _HATCH[(x + y) // band % 2]
        out[y, x, 3] = round(255 * opacity)
    return out


def overlay(
    explanation: Explanation,
    *,
    scale: Scale | None = None,
    percentile: float = PERCENTILE,
    opacity: float = OPACITY,
    growing: bool = True,
    grey: bool = True,
    region: bool = True,
) -> NDArray[np.uint8]:
    """The map laid over its image: uint8 [H W 3], the image's own size.

    scale: of the colours; None takes the map's own at `percentile` (see `scale_of`).
    opacity, growing: of the map, see `rgba`. grey: the image in grey, so that colour means map.
    region: whether the outline of the request region is painted in. A volume shows one slice, see
    `flat`. Raises ParameterError, ShapeError.
    """
    seen, _ = flat(explanation)
    scale = scale or scale_of(explanation.map, percentile)
    below = colour(greyed(seen.image, scale) if grey else seen.image).astype(np.float64)
    above = rgba(seen.map, scale, opacity=opacity, growing=growing)
    alpha = above[..., 3:].astype(np.float64) / 255
    mixed = np.rint(below * (1 - alpha) + above[..., :3] * alpha).astype(np.uint8)
    return outline.painted(mixed, seen.region) if region and seen.region is not None else mixed


def colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image [H W], [H W 1] or [H W 3] as [H W 3]. Raises ShapeError for another shape."""
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] not in (1, 3):
        raise ShapeError(f"an image to draw is [H W] or [H W 3], not {list(image.shape)}.", image.shape)
    return np.broadcast_to(image, (*image.shape[:2], 3))


def backdrop(scale: Scale | None) -> tuple[float, float]:
    """How much of an image's luma a grey backdrop keeps, and what is added to it, both over 255.

    The grey leans towards the colour of zero, light below a diverging map and dark below a
    sequential one, so that 'no colour' and 'colour of zero' are one. No scale: the luma itself.
    """
    if scale is None:
        return 1.0, 0.0
    zero = scale.colours[len(scale.colours) // 2 if scale.diverging else 0]
    return 1 - _LEAN, _LEAN * float(zero @ LUMA)


def greyed(image: NDArray[np.uint8], scale: Scale | None) -> NDArray[np.uint8]:
    """An image [H W 3] or [H W] as the grey backdrop [H W] of a map drawn by `scale`."""
    keep, add = backdrop(scale)
    return np.rint(keep * (colour(image).astype(np.float64) @ LUMA) + 255 * add).astype(np.uint8)


def table_of(explanation: Explanation) -> ClassTable:
    """The class table of an explanation; numbered classes where it has none."""
    if explanation.classes is not None:
        return explanation.classes
    labels = explanation.prediction
    return ClassTable.numbered(int(labels.max(initial=-1)) + 1 if labels is not None else 0)


def labels_picture(labels: NDArray[np.integer], classes: ClassTable) -> NDArray[np.uint8]:
    """Labels [H W] in the colours of their classes: uint8 [H W 3]; labels of no class are grey."""
    colours = np.concatenate([class_colours(classes), np.array([OTHER], np.uint8)])
    known = (labels >= 0) & (labels < len(classes))
    return colours[np.where(known, labels, len(classes))]


def occurring(labels: NDArray[np.integer], classes: ClassTable) -> list[tuple[int | None, float]]:
    """Classes that occur in `labels`, with their share of the pixels, the largest first.

    None stands for labels of no class, and comes last.
    """
    known = (labels >= 0) & (labels < len(classes))
    counts = np.bincount(labels[known].ravel(), minlength=len(classes))
    order = np.argsort(-counts, kind="stable")
    found: list[tuple[int | None, float]] = [(int(i), float(counts[i] / labels.size)) for i in order if counts[i]]
    if not known.all():
        found.append((None, float((~known).mean())))
    return found


def flat(explanation: Explanation) -> tuple[Explanation, int | None]:
    """The explanation on one slice, and which; itself and None where it is flat already.

    Of a volume [D H W], the slice with the greatest absolute weight Σ|map|; of a volume without
    weight the one with most of the region, else the middle one. Raises ShapeError where map,
    image, region and prediction differ in size.
    """
    e = explanation
    grid = e.map.shape
    if e.map.ndim not in (2, 3):
        raise ShapeError(f"a map is [H W] or [D H W], not {list(grid)}.", grid)
    for name, size in (
        ("image", e.image.shape[: e.map.ndim]),
        ("region", grid if e.region is None else e.region.shape),
        ("prediction", grid if e.prediction is None else e.prediction.shape),
    ):
        if size != grid:
            raise ShapeError(f"the map is {list(grid)}, the {name} {list(size)}: sizes differ.", size)
    if e.map.ndim == 2:
        return e, None
    weight = np.abs(np.where(np.isfinite(e.map), e.map, 0).astype(np.float64)).sum((1, 2))
    if not weight.any() and e.region is not None:
        weight = e.region.sum((1, 2)).astype(np.float64)
    z = int(weight.argmax()) if weight.any() else len(weight) // 2
    return (
        replace(
            e,
            map=e.map[z],
            image=e.image[z],
            region=None if e.region is None else e.region[z],
            prediction=None if e.prediction is None else e.prediction[z],
        ),
        z,
    )
