"""Maps to pictures. The only place in seglens where a map is normalised, and only for the eye."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, ShapeError
from seglens.core.explanation import Explanation
from seglens.viz.colours import OTHER, class_colours, table

GROWTH = 0.7
"""Power of |value| with which opacity grows: below 1, so that half the greatest value is well seen."""

LUMA = np.array([0.2126, 0.7152, 0.0722])
"""Weights of red, green and blue in grey (Rec. 709)."""

_LEAN = 0.35
HATCH = np.array([[118, 118, 118], [176, 176, 176]], np.uint8)


@dataclass(frozen=True, slots=True)
class Scale:
    """Which values the colours stand for: [-limit, limit] where diverging, [-limit, 0] where negative, else [0, limit].

    limit: > 0, in the map's unit; values beyond it take the last colour. largest: greatest |value|.
    """

    limit: float
    diverging: bool
    largest: float
    negative: bool = False

    @property
    def low(self) -> float:
        """Value of the first colour."""
        return -self.limit if self.diverging or self.negative else 0.0

    @property
    def high(self) -> float:
        """Value of the last colour."""
        return 0.0 if self.negative else self.limit

    @property
    def clipped(self) -> bool:
        """Whether values lie beyond the colours."""
        return self.largest > self.limit

    @property
    def colours(self) -> NDArray[np.float64]:
        """The colours [N 3] from `low` to `high`, sRGB in [0, 1]. Negative ones are those of a diverging map."""
        if self.negative:
            both = table("diverging")
            return both[: len(both) // 2]
        return table("diverging" if self.diverging else "sequential")

    @property
    def zero(self) -> NDArray[np.float64]:
        """The colour [3] that stands for zero."""
        if self.negative:
            return self.colours[-1]
        return self.colours[len(self.colours) // 2 if self.diverging else 0]


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


def rgba(
    values: NDArray[np.floating],
    scale: Scale | None,
    *,
    opacity: float = 1.0,
    growing: bool = False,
    inside: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Colours [H W 4] of a map [H W]. Undefined pixels (NaN, infinite) are hatched in grey.

    opacity: in [0, 1], of the whole layer; `growing` lets it grow from 0 with |value|, reaching
    `opacity` at the scale's limit. inside: [H W], transparent elsewhere. No scale (a zero map):
    transparent but for undefined pixels. Raises ParameterError, ShapeError.
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
        place = (t + 1) / 2 if scale.diverging else t.clip(-1, 0) + 1 if scale.negative else t.clip(0)
        colours = np.rint(scale.colours * 255).astype(np.uint8)
        out[..., :3] = colours[np.rint(place * (len(colours) - 1)).astype(np.intp)]
        strength = np.abs(t) ** GROWTH if growing else np.ones_like(t)
        out[..., 3] = np.rint(255 * opacity * strength).astype(np.uint8)
    if not known.all():
        y, x = np.nonzero(~known)
        out[y, x, :3] = HATCH[(x + y) // hatch_band(values.shape) % 2]
        out[y, x, 3] = round(255 * opacity)
    if inside is not None:
        out[~inside] = 0
    return out


def hatch_band(shape: tuple[int, ...]) -> int:
    """Width in pixels of the stripes over undefined pixels."""
    return max(2, round(min(shape) / 60))


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
    return 1 - _LEAN, _LEAN * float(scale.zero @ LUMA)


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


def flat(explanation: Explanation, values: NDArray[np.floating] | None = None) -> tuple[Explanation, int | None]:
    """The explanation on one slice, and which; itself and None where it is flat already.

    Of a volume [D H W], the slice with the greatest absolute weight Σ|values|, by default of the map; of a volume
    without weight the one with most of the region, else the middle one. Extras of the map's own shape are cut too.
    Raises ShapeError where map, image, region, prediction and truth differ in size.
    """
    e = explanation
    grid = e.map.shape
    if e.map.ndim not in (2, 3):
        raise ShapeError(f"a map is [H W] or [D H W], not {list(grid)}.", grid)
    for name, size in (
        ("image", e.image.shape[: e.map.ndim]),
        ("region", grid if e.region is None else e.region.shape),
        ("prediction", grid if e.prediction is None else e.prediction.shape),
        ("truth", grid if e.truth is None else e.truth.shape),
    ):
        if size != grid:
            raise ShapeError(f"the map is {list(grid)}, the {name} {list(size)}: sizes differ.", size)
    if e.map.ndim == 2:
        return e, None
    weighed = e.map if values is None else values
    weight = np.abs(np.where(np.isfinite(weighed), weighed, 0).astype(np.float64)).sum((1, 2))
    if not weight.any() and e.region is not None:
        weight = e.region.sum((1, 2)).astype(np.float64)
    z = int(weight.argmax()) if weight.any() else len(weight) // 2
    return at_slice(e, z), z


def at_slice(explanation: Explanation, z: int, dim: int = 0) -> Explanation:
    """One slice of an explanation of a volume, across dimension `dim`; extras of the map's own shape too."""
    e = explanation
    return replace(
        e,
        map=e.map.take(z, dim),
        image=e.image.take(z, dim),
        region=None if e.region is None else e.region.take(z, dim),
        prediction=None if e.prediction is None else e.prediction.take(z, dim),
        truth=None if e.truth is None else e.truth.take(z, dim),
        extras={name: a.take(z, dim) if a.shape == e.map.shape else a for name, a in e.extras.items()},
    )


def label_pictures(explanation: Explanation) -> dict[str, NDArray[np.integer]]:
    """Pictures of labels by name: prediction, truth, and the extras of whole numbers of the map's own shape.

    An extra equal to the prediction shares its picture: 'Prediction, winner'.
    """
    e = explanation
    found: dict[str, NDArray[np.integer]] = {}
    extras = {n: a for n, a in e.extras.items() if a.shape == e.map.shape and a.dtype.kind in "iu"}
    if e.prediction is not None:
        same = [n for n, a in extras.items() if np.array_equal(a, e.prediction)]
        found[", ".join(["Prediction", *same])] = e.prediction
        extras = {n: a for n, a in extras.items() if n not in same}
    if e.truth is not None:
        found["Truth"] = e.truth
    return found | extras


def is_dark(rgb: NDArray[np.uint8]) -> bool:
    """Whether white is read better on a colour [3] than black."""
    return float(rgb @ LUMA) < 110
