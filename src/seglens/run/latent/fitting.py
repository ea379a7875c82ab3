"""The condition that an image seems to have: the one with which a conditional autoencoder reconstructs it best."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from seglens.core.capture import capture
from seglens.core.errors import ParameterError
from seglens.run.latent.coding import Coding, Condition
from seglens.run.latent.decodings import value

STEPS = 60
"""Steps of the search; each costs one pass forward and one back through encoder and decoder."""

_RATE = 0.1


def fitted_condition(coding: Coding, x: Tensor, known: Mapping[str, float]) -> Tensor:
    """The condition [1 c] of an image [1 C H W], of which some entries are known: the others read off the image.

    c = argmin over [0, 1]^free of mean (x̂(μ(x, c), c) − x)², by projected Adam from ½, the best of all steps. Entries
    that the decoder hardly listens to stay near ½. Raises ParameterError for a name that is no entry, and for an
    autoencoder whose pictures are not of the image's kind.
    """
    coding.check_names(known)
    if not coding.is_image:
        raise ParameterError(
            f"{coding.network.name} decodes masks, which do not show how well a condition fits the image: "
            "give a value for each entry of the condition."
        )
    names = coding.coder.conditions
    x = x.to(coding.network.device)
    pixels = coding.network.convention.denormalise(x)
    target = (x if pixels is None else pixels).detach()
    free = torch.tensor([name not in known for name in names], device=x.device)
    start = torch.tensor([[float(known.get(name, 0.5)) for name in names]], device=x.device)
    best, least = start, float("inf")
    with capture(coding.network), torch.enable_grad():
        c = start.clone().requires_grad_(True)
        search = torch.optim.Adam([c], _RATE)
        for _ in range(STEPS):
            mu, _logvar = coding.coder.encode(x, c)
            picture = coding.coder.picture(coding.coder.decode(mu, c)).float()
            error = (picture - target).square().mean()
            if (now := error.item()) < least:
                best, least = c.detach().clone(), now
            (c.grad,) = torch.autograd.grad(error, c)
            c.grad *= free
            search.step()
            with torch.no_grad():
                c.clamp_(0, 1)
                c[:, ~free] = start[:, ~free]
    return best


def own_condition(coding: Coding, x: Tensor, given: Condition) -> tuple[Tensor | None, list[str]]:
    """The condition [1 c] of an image [1 C H W], and the names of its entries that were not given but read off it.

    None given takes the network's own further input, where there is one. None for an autoencoder without condition.
    Raises what `fitted_condition` and `Coding.condition` do.
    """
    known = {} if given is None and not coding.network.extra else given
    unknown: list[str] = []
    if isinstance(known, Mapping):
        unknown = [name for name in coding.coder.conditions if name not in known]
    if isinstance(known, Mapping) and unknown:
        return fitted_condition(coding, x, known), unknown
    return coding.condition(given), []


def condition_words(coding: Coding, values: Tensor, unknown: Sequence[str] = ()) -> str:
    """A condition in words; what was read off the image is marked."""
    told = [
        f"{name} {value(v)}{'*' * (name in unknown)}"
        for name, v in zip(coding.coder.conditions, values.tolist(), strict=True)
    ]
    words = "Condition: " + ", ".join(told[:12]) + (", …" if len(told) > 12 else "") + "."
    return words + " *: read off the image, as it is reconstructed best; state what you know." * bool(unknown)
