"""Score map: what the network says at every pixel."""

from dataclasses import dataclass

import torch
from torch import Tensor

from seglens.core.capture import capture, own
from seglens.core.frame import resize
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network, Of, upsampled
from seglens.core.targets import Scores, Targets


@METHODS.register("score-map")
@dataclass(frozen=True, slots=True)
class ScoreMap:
    """s_c(p), the score of the target's class at every pixel p of the input grid.

    Source: Neuroscope (Schorr et al. 2021, doi:10.3390/app11052199, 2.10). `Target.of` chooses
    logits, log-probabilities or probabilities (default; units of an encoder are read as they are). The output is
    upsampled before it is read, so that the mean of the map over the target's region is the score S; the region does
    nothing else. Of a classifier, which is a segmenter of one pixel, the map is the constant s_c. Signed, but for
    probabilities of a class. Cost: 1 F.
    """

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError."""
        _, y, scores = forward(network, x, targets)
        values = pixel_scores(scores, y)
        return finish(values, scores, scores(y), y, signed=not never_negative(scores))


def forward(network: Network, x: Tensor, targets: Targets, *, unasked: bool = False) -> tuple[Tensor, Tensor, Scores]:
    """The input as the network takes it, its raw output, and the targets bound to it, by default on probabilities."""
    with capture(network), torch.no_grad():
        x = own(network, x)
        y = network(x)
        of: Of = "logits" if network.link_for(y) == "none" else "probabilities"
        return x, y, Targets.of(targets).bind(network, x, y, of, unasked=unasked)


def pixel_scores(scores: Scores, y: Tensor) -> Tensor:
    """[B T *grid]: what each target reads off raw output y at every pixel, before it is averaged over a region."""
    network, grid = scores.network, scores.grid
    coarse = one_pixel(y, len(grid))
    read: dict[Of, Tensor] = {}
    maps: list[Tensor] = []
    for target, terms in zip(scores.items, scores.terms, strict=True):
        of = target.of or "logits"
        if of not in read:
            # As for the score itself: logits of one class are upsampled, not those of all.
            first = y.ndim == 2 or (of == "logits" and network.emits == "logits")
            read[of] = network.scores(coarse if first else upsampled(network, y, grid), of)
        pixels = torch.stack([read[of][:, c] * weight for c, weight in terms.items()]).sum(0)
        maps.append(resize(pixels[:, None], grid)[:, 0])
    return torch.stack(maps, 1)


def one_pixel(y: Tensor, dims: int) -> Tensor:
    """Output [B K] as that of a segmenter of one pixel, [B K 1 …]; one with space as it is."""
    return y.reshape(*y.shape, *[1] * dims) if y.ndim == 2 else y


def never_negative(scores: Scores) -> bool:
    """Whether no target can have a negative pixel: probabilities with positive weights."""
    weights = [w for terms in scores.terms for w in terms.values()]
    return all(t.of == "probabilities" for t in scores.items) and min(weights) >= 0
