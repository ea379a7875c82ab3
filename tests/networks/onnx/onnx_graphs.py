"""Small ONNX graphs for the tests, and what onnxruntime makes of them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from seglens.networks.onnx.loading import as_it_is
from seglens.networks.onnx.module import OnnxModule

Arrays = Mapping[str, NDArray[Any]]
OPSETS = (11, 13, 18, 23)


def rand(*shape: int, seed: int = 0, low: float = -2.0, high: float = 2.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Arrays,
    weights: Arrays | None = None,
    outputs: Mapping[str, int] | None = None,
    opset: int = 18,
    free: bool = False,
    shapes: Mapping[str, Sequence[int | str]] | None = None,
) -> onnx.ModelProto:
    """A model of these nodes; outputs by name with their element type ('y', float, by default)."""
    outputs = outputs or {"y": TensorProto.FLOAT}
    given = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(a.dtype),
            [f"d{k}" for k in range(a.ndim)] if free else (shapes or {}).get(name, a.shape),
        )
        for name, a in inputs.items()
    ]
    graph = helper.make_graph(
        list(nodes),
        "graph",
        given,
        [helper.make_tensor_value_info(n, kind, (shapes or {}).get(n)) for n, kind in outputs.items()],
        [numpy_helper.from_array(a, n) for n, a in (weights or {}).items()],
    )
    # The format's version that came with the operator set, so that older runtimes take it too.
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 if opset < 21 else 10)


def single(
    op: str,
    inputs: Arrays,
    weights: Arrays | None = None,
    opset: int = 18,
    order: Sequence[str] | None = None,
    outputs: Mapping[str, int] | None = None,
    **attributes: Any,
) -> onnx.ModelProto:
    """A model of one node, which reads `order`: by default the inputs and then the weights."""
    names = list(order) if order is not None else [*inputs, *(weights or {})]
    node = helper.make_node(op, names, list(outputs or {"y": 1}), name="node", **attributes)
    return model([node], inputs, weights, outputs, opset)


def by_runtime(proto: onnx.ModelProto, inputs: Arrays) -> list[NDArray[Any]]:
    """What onnxruntime gives, without optimising."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(inputs))


def module(proto: onnx.ModelProto) -> OnnxModule:
    """The graph as it is: nothing taken off its ends."""
    return as_it_is(proto, "graph.onnx")


def by_us(proto: onnx.ModelProto, inputs: Arrays) -> list[NDArray[Any]]:
    found = module(proto)
    with torch.no_grad():
        values = found.run(
            [torch.from_numpy(np.array(a)) for a in inputs.values()], {p.name for p in found.plan.outputs}
        )
    return [values[p.name].numpy() for p in found.plan.outputs]


def assert_same(proto: onnx.ModelProto, inputs: Arrays, rtol: float = 1e-4, atol: float = 1e-5) -> None:
    """Both give the same shapes, types and numbers."""
    for theirs, ours in zip(by_runtime(proto, inputs), by_us(proto, inputs), strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)
