"""How attention changes over a training, from its checkpoints."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from seglens.core.errors import NetworkError, ParameterError
from seglens.core.explanation import Explanation, Explanations
from seglens.core.images import Source
from seglens.core.method import Method
from seglens.core.network import Network
from seglens.core.saving import suffix_of, write_arrays
from seglens.generative.coder import Encoder
from seglens.methods.activation import activation_of
from seglens.networks.layers import default_layer_of
from seglens.networks.load import load
from seglens.run.latent.attention import Units, latent_attention, units_of
from seglens.run.latent.coding import Condition
from seglens.run.questions import NetworkSource, make_case, open_network
from seglens.viz.media.files import FIGURES, drawing, write_drawn

PATTERN = "epoch-*.safetensors"
"""Weights after each epoch, as `seglens train` leaves them under checkpoints/."""


@dataclass(frozen=True, slots=True, eq=False)
class OverTraining:
    """Maps of one image from checkpoint to checkpoint.

    steps: names of the N checkpoints. explanations: one for each. pixels: P places (y, x) of the image. curves: the
    maps there, [N P]; activations: the mean over channels of the layer's output there, [N P].
    """

    steps: tuple[str, ...]
    explanations: tuple[Explanation, ...]
    pixels: tuple[tuple[int, int], ...]
    curves: NDArray[np.float32]
    activations: NDArray[np.float32]

    @property
    def maps(self) -> NDArray[np.float32]:
        """[N H W]."""
        return np.stack([e.map for e in self.explanations])

    def save(self, path: str | Path) -> Path:
        """A figure (.png, .svg, .pdf) with maps and curves, a page of the maps (.html), or raw numbers (.npz)."""
        path = Path(path)
        suffix = suffix_of(path, ("npz", "html", *FIGURES))
        if suffix == "npz":
            arrays: dict[str, NDArray[Any]] = {
                "maps": self.maps,
                "curves": self.curves,
                "activations": self.activations,
            }
            arrays |= {"pixels": np.array(self.pixels), "steps": np.array(self.steps)}
            write_arrays(arrays, path)
            return path
        if suffix == "html":
            return Explanations(self.explanations).save(path)
        with drawing(f"writing .{suffix}"):
            from seglens.viz.over_training import Course, course_figure
        first = self.explanations[0]
        course = Course(
            title=f"{first.method} at {first.layer} over training",
            facts=[f"{first.target}  ·  {first.network}", f"{len(self.steps)} checkpoints"],
            image=first.image,
            steps=self.steps,
            maps=self.maps,
            unit=first.unit,
            pixels=self.pixels,
            curves=[("Activation, mean of channels", self.activations), (f"Map, {first.unit}", self.curves)],
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        write_drawn(course_figure(course), path)
        return path


def attention_over_training(
    checkpoints: str | os.PathLike[str] | Sequence[NetworkSource],
    image: Source,
    units: Units = "sum",
    *,
    like: NetworkSource | None = None,
    layer: str | None = None,
    method: str | Method = "second-order",
    pixels: Sequence[tuple[int, int]] | None = None,
    condition: Condition = None,
    device: str | torch.device | None = None,
) -> OverTraining:
    """The same question put to a network as it was at several times of its training.

    checkpoints: the folder of a training, whose checkpoints/epoch-*.safetensors are taken; or networks and files in
    order, of weights in the network `like`, which itself stays as it is. units: their sum, or one unit. layer: by
    default the end of the encoder. pixels: (y, x) whose curves are kept; by default, of each quarter of the image, the
    one where the map changes most.
    Cost: as the method, and two passes more, for each checkpoint. Raises NetworkError where there is no checkpoint, or
    one does not fit; ParameterError for pixels outside of the image and for several units.
    """
    if units == "all" or (not isinstance(units, str | int) and len(units) != 1):
        raise ParameterError("one question at a time: a unit, or 'sum' for all of them as one score.")
    names, networks = _opened(checkpoints, like, device)
    found: list[Explanation] = []
    activations: list[NDArray[np.float32]] = []
    for name, network in zip(names, networks, strict=True):
        net = units_of(network, condition=condition)
        case = make_case(net, image)
        layer = layer or default_layer_of(net, case.x)
        found += latent_attention(net, image, units, layer=layer, method=method)
        a, _ = activation_of(net, case.x, layer)
        coarse = torch.nn.functional.interpolate(a.mean(1, keepdim=True).float(), case.frame.grid, mode="bilinear")
        activations.append(case.frame.to_original(coarse[0].cpu())[0].numpy())
        found[-1] = found[-1].with_notes([f"checkpoint {name}"])
    maps = np.stack([e.map for e in found])
    chosen = _pixels(maps) if pixels is None else tuple((int(y), int(x)) for y, x in pixels)
    for y, x in chosen:
        if not (0 <= y < maps.shape[1] and 0 <= x < maps.shape[2]):
            raise ParameterError(f"pixel ({y}, {x}) lies outside of the image, {maps.shape[1]} × {maps.shape[2]}.")
    rows, columns = [y for y, _ in chosen], [x for _, x in chosen]
    return OverTraining(
        tuple(names), tuple(found), chosen, maps[:, rows, columns], np.stack(activations)[:, rows, columns]
    )


def _opened(
    checkpoints: str | os.PathLike[str] | Sequence[NetworkSource],
    like: NetworkSource | None,
    device: str | torch.device | None,
) -> tuple[list[str], list[Network]]:
    if isinstance(checkpoints, str | os.PathLike):
        folder = Path(checkpoints)
        files = sorted((folder / "checkpoints").glob(PATTERN)) or sorted(folder.glob(PATTERN))
        if not files:
            raise NetworkError(f"no {PATTERN} lies in {str(folder)!r} or its checkpoints/: name the files in a list.")
        if like is None and (folder / "network.safetensors").is_file():
            like = folder / "network.safetensors"
        sources: Sequence[NetworkSource] = files
    else:
        sources = list(checkpoints)
    if not sources:
        raise NetworkError("no checkpoint given: name at least one.")
    model = None if like is None else open_network(like, device)
    names: list[str] = []
    networks: list[Network] = []
    for i, source in enumerate(sources):
        is_file = isinstance(source, str | os.PathLike)
        names.append(Path(source).stem if is_file else f"{i + 1} of {len(sources)}")
        networks.append(
            _with_weights(model, Path(source)) if is_file and model is not None else open_network(source, device)
        )
    return names, networks


def _with_weights(model: Network, path: Path) -> Network:
    """A network like the model, of its own module, with the weights in a file."""
    module = model.module
    inner = cast("nn.Module", module.coder) if isinstance(module, Encoder) else module
    stated: dict[str, Any] = {} if model.classes is None or isinstance(module, Encoder) else {"classes": model.classes}
    return load(
        path,
        constructor=lambda: copy.deepcopy(inner),
        arguments={},
        convention=model.convention,
        name=model.name,
        **stated,
    ).with_(extra=model.extra, explained=model.explained)


def _pixels(maps: NDArray[np.float32]) -> tuple[tuple[int, int], ...]:
    """Of each quarter of the image the pixel where the map changes most, by its range over the checkpoints."""
    change = np.nan_to_num(maps.max(0) - maps.min(0))
    h, w = change.shape
    found: list[tuple[int, int]] = []
    for top, bottom in ((0, h // 2), (h // 2, h)):
        for left, right in ((0, w // 2), (w // 2, w)):
            part = change[top:bottom, left:right]
            if part.size:
                y, x = np.unravel_index(int(part.argmax()), part.shape)
                found.append((top + int(y), left + int(x)))
    return tuple(found)
