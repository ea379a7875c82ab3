"""The whole loss of an autoencoder: its parts by name, and their weighted sum."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from seglens.core.errors import ParameterError, suggest
from seglens.core.parameters import Bounds, Rule, check_parameters
from seglens.generative.config import Likelihood
from seglens.generative.layers import Pass
from seglens.generative.losses import bce, beta_divergence, cross_entropy, dice, jaccard, kl, kl_weight, mse, one_hot

__all__ = ["IMAGE_LOSSES", "MASK_LOSSES", "Objective"]

IMAGE_LOSSES = ("bce", "mse", "beta-divergence")
"""Reconstruction losses of images."""

MASK_LOSSES = ("cross-entropy", "jaccard", "dice", "bce", "beta-divergence", "mse")
"""Reconstruction losses of masks. The last three compare every class's mask by itself: bce takes its logit through a
sigmoid, the others its softmax probability."""


def _reconstruction(value: object) -> None:
    known = dict.fromkeys((*IMAGE_LOSSES, *MASK_LOSSES))
    for name in str(value).split("+"):
        if name not in known:
            raise ParameterError(
                f"to be a loss or several joined by '+', not {value!r}.{suggest(name, known)}\n"
                f"  All of them: {', '.join(known)}."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """Reconstruction + β·KL, and for a model with attention + every attention map's distance from the mask.

    Equation 2 of Abukmeil et al. is the first two; equation 3 adds ‖X − attention‖, in which X is the mask, and the
    text adds the same for the attention of each scale. All distances are the reconstruction loss.

    reconstruction: 'bce', 'mse' or 'beta-divergence' for images; for masks also 'cross-entropy', 'jaccard', 'dice';
    several joined by '+'. Jaccard and Dice, which lie in 0..1, are multiplied by the number of pixels, so that they
    weigh against the KL and the others as a loss of one nat a pixel would.
    divergence: β of the β-divergence. beta, warmup, free_bits: of the KL (`kl`, `kl_weight`; 0 trains without it).
    attention, scales: weights of the aggregated and of each scale's attention.
    Raises ParameterError for a loss that does not exist and numbers out of range.
    """

    reconstruction: Annotated[str, Rule(_reconstruction)] = "bce"
    divergence: float = 1.0
    beta: Annotated[float, Bounds(ge=0)] = 1.0
    warmup: Annotated[int, Bounds(ge=0)] = 0
    free_bits: Annotated[float, Bounds(ge=0)] = 0.0
    attention: Annotated[float, Bounds(ge=0)] = 1.0
    scales: Annotated[float, Bounds(ge=0)] = 1.0

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(
        self,
        passed: Pass,
        truth: Tensor,
        step: int = 0,
        *,
        likelihood: Likelihood = "bernoulli",
        weights: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """The parts, means over the batch in nats for one image, and 'loss', their weighted sum.

        truth: images [B C H W] with values in 0..1, or labels [B H W] with 255 where unknown. weights: of classes
        [K], in the cross-entropy. Parts: 'reconstruction', every reconstruction loss by its own name where there are
        several, 'kl' (not weighted), 'attention', 'scale1' (finest), 'scale2', ….
        Raises ParameterError for a loss that does not fit what is reconstructed.
        """
        parts: dict[str, Tensor] = {}
        names = self.reconstruction.split("+")
        found = [self._distance(name, passed.raw, truth, likelihood, weights).mean() for name in names]
        parts["reconstruction"] = torch.stack(found).sum()
        if len(names) > 1:
            parts |= dict(zip(names, found, strict=True))
        parts["kl"] = kl(passed.mu, passed.logvar, self.free_bits)
        loss = parts["reconstruction"] + kl_weight(step, self.beta, self.warmup) * parts["kl"]
        attentions = {"attention": passed.attention} if passed.attention is not None else {}
        attentions |= {f"scale{number}": scale for number, scale in enumerate(passed.scales, 1)}
        for name, logits in attentions.items():
            each = [self._distance(kind, logits, truth, likelihood, weights).mean() for kind in names]
            parts[name] = torch.stack(each).sum()
            loss = loss + (self.attention if name == "attention" else self.scales) * parts[name]
        return {"loss": loss, **parts}

    def _distance(
        self, name: str, raw: Tensor, truth: Tensor, likelihood: Likelihood, weights: Tensor | None
    ) -> Tensor:
        """One reconstruction loss [B]."""
        if truth.is_floating_point():
            return self._of_images(name, raw, truth, likelihood)
        if name == "cross-entropy":
            return cross_entropy(raw, truth, weights)
        if name in ("jaccard", "dice"):
            return (jaccard if name == "jaccard" else dice)(raw, truth) * truth[0].numel()
        return self._of_masks(name, raw, truth)

    def _of_images(self, name: str, raw: Tensor, truth: Tensor, likelihood: Likelihood) -> Tensor:
        if name not in IMAGE_LOSSES:
            raise ParameterError(f"{name!r} compares masks, and this model reconstructs images.")
        if name == "bce":
            if likelihood != "bernoulli":
                raise ParameterError("'bce' needs logits: build the model with likelihood='bernoulli', or use 'mse'.")
            return bce(raw, truth)
        values = raw.float().sigmoid() if likelihood == "bernoulli" else raw
        return mse(values, truth) if name == "mse" else beta_divergence(values, truth, self.divergence)

    def _of_masks(self, name: str, raw: Tensor, truth: Tensor) -> Tensor:
        """Masks compared as images of K channels, over known pixels."""
        known = (truth != 255)[:, None]
        raw = raw.float() if raw.dtype in (torch.float16, torch.bfloat16) else raw
        masks = one_hot(truth, raw.shape[1]).to(raw)
        if name == "bce":
            return bce(torch.where(known, raw, 0), masks) - (~known).flatten(1).sum(1) * raw.shape[1] * _LOG2
        values = torch.where(known, raw.softmax(1), 0)
        return mse(values, masks) if name == "mse" else beta_divergence(values, masks, self.divergence)


_LOG2 = 0.6931471805599453  # what a logit of 0 costs, to take away again for pixels that are unknown
