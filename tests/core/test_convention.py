"""Input conventions: pixel values to input values and back, in every combination."""

import pytest
import torch

from seglens.core.convention import Convention
from seglens.core.errors import ImageError, ParameterError

P = torch.rand(2, 3, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_mean_and_std():
    expected = torch.stack([(P[:, c] - MEAN[c]) / STD[c] for c in range(3)], 1)
    torch.testing.assert_close(Convention(mean=MEAN, std=STD).normalise(P), expected)


def test_bgr_with_means_in_the_networks_order():
    """Caffe's: blue first, 0..255, the means of blue, green, red."""
    caffe = Convention(order="BGR", range=(0, 255), mean=(104.0, 117.0, 123.0))
    expected = torch.stack([255 * P[:, 2] - 104, 255 * P[:, 1] - 117, 255 * P[:, 0] - 123], 1)
    torch.testing.assert_close(caffe.normalise(P), expected)


def test_range():
    torch.testing.assert_close(Convention(range=(-1, 1)).normalise(P), 2 * P - 1)


def test_per_image():
    x = Convention(per_image=True, range=(0, 255)).normalise(P)
    for b in range(2):
        torch.testing.assert_close(x[b], (P[b] - P[b].mean()) / P[b].std(correction=0))
    assert not Convention(per_image=True).normalise(torch.full((1, 3, 4, 4), 0.3)).any()
    assert Convention(per_image=True).denormalise(x) is None


@pytest.mark.parametrize(
    "convention",
    [Convention(), Convention(mean=MEAN, std=STD, order="BGR"), Convention(range=(-1, 3), mean=0.5, std=2.0)],
    ids=["plain", "BGR", "scalars"],
)
def test_back_again(convention):
    torch.testing.assert_close(convention.denormalise(convention.normalise(P)), P)


@pytest.mark.parametrize(
    ("fields", "original", "resized", "grid"),
    [
        ({}, (37, 50), (37, 50), (37, 50)),
        ({"divisor": 16}, (37, 48), (37, 48), (48, 48)),
        ({"divisor": 16, "fit": "resize"}, (37, 58), (32, 64), (32, 64)),
        ({"divisor": 16, "fit": "resize"}, (3, 5), (16, 16), (16, 16)),
        ({"size": (20, 30)}, (37, 50), (20, 30), (20, 30)),
        ({"size": (20, 30), "divisor": 8}, (37, 50), (20, 30), (24, 32)),
        ({"divisor": 4}, (5, 6, 7), (5, 6, 7), (8, 8, 8)),
    ],
)
def test_where_an_image_lies(fields, original, resized, grid):
    frame = Convention(**fields).frame(original)
    assert (frame.original, frame.resized, frame.grid) == (original, resized, grid)


def test_padding_repeats_the_edge_and_changes_no_statistics():
    x, frame = Convention(divisor=8, per_image=True).prepare(P[0])
    assert frame.grid == x.shape[2:] == (8, 8)
    torch.testing.assert_close(x[:, :, :6, :7], Convention(per_image=True).normalise(P[:1]))
    assert torch.equal(x[:, :, 6:, :7], x[:, :, 5:6, :7].expand(-1, -1, 2, -1))
    assert torch.equal(x[..., 7], x[..., 6])


def test_channels():
    grey = P[0, :1]
    assert torch.equal(Convention().prepare(grey)[0], grey.expand(3, -1, -1)[None])
    luma = 0.299 * P[0, 0] + 0.587 * P[0, 1] + 0.114 * P[0, 2]
    torch.testing.assert_close(Convention(channels=1).prepare(P[0])[0][0, 0], luma, rtol=1e-6, atol=1e-7)
    assert Convention(channels=None).prepare(P[0, :2])[0].shape == (1, 2, 6, 7)
    with pytest.raises(
        ImageError, match=r"the image has 2 channels, the network takes 3.\n  Give an image with as many"
    ):
        Convention().prepare(P[0, :2])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mean": (1.0, 2.0)}, "Convention.mean has 2 values for 3 channels"),
        ({"std": (0.0,)}, "Convention.std is to be > 0"),
        ({"range": (1, 1)}, r"Convention.range is \(value of black, value of white\)"),
        ({"order": "GBR"}, "Convention.order is to be one of RGB, BGR, not 'GBR'.\n  Nearest"),
        ({"divisor": 0}, "Convention.divisor is to be >= 1, not 0"),
        ({"channels": 0}, "Convention.channels is to be >= 1"),
    ],
)
def test_what_is_refused(fields, message):
    with pytest.raises(ParameterError, match=message):
        Convention(**fields)


def test_plain_form():
    convention = Convention(mean=MEAN, std=STD, size=(20, 30), divisor=4, order="BGR")
    assert Convention.from_dict(convention.to_dict()) == convention
    with pytest.raises(ParameterError, match=r"unknown key 'meen' in the input convention.\n  Nearest: 'mean'"):
        Convention.from_dict({"meen": [0.5]})
