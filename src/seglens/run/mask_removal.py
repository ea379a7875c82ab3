"""remove_mask(): take the pixels of a mask away, look again, and say what became of a region and of all classes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.errors import ParameterError, ShapeError
from seglens.core.images import Source
from seglens.core.saving import as_json, suffix_of, write_arrays, write_text
from seglens.core.targets import Channel, Target, Targets
from seglens.perturb import fills
from seglens.run.explain import provenance
from seglens.run.questions import (
    NetworkSource,
    classed_output,
    make_case,
    most_frequent,
    noted,
    open_network,
    times,
)
from seglens.run.taking import Taking, check_taking, crowded, quantity_of
from seglens.run.verification import Answer, Controls, chance, composed
from seglens.viz.media.files import FIGURES, drawing, write_drawn
from seglens.viz.removal.content import RemovalContent

FORMATS = (*FIGURES, "npz", "json")
"""Suffixes that a removal can be saved with."""

_LIKELY = 0.01  # mean probability in the region from which on a class is told of that is nowhere


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MaskRemoval:
    """A picture with and without the pixels of a mask.

    target: in words. fill: what stands in their place, in words. removed: bool [*picture], the pixels taken away;
    removed_pixels: how many on the network's input grid, where they are replaced. region: bool [*picture], that of the
    unchanged picture; of a classifier all of it. before, after: what the network makes of it. label: index of the
    target's class. quantity: what `probability` is. whole: whether the network answers for the picture as a whole.
    controls: what taking random parts away does. notes: what was warned of.
    """

    target: str
    fill: str
    removed: NDArray[np.bool_]
    removed_pixels: int
    region: NDArray[np.bool_]
    before: Answer
    after: Answer
    label: int
    quantity: str
    whole: bool
    controls: Controls
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def p_value(self) -> float:
        """(1 + k) / (1 + n), where without k of the n random parts the probability falls at least as far, in
        1/(1 + n)..1. NaN where there are none, or all of them are the very part that was taken away."""
        return self.controls.p_value(self.after.probability)

    def to_dict(self) -> dict[str, Any]:
        """Plain form, stable for --json; `change` as of `changes`."""
        return {
            "network": self.before.segmentation.network,
            "image": self.before.segmentation.name,
            "target": self.target,
            "quantity": self.quantity,
            "fill": self.fill,
            "removed_pixels": self.removed_pixels,
            "removed_of_picture": int(self.removed.sum()),
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
            "change": changes(self.before, self.after, self.region),
            "p_value": self.p_value,
            "controls": self.controls.to_dict(),
            "notes": list(self.notes),
            "provenance": dict(self.provenance),
        }

    def save(self, path: str | Path) -> Path:
        """Write to `path`: .png, .svg, .pdf draw the picture and what was made of it, before and after; .json has all
        numbers, .npz those and the raw values: masks, the picture without it, labels, probabilities [K], random parts.

        Raises NameNotFoundError for another suffix, MissingExtraError.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix == "json":
            write_text(as_json(self.to_dict()) + "\n", path)
        elif suffix == "npz":
            write_arrays(self._arrays(), path)
        else:
            with drawing("drawing what was taken away"):
                from seglens.viz.removal.figure import removal_figure

            write_drawn(removal_figure(self._content()), path)
        return path

    def _arrays(self) -> dict[str, NDArray[Any]]:
        found: dict[str, NDArray[Any]] = {
            "head": np.array(as_json(self.to_dict())),
            "removed": self.removed,
            "region": self.region,
            "picture-without": self.after.segmentation.image,
            "control-masks": self.controls.masks,
            "control-probabilities": self.controls.probabilities,
            "control-scores": self.controls.scores,
        }
        for name, answer in (("before", self.before), ("without", self.after)):
            found[f"probabilities-{name}"] = answer.probabilities
            s = answer.segmentation
            labels = s.masks if s.labels is None else s.labels
            if labels is not None and not self.whole:
                found[f"prediction-{name}"] = labels
        return found

    def _content(self) -> RemovalContent:
        """What the figure shows."""
        before, after = self.before.segmentation, self.after.segmentation
        told = changes(self.before, self.after, self.region)
        told.sort(key=lambda c: -abs(c["likely_after"] - c["likely_before"]))
        heads, keys = ("probability before", "without it"), ("likely_before", "likely_after")
        rows = [(c["index"], tuple(chance(c[k]) for k in keys)) for c in told]
        if not self.whole:
            heads = ("pixels of the region", "without it", *heads)
            counted = [tuple(f"{c[k]:,}" for k in ("region_before", "region_after")) for c in told]
            rows = [(i, (*pixels, *cells)) for (i, cells), pixels in zip(rows, counted, strict=True)]
        labels = [
            s.labels if s.labels is not None else np.where(s.mask(self.label), self.label, -1) for s in (before, after)
        ]
        where = "" if self.whole else " over the region"
        was, now = chance(self.before.probability), chance(self.after.probability)
        return RemovalContent(
            title=f"{self.target}: {self.quantity}{where} is {was}, without a part of the picture {now}",
            facts=(
                f"taken away: {int(self.removed.sum()):,} pixels",
                f"filled with: {self.fill}",
                *(s.removesuffix(".") for s in self.controls.said("random parts as large", self.p_value)),
                before.network,
                before.name,
            ),
            pictures=(before.image, after.image),
            removed=self.removed,
            region=None if self.whole else self.region,
            labels=None if self.whole else (labels[0], labels[1]),
            classes=before.classes,
            outside="no class" if before.labels is not None else f"not {before.classes.names[self.label]}",
            heads=heads,
            rows=tuple(rows),
            notes=self.notes,
        )


def remove_mask(
    network: NetworkSource,
    image: Source,
    mask: NDArray[np.bool_],
    target: Target | Channel | str | int | None = None,
    *,
    fill: fills.Fill = "mean",
    controls: int = 20,
    seed: int = 0,
    truth: Source | None = None,
    instances: Source | None = None,
    ignore: int | None = 255,
    device: str | torch.device | None = None,
) -> MaskRemoval:
    """What does the network say without these pixels?

    mask: bool [*picture], the pixels to be replaced, of the region too where it lies in it. They are replaced whole on
    the network's input grid, as `verify` does it. target: whose probability is looked at, and where; None is the class
    that covers most, or a classifier's first. The region stays that of the unchanged picture; a classifier is asked
    about all of it.
    controls: random parts of the picture that are taken away instead, each with as many pixels, as long an outline and
    as far from the region; 0 for none. seed: of their drawing. Cost: 2 + controls F.

    Raises EmptyRegionError; ShapeError for a mask of another size; ParameterError for an empty mask and for units that
    are no classes; RegionError for a region of a classifier; NonFiniteError, and what `make_case` raises.
    """
    check_taking(fill, controls, seed)
    net = open_network(network, device)
    with noted() as notes:
        case = make_case(net, image, truth=truth, instances=instances, ignore=ignore)
        if mask.shape != case.frame.original:
            raise ShapeError(
                f"the mask is {times(mask.shape)}, the picture {times(case.frame.original)}.\n"
                "  Give a mask of the picture's own size.",
                mask.shape,
            )
        y = classed_output(net, case)
        asked = Targets.of(most_frequent(net, case) if target is None else target).items[0]
        found = _Without(net, case, y, replace(asked, of=asked.of or "probabilities"), ignore).run(
            mask, fill, controls, seed
        )
    said = (*case.notes, *map(str, notes), *found.notes)
    return replace(found, notes=tuple(dict.fromkeys(said)))


class _Without(Taking):
    def run(self, mask: NDArray[np.bool_], fill: fills.Fill, controls: int, seed: int) -> MaskRemoval:
        """Take it away. Raises ParameterError where nothing of it is left on the grid."""
        case, display = self._case, self._case.picture.display
        gridded = case.frame.to_grid(torch.from_numpy(np.ascontiguousarray(mask))).numpy()
        if not gridded.any():
            raise ParameterError(
                "the mask is empty on the grid that the network sees, so nothing would be removed.\n"
                f"  That grid is {times(case.frame.resized)}: draw a larger part."
            )
        valid = case.frame.valid().numpy()
        parts = self._random(gridded & valid, valid, controls, seed)
        outputs, scores, probabilities, filled = self._looked(np.stack([gridded, *parts]), fill)
        drawn = self._controls(gridded & valid, parts, (scores[1:], probabilities[1:]), seed)
        removed = self._carried(gridded)
        before = self._answer(self._y, *self._read(self._y), display)
        picture = composed(display, filled, removed)
        after = self._answer(outputs[0], float(scores[0]), float(probabilities[0]), picture)
        return MaskRemoval(
            target=str(self._scores.items[0]),
            fill=fills.name_of_fill(fill),
            removed=removed,
            removed_pixels=int(gridded.sum()),
            region=self._carried(self._inside.numpy()),
            before=before,
            after=after,
            label=self._label,
            quantity=quantity_of(self._scores, before.segmentation.classes.names),
            whole=self._scores.masks is None,
            controls=drawn,
            notes=tuple(crowded(drawn, "A random part", "the one that was taken away")),
            provenance=provenance(self._network, case),
        )


def changes(before: Answer, after: Answer, region: NDArray[np.bool_] | None) -> list[dict[str, Any]]:
    """Of each class that occurs before or after, or is likely in the region: its pixels on the picture, those within
    the region, and its mean probability there (`likely`)."""
    found: list[dict[str, Any]] = []
    for c, name in enumerate(before.segmentation.classes.names):
        was, now = before.segmentation.mask(c), after.segmentation.mask(c)
        likely = float(before.probabilities[c]), float(after.probabilities[c])
        if was.any() or now.any() or max(likely) >= _LIKELY:
            inside = np.zeros_like(was) if region is None else region
            counts = (was, now, was & inside, now & inside)
            keys = ("before", "after", "region_before", "region_after")
            pixels = dict(zip(keys, (int(m.sum()) for m in counts), strict=True))
            found.append({"index": c, "name": name, **pixels, "likely_before": likely[0], "likely_after": likely[1]})
    return found
