"""Which classes the salient context of a region consists of, beside the classes around it and in the whole picture."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, ShapeError
from seglens.core.masks import grown
from seglens.metrics.score import Score

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Part = Literal["saliency", "ring", "context"]
Baseline = Literal["ring", "context"]
By = Literal["mass", "requests"]

RING = 1 / 64
"""Of the picture's longer side: the default width of the ring."""

CONTEXT_SHARE = Score("share", "on the class / on all classes", "there is none on any class")
"""Of the saliency in the context, of the ring's pixels, or of all the context's, in [0, 1]. No value is better than
another; the shares of all classes sum to 1."""

CONTEXT_RATIO = Score(
    "log-ratio",
    "log2(share of the salient context / share of the baseline)",
    "the class is in neither, or one of both is empty",
    low=-np.inf,
    high=np.inf,
)
"""Of the ring or of all the context as baseline; no value is better than another, and 0 is like the baseline."""


@dataclass(frozen=True, slots=True, eq=False)
class ContextTally:
    """The classes of the context of n requests, one row for each; `+` puts the requests of both one after another.

    The context of a request is what lies outside its region, has the label of a class, and has a defined saliency.
    saliency: float64 [n K], the saliency that lies on each class in the context, in the map's unit times pixels.
    ring: int64 [n K], pixels of each class in the ring of context around the region. context: int64 [n K], likewise in
    all of the context. inside: float64 [n], saliency in the region itself. unlabelled: float64 [n], saliency outside it
    on what has no class's label. left_out: int64 [n], pixels outside the region that count nowhere: without a class's
    label, or of undefined saliency.

    Rows are kept, not sums, so that the same tally gives sums over requests, means over requests, and what has to
    draw requests or images anew.
    """

    saliency: Floats
    ring: Counts
    context: Counts
    inside: Floats
    unlabelled: Floats
    left_out: Counts
    classes: ClassTable

    @classmethod
    def of(
        cls,
        saliency: NDArray[np.floating],
        region: NDArray[np.bool_],
        ring: NDArray[np.bool_],
        labels: NDArray[np.integer],
        classes: ClassTable,
    ) -> "ContextTally":
        """One request: its saliency [*space], never negative, its region, and the label of each pixel.

        ring: what is immediate context, such as `ring_around` gives; what of it lies in the region does not count.
        labels: those that are no class's index count nowhere; an ignored label is to be made such a one. Where the
        saliency is NaN or infinite it is undefined.
        Raises ShapeError, ParameterError for a negative saliency.
        """
        shapes = {"saliency": saliency.shape, "region": region.shape, "ring": ring.shape, "labels": labels.shape}
        if len(set(shapes.values())) > 1:
            listed = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
            raise ShapeError(f"these are to have one shape: {listed}.", saliency.shape)
        defined = np.isfinite(saliency)
        weight = np.where(defined, saliency, 0).astype(np.float64)
        if (weight < 0).any():
            raise ParameterError("saliency is never negative: give the positive part of a signed map.")
        k, outside = len(classes), ~region
        labelled = (labels >= 0) & (labels < k)
        counted = outside & labelled & defined

        def pixels(where: NDArray[np.bool_]) -> Counts:
            return np.bincount(labels[where], minlength=k).astype(np.int64)[None]

        return cls(
            saliency=np.asarray(np.bincount(labels[counted], weight[counted], k), np.float64)[None],
            ring=pixels(counted & ring),
            context=pixels(counted),
            inside=weight[region].sum(keepdims=True),
            unlabelled=weight[outside & ~labelled].sum(keepdims=True),
            left_out=np.array([(outside & ~counted).sum()], np.int64),
            classes=classes,
        )

    @classmethod
    def joined(cls, tallies: "Iterable[ContextTally]") -> "ContextTally":
        """The requests of all, one after another. Raises ParameterError for none, or for different class tables."""
        several = list(tallies)
        if not several:
            raise ParameterError("no tallies to join.")
        if any(t.classes.names != several[0].classes.names for t in several):
            raise ParameterError("tallies of different class tables do not add.")
        return cls(
            *(
                np.concatenate([getattr(t, name) for t in several])
                for name in ("saliency", "ring", "context", "inside", "unlabelled", "left_out")
            ),
            classes=several[0].classes,
        )

    def __add__(self, other: "ContextTally") -> "ContextTally":
        return ContextTally.joined((self, other))

    def __len__(self) -> int:
        """How many requests."""
        return len(self.saliency)

    def has(self, part: Part) -> NDArray[np.bool_]:
        """bool [n]: the requests that have any of it; of the others its shares are undefined."""
        return np.asarray(self._rows(part).sum(1) > 0)

    def shares(self, part: Part, by: By = "mass") -> Floats:
        """[K]: how a part is shared out among the classes: the salient context, the ring, or all of the context.

        by: 'mass' divides sums over requests, so that a request counts by how much of it there is (Hoyer et al. 2019:
        "normalize by the sum of all saliency values"; it needs maps in one unit); 'requests' is the mean of the shares
        of single requests, each alike, over those that have any. NaN where none has any.
        """
        return self._shares(part, by, self.has(part))

    def log_ratios(self, baseline: Baseline = "ring", by: By = "mass") -> Floats:
        """[K]: log₂(share of the salient context / share of the baseline): 1 is twice as much, −1 half as much.

        Over the requests that have both, so that the same are compared. −∞ where a class of the baseline has no
        saliency, +∞ where one has saliency and is not in the baseline; NaN where it is in neither, and where no request
        has both.
        """
        both = self.has("saliency") & self.has(baseline)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log2(self._shares("saliency", by, both)) - np.log2(self._shares(baseline, by, both))

    def _rows(self, part: Part) -> Floats | Counts:
        rows = {"saliency": self.saliency, "ring": self.ring, "context": self.context}
        if part not in rows:
            raise ParameterError(f"shares are of {', '.join(map(repr, rows))}, not of {part!r}.")
        return rows[part]

    def _shares(self, part: Part, by: By, chosen: NDArray[np.bool_]) -> Floats:
        if by not in ("mass", "requests"):
            raise ParameterError(f"shares are by 'mass' or by 'requests', not by {by!r}.")
        rows = self._rows(part)[chosen].astype(np.float64)
        if not len(rows):
            return np.full(len(self.classes), np.nan)
        if by == "requests":
            return np.asarray((rows / rows.sum(1, keepdims=True)).mean(0))
        total = rows.sum(0)
        return np.asarray(total / total.sum())


def ring_around(region: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """bool [*space]: what lies outside the region [*space] and at most `width` pixels from it, in chessboard distance.

    A dilation by a square of 2 width + 1 pixels, less the region. Raises ParameterError for a width below 1.
    """
    if width < 1:
        raise ParameterError(f"the ring around a region is at least 1 pixel wide, not {width}.")
    # A copy: torch takes no arrays that are read-only or run backwards.
    return grown(torch.from_numpy(np.array(region, order="C"))[None], width)[0].numpy() & ~region


def ring_width(size: tuple[int, ...]) -> int:
    """The default width of the ring in pixels for a picture of this size: 1/64 of its longer side, at least 1.

    The paper says that its ring has a fixed width, not which. This is half a cell of the 16 × 32 masks that it lays
    over street scenes: a thinner ring would be finer than these masks can be, a wider one no longer the immediate
    context. It goes with the picture's size, so that a scene has the same ring at any resolution, and with nothing
    else, so that all methods and regions are held against the same.
    """
    return max(1, round(RING * max(size)))
