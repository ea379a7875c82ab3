"""ONNX networks give the outputs and maps of the torch networks that they were exported from."""

import copy
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from onnx_graphs import ints, model, rand
from torch import nn
from torch_twins import Mobile, Tokens, UNet, exported, made

import seglens as sl
from seglens.core.capture import capture
from seglens.core.errors import GuessWarning, NetworkError
from seglens.core.network import Network
from seglens.networks.loaded import Request
from seglens.networks.onnx import adapt, load_onnx
from seglens.networks.onnx.names import paths_of
from seglens.networks.onnx.nodes import Node

RGB = {"mean": (0.0,), "std": (1.0,)}


def opened(path: Path, **fields: Any) -> Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return sl.load(path, convention={"channels": 3, "mean": [0.5], "std": [0.5]}, **fields)


@pytest.fixture(scope="module")
def unet() -> UNet:
    net = made(UNet())
    assert isinstance(net, UNet)
    return net


@pytest.fixture(scope="module")
def file(unet: UNet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return exported(unet, tmp_path_factory.mktemp("onnx") / "unet.onnx")


@pytest.fixture(scope="module")
def net(file: Path) -> Network:
    return opened(file)


class TestTwins:
    @pytest.mark.parametrize("opset", [11, 13, 18])
    @pytest.mark.parametrize("make", [UNet, Tokens, Mobile])
    def test_same_output_for_other_batches_and_sizes(self, make: Any, opset: int, tmp_path: Path):
        twin = made(make())
        loaded = load_onnx(exported(twin, tmp_path / "a.onnx", opset), Request())
        x = torch.rand(3, 3, 24, 20)
        torch.testing.assert_close(loaded.module(x), twin(x), rtol=1e-4, atol=1e-5)

    def test_volume(self, tmp_path: Path):
        twin = made(UNet(dims=3))
        path = exported(twin, tmp_path / "a.onnx", shape=(1, 3, 8, 8, 8))
        x = torch.rand(2, 3, 8, 10, 6)
        torch.testing.assert_close(load_onnx(path, Request()).module(x), twin(x), rtol=1e-4, atol=1e-5)

    @pytest.mark.parametrize(
        ("method", "layer"),
        [
            (sl.Saliency(), None),
            (sl.InputXGradient(), None),
            (sl.IntegratedGradients(), None),
            (sl.GuidedBackprop(), None),
            (sl.GradCAM("encoder.1"), "encoder.1"),
            (sl.GradCAM("encoder.0"), "encoder.0"),
            (sl.LayerCAM("encoder.1"), "encoder.1"),
        ],
        ids=lambda v: type(v).__name__ if not isinstance(v, str | None) else "",
    )
    def test_same_maps_under_the_same_layer_names(self, unet: UNet, net: Network, method: Any, layer: str | None):
        twin = Network(module=unet, convention=net.convention)
        x = torch.rand(2, 3, 16, 16)
        targets = sl.Targets.of([sl.Target(1, sl.everything), sl.Target(0, sl.everything)])
        theirs, ours = method(twin, x, targets).values, method(net, x, targets).values
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max()))

    def test_default_layer_is_the_same(self, unet: UNet, net: Network):
        x = torch.rand(1, 3, 16, 16)
        from seglens.networks.layers import default_layer_of

        assert default_layer_of(net, x) == default_layer_of(Network(module=unet), x) == "encoder.1"


class TestLayers:
    def test_nodes_and_their_groups_can_be_tapped(self, unet: UNet, net: Network):
        x = torch.rand(1, 3, 16, 16)
        with capture(net, ["encoder.1", "encoder.1.1.Conv", "encoder.0.2.Relu", "head.Conv"]) as taps:
            y = net(x)
            torch.testing.assert_close(taps["encoder.1"], unet.encoder[:2](x))
            torch.testing.assert_close(
                taps["encoder.1.1.Conv"], unet.encoder[1][1](unet.encoder[1][0](unet.encoder[0](x)))
            )
            torch.testing.assert_close(taps["head.Conv"], y)

    def test_what_a_hook_gives_is_what_goes_on(self, file: Path):
        net = load_onnx(file, Request()).module
        x = torch.rand(1, 3, 16, 16)
        before = net(x)
        for layer in ("encoder.1", "encoder.1.1.Conv"):
            handle = net.get_submodule(layer).register_forward_hook(lambda m, a, y: torch.zeros_like(y))
            assert not torch.allclose(net(x), before)
            handle.remove()
        torch.testing.assert_close(net(x), before)

    def test_genuine_classes_and_names(self, net: Network):
        kinds = {p: type(m) for p, m in net.module.named_modules()}
        assert kinds["encoder.1.1.Conv"] is nn.Conv2d
        assert kinds["encoder.1.2.Relu"] is nn.ReLU
        assert not any("Shape" in p or "Constant" in p for p in kinds), "sizes are no layers"

    def test_a_copy_is_a_network_of_its_own(self, net: Network):
        x = torch.rand(1, 3, 16, 16)
        copied = copy.deepcopy(net.module)
        with torch.no_grad():
            for p in copied.parameters():
                p.zero_()
        assert copied(x).abs().max() == 0
        assert net.module(x).abs().max() > 0

    def test_double_and_second_derivatives(self, file: Path):
        net = load_onnx(file, Request()).module.double()
        x = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
        assert net(x).dtype == torch.float64
        assert torch.autograd.gradcheck(lambda v: net(v).tanh().sum(), x)
        assert torch.autograd.gradgradcheck(lambda v: net(v).tanh().sum(), x)

    def test_hard_gates_have_second_derivatives(self, tmp_path: Path):
        net = load_onnx(exported(made(Mobile()), tmp_path / "a.onnx"), Request()).module.double()
        x = torch.rand(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradgradcheck(lambda v: net(v).square().sum(), x)

    @pytest.mark.parametrize(
        ("names", "paths"),
        [
            (["/encoder/conv1/Conv", "/Concat"], ["encoder.conv1.Conv", "Concat"]),
            (["/layer1/layer1.0/conv1/Conv"], ["layer1.0.conv1.Conv"]),
            (["", "", "Conv"], ["Conv_0", "Conv_1", "Conv"]),
            (["a/b", "a/b"], ["a.b", "a.b_1"]),
            (["a", "a/b"], ["a_1", "a.b"]),
            (["/forward/type", "x#3"], ["forward_.type_", "x_3"]),
        ],
    )
    def test_paths(self, names: list[str], paths: list[str]):
        assert paths_of([Node("Conv", "", 18, n, (), ("y",), {}) for n in names]) == paths

    def test_the_module_that_torch_notes_goes_before_the_name(self):
        node = Node("Conv", "", 18, "node_conv2d_3", (), ("y",), {}, scope="encoder.0.conv")
        assert paths_of([node]) == ["encoder.0.conv.node_conv2d_3"]


class TestEnds:
    @pytest.mark.parametrize("opset", [11, 17])
    @pytest.mark.parametrize(("end", "link"), [("softmax", "softmax"), ("sigmoid", "sigmoid"), ("labels", None)])
    def test_logits_before_the_link(self, end: str, link: str | None, opset: int, tmp_path: Path):
        twin = made(UNet(end=end))
        loaded = load_onnx(exported(twin, tmp_path / "a.onnx", opset), Request())
        assert loaded.fields.get("link") == link
        assert any(word in loaded.notes[0] for word in ("logits before it are taken", "scores before them are taken"))
        x = torch.rand(2, 3, 16, 16)
        logits = twin.logits(x)
        torch.testing.assert_close(
            loaded.module(x), logits[:, :1] if end == "sigmoid" else logits, rtol=1e-4, atol=1e-5
        )

    def test_labels_beside_their_scores_say_nothing_more(self, tmp_path: Path):
        twin = made(UNet(end="both"))
        loaded = load_onnx(exported(twin, tmp_path / "a.onnx"), Request())
        x = torch.rand(1, 3, 16, 16)
        y = loaded.module(x)
        torch.testing.assert_close(y, twin.logits(x), rtol=1e-4, atol=1e-5)

    def test_link_read_by_others_stays(self):
        nodes = [
            helper.make_node("Conv", ["x", "w"], ["z"], name="conv"),
            helper.make_node("Sigmoid", ["z"], ["y"], name="link"),
            helper.make_node("Mul", ["y", "z"], ["other"], name="mul"),
        ]
        proto = model(nodes, {"x": rand(1, 3, 8, 8)}, {"w": rand(1, 3, 1, 1)}, {"y": 1, "other": 1})
        loaded = adapt(proto)
        assert loaded is not None
        y = loaded.module(torch.rand(1, 3, 8, 8))["y"].detach()
        assert 0 < float(y.min()) < float(y.max()) < 1
        assert "no logits are to be had" in loaded.notes[0]

    def test_softmax_over_all_axes_is_no_link(self):
        """Before operator set 13, Softmax(axis=1) sums over channels and places together."""
        nodes = [helper.make_node("Softmax", ["x"], ["y"], name="s", axis=1)]
        x = rand(1, 3, 4, 4)
        loaded = adapt(model(nodes, {"x": x}, opset=11, shapes={"y": (1, 3, 4, 4)}))
        assert loaded is not None
        assert "link" not in loaded.fields
        assert float(loaded.module(torch.from_numpy(x)).sum()) == pytest.approx(1)

    def test_channels_last(self):
        """As TensorFlow's converters write: channels brought forward, and back at the end."""
        nodes = [
            helper.make_node("Transpose", ["x"], ["t"], name="in", perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["t", "w"], ["z"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Transpose", ["z"], ["u"], name="out", perm=[0, 2, 3, 1]),
            helper.make_node("Softmax", ["u"], ["y"], name="softmax", axis=-1),
        ]
        w = rand(5, 3, 3, 3)
        shapes = {"x": ("n", 12, 10, 3), "y": ("n", 12, 10, 5)}
        loaded = adapt(model(nodes, {"x": rand(1, 12, 10, 3)}, {"w": w}, shapes=shapes, opset=13))
        assert loaded is not None
        assert dict(loaded.convention) == {"channels": 3, "size": (12, 10)}
        x = torch.rand(2, 3, 12, 10)
        expected = nn.functional.conv2d(x, torch.from_numpy(w), padding=1)
        torch.testing.assert_close(loaded.module(x), expected, rtol=1e-4, atol=1e-5)
        assert loaded.fields["link"] == "softmax"

    def test_whole_numbers_are_differentiated_as_fractions(self):
        nodes = [
            helper.make_node("Cast", ["x"], ["f"], name="cast", to=1),
            helper.make_node("Conv", ["f", "w"], ["y"], name="conv"),
        ]
        loaded = adapt(model(nodes, {"x": np.zeros((1, 3, 8, 8), np.uint8)}, {"w": rand(2, 3, 1, 1)}))
        assert loaded is not None
        assert loaded.convention["range"] == (0.0, 255.0)
        assert "whole numbers" in loaded.notes[0]
        x = torch.full((1, 3, 8, 8), 100.0, requires_grad=True)
        assert torch.autograd.grad(loaded.module(x).sum(), x)[0].abs().min() > 0

    def test_class_names_of_the_file(self):
        proto = model([helper.make_node("Conv", ["x", "w"], ["y"])], {"x": rand(1, 3, 8, 8)}, {"w": rand(2, 3, 1, 1)},
                      shapes={"y": (1, 2, 8, 8)})  # fmt: skip
        for text, names in (("{0: 'sky', 1: 'car'}", ("sky", "car")), ('["a", "b", "c"]', None), ("__import__", None)):
            del proto.metadata_props[:]
            helper.set_model_props(proto, {"names": text})
            loaded = adapt(proto)
            assert loaded is not None
            assert loaded.fields.get("classes") == names


class TestBatches:
    def test_fixed_batch_that_is_free_in_truth(self, unet: UNet, tmp_path: Path):
        loaded = load_onnx(exported(unet, tmp_path / "a.onnx", shape=(1, 3, 16, 16), free=False), Request())
        assert loaded.batch is None
        x = torch.rand(3, 3, 16, 16)
        torch.testing.assert_close(loaded.module(x), unet(x), rtol=1e-4, atol=1e-5)

    def test_batch_written_into_the_graph(self):
        nodes = [
            helper.make_node("Reshape", ["x", "s"], ["r"], name="r"),
            helper.make_node("Conv", ["r", "w"], ["y"], name="conv"),
        ]
        loaded = adapt(model(nodes, {"x": rand(1, 3, 8, 8)}, {"s": ints(1, 3, 8, 8), "w": rand(2, 3, 1, 1)}))
        assert loaded is not None
        assert loaded.batch == 1
        assert loaded.module(torch.rand(3, 3, 8, 8)).shape == (3, 2, 8, 8)

    def test_several_inputs(self):
        proto = model([helper.make_node("Mul", ["x", "c"], ["y"])], {"x": rand(1, 3, 8, 8), "c": rand(1, 3, 1, 1)})
        loaded = adapt(proto)
        assert loaded is not None
        net = Network(module=loaded.module, extra=(torch.full((1, 3, 1, 1), 2.0),))
        x = torch.rand(1, 3, 8, 8)
        torch.testing.assert_close(net(x), 2 * x)
        with pytest.raises(NetworkError, match=r"takes 2 input\(s\), 'x', 'c', not 1"):
            Network(module=loaded.module)(x)


class TestStructure:
    def test_branch_that_is_known(self):
        def branch(name: str, op: str) -> onnx.GraphProto:
            out = helper.make_tensor_value_info(f"{name}_y", 1, None)
            return helper.make_graph([helper.make_node(op, ["x"], [f"{name}_y"], name=name)], name, [], [out])

        for known, kind in ((True, nn.ReLU), (False, nn.Sigmoid)):
            node = helper.make_node(
                "If", ["c"], ["y"], name="if", then_branch=branch("a", "Relu"), else_branch=branch("b", "Sigmoid")
            )
            nodes = [node, helper.make_node("Add", ["y", "x"], ["z"])]
            proto = model(nodes, {"x": rand(1, 3, 4, 4)}, {"c": np.array(known)}, {"z": 1})
            loaded = adapt(proto)
            assert loaded is not None
            assert kind in {type(m) for m in loaded.module.modules()}

    def test_functions_of_the_file_are_written_out(self):
        function = helper.make_function(
            "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"], name="add")],
            [helper.make_opsetid("", 18)],
        )  # fmt: skip
        graph = model([helper.make_node("Twice", ["x"], ["y"], name="t", domain="own")], {"x": rand(1, 3, 4, 4)}).graph
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
        loaded = adapt(helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8))
        assert loaded is not None
        x = torch.rand(1, 3, 4, 4)
        torch.testing.assert_close(loaded.module(x), 2 * x)

    def test_half_precision_weights(self):
        w = rand(2, 3, 1, 1).astype(np.float16)
        nodes = [helper.make_node("Conv", ["x", "w"], ["y"], name="conv")]
        loaded = adapt(model(nodes, {"x": rand(1, 3, 4, 4).astype(np.float16)}, {"w": w}, {"y": 10}))
        assert loaded is not None
        assert loaded.module(torch.rand(1, 3, 4, 4)).dtype == torch.float16

    def test_bfloat16_weights(self):
        value = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
        proto = helper.make_tensor("w", 16, [2], value.view(torch.int16).numpy().tobytes(), raw=True)
        from seglens.networks.onnx.tensors import decode

        assert torch.equal(decode(proto, "w"), value)

    def test_the_given_model_is_not_changed(self, file: Path):
        proto = onnx.load(str(file))
        before = proto.SerializeToString(deterministic=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sl.load(proto)
        assert proto.SerializeToString(deterministic=True) == before
        assert adapt(numpy_helper) is None
