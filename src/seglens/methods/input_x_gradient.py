"""Gradient × input: the first-order share of each pixel in the score."""

from dataclasses import dataclass

from torch import Tensor

from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.slopes import slopes
from seglens.core.targets import Targets


@METHODS.register("input-x-gradient")
@dataclass(frozen=True, slots=True)
class InputXGradient:
    """Σ_channels x ∘ ∂S/∂x, signed, in units of score; x as the network receives it, after normalisation.

    Source: Shrikumar et al. 2016, arXiv:1605.01713. For a network linear in x without bias the map sums to S.
    Cost: (1 + T) F for T targets.
    """

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError."""
        with slopes(network, x, Targets.of(targets)) as found:
            values = found.linear(lambda g: (g * found.at[0]).sum(1))
            return finish(values, found.scores, found.values, found.output)
