"""seglens beside onnxruntime on request: outputs, nodes, and the first that differs."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper, numpy_helper
from typer.testing import CliRunner

import seglens as sl
from seglens.cli import app
from seglens.core.errors import MissingExtraError, NetworkError
from seglens.networks.onnx.operators import OPERATORS
from seglens.networks.onnx.operators._registry import Operator


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Convolution, bend, another convolution, softmax, with channels last."""
    rng = np.random.default_rng(0)
    weights = {"w": rng.normal(size=(4, 3, 3, 3)), "v": rng.normal(size=(2, 4, 1, 1))}
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], name="in", perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["t", "w"], ["a"], name="first"),
        helper.make_node("Elu", ["a"], ["b"], name="bend"),
        helper.make_node("Conv", ["b", "v"], ["c"], name="second"),
        helper.make_node("Softmax", ["c"], ["y"], name="link", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", 1, ["n", 12, 10, 3])],
        [helper.make_tensor_value_info("y", 1, ["n", 2, 10, 8])],
        [numpy_helper.from_array(a.astype(np.float32), n) for n, a in weights.items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    (tmp_path / "net.onnx").write_bytes(proto.SerializeToString())
    return tmp_path / "net.onnx"


def test_they_agree_and_say_by_how_much(file: Path) -> None:
    found = sl.check_onnx(file, torch.rand(2, 3, 12, 10), nodes=True)
    assert found.agrees
    assert found.first is None
    assert [d.node for d in found.nodes] == ["in", "first", "bend", "second", "link"]
    assert found.outputs[0].shape == (2, 2, 10, 8)
    assert 0 <= found.outputs[0].relative < 1e-5


def test_the_first_node_that_differs_is_named(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: an activation whose slope is wrong below 0."""
    wrong = Operator(lambda node: torch.nn.LeakyReLU(0.5), "planted", frozenset(), False)
    monkeypatch.setitem(OPERATORS, "Elu", wrong)
    found = sl.check_onnx(file, nodes=True)
    assert not found.agrees
    assert found.first is not None
    assert (found.first.node, found.first.op) == ("bend", "Elu")
    assert found.to_dict()["agrees"] is False
    told = CliRunner().invoke(app, ["check-onnx", str(file), "--nodes"])
    assert told.exit_code == 1
    assert "First node that differs: bend (Elu)" in told.stdout


def test_command(file: Path) -> None:
    told = CliRunner().invoke(app, ["check-onnx", str(file)])
    assert told.exit_code == 0
    assert "They agree." in told.stdout
    assert CliRunner().invoke(app, ["check-onnx", str(file), "--json"]).stdout.startswith("{")


def test_a_network_is_checked_by_its_file(file: Path) -> None:
    with pytest.warns(sl.errors.GuessWarning):
        net = sl.load(file)
    assert sl.check_onnx(net).agrees
    with pytest.raises(NetworkError, match="no ONNX file"):
        sl.check_onnx("absent.onnx")


def test_without_onnxruntime(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'seglens\[onnx\]'"):
        sl.check_onnx(file)
