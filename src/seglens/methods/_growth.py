"""Growing a region segment by segment, the strongest first: what XRAI, SSM and GSSM share."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.network import Network, upsampled
from seglens.methods.score_map import one_pixel
from seglens.perturb.segments import Segments

Floats = NDArray[np.float64]


def grow(attribution: Tensor, segments: Sequence[Segments], *, least: Sequence[int] | None = None) -> Tensor:
    """Maps [B T *grid], constant over the part by which each segment grew, of attributions [B T *grid].

    Repeatedly, the segment whose not yet covered pixels have the largest mean attribution is taken (of equals the
    first), and these pixels get that mean. A segment that would add fewer pixels than its image's `least` is dropped;
    what no segment covers in the end gets its own mean. Every part gets its mean, so that Σ map = Σ attribution.
    segments: one set for each image. Padding (where an image's segments have no place) is 0.

    Cost: O(number of (place, segment) pairs), and O(segments) for each step, for each image and target.
    """
    given = attribution.detach().cpu().double().numpy()
    maps = np.zeros_like(given)
    for b, own in enumerate(segments):
        inside = own.places >= 0
        here = own.places[inside]
        by_place = own.members.tocsc()
        for t, values in enumerate(given[b]):
            totals: Floats = np.bincount(here, weights=_summable(values[inside]), minlength=len(own.sizes)).astype(
                float
            )
            maps[b, t][inside] = _grown(totals, own.sizes, own.members, by_place, least[b] if least else 1)[here]
    return torch.from_numpy(maps).to(attribution.device, attribution.dtype)


def _grown(totals: Floats, sizes: NDArray[np.int64], members: Any, by_place: Any, least: int) -> Floats:
    """The map by places [P], from the attribution's sum over each [P] and their pixels [P]."""
    values = np.zeros(len(sizes))
    free = np.ones(len(sizes), dtype=bool)
    # Of each segment, over its uncovered pixels.
    total, count = members @ totals, members @ sizes
    means = np.divide(total, count, out=np.full(len(total), -np.inf), where=count >= least)
    while len(means) and (means[best := int(means.argmax())]) > -np.inf:
        held = members.indices[members.indptr[best] : members.indptr[best + 1]]
        new = held[free[held]]
        values[new] = means[best]
        free[new] = False
        touched, columns = _columns(by_place, new)
        lost = np.bincount(touched, sizes[columns], minlength=len(count))
        total -= np.bincount(touched, totals[columns], minlength=len(total))
        count -= lost
        where = np.flatnonzero(lost)
        left = count[where] >= least
        means[where] = np.where(left, total[where] / np.where(left, count[where], 1), -np.inf)
    if free.any():
        values[free] = totals[free].sum() / max(sizes[free].sum(), 1)
    return values


def _columns(matrix: Any, chosen: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Row and column of every entry of a CSC matrix in the columns `chosen`."""
    starts = matrix.indptr[chosen]
    lengths = matrix.indptr[chosen + 1] - starts
    # Runs start, start + 1, … of each length, one behind the other.
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return matrix.indices[np.repeat(starts, lengths) + within], np.repeat(chosen, lengths)


def _summable(values: Floats) -> Floats:
    """Values rounded so that float64 adds up any of them without an error, in whatever order.

    Sums that are updated step by step are then those taken anew, and equal means are equal numbers. The rounding is
    at most 2^-52 of the largest value times the number of values: 5e-10 of it for 2 million.
    """
    largest = float(np.abs(values).max(initial=0.0))
    if not largest or not np.isfinite(largest):
        return values
    # The sum of all lies below 2^top, so that multiples of 2^(top - 53) have exact sums.
    top = math.frexp(largest)[1] + len(values).bit_length()
    step = math.ldexp(1.0, max(top - 53, -1074))
    return np.rint(values / step) * step


def predicted_labels(network: Network, y: Tensor, grid: tuple[int, ...]) -> list[list[NDArray[np.int64]]]:
    """The masks of all predicted classes, for each image of raw output y, as labels [*grid], −1 for in no mask.

    One array where classes exclude each other, else one for each class that is predicted. An output without space is
    one pixel, shown everywhere; latent units without space have no masks, and need none.
    Raises ParameterError for units with space.
    """
    if network.link_for(y) == "none":
        if y.ndim == 2:
            return [[] for _ in range(len(y))]
        raise ParameterError(
            f"{network.name} gives units, not classes, so it predicts no masks.\n"
            "  Use ssm, which needs none, or state link = softmax or sigmoid in its description."
        )
    big = one_pixel(y, len(grid)) if y.ndim == 2 else upsampled(network, y, grid)
    each = (len(y), *grid)
    labels = network.labels(big)
    if labels is not None:
        return [[one] for one in labels.expand(each).cpu().numpy()]
    found: list[list[NDArray[np.int64]]] = [[] for _ in range(len(y))]
    for label in range(y.shape[1]):
        for own, mask in zip(found, network.members(big, label).expand(each).cpu().numpy(), strict=True):
            if mask.any():
                own.append(np.where(mask, 0, -1))
    return found
