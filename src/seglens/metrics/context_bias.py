"""How much context a mask marks, and how much of that lies where a bias was planted: CBD and CBL."""

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from seglens.core.errors import ParameterError, ShapeError
from seglens.core.frame import Frame
from seglens.metrics.score import Score
from seglens.perturb.cells import cells_of, pooled

Doubles = NDArray[np.float64]

CBD = Score("CBD", "Σ context · |mask| / Σ context", "the object leaves no context")
"""Context bias detection, in [0, 1] for masks in [0, 1]. A detector, not a grade: it is to be high for a network that
hangs on the context, and near 0 for one that does not."""

CBL = Score("CBL", "Σ cue · |mask| / Σ context · |mask|", "no saliency lies in the context")
"""Context bias localisation, in [0, 1]. More is better; a mask that is the same everywhere has the cue's share of the
context, ½ where the cue fills one half of the picture."""

_ROUNDING = 1e-6


def cbd(mask: ArrayLike, context: ArrayLike) -> Doubles:
    """CBD = Σ C∘|M| / Σ C: the mean of mask M [… h w] over the true context C [… h w], [ … ].

    C: 1 outside the object's true mask and 0 in it, or the share of each cell that lies outside it (`on_cells`); the
    dimensions before the last two are broadcast. Linear in masks that are never negative, and in the mask's unit: the
    masks of the paper lie in [0, 1], a gradient map has to be divided by what the benchmark says. A signed map counts
    by its absolute values, as the paper's norm says.
    NaN where there is no context, and where the mask is NaN.

    Source: Hoyer et al. 2019, Grid Saliency for Context Explanations of Semantic Segmentation, eq. 6.
    Raises ShapeError, ParameterError for a context that does not lie in [0, 1].
    """
    m, c = _fitting(mask, context)
    return _ratio(_sum(c, m), _sum(c, np.ones(m.shape)))


def cbl(mask: ArrayLike, cue: ArrayLike, context: ArrayLike) -> Doubles:
    """CBL = Σ C_cue∘|M| / Σ C∘|M|: the share of what mask M [… h w] marks in the context that lies in the cue, [ … ].

    C_cue: the part of the context C that shows what the class was coupled with; both as in `cbd`. The scale of M does
    not matter. NaN where M is zero all over the context, and where it is NaN.

    Two versions of both scores: with M on its own coarse grid and the areas as `on_cells` gives them, or all of them
    pixel by pixel. They differ, because a coarse mask that is spread linearly runs over the edge of the cue: of 4 × 4
    cells on a picture without an object whose cue is the upper half, the two upper rows together reach 0.9375 of the
    pixel version at most, and the second row alone 0.875.

    Source: as `cbd`, eq. 7. Raises ShapeError, ParameterError for areas outside [0, 1] or a cue outside the context.
    """
    m, c, q = _fitting(mask, context, cue)
    if (q > c + _ROUNDING).any():
        raise ParameterError(
            "the cue is to be a part of the context, and some of it lies outside.\n"
            "  Leave the object out of the cue: cue & context."
        )
    return _ratio(_sum(q, m), _sum(c, m))


def on_cells(area: ArrayLike, cells: tuple[int, int]) -> Doubles:
    """Which share of each of cells [… h w] a mask [… H W] covers: its mean over the cell, in [0, 1].

    A pixel on the border of two cells counts in both, by its parts. Raises ShapeError, ParameterError for more cells
    than pixels.
    """
    a = np.asarray(area, np.float64)
    if a.ndim < 2:
        raise ShapeError(f"an area is [… height width], not {list(a.shape)}.", a.shape)
    grid = a.shape[-2:]
    flat = torch.from_numpy(a.reshape(-1, *grid))
    if not len(flat):
        return np.zeros((*a.shape[:-2], *cells))
    means = pooled(flat, cells_of(cells, grid), (Frame.identity(grid),) * len(flat))
    return means.numpy().reshape(*a.shape[:-2], *cells)


def _fitting(mask: ArrayLike, *areas: ArrayLike) -> tuple[Doubles, ...]:
    """All as float64, broadcast in the dimensions before the last two."""
    m, *found = (np.asarray(v, np.float64) for v in (mask, *areas))
    for area in found:
        if m.ndim < 2 or area.ndim < 2 or m.shape[-2:] != area.shape[-2:]:
            raise ShapeError(
                f"a mask of {list(m.shape)} and an area of {list(area.shape)} do not lie on one grid.\n"
                "  on_cells(area, mask.shape[-2:]) gives the area on the mask's cells.",
                area.shape,
            )
        if not ((area >= 0) & (area <= 1 + _ROUNDING)).all():
            raise ParameterError("context and cue are shares of pixels or cells, in [0, 1], without NaN.")
    try:
        # The dimensions before the grid stay as they are: sums are taken over the grid alone.
        shape = np.broadcast_shapes(m.shape, *(a.shape for a in found))
    except ValueError as differ:
        listed = ", ".join(str(list(a.shape)) for a in (m, *found))
        raise ShapeError(f"mask and areas of {listed} are not as many.", m.shape) from differ
    return tuple(np.broadcast_to(a, shape) for a in (m, *found))


def _sum(area: Doubles, mask: Doubles) -> Doubles:
    # An infinite value outside the area is 0 · ∞: undefined, as NaN is there.
    with np.errstate(invalid="ignore"):
        return np.asarray((area * np.abs(mask)).sum((-2, -1)))


def _ratio(over: Doubles, under: Doubles) -> Doubles:
    """over / under, NaN where under is 0."""
    with np.errstate(invalid="ignore"):
        return np.divide(over, under, out=np.full(under.shape, np.nan), where=under != 0)
