"""Checks of how a method behaves: what it leaves behind, what it refuses, and what it is."""

import pickle
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seglens.core.errors import (
    CaptureError,
    ClassNotFoundError,
    LayerNotFoundError,
    NetworkError,
    NonFiniteError,
    ParameterError,
    RegionError,
    SeglensError,
    ShapeError,
)
from seglens.core.parameters import Parameter, parameters
from seglens.core.regions import everything, mask, pixel, predicted, truth
from seglens.core.targets import Target, Targets
from seglens.testing import toys
from seglens.testing.subject import (
    ConformanceError,
    Subject,
    demand,
    named_warnings,
    refused,
    same,
)
from seglens.testing.toys import Toy, made
from seglens.testing.untouched import untouched

MODES: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "enable_grad": torch.enable_grad,
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "deterministic algorithms": lambda: _deterministic(),
}


def leaves_no_trace(subject: Subject) -> None:
    """Network, input, random states and modes are as before; so is every module, whatever its mode was."""
    for name in ("plain", "training mode", "frozen batch norm", "parameters with gradients", "dict"):
        toy = made(name)
        with untouched(toy.user, toy.x):
            subject.maps(toy)
    toy = made("plain")
    leaf = toy.x.clone().requires_grad_()
    leaf.grad = torch.ones_like(leaf)
    for x in (leaf, leaf * 1.0):
        with untouched(toy.user, x, leaf):
            subject.maps(replace(toy, x=x))


def modes(subject: Subject) -> None:
    """Under no_grad, inference mode and deterministic algorithms: the same maps, and the mode is kept."""
    toy = made("plain")
    expected = subject.maps(toy).values
    for name, mode in MODES.items():
        with mode(), untouched(toy.user, toy.x):
            actual = subject.maps(toy).values
        same(actual, expected, f"{subject.name} under {name}")
    with torch.inference_mode():
        inferred = toy.x.clone()
    # A tensor made in inference mode refuses to be saved for a backward pass.
    for mode in (nullcontext, torch.inference_mode):
        with mode(), untouched(toy.user, inferred):
            actual = subject.maps(replace(toy, x=inferred)).values
        same(actual, expected, f"{subject.name}: an input made in inference mode")


def live_graph(subject: Subject) -> None:
    """A loss that the caller computed before still goes backward after, to the same gradients."""

    def gradients(explain: bool) -> list[Tensor]:
        toy = made("plain")
        x = toy.x.clone().requires_grad_()
        loss = toy.network.module(x).square().mean()
        if explain:
            subject.maps(replace(toy, x=x))
        used = [p for n, p in toy.user.named_parameters() if "idle" not in n]
        return list(torch.autograd.grad(loss, [x, *used]))

    try:
        after = gradients(True)
    except RuntimeError as spoilt:
        raise ConformanceError(f"{subject.name}: the caller's own backward pass fails: {spoilt}") from spoilt
    for a, b in zip(after, gradients(False), strict=True):
        demand(torch.equal(a, b), f"{subject.name}: the caller's own gradients changed.")


def wrong_target(subject: Subject) -> None:
    """A class, region or truth that does not fit is refused by name, and nothing is left behind."""
    plain, classifier, encoder = made("plain"), made("classifier"), made("encoder")
    short = mask(torch.ones(5, 5, dtype=torch.bool))
    cases: list[tuple[Toy, Any, type[SeglensError]]] = [
        (plain, Target("cra", everything), ClassNotFoundError),
        (plain, Target(17, everything), ClassNotFoundError),
        (plain, Target("car", predicted("cra")), ClassNotFoundError),
        (plain, Target("car", truth("car")), RegionError),
        (plain, Target("car", pixel(99, 99)), RegionError),
        (plain, Target("car", short), ShapeError),
        (classifier, Target("car", everything), RegionError),
        (encoder, Target(5), ParameterError),
        (encoder, Target(0, of="probabilities"), ParameterError),
    ]
    for toy, target, error in cases:
        what = f"{subject.name} on {toy.network.name}, target {target}"
        _refuses(subject, toy, Targets.of(target), what, error)
    misfit = Targets(items=plain.targets, truth=torch.zeros(3, 7, 7, dtype=torch.int64))
    _refuses(subject, plain, misfit, f"{subject.name}, truth of another size", ShapeError)


def wrong_layer(subject: Subject) -> None:
    """A layer that does not exist, does not run or has no space is refused, and nothing is left behind."""
    if not subject.reads_layer:
        return
    cases = (
        ("plain", "nrom", LayerNotFoundError),
        ("plain", "idle", CaptureError),
        ("tokens", "ranked", ShapeError),
        ("classifier", "head", ShapeError),
    )
    for name, layer, error in cases:
        toy = replace(made(name), layer=layer)
        what = f"{subject.name} on {toy.network.name}, layer {layer!r}"
        _refuses(subject, toy, Targets.of(toy.targets), what, error)


def wrong_input(subject: Subject) -> None:
    """Another number of channels, or no batch, is refused, and nothing is left behind."""
    toy = made("plain")
    for x in (toy.x[:, :1], toy.x[0]):
        what = f"{subject.name}, input of shape {tuple(x.shape)}"
        wrong = replace(toy, x=x)
        _refuses(subject, wrong, Targets.of(toys.TARGETS[:3]), what, NetworkError, ShapeError)


def failing_layer(subject: Subject) -> None:
    """A layer that fails at the first or a later call, or backward: the error comes out, and no trace stays."""
    for n in (1, 2, 3):
        toy = toys.failing(n)
        layer: Any = toy.user.get_submodule("second")
        what = f"{subject.name}, a layer that fails at call {n}"
        with untouched(toy.user, toy.x):
            try:
                with named_warnings():
                    subject.call(toy.network, toy.x, toy.targets, toy.layer)
            except NetworkError:
                continue
            except SeglensError as other:
                raise ConformanceError(f"{what}: {type(other).__name__}, not NetworkError.") from other
        demand(len(layer.calls) < n, f"{what}: the failure was swallowed.")
    toy = toys.failing(0)
    with untouched(toy.user, toy.x):
        try:
            with named_warnings():
                maps = subject.call(toy.network, toy.x, toy.targets, toy.layer)
        except (RuntimeError, SeglensError):
            return
    # Methods that only look forward never meet the failure.
    expected = subject.maps(made("plain")).values
    same(maps.values, expected, f"{subject.name}, a layer that fails backward: swallowed, the map")


def broken_weights(subject: Subject) -> None:
    """A network that gives NaN is refused with the name of the broken tensor."""
    toy = toys.broken_weights()
    what = f"{subject.name}, a network with NaN in 'body.weight'"
    _refuses(subject, toy, Targets.of(toy.targets), what, NonFiniteError)


def parameter_bounds(subject: Subject) -> None:
    """Every parameter states what it is for, numbers their bounds; a wrong value is refused by field name."""
    method: Any = subject.make()
    for p in parameters(type(method)):
        name = f"{subject.name}.{p.name}"
        demand(bool(p.help), f"{name} has no Help.")
        demand(p.bounds is not None or p.kind not in ("int", "float"), f"{name} states no Bounds.")
        for bad in _bad_values(p):
            try:
                replace(method, **{p.name: bad})
            except ParameterError as refusal:
                demand(p.name in str(refusal), f"{name} = {bad!r}: the error names no field.")
            except Exception as other:
                raise ConformanceError(f"{name} = {bad!r}: {type(other).__name__}, not ParameterError.") from other
            else:
                raise ConformanceError(f"{name} = {bad!r} was accepted.")


def is_a_value(subject: Subject) -> None:
    """A frozen dataclass with a docstring: equal, hashed and printed by its fields, and survives pickling."""
    method: Any = subject.make()
    name = subject.name
    if not is_dataclass(method):
        raise ConformanceError(f"{name} is no dataclass: its fields are to be its parameters.")
    kind: Any = type(subject.make())
    demand(kind.__dataclass_params__.frozen, f"{name} is not frozen.")
    doc = (kind.__doc__ or "").strip()
    # Where there is none, dataclass writes the signature into its place.
    demand(bool(doc) and not doc.startswith(f"{kind.__name__}("), f"{name} has no docstring.")
    again: Any = subject.make()
    demand(method == again, f"{name}: two of the same parameters differ.")
    demand(hash(method) == hash(again), f"{name}: equal, but another hash.")
    for f in fields(method):
        demand(f"{f.name}=" in repr(method), f"{name}: its repr does not show {f.name}.")
    demand(pickle.loads(pickle.dumps(method)) == method, f"{name}: pickling changed it.")


def _bad_values(p: Parameter) -> Iterator[Any]:
    if p.kind in ("int", "float"):
        yield from ("3", True, float("nan"))
    if p.kind == "int":
        yield 1.5
    if p.kind == "bool":
        yield "yes"
    if p.kind == "str":
        yield 7
    if p.choices:
        yield "no such choice"
    if p.bounds is not None:
        b = p.bounds
        yield from (edge for edge in (b.above,) if edge is not None)
        yield from (edge - 1 for edge in (b.ge,) if edge is not None)
        yield from (edge + 1 for edge in (b.le,) if edge is not None)


def _refuses(subject: Subject, toy: Toy, targets: Targets, what: str, *errors: type[SeglensError]) -> None:
    with untouched(toy.user, toy.x), refused(what, *errors):
        subject.call(toy.network, toy.x, targets, toy.layer)


@contextmanager
def _deterministic() -> Generator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
