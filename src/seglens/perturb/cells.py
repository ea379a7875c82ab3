"""Coarse grids of cells over a picture: masks spread from them to the pixels, and maps averaged over them."""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import torch
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.frame import Frame, resize, resize_labels
from seglens.core.parameters import Rule
from seglens.perturb.padding import repeated

SHORTER = 8
"""Cells along the shorter side of a picture where nobody says how many."""


def check_cells(given: Any) -> None:
    """Raise ParameterError for what is no number of cells in each dimension."""
    _parsed(given)


Cells = Annotated[str | tuple[int, ...], Rule(check_cells)]
"""Cells in each dimension, rows first: "4x4", "16x32", or a tuple of whole numbers."""


def cells_of(given: Cells | None, grid: tuple[int, ...]) -> tuple[int, ...]:
    """Cells in each dimension of the network's input grid; by default 8 along its shorter side, as square as can be.

    Raises ParameterError for another number of dimensions, and for more cells than pixels.
    """
    if given is None:
        shorter = min(grid)
        return tuple(max(1, round(min(SHORTER, shorter) * n / shorter)) for n in grid)
    cells = _parsed(given)
    if len(cells) != len(grid):
        raise ParameterError(f"{_times(cells)} cells are of {len(cells)} dimension(s), the input of {len(grid)}.")
    if any(c > n for c, n in zip(cells, grid, strict=True)):
        raise ParameterError(f"{_times(cells)} cells are more than the {_times(grid)} pixels of the input.")
    return cells


def spread(coarse: Tensor, frames: Sequence[Frame]) -> Tensor:
    """Coarse masks [n *cells] on the grid of their frames [n *grid], linear between the centres of cells.

    Differentiable. The cells share out the picture; its padding has the value of the pixel that it repeats. Where the
    cells divide the picture's sides, the mean over its pixels is the mean over the cells.
    """
    return _by_frame(coarse, frames, lambda some, frame: resize(some[:, None], frame.resized)[:, 0])


def tiled(coarse: Tensor, frames: Sequence[Frame]) -> Tensor:
    """As `spread`, but every pixel has the value of the cell in which its centre lies."""
    return _by_frame(coarse, frames, lambda some, frame: resize_labels(some, frame.resized))


def pooled(values: Tensor, cells: tuple[int, ...], frames: Sequence[Frame]) -> Tensor:
    """The mean of values [n *grid] over each cell of the picture, [n *cells].

    A pixel that several cells share counts in each by the part of it that lies there, so that the mean over the cells
    is the mean over the picture, whatever the sizes. Padding counts nowhere.
    """
    found: list[Tensor] = []
    for one, frame in zip(values, frames, strict=True):
        part = one[tuple(slice(0, n) for n in frame.resized)]
        for d, (n, c) in enumerate(zip(frame.resized, cells, strict=True)):
            part = torch.tensordot(_overlap(n, c).to(one), part.movedim(d, 0), dims=1).movedim(0, d)
        found.append(part)
    return torch.stack(found)


def _overlap(pixels: int, cells: int) -> Tensor:
    """[cells pixels]: which share of each cell each pixel covers, in one dimension; rows sum to 1."""
    edge = torch.arange(cells + 1, dtype=torch.float64) * pixels / cells
    at = torch.arange(pixels, dtype=torch.float64)
    lower, upper = torch.maximum(edge[:-1, None], at), torch.minimum(edge[1:, None], at + 1)
    return (upper - lower).clamp_min(0) * cells / pixels


def _by_frame(coarse: Tensor, frames: Sequence[Frame], onto: Callable[[Tensor, Frame], Tensor]) -> Tensor:
    """`onto` for the masks of each frame together, padded, in their order."""
    rows: dict[Frame, list[int]] = {}
    for i, frame in enumerate(frames):
        rows.setdefault(frame, []).append(i)
    if len(rows) == 1:
        return repeated(onto(coarse, frames[0]), frames[0])
    parts = [repeated(onto(coarse[some], frame), frame) for frame, some in rows.items()]
    order = torch.tensor([i for some in rows.values() for i in some], device=coarse.device)
    return torch.cat(parts)[order.argsort()]


def _parsed(given: Any) -> tuple[int, ...]:
    try:
        parts: list[Any] = given.lower().replace("×", "x").split("x") if isinstance(given, str) else list(given)
        found = tuple(int(part) for part in parts)
        exact = isinstance(given, str) or found == tuple(parts)
    except (TypeError, ValueError):
        found, exact = (), False
    if exact and found and min(found) >= 1 and math.prod(found) <= 2**20:
        return found
    raise ParameterError(f"to be the number of cells in each dimension, such as '4x4' or (16, 32), not {given!r}.")


def _times(size: tuple[int, ...]) -> str:
    return " × ".join(map(str, size))
