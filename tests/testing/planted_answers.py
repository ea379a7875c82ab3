"""Methods with one planted bug each: what they answer is wrong. An honest method, and how bugs are planted in it."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from seglens.core import errors
from seglens.core.frame import resize
from seglens.core.maps import Maps, finish
from seglens.core.network import Network
from seglens.core.parameters import Bounds, Help, check_parameters
from seglens.core.slopes import slopes
from seglens.core.targets import Target, Targets
from seglens.testing.toys import NAMES, OTHERS, TWINS


@dataclass(frozen=True)
class Honest:
    """Σ_k ∂S/∂A_k · A_k at `layer`: signed, linear in the score, without a bug."""

    layer: Annotated[str | None, Help("the layer to read")] = None
    power: Annotated[int, Bounds(ge=1, le=1), Help("of nothing")] = 1

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        layer = self.layer or network.default_layer or ""
        with slopes(network, x, targets, [layer]) as found:
            a = found.at[0]
            if a.ndim != x.ndim:
                raise errors.ShapeError(f"{layer} has no space")
            values = found.linear(lambda g: (g * a).sum(1)).float()
            values = resize(values, tuple(x.shape[2:]))
            return finish(values, found.scores, found.values, found.output, layer=layer)


Fault = Callable[[Honest, Network, Tensor, Targets], Maps]
PLANTED: list[tuple[str, Callable[[], Any]]] = []
"""Check and the maker of the method that it must reject."""


def rejected_by(*checks: str) -> Callable[[Fault], Fault]:
    """Plant a fault in the honest method: a function that takes its call's place."""

    def plant(fault: Fault) -> Fault:
        @dataclass(frozen=True)
        class Faulty(Honest):
            def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
                return fault(self, network, x, targets)

        Faulty.__name__ = fault.__name__
        PLANTED.extend((check, Faulty) for check in checks)
        return fault

    return plant


honest = Honest.__call__


def put(maps: Maps, values: Tensor) -> Maps:
    return replace(maps, values=values)


# What comes back


@rejected_by(*(f"explains: {name}" for name in OTHERS))
def keeps_a_channel_axis(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values.unsqueeze(2))


@rejected_by("explains: odd sizes")
def crops_to_even(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values[..., : x.shape[-1] // 2 * 2])


@rejected_by("explains: volume")
def only_planes(m, network, x, targets):
    _, _, _, _ = x.shape
    return honest(m, network, x, targets)


@rejected_by("explains: plain", "precision")
def half_precision(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values.half())


@rejected_by("precision")
def rounds_under_autocast(m, network, x, targets):
    maps = honest(m, network, x, targets)
    coarse = torch.is_autocast_enabled("cpu")
    return put(maps, (maps.values * 2).round() / 2 if coarse else maps.values)


@rejected_by("precision")
def only_float32(m, network, x, targets):
    if network.dtype != torch.float32:
        raise TypeError("expected Float")
    return honest(m, network, x, targets)


@rejected_by("explains: plain")
def holds_the_graph(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values.requires_grad_())


@rejected_by("explains: plain")
def another_score(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return replace(maps, score=maps.score * 2)


@rejected_by("explains: plain")
def lies_about_sign(m, network, x, targets):
    return replace(honest(m, network, x, targets), signed=False)


@rejected_by("explains: plain")
def names_another_layer(m, network, x, targets):
    return replace(honest(m, network, x, targets), layer="head")


@rejected_by("explains: plain")
def names_what_is_not_there(m, network, x, targets):
    return replace(honest(m, network, x, targets), names={"fill": ("mean", "blur")})


@rejected_by("explains: plain")
def names_too_few(m, network, x, targets):
    maps = honest(m, network, x, targets)
    sweep = torch.zeros(*maps.score.shape, 3)
    return replace(maps, extras={"sweep": sweep}, names={"sweep": ("mean", "blur")})


@rejected_by("explains: plain", "batch")
def explains_the_first_image_only(m, network, x, targets):
    maps = honest(m, network, x, targets)
    maps.values[1:] = 0
    return maps


@rejected_by("explains: plain", "zero map")
def silent_zeros(m, network, x, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.ZeroMapWarning)
        maps = honest(m, network, x, targets)
    return put(maps, torch.zeros_like(maps.values))


@rejected_by("finite")
def divides_by_brightness(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values * (x.mean() / x.mean()))


@rejected_by("units")
def normalises(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values / maps.values.abs().flatten(2).amax(2)[..., None, None])


@rejected_by("units")
def adds_an_epsilon(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values.sign() * (maps.values.abs() - 1e-8).relu())


@rejected_by("units")
def takes_the_mean_for_the_sum(m, network, x, targets):
    items = tuple(replace(t, reduce="mean") for t in targets.items)
    return honest(m, network, x, replace(targets, items=items))


# Who influences whom


@rejected_by("batch")
def subtracts_the_batch_mean(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values - maps.values.mean(0, keepdim=True))


@rejected_by("batch")
def hides_that_images_mix(m, network, x, targets):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", errors.BatchMixingWarning)
        return honest(m, network, x, targets)


@rejected_by("order", "batch")
def weighs_images_by_place(m, network, x, targets):
    maps = honest(m, network, x, targets)
    place = 1 + torch.arange(len(x)).reshape(-1, *[1] * (maps.values.ndim - 1))
    return put(maps, maps.values * place)


@rejected_by("order", "targets together")
def weighs_targets_by_place(m, network, x, targets):
    maps = honest(m, network, x, targets)
    place = 1 + torch.arange(len(targets)).reshape(1, -1, *[1] * (maps.values.ndim - 2))
    return put(maps, maps.values * place)


@rejected_by("targets together")
def shares_wrongly_where_many(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values * (1.01 if len(targets) > 6 else 1))


@rejected_by("class names")
def goes_by_number(m, network, x, targets):
    def numbered(t: Target) -> Target:
        return replace(t, channel=NAMES.index(t.channel)) if t.channel in NAMES else t

    return honest(m, network, x, replace(targets, items=tuple(map(numbered, targets.items))))


@rejected_by("contrast")
def forgets_the_rival(m, network, x, targets):
    items = tuple(replace(t, channel=t.terms.terms[0][0]) for t in targets.items)
    return honest(m, network, x, replace(targets, items=items))


@rejected_by("contrast", "binary")
def claims_to_be_linear(m, network, x, targets):
    return replace(maps := honest(m, network, x, targets), values=maps.values.abs())


@rejected_by("binary", "twin: one channel")
def one_class_for_one_channel(m, network, x, targets):
    if network.is_binary(network(x).detach()):
        targets = replace(targets, items=tuple(replace(t, channel=1) for t in targets.items))
    return honest(m, network, x, targets)


# Chance and state

CALLS: list[int] = []


@rejected_by("determinism", *(f"twin: {name}" for name in TWINS))
def keeps_state(m, network, x, targets):
    CALLS.append(0)
    maps = honest(m, network, x, targets)
    return put(maps, maps.values * len(CALLS))


@rejected_by("determinism")
def draws_from_the_global_seed(m, network, x, targets):
    state = torch.get_rng_state()
    noise = torch.rand_like(x) * 0.1
    torch.set_rng_state(state)
    return honest(m, network, x + noise, targets)


@rejected_by("no trace", "explains: plain")
def moves_the_global_random_state(m, network, x, targets):
    torch.rand(1)
    return honest(m, network, x, targets)


@dataclass(frozen=True)
class SeedWithoutEffect(Honest):
    """Σ_k ∂S/∂A_k · A_k, with a seed that nothing reads."""

    seed: Annotated[int, Bounds(ge=0), Help("of nothing")] = 0


PLANTED.append(("determinism", SeedWithoutEffect))


# Traps in the network


def tapped(network: Network, x: Tensor, layer: str) -> Tensor:
    """What a plain hook stores: the very tensor that later layers may overwrite."""
    kept: list[Any] = []
    hook = network.layer(layer).register_forward_hook(lambda m, i, o: kept.append(o))
    try:
        network(x)
    finally:
        hook.remove()
    return kept[0].detach()


@rejected_by("twin: in-place ReLU", "twin: functional ReLU", "twin: one ReLU used twice")
def stores_what_is_overwritten(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values * tapped(network, x, m.layer).mean())


@rejected_by("twin: layer that gives a tuple")
def expects_a_tensor_from_the_layer(m, network, x, targets):
    maps = honest(m, network, x, targets)
    return put(maps, maps.values * tapped(network, x, m.layer).mean())


@rejected_by("twin: functional ReLU", "twin: one ReLU used twice")
def finds_relus_by_module(m, network, x, targets):
    relus = sum(isinstance(layer, nn.ReLU) for layer in network.module.modules())
    maps = honest(m, network, x, targets)
    return put(maps, maps.values * relus)


@rejected_by("twin: dict", "twin: dict with an unusual key", "twin: tuple", "twin: dataclass", "no trace")
def expects_a_tensor_from_the_network(m, network, x, targets):
    _ = network.module(x).shape
    return honest(m, network, x, targets)


@rejected_by("twin: buffers that change", "twin: random draws in forward")
def runs_the_network_bare(m, network, x, targets):
    with torch.no_grad():
        network(x)
    return honest(m, network, x, targets)


@rejected_by("twin: training mode", "twin: dropout", "batch")
def explains_in_the_mode_it_finds(m, network, x, targets):
    flags = {module: module.training for module in network.module.modules()}

    def put_back(*_: object) -> None:
        for module, flag in flags.items():
            module.training = flag

    handle = network.module.register_forward_pre_hook(put_back)
    try:
        return honest(m, network, x, targets)
    finally:
        handle.remove()


@rejected_by("twin: softmax inside", "twin: sigmoid inside")
def takes_probabilities_for_logits(m, network, x, targets):
    return honest(m, network.with_(emits="logits"), x, targets)
