"""Structural similarity of masks: how alike predicted and true maps of a class are in level, contrast and form."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ShapeError, missing_extra
from seglens.metrics.score import Score

SSIM = Score(
    "SSIM",
    "structural similarity of probability and truth, over the picture, then over the classes that occur in it",
    "the picture holds no class that is known",
    low=-1.0,
)

_SIGMA = 1.5  # pixels, of the Gaussian window: eleven of them wide, as published


def ssim(probabilities: NDArray[np.floating], labels: NDArray[np.integer], ignore: int = 255) -> float:
    """SSIM of class probabilities [K H W] against the true labels [H W] of one picture, in −1..1.

    For each class k that occurs, SSIM(p_k, 1[y = k]) with a Gaussian window of σ = 1.5, K₁ = 0.01, K₂ = 0.03 and
    range 1 (Wang et al. 2004, doi:10.1109/TIP.2003.819861), averaged over the known pixels; then the mean over these.
    Classes that do not occur are left out: of two maps that are zero nearly everywhere the similarity is near 1, and
    would hide everything else. Grey values of colour-coded masks, as some papers compare, would depend on the colours.
    NaN where no pixel is known. Raises ShapeError, also for sides under 11 pixels; MissingExtraError without
    scikit-image.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as absent:
        raise missing_extra("scikit-image", "image", "structural similarity") from absent
    if probabilities.ndim != 3 or probabilities.shape[1:] != labels.shape:
        raise ShapeError(
            f"probabilities [K H W] {list(probabilities.shape)} and labels [H W] {list(labels.shape)} are to have one "
            "grid.",
            tuple(probabilities.shape),
        )
    if min(labels.shape) < 11:
        raise ShapeError(f"a picture of {list(labels.shape)} is smaller than SSIM's window of 11 × 11.", labels.shape)
    known = labels != ignore
    found: list[float] = []
    for k in np.unique(labels[known]):
        truth = (labels == k).astype(np.float64)
        said = np.where(known, probabilities[k].astype(np.float64), truth)
        both: Any = structural_similarity(
            truth,
            said,
            data_range=1.0,
            gaussian_weights=True,
            sigma=_SIGMA,
            use_sample_covariance=False,
            full=True,
        )
        found.append(float(both[1][known].mean()))
    return float(np.mean(found)) if found else float("nan")
