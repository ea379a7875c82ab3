"""Parts of a picture to be replaced one at a time: patches that slide over it, or segments of several scales."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import torch
from torch import Tensor

from seglens.core.frame import Frame
from seglens.perturb.padding import repeated


class Parts(Protocol):
    """The parts of one picture, numbered from 0. Each pixel lies in at least one.

    Padding goes with the pixel that it repeats.
    """

    def __len__(self) -> int: ...

    def mask(self, i: int) -> Tensor:
        """bool [*grid]: the pixels of part i."""
        ...

    def layers(self) -> Iterator[Tensor]:
        """int64 [*grid], one after another: in which part a pixel lies. −1: in no further one."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Patches:
    """Boxes of one size that slide over a picture, the first at its beginning and the last at its end.

    spans: in each dimension first and last pixel + 1 of each place of a box; a box is one place in each dimension.
    """

    grid: tuple[int, ...]
    spans: tuple[tuple[tuple[int, int], ...], ...]
    device: torch.device

    @classmethod
    def over(cls, frame: Frame, size: int, stride: int, device: torch.device) -> "Patches":
        """Boxes with sides of `size` pixels (or the picture's, where that is less), at most `stride` apart.

        Where the strides do not end at the picture's edge, the boxes move together evenly: all are of full size.
        """
        spans: list[tuple[tuple[int, int], ...]] = []
        for shown, n in zip(frame.resized, frame.grid, strict=True):
            room = max(shown - size, 0)
            steps = -(-room // stride)
            starts = [(2 * i * room + steps) // (2 * steps) for i in range(steps + 1)] if steps else [0]
            ends = [min(start + size, shown) for start in starts]
            ends[-1] = n
            spans.append(tuple(zip(starts, ends, strict=True)))
        return cls(frame.grid, tuple(spans), device)

    def __len__(self) -> int:
        n = 1
        for places in self.spans:
            n *= len(places)
        return n

    def mask(self, i: int) -> Tensor:
        """bool [*grid]: the pixels of box i, numbered row by row."""
        at: list[slice] = []
        for places in reversed(self.spans):
            i, k = divmod(i, len(places))
            at.append(slice(*places[k]))
        inside = torch.zeros(self.grid, dtype=torch.bool, device=self.device)
        inside[tuple(reversed(at))] = True
        return inside

    def layers(self) -> Iterator[Tensor]:
        """In which box a pixel lies: the first that covers it, the second, …, in every dimension."""
        sides = [self._covering(d) for d in range(len(self.grid))]
        for chosen in product(*(range(len(side)) for side in sides)):
            ids = torch.zeros((), dtype=torch.int64, device=self.device)
            known = torch.ones((), dtype=torch.bool, device=self.device)
            for d, (side, k) in enumerate(zip(sides, chosen, strict=True)):
                line = side[k].reshape(-1, *[1] * (len(self.grid) - 1 - d))
                ids = ids * len(self.spans[d]) + line
                known = known & (line >= 0)
            yield torch.where(known, ids, -1).expand(self.grid)

    def _covering(self, d: int) -> Tensor:
        """int64 [L n]: the places along one dimension that cover each pixel of it, −1 where there are fewer than L."""
        starts, ends = (torch.tensor(side) for side in zip(*self.spans[d], strict=True))
        at = torch.arange(self.grid[d])
        # Starts and ends rise together, so those that cover a pixel follow each other.
        first = torch.searchsorted(ends, at, right=True)
        count = torch.searchsorted(starts, at, right=True) - first
        k = torch.arange(int(count.max()))[:, None]
        return torch.where(k < count, first + k, -1).to(self.device)


@dataclass(frozen=True, slots=True, eq=False)
class Superpixels:
    """Segments of several divisions of one picture. ids: int64 [L *grid], numbered on from one division to the next."""

    ids: Tensor

    @classmethod
    def of(cls, labels: Sequence[Tensor], frame: Frame) -> "Superpixels":
        """From divisions [*grid], each numbered from 0, with −1 for padding."""
        found: list[Tensor] = []
        begun = 0
        for one in labels:
            one = repeated(one[None], frame)[0]
            found.append(one + begun)
            begun += int(one.max()) + 1
        return cls(torch.stack(found))

    def __len__(self) -> int:
        return int(self.ids.max()) + 1

    def mask(self, i: int) -> Tensor:
        """bool [*grid]: the pixels of segment i."""
        return (self.ids == i).any(0)

    def layers(self) -> Iterator[Tensor]:
        """In which segment of each division a pixel lies."""
        return iter(self.ids)
