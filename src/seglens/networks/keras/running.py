"""What a Keras model emits where no graph of its steps tells: found by running it once on noise."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, cast

import torch
from torch import Tensor, nn

from seglens.networks.keras.endings import RECTIFIERS, WEIGHTED, activation_of
from seglens.networks.keras.module import (
    KerasModule,
    input_shapes,
    keeping_random_state,
    left_out,
    operations_of,
    sublayers,
    tensors_of,
)

Found = tuple[list[Any], dict[str, Any], tuple[str, ...]]
"""Operations whose activation can be left out, fields of the network, and notes."""


def by_running(module: KerasModule, convention: Mapping[str, Any]) -> Found:
    """What the module emits, told by two images of noise of the size for which its model was built.

    Where the tensor that the model returns is that of a layer which ran once and applies a softmax or sigmoid, and
    where the activation of what comes without it is what came with it, it can be left out. Else values of 0 to 1 are
    taken for probabilities, of a softmax where those of one place sum to 1. A model that cannot be run is said to be
    unknown.
    """
    model = module.__dict__["model"]
    inputs = _noise(module, convention)
    if inputs is None:
        return [], {}, (_unknown(model.name),)
    try:
        with torch.no_grad(), keeping_random_state():
            returned, last = _run(module, inputs)
            link = None if last is None else activation_of(last)[0]
            if link is not None and isinstance(returned, Tensor):
                with left_out([last]):
                    logits = module(*inputs)
                again = logits.softmax(1) if link == "softmax" else logits.sigmoid()
                if again.shape == returned.shape and torch.allclose(again, returned, rtol=1e-4, atol=1e-6):
                    return [last], {"emits": "logits", "link": link}, ()
            elif last is not None:
                return [], {"emits": "logits"}, ()
            # Brighter and darker than pictures are: scores that happen to lie in 0 to 1 then leave it.
            values = [_parts(module(*(x * scale for x in inputs))) for scale in (0, 1, -3, 30)]
    except Exception:  # noqa: BLE001 - a user's model may fail on noise in any way
        return [], {}, (_unknown(model.name),)
    outputs = [y for parts in values for y in parts]
    if not outputs or not all(float(y.min()) >= 0 and float(y.max()) <= 1 for y in outputs):
        return [], {"emits": "logits"}, ()
    summing = all(y.ndim > 1 and y.shape[1] > 1 and bool(((y.sum(1) - 1).abs() < 1e-3).all()) for y in outputs)
    link = "softmax" if summing else "sigmoid"
    graph = bool(tensors_of(model, "outputs"))
    why = "no layer of Keras applies it last" if graph else "it is applied in code of the model's own"
    return [], {"emits": "probabilities", "link": link}, (cannot_be_separated(model.name, link, why),)


def _parts(returned: Any) -> list[Tensor]:
    parts = list(cast("Mapping[str, Any]", returned).values()) if isinstance(returned, Mapping) else [returned]
    return [y.float() for y in parts if isinstance(y, Tensor)]


def cannot_be_separated(name: str, link: str | None, why: str) -> str:
    """The note on a network whose probabilities are all that can be had."""
    formula = "log p − log(1 − p)" if link == "sigmoid" else "log p"
    return (
        f"the {link} of {name} cannot be separated: {why}. It emits probabilities; where logits are asked for, "
        f"{formula} is taken."
    )


def _unknown(name: str) -> str:
    return (
        f"whether {name} gives logits or probabilities could not be told; logits are assumed. Say "
        "emits='probabilities' where a softmax or sigmoid is inside."
    )


def _run(module: KerasModule, inputs: list[Tensor]) -> tuple[Any, Any]:
    """What the module returns, and the weighted or activating layer that made that very tensor, if it ran once."""
    model = module.__dict__["model"]
    seen: list[tuple[Any, Any]] = []
    layers = {id(op): op for _, op in operations_of(model) if isinstance(op, nn.Module) and not sublayers(op)}
    with ExitStack() as undo:
        for layer in (*layers.values(), model):
            handle = layer.register_forward_hook(lambda m, _, out: seen.append((m, out)))
            undo.callback(handle.remove)
        returned = module(*inputs)
    raw = next((out for m, out in seen if m is model), None)
    for layer, out in reversed(seen):
        known = type(layer).__name__ in (*WEIGHTED, *RECTIFIERS) or activation_of(layer)[0] is not None
        if out is raw and layer is not model and known and sum(m is layer for m, _ in seen) == 1:
            return returned, layer
    return returned, None


def _noise(module: KerasModule, convention: Mapping[str, Any]) -> list[Tensor] | None:
    """Two images of noise in the range that the model takes, and its further inputs likewise; None: shapes unknown."""
    model = module.__dict__["model"]
    shapes = list(input_shapes(model).values()) or _built_shapes(model)
    if not shapes:
        return None
    generator = torch.Generator().manual_seed(0)
    first = next(module.parameters(), None)
    lo, hi = convention.get("range", (0.0, 1.0))
    inputs: list[Tensor] = []
    for shape in shapes:
        x = torch.rand([2, *(64 if n is None else n for n in shape[1:])], generator=generator) * (hi - lo) + lo
        x = x if first is None else x.to(first.device)
        inputs.append(x.movedim(-1, 1) if module.last[0] and x.ndim > 2 else x)
    return inputs


def _built_shapes(model: Any) -> list[tuple[int | None, ...]]:
    """The shapes for which a subclassed model was built, as far as Keras kept them."""
    shapes: Any = getattr(model, "_build_shapes_dict", None)
    if not isinstance(shapes, Mapping):
        return []
    return [tuple(s) for s in cast("Mapping[str, Any]", shapes).values() if isinstance(s, tuple | list)]
