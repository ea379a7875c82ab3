"""activations(): the channels of a layer, and what each contributes to a score."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.images import Source
from seglens.core.network import upsampled
from seglens.core.targets import Channel, Target
from seglens.methods.activation import Weighed, activation_of, by_contribution, check_channel, weighed
from seglens.networks.layers import default_layer_of
from seglens.run.channels import ORDERS, Activations, ChannelFacts, Order
from seglens.run.explain import UNITS, provenance
from seglens.run.questions import Case, NetworkSource, make_case, noted, open_network, table_of, targets_for


def activations(
    network: NetworkSource,
    image: Source,
    layer: str | None = None,
    target: Target | Channel | str | int | None = None,
    *,
    channels: Sequence[int] | None = None,
    strongest: int | None = None,
    order: Order | None = None,
    truth: Source | None = None,
    instances: Source | None = None,
    ignore: int | None = 255,
    device: str | torch.device | None = None,
) -> Activations:
    """What the channels of a layer show of an image, ranked by what they contribute to a target.

    layer: by default the end of the encoder. target: as in `explain`, but one; without one nothing is ranked.
    channels: these, in the order given; else `strongest`: the first n in `order`; else all.
    order: 'contribution', c_k = Σ_uv ∂S/∂A_k · A_k from the greatest to the least, the default where there is a target;
    'size', the mean absolute activation; 'index', the default without a target. A channel that is large need not
    contribute, and one that contributes need not be large (section 2.5 of Schorr et al. 2021).
    Cost: F, with a target F + τ F, τ being the share of F behind the layer.
    Raises LayerNotFoundError, ShapeError for a layer without space, EmptyRegionError; ParameterError for a channel that
    is not there, and for a ranking by contribution without a target.
    """
    order = order or ("index" if target is None else "contribution")
    _check(target, channels, strongest, order)
    net = open_network(network, device)
    case = make_case(net, image, truth=truth, instances=instances, ignore=ignore)
    layer = layer or default_layer_of(net, case.x)
    found: Weighed | None = None
    with noted() as notes:
        if target is None:
            a, y = activation_of(net, case.x, layer)
        else:
            targets = targets_for(target, [case], net, ignore)
            if len(targets) != 1:
                raise ParameterError(f"channels are ranked for one target at a time, not for {len(targets)}.")
            found = weighed(net, case.x, targets, layer)
            a, y = found.a, found.output
    for k in channels or ():
        check_channel(net, layer, a, "channel", k, k + 1)
    c = None if found is None else found.contributions[0, 0].double()
    cells = tuple(
        max(1, round(n * shown / whole))
        for n, shown, whole in zip(a.shape[2:], case.frame.resized, case.frame.grid, strict=True)
    )
    every = _facts(a[0], c, cells)
    chosen = list(channels) if channels is not None else _ordered(every, order)[:strongest]
    labels = net.labels(upsampled(net, y, case.frame.grid)) if y.ndim > 2 else None
    result = Activations(
        channels=tuple(every[k] for k in chosen),
        maps=a[0][chosen].float().cpu().numpy(),
        total=len(every),
        silent=sum(f.silent for f in every),
        contributions=None if c is None else c.cpu().numpy(),
        layer=layer,
        network=net.name,
        image=case.picture.display,
        cells=cells,
        frame=case.frame,
        order=order if channels is None else "given",
        prediction=None if labels is None else case.frame.labels_to_original(labels[0]).cpu().numpy(),
        classes=table_of(net, y),
        notes=(*case.notes, *map(str, notes)),
        provenance=provenance(net, case),
    )
    return result if found is None else _asked(result, found, case)


def _check(target: object, channels: Sequence[int] | None, strongest: int | None, order: Order) -> None:
    if order not in ORDERS:
        raise ParameterError(f"order is one of {', '.join(ORDERS)}, not {order!r}.")
    if target is None and order == "contribution":
        raise ParameterError(
            "what a channel contributes, it contributes to something: ranking needs a target.\n"
            "  Name a class (target=…, --class), or order by size for the largest activations."
        )
    if channels is not None and strongest is not None:
        raise ParameterError("give channels or strongest, not both.")
    if channels is not None and not channels:
        raise ParameterError("no channel given: leave channels out for all of them.")
    if any(k < 0 for k in channels or ()):
        raise ParameterError("channels are numbered from 0.")
    if strongest is not None and strongest < 1:
        raise ParameterError(f"strongest is to be 1 or more, not {strongest}.")
    if strongest is not None and order == "index":
        raise ParameterError(
            "the strongest need an order by strength: name a target (target=…, --class), or order by size."
        )


def _facts(a: Tensor, c: Tensor | None, cells: tuple[int, ...]) -> list[ChannelFacts]:
    """Of every channel of a [K *layer grid], over the places that show the picture."""
    seen = a[(slice(None), *(slice(0, n) for n in cells))].flatten(1).double()
    columns = [seen.mean(1), seen.amin(1), seen.amax(1), seen.abs().mean(1), (seen == 0).all(1)]
    mean, low, high, size, silent = (column.tolist() for column in columns)
    ranks: list[int] = [] if c is None else (by_contribution(c).argsort() + 1).tolist()
    weights: list[float] = [] if c is None else c.tolist()
    return [
        ChannelFacts(
            index=k,
            contribution=weights[k] if weights else float("nan"),
            rank=ranks[k] if ranks else None,
            mean=mean[k],
            minimum=low[k],
            maximum=high[k],
            size=size[k],
            silent=silent[k],
        )
        for k in range(len(seen))
    ]


def _ordered(every: Sequence[ChannelFacts], order: Order) -> list[int]:
    """Indices, equal channels by number."""
    if order == "contribution":
        return sorted(range(len(every)), key=lambda k: every[k].rank or 0)
    if order == "size":
        # An undefined size is no size to be proud of.
        return sorted(range(len(every)), key=lambda k: -every[k].size if every[k].size == every[k].size else 1.0)
    return list(range(len(every)))


def _asked(result: Activations, found: Weighed, case: Case) -> Activations:
    """The result with the question that was asked."""
    scores = found.scores
    target = scores.items[0]
    units = scores.network.link_for(found.output) == "none"
    mask = None if scores.masks is None else scores.masks[0, 0]
    return replace(
        result,
        target=str(target),
        channel=str(target.terms),
        label=None if units else next(iter(scores.terms[0]), None),
        score=float(found.values[0, 0]),
        of=target.of or "logits",
        unit="unit of the output" if units else UNITS[target.of or "logits"],
        region=None if mask is None else case.frame.labels_to_original(mask).cpu().numpy(),
    )
