"""Activation maps: what one channel of a layer shows, and what each channel contributes to a score."""

import warnings
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from seglens.core.capture import capture, own
from seglens.core.errors import NonFiniteError, ParameterError, ZeroMapWarning
from seglens.core.frame import resize
from seglens.core.maps import Maps, finish
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.slopes import slopes
from seglens.core.targets import Scores, Targets, of_image
from seglens.methods._cam import check_space
from seglens.networks.layers import default_layer_of

UNIT = "activation"
"""Of the maps: the number that the layer hands on, whatever the score's unit is."""


@METHODS.register("activation")
@dataclass(frozen=True, slots=True)
class Activation:
    """A_k, one channel of `layer`: by default the one that contributes most, c_k = Σ_uv ∂S/∂A_k · A_k.

    Section 2.5 of Schorr et al. 2021, "Neuroscope" (doi:10.3390/app11052199), on the layer's own numbers: neither
    rectified nor normalised, upsampled as the CAMs are. c_k is in units of score, signed, and ranks from the channel
    that speaks most for the target to the one that speaks most against it; equal ones by number. For a tail linear in A
    the c_k sum to S less the tail's bias; in general c_k is how S grows with ε when channel k is scaled by 1 + ε.
    Each image and target has its own k. With `channel` given there is no question: no target is needed.
    Extras: 'channel' [B T] (−1 where the region is empty), 'coarse' the map on the layer's own grid, and where the
    channel was ranked 'contribution' [B T], its own c_k, and 'contributions' [B T K], everyone's.
    Warns (ZeroMapWarning) where no channel contributes, so that there is nothing to rank.
    Cost: F with `channel`, else F + min(T, m) τ F as Grad-CAM.
    """

    layer: Annotated[str | None, Help("the layer to read; by default the end of the encoder")] = None
    channel: Annotated[int | None, Help("the channel to show; by default by rank"), Bounds(ge=0)] = None
    rank: Annotated[int, Help("which channel to show by its contribution, from 1 for the greatest"), Bounds(ge=1)] = 1

    def __post_init__(self) -> None:
        check_parameters(self)
        if self.channel is not None and self.rank != 1:
            raise ParameterError(
                f"Activation.rank is to be left out where the channel is given: channel {self.channel} was named, so "
                f"there is nothing to rank."
            )

    @property
    def takes_target(self) -> bool:
        """A channel that is named needs no question."""
        return self.channel is None

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] to maps [B T *grid].

        Raises LayerNotFoundError, ShapeError, EmptyRegionError; ParameterError for a channel or rank that the layer has
        not, NonFiniteError where channels cannot be ranked.
        """
        layer = self.layer or default_layer_of(network, x)
        targets = Targets.of(targets)
        if self.channel is not None:
            return self._named(network, x, targets, layer, int(self.channel))
        return self._ranked(network, x, targets, layer)

    def _named(self, network: Network, x: Tensor, targets: Targets, layer: str, k: int) -> Maps:
        a, y = activation_of(network, x, layer)
        check_channel(network, layer, a, "channel", k, k + 1)
        scores = targets.bind(network, x, y, unasked=True)
        shape = (a.shape[0], len(targets))
        coarse = a[:, k : k + 1].expand(*shape, *a.shape[2:])
        extras = {"channel": torch.full(shape, k, device=a.device), "coarse": coarse}
        values = resize(_exact(coarse[:, :1]), tuple(x.shape[2:])).expand(*shape, *x.shape[2:])
        return finish(values, scores, scores(y), y, layer=layer, unit=UNIT, extras=extras)

    def _ranked(self, network: Network, x: Tensor, targets: Targets, layer: str) -> Maps:
        found = weighed(network, x, targets, layer)
        a, c, empty = found.a, found.contributions, found.scores.empty
        rank = int(self.rank)
        check_channel(network, layer, a, "rank", rank, rank)
        k = by_contribution(c)[:, :, rank - 1]
        coarse = a[torch.arange(len(a), device=a.device)[:, None], k]
        chosen = c.gather(2, k[:, :, None])[:, :, 0]
        extras = {
            "channel": k if empty is None else k.masked_fill(empty, -1),
            "contribution": chosen,
            "contributions": c,
            "coarse": coarse,
        }
        values = resize(_exact(coarse), tuple(x.shape[2:]))
        return finish(values, found.scores, found.values, found.output, layer=layer, unit=UNIT, extras=extras)


@dataclass(frozen=True, slots=True, eq=False)
class Weighed:
    """What a layer gives, [B K *layer grid], and what its channels contribute to the scores, [B T K].

    contributions: NaN where the region is empty. scores: the targets as bound; values: S [B T]. output: raw.
    """

    a: Tensor
    contributions: Tensor
    scores: Scores
    values: Tensor
    output: Tensor


def weighed(network: Network, x: Tensor, targets: Targets, layer: str) -> Weighed:
    """c_k = Σ_uv ∂S/∂A_k · A_k of every channel of a layer, for every target; targets share reverse passes.

    Warns (ZeroMapWarning) where no channel contributes. Raises NonFiniteError where the layer gave NaN or infinity,
    LayerNotFoundError, CaptureError, ShapeError, EmptyRegionError.
    """
    with slopes(network, x, targets, [layer]) as found:
        a = found.at[0]
        check_space(network, layer, a, x)
        exact = _exact(a)
        c = found.linear(lambda g: (_exact(g) * exact).flatten(2).sum(2))
        _check_finite(network, layer, c)
        if found.scores.empty is not None:
            c = c.masked_fill(found.scores.empty[:, :, None], torch.nan)
        _warn_of_none(c, found.scores, layer)
        return Weighed(a, c, found.scores, found.values, found.output)


def activation_of(network: Network, x: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """What a layer gives, [B K *layer grid], and the raw output: one pass, without gradients.

    Raises LayerNotFoundError, CaptureError, ShapeError, NonFiniteError.
    """
    with capture(network, [layer]) as taps, torch.no_grad():
        y = network(own(network, x))
        a = taps[layer].detach()
    network.check_finite(y)
    check_space(network, layer, a, x)
    return a, y


def by_contribution(c: Tensor) -> Tensor:
    """Channels [… K] from the greatest contribution to the least; equal ones, and undefined ones, by number."""
    return torch.sort(c.nan_to_num(), dim=-1, descending=True, stable=True).indices


def check_channel(network: Network, layer: str, a: Tensor, what: str, given: int, needed: int) -> None:
    """Raise ParameterError where the layer has fewer than `needed` channels."""
    if needed > a.shape[1]:
        numbered = f"numbered 0 to {a.shape[1] - 1}" if what == "channel" else f"ranks 1 to {a.shape[1]}"
        raise ParameterError(
            f"no {what} {given} in layer {layer!r} of {network.name}: it has {a.shape[1]} channels, {numbered}."
        )


def _exact(values: Tensor) -> Tensor:
    """In float32 at least: under autocast a layer gives halves, in which sums over a map lose most digits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _check_finite(network: Network, layer: str, c: Tensor) -> None:
    bad = (~c.isfinite()).any(1).any(0).nonzero().flatten().tolist()
    if bad:
        raise NonFiniteError(
            f"layer {layer!r} of {network.name} gives NaN or infinity in channel {', '.join(map(str, bad[:8]))}"
            f"{' and others' if len(bad) > 8 else ''}, so what they contribute is undefined.\n"
            "  Choose another layer, or name a channel to see where it is so."
        )


def _warn_of_none(c: Tensor, scores: Scores, layer: str) -> None:
    nothing = (c == 0).all(2)
    for b in nothing.any(1).nonzero().flatten().tolist():
        named = ", ".join(str(scores.items[t]) for t in nothing[b].nonzero().flatten().tolist()[:8])
        message = (
            f"no channel of {layer} contributes to {named}{of_image(b, len(c))}: every contribution is zero, so they "
            "rank by number only."
        )
        warnings.warn(ZeroMapWarning(message, b, layer), stacklevel=5)
