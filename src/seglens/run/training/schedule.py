"""The learning rate at each step, and the optimiser that uses it."""

import math
from collections.abc import Iterable

import torch
from torch import nn

from seglens.run.training.recipe import OptimiserRecipe

_RISE = 0.15  # share of the steps in which a one-cycle schedule rises
_START = 1 / 25  # of the greatest rate, where it begins
_END = 1e-4  # and where it and a cosine end


def factor(recipe: OptimiserRecipe, step: int, total: int) -> float:
    """The rate at step 0 … total − 1 over the greatest one, in (0, 1].

    'one-cycle' (Smith and Topin 2018, with half cosines in place of lines) rises from 1/25 to 1 over the first 15 %
    of the steps, then falls to 1e-4; 'cosine' falls from 1 to 1e-4; 'step' is factor^k behind the k-th milestone.
    """
    if recipe.schedule == "constant":
        return 1.0
    if recipe.schedule == "step":
        return recipe.factor ** sum(step >= m * total for m in recipe.milestones)
    top = round(_RISE * total) if recipe.schedule == "one-cycle" else 0
    if step < top:
        return _between(_START, 1.0, step / top)
    return _between(1.0, _END, (step - top) / max(total - 1 - top, 1))


def optimiser(recipe: OptimiserRecipe, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimiser with its greatest rate. SGD has Nesterov's momentum of 0.9."""
    given = [p for p in parameters if p.requires_grad]
    if recipe.name == "adamw":
        return torch.optim.AdamW(given, recipe.rate, weight_decay=recipe.weight_decay)
    if recipe.name == "adam":
        return torch.optim.Adam(given, recipe.rate, weight_decay=recipe.weight_decay)
    return torch.optim.SGD(given, recipe.rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay)


def _between(one: float, other: float, t: float) -> float:
    """From one to the other along half a cosine, t in [0, 1]."""
    return other + (one - other) * (1 + math.cos(math.pi * min(t, 1.0))) / 2
