"""One method on one network: a map for each picture, and how much of it lies in the context and in the cue."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.errors import ShapeError
from seglens.core.frame import Frame
from seglens.core.method import Method
from seglens.core.network import Network, Of
from seglens.core.progress import tell
from seglens.core.regions import predicted
from seglens.core.targets import Target, Targets
from seglens.core.view import Region, View
from seglens.datasets.textured_digits import CLASSES
from seglens.metrics.context_bias import cbd, cbl, on_cells
from seglens.perturb import Fill, cells_of, pooled, spread
from seglens.run.bench.pictures import Scenes
from seglens.run.bench.roster import BASELINES, CELLS, Entry
from seglens.run.questions import forward

Floats = NDArray[np.float64]

AT_ONCE = 128
"""Pictures explained together, at most."""

_SEED = 20190717  # of the random maps


@dataclass(frozen=True, slots=True, eq=False)
class Measures:
    """What one method's maps M of n pictures hold. A picture whose digit the network found nowhere is not among them.

    image: place in the data set. digit: the class asked about, which is the true one. cued: whether a cue shows.
    cbd, cbl: of M on its own cells; cbd_pixels, cbl_pixels: pixel by pixel. CBD is that of the map as it is, in its
    unit; `greatest`, `greatest_pixels`: its largest absolute value in the context, to divide by. NaN where undefined;
    CBL also where no cue shows. steps: masks that the method tried, NaN for one that tries none. mask [n *cells]: M.
    """

    image: NDArray[np.int64]
    digit: NDArray[np.int64]
    cued: NDArray[np.bool_]
    cbd: Floats
    cbl: Floats
    cbd_pixels: Floats
    cbl_pixels: Floats
    greatest: Floats
    greatest_pixels: Floats
    steps: Floats
    mask: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)

    @classmethod
    def joined(cls, parts: Sequence["Measures"]) -> "Measures":
        """Several one after another."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))


def found(network: Network, scenes: Scenes) -> NDArray[np.bool_]:
    """[n]: whether the network predicts each picture's own digit anywhere. One pass a picture."""
    x = network.convention.normalise(scenes.pixels)

    def part(start: int, stop: int) -> NDArray[np.bool_]:
        labels = network.labels(forward(network, x[start:stop]))
        if labels is None:
            raise ShapeError("the benchmark takes networks that give each pixel one class.")
        return (labels.cpu().numpy() == scenes.digit[start:stop, None, None]).any((1, 2))

    return np.concatenate(list(in_batches(len(x), _at_once(x), part)))


def measure(network: Network, entry: Entry, scenes: Scenes, asked: NDArray[np.bool_], fill: Fill) -> Measures:
    """Explain pictures by one method, each asked about its own digit where the network predicts it, and measure.

    asked: [n], which pictures: those that `found` has. fill: for methods that take one. Pictures of one class go
    through the method together, or of all classes (`Entry.together`). Whatever the method raises is passed on.
    """
    x = network.convention.normalise(scenes.pixels)
    method = None if entry.method in BASELINES else entry.made(fill)
    groups = [np.flatnonzero(asked & (scenes.digit == digit)) for digit in np.unique(scenes.digit[asked])]
    if entry.together and groups:
        groups = [np.flatnonzero(asked)]
    parts: list[Measures] = []
    done, total = 0, int(asked.sum())
    for chosen in groups:

        def part(start: int, stop: int, chosen: NDArray[np.intp] = chosen) -> Measures:
            some = chosen[start:stop]
            if method is None:
                return _measured(*_baseline(entry.method, scenes.index[some], x), None, scenes, some)
            return _measured(*_explained(network, method, x[some], scenes.digit[some], entry.of), scenes, some)

        for measures in in_batches(len(chosen), _at_once(x), part):
            parts.append(measures)
            done += len(measures)
            tell("pictures", done, total)
    return Measures.joined(parts) if parts else _none()


@dataclass(frozen=True, slots=True)
class _Own(Region):
    """Where a class is predicted, in the pictures of a batch that show it; nothing in the others."""

    label: int
    digits: tuple[int, ...]

    def mask(self, view: View) -> Tensor:
        """See `Region`."""
        inside = predicted(CLASSES[self.label]).mask(view)
        mine = torch.tensor(self.digits, device=inside.device) == self.label
        return inside & mine[:, None, None]

    def __str__(self) -> str:
        return f"predicted({CLASSES[self.label]!r})"


def _explained(
    network: Network, method: Method, x: Tensor, digits: NDArray[np.int64], of: Of | None
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Sizes of the maps outside the region: on cells [n *cells], and pixel by pixel [n *grid]; and steps [n], if any.

    Where the method has no cells of its own, the mean of |map| over the benchmark's. Maps of the region too are cut
    down to what lies outside it, as all others are.
    """
    classes = np.unique(digits).tolist()
    items = [Target(CLASSES[c], _Own(c, tuple(digits.tolist())), of=of) for c in classes]
    maps = method(network, x, Targets.of(items))
    at = list(range(len(x))), [classes.index(d) for d in digits.tolist()]
    fine = maps.values[at].abs().cpu()
    steps = maps.extras["tried"][at].cpu() if "tried" in maps.extras else None
    for name in ("mask", "cells"):
        if name in maps.extras:
            return maps.extras[name][at].abs().float().cpu(), fine, steps
    if maps.scores.masks is not None:
        fine = fine.masked_fill(maps.scores.masks[at].cpu(), 0.0)
    grid = tuple(fine.shape[1:])
    return pooled(fine, cells_of(CELLS, grid), _frames(len(fine), grid)), fine, steps


def _at_once(x: Tensor) -> int:
    return rows_at_once(x[:1], AT_ONCE)


def _baseline(name: str, index: NDArray[np.int64], x: Tensor) -> tuple[Tensor, Tensor]:
    """The map that knows nothing, for pictures of these places in the data set."""
    grid = tuple(x.shape[2:])
    if name == "uniform":
        coarse = torch.ones(len(index), *CELLS)
    else:
        drawn = [np.random.default_rng((_SEED, int(i))).random(CELLS, np.float32) for i in index]
        coarse = torch.from_numpy(np.stack(drawn))
    return coarse, spread(coarse, _frames(len(index), grid))


def _frames(n: int, grid: tuple[int, ...]) -> tuple[Frame, ...]:
    return (Frame.identity(grid),) * n


def _measured(coarse: Tensor, fine: Tensor, steps: Tensor | None, scenes: Scenes, some: NDArray[np.intp]) -> Measures:
    context = scenes.context[some]
    cue = scenes.cue[some] & context
    cued = np.asarray(cue.any((1, 2)))
    m, p = coarse.numpy().astype(np.float64), fine.numpy().astype(np.float64)
    cells = (m.shape[1], m.shape[2])
    context_cells, cue_cells = on_cells(context, cells), on_cells(cue, cells)
    return Measures(
        image=scenes.index[some],
        digit=scenes.digit[some],
        cued=cued,
        cbd=cbd(m, context_cells),
        cbl=np.where(cued, cbl(m, cue_cells, context_cells), np.nan),
        cbd_pixels=cbd(p, context),
        cbl_pixels=np.where(cued, cbl(p, cue, context), np.nan),
        greatest=np.where(context_cells > 0, m, 0).max((1, 2)),
        greatest_pixels=np.where(context, p, 0).max((1, 2)),
        steps=np.full(len(some), np.nan) if steps is None else steps.double().numpy(),
        mask=m.astype(np.float32),
    )


def _none() -> Measures:
    empty = np.zeros(0)
    number, flag = empty.astype(np.int64), empty.astype(bool)
    return Measures(
        number, number, flag, empty, empty, empty, empty, empty, empty, empty, np.zeros((0, *CELLS), np.float32)
    )
