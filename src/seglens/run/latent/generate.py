"""Pictures between two images, drawn from the prior, and of images with other attributes."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.images import Source
from seglens.run.latent.coding import Coding, Condition, table_for
from seglens.run.latent.decodings import Decodings, value, words_of
from seglens.run.latent.fitting import condition_words
from seglens.run.latent.seen import Seen, at_least, numbers, told_of
from seglens.run.questions import NetworkSource


def interpolate(
    network: NetworkSource,
    a: Source,
    b: Source,
    steps: int = 9,
    path: Literal["linear", "spherical"] = "linear",
    *,
    condition: Condition = None,
    to: Condition = None,
    device: str | torch.device | None = None,
) -> Decodings:
    """The way from one image's μ to another's: the ends are their reconstructions.

    path 'linear': z = (1 − t) a + t b. 'spherical' (Shoemake 1985): along the great circle, z = (sin((1−t)Ω) a +
    sin(tΩ) b) / sin Ω with Ω the angle between a and b, so that the length does not sink between the two, as it does on
    the straight way: there z has a norm that the prior hardly knows. Where Ω is 0 or π, or one of them is 0, it is the
    straight way. condition, to: of the two images (what is not given is read off each); on the way they are mixed
    linearly. `to` None is `condition`.
    """
    if path not in ("linear", "spherical"):
        raise ParameterError(f"path = {path!r}: 'linear' or 'spherical'.")
    t = np.linspace(0, 1, at_least(steps, 2))
    seen = Seen.of(network, a, condition, device)
    # No image between the two could be shown to a branch, so that both ends do without as well.
    seen = replace(seen, coding=replace(seen.coding, image=None))
    other = Seen.of(seen.coding.network, b, condition if to is None else to, device)
    z = between(seen.mu[0].numpy(), other.mu[0].numpy(), t, path)[None]
    given = None
    if seen.condition is not None and other.condition is not None:
        part = torch.from_numpy(t).float()[:, None].to(seen.condition.device)
        given = (1 - part) * seen.condition + part * other.condition
    name = f"{seen.case.picture.name} to {other.case.picture.name}"
    return seen.result(
        "interpolation",
        f"{name}, {path}",
        z,
        seen.decode(z, given),
        rows=[""],
        row_notes=[""],
        columns=words_of(np.round(t, 6).tolist()),
        across="share of the second image",
        conditions=given,
        to=other.display(),
    )


def sample(
    network: NetworkSource,
    n: int = 16,
    seed: int = 0,
    temperature: float = 1.0,
    condition: Condition = None,
    *,
    columns: int | None = None,
    device: str | torch.device | None = None,
) -> Decodings:
    """What `n` draws from the prior decode to: z = temperature · ε, ε ~ N(0, 1), the same for the same seed.

    temperature: above 0 is nearer to the average the smaller it is; 1 is the prior. condition: of all of
    them, or [n c]. columns: pictures a row; by default about the square root of n.
    """
    if temperature <= 0:
        raise ParameterError(f"temperature = {temperature!r}: above 0; at 0 all pictures are the same.")
    coding = Coding.of(network, device)
    across = columns or max(1, min(8, round(at_least(n, 1) ** 0.5)))
    rows = -(-n // across)
    noise = torch.randn(n, coding.latent, generator=torch.Generator().manual_seed(seed))
    given = coding.condition(condition, n)
    z = temperature * noise
    decoded = coding.decode(z, given)
    blank = rows * across - n
    z, decoded = (torch.cat([v, v.new_full((blank, *v.shape[1:]), torch.nan)]) for v in (z, decoded))
    shape = (rows, across)
    return Decodings(
        kind="samples",
        title=f"{n} sample{'s' * (n != 1)}, seed {seed}"
        + (f", temperature {temperature:g}" if temperature != 1 else ""),
        network=coding.network.name,
        image="",
        produces=coding.coder.produces,
        z=z.reshape(*shape, -1).numpy(),
        pictures=decoded.reshape(*shape, *decoded.shape[1:]).numpy(),
        rows=("",) * rows,
        row_notes=("",) * rows,
        columns=("",) * across,
        classes=None if coding.is_image else table_for(coding, decoded.shape[1]),
        conditions=None if given is None else _padded(given, blank).reshape(*shape, -1),
        condition_names=coding.coder.conditions,
        notes=(
            *((condition_words(coding, given[0]),) if given is not None and _same(given) else ()),
            *told_of(coding),
        ),
        provenance={"network source": coding.network.source, "seed": str(seed), "temperature": f"{temperature:g}"},
    )


def edit(
    network: NetworkSource,
    image: Source,
    changes: Mapping[str, float | Sequence[float]],
    *,
    condition: Condition = None,
    together: bool = False,
    device: str | torch.device | None = None,
) -> Decodings:
    """An image with other attributes: encoded with its own condition, decoded with the edited one.

    changes: attributes with the value, or the values, that they are to have; a row for each attribute, its first column
    the reconstruction with the image's own condition. together: one row with all changes at once, each with one value.
    condition: the image's own; what of it is not given is read off the image, of None the network's further input is
    taken, where it has one. μ stays as it was, so that what the condition
    does not say stays as well, as far as the autoencoder has taken the two apart.
    Raises ParameterError for an attribute that the network is not conditioned on.
    """
    coding = Coding.of(network, device)
    coding.check_names(dict.fromkeys(changes, 0.0))
    if not changes:
        raise ParameterError(f"nothing to edit: name an attribute, such as {coding.coder.conditions[0]!r}.")
    several = {name: numbers(v if isinstance(v, Sequence) else [v]) for name, v in changes.items()}
    if together and any(len(v) != 1 for v in several.values()):
        raise ParameterError("changes that are made together have one value each.")
    seen = Seen.of(coding.network, image, condition, device)
    own = seen.condition
    if own is None:
        raise ParameterError(f"{coding.network.name} takes no condition, so there is nothing to edit.")
    at = {name: coding.coder.conditions.index(name) for name in several}
    most = 1 if together else max(map(len, several.values()))
    wanted: list[Tensor] = []
    names: list[str] = []
    if together:
        wanted.append(_edited(own, {at[name]: v[0] for name, v in several.items()}, 1))
        names.append(", ".join(f"{name} {value(v[0])}" for name, v in several.items()))
    else:
        for name, values in several.items():
            wanted.append(torch.cat([_edited(own, {at[name]: v}, 1) for v in values] + [own] * (most - len(values))))
            names.append(name)
    conditions = torch.stack([torch.cat([own, row]) for row in wanted])
    rows, columns = conditions.shape[:2]
    z = np.tile(seen.mu.numpy(), (rows, columns, 1))
    pictures = seen.decode(z, conditions.reshape(rows * columns, -1))
    if not together:
        for r, values in enumerate(several.values()):
            pictures[r, 1 + len(values) :] = torch.nan
    told = next(iter(several.values()))
    alike = together or all(np.array_equal(v, told) for v in several.values())
    return seen.result(
        "edit",
        "Edited attributes",
        z,
        pictures,
        rows=names,
        row_notes=[""] * rows if alike else [", ".join(map(value, v)) for v in several.values()],
        columns=("own", "edited") if together else ("own", *(map(value, told) if alike else [""] * most)),
        across="edited" if together or not alike else "value of the attribute",
        conditions=conditions,
    )


def between(
    a: NDArray[np.floating], b: NDArray[np.floating], t: NDArray[np.floating], path: str = "linear"
) -> NDArray[np.float32]:
    """Points [S d] at shares t [S] of the way from a to b [d]; see `interpolate`."""
    one, two = a.astype(np.float64), b.astype(np.float64)
    lengths = np.linalg.norm(one), np.linalg.norm(two)
    part = t.astype(np.float64)[:, None]
    if path == "spherical" and min(lengths) > 0:
        angle = np.arccos(np.clip(one @ two / (lengths[0] * lengths[1]), -1, 1))
        if 1e-4 < angle < np.pi - 1e-4:
            mixed = np.sin((1 - part) * angle) * one + np.sin(part * angle) * two
            return (mixed / np.sin(angle)).astype(np.float32)
    return ((1 - part) * one + part * two).astype(np.float32)


def _edited(own: Tensor, values: Mapping[int, float], n: int) -> Tensor:
    changed = own.expand(n, -1).clone()
    for i, wanted in values.items():
        changed[:, i] = wanted
    return changed


def _padded(given: Tensor, blank: int) -> NDArray[np.float32]:
    return torch.cat([given, given.new_full((blank, given.shape[1]), torch.nan)]).cpu().float().numpy()


def _same(given: Tensor) -> bool:
    return bool((given == given[0]).all())
