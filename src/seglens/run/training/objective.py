"""What a training makes small, by the kind of network."""

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from seglens.generative import Pass
from seglens.generative.config import Likelihood
from seglens.run.training.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Shown:
    """A batch as network and loss take it.

    x: input values [B C H W]. pixels: in 0..1, alike. labels: int64 [B H W], 255 where unknown; None for kinds that
    learn no masks. condition: [B c]; None for kinds without.
    """

    x: Tensor
    pixels: Tensor
    labels: Tensor | None = None
    condition: Tensor | None = None

    def mirrored(self, which: Tensor) -> "Shown":
        """With those pictures [B] left for right, and their labels."""

        def turned(t: Tensor) -> Tensor:
            return torch.where(which.view(-1, *[1] * (t.ndim - 1)), t.flip(-1), t)

        labels = None if self.labels is None else turned(self.labels)
        return replace(self, x=turned(self.x), pixels=turned(self.pixels), labels=labels)


def losses(
    network: nn.Module,
    recipe: Recipe,
    shown: Shown,
    draws: torch.Generator,
    step: int | None,
    weights: Tensor | None = None,
) -> tuple[dict[str, Tensor], Pass]:
    """'loss' and its parts, each a mean over the batch in nats a picture, and the pass that they are of.

    step: of the training, for the weight of the divergence; None takes its last one, beta, so that held-out losses of
    all epochs compare. weights: of the classes. A segmenter has no latent units: its posterior is [B 0].
    """
    of = recipe.loss
    truth = shown.pixels if shown.labels is None else shown.labels
    at = of.warmup if step is None else step
    if recipe.kind == "segmenter":
        nothing = shown.x.new_zeros(len(shown.x), 0)
        seen = Pass(network(shown.x), nothing, nothing)
        parts = of(seen, truth, weights=weights)
        del parts["kl"]
        return parts, seen
    seen: Pass = cast("Any", network).training_pass(shown.x, shown.condition, draws)
    likelihood: Likelihood = getattr(cast("Any", network).config, "likelihood", "bernoulli")
    return of(seen, truth, at, likelihood=likelihood, weights=weights), seen


def class_weights(shares: Tensor, balance: float) -> Tensor | None:
    """Of classes [K] with those shares of the pixels: share^-balance, of mean 1; None where all weigh alike."""
    if balance == 0:
        return None
    weights = shares.double().clamp(min=1e-4) ** -balance  # a class that was not seen is rare, not infinitely so
    return (weights / weights.mean()).float()
