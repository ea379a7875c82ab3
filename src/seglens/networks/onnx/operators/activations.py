"""Activations: torch's own modules where they say the same, so that rectifiers are known as such."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator

activation = partial(operator, subject="Activations")

_SELU = (1.67326319217681884765625, 1.05070102214813232421875)


@activation("Relu")
def relu(node: Node) -> nn.Module:
    """max(x, 0)."""
    return nn.ReLU()


@activation("LeakyRelu")
def leaky_relu(node: Node) -> nn.Module:
    """x, or alpha·x below 0."""
    return nn.LeakyReLU(node.setting("alpha", 0.01))


@activation("Elu")
def elu(node: Node) -> nn.Module:
    """x, or alpha·(exp(x) − 1) below 0."""
    return nn.ELU(node.setting("alpha", 1.0))


@activation("Celu")
def celu(node: Node) -> nn.Module:
    """x, or alpha·(exp(x/alpha) − 1) below 0."""
    return nn.CELU(node.setting("alpha", 1.0))


@activation("Selu")
def selu(node: Node) -> nn.Module | Callable[..., Any]:
    """gamma·x, or gamma·alpha·(exp(x) − 1) below 0."""
    alpha, gamma = node.setting("alpha", _SELU[0]), node.setting("gamma", _SELU[1])
    if abs(alpha - _SELU[0]) < 1e-6 and abs(gamma - _SELU[1]) < 1e-6:
        return nn.SELU()
    return lambda x: gamma * nn.functional.elu(x, alpha)


@activation("ThresholdedRelu")
def thresholded_relu(node: Node) -> nn.Module:
    """x above alpha, else 0."""
    return nn.Threshold(node.setting("alpha", 1.0), 0.0)


@activation("PRelu")
def prelu(node: Node) -> nn.Module | Callable[..., Any]:
    """x, or slope·x below 0; a slope for each channel ([C 1 … 1]) is torch's own."""
    slope = node.known(1)
    if slope is not None and slope.is_floating_point():
        wide = [n for n in slope.shape if n != 1]
        if not wide or (len(wide) == 1 and slope.ndim > 1 and slope.shape[-1] == 1 and slope.shape[0] == wide[0]):
            module = nn.PReLU(slope.numel(), device="meta")
            module.weight = node.take(1, "row", lambda t: t.reshape(-1))
            return module
    return lambda x, s: torch.where(x > 0, x, s * x)


@activation("Gelu")
def gelu(node: Node) -> nn.Module:
    """x·Φ(x), or its tanh form."""
    return nn.GELU(node.setting("approximate", "none"))


@activation("Swish")
def swish(node: Node) -> nn.Module | Callable[..., Any]:
    """x·σ(alpha·x)."""
    alpha = node.setting("alpha", 1.0)
    return nn.SiLU() if alpha == 1 else lambda x: x * torch.sigmoid(alpha * x)


@activation("SwiGLU")
def swiglu(node: Node) -> Callable[..., Any]:
    """a·σ(alpha·a)·b."""
    alpha = node.setting("alpha", 1.0)
    return lambda a, b: a * torch.sigmoid(alpha * a) * b


@activation("Mish")
def mish(node: Node) -> nn.Module:
    """x·tanh(softplus(x))."""
    return nn.Mish()


@activation("HardSwish")
def hard_swish(node: Node) -> nn.Module:
    """x·min(max(x/6 + 1/2, 0), 1)."""
    return nn.Hardswish()


@activation("HardSigmoid")
def hard_sigmoid(node: Node) -> Callable[..., Any]:
    """min(max(alpha·x + beta, 0), 1), of steps that can be differentiated twice, as torch's own cannot."""
    alpha, beta = node.setting("alpha", 0.2), node.setting("beta", 0.5)
    if alpha <= 0:
        return lambda x: (alpha * x + beta).clamp(0, 1)
    return lambda x: (x + beta / alpha).clamp(0, 1 / alpha) * alpha


@activation("Sigmoid")
def sigmoid(node: Node) -> nn.Module:
    """1/(1 + exp(−x))."""
    return nn.Sigmoid()


@activation("Tanh")
def tanh(node: Node) -> nn.Module:
    """The hyperbolic tangent."""
    return nn.Tanh()


@activation("Softplus")
def softplus(node: Node) -> nn.Module:
    """log(1 + exp(x))."""
    return nn.Softplus()


@activation("Softsign")
def softsign(node: Node) -> nn.Module:
    """x/(1 + |x|)."""
    return nn.Softsign()


@activation("Shrink")
def shrink(node: Node) -> Callable[..., Any]:
    """x ± bias beyond ± lambd, else 0."""
    lambd, bias = node.setting("lambd", 0.5), node.setting("bias", 0.0)

    def run(x: Tensor) -> Tensor:
        zero = torch.zeros_like(x)
        return torch.where(x < -lambd, x + bias, torch.where(x > lambd, x - bias, zero))

    return run


@activation("Clip", folds=True)
def clip(node: Node) -> nn.Module | Callable[..., Any]:
    """min(max(x, min), max), either bound may be absent."""
    if node.version < 11:
        low, high = node.setting("min", None), node.setting("max", None)
        return nn.ReLU6() if (low, high) == (0, 6) else lambda x: _clamp(x, low, high)
    bounds = [_number(node, place) for place in (1, 2)]
    if all(known for known, _ in bounds):
        low, high = (value for _, value in bounds)
        node.claimed.update((1, 2))
        return nn.ReLU6() if (low, high) == (0, 6) else lambda x: _clamp(x, low, high)
    return lambda x, low=None, high=None: _clamp(x, low, high)


def _number(node: Node, place: int) -> tuple[bool, float | int | None]:
    """(Whether it is known, the bound)."""
    if not node.has(place):
        return True, None
    value = node.known(place)
    return (False, None) if value is None else (True, value.item())


def _clamp(x: Tensor, low: Any, high: Any) -> Tensor:
    if low is None and high is None:
        return x
    return x.clamp(low, high)


@activation("Softmax", "LogSoftmax", "Hardmax")
def softmax(node: Node) -> nn.Module | Callable[..., Any]:
    """Softmax along an axis; before operator set 13 over all axes from it on, taken as one."""
    log, hard = node.op == "LogSoftmax", node.op == "Hardmax"

    def along(x: Tensor, axis: int) -> Tensor:
        if hard:
            return nn.functional.one_hot(x.argmax(axis), x.shape[axis]).to(x.dtype).movedim(-1, axis)
        return x.log_softmax(axis) if log else x.softmax(axis)

    if node.version >= 13:
        axis = node.setting("axis", -1)
        if hard:
            return lambda x: along(x, axis)
        return nn.LogSoftmax(axis) if log else nn.Softmax(axis)
    first = node.setting("axis", 1)

    def flattened(x: Tensor) -> Tensor:
        at = first % max(x.ndim, 1)
        return along(x.flatten(at), at).reshape(x.shape) if at < x.ndim - 1 else along(x, at)

    return flattened
