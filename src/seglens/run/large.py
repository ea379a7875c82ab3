"""Pictures larger than memory: labelled tile by tile from the file, and explained in the window that a region sees."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from math import ceil, floor, prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seglens.core.arrays import displayed, scaled, windowed
from seglens.core.capture import capture
from seglens.core.classes import ClassTable
from seglens.core.errors import EmptyRegionError, NetworkError, ParameterError, RegionError
from seglens.core.explanation import Explanation
from seglens.core.frame import Frame, resize
from seglens.core.images import Source, existing_file
from seglens.core.method import Method
from seglens.core.network import Network
from seglens.core.progress import tell
from seglens.core.rasters import is_raster, open_raster, placed
from seglens.core.regions import mask as mask_region
from seglens.core.targets import Channel, Target, Targets, empty_region
from seglens.core.view import Source as Read
from seglens.core.view import View, resolve
from seglens.networks._stitch import Plan
from seglens.networks._stitching import extent, indices
from seglens.networks._tile_probe import OUTPUT
from seglens.networks.tiled import Sides, TiledModule, tiled
from seglens.run.explain import explain
from seglens.run.questions import NetworkSource, open_network, times
from seglens.run.segment import Segmentation

MOST = 2**24
"""Pixels of a window that is explained at once: of 4096 × 4096."""

_STRIP = 512  # rows of the picture that are made a thumbnail of at a time


@dataclass(frozen=True, slots=True, eq=False)
class _Opened:
    """A picture of which windows can be read: pixels float32 [C h w] in 0..1."""

    name: str
    size: tuple[int, int]
    read: Callable[[slice, slice], NDArray[np.float32]]
    georeference: str
    notes: tuple[str, ...]


def segment_large(
    network: NetworkSource,
    image: Source,
    *,
    tiles: Sides | None = None,
    overlap: Sides | None = None,
    device: str | torch.device | None = None,
) -> Segmentation:
    """What a network labels each pixel of a picture as, however large: tile by tile, from the file.

    Labels and confidence as `segment` gives them for the network in tiles; of the picture, of its scores and of the
    network's activations only one tile is held. A TIFF is read in windows, any other picture whole. Labels come in the
    smallest type that holds them. tiles, overlap: as `tiled`.

    Raises ParameterError for a network that normalises each picture by its own mean, and for one whose labels are
    independent; what `tiled` and reading raise.
    """
    net = _in_tiles(open_network(network, device), tiles, overlap)
    with _opened(net, image) as picture:
        return _labelled(net, picture)[0]


def explain_large(
    network: NetworkSource,
    image: Source,
    method: str | Method = "saliency",
    target: Target | Channel | str | int | None = None,
    *,
    tiles: Sides | None = None,
    overlap: Sides | None = None,
    most: int = MOST,
    device: str | torch.device | None = None,
) -> Explanation:
    """Why the network labels a region of a large picture as it does: `explain` in the window that the region sees.

    The whole picture is labelled first (`segment_large`), and the region worked out on that, so that `instance` and
    `predicted` mean what they mean elsewhere. Then only the region's bounding box, grown by the receptive field, is
    read and explained; the map is 0 outside it, and comes back on the whole picture.

    Exact for maps of the input's derivatives, such as saliency and input × gradient: no pixel outside can be seen from
    the region. Methods that average over a layer's map, perturb the picture or take its range or mean take the window
    for the picture, and a note says so. Of a network without a bounded receptive field the window is the bounding box
    grown by a tile, which a note says too.
    target: a class (asked where it is predicted) or one Target. most: pixels of the largest window that is taken.
    Memory: labels, confidence, display and map of the picture, and what `explain` needs for the window.

    Raises ParameterError for a larger window, EmptyRegionError, and what `segment_large` and `explain` raise.
    """
    net = _in_tiles(open_network(network, device), tiles, overlap)
    with _opened(net, image) as picture:
        labelled, plan = _labelled(net, picture)
        labels = labelled.labels
        if labels is None:
            raise RegionError("labels that overlap have no map of labels.")
        if target is None:
            target = labelled.classes.names[int(np.bincount(labels.ravel(), minlength=len(labelled.classes)).argmax())]
        (item,) = Targets.of(target).items
        inside = _region(net, labels, item, labelled.classes)
        window, bounded = _window(net, plan, inside, picture.size, most)
        rows, columns = window
        pixels = torch.from_numpy(picture.read(rows, columns))
    plain = net.with_(convention=replace(net.convention, window=None, axes=None))
    asked = replace(item, region=mask_region(inside[rows, columns], str(item.region or "everything")))
    found = explain(plain, pixels, method, asked)
    if not isinstance(found, Explanation):
        raise ParameterError(f"{method} gives several maps for one target: ask it of a smaller picture.")
    return _carried(found, item, labelled, inside, window, bounded)


def _in_tiles(network: Network, tiles: Sides | None, overlap: Sides | None) -> Network:
    if network.convention.per_image:
        raise ParameterError(
            f"{network.name} normalises each picture by its own mean and deviation, which no tile knows.\n"
            "  Read the picture, and take seglens.tiled(network) with explain and segment."
        )
    if network.dims != 2:
        raise ParameterError(f"{network.name} takes volumes: take seglens.tiled(network) with explain and segment.")
    if isinstance(network.module, TiledModule) and tiles is None and overlap is None:
        return network
    return tiled(network, tiles, overlap)


@contextmanager
def _opened(network: Network, image: Source) -> Generator[_Opened]:
    convention = network.convention
    if isinstance(image, str | os.PathLike) and _is_tiff(existing_file(image), convention.channels):
        with open_raster(image, convention.channels) as raster:

            def window(rows: slice, columns: slice) -> NDArray[np.float32]:
                array = raster.read(rows, columns)
                if array.shape[0] == 4 and convention.channels == 3:
                    array = array[:3]
                said: list[str] = []
                if convention.window is not None:
                    return windowed(array, raster.name, convention.window, said)
                return scaled(array, raster.name)

            yield _Opened(raster.name, raster.size, window, raster.georeference, raster.notes)
        return
    whole = network.read(image)
    values = whole.pixels.numpy()
    height, width = whole.size
    yield _Opened(whole.name, (height, width), lambda r, c: values[:, r, c], whole.georeference, whole.notes)


def _is_tiff(path: Path, channels: int | None) -> bool:
    """Whether it can be read in windows; small ordinary TIFFs stay with the usual reader."""
    return is_raster(path, channels)


class _OnGrid(nn.Module):
    """Scores on the input's own grid, where labels are read off: [B K *grid]."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.inner = network.module
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """The network's own scores, upsampled as regions want them."""
        return resize(self.network.pick(self.inner(*inputs)), tuple(inputs[self.network.explained].shape[2:]))


def _labelled(network: Network, picture: _Opened) -> tuple[Segmentation, Plan]:
    module = network.module
    if not isinstance(module, TiledModule):
        raise NetworkError(f"{network.name} is not in tiles.")
    inner = module.network
    net = network.with_(module=_OnGrid(inner), output=None)
    on_grid = TiledModule(net, module.tiles, module.unit)
    frame = network.convention.frame(picture.size)
    labels: NDArray[Any] | None = None
    confidence = np.zeros(picture.size, np.float32)
    display: NDArray[np.uint8] | None = None
    classes: ClassTable | None = None
    with capture(network.with_(module=on_grid)), torch.no_grad():
        plan = on_grid.plan(_inputs(net, _sample(network, picture, frame)))
        places = indices(plan.rows)
        for i, tile in enumerate(places):
            box = extent(plan.rows, tile)
            rows, columns = (slice(b.start, min(b.stop, n)) for b, n in zip(box, picture.size, strict=True))
            pixels = picture.read(rows, columns)
            y = net(_prepared(network, pixels, box))
            network.check_finite(y)
            flat = network.labels(y)
            if flat is None:
                raise ParameterError(
                    f"{network.name} gives labels that overlap, so there is no map of labels.\n"
                    "  Take seglens.tiled(network) with explain, and a region that needs no prediction."
                )
            if labels is None:
                classes = network.class_table(y)
                labels = np.zeros(picture.size, np.min_scalar_type(max(len(classes) - 1, 1)))
            p = network.scores(y, "probabilities").gather(1, flat[:, None])[0, 0]
            core, within = plan.core(OUTPUT, tile), plan.within(OUTPUT, tile)
            kept = tuple(slice(w.start, min(w.stop, n)) for w, n in zip(within, picture.size, strict=True))
            if any(k.stop <= k.start for k in kept):
                continue
            cut = tuple(slice(c.start, c.start + k.stop - k.start) for c, k in zip(core, kept, strict=True))
            labels[kept] = flat[0][cut].cpu().numpy()
            confidence[kept] = p[cut].float().cpu().numpy()
            shown = displayed(
                np.ascontiguousarray(pixels[(slice(None), *cut)]), picture.name, network.convention.bands, []
            )
            if display is None:
                display = np.zeros((*picture.size, *shown.shape[2:]), np.uint8)
            display[kept] = shown
            tell("tiles", i + 1, len(places))
    if labels is None or display is None or classes is None:
        raise NetworkError(f"{picture.name} holds no pixels.")
    return Segmentation(
        labels=labels,
        masks=None,
        confidence=confidence,
        classes=classes,
        image=display,
        network=network.name,
        name=picture.name,
        notes=picture.notes,
        provenance={
            "image": picture.name,
            "image size": times(picture.size),
            **placed(picture.georeference),
            "network source": network.source,
            "tiles": str(module.tiles),
            "seam": _said(plan),
        },
    ), plan


def _inputs(network: Network, x: Tensor) -> list[Tensor]:
    inputs = [e.to(network.device) for e in network.extra]
    inputs.insert(network.explained, x)
    return inputs


def _sample(network: Network, picture: _Opened, frame: Frame) -> Tensor:
    """An input of the whole picture's size and of no memory: one pixel everywhere."""
    one = torch.from_numpy(np.ascontiguousarray(picture.read(slice(0, 1), slice(0, 1))))
    x = network.convention.resized(one, (1, 1)).to(network.device, network.dtype)
    return x.expand(*x.shape[:2], *frame.grid)


def _prepared(network: Network, pixels: NDArray[np.float32], box: tuple[slice, ...]) -> Tensor:
    """A tile's pixels as the network's input, padded where the picture ends before its grid does."""
    x = network.convention.resized(torch.from_numpy(np.ascontiguousarray(pixels)), tuple(pixels.shape[1:]))
    extra = [b.stop - b.start - n for b, n in zip(box, x.shape[2:], strict=True)]
    sides = [side for n in reversed(extra) for side in (0, n)]
    return torch.nn.functional.pad(x, sides, mode="replicate") if any(extra) else x


def _said(plan: Plan) -> str:
    if plan.is_covered(OUTPUT):
        return f"exact, the overlap covers the receptive field of {times(tuple(n or 0 for n in plan.fields[OUTPUT]))}"
    return "not exact, the overlap does not cover the receptive field"


@dataclass(frozen=True, slots=True, kw_only=True)
class _LabelView(View):
    """What regions may be read off a map of labels [H W], without the scores of all classes."""

    labels: Tensor
    table: ClassTable

    @property
    def grid(self) -> tuple[int, ...]:
        """The map's."""
        return tuple(self.labels.shape)

    @property
    def classes(self) -> ClassTable:
        """The network's table."""
        return self.table

    def labelled(self, label: int, of: Read) -> Tensor:
        """bool [1 H W]: where the map has that label."""
        if of == "truth":
            return self.truth_for("a region of the truth") == label
        return (self.labels == label)[None]


def _region(network: Network, labels: NDArray[Any], item: Target, table: ClassTable) -> NDArray[np.bool_]:
    size = labels.shape
    if item.region is None:
        return np.ones(size, bool)
    view = _LabelView(
        network=network,
        output=torch.zeros(1, 1, 1, 1),
        frames=(Frame.identity(size),),
        labels=torch.from_numpy(labels),
        table=table,
    )
    inside = resolve(item.region, view)[0].numpy()
    if not inside.any():
        error: EmptyRegionError = empty_region((item,))
        raise error
    return inside


def _window(
    network: Network, plan: Plan, inside: NDArray[np.bool_], size: tuple[int, int], most: int
) -> tuple[tuple[slice, slice], bool]:
    """(what a region sees, from a multiple of the network's stride on; whether that is bounded)."""
    module = network.module
    if not isinstance(module, TiledModule):
        raise NetworkError(f"{network.name} is not in tiles.")
    bounded = all(n is not None for n in plan.fields[OUTPUT])
    found: list[slice] = []
    for d, n in enumerate(size):
        where = np.flatnonzero(inside.any(1 - d))
        line = plan.lines[OUTPUT][d]
        before, after = (
            (floor(line.lo), ceil(line.hi)) if line is not None else (-module.tiles.size[d], module.tiles.size[d])
        )
        unit = module.unit[d]
        start = max(int(where[0]) + before, 0) // unit * unit
        stop = min(-(-(int(where[-1]) + after + 1) // unit) * unit, n)
        found.append(slice(start, stop))
    rows, columns = found
    sides = (rows.stop - rows.start, columns.stop - columns.start)
    if prod(sides) > most:
        raise ParameterError(
            f"the region sees a window of {times(sides)} pixels, more than {most:,}.\n"
            "  Ask about a smaller region: instance(…), box(…) or pixel(…); or raise most=…, where memory allows "
            "some hundred bytes a pixel."
        )
    return (rows, columns), bounded


def _carried(
    found: Explanation,
    item: Target,
    labelled: Segmentation,
    inside: NDArray[np.bool_],
    window: tuple[slice, slice],
    bounded: bool,
) -> Explanation:
    """An explanation of a window on the whole picture: 0 outside it."""
    whole = np.zeros(inside.shape, np.float32)
    whole[window] = found.map
    rows, columns = window
    place = f"rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}"
    note = (
        f"Explained in the window that the region sees, {place}; the map is 0 outside. Exact for derivatives by the "
        "input; a method that averages over a layer, perturbs the picture or takes its range takes the window for the "
        "picture."
        if bounded
        else f"Explained in a window, {place}; the map is 0 outside. The network sees more than the window, so its "
        "scores there are others than in the whole picture."
    )
    return replace(
        found,
        map=whole,
        image=labelled.image,
        target=str(item),
        region=inside,
        prediction=labelled.labels,
        notes=(*labelled.notes, *found.notes, note),
        extras={n: a for n, a in found.extras.items() if a.shape != found.map.shape},
        provenance={**found.provenance, **labelled.provenance, "window": place},
    )
