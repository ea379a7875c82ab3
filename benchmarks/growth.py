"""How long a region takes to grow over the segments of a street, beside the naive form of the same text."""

import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import seglens as sl
from seglens.datasets import Streets
from seglens.methods._growth import grow
from seglens.perturb.segments import felzenszwalb_segments

SIZES = ((224, 224), (1024, 2048))
NAIVE_PIXELS = 224 * 224
"""Of the largest picture on which the naive form is run: its cost goes with pixels times segments, squared."""
LEAST = 50
"""Pixels of 224² that a segment must add to an XRAI map; in proportion in other pictures."""

CONVENTIONS = (
    "growth: segments and attribution given. naive: every segment's mean taken anew, pixel by pixel, at every step; "
    "our own reading of the published text, on the smaller pictures, run once. PAIR's package is not run.",
)


@dataclass(frozen=True, slots=True)
class Growth:
    """Processor seconds of one growth, ours (median) and the naive form's (one run); None where that was not run.

    difference: max |ours − naive| / max |naive|.
    """

    size: tuple[int, int]
    method: str
    segments: int
    seconds: float
    naive: float | None = None
    difference: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return asdict(self)


def growth(size: tuple[int, int], method: str, repetitions: int) -> Growth:
    """Grow on a held-out street of this size as `xrai` does (dilated segments, a least gain) or as `ssm`.

    The attribution is brightness with noise on it: what growth costs hangs on the segments, hardly on the network.
    """
    dilated = method == "xrai"
    image = torch.from_numpy(Streets(1, size=size, seed=1_000_000)[0].image)
    x = image.permute(2, 0, 1)[None].float() / 255
    (segments,) = felzenszwalb_segments(sl.Network(module=nn.Identity()), x, None, dilate=dilated)
    noise = torch.randn(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    attribution = (x.mean(1) + noise)[None]
    least = max(1, round(LEAST / 224**2 * size[0] * size[1])) if dilated else 1
    times: list[float] = []
    found = np.zeros(0)
    for _ in range(repetitions):
        start = time.process_time()
        found = grow(attribution, [segments], least=[least])[0, 0].numpy()
        times.append(time.process_time() - start)
    if size[0] * size[1] > NAIVE_PIXELS:
        return Growth(size, method, len(segments), median(times))
    masks = segments.masks()
    start = time.process_time()
    expected = naive_growth(attribution[0, 0].numpy(), masks, least)
    naive = time.process_time() - start
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    return Growth(size, method, len(segments), median(times), naive, difference)


def naive_growth(attribution: NDArray[np.float64], masks: NDArray[np.bool_], least: int) -> NDArray[np.float64]:
    """Map [H W] of an attribution [H W] over masks [S H W], as the text has it.

    At each step every remaining mask is counted and averaged over what is not yet covered; those that would add fewer
    than `least` pixels go, the largest mean is taken; at the end what is left gets its own mean.
    """
    grown = np.zeros_like(attribution)
    uncovered = np.ones(attribution.shape, dtype=bool)
    remaining = list(range(len(masks)))
    while remaining:
        means: dict[int, float] = {}
        for s in remaining:
            gain = attribution[masks[s] & uncovered]
            if gain.size >= least:
                means[s] = float(gain.mean())
        if means:
            best = max(means, key=means.__getitem__)
            new = masks[best] & uncovered
            grown[new] = means.pop(best)
            uncovered &= ~new
        remaining = list(means)
    if uncovered.any():
        grown[uncovered] = attribution[uncovered].mean()
    return grown
