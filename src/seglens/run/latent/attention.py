"""Attention of latent units: a method's maps with units as targets, their mean, and the mean over scales."""

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from seglens.core.errors import DeadUnitWarning, NetworkError, ParameterError, ZeroMapWarning
from seglens.core.explanation import Explanation, Explanations
from seglens.core.images import Source
from seglens.core.method import Method
from seglens.core.network import Network
from seglens.core.targets import Channel, Target
from seglens.generative.coder import LatentOf, coder_of, conditioned, is_coder, latent_of
from seglens.methods.grad_cam import GradCAM, grad_cam_at_layers
from seglens.metrics.latent import kl_divergence
from seglens.networks.layers import Layer, layers_of
from seglens.run.explain import as_explanations, explain
from seglens.run.latent.coding import Coding, Condition
from seglens.run.latent.fitting import condition_words, own_condition
from seglens.run.latent.step_attention import quiet_about
from seglens.run.questions import (
    NetworkSource,
    at_layer,
    forward,
    make_case,
    method_of,
    noted,
    open_network,
    targets_for,
)

Units = int | Sequence[int] | Literal["all", "sum"]
"""Which units are explained: some, each of them ('all'), or their sum as one target ('sum')."""

SILENT = 0.01
"""KL(q(z_i|x) ‖ N(0, 1)) in nats below which a unit says nothing of an image; below it in the mean, a unit is dead."""


def latent_attention(
    network: NetworkSource,
    image: Source,
    units: Units = "all",
    *,
    layer: str | Sequence[str] | None = None,
    of: LatentOf = "mu",
    seed: int = 0,
    condition: Condition = None,
    average: bool = False,
    normalize: bool = False,
    method: str | Method = "grad-cam",
    cost: bool = False,
    device: str | torch.device | None = None,
) -> Explanations:
    """Where in an image latent units of an autoencoder look: one explanation for each unit, or their mean.

    Source: Liu et al. 2020, "Towards visually explaining variational autoencoders": Grad-CAM with z_i as the score. It
    is the same Grad-CAM as of a class; any other method can be taken. All d units cost one forward pass where a dense
    layer reads the layer (F, counted), else d reverse passes through what lies behind it.
    of: what a unit is read off: 'mu', 'logvar', or a 'sample' with one draw from `seed`. condition: of a conditional
    one, by name or in its order; what is not given of it is read off the image, which a note says.
    layer: by default the end of the encoder; of several, each unit's map is the mean of theirs on the image's grid,
    and its extra 'scales' holds them [L H W].
    average: one map, mean_i M_i, instead of one a unit; this is not the map of Σ z_i, which units='sum' asks for.
    normalize: each map over its own largest size before a mean is taken of it (the papers' way; it lets a unit or
    scale that hardly matters count as much as any other).
    Extras of an explanation: 'mu', 'logvar' and 'kl' (nats) of its units for this image, which cost another pass. A
    unit whose KL is below 0.01 says nothing of the image: a DeadUnitWarning names it.
    Raises NetworkError for a network without latent units; LayerNotFoundError, ShapeError, ParameterError.
    """
    net, told = units_of_image(open_network(network, device), image, of, seed, condition)
    asked = targets_of(net, image, units)
    chosen = method_of(method)
    layers = [layer] if layer is None or isinstance(layer, str) else list(layer)
    if not layers:
        raise ParameterError("no layer given: leave it out for the end of the encoder.")
    # A unit whose map is zero is no fault where it is one of many.
    with quiet_about(ZeroMapWarning) if average else nullcontext():
        if len(layers) > 1 and isinstance(chosen, GradCAM) and not cost:
            by_layer = _cams(net, image, asked, [str(a) for a in layers], chosen)
        else:
            by_layer = [_explained(net, image, asked, chosen, a, cost) for a in layers]
    found = [over_scales(scales, normalize) for scales in zip(*by_layer, strict=True)]
    found = [named(e, t) for e, t in zip(found, asked, strict=True)]
    posterior = Posterior.of(net, image)
    if average:
        mean = averaged(found, normalize)
        warn_of_zeros(mean.map, mean.target, mean.layer)
        found = [mean if posterior is None else mean.with_notes(posterior.notes(_units(asked)))]
    elif posterior is not None:
        found = [posterior.beside(e, t) for e, t in zip(found, asked, strict=True)]
    if posterior is not None:
        posterior.warn(_units([t for t in asked if len(t.terms.terms) == 1]))
    return Explanations([e.with_notes(told) for e in found])


def warn_of_zeros(values: NDArray[Any], what: str, layer: str | None) -> None:
    """Say so where a map made of several is zero everywhere."""
    if not values.any():
        where = "" if layer is None else f" at {layer}"
        warnings.warn(ZeroMapWarning(f"zero everywhere{where}, so the map says nothing: {what}."), stacklevel=3)


def _units(targets: Sequence[Target]) -> list[int | str]:
    return [i for t in targets for i, _ in t.terms.terms]


def units_of(network: Network, of: LatentOf = "mu", seed: int = 0, condition: Condition = None) -> Network:
    """The network of an autoencoder's latent units, or of an encoder's, which has no autoencoder behind it.

    Raises NetworkError for a network of classes; ParameterError for what only an autoencoder has.
    """
    if is_coder(network.module):
        coding = Coding.of(network)
        given = coding.condition(condition) if coding.coder.conditions else None
        if given is None and condition is not None:
            coding.condition(condition)  # which refuses it
        return latent_of(network if given is None else conditioned(network, given), of, seed)
    if network.link != "none":
        raise NetworkError(
            f"{network.name} has no latent units: it is no autoencoder (encode, decode, latent), and its outputs are "
            "classes.\n  Ask for a class (--class, target=…). An encoder that gives units is loaded with link='none'."
        )
    if of != "mu" or condition is not None:
        raise ParameterError(
            f"{network.name} is an encoder alone: it has no log-variance, no samples and no condition.\n"
            "  Leave `of` and `condition` out."
        )
    return network


def units_of_image(
    network: Network, image: Source, of: LatentOf, seed: int, condition: Condition
) -> tuple[Network, tuple[str, ...]]:
    """The same for one image, of whose condition what is not given is read off it; and what to note of that.

    Raises what `units_of` does; ImageError, ShapeError.
    """
    if not is_conditional(network):
        return units_of(network, of, seed, condition), ()
    coding = Coding.of(network)
    own, unknown = own_condition(coding, make_case(coding.network, image).x, condition)
    told = (condition_words(coding, own[0], unknown),) if own is not None and unknown else ()
    return units_of(network, of, seed, own), told


def is_conditional(network: Network) -> bool:
    """Whether it is an autoencoder with a condition, or the network of its units."""
    return is_coder(network.module) and bool(coder_of(network).conditions)


def count_of(network: Network, image: Source) -> int:
    """How many units there are; for an encoder without an autoencoder that takes a pass on the image."""
    if is_coder(network.module):
        return Coding.of(network).latent
    return forward(network, make_case(network, image).x).shape[1]


def targets_of(network: Network, image: Source, units: Units) -> list[Target]:
    """A target for each unit that is asked about, one for 'sum'. Raises ParameterError for a unit that is not there."""
    if isinstance(units, str):
        d = count_of(network, image)
        if units == "all":
            return [Target(i) for i in range(d)]
        if units == "sum":
            return [Target(sum_of(range(d)))]
        raise ParameterError(f"units are numbers, 'all' or 'sum', not {units!r}.")
    numbers = [units] if isinstance(units, int) else [int(i) for i in units]
    if not numbers:
        raise ParameterError("no unit given: name some, or take 'all'.")
    return [Target(i) for i in numbers]


def named_unit(unit: int) -> str:
    """'unit 3'."""
    return f"unit {unit}"


def named(e: Explanation, target: Target) -> Explanation:
    """An explanation of units by their names, where the network only numbers its channels."""
    terms = target.terms.terms
    if len(terms) > 1 and all(weight == 1 for _, weight in terms):
        words = f"sum of {len(terms)} units"
    else:
        words = str(Channel(tuple((named_unit(int(i)), weight) for i, weight in terms)))
    return replace(e, target=words, channel=words)


def sum_of(units: Sequence[int]) -> Channel:
    """Σ z_i of those units as one channel."""
    return Channel(tuple((i, 1.0) for i in units))


def averaged(explanations: Sequence[Explanation], normalize: bool = False) -> Explanation:
    """The mean of the maps of several units of one image, as one explanation. normalize: each over its own size."""
    first = explanations[0]
    maps = [_over_its_size(e.map) if normalize else e.map for e in explanations]
    words = f"mean of {len(explanations)} unit{'s' * (len(explanations) > 1)}"
    notes = dict.fromkeys(note for e in explanations for note in e.notes)
    return replace(
        first,
        map=np.mean(maps, axis=0, dtype=np.float64).astype(np.float32),
        target=words,
        channel="mean",
        score=float("nan"),
        label=None,
        unit="share of the largest" if normalize else first.unit,
        extras={},
        names={},
        notes=tuple(notes),
    )


def over_scales(explanations: Sequence[Explanation], normalize: bool = False) -> Explanation:
    """The mean of one unit's maps over layers, on the image's grid, with them as the extra 'scales' [L H W]."""
    first = explanations[0]
    if len(explanations) == 1:
        return first
    maps = np.stack([_over_its_size(e.map) if normalize else e.map for e in explanations])
    return replace(
        first,
        map=maps.mean(0, dtype=np.float64).astype(np.float32),
        layer=" + ".join(str(e.layer) for e in explanations),
        signed=any(e.signed for e in explanations),
        unit="share of the largest" if normalize else first.unit,
        extras={"scales": np.stack([e.map for e in explanations])},
        names={},
        notes=tuple(dict.fromkeys(note for e in explanations for note in e.notes)),
    )


def encoder_scales(network: NetworkSource, image: Source) -> list[str]:
    """One layer for each resolution on the way to the latent units, finest first: the end of what works at it.

    Of the layers with space before the heads those of one resolution, the whole blocks before their parts, the last
    that ran. Raises NetworkError for a network without units.
    """
    net = units_of(open_network(network))
    best: dict[tuple[int, ...], Layer] = {}
    for a in layers_of(net, make_case(net, image).x):
        if not (a.path and a.spatial and a.map_shape and a.order is not None and a.heard) or a.after_head:
            continue
        grid = a.map_shape[2:]
        if grid not in best or _rank(a) > _rank(best[grid]):
            best[grid] = a
    return [a.path for a in sorted(best.values(), key=lambda a: a.order or 0)]


@dataclass(frozen=True, slots=True, eq=False)
class Posterior:
    """What an autoencoder makes of images: mu, logvar, kl (nats) [N d]."""

    network: str
    mu: NDArray[np.float64]
    logvar: NDArray[np.float64]
    kl: NDArray[np.float64]

    @classmethod
    def of(cls, network: Network, image: Source) -> "Posterior | None":
        """Of one image; None for an encoder without log-variance. Costs a pass."""
        if not is_coder(network.module):
            return None
        coding = Coding.of(network)
        given = coding.condition(None) if coding.coder.conditions else None
        mu, logvar = (v.double().numpy() for v in coding.encode(make_case(network, image).x, given))
        return cls(network.name, mu, logvar, kl_divergence(mu, logvar))

    def with_more(self, other: "Posterior") -> "Posterior":
        """The images of both."""
        pairs = ((self.mu, other.mu), (self.logvar, other.logvar), (self.kl, other.kl))
        mu, logvar, kl = (np.concatenate(pair) for pair in pairs)
        return replace(self, mu=mu, logvar=logvar, kl=kl)

    def beside(self, e: Explanation, target: Target) -> Explanation:
        """An explanation of one image with its units' posterior, and a note where a unit says nothing of it."""
        units = [int(i) for i, _ in target.terms.terms]
        numbers: dict[str, Any] = {"mu": self.mu[0, units], "logvar": self.logvar[0, units], "kl": self.kl[0, units]}
        extras = {**e.extras, **{k: np.squeeze(v) for k, v in numbers.items()}}
        return replace(e, extras=extras, notes=(*e.notes, *(self.notes(units) if len(units) == 1 else ())))

    def notes(self, units: Sequence[int | str]) -> tuple[str, ...]:
        """What is to be known of those of these units that say nothing of the image, or of the images on average."""
        mean = self.kl.mean(0)
        silent = [i for i in dict.fromkeys(map(int, units)) if mean[i] < SILENT]
        return (self._words(silent),) if silent else ()

    def warn(self, units: Sequence[int | str]) -> None:
        """A DeadUnitWarning where some of these units say nothing: of the one image, or on average over several."""
        for note in self.notes(units):
            warnings.warn(DeadUnitWarning(note), stacklevel=3)

    def _words(self, units: Sequence[int]) -> str:
        named = f"unit{'s' * (len(units) > 1)} {', '.join(map(str, units))} of {self.network}"
        most = " at most" if len(units) > 1 else ""
        size = f"KL {self.kl.mean(0)[list(units)].max():.2g} nat{most}, below {SILENT:g}"
        if len(self.kl) > 1:
            return (
                f"dead over these {len(self.kl)} images: {named}: on average the posterior is the prior ({size}), so "
                "nothing of the images is in them. Their maps mean nothing."
            )
        return (
            f"the posterior of {named} is the prior for this image (mu and log-variance near 0; {size}): nothing of "
            "the image is in it, and its map means nothing. One image cannot tell a dead unit from one that is silent "
            "here; several can."
        )


def _cams(
    network: Network, image: Source, asked: Sequence[Target], layers: Sequence[str], method: GradCAM
) -> list[list[Explanation]]:
    """Grad-CAM at several layers from one forward pass and one reverse pass a unit."""
    case = make_case(network, image)
    with noted() as notes:
        maps = grad_cam_at_layers(network, case.x, targets_for(list(asked), [case], network, None), layers, method)
    return [
        as_explanations(network, case, method, m, 0, [str(n) for n in notes if n.concerns(0, m.layer)], None)
        for m in maps
    ]


def _explained(
    network: Network, image: Source, asked: Sequence[Target], method: Method, layer: str | None, cost: bool
) -> list[Explanation]:
    found = explain(network, image, method if layer is None else at_layer(method, layer), list(asked), cost=cost)
    return [found] if isinstance(found, Explanation) else list(found)


def _over_its_size(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """A map over its largest absolute value; one of zeros stays."""
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    return values / largest if largest > 0 else values


def _rank(layer: Layer) -> tuple[int, int]:
    return -layer.depth, layer.order or 0
