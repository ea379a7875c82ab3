"""The confusion matrix of a segmentation, and the scores that are counted from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, ShapeError, missing_extra
from seglens.metrics.score import Score

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
By = Literal["truth", "prediction"]

PER_CLASS: Mapping[str, Score] = MappingProxyType(
    {
        "iou": Score("IoU", "TP / (TP + FP + FN)", "the class is neither in the truth nor predicted"),
        "dice": Score("Dice", "2 TP / (2 TP + FP + FN)", "the class is neither in the truth nor predicted"),
        "precision": Score("precision", "TP / (TP + FP)", "the class is predicted nowhere"),
        "recall": Score("recall", "TP / (TP + FN)", "the class is nowhere in the truth"),
    }
)
"""Scores of one class, the names of `Tallies`' own properties."""

OVERALL: Mapping[str, Score] = MappingProxyType(
    {
        "pixel_accuracy": Score("pixel accuracy", "pixels labelled right / all", "no pixel counts, or labels overlap"),
        "mean_accuracy": Score("mean accuracy", "mean recall of the classes in the truth", "the truth has no class"),
        "mean_iou": Score("mean IoU", "mean IoU of the classes in truth or prediction", "no class is in either"),
        "mean_dice": Score("mean Dice", "mean Dice of the classes in truth or prediction", "no class is in either"),
        "frequency_weighted_iou": Score(
            "frequency-weighted IoU", "mean IoU weighted by the pixels of the truth", "the truth has no class"
        ),
    }
)
"""Scores of all classes together, likewise."""


@dataclass(frozen=True, slots=True, eq=False)
class Tallies:
    """For each class by itself, how many pixels were labelled rightly and wrongly; `+` adds images.

    true_positive, false_positive, false_negative: int64 [K]. pixels: how many counted, without the ignored.
    exclusive: whether each pixel has one class; of independent labels a pixel may have several or none.
    Scores are in 0..1, more is better, and NaN where undefined: a class that does not occur is neither right nor
    wrong (see `PER_CLASS`, `OVERALL`). Means leave out what is undefined.
    """

    true_positive: Counts
    false_positive: Counts
    false_negative: Counts
    pixels: int
    exclusive: bool = True

    @classmethod
    def of(cls, truth: NDArray[np.bool_], prediction: NDArray[np.bool_], known: NDArray[np.bool_]) -> "Tallies":
        """Of independent labels: masks [K *space] of truth, of prediction, and of the pixels that count.

        Raises ShapeError where they differ in shape.
        """
        if not truth.shape == prediction.shape == known.shape:
            raise ShapeError(
                f"masks of truth {list(truth.shape)}, prediction {list(prediction.shape)} and of the pixels that "
                f"count {list(known.shape)} are to have one shape.",
                truth.shape,
            )
        space = tuple(range(1, truth.ndim))
        right, said, was = truth & prediction & known, prediction & known, truth & known
        tp, positive, true = (m.sum(space, dtype=np.int64) for m in (right, said, was))
        return cls(tp, positive - tp, true - tp, int(known.any(0).sum()), False)

    def __add__(self, other: "Tallies") -> "Tallies":
        if len(self.true_positive) != len(other.true_positive) or self.exclusive != other.exclusive:
            raise ParameterError("tallies of different classes, or of exclusive and independent labels, do not add.")
        return Tallies(
            self.true_positive + other.true_positive,
            self.false_positive + other.false_positive,
            self.false_negative + other.false_negative,
            self.pixels + other.pixels,
            self.exclusive,
        )

    @property
    def support(self) -> Counts:
        """int64 [K]: pixels of the class in the truth."""
        return self.true_positive + self.false_negative

    @property
    def iou(self) -> Floats:
        """[K]: intersection over union (Jaccard index)."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive + self.false_negative)

    @property
    def dice(self) -> Floats:
        """[K]: Dice coefficient, which is also the F1 score of the pixels."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    @property
    def precision(self) -> Floats:
        """[K]: share of the pixels predicted as the class that are of it."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> Floats:
        """[K]: share of the pixels of the class that are predicted as such; also called the class's accuracy."""
        return _ratio(self.true_positive, self.support)

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are labelled right; NaN for independent labels, where that is no one fact."""
        return float(_ratio(self.true_positive.sum(), np.int64(self.pixels))) if self.exclusive else float("nan")

    @property
    def mean_accuracy(self) -> float:
        """Mean recall of the classes that occur in the truth."""
        return mean_defined(self.recall)

    @property
    def mean_iou(self) -> float:
        """Mean IoU of the classes that occur in truth or prediction."""
        return mean_defined(self.iou)

    @property
    def mean_dice(self) -> float:
        """Mean Dice of the classes that occur in truth or prediction."""
        return mean_defined(self.dice)

    @property
    def frequency_weighted_iou(self) -> float:
        """Mean IoU of the classes, weighted by their pixels in the truth."""
        there = self.support > 0
        return float(_ratio((self.iou[there] * self.support[there]).sum(), self.support.sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """How many pixels of each class were given to which: `counts[a, b]` of truth a and prediction b; `+` adds images.

    counts: int64 [K K], rows truth, columns prediction. classes: names of rows and columns. ignored: pixels that had
    the label to be ignored, and are nowhere in `counts`.
    """

    counts: Counts
    classes: ClassTable
    ignored: int = 0

    @classmethod
    def of(
        cls,
        truth: NDArray[np.integer],
        prediction: NDArray[np.integer],
        classes: ClassTable,
        ignore: int | None = 255,
    ) -> "Confusion":
        """Count labels [*space] by scikit-learn's `confusion_matrix`. 0.2 s for 1024 × 2048.

        Raises ShapeError where the sizes differ, ParameterError for labels outside the class table or that are no
        whole numbers, MissingExtraError without scikit-learn.
        """
        if truth.shape != prediction.shape:
            raise ShapeError(
                f"the truth is {list(truth.shape)}, the prediction {list(prediction.shape)}: they are to be of one "
                "size. Labels are not resized to fit.",
                truth.shape,
            )
        known = np.ones(truth.shape, bool) if ignore is None else truth != ignore
        was, said = truth[known], prediction[known]
        for what, labels in (("truth", was), ("prediction", said)):
            _check(labels, what, len(classes))
        ignored = int(truth.size - was.size)
        if not was.size:
            return cls(np.zeros((len(classes), len(classes)), np.int64), classes, ignored)
        try:
            from sklearn.metrics import confusion_matrix
        except ImportError as absent:
            raise missing_extra("scikit-learn", "image", "counting confusions") from absent
        # int64 first: whatever small type the labels are stored in, nothing wraps around.
        wide = was.astype(np.int64), said.astype(np.int64)
        counts = confusion_matrix(*wide, labels=np.arange(len(classes)))
        return cls(np.asarray(counts, np.int64), classes, ignored)

    def __add__(self, other: "Confusion") -> "Confusion":
        if self.classes.names != other.classes.names:
            raise ParameterError("confusions of different class tables do not add.")
        return Confusion(self.counts + other.counts, self.classes, self.ignored + other.ignored)

    @property
    def tallies(self) -> Tallies:
        """The matrix read class by class."""
        right = self.counts.diagonal().copy()
        return Tallies(right, self.counts.sum(0) - right, self.counts.sum(1) - right, int(self.counts.sum()))

    def normalised(self, by: By) -> Floats:
        """[K K]: shares of the truth's pixels ('truth': rows sum to 1, recall on the diagonal), or of those predicted
        ('prediction': columns sum to 1, precision on the diagonal). NaN where a class has no pixel to share out.
        """
        if by not in ("truth", "prediction"):
            raise ParameterError(f"a confusion matrix is normalised by 'truth' or 'prediction', not {by!r}.")
        axis = 1 if by == "truth" else 0
        return _ratio(self.counts, np.broadcast_to(self.counts.sum(axis, keepdims=True), self.counts.shape))

    def largest(self, n: int) -> list[tuple[int, int, int]]:
        """The up to n most frequent mistakes as (truth, prediction, pixels), the most frequent first."""
        wrong = self.counts.copy()
        np.fill_diagonal(wrong, 0)
        order = np.argsort(-wrong, axis=None, kind="stable")[:n]
        pairs = (divmod(int(i), len(self.classes)) for i in order)
        return [(a, b, int(wrong[a, b])) for a, b in pairs if wrong[a, b]]


def mean_defined(values: Floats) -> float:
    """Mean of the values that are not NaN; NaN where there is none."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else float("nan")


def _ratio(over: NDArray[np.number] | np.number, under: NDArray[np.number] | np.number) -> Floats:
    """over / under, NaN where under is 0."""
    top, bottom = np.asarray(over, np.float64), np.asarray(under, np.float64)
    return np.divide(top, bottom, out=np.full(bottom.shape, np.nan), where=bottom > 0)


def _check(labels: NDArray[np.integer], what: str, n: int) -> None:
    if not np.issubdtype(labels.dtype, np.integer):
        raise ParameterError(f"labels of the {what} are whole numbers, not {labels.dtype}.")
    if labels.size and not (labels.min() >= 0 and labels.max() < n):
        strange = sorted({int(v) for v in np.unique(labels) if not 0 <= v < n})
        listed = ", ".join(map(str, strange[:8])) + (", …" if len(strange) > 8 else "")
        raise ParameterError(
            f"the {what} holds labels outside the class table: {listed}; the {n} classes are 0 to {n - 1}."
        )
