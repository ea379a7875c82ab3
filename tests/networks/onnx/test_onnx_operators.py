"""Operators agree with onnxruntime in every operator set in which their meaning changed."""

from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto
from onnx_graphs import OPSETS, Arrays, assert_same, by_us, ints, module, rand, single
from torch import nn

X = {"x": rand(2, 3, 4, 5)}
POSITIVE = {"x": rand(2, 3, 4, low=1.1, high=3.0)}
UNIT = {"x": rand(2, 3, 4, low=-0.9, high=0.9)}
WHOLE = {"x": np.random.default_rng(0).integers(-9, 9, (3, 4)).astype(np.int64)}
TRUTH = {"x": np.random.default_rng(0).integers(0, 2, (3, 4)).astype(bool)}
INT, BOOL = {"y": TensorProto.INT64}, {"y": TensorProto.BOOL}


@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        *[(op, X) for op in ("Abs", "Atan", "Ceil", "Cos", "Erf", "Exp", "Floor", "Neg", "Reciprocal", "Round")],
        *[(op, X) for op in ("Sigmoid", "Sign", "Sin", "Softsign", "Tanh", "Identity", "Relu", "Dropout", "Softplus")],
        *[(op, POSITIVE) for op in ("Acosh", "Log", "Sqrt")],
        *[(op, UNIT) for op in ("Acos", "Asin", "Asinh", "Atanh", "Cosh", "Sinh", "Tan")],
    ],
)
def test_of_one_number(op: str, inputs: Arrays):
    assert_same(single(op, inputs, opset=13), inputs)


ACTIVATIONS: list[tuple[str, int, dict[str, Any]]] = [
    ("LeakyRelu", 11, {"alpha": 0.2}),
    ("Elu", 11, {"alpha": 0.7}),
    ("Celu", 12, {"alpha": 1.5}),
    ("Selu", 11, {}),
    ("Selu", 11, {"alpha": 1.2, "gamma": 0.9}),
    ("ThresholdedRelu", 11, {"alpha": 0.5}),
    ("Gelu", 20, {}),
    ("Gelu", 20, {"approximate": "tanh"}),
    ("Mish", 18, {}),
    ("HardSwish", 14, {}),
    ("HardSigmoid", 11, {}),
    ("HardSigmoid", 11, {"alpha": 1 / 6, "beta": 0.5}),
    ("Shrink", 11, {"lambd": 0.4, "bias": 0.1}),
]


@pytest.mark.parametrize(("op", "opset", "settings"), ACTIVATIONS)
def test_activations(op: str, opset: int, settings: dict[str, Any]):
    assert_same(single(op, X, opset=opset, **settings), X)


def test_swish_and_its_gated_form():
    """No runtime has these yet: their formula."""
    x, b = torch.from_numpy(X["x"]), torch.from_numpy(rand(2, 3, 4, 5, seed=1))
    for alpha in (1.0, 1.7):
        given = single("Swish", X, opset=24, alpha=alpha)
        np.testing.assert_allclose(by_us(given, X)[0], x * torch.sigmoid(alpha * x), atol=1e-6)
    pair = {**X, "b": b.numpy()}
    np.testing.assert_allclose(by_us(single("SwiGLU", pair, opset=28), pair)[0], x * torch.sigmoid(x) * b, atol=1e-6)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1,), (1, 1, 1), (5,), (4, 5), (1, 3, 1, 1), (3, 4, 5)])
def test_prelu(shape: tuple[int, ...]):
    slope = {"s": rand(*shape)}
    assert_same(single("PRelu", X, slope, opset=16), X)
    assert_same(single("PRelu", {**X, **slope}, opset=16), {**X, **slope})


def test_clip():
    bounds = {"low": np.array(-0.5, dtype=np.float32), "high": np.array(1.0, dtype=np.float32)}
    assert_same(single("Clip", X, bounds, opset=11), X)
    assert_same(single("Clip", X, {"high": bounds["high"]}, 13, ["x", "", "high"]), X)
    assert_same(single("Clip", {**X, **bounds}, opset=13), {**X, **bounds})
    assert_same(single("Clip", X, opset=7, min=-0.5, max=1.0), X)
    six = {"low": np.array(0, dtype=np.float32), "high": np.array(6, dtype=np.float32)}
    assert type(module(single("Clip", X, six)).get_submodule("node")) is nn.ReLU6


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Hardmax"])
@pytest.mark.parametrize("opset", [11, 13])
@pytest.mark.parametrize("axis", [None, 0, 1, 2, 3, -1, -3])
def test_softmax_over_one_axis_or_all_from_it_on(op: str, opset: int, axis: int | None):
    assert_same(single(op, X, opset=opset, **({} if axis is None else {"axis": axis})), X)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Min", "Max", "Sum", "Mean"])
@pytest.mark.parametrize("other", [(5,), (2, 3, 4, 5), (3, 1, 1), ()])
def test_of_two(op: str, other: tuple[int, ...]):
    given = {"x": np.abs(X["x"]) + 0.1, "b": rand(*other, seed=3)}
    if op == "Max":
        given["c"] = rand(2, 1, 4, 5, seed=4)
    assert_same(single(op, given, opset=13), given)
    assert_same(single(op, {"x": given.pop("x")}, given, opset=13), {"x": np.abs(X["x"]) + 0.1})


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"])
def test_of_two_whole_numbers(op: str):
    other = np.abs(WHOLE["x"]) % 4 + 1
    assert_same(single(op, {**WHOLE, "b": other}, opset=13, outputs=INT), {**WHOLE, "b": other})


@pytest.mark.parametrize("op", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_comparisons(op: str):
    given = {**WHOLE, "b": WHOLE["x"][:, ::-1].copy()}
    assert_same(single(op, given, opset=16, outputs=BOOL), given)


@pytest.mark.parametrize("op", ["And", "Or", "Xor", "Not"])
def test_logic(op: str):
    given = TRUTH if op == "Not" else {**TRUTH, "b": ~TRUTH["x"][:, ::-1]}
    assert_same(single(op, given, opset=13, outputs=BOOL), given)


def test_other_arithmetic():
    for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
        given = {**WHOLE, "b": WHOLE["x"][::-1].copy()}
        assert_same(single(op, given, opset=18, outputs=INT), given)
    signed = {**WHOLE, "b": np.where(WHOLE["x"] > 0, 3, -4)}
    assert_same(single("Mod", signed, opset=13, outputs=INT), signed)
    floats = {"x": X["x"], "b": rand(5, seed=9)}
    assert_same(single("Mod", floats, opset=13, fmod=1), floats)
    condition = {"c": X["x"] > 0, **X, "b": rand(5)}
    assert_same(single("Where", condition, opset=16), condition)
    odd = {"x": np.array([1, np.inf, -np.inf, np.nan], dtype=np.float32)}
    assert_same(single("IsNaN", odd, opset=13, outputs=BOOL), odd)
    assert_same(single("IsInf", odd, opset=10, outputs=BOOL, detect_negative=0), odd)
    for kind in (TensorProto.INT64, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL):
        assert_same(single("Cast", X, opset=13, outputs={"y": kind}, to=kind), X)
    like = {**X, "b": WHOLE["x"]}
    assert_same(single("CastLike", like, opset=15, outputs=INT), like)


REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("opset", OPSETS)
def test_reductions(name: str, opset: int):
    """Axes are an attribute in old operator sets, an input in new ones."""
    x = {"x": np.abs(X["x"]) + 0.1}
    opset = min(opset, 20)
    as_input = opset >= 18 or (name == "Sum" and opset >= 13)
    for axes in ([1], [-1, 2], [0, 1, 2, 3], None):
        for keep in (0, 1):
            weights = {"a": ints(*axes)} if as_input and axes else {}
            settings = {} if as_input or axes is None else {"axes": axes}
            assert_same(single(f"Reduce{name}", x, weights, opset, keepdims=keep, **settings), x)
    if as_input:
        assert_same(single(f"Reduce{name}", x, {"a": ints()}, opset, noop_with_empty_axes=1), x)


@pytest.mark.parametrize("opset", OPSETS)
def test_layout(opset: int):
    opset = min(opset, 22)
    same = {"opset": opset}
    assert_same(single("Reshape", X, {"s": ints(0, -1, 5)}, **same), X)
    for axis in (0, 1, 2, 4, -1):
        assert_same(single("Flatten", X, axis=axis, **same), X)
    assert_same(single("Transpose", X, **same), X)
    assert_same(single("Transpose", X, perm=[0, 2, 3, 1], **same), X)
    thin = {"x": rand(1, 3, 1, 4)}
    axes = {"a": ints(0, -2)}
    if opset < 13:
        assert_same(single("Squeeze", thin, axes=[0, 2], **same), thin)
        assert_same(single("Unsqueeze", X, axes=[0, 3], **same), X)
        assert_same(single("Split", X, outputs={"a": 1, "b": 1}, axis=3, split=[2, 3], **same), X)
    else:
        assert_same(single("Squeeze", thin, axes, **same), thin)
        assert_same(single("Unsqueeze", X, {"a": ints(0, -1)}, **same), X)
        assert_same(single("Split", X, {"s": ints(2, 3)}, outputs={"a": 1, "b": 1}, axis=-1, **same), X)
    assert_same(single("Squeeze", thin, **same), thin)
    uneven = {"num_outputs": 2} if opset >= 18 else {}
    even = {"x": rand(2, 4)}
    assert_same(single("Split", even, outputs={"a": 1, "b": 1}, axis=1, **uneven, **same), even)
    if opset >= 18:
        assert_same(single("Split", X, outputs={"a": 1, "b": 1}, axis=3, num_outputs=2, **same), X)
    assert_same(single("Expand", {"x": rand(3, 1)}, {"s": ints(2, 1, 6)}, **same), {"x": rand(3, 1)})
    assert_same(single("Tile", X, {"r": ints(1, 2, 1, 3)}, **same), X)
    pair = {**X, "b": rand(2, 3, 4, 2)}
    assert_same(single("Concat", pair, axis=-1, **same), pair)
    assert_same(single("Shape", X, outputs=INT, **same), X)
    assert_same(single("Size", X, outputs=INT, **same), X)
    deep = {"x": rand(1, 8, 2, 3)}
    for mode in ("DCR", "CRD"):
        assert_same(single("DepthToSpace", deep, blocksize=2, mode=mode, **same), deep)
    wide = {"x": rand(1, 3, 4, 6)}
    assert_same(single("SpaceToDepth", wide, blocksize=2, **same), wide)


def test_shapes_by_later_rules():
    assert_same(single("Shape", X, opset=15, outputs=INT, start=1, end=-1), X)
    empty = {"x": rand(0, 3)}
    assert_same(single("Reshape", empty, {"s": ints(3, 0)}, opset=14, allowzero=1), empty)
    for upper in (0, 1):
        for k in (-1, 0, 2):
            assert_same(single("Trilu", X, {"k": np.array(k)}, opset=14, upper=upper), X)
    square = {"x": rand(3, 5)}
    assert_same(single("EyeLike", square, opset=11, k=1), square)
    for limits in ((2, 11, 3), (10, 1, -2), (3, 3, 1)):
        given = {n: np.array(v) for n, v in zip("abc", limits, strict=True)}
        assert_same(single("Range", given, opset=11, outputs=INT), given)
    columns = {"x": rand(1, 12, 20)}
    assert_same(single("Col2Im", columns, {"i": ints(5, 6), "b": ints(2, 2)}, opset=18), columns)
    assert_same(single("CenterCropPad", X, {"s": ints(2, 8)}, opset=18, axes=[2, 3]), X)


@pytest.mark.parametrize(
    ("starts", "ends", "axes", "steps"),
    [
        ([1], [3], [2], [1]),
        ([0, -3], [2**62, -1], [0, 3], [1, 1]),
        ([-1], [-(2**62)], [3], [-1]),
        ([3, 4], [0, -6], [2, -1], [-2, -2]),
        ([1], [100], [1], [2]),
        ([5], [2], [3], [1]),
    ],
)
def test_slices(starts: list[int], ends: list[int], axes: list[int], steps: list[int]):
    weights = {"s": ints(*starts), "e": ints(*ends), "a": ints(*axes), "t": ints(*steps)}
    assert_same(single("Slice", X, weights, opset=11), X)
    if steps == [1] * len(steps):
        assert_same(single("Slice", X, opset=9, starts=starts, ends=ends, axes=axes), X)


def test_reading_by_index():
    for index in (np.array(-2), ints(2, -1, 0), ints(0, 1, 2, 2).reshape(2, 2)):
        for axis in (0, 2, -1):
            at = np.clip(index, -2, 1) if axis == 0 else index
            assert_same(single("Gather", X, {"i": at}, opset=13, axis=axis), X)
    index = {"i": np.random.default_rng(1).integers(-4, 4, (2, 3, 2, 5))}
    assert_same(single("GatherElements", X, index, opset=13, axis=2), X)
    assert_same(single("GatherND", X, {"i": ints(0, 1, 1, -1).reshape(2, 2)}, opset=13), X)
    rows = {"i": ints(0, 1, 2, 3).reshape(2, 2, 1)}
    assert_same(single("GatherND", {"x": rand(2, 4, 3)}, rows, opset=13, batch_dims=1), {"x": rand(2, 4, 3)})
    assert_same(single("Compress", X, {"c": np.array([True, False, True])}, opset=11, axis=1), X)
    assert_same(single("NonZero", WHOLE, opset=13, outputs=INT), WHOLE)


def test_writing_by_index():
    x = {"x": rand(4, 5)}
    updates = {"i": np.random.default_rng(1).permuted(np.tile(np.arange(4), (5, 1)), axis=1).T[:2], "u": rand(2, 5)}
    assert_same(single("ScatterElements", x, updates, opset=11), x)
    for how in ("add", "mul", "max", "min"):
        assert_same(single("ScatterElements", x, updates, opset=18, reduction=how), x)
    rows = {"i": ints(1, -1).reshape(2, 1), "u": rand(2, 5, seed=3)}
    assert_same(single("ScatterND", x, rows, opset=13), x)
    assert_same(single("ScatterND", x, rows, opset=16, reduction="add"), x)


def test_sorting_and_running_sums():
    outputs = {"v": TensorProto.FLOAT, "i": TensorProto.INT64}
    ties = {"x": np.array([[1, 3, 3, 2, 1], [0, 0, 0, 5, 5]], dtype=np.float32)}
    for largest in (0, 1):
        assert_same(single("TopK", ties, {"k": ints(3)}, 11, outputs=outputs, largest=largest), ties)
    for op in ("ArgMax", "ArgMin"):
        for settings in ({}, {"axis": -1, "keepdims": 0}, {"axis": 1, "select_last_index": 1}):
            assert_same(single(op, ties, opset=13, outputs=INT, **settings), ties)
    for settings in ({}, {"exclusive": 1}, {"reverse": 1}, {"exclusive": 1, "reverse": 1}):
        assert_same(single("CumSum", X, {"a": np.array(2)}, opset=14, **settings), X)
    index = {"i": ints(1, -1, 2)}
    assert_same(single("OneHot", index, {"d": ints(4), "v": rand(2)}, opset=11, axis=0), index)
    lengths = {"n": ints(2, 4)}
    assert_same(single("ReverseSequence", {"x": rand(4, 2, 3)}, lengths, opset=10), {"x": rand(4, 2, 3)})


def test_norms():
    scale = {"s": rand(3), "b": rand(3, seed=1)}
    stored = {**scale, "m": rand(3, seed=2), "v": np.abs(rand(3, seed=3))}
    for inputs in (X, {"x": rand(2, 3)}, {"x": rand(2, 3, 4)}, {"x": rand(2, 3, 4, 5, 2)}):
        for opset in (9, 14, 15):
            assert_same(single("BatchNormalization", inputs, stored, opset, epsilon=1e-3), inputs)
    assert type(module(single("BatchNormalization", X, stored)).get_submodule("node")) is nn.BatchNorm2d
    assert_same(single("InstanceNormalization", X, scale, opset=11, epsilon=1e-3), X)
    row = {"s": rand(5), "b": rand(5, seed=1)}
    assert_same(single("LayerNormalization", X, row, opset=17), X)
    assert_same(single("LayerNormalization", X, {"s": rand(4, 5)}, opset=17, axis=2), X)
    told = {"y": 1, "mean": 1, "deviation": 1}
    assert_same(single("LayerNormalization", X, row, opset=17, outputs=told), X)
    grouped = {"x": rand(2, 6, 4, 3)}
    for opset, n in ((18, 2), (21, 6)):
        weights = {"s": rand(n), "b": rand(n, seed=1)}
        assert_same(single("GroupNormalization", grouped, weights, opset, num_groups=2), grouped)
    assert_same(single("RMSNormalization", X, {"s": rand(5)}, opset=23), X)
    assert_same(single("MeanVarianceNormalization", X, opset=13), X)
    for p in (1, 2):
        assert_same(single("LpNormalization", X, opset=11, p=p, axis=1), X)
    for size in (3, 5):
        assert_same(single("LRN", grouped, opset=13, size=size, alpha=0.3, beta=0.6, bias=1.5), grouped)


@pytest.mark.parametrize("turned", [0, 1])
@pytest.mark.parametrize("bias", [(6,), (1, 6), (1,), (), (4, 6), None])
def test_gemm(turned: int, bias: tuple[int, ...] | None):
    x, w = {"x": rand(4, 5)}, {"w": rand(6, 5) if turned else rand(5, 6)}
    w |= {} if bias is None else {"b": rand(*bias)}
    for settings in ({}, {"alpha": 0.5, "beta": 1.5}):
        assert_same(single("Gemm", x, w, opset=13, transB=turned, **settings), x)
    assert_same(single("Gemm", {**x, **w}, opset=13, transB=turned), {**x, **w})
    if bias in ((6,), None):
        assert type(module(single("Gemm", x, w, transB=turned)).get_submodule("node")) is nn.Linear


def test_products():
    for a, b in (((2, 3, 4), (4, 5)), ((4,), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 3, 4), (4,))):
        pair = {"x": rand(*a), "b": rand(*b)}
        assert_same(single("MatMul", pair, opset=13), pair)
        assert_same(single("MatMul", {"x": pair["x"]}, {"b": pair["b"]}, opset=13), {"x": pair["x"]})
    pair = {"x": rand(2, 3, 4), "b": rand(2, 5, 4)}
    assert_same(single("Einsum", pair, opset=12, equation="b i k, b j k -> b i j"), pair)


def test_attention():
    q, k, v = rand(2, 4, 5, 8), rand(2, 4, 6, 8, seed=1), rand(2, 4, 6, 8, seed=2)
    given = {"q": q, "k": k, "v": v}
    mask = {"m": np.random.default_rng(3).integers(0, 2, (5, 6)).astype(bool) | np.eye(5, 6, dtype=bool)}
    for settings in ({}, {"scale": 0.3}, {"is_causal": 1}, {"softcap": 2.0}):
        assert_same(single("Attention", given, opset=23, **settings), given, atol=1e-4)
    assert_same(single("Attention", {**given, **mask}, opset=23), {**given, **mask}, atol=1e-4)
    added = {**given, "m": rand(5, 6)}
    assert_same(single("Attention", added, opset=23), added, atol=1e-4)
    rows = {"q": rand(2, 5, 16), "k": rand(2, 6, 8, seed=1), "v": rand(2, 6, 8, seed=2)}
    assert_same(single("Attention", rows, opset=23, q_num_heads=4, kv_num_heads=2), rows, atol=1e-4)


def test_quantised_numbers_are_rounded_and_differentiated_as_if_not():
    from onnx import helper
    from onnx_graphs import model

    scale = {"s": np.array(0.05, dtype=np.float32), "z": np.array(3, dtype=np.int8)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantize"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="dequantize"),
    ]
    proto = model(nodes, {"x": X["x"] * 4}, scale, opset=13)
    assert_same(proto, {"x": X["x"] * 4})
    net = module(proto)
    x = torch.linspace(-12, 12, 50).requires_grad_()
    (gradient,) = torch.autograd.grad(net(x).sum(), x)
    inside = (x / 0.05 + 3).round().abs() < 127
    assert torch.equal(gradient, inside.float())
    weights = {"w": np.arange(-6, 6, dtype=np.int8).reshape(3, 4), "s": np.array([0.1, 0.2, 0.3], dtype=np.float32)}
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["d"], name="d", axis=0),
        helper.make_node("Gemm", ["x", "d"], ["y"], name="gemm", transB=1),
    ]
    x = {"x": rand(2, 4)}
    assert_same(model(nodes, x, weights, opset=13), x)
    layer = module(model(nodes, x, weights, opset=13)).get_submodule("gemm")
    assert isinstance(layer, nn.Linear), "a stored weight in few bits is a weight"
