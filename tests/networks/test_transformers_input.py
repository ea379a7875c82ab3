"""Settings of image processors as input conventions: each case against the arithmetic that it stands for."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from seglens.core.convention import Convention
from seglens.core.errors import GuessWarning
from seglens.networks.transformers.input import convention_of, preprocessing

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
USUAL = {"do_rescale": True, "rescale_factor": 1 / 255, "do_normalize": True, "image_mean": MEAN, "image_std": STD}
SQUARE = {"do_resize": True, "size": {"height": 48, "width": 32}}


def values(settings: dict[str, Any]) -> torch.Tensor:
    """What a grey ramp of one pixel a level becomes, [3 256]."""
    ramp = (torch.arange(256) / 255).expand(3, 1, 256)
    return Convention(**preprocessing(settings).fields).normalise(ramp[None])[0, :, 0]


LEVELS = np.arange(256)[None] * np.ones((3, 1))
M, S = np.array(MEAN)[:, None], np.array(STD)[:, None]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (USUAL, (LEVELS / 255 - M) / S),
        ({**USUAL, "do_normalize": False}, LEVELS / 255),
        ({**USUAL, "do_rescale": False}, (LEVELS - M) / S),
        ({**USUAL, "rescale_factor": 1 / 127.5, "rescale_offset": True}, (LEVELS / 127.5 - 1 - M) / S),
        ({**USUAL, "include_top": True}, (LEVELS / 255 - M) / S / S),
        ({**USUAL, "image_mean": 0.5, "image_std": 0.5}, (LEVELS / 255 - 0.5) / 0.5),
        ({}, LEVELS),
    ],
)
def test_values(settings: dict[str, Any], expected: Any):
    torch.testing.assert_close(values(settings).double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


def test_order_of_channels():
    assert convention_of({"do_flip_channel_order": True})["order"] == "BGR"
    assert "order" not in convention_of(USUAL)


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        (SQUARE, (48, 32)),
        ({"do_resize": True, "size": 40}, (40, 40)),
        ({"do_resize": True, "size": [48, 32]}, (48, 32)),
        ({"do_resize": True, "size": SimpleNamespace(height=48, width=32, shortest_edge=None)}, (48, 32)),
        ({"do_resize": False, "size": {"height": 48, "width": 32}}, None),
        ({"do_resize": True, "size": {"shortest_edge": 384}, "crop_pct": 0.875}, (384, 384)),
    ],
)
def test_sizes_that_a_convention_can_say(settings: dict[str, Any], size: tuple[int, int] | None):
    read = preprocessing({**USUAL, **settings})
    assert read.fields.get("size") == size
    assert read.notes == ()


@pytest.mark.parametrize(
    ("settings", "size", "note"),
    [
        (
            {"do_center_crop": True, "crop_size": {"height": 24, "width": 20}},
            (24, 20),
            "cuts 24 × 20 out of",
        ),
        ({"do_resize": True, "size": {"shortest_edge": 224}, "crop_pct": 0.875}, (224, 224), "cuts 224 × 224"),
        ({"do_resize": True, "size": {"shortest_edge": 800, "longest_edge": 1333}}, None, "its shorter side to 800"),
        ({"do_resize": True, "size": {"shortest_edge": 64, "longest_edge": 64}}, (64, 64), "keeps the proportions"),
        ({**SQUARE, "keep_aspect_ratio": True}, (48, 32), "keeps the proportions"),
        ({**SQUARE, "do_reduce_labels": True}, (48, 32), "class 0 is label 1"),
    ],
)
def test_what_it_cannot_say_is_said_in_words(settings: dict[str, Any], size: Any, note: str):
    with pytest.warns(GuessWarning, match=note):
        fields = convention_of({**USUAL, **settings})
    assert fields.get("size") == size


def test_divisors():
    assert preprocessing({"size_divisor": 32}).fields["divisor"] == 32
    assert preprocessing({"size_divisor": 32}).fields["fit"] == "resize"
    assert preprocessing({"size_divisor": 32, "do_pad": True}).fields["fit"] == "pad"
    assert preprocessing({"size_divisor": 0}).fields.get("divisor") is None
    assert preprocessing({"ensure_multiple_of": 14}).fields["divisor"] == 14


def test_the_model_fills_what_is_open():
    config = SimpleNamespace(num_channels=1, image_size=48)
    assert preprocessing({"image_mean": 0.5}, config).fields["channels"] == 1
    assert preprocessing({}, config).fields["size"] == (48, 48)
    assert dict(preprocessing(None, config).fields) == {"channels": 1, "size": (48, 48)}
    assert dict(preprocessing(None).fields) == {}
    assert preprocessing({}, SimpleNamespace(num_channels=None, image_size=[4, 6])).fields["size"] == (4, 6)
