"""Methods with one planted bug each: what they leave behind, swallow, or are."""

import warnings
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

import torch
from planted_answers import PLANTED, Honest, honest, put, rejected_by
from torch import Tensor, nn

from seglens.core import errors
from seglens.core.maps import Maps
from seglens.core.network import Network
from seglens.core.parameters import Help
from seglens.core.targets import Target, Targets
from seglens.testing.toys import TOYS

# What stays behind


@rejected_by("no trace", "explains: plain", "modes")
def leaves_a_hook(m, network, x, targets):
    network.layer("head").register_forward_hook(lambda *_: None)
    return honest(m, network, x, targets)


@rejected_by("no trace", "twin: training mode", "twin: dropout")
def leaves_evaluation_mode(m, network, x, targets):
    network.module.eval()
    return honest(m, network, x, targets)


@rejected_by("no trace", "twin: frozen batch norm")
def unfreezes(m, network, x, targets):
    maps = honest(m, network, x, targets)
    network.module.requires_grad_(True)
    return maps


@rejected_by("no trace", "twin: parameters with gradients")
def wipes_gradients(m, network, x, targets):
    network.module.zero_grad()
    return honest(m, network, x, targets)


@rejected_by("no trace")
def leaves_gradients(m, network, x, targets):
    y = network(x)
    y.sum().backward()
    return honest(m, network, x, targets)


@rejected_by("no trace", "explains: plain")
def swaps_modules(m, network, x, targets):
    network.module.add_module("second", nn.ReLU())
    return honest(m, network, x, targets)


@rejected_by("no trace")
def scales_the_input(m, network, x, targets):
    with torch.no_grad():
        x.mul_(0.5)
    return honest(m, network, x, targets)


@rejected_by("no trace")
def asks_the_input_for_gradients(m, network, x, targets):
    x.requires_grad_()
    return honest(m, network, x, targets)


@rejected_by("memory layout")
def views_the_input(m, network, x, targets):
    x.view(-1)
    return honest(m, network, x, targets)


@rejected_by("modes", "explains: plain")
def switches_gradients_off(m, network, x, targets):
    maps = honest(m, network, x, targets)
    torch.set_grad_enabled(not torch.is_grad_enabled())
    return maps


@rejected_by("modes")
def needs_the_callers_gradient_mode(m, network, x, targets):
    (x.detach().requires_grad_() * 2).sum().backward()
    return honest(m, network, x, targets)


@rejected_by("live graph", "no trace")
def rewrites_the_weights(m, network, x, targets):
    with torch.no_grad():
        for p in network.module.parameters():
            p.mul_(1.0)
    return honest(m, network, x, targets)


# What is refused


@rejected_by("failing layer", "wrong target", "wrong input", "broken weights", "wrong layer")
def cleans_up_on_success_only(m, network, x, targets):
    handle = network.layer("head").register_forward_hook(lambda *_: None)
    maps = honest(m, network, x, targets)
    handle.remove()
    return maps


def instead(kind: type[Exception], m: Honest, network: Network, x: Tensor, targets: Targets) -> Maps:
    """The honest maps; in place of an error of that kind, maps of another question."""
    with suppress(kind):
        return honest(m, network, x, targets)
    other = TOYS["plain"]()
    maps = honest(Honest("norm"), other.network, other.x, Targets.of(Target(0)))
    return put(maps, torch.zeros_like(maps.values))


for kind, check in {
    errors.EmptyRegionError: "empty region",
    errors.ClassNotFoundError: "wrong target",
    errors.RegionError: "wrong target",
    errors.LayerNotFoundError: "wrong layer",
    errors.CaptureError: "wrong layer",
    errors.ShapeError: "wrong layer",
    errors.NetworkError: "failing layer",
    RuntimeError: "failing layer",
    errors.NonFiniteError: "broken weights",
}.items():
    swallow = partial(instead, kind)
    swallow.__name__ = f"swallows_{kind.__name__}"  # pyright: ignore[reportAttributeAccessIssue]
    rejected_by(check)(swallow)


@rejected_by("failing layer")
def swallows_a_failing_backward_pass(m, network, x, targets):
    try:
        return honest(m, network, x, targets)
    except errors.SeglensError:
        raise
    except RuntimeError:
        return instead(RuntimeError, m, network, x[:, :0], targets)


@rejected_by("wrong target")
def says_it_with_a_bare_error(m, network, x, targets):
    try:
        return honest(m, network, x, targets)
    except errors.SeglensError as refused:
        raise ValueError(str(refused)) from refused


@rejected_by("wrong input")
def repeats_grey_by_itself(m, network, x, targets):
    x = x if x.ndim != 4 or x.shape[1] != 1 else x.expand(-1, 3, -1, -1)
    return honest(m, network, x, targets)


@rejected_by("empty region")
def zeros_for_an_empty_region(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values.nan_to_num())


@rejected_by("empty region")
def says_nothing_of_an_empty_region(m, network, x, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.EmptyRegionWarning)
        return honest(m, network, x, targets)


@rejected_by("zero map")
def says_nothing_of_a_zero_map(m, network, x, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ZeroMapWarning)
        return honest(m, network, x, targets)


@rejected_by("explains: plain")
def warns_without_a_name(m, network, x, targets):
    warnings.warn("something", UserWarning, stacklevel=2)
    return honest(m, network, x, targets)


# What it is


@dataclass(frozen=True)
class Unchecked(Honest):
    """Σ_k ∂S/∂A_k · A_k, with a bound that nothing enforces."""

    def __post_init__(self) -> None:
        pass


@dataclass(frozen=True)
class Unexplained(Honest):
    """Σ_k ∂S/∂A_k · A_k, with a parameter that says nothing of itself."""

    more: bool = True


@dataclass(frozen=True)
class Unbounded(Honest):
    """Σ_k ∂S/∂A_k · A_k, with a number that states no bounds."""

    more: Annotated[float, Help("of nothing")] = 1.0


@dataclass
class Mutable:
    """Σ_k ∂S/∂A_k · A_k, whose fields can be changed."""


@dataclass(frozen=True)
class Undocumented(Honest):
    pass


@dataclass(frozen=True, eq=False)
class ByIdentity:
    """Σ_k ∂S/∂A_k · A_k, equal to nothing but itself."""


class Bare:
    """Σ_k ∂S/∂A_k · A_k, no dataclass."""


@dataclass(frozen=True)
class Unpicklable(Honest):
    """Σ_k ∂S/∂A_k · A_k, which loses a parameter on the way."""

    def __reduce__(self) -> Any:
        return Unpicklable, ("elsewhere",)


PLANTED.extend(("parameters", made) for made in (Unchecked, Unexplained, Unbounded))
PLANTED.extend(("dataclass", made) for made in (Mutable, Undocumented, ByIdentity, Bare, Unpicklable))
