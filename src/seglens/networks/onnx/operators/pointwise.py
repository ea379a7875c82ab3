"""Arithmetic, comparisons and logic, element by element."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any

import torch
from torch import Tensor, nn

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.tensors import torch_type

pointwise = partial(operator, subject="Arithmetic and logic", folds=True)

_UNARY: dict[str, Callable[[Tensor], Tensor]] = {
    "Abs": torch.abs,
    "Acos": torch.acos,
    "Acosh": torch.acosh,
    "Asin": torch.asin,
    "Asinh": torch.asinh,
    "Atan": torch.atan,
    "Atanh": torch.atanh,
    "BitwiseNot": torch.bitwise_not,
    "Ceil": torch.ceil,
    "Cos": torch.cos,
    "Cosh": torch.cosh,
    "Erf": torch.erf,
    "Exp": torch.exp,
    "Floor": torch.floor,
    "IsNaN": torch.isnan,
    "Log": torch.log,
    "Neg": torch.neg,
    "Not": torch.logical_not,
    "Reciprocal": torch.reciprocal,
    "Round": torch.round,
    "Sign": torch.sign,
    "Sin": torch.sin,
    "Sinh": torch.sinh,
    "Sqrt": torch.sqrt,
    "Tan": torch.tan,
}


def _divide(a: Tensor, b: Tensor) -> Tensor:
    """Whole numbers are cut towards 0, as in C."""
    whole = not (a.is_floating_point() or b.is_floating_point())
    return torch.div(a, b, rounding_mode="trunc") if whole else a / b


def _power(a: Tensor, b: Tensor) -> Tensor:
    """In the type of the base."""
    if b.numel() == 1 and b.ndim == 0:
        return torch.pow(a, b.item() if not b.requires_grad else b).to(a.dtype)
    return torch.pow(a, b).to(a.dtype)


_BINARY: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "And": torch.logical_and,
    "BitwiseAnd": torch.bitwise_and,
    "BitwiseOr": torch.bitwise_or,
    "BitwiseXor": torch.bitwise_xor,
    "Div": _divide,
    "Equal": torch.eq,
    "Greater": torch.gt,
    "GreaterOrEqual": torch.ge,
    "Less": torch.lt,
    "LessOrEqual": torch.le,
    "Mul": torch.mul,
    "Or": torch.logical_or,
    "Pow": _power,
    "Sub": torch.sub,
    "Xor": torch.logical_xor,
}


@pointwise(*_UNARY)
def unary(node: Node) -> Callable[..., Any]:
    """A function of one number."""
    return _UNARY[node.op]


@pointwise(*_BINARY)
def binary(node: Node) -> Callable[..., Any]:
    """A function of two numbers."""
    run = _BINARY[node.op]
    return lambda a, b: run(*together(a, b))


@pointwise("Min", "Max", "Sum", "Mean")
def several(node: Node) -> Callable[..., Any]:
    """A function of any number of tensors."""
    pairs = {"Min": torch.minimum, "Max": torch.maximum, "Sum": torch.add, "Mean": torch.add}
    run = pairs[node.op]

    def joined(*values: Tensor) -> Tensor:
        total = reduce(run, together(*values))
        return total / len(values) if node.op == "Mean" else total

    return joined


@pointwise("Where")
def where(node: Node) -> Callable[..., Any]:
    """a where the condition holds, else b."""
    return lambda c, a, b: torch.where(*together(c, a, b))


@pointwise("Mod")
def modulo(node: Node) -> Callable[..., Any]:
    """The remainder: with the divisor's sign, or (fmod) the dividend's."""
    run = torch.fmod if node.setting("fmod", 0) else torch.remainder
    return lambda a, b: run(*together(a, b))


@pointwise("IsInf")
def is_infinite(node: Node) -> Callable[..., Any]:
    """Whether a number is infinite, of the signs asked about."""
    above, below = node.setting("detect_positive", 1), node.setting("detect_negative", 1)
    return lambda x: (torch.isposinf(x) & bool(above)) | (torch.isneginf(x) & bool(below))


class Cast(nn.Module):
    """To a floating type, which follows the network's own: `double()` and `half()` of it change this one too."""

    def __init__(self, kind: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("like", torch.empty(0, dtype=kind), persistent=False)
        self.like: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """x in that type."""
        return x.to(self.like.dtype)


@pointwise("Cast")
def cast(node: Node) -> nn.Module | Callable[..., Any]:
    """To another type."""
    kind = torch_type(node.setting("to", 1))
    if kind is None:
        raise node.refuse(f"to ONNX type {node.setting('to', 1)}")
    return Cast(kind) if kind.is_floating_point else lambda x: x.to(kind)


@pointwise("CastLike")
def cast_like(node: Node) -> Callable[..., Any]:
    """To the other input's type."""
    return lambda x, other: x.to(other.dtype)


def together(*values: Tensor) -> tuple[Tensor, ...]:
    """On one device: sizes are computed on the CPU, whatever device the images are on."""
    device = next((v.device for v in values if v.device.type != "cpu"), None)
    return values if device is None else tuple(v.to(device) for v in values)
