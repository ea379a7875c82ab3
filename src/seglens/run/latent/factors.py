"""latent_factors(): which known factor each latent unit follows, and how entangled they are."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.progress import tell
from seglens.datasets.samples import Split
from seglens.metrics.disentanglement import (
    association,
    dci,
    information_by_chance,
    information_matrix,
    modularity,
    mutual_information_gap,
    warn_of_constant,
)
from seglens.metrics.factors import Factor, Kind, factors_of
from seglens.metrics.latent import ACTIVE, activity
from seglens.run.latent.coding import Coding
from seglens.run.latent.data import DataSource, Gathered, gather
from seglens.run.latent.factors_table import LatentFactors
from seglens.run.latent.nearest import Nearest
from seglens.run.questions import NetworkSource

_QUANTILES = (0.05, 0.275, 0.5, 0.725, 0.95)
"""Of a unit's values over the data: where it is moved to."""


def latent_factors(
    network: NetworkSource,
    data: DataSource,
    n: int = 5000,
    *,
    kinds: Mapping[str, Kind] | None = None,
    moved: int = 32,
    predict: bool = True,
    split: Split = "test",
    seed: int = 0,
    condition: Mapping[str, float] | None = None,
    device: str | torch.device | None = None,
) -> LatentFactors:
    """Which factor each unit follows, on `n` pictures of a set whose factors are known: 'sprites', 'faces', dSprites.

    z is one draw from q(z|x) for each picture, as in Chen et al. 2018, so that a dead unit's noise tells nothing,
    however regular the little that its mean does. Told are: I(z; v) / H(v) of every unit and factor, against what
    shuffled pictures give; correlations by the factor's kind; MIG, modularity and, with `predict`, DCI; and what moving
    the unit does: `moved` pictures are decoded with the unit at five quantiles of its values, and the factors of each
    are read off as those of the most similar pictures of the set, see `run.latent.nearest`. kinds: of factors, where
    their names do not tell; see `metrics.factors.factors_of`. For sets that name their shapes (sprites, dSprites)
    angles have the shape's period.
    Raises ParameterError for a set without factors. Warns of UndefinedWarning for factors that do not vary.
    """
    coding = Coding.of(network, device)
    gathered = gather(coding, data, n, split=split, seed=seed, condition=condition)
    mu, logvar = coding.encode(gathered.x, gathered.condition)
    return factors_found(coding, gathered, mu, logvar, kinds=kinds, moved=moved, predict=predict, seed=seed)


def factors_found(
    coding: Coding,
    gathered: Gathered,
    mu: Tensor,
    logvar: Tensor,
    *,
    kinds: Mapping[str, Kind] | None,
    moved: int,
    predict: bool,
    seed: int,
) -> LatentFactors:
    """The same of pictures that are gathered and encoded."""
    if gathered.factors is None or len(gathered) < 2:
        raise ParameterError(
            f"{gathered.said}: nothing is known of what these pictures were made of, or there is but one.\n"
            "  Sets with factors: sprites, faces, dsprites:PATH."
        )
    factors = factors_of(gathered.names, gathered.factors, kinds=kinds, symmetry=gathered.symmetry)
    warn_of_constant(factors)
    z = drawn(mu, logvar, seed)
    information = information_matrix(z, factors)
    mig, gaps = mutual_information_gap(information)
    chance = information_by_chance(z, factors, seed=seed)
    tell("entanglement", 1, 3)
    tidy, of_units = modularity(information, least=float(np.nanmax(chance, initial=0.0)))
    predicted = dci(z, factors, seed=seed) if predict else None
    tell("entanglement", 2, 3)
    change, unread = None, None
    if moved > 0 and coding.is_image:
        change, unread = _moved(coding, gathered, factors, mu, z, moved, seed)
    return LatentFactors(
        network=coding.network.name,
        data=gathered.said,
        images=len(gathered),
        factors=gathered.names,
        kinds=tuple(f.kind for f in factors),
        active=tuple(np.flatnonzero(activity(mu.numpy()) > ACTIVE).tolist()),
        information=information,
        chance=chance,
        association=association(z, factors),
        mig=mig,
        gaps=gaps,
        modularity=tidy,
        unit_modularity=of_units,
        dci=predicted,
        moved=change,
        unread=unread,
        provenance={
            "network source": coding.network.source,
            "seed": str(seed),
            "seglens": version("seglens"),
            "torch": torch.__version__,
        },
    )


def drawn(mu: Tensor, logvar: Tensor, seed: int) -> NDArray[np.float64]:
    """One z [N d] for each picture."""
    noise = np.random.default_rng((seed, 2)).standard_normal(tuple(mu.shape))
    return mu.double().numpy() + np.exp(logvar.double().numpy() / 2) * noise


def _moved(
    coding: Coding,
    gathered: Gathered,
    factors: Sequence[Factor],
    mu: Tensor,
    z: NDArray[np.float64],
    most: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How far each unit moves each factor [d F], over the mean difference of two pictures of the set, and how far
    readings of real pictures are off, `Nearest.unread`."""
    pixels = coding.network.convention.denormalise(gathered.x)
    d, f = mu.shape[1], len(factors)
    if pixels is None or len(gathered) < 4:
        return np.full((d, f), np.nan), np.full(f, np.nan)
    base = min(most, len(gathered) // 2)
    rest = np.arange(base, len(gathered))
    known = Nearest.of(pixels[base:], [factor.taken(rest) for factor in factors], seed)
    steps = np.quantile(z, _QUANTILES, axis=0)
    found = np.full((d, f), np.nan)
    condition = None if gathered.condition is None else gathered.condition[:base].repeat(len(steps), 1)
    for i in range(d):
        tell("units moved", i, d)
        at = mu[:base].repeat(len(steps), 1)
        at[:, i] = torch.from_numpy(np.repeat(steps[:, i], base)).float()
        decoded = coding.decode(at, condition)
        for k, (read, turns) in enumerate(known.read(decoded)):
            found[i, k] = _spread(factors[k], read, turns, len(steps), base) / known.usual[k]
    return found, known.unread


def _spread(factor: Factor, read: NDArray[np.float64], turns: NDArray[np.intp] | None, steps: int, base: int) -> float:
    """Mean difference between all pairs of steps of the same picture; of angles where the symmetry is the same."""
    rows = read.reshape(steps, base, -1)
    own = None if turns is None else turns.reshape(steps, base)
    found: list[NDArray[np.float64]] = []
    for a in range(steps):
        for b in range(a):
            difference = factor.difference(rows[a], rows[b])
            found.append(difference if own is None else difference[own[a] == own[b]])
    values = np.concatenate(found)
    values = values[np.isfinite(values)]
    return float(values.mean()) if values.size else float("nan")
