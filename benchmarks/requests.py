"""What a batch of requests for context costs, beside the same requests one by one and beside the published searches."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import seglens as sl
from seglens.core.cost import measured
from seglens.datasets import CLASSES, Plant, Streets

NETWORK = "streets-unet-biased"
ASKED = ("rider", "bicycle")
"""Classes that every image is asked about, where they are predicted."""
IMAGES = 32
SIDE, LEAST = 48, 50
"""Pixels of an image's side, and of either class that are to be predicted in it."""
ROBUST = sl.ContextSaliency(fill="mean")
"""The default but for the fill: the published searches have this one."""
PUBLISHED = ("toy", "cityscapes")
APART = 1e-3
"""From which difference on two masks are told apart."""

CONVENTIONS = (
    f"context: context-saliency of {' and '.join(ASKED)}, where predicted, in {IMAGES} parts of {SIDE} x {SIDE} of "
    "held-out streets, each around a rider; fill mean. robust: all else by default. toy, cityscapes: the published "
    "searches, all their steps, of one request.",
    "F: of one image, by torch's formulas for a pass forwards and one in reverse, times the pictures that pass; of "
    "one request. s: processor seconds, wall: the clock's, of all calls, run once.",
    "settled: searches that did, which ends robust ones; empty: masks certified without a search. mask ~, obj. ~: "
    "largest difference from the single call, of masks (0 to 1) and of objectives; apart: masks that differ by more "
    f"than {APART:g}, as many steps may make of another rounding.",
)


@dataclass(frozen=True, slots=True)
class Searches:
    """Requests answered in a number of calls.

    passes: F a request, on average; median, most: of single requests, None where a call holds several. seconds, wall:
    of processor and clock, of all calls. settled: searches that did; empty: requests certified without one.
    mask, objective: largest differences from the same requests in other calls, and apart: how many masks differ by more
    than `APART`; None where there are none.
    """

    search: str
    requests: int
    calls: int
    passes: float
    seconds: float
    wall: float
    settled: int
    empty: int
    median: float | None = None
    most: float | None = None
    mask: float | None = None
    apart: int | None = None
    objective: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return asdict(self)


class Counted(nn.Module):
    """A network that counts the pictures that pass, forwards and in reverse.

    torch's own counter would slow the clock down at every operation, small calls the most.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.forwards = self.reverses = 0

    def forward(self, x: Tensor) -> Tensor:
        self.forwards += len(x)
        y: Tensor = self.inner(x)
        if y.requires_grad:
            y.register_hook(self._reversed)
        return y

    def _reversed(self, gradient: Tensor) -> None:
        self.reverses += len(gradient)


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of some calls, with masks [R *cells] and objectives [R] of all their requests."""

    row: Searches
    masks: Tensor
    objectives: Tensor


def searches(images: int = IMAGES, robust: sl.ContextSaliency = ROBUST) -> list[Searches]:
    """All requests in one call, each in a call of its own, and one of them by either published search."""
    given = sl.load(NETWORK)
    network = given.with_(module=Counted(given.module))
    x = riders(given, images)
    every = [(x, sl.Targets.of(ASKED))]
    single = [(x[b : b + 1], sl.Targets.of(label)) for b in range(images) for label in ASKED]
    # What runs for the first time takes longer.
    answers("", network, sl.ContextSaliency(steps=1), single[:1])
    together = answers("robust", network, robust, every)
    alone = answers("robust", network, robust, single, beside=together)
    rows = [together.row, alone.row]
    for preset in PUBLISHED:
        recipe = sl.ContextSaliency(mode="reference", preset=preset, early=False)
        rows.append(answers(preset, network, recipe, single[:1]).row)
    return rows


def riders(network: sl.Network, images: int) -> Tensor:
    """Input [B 3 side side]: parts of the first held-out streets, around their largest riders, that show the classes.

    At the size that they have in the picture: smaller pictures cost less, smaller things would not be found.
    """
    found: list[Tensor] = []
    for scene in Streets(20 * images, seed=1_000_000, plant=Plant(riders_on_bicycles=1.0)):
        ids, sizes = np.unique(scene.instances[scene.labels == CLASSES.index("rider")], return_counts=True)
        if not len(ids):
            continue
        places = np.nonzero(scene.instances == ids[sizes.argmax()])
        top, left = (
            int(np.clip(place.mean() - SIDE / 2, 0, side - SIDE))
            for place, side in zip(places, scene.labels.shape, strict=True)
        )
        part = np.ascontiguousarray(scene.image[top : top + SIDE, left : left + SIDE])
        x = network.convention.normalise(sl.read_image(part).pixels[None])
        with torch.no_grad():
            y = network(x)
        table = network.class_table(y)
        if all(int(network.members(y, table.index(label)).sum()) >= LEAST for label in ASKED):
            found.append(x)
        if len(found) == images:
            return torch.cat(found)
    raise RuntimeError(f"only {len(found)} of {20 * images} streets show what is asked about.")


def answers(
    search: str,
    network: sl.Network,
    method: sl.ContextSaliency,
    calls: Sequence[tuple[Tensor, sl.Targets]],
    beside: Answers | None = None,
) -> Answers:
    """Run calls of (input, targets) on a `Counted` network, every target of which is in every image."""
    counted = network.module
    assert isinstance(counted, Counted)
    reverse = price_of_reverse(counted.inner, calls[0][0][:1])
    passes: list[float] = []
    found: list[dict[str, Tensor]] = []
    seconds, wall = time.process_time(), time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.SeglensWarning)  # of empty masks and other fills, which are counted below
        for x, targets in calls:
            counted.forwards = counted.reverses = 0
            found.append(dict(method(network, x, targets).extras))
            passes.append(counted.forwards + reverse * counted.reverses)
    seconds, wall = time.process_time() - seconds, time.perf_counter() - wall
    masks, objectives, tried, settled = (
        torch.cat([one[name].flatten(0, 1) for one in found]) for name in ("mask", "objective", "tried", "settled")
    )
    each = len(masks) == len(calls)
    moved = (masks - beside.masks).abs().flatten(1).amax(1) if beside else None
    row = Searches(
        search=search,
        requests=len(masks),
        calls=len(calls),
        passes=sum(passes) / len(masks),
        seconds=seconds,
        wall=wall,
        settled=int(((tried > 0) & (settled == 1)).sum()),
        empty=int((tried == 0).sum()),
        median=median(passes) if each else None,
        most=max(passes) if each else None,
        mask=None if moved is None else float(moved.max()),
        apart=None if moved is None else int((moved > APART).sum()),
        objective=float((objectives - beside.objectives).abs().max()) if beside else None,
    )
    return Answers(row, masks, objectives)


def price_of_reverse(module: nn.Module, x: Tensor) -> float:
    """F of a reverse pass from the output to input x, by torch's formulas."""
    x = x.clone().requires_grad_()
    with torch.enable_grad(), measured() as forward:
        y = module(x)
    with measured() as reverse:
        torch.autograd.grad(y.sum(), x)
    return reverse.flops / forward.flops
