"""Guided segmented score map: SSM whose segments hold the predicted classes too."""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.targets import Targets
from seglens.methods._growth import grow, predicted_labels
from seglens.methods.score_map import forward, never_negative, pixel_scores
from seglens.perturb.segments import WORKING_SIZE, felzenszwalb_segments


@METHODS.register("gssm")
@dataclass(frozen=True, slots=True)
class GSSM:
    """Guided segmented score map: SSM with the predicted mask of every class added to the Felzenszwalb segments.

    Source: Neuroscope (Schorr et al. 2021, doi:10.3390/app11052199, 2.12). No segment and no mask is dilated or
    dropped. Independent labels have masks that overlap (p_c > ½); what no mask holds is left to the segments.
    Σ map = Σ s_c over the picture; padding is 0. The target's region sets the score only. Read off probabilities by
    default. Of a classifier the map is the constant s_c. Needs scikit-image. Cost: 1 F, and the segmentation.
    """

    size: Annotated[int, Bounds(ge=1), Help("longer side of the picture that is segmented, in pixels")] = WORKING_SIZE

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, ParameterError for units that
        are no classes, MissingExtraError."""
        targets = Targets.of(targets)
        x, y, scores = forward(network, x, targets)
        labels = predicted_labels(network, y, scores.grid)
        segments = felzenszwalb_segments(network, x, targets.frames, size=self.size)
        segments = [own.with_labels(*masks) for own, masks in zip(segments, labels, strict=True)]
        values = grow(pixel_scores(scores, y), segments)
        return finish(values, scores, scores(y), y, signed=not never_negative(scores))
