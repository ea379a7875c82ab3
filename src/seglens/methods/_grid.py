"""What lies outside a region, and maps averaged over the cells of a coarse grid."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seglens.core.errors import EmptyRegionError, EmptyRegionWarning, RegionError
from seglens.core.frame import Frame
from seglens.core.targets import Scores, of_image
from seglens.perturb.cells import Cells, cells_of, pooled, tiled

CONTEXT = "only what lies outside the region"
CELLS = "mean over each cell of a coarse grid, such as 4x4 (by default every pixel)"
"""What the fields `context` and `cells` of a method do."""


@dataclass(frozen=True, slots=True)
class Variant:
    """Grid saliency's form of a map: (1 − R) ∘ map, then the mean of that over each cell; either, both or none.

    outside: bool [B T *grid], the context; None for the whole map. cells: in each dimension; None for every pixel.
    frames: where the images lie on the grid.
    """

    outside: Tensor | None
    cells: tuple[int, ...] | None
    frames: tuple[Frame, ...]

    @classmethod
    def of(cls, scores: Scores, frames: Sequence[Frame], context: bool, cells: Cells | None) -> "Variant":
        """For bound targets, before anything is computed. Raises as `context_of` and `cells_of`."""
        return cls(
            outside=context_of(scores, frames) if context else None,
            cells=None if cells is None else cells_of(cells, scores.grid),
            frames=tuple(frames),
        )

    @property
    def blank(self) -> str:
        """What a map of zeros means."""
        return "so the map says nothing" if self.outside is None else "no part is that of pixels outside the region"

    def __call__(self, values: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """values [B T *grid] to the map on the same grid, and, of cells, the extra 'cells' [B T *cells].

        The map is constant in each cell. Padding counts in no cell, and is 0 in the map. NaN where there is no context.
        """
        extras: dict[str, Tensor] = {}
        if self.outside is not None:
            # What is 0 · infinity is to be 0 too.
            values = values.masked_fill(~self.outside, 0.0)
        if self.cells is not None:
            b, t = values.shape[:2]
            frames = [frame for frame in self.frames for _ in range(t)]
            # Autocast would take these means in half precision.
            with torch.autocast(values.device.type, enabled=False):
                coarse = pooled(values.flatten(0, 1), self.cells, frames)
            extras["cells"] = self._defined(coarse.unflatten(0, (b, t)))
            shown = torch.stack([frame.valid(values.device) for frame in self.frames])[:, None]
            values = tiled(coarse, frames).unflatten(0, (b, t)).masked_fill(~shown, 0.0)
        return self._defined(values), extras

    def _defined(self, values: Tensor) -> Tensor:
        """values [B T …] with NaN for images and targets without any context."""
        if self.outside is None:
            return values
        none = ~self.outside.flatten(2).any(2)
        return values.masked_fill(none.reshape(*none.shape, *[1] * (values.ndim - 2)), torch.nan)


def context_of(scores: Scores, frames: Sequence[Frame]) -> Tensor:
    """bool [B T *grid]: the pixels that show the image and lie outside each target's region: 1 − R, without padding.

    All of the image for an empty region. Raises RegionError for an output without space; EmptyRegionError where
    whatever regions there are leave nothing of their images, and warns where some do.
    """
    if scores.masks is None:
        raise RegionError(
            f"{scores.network.name} gives one score for the whole image, so nothing lies outside a region.\n"
            "  Ask without context, as grid-saliency does."
        )
    shown = torch.stack([frame.valid(scores.masks.device) for frame in frames])[:, None]
    outside = shown & ~scores.masks
    none = ~outside.flatten(2).any(2)
    if not bool(none.any()):
        return outside
    if bool((none | ~scores.masks.flatten(2).any(2)).all()):
        full = [t for t in range(len(scores.items)) if bool(none[:, t].any())]
        regions = ", ".join(dict.fromkeys(str(scores.items[t].region or "everything") for t in full))
        raise EmptyRegionError(
            f"{regions} is the whole image, so nothing lies outside: there is no context to explain it by.\n"
            "  Ask about a smaller region, such as an object, or ask without context."
        )
    for b in none.any(1).nonzero().flatten().tolist():
        named = ", ".join(str(scores.items[t]) for t in none[b].nonzero().flatten().tolist()[:8])
        message = f"regions that leave no context, their maps are NaN: {named}{of_image(b, none.shape[0])}."
        warnings.warn(EmptyRegionWarning(message, b), stacklevel=3)
    return outside
