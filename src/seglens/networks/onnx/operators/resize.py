"""Resizing: torch's own where it computes the very same, else every place by its neighbours and their weights."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from seglens.networks.onnx.nodes import Node
from seglens.networks.onnx.operators._registry import operator
from seglens.networks.onnx.tensors import bounded, whole

resizing = partial(operator, subject="Resizing")

COORDINATES = (
    "half_pixel",
    "half_pixel_symmetric",
    "pytorch_half_pixel",
    "align_corners",
    "asymmetric",
    "tf_half_pixel_for_nn",
)
_TORCH = {("linear", 1): "linear", ("linear", 2): "bilinear", ("linear", 3): "trilinear", ("cubic", 2): "bicubic"}


@dataclass(frozen=True, slots=True)
class Resampling:
    """How places are read: the mode, where a place lies in the input, how it is rounded, the cubic's coefficient.

    outside: places beyond the border count (as the border's); else the weights of the others are made to sum to 1.
    antialias: when shrinking, the filter is stretched.
    """

    mode: str = "nearest"
    at: str = "half_pixel"
    nearest: str = "round_prefer_floor"
    cubic: float = -0.75
    outside: bool = True
    antialias: bool = False


@resizing("Upsample", numbers=(1,))
def upsample(node: Node) -> Callable[..., Any]:
    """Enlarged by factors, places at x/scale; replaced by Resize in operator set 10."""
    how = Resampling(node.setting("mode", "nearest"), "asymmetric", "floor")
    settled = node.setting("scales", None)

    def run(x: Tensor, scales: Tensor | None = None) -> Tensor:
        factors = settled if scales is None else scales.tolist()
        return resized(x, how, range(x.ndim), factors, _grown(x.shape, factors))

    return run


@resizing("Resize", numbers=(1, 2, 3))
def resize(node: Node) -> Callable[..., Any]:
    """To sizes or by factors: nearest, linear or cubic, in all coordinate modes but tf_crop_and_resize."""
    if node.version < 11:
        how = Resampling(node.setting("mode", "nearest"), "asymmetric", "floor")

        def run_old(x: Tensor, scales: Tensor) -> Tensor:
            return resized(x, how, range(x.ndim), scales.tolist(), _grown(x.shape, scales.tolist()))

        return run_old
    how = Resampling(
        node.setting("mode", "nearest"),
        node.setting("coordinate_transformation_mode", "half_pixel"),
        node.setting("nearest_mode", "round_prefer_floor"),
        node.setting("cubic_coeff_a", -0.75),
        not node.setting("exclude_outside", 0),
        bool(node.setting("antialias", 0)),
    )
    if how.at not in COORDINATES:
        raise node.refuse(f"coordinate_transformation_mode={how.at!r}")
    axes, policy = node.setting("axes", None), node.setting("keep_aspect_ratio_policy", "stretch")

    def run(x: Tensor, roi: Tensor | None = None, scales: Tensor | None = None, sizes: Tensor | None = None) -> Tensor:
        along = [a % x.ndim for a in axes] if axes else range(x.ndim)
        have = [x.shape[a] for a in along]
        if sizes is not None and sizes.numel():
            wanted = whole(sizes)
            factors = [float(np.float32(w) / np.float32(n)) for w, n in zip(wanted, have, strict=True)]
            if policy != "stretch":
                factor = (min if policy == "not_larger" else max)(factors)
                factors = [factor] * len(factors)
                wanted = [int(factor * n + 0.5) for n in have]
            return resized(x, how, along, factors, wanted)
        if scales is None:
            raise ValueError("Resize with neither scales nor sizes")
        return resized(x, how, along, scales.tolist(), _grown(have, scales.tolist()))

    return run


def _grown(sizes: Sequence[int], factors: Sequence[float]) -> list[int]:
    return [int(np.float32(n) * np.float32(f)) for n, f in zip(sizes, factors, strict=True)]


def resized(x: Tensor, how: Resampling, axes: Sequence[int], factors: Sequence[float], sizes: Sequence[int]) -> Tensor:
    """x with its axes resized to sizes; factors are those that the places are computed from."""
    shape = list(x.shape)
    todo: dict[int, tuple[float, int]] = {}
    for a, f, n in zip(axes, factors, sizes, strict=True):
        shape[a] = n
        if n != x.shape[a] or f != 1:
            todo[a] = (f, n)
    bounded(shape, "Resize")
    if not todo or not x.numel():
        return x
    y = _by_torch(x, how, todo)
    if y is not None:
        return y
    for a, (factor, n) in todo.items():
        x = _along(x, a, *_taps(how, x.shape[a], n, factor))
    return x


def _by_torch(x: Tensor, how: Resampling, todo: dict[int, tuple[float, int]]) -> Tensor | None:
    """torch's own resizing, where its places and weights are the same."""
    dims = x.ndim - 2
    if min(todo) < 2 or not 1 <= dims <= 3 or not x.is_floating_point():
        return None
    out = [todo.get(a, (1.0, x.shape[a]))[1] for a in range(2, x.ndim)]
    if how.mode == "nearest":
        for name in ("nearest", "nearest-exact"):
            if all(_same_places(name, how, x.shape[a], n, f) for a, (f, n) in todo.items()):
                return interpolate(x, out, mode=name)
        return None
    # torch's antialiasing leaves out what lies beyond the border, and its cubic has another coefficient then.
    mode = _TORCH.get((how.mode, dims))
    if mode is None or not how.outside or how.antialias or (how.mode == "cubic" and how.cubic != -0.75):
        return None
    if how.at == "align_corners":
        return interpolate(x, out, mode=mode, align_corners=True)
    exact = all(abs(n / x.shape[a] - f) <= 1e-6 * f for a, (f, n) in todo.items())
    single = any(n == 1 for _, n in todo.values()) and how.at == "pytorch_half_pixel"
    if not exact or single or how.at in ("asymmetric", "tf_half_pixel_for_nn"):
        return None
    return interpolate(x, out, mode=mode, align_corners=False)


def _same_places(name: str, how: Resampling, n: int, out: int, factor: float) -> bool:
    theirs = interpolate(torch.arange(n, dtype=torch.float32)[None, None], (out,), mode=name)[0, 0].long()
    return bool((theirs.numpy() == _nearest(how, n, out, factor)).all())


def _places(how: Resampling, n: int, out: int, factor: float) -> NDArray[np.float32]:
    """Where each place of the output lies among the input's places, in single precision as runtimes compute it."""
    x = np.arange(out, dtype=np.float32)
    f = np.float32(factor)
    half = np.float32(0.5)
    if how.at == "align_corners":
        return x * np.float32(n - 1) / np.float32(out - 1) if out > 1 else x * 0
    if how.at == "asymmetric":
        return x / f
    if how.at == "tf_half_pixel_for_nn":
        return (x + half) / f
    if how.at == "pytorch_half_pixel" and out == 1:
        return x * 0
    shift = np.float32(0)
    if how.at == "half_pixel_symmetric":
        adjustment = np.float32(out) / (f * np.float32(n))
        shift = np.float32(n) / np.float32(2) * (np.float32(1) - adjustment)
    return shift + (x + half) / f - half


def _nearest(how: Resampling, n: int, out: int, factor: float) -> NDArray[np.int64]:
    at = _places(how, n, out, factor)
    half = np.float32(0.5)
    rounded = {
        "round_prefer_floor": lambda: np.ceil(at - half),
        "round_prefer_ceil": lambda: np.floor(at + half),
        "floor": lambda: np.floor(at),
        "ceil": lambda: np.ceil(at),
    }[how.nearest]()
    return rounded.astype(np.int64).clip(0, n - 1)


def _taps(how: Resampling, n: int, out: int, factor: float) -> tuple[Tensor, Tensor]:
    """Places read [out k] and their weights."""
    if how.mode == "nearest":
        index = torch.from_numpy(_nearest(how, n, out, factor))[:, None]
        return index, torch.ones(index.shape)
    at = _places(how, n, out, factor).astype(np.float64)
    stretch = 1 / factor if how.antialias and factor < 1 else 1.0
    reach = 1 if how.mode == "linear" else 2
    if how.mode == "linear" and not how.antialias and how.outside:
        at = at.clip(0, n - 1)
    near = int(np.ceil(reach * stretch))
    index = np.floor(at)[:, None].astype(np.int64) + np.arange(1 - near, near + 1)
    distance = np.abs(at[:, None] - index) / stretch
    weight = np.maximum(1 - distance, 0) if how.mode == "linear" else _cubic(distance, how.cubic)
    if not how.outside:
        weight = np.where((index >= 0) & (index < n), weight, 0)
    if not how.outside or stretch != 1:
        weight = weight / weight.sum(1, keepdims=True)
    return torch.from_numpy(index.clip(0, n - 1)), torch.from_numpy(weight)


def _cubic(d: NDArray[np.float64], a: float) -> NDArray[np.float64]:
    """Keys' kernel, which is 0 from 2 on."""
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def _along(x: Tensor, axis: int, index: Tensor, weight: Tensor) -> Tensor:
    index, weight = index.to(x.device), weight.to(x.device, x.dtype if x.is_floating_point() else torch.float64)
    if index.shape[1] == 1:
        return x.index_select(axis, index[:, 0])
    sides = [-1 if a == axis else 1 for a in range(x.ndim)]
    read = (x.index_select(axis, index[:, k]) * weight[:, k].reshape(sides) for k in range(index.shape[1]))
    return reduce(torch.add, read).to(x.dtype)
