"""The search for the smallest mask that preserves a score: many requests at once, each by itself."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.capture import capture
from seglens.core.errors import NonFiniteError
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.targets import Scores
from seglens.perturb import Fill, fill, name_of_fill, spread

Optimiser = Literal["sgd", "adam"]

CERTAIN = 0.1
"""Cells that a mask may hold at most for P0 / λ to certify it as empty."""

STILL, STILL_STEPS = 1e-3, 5
"""A search has settled when no cell has moved by more for so many steps,"""


@dataclass(frozen=True, slots=True)
class Patience:
    """A search has settled too when its best objective has fallen by no more than a share `gain` of it in `steps`."""

    gain: float
    steps: int


TIE = 1e-4
"""Objectives that differ by less, as a share of them, are the same: the first is kept, whatever the rounding."""

ROUNDING = 1e-6
"""What a score may differ by and be the same, as a share of 1 + its size."""

SQUARES = 0.99
"""Decay of adam's mean of squares."""

CALM = 0.05
"""Share of λ below which adam takes a slope for none, so that rounding is not blown up to a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How masks are searched: λ, the optimiser, and from which values of the whole mask.

    early: settle before all steps are done, with that patience, and certify empty masks. best: return the best mask of
    a search, not its last. careful: cells that nothing hangs on stay 0, and a step to where no cell's slope is worth
    its price, though much is lost there, is taken back and halved.
    """

    sparsity: float
    optimiser: Optimiser
    rate: float
    momentum: float
    steps: int
    starts: tuple[float, ...]
    early: bool
    patience: Patience
    best: bool
    careful: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Problem:
    """What masks cost: R requests, each a pair (image, target) of a batch, under one fill of several each.

    x: [B C *grid]. frames: of the images. scores: the targets bound to x. full: [R *grid] or [R], what is preserved,
    pixel by pixel. kept: bool [R *grid], pixels that no mask removes (the region, for context); None for none.
    """

    network: Network
    x: Tensor
    frames: tuple[Frame, ...]
    scores: Scores
    pairs: tuple[tuple[int, int], ...]
    full: Tensor
    kept: Tensor | None
    matters: Tensor
    shown: Tensor
    fills: dict[str, Tensor] = field(default_factory=dict[str, Tensor])
    limit: list[int] = field(default_factory=list[int])

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def cells(self) -> tuple[int, ...]:
        """Of a mask, in each dimension."""
        return tuple(self.matters.shape[1:])

    def bare(self, kind: Fill) -> tuple[Tensor, Tensor]:
        """Preservation loss and confidence of the empty mask under a fill, each [R]. One pass a request."""
        nothing = torch.zeros(len(self), *self.cells, device=self.x.device)
        found = self.of(range(len(self)), [kind] * len(self), nothing, gradient=False)
        return found[0], found[1]

    def of(
        self, requests: Sequence[int], kinds: Sequence[Fill], coarse: Tensor, *, gradient: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Preservation loss [n], confidence [n] and the loss's derivative [n *cells] of coarse masks [n *cells].

        The loss is the mean over R of max(f(x) − f(p), 0), pixel by pixel; confidence the mean of f(p) (sums, where
        the target asks for them). Cost: n F, and n F more with the derivative.
        """
        for kind in kinds:
            self._filled(kind)

        def part(first: int, last: int) -> tuple[Tensor, Tensor, Tensor]:
            masks = coarse[first:last].detach()
            with capture(self.network), torch.set_grad_enabled(gradient):
                masks = masks.requires_grad_(gradient)
                loss, confidence = self._of(requests[first:last], kinds[first:last], masks)
                slope = torch.autograd.grad(loss.sum(), masks)[0] if gradient else torch.zeros_like(masks)
            return loss.detach(), confidence.detach(), slope

        size = self.room
        found = list(in_batches(len(requests), size, part))
        if len(found) > -(-len(requests) // size):
            # Memory ran out: what fitted is remembered, or every step would fail before it is halved again.
            self.limit[:] = [max(len(one) for one, _, _ in found)]
        loss, confidence, slope = (torch.cat(parts) for parts in zip(*found, strict=True))
        if not bool(torch.isfinite(slope).all()):
            raise NonFiniteError(
                f"{self.network.name} has no finite derivative at a picture of which parts are replaced "
                f"({', '.join(dict.fromkeys(map(name_of_fill, kinds)))}).\n  Choose another fill."
            )
        return loss, confidence, slope

    @property
    def room(self) -> int:
        """How many requests share a pass."""
        return min([rows_at_once(self.x[:1]), *self.limit])

    def _of(self, requests: Sequence[int], kinds: Sequence[Fill], masks: Tensor) -> tuple[Tensor, Tensor]:
        pairs = [self.pairs[r] for r in requests]
        images = [b for b, _ in pairs]
        keep = spread(masks, [self.frames[b] for b in images])
        if self.kept is not None:
            kept = self.kept[list(requests)]
            keep = torch.where(kept, torch.ones_like(keep), keep)
        keep = keep[:, None].to(self.x)
        filled = torch.stack([self._filled(kind)[b] for b, kind in zip(images, kinds, strict=True)])
        y = self._network(images, len(self.x))(self.x[images] * keep + filled * (1 - keep))
        if not bool(torch.isfinite(y).all()):
            raise NonFiniteError(
                f"{self.network.name} gives NaN or infinity for a picture of which parts are replaced "
                f"({', '.join(dict.fromkeys(map(name_of_fill, kinds)))}).\n  Choose another fill."
            )
        now = self.scores.pixels(y, pairs)
        full = self.full[list(requests)]
        # Where the mask keeps everything the difference is rounding: its sign must not choose which pixels pull.
        lost = torch.where(full - now > ROUNDING * (1 + full.abs()), full - now, 0.0)
        return self.over_region(lost, requests), self.over_region(now, requests)

    def over_region(self, values: Tensor, requests: Sequence[int]) -> Tensor:
        """Values [n *grid] of requests, averaged (or summed, where the target asks for it) over their regions, [n]."""
        if self.scores.masks is None:
            return values
        images, targets = zip(*(self.pairs[r] for r in requests), strict=True)
        inside = self.scores.masks[list(images), list(targets)]
        sizes = self.scores.sizes()[list(images), list(targets)]
        return (values * inside).flatten(1).sum(1) / sizes

    def _network(self, images: Sequence[int], batch: int) -> Network:
        """The network with the extra inputs of these images."""
        extra = tuple(
            e[[b % len(e) for b in images]] if e.ndim and batch % len(e) == 0 else e for e in self.network.extra
        )
        return self.network.with_(extra=extra) if extra else self.network

    def _filled(self, kind: Fill) -> Tensor:
        name = f"{type(kind).__name__} {id(kind)}" if name_of_fill(kind) == "picture" else name_of_fill(kind)
        if name not in self.fills:
            self.fills[name] = fill(self.network, self.x, kind, self.shown)
        return self.fills[name]


def matters(kept: Tensor, cells: tuple[int, ...], frames: Sequence[Frame]) -> Tensor:
    """bool [R *cells]: the cells that reach a pixel which is not kept, bool [R *grid]: spreading goes beyond a cell."""
    with torch.enable_grad():
        coarse = torch.zeros(len(kept), *cells, device=kept.device, requires_grad=True)
        reach = (spread(coarse, frames) * ~kept).sum()
        return torch.autograd.grad(reach, coarse)[0] > 0


@dataclass(slots=True, eq=False)
class Rows:
    """Searches under way, each of one request from one start: N of them.

    mask, best: [N *cells], with objective and confidence. curve: the objective of each step, [N steps], NaN where none.
    first, second: moments of the gradient. count: steps done; age: of the moments; quiet: of late without a move.
    done, settled: where a search has ended, and whether because it settled. pull: the loss's steepest slope at the
    start, by a cell. scale: of the rate. best_slope: the loss's derivative at `best`.
    """

    request: list[int]
    fills: list[Fill]
    mask: Tensor
    best: Tensor
    best_objective: Tensor
    best_confidence: Tensor
    objective: Tensor
    confidence: Tensor
    first: Tensor
    second: Tensor
    curve: Tensor
    count: Tensor
    age: Tensor
    quiet: Tensor
    done: Tensor
    settled: Tensor
    pull: Tensor
    scale: Tensor
    best_slope: Tensor

    @classmethod
    def of(cls, requests: Sequence[int], fills: Sequence[Fill], masks: Tensor, steps: int) -> "Rows":
        n = len(requests)
        plain = masks.new_full((n,), torch.inf)
        return cls(
            request=list(requests),
            fills=list(fills),
            mask=masks.clone(),
            best=masks.clone(),
            best_objective=plain.clone(),
            best_confidence=plain.clone(),
            objective=plain.clone(),
            confidence=plain.clone(),
            first=torch.zeros_like(masks),
            second=torch.zeros_like(masks),
            curve=masks.new_full((n, steps), torch.nan),
            count=torch.zeros(n, dtype=torch.long, device=masks.device),
            age=torch.zeros(n, dtype=torch.long, device=masks.device),
            quiet=torch.zeros(n, dtype=torch.long, device=masks.device),
            done=torch.zeros(n, dtype=torch.bool, device=masks.device),
            settled=torch.zeros(n, dtype=torch.bool, device=masks.device),
            pull=torch.zeros(n, device=masks.device),
            scale=torch.ones(n, device=masks.device),
            best_slope=torch.zeros_like(masks),
        )


def below(objective: Tensor, other: Tensor) -> Tensor:
    """bool: where an objective is less than another by more than rounding."""
    return objective < other - TIE * other.abs().nan_to_num(posinf=0.0)


def search(problem: Problem, recipe: Recipe, rows: Rows) -> Iterator[Rows]:
    """Step after step until every row is done; yields after each, with at most a batch of rows under way."""
    while not bool(rows.done.all()):
        at = (~rows.done).nonzero().flatten()[: problem.room]
        _step(problem, recipe, rows, at)
        yield rows


def _step(problem: Problem, recipe: Recipe, rows: Rows, at: Tensor) -> None:
    chosen = at.tolist()
    requests = [rows.request[i] for i in chosen]
    mask = rows.mask[at]
    loss, confidence, slope = problem.of(requests, [rows.fills[i] for i in chosen], mask)
    objective = loss.to(mask) + recipe.sparsity * mask.flatten(1).sum(1)
    rows.objective[at], rows.confidence[at] = objective, confidence.to(mask)
    rows.curve[at, rows.count[at]] = objective
    slope = slope.to(mask)
    steepest = slope.abs().flatten(1).amax(1)
    rows.pull[at] = torch.where(rows.count[at] == 0, steepest, rows.pull[at])
    lost = recipe.careful & (steepest < recipe.sparsity) & (objective > rows.best_objective[at] + recipe.sparsity)
    better = below(objective, rows.best_objective[at])
    rows.best_objective[at[better]] = objective[better]
    rows.best_confidence[at[better]] = confidence.to(mask)[better]
    rows.best[at[better]], rows.best_slope[at[better]] = mask[better], slope[better]
    _take_back(rows, at[lost])
    moved = _moved(recipe, rows, at, rows.mask[at], torch.where(_wide(lost, mask), rows.best_slope[at], slope))
    if recipe.careful:
        moved = moved * problem.matters[requests]
    still = (moved - mask).abs().flatten(1).amax(1) < STILL
    rows.quiet[at] = torch.where(still, rows.quiet[at] + 1, 0)
    rows.count[at] += 1
    settled = (rows.quiet[at] >= STILL_STEPS) | _flat(rows, at, recipe.patience)
    rows.settled[at] = settled
    end = (rows.count[at] >= recipe.steps) | (settled & recipe.early)
    # The mask of the last evaluation is kept: what is returned is what was measured.
    rows.mask[at] = torch.where(_wide(end, mask), mask, moved)
    rows.done[at] = end


def _flat(rows: Rows, at: Tensor, patience: Patience) -> Tensor:
    """Whether the objective of a row has stopped falling: its best of late no better than its best before."""
    count = rows.count[at]
    steps = torch.arange(rows.curve.shape[1], device=count.device)
    curve = rows.curve[at].nan_to_num(torch.inf)
    late = steps >= (count - patience.steps)[:, None]
    before = curve.masked_fill(late, torch.inf).amin(1)
    now = curve.masked_fill(~late, torch.inf).amin(1)
    return (count >= 2 * patience.steps) & (now > before * (1 - patience.gain))


def _take_back(rows: Rows, at: Tensor) -> None:
    """Return to the best mask so far, to leave it by half the step."""
    rows.mask[at] = rows.best[at]
    rows.first[at], rows.second[at], rows.age[at] = 0.0, 0.0, 0
    rows.scale[at] /= 2


def _moved(recipe: Recipe, rows: Rows, at: Tensor, mask: Tensor, slope: Tensor) -> Tensor:
    """The masks after one step, within [0, 1]."""
    gradient = slope + recipe.sparsity
    rate = recipe.rate * _wide(rows.scale[at], mask)
    if recipe.optimiser == "sgd":
        rows.first[at] = recipe.momentum * rows.first[at] + gradient
        return (mask - rate * rows.first[at]).clamp(0, 1)
    rows.age[at] += 1
    age, done = (_wide(n[at], mask).to(gradient) for n in (rows.age, rows.count))
    rows.first[at] = recipe.momentum * rows.first[at] + (1 - recipe.momentum) * gradient
    rows.second[at] = SQUARES * rows.second[at] + (1 - SQUARES) * gradient**2
    mean = rows.first[at] / (1 - recipe.momentum**age)
    size = (rows.second[at] / (1 - SQUARES**age)).sqrt()
    rate = rate * (1 + torch.cos(math.pi * done / recipe.steps)) / 2
    return (mask - rate * mean / (size + CALM * recipe.sparsity)).clamp(0, 1)


def _wide(values: Tensor, like: Tensor) -> Tensor:
    """values [n] for masks [n *cells]."""
    return values.reshape(-1, *[1] * (like.ndim - 1))
