"""Tiles run and joined, as one step of the autograd graph that keeps no activation."""

import warnings
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils._python_dispatch import (
    _get_current_dispatch_mode_stack,  # pyright: ignore[reportPrivateUsage]
)

from seglens.core._sight import Line
from seglens.core.errors import SeamWarning
from seglens.core.nested import Node, Rule
from seglens.core.network import Network
from seglens.core.progress import tell
from seglens.core.slopes import nodes_between
from seglens.networks._seams import Seam, SeamMeter
from seglens.networks._stitching import Box, Cuts, Rows, extent, indices
from seglens.networks._tile_probe import OUTPUT, Call
from seglens.networks._tile_runner import TileRunner

TOLD = 16
"""Tiles of one pass from which on progress is told."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one size of picture is tiled: the tiles, and where each layer asked for and the output are cut.

    calls: the layers in the order in which they run, then the output. lines: the laws of their receptive fields, None
    where there is none. fields: their sizes.
    """

    rows: tuple[Rows, ...]
    cuts: Mapping[Call, tuple[Cuts, ...]]
    lines: Mapping[Call, tuple[Line | None, ...]]

    @property
    def fields(self) -> dict[Call, tuple[int | None, ...]]:
        """Receptive fields in pixels; None for everything, or for what follows no law."""
        return {call: tuple(None if line is None else line.size for line in v) for call, v in self.lines.items()}

    @property
    def calls(self) -> list[Call]:
        """The layers in order of running, and the output."""
        return list(self.cuts)

    def is_covered(self, call: Call) -> bool:
        """Whether a tensor is that of the untiled network, as far as receptive fields tell."""
        return all(c.covered for c in self.cuts[call])

    def core(self, call: Call, tile: Sequence[int]) -> Box:
        """What is taken of a tile, among its own positions."""
        return tuple(c.core(t) for c, t in zip(self.cuts[call], tile, strict=True))

    def within(self, call: Call, tile: Sequence[int]) -> Box:
        """The same in the whole."""
        return tuple(c.within(t) for c, t in zip(self.cuts[call], tile, strict=True))

    def whole(self, call: Call, tile: Sequence[int]) -> Box:
        """All positions of a tile in the whole."""
        return tuple(c.whole(t) for c, t in zip(self.cuts[call], tile, strict=True))

    def sizes(self, call: Call) -> tuple[int, ...]:
        """The joined tensor's."""
        return tuple(c.borders[-1] for c in self.cuts[call])


@dataclass(slots=True, eq=False)
class Job:
    """One tensor to be joined: the call `stop` of the network on inputs [B C *grid], with other layers' maps given.

    inputs: all of the module's, the explained one among them; those of the picture's own sizes are cut as it is.
    seams: where the measured seam is put; None where it is not to be measured.
    """

    network: Network
    plan: Plan
    stop: Call
    given: tuple[Call, ...]
    inputs: tuple[Tensor, ...]
    seams: dict[Call, Seam] | None = None
    rules: list[Rule] = field(default_factory=list[Rule])
    random: dict[tuple[int, ...], Tensor] = field(default_factory=dict[tuple[int, ...], Tensor])

    def joined(self, x: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """[B K *whole] without history: tile after tile, of each what lies in its core."""
        plan, cuts = self.plan, self.plan.cuts[self.stop]
        # What follows operations loses track of memory written in place, and keeps it of tiles joined side by side.
        followed = bool(_get_current_dispatch_mode_stack())
        meter = SeamMeter(self.network if self.stop == OUTPUT else None)
        strips: dict[tuple[tuple[int, ...], int], Tensor] = {}
        cores: dict[tuple[int, ...], Tensor] = {}
        out: Tensor | None = None
        tiles = indices(plan.rows)
        with torch.no_grad(), TileRunner(self.network, self.given, self.stop).hooked() as run:
            for i, tile in enumerate(tiles):
                state = torch.get_rng_state()
                y = run(self._inputs(x, tile), self._slices(maps, tile))
                if not torch.equal(state, torch.get_rng_state()):
                    self.random[tile] = state
                if self.seams is not None:
                    _compare(y, tile, cuts, plan.core(self.stop, tile), strips, meter)
                core = y[(..., *plan.core(self.stop, tile))]
                if followed:
                    cores[tile] = core
                else:
                    if out is None:
                        out = y.new_empty((*y.shape[:2], *plan.sizes(self.stop)))
                    out[(..., *plan.within(self.stop, tile))] = core
                if len(tiles) >= TOLD:
                    tell("tiles", i + 1, len(tiles))
        whole = _side_by_side(cores, len(cuts)) if out is None else out
        if self.seams is not None:
            path, call = self.stop
            name = None if self.stop == OUTPUT else f"{path}#{call}" if call else path
            with torch.no_grad():
                seam = meter.seam(name, plan.is_covered(self.stop), plan.fields[self.stop], whole)
            self.seams[self.stop] = seam
            _warn(self.network, seam)
        return whole

    def slopes(self, x: Tensor, maps: Sequence[Tensor], grad: Tensor, wanted: Sequence[bool]) -> list[Tensor | None]:
        """Derivatives by x and by the maps, those wanted: each tile whose core a gradient reaches runs again."""
        sources = [x, *maps]
        found = [torch.zeros_like(t) if w else None for t, w in zip(sources, wanted, strict=True)]
        tiles = indices(self.plan.rows)
        with TileRunner(self.network, self.given, self.stop).hooked() as run:
            for i, tile in enumerate(tiles):
                seed = grad[(..., *self.plan.within(self.stop, tile))]
                if bool(seed.any()):
                    leaves, core = self._again(run, x, maps, tile, wanted)
                    if core.requires_grad:
                        self._add(found, leaves, core, seed, tile)
                if len(tiles) >= TOLD:
                    tell("tiles, in reverse", i + 1, len(tiles))
        return found

    @contextmanager
    def sample(self, node: Node) -> Generator[Iterable[Node]]:
        """The graph of the first tile, of the node that joined it."""
        x, *maps = node.saved_tensors
        with ExitStack() as undo:
            run = undo.enter_context(TileRunner(self.network, self.given, self.stop).hooked())
            wanted = node.needs_input_grad[1:]
            leaves, core = self._again(run, x, maps, indices(self.plan.rows)[0], wanted)
            yield nodes_between(core, [t for t in leaves if t is not None])

    def _again(
        self, run: TileRunner, x: Tensor, maps: Sequence[Tensor], tile: tuple[int, ...], wanted: Sequence[bool]
    ) -> tuple[list[Tensor | None], Tensor]:
        """(the leaves of a tile's own graph where one is wanted, the tile's core on it)."""
        boxes = [extent(self.plan.rows, tile), *(self.plan.whole(call, tile) for call in self.given)]
        parts = [t[(..., *box)].detach().clone() for t, box in zip([x, *maps], boxes, strict=True)]
        leaves = [p.requires_grad_() if w else None for p, w in zip(parts, wanted, strict=True)]
        with torch.enable_grad(), _random_state(self.random.get(tile)):
            # Copies, so that an operation in place meets no leaf.
            given = {call: p.clone() for call, p in zip(self.given, parts[1:], strict=True)}
            y = run(self._inputs(x, tile, parts[0].clone() if wanted[0] else parts[0]), given)
            return leaves, y[(..., *self.plan.core(self.stop, tile))]

    def _add(
        self,
        found: Sequence[Tensor | None],
        leaves: Sequence[Tensor | None],
        core: Tensor,
        seed: Tensor,
        tile: tuple[int, ...],
    ) -> None:
        used = [t for t in leaves if t is not None]
        with ExitStack() as undo:
            for rule in self.rules:
                undo.enter_context(rule(nodes_between(core, used)))
            grads = iter(torch.autograd.grad(core, used, seed, allow_unused=True, materialize_grads=True))
        boxes = [extent(self.plan.rows, tile), *(self.plan.whole(call, tile) for call in self.given)]
        for total, box in zip(found, boxes, strict=True):
            if total is not None:
                total[(..., *box)] += next(grads)

    def _inputs(self, x: Tensor, tile: tuple[int, ...], part: Tensor | None = None) -> list[Tensor]:
        """The module's inputs for a tile; a copy of x, so that the network may write into it."""
        box = extent(self.plan.rows, tile)
        inputs = [e[(..., *box)] if e.ndim == x.ndim and e.shape[2:] == x.shape[2:] else e for e in self.inputs]
        inputs[self.network.explained] = x[(..., *box)].clone() if part is None else part
        return inputs

    def _slices(self, maps: Sequence[Tensor], tile: tuple[int, ...]) -> dict[Call, Tensor]:
        return {call: a[(..., *self.plan.whole(call, tile))].clone() for call, a in zip(self.given, maps, strict=True)}


class Stitch(torch.autograd.Function):
    """The joined tensor; in reverse, tile after tile is computed again.

    What is kept for the reverse pass are its inputs alone, so that activations take the memory of one tile.
    """

    @staticmethod
    def forward(ctx: Any, job: Job, x: Tensor, *maps: Tensor) -> Tensor:
        ctx.nested = job
        ctx.autocast = _autocast(x.device.type)
        ctx.save_for_backward(x, *maps)
        return job.joined(x, maps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, *maps = ctx.saved_tensors
        device, kind, on = ctx.autocast
        with torch.autocast(device, dtype=kind, enabled=on):
            return (None, *ctx.nested.slopes(x, maps, grad_outputs[0], ctx.needs_input_grad[1:]))


def _compare(
    y: Tensor,
    tile: tuple[int, ...],
    cuts: Sequence[Cuts],
    core: Box,
    strips: dict[tuple[tuple[int, ...], int], Tensor],
    meter: SeamMeter,
) -> None:
    """Against the tiles before it: the last position that was taken of each, which this tile holds in its margin."""
    for d, c in enumerate(cuts):
        t = tile[d]
        if t > 0:
            before = strips.pop((tile, d))
            at = c.borders[t] - 1 - c.bases[t]
            # Where all is covered, only what both tiles see whole is to agree.
            if at >= 0 and (c.shared[t - 1] or not c.covered):
                meter.compare(before, _strip(y, core, d, at))
        if t + 1 < len(c.bases):
            following = (*tile[:d], t + 1, *tile[d + 1 :])
            strips[(following, d)] = _strip(y, core, d, c.borders[t + 1] - 1 - c.bases[t]).clone()


def _strip(y: Tensor, core: Box, d: int, at: int) -> Tensor:
    return y[(..., *core[:d], slice(at, at + 1), *core[d + 1 :])]


def _side_by_side(cores: Mapping[tuple[int, ...], Tensor], dims: int) -> Tensor:
    """Cores by their place, concatenated along the last dimension first."""
    for d in reversed(range(dims)):
        rows: dict[tuple[int, ...], list[Tensor]] = {}
        for tile in sorted(cores):
            rows.setdefault(tile[:d], []).append(cores[tile])
        cores = {place: torch.cat(row, 2 + d) for place, row in rows.items()}
    return cores[()]


def _autocast(device: str) -> tuple[str, torch.dtype, bool]:
    return device, torch.get_autocast_dtype(device), torch.is_autocast_enabled(device)


@contextmanager
def _random_state(state: Tensor | None) -> Generator[None]:
    """What a network draws in its forward pass, it draws again when that is repeated."""
    if state is None:
        yield
        return
    with torch.random.fork_rng([]):
        torch.set_rng_state(state)
        yield


def _warn(network: Network, seam: Seam) -> None:
    if seam.agrees and (seam.covered or seam.positions):
        return
    where = f"layer {seam.layer}" if seam.layer else "the output"
    warnings.warn(
        SeamWarning(
            f"{network.name} in tiles is another function than on the whole picture: {where} is {seam}. "
            "A larger overlap, larger tiles or a smaller picture bring it nearer.",
            layer=seam.layer,
        ),
        stacklevel=6,
    )
