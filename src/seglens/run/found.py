"""What the network found in an image: classes, areas, confidence."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from seglens.core.errors import MissingExtraError
from seglens.core.images import Source
from seglens.core.masks import components
from seglens.core.network import upsampled
from seglens.run.questions import NetworkSource, forward, make_case, open_network
from seglens.run.segment import class_masks


@dataclass(frozen=True, slots=True)
class Found:
    """One class in one image.

    pixels: predicted area on the image's own grid; share: of the image, 0..1. confidence: mean probability of the
    class over its predicted pixels (NaN where it is nowhere). instances: connected components of the prediction
    (None without scikit-image).
    For a classifier: pixels, share and instances are None, confidence is the class's probability, and logit its logit
    (None where there is space; of a network that gives probabilities, their logarithm or log-odds). Of units that are
    no classes, confidence is the mean value, and the rest None.
    """

    index: int
    name: str
    pixels: int | None
    share: float | None
    confidence: float
    instances: int | None
    logit: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; NaN becomes None."""
        plain = asdict(self)
        plain["confidence"] = None if self.confidence != self.confidence else self.confidence
        return plain


def find_classes(network: NetworkSource, image: Source, *, device: str | torch.device | None = None) -> list[Found]:
    """Every class of the network, the largest predicted area first (a classifier's: the largest logit first)."""
    net = open_network(network, device)
    case = make_case(net, image)
    y = forward(net, case.x)
    if net.link_for(y) == "none":
        means = y[0].reshape(y.shape[1], -1).mean(1)
        return [Found(i, f"unit {i}", None, None, float(v), None) for i, v in enumerate(means)]
    table = net.class_table(y)
    if y.ndim == 2:
        p, z = net.scores(y, "probabilities")[0], net.scores(y, "logits")[0]
        found = [Found(i, name, None, None, float(p[i]), None, float(z[i])) for i, name in enumerate(table.names)]
        # Probabilities of 0 and 1 are equal by rounding where logits still differ.
        return sorted(found, key=lambda f: -(f.logit or 0.0))
    y = upsampled(net, y, case.frame.grid)
    p = net.scores(y, "probabilities")[0]
    inside = case.frame.valid(y.device)
    found = []
    for i, (name, predicted) in enumerate(zip(table.names, class_masks(net, y), strict=True)):
        mask = predicted & inside
        pictured = case.frame.labels_to_original(mask)
        area = int(pictured.sum())
        found.append(
            Found(
                index=i,
                name=name,
                pixels=area,
                share=area / pictured.numel(),
                confidence=float(p[i][mask].mean()) if bool(mask.any()) else float("nan"),
                instances=_count(pictured) if area else 0,
            )
        )
    return sorted(found, key=lambda f: -(f.pixels or 0))


def _count(mask: Tensor) -> int | None:
    try:
        return int(components(mask.cpu().numpy()).max())
    except MissingExtraError:
        return None
