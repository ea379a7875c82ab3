"""Vanilla gradient: how much the score moves with each pixel."""

from dataclasses import dataclass
from typing import Annotated, Literal

from torch import Tensor

from seglens.core.maps import PER_INPUT, Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Help, check_parameters
from seglens.core.slopes import slopes
from seglens.core.targets import Targets
from seglens.methods._grid import CELLS, CONTEXT, Variant
from seglens.perturb.cells import Cells

Reduction = Literal["sum", "max", "l2", "signed"]


def over_channels(gradient: Tensor, how: Reduction) -> Tensor:
    """[… C *grid] to [… *grid] for gradients [B T C *grid]: Σ|·|, max|·|, √Σ(·)², or Σ(·) with its sign."""
    if how == "sum":
        return gradient.abs().sum(2)
    if how == "max":
        return gradient.abs().amax(2)
    if how == "l2":
        return gradient.square().sum(2).sqrt()
    return gradient.sum(2)


@METHODS.register("saliency")
@dataclass(frozen=True, slots=True)
class Saliency:
    """Σ_channels |∂S/∂x|, in units of score per unit of the network's input.

    Source: Simonyan et al. 2014, arXiv:1312.6034 (there the maximum over channels; grid saliency takes the sum).
    context: (1 − R) ∘ map (grid saliency's eq. 5; NaN where the region leaves nothing). cells: then the mean over each
    cell, which all its pixels get, and which the extra 'cells' [B T *cells] holds. Cost: (1 + T) F for T targets.
    """

    channels: Annotated[Reduction, Help("how input channels become one: sum, max or l2 of sizes; signed sum")] = "sum"
    context: Annotated[bool, Help(CONTEXT)] = False
    cells: Annotated[Cells | None, Help(CELLS)] = None

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, RegionError."""
        targets = Targets.of(targets)
        with slopes(network, x, targets) as found:
            variant = Variant.of(found.scores, targets.frames_of(x), self.context, self.cells)
            values, extras = variant(over_channels(found.linear(lambda g: g), self.channels))
            return finish(
                values,
                found.scores,
                found.values,
                found.output,
                signed=self.channels == "signed",
                unit=PER_INPUT,
                extras=extras,
                blank=variant.blank,
            )
