"""Segments: what is segmented, on which grid, and what of it comes back."""

import sys

import numpy as np
import pytest
import torch
from skimage.morphology import disk
from skimage.segmentation import felzenszwalb
from torch import nn
from torch.nn.functional import interpolate

from seglens.core.convention import Convention
from seglens.core.errors import MissingExtraError
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.datasets import Streets
from seglens.perturb import segments as module
from seglens.perturb.segments import SCALES, Segments, felzenszwalb_labels, felzenszwalb_segments

# Two different scenes, so that a batch could mix them.
STREETS = torch.stack([torch.from_numpy(s.image.copy()) for s in Streets(2, (48, 96), seed=3)]).permute(0, 3, 1, 2)
PIXELS = STREETS.float() / 255


def net(**convention):
    return Network(module=nn.Conv2d(1, 1, 1), convention=Convention(channels=None, **convention))


def stretched(pixels):
    return (pixels - pixels.min()) / (pixels.max() - pixels.min()) * 2 - 1


def least(height, width):
    return max(1, round(150 * min(1.0, height * width / 224**2)))


def alike(a, b):
    """The same division, however its parts are numbered."""
    pairs = {(int(p), int(q)) for p, q in zip(a.flatten(), b.flatten(), strict=True)}
    return len(pairs) == len({p for p, _ in pairs}) == len({q for _, q in pairs})


@pytest.mark.parametrize("scale", SCALES)
def test_scikit_image_on_the_picture_stretched_to_minus_one_and_one(scale):
    found = felzenszwalb_labels(net(), PIXELS, None, scale=scale)
    assert found.dtype == torch.int64
    assert found.shape == (2, 48, 96)
    for b in range(2):
        picture = stretched(PIXELS[b].double().numpy()).transpose(1, 2, 0)
        expected = felzenszwalb(picture, scale=scale, sigma=0.8, min_size=least(48, 96))
        np.testing.assert_array_equal(found[b].numpy(), expected)
        assert found[b].unique().tolist() == list(range(int(found[b].max()) + 1))
    assert found[0].max() > 5


def test_pictures_of_224_pixels_are_segmented_as_published():
    """Scales, σ and the least size of XRAI's segments."""
    x = interpolate(PIXELS[:1], size=(224, 224), mode="bilinear")
    picture = stretched(x[0].double().numpy()).transpose(1, 2, 0)
    expected = [felzenszwalb(picture, scale=s, sigma=0.8, min_size=150) for s in (50, 100, 150, 250, 500, 1200)]
    (found,) = felzenszwalb_segments(net(), x, None)
    masks = {m.tobytes() for labels in expected for k in range(labels.max() + 1) for m in [labels == k]}
    assert {m.tobytes() for m in found.masks()} == masks
    assert len(found) == sum(labels.max() + 1 for labels in expected)


@pytest.mark.parametrize(
    "convention",
    [
        {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
        {"mean": (104.0, 117.0, 123.0), "range": (0, 255), "order": "BGR"},
        {"per_image": True},
    ],
    ids=["mean and std", "BGR of 0..255", "standardised"],
)
def test_how_a_network_wants_its_input_does_not_matter(convention):
    own = net(**convention)
    x = own.convention.normalise(PIXELS.double())
    expected = felzenszwalb_labels(net(), PIXELS, None, scale=100)
    found = felzenszwalb_labels(own, x, None, scale=100)
    # The network's float32 leaves a last digit, on which an edge between equals may hang.
    assert (found == expected).double().mean() > 0.98


def test_larger_scales_give_larger_segments():
    counts = [int(felzenszwalb_labels(net(), PIXELS, None, scale=s)[0].max()) + 1 for s in (0.1, 50, 5000)]
    assert counts[0] > counts[1] > counts[2]


def test_pictures_are_shrunk_to_the_working_size_and_labels_come_back_by_nearest():
    x = interpolate(PIXELS, size=(50, 101), mode="bilinear")
    found = felzenszwalb_labels(net(), x, None, scale=50, size=32)
    small = interpolate(x.double(), size=(16, 32), mode="bilinear", antialias=True)
    for b in range(2):
        # Shrinking keeps the brightest and darkest of the whole picture at ±1.
        lo, hi = x[b].min(), x[b].max()
        picture = ((small[b] - lo) / (hi - lo) * 2 - 1).numpy().transpose(1, 2, 0)
        labels = felzenszwalb(picture, scale=50, sigma=0.8, min_size=least(16, 32))
        rows = ((np.arange(50) + 0.5) * 16 / 50).astype(int)
        columns = ((np.arange(101) + 0.5) * 32 / 101).astype(int)
        np.testing.assert_array_equal(found[b].numpy(), labels[rows][:, columns])


def test_small_pictures_are_never_enlarged():
    assert torch.equal(
        felzenszwalb_labels(net(), PIXELS, None, scale=50, size=96),
        felzenszwalb_labels(net(), PIXELS, None, scale=50, size=10_000),
    )


@pytest.mark.parametrize("dilate", [False, True])
def test_padding_is_no_part_of_it(dilate):
    frame = Frame((40, 81), (40, 81), (48, 96))
    padded = PIXELS.clone()
    padded[:, :, 40:] = 7.0
    padded[:, :, :, 81:] = -3.0
    cut = PIXELS[:, :, :40, :81]
    found = felzenszwalb_labels(net(), padded, [frame, frame], scale=100)
    assert bool((found[:, 40:] == -1).all() and (found[:, :, 81:] == -1).all())
    assert torch.equal(found[:, :40, :81], felzenszwalb_labels(net(), cut, None, scale=100))
    for whole, part in zip(
        felzenszwalb_segments(net(), padded, [frame, frame], dilate=dilate),
        felzenszwalb_segments(net(), cut, None, dilate=dilate),
        strict=True,
    ):
        masks = whole.masks()
        np.testing.assert_array_equal(masks[:, :40, :81], part.masks())
        assert not masks[:, 40:].any()
        assert not masks[:, :, 81:].any()
        assert whole.sizes.sum() == 40 * 81


def test_images_do_not_mix_and_nothing_is_drawn_by_chance():
    together = felzenszwalb_labels(net(), PIXELS, None, scale=50)
    for b in range(2):
        assert torch.equal(felzenszwalb_labels(net(), PIXELS[b : b + 1], None, scale=50)[0], together[b])


@pytest.mark.parametrize("channels", [1, 2, 5])
def test_any_number_of_channels(channels):
    x = PIXELS[:1].repeat(1, 2, 1, 1)[:, :channels]
    picture = stretched(x[0].double().numpy()).transpose(1, 2, 0)
    if channels <= 3:
        expected = felzenszwalb(picture, scale=50, sigma=0.8, min_size=least(48, 96))
        np.testing.assert_array_equal(felzenszwalb_labels(net(), x, None, scale=50)[0].numpy(), expected)
    else:
        assert felzenszwalb_labels(net(), x, None, scale=50).max() > 5


def test_volumes_are_segmented_slice_by_slice():
    x = torch.stack([PIXELS[:, 0, :24, :40], PIXELS[:, 1, 24:, :40], PIXELS[:, 2, :24, 40:80]], 1)[:, None]
    found = felzenszwalb_labels(net(), x, None, scale=100)
    assert found.shape == (2, 3, 24, 40)
    begun = 0
    for labels, slice_ in zip(found[1].numpy(), stretched(x[1, 0].double().numpy()), strict=True):
        expected = felzenszwalb(slice_, scale=100, sigma=0.8, min_size=least(24, 40)) + begun
        np.testing.assert_array_equal(labels, expected)
        begun = expected.max() + 1
    (_, segments) = felzenszwalb_segments(net(), x, None, dilate=True)
    # No segment of a slice reaches into another.
    assert bool((segments.masks().any((2, 3)).sum(1) == 1).all())


def test_signals_of_one_dimension():
    x = torch.zeros(1, 2, 60)
    x[:, :, 30:] = 1
    (found,) = felzenszwalb_labels(net(), x, None, scale=1)
    assert found[:25].unique().tolist() == [0]
    assert len(found[35:].unique()) == 1
    assert found[0] != found[-1]


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_a_constant_picture_is_one_segment(level):
    own = net(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    # With the last digits that an interpolation leaves.
    noise = 1e-7 * torch.rand(1, 3, 20, 30, generator=torch.Generator().manual_seed(0))
    x = own.convention.normalise(torch.full((1, 3, 20, 30), level)) + noise
    assert felzenszwalb_labels(own, x, None, scale=50).unique().tolist() == [0]
    (segments,) = felzenszwalb_segments(own, x, None, dilate=True)
    assert len(segments) == len(SCALES)
    assert segments.masks().all()


def test_a_dark_picture_is_segmented_as_a_bright_one():
    """Fluorescence images use a small share of their range; they are stretched."""
    assert torch.equal(
        felzenszwalb_labels(net(), PIXELS / 64, None, scale=100), felzenszwalb_labels(net(), PIXELS, None, scale=100)
    )


# Several scales together


def test_each_scale_divides_the_whole_picture():
    (segments, _) = felzenszwalb_segments(net(), PIXELS, None)
    assert (segments.masks().sum(0) == len(SCALES)).all()
    assert segments.sizes.sum() == 48 * 96
    # Places are far fewer than pixels: that is what growth counts.
    assert len(segments.sizes) < 48 * 96 / 4


def test_dilated_by_a_disk_of_five_pixels():
    (plain, _), (grown, _) = (felzenszwalb_segments(net(), PIXELS, None, dilate=d) for d in (False, True))
    reach = disk(5).astype(bool)
    for mask, wide in zip(plain.masks(), grown.masks(), strict=True):
        padded = np.pad(mask, 5)
        expected = np.zeros_like(mask)
        for dy, dx in np.argwhere(reach):
            expected |= padded[dy : dy + 48, dx : dx + 96]
        np.testing.assert_array_equal(wide, expected)


def test_dilation_is_of_the_working_picture():
    """Of a picture four times as large, the same share: there 5 working pixels are 20."""
    large = interpolate(PIXELS[:1], scale_factor=4, mode="nearest")
    (small,) = felzenszwalb_segments(net(), PIXELS[:1], None, dilate=True)
    (found,) = felzenszwalb_segments(net(), large, None, size=96, dilate=True)
    # Averaging squares of 4 × 4 under a wider kernel is not quite the small picture: sizes, not pixels, are compared.
    share = [s.masks().mean((1, 2)).mean() * len(s) for s in (small, found)]
    assert share[1] == pytest.approx(share[0], rel=0.15)
    (undilated,) = felzenszwalb_segments(net(), large, None, size=96)
    assert undilated.masks().mean((1, 2)).sum() == pytest.approx(len(SCALES))
    assert share[1] > 1.5 * len(SCALES)


def test_segments_from_labels_are_the_pixels_of_each_value():
    shown = np.ones((3, 4), dtype=bool)
    shown[2] = False
    first = np.array([[0, 0, 5, 5], [0, 0, 5, -1], [9, 9, 9, 9]])
    second = np.array([[-1, 3, 3, -1], [-1, -1, -1, -1], [7, 7, 7, 7]])
    segments = Segments.none(shown).with_labels(first).with_labels(second)
    expected = np.stack([first == 0, first == 5, second == 3]) & shown
    np.testing.assert_array_equal(segments.masks(), expected)
    assert len(segments) == 3
    assert segments.sizes.tolist() == np.bincount(segments.places[shown]).tolist()
    assert len(segments.sizes) == 5
    assert len(Segments.none(shown)) == 0
    np.testing.assert_array_equal(Segments.none(shown).with_labels(first, second).masks(), expected)


def test_many_masks_do_not_overflow_the_numbers_of_places():
    generator = np.random.default_rng(0)
    masks = generator.random((80, 6, 7)) > 0.5
    segments = Segments.none(np.ones((6, 7), dtype=bool)).with_labels(*np.where(masks, 0, -1))
    np.testing.assert_array_equal(segments.masks(), masks)
    assert len(segments.sizes) == 42


def test_without_scikit_image_it_says_what_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage.segmentation", None)
    with pytest.raises(MissingExtraError, match=r"needs scikit-image.*\n.*pip install 'seglens\[image\]'"):
        felzenszwalb_labels(net(), PIXELS, None, scale=50)
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(MissingExtraError, match="needs scipy"):
        module.Segments.none(np.ones((2, 2), dtype=bool))
