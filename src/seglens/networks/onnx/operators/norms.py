"""Normalisations."""

from collections.abc import Callable
from functools import partial
from math import prod
from typing import Any, cast

import torch
from torch import Tensor, nn

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator

norm = partial(operator, subject="Normalisation")

_BATCH: dict[int, Any] = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}


class BatchNormalization(nn.modules.batchnorm._BatchNorm):  # pyright: ignore[reportPrivateUsage]
    """Batch norm of inputs with any number of axes, where the file does not tell it."""

    def _check_input_dim(self, input: Tensor) -> None:
        """Any."""


@norm("BatchNormalization")
def batch_norm(node: Node) -> nn.Module | Callable[..., Any]:
    """(x − mean)/√(var + epsilon)·scale + bias with stored mean and variance, also if exported in training mode."""
    eps = node.setting("epsilon", 1e-5)
    if node.version < 9 and not node.setting("spatial", 1):
        raise node.refuse("spatial=0")
    if any(node.known(p) is None for p in range(1, 5)):
        return lambda x, w, b, m, v: nn.functional.batch_norm(x, m, v, w, b, False, 0.0, eps)
    scale = node.take(1)
    module = _BATCH.get(node.rank, BatchNormalization)(scale.numel(), eps, device="meta")
    module.weight, module.bias = scale, node.take(2)
    node.claimed.update((3, 4))
    module.running_mean, module.running_var = (cast("Tensor", node.known(p)).clone() for p in (3, 4))
    module.num_batches_tracked = torch.tensor(0)
    return module.eval()


@norm("InstanceNormalization")
def instance_norm(node: Node) -> Callable[..., Any]:
    """Each channel of each image by its own mean and variance."""
    eps = node.setting("epsilon", 1e-5)
    return lambda x, scale, bias: nn.functional.instance_norm(x, weight=scale, bias=bias, eps=eps)


@norm("LayerNormalization")
def layer_norm(node: Node) -> nn.Module | Callable[..., Any]:
    """Over the axes from `axis` on; along the last axis it is torch's own layer."""
    axis, eps = node.setting("axis", -1), node.setting("epsilon", 1e-5)
    scale, bias = node.known(1), node.known(2)
    told = any(node.gives(p) for p in (1, 2))
    if axis == -1 and not told and scale is not None and scale.ndim == 1 and (bias is not None or not node.has(2)):
        module = nn.LayerNorm(scale.shape[0], eps, bias=node.has(2), device="meta")
        module.weight = node.take(1)
        if node.has(2):
            module.bias = node.take(2)
        return module

    def run(x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Tensor | tuple[Tensor, ...]:
        y = nn.functional.layer_norm(x, x.shape[axis % x.ndim :], eps=eps) * scale
        y = y if bias is None else y + bias
        if not told:
            return y
        over = list(range(axis % x.ndim, x.ndim))
        mean = x.mean(over, keepdim=True)
        return y, mean, ((x - mean).square().mean(over, keepdim=True) + eps).rsqrt()

    return run


@norm("RMSNormalization")
def rms_norm(node: Node) -> Callable[..., Any]:
    """x/√(mean x² + epsilon)·scale over the axes from `axis` on."""
    axis, eps = node.setting("axis", -1), node.setting("epsilon", 1e-5)

    def run(x: Tensor, scale: Tensor) -> Tensor:
        over = list(range(axis % x.ndim, x.ndim))
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return (wide * (wide.square().mean(over, keepdim=True) + eps).rsqrt()).to(x.dtype) * scale

    return run


@norm("GroupNormalization")
def group_norm(node: Node) -> nn.Module | Callable[..., Any]:
    """Groups of channels by their own mean and variance; before operator set 21 a scale for a group, then a channel."""
    groups, eps = node.setting("num_groups", 1), node.setting("epsilon", 1e-5)
    scale, bias = node.known(1), node.known(2)
    if node.version >= 21 and scale is not None and bias is not None:
        module = nn.GroupNorm(groups, scale.numel(), eps, device="meta")
        module.weight, module.bias = node.take(1), node.take(2)
        return module

    def run(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        each = x.shape[1] // scale.numel()
        return nn.functional.group_norm(x, groups, scale.repeat_interleave(each), bias.repeat_interleave(each), eps)

    return run


@norm("MeanVarianceNormalization")
def mean_variance(node: Node) -> Callable[..., Any]:
    """(x − mean)/deviation over the axes."""
    axes = node.setting("axes", [0, 2, 3])

    def run(x: Tensor) -> Tensor:
        centred = x - x.mean(axes, keepdim=True)
        return centred / (centred.square().mean(axes, keepdim=True).sqrt() + 1e-9)

    return run


@norm("LpNormalization")
def lp_norm(node: Node) -> Callable[..., Any]:
    """x over its norm along an axis, 0 where that is 0."""
    axis, p = node.setting("axis", -1), node.setting("p", 2)

    def run(x: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(x, p, axis, True)
        return torch.where(length == 0, torch.zeros_like(x), x / torch.where(length == 0, 1, length))

    return run


@norm("LRN")
def lrn(node: Node) -> nn.Module | Callable[..., Any]:
    """x/(bias + alpha/size·Σ x²)^beta, summed over neighbouring channels."""
    size, alpha, beta, bias = (
        node.setting(n, d) for n, d in (("size", 1), ("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )

    def run(x: Tensor) -> Tensor:
        square = x.square().reshape(x.shape[0], 1, x.shape[1], prod(x.shape[2:]))
        before = (size - 1) // 2
        square = nn.functional.pad(square, [0, 0, before, size - 1 - before])
        mean = nn.functional.avg_pool2d(square, (size, 1), 1).reshape(x.shape)
        return x / (bias + alpha * mean) ** beta

    return run
