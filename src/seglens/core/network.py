"""A network as every method sees it: from an input tensor to scores of named channels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from seglens.core.classes import ClassTable
from seglens.core.convention import Convention
from seglens.core.errors import (
    ImageError,
    LayerNotFoundError,
    NetworkError,
    NonFiniteError,
    ParameterError,
    SeglensError,
    ShapeError,
    suggest,
)
from seglens.core.frame import resize
from seglens.core.images import Picture, Source, is_array, read_image

Of = Literal["logits", "probabilities", "log-probabilities"]
OFS: tuple[Of, ...] = ("logits", "probabilities", "log-probabilities")
"""What a score can be read off: before the link, after it, and its logarithm."""

_KIND = {1: "a line [W]", 2: "an image [H W]", 3: "a volume [D H W]"}

USUAL_OUTPUTS = ("out", "logits", "output", "pred", "prediction", "masks", "main")
"""Keys and attributes under which networks return their scores, in the order in which they are tried."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """A torch module with what must be known to read its output.

    module: takes [B C *space], gives [B K *space'] (segmenter), [B K] (classifier) or [B d] (encoder).
    link: 'softmax' (one class a pixel), 'sigmoid' (independent labels, or one channel), or 'none' for units that
    are no classes (latent units); None chooses sigmoid for one channel and softmax for several.
    emits: whether the module's output is before the link ('logits') or after it ('probabilities').
    output: which part of a structured output holds the scores: a key, an attribute or an index; None takes the
    tensor itself, the usual names (out, logits, …), or the only tensor.
    classes: the class table; None numbers them. convention: how pictures become input.
    default_layer: the layer that a method explains where none is named.
    extra: further inputs of the module, in order; `explained` is the place of the explained one among all.
    batch: the most images that it takes at once, None for any number. source: what to type to load it again.
    """

    module: nn.Module
    name: str = ""
    link: Literal["softmax", "sigmoid", "none"] | None = None
    emits: Literal["logits", "probabilities"] = "logits"
    output: str | int | None = None
    classes: ClassTable | None = None
    convention: Convention = field(default_factory=Convention)
    default_layer: str | None = None
    extra: tuple[Tensor, ...] = ()
    explained: int = 0
    batch: int | None = None
    source: str = "MODEL"

    def __post_init__(self) -> None:
        object.__setattr__(self, "module", unwrap(self.module))
        if not self.name:
            object.__setattr__(self, "name", type(self.module).__name__)
        if not 0 <= self.explained <= len(self.extra):
            raise ParameterError(
                f"Network.explained is {self.explained}, but there are {len(self.extra) + 1} inputs (from 0)."
            )

    @property
    def device(self) -> torch.device:
        """Where the module's first parameter or buffer lies; the CPU for a module that has none."""
        first = next(self.module.parameters(), None)
        first = next(self.module.buffers(), None) if first is None else first
        return torch.device("cpu") if first is None else first.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating type of the module's parameters; float32 for a module that has none."""
        floating = (p.dtype for p in self.module.parameters() if p.is_floating_point())
        return next(floating, torch.float32)

    @property
    def dims(self) -> int:
        """Dimensions of space of its input: 2 for images, 3 for volumes.

        As the convention says (axes, size), else the first weight of a convolution; 2 for a network without.
        """
        convention = self.convention
        if convention.axes is not None:
            return len(convention.axes.replace("C", ""))
        if convention.size is not None:
            return len(convention.size)
        kernel = next((p for n, p in self.module.named_parameters() if n.endswith("weight") and p.ndim in (4, 5)), None)
        return 2 if kernel is None else kernel.ndim - 2

    def read(self, source: Source) -> Picture:
        """The picture in `source`, read as the convention says. Raises what `read_image` does, and ImageError for an
        image where the network takes volumes, or the reverse."""
        convention = self.convention
        picture = read_image(
            source,
            axes=convention.axes if is_array(source) else None,
            dims=self.dims,
            channels=convention.channels,
            window=convention.window,
            bands=convention.bands,
        )
        if len(picture.size) != self.dims:
            raise ImageError(
                f"{picture.name} is {_KIND[len(picture.size)]}, {self.name} takes {_KIND[self.dims]}.\n"
                "  Volumes come as .npy, NIfTI, a stack of one TIFF, or an array. What the network takes is read off "
                "its first convolution; to state it: axes = 'DHW' (or 'HW') under [input] in its description."
            )
        return picture

    def with_(self, **changes: Any) -> "Network":
        """The same network with some fields changed; the module is shared, not copied."""
        return replace(self, **changes)

    def __call__(self, x: Tensor) -> Tensor:
        """Raw output [B K *space'] or [B K] for input x [B C *space], in the network's device and type.

        Call it inside `capture`, which puts the module into evaluation mode and leaves it as it was.
        Extra inputs are tiled to the batch: x may hold n blocks of the batch for which they were given.
        Raises NetworkError where the module fails or returns no scores, ShapeError for another shape.
        """
        x = x.to(device=self.device, dtype=self.dtype)
        inputs = [self._tiled(e, x.shape[0]) for e in self.extra]
        inputs.insert(self.explained, x)
        try:
            returned = self.module(*inputs)
        except torch.OutOfMemoryError:
            raise
        except Exception as failed:  # a user's module may fail in any way (assertions on sizes are common)
            if is_out_of_memory(failed) or isinstance(failed, SeglensError):
                raise
            raise NetworkError(self._failure(x, failed)) from failed
        y = self.pick(returned)
        if y.ndim < 2 or y.shape[0] != x.shape[0]:
            raise ShapeError(
                f"{self.name} gave an output of shape {tuple(y.shape)} for {x.shape[0]} image(s); expected "
                f"[{x.shape[0]}, channels] or [{x.shape[0]}, channels, …].\n"
                "  If another part of the output holds the scores, name it: output=…",
                tuple(y.shape),
            )
        if not y.is_floating_point():
            raise NetworkError(
                f"{self.name} gave whole numbers ({y.dtype}): labels, not scores, so nothing can be differentiated.\n"
                "  Explain the network before its argmax."
            )
        return y

    def pick(self, returned: object) -> Tensor:
        """The scores in what the module returned, by `output`. Raises NetworkError with what there is."""
        if self.output is not None:
            found = _part(returned, self.output)
            if isinstance(found, Tensor):
                return found
            raise NetworkError(
                f"{self.name} returned no tensor under output={self.output!r}; there is: {_describe(returned)}."
            )
        if isinstance(returned, Tensor):
            return returned
        for name in USUAL_OUTPUTS:
            if isinstance(found := _part(returned, name), Tensor):
                return found
        tensors = _tensors(returned)
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        raise NetworkError(
            f"{self.name} returned {_describe(returned)}: which of them holds the class scores?\n"
            "  Say so with output=KEY, or output=INDEX."
        )

    def link_for(self, y: Tensor) -> str:
        """The link in force for an output with these channels."""
        return self.link or ("sigmoid" if y.shape[1] == 1 else "softmax")

    def is_binary(self, y: Tensor) -> bool:
        """Whether one channel stands for two classes: 1 scored by y, 0 by −y."""
        return y.shape[1] == 1 and self.link_for(y) == "sigmoid"

    def class_table(self, y: Tensor) -> ClassTable:
        """Class names for an output; numbered where nobody named them.

        Raises NetworkError where the table has another number of classes than the output.
        """
        n = 2 if self.is_binary(y) else y.shape[1]
        if self.classes is None:
            return ClassTable(("background", "foreground")) if self.is_binary(y) else ClassTable.numbered(n)
        if len(self.classes) != n:
            raise NetworkError(
                f"the class table names {len(self.classes)} classes, but {self.name} gives {y.shape[1]} channel(s)"
                + (", two classes" if self.is_binary(y) else "")
                + f".\n  Give {n} names, in the order of the channels."
            )
        return self.classes

    def scores(self, y: Tensor, of: Of) -> Tensor:
        """Scores [B N *space] of the N classes, read off raw output y as `of` says, float32 (or y's float64).

        One channel gives two classes: logits −y and y, probabilities σ(−y) and σ(y). Where the module emits
        probabilities, 'logits' means log p under softmax and log p − log(1−p) under sigmoid; p is kept off 0 and 1
        by float32's resolution there, so such logits lie within ±16.
        """
        y = y if y.dtype == torch.float64 else y.float()
        link = self.link_for(y)
        if link == "none":
            if of != "logits":
                raise ParameterError(f"{self.name} has no classes, so no {of}: its units are read as they are.")
            return y
        if self.emits == "probabilities":
            tiny = 2.0**-23
            if link == "sigmoid":
                p = torch.cat([1 - y, y], 1) if self.is_binary(y) else y
                q = p.clamp(tiny, 1 - tiny)
                return p if of == "probabilities" else q.log() if of == "log-probabilities" else q.log() - (1 - q).log()
            return y if of == "probabilities" else y.clamp_min(tiny).log()
        if self.is_binary(y):
            y = torch.cat([-y, y], 1)
        if of == "logits":
            return y
        if link == "sigmoid":
            return y.sigmoid() if of == "probabilities" else torch.nn.functional.logsigmoid(y)
        return y.softmax(1) if of == "probabilities" else y.log_softmax(1)

    def members(self, y: Tensor, label: int) -> Tensor:
        """bool [B *space]: the pixels of raw output y where class `label` is predicted.

        The class of the largest score; for independent labels p > ½, so that a pixel may have several or none.
        For one channel, class 1 where y > 0 and class 0 elsewhere.
        """
        if self.link_for(y) == "sigmoid":
            inside = y > (0.5 if self.emits == "probabilities" else 0.0)
            return (inside if label else ~inside)[:, 0] if self.is_binary(y) else inside[:, label]
        return y.argmax(1) == label

    def labels(self, y: Tensor) -> Tensor | None:
        """Predicted class of each pixel of raw output y, int64 [B *space]; None where labels overlap or are none."""
        link = self.link_for(y)
        if link == "softmax":
            return y.argmax(1)
        return self.members(y, 1).long() if self.is_binary(y) else None

    def layer(self, name: str) -> nn.Module:
        """The module of that dotted path. Raises LayerNotFoundError with the nearest paths."""
        modules = dict(self.module.named_modules())
        if name and name in modules:
            return modules[name]
        names = [n for n in modules if n]
        raise LayerNotFoundError(
            f"no layer {name!r} in {self.name} ({len(names)} layers).{suggest(name, names)}\n"
            f"  All of them: seglens layers {self.source}"
        )

    def check_finite(self, y: Tensor) -> None:
        """Raise NonFiniteError where raw output y holds NaN or infinity, naming the first bad parameter."""
        if bool(torch.isfinite(y).all()):
            return
        bad = [i for i in range(y.shape[0]) if not bool(torch.isfinite(y[i]).all())]
        culprit = next(
            (
                n
                for n, p in self.module.state_dict().items()
                if p.is_floating_point() and not bool(torch.isfinite(p).all())
            ),
            None,
        )
        blame = (
            f"Its tensor {culprit!r} is not finite: the weights are damaged or training diverged."
            if culprit
            else "Its weights are finite: look at the input's range, or at half precision that overflows."
        )
        raise NonFiniteError(
            f"{self.name} gave NaN or infinity for image {', '.join(map(str, bad))} of the batch.\n  {blame}"
        )

    def _tiled(self, extra: Tensor, batch: int) -> Tensor:
        extra = extra.to(self.device)
        if extra.is_floating_point():
            extra = extra.to(self.dtype)
        if extra.ndim == 0 or extra.shape[0] == batch:
            return extra
        if batch % extra.shape[0]:
            raise ShapeError(
                f"an extra input holds {extra.shape[0]} rows, which do not divide a batch of {batch}.",
                tuple(extra.shape),
            )
        return extra.repeat(batch // extra.shape[0], *[1] * (extra.ndim - 1))

    def _failure(self, x: Tensor, failed: Exception) -> str:
        first = next((p for n, p in self.module.named_parameters() if n.endswith("weight") and p.ndim >= 3), None)
        advice = f"Its input was {tuple(x.shape)}."
        if first is not None and first.ndim == x.ndim and first.shape[1] != x.shape[1]:
            takes = f"{first.shape[1]} channel(s) (if not grouped)"
            advice += f" Its first convolution takes {takes}, the input has {x.shape[1]}."
        sides = x.shape[2:]
        if sides and min(sides) < 32:
            advice += " A side this small may be less than the network's stride."
        elif any(n % 32 for n in sides):
            padded = tuple(-(-n // 32) * 32 for n in sides)
            advice += f" If it wants sides that a number divides, say so: divisor = 32 would pad to {padded}."
        return f"{self.name} failed on the input: {failed}\n  {advice}"


def unwrap(module: nn.Module) -> nn.Module:
    """The network inside DataParallel, DistributedDataParallel, a compiled module, or a bare Lightning shell.

    Hooks added after `torch.compile` never fire, so the original is taken. A Lightning module that defines its
    own forward is the network itself; one that does not, and has one child with parameters, stands for that child.
    """
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif isinstance(inner := getattr(module, "_orig_mod", None), nn.Module):
            module = inner
        elif _lacks_forward(module):
            children = [c for c in module.children() if next(c.parameters(), None) is not None]
            if len(children) != 1:
                return module
            module = children[0]
        else:
            return module


def is_out_of_memory(failed: BaseException) -> bool:
    """Whether an error means that memory ran out, on any device."""
    return isinstance(failed, torch.OutOfMemoryError | MemoryError) or (
        isinstance(failed, RuntimeError)
        and any(s in str(failed).lower() for s in ("out of memory", "can't allocate memory", "not enough memory"))
    )


def upsampled(network: Network, y: Tensor, grid: tuple[int, ...]) -> Tensor:
    """Raw output y on the input grid, before anything is read off it; an output without space stays."""
    return resize(y if y.dtype == torch.float64 else y.float(), grid) if y.ndim > 2 else y


def _lacks_forward(module: nn.Module) -> bool:
    ancestors = {f"{c.__module__.split('.')[0]}.{c.__name__}" for c in type(module).__mro__}
    lightning = {"lightning.LightningModule", "pytorch_lightning.LightningModule"} & ancestors
    own = next((c for c in type(module).__mro__ if "forward" in vars(c)), nn.Module)
    return bool(lightning) and own.__name__ in ("LightningModule", "Module")


def _part(returned: object, name: str | int) -> object:
    if isinstance(returned, Mapping):
        return cast("Mapping[str | int, object]", returned).get(name)
    if isinstance(name, int) or name.lstrip("-").isdigit():
        parts = returned if isinstance(returned, tuple | list) else ()
        return parts[int(name)] if -len(parts) <= int(name) < len(parts) else None
    return getattr(returned, name, None)


def _tensors(returned: object) -> dict[str, Tensor]:
    if isinstance(returned, Mapping):
        items = cast("Mapping[object, object]", returned).items()
    elif isinstance(returned, tuple | list):
        items = enumerate(cast("tuple[object, ...]", returned))
    elif is_dataclass(returned):
        items = ((f.name, getattr(returned, f.name)) for f in fields(returned))
    else:
        items = ()
    return {str(k): v for k, v in items if isinstance(v, Tensor)}


def _describe(returned: object) -> str:
    tensors = _tensors(returned)
    if not tensors:
        return f"a {type(returned).__name__} without tensors"
    return ", ".join(f"{name} {tuple(t.shape)}" for name, t in tensors.items())
