"""HiResCAM: gradient × activation, place by place."""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from seglens.core.maps import Maps
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Help, check_parameters
from seglens.core.slopes import Slopes
from seglens.core.targets import Targets
from seglens.methods._cam import class_activation


@METHODS.register("hires-cam")
@dataclass(frozen=True, slots=True)
class HiResCAM:
    """ReLU Σ_k G_k ∘ A_k, G = ∂S/∂A, with A the output of `layer`; in units of score.

    Source: Draelos & Carin 2020, arXiv:2011.08891. Without the ReLU, and for a tail linear in A, it sums to S less the
    tail's bias. Cost as Grad-CAM.
    """

    layer: Annotated[str | None, Help("the layer to read; by default the end of the encoder")] = None
    relu: Annotated[bool, Help("keep only what speaks for the target")] = True

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises LayerNotFoundError, ShapeError, EmptyRegionError."""
        return class_activation(network, x, targets, self.layer, _weigh, relu=self.relu)


def _weigh(found: Slopes, a: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    return found.linear(lambda g: (g * a).sum(1)), {}
