"""What a method gives: one map for each image and target, with the numbers it explains."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seglens.core.errors import ZeroMapWarning
from seglens.core.targets import Scores, of_image

SCORE, PER_INPUT = "{score}", "{score} per unit of input"
"""Units of maps: that of the score itself, and that of its derivative by the network's input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maps:
    """Maps of B images and T targets on the input grid.

    values: float32 [B T *grid] in units of score; NaN where the region is empty. scores: the targets as bound, with
    their masks. score: [B T], what is explained. output: raw output [B K *space'] for the batch.
    layer: the layer read, None for the input. signed: whether negative values mean 'speaks against'.
    unit: of the values, '{score}' standing for the unit of the score. extras: further results by name, each [B T …].
    names: what numbers of an extra stand for: of a list the entries, of a single number the choices, by index.
    pictures: further results on the input grid, each [B T *grid]: floating ones are values, whole ones are labels.
    """

    values: Tensor
    scores: Scores
    score: Tensor
    output: Tensor
    layer: str | None = None
    signed: bool = True
    unit: str = SCORE
    extras: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    pictures: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


def finish(
    values: Tensor,
    scores: Scores,
    score: Tensor,
    output: Tensor,
    *,
    layer: str | None = None,
    signed: bool = True,
    unit: str = SCORE,
    extras: Mapping[str, Tensor] | None = None,
    names: Mapping[str, tuple[str, ...]] | None = None,
    pictures: Mapping[str, Tensor] | None = None,
    blank: str = "so the map says nothing",
) -> Maps:
    """Close a method's work: float32, NaN for empty regions, a warning for maps that are zero everywhere.

    blank: what such a map means.
    """
    values, score = (_settled(v, scores.empty) for v in (values.detach().float(), score.detach().float()))
    extras = {name: _settled(v, scores.empty) for name, v in (extras or {}).items()}
    pictures = {name: _settled(v, scores.empty) for name, v in (pictures or {}).items()}
    zero = (values == 0).flatten(2).all(2)
    for b in zero.any(1).nonzero().flatten().tolist():
        named = ", ".join(str(scores.items[t]) for t in zero[b].nonzero().flatten().tolist()[:8])
        where = f" at {layer}" if layer else ""
        message = f"zero everywhere{where}, {blank}: {named}{of_image(b, zero.shape[0])}."
        if layer and not signed:
            message += (
                " Nothing there speaks for the target; another layer may, and Grad-CAM with relu=False shows what "
                "speaks against."
            )
        warnings.warn(ZeroMapWarning(message, b, layer), stacklevel=3)
    return Maps(
        values=values,
        scores=scores,
        score=score,
        output=output.detach(),
        layer=layer,
        signed=signed,
        unit=unit,
        extras=extras,
        names=names or {},
        pictures=pictures,
    )


def _settled(result: Tensor, empty: Tensor | None) -> Tensor:
    """A result [B T …] in no less than float32, NaN where the region is empty; whole numbers as they are."""
    if not result.is_floating_point():
        return result
    result = result.to(torch.promote_types(result.dtype, torch.float32))
    if empty is None or not bool(empty.any()):
        return result
    return result.masked_fill(empty.reshape(*empty.shape, *[1] * (result.ndim - 2)), torch.nan)
