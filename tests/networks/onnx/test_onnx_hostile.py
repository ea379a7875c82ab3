"""Damaged and hostile ONNX files are refused with one clear error, and nothing outside their folder is read."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper
from onnx_graphs import ints, model, rand

from seglens.core.errors import NetworkError, UnsafeFileError
from seglens.networks.loaded import Request
from seglens.networks.onnx import adapt, load_onnx

X = {"x": rand(1, 3, 8, 8)}


def conv(**weights: Any) -> onnx.ModelProto:
    return model([helper.make_node("Conv", ["x", "w"], ["y"], name="conv")], X, weights or {"w": rand(2, 3, 1, 1)})


def saved(proto: onnx.ModelProto, path: Path) -> Path:
    path.write_bytes(proto.SerializeToString())
    return path


def external(path: Path, location: str, **told: int) -> Path:
    """A model whose weights lie in another file, by that name."""
    proto = conv()
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **told}.items():
        tensor.external_data.add(key=key, value=str(value))
    return saved(proto, path)


def test_every_unsupported_operator_is_told_at_once():
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="fine"),
        helper.make_node("NonMaxSuppression", ["a", "a"], ["b"], name="boxes"),
        helper.make_node("FusedConv", ["a", "a"], ["c"], name="fast", domain="com.microsoft"),
        helper.make_node("FusedConv", ["c", "a"], ["d"], name="faster", domain="com.microsoft"),
        helper.make_node("Add", ["b", "d"], ["y"], name="sum"),
    ]
    with pytest.raises(NetworkError, match=r"uses 2 operator\(s\) that are not supported") as told:
        adapt(model(nodes, X))
    assert "NonMaxSuppression (operator set 18): 'boxes'" in str(told.value)
    assert "com.microsoft::FusedConv (operator set 0): 'fast', 'faster'" in str(told.value)


def test_every_unsupported_setting_is_told_at_once():
    sizes = {"s": ints(1, 3, 4, 4), "r": np.array([0, 0, 0, 0, 1, 1, 1, 1], dtype=np.float32)}
    crop = {"coordinate_transformation_mode": "tf_crop_and_resize"}
    nodes = [
        helper.make_node("Resize", ["x", "r", "", "s"], ["a"], name="crop", **crop),
        helper.make_node("ScatterND", ["a", "i", "u"], ["y"], name="scatter", reduction="max"),
    ]
    weights = {**sizes, "i": ints(0).reshape(1, 1), "u": rand(1, 3, 4, 4)}
    with pytest.raises(NetworkError, match="2 operator") as told:
        adapt(model(nodes, X, weights))
    assert "tf_crop_and_resize" in str(told.value)
    assert "'scatter'" in str(told.value)


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95])
def test_cut_short(keep: float, tmp_path: Path):
    data = conv().SerializeToString()
    path = tmp_path / "a.onnx"
    path.write_bytes(data[: int(len(data) * keep)])
    with pytest.raises(NetworkError, match=r"a\.onnx"):
        load_onnx(path, Request())


def test_no_protocol_buffer(tmp_path: Path):
    path = tmp_path / "a.onnx"
    path.write_bytes(b"\x08\x08\x12\xff\xff\xff\xff" + bytes(200))
    with pytest.raises(NetworkError, match="damaged or cut short"):
        load_onnx(path, Request())


@pytest.mark.parametrize("dims", [[2, 3, 1, 100], [2**40, 2**20], [-1, 3, 1, 1]])
def test_header_that_the_data_do_not_fill(dims: list[int]):
    proto = conv()
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend(dims)
    with pytest.raises(NetworkError, match=r"damaged: its header|no valid ONNX graph"):
        adapt(proto)


@pytest.mark.parametrize(
    ("op", "shape"), [("ConstantOfShape", (2**20, 2**20)), ("Expand", (2**20, 2**14, 1)), ("Tile", (2**20, 2**14, 1))]
)
def test_tensors_made_of_nothing_are_bounded(op: str, shape: tuple[int, ...]):
    filled = {"s": ints(*shape), "one": rand(1, 1, 1)}
    read = ["s"] if op == "ConstantOfShape" else ["one", "s"]
    nodes = [
        helper.make_node(op, read, ["big"], name="big"),
        helper.make_node("ReduceSum", ["big"], ["total"], name="sum"),
        helper.make_node("Add", ["x", "total"], ["y"], name="add"),
    ]
    with pytest.raises(NetworkError, match="made to fill the memory"):
        adapt(model(nodes, X, filled))


def test_functions_that_never_end_or_multiply():
    def function(name: str, calls: str, times: int) -> onnx.FunctionProto:
        inside = [
            helper.make_node(
                calls, ["a" if k == 0 else f"v{k - 1}"], ["b" if k == times - 1 else f"v{k}"], domain="own"
            )
            for k in range(times)
        ]
        return helper.make_function("own", name, ["a"], ["b"], inside, [helper.make_opsetid("own", 1)])

    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    graph = model([helper.make_node("F0", ["x"], ["y"], domain="own")], X).graph
    endless = [function("F0", "F1", 1), function("F1", "F0", 1)]
    with pytest.raises(NetworkError, match="calls itself"):
        adapt(helper.make_model(graph, functions=endless, opset_imports=opsets, ir_version=8))
    last = helper.make_function("own", "F40", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], opsets[:1])
    doubling = [function(f"F{k}", f"F{k + 1}", 2) for k in range(40)]
    with pytest.raises(NetworkError, match="nodes once its functions are written out"):
        adapt(helper.make_model(graph, functions=[*doubling, last], opset_imports=opsets, ir_version=8))


@pytest.mark.parametrize("location", ["../secret", "/etc/hostname", "a/../../secret", "C:\\secret", ""])
def test_weights_outside_the_folder(location: str, tmp_path: Path):
    (tmp_path / "secret").write_bytes(bytes(24))
    folder = tmp_path / "net"
    folder.mkdir()
    with pytest.raises(UnsafeFileError, match="no file in its folder"):
        load_onnx(external(folder / "a.onnx", location), Request())


def test_link_out_of_the_folder(tmp_path: Path):
    (tmp_path / "secret").write_bytes(bytes(24))
    folder = tmp_path / "net"
    folder.mkdir()
    (folder / "weights").symlink_to(tmp_path / "secret")
    path = external(folder / "a.onnx", "weights")
    with pytest.raises(UnsafeFileError):
        load_onnx(path, Request())
    assert load_onnx(path, Request(trust=True)).convention["channels"] == 3


def test_weights_beside_the_file(tmp_path: Path):
    path = external(tmp_path / "a.onnx", "weights", offset=8, length=24)
    with pytest.raises(NetworkError, match="which is not there"):
        load_onnx(path, Request())
    (tmp_path / "weights").write_bytes(bytes(8) + rand(6).tobytes())
    loaded = load_onnx(path, Request())
    np.testing.assert_array_equal(next(loaded.module.parameters()).detach().numpy().reshape(-1), rand(6))
    (tmp_path / "weights").write_bytes(bytes(20))
    with pytest.raises(NetworkError, match="bytes 8 to 32 of weights, which has 20"):
        load_onnx(path, Request())


def test_model_in_memory_without_its_weights(tmp_path: Path):
    proto = onnx.load(str(external(tmp_path / "a.onnx", "weights")), load_external_data=False)
    with pytest.raises(NetworkError, match="keeps weights in another file"):
        adapt(proto)


def test_graph_that_reads_what_nothing_makes():
    proto = model([helper.make_node("Add", ["x", "ghost"], ["y"], name="add")], X)
    with pytest.raises(NetworkError, match="no valid ONNX graph"):
        adapt(proto)


def test_older_and_newer_operator_sets():
    proto = conv()
    proto.opset_import[0].version = 6
    with pytest.raises(NetworkError, match="7 is the oldest taken"):
        adapt(proto)
    proto.opset_import[0].version = 999
    with pytest.raises(NetworkError, match="pip install -U onnx"):
        adapt(proto)


def test_text_and_words_are_no_images():
    given = {"x": np.zeros((1, 5), dtype=np.int64)}
    with pytest.raises(NetworkError, match=r"takes no image.*'x' \[1, 5\]"):
        adapt(model([helper.make_node("Cast", ["x"], ["y"], to=1)], given))


def test_condition_that_is_computed_is_told():
    out = helper.make_tensor_value_info("b", 1, None)
    branch = helper.make_graph([helper.make_node("Relu", ["x"], ["b"])], "b", [], [out])
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["m"], keepdims=0),
        helper.make_node("Cast", ["m"], ["c"], to=9),
        helper.make_node("If", ["c"], ["y"], name="choice", then_branch=branch, else_branch=branch),
    ]
    with pytest.raises(NetworkError, match="its condition is computed: 'choice'"):
        adapt(model(nodes, X))


def test_failing_node_is_named():
    proto = model([helper.make_node("Reshape", ["x", "s"], ["y"], name="shape")], X, {"s": ints(7, 7)}, {"y": 1})
    loaded = adapt(proto)
    assert loaded is not None
    with pytest.raises(NetworkError, match=r"node 'shape' \(Reshape\) failed on inputs of shape \[1, 3, 8, 8\]"):
        loaded.module(torch.rand(1, 3, 8, 8))
