"""Random masks: coarse grids of kept and dropped cells, upsampled and shifted at random."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seglens.core.frame import Frame
from seglens.perturb.padding import repeated


@dataclass(frozen=True, slots=True)
class RandomMasks:
    """Masks M in [0, 1] on a grid: kept (1) or dropped (0) at the nodes of a coarse lattice, linear between them.

    Node by node 1 with probability `keep`, independently; the lattice is moved by a uniform part of one cell in each
    dimension. The cells are as long as wide: as many pixels as make `cells` of them a side where all sides are equal,
    and as many cells in all where they are not. Source: Petsiuk et al. 2018, arXiv:1806.07421. Unlike there the
    lattice goes on beyond the picture, so that a pixel at the edge is like any other:

    E[M(p)] = keep, Cov(M(p), M(q)) = keep (1 − keep) Π_d k((p_d − q_d) / cell), with k the cubic B-spline:
    k(δ) = 2/3 − δ² + |δ|³/2 for |δ| ≤ 1, (2 − |δ|)³/6 up to 2, then 0.

    The i-th mask is the same however masks are batched, and on any device.
    """

    grid: tuple[int, ...]
    cells: int
    keep: float
    seed: int = 0

    @property
    def cell(self) -> float:
        """Side of a cell in pixels: the geometric mean of the grid's sides over `cells`."""
        return math.prod(self.grid) ** (1 / len(self.grid)) / self.cells

    @property
    def nodes(self) -> tuple[int, ...]:
        """Nodes of the lattice in each dimension: enough for any shift."""
        return tuple(math.ceil(n / self.cell) + 2 for n in self.grid)

    def draw(self, start: int, stop: int, like: Tensor) -> Tensor:
        """Masks start … stop − 1, [n *grid], of the type and on the device of `like`."""
        drawn = [self._drawn(i) for i in range(start, stop)]
        values = torch.stack([kept for kept, _ in drawn]).to(like)
        shifts = torch.stack([shift for _, shift in drawn])
        for d, n in enumerate(self.grid):
            # Half-pixel centres, in cells from the first node.
            at = (torch.arange(n, dtype=torch.float64) + 0.5) / self.cell + shifts[:, d, None]
            below = at.floor()
            part = (at - below).to(like)
            values = values.movedim(1 + d, -1)
            side = (len(drawn), *[1] * (values.ndim - 2), n)
            index = below.long().to(like.device).reshape(side).expand(*values.shape[:-1], n)
            low, high = values.gather(-1, index), values.gather(-1, index + 1)
            values = (low + part.reshape(side) * (high - low)).movedim(-1, 1 + d)
        return values

    def _drawn(self, i: int) -> tuple[Tensor, Tensor]:
        """What the i-th mask hangs on: which nodes are kept, bool [*nodes], and the shift in cells, [d] in [0, 1)."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + i)
        kept = torch.rand(self.nodes, generator=generator, dtype=torch.float64) < self.keep
        return kept, torch.rand(len(self.grid), generator=generator, dtype=torch.float64)


@dataclass(frozen=True, slots=True)
class FramedMasks:
    """Random masks for images that lie on one grid, padded: each image's are those of its own size.

    Images of one size share them, and none depends on the company it is in. groups: such masks, how their images lie
    on the grid, and which of the batch they are.
    """

    groups: tuple[tuple[RandomMasks, Frame, tuple[int, ...]], ...]

    @classmethod
    def over(cls, frames: Sequence[Frame], cells: int, keep: float, seed: int = 0) -> "FramedMasks":
        """Masks for the images of these frames; see `RandomMasks`."""
        alike: dict[tuple[int, ...], list[int]] = {}
        for b, frame in enumerate(frames):
            alike.setdefault(frame.resized, []).append(b)
        return cls(
            tuple((RandomMasks(n, cells, keep, seed), frames[found[0]], tuple(found)) for n, found in alike.items())
        )

    def draw(self, start: int, stop: int, like: Tensor) -> Tensor:
        """Masks start … stop − 1, [n B *grid]; [n 1 *grid] where all images share them. See `RandomMasks.draw`."""
        drawn = [repeated(masks.draw(start, stop, like), frame) for masks, frame, _ in self.groups]
        if len(drawn) == 1:
            return drawn[0][:, None]
        of_image = {b: one for one, (_, _, images) in zip(drawn, self.groups, strict=True) for b in images}
        return torch.stack([of_image[b] for b in range(len(of_image))], 1)
