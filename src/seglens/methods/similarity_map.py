"""Similarity map: how much of a class the network saw, on average, in what it gave to each class."""

from dataclasses import dataclass

from torch import Tensor

from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.targets import Targets
from seglens.methods._growth import grow, predicted_labels
from seglens.methods.score_map import forward, never_negative, pixel_scores
from seglens.perturb.segments import Segments


@METHODS.register("similarity-map")
@dataclass(frozen=True, slots=True)
class SimilarityMap:
    """SM(p) = mean of s_c over {q: ŷ(q) = ŷ(p)}: each predicted class's mean score for the class asked about.

    Source: Neuroscope (Schorr et al. 2021, doi:10.3390/app11052199, 2.13), where it is growth over the predicted masks
    alone. Independent labels have masks that overlap (p_c > ½): there it is that growth, and what no mask holds gets
    its own mean. Σ map = Σ s_c over the picture; padding is 0. The target's region sets the score only. Read off
    probabilities by default. Of a classifier the map is the constant s_c. Cost: 1 F.
    """

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, ParameterError for units that
        are no classes."""
        targets = Targets.of(targets)
        x, y, scores = forward(network, x, targets)
        shown = targets.shown(x).cpu().numpy()
        labels = predicted_labels(network, y, scores.grid)
        segments = [Segments.none(own).with_labels(*masks) for own, masks in zip(shown, labels, strict=True)]
        values = grow(pixel_scores(scores, y), segments)
        return finish(values, scores, scores(y), y, signed=not never_negative(scores))
