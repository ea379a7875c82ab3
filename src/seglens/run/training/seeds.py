"""Seeds of everything that is drawn in a training, each a pure function of the recipe's seed and of where it is drawn.

Nothing is carried from step to step, so that a training that goes on after a kill draws what it would have drawn.
"""

from typing import Literal

import numpy as np
import torch

Purpose = Literal["weights", "order", "step", "posterior", "mirror", "held out"]
_NUMBERS: dict[Purpose, int] = {"weights": 0, "order": 1, "step": 2, "posterior": 3, "mirror": 4, "held out": 5}


def seed_of(seed: int, purpose: Purpose, *places: int) -> int:
    """A seed of 63 bits for a purpose at a place (an epoch; a step and a rank)."""
    state = np.random.SeedSequence([seed, _NUMBERS[purpose], *places]).generate_state(1, np.uint64)
    return int(state[0]) & (2**63 - 1)


def generator(seed: int, purpose: Purpose, *places: int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator of such draws on a device."""
    return torch.Generator(device).manual_seed(seed_of(seed, purpose, *places))
