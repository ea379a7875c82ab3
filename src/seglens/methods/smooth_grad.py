"""SmoothGrad: the gradient averaged over noisy copies of the image."""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.capture import capture, own
from seglens.core.maps import PER_INPUT, Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.slopes import Slopes
from seglens.core.targets import Targets
from seglens.methods._grid import CELLS, CONTEXT, Variant
from seglens.methods.saliency import Reduction, over_channels
from seglens.perturb.cells import Cells


@METHODS.register("smooth-grad")
@dataclass(frozen=True, slots=True)
class SmoothGrad:
    """Σ_channels |1/n Σᵢ ∂S/∂x (x + σ εᵢ)|, εᵢ standard normal, σ = noise · (max x − min x) of each image.

    Source: Smilkov et al. 2017, arXiv:1706.03825; the size is taken after averaging, as in grid saliency's eq. 4.
    The region is the one of the clean image. All images of a batch share the draws. In units of score per unit of
    the network's input. context, cells: as saliency. Cost: (n (1 + T) + 1) F for T targets.
    """

    samples: Annotated[int, Bounds(ge=1), Help("n, noisy copies")] = 25
    noise: Annotated[float, Bounds(ge=0), Help("σ as a share of each image's range of values")] = 0.15
    channels: Annotated[Reduction, Help("how input channels become one: sum, max or l2 of sizes; signed sum")] = "sum"
    seed: Annotated[int, Bounds(ge=0, le=2**31 - 1), Help("of the noise")] = 0
    context: Annotated[bool, Help(CONTEXT)] = False
    cells: Annotated[Cells | None, Help(CELLS)] = None

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, RegionError."""
        with capture(network, head=True) as taps:
            x = own(network, x)
            with torch.no_grad():
                y = network(x)
            targets = Targets.of(targets)
            scores = targets.bind(network, x, y)
            score = scores(y)
            variant = Variant.of(scores, targets.frames_of(x), self.context, self.cells)
            span = x.flatten(1).amax(1) - x.flatten(1).amin(1)
            sigma = (self.noise * span).reshape(-1, *[1] * (x.ndim - 1))

            def gradients(start: int, stop: int) -> Tensor:
                noisy = torch.cat([x + sigma * self._draw(i, x) for i in range(start, stop)])
                noisy.requires_grad_()
                found = Slopes(scores, network(noisy), [noisy], taps.head).linear(lambda g: g)
                return found.unflatten(0, (stop - start, x.shape[0])).sum(0)

            total = torch.zeros((), device=x.device)
            for part in in_batches(self.samples, rows_at_once(x), gradients, "noisy copies"):
                total = total + part
            values, extras = variant(over_channels(total / self.samples, self.channels))
            return finish(
                values,
                scores,
                score,
                y,
                signed=self.channels == "signed",
                unit=PER_INPUT,
                extras=extras,
                blank=variant.blank,
            )

    def _draw(self, i: int, x: Tensor) -> Tensor:
        """The i-th noise picture [1 C *grid], the same however the samples are batched and on any device."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + i)
        return torch.randn(1, *x.shape[1:], generator=generator).to(x)
