"""Grad-CAM at any layer, for any region: for segmentation, Seg-Grad-CAM."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from seglens.core.frame import resize
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Help, check_parameters
from seglens.core.slopes import Slopes, slopes
from seglens.core.targets import Targets
from seglens.methods._cam import check_space, class_activation, warn_of_head


@METHODS.register("grad-cam")
@dataclass(frozen=True, slots=True)
class GradCAM:
    """ReLU Σ_k α_k A_k, α_k = mean_uv ∂S/∂A_k(u, v), with A the output of `layer`; in units of score.

    Source: Selvaraju et al. 2017, arXiv:1610.02391; for segmentation (S a sum of logits over a region) Vinogradova et
    al. 2020, arXiv:2002.11434, which is `Target(c, region, reduce='sum')`. On logits, and rectified before it is
    upsampled; the paper's own code reads the softmax and resizes first. Extras: 'alpha' [B T K], 'coarse'.
    Warns where the map reaches beyond what the region can see, and at a layer that feeds a linear head.
    Cost: F + min(T, m) τ F, with τ the share of F behind the layer, and m the inputs of a 1×1 linear head where the T
    targets share their region (else T). Where a dense layer reads the whole layer, as the encoder of a VAE's does, the
    passes end at that layer's output, and there are none where the targets are part of it: all latent units for F.
    """

    layer: Annotated[str | None, Help("the layer to read; by default the end of the encoder")] = None
    weights: Annotated[
        Literal["signed", "absolute", "positive"], Help("α as it is, its size, or its positive part")
    ] = "signed"
    relu: Annotated[bool, Help("keep only what speaks for the target")] = True
    truncate: Annotated[bool, Help("cut the map to what the region can see")] = False

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises LayerNotFoundError, ShapeError, EmptyRegionError."""
        return class_activation(
            network,
            x,
            targets,
            self.layer,
            self._weigh,
            relu=self.relu,
            truncate=self.truncate,
            averages=True,
        )

    def _weigh(self, found: Slopes, a: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        alpha = found.linear(lambda g: g.flatten(2).mean(2), alike=True)
        return self.combine(alpha, a), {"alpha": alpha}

    def combine(self, alpha: Tensor, a: Tensor) -> Tensor:
        """Σ_k α_k A_k [B T *layer grid], rectified where asked, for alpha [B T K] and a [B K *layer grid]."""
        used = {"signed": alpha, "absolute": alpha.abs(), "positive": alpha.relu()}[self.weights]
        coarse = torch.einsum("btk,bk...->bt...", used, a)
        return coarse.relu() if self.relu else coarse


def grad_cam_at_layers(
    network: Network,
    x: Tensor,
    targets: Targets,
    layers: Sequence[str],
    method: GradCAM | None = None,
) -> list[Maps]:
    """Grad-CAM of the same targets at several layers, in the order given: one forward and T reverse passes for all.

    `method` gives weights and relu; its own layer and truncation do not count. Extras and units as GradCAM.
    Raises ShapeError for a layer without space.
    """
    method = method or GradCAM()
    with slopes(network, x, Targets.of(targets), layers) as found:
        for i, (layer, a) in enumerate(zip(layers, found.at, strict=True)):
            check_space(network, layer, a, x)
            warn_of_head(found, i, layer)
        pooled = found.linear(lambda *gs: torch.cat([g.flatten(2).mean(2) for g in gs], 1))
        alphas = pooled.split([a.shape[1] for a in found.at], 2)
        maps: list[Maps] = []
        for layer, a, alpha in zip(layers, found.at, alphas, strict=True):
            coarse = method.combine(alpha, a)
            values = resize(coarse.float(), tuple(x.shape[2:]))
            extras = {"coarse": coarse, "alpha": alpha}
            maps.append(
                finish(
                    values,
                    found.scores,
                    found.values,
                    found.output,
                    layer=layer,
                    signed=not method.relu,
                    extras=extras,
                )
            )
        return maps
