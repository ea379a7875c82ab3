"""What a Keras model tells of its input: layout, channels, size, and the values that its first layers expect."""

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any, cast

import torch

from seglens.networks.keras.module import input_shapes, is_model, nodes_of, sublayers, tensors_of

_IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
_CENTRED: dict[str, Any] = {"range": (-1.0, 1.0), "mean": (0.0,), "std": (1.0,)}
_CAFFE: dict[str, Any] = {"range": (0.0, 255.0), "order": "BGR", "mean": (103.939, 116.779, 123.68), "std": (1.0,)}
_APPLICATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("resnet50v2", _CENTRED),
    ("resnet101v2", _CENTRED),
    ("resnet152v2", _CENTRED),
    ("resnet50", _CAFFE),
    ("resnet101", _CAFFE),
    ("resnet152", _CAFFE),
    ("vgg16", _CAFFE),
    ("vgg19", _CAFFE),
    ("mobilenet_", _CENTRED),
    ("mobilenetv2_", _CENTRED),
    ("xception", _CENTRED),
    ("inception_v3", _CENTRED),
    ("inception_resnet_v2", _CENTRED),
    ("nasnet", _CENTRED),
    ("densenet", {"range": (0.0, 1.0), **_IMAGENET}),
)
"""Beginnings of the names of models of keras.applications, with what their own `preprocess_input` does."""

_JOINING = ("Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum")
_DIVISORS = (1, 2, 4, 8, 16, 32, 64)
_PASSED = ("ZeroPadding2D", "Resizing", "CenterCrop", "Dropout", "GaussianNoise", "Identity", "Cropping2D")
"""Steps before the first one that tells of the values, with all layers that augment (Random…)."""


def layout_of(model: Any) -> tuple[bool, bool]:
    """Whether a model's (inputs, outputs) have their channels last, by its first and last layer that knows."""
    said = [f for layer in _leaves(model) if type(layer).__name__ != "Flatten" if (f := _format(layer))]
    if not said:
        said = [str(import_module("keras").config.image_data_format())]
    return said[0] == "channels_last", said[-1] == "channels_last"


def _format(layer: Any) -> str | None:
    found = vars(layer).get("data_format")
    return found if found in ("channels_last", "channels_first") else None


def _leaves(layer: Any) -> Iterator[Any]:
    inside = sublayers(layer)
    if not inside:
        yield layer
    for inner in inside:
        yield from _leaves(inner)


def convention_of(model: Any, last: bool) -> tuple[dict[str, Any], int | None, list[str]]:
    """Fields of the input convention that a model settles, its fixed batch, and notes on what its name tells.

    Channels and size by the shape of its first input with space; `divisor` by Keras's own inference of shapes; values
    by layers at its beginning (Rescaling, Normalization) or the name of a model of keras.applications.
    """
    images = [s for s in input_shapes(model).values() if len(s) > 2]
    if not images:
        return {}, None, []
    shape = images[0]
    settled: dict[str, Any] = {}
    if len(shape) == 3 and not any(type(a).__name__.endswith("1D") for a in _leaves(model)):
        channels, sides = 1, shape[1:]  # [B H W]: images without an axis of channels
    else:
        channels, sides = (shape[-1], shape[1:-1]) if last else (shape[1], shape[2:])
    if channels is not None:
        settled["channels"] = channels
    if None not in sides:
        settled["size"] = tuple(cast("tuple[int, ...]", sides))
    elif (divisor := _divisor(model, shape)) > 1:
        settled["divisor"] = divisor
    values, note = _values(model)
    if channels not in (None, 3):
        values = {k: v for k, v in values.items() if k == "range"}
    return {**settled, **values}, shape[0], [note] if note else []


def _divisor(model: Any, shape: Sequence[int | None]) -> int:
    """The least of _DIVISORS by which sides may be off a multiple of 64, so that all joined maps are of one size.

    By Keras's own inference of shapes, without running the model; 1 where that does not tell.
    """
    graph = getattr(model, "_functional", None) or model
    if len(input_shapes(model)) != 1 or not nodes_of(model) or not _fits(graph, [_sized(shape, 0)]):
        return 1
    return next((d for d in _DIVISORS if _fits(graph, [_sized(shape, d)])), 1)


def _sized(shape: Sequence[int | None], by: int) -> Any:
    sides = [128 + by if n is None else n for n in shape[1:]]
    return import_module("keras").KerasTensor((1, *sides))


def _fits(graph: Any, inputs: Sequence[Any]) -> bool:
    """Whether layers that join maps receive such as can be joined, which Keras checks when it builds a model alone."""

    def spec(operation: Any) -> Any:
        def infer(*args: Any, **kwargs: Any) -> Any:
            tensors = [t for t in import_module("keras").tree.flatten((args, kwargs)) if hasattr(t, "shape")]
            inner = getattr(operation, "_functional", None) or operation
            nested = is_model(operation) and bool(nodes_of(operation))
            if not _joins(operation, [tuple(t.shape) for t in tensors]) or (nested and not _fits(inner, tensors)):
                raise ValueError("maps of different sizes meet")
            return operation.compute_output_spec(*args, **kwargs)

        return infer

    try:
        graph._run_through_graph(inputs, operation_fn=spec)
    except Exception:  # noqa: BLE001 - layers refuse shapes in any way
        return False
    return True


def _joins(operation: Any, shapes: Sequence[tuple[int | None, ...]]) -> bool:
    """Whether tensors of these shapes can be concatenated, or be added place by place."""
    kind = type(operation).__name__
    if kind not in _JOINING or len({len(s) for s in shapes}) != 1:
        return True
    axis = operation.axis % len(shapes[0]) if kind == "Concatenate" else None
    sizes = [{n for n in column if n != 1} for i, column in enumerate(zip(*shapes, strict=True)) if i != axis]
    return all(len(found) < 2 for found in sizes)


def _values(model: Any) -> tuple[dict[str, Any], str]:
    """The range of values that the beginning of a model expects, and a note where only a name tells."""
    if (named := _by_name(model)) is not None:
        return named
    nodes = nodes_of(model)
    tensors = tensors_of(getattr(model, "_functional", None) or model, "inputs")
    while tensors:
        readers = [n for n in nodes if any(t is tensors[0] for t in n.input_tensors)]
        if len(readers) != 1:
            break
        operation = readers[0].operation
        if is_model(operation):
            return _values(operation)
        kind = type(operation).__name__
        if (scale := _scale(operation, readers[0])) is not None:
            return {"range": (0.0, 255.0) if scale < 0.1 else (0.0, 1.0)}, ""
        if kind not in _PASSED and not kind.startswith("Random"):
            break
        tensors = readers[0].output_tensors
    return {}, ""


def _scale(operation: Any, node: Any) -> float | None:
    """What a first step multiplies values by, about; None for a step that does not scale."""
    kind = type(operation).__name__
    if kind == "Rescaling":
        scale = operation.scale
        numbers = scale if isinstance(scale, list | tuple) else [scale]
        return max(abs(float(n)) for n in cast("Sequence[float]", numbers))
    if kind == "Normalization":
        # Values of 0 to 1 have a variance of at most 1/4, and means of at most 1.
        mean, variance = operation.mean, operation.variance
        if mean is None or variance is None:
            return None
        large = float(torch.as_tensor(mean).abs().max()) > 2 or float(torch.as_tensor(variance).max()) > 4
        return 1 / 255 if large else 1.0
    constants = [a for a in (*node.arguments.args[1:], *node.arguments.kwargs.values()) if isinstance(a, int | float)]
    if kind in ("TrueDivide", "Divide") and constants:
        return 1 / abs(constants[0]) if constants[0] else None
    return abs(float(constants[0])) if kind == "Multiply" and constants else None


def _by_name(model: Any) -> tuple[dict[str, Any], str] | None:
    name = str(model.name).lower()
    for beginning, values in _APPLICATIONS:
        if name.startswith(beginning):
            order = " in the order blue, green, red" if values.get("order") == "BGR" else ""
            lo, hi = values["range"]
            return values, (
                f"guessed by its name: {model.name} takes images as keras.applications does, {lo:g} to {hi:g}{order}, "
                f"mean {_listed(values['mean'])}, std {_listed(values['std'])}. State convention=… if it was trained "
                "otherwise."
            )
    return None


def _listed(numbers: Sequence[float]) -> str:
    return ", ".join(f"{n:g}" for n in numbers)
