"""Where a network is wrong in one image: pixels class by class, and confused regions ranked by area."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.saving import as_json, suffix_of, write_text
from seglens.core.view import Region
from seglens.viz.media.files import FIGURES, drawing, write_drawn

FORMATS = (*FIGURES, "json")
"""Suffixes that an error map can be saved with."""

OUTLINED = 8
"""Confused regions that a picture outlines and numbers."""


class Status(IntEnum):
    """What a pixel is to one class."""

    TRUE_NEGATIVE = 0
    TRUE_POSITIVE = 1
    FALSE_POSITIVE = 2
    FALSE_NEGATIVE = 3
    IGNORED = 4


@dataclass(frozen=True, slots=True)
class ConfusedRegion:
    """One connected place where the truth says one class and the network another.

    rank: from 1, the largest first. truth, predicted: names of the classes. pixels: its area on the picture; share: of
    all pixels listed and unlisted that are wrong, in 0..1. at: the pixel of the picture deepest inside it. box: its
    bounding box as (top, left, bottom, right), the last two exclusive; six numbers in a volume.
    region: for targets, ``Target(e.predicted, e.region)``; its text is what --region takes.
    """

    rank: int
    truth: str
    predicted: str
    pixels: int
    share: float
    at: tuple[int, ...]
    box: tuple[int, ...]
    region: Region

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json."""
        return {
            "rank": self.rank,
            "truth": self.truth,
            "predicted": self.predicted,
            "pixels": self.pixels,
            "share": self.share,
            "at": list(self.at),
            "box": list(self.box),
            "region": str(self.region),
        }


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassErrors:
    """One class in one image. status: uint8 [*picture] of `Status`; the counts are its pixels."""

    label: int
    name: str
    status: NDArray[np.uint8]
    true_positive: int
    false_positive: int
    false_negative: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ErrorMap:
    """Where a network is wrong in one image.

    Everything lies on the picture's grid, carried there by nearest neighbour from the network's input grid, where
    regions live; `prediction` is that of an `Explanation`, and the pixels of a confused region are exactly those that
    its `region` asks about.

    image: uint8, for display. predicted: bool [K *picture], where each class is predicted. prediction: int64
    [*picture]; None where labels overlap. truth: int64 [*picture]. known: bool [*picture], False where ignored.
    confusions: the connected confused regions, the largest first. wrong: how many pixels are in any of them, also in
    those too small to be listed (of independent labels, each class by itself). unlisted: regions too small for that.
    ranks: int32 [*picture], or [K *picture] by predicted class where labels overlap: which confusion a pixel is in, 0
    for none. network, name: of the network and of the image. notes: what was warned of.
    """

    image: NDArray[np.uint8]
    predicted: NDArray[np.bool_]
    prediction: NDArray[np.int64] | None
    truth: NDArray[np.int64]
    known: NDArray[np.bool_]
    classes: ClassTable
    confusions: tuple[ConfusedRegion, ...]
    wrong: int
    unlisted: int
    ranks: NDArray[np.int32]
    network: str
    name: str
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    def of(self, label: str | int) -> ClassErrors:
        """True and false positives and false negatives of one class. Raises ClassNotFoundError."""
        c = self.classes.index(label)
        said, was = self.predicted[c], self.truth == c
        status = np.full(self.truth.shape, Status.TRUE_NEGATIVE, np.uint8)
        status[said & was] = Status.TRUE_POSITIVE
        status[said & ~was] = Status.FALSE_POSITIVE
        status[~said & was] = Status.FALSE_NEGATIVE
        status[~self.known] = Status.IGNORED
        counts = np.bincount(status.ravel(), minlength=len(Status))
        return ClassErrors(
            label=c,
            name=self.classes.names[c],
            status=status,
            true_positive=int(counts[Status.TRUE_POSITIVE]),
            false_positive=int(counts[Status.FALSE_POSITIVE]),
            false_negative=int(counts[Status.FALSE_NEGATIVE]),
        )

    def with_class(self, label: str | int | None) -> tuple[ConfusedRegion, ...]:
        """The confusions in which a class is the true or the predicted one; all for None."""
        if label is None:
            return self.confusions
        name = self.classes.names[self.classes.index(label)]
        return tuple(c for c in self.confusions if name in (c.truth, c.predicted))

    def mask(self, confusion: ConfusedRegion) -> NDArray[np.bool_]:
        """bool [*picture]: the pixels of a confused region."""
        same = self.ranks == confusion.rank
        return same if same.ndim == self.truth.ndim else same.any(0)

    def to_dict(self, label: str | int | None = None) -> dict[str, Any]:
        """Plain form, stable for --json; of one class, or of all."""
        chosen = range(len(self.classes)) if label is None else [self.classes.index(label)]
        counts = [self.of(c) for c in chosen]
        return {
            "network": self.network,
            "image": self.name,
            "wrong": self.wrong,
            "pixels": int(self.known.sum()),
            "classes": [
                {
                    "name": c.name,
                    "true_positive": c.true_positive,
                    "false_positive": c.false_positive,
                    "false_negative": c.false_negative,
                }
                for c in counts
            ],
            "confusions": [c.to_dict() for c in self.with_class(label)],
            "unlisted": self.unlisted,
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }

    def save(self, path: str | Path, label: str | int | None = None) -> Path:
        """Write to `path`: .png, .svg, .pdf draw image, prediction, truth and error map; .json holds the numbers.

        label: the class whose true and false positives and false negatives are shown; None shows all that is wrong.
        Raises NameNotFoundError for another suffix, ClassNotFoundError.
        """
        path = Path(path)
        if suffix_of(path, FORMATS) == "json":
            write_text(as_json(self.to_dict(label)), path)
            return path
        with drawing("drawing an error map"):
            from seglens.viz.evaluation.error_map import Numbered, errors_figure

        chosen = self.with_class(label)
        status = self._all_wrong() if label is None else self.of(label).status
        numbered = [
            Numbered(c.rank, self.mask(c), c.at, f"{c.truth} → {c.predicted}", c.pixels) for c in chosen[:OUTLINED]
        ]
        drawn = errors_figure(
            image=self.image,
            prediction=self.prediction,
            truth=np.where(self.known, self.truth, -1),
            classes=self.classes,
            status=status,
            label=None if label is None else self.classes.names[self.classes.index(label)],
            numbered=numbered,
            facts=[self.network, self.name],
            notes=[f"{len(chosen) - len(numbered)} more confused regions."] * (len(chosen) > len(numbered))
            + list(self.notes),
        )
        write_drawn(drawn, path)
        return path

    def _all_wrong(self) -> NDArray[np.uint8]:
        """uint8 [*picture]: false positive of some class wherever something is wrong."""
        in_truth = np.take_along_axis(self.predicted, self.truth.clip(0, len(self.classes) - 1)[None], 0)[0]
        right = in_truth & (self.predicted.sum(0) == 1)
        status = np.where(right, Status.TRUE_NEGATIVE, Status.FALSE_POSITIVE).astype(np.uint8)
        status[~self.known] = Status.IGNORED
        return status
