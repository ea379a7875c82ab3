"""Convolutions, pools, pads and resizing agree with onnxruntime, whatever their settings."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto
from onnx_graphs import assert_same, by_runtime, by_us, ints, module, rand, single
from torch import nn

X = {"x": rand(2, 4, 9, 11)}
LINE, VOLUME = {"x": rand(1, 3, 13)}, {"x": rand(1, 2, 6, 7, 5)}

CONVOLUTIONS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "plain": ({}, (6, 4, 3, 3)),
    "even pads": ({"pads": [1, 2, 1, 2]}, (6, 4, 3, 5)),
    "uneven pads": ({"pads": [0, 1, 2, 3], "strides": [2, 1]}, (6, 4, 3, 3)),
    "same upper": ({"auto_pad": "SAME_UPPER", "strides": [2, 3]}, (6, 4, 4, 3)),
    "same lower": ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (6, 4, 2, 4)),
    "valid": ({"auto_pad": "VALID", "dilations": [2, 1]}, (6, 4, 3, 3)),
    "depthwise": ({"group": 4, "pads": [1, 1, 1, 1], "dilations": [1, 2]}, (8, 1, 3, 3)),
    "groups": ({"group": 2, "strides": [3, 2]}, (6, 2, 1, 3)),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("known", [True, False], ids=["stored", "computed"])
def test_convolution(case: str, known: bool):
    settings, shape = CONVOLUTIONS[case]
    weights = {"w": rand(*shape, seed=1), "b": rand(shape[0], seed=2)}
    if known:
        assert_same(single("Conv", X, weights, opset=11, **settings), X)
    else:
        assert_same(single("Conv", {**X, **weights}, opset=22, **settings), {**X, **weights})


@pytest.mark.parametrize(("inputs", "shape"), [(LINE, (2, 3, 4)), (VOLUME, (3, 2, 3, 2, 3))], ids=["line", "volume"])
def test_convolution_of_lines_and_volumes(inputs: Any, shape: tuple[int, ...]):
    d = len(shape) - 2
    for settings in ({}, {"pads": [1] * (2 * d), "strides": [2] * d}, {"auto_pad": "SAME_UPPER"}):
        assert_same(single("Conv", inputs, {"w": rand(*shape)}, **settings), inputs)
    turned = {"w": rand(shape[1], 2, *shape[2:])}
    assert_same(single("ConvTranspose", inputs, turned, strides=[2] * d), inputs)


TRANSPOSED: dict[str, dict[str, Any]] = {
    "plain": {},
    "even": {"pads": [1, 1, 1, 1], "strides": [2, 2]},
    "output padding": {"strides": [2, 3], "output_padding": [1, 2], "pads": [1, 0, 1, 0]},
    "uneven pads": {"strides": [2, 2], "pads": [0, 1, 1, 2]},
    "uneven with output padding": {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 1]},
    "dilated": {"dilations": [2, 1], "strides": [1, 2]},
    "groups": {"group": 2, "strides": [2, 2]},
    "same upper": {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same lower": {"auto_pad": "SAME_LOWER", "strides": [3, 2]},
    "output shape": {"strides": [2, 2], "output_shape": [19, 22]},
    "output shape, cut": {"strides": [2, 2], "output_shape": [17, 21]},
}


@pytest.mark.parametrize("case", TRANSPOSED)
def test_transposed_convolution(case: str):
    settings = TRANSPOSED[case]
    weights = {"w": rand(4, 6 // settings.get("group", 1), 3, 4, seed=1), "b": rand(6, seed=2)}
    assert_same(single("ConvTranspose", X, weights, opset=11, **settings), X)
    assert_same(single("ConvTranspose", {**X, **weights}, opset=11, **settings), {**X, **weights})


POOLS: dict[str, dict[str, Any]] = {
    "plain": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "padded": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]},
    "uneven": {"kernel_shape": [3, 2], "pads": [0, 1, 2, 0], "strides": [2, 1]},
    "ceil": {"kernel_shape": [3, 3], "strides": [2, 3], "ceil_mode": 1},
    "ceil, padded": {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    "ceil, uneven": {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 1, 1], "ceil_mode": 1},
    "ceil, behind": {"kernel_shape": [1, 2], "strides": [4, 5], "pads": [0, 0, 0, 1], "ceil_mode": 1},
    "same upper": {"kernel_shape": [3, 3], "auto_pad": "SAME_UPPER", "strides": [2, 2]},
    "same lower": {"kernel_shape": [2, 4], "auto_pad": "SAME_LOWER", "strides": [1, 2]},
    "dilated": {"kernel_shape": [3, 2], "dilations": [2, 3], "pads": [1, 0, 1, 0]},
    "wide": {"kernel_shape": [2, 2], "pads": [1, 1, 1, 1], "strides": [3, 3]},
}


@pytest.mark.parametrize("case", POOLS)
def test_pools(case: str):
    settings = POOLS[case]
    assert_same(single("MaxPool", X, opset=12, **settings), X)
    for counted in (0, 1):
        proto = single("AveragePool", X, opset=19, count_include_pad=counted, **settings)
        assert_same(proto, X)
    if "dilations" not in settings and "ceil_mode" not in settings:
        assert_same(single("LpPool", X, opset=18, p=2, **settings), X)


@pytest.mark.parametrize("case", ["plain", "padded", "uneven", "dilated"])
def test_places_of_the_largest(case: str):
    outputs = {"y": TensorProto.FLOAT, "index": TensorProto.INT64}
    assert_same(single("MaxPool", X, opset=12, outputs=outputs, **POOLS[case]), X)


def test_unpooling():
    x = {"x": rand(2, 3, 8, 6)}
    settings = {"kernel_shape": [2, 2], "strides": [2, 2]}
    y, index = by_runtime(single("MaxPool", x, outputs={"y": 1, "i": 7}, **settings), x)
    given = {"y0": y, "i": index}
    assert_same(single("MaxUnpool", given, opset=11, **settings), given)


@pytest.mark.parametrize("op", ["GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool"])
@pytest.mark.parametrize("inputs", [X, LINE, VOLUME], ids=["image", "line", "volume"])
def test_global_pools(op: str, inputs: Any):
    assert_same(single(op, inputs), inputs)


@pytest.mark.parametrize("mode", ["constant", "reflect", "edge", "wrap"])
@pytest.mark.parametrize("pads", [[0, 0, 1, 2, 0, 0, 3, 4], [1, 2, 0, 1, 0, 1, 2, 0], [0, 0, -1, 2, 0, -1, 0, -3]])
def test_padding(mode: str, pads: list[int]):
    opset = 19 if mode == "wrap" else 11
    value = {"v": np.array(1.5, dtype=np.float32)} if mode == "constant" else {}
    assert_same(single("Pad", X, {"p": ints(*pads), **value}, opset=opset, mode=mode), X)


def test_padding_along_named_axes():
    weights = {"p": ints(1, 2, 3, 0), "a": ints(-1, 2)}
    assert_same(single("Pad", X, weights, opset=18, order=["x", "p", "", "a"], mode="edge"), X)
    assert_same(single("Pad", X, {"p": ints(0, 0, 12, 9, 0, 0, 9, 12)}, opset=19, mode="wrap"), X)


def _resizings() -> list[dict[str, Any]]:
    places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "half_pixel_symmetric"]
    rounding = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    found = [
        {"mode": "nearest", "coordinate_transformation_mode": p, "nearest_mode": r}
        for p, r in product(places[:4], rounding)
    ]
    found += [
        {"mode": m, "coordinate_transformation_mode": p, "antialias": a}
        for m, p, a in product(["linear", "cubic"], places, [0, 1])
    ]
    found.append({"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1})
    found.append({"mode": "cubic", "exclude_outside": 1, "antialias": 1})
    return found


@pytest.mark.parametrize("settings", _resizings(), ids=lambda s: " ".join(map(str, s.values())))
def test_resizing(settings: dict[str, Any]):
    for sizes in ((2, 4, 18, 22), (2, 4, 5, 14), (2, 4, 1, 7), (2, 4, 9, 33)):
        assert_same(single("Resize", X, {"s": ints(*sizes)}, 19, ["x", "", "", "s"], **settings), X, atol=2e-5)
    for scales in ((1, 1, 2, 2), (1, 1, 0.6, 1.7), (1, 1, 3, 0.5)):
        weights = {"s": np.array(scales, dtype=np.float32)}
        assert_same(single("Resize", X, weights, 19, ["x", "", "s"], **settings), X, atol=2e-5)


def test_resizing_of_older_operator_sets_and_named_axes():
    scales = {"s": np.array([1, 1, 2, 3], dtype=np.float32)}
    for mode in ("nearest", "linear"):
        assert_same(single("Resize", X, scales, 10, mode=mode), X)
        assert_same(single("Upsample", X, scales, 9, mode=mode), X)
    settings = {"mode": "nearest", "coordinate_transformation_mode": "tf_half_pixel_for_nn", "nearest_mode": "floor"}
    assert_same(single("Resize", X, {"r": rand(0), **scales}, 11, **settings), X)
    for policy in ("stretch", "not_larger", "not_smaller"):
        settings = {"axes": [3, 2], "keep_aspect_ratio_policy": policy, "mode": "linear"}
        assert_same(single("Resize", X, {"s": ints(20, 7)}, 19, ["x", "", "", "s"], **settings), X)


@pytest.mark.parametrize("inputs", [LINE, VOLUME], ids=["line", "volume"])
def test_resizing_of_lines_and_volumes(inputs: Any):
    shape = list(inputs["x"].shape)
    sizes = {"s": ints(*shape[:2], *(n + 3 for n in shape[2:]))}
    for mode in ("nearest", "linear"):
        proto = single("Resize", inputs, sizes, 18, ["x", "", "", "s"], mode=mode)
        assert_same(proto, inputs)


def test_known_weights_make_torch_layers():
    """Methods know rectifiers, heads and norms by torch's classes."""
    proto = single("Conv", X, {"w": rand(6, 4, 1, 1), "b": rand(6)})
    assert type(module(proto).get_submodule("node")) is nn.Conv2d
    proto = single("Conv", X, {"w": rand(6, 4, 3, 3)}, auto_pad="SAME_UPPER")
    assert isinstance(module(proto).get_submodule("node"), nn.Conv2d)
    proto = single("ConvTranspose", X, {"w": rand(4, 6, 2, 2)}, strides=[2, 2])
    assert type(module(proto).get_submodule("node")) is nn.ConvTranspose2d
    assert type(module(single("MaxPool", X, kernel_shape=[2, 2])).get_submodule("node")) is nn.MaxPool2d


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("beyond", ["zeros", "border", "reflection"])
def test_sampling(align: int, mode: str, beyond: str):
    given = {"x": rand(2, 3, 6, 7), "grid": rand(2, 4, 5, 2, low=-1.2, high=1.2)}
    proto = single("GridSample", given, opset=16, mode=mode, padding_mode=beyond, align_corners=align)
    assert_same(proto, given, atol=1e-4)


def test_deformable_convolution():
    """Offsets of 0 make it the convolution; onnxruntime computes the others."""
    given = {"x": rand(1, 4, 7, 8), "w": rand(6, 2, 3, 3), "o": rand(1, 36, 7, 8), "b": rand(6), "m": rand(1, 18, 7, 8)}
    settings = {"group": 2, "offset_group": 2, "pads": [1, 1, 1, 1]}
    still = {**given, "o": np.zeros_like(given["o"]), "m": np.ones_like(given["m"])}
    deform = by_us(single("DeformConv", still, opset=19, **settings), still)[0]
    plain = {k: given[k] for k in "xwb"}
    same = by_runtime(single("Conv", plain, group=2, pads=[1, 1, 1, 1]), plain)[0]
    np.testing.assert_allclose(deform, same, atol=1e-4)
    assert_same(single("DeformConv", given, opset=19, **settings), given, atol=1e-4)
