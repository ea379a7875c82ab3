"""Area under the receiver operating characteristic of pixels: how well the scores of a class order them."""

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ShapeError, missing_extra
from seglens.metrics.score import Score

AUC_ROC = Score(
    "AUC-ROC",
    "the chance that a pixel of the class scores above one that is not; mean over classes, each against the rest",
    "the class is in no pixel, or in all",
)


def auc_roc(scores: NDArray[np.floating], labels: NDArray[np.integer], ignore: int = 255) -> NDArray[np.float64]:
    """AUC-ROC of each class against the rest [K], over the pixels of all pictures, in 0..1; one half by chance.

    scores: [N K *space], any that grow with the class; labels: [N *space]. AUC = P(s⁺ > s⁻) + ½ P(s⁺ = s⁻), s⁺ of a
    pixel of the class and s⁻ of another, which is the area under the curve of true over false positive rates (Hanley
    and McNeil 1982, doi:10.1148/radiology.143.1.7063747). NaN for a class that is in no known pixel, or in all; the
    macro average is over the others. Raises ShapeError; MissingExtraError without scikit-learn.
    """
    try:
        from sklearn.metrics import roc_auc_score
    except ImportError as absent:
        raise missing_extra("scikit-learn", "image", "AUC-ROC") from absent
    if scores.ndim < 2 or scores.shape[:1] + scores.shape[2:] != labels.shape:
        raise ShapeError(
            f"scores [N K …] {list(scores.shape)} and labels [N …] {list(labels.shape)} are to be of the same pixels.",
            tuple(scores.shape),
        )
    known = labels.ravel() != ignore
    truth = labels.ravel()[known]
    found = np.full(scores.shape[1], np.nan)
    for k in range(scores.shape[1]):
        member = truth == k
        if member.any() and not member.all():
            found[k] = roc_auc_score(member, scores[:, k].ravel()[known])
    return found


def macro(per_class: NDArray[np.float64]) -> float:
    """The mean over the classes for which there is a value; NaN where there is none."""
    known = per_class[np.isfinite(per_class)]
    return float(known.mean()) if len(known) else float("nan")
