"""Channels of a layer with their numbers: kept, shown as a contact sheet, or as ordinary explanations."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.explanation import Explanation, Explanations
from seglens.core.frame import Frame, resize
from seglens.core.saving import suffix_of, write_arrays
from seglens.core.targets import Target
from seglens.methods.activation import UNIT, Activation
from seglens.run.questions import times
from seglens.viz import words
from seglens.viz.contact.content import Contact, Tile
from seglens.viz.contact.writers import FORMATS, write_contact

Order = Literal["contribution", "size", "index"]
ORDERS: tuple[Order, ...] = ("contribution", "size", "index")
SUFFIXES = ("npz", *FORMATS)
"""What channels can be saved as."""


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """One channel in numbers.

    contribution: c_k = Σ_uv ∂S/∂A_k · A_k, in units of score, NaN without a target; rank: its place by contribution
    among all channels of the layer, from 1 for the greatest, None without a target. mean, minimum, maximum: of the
    activation over those places of the layer that show the picture; size: its mean absolute value there. silent: zero
    at all of them (a channel that is so on every image is called dead).
    """

    index: int
    contribution: float
    rank: int | None
    mean: float
    minimum: float
    maximum: float
    size: float
    silent: bool


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Activations:
    """Channels of one layer for one image, in order.

    channels: the n that were asked for. maps: float32 [n *layer grid], their activations, neither rectified nor
    normalised. total: channels of the layer; silent: how many of all of them are zero on this picture.
    contributions: [total], of every channel by index, in `unit`; None without a target. They sum to the score less the
    bias of what lies behind the layer where that is linear, and only there.
    target, score, of, label: as in an Explanation; '', NaN, 'logits' and None without a target. unit: of contributions.
    cells: how many places along each axis of the layer show the picture; what is beyond is padding.
    """

    channels: tuple[ChannelFacts, ...]
    maps: NDArray[np.float32]
    total: int
    silent: int
    contributions: NDArray[np.float64] | None
    layer: str
    network: str
    image: NDArray[np.uint8]
    cells: tuple[int, ...]
    frame: Frame
    order: Order | Literal["given"]
    target: str = ""
    channel: str = ""
    label: int | None = None
    score: float = float("nan")
    of: str = "logits"
    unit: str = "logit"
    region: NDArray[np.bool_] | None = None
    prediction: NDArray[np.int64] | None = None
    classes: ClassTable | None = None
    notes: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict[str, str])

    def __len__(self) -> int:
        return len(self.channels)

    def map(self, i: int) -> NDArray[np.float32]:
        """float32 [H W]: the i-th of the channels on the picture's own grid, bilinear as the maps of all methods."""
        coarse = torch.from_numpy(self.maps[i])[None, None]
        return self.frame.to_original(resize(coarse, self.frame.grid)[0])[0].numpy()

    def explanations(self) -> Explanations:
        """Each channel as an ordinary Explanation of method 'activation', with extras 'channel' and 'contribution'."""
        return Explanations([self._explanation(i) for i in range(len(self))])

    def save(self, path: str | Path, *, shared: bool = False) -> list[Path]:
        """Write a contact sheet: .pdf and .html hold all of it, .png and .svg a page each (name-1.png, …); .npz is raw.

        shared: one scale of colours for all channels; else each has its own. Returns the files written.
        Raises NameNotFoundError for another suffix.
        """
        path = Path(path)
        if suffix_of(path, SUFFIXES) == "npz":
            self._write_raw(path)
            return [path]
        return write_contact(self._contact(shared), path)

    def _explanation(self, i: int) -> Explanation:
        facts = self.channels[i]
        extras: dict[str, NDArray[Any]] = {"channel": np.array(facts.index), "coarse": self.maps[i]}
        if facts.rank is not None:
            extras["contribution"] = np.array(facts.contribution)
        return Explanation(
            map=self.map(i),
            image=self.image,
            method="activation",
            parameters=asdict(Activation(self.layer, facts.index)),
            target=self.target or str(Target(None)),
            channel=self.channel,
            label=self.label,
            score=self.score,
            of=self.of,
            unit=UNIT,
            network=self.network,
            layer=self.layer,
            region=self.region,
            prediction=self.prediction,
            classes=self.classes,
            notes=self.notes,
            extras=extras,
            provenance=self.provenance,
        )

    def _write_raw(self, path: Path) -> None:
        arrays: dict[str, NDArray[Any]] = {"maps": self.maps, "image": self.image}
        for name in ("index", "contribution", "mean", "minimum", "maximum", "size", "silent"):
            arrays[name] = np.array([getattr(c, name) for c in self.channels])
        if self.contributions is not None:
            arrays["contributions"] = self.contributions
        if self.region is not None:
            arrays["region"] = self.region
        plain = ("layer", "network", "total", "silent", "target", "score", "of", "unit", "order", "cells", "notes")
        head = {name: getattr(self, name) for name in (*plain, "provenance")}
        head["score"] = None if self.score != self.score else self.score
        arrays["head"] = np.array(json.dumps(head))
        write_arrays(arrays, path)

    def _contact(self, shared: bool) -> Contact:
        maps, image, region = self.maps, self.image, self.region
        maps = maps[(slice(None), *(slice(0, n) for n in self.cells))]
        facts = [f"{len(self)} of {self.total} channels, {_ORDERED[self.order]}"]
        facts[0] += f"  ·  {times(self.maps.shape[1:])} places"
        if self.silent:
            facts[0] += f"  ·  {self.silent} of {self.total} zero here"
        if maps.ndim == 4:
            # One slice for all, so that channels can be compared.
            z = int(np.nan_to_num(np.abs(maps.astype(np.float64)), posinf=0, neginf=0).sum((0, 2, 3)).argmax())
            at = min(int((z + 0.5) * len(image) / maps.shape[1]), len(image) - 1)
            facts.append(
                f"slice {z} of {maps.shape[1]} of the layer, slice {at} of {len(image)} of the volume (from 0)"
            )
            maps, image, region = maps[:, z], image[at], None if region is None else region[at]
        if self.contributions is not None:
            facts.append(f"target: {self.target}  ·  score {words.number(self.score, 4)} ({self.of})")
            own = sum(c.contribution for c in self.channels)
            whole = words.number(float(self.contributions.sum()), 4)
            shown = "" if len(self) == self.total else f"; of those shown {words.number(own, 4)}"
            facts.append(f"sum of all contributions {whole} {self.unit}{shown}")
        facts.append("  ·  ".join(t for t in (self.network, Path(self.provenance.get("image", "")).name) if t))
        silent = [c.index for c in self.channels if c.silent]
        left_out = silent if _FEW < len(silent) < len(self) else []
        return Contact(
            title=f"Activations of {self.layer}",
            facts=facts,
            image=image,
            region=region,
            tiles=[
                Tile(number=c.index, values=one, weight=c.contribution)
                for c, one in zip(self.channels, maps, strict=True)
                if not (left_out and c.silent)
            ],
            unit=UNIT,
            weight_unit=self.unit,
            heaviest=0.0 if self.contributions is None else float(np.abs(self.contributions).max()),
            notes=(*self.notes, *([f"Zero on this picture, and not drawn: {_runs(left_out)}."] if left_out else [])),
            shared=shared,
        )


_FEW = 8
"""Channels that are zero and still drawn; of more only the numbers are given."""

_ORDERED: dict[str, str] = {
    "contribution": "by contribution",
    "size": "by mean absolute activation",
    "index": "in their own order",
    "given": "as asked for",
}


def _runs(numbers: list[int]) -> str:
    """Whole numbers, those that follow each other as from–to: '0, 4–6, 9'."""
    runs: list[tuple[int, int]] = []
    for n in sorted(numbers):
        if runs and n == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], n)
        else:
            runs.append((n, n))
    return ", ".join(str(a) if a == b else f"{a}–{b}" for a, b in runs)
