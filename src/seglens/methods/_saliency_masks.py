"""What grid and context saliency share: the choice of fill, the search, and what comes of it."""

import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from seglens.core.capture import capture, own
from seglens.core.errors import FillWarning, MaskSearchWarning
from seglens.core.maps import Maps, finish
from seglens.core.network import Network
from seglens.core.progress import tell
from seglens.core.targets import Scores, Targets, of_image
from seglens.methods._grid import context_of
from seglens.methods._mask_search import CERTAIN, Problem, Recipe, Rows, below, matters, search
from seglens.methods._mask_settings import Settings
from seglens.methods._perturbed import usual_reading
from seglens.perturb import Fill, cells_of, name_of_fill, spread
from seglens.perturb.padding import repeated

KEPT = "share kept"
"""Unit of the masks."""

SWEEP: tuple[Fill, ...] = ("mean", "blur", "black", 0.25, "grey", 0.75, "white")
"""Fills that are tried where none was chosen; the first is taken unless it removes nothing."""

REMOVES = 0.1
"""Preservation loss from which on a fill removes something,"""

REMOVES_MUCH = 0.5
"""and share of the score that another must take away to be preferred to one that does not."""


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Everything that is known of a search, from which masks are read off at any time."""

    problem: Problem
    recipe: Recipe
    y: Tensor
    score: Tensor
    outside: Tensor | None
    fills: list[Fill]
    sweep: Tensor | None
    empty_loss: Tensor
    bare: Tensor
    certain: Tensor
    rows: Rows

    def chosen(self) -> dict[str, Tensor]:
        """What is returned for each request now, [R …]: the best of its searches and, in robust mode, of both ends."""
        p, rows, recipe = self.problem, self.rows, self.recipe
        flat = (-1, *[1] * len(p.cells))
        full = p.over_region(p.full, range(len(p))).float()
        shape = (len(p), *p.cells)
        # A request without a search has the empty mask.
        found = {
            "mask": torch.zeros(shape, device=p.x.device),
            "objective": self.empty_loss.float().clone(),
            "kept-confidence": self.bare.float().clone(),
            "tried": torch.zeros(len(p), device=p.x.device),
            "settled": self.certain.float(),
            "loss": torch.full((len(p), recipe.steps), torch.nan, device=p.x.device),
            "done": self.certain.clone(),
        }
        objective, mask, confidence = (
            (rows.best_objective, rows.best, rows.best_confidence)
            if recipe.best
            else (rows.objective, rows.mask, rows.confidence)
        )
        taken = torch.full((len(p),), torch.inf, device=p.x.device)
        for i, r in enumerate(rows.request):
            if bool(below(objective[i], taken[r])):
                taken[r] = objective[i]
                found["mask"][r], found["objective"][r] = mask[i], objective[i]
                found["kept-confidence"][r] = confidence[i]
                found["tried"][r], found["settled"][r] = rows.count[i].float(), rows.settled[i].float()
                found["loss"][r] = rows.curve[i]
        if rows.request:
            of = torch.tensor(rows.request, device=p.x.device)
            waiting = torch.zeros(len(p), device=p.x.device).index_add(0, of, (~rows.done).float())
            found["done"] = self.certain | (waiting == 0)
        if recipe.careful:
            ends = ((0.0, self.empty_loss.float(), self.bare.float()), (1.0, self.full_price, full))
            for value, price, kept in ends:
                better = below(price, found["objective"])
                found["mask"] = torch.where(better.reshape(flat), value * p.matters, found["mask"])
                found["objective"] = torch.where(better, price, found["objective"])
                found["kept-confidence"] = torch.where(better, kept, found["kept-confidence"])
        return found

    @property
    def full_price(self) -> Tensor:
        """[R]: the objective of the mask that keeps everything that can be removed, whose loss is 0."""
        return self.recipe.sparsity * self.problem.matters.flatten(1).sum(1).float()

    def state(self, step: int) -> "MaskState":
        """As it is now."""
        now = self.chosen()
        return MaskState(
            step=step,
            mask=self._placed(now["mask"]),
            objective=self._placed(now["objective"]),
            done=self._placed(now["done"].float()) == 1,
            _found=self,
            _now=now,
        )

    def maps(self, chosen: dict[str, Tensor]) -> Maps:
        """Maps of chosen masks, with warnings of what is wrong with them."""
        p, now = self.problem, dict(chosen)
        frames = [p.frames[b] for b, _ in p.pairs]
        values = self._placed(spread(now["mask"], frames))
        if self.outside is not None:
            values = values.masked_fill(~self.outside & values.isfinite(), 0.0)
        now["mask-size"] = now["mask"].flatten(1).sum(1)
        now["bare-confidence"], now["empty-loss"] = self.bare.float(), self.empty_loss.float()
        now["bound"] = now["empty-loss"] / self.recipe.sparsity
        names: dict[str, tuple[str, ...]] = {"settled": ("no", "yes")}
        if self.sweep is not None:
            now["fill"] = torch.tensor([float(SWEEP.index(taken)) for taken in self.fills], device=p.x.device)
            now["fill-sweep"] = self.sweep.float()
            names["fill"] = names["fill-sweep"] = tuple(name_of_fill(kind) for kind in SWEEP)
        self._warn(now)
        del now["done"]
        extras = {name: self._placed(value) for name, value in now.items()}
        return finish(
            values,
            p.scores,
            self.score,
            self.y,
            signed=False,
            unit=KEPT,
            extras=extras,
            names=names,
            blank="nothing of the picture has to be kept to preserve the score"
            if self.outside is None
            else "no context has to be kept to preserve the score",
        )

    def _placed(self, values: Tensor) -> Tensor:
        """[R …] as [B T …], NaN where nothing was asked."""
        shape = (len(self.problem.x), len(self.problem.scores.items), *values.shape[1:])
        placed = torch.full(shape, torch.nan, dtype=values.dtype, device=values.device)
        for r, (b, t) in enumerate(self.problem.pairs):
            placed[b, t] = values[r]
        return placed

    def _warn(self, now: dict[str, Tensor]) -> None:
        batch = len(self.problem.x)
        price = self.full_price
        for r, (b, t) in enumerate(self.problem.pairs):
            asked = f"{self.problem.scores.items[t]}{of_image(b, batch)}"
            objective, empty, full = (float(v[r]) for v in (now["objective"], self.empty_loss, price))
            if self.sweep is not None and self.fills[r] != SWEEP[0]:
                usual, taken, loss = name_of_fill(SWEEP[0]), name_of_fill(self.fills[r]), float(self.sweep[r, 0])
                text = (
                    f"the fill {usual!r} removes nothing of {asked} (loss {loss:.2g}): masked with {taken!r} instead "
                    f"(loss {empty:.2g})."
                )
                warnings.warn(FillWarning(text, b), stacklevel=4)
            if objective > min(empty, full) + 1e-6:
                end = "empty" if empty <= full else "full"
                text = (
                    f"the search for the mask of {asked} ended at an objective of {objective:.3g}, above the {end} "
                    f"mask's {min(empty, full):.3g}, which is better. mode='robust' starts twice "
                    "and takes the best of all."
                )
                warnings.warn(MaskSearchWarning(text, b), stacklevel=4)
            elif self._started_dead(r) and float(now["mask-size"][r]) <= CERTAIN:
                text = (
                    f"the mask of {asked} was emptied by λ alone: at its start no cell's slope reached λ, though the "
                    f"empty mask loses {empty:.2g}. mode='robust' starts from the full mask too."
                )
                warnings.warn(MaskSearchWarning(text, b), stacklevel=4)

    def _started_dead(self, r: int) -> bool:
        """Whether every search of a request began where no cell was worth its price, but all together are."""
        if self.recipe.careful:
            return False  # it also started from the full mask, and the best of all was taken
        pulls = [float(self.rows.pull[i]) for i, of in enumerate(self.rows.request) if of == r]
        return bool(pulls) and max(pulls) < self.recipe.sparsity < float(self.empty_loss[r])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskState:
    """How far the search for masks of B images and T targets has come.

    step: of the search. mask: [B T *cells] in [0, 1], NaN where undefined. objective: [B T], λ‖M‖₁ + loss of that mask.
    done: bool [B T], which will not change any more. maps: as the method would return them now.
    """

    step: int
    mask: Tensor
    objective: Tensor
    done: Tensor
    _found: _Found
    _now: dict[str, Tensor]

    @property
    def maps(self) -> Maps:
        """The maps of these masks, with their extras and warnings."""
        return self._found.maps(self._now)


def mask_states(
    network: Network, x: Tensor, targets: Targets, settings: Settings, context: bool
) -> Iterator[MaskState]:
    """The search, step by step; the last state is the result. The network is free between the steps."""
    steps = _steps(network, x, targets, settings, context)
    while True:
        # Not around the loop: whoever is handed a state works in a mode of their own.
        with torch.inference_mode(False):
            found = next(steps, None)
            state = None if found is None else found[1].state(found[0])
        if state is None:
            return
        yield state


def _steps(
    network: Network, x: Tensor, targets: Targets, settings: Settings, context: bool
) -> Iterator[tuple[int, _Found]]:
    """The number of each step, and everything as it then is; at least once."""
    recipe = settings.recipe()
    with capture(network), torch.no_grad():
        x = own(network, x)
        y = network(x)
    targets = Targets.of(targets)
    scores = targets.bind(network, x, y, usual_reading(network, y))
    score = scores(y)
    cells = cells_of(settings.in_full.cells, scores.grid)
    frames = targets.frames_of(x)
    outside = context_of(scores, frames) if context else None
    problem = _problem(network, x, y, targets, scores, cells, outside)
    fills, sweep, losses, bare = _chosen_fills(problem, settings.in_full.fill)
    certain = losses / recipe.sparsity <= CERTAIN if recipe.early else torch.zeros_like(losses, dtype=torch.bool)
    open_ = (~certain).nonzero().flatten().tolist()
    whole = torch.ones(len(open_), *cells, device=x.device)
    if recipe.careful:
        whole *= problem.matters[open_]
    rows = Rows.of(
        open_ * len(recipe.starts),
        [fills[r] for r in open_] * len(recipe.starts),
        torch.cat([whole * start for start in recipe.starts]),
        recipe.steps,
    )
    found = _Found(problem, recipe, y, score, outside, fills, sweep, losses, bare, certain, rows)
    step = 0
    for _ in search(problem, recipe, rows):
        step += 1
        left = torch.where(rows.done, 0, recipe.steps - rows.count)
        tell("masks", int(rows.done.numel() * recipe.steps - left.sum()), rows.done.numel() * recipe.steps)
        yield step, found
    if not step:
        yield 0, found


def searched(network: Network, x: Tensor, targets: Targets, settings: Settings, context: bool) -> Maps:
    """The maps at the end of the search."""
    with torch.inference_mode(False):
        step, found = deque(_steps(network, x, targets, settings, context), maxlen=1)[0]
        return found.state(step).maps


def _problem(
    network: Network,
    x: Tensor,
    y: Tensor,
    targets: Targets,
    scores: Scores,
    cells: tuple[int, ...],
    outside: Tensor | None,
) -> Problem:
    asked = torch.ones(x.shape[0], len(scores.items), dtype=torch.bool)
    asked &= ~scores.empty.cpu() if scores.empty is not None else True
    asked &= outside.flatten(2).any(2).cpu() if outside is not None else True
    pairs = tuple((int(b), int(t)) for b, t in asked.nonzero().tolist())
    frames = targets.frames_of(x)
    kept = None
    shape = (len(pairs), *cells)
    able = torch.ones(shape, dtype=torch.bool, device=x.device)
    if outside is not None and scores.masks is not None:
        kept = torch.stack([repeated(scores.masks[b, t][None], frames[b])[0] for b, t in pairs])
        able = matters(kept, cells, [frames[b] for b, _ in pairs])
    with torch.no_grad():
        full = scores.pixels(y[[b for b, _ in pairs]], pairs)
    return Problem(
        network=network,
        x=x,
        frames=frames,
        scores=scores,
        pairs=pairs,
        full=full,
        kept=kept,
        matters=able,
        shown=targets.shown(x),
    )


def _chosen_fills(problem: Problem, given: Fill | None) -> tuple[list[Fill], Tensor | None, Tensor, Tensor]:
    """The fill of each request, the losses of the sweep [R fills] (None without one), and P0 and bare confidence [R].

    A request keeps the first fill of the sweep, unless that removes nothing and another removes much.
    """
    if given is not None:
        loss, confidence = problem.bare(given)
        return [given] * len(problem), None, loss, confidence
    found = [problem.bare(kind) for kind in SWEEP]
    losses = torch.stack([loss for loss, _ in found], 1)
    confidences = torch.stack([confidence for _, confidence in found], 1)
    score = problem.over_region(problem.full, range(len(problem))).abs()
    best = losses.argmax(1)
    rows = torch.arange(len(problem), device=losses.device)
    change = (losses[:, 0] < REMOVES * score) & (losses[rows, best] >= REMOVES_MUCH * score)
    best = torch.where(change, best, 0)
    return [SWEEP[k] for k in best.tolist()], losses, losses[rows, best], confidences[rows, best]
