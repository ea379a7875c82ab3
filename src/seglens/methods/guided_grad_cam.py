"""Guided Grad-CAM: guided back-propagation where Grad-CAM is, and nowhere else."""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from seglens.core.frame import resize
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Help, check_parameters
from seglens.core.slopes import slopes
from seglens.core.targets import Targets
from seglens.methods._cam import check_space, warn_of_head
from seglens.methods._rectifiers import refuse_scripts
from seglens.methods.grad_cam import GradCAM
from seglens.methods.guided_backprop import guided_maps
from seglens.methods.saliency import Reduction
from seglens.networks.layers import default_layer_of

PER_INPUT_SQUARED = "{score}² per unit of input"


@METHODS.register("guided-grad-cam")
@dataclass(frozen=True, slots=True)
class GuidedGradCAM:
    """Σ_channels |Γ| ∘ up(ReLU Σ_k α_k A_k): guided back-propagation times Grad-CAM at `layer`, upsampled bilinearly.

    Source: Selvaraju et al. 2017, arXiv:1610.02391; Γ is that of `GuidedBackprop`, the α are means of the plain
    gradient. Extras: 'coarse', Grad-CAM on the layer's own grid, and 'alpha' [B T K]; picture: 'guided-backprop'.
    Not faithful to the network: the fine drawing is guided back-propagation's, which depends little on what the
    network learned (Adebayo et al. 2018, arXiv:1810.03292); only the coarse window over it is Grad-CAM's. For evidence
    read Grad-CAM. The map is zero where the region cannot be seen from. At a layer that feeds a linear head the window
    is the logit map, rescaled, of which a warning tells.
    In units of score² per unit of the network's input. Cost: F + min(T, m) τ F + T F for T targets, with τ and m as
    in Grad-CAM.
    """

    layer: Annotated[str | None, Help("the layer that Grad-CAM reads; by default the end of the encoder")] = None
    channels: Annotated[Reduction, Help("how input channels become one: sum, max or l2 of sizes; signed sum")] = "sum"

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid].

        Raises RectifierError where no rectifier is met, LayerNotFoundError, ShapeError, EmptyRegionError. Warns
        (GuessWarning) of steps whose inside cannot be seen.
        """
        refuse_scripts(network)
        layer = self.layer or default_layer_of(network, x)
        with slopes(network, x, Targets.of(targets), [layer], image=True) as found:
            cam = found.by(0)
            a = cam.at[0]
            check_space(network, layer, a, x)
            warn_of_head(cam, 0, layer)
            alpha = cam.linear(lambda g: g.flatten(2).mean(2))
            coarse = GradCAM().combine(alpha, a)
            fine = guided_maps(network, found.by(1), self.channels)
            return finish(
                fine * resize(coarse.float(), tuple(x.shape[2:])),
                found.scores,
                found.values,
                found.output,
                layer=layer,
                signed=self.channels == "signed",
                unit=PER_INPUT_SQUARED,
                extras={"coarse": coarse, "alpha": alpha},
                pictures={"guided-backprop": fine.float()},
            )
