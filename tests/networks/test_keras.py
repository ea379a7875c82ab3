"""Keras models in memory: the same numbers as their twin in torch, layers under Keras's names, nothing left behind."""

import copy
import os
import sys
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from keras_models import CLASSES, LAYOUTS, STYLES, L, images, k, keras_unet, probabilities, torch_unet
from torch import nn

import seglens as sl
from seglens.core.capture import capture
from seglens.core.errors import GuessWarning, NetworkError, ShapeError
from seglens.core.network import Network
from seglens.core.targets import Targets
from seglens.networks.keras import adapt, importing, keras
from seglens.networks.keras.module import KerasModule
from seglens.networks.layers import layers_of
from seglens.testing import untouched

EVERY = [(style, layout) for style in STYLES for layout in LAYOUTS]


def network(model: Any, **fields: Any) -> Network:
    return sl.load(model, convention={"channels": 3}, **fields)


def said(model: Any, **fields: Any) -> tuple[Network, list[str]]:
    """The network, and what was said of it beside the guess of its input."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        net = sl.load(model, **fields)
    return net, [str(w.message) for w in found if "how" not in str(w.message)[:14]]


def path_of(layer: str, style: str) -> str:
    return f"encoder.{layer}" if style == "nested" and layer in ("enter", "norm", "relu") else layer


class TestSameAsTorch:
    @pytest.mark.parametrize(("style", "layout"), EVERY)
    def test_probabilities_are_the_models_and_logits_the_twins(self, style: str, layout: str):
        model = keras_unet(style, layout)
        net = network(model)
        assert (net.emits, net.link, net.name) == ("logits", "softmax", style)
        x = images()
        with torch.no_grad():
            y, twin = net(x), torch_unet()(x)
        torch.testing.assert_close(y, twin, rtol=1e-4, atol=1e-5)
        assert float(twin.std()) > 0.3  # logits that differ enough for a softmax to be seen
        torch.testing.assert_close(net.scores(y, "probabilities"), probabilities(model, x, layout))

    @pytest.mark.parametrize(("style", "layout"), EVERY)
    @pytest.mark.parametrize(
        "method",
        [
            sl.Saliency(channels="signed"),
            sl.IntegratedGradients(nodes=4, most=4, gap=1.0),
            sl.GradCAM("up", relu=False, truncate=True),
            sl.GradCAM("norm", relu=False, truncate=True),
            sl.ContextSaliency(sparsity=1e-6, steps=3, fill="black"),
        ],
        ids=["saliency", "integrated gradients", "grad-cam at up", "grad-cam at norm", "context saliency"],
    )
    def test_maps_are_the_twins(self, style: str, layout: str, method: Any):
        model = keras_unet(style, layout)
        mine, twin = network(model), network(torch_unet())
        asked = Targets.of([sl.Target(c, sl.box(2, 3, 9, 12)) for c in (0, 2)])
        x = images()
        here = method
        if isinstance(method, sl.GradCAM):
            here = replace(method, layer=path_of(str(method.layer), style))
        with untouched(mine), untouched(model):
            found = here(mine, x, asked)
        expected = method(twin, x, asked)
        scale = float(expected.values.abs().max())
        assert scale > 0
        torch.testing.assert_close(found.values, expected.values, rtol=0, atol=1e-4 * scale)
        torch.testing.assert_close(found.score, expected.score, rtol=1e-4, atol=1e-5)

    def test_volumes(self):
        x = k.Input((6, 8, 10, 2))
        model = k.Model(x, L.Conv3D(3, 3, padding="same", activation="softmax", name="head")(x))
        conv = nn.Conv3d(2, 3, 3, padding=1)
        conv.weight.data = model.get_layer("head").kernel.value.detach().permute(4, 3, 0, 1, 2).contiguous()
        conv.bias.data.zero_()
        v = torch.rand(2, 2, 6, 8, 10)
        net = sl.load(model, convention={"channels": 2})
        torch.testing.assert_close(net(v), conv(v))


class TestTree:
    @pytest.mark.parametrize(("style", "layout"), EVERY)
    def test_shows_keras_names_and_every_layer_is_seen_to_run(self, style: str, layout: str):
        model = keras_unet(style, layout)
        net = network(model)
        tree = layers_of(net, images())
        names = ["enter", "norm", "relu", "pool", "deep", "up", "skip", "head"]
        names += ["softmax"] if layout == "channels_first" else []
        expected = {path_of(n, style) for n in names} | ({"encoder"} if style == "nested" else set())
        assert {a.path for a in tree} == expected | {""}
        assert all(a.runs == 1 for a in tree)
        assert {a.path: a.type for a in tree}[path_of("enter", style)] == "Conv2D"
        with capture(net, sorted(expected)) as taps:
            net(images())
            seen = {name: taps[name] for name in taps}
        assert all(t.numel() for t in seen.values())

    def test_all_weights_under_their_names_once(self):
        model = keras_unet("nested")
        net = network(model)
        named = dict(net.module.named_parameters())
        assert {"encoder.enter.kernel", "encoder.norm.moving_mean", "head.bias"} <= set(named)
        held = {id(v.value) for v in model.variables}
        assert {id(p) for p in named.values()} == held
        assert set(net.module.state_dict()) == set(named)

    def test_a_shared_layer_is_one_module_that_runs_twice(self):
        shared = L.Conv2D(3, 3, padding="same", name="shared")
        x = k.Input((8, 8, 3))
        model = k.Model(x, L.Conv2D(2, 1, name="head")(shared(shared(x))))
        net = network(model)
        assert [n for n, _ in net.module.named_parameters()].count("shared.kernel") == 1
        assert {a.path: a.runs for a in layers_of(net, images(side=8))}["shared"] == 2

    def test_hooks_of_both_directions_fire(self):
        net = network(keras_unet("nested"))
        layer = net.layer("encoder.norm")
        seen: list[str] = []
        handles = [
            layer.register_forward_hook(lambda *_: seen.append("forward")),
            layer.register_full_backward_hook(lambda *_: seen.append("backward")),
        ]
        net(images().requires_grad_()).sum().backward()
        for handle in handles:
            handle.remove()
        net(images())
        assert seen == ["forward", "backward"]
        x = torch.rand(1, 16, 16, 6)
        torch.testing.assert_close(layer(x), net.module.model.get_layer("encoder").get_layer("norm")(x))

    def test_torch_modules_inside_are_layers_too_and_keep_their_mode(self):
        x = k.Input((3, 8, 8))
        inside = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Dropout(0.5))
        y = k.layers.TorchModuleWrapper(inside, output_shape=(None, 4, 8, 8), name="torch")(x)
        model = k.Model(x, L.Conv2D(2, 1, data_format="channels_first", name="head")(y))
        net = network(model)
        assert "torch.module.0.weight" in dict(net.module.named_parameters())
        model(images(side=8), training=True)
        assert inside.training
        with untouched(net), untouched(model), capture(net, ["torch.module.0"]) as taps:
            one, two = net(images(side=8)), net(images(side=8))
            assert taps["torch.module.0"].shape == (2, 4, 8, 8)
        assert model.get_layer("torch").training
        assert inside.training
        torch.testing.assert_close(one, two)


class TestEnding:
    def ended(self, build: Any, side: int | None = 8) -> tuple[Network, list[str], Any]:
        x = k.Input((side, side, 3))
        model = k.Model(x, build(x), name="model")
        net, notes = said(model)
        return net, notes, model

    @pytest.mark.parametrize(
        ("build", "link"),
        [
            (lambda x: L.Conv2D(3, 1, activation="softmax")(x), "softmax"),
            (lambda x: L.Conv2DTranspose(3, 1, activation="sigmoid")(x), "sigmoid"),
            (lambda x: L.Activation("softmax", dtype="float32")(L.Conv2D(3, 1)(x)), "softmax"),
            (lambda x: L.Softmax()(L.Conv2D(3, 1)(x)), "softmax"),
            (lambda x: k.ops.softmax(L.Conv2D(3, 1)(x)), "softmax"),
            (lambda x: k.ops.sigmoid(L.Conv2D(3, 1)(x)), "sigmoid"),
            (lambda x: L.Dropout(0.5)(L.Conv2D(3, 1, activation="softmax")(x)), "softmax"),
            (lambda x: L.Reshape((64, 3))(L.Conv2D(3, 1, activation="softmax")(x)), "softmax"),
            (lambda x: L.Activation("softmax")(L.Reshape((64, 3))(L.Conv2D(3, 1)(x))), "softmax"),
            (lambda x: k.Sequential([L.Conv2D(3, 1), L.Softmax()])(x), "softmax"),
            (lambda x: L.Dense(5, activation="softmax")(L.Flatten()(x)), "softmax"),
        ],
        ids=["fused", "fused sigmoid", "Activation", "Softmax", "op", "op sigmoid", "Dropout", "Reshape", "rows",
             "nested", "Dense"],
    )  # fmt: skip
    def test_separated(self, build: Any, link: str):
        net, notes, model = self.ended(build)
        assert (net.emits, net.link, notes) == ("logits", link, [])
        x = images(side=8)
        with torch.no_grad(), untouched(net), untouched(model):
            y = net(x)
        raw = model(x.movedim(1, -1), training=False)
        raw = raw.reshape(2, 8, 8, 3) if raw.ndim == 3 else raw
        torch.testing.assert_close(net.scores(y, "probabilities"), raw.movedim(-1, 1) if raw.ndim > 2 else raw)
        assert float((y - net.scores(y, "probabilities")).abs().max()) > 1e-3

    @pytest.mark.parametrize(
        ("build", "link", "why"),
        [
            (lambda x: L.UpSampling2D(2)(L.Conv2D(3, 2, 2, activation="softmax")(x)), "softmax", "comes after it"),
            (lambda x: L.Resizing(8, 8)(L.Conv2D(3, 2, 2, activation="sigmoid")(x)), "sigmoid", "comes after it"),
            (lambda x: L.Lambda(lambda t: k.ops.softmax(t))(L.Conv2D(3, 1)(x)), "softmax", "no layer of Keras"),
            (lambda x: (lambda y: y * y)(L.Conv2D(3, 1, activation="sigmoid")(x)), "sigmoid", "no layer of Keras"),
            (lambda x: L.Conv2D(3, 1, activation="softmax")(x)[..., :2], "sigmoid", "no layer of Keras"),
        ],
        ids=["UpSampling", "Resizing", "Lambda", "product", "slice"],
    )
    def test_sealed_and_said(self, build: Any, link: str, why: str):
        net, notes, model = self.ended(build)
        assert (net.emits, net.link, len(notes)) == ("probabilities", link, 1)
        assert f"the {link} of model cannot be separated" in notes[0]
        assert why in notes[0]
        x = images(side=8)
        torch.testing.assert_close(net(x), probabilities(model, x))

    def test_an_activation_over_another_axis_is_not_taken_for_classes(self):
        x = k.Input((3, 8, 8))
        model = k.Model(x, L.Conv2D(3, 1, activation="softmax", data_format="channels_first")(x))
        net, notes = said(model)
        assert net.emits == "probabilities"
        assert "axis -1, which is not that of the channels" in notes[0]

    def test_an_activation_that_is_read_elsewhere_stays(self):
        x = k.Input((8, 8, 3))
        p = L.Conv2D(3, 1, activation="softmax", name="p")(x)
        both = k.Model(x, [p, L.Conv2D(3, 1, activation="softmax", name="q")(p)], name="model")
        net, notes = said(both, output="q")
        assert net.emits == "probabilities"
        assert "other outputs end otherwise" in notes[0] or "read elsewhere" in notes[0]
        y = both(images(side=8).movedim(1, -1), training=False)[1]
        torch.testing.assert_close(net(images(side=8)), y.movedim(-1, 1))

    @pytest.mark.parametrize("activation", [None, "relu", "tanh"])
    def test_scores_are_scores(self, activation: str | None):
        net, notes, model = self.ended(lambda x: L.Conv2D(3, 1, activation=activation)(x))
        assert (net.emits, net.link, notes) == ("logits", None, [])
        torch.testing.assert_close(net(images(side=8)), probabilities(model, images(side=8)))

    def test_rectified_features_in_0_to_1_are_no_probabilities(self):
        net, notes, _ = self.ended(lambda x: L.ReLU(max_value=6)(L.Conv2D(3, 1, kernel_initializer="zeros")(x)))
        assert (net.emits, notes) == ("logits", [])

    @pytest.mark.parametrize(("activation", "link"), [("softmax", "softmax"), ("sigmoid", "sigmoid"), ("relu", None)])
    def test_of_code_found_by_running_it_once(self, activation: str, link: str | None):
        class Code(k.Model):
            def __init__(self) -> None:
                super().__init__(name="code")
                self.head = L.Conv2D(3, 1, activation=activation, name="head")

            def call(self, x: Any) -> Any:
                return self.head(x)

        model = Code()
        model(np.zeros((1, 8, 8, 3), "float32"))
        with untouched(model):
            net, notes = said(model)
        assert (net.emits, net.link, notes) == ("logits", link, [])
        expected = probabilities(model, images(side=8))
        torch.testing.assert_close(
            net.scores(net(images(side=8)), "probabilities") if link else net(images(side=8)), expected
        )

    def test_of_code_that_applies_it_itself_is_said(self):
        class Code(k.Model):
            def __init__(self) -> None:
                super().__init__(name="code")
                self.head = L.Conv2D(3, 1, name="head")

            def call(self, x: Any) -> Any:
                return k.ops.softmax(self.head(x))

        model = Code()
        model(np.zeros((1, 8, 8, 3), "float32"))
        net, notes = said(model)
        assert (net.emits, net.link) == ("probabilities", "softmax")
        assert "code of the model's own" in notes[0]

    def test_what_is_stated_goes_before(self):
        model = keras_unet()
        net = network(model, emits="probabilities")
        assert net.emits == "probabilities"
        torch.testing.assert_close(net(images()), probabilities(model, images()))

    def test_the_users_model_gives_probabilities_afterwards_also_when_the_pass_failed(self):
        model = keras_unet()
        before = probabilities(model, images())
        net = network(model)
        net(images())
        with pytest.raises(ShapeError):
            net(images(side=15))
        handle = model.get_layer("head").register_forward_hook(lambda *_: 1 / 0)
        with pytest.raises(NetworkError):
            net(images())
        handle.remove()
        torch.testing.assert_close(probabilities(model, images()), before)

    def test_threads_do_not_take_the_activation_from_each_other(self):
        model = keras_unet()
        net = network(model)
        expected = net(images())
        found: list[torch.Tensor] = []

        def work() -> None:
            found.extend(net(images()) for _ in range(5))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert len(found) == 20
        assert all(torch.equal(y, expected) for y in found)
        assert model.get_layer("head").activation is k.activations.softmax


class TestInputsAndOutputs:
    def several(self, structure: type = list) -> Any:
        image, vector = k.Input((8, 8, 3), name="image"), k.Input((5,), name="condition")
        y = L.Conv2D(4, 1)(image) + L.Reshape((1, 1, 4))(L.Dense(4)(vector))
        outputs = {
            "coarse": L.Conv2D(2, 1, activation="softmax", name="coarse")(y),
            "fine": L.Conv2D(3, 1, activation="softmax", name="fine")(y),
        }
        if structure is dict:
            return k.Model({"image": image, "condition": vector}, outputs, name="several")
        return k.Model([image, vector], list(outputs.values()), name="several")

    @pytest.mark.parametrize("structure", [list, dict])
    def test_by_names_in_the_models_order(self, structure: type):
        model = self.several(structure)
        x, condition = images(side=8), torch.rand(2, 5)
        net = network(model, output="fine", extra=(condition,))
        assert (net.emits, net.link) == ("logits", "softmax")
        given = [x.movedim(1, -1), condition]
        returned = model(dict(zip(("image", "condition"), given, strict=True)) if structure is dict else given)
        expected = (returned["fine"] if structure is dict else returned[1]).movedim(-1, 1)
        torch.testing.assert_close(net(x).softmax(1), expected)
        why = sl.Saliency()(net, x, Targets.of([sl.Target(1, sl.everything)]))
        assert float(why.values.abs().max()) > 0

    def test_too_few_inputs_are_listed(self):
        net = network(self.several())
        with pytest.raises(NetworkError, match=r"takes 2 inputs, and was given 1: image \(any, 8, 8, 3\), condition"):
            net(images(side=8))

    def test_no_output_named(self):
        net = network(self.several(), extra=(torch.rand(2, 5),))
        with pytest.raises(NetworkError, match=r"coarse \(2, 2, 8, 8\), fine \(2, 3, 8, 8\)"):
            net(images(side=8))

    def test_outputs_that_end_differently_are_said(self):
        x = k.Input((8, 8, 3))
        ends = [L.Conv2D(2, 1, activation=a, name=a)(x) for a in ("softmax", "sigmoid")]
        net, notes = said(k.Model(x, ends, name="two"), output="sigmoid", link="sigmoid")
        assert net.emits == "probabilities"
        assert "the outputs of two end differently (sigmoid, softmax)" in notes[0]

    def test_wrong_size(self):
        with pytest.raises(ShapeError, match=r"was built for inputs \[batch, 3, 16, 16\], not \[2, 3, 15, 15\]"):
            network(keras_unet())(images(side=15))

    def test_images_without_an_axis_of_channels_and_a_single_channel_out(self):
        x = k.Input((8, 8))
        y = L.Reshape((8, 8))(L.Conv2D(1, 1, activation="sigmoid")(L.Reshape((8, 8, 1))(x)))
        net = sl.load(k.Model(x, y), convention={"channels": 1})
        assert net(torch.rand(2, 1, 8, 8)).shape == (2, 1, 8, 8)

    def test_places_in_a_row_are_a_map_again(self):
        x = k.Input((8, 12, 3))
        y = L.Conv2D(5, 1, strides=2, activation="softmax")(x)
        rows = k.Model(x, L.Reshape((24, 5))(y))
        net, maps = network(rows), network(k.Model(x, y))
        v = torch.rand(2, 3, 8, 12)
        assert torch.equal(net(v), maps(v))


class TestManners:
    def test_of_a_model_that_was_not_built(self):
        with pytest.raises(NetworkError, match=r"was not built yet.*\n  Call it once on an example"):
            network(k.Sequential([L.Conv2D(3, 1)]))

    def test_other_types_of_numbers_are_refused_in_words(self):
        net = network(keras_unet())
        net.module.double()
        with pytest.raises(NetworkError, match=r"computes in float32, .* turned to torch.float64"):
            net(images())

    def test_dropout_and_batch_norm_are_in_evaluation_whatever_the_mode(self):
        x = k.Input((8, 8, 3))
        model = k.Model(x, L.Dropout(0.5)(L.BatchNormalization()(L.Conv2D(3, 1)(x))))
        net = network(model)
        net.module.train()
        with untouched(net), untouched(model):
            torch.testing.assert_close(net(images(side=8)), net(images(side=8)))

    def test_a_copy_shares_nothing(self):
        net = network(keras_unet("nested"))
        made = copy.deepcopy(net.module)
        assert isinstance(made, KerasModule)
        torch.testing.assert_close(made(images()), net.module(images()))
        with torch.no_grad():
            next(made.parameters()).add_(1.0)
        assert not torch.equal(made(images()), net.module(images()))
        torch.testing.assert_close(net.module(images()).softmax(1), probabilities(net.module.model, images()))

    def test_loading_leaves_the_model_and_the_world_alone(self):
        model = keras_unet("subclassed")
        with untouched(model):
            network(model)

    def test_no_model_is_no_network(self):
        assert adapt(k.optimizers.Adam()) is None

    def test_keras_on_another_backend_is_refused(self, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(k.backend, "backend", lambda: "jax")
        with pytest.raises(NetworkError, match=r"already runs on jax.*\n.*KERAS_BACKEND=torch"):
            keras()

    def test_first_import_writes_no_settings_and_leaves_the_environment(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("KERAS_BACKEND", "jax")
        monkeypatch.delenv("KERAS_HOME", raising=False)
        config = sys.modules["keras.src.backend.config"]
        with importing():
            elsewhere = os.environ["KERAS_HOME"]
            assert os.environ["KERAS_BACKEND"] == "torch"
            assert not elsewhere.startswith(str(tmp_path / ".keras"))
            monkeypatch.setattr(config, "_KERAS_DIR", elsewhere)  # as the import does
        assert (os.environ["KERAS_BACKEND"], os.environ.get("KERAS_HOME")) == ("jax", None)
        assert config.keras_home() == str(tmp_path / ".keras")
        assert not Path(elsewhere).exists()
        (tmp_path / ".keras").mkdir()
        (tmp_path / ".keras" / "keras.json").write_text("{}")
        with importing():
            assert "KERAS_HOME" not in os.environ  # the user's own settings are read


def test_the_guess_of_the_input_is_said():
    with pytest.warns(GuessWarning, match=r"guessed how functional takes images: 3 channel\(s\), RGB, values 0 to 1"):
        net = sl.load(keras_unet())
    assert net.convention.size == (16, 16)
    assert net(images()).shape[1] == CLASSES
