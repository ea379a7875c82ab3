"""Random context to hold salient context against: as many pixels, as far from the region, as ragged."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import missing_extra

_NEAR = 8  # pixels within which rings around the region are one pixel wide; beyond, an eighth of their distance
_HALVINGS = 7
_CLOSE = 1.03  # ratio of two lengths of outline that are as good as equal


def distance_to(region: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Distance [*grid] from each pixel's centre to that of the nearest pixel of the region, in pixels; needs scipy."""
    try:
        from scipy.ndimage import distance_transform_edt
    except ImportError as absent:
        raise missing_extra("scipy", "image", "measuring distances to a region") from absent
    return np.asarray(distance_transform_edt(~region), np.float64)


def matched(
    salient: NDArray[np.bool_], context: NDArray[np.bool_], distance: NDArray[np.float64], n: int, seed: int = 0
) -> NDArray[np.bool_]:
    """n random parts of the context, bool [n *grid], that are to `salient` (a part of it) as chance would have it.

    Each has exactly as many pixels as `salient` in every ring around the region; rings are a pixel wide up to a
    distance of 8, and then an eighth of their distance. In a ring it takes the greatest values of a field of Gaussian
    noise, which is smoothed so that the parts have as long an outline as `salient`: blobs for blobs, scattered pixels
    for scattered ones. (What is as solid as a disc is matched by what is a little more ragged.) They may overlap
    `salient`, as any random part may. distance: of each pixel from the region. The i-th part hangs on the seed and i
    alone.
    """
    ring = _rings(distance[context])
    need = np.bincount(ring[salient[context]], minlength=int(ring.max(initial=0)) + 1)
    sigma = _smoothness(salient, context, ring, need, seed)
    drawn = [_part(_noise(context.shape, (seed, 1, i)), sigma, context, ring, need) for i in range(n)]
    return np.stack(drawn) if drawn else np.zeros((0, *context.shape), bool)


def outline(part: NDArray[np.bool_], context: NDArray[np.bool_]) -> int:
    """How many pairs of neighbours in the context are parted: one inside, one outside."""
    return sum(int((_ahead(context, d) & _behind(context, d) & (_ahead(part, d) ^ _behind(part, d))).sum())
               for d in range(part.ndim))  # fmt: skip


def _rings(distance: NDArray[np.float64]) -> NDArray[np.intp]:
    far = _NEAR + np.floor(_NEAR * np.log(np.maximum(distance, _NEAR) / _NEAR))
    return np.where(distance < _NEAR, np.floor(distance), far).astype(np.intp)


def _part(
    spectrum: NDArray[np.complex128],
    sigma: float,
    context: NDArray[np.bool_],
    ring: NDArray[np.intp],
    need: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """The `need[r]` greatest values of the smoothed noise in each ring r of the context."""
    field = np.fft.irfftn(spectrum * _low_pass(context.shape, sigma), context.shape, axes=range(context.ndim))
    order = np.lexsort((-field[context], ring))
    first = np.concatenate([[0], np.cumsum(np.bincount(ring, minlength=len(need)))])
    rank = np.arange(len(order)) - first[ring[order]]
    inside = np.zeros(len(order), bool)
    inside[order] = rank < need[ring[order]]
    part = np.zeros(context.shape, bool)
    part[context] = inside
    return part


def _smoothness(
    salient: NDArray[np.bool_],
    context: NDArray[np.bool_],
    ring: NDArray[np.intp],
    need: NDArray[np.intp],
    seed: int,
) -> float:
    """σ in pixels at which random parts have, on average, as long an outline as `salient`, or as nearly as can be."""
    goal = outline(salient, context)
    pilots = [_noise(context.shape, (seed, 0, j)) for j in range(2)]

    def length(sigma: float) -> float:
        return float(np.mean([outline(_part(p, sigma, context, ring, need), context) for p in pilots]))

    # Smoother still, the noise would be the same everywhere.
    low, high = 0.2, max(context.shape) / 4
    if not goal or length(low) <= goal:
        return low if goal else high
    for _ in range(_HALVINGS):
        sigma = (low * high) ** 0.5
        found = length(sigma)
        if goal / _CLOSE <= found <= goal * _CLOSE:
            return sigma
        low, high = (sigma, high) if found > goal else (low, sigma)
    return (low * high) ** 0.5


def _noise(shape: tuple[int, ...], entropy: tuple[int, ...]) -> NDArray[np.complex128]:
    """Spectrum of white Gaussian noise."""
    return np.fft.rfftn(np.random.default_rng(entropy).standard_normal(shape), axes=range(len(shape)))


def _low_pass(shape: tuple[int, ...], sigma: float) -> NDArray[np.floating]:
    """What a Gaussian of that many pixels leaves of each frequency, round the edges."""
    kept = np.ones(())
    for f in _frequencies(shape):
        kept = kept[..., None] * np.exp(-2 * (np.pi * sigma * f) ** 2)
    return kept


def _frequencies(shape: tuple[int, ...]) -> Iterator[NDArray[np.floating]]:
    for n in shape[:-1]:
        yield np.fft.fftfreq(n)
    yield np.fft.rfftfreq(shape[-1])


def _ahead(values: NDArray[np.bool_], dim: int) -> NDArray[np.bool_]:
    return np.moveaxis(values, dim, 0)[1:]


def _behind(values: NDArray[np.bool_], dim: int) -> NDArray[np.bool_]:
    return np.moveaxis(values, dim, 0)[:-1]
