"""LayerCAM: each place of each channel weighed by its own positive gradient."""

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


@METHODS.register("layer-cam")
@dataclass(frozen=True, slots=True)
class LayerCAM:
    """ReLU Σ_k ReLU(G_k) ∘ A_k, G = ∂S/∂A, with A the output of `layer`; in units of score.

    Source: Jiang et al. 2021, doi:10.1109/TIP.2021.3089943. Cost as Grad-CAM++.
    """

    layer: Annotated[str | None, Help("the layer to read; by default the end of the encoder")] = None

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises LayerNotFoundError, ShapeError, EmptyRegionError."""
        return class_activation(network, x, targets, self.layer, _weigh)


def _weigh(found: Slopes, a: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    coarse = a.new_zeros(a.shape[0], len(found), *a.shape[2:])
    for t, (g,) in found.each():
        coarse[:, t] = (g.relu() * a).sum(1)
    return coarse, {}
