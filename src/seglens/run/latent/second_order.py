"""Second-order attention of an encoder at all its scales, and the channels that it is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from seglens.core.errors import ParameterError
from seglens.core.explanation import Explanation, Explanations
from seglens.core.images import Source
from seglens.generative.coder import LatentOf
from seglens.methods.second_order import SecondOrder
from seglens.run.latent.attention import Units, encoder_scales, latent_attention, over_scales, units_of_image
from seglens.run.latent.coding import Condition
from seglens.run.questions import NetworkSource, open_network
from seglens.viz.contact.content import Contact, Tile
from seglens.viz.contact.writers import write_contact


@dataclass(frozen=True, slots=True, eq=False)
class SecondOrderAttention:
    """aggregate: the mean or sum of the maps of all scales on the image's grid. scales: of each layer, finest first,
    with extras 'filters' [K h w] and 'coarse' [h w] on the layer's own grid."""

    aggregate: Explanation
    scales: tuple[Explanation, ...]

    def save(self, path: str | Path) -> Path:
        """Aggregate and scales side by side, or raw as .npz."""
        return Explanations([self.aggregate, *self.scales]).save(path)


def second_order_attention(
    network: NetworkSource,
    image: Source,
    units: Units = "sum",
    *,
    layers: Sequence[str] | None = None,
    method: SecondOrder | None = None,
    aggregate: Literal["mean", "sum"] = "mean",
    normalize: bool = False,
    of: LatentOf = "mu",
    seed: int = 0,
    condition: Condition = None,
    device: str | torch.device | None = None,
) -> SecondOrderAttention:
    """Second derivatives of an autoencoder's latent units by the encoder's maps at every scale.

    Source: Abukmeil et al. 2021, whose attention joins all scales of the encoder by a mean, a sum or learned layers
    (`seglens.generative.Mgrad2VAE` is the learned one). See the method `SecondOrder` for what is computed, and for
    where theory says that it is zero. units: their sum by default, or one unit.
    layers: by default `encoder_scales`: one for each resolution. aggregate: over scales. The maps of different layers
    have different units; normalize: each over its own largest size before they are joined.
    Cost: as the method, once for each layer. Raises NetworkError, LayerNotFoundError, ShapeError, ParameterError.
    """
    if aggregate not in ("mean", "sum"):
        raise ParameterError(f"scales are joined by their 'mean' or 'sum', not {aggregate!r}.")
    if units == "all" or (not isinstance(units, str | int) and len(units) != 1):
        raise ParameterError("one question at a time: a unit, or 'sum' for all of them as one score.")
    net, told = units_of_image(open_network(network, device), image, of, seed, condition)
    chosen = list(layers) if layers is not None else encoder_scales(net, image)
    if not chosen:
        raise ParameterError("no layer given: leave layers out for the encoder's scales.")
    found = [
        latent_attention(net, image, units, layer=a, of=of, seed=seed, method=method or SecondOrder())[0]
        for a in chosen
    ]
    found = [e.with_notes(told) for e in found]
    joined = over_scales(found, normalize)
    if aggregate == "sum":
        joined = replace(joined, map=joined.map * np.float32(len(found)))
    return SecondOrderAttention(joined, tuple(found))


def save_filters(explanation: Explanation, path: str | Path, *, shared: bool = False) -> list[Path]:
    """The channels of a second-order explanation before aggregation, as a contact sheet (figure 3 of the paper).

    path: .pdf and .html hold all of it, .png and .svg a page each. shared: one scale of colours for all channels.
    Raises ParameterError for an explanation without channels.
    """
    filters = explanation.extras.get("filters")
    if filters is None or filters.ndim != 3:
        raise ParameterError(
            f"{explanation.method} keeps no channels [K h w] to show: give an explanation of method 'second-order' at "
            "one layer."
        )
    zero = [k for k, one in enumerate(filters) if not one.any()]
    facts = [
        f"{len(filters)} channels, in their own order  ·  {filters.shape[1]} × {filters.shape[2]} places",
        f"target: {explanation.target}  ·  variant {explanation.parameters.get('variant', '')}",
        explanation.network,
    ]
    contact = Contact(
        title=f"Second derivatives by {explanation.layer}",
        facts=facts,
        image=explanation.image,
        tiles=[Tile(number=k, values=one.astype(np.float32)) for k, one in enumerate(filters)],
        unit=explanation.unit,
        notes=(*explanation.notes, *([f"{len(zero)} channels are zero everywhere."] if zero else [])),
        shared=shared,
    )
    return write_contact(contact, Path(path))
