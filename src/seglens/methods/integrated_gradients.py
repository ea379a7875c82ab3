"""Integrated gradients: the change of score since an empty picture, shared out among the pixels."""

import warnings
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.capture import Taps, capture, own
from seglens.core.errors import CompletenessWarning, NonFiniteError
from seglens.core.maps import PER_INPUT, Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.slopes import Slopes
from seglens.core.targets import Scores, Targets
from seglens.methods._grid import CELLS, CONTEXT, Variant
from seglens.perturb import FILLS, Fill, fill
from seglens.perturb.cells import Cells


@METHODS.register("integrated-gradients")
@dataclass(frozen=True, slots=True)
class IntegratedGradients:
    """Σ_channels (x − x′) ∘ ∫₀¹ ∂S/∂x (x′ + a (x − x′)) da, signed, in units of score.

    Source: Sundararajan et al. 2017, arXiv:1703.01365. The integral is taken at n Gauss–Legendre nodes; n doubles, for
    each image and target by itself, until the completeness gap |S(x) − S(x′) − Σ map| ≤ `gap` · |S(x) − S(x′)| or
    `most` nodes are reached (CompletenessWarning). The region is that of x. Extras: 'completeness-gap' (signed,
    relative; NaN where S(x) = S(x′)), 'baseline-score', 'nodes'.
    With `multiply_by_inputs=False`: Σ_channels |∫ ∂S/∂x| (grid saliency's eq. 4): never negative, no completeness, no
    doubling. context, cells: as saliency; completeness is that of the whole map, before them.
    Cost: n (1 + T) F for the nodes of the last doubling, half of that again for each one before, and 2 F.
    """

    nodes: Annotated[int, Bounds(ge=1), Help("n, at the start")] = 50
    baseline: Annotated[Fill, Help("x′, the empty picture, in pixel values")] = "black"
    gap: Annotated[float, Bounds(above=0), Help("largest relative completeness gap that is accepted")] = 0.01
    most: Annotated[int, Bounds(ge=1), Help("nodes at which doubling ends")] = 400
    multiply_by_inputs: Annotated[bool, Help("multiply by (x − x′); without, the sizes of the mean gradient")] = True
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
            s = scores(y)
            variant = Variant.of(scores, targets.frames_of(x), self.context, self.cells)
            start, s0 = beginning(network, x, scores, self.baseline, targets.shown(x))
            change = s - s0
            values: Tensor | None = None
            gap = torch.full_like(s, torch.inf)
            nodes = torch.zeros_like(s)
            n, waiting = self.nodes, torch.ones_like(s, dtype=torch.bool)
            while True:
                # Only what still waits is integrated again.
                open_ = waiting.any(0).nonzero().flatten().tolist() if values is not None else range(len(scores.items))
                part = self._integral(network, x, start, scores.only(open_), taps, n)
                found = part if values is None else values.index_copy(1, torch.tensor(open_, device=x.device), part)
                if not self.multiply_by_inputs:
                    found, extras = variant(found)
                    return finish(
                        found,
                        scores,
                        s,
                        y,
                        signed=False,
                        unit=PER_INPUT,
                        extras={"baseline-score": s0, **extras},
                        blank=variant.blank,
                    )
                left = change - found.flatten(2).sum(2)
                values = torch.zeros_like(found) if values is None else values
                # What has converged keeps its own number of nodes, whatever else is in the batch.
                values[waiting] = found[waiting]
                gap[waiting] = (left / change)[waiting]
                nodes[waiting] = float(n)
                waiting &= missed(left, change, self.gap, s.abs() + s0.abs(), scores)
                if not bool(waiting.any()) or n * 2 > self.most:
                    break
                n *= 2
            if bool(waiting.any()):
                worst = gap[waiting].abs().max()
                warnings.warn(
                    f"integrated gradients miss the change of score by {worst:.1%} with {n} nodes (at most "
                    f"{self.gap:.1%} was asked for): raise `most`, or read the map with that error.",
                    CompletenessWarning,
                    stacklevel=2,
                )
            values, extras = variant(values)
            extras = {"completeness-gap": gap, "baseline-score": s0, "nodes": nodes, **extras}
            return finish(values, scores, s, y, extras=extras, blank=variant.blank)

    def _integral(self, network: Network, x: Tensor, start: Tensor, scores: Scores, taps: Taps, n: int) -> Tensor:
        """[B T *grid] at n nodes, reduced over channels."""
        total = mean_gradient(network, x, start, scores, taps, n)
        if self.multiply_by_inputs:
            return (total * (x - start)[:, None]).sum(2)
        return total.abs().sum(2)


def missed(left: Tensor, change: Tensor, gap: float, sizes: Tensor, scores: Scores) -> Tensor:
    """bool [B T]: where what is `left` of a change of score is more than `gap` of it; not where the region is empty.

    `sizes`: |S(x)| + |S(x′)|, below whose rounding no number of nodes can help.
    """
    found = left.abs() > gap * change.abs() + 8 * torch.finfo(sizes.dtype).eps * sizes
    return found if scores.empty is None else found & ~scores.empty


def beginning(network: Network, x: Tensor, scores: Scores, baseline: Fill, shown: Tensor) -> tuple[Tensor, Tensor]:
    """The empty picture [B C *grid] from which gradients are integrated, and its scores [B T].

    shown: bool [B *grid], without padding. Raises NonFiniteError where the network is not defined there.
    """
    start = fill(network, x, baseline, shown)
    with torch.no_grad():
        empty = network(start)
        if not bool(torch.isfinite(empty).all()):
            raise NonFiniteError(
                f"{network.name} gives NaN or infinity for the {baseline} picture from which the "
                "gradients are integrated.\n  Choose another baseline: " + ", ".join(FILLS) + "."
            )
        return start, scores(empty)


def mean_gradient(network: Network, x: Tensor, start: Tensor, scores: Scores, taps: Taps, n: int) -> Tensor:
    """∫₀¹ ∂S/∂x (start + a (x − start)) da [B T C *grid] at n Gauss–Legendre nodes, n (1 + T) F; inside `capture`."""
    at, weight = np.polynomial.legendre.leggauss(n)
    at, weight = (at + 1) / 2, weight / 2

    def part(first: int, last: int) -> Tensor:
        inputs = torch.cat([start + float(a) * (x - start) for a in at[first:last]]).requires_grad_()
        # Weighted where the gradients arise, so that they need not be stored node by node.
        w = torch.as_tensor(weight[first:last], dtype=x.dtype, device=x.device)
        found = Slopes(scores, network(inputs), [inputs], taps.head).linear(lambda g: g)
        found = found.unflatten(0, (last - first, x.shape[0]))
        return (w.reshape(-1, *[1] * (found.ndim - 1)) * found).sum(0)

    total = torch.zeros((), device=x.device)
    for found in in_batches(n, rows_at_once(x), part, "nodes"):
        total = total + found
    return total
