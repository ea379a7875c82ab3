"""What a Keras model tells of its input: channels, sizes, divisor, and the values that its beginning expects."""

from typing import Any

import numpy as np
import pytest
import torch
from keras_models import L, images, k, keras_unet

import seglens as sl
from seglens.core.errors import GuessWarning
from seglens.networks.keras import loaded_model
from seglens.networks.keras.input import layout_of


def settled(model: Any) -> dict[str, Any]:
    return dict(loaded_model(model).convention)


def model_of(shape: tuple[int | None, ...], build: Any, name: str = "model") -> Any:
    x = k.Input(shape)
    return k.Model(x, build(x), name=name)


def head(x: Any) -> Any:
    return L.Conv2D(2, 1)(x)


@pytest.mark.parametrize(
    ("shape", "build", "expected"),
    [
        ((8, 12, 3), head, {"channels": 3, "size": (8, 12)}),
        ((None, None, 5), head, {"channels": 5}),
        ((8, None, 3), head, {"channels": 3}),
        ((4, 8, 8), lambda x: L.Conv2D(2, 1, data_format="channels_first")(x), {"channels": 4, "size": (8, 8)}),
        ((4, 8, 8, 2), lambda x: L.Conv3D(2, 1)(x), {"channels": 2, "size": (4, 8, 8)}),
        ((28, 28), lambda x: L.Dense(2)(L.Flatten()(x)), {"channels": 1, "size": (28, 28)}),
        ((50, 4), lambda x: L.Conv1D(2, 3)(x), {"channels": 4, "size": (50,)}),
        ((7,), lambda x: L.Dense(2)(x), {}),
    ],
    ids=["fixed", "bands", "half free", "channels first", "volume", "without channels", "signal", "vector"],
)
def test_channels_and_size(shape: tuple[int | None, ...], build: Any, expected: dict[str, Any]):
    assert settled(model_of(shape, build)) == expected


def unet_of_depth(depth: int) -> Any:
    x = y = k.Input((None, None, 3))
    skips = []
    for _ in range(depth):
        y = L.Conv2D(2, 3, padding="same")(y)
        skips.append(y)
        y = L.MaxPooling2D()(y)
    for skip in reversed(skips):
        y = L.Concatenate()([L.UpSampling2D()(y), skip])
    return k.Model(x, head(y))


@pytest.mark.parametrize("depth", [0, 1, 2, 4])
def test_divisor_by_inference_of_shapes(depth: int):
    model = unet_of_depth(depth)
    found = settled(model).get("divisor", 1)
    assert found == 2**depth
    if depth:
        net = sl.load(model, convention=loaded_model(model).convention, classes=["a", "b"])
        picture = np.zeros((21, 37, 3), np.uint8)
        assert sl.explain(net, picture, "saliency", sl.Target("a", sl.everything)).map.shape == (21, 37)


def test_divisor_also_of_nested_models_and_sums():
    inner = model_of((None, None, 4), lambda x: L.Add()([x, L.UpSampling2D(3)(L.AveragePooling2D(3)(x))]))
    model = model_of((None, None, 3), lambda x: head(inner(L.Conv2D(4, 1)(x))))
    assert settled(model) == {"channels": 3}  # none of the divisors tried is a multiple of three
    inner = model_of((None, None, 4), lambda x: L.Add()([x, L.UpSampling2D(4)(L.AveragePooling2D(4)(x))]))
    assert settled(model_of((None, None, 3), lambda x: head(inner(L.Conv2D(4, 1)(x)))))["divisor"] == 4


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (lambda x: L.Rescaling(1 / 255)(x), (0.0, 255.0)),
        (lambda x: L.Rescaling(1 / 127.5, offset=-1)(x), (0.0, 255.0)),
        (lambda x: L.Rescaling(2.0, offset=-1)(x), (0.0, 1.0)),
        (lambda x: L.Normalization(mean=[123.0, 117.0, 104.0], variance=[3000.0] * 3)(x), (0.0, 255.0)),
        (lambda x: L.Normalization(mean=[0.5] * 3, variance=[0.05] * 3)(x), (0.0, 1.0)),
        (lambda x: x / 127.5 - 1, (0.0, 255.0)),
        (lambda x: x * (1 / 255), (0.0, 255.0)),
        (lambda x: L.Rescaling(1 / 255)(L.RandomFlip()(L.ZeroPadding2D(1)(x))), (0.0, 255.0)),
        (lambda x: k.Sequential([L.RandomRotation(0.1), L.Rescaling(1 / 255)])(x), (0.0, 255.0)),
        (lambda x: L.Conv2D(3, 1)(x), None),
        (lambda x: L.Rescaling(1 / 255)(L.Conv2D(3, 1)(x)), None),
    ],
    ids=["1/255", "centred", "of 0 to 1", "Normalization", "Normalization of 0 to 1", "division", "product", "after "
         "others", "nested", "none", "later"],
)  # fmt: skip
def test_range_by_the_first_layers(first: Any, expected: tuple[float, float] | None):
    assert settled(model_of((8, 8, 3), lambda x: head(first(x)))).get("range") == expected


def test_a_built_in_rescaling_is_run_and_said_in_the_guess():
    model = model_of((8, 8, 3), lambda x: L.Conv2D(2, 1, activation="softmax")(L.Rescaling(1 / 255)(x)))
    with pytest.warns(GuessWarning, match="values 0 to 255"):
        net = sl.load(model)
    white = np.full((8, 8, 3), 255, np.uint8)
    x, _ = net.convention.prepare(torch.from_numpy(white / np.float32(255)).permute(2, 0, 1))
    assert float(x.max()) == 255
    expected = model(np.full((1, 8, 8, 3), 255, "float32"), training=False).detach().movedim(-1, 1)
    torch.testing.assert_close(net(x).softmax(1), expected)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("mobilenetv2_1.00_224", "mobilenet_v2"),
        ("resnet50", "resnet"),
        ("resnet50v2", "resnet_v2"),
        ("vgg16", "vgg16"),
        ("densenet121", "densenet"),
        ("xception", "xception"),
        ("inception_v3", "inception_v3"),
        ("nasnet", "nasnet"),
        ("mobilenet_1.00_224", "mobilenet"),
    ],
)
def test_names_of_applications_mean_their_own_preprocessing(name: str, module: str):
    with pytest.warns(GuessWarning, match=rf"guessed by its name: {name} takes images as keras.applications does"):
        net = sl.load(model_of((8, 8, 3), head, name=name))
    picture = images(1, 8)[0]
    x, _ = net.convention.prepare(picture)
    ours = x[0].movedim(0, -1).numpy()
    theirs = getattr(k.applications, module).preprocess_input((picture.movedim(0, -1) * 255).numpy().copy())
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_names_of_applications_are_theirs():
    for maker, beginning in (("MobileNetV2", "mobilenetv2_"), ("VGG16", "vgg16")):
        made = getattr(k.applications, maker)(weights=None, include_top=False, input_shape=(32, 32, 3))
        assert made.name.lower().startswith(beginning)


def test_a_fixed_batch_is_kept():
    x = k.Input(batch_shape=(1, 8, 8, 3))
    assert loaded_model(k.Model(x, head(x))).batch == 1
    assert loaded_model(keras_unet()).batch is None


@pytest.mark.parametrize("layout", ["channels_last", "channels_first"])
def test_layout_by_the_layers_not_by_the_settings(layout: str):
    k.config.set_image_data_format("channels_first")
    try:
        expected = layout == "channels_last"
        assert layout_of(keras_unet("nested", layout)) == (expected, expected)
        assert layout_of(model_of((3, 8, 8), lambda x: L.Activation("relu")(x))) == (False, False)
    finally:
        k.config.set_image_data_format("channels_last")


def test_a_change_of_layout_inside():
    def build(x: Any) -> Any:
        y = L.Conv2D(4, 3, padding="same", data_format="channels_first")(x)
        return L.Conv2D(2, 1, activation="softmax", data_format="channels_last")(L.Permute((2, 3, 1))(y))

    model = model_of((3, 8, 8), build)
    net = sl.load(model, convention={"channels": 3})
    expected = model(images(side=8), training=False).detach().movedim(-1, 1)
    torch.testing.assert_close(net(images(side=8)).softmax(1), expected)
