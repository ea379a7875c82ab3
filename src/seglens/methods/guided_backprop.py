"""Guided back-propagation: the gradient with its negative part dropped at every rectifier."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from seglens.core.maps import PER_INPUT, Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Help, check_parameters
from seglens.core.slopes import Slopes, slopes
from seglens.core.targets import Targets
from seglens.methods._rectifiers import guided, refuse_scripts
from seglens.methods.saliency import Reduction, over_channels


@METHODS.register("guided-backprop")
@dataclass(frozen=True, slots=True)
class GuidedBackprop:
    """Σ_channels |Γ|, with Γ the gradient ∂S/∂x whose reverse pass at every rectifier φ is g ↦ max(g, 0) · φ′.

    Source: Springenberg et al. 2015, arXiv:1412.6806, whose rule g · 1[g > 0] · 1[output > 0] this is for ReLU, ReLU6,
    clamps at 0 and thresholds, as modules or functions, in place or reused, in exported programs too. For leaky ReLU,
    PReLU, RReLU, ELU, SELU, CELU, SiLU, GELU, Mish, hard swish and softplus it is our choice: the activation's own
    derivative stays. Gates (sigmoid, tanh, GLU) and clamps to other ranges are no rectifiers.
    Not faithful to the network: the map draws edges of the image, and changes little when the weights of the later
    layers are randomised (Adebayo et al. 2018, arXiv:1810.03292). Read it as a sharp drawing of what could be seen
    from the region, not as evidence of why the network decided.
    In units of score per unit of the network's input, though no derivative. Cost: (1 + T) F for T targets.
    """

    channels: Annotated[Reduction, Help("how input channels become one: sum, max or l2 of sizes; signed sum")] = "sum"

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid].

        Raises RectifierError where no rectifier is met, EmptyRegionError, NonFiniteError. Warns (GuessWarning) of
        steps whose inside cannot be seen.
        """
        refuse_scripts(network)
        with slopes(network, x, Targets.of(targets)) as found:
            values = guided_maps(network, found, self.channels)
            return finish(
                values, found.scores, found.values, found.output, signed=self.channels == "signed", unit=PER_INPUT
            )


def guided_maps(network: Network, found: Slopes, channels: Reduction) -> Tensor:
    """Guided maps [B T *grid] of every target, from slopes by x alone; each target by a pass of its own.

    The rule is not linear in the score, so that no pass can serve two targets.
    """
    with guided(network, found):
        return torch.cat([over_channels(g[:, None], channels) for _, (g,) in found.alone()], 1)
