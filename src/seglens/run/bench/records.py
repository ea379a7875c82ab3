"""What the benchmark found on one network: its IoU, whether it took up the bias, and each method's scores."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.run.bench.measuring import Measures
from seglens.run.bench.pipeline import Seen, Told
from seglens.run.bench.plan import Part
from seglens.run.bench.statistics import mean_known, took_up

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """One method's scores on one network: means over its pictures, NaN where undefined.

    cbd, cbd_pixels: [10], by the class of the picture; of maps without an upper bound, over the largest value in any
    context of this network's pictures. cbl, cbl_pixels: of the pictures of the biased class, as are `pictures`, how
    many were explained, and `empty`, how many of these have nothing in the context, so that their CBL is undefined.
    """

    cbd: Floats
    cbd_pixels: Floats
    cbl: float
    cbl_pixels: float
    pictures: int
    empty: int

    @classmethod
    def of(cls, m: Measures, bounded: bool, digit: int | None) -> "Scores":
        """From the measures of a map with or without an upper bound of 1, for a network biased towards `digit`."""
        mine = m.digit == digit if digit is not None else np.zeros(len(m), bool)
        return cls(
            cbd=_by_class(m.digit, m.cbd, None if bounded else m.greatest),
            cbd_pixels=_by_class(m.digit, m.cbd_pixels, None if bounded else m.greatest_pixels),
            cbl=mean_known(m.cbl[mine]),
            cbl_pixels=mean_known(m.cbl_pixels[mine]),
            pictures=int(mine.sum()),
            empty=int(np.isnan(m.cbl[mine & m.cued]).sum()),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Record:
    """One network in the result.

    own, unbiased: IoU of each class [11] on pictures like those it was trained on, and on unbiased ones. before: of the
    biased class, what `unbiased` is compared with: the IoU of the unbiased network of the same seed, of twins its own
    with their context; NaN for unbiased networks. asked, missed: pictures that were explained, and those whose digit is
    predicted nowhere, by class [10]. seconds: of the training. told: what each method gave; scores: of those that gave
    any.
    """

    part: Part
    own: Floats
    unbiased: Floats
    before: float
    asked: NDArray[np.int64]
    missed: NDArray[np.int64]
    seconds: float
    told: Mapping[str, Told] = field(default_factory=dict[str, Told])
    scores: Mapping[str, Scores] = field(default_factory=dict[str, Scores])

    @classmethod
    def of(
        cls, part: Part, seen: Seen, fair: "Record | None", seconds: float, told: Mapping[str, Told], bounded: set[str]
    ) -> "Record":
        """fair: the unbiased network of the same seed. bounded: methods whose maps lie in [0, 1]."""
        if part.digit is None:
            before = float("nan")
        elif part.kind == "twin" or fair is None:
            before = float(seen.own[part.digit])
        else:
            before = float(fair.unbiased[part.digit])
        scores = {
            name: Scores.of(t.measures, name in bounded, part.digit)
            for name, t in told.items()
            if t.measures is not None
        }
        digits = seen.scenes.digit
        return cls(
            part=part,
            own=seen.own,
            unbiased=seen.unbiased,
            before=before,
            asked=np.bincount(digits[seen.asked], minlength=10),
            missed=np.bincount(digits[~seen.asked], minlength=10),
            seconds=seconds,
            told=told,
            scores=scores,
        )

    @property
    def after(self) -> float:
        """IoU of the biased class on unbiased pictures; NaN for an unbiased network."""
        return float("nan") if self.part.digit is None else float(self.unbiased[self.part.digit])

    @property
    def took_up(self) -> bool:
        """Whether the network hangs on the texture: see `statistics.DROP`."""
        return took_up(self.before, self.after)

    def to_dict(self) -> dict[str, Any]:
        """Plain form."""
        part = self.part
        return {
            "name": part.name,
            "kind": part.kind,
            "digit": part.digit,
            "other": getattr(part.plant, "other", None),
            "texture": part.texture,
            "seed": part.seed,
            "training_stream": part.stream("train"),
            "test_stream": part.stream("test"),
            "iou_own": self.own.tolist(),
            "iou_unbiased": self.unbiased.tolist(),
            "iou_before": self.before,
            "iou_after": self.after,
            "took_up": self.took_up if part.digit is not None else None,
            "asked": self.asked.tolist(),
            "missed": self.missed.tolist(),
            "training_seconds": self.seconds,
            "methods": {name: self._method(name) for name in self.told},
        }

    def _method(self, name: str) -> dict[str, Any]:
        told = self.told[name]
        if name not in self.scores:
            return {"failure": told.failure}
        s = self.scores[name]
        return {
            "cbl": s.cbl,
            "cbl_pixels": s.cbl_pixels,
            "cbd": s.cbd.tolist(),
            "cbd_pixels": s.cbd_pixels.tolist(),
            "pictures": s.pictures,
            "empty": s.empty,
            "dead": told.dead,
            "seconds_per_picture": told.seconds,
            "passes_per_picture": told.passes,
        }


def _by_class(digit: NDArray[np.int64], values: Floats, over: Floats | None) -> Floats:
    """[10]: means by class, over the greatest of `over` where it is given."""
    scale = 1.0
    if over is not None:
        scale = float(np.nanmax(over)) if np.isfinite(over).any() else float("nan")
    means = np.array([mean_known(values[digit == c]) for c in range(10)])
    # A method whose maps are all zero has no scale: its CBD is undefined.
    return means / scale if scale else np.full(10, np.nan)
