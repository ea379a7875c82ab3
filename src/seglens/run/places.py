"""One class asked about at several places: does the network use the same evidence everywhere?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanations
from seglens.core.images import Source
from seglens.core.targets import Channel, Target
from seglens.core.view import Region
from seglens.methods.grad_cam import GradCAM
from seglens.run.explain import explain
from seglens.run.questions import NetworkSource


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Grad-CAM's channel weights of one class at P places.

    alphas: [P K], α_k of each place. similarity: [P P], cosine between them, in [−1, 1]; NaN where a place has no
    weight at all. places: in words. explanations: the P maps. layer: where the weights were taken.
    """

    places: tuple[str, ...]
    alphas: NDArray[np.float32]
    similarity: NDArray[np.float64]
    explanations: Explanations
    layer: str


def compare_places(
    network: NetworkSource,
    image: Source,
    channel: str | int | Channel,
    places: Sequence[Region],
    layer: str | None = None,
    *,
    truth: Source | None = None,
    instances: Source | None = None,
    device: str | torch.device | None = None,
) -> Places:
    """The same class's α at different places, compared (future work of Vinogradova et al. 2020).

    α_k(R) = mean_uv ∂S_R/∂A_k says which feature maps speak for the class in region R. Near 1, two places are
    labelled for the same reasons; near 0 or below, for others. Cost: F + P τ F.
    Raises ParameterError for fewer than two places.
    """
    if len(places) < 2:
        raise ParameterError(f"comparing needs at least two places, not {len(places)}.")
    targets = [Target(channel, place) for place in places]
    found = explain(network, image, GradCAM(layer), targets, truth=truth, instances=instances, device=device)
    maps = found if isinstance(found, Explanations) else Explanations([found])
    alphas = np.stack([e.extras["alpha"] for e in maps]).astype(np.float32)
    size = np.linalg.norm(alphas.astype(np.float64), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine = (alphas @ alphas.T.astype(np.float64)) / np.outer(size, size)
    return Places(tuple(map(str, places)), alphas, cosine, maps, maps[0].layer or "")
