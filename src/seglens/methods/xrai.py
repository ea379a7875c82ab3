"""XRAI: integrated gradients, gathered over the parts of the picture that hold the most of them."""

import warnings
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from seglens.core.capture import capture, own
from seglens.core.errors import CompletenessWarning
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.targets import Targets
from seglens.methods._growth import grow
from seglens.methods.integrated_gradients import beginning, mean_gradient, missed
from seglens.perturb import Fill
from seglens.perturb.segments import WORKING_SIZE, felzenszwalb_segments

BASELINES: tuple[Fill, Fill] = ("black", "white")

_GAP = 0.05  # relative completeness gap above which it is said
_LEAST = 50 / 224**2  # what a segment must add, as a share of the picture: 50 pixels of 224²


@METHODS.register("xrai")
@dataclass(frozen=True, slots=True)
class XRAI:
    """Growth over Felzenszwalb segments on integrated gradients; signed, in units of score.

    Source: Kapishnikov et al. 2019, arXiv:1906.02825. The attribution is the mean of integrated gradients from black
    and from white, at n Gauss–Legendre nodes each, and of its channels the largest (published) or the sum. Repeatedly,
    the segment whose not yet covered pixels have the largest mean attribution is taken, and they get that mean; one
    that would add less than 0.1 % of the picture (50 pixels of 224²) is dropped; what is left gets its own mean.
    Segments are those of six scales together, dilated by 5 pixels of the picture that is segmented.
    Σ map = Σ attribution over the picture, which for `channels="sum"` is S(x) − mean S(x′), to the completeness gap
    and to what falls on padding: padding is 0 in the map, but changes the score and so has a part in the attribution.
    Extras: 'baseline-score', mean S(x′) over black and white; 'completeness-gap' of the integrated gradients, padding
    included (signed, relative; NaN where nothing changes; above 5 % a CompletenessWarning). Pictures: 'attribution'.
    Needs scikit-image. Cost: 2n (1 + T) F, 3 F, and the segmentation.
    """

    nodes: Annotated[int, Bounds(ge=1), Help("n, from black and from white each")] = 50
    channels: Annotated[
        Literal["max", "sum"], Help("how input channels become one: the largest, or the sum, which is complete")
    ] = "max"
    size: Annotated[int, Bounds(ge=1), Help("longer side of the picture that is segmented, in pixels")] = WORKING_SIZE

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, MissingExtraError."""
        targets = Targets.of(targets)
        with capture(network, head=True) as taps:
            x = own(network, x)
            with torch.no_grad():
                y = network(x)
            scores = targets.bind(network, x, y)
            by_channel = x.new_zeros(())
            before = torch.zeros_like(s := scores(y))
            sizes = s.abs()
            for baseline in BASELINES:
                start, at_start = beginning(network, x, scores, baseline, targets.shown(x))
                gradient = mean_gradient(network, x, start, scores, taps, self.nodes)
                by_channel = by_channel + gradient * (x - start)[:, None] / len(BASELINES)
                before = before + at_start / len(BASELINES)
                sizes = sizes + at_start.abs() / len(BASELINES)
            total = by_channel.sum(2)
        attribution = by_channel.amax(2) if self.channels == "max" else total
        segments = felzenszwalb_segments(network, x, targets.frames, size=self.size, dilate=True)
        # A segment of a volume lies in one slice: there it is a slice of which it must add its share.
        plane = [int(one.sizes.sum()) // (one.places.shape[0] if one.places.ndim > 2 else 1) for one in segments]
        least = [max(1, round(_LEAST * pixels)) for pixels in plane]
        left = s - before - total.flatten(2).sum(2)
        gap = left / (s - before)
        too_far = missed(left, s - before, _GAP, sizes, scores)
        if bool(too_far.any()):
            worst = gap[too_far].abs().max()
            warnings.warn(
                f"the integrated gradients of XRAI miss the change of score by {worst:.1%} with {self.nodes} nodes "
                f"(above {_GAP:.0%} is too much): raise `nodes`, or read the map with that error.",
                CompletenessWarning,
                stacklevel=2,
            )
        return finish(
            grow(attribution, segments, least=least),
            scores,
            s,
            y,
            extras={"baseline-score": before, "completeness-gap": gap},
            pictures={"attribution": attribution.float()},
        )
