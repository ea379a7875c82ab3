"""Region growth, against a slow formulation that is the text word by word, on random and on real segments."""

import numpy as np
import pytest
import torch
from growing import slowly
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn
from torch.nn.functional import interpolate

from seglens.core.errors import ParameterError
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.datasets import Streets
from seglens.methods._growth import grow, predicted_labels
from seglens.perturb.segments import Segments, felzenszwalb_segments


def segments_of(masks, shown=None):
    shown = np.ones(masks.shape[1:], dtype=bool) if shown is None else shown
    return Segments.none(shown).with_labels(*np.where(masks, 0, -1))


def quickly(attribution, segments, least=1):
    return grow(torch.from_numpy(attribution)[None, None], [segments], least=[least])[0, 0].numpy()


SIZES = st.tuples(st.integers(1, 6), st.integers(1, 7))


@st.composite
def cases(draw, elements):
    """Attribution, overlapping masks (some may be empty, equal, or everything) and a picture within its padding."""
    size = draw(SIZES)
    attribution = draw(hnp.arrays(np.float64, size, elements=elements))
    masks = draw(hnp.arrays(bool, (draw(st.integers(0, 6)), *size)))
    rows, columns = draw(st.integers(1, size[0])), draw(st.integers(1, size[1]))
    shown = Frame(size, (rows, columns), size).valid().numpy()
    return attribution, masks, shown, draw(st.integers(1, 5))


@settings(max_examples=120, deadline=None)
@given(cases(st.integers(-3, 3).map(float)))
def test_equals_the_slow_formulation_also_where_means_are_equal(case):
    """Whole numbers: sums are exact, and ties are many."""
    attribution, masks, shown, least = case
    expected = slowly(attribution, masks & shown, shown, least)
    # An empty mask is no segment, which does not change which of equals comes first.
    np.testing.assert_array_equal(quickly(attribution, segments_of(masks, shown), least), expected)


@settings(max_examples=40, deadline=None)
@given(cases(st.floats(-1e3, 1e3)))
def test_the_sum_is_kept_whatever_is_dropped_or_left(case):
    """Every pixel belongs to one part, and each part keeps its sum: also with a least gain, and with leftovers."""
    attribution, masks, shown, least = case
    found = quickly(attribution, segments_of(masks, shown), least)
    assert found.sum() == pytest.approx(attribution[shown].sum(), abs=1e-9)
    assert not found[~shown].any()


@settings(max_examples=40, deadline=None)
@given(cases(st.integers(-3, 3).map(float)), st.sampled_from([0.25, 1.0, 64.0]), st.integers(-5, 5))
def test_scaled_and_shifted_attributions_give_scaled_and_shifted_maps(case, scale, shift):
    attribution, masks, shown, least = case
    segments = segments_of(masks, shown)
    expected = np.where(shown, scale * quickly(attribution, segments, least) + shift, 0)
    np.testing.assert_allclose(quickly(scale * attribution + shift, segments, least), expected, atol=1e-9)


def test_a_negative_scale_is_another_question():
    """Growth begins with the largest: of −s it is not minus that of s, where segments overlap."""
    attribution = np.array([[3.0, 1.0, -2.0]])
    masks = np.array([[[True, True, False]], [[False, True, True]]])
    found = quickly(attribution, segments_of(masks))
    np.testing.assert_allclose(found, [[2, 2, -2]])
    np.testing.assert_allclose(quickly(-attribution, segments_of(masks)), [[-3, 0.5, 0.5]])


def test_gains_below_the_least_are_dropped_for_good():
    """By hand. A (mean 5) is taken; B would then add one pixel, and is dropped; C is taken; the rest gets its mean."""
    attribution = np.array([[5.0, 5.0, 9.0, 0.0, 1.0, 1.0, 3.0, 4.0]])
    a, b, c = np.zeros((3, 1, 8), dtype=bool)
    a[0, :3] = b[0, 1:4] = c[0, 3:6] = True
    found = quickly(attribution, segments_of(np.stack([a, b, c])), least=2)
    np.testing.assert_allclose(found, [[19 / 3] * 3 + [2 / 3] * 3 + [3.5] * 2])
    np.testing.assert_allclose(quickly(attribution, segments_of(np.stack([a, b, c])), least=4), [[3.5] * 8])


def test_of_equal_means_the_first_segment_wins():
    attribution = np.array([[0.1, 0.3, 0.1]])
    a, b = np.array([[[True, True, False]], [[False, True, True]]])
    np.testing.assert_allclose(quickly(attribution, segments_of(np.stack([a, b]))), [[0.2, 0.2, 0.1]])
    np.testing.assert_allclose(quickly(attribution, segments_of(np.stack([b, a]))), [[0.1, 0.2, 0.2]])


def test_sums_do_not_drift_so_places_are_pixels_to_the_last_bit():
    """Summed by places or pixel by pixel, and updated in another order: the same numbers."""
    x = street((48, 96))
    (segments,) = felzenszwalb_segments(NET, x, None)
    n = segments.places.size
    every = Segments(np.arange(n).reshape(48, 96), segments.members[:, segments.places.ravel()], np.ones(n, dtype=int))
    assert len(segments.sizes) < n / 4
    noisy = torch.randn(48, 96, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy() + 1e3
    np.testing.assert_array_equal(quickly(noisy, segments), quickly(noisy, every))


def street(size):
    image = torch.from_numpy(Streets(1, (96, 192), seed=3)[0].image).permute(2, 0, 1)[None] / 255
    return interpolate(image.double(), size=size, mode="bilinear", align_corners=False)


NET = Network(module=nn.Conv2d(3, 4, 1))


@pytest.mark.parametrize("dilate", [False, True])
@pytest.mark.parametrize("least", [1, 20])
def test_equals_the_slow_formulation_on_segments_of_a_street(dilate, least):
    x = street((32, 64))
    frame = Frame((28, 60), (28, 60), (32, 64))
    (segments,) = felzenszwalb_segments(NET, x, [frame], dilate=dilate)
    assert len(segments) > 100
    labels = (x[0, 0] > x[0, 1]).long().numpy() + 2 * (x[0, 2] > 0.5).numpy()
    guided = segments.with_labels(labels)
    assert len(guided) == len(segments) + len(np.unique(labels[:28, :60]))
    generator = torch.Generator().manual_seed(0)
    noisy = (x[0].mean(0) + 0.2 * torch.randn(32, 64, generator=generator, dtype=torch.float64)).numpy()
    shown = frame.valid().numpy()
    for given_segments in (segments, guided):
        expected = slowly(noisy, given_segments.masks(), shown, least)
        np.testing.assert_allclose(quickly(noisy, given_segments, least), expected, atol=1e-9)
        assert len(np.unique(expected)) > 10


def test_images_and_targets_are_grown_by_themselves():
    x = torch.cat([street((32, 64)), street((32, 64)).flip(3)])
    segments = felzenszwalb_segments(NET, x, None)
    attribution = torch.stack([x[:, 0], -x[:, 1], x[:, 2] ** 2], 1)
    together = grow(attribution, segments)
    for b in range(2):
        for t in range(3):
            alone = grow(attribution[b : b + 1, t : t + 1], segments[b : b + 1])
            assert torch.equal(alone[0, 0], together[b, t])


# The masks that guide it


def test_masks_are_those_of_members_for_every_kind_of_output():
    y = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    module = nn.Identity()
    for net, out, classes in (
        (Network(module=module), y, 3),
        (Network(module=module, link="sigmoid"), y, 3),
        (Network(module=module), y[:, :1], 2),
        (Network(module=module, emits="probabilities"), y.softmax(1), 3),
    ):
        for b, labels in enumerate(predicted_labels(net, out, (8, 8))):
            big = interpolate(out, size=(8, 8), mode="bilinear", align_corners=False)
            members = [net.members(big, c)[b].numpy() for c in range(classes)]
            expected = {m.tobytes() for m in members if m.any()}
            found = {(one == value).tobytes() for one in labels for value in np.unique(one[one >= 0])}
            assert found == expected


def test_an_output_without_space_is_one_pixel():
    (labels,) = predicted_labels(Network(module=nn.Identity()), torch.tensor([[0.0, 2.0, 1.0]]), (2, 3))
    assert labels[0].tolist() == [[1, 1, 1], [1, 1, 1]]
    assert predicted_labels(Network(module=nn.Identity(), link="none"), torch.ones(2, 3), (2, 3)) == [[], []]


def test_units_with_space_predict_no_masks():
    with pytest.raises(ParameterError, match="units, not classes"):
        predicted_labels(Network(module=nn.Identity(), link="none"), torch.ones(1, 3, 2, 2), (2, 2))


def test_more_classes_than_a_byte_of_fractions_can_tell():
    """Ids kept as id / n in 8 bits come back wrong from n = 22 on (15 of 22, say); ours stay whole numbers."""
    n = 150
    stored = np.array([int(np.uint8(k / n * n)) for k in range(n)])
    assert (stored != np.arange(n)).any()
    y = torch.full((1, n, 1, n), -1.0)
    y[0, range(n), 0, range(n)] = 1.0
    (labels,) = predicted_labels(Network(module=nn.Identity()), y, (1, n))
    assert labels[0][0].tolist() == list(range(n))
    assert len(Segments.none(np.ones((1, n), dtype=bool)).with_labels(*labels)) == n
