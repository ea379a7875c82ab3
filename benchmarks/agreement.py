"""Whether two maps of the same question agree, once a peer's own conventions are undone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """difference: max |a − b| / max |b|, the worst of the maps. correlation: Pearson's, the worst of the maps.

    blank: how many maps are zero everywhere on both sides, and so agree without saying anything.
    """

    difference: float
    correlation: float
    blank: int = 0

    @classmethod
    def between(cls, ours: Maps, theirs: Maps) -> "Agreement":
        """Compare maps [T H W] one by one.

        Raises ValueError for other shapes, NaN or infinity, and where a map is blank on one side only or all are.
        """
        if ours.shape != theirs.shape or ours.ndim != 3:
            raise ValueError(f"maps [T H W] of one shape are compared, not {ours.shape} with {theirs.shape}.")
        if not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
            raise ValueError("a map holds NaN or infinity.")
        blank = ~ours.any((1, 2))
        if not np.array_equal(blank, ~theirs.any((1, 2))):
            raise ValueError("a map is zero everywhere on one side only.")
        if blank.all():
            raise ValueError("all maps are zero everywhere: there is nothing to compare.")
        a, b = ours[~blank].astype(np.float64), theirs[~blank].astype(np.float64)
        pairs = list(zip(a, b, strict=True))
        return cls(
            difference=max(float(np.abs(m - n).max() / np.abs(n).max()) for m, n in pairs),
            correlation=min(float(np.corrcoef(m.ravel(), n.ravel())[0, 1]) for m, n in pairs),
            blank=int(blank.sum()),
        )


def from_0_to_1(maps: Maps) -> Maps:
    """Maps as pytorch-grad-cam hands them out: less their minimum, over their maximum; blank ones stay.

    That cannot be undone (scale and offset are lost), so ours are compared after the same. It scales before and after
    it resizes, with half-pixel centres; resizing commutes with both, so once at the end is the same.
    """
    maps = maps - maps.min((1, 2), keepdims=True)
    most = maps.max((1, 2), keepdims=True)
    return np.divide(maps, most, out=np.zeros_like(maps), where=most > 0)
