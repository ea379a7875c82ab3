"""A Keras model as a torch module whose children are its layers, under Keras's own names."""

import copy
import random
import threading
import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from importlib import import_module
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from seglens.core.errors import NetworkError, ShapeError

_HOOKS = (
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_RUNNING = threading.RLock()
"""One forward pass at a time: while it lasts, the last activation of the user's model may be switched off."""


def _shared(name: str) -> Any:
    """An attribute that torch reads off the module that runs, which is the layer."""

    def read(self: nn.Module) -> Any:
        return vars(self.__dict__["layer"]).get(name) if "layer" in self.__dict__ else None

    def write(self: nn.Module, value: Any) -> None:
        # Past Keras's own __setattr__, which tracks what it is given. torch's constructor comes before the layer.
        if "layer" in self.__dict__:
            vars(self.__dict__["layer"])[name] = value

    return property(read, write)


class KerasLayer(nn.Module):
    """What stands for one Keras layer in the tree of modules; its type is named as the layer's class.

    Keras keeps the layers of a functional model out of torch's tree, and their weights in a table of their own. This
    module holds the layer's own weights under the names that Keras gives them (kernel, bias, moving_mean, …), has the
    layer's sublayers as children, and shares the layer's hooks and mode: a hook that is set here fires when Keras
    calls the layer.
    """

    training: Any = _shared("training")
    _is_full_backward_hook: Any = _shared("_is_full_backward_hook")

    def __init__(self, layer: Any, known: dict[int, "KerasLayer"]) -> None:
        super().__init__()
        known[id(layer)] = self
        self.__dict__["layer"] = layer
        self.__dict__.update({name: vars(layer)[name] for name in _HOOKS})
        if not _torch_children(layer):
            _take(self, layer)
        self._modules.update(_children(layer, known))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's output, in evaluation mode; its hooks fire once, in the layer itself."""
        return self.forward(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The layer's output, in evaluation mode."""
        return self.__dict__["layer"](*args, **{**kwargs, "training": False})

    def extra_repr(self) -> str:
        """Keras's name of the layer."""
        return str(self.__dict__["layer"].name)


class KerasModule(nn.Module):
    """A Keras model of the torch backend that takes and gives channels first, and shows its layers.

    model: never changed; always run with training=False, as Keras's layers do not follow torch's mode. switches: the
    operations whose activation is left out while this module runs, so that it gives logits. last: whether (inputs,
    outputs) have their channels last. Images are [B C *space], vectors [B d]. Of several outputs it gives a dict by
    Keras's names of them.
    """

    def __init__(self, model: Any, switches: Sequence[Any] = (), last: tuple[bool, bool] = (True, True)) -> None:
        super().__init__()
        self.__dict__["model"] = model
        self.__dict__["switches"] = tuple(switches)
        self.last = last
        _take(self, model)
        self._modules.update(_children(model, {}))
        # Of this module alone: the layers' own flags are the user's.
        self.training = False
        self._built_in = {p.dtype for p in self.parameters()}

    def forward(self, *inputs: Any) -> Any:
        """Scores of images [B C *space] (and further inputs, in the model's order): logits where separated."""
        model = self.__dict__["model"]
        given = self._given(inputs)
        called = vars(model).get("_called")
        with _RUNNING, _on(inputs[0].device), left_out(self.__dict__["switches"]):
            try:
                returned = model(given, training=False)
            finally:
                vars(model)["_called"] = called
        return self._first(returned, tuple(inputs[0].shape))

    def __deepcopy__(self, memo: dict[int, Any]) -> "KerasModule":
        """A copy by way of Keras's own saving, which keeps names and weights; it shares no memory with the model."""
        with keeping_random_state(), _on(torch.device("cpu")), warnings.catch_warnings():
            # Keras converts arrays in a way that numpy deprecates.
            warnings.simplefilter("ignore")
            model = copy.deepcopy(self.__dict__["model"], memo)
        before = dict(operations_of(self.__dict__["model"]))
        after = dict(operations_of(model))
        places = [next(path for path, op in before.items() if op is s) for s in self.__dict__["switches"]]
        made = KerasModule(model, [after[p] for p in places], self.last)
        if list(made.state_dict()) != list(self.state_dict()):
            raise NetworkError(f"a copy of {model.name} has other weights than itself: it cannot be copied by saving.")
        first = next(self.parameters(), None)
        return made if first is None else made.to(first.device)

    def _given(self, inputs: tuple[Any, ...]) -> Any:
        model = self.__dict__["model"]
        wanted = input_shapes(model)
        if wanted and len(wanted) != len(inputs):
            listed = ", ".join(f"{name} {_shown(shape)}" for name, shape in wanted.items())
            raise NetworkError(
                f"{model.name} takes {len(wanted)} inputs, and was given {len(inputs)}: {listed}.\n"
                "  Give those beside the explained one, in this order, as extra=(…); explained= is its place among all."
            )
        arranged = [_last(x) if self.last[0] and isinstance(x, Tensor) else x for x in inputs]
        for shape, x in zip(wanted.values(), arranged, strict=False):
            self._check(shape, x)
        if (now := {p.dtype for p in self.parameters()}) != self._built_in:
            raise NetworkError(
                f"{model.name} computes in {model.compute_dtype}, which is settled when a Keras model is built; its "
                f"weights were turned to {', '.join(sorted(str(t) for t in now - self._built_in))}.\n"
                "  Turn them back, or build the model anew after keras.config.set_floatx(…)."
            )
        if not wanted:
            return arranged[0] if len(arranged) == 1 else arranged
        structure = getattr(model, "_inputs_struct", None)
        if isinstance(structure, Mapping):
            return dict(zip(wanted, arranged, strict=True))
        return arranged[0] if len(arranged) == 1 else arranged

    def _check(self, shape: tuple[int | None, ...], x: Any) -> None:
        """Sizes as Keras's input states them; Keras's own message would show them channels last."""
        if not isinstance(x, Tensor) or x.ndim != len(shape):
            return
        if all(n in (None, m) for n, m in zip(shape[1:], x.shape[1:], strict=True)):
            return
        first = (*shape[-1:], *shape[1:-1]) if self.last[0] and len(shape) > 2 else shape[1:]
        given = (x.shape[0], x.shape[-1], *x.shape[1:-1]) if self.last[0] and x.ndim > 2 else tuple(x.shape)
        wanted = ", ".join("any" if n is None else str(n) for n in first)
        raise ShapeError(
            f"{self.__dict__['model'].name} was built for inputs [batch, {wanted}], not {list(given)}.\n"
            "  State size = [height, width] in its description, so that images are resized.",
            tuple(given),
        )

    def _first(self, returned: Any, image: tuple[int, ...]) -> Any:
        """Outputs with channels first; several under Keras's names."""
        model = self.__dict__["model"]
        if isinstance(returned, Mapping):
            parts = cast("Mapping[str, Any]", returned)
            return {name: self._map(y, image) for name, y in parts.items()}
        if isinstance(returned, list | tuple):
            mapped = [self._map(y, image) for y in cast("Sequence[Any]", returned)]
            names: list[str] = list(getattr(model, "output_names", None) or ())
            if len(names) != len(mapped) or len(set(names)) != len(names):
                return mapped
            return dict(zip(names, mapped, strict=True))
        return self._map(returned, image)

    def _map(self, y: Any, image: tuple[int, ...]) -> Any:
        """One output [B K *space] or [B d], from how Keras gives it for images of that shape [B C *space]."""
        if not isinstance(y, Tensor) or y.ndim < 3:
            return y
        if y.ndim == len(image) - 1 and len(image) == 4:
            return _unrolled(y, image[2:])
        return y.movedim(-1, 1) if self.last[1] else y


def _unrolled(y: Tensor, sides: tuple[int, ...]) -> Tensor:
    """[B h·w K] of a 2-D network, its places in a row, as [B K h w]; [B h w] of a single channel as [B 1 h w]."""
    height, width = sides
    if y.shape[1] * width == y.shape[2] * height and height % y.shape[1] == 0:
        return y[:, None]
    for factor in range(1, min(sides) + 1):
        if height % factor == 0 and width % factor == 0 and (height // factor) * (width // factor) == y.shape[1]:
            return y.unflatten(1, (height // factor, width // factor)).movedim(-1, 1)
    return y.movedim(-1, 1)


def _last(x: Tensor) -> Tensor:
    return x.movedim(1, -1) if x.ndim > 2 else x


def _shown(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"


def input_shapes(model: Any) -> dict[str, tuple[int | None, ...]]:
    """Shapes of a model's inputs by name, as Keras states them, None where free; empty for a subclassed model.

    In the model's own order: Keras sorts inputs given as a dict by name, which no one wrote.
    """
    tensors = tensors_of(model, "inputs")
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, Mapping):
        named = cast("Mapping[str, Any]", structure)
        return {k: tuple(t.shape) for k, t in named.items() if hasattr(t, "shape")}
    return {t.name: tuple(t.shape) for t in tensors}


def tensors_of(model: Any, which: str) -> list[Any]:
    """The symbolic inputs or outputs of a model with a graph (functional, sequential); empty for others."""
    try:
        return list(getattr(model, which, None) or ())
    except (AttributeError, ValueError):
        # A sequential model that was not built yet has none.
        return []


def nodes_of(model: Any) -> list[Any]:
    """The calls of operations that make up a model's graph; empty for a model without one."""
    graph: Any = getattr(model, "_functional", None) or model
    return [node for nodes in getattr(graph, "_nodes_by_depth", {}).values() for node in nodes]


@contextmanager
def left_out(operations: Sequence[Any]) -> Generator[None]:
    """Those operations without their activation while the block lasts: a convolution gives sums, a softmax its input.

    Only the layer's instance dictionary is written, and put back: nothing is tracked, rebuilt or copied.
    """
    before = [(vars(op), dict(vars(op))) for op in operations]
    try:
        for own, _ in before:
            if "activation" in own:
                own["activation"] = _same
            else:
                own["call"] = _same
        yield
    finally:
        for own, old in before:
            for key in ("activation", "call"):
                if key in old:
                    own[key] = old[key]
                else:
                    own.pop(key, None)


def _same(inputs: Any, *_: Any, **__: Any) -> Any:
    return inputs


@contextmanager
def keeping_random_state() -> Generator[None]:
    """Global random states as before after the block: Keras draws the seeds of its initialisers from Python's."""
    python, numpy, torch_ = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        torch.set_rng_state(torch_)


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Keras moves every tensor to the device of its own scope."""
    return cast("AbstractContextManager[Any]", import_module("keras").device(str(device)))


def sublayers(layer: Any) -> list[Any]:
    """Layers directly inside one, in Keras's order; without the layers that stand for inputs, which never run."""
    if is_model(layer):
        found: list[Any] = list(layer.layers)
    else:
        found = list(layer._flatten_layers(include_self=False, recursive=False))
    return [a for a in found if type(a).__name__ != "InputLayer" and a is not layer]


def is_model(layer: Any) -> bool:
    """Whether a layer is a model, which has layers of its own."""
    return any(c.__name__ == "Model" and c.__module__.startswith("keras.") for c in type(layer).__mro__)


def operations_of(model: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """All layers and operations below a model by path, nested ones too."""
    inside = [*sublayers(model), *(op for op in getattr(model, "_operations", ()) if not isinstance(op, nn.Module))]
    for op in inside:
        yield f"{path}{op.name}", op
        if isinstance(op, nn.Module):
            yield from operations_of(op, f"{path}{op.name}.")


def _children(layer: Any, known: dict[int, KerasLayer]) -> dict[str, nn.Module]:
    """Modules for what lies directly inside a layer; one layer has one module, wherever it is used."""
    found: dict[str, nn.Module] = {}
    for inner in sublayers(layer):
        module = known.get(id(inner)) or _type_of(inner)(inner, known)
        name, n = inner.name, 1
        while name in found:
            # Keras demands distinct names of functional models only.
            name, n = f"{inner.name}_{n}", n + 1
        found[name] = module
    return {**_torch_children(layer), **found}


def _torch_children(layer: Any) -> dict[str, nn.Module]:
    """torch modules inside a layer that are none of Keras's: what TorchModuleWrapper holds."""
    children = cast("Mapping[str, nn.Module | None]", vars(layer).get("_modules") or {})
    return {
        n: m
        for n, m in children.items()
        if m is not None and not isinstance(m, nn.ParameterDict) and not hasattr(m, "_flatten_layers")
    }


def _type_of(layer: Any) -> type[KerasLayer]:
    """A subclass of KerasLayer that is named as the layer's class: trees and graphs show it."""
    return type(type(layer).__name__, (KerasLayer,), {"__module__": __name__, "__doc__": type(layer).__doc__})


def _take(module: nn.Module, layer: Any) -> None:
    """The layer's own weights into the module's tables."""
    for name, value in _weights(layer).items():
        if isinstance(value, nn.Parameter):
            module._parameters[name] = value  # pyright: ignore[reportPrivateUsage]
        else:
            module._buffers[name] = value  # pyright: ignore[reportPrivateUsage]


def _weights(layer: Any) -> dict[str, Tensor]:
    """A layer's own weights by Keras's name, without those of its sublayers and without states of generators."""
    found: dict[str, Tensor] = {}
    for variable in [*layer._trainable_variables, *layer._non_trainable_variables]:
        name, n = variable.name, 1
        while name in found:
            name, n = f"{variable.name}_{n}", n + 1
        found[name] = variable.value
    return found
