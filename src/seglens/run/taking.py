"""A picture of which pixels are taken away: what stands in their place, and what the network makes of it then."""

import math
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.capture import capture, own
from seglens.core.errors import ParameterError
from seglens.core.network import Network, upsampled
from seglens.core.targets import Scores, Target
from seglens.methods._perturbed import exactly, looked_at
from seglens.perturb import fills
from seglens.perturb.matched import distance_to, matched
from seglens.perturb.padding import repeated
from seglens.run.questions import Case, targets_for
from seglens.run.segment import class_masks, segmented
from seglens.run.verification import Answer, Controls
from seglens.viz.words import percent

_CROWDED = 0.5  # share of a part that the random ones repeat from which on a note says so


class Taking:
    """One picture and a region in it, whose class and score are looked at with parts of the picture taken away.

    y: raw output for the picture; of a classifier the region is all of it. ignore: the label of no region.
    Raises EmptyRegionError.
    """

    def __init__(self, network: Network, case: Case, y: Tensor, target: Target, ignore: int | None) -> None:
        self._network, self._case, self._y = network, case, y
        self._x = own(network, case.x)
        self._scores = targets_for(target, [case], network, ignore).bind(network, self._x, y)
        # Held against each other as probabilities, whatever was explained.
        self._probabilities = replace(self._scores, items=(replace(target, of="probabilities", reduce="mean"),))
        self._label = next(iter(self._scores.terms[0]))
        # Of a classifier all of the picture.
        self._inside = case.frame.valid() if self._scores.masks is None else self._scores.masks[0, 0].cpu()

    def _random(self, part: NDArray[np.bool_], among: NDArray[np.bool_], n: int, seed: int) -> NDArray[np.bool_]:
        """n random parts of `among` [n *grid], matched to one that is a part of it; none to nothing or to all of it."""
        inside = self._inside.numpy()
        # Of a classifier all of the picture is the region, and no part of it lies nearer than another.
        distance = np.zeros(inside.shape) if self._scores.masks is None else distance_to(inside)
        return matched(part, among, distance, n if part.any() and (among & ~part).any() else 0, seed)

    def _controls(
        self,
        part: NDArray[np.bool_],
        drawn: NDArray[np.bool_],
        read: tuple[NDArray[np.float64], NDArray[np.float64]],
        seed: int,
    ) -> Controls:
        """What came of random parts: read are their scores and probabilities [n]."""
        return Controls(
            masks=np.array([self._carried(p) for p in drawn], bool).reshape(-1, *self._case.frame.original),
            scores=read[0],
            probabilities=read[1],
            overlap=float((drawn & part).sum() / (len(drawn) * part.sum())) if len(drawn) else math.nan,
            seed=seed,
        )

    def _looked(
        self, masks: NDArray[np.bool_], fill: fills.Fill
    ) -> tuple[list[Tensor], NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]:
        """Of the picture without each of the masks [n *grid]: raw outputs for the first two, scores and probabilities
        [n] for all; and the fill as a picture."""
        net, frame, x = self._network, self._case.frame, self._x
        away = torch.from_numpy(masks)

        def look(start: int, stop: int) -> tuple[list[Tensor], Tensor, Tensor]:
            taken = repeated(away[start:stop].to(x.device), frame)[:, None]
            y = looked_at(net, torch.where(taken, filled, x), fills.name_of_fill(fill))
            kept = [one[None].float() for one in y[: max(0, 2 - start)]]
            return kept, self._scores(y)[:, 0].cpu(), self._probabilities(y)[:, 0].cpu()

        with capture(net), torch.no_grad():
            filled = fills.fill(net, x, fill, frame.valid(x.device)[None])
            size = rows_at_once(x, min(32, net.batch or 32))
            kept, scores, probabilities = zip(
                *in_batches(len(away), size, look, "pictures without context"), strict=True
            )
        outputs = [y for some in kept for y in some]
        read = torch.cat(scores).double().numpy(), torch.cat(probabilities).double().numpy()
        return outputs, read[0], read[1], self._shown(filled)

    def _read(self, y: Tensor) -> tuple[float, float]:
        y = exactly(y)
        return float(self._scores(y)[0, 0]), float(self._probabilities(y)[0, 0])

    def _answer(self, y: Tensor, score: float, probability: float, picture: NDArray[np.uint8]) -> Answer:
        net, case = self._network, self._case
        grid = case.frame.grid
        y = (
            upsampled(net, y, grid)
            if y.ndim > 2
            else y.float().reshape(*y.shape, *(1 for _ in grid)).expand(-1, -1, *grid)
        )
        masks = torch.stack([m.cpu() for m in class_masks(net, y)])
        inside, own_class = self._inside, masks[self._label] & case.frame.valid()
        both, size = int((own_class & inside).sum()), int(inside.sum())
        either = int((own_class | inside).sum())
        return Answer(
            segmentation=segmented(net, case, y, picture),
            score=float(score),
            probability=float(probability),
            probabilities=self._means(y),
            shares=(masks & inside).flatten(1).sum(1).double().numpy() / size,
            iou=both / either,
            dice=2 * both / (both + either),
        )

    def _means(self, y: Tensor) -> NDArray[np.float64]:
        """[K]: the mean probability of each class over the region."""
        p = self._network.scores(y, "probabilities")[0]
        inside = self._inside.to(p.device)
        return np.array([float(one[inside].mean()) for one in p])

    def _carried(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask [*grid] on the picture."""
        return self._case.frame.labels_to_original(torch.from_numpy(mask)).numpy()

    def _shown(self, filled: Tensor) -> NDArray[np.uint8]:
        """Input values [1 C *grid] as a picture to be looked at, uint8 [*picture] or [*picture 3]."""
        pixels = self._case.frame.to_original(_pixel_values(self._network, self._case, filled)[0].cpu())
        shown = np.rint(pixels.clamp(0, 1).numpy() * 255).astype(np.uint8)
        if pixels.ndim == 4:
            return np.rint(pixels.clamp(0, 1).mean(0).numpy() * 255).astype(np.uint8)
        return shown[0] if len(shown) < 3 else np.ascontiguousarray(shown[:3].transpose(1, 2, 0))


def check_taking(fill: fills.Fill, controls: int, seed: int) -> None:
    """Raise ParameterError for arguments out of bounds."""
    if controls < 0 or seed < 0:
        name, value = ("controls", controls) if controls < 0 else ("seed", seed)
        raise ParameterError(f"{name} is to be a whole number from 0 on, not {value!r}.")
    try:
        fills.check_fill(fill)
    except ParameterError as wrong:
        raise ParameterError(f"fill is {wrong}") from wrong


def crowded(controls: Controls, what: str, common: str) -> list[str]:
    """A note where random parts are much of what they are held against."""
    if not _CROWDED < controls.overlap < 1:
        return []
    return [
        f"{what} has {percent(controls.overlap)} of its pixels in common with {common}, on average: there is little "
        "else to draw from."
    ]


def quantity_of(scores: Scores, names: tuple[str, ...]) -> str:
    """What is read as a probability, such as 'p(rider) − p(person)'."""
    text = ""
    for index, weight in scores.terms[0].items():
        sign = ("−" if weight < 0 else "") if not text else (" − " if weight < 0 else " + ")
        factor = "" if abs(weight) == 1 else f"{abs(weight):g} "
        text += f"{sign}{factor}p({names[index]})"
    return text


def _pixel_values(network: Network, case: Case, x: Tensor) -> Tensor:
    """Input values [1 C *grid] of this picture back to pixel values in 0..1, RGB."""
    convention = network.convention
    if (pixels := convention.denormalise(x)) is not None:
        return pixels
    # Standardising lost the picture's own mean and spread: they are taken from the picture once more.
    plain = replace(convention, per_image=False, mean=(0.0,), std=(1.0,))
    values = plain.resized(case.picture.pixels, case.frame.resized)
    spread = float(values.std(correction=0).clamp_min(1e-8))
    return cast("Tensor", plain.denormalise(convention.unscale(x) * spread + float(values.mean())))
