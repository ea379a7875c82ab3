"""What methods share that change the picture and look at the score: their default reading, and finite scores."""

import torch
from torch import Tensor

from seglens.core.errors import NonFiniteError
from seglens.core.network import Network, Of
from seglens.core.targets import Scores
from seglens.perturb import FILLS, Fill


def usual_reading(network: Network, y: Tensor) -> Of:
    """Probabilities, as finite changes of the picture are judged by; for units that are no classes, their values."""
    return "logits" if network.link_for(y) == "none" else "probabilities"


def looked_at(network: Network, x: Tensor, fill: Fill) -> Tensor:
    """Raw output for changed pictures. Raises NonFiniteError, which names the fill, as the picture itself was fine."""
    y = network(x)
    if not bool(torch.isfinite(y).all()):
        raise NonFiniteError(
            f"{network.name} gives NaN or infinity for a picture of which parts are replaced ({fill}).\n"
            "  Choose another fill: " + ", ".join(FILLS) + "."
        )
    return exactly(y)


def exactly(y: Tensor) -> Tensor:
    """y in float64 where the device has it: effects are differences of scores that are nearly equal.

    Read off in float32, a probability near 1 moves in steps of 6e-8, which shows in a map of small effects.
    """
    return y if y.device.type == "mps" else y.double()


def unasked_is_nan(values: Tensor, scores: Scores) -> Tensor:
    """values [B T *grid] with NaN for images and targets whose region is empty."""
    if scores.empty is None:
        return values
    return values.masked_fill(scores.empty.reshape(*scores.empty.shape, *[1] * (values.ndim - 2)), torch.nan)
