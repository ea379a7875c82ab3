"""What a training shows of a few held-out pictures: they, their masks, what the network makes of them."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.classes import ClassTable
from seglens.run.training.module import Learner
from seglens.run.training.objective import Shown
from seglens.run.training.seeds import generator
from seglens.viz.picture import colour, labels_picture

Picture = NDArray[np.uint8]

SHOWN = 8
"""Pictures at most."""

_GAP = 2  # pixels of white between pictures


def pictures(learner: Learner, shown: Shown, classes: ClassTable | None) -> dict[str, Picture]:
    """Rows of pictures [H W 3] by name, the same held-out ones in each: 'images', and what the kind of network has.

    'masks/truth', 'masks/predicted'; 'reconstructions'; 'attention/all' and 'attention/scale 1' …, each pixel in the
    colour of the class that the attention map gives it most.
    """
    network = learner.network
    was = network.training
    network.eval()
    with torch.no_grad():
        raw = network(shown.x) if shown.condition is None else network(shown.x, shown.condition)
        found = {"images": _row([_rgb(p) for p in shown.pixels])}
        if shown.labels is not None and classes is not None:
            found["masks/truth"] = _labels(shown.labels, classes)
            found["masks/predicted"] = _labels(raw.argmax(1), classes)
        else:
            found["reconstructions"] = _row([_rgb(p) for p in network.picture(raw)])  # pyright: ignore[reportCallIssue]
        if learner.recipe.kind == "mgrad2vae" and classes is not None:
            draws = generator(learner.recipe.seed, "held out", 0, device=shown.x.device)
            seen = network.training_pass(shown.x, None, draws)  # pyright: ignore[reportCallIssue]
            if seen.attention is not None:
                found["attention/all"] = _labels(seen.attention.argmax(1), classes)
            for number, scale in enumerate(seen.scales, 1):
                found[f"attention/scale {number}"] = _labels(scale.argmax(1), classes)
    network.train(was)
    return found


def _rgb(pixels: Tensor) -> Picture:
    """[C H W] in 0..1 as [H W 3]; of other numbers of channels than one and three the first."""
    values = (pixels.float().clamp(0, 1) * 255).round().byte().cpu().numpy().transpose(1, 2, 0)
    return colour(values if values.shape[2] in (1, 3) else values[..., :1])


def _labels(labels: Tensor, classes: ClassTable) -> Picture:
    return _row([labels_picture(one, classes) for one in labels.cpu().numpy()])


def _row(parts: list[Picture]) -> Picture:
    gap = np.full((parts[0].shape[0], _GAP, 3), 255, np.uint8)
    joined = [piece for part in parts for piece in (part, gap)]
    return np.concatenate(joined[:-1], 1)
