"""Grad-CAM++: gradients weighed by how much each place contributes."""

from dataclasses import dataclass
from math import prod
from typing import Annotated

import torch
from torch import Tensor

from seglens.core.maps import Maps
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Help, check_parameters
from seglens.core.slopes import Slopes
from seglens.core.targets import Targets
from seglens.methods._cam import class_activation


@METHODS.register("grad-cam-plus-plus")
@dataclass(frozen=True, slots=True)
class GradCAMPlusPlus:
    """ReLU Σ_k w_k A_k, w_k = Σ_uv a·ReLU(G), a = G² / (2G² + (Σ_uv A_k)·G³), 0/0 → 0, G = ∂S/∂A_k.

    Source: Chattopadhay et al. 2018, arXiv:1710.11063. The closed form holds for exp(S), which is never evaluated.
    a is not homogeneous in G: it is taken for the sum over the region's output pixels, and the map divided by their
    number for a mean (on the mean itself a would fall to ½ everywhere). A pixel of a smaller output counts once,
    however many of the input's it covers, so that a classifier is a segmenter of one pixel. In units of score.
    Cost: F + T τ F, less where targets share their region and the network ends in a 1×1 linear head (see Grad-CAM).
    """

    layer: Annotated[str | None, Help("the layer to read; by default the end of the encoder")] = None
    truncate: Annotated[bool, Help("cut the map to what the region can see")] = False

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises LayerNotFoundError, ShapeError, EmptyRegionError."""
        return class_activation(network, x, targets, self.layer, self._weigh, truncate=self.truncate)

    def _weigh(self, found: Slopes, a: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        total = a.flatten(2).sum(2).reshape(*a.shape[:2], *[1] * (a.ndim - 2))
        # In output pixels: upsampling the output must not change what a weighs.
        per_pixel = found.output[0, 0].numel() / prod(found.scores.grid) if found.scores.masks is not None else 1.0
        sizes = found.scores.sizes() * per_pixel
        coarse = a.new_zeros(a.shape[0], len(found), *a.shape[2:])
        for t, (g,) in found.each():
            size = sizes[:, t].reshape(-1, *[1] * (a.ndim - 1)).to(g)
            g = g * size
            # G² cancels, and with it all powers that could overflow.
            below = torch.where(g == 0, 0, 2 + total * g)
            share = torch.where(below == 0, 0, 1 / torch.where(below == 0, 1, below))
            w = (share * g.relu()).flatten(2).sum(2) / size.flatten(1)
            coarse[:, t] = torch.einsum("bk,bk...->b...", w, a)
        return coarse, {}
