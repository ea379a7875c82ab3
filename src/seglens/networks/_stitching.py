"""Where tiles lie on a picture, and which tile each position of a stitched output is taken from."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import ceil, floor

from seglens.core._sight import Line
from seglens.core.errors import ParameterError

Box = tuple[slice, ...]
"""A slice along each dimension of space."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Tiles along one dimension of a picture: from `starts` to `ends` (exclusive), in order, each overlapping the next.

    Every start is a multiple of the network's stride, so that each tile meets the network's grids as the whole
    picture does. The first begins and the last ends where the picture does: nothing but the picture's own borders is
    ever padded by the network inside a core.
    """

    starts: tuple[int, ...]
    ends: tuple[int, ...]

    @classmethod
    def over(cls, n: int, size: int, overlap: int, unit: int) -> "Rows":
        """Tiles of `size` over n pixels, overlapping by `overlap`, all multiples of `unit`; the last may be shorter."""
        if n <= size:
            return cls((0,), (n,))
        last = -(-(n - size) // unit) * unit
        starts = (*range(0, last, size - overlap), last)
        return cls(starts, tuple(min(s + size, n) for s in starts))

    def __len__(self) -> int:
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Cuts:
    """How one tensor of the tiles (a layer's map, or the output) is joined along one dimension.

    bases: where each tile's first position lies in the whole. lengths: positions of each tile. borders: between which
    positions of the whole each tile is the source, one more than there are tiles. covered: whether every position
    taken sees, of the tile it comes from, nothing but what it would see of the whole picture. shared: for each inner
    border, whether the position before it is covered in the tile after it too, so that both must agree there.
    """

    bases: tuple[int, ...]
    lengths: tuple[int, ...]
    borders: tuple[int, ...]
    covered: bool
    shared: tuple[bool, ...]

    def within(self, t: int) -> slice:
        """The core of tile t in the whole."""
        return slice(self.borders[t], self.borders[t + 1])

    def core(self, t: int) -> slice:
        """The core of tile t among the tile's own positions."""
        return slice(self.borders[t] - self.bases[t], self.borders[t + 1] - self.bases[t])

    def whole(self, t: int) -> slice:
        """All of tile t in the whole."""
        return slice(self.bases[t], self.bases[t] + self.lengths[t])


def cuts(rows: Rows, lengths: Sequence[int], line: Line | None) -> Cuts:
    """Where tensors of those `lengths`, one a tile, are cut and joined.

    line: the affine law of their receptive fields, None where there is none. With it, a border lies in the middle of
    the positions that are covered in both tiles; where there are none, and without it, in the middle of the overlap.
    Raises ParameterError where tiles leave a gap between them.
    """
    jump = line.jump if line else Fraction(rows.ends[0] - rows.starts[0], max(lengths[0], 1))
    bases = [s / jump for s in rows.starts]
    aligned = all(b.denominator == 1 for b in bases)
    at = [floor(b) for b in bases]
    borders, shared, covered = [0], list[bool](), aligned and (line is not None or len(rows) == 1)
    for t in range(1, len(rows)):
        stop, start = rows.ends[t - 1], rows.starts[t]
        lowest, highest = at[t], at[t - 1] + lengths[t - 1]
        if lowest > highest:
            raise ParameterError(
                f"tiles that overlap by {stop - start} pixels leave a gap in what the network gives, which is smaller "
                "than its input.\n  Give a larger overlap."
            )
        centre = (line.lo + line.hi) / 2 if line else (jump - 1) / 2
        border = ceil((Fraction(stop + start - 1, 2) - centre) / jump)
        both = False
        if line is not None and aligned:
            # Covered in the tile after: from `first`; in the tile before: up to, and without, `end`.
            first, end = ceil((start - line.lo) / jump), floor((stop - 1 - line.hi) / jump) + 1
            if first <= end:
                border = (first + end + 1) // 2
                both = border > first
            else:
                covered = False
        borders.append(min(max(border, lowest), highest))
        shared.append(both)
    borders.append(at[-1] + lengths[-1])
    return Cuts(tuple(at), tuple(lengths), tuple(borders), covered, tuple(shared))


def indices(rows: Sequence[Rows]) -> list[tuple[int, ...]]:
    """The tiles by their place along each dimension, in reading order."""
    return list(product(*(range(len(r)) for r in rows)))


def extent(rows: Sequence[Rows], tile: Sequence[int]) -> Box:
    """The pixels of a tile."""
    return tuple(slice(r.starts[t], r.ends[t]) for r, t in zip(rows, tile, strict=True))
