"""Occlusion: how much the score falls when a part of the picture is covered."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from torch import Tensor

from seglens.core.batches import in_batches, rows_at_once
from seglens.core.capture import capture, own
from seglens.core.errors import ParameterError
from seglens.core.frame import Frame
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.targets import Targets
from seglens.methods._perturbed import exactly, looked_at, unasked_is_nan, usual_reading
from seglens.perturb import Fill, fill
from seglens.perturb.parts import Parts, Patches, Superpixels
from seglens.perturb.segments import felzenszwalb_labels


@METHODS.register("occlusion")
@dataclass(frozen=True, slots=True)
class Occlusion:
    """At a pixel, the mean over the parts P that cover it of S(x) − S(x with P filled); signed, in units of score.

    Positive: the part spoke for the target. S is read off probabilities where the target leaves it open (values, of
    units that are no classes), over the region of x. Source: Zeiler and Fergus 2014, arXiv:1311.2901.

    parts="patch": boxes of `size` pixels a side, at most `stride` apart, all of full size, the last at the picture's
    end; in between they lie evenly. Pixels near an edge lie in fewer of them. parts="superpixel": Felzenszwalb's
    segments at `levels` scales, each twice the one before, from `scale` on; a pixel lies in one of each.
    A larger part takes more away: values are those of parts of this size, not of pixels.

    Pictures: 'covers' (how many parts cover a pixel), and 'standard-error', the spread of their k values over
    √k, NaN where k < 2. It says how much the map hangs on where the parts happen to lie, as if the k were drawn at
    random; what another size or fill would change it does not tell, and the network has no error of its own. Patches
    that cover a pixel overlap and lie evenly around it, and k is small: a guide, not a bound.
    Cost: (N + 1) F for N parts, of the image of a batch that has most, however many the targets.
    """

    parts: Annotated[Literal["patch", "superpixel"], Help("what is covered at a time")] = "patch"
    size: Annotated[
        int | None,
        Bounds(ge=1),
        Help("side of a patch in pixels of the network's input; by default 1/8 of the picture's there"),
    ] = None
    stride: Annotated[int | None, Bounds(ge=1), Help("pixels between patches, at most; by default half their side")] = (
        None
    )
    scale: Annotated[float, Bounds(above=0), Help("of the smallest superpixels: more gives larger ones")] = 100.0
    levels: Annotated[int, Bounds(ge=1, le=8), Help("scales of superpixels, each twice the one before")] = 3
    fill: Annotated[Fill, Help("what covers a part, in pixel values")] = "mean"

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.size is not None:
            self._check_stride(self.size)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid]. Raises EmptyRegionError, NonFiniteError, ParameterError."""
        with capture(network), torch.no_grad():
            x = own(network, x)
            y = network(x)
            asked = Targets.of(targets)
            scores = asked.bind(network, x, y, usual_reading(network, y))
            s = scores(exactly(y))
            covered = fill(network, x, self.fill, asked.shown(x))
            frames = asked.frames_of(x)
            parts = self._superpixels(network, x, frames) if self.parts == "superpixel" else self._patches(x, frames)

            def falls(start: int, stop: int) -> Tensor:
                changed = [torch.where(_masks(parts, i)[:, None], covered, x) for i in range(start, stop)]
                left = scores(looked_at(network, torch.cat(changed), self.fill))
                return s - left.unflatten(0, (stop - start, x.shape[0]))

            n = max(len(p) for p in parts)
            name = "superpixels" if self.parts == "superpixel" else "patches"
            fallen = torch.cat(list(in_batches(n, rows_at_once(x), falls, name)))
            shared = [_shared_out(p, fallen[: len(p), b].mT) for b, p in enumerate(parts)]
            values, errors, covers = (torch.stack(rows) for rows in zip(*shared, strict=True))
            pictures = {
                "standard-error": unasked_is_nan(errors.float(), scores),
                "covers": covers[:, None].expand(values.shape).float(),
            }
            return finish(values, scores, s, y, pictures=pictures)

    def _patches(self, x: Tensor, frames: Sequence[Frame]) -> list[Parts]:
        found: list[Parts] = []
        for frame in frames:
            # One eighth of the side of a square (cube) as large as the picture, without its padding.
            size = self.size or max(1, round(math.prod(frame.resized) ** (1 / len(frame.resized)) / 8))
            self._check_stride(size)
            found.append(Patches.over(frame, size, self.stride or (size + 1) // 2, x.device))
        return found

    def _superpixels(self, network: Network, x: Tensor, frames: Sequence[Frame]) -> list[Parts]:
        scales = [self.scale * 2**level for level in range(self.levels)]
        labels = [felzenszwalb_labels(network, x, frames, scale=scale) for scale in scales]
        return [Superpixels.of([one[b] for one in labels], frame) for b, frame in enumerate(frames)]

    def _check_stride(self, size: int) -> None:
        if self.stride is not None and self.stride > size:
            raise ParameterError(
                f"Occlusion.stride is to be <= the side of a patch ({size}), not {self.stride}: pixels between "
                "patches would never be covered."
            )


def _masks(parts: Sequence[Parts], i: int) -> Tensor:
    """bool [B *grid]: the i-th part of each image; no pixel of an image that has fewer."""
    found = [p.mask(i) if i < len(p) else torch.zeros_like(p.mask(0)) for p in parts]
    return torch.stack(found)


def _shared_out(parts: Parts, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Values [T N] of one image's parts to its pixels: mean and its standard error [T *grid], and covers [*grid]."""

    def summed(of: Tensor, mean: Tensor | float = 0.0, power: int = 1) -> tuple[Tensor, Tensor]:
        total = covers = torch.zeros((), dtype=torch.int64, device=of.device)
        for ids in parts.layers():
            known = ids >= 0
            total = total + torch.where(known, (of[:, ids.clamp_min(0)] - mean) ** power, 0.0)
            covers = covers + known
        return total, covers

    total, covers = summed(values)
    mean = total / covers
    # In a second round, as a difference of large sums would lose what small spread there is.
    squares, _ = summed(values, mean, 2)
    error = (squares / (covers - 1) / covers).sqrt()
    return mean, error.masked_fill(covers < 2, torch.nan), covers
