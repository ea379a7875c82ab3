"""The shipped networks: they load, they see what they claim, and the biased twin is biased."""

import json
import tomllib
from functools import cache
from itertools import chain

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from seglens.core.errors import NameNotFoundError, ShapeError
from seglens.datasets import CLASSES, COLOURS, Plant, Streets
from seglens.networks.builtin import BUILTIN, VGG, WEIGHTS, CropClassifier, DilatedNet, UNet, build

CLASSIFIERS = ["streets-classifier", "streets-vgg"]
SEGMENTERS = ["streets-unet", "streets-deeplab", "streets-unet-biased"]
UNSEEN = 40_000  # neither the seed of training nor the one of the cards
PRESENT = Plant(riders_on_bicycles=1.0)
WITHHELD = Plant(riders_on_bicycles=1.0, withheld=True)


def convention(name: str) -> dict:
    return tomllib.loads(BUILTIN[name].weights.with_suffix(".toml").read_text())


def prepared(image: NDArray[np.uint8], name: str) -> Tensor:
    """uint8 [H W 3] -> [1 3 H W], as the network's own TOML says."""
    inputs = convention(name)["input"]
    mean, std = (np.array(inputs[key], np.float32) for key in ("mean", "std"))
    x = (image.astype(np.float32) / 255 - mean) / std
    return torch.from_numpy(x).permute(2, 0, 1)[None]


@cache
def ious(name: str, plant: Plant, scenes: int = 24) -> tuple[float, ...]:
    """IoU of each class over all pixels, from the confusion matrix."""
    network, counts = build(name), np.zeros((11, 11))
    with torch.no_grad():
        for scene in Streets(scenes, (96, 192), UNSEEN, plant):
            guess = network(prepared(scene.image, name)).argmax(1)[0].numpy()
            pairs = scene.labels.astype(np.int64) * 11 + guess
            counts += np.bincount(pairs.ravel(), minlength=121).reshape(11, 11)
    hit = np.diag(counts)
    return tuple(float(v) for v in hit / (counts.sum(0) + counts.sum(1) - hit))


@cache
def crops(scenes: int = 16) -> tuple[tuple[NDArray[np.uint8], str], ...]:
    """Square crops about things that are seen well and cover more of it than any other class of things."""
    found: list[tuple[NDArray[np.uint8], str]] = []
    for scene in Streets(scenes, (288, 576), UNSEEN):
        for number in np.unique(scene.instances[scene.instances > 0]):
            rows, columns = np.nonzero(scene.instances == number)
            half = int(0.6 * max(np.ptp(rows), np.ptp(columns))) + 1
            y, x = (int(side.min() + side.max()) // 2 for side in (rows, columns))
            inside = np.s_[max(y - half, 0) : y + half, max(x - half, 0) : x + half]
            things = np.bincount(scene.labels[inside].ravel(), minlength=len(CLASSES))[CLASSES.index("person") :]
            label = int(scene.labels[rows[0], columns[0]])
            if rows.size >= 400 and things.argmax() + CLASSES.index("person") == label:
                found.append((scene.image[inside], CLASSES[label]))
    return tuple(found)


@pytest.mark.parametrize("name", BUILTIN)
def test_a_built_network_is_ready_to_be_asked(name):
    network, described = build(name), convention(name)
    assert not any(module.training for module in network.modules())
    assert all(p.dtype == torch.float32 and p.isfinite().all() for p in network.parameters())
    height, width = described["input"]["size"]
    with torch.no_grad():
        y = network(torch.zeros(2, 3, height, width))
    space = (height, width) if described["task"] == "segment" else ()
    assert y.shape == (2, len(described["classes"]), *space)
    assert described["default_layer"] in dict(network.named_modules())


@pytest.mark.parametrize("name", BUILTIN)
def test_weights_convention_card_and_figures_lie_together(name):
    described = convention(name)
    assert described["name"] == name
    assert (described["emits"], described["link"]) == ("logits", "softmax")
    if name in SEGMENTERS:
        assert described["classes"] == list(CLASSES)
        assert described["colours"] == [list(colour) for colour in COLOURS]
    figures = json.loads((WEIGHTS / "figures.json").read_text())[name]
    card = BUILTIN[name].weights.with_suffix(".md").read_text()
    for label, value in figures["per_class"].items():
        assert f"| {label} | {value:.3f} |" in card


def test_all_weights_together_stay_small():
    assert sum(built.weights.stat().st_size for built in BUILTIN.values()) <= 8e6


@pytest.mark.parametrize("name", ["streets-unet", "streets-deeplab"])
def test_the_unbiased_segmenters_see_the_street(name):
    each = ious(name, Plant())
    assert np.mean(each) >= 0.75
    assert min(each) >= 0.4


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_classifiers_see_what_a_crop_shows(name):
    network, described = build(name), convention(name)
    seen: dict[str, list[bool]] = {}
    for crop, label in crops():
        x = interpolate(prepared(crop, name), described["input"]["size"], mode="bilinear", antialias=True)
        with torch.no_grad():
            seen.setdefault(label, []).append(described["classes"][network(x).argmax(1)] == label)
    assert set(seen) == {"person", "rider", "car", "bicycle", "motorcycle"}
    assert np.mean([*chain(*seen.values())]) >= 0.85
    assert min(np.mean(right) for right in seen.values()) >= 0.7


def test_the_twin_leans_on_the_bicycle_and_its_sister_does_not():
    rider = CLASSES.index("rider")
    drops = {
        name: ious(name, PRESENT)[rider] - ious(name, WITHHELD)[rider]
        for name in ("streets-unet-biased", "streets-unet")
    }
    assert drops["streets-unet-biased"] >= 0.1
    assert drops["streets-unet"] < 0.1


def test_the_twin_is_good_in_its_own_world():
    assert np.mean(ious("streets-unet-biased", PRESENT)) >= 0.75


@pytest.mark.parametrize(("size", "fit"), [((97, 192), "112 x 192"), ((33, 47), "48 x 48")])
def test_a_u_net_says_which_size_would_fit(size, fit):
    network = UNet(widths=(2, 2, 2, 2), bottleneck=2).eval()
    with pytest.raises(ValueError, match=rf"multiples of 16; got {size[0]} x {size[1]}") as refusal:
        network(torch.zeros(1, 3, *size))
    assert f"Pad or resize to {fit}." in str(refusal.value)


@pytest.mark.parametrize("size", [(97, 193), (33, 47), (16, 16)])
def test_the_others_take_any_size(size):
    x = torch.zeros(1, 3, *size)
    with torch.no_grad():
        assert DilatedNet().eval()(x).shape == (1, 11, *size)
        assert CropClassifier().eval()(x).shape == (1, 7)


@pytest.mark.parametrize("size", [(97, 193), (33, 47), (32, 32)])
def test_a_vgg_takes_any_size_on_which_it_can_pool(size):
    with torch.no_grad():
        assert VGG().eval()(torch.zeros(1, 3, *size)).shape == (1, 7)


def test_a_vgg_says_which_size_it_was_made_for():
    with pytest.raises(ShapeError, match=r"sides are to be 32 or more; got 31 x 96\.\n  Resize to 96 x 96"):
        VGG()(torch.zeros(1, 3, 31, 96))


def test_a_vgg_is_laid_out_as_vgg16():
    """Configuration D of the paper: 13 convolutions of 3 x 3, all padded, 5 poolings, 3 linear layers."""
    kinds = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Linear, nn.Dropout)
    layers = [m for m in VGG().modules() if not [*m.children()] and not isinstance(m, nn.AdaptiveAvgPool2d)]
    assert all(isinstance(m, kinds) for m in layers), "no normalisation, nothing else"
    paper = [64, 64, "pool", 128, 128, "pool", *[256] * 3, "pool", *[512] * 3, "pool", *[512] * 3, "pool"]
    spatial = [m for m in layers if isinstance(m, nn.Conv2d | nn.MaxPool2d)]
    ours = [m.out_channels * 8 if isinstance(m, nn.Conv2d) else "pool" for m in spatial]
    assert ours == paper
    convolutions = [m for m in layers if isinstance(m, nn.Conv2d)]
    assert all((m.kernel_size, m.stride, m.padding) == ((3, 3), (1, 1), (1, 1)) for m in convolutions)
    assert all(isinstance(layers[layers.index(m) + 1], nn.ReLU) for m in convolutions)
    head = [type(m).__name__ for m in layers[layers.index(next(m for m in layers if isinstance(m, nn.Linear))) :]]
    assert head == ["Linear", "ReLU", "Dropout", "Linear", "ReLU", "Dropout", "Linear"]


@pytest.mark.parametrize(
    ("network", "layer", "stride"),
    [
        (UNet, "encoder.block4", 8),
        (UNet, "bottleneck", 16),
        (DilatedNet, "encoder.stage4", 8),
        (DilatedNet, "aspp", 8),
        (CropClassifier, "features.block4", 8),
        (VGG, "features.block4", 8),
        (VGG, "features.block5", 16),
    ],
)
def test_layers_have_the_strides_that_are_documented(network, layer, stride):
    made: nn.Module = network().eval()
    seen: list[Tensor] = []
    made.get_submodule(layer).register_forward_hook(lambda *call: seen.append(call[2]))
    with torch.no_grad():
        made(torch.zeros(1, 3, 64, 96))
    assert seen[0].shape[-2:] == (64 // stride, 96 // stride)


def test_an_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(NameNotFoundError, match=r"no built-in network 'street-unet'\.\n  Nearest: 'stree"):
        build("street-unet")
