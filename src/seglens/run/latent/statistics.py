"""latent_statistics(): which units of an autoencoder matter, on the pictures of a data set."""

import warnings
from collections.abc import Mapping
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from seglens.core.errors import UndefinedWarning
from seglens.core.method import Method
from seglens.core.targets import Target
from seglens.datasets.samples import Split
from seglens.metrics.latent import (
    ACTIVE,
    Consistency,
    activity,
    attention_consistency,
    kl_divergence,
    mutual_information,
)
from seglens.run.latent.coding import Coding
from seglens.run.latent.data import DataSource, Gathered, gather
from seglens.run.latent.statistics_table import LatentStatistics, UnitStatistics
from seglens.run.latent.step_attention import AtStep, explained
from seglens.run.questions import NetworkSource, method_of, name_of_method

_SIDE = 32  # cells to which attention maps are averaged before they are compared

_UNITS = 16  # units that are explained together


def latent_statistics(
    network: NetworkSource,
    data: DataSource,
    n: int = 1000,
    *,
    attention: AtStep = "grad-cam",
    maps: int = 64,
    slopes: int = 32,
    split: Split = "test",
    seed: int = 0,
    condition: Mapping[str, float] | None = None,
    device: str | torch.device | None = None,
) -> LatentStatistics:
    """Which latent units matter: what each tells of the picture, what the decoder makes of it, what it attends to.

    data: a data set's name ('sprites', 'faces', NAME:PATH), an open one, a folder or a list of pictures; `n` of them at
    most. Of each unit: KL(q ‖ p) in nats, mean over pictures; Var μ, above 0.01 active and else dead (Burda et al.
    2016); mutual information with the picture between a lower and an upper estimate; decoder sensitivity, the root mean
    square over pixels and channels of ∂x̂/∂z_i at μ, mean over `slopes` pictures, in pixel values or probabilities per
    unit of z; consistency of its attention over `maps` pictures, see `metrics.latent`. attention: None leaves it out.
    seed: of the pictures and of z. Ranked by information (its lower estimate), then by KL.
    Raises NetworkError, ParameterError. Warns of UndefinedWarning for one picture, where most of it is NaN.
    """
    coding = Coding.of(network, device)
    gathered = gather(coding, data, n, split=split, seed=seed, condition=condition)
    mu, logvar = (v.numpy().astype(np.float64) for v in coding.encode(gathered.x, gathered.condition))
    return statistics_of(coding, gathered, mu, logvar, attention=attention, maps=maps, slopes=slopes, seed=seed)


def statistics_of(
    coding: Coding,
    gathered: Gathered,
    mu: NDArray[np.float64],
    logvar: NDArray[np.float64],
    *,
    attention: AtStep,
    maps: int,
    slopes: int,
    seed: int,
) -> LatentStatistics:
    """The same of pictures that are gathered and encoded."""
    count, d = mu.shape
    kl, variance = kl_divergence(mu, logvar), activity(mu)
    nothing = np.full(d, np.nan)
    lower, upper, error, most = nothing, nothing, nothing, float("nan")
    if count < 2:
        warnings.warn(
            UndefinedWarning("of one picture only: what differs from picture to picture is undefined."), stacklevel=3
        )
    else:
        told = mutual_information(mu, logvar, seed=seed)
        lower, upper, error, most = told.lower, told.upper, told.error, told.most
    sensitivity = _sensitivity(coding, gathered, torch.from_numpy(mu[:slopes]).float())
    consistency = Consistency(nothing, nothing, nothing, np.zeros(d, np.intp))
    layer, method = None, ""
    if attention is not None and maps > 0:
        found, layer = _maps(coding, attention, gathered, maps)
        consistency = attention_consistency(found)
        method = name_of_method(method_of(attention))
    units = tuple(
        UnitStatistics(
            unit=i,
            kl=float(kl[:, i].mean()),
            variance=float(variance[i]),
            information=float(lower[i]),
            information_upper=float(upper[i]),
            information_error=float(error[i]),
            sensitivity=float(sensitivity[i]),
            consistency=float(consistency.own[i]),
            consistency_others=float(consistency.others[i]),
            consistency_error=float(consistency.error[i]),
            maps=int(consistency.maps[i]),
            active=None if count < 2 else bool(variance[i] > ACTIVE),
        )
        for i in range(d)
    )
    return LatentStatistics(
        network=coding.network.name,
        data=gathered.said,
        images=count,
        units=units,
        most=most,
        produces=coding.coder.produces,
        attention=method,
        layer=layer,
        provenance={
            "network source": coding.network.source,
            "seed": str(seed),
            "seglens": version("seglens"),
            "torch": torch.__version__,
        },
    )


def _sensitivity(coding: Coding, gathered: Gathered, mu: Tensor) -> NDArray[np.float64]:
    condition = None if gathered.condition is None else gathered.condition[: len(mu)]
    found = [
        slope.double().square().mean((1, 2, 3)).sqrt().mean()
        for slope in coding.slopes(mu, range(coding.latent), condition)
    ]
    return torch.stack(found).numpy()


def _maps(
    coding: Coding, attention: str | Method, gathered: Gathered, most: int
) -> tuple[NDArray[np.float32], str | None]:
    """Attention of all units on the first pictures, averaged to small cells: [N d h w]."""
    method = method_of(attention)
    x = gathered.x[:most]
    condition = None if gathered.condition is None else gathered.condition[:most]
    parts: list[NDArray[np.float32]] = []
    layer: str | None = None
    for start in range(0, coding.latent, _UNITS):
        some = [Target(i) for i in range(start, min(coding.latent, start + _UNITS))]
        values, _, layer = explained(coding, method, x, some, condition)
        small = tuple(min(side, _SIDE) for side in values.shape[2:])
        parts.append(adaptive_avg_pool2d(torch.from_numpy(values), (small[0], small[1])).numpy())
    return np.concatenate(parts, 1), layer
