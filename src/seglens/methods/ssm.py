"""Segmented score map: the score map gathered over parts of the picture that look alike."""

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.targets import Targets
from seglens.methods._growth import grow
from seglens.methods.score_map import forward, never_negative, pixel_scores
from seglens.perturb.segments import WORKING_SIZE, felzenszwalb_segments


@METHODS.register("ssm")
@dataclass(frozen=True, slots=True)
class SSM:
    """Segmented score map: XRAI's growth on the score map s_c, over Felzenszwalb segments of the picture.

    Source: Neuroscope (Schorr et al. 2021, doi:10.3390/app11052199, 2.11), after XRAI (Kapishnikov et al. 2019,
    arXiv:1906.02825). Repeatedly, the segment whose not yet covered pixels have the largest mean score is taken, and
    they get that mean; segments are those of six scales together. No segment is dropped, none dilated.
    Σ map = Σ s_c over the picture; padding is 0. The target's region sets the score only: the map covers the picture.
    Read off probabilities by default, as ScoreMap. Of a classifier the map is the constant s_c.
    Needs scikit-image. Cost: 1 F, and the segmentation, which does not hang on the network.
    """

    size: Annotated[int, Bounds(ge=1), Help("longer side of the picture that is segmented, in pixels")] = WORKING_SIZE

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, MissingExtraError."""
        targets = Targets.of(targets)
        x, y, scores = forward(network, x, targets)
        segments = felzenszwalb_segments(network, x, targets.frames, size=self.size)
        values = grow(pixel_scores(scores, y), segments)
        return finish(values, scores, scores(y), y, signed=not never_negative(scores))
