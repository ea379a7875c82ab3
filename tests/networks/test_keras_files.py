"""Keras files: what Keras wrote opens with the same numbers; what could run code is refused before Keras sees it."""

import base64
import json
import marshal
import random
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from keras_models import L, Subclassed, images, k, keras_unet, probabilities, save, torch_unet
from keras_written import (
    convolution,
    edited,
    functional,
    keras2_layer,
    keras2_unet,
    layer_names,
    tampered,
    write_keras2,
)
from pt2 import Bomb, saved

import seglens as sl
from seglens.core.errors import NetworkError, UnsafeFileError
from seglens.core.network import Network
from seglens.networks.keras.files import check_hdf5

CONVENTION = {"channels": 3}


def opened(path: Path, **options: Any) -> Network:
    return sl.load(path, convention=CONVENTION, **options)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(keras_unet("nested"), tmp_path_factory.mktemp("keras") / "good.keras")


@pytest.fixture(scope="module")
def good_h5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(keras_unet("nested"), tmp_path_factory.mktemp("keras") / "good.h5")


@pytest.fixture
def unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keras is not to see the file at all: its own refusals are a second wall, not the first."""

    def seen(*_: object, **__: object) -> None:
        raise AssertionError("Keras was given the file")

    monkeypatch.setattr(k.saving, "load_model", seen)


class TestWrittenByKeras:
    @pytest.mark.parametrize("suffix", ["keras", "h5"])
    def test_same_numbers_layers_and_ending(self, suffix: str, good: Path, good_h5: Path):
        net = opened(good if suffix == "keras" else good_h5)
        assert (net.name, net.emits, net.link) == ("good", "logits", "softmax")
        assert "encoder.norm" in dict(net.module.named_modules())
        torch.testing.assert_close(net(images()), torch_unet()(images()), rtol=1e-4, atol=1e-5)

    def test_told_by_content_not_by_suffix(self, good: Path, good_h5: Path, tmp_path: Path):
        for source, suffix in ((good, "h5"), (good_h5, "keras"), (good_h5, "hdf5"), (good, "bin")):
            other = tmp_path / f"other.{suffix}"
            other.write_bytes(source.read_bytes())
            assert opened(other).link == "softmax"

    def test_random_states_and_files_stay(self, good: Path):
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        listed = sorted(good.parent.iterdir())
        opened(good)
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        assert before[:2] == after[:2]
        assert torch.equal(before[2], after[2])
        assert sorted(good.parent.iterdir()) == listed

    def test_recompressed(self, good: Path, tmp_path: Path):
        opened(tampered(good, tmp_path / "a.keras", lambda _: None, compress=True))

    def test_what_only_training_needs_is_left_out_unread(self, tmp_path: Path):
        model = keras_unet()
        model.compile(optimizer="adam", loss=lambda true, found: k.ops.mean(found))
        torch.testing.assert_close(
            opened(save(model, tmp_path / "a.keras"))(images()), torch_unet()(images()), rtol=1e-4, atol=1e-5
        )

    def test_description_goes_before(self, good: Path, tmp_path: Path):
        copy = tmp_path / "net.keras"
        copy.write_bytes(good.read_bytes())
        (tmp_path / "net.toml").write_text(
            'emits = "probabilities"\nclasses = ["a", "b", "c", "d"]\n[input]\nmean = 0.0\n'
        )
        net = sl.load(copy)
        torch.testing.assert_close(net(images()), probabilities(keras_unet(), images()))
        assert net.classes is not None

    @pytest.mark.parametrize("name", ["a.weights.h5", "a.keras", "a.h5"])
    def test_weights_into_what_a_constructor_builds(self, name: str, tmp_path: Path):
        path = save(keras_unet(seed=1), tmp_path / name)
        net = opened(path, constructor=keras_unet)
        torch.testing.assert_close(net(images()), torch_unet(1)(images()), rtol=1e-4, atol=1e-5)

    def test_weights_alone_ask_for_their_model(self, tmp_path: Path):
        path = save(keras_unet(), tmp_path / "a.weights.h5")
        with pytest.raises(
            NetworkError, match=r"a.weights.h5 holds weights, not a network.*\n  Say so with constructor"
        ):
            opened(path)
        with pytest.raises(NetworkError, match=r"a.weights.h5 cannot be built by Keras 3"):
            opened(path, constructor=lambda: k.Sequential([k.Input((8, 8, 3)), L.Conv2D(2, 1)]))
        with pytest.raises(NetworkError, match=r"that has no weights yet.\n  Let it call the model once"):
            opened(path, constructor=lambda: k.Sequential([L.Conv2D(2, 1)]))
        with pytest.raises(NetworkError, match=r"holds weights of Keras; the constructor gave a Linear"):
            opened(path, constructor=lambda: torch.nn.Linear(1, 1))

    def test_code_of_the_users_own(self, tmp_path: Path):
        path = save(keras_unet("subclassed"), tmp_path / "a.keras")
        with pytest.raises(UnsafeFileError, match=r"Subclassed.*\n  .*constructor="):
            opened(path)
        net = opened(path, constructor=lambda: keras_unet("subclassed", seed=1))
        torch.testing.assert_close(net(images()), torch_unet(0)(images()), rtol=1e-4, atol=1e-5)

    def test_lambda_runs_where_trusted(self, tmp_path: Path):
        x = k.Input((8, 8, 3))
        model = k.Model(x, L.Conv2D(2, 1, name="head")(L.Lambda(lambda t: t * 2.0, name="twice")(x)))
        for name in ("a.keras", "a.h5"):
            path = save(model, tmp_path / name)
            with pytest.raises(
                UnsafeFileError, match=rf"{name} could run code .*twice \(Lambda: it holds Python code\)"
            ):
                opened(path)
            net = opened(path, trust=True)
            torch.testing.assert_close(net(images(side=8)), probabilities(model, images(side=8)))


class TestKeras2:
    def test_written_by_tensorflow(self, tmp_path: Path):
        config, weights = keras2_unet()
        net = opened(write_keras2(tmp_path / "old.h5", config, weights, layer_names(config)))
        assert (net.emits, net.link) == ("logits", "softmax")
        torch.testing.assert_close(net(images()), torch_unet()(images()), rtol=1e-4, atol=1e-5)

    def test_a_list_of_layers_and_separable_convolutions(self, tmp_path: Path):
        first = convolution(3, 3, "relu", batch_input_shape=[None, 8, 8, 3], depth_multiplier=1)
        for name in ("depthwise", "pointwise"):
            first |= {f"{name}_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}}}
            first |= {f"{name}_regularizer": None, f"{name}_constraint": None}
        deep = {
            k: v
            for k, v in convolution(1, 3).items()
            if not k.startswith(("filters", "kernel_i", "kernel_r", "kernel_c"))
        }
        deep |= {"depth_multiplier": 2, "depthwise_initializer": first["depthwise_initializer"]}
        deep |= {"depthwise_regularizer": None, "depthwise_constraint": None}
        layers = [
            keras2_layer("SeparableConv2D", "one", None, **first),
            keras2_layer("LeakyReLU", "leaky", None, alpha=0.25),
            keras2_layer("DepthwiseConv2D", "two", None, **deep),
            keras2_layer(
                "BatchNormalizationV1", "norm", None, axis=[3], momentum=0.9, epsilon=0.0, center=True, scale=True
            ),
        ]
        layers[1]["config"]["dtype"] = {"class_name": "Policy", "config": {"name": "float32"}}
        draw = np.random.default_rng(0)
        weights = {
            "one": [draw.normal(size=s).astype("float32") for s in ((3, 3, 3, 1), (1, 1, 3, 3), (3,))],
            "two": [draw.normal(size=s).astype("float32") for s in ((3, 3, 3, 2), (6,))],
            "norm": [draw.uniform(0.5, 1, size=6).astype("float32") for _ in range(4)],
        }
        config = {"class_name": "Sequential", "config": layers}
        path = write_keras2(tmp_path / "old.h5", config, weights, ["one", "leaky", "two", "norm"])
        x = images(side=8)
        depth, point, bias = (torch.from_numpy(v) for v in weights["one"])
        y = torch.nn.functional.conv2d(x, depth.permute(2, 3, 0, 1), padding=1, groups=3)
        y = torch.nn.functional.conv2d(y, point.permute(3, 2, 0, 1), bias).relu()
        kernel, bias = (torch.from_numpy(v) for v in weights["two"])
        y = torch.nn.functional.leaky_relu(y, 0.25)
        y = torch.nn.functional.conv2d(y, kernel.permute(2, 3, 0, 1).flatten(0, 1)[:, None], bias, padding=1, groups=3)
        gamma, beta, mean, variance = (torch.from_numpy(v)[:, None, None] for v in weights["norm"])
        torch.testing.assert_close(opened(path)(x), (y - mean) / variance.sqrt() * gamma + beta, rtol=1e-3, atol=1e-4)

    def test_normalization_computes_with_what_the_file_holds(self, tmp_path: Path):
        layers = [
            keras2_layer("InputLayer", "image", None, batch_input_shape=[None, 8, 8, 3], sparse=False, ragged=False),
            keras2_layer("Normalization", "scale", ["image"], axis=[-1], mean=None, variance=None, invert=False),
            keras2_layer("Conv2D", "head", ["scale"], **convolution(2, 1)),
        ]
        # In half precision the numbers are copies, not views of the weights.
        layers[1]["config"]["dtype"] = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
        del layers[0]["config"]["trainable"]
        kernel = np.random.default_rng(0).normal(size=(1, 1, 3, 2)).astype("float32")
        mean, variance = np.float32([100, 110, 120]), np.float32([400, 900, 1600])
        weights = {"scale": [mean, variance, np.int64(1)], "head": [kernel, np.zeros(2, "float32")]}
        net = opened(write_keras2(tmp_path / "a.h5", functional(layers), weights, ["image", "scale", "head"]))
        x = images(side=8) * 255
        scaled = (x - torch.from_numpy(mean)[:, None, None]) / torch.from_numpy(variance)[:, None, None].sqrt()
        expected = torch.einsum("io,bihw->bohw", torch.from_numpy(kernel[0, 0]), scaled)
        torch.testing.assert_close(net(x), expected, rtol=2e-2, atol=2e-2)

    def test_functions_of_tensorflow_are_listed(self, tmp_path: Path):
        layers = [
            keras2_layer("InputLayer", "image", None, batch_input_shape=[None, 8, 8, 3], sparse=False, ragged=False),
            keras2_layer("TFOpLambda", "tf.image.resize", ["image"], function="image.resize"),
            keras2_layer("SlicingOpLambda", "tf.__operators__.getitem", ["tf.image.resize"], function="getitem"),
        ]
        path = write_keras2(tmp_path / "a.h5", functional(layers), {}, [])
        with pytest.raises(
            NetworkError, match=r"functions of TensorFlow as layers.*getitem.*tf.image.resize \(image.res"
        ):
            opened(path)

    def test_keras_2_archive(self, good: Path, tmp_path: Path, unseen: None):
        def old(members: dict[str, bytes]) -> None:
            members["metadata.json"] = json.dumps({"keras_version": "2.15.0", "date_saved": "2024"}).encode()

        with pytest.raises(NetworkError, match=r"was written by Keras 2.15.0.*\n  Open it there and save it as HDF5"):
            opened(tampered(good, tmp_path / "a.keras", old))

    def test_weights_of_keras_2_into_a_constructor(self, tmp_path: Path):
        config, weights = keras2_unet()
        path = write_keras2(tmp_path / "old.h5", None, weights, layer_names(config))
        net = opened(path, constructor=lambda: keras_unet(seed=1))
        torch.testing.assert_close(net(images()), torch_unet(0)(images()), rtol=1e-4, atol=1e-5)


def _head(config: dict[str, Any]) -> dict[str, Any]:
    return config["config"]["layers"][-1]


def _lambda_code(marker: Path) -> str:
    code = compile(f"lambda x: __import__('pathlib').Path({str(marker)!r}).touch() or x", "bomb", "eval").co_consts[0]
    return base64.b64encode(marshal.dumps(code)).decode()


def _set(place: str, value: Any) -> Callable[[dict[str, Any], Path], None]:
    def change(config: dict[str, Any], _: Path) -> None:
        _head(config)["config"][place] = value

    return change


def _python(config: dict[str, Any], marker: Path) -> None:
    value = [_lambda_code(marker), None, None]
    _head(config)["config"]["activation"] = {"class_name": "__lambda__", "config": {"value": value}}


def _lambda_layer(config: dict[str, Any], marker: Path) -> None:
    value = {"code": _lambda_code(marker), "defaults": None, "closure": None}
    layer = _head(config)
    layer |= {
        "class_name": "Lambda",
        "config": {"name": "head", "function": {"class_name": "__lambda__", "config": value}},
    }


def _torch_pickle(config: dict[str, Any], marker: Path) -> None:
    module = base64.b64encode(saved(Bomb(marker))).decode()
    _head(config).update(class_name="TorchModuleWrapper", config={"name": "head", "module": module})


def _layer(**keys: Any) -> Callable[[dict[str, Any], Path], None]:
    def change(config: dict[str, Any], _: Path) -> None:
        _head(config).update(keys)

    return change


def _function(module: str, name: str) -> dict[str, Any]:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


def _class(module: str, name: str, **config: Any) -> dict[str, Any]:
    return {"module": module, "class_name": name, "config": config, "registered_name": None}


HOSTILE: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "Python in an activation": _python,
    "Lambda": _lambda_layer,
    "pickle of a torch module": _torch_pickle,
    "module of the system": _layer(module="os", class_name="system"),
    "function that downloads": _set("activation", _function("keras.utils", "get_file")),
    "function that unlocks": _set("activation", _class("keras.config", "enable_unsafe_deserialization")),
    "function as a class": _set("activation", _class("keras.utils", "get_file", fname="x", origin="http://x")),
    "loading another model": _set("activation", _function("keras.models", "load_model")),
    "function of the language": _set("kernel_initializer", _function("builtins.exec", "exec")),
    "SavedModel": _layer(module="keras.layers", class_name="TFSMLayer", config={"filepath": "/tmp/x"}),
    "code of JAX": _layer(module="keras.layers", class_name="JaxLayer"),
    "vocabulary from a path": _layer(class_name="StringLookup", config={"vocabulary": "/etc/passwd"}),
    "class of another package": _layer(registered_name="mine>Layer"),
    "class by its inner path": _layer(module="keras.src.layers.core.lambda_layer", class_name="Lambda"),
    "no layer": _layer(module="keras.callbacks", class_name="ModelCheckpoint"),
    "unknown name": _layer(class_name="Conv2DD"),
    "inside a regulariser": _set("kernel_regularizer", _class("keras.regularizers", "Mine")),
    "class with a number for a name": _layer(class_name=3),
}  # fmt: skip


class TestHostile:
    @pytest.mark.parametrize("how", HOSTILE)
    def test_configuration(self, how: str, good: Path, tmp_path: Path, unseen: None):
        marker = tmp_path / "ran"
        path = edited(good, tmp_path / "bad.keras", lambda c: HOSTILE[how](c, marker))
        with pytest.raises(UnsafeFileError, match=r"bad.keras could run code when opened, so it was not: .*\n  If you"):
            opened(path)
        assert not marker.exists()

    @pytest.mark.parametrize("how", ["Python in an activation", "Lambda", "pickle of a torch module"])
    def test_bombs_are_bombs(self, how: str, tmp_path: Path):
        """What is refused above would have run: Keras itself runs the code where it is told to."""
        x = k.Input((8, 8, 3))
        good = save(k.Model(x, L.Activation("relu", name="head")(x)), tmp_path / "good.keras")
        marker = tmp_path / "ran"
        path = edited(good, tmp_path / "bad.keras", lambda c: HOSTILE[how](c, marker))
        with pytest.raises(UnsafeFileError):
            opened(path)
        assert not marker.exists()
        with warnings.catch_warnings(), suppress(Exception):
            warnings.simplefilter("ignore")
            k.saving.load_model(path, safe_mode=False)(torch.zeros(1, 8, 8, 3))
        assert marker.exists()

    @pytest.mark.parametrize("how", HOSTILE)
    def test_configuration_of_keras_2(self, how: str, good_h5: Path, tmp_path: Path, unseen: None):
        marker = tmp_path / "ran"
        path = tmp_path / "bad.h5"
        path.write_bytes(good_h5.read_bytes())
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            HOSTILE[how](config, marker)
            file.attrs["model_config"] = json.dumps(config)
        with pytest.raises(UnsafeFileError, match=r"bad.h5 could run code when opened, so it was not: "):
            opened(path)
        assert not marker.exists()

    def test_lambda_as_keras_2_wrote_it(self, tmp_path: Path, unseen: None):
        marker = tmp_path / "ran"
        layers = [
            keras2_layer("InputLayer", "image", None, batch_input_shape=[None, 8, 8, 3], sparse=False, ragged=False),
            keras2_layer(
                "Lambda", "code", ["image"], function=[_lambda_code(marker), None, None], function_type="lambda"
            ),
        ]
        path = write_keras2(tmp_path / "bad.h5", functional(layers), {}, ["image", "code"])
        with pytest.raises(UnsafeFileError, match=r"code \(Lambda: it holds Python code\)"):
            opened(path)
        assert not marker.exists()

    def test_all_are_listed_at_once(self, good: Path, tmp_path: Path):
        def three(config: dict[str, Any]) -> None:
            for layer in config["config"]["layers"][-3:]:
                layer["class_name"] = "Lambda"

        with pytest.raises(UnsafeFileError, match=r"up \(Lambda.*skip \(Lambda.*head \(Lambda"):
            opened(edited(good, tmp_path / "a.keras", three))

    @pytest.mark.parametrize(
        ("member", "why"),
        [
            ("../../evil.py", r"its member '../../evil.py' would be written outside its folder"),
            ("/etc/evil", r"its member '/etc/evil' would be written outside"),
            ("assets/vocabulary.txt", r"it holds 'assets/vocabulary.txt'"),
            ("model.weights.npz", r"it holds 'model.weights.npz'"),
        ],
    )
    def test_members(self, member: str, why: str, good: Path, tmp_path: Path, unseen: None):
        path = tampered(good, tmp_path / "bad.keras", lambda m: m.update({member: b"x"}))
        with pytest.raises(UnsafeFileError, match=why):
            opened(path)

    def test_slips_are_refused_also_where_trusted(self, good: Path, tmp_path: Path, unseen: None):
        path = tampered(good, tmp_path / "bad.keras", lambda m: m.update({"assets/../../evil": b"x"}))
        with pytest.raises(UnsafeFileError, match="outside its folder"):
            opened(path, trust=True)

    def test_two_members_of_one_name(self, good: Path, tmp_path: Path, unseen: None):
        path = tampered(good, tmp_path / "bad.keras", lambda _: None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr("config.json", "{}")
        with pytest.raises(UnsafeFileError, match=r"two members of one name"):
            opened(path)

    def test_members_that_swell(self, good: Path, tmp_path: Path, unseen: None):
        swollen = tampered(
            good, tmp_path / "a.keras", lambda m: m.update({"model.weights.h5": bytes(70 * 2**20)}), compress=True
        )
        with pytest.raises(UnsafeFileError, match=r"its model.weights.h5 would grow from [\d,]+ to 73,400,320 bytes"):
            opened(swollen)
        wordy = tampered(
            good, tmp_path / "b.keras", lambda m: m.update({"config.json": b" " * (2**26 + 1)}), compress=True
        )
        with pytest.raises(UnsafeFileError, match=r"its config.json is said to hold 67,108,865 bytes"):
            opened(wordy)

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            (b"{", "damaged or cut short"),
            (b"[]", "names no model"),
            (b"{}", "names no model"),
            (b"[" * 100_000 + b"]" * 100_000, "damaged or cut short"),
            (b'{"class_name": ' * 5000 + b"1" + b"}" * 5000, "damaged or cut short"),
        ],
        ids=["cut", "list", "empty", "deep lists", "deep tables"],
    )
    def test_configuration_of_another_form(self, text: bytes, why: str, good: Path, tmp_path: Path, unseen: None):
        path = tampered(good, tmp_path / "bad.keras", lambda m: m.update({"config.json": text}))
        with pytest.raises(NetworkError, match=why):
            opened(path)

    def test_metadata_of_another_form(self, good: Path, tmp_path: Path, unseen: None):
        for text in (b"[]", b"\xff\xfe"):
            path = tampered(good, tmp_path / "bad.keras", lambda m, t=text: m.update({"metadata.json": t}))
            with pytest.raises(NetworkError, match="damaged or cut short"):
                opened(path)

    def test_without_weights(self, good: Path, tmp_path: Path, unseen: None):
        path = tampered(good, tmp_path / "bad.keras", lambda m: m.pop("model.weights.h5"))
        with pytest.raises(NetworkError, match=r"it lacks model.weights.h5"):
            opened(path)

    @pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
    def test_cut_short(self, share: float, good: Path, good_h5: Path, tmp_path: Path, unseen: None):
        for source in (good, good_h5):
            data = source.read_bytes()
            path = tmp_path / source.name
            path.write_bytes(data[: int(share * len(data))])
            with pytest.raises(NetworkError, match="damaged or cut short"):
                opened(path)

    def test_bytes_before_the_archive(self, good: Path, tmp_path: Path, unseen: None):
        path = tmp_path / "bad.keras"
        # Read as an archive all the same, by the directory at its end.
        path.write_bytes(b"PK\x03\x04" + good.read_bytes())
        with pytest.raises(NetworkError, match="does not begin where the file begins"):
            opened(path)

    def test_layers_that_do_not_fit_the_weights(self, good: Path, tmp_path: Path):
        def wider(config: dict[str, Any]) -> None:
            _head(config)["config"]["filters"] = 7

        with pytest.raises(NetworkError, match=r"cannot be built by Keras 3"):
            opened(edited(good, tmp_path / "a.keras", wider))


def _grown(file: Any) -> None:
    file.create_dataset("x", shape=(2**20, 2**20), dtype="f4", chunks=(1024, 1024), compression="gzip")


def _virtual(file: Any) -> None:
    layout = h5py.VirtualLayout(shape=(4,), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(4,))
    file.create_virtual_dataset("x", layout)


def _looped(file: Any) -> None:
    file.create_group("a")["b"] = file["/"]


def _named(file: Any) -> None:
    file["x"] = np.dtype("f8")


STRANGE: dict[str, tuple[Callable[[Any], object], str]] = {
    "link to another file": (lambda f: f.__setitem__("x", h5py.ExternalLink("/etc/other.h5", "/y")), "'/x' is a link"),
    "link inside": (lambda f: f.__setitem__("x", h5py.SoftLink("/model_weights")), "'/x' is a link"),
    "stored elsewhere": (
        lambda f: f.create_dataset("x", (4,), "u1", external=[("/etc/passwd", 0, 4)]),
        "'/x' is stored in another file",
    ),
    "virtual": (_virtual, "'/x' is stored in another file"),
    "grown": (_grown, r"'/x' is said to hold 4,398,046,511,104 bytes, of which 0 are stored"),
    "loop": (_looped, "'/a/b' is another name"),
    "type": (_named, "'/x' is a Datatype"),
    "objects": (lambda f: f.create_dataset("x", (4,), h5py.special_dtype(ref=h5py.Reference)), "'/x' holds object"),
    "deep in a group": (
        lambda f: f.create_group("a/b/c").__setitem__("x", h5py.SoftLink("/q")),
        "'/a/b/c/x' is a link",
    ),
}


class TestStrangeData:
    @pytest.mark.parametrize("how", STRANGE)
    def test_in_both_kinds(self, how: str, good: Path, good_h5: Path, tmp_path: Path, unseen: None):
        change, why = STRANGE[how]
        plain = tmp_path / "bad.h5"
        plain.write_bytes(good_h5.read_bytes())
        inner = tmp_path / "inner.h5"
        with zipfile.ZipFile(good) as archive:
            inner.write_bytes(archive.read("model.weights.h5"))
        for file in (plain, inner):
            with h5py.File(file, "r+") as opened_file:
                change(opened_file)
        packed = tampered(good, tmp_path / "bad.keras", lambda m: m.update({"model.weights.h5": inner.read_bytes()}))
        for path in (plain, packed):
            with pytest.raises(UnsafeFileError, match=why):
                opened(path)
            with pytest.raises(UnsafeFileError, match=why):
                opened(path, constructor=keras_unet)

    def test_a_plugin(self, tmp_path: Path):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            plist.set_chunk((4,))
            plist.set_filter(32015, h5py.h5z.FLAG_OPTIONAL, (1,))
            h5py.h5d.create(file.id, b"x", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((8,)), plist)
        with pytest.raises(UnsafeFileError, match=r"'/x' is packed by a plugin of HDF5"):
            check_hdf5(path, "a.h5")

    def test_what_keras_writes_is_plain(self, good_h5: Path, tmp_path: Path):
        check_hdf5(good_h5, "good.h5")
        model = Subclassed("channels_last")
        model(np.zeros((1, 16, 16, 3), "float32"))
        model.compile(optimizer="adam")
        check_hdf5(save(model, tmp_path / "a.weights.h5"), "a.weights.h5")

    def test_compressed_weights_are_plain(self, tmp_path: Path):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            data = np.random.default_rng(0).normal(size=(64, 64))
            file.create_dataset("x", data=data, compression="gzip", shuffle=True, fletcher32=True)
            file.create_dataset("y", data=data, compression="lzf")
        check_hdf5(path, "a.h5")
