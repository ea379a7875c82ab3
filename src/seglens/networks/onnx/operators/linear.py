"""Matrix products, and attention written out of them so that it can be differentiated twice."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator

linear = partial(operator, subject="Matrix products and attention")


@linear("MatMul")
def matmul(node: Node) -> nn.Module | Callable[..., Any]:
    """x·W; where W is a known matrix, torch's own linear layer."""
    if _is_weight(node, 1) and not node.constants.get(0):
        return _dense(node.take(1, "transposed", torch.t), None)
    return lambda a, b: a @ b


@linear("Gemm")
def gemm(node: Node) -> nn.Module | Callable[..., Any]:
    """alpha·A'·B' + beta·C, either matrix transposed or not; x·W + b is torch's own linear layer."""
    alpha, beta = node.setting("alpha", 1.0), node.setting("beta", 1.0)
    turn_a, turn_b = node.setting("transA", 0), node.setting("transB", 0)
    bias = node.known(2)
    if not turn_a and _is_weight(node, 1) and not node.constants.get(0):
        weight = node.known(1)
        outputs = 0 if weight is None else weight.shape[0 if turn_b else 1]
        flat = not node.has(2) or (bias is not None and bias.numel() in (1, outputs) and bias.shape[:-1].numel() == 1)
        if flat:
            form = f"{'' if turn_b else 'transposed'}·{alpha}"
            matrix = node.take(1, form, lambda w: alpha * (w if turn_b else w.T))
            if not node.has(2):
                return _dense(matrix, None)
            return _dense(matrix, node.take(2, f"row{outputs}·{beta}", lambda b: beta * b.reshape(-1).expand(outputs)))

    def run(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        y = alpha * ((a.T if turn_a else a) @ (b.T if turn_b else b))
        return y if c is None else y + beta * c

    return run


def _is_weight(node: Node, place: int) -> bool:
    value = node.known(place)
    return value is not None and value.ndim == 2 and value.is_floating_point()


def _dense(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    module = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    module.weight = weight
    if bias is not None:
        module.bias = bias
    return module


@linear("Einsum")
def einsum(node: Node) -> Callable[..., Any]:
    """A sum of products by its equation."""
    equation = node.setting("equation", "").replace(" ", "")
    return lambda *xs: torch.einsum(equation, *xs)


@linear("Attention")
def attention(node: Node) -> Callable[..., Any]:
    """softmax(scale·Q·K' + mask)·V for each head; of caches and windows, which language models use, none."""
    for name in ("left_window_size", "right_window_size"):
        if node.setting(name, -1) != -1:
            raise node.refuse(f"{name}={node.setting(name, -1)}")
    if any(node.has(p) for p in (4, 5, 6)) or any(node.gives(p) for p in (1, 2, 3)):
        raise node.refuse("with a cache of keys and values")
    heads, groups = node.setting("q_num_heads", 0), node.setting("kv_num_heads", 0)
    scale, cap, causal = node.setting("scale", None), node.setting("softcap", 0.0), node.setting("is_causal", 0)

    def apart(x: Tensor, n: int) -> Tensor:
        return x.unflatten(-1, (n, -1)).transpose(1, 2) if x.ndim == 3 else x

    def run(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
        rows = q.ndim == 3
        q, k, v = apart(q, heads), apart(k, groups), apart(v, groups)
        if k.shape[1] != q.shape[1]:
            times = q.shape[1] // k.shape[1]
            k, v = (t.repeat_interleave(times, 1) for t in (k, v))
        scores = (q @ k.transpose(-1, -2)) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if cap:
            scores = cap * torch.tanh(scores / cap)
        seen = None
        if causal:
            seen = torch.ones(scores.shape[-2:], dtype=torch.bool, device=q.device).tril()
        if mask is not None and mask.dtype == torch.bool:
            seen = mask if seen is None else seen & mask
        elif mask is not None:
            scores = scores + mask
        weights = scores if seen is None else scores.masked_fill(~seen, torch.finfo(scores.dtype).min)
        weights = weights.softmax(-1)
        # Where nothing is seen, nothing is read.
        y = (weights if seen is None else weights * seen) @ v
        return y.transpose(1, 2).flatten(2) if rows else y

    return run
