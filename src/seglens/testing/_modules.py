"""The toy networks' modules: one plain segmenter, and variants that set one trap each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

CONV: dict[int, Any] = {2: nn.Conv2d, 3: nn.Conv3d}
NORM: dict[int, Any] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
LINEAR = {2: "bilinear", 3: "trilinear"}
WIDTH = 6
"""Channels that enter the 1×1 head of every toy that has one."""


class Plain(nn.Module):
    """Convolution, ReLU, strided convolution, batch norm, ReLU, 1×1 head: logits at half the resolution.

    `idle` never runs.
    """

    def __init__(self, channels: int = 3, classes: int = 4, dims: int = 2) -> None:
        super().__init__()
        self.stem = CONV[dims](channels, 4, 3, padding=1)
        self.first: nn.Module = nn.ReLU()
        self.body: nn.Module = CONV[dims](4, WIDTH, 3, stride=2, padding=1)
        self.norm: nn.Module = NORM[dims](WIDTH)
        self.second: nn.Module = nn.ReLU()
        self.head: nn.Module = CONV[dims](WIDTH, classes, 1)
        self.idle = CONV[dims](channels, 2, 1)

    def features(self, x: Tensor) -> Tensor:
        """What enters the head."""
        return self.second(self.norm(self.body(self.first(self.stem(x)))))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.features(x))


class InPlace(Plain):
    """Every ReLU overwrites what the layer before it gave."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.ReLU(inplace=True), nn.ReLU(inplace=True)


class Functional(Plain):
    """No ReLU modules: one function, one in-place function, and an in-place sum."""

    def __init__(self) -> None:
        super().__init__()
        del self.first, self.second

    def features(self, x: Tensor) -> Tensor:
        return torch.relu_(self.norm(self.body(relu(self.stem(x)))).add_(0.0))


class Reused(Plain):
    """One in-place ReLU module serves twice, under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = self.second = nn.ReLU(inplace=True)


class Dropping(Plain):
    """Dropout as a module and as a function: off in evaluation mode only."""

    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout2d(0.5)

    def features(self, x: Tensor) -> Tensor:
        dropped = nn.functional.dropout(super().features(x), 0.5, self.training)
        return self.drop(dropped)


class Drawing(Plain):
    """Draws from torch's global random state in every forward pass, evaluation mode or not."""

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.rand(x.shape[0], 1, 1, 1, device=x.device)
        return super().forward(x) + 0 * noise


class Counting(Plain):
    """Buffers change in forward: one is written to, one exchanged, one is not persistent."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("fleeting", torch.zeros(3), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        cast("Tensor", self.calls).add_(1)
        self.seen = x.detach().mean()
        cast("Tensor", self.fleeting).fill_(1.0)
        return super().forward(x)


@dataclass
class Result:
    """A structured output in the manner of transformers, its scores not first."""

    hidden: Tensor
    logits: Tensor
    loss: Tensor | None = None


class Structured(Plain):
    """Scores inside a structure: 'dict', 'keyed' (an unusual name), 'tuple' or 'dataclass'."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form = form

    def forward(self, x: Tensor) -> Any:
        hidden = self.features(x)
        y = self.head(hidden)
        return {
            "dict": {"aux": hidden, "out": y},
            "keyed": {"hidden": hidden, "scores by class": y},
            "tuple": (hidden, y),
            "dataclass": Result(hidden, y),
        }[self.form]


class Paired(nn.Module):
    """A layer that returns a tuple: the tensor and a number about it."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.layer(x)
        return y, y.detach().mean()


class TupleLayer(Plain):
    """`body` returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.body = Paired(self.body)

    def features(self, x: Tensor) -> Tensor:
        return self.second(self.norm(self.body(self.first(self.stem(x)))[0]))


class Probable(Plain):
    """Ends in a softmax, or in a sigmoid for one channel: probabilities, not logits."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return y.sigmoid() if y.shape[1] == 1 else y.softmax(1)


class Conditioned(Plain):
    """Takes a condition [B 5] before the image."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(5, WIDTH)

    def forward(self, condition: Tensor, image: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        shift = self.project(condition)
        return self.head(self.features(image) + shift[:, :, None, None])


class Classifier(Plain):
    """Features averaged over space, then a dense layer: [B K], and an encoder's [B d] all the same."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.head = nn.Linear(WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class Unet(Plain):
    """Upsampled features beside the stem's, joined at full resolution, then the 1×1 head."""

    def __init__(self, classes: int = 9) -> None:
        super().__init__(classes=classes)
        self.join = nn.Conv2d(WIDTH + 4, WIDTH, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.first(self.stem(x))
        deep = self.second(self.norm(self.body(skip)))
        deep = interpolate(deep, skip.shape[2:], mode="bilinear", align_corners=False)
        return self.head(self.second(self.join(torch.cat([skip, deep], 1))))


class Bypassed(Plain):
    """A second path leads round the 1×1 head to the logits: the head alone says nothing exact."""

    def __init__(self, classes: int = 9) -> None:
        super().__init__(classes=classes)
        self.around = nn.Conv2d(WIDTH, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.norm(self.body(self.first(self.stem(x)))))
        return self.head(y) + self.around(y)


class Tokens(nn.Module):
    """Patches as tokens [B N C], attention between them, and back to a map.

    `mixer` gives tokens whose places are known, `ranked` the same sorted, whose places are not; their mean is used.
    """

    def __init__(self, channels: int = 3, classes: int = 4) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, 8, 2, stride=2)
        self.mixer = Attention(8)
        self.ranked = Ranked()
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.patches(x)
        tokens = self.mixer(y.flatten(2).transpose(1, 2))
        tokens = tokens + self.ranked(tokens).mean(1, keepdim=True)
        return self.head(tokens.transpose(1, 2).unflatten(2, y.shape[2:]))


class Ranked(nn.Module):
    """Tokens sorted channel by channel: a list in which nobody knows which place is which."""

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens.sort(1).values


class Attention(nn.Module):
    """One attention head with a residual path, written out."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Linear(width, 3 * width)

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.mix(tokens).chunk(3, -1)
        weight = (q @ k.transpose(1, 2) / q.shape[-1] ** 0.5).softmax(-1)
        return tokens + weight @ v


class Failing(nn.Module):
    """A layer that fails at its n-th call (from 1), or in its backward pass where n is 0."""

    def __init__(self, layer: nn.Module, n: int) -> None:
        super().__init__()
        self.layer = layer
        self.n = n
        # A list keeps its identity: counting is no change of the module's attributes.
        self.calls: list[None] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(None)
        if len(self.calls) == self.n:
            raise RuntimeError(f"this layer fails at call {self.n}")
        y = self.layer(x)
        return cast("Tensor", _Stuck.apply(y)) if self.n == 0 else y


class _Stuck(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Tensor:
        return args[0].clone()

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        raise RuntimeError("this layer fails in its backward pass")


def filled(module: nn.Module, seed: int) -> nn.Module:
    """Parameters and running statistics drawn from a generator of their own, in the order of their names."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape: Sequence[int]) -> Tensor:
        return torch.randn(*shape, generator=generator)

    with torch.no_grad():
        for name, value in sorted(module.state_dict(keep_vars=True).items()):
            leaf = name.rpartition(".")[2]
            if leaf == "running_var":
                value.copy_(draw(value.shape).abs() + 0.5)
            elif value.is_floating_point():
                fan = value[0].numel() if value.ndim > 1 else 4
                value.copy_(draw(value.shape) / fan**0.5)
    return module
