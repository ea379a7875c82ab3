"""What evaluating a network found: the confusion matrix, scores by class, by image and overall, and what failed."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError
from seglens.core.saving import as_json, finite, suffix_of, write_text
from seglens.metrics import OVERALL, By, Confusion, Tallies, mean_defined
from seglens.run.explain import Failure
from seglens.viz.evaluation.page import evaluation_page
from seglens.viz.media.files import FIGURES, drawing, write_drawn

FORMATS = (*FIGURES, "html", "csv", "json")
"""Suffixes that an evaluation can be saved with."""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """One class over all images. pixels: in the truth; predicted: in the prediction. Scores are NaN where undefined.

    boundary_f: mean over the images in which the class has a contour; boundary_images: how many those are.
    """

    index: int
    name: str
    pixels: int
    predicted: int
    iou: float
    dice: float
    precision: float
    recall: float
    boundary_f: float
    boundary_images: int

    @property
    def occurs(self) -> bool:
        """Whether the class is in the truth or predicted anywhere."""
        return self.pixels + self.predicted > 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImageScores:
    """One image. boundary: [K], boundary F of each class. ignored: pixels that did not count. notes: warnings."""

    image: str
    tallies: Tallies
    ignored: int
    boundary: NDArray[np.float64]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain form; NaN becomes None."""
        t = self.tallies
        return finite(
            {
                "image": self.image,
                "pixels": t.pixels,
                "ignored": self.ignored,
                "pixel_accuracy": t.pixel_accuracy,
                "mean_iou": t.mean_iou,
                "mean_dice": t.mean_dice,
                "mean_boundary_f": mean_defined(self.boundary),
                "notes": list(self.notes),
            }
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """How well a network segments a set of images.

    tallies: counted over the pixels of all images, each pixel alike; its properties are the scores. confusion: truth
    by prediction; None for independent labels, where a pixel may have several classes or none: no matrix of K × K
    says which was taken for which. images: each by itself. failures: images that could not be evaluated, which count
    nowhere. ignore: the label that counted nowhere. tolerance: of boundary F in pixels; None for 0.75 % of each
    picture's diagonal.
    """

    network: str
    classes: ClassTable
    tallies: Tallies
    confusion: Confusion | None
    images: tuple[ImageScores, ...]
    failures: tuple[Failure, ...] = ()
    ignore: int | None = 255
    tolerance: float | None = None
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def per_class(self) -> tuple[ClassScores, ...]:
        """Scores of each class, in the order of the class table."""
        t = self.tallies
        contours = np.stack([i.boundary for i in self.images])
        return tuple(
            ClassScores(
                index=c,
                name=name,
                pixels=int(t.support[c]),
                predicted=int(t.true_positive[c] + t.false_positive[c]),
                iou=float(t.iou[c]),
                dice=float(t.dice[c]),
                precision=float(t.precision[c]),
                recall=float(t.recall[c]),
                boundary_f=mean_defined(contours[:, c]),
                boundary_images=int((~np.isnan(contours[:, c])).sum()),
            )
            for c, name in enumerate(self.classes.names)
        )

    @property
    def overall(self) -> dict[str, float]:
        """Scores of all classes together, by name (see `seglens.metrics.OVERALL`), and the mean boundary F.

        Means are over the classes for which the score is defined: a class that does not occur is left out.
        """
        scores = {name: float(getattr(self.tallies, name)) for name in OVERALL}
        contours = np.array([c.boundary_f for c in self.per_class])
        return {**scores, "mean_boundary_f": mean_defined(contours)}

    @property
    def absent(self) -> tuple[str, ...]:
        """Classes that are neither in the truth nor predicted, whose scores are undefined."""
        return tuple(c.name for c in self.per_class if not c.occurs)

    @property
    def ignored(self) -> int:
        """Pixels of all images that did not count."""
        return sum(i.ignored for i in self.images)

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; NaN becomes None."""
        return finite(
            {
                "network": self.network,
                "overall": self.overall,
                "classes": [asdict(c) for c in self.per_class],
                "absent": list(self.absent),
                "confusion": None if self.confusion is None else self.confusion.counts.tolist(),
                "pixels": self.tallies.pixels,
                "ignored": self.ignored,
                "ignore": self.ignore,
                "tolerance": self.tolerance,
                "images": [i.to_dict() for i in self.images],
                "failures": [{"image": f.image, "error": str(f.error)} for f in self.failures],
                "provenance": dict(self.provenance),
            }
        )

    def save(self, path: str | Path, normalise: By | None = None) -> Path:
        """Write to `path`; its suffix chooses the form, one of `FORMATS`.

        .png, .svg, .pdf: the confusion matrix. .html: a page with all scores and the matrix. .csv: the scores of each
        class. .json: everything. normalise: what the cells of the matrix are shares of; None draws pixels.
        Raises NameNotFoundError for another suffix, ParameterError for a picture of independent labels.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix in FIGURES:
            self._draw(path, normalise)
        elif suffix == "html":
            counts = None if self.confusion is None else self.confusion.counts
            cells = self._cells(normalise)
            write_text(evaluation_page(self.to_dict(), self.classes, counts, cells, self.describe(normalise)), path)
        else:
            write_text(self._table() if suffix == "csv" else as_json(self.to_dict()), path)
        return path

    def _table(self) -> str:
        """CSV of the scores of each class."""
        rows = [finite(asdict(c)) for c in self.per_class]
        text = StringIO(newline="")
        writer = csv.DictWriter(text, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue()

    def _draw(self, path: Path, normalise: By | None) -> None:
        cells = self._cells(normalise)
        if self.confusion is None or cells is None:
            raise ParameterError(
                f"the labels of {self.network} are independent, so there is no confusion matrix to draw.\n"
                "  Save the scores of each class as .csv, .json or .html."
            )
        with drawing("drawing a confusion matrix"):
            from seglens.viz.evaluation.confusion import confusion_figure

        facts = [self.network, _images(len(self.images)), *self._said()]
        write_drawn(confusion_figure(self.confusion.counts, cells, self.classes, self.describe(normalise), facts), path)

    def _cells(self, normalise: By | None) -> NDArray[np.float64] | None:
        if self.confusion is None:
            return None
        return self.confusion.counts.astype(np.float64) if normalise is None else self.confusion.normalised(normalise)

    def describe(self, normalise: By | None) -> str:
        """What a cell of the confusion matrix is, in words."""
        if normalise is None:
            return "pixels"
        if normalise == "truth":
            return "share of the true class's pixels (rows sum to 100 %, recall on the diagonal)"
        return "share of the predicted class's pixels (columns sum to 100 %, precision on the diagonal)"

    def _said(self) -> list[str]:
        overall = self.overall
        said = [
            f"{OVERALL[n].name} {overall[n]:.3f}" for n in ("pixel_accuracy", "mean_iou") if overall[n] == overall[n]
        ]
        return [*said, f"{len(self.failures)} failed"] if self.failures else said

    def __str__(self) -> str:
        return ", ".join([f"{self.network} on {_images(len(self.images))}", *self._said()])


def _images(n: int) -> str:
    return f"{n} image{'s' * (n != 1)}"
