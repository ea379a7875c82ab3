"""The seam error: how far tiles disagree where they meet, against how much the tensor varies at all."""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seglens.core.network import Network

ROUNDING = 4096
"""Machine epsilons of the spread up to which a difference is rounding: sums in another order, over many layers."""


@dataclass(frozen=True, slots=True)
class Seam:
    """Agreement of neighbouring tiles in one tensor: a layer's map, or the output.

    layer: 'path' or 'path#call', None for the output. covered: whether the overlap covers the receptive field, so that
    every position is what the whole picture gives. field: the receptive field in pixels per dimension, None where it
    is everything or unknown. positions: how many were compared; none where tiles share no position that is to agree.
    largest, rms: of the differences there, in standard deviations of the tensor, channel by channel; NaN for none.
    labels: share of those pixels to which the two tiles give different labels; NaN for a layer, and for no classes.
    rounding: differences up to here are rounding.
    """

    layer: str | None
    covered: bool
    field: tuple[int | None, ...]
    positions: int = 0
    largest: float = math.nan
    rms: float = math.nan
    labels: float = math.nan
    rounding: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether no difference beyond rounding was found."""
        return self.positions == 0 or self.largest <= self.rounding

    @property
    def exact(self) -> bool:
        """Whether the tensor is that of the untiled network: covered, and nothing found that speaks against it."""
        return self.covered and self.agrees

    def __str__(self) -> str:
        size = " × ".join("everything" if n is None else str(n) for n in self.field)
        differ = (
            f"tiles differ by up to {self.largest:.2g} standard deviations (rms {self.rms:.2g}) where they meet"
            if self.positions
            else "tiles share no position to compare"
        )
        if self.labels > 0:
            differ += f", and by label in {self.labels:.2%} of those pixels"
        if self.exact:
            return f"exact, the overlap covers the receptive field of {size} ({differ})"
        if self.covered:
            return f"not exact though the overlap covers the receptive field of {size}: {differ}"
        return f"not exact, the receptive field of {size} is larger than the overlap: {differ}"


@dataclass(slots=True)
class SeamMeter:
    """Gathers differences while tiles are joined."""

    network: Network | None
    _largest: Tensor | None = None
    _squares: Tensor | None = None
    _positions: int = 0
    _labels: int = 0
    _labelled: int = 0
    _eps: float = field(default=0.0)

    def compare(self, before: Tensor, after: Tensor) -> None:
        """Both tiles' values [B K …] at the same positions."""
        if not before.numel():
            return
        self._eps = torch.finfo(after.dtype).eps
        gap = (after.double() - before.double()).transpose(0, 1).flatten(1)
        largest, squares = gap.abs().amax(1), gap.square().sum(1)
        self._largest = largest if self._largest is None else torch.maximum(self._largest, largest)
        self._squares = squares if self._squares is None else self._squares + squares
        self._positions += gap.shape[1]
        if self.network is not None and self.network.link_for(after) != "none":
            a, b = (self._read(self.network, y) for y in (before, after))
            self._labels += int((a != b).sum())
            self._labelled += a.numel()

    def seam(self, layer: str | None, covered: bool, fields: tuple[int | None, ...], whole: Tensor) -> Seam:
        """The result, against the spread of the joined tensor [B K …]."""
        if self._largest is None or self._squares is None:
            return Seam(layer, covered, fields)
        spread = torch.stack(
            [
                whole[:, k].double().std(correction=0) if whole.numel() < 2**20 else whole[:, k].std()
                for k in range(whole.shape[1])
            ]
        ).to(self._largest)
        # A channel that hardly varies beside the others is measured against those.
        spread = spread.clamp_min(float(spread.max()) * 1e-3).clamp_min(torch.finfo(torch.float64).tiny)
        return Seam(
            layer,
            covered,
            fields,
            positions=self._positions,
            largest=float((self._largest / spread).max()),
            rms=math.sqrt(float((self._squares / spread.square()).sum()) / (self._positions * len(spread))),
            labels=self._labels / self._labelled if self._labelled else math.nan,
            rounding=min(ROUNDING * self._eps, 0.05),
        )

    @staticmethod
    def _read(network: Network, y: Tensor) -> Tensor:
        flat = network.labels(y)
        return flat if flat is not None else y > (0.5 if network.emits == "probabilities" else 0.0)
