"""The edge of a region: as lines between pixels for drawings, as pixels for bare pictures."""

import numpy as np
from numpy.typing import NDArray

Segments = NDArray[np.float64]
"""Straight lines [S 4]: x0, y0, x1, y1 in pixels, (0, 0) being the image's upper left corner."""

MOST = 20_000
"""Lines beyond which an outline is drawn coarser: more cannot be told apart in print."""


def edges(region: NDArray[np.bool_], most: int = MOST) -> Segments:
    """Lines [S 4] between the pixels of `region` [H W] and the others; the image's border counts as other.

    Straight runs are one line. A region so ragged that it has more than `most` lines is coarsened
    (any pixel of 2 x 2, repeatedly) until it has not.
    """
    height, width = region.shape
    cell, coarse = 1, region
    while len(found := _runs(coarse)) > most and max(coarse.shape) > 1:
        cell *= 2
        rows, columns = -(-height // cell), -(-width // cell)
        padded = np.zeros((rows * cell, columns * cell), bool)
        padded[:height, :width] = region
        coarse = np.asarray(padded.reshape(rows, cell, columns, cell).any((1, 3)))
    found = found * cell
    found[:, 0::2] = found[:, 0::2].clip(0, width)
    found[:, 1::2] = found[:, 1::2].clip(0, height)
    return found


def _runs(region: NDArray[np.bool_]) -> Segments:
    inside = np.pad(region, 1).astype(np.int8)
    # A change keeps its sign along a run, so that two regions that touch at a corner stay apart.
    across = _straight(np.diff(inside, axis=0)[:, 1:-1])
    down = _straight(np.diff(inside, axis=1)[1:-1].T)
    return np.concatenate([across, down[:, [1, 0, 3, 2]]])


def _straight(change: NDArray[np.int8]) -> Segments:
    """Maximal runs of equal non-zero values along each row of `change`: x0, y, x1, y."""
    padded = np.pad(change, ((0, 0), (1, 1)))
    turn = np.diff(padded, axis=1) != 0
    y0, x0 = np.nonzero(turn & (padded[:, 1:] != 0))
    _, x1 = np.nonzero(turn & (padded[:, :-1] != 0))
    return np.column_stack([x0, y0, x1, y0]).astype(np.float64)


def painted(picture: NDArray[np.uint8], region: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`picture` [H W 3] with the edge of `region` [H W] painted in: white between two lines of black.

    White lies on the region's outermost pixels, black on both sides of it, so that one of them
    shows on any background, also where the region ends at the image's border. The line's width
    follows the image's size. A picture with a side below 4 pixels has no room and stays as it is.
    """
    if min(region.shape) < 4 or not region.any():
        return picture.copy()
    width = max(1, round(min(region.shape) / 300))
    core = _eroded(region, width)
    white = region & ~core
    black = (_dilated(region, width) & ~region) | (core & ~_eroded(core, width))
    out = picture.copy()
    out[black] = 0
    out[white] = 255
    return out


def _dilated(region: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """All pixels within `by` of the region, in either direction (a square)."""
    for axis in (0, 1):
        padded = np.moveaxis(region, axis, 0)
        padded = np.pad(padded, ((by, by), (0, 0)))
        views = np.lib.stride_tricks.sliding_window_view(padded, 2 * by + 1, axis=0)
        region = np.moveaxis(np.asarray(views.any(-1)), 0, axis)
    return region


def _eroded(region: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """Pixels farther than `by` from all that is not region, the image's outside included."""
    return ~_dilated(np.pad(~region, by, constant_values=True), by)[by:-by, by:-by]
