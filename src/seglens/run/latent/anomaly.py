"""Anomaly attention: how far an image's latent units lie from those of normal images, and where that comes from."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError, ZeroMapWarning
from seglens.core.explanation import Explanation
from seglens.core.images import Source
from seglens.core.method import Method
from seglens.core.targets import Channel, Target
from seglens.run.explain import explain
from seglens.run.latent.attention import named_unit, units_of, warn_of_zeros
from seglens.run.latent.coding import Coding, Condition
from seglens.run.latent.step_attention import quiet_about
from seglens.run.questions import NetworkSource, at_layer, make_case, method_of, open_network, read_many


@dataclass(frozen=True, slots=True, eq=False)
class NormalUnits:
    """Where the latent units of normal images lie. mean: μ̄ [d]. variance: σ̄² [d], mean σ² plus the variance of μ over
    the images: that of a draw from all their posteriors together. images: how many there were."""

    mean: NDArray[np.float64]
    variance: NDArray[np.float64]
    images: int

    def deviations(self, mu: NDArray[np.float64], logvar: NDArray[np.float64]) -> NDArray[np.float64]:
        """u / √(σ² + σ̄²), u = μ − μ̄, for posteriors [N d]: signed, in standard deviations of the difference of a draw
        from the image's posterior and one from the normal images'."""
        return (mu - self.mean) / np.sqrt(np.exp(logvar) + self.variance)


@dataclass(frozen=True, slots=True)
class UnitDeviation:
    """One unit of an image. mu: its mean there; normal: μ̄; deviation: (μ − μ̄)/√(σ² + σ̄²); share: of the weights."""

    unit: int
    mu: float
    normal: float
    deviation: float
    share: float


@dataclass(frozen=True, slots=True, eq=False)
class AnomalyAttention:
    """Where an image departs from normal ones, in latent units' eyes.

    explanation: the map Σ_i w_i M_i / Σ_i w_i. units: all d, from the most deviating. score: √(mean_i deviation_i²), of
    the order of 1 or below for normal images.
    """

    explanation: Explanation
    units: tuple[UnitDeviation, ...]
    score: float


def normal_units(
    network: NetworkSource,
    images: Source | Sequence[Source],
    *,
    condition: Condition = None,
    device: str | torch.device | None = None,
) -> NormalUnits:
    """Where latent units lie over normal images: a folder, a glob or a list. Raises ParameterError for one alone."""
    coding = Coding.of(network, device)
    many = _many(images)
    if len(many) < 2:
        raise ParameterError("what is normal is told by two images or more; give a folder or a list.")
    mu, logvar = _posteriors(coding, many, condition)
    return NormalUnits(mu.mean(0), np.exp(logvar).mean(0) + mu.var(0, ddof=1), len(many))


def anomaly_scores(
    network: NetworkSource,
    images: Source | Sequence[Source],
    normal: NormalUnits,
    *,
    condition: Condition = None,
    device: str | torch.device | None = None,
) -> NDArray[np.float64]:
    """√(mean_i u_i² / (σ_i² + σ̄_i²)) of each image, [N]: the score of `AnomalyAttention` without its map."""
    coding = Coding.of(network, device)
    deviations = normal.deviations(*_posteriors(coding, _many(images), condition))
    return np.sqrt((deviations**2).mean(1))


def anomaly_attention(
    network: NetworkSource,
    image: Source,
    normal: NormalUnits,
    *,
    layer: str | None = None,
    condition: Condition = None,
    directed: bool = True,
    method: str | Method = "grad-cam",
    device: str | torch.device | None = None,
) -> AnomalyAttention:
    """Where an image departs from normal ones: the attention of its units, weighed by how far each lies from normal.

    Liu et al. 2020 explain u = μ(x) − μ̄ + √(σ² + σ̄²)ε. As μ̄ is a constant, ∂u/∂A is that of μ at ε = 0: the maps of
    single units are those of normal attention, and nothing in them knows what is normal. It comes in by the weights
    w_i = |u_i| / √(σ_i² + σ̄_i²). directed: explain |u_i|, that is z_i or −z_i, whichever departs further; without, z_i.
    What is missing leaves no activation to point at: a rectified map of a unit that is too low may be zero, and signed
    ones (GradCAM(relu=False)) or directed=False then show the place.
    Raises NetworkError for a network without latent units, ParameterError where `normal` is of another number of units.
    """
    net = units_of(open_network(network, device), condition=condition)
    coding = Coding.of(net)
    if len(normal.mean) != coding.latent:
        raise ParameterError(f"normal units are {len(normal.mean)}, {net.name} has {coding.latent}: fit them on it.")
    mu, logvar = _posteriors(coding, [image], None)
    deviation = normal.deviations(mu, logvar)[0]
    signs = np.where(deviation < 0, -1.0, 1.0) if directed else np.ones(len(deviation))
    asked = [Target(Channel(((i, float(s)),))) for i, s in enumerate(signs)]
    chosen = method_of(method)
    # A unit whose map is zero is no fault where the others' are not.
    with quiet_about(ZeroMapWarning):
        found = explain(net, image, chosen if layer is None else at_layer(chosen, layer), asked)
    maps = [found] if isinstance(found, Explanation) else list(found)
    weights = np.abs(deviation)
    shares = weights / weights.sum() if weights.sum() > 0 else np.full(len(weights), 1 / len(weights))
    total = sum(share * e.map.astype(np.float64) for share, e in zip(shares, maps, strict=True))
    warn_of_zeros(np.asarray(total), "the weighed maps of all units", maps[0].layer)
    score = float(np.sqrt((deviation**2).mean()))
    explanation = replace(
        maps[0],
        map=np.asarray(total, np.float32),
        target=f"deviation from {normal.images} normal images",
        channel="anomaly",
        score=score,
        unit=f"{maps[0].unit}, weighed",
        extras={"deviation": deviation},
        names={"deviation": tuple(named_unit(i) for i in range(len(deviation)))},
        notes=tuple(dict.fromkeys(note for e in maps for note in e.notes)),
    )
    units = [
        UnitDeviation(i, float(mu[0, i]), float(normal.mean[i]), float(deviation[i]), float(shares[i]))
        for i in np.argsort(-weights, kind="stable").tolist()
    ]
    return AnomalyAttention(explanation, tuple(units), score)


def _many(images: Source | Sequence[Source]) -> list[Source]:
    many = read_many(images)
    return [images] if many is None else many  # pyright: ignore[reportReturnType]


def _posteriors(
    coding: Coding, images: Sequence[Source], condition: Condition
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x = torch.cat([make_case(coding.network, image).x for image in images])
    given: Tensor | None = coding.condition(condition, len(images))
    mu, logvar = coding.encode(x, given)
    return mu.double().numpy(), logvar.double().numpy()
