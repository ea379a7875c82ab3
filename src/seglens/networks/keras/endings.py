"""How a Keras model ends: whether its outputs are logits, and if not, whether its last activation can be left out."""

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from seglens.networks.keras.module import is_model, nodes_of, operations_of, tensors_of

Kind = Literal["logits", "separable", "sealed", "unknown"]

_HANDED_ON = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Identity", "GaussianNoise")
"""Layers that do nothing in evaluation."""

_MOVED = ("Reshape", "Cropping1D", "Cropping2D", "Cropping3D")
"""Layers that only choose or arrange places, which commutes with any function of the channels of one place."""

_BLENDED = (
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "Resizing",
    "Resize",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
    "AveragePooling2D",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "Average",
)
"""Steps of which probabilities come out as probabilities, but whose order with an activation matters."""

WEIGHTED = (
    "Dense",
    "EinsumDense",
    "Conv1D",
    "Conv2D",
    "Conv3D",
    "Conv1DTranspose",
    "Conv2DTranspose",
    "Conv3DTranspose",
    "SeparableConv1D",
    "SeparableConv2D",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "BatchNormalization",
    "LayerNormalization",
    "GroupNormalization",
)
"""Layers with weights, whose values are scores unless an activation of their own follows."""


RECTIFIERS = ("ReLU", "LeakyReLU", "PReLU", "ELU")
"""Layers that are an activation, and give no probabilities."""

_OPEN = (
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "tanh",
    "softplus",
    "exponential",
)
"""Activations by Keras's name that give no probabilities."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How one output comes about.

    kind: 'logits'; 'separable', an activation that `switch` applies and that can be left out there; 'sealed', an
    activation that cannot, for the reason `why`; 'unknown', where only the values can tell. link: 'softmax' or
    'sigmoid', where one was found.
    """

    kind: Kind
    link: Literal["softmax", "sigmoid"] | None = None
    switch: Any = None
    why: str = ""


def ending_of(model: Any, output: Any, channels: int) -> Ending:
    """The ending of one symbolic output of a functional or sequential model.

    channels: the axis of the output's channels, counted from the end (−1: last). The way is followed back through
    nested models and through steps that change no channel.
    """
    found = _ending(model, output, channels)
    if found.kind == "separable" and sum(op is found.switch for _, op in operations_of(model)) > 1:
        return Ending("sealed", found.link, why=f"{found.switch.name!r} is used more than once")
    return found


def _ending(model: Any, tensor: Any, channels: int) -> Ending:
    operation, node_index, tensor_index = tensor._keras_history
    name, kind = operation.name, type(operation).__name__
    if kind == "InputLayer":
        return Ending("logits")
    node = operation._inbound_nodes[node_index]
    shared = _is_shared(model, operation, node)
    if is_model(operation) and tensors_of(operation, "outputs"):
        inner = _ending(operation, operation.outputs[tensor_index], channels)
        if inner.kind == "separable" and shared:
            return Ending("sealed", inner.link, why=f"the output of {name!r} is read elsewhere in the network too")
        return inner
    link, axis = activation_of(operation)
    if link is not None:
        rank = len(tensor.shape)
        if link == "softmax" and axis is not None and axis % rank != channels % rank:
            return Ending("sealed", link, why=f"it runs over axis {axis}, which is not that of the channels")
        if shared:
            return Ending("sealed", link, why=f"the output of {name!r} is read elsewhere in the network too")
        return Ending("separable", link, operation)
    if kind in _HANDED_ON or (kind == "Activation" and _is_linear(operation.activation)):
        before = _ending(model, node.input_tensors[0], channels)
        return Ending("sealed", before.link, why=before.why) if shared and before.kind == "separable" else before
    if kind in _MOVED:
        source = node.input_tensors[0]
        before = _ending(model, source, channels)
        # A sigmoid does not care where the channels are.
        kept = before.link == "sigmoid" or (source.shape[-1] == tensor.shape[-1] and channels == -1)
        return before if kept and not shared else _sealed_by(before, f"{name!r} rearranges it")
    if kind in _BLENDED and node.input_tensors:
        return _sealed_by(_ending(model, node.input_tensors[0], channels), f"{name!r} comes after it")
    if kind in RECTIFIERS or (kind in (*WEIGHTED, "Activation") and _is_open(getattr(operation, "activation", None))):
        return Ending("logits")
    return Ending("unknown")


def _sealed_by(before: Ending, why: str) -> Ending:
    return Ending("sealed", before.link, why=why) if before.kind == "separable" else before


def _is_shared(model: Any, operation: Any, node: Any) -> bool:
    """Whether a step beside the way to the output reads this value, or the operation runs again elsewhere."""
    nodes = nodes_of(model)
    ids = {id(t) for t in node.output_tensors}
    readers = sum(id(t) in ids for other in nodes for t in other.input_tensors)
    readers += sum(id(t) in ids for t in tensors_of(model, "outputs"))
    runs = sum(other.operation is operation for other in nodes)
    return readers > 1 or runs > 1


def activation_of(operation: Any) -> tuple[Literal["softmax", "sigmoid"] | None, int | None]:
    """The softmax (with its axis) or sigmoid that an operation applies last; (None, None) for any other."""
    kind = type(operation).__name__
    if kind in ("Softmax", "Sigmoid") and type(operation).__module__.startswith("keras."):
        axis = getattr(operation, "axis", None)
        if isinstance(axis, list | tuple):
            axis = axis[0] if len(axis) == 1 else None
        if kind == "Softmax":
            return ("softmax", axis) if isinstance(axis, int) else (None, None)
        return "sigmoid", None
    activation = vars(operation).get("activation")
    activations = import_module("keras").activations
    if activation is activations.softmax:
        return "softmax", -1
    return ("sigmoid", None) if activation is activations.sigmoid else (None, None)


def _is_linear(activation: Any) -> bool:
    return activation is None or activation is import_module("keras").activations.linear


def _is_open(activation: Any) -> bool:
    """Whether an activation of Keras's own gives no probabilities."""
    activations = import_module("keras").activations
    return _is_linear(activation) or any(activation is getattr(activations, name, None) for name in _OPEN)
