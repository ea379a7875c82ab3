"""Passes that can be differentiated twice: what torch has no second derivative of, made of parts that have one."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode


@contextmanager
def twice_differentiable() -> Generator[None]:
    """Within it a forward pass of any network can be differentiated twice.

    Fused attention has no second derivative: attention is computed by matrix products and a softmax instead. Neither
    has torch's hard sigmoid: it is computed as min(max(x + 3, 0), 6) / 6. Values agree to rounding; the module itself
    is not touched.
    """
    with sdpa_kernel(SDPBackend.MATH), _Composite():
        yield


class _Composite(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        own = _COMPOSITE.get(getattr(func, "overloadpacket", func), func)
        return own(*args, **(kwargs or {}))


def _hard_sigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    y = (input + 3).clamp(0, 6) / 6
    return input.copy_(y) if inplace else y


def _hard_sigmoid_in_place(input: Tensor) -> Tensor:
    return _hard_sigmoid(input, inplace=True)


_BUILT_IN: Any = torch._C._nn  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
_COMPOSITE: dict[object, Any] = {
    **dict.fromkeys((F.hardsigmoid, _BUILT_IN.hardsigmoid, torch.ops.aten.hardsigmoid), _hard_sigmoid),
    **dict.fromkeys((_BUILT_IN.hardsigmoid_, torch.ops.aten.hardsigmoid_), _hard_sigmoid_in_place),
}
"""What is computed in the place of torch's own functions, by every way in which they are called."""
