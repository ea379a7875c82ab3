"""What operations are called and are for: names and kinds for readers, from those that torch dispatches."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

KINDS = (
    "input",
    "output",
    "convolution",
    "linear",
    "attention",
    "normalisation",
    "activation",
    "pooling",
    "resize",
    "join",
    "other",
    "module",
)
"""All kinds of nodes: 'linear' has matrix products, 'pooling' reductions, 'join' what brings several branches
together (concatenation, sum, product); 'module' is a module with all that is inside."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_NAMES = {
    "addmm": "linear",
    "mm": "linear",
    "bmm": "matmul",
    "baddbmm": "matmul",
    "constant_pad_nd": "pad",
    "grid_sampler_2d": "grid_sample",
    "grid_sampler_3d": "grid_sample",
    "copy_": "write",
    "mkldnn_rnn_layer": "rnn",
    "_transformer_encoder_layer_fwd": "transformer_encoder_layer",
}
_LAYOUT = _words(
    """
    view _unsafe_view reshape _reshape_alias transpose t permute expand clone contiguous _to_copy detach alias
    lift lift_fresh lift_fresh_copy squeeze unsqueeze slice select split split_with_sizes unsafe_split
    unsafe_split_with_sizes unsafe_chunk chunk unbind as_strided diagonal unfold narrow repeat copy view_as_real
    view_as_complex _conj real imag
    """
)
_VALUELESS = frozenset(
    [f"{kind}_like" for kind in ("zeros", "ones", "empty", "full", "rand", "randn", "randint")]
    + [f"new_{kind}" for kind in ("zeros", "ones", "empty", "full", "empty_strided")]
)
_WORDS = (
    ("convolution", ("convolution", "conv")),
    ("attention", ("attention", "scaled_dot_product", "transformer_encoder")),
    ("normalisation", ("norm",)),
    ("resize", ("upsample", "interpolate", "resize", "pixel_shuffle", "grid_sample", "col2im")),
    ("pooling", ("pool",)),
    (
        "activation",
        _words(
            "relu elu selu gelu silu mish sigmoid tanh softmax softplus hardswish hardtanh threshold glu softsign swish"
            " shrink"
        ),
    ),
    ("linear", ("linear", "dense", "matmul")),
)
_PRODUCTS = _words("linear matmul mv dot einsum")
_REDUCTIONS = _words("mean sum amax amin max min prod logsumexp var std var_mean norm argmax argmin median")
_JOINS = _words("cat stack add sub rsub mul div where maximum minimum addcmul lerp write index_put")
_PRIORITY = ("convolution", "attention", "linear", "resize", "pooling", "normalisation", "activation", "join")
HEAVY = frozenset(("convolution", "linear", "attention"))
"""Kinds of which a module without parts may hold one and still count as one layer."""


def raw_name(func: Any) -> str:
    """'add_' for the operator aten::add_.Tensor; other libraries' operators keep theirs before it."""
    return func._schema.name.removeprefix("aten::")


def is_layout(func: Any, name: str) -> bool:
    """Whether an operation only shows, moves or copies values: views, permutations, slices, changes of type."""
    return name in _LAYOUT or name.endswith("_copy") or bool(func.is_view)


def is_valueless(name: str) -> bool:
    """Whether an operation takes a tensor for its shape alone."""
    return name in _VALUELESS


def name_of(raw: str) -> str:
    """The name for readers: as one writes it in torch, without what tells its backend or in-place form."""
    if raw in _NAMES:
        return _NAMES[raw]
    plain = raw.rpartition("::")[2].strip("_")
    if plain.startswith("scaled_dot_product"):
        return "attention"
    if plain.startswith("upsample"):
        return "interpolate"
    if "batch_norm" in plain:
        return "batch_norm"
    if "convolution" in plain:
        return "convolution"
    return plain.removeprefix("native_").removesuffix("_with_indices")


def kind_of(name: str, branches: int) -> str:
    """The kind of an operation of that name for readers which reads so many different tensors of the pass."""
    if name in _PRODUCTS:
        return "linear"
    if name in _JOINS:
        return "join" if branches > 1 else "other"
    if name in _REDUCTIONS:
        return "pooling"
    return next((kind for kind, words in _WORDS if any(w in name for w in words)), "other")


def kind_of_module(type_: str, operations: Iterable[str]) -> str:
    """The kind of a layer: by its class's name where that tells, else by the weightiest of its operations' kinds."""
    plain = type_.lower()
    told = next((kind for kind, words in _WORDS if any(w in plain for w in words)), None)
    found = set(operations)
    return told or next((kind for kind in _PRIORITY if kind in found), "other")


def detail_of(raw: str, args: Sequence[Any]) -> str:
    """The settings that a reader looks for: a kernel's size and stride, the mode of a resizing; else ''."""
    name = name_of(raw)
    if name == "convolution" and len(args) >= 9 and isinstance(args[1], Tensor):
        return _convolution(args)
    if "pool" in name and "adaptive" not in name and len(args) > 1 and isinstance(args[1], list | tuple):
        stride = args[2] if len(args) > 2 and args[2] else args[1]
        return _joined([_sides(args[1]), _unless(stride, 1, "stride")])
    if name == "interpolate":
        return raw.removeprefix("_").removeprefix("upsample_").rstrip("123d_a")
    return ""


def _convolution(args: Sequence[Any]) -> str:
    weight, stride, dilation, transposed, groups = args[1], args[3], args[5], args[6], args[8]
    return _joined(
        [
            _sides(weight.shape[2:]),
            "transposed" if transposed else "",
            _unless(stride, 1, "stride"),
            _unless(dilation, 1, "dilation"),
            f"{groups} groups" if groups > 1 else "",
        ]
    )


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(p for p in parts if p)


def _sides(numbers: Sequence[int]) -> str:
    return "×".join(map(str, numbers))


def _unless(value: Sequence[int], usual: int, word: str) -> str:
    if all(v == usual for v in value):
        return ""
    return f"{word} {value[0] if len(set(value)) == 1 else _sides(value)}"
