"""What the methods of the CAM family share: the layer they read, its checks, and the way to the input grid."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from seglens.core.errors import LinearHeadWarning, ReachWarning, SeglensError, ShapeError
from seglens.core.frame import resize
from seglens.core.maps import Maps, finish
from seglens.core.network import Network
from seglens.core.slopes import Slopes, slopes
from seglens.core.targets import Scores, Targets, of_image
from seglens.networks.layers import default_layer_of

Weighing = Callable[[Slopes, Tensor], tuple[Tensor, dict[str, Tensor]]]


def class_activation(
    network: Network,
    x: Tensor,
    targets: Targets,
    layer: str | None,
    weigh: Weighing,
    *,
    relu: bool = True,
    truncate: bool = False,
    averages: bool = False,
) -> Maps:
    """Maps [B T *grid] from `weigh`, which gives [B T *layer grid] and extras for the slopes and the activation A.

    The ReLU comes before upsampling (linear, half-pixel centres). `truncate` sets to 0 what the region cannot see;
    without it a ReachWarning says how much of the map lies there. `averages`: the method averages gradients over
    space, so that at a layer that feeds a linear head it only rescales that head's logits (LinearHeadWarning).
    Extras: 'coarse', the map on the layer's own grid.
    """
    layer = layer or default_layer_of(network, x)
    targets = Targets.of(targets)
    with slopes(network, x, targets, [layer], follow=True) as found:
        a = found.at[0]
        check_space(network, layer, a, x)
        if averages:
            warn_of_head(found, 0, layer)
        coarse, extras = weigh(found, a)
        coarse = coarse.detach()
        if relu:
            coarse = coarse.relu()
        seen = _seen(found)
        if truncate and seen is not None:
            coarse = coarse * seen
        elif seen is not None:
            _warn_of_reach(coarse, seen, found.scores, layer)
        values = resize(coarse.float(), tuple(x.shape[2:]))
        extras = {"coarse": coarse, **extras}
        return finish(values, found.scores, found.values, found.output, layer=layer, signed=not relu, extras=extras)


def warn_of_head(found: Slopes, i: int, layer: str) -> None:
    """Say so where averaged gradients at a layer are but the weights of the head that it feeds."""
    if found.feeds_head(i):
        message = (
            f"layer {layer!r} feeds a linear 1×1 head: averaged gradients there are that head's weights, so the "
            "map is the rectified logit map, rescaled. Choose an earlier layer, such as the end of the encoder."
        )
        warnings.warn(LinearHeadWarning(message, layer=layer), stacklevel=4)


def check_space(network: Network, layer: str, a: Tensor, x: Tensor) -> None:
    """Raise ShapeError where a layer's output is no [B K *layer grid] map for input x."""
    if a.shape[0] != x.shape[0]:
        raise ShapeError(
            f"layer {layer!r} of {network.name} gives {a.shape[0]} rows for {x.shape[0]} image(s), so they cannot be "
            "told apart.\n  Explain one image at a time (the network may have been exported for a fixed batch).",
            tuple(a.shape),
        )
    if a.ndim != x.ndim:
        what = "a vector for each image" if a.ndim == 2 else "tokens whose places in the image are not known"
        raise ShapeError(
            f"layer {layer!r} of {network.name} gives {tuple(a.shape)}, no map of channels over the image's "
            f"{x.ndim - 2} dimensions but {what}.\n  Choose a layer with space{_suggested(network, x)}: "
            f"seglens layers {network.source}",
            tuple(a.shape),
        )


def _suggested(network: Network, x: Tensor) -> str:
    """The layer that would be taken by default, for a message; nothing where there is none."""
    try:
        return f", such as {default_layer_of(network, x)!r}"
    except SeglensError:
        return ""


def _seen(found: Slopes) -> Tensor | None:
    """bool [B T *layer grid]: the places of the layer on which the region's scores can depend; None for everything."""
    reach, masks = found.reach, found.scores.masks
    if reach is None or masks is None:
        return None
    # Worked out once for each region, however many classes are asked about there.
    regions: dict[object, Tensor] = {}
    for t, target in enumerate(found.scores.items):
        if target.region not in regions:
            regions[target.region] = reach.seen_from(masks[:, t])
    seen = torch.stack([regions[target.region] for target in found.scores.items], 1)
    return None if bool(seen.all()) else seen


def _warn_of_reach(coarse: Tensor, seen: Tensor, scores: Scores, layer: str) -> None:
    weight = coarse.abs().flatten(2)
    beyond = ((weight * ~seen.flatten(2)).sum(2) / weight.sum(2)).nan_to_num()
    for b in (beyond > 0.01).any(1).nonzero().flatten().tolist():
        shares = [f"{share:.0%} of {scores.items[t]}" for t, share in enumerate(beyond[b].tolist()) if share > 0.01]
        more = f" and {len(shares) - 3} more" if len(shares) > 3 else ""
        message = (
            f"the map at {layer} reaches beyond what its region can see ({', '.join(shares[:3])}{more})"
            f"{of_image(b, beyond.shape[0])}. The weights come from the region, the activations from everywhere; "
            "the parameter truncate cuts it there."
        )
        warnings.warn(ReachWarning(message, b), stacklevel=4)
