"""Through the latent space along its units: moved along values one by one or together, and grids of two."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.core.errors import ParameterError
from seglens.core.images import Source
from seglens.run.latent.coding import Condition, change_of
from seglens.run.latent.decodings import Decodings, Explained, value, words_of
from seglens.run.latent.seen import Seen, at_least, numbers, signed
from seglens.run.latent.step_attention import AtStep, attention_of_steps, settled_on
from seglens.run.questions import NetworkSource

Units = int | Sequence[int] | Mapping[int, float] | None
"""A unit, several that move one by one, or a direction: units with weights, which move together."""

SPAN = 3.0
"""Standard deviations of the prior to either side, where nobody names values."""

PAPER = tuple(v / 10 for v in range(1, 10))
"""What is added to a unit in "Interpretation of Activation Maps in Generative Models", section 4.2."""

SHOWN = 8
"""Units that move where nobody names any: those of this image that tell most of it."""


def traverse(
    network: NetworkSource,
    image: Source,
    units: Units = None,
    values: Sequence[float] | None = None,
    mode: Literal["set", "add"] = "set",
    *,
    sigma: Literal["prior", "posterior"] = "prior",
    steps: int = 7,
    attention: AtStep = "grad-cam",
    on: Explained | None = None,
    change: bool = True,
    condition: Condition = None,
    device: str | torch.device | None = None,
) -> Decodings:
    """Latent units of an image moved along values: what is decoded at each step, and where the encoder sees the unit.

    z = μ(x) but for the unit, a row for each. units: one, several one by one, or a direction {3: 1, 7: -0.5}, along
    which units move together; None takes the eight with the greatest KL(q(z_i|x) ‖ p(z_i)) for this image.
    mode 'set': the unit becomes the value, so that rows of different images compare; 'add': the value is added to μ_i,
    as in the paper, whose values are `PAPER`. values: None takes `steps` of them, evenly from −3 to 3. sigma: what a
    value of 1 is: 'prior', 1; 'posterior', this image's σ_i, which shows what the encoder leaves open (with mode
    'add').
    attention: a method that explains the unit at each step; None for none. on: 'decoded' explains it in each step's own
    picture, encoded again: what the encoder finds of the change that the decoder made. 'input' explains the image
    given, as the paper's code does. With z = μ that map is the same at each step, since ∂(μ_i + c)/∂A = ∂μ_i/∂A: what
    moved there from step to step was the sampling noise. None: 'decoded' for images, 'input' for masks, which cannot be
    encoded. change: mean over channels of |∂x̂/∂z| at μ, where the picture changes at all.
    condition: of a conditional autoencoder, the image's own; what of it is not given is read off the image (see
    `seglens.run.latent.fitting`). Raises NetworkError, ParameterError, ImageError.
    """
    if mode not in ("set", "add"):
        raise ParameterError(f"mode = {mode!r}: 'set' a unit to the values, or 'add' them to it.")
    if sigma not in ("prior", "posterior"):
        raise ParameterError(f"sigma = {sigma!r}: a value of 1 is one σ of the 'prior' or of the 'posterior'.")
    if sigma == "posterior" and mode == "set":
        raise ParameterError("values in σ of the posterior are added to its mean: mode='add'.")
    asked = np.linspace(-SPAN, SPAN, at_least(steps, 2)) if values is None else numbers(values)
    seen = Seen.of(network, image, condition, device)
    directions = _directions(seen, units)
    settled = settled_on(seen.coding, on)
    z = np.stack([_moved(seen, d, asked, mode, sigma) for d in directions])
    pictures = seen.decode(z)
    found = None
    if attention is not None:
        found = attention_of_steps(seen.coding, attention, directions, pictures, seen.case.x, seen.condition, settled)
    slopes = None
    if change:
        along = torch.stack([_vector(d, seen.coding.latent) for d in directions])
        parts = [change_of(s, seen.coding.is_image)[0] for s in seen.coding.along(seen.mu, along, seen.condition)]
        slopes = torch.stack(parts).numpy()
    one = len(directions) == 1
    what = _name(directions[0]) if one else "units"
    return seen.result(
        "traversal",
        f"{what[0].upper()}{what[1:]} moved" if mode == "add" else f"{what[0].upper()}{what[1:]} set to values",
        z,
        pictures,
        rows=[_name(d) for d in directions],
        row_notes=[_about(seen, d) for d in directions],
        columns=signed(asked) if mode == "add" else words_of(asked.tolist()),
        across=("added, " if mode == "add" else "value, ") + ("σ of the prior" if sigma == "prior" else "posterior σ"),
        attention=found,
        change=slopes,
    )


def grid(
    network: NetworkSource,
    image: Source,
    units: tuple[int, int],
    values: Sequence[float] | None = None,
    down: Sequence[float] | None = None,
    mode: Literal["set", "add"] = "set",
    *,
    steps: int = 7,
    condition: Condition = None,
    device: str | torch.device | None = None,
) -> Decodings:
    """Two units of an image moved on two axes: the first across by `values`, the second down by `down`.

    down: None takes `values`; of both the default is `steps` values from −3 to 3. The rest as `traverse`.
    """
    if len(units) != 2 or units[0] == units[1]:
        raise ParameterError(f"a grid has two different units, not {tuple(units)}.")
    if mode not in ("set", "add"):
        raise ParameterError(f"mode = {mode!r}: 'set' a unit to the values, or 'add' them to it.")
    across = np.linspace(-SPAN, SPAN, at_least(steps, 2)) if values is None else numbers(values)
    below = across if down is None else numbers(down)
    seen = Seen.of(network, image, condition, device)
    first, second = (seen.coding.unit(u) for u in units)
    z = np.tile(seen.mu.numpy(), (len(below), len(across), 1))
    base = (z[..., first], z[..., second]) if mode == "add" else (0.0, 0.0)
    z[..., second] = base[1] + below[:, None]
    z[..., first] = base[0] + across[None, :]
    told = signed if mode == "add" else (lambda v: words_of(v.tolist()))
    return seen.result(
        "grid",
        f"Unit {first} across, unit {second} down",
        z,
        seen.decode(z),
        rows=[f"unit {second}: {text}" for text in told(below)],
        row_notes=[""] * len(below),
        columns=told(across),
        across=f"unit {first}{', added' if mode == 'add' else ''}",
        below=f"unit {second}{', added' if mode == 'add' else ''}",
    )


def _directions(seen: Seen, units: Units) -> list[dict[int, float]]:
    if units is None:
        mu, logvar = seen.mu[0], seen.logvar[0]
        divergence = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
        return [{int(i): 1.0} for i in divergence.argsort(descending=True, stable=True)[:SHOWN].tolist()]
    if isinstance(units, Mapping):
        if not units or not any(units.values()):
            raise ParameterError("a direction has at least one unit with a weight other than 0.")
        return [{seen.coding.unit(u): float(w) for u, w in units.items()}]
    several = [units] if isinstance(units, int | np.integer) else list(units)
    if not several:
        raise ParameterError("no unit to move: name one, or several.")
    return [{seen.coding.unit(u): 1.0} for u in several]


def _moved(
    seen: Seen, direction: Mapping[int, float], values: NDArray[np.float64], mode: str, sigma: str
) -> NDArray[np.float32]:
    """z [S d]: μ, with the units of the direction moved."""
    z = np.tile(seen.mu.numpy(), (len(values), 1))
    for unit, weight in direction.items():
        size = weight * (float((seen.logvar[0, unit] / 2).exp()) if sigma == "posterior" else 1.0)
        z[:, unit] = (z[:, unit] if mode == "add" else 0.0) + size * values
    return z


def _vector(direction: Mapping[int, float], d: int) -> Tensor:
    v = torch.zeros(d)
    for unit, weight in direction.items():
        v[unit] = weight
    return v


def _name(direction: Mapping[int, float]) -> str:
    if len(direction) == 1 and next(iter(direction.values())) == 1:
        return f"unit {next(iter(direction))}"
    terms = [f"{'−' if w < 0 else '+'} {'' if abs(w) == 1 else f'{abs(w):g} · '}{u}" for u, w in direction.items()]
    return "units " + " ".join(terms).removeprefix("+ ")


def _about(seen: Seen, direction: Mapping[int, float]) -> str:
    if len(direction) != 1:
        return ""
    unit = next(iter(direction))
    mu, logvar = float(seen.mu[0, unit]), float(seen.logvar[0, unit])
    divergence = 0.5 * (mu**2 + np.exp(logvar) - 1 - logvar)
    return f"here μ {value(mu)}, σ {np.exp(logvar / 2):.2g}, KL {divergence:.2g} nats"
