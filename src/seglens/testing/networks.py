"""The conformance suite of a network: what holds of every network that is explained, whatever library it comes from.

For a kind of network of your own, in a test file:

    def sample() -> Toy:
        return Toy(network=sl.load("net.mine"), user=..., x=x, targets=(sl.Target(1, sl.everything),), layer="block2")

    SUITE = network_conformance(sample)

    @pytest.mark.parametrize("check", SUITE)
    def test_conformance(check):
        SUITE[check]()
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from seglens.core.capture import capture
from seglens.core.errors import CaptureError, ShapeError
from seglens.core.method import METHODS
from seglens.core.targets import Targets
from seglens.networks.layers import default_layer_of, layers_of
from seglens.testing._answers import apart_toy, explains_toy, twin_toy
from seglens.testing.subject import Subject, Traits, demand, identical, named_warnings, same
from seglens.testing.toys import Toy
from seglens.testing.untouched import untouched

# Parameters that make each quick: networks of several libraries are asked, not methods examined.
EXPLAINERS: dict[str, tuple[Mapping[str, Any], Traits]] = {
    "saliency": ({}, Traits()),
    "input-x-gradient": ({}, Traits()),
    "integrated-gradients": ({"nodes": 4, "most": 4}, Traits()),
    "guided-backprop": ({}, Traits(rectifiers=True)),
    "activation": ({}, Traits()),
    "grad-cam": ({"relu": False}, Traits()),
    "hires-cam": ({"relu": False}, Traits()),
    "occlusion": ({"size": 8, "stride": 8}, Traits()),
    "context-saliency": ({"sparsity": 1e-6, "steps": 4, "fill": "black"}, Traits(context=True, searched=True)),
}
"""The methods that a network is put through, with their parameters: by input, by layer, by perturbation, by context."""


def output(toy: Toy) -> None:
    """Finite scores, the same in a second pass, and whatever the caller's mode; the input is as it was."""
    found: list[torch.Tensor] = []
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode(), untouched(toy.user, toy.x), capture(toy.network):
            y = toy.network(toy.x)
            toy.network.check_finite(y)
            found.append(y.detach().clone())
    for y in found[1:]:
        identical(y, found[0], f"{toy.network.name}: the output of two passes")


def gradient(toy: Toy) -> None:
    """Along the gradient of the first score, and along another direction, it rises as finite differences say."""
    targets = Targets.of(toy.targets[:1])
    with capture(toy.network):
        leaf = toy.x.clone().requires_grad_()
        y = toy.network(leaf)
        # The region is that of the picture itself: it must not move with the step.
        scores = targets.bind(toy.network, toy.x, y.detach())
        slope = torch.autograd.grad(scores(y)[:, 0].sum(), leaf)[0].cpu()
        demand(bool((slope != 0).any()), f"{toy.network.name}: no gradient reaches the input.")
        noise = torch.randn(toy.x.shape, generator=torch.Generator().manual_seed(0))
        noise -= slope * (noise * slope).sum() / slope.square().sum()
        for direction in (slope, noise):
            # Long enough for float32 to tell, short enough that few rectifiers switch on the way.
            step = 3e-3 * float(toy.x.std()) / float(direction.std())
            with torch.no_grad():
                ahead, behind = (scores(toy.network(toy.x + s * step * direction))[:, 0].sum() for s in (1, -1))
            expected = float((ahead - behind) / (2 * step))
            found = float((slope * direction).sum())
            usual = float(slope.norm() * direction.norm())
            what = f"{toy.network.name}: a slope of {found:.4g} along a direction, {expected:.4g} by differences."
            demand(abs(found - expected) <= 0.05 * usual, what)


def layers(toy: Toy) -> None:
    """Every layer that ran and gives numbers is seen by a tap; the default layer has a gradient."""
    with untouched(toy.user, toy.x):
        tree = layers_of(toy.network, toy.x)
        ran = [a for a in tree if a.path and a.runs and a.shape]
        demand(len(ran) > 1, f"{toy.network.name}: {len(ran)} of {len(tree)} layers were seen to run.")
        with capture(toy.network, [a.path for a in ran]) as taps, named_warnings():
            toy.network(toy.x)
            numb = [a.path for a in ran if not _seen(taps, a.path)]
        demand(not numb, f"{toy.network.name}: taps saw nothing at {', '.join(numb[:5])}.")
        default = toy.network.default_layer or default_layer_of(toy.network, toy.x)
        with capture(toy.network, [default]) as taps, named_warnings():
            y = toy.network(toy.x)
            (slope,) = torch.autograd.grad(y.square().sum(), taps[default])
        demand(bool((slope != 0).any()), f"{toy.network.name}: no gradient at its default layer {default!r}.")


def _seen(taps: Mapping[str, torch.Tensor], path: str) -> bool:
    try:
        return taps[path].numel() > 0
    except ShapeError:
        # Seen, and said to hold no map: that is an answer.
        return True
    except CaptureError:
        return False


def apart(toy: Toy) -> None:
    """Images of a batch do not mix."""
    demand(len(toy.x) > 1, f"{toy.network.name}: give at least two images, so that mixing can be seen.")
    for name in ("saliency", "grad-cam"):
        apart_toy(_subject(name), toy)


def same_output(toy: Toy) -> None:
    """The same scores as the twin's."""
    demand(toy.twin is not None, f"{toy.network.name} has no twin.")
    if toy.twin is not None:
        with capture(toy.network), capture(toy.twin.network), torch.no_grad():
            mine, other = toy.network(toy.x), toy.twin.network(toy.twin.x)
        same(mine.flatten(1)[None], other.flatten(1)[None], f"{toy.network.name}: output against its twin's")


def same_maps(toy: Toy, name: str) -> None:
    """The same maps as the twin's, but for the rounding of other kernels; a search, each of whose steps hangs on the
    last, carries it further."""
    subject = _subject(name)
    twin_toy(subject, toy, 1e-2 if subject.traits.searched or not toy.exact_twin else 1e-3)


NETWORK_CHECKS: dict[str, Callable[[Toy], None]] = {
    "output": output,
    "gradient": gradient,
    "layers": layers,
    "batch": apart,
    **{f"explains: {name}": lambda toy, name=name: explains_toy(_subject(name), toy) for name in EXPLAINERS},
}
"""Every check of a network by name. Each raises an AssertionError that says what is wrong."""

TWIN_CHECKS: dict[str, Callable[[Toy], None]] = {
    "twin: output": same_output,
    **{f"twin: {name}": lambda toy, name=name: same_maps(toy, name) for name in EXPLAINERS},
}
"""Further checks of a network that has a twin, the same function from another source."""


def network_conformance(make: Callable[[], Toy], *, twin: bool = False) -> dict[str, Callable[[], None]]:
    """The checks of one network, ready to be called, by name.

    make: gives the network with at least two images, questions, and a layer; called anew for each check. `user` of
    what it gives is the module as its owner holds it. twin: check against its `twin` too, target by target.
    """
    checks = {**NETWORK_CHECKS, **(TWIN_CHECKS if twin else {})}
    return {name: partial(_run, check, make) for name, check in checks.items()}


def _run(check: Callable[[Toy], None], make: Callable[[], Toy]) -> None:
    check(make())


def _subject(name: str) -> Subject:
    fields, traits = EXPLAINERS[name]
    return Subject(partial(METHODS[name], **fields), traits)
