"""The conformance suite of networks on Keras models, against their twin in torch; models of keras.applications."""

from typing import Any

import numpy as np
import pytest
import torch
from keras_models import images, k, keras_unet, torch_unet

import seglens as sl
from seglens.networks.keras import loaded_model
from seglens.networks.layers import default_layer_of
from seglens.testing import NETWORK_CHECKS, TWIN_CHECKS, Toy, network_conformance, untouched

TARGETS = (sl.Target(0, sl.everything), sl.Target(2, sl.box(2, 3, 9, 12)))


def sample(style: str, layout: str) -> Toy:
    model = keras_unet(style, layout)
    twin = torch_unet()
    x = images(3)
    there = sl.load(twin, convention={"channels": 3})
    return Toy(
        network=sl.load(model, convention={"channels": 3}),
        user=model,
        x=x,
        targets=TARGETS,
        layer="up",
        twin=Toy(network=there, user=twin, x=x, targets=TARGETS, layer="up"),
    )


@pytest.mark.parametrize("check", [*NETWORK_CHECKS, *TWIN_CHECKS])
@pytest.mark.parametrize(("style", "layout"), [("nested", "channels_last"), ("subclassed", "channels_first")])
def test_conformance(style: str, layout: str, check: str):
    network_conformance(lambda: sample(style, layout), twin=True)[check]()


@pytest.mark.parametrize(("style", "layout"), [("functional", "channels_last"), ("functional", "channels_first")])
def test_default_layer_is_the_end_of_the_encoder(style: str, layout: str):
    net = sl.load(keras_unet(style, layout), convention={"channels": 3})
    assert default_layer_of(net, images()) == "deep"


@pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")
@pytest.mark.filterwarnings("ignore::seglens.core.errors.ReachWarning")
@pytest.mark.parametrize(
    ("name", "layer"),
    # MobileNetV2 goes through a file in tests/journeys.
    [("ResNet50", "conv5_block3_out"), ("EfficientNetB0", "top_activation")],
)
def test_applications_explained(name: str, layer: str):
    torch.manual_seed(0)
    k.utils.set_random_seed(0)
    model: Any = getattr(k.applications, name)(weights=None, input_shape=(64, 64, 3), classes=5)
    loaded = loaded_model(model)
    assert dict(loaded.fields) == {"emits": "logits", "link": "softmax"}
    net = sl.load(model, convention=loaded.convention, classes=list("abcde"))
    picture = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    with untouched(net), untouched(model):
        why = sl.explain(net, picture, "saliency", sl.Target("b"))
        cam = sl.explain(net, picture, sl.GradCAM(relu=False), sl.Target("b"))
    assert why.map.shape == cam.map.shape == (48, 80)
    assert float(np.abs(why.map).max()) > 0
    assert float(np.abs(cam.map).max()) > 0
    assert cam.layer == layer
