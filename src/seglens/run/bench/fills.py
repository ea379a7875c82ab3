"""Which fill removes most: chosen on networks and pictures that are in no result."""

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.network import Network, Of, upsampled
from seglens.perturb import Fill, fill
from seglens.run.bench.pictures import Scenes
from seglens.run.questions import forward

OF: Of = "probabilities"


def removed(network: Network, scenes: Scenes, asked: NDArray[np.bool_], kind: Fill) -> float:
    """Mean P0 over the pictures asked about: what is lost of the digit's probability where the context is filled.

    P0 = mean over R of max(f(x) − f(x_R), 0), with R where the network predicts the picture's digit and x_R the
    picture inside R and the fill outside. NaN where no picture is asked about. Two passes a picture. A fill under
    which it is near 0 removes nothing, and no mask under it can say what the context does.
    """
    x = network.convention.normalise(scenes.pixels[torch.from_numpy(asked)]).to(network.device)
    digit = torch.from_numpy(scenes.digit[asked]).to(network.device)
    if not len(x):
        return float("nan")

    def part(start: int, stop: int) -> NDArray[np.float64]:
        some, label = x[start:stop], digit[start:stop]
        rows = torch.arange(len(some), device=some.device)
        grid = tuple(some.shape[2:])
        y = upsampled(network, forward(network, some), grid)
        region = y.argmax(1) == label[:, None, None]
        shown = torch.ones_like(region)
        bare = torch.where(region[:, None], some, fill(network, some, kind, shown))
        without = upsampled(network, forward(network, bare), grid)
        lost = network.scores(y, OF)[rows, label] - network.scores(without, OF)[rows, label]
        inside = region.flatten(1)
        return ((lost.flatten(1).relu() * inside).sum(1) / inside.sum(1)).double().cpu().numpy()

    return float(np.concatenate(list(in_batches(len(x), rows_at_once(x[:1], 128), part))).mean())
