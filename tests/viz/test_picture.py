import numpy as np
import pytest

from seglens.core.classes import ClassTable
from seglens.core.display import Display
from seglens.core.errors import ParameterError, ShapeError
from seglens.viz.colours import OTHER, palette, table
from seglens.viz.display import overlay, shared_scale, show
from seglens.viz.picture import (
    Scale,
    flat,
    greyed,
    labels_picture,
    occurring,
    rgba,
    scale_of,
)


def entry(kind, i):
    return np.rint(table(kind)[i] * 255).astype(int).tolist()


def test_a_map_without_negative_values_is_scaled_from_zero():
    scale = scale_of(np.array([[0.5, 2.0]], np.float32))
    assert (scale.low, scale.limit, scale.diverging, scale.clipped) == (0.0, 2.0, False, False)


def test_a_map_with_negative_values_is_scaled_symmetrically():
    scale = scale_of(np.array([[-0.5, 2.0]], np.float32))
    assert (scale.low, scale.limit, scale.diverging) == (-2.0, 2.0, True)


def test_percentile_counts_only_what_is_neither_zero_nor_undefined():
    values = np.zeros((100, 100), np.float32)
    values[0, :10] = np.arange(1, 11)
    values[1] = np.nan
    assert scale_of(values, 50).limit == pytest.approx(5.5)
    assert scale_of(values, 50).clipped
    assert scale_of(values, 50).largest == 10


@pytest.mark.parametrize("size", [1e-45, 1e-30, 1e30, 3e38])
def test_size_of_values_does_not_matter(size):
    values = np.array([[0, 0.5, 1]]) * np.float32(size)
    values = values.astype(np.float32)
    picture = rgba(values, scale_of(values))
    assert picture[0, 0, :3].tolist() == entry("sequential", 0)
    assert picture[0, 2, :3].tolist() == entry("sequential", 255)


@pytest.mark.parametrize("empty", [np.zeros((3, 4)), np.full((3, 4), np.nan), np.full((3, 4), np.inf)])
def test_a_map_without_weight_has_no_scale(empty):
    assert scale_of(empty) is None


@pytest.mark.parametrize("percentile", [0, -1, 101, float("nan")])
def test_percentile_out_of_range(percentile):
    with pytest.raises(ParameterError, match="above 0 and at most at 100"):
        scale_of(np.ones((2, 2)), percentile)


def test_one_scale_for_several_maps(make):
    small, large = make(), make(map=make().map * -4)
    whole = Display(percentile=100)
    assert shared_scale([show(small, whole), show(large, whole)]) == Scale(12.0, True, 12.0)
    with pytest.raises(ParameterError, match="'logit' and 'probability' cannot share"):
        shared_scale([show(small), show(make(unit="probability"))])


def test_colours_of_both_ends_and_the_middle():
    values = np.array([[-2.0, 0.0, 2.0]])
    picture = rgba(values, scale_of(values))
    assert picture[0, 0].tolist() == [*entry("diverging", 0), 255]
    assert picture[0, 2].tolist() == [*entry("diverging", 255), 255]
    assert picture[0, 1, :3].min() > 235


def test_values_beyond_the_scale_take_the_last_colour():
    picture = rgba(np.array([[-9.0, 9.0]]), Scale(1.0, True, 9.0))
    assert picture[0, :, :3].tolist() == [entry("diverging", 0), entry("diverging", 255)]


def test_opacity_constant_or_growing():
    values = np.array([[0.0, 0.25, -1.0]])
    scale = scale_of(values)
    assert rgba(values, scale, opacity=0.4)[..., 3].tolist() == [[102, 102, 102]]
    zero, some, most = rgba(values, scale, opacity=0.4, growing=True)[0, :, 3].tolist()
    assert zero == 0 < some < most == 102
    with pytest.raises(ParameterError, match=r"opacity = 1\.5"):
        rgba(values, scale, opacity=1.5)


def test_undefined_pixels_are_hatched_in_grey():
    values = np.ones((40, 40))
    values[10:30] = np.nan
    values[31, 31] = np.inf
    picture = rgba(values, scale_of(values), growing=True)
    hatch = picture[10:30]
    assert (hatch[..., 0] == hatch[..., 2]).all()
    assert (hatch[..., 3] == 255).all()
    assert len(np.unique(hatch[..., 0])) == 2
    assert picture[31, 31, 0] == picture[31, 31, 1]
    assert picture[0, 0, :3].tolist() == entry("sequential", 255)


def test_a_zero_map_is_transparent(make):
    zero = make(map=np.zeros((24, 36), np.float32))
    assert not rgba(zero.map, None).any()
    np.testing.assert_array_equal(overlay(zero, Display(grey=False), region=False), zero.image)


@pytest.mark.parametrize("shape", [(24, 36), (1, 1), (3, 500), (500, 3), (2, 2), (301, 199)])
@pytest.mark.parametrize("channels", [(), (1,), (3,)])
def test_overlay_keeps_the_images_size(make, shape, channels):
    e = make(shape, image=np.zeros((*shape, *channels), np.uint8))
    drawn = overlay(e)
    assert drawn.shape == (*shape, 3)
    assert drawn.dtype == np.uint8


def test_overlay_blends_as_a_screen_does(make):
    e = make(map=np.full((24, 36), 2.0, np.float32), image=np.full((24, 36, 3), 100, np.uint8))
    drawn = overlay(e, Display(opacity=0.5, growing=False, grey=False), region=False)
    expected = 0.5 * 100 + 0.5 * np.array(entry("sequential", 255))
    np.testing.assert_allclose(drawn[0, 0], expected, atol=1)


def test_overlay_leaves_the_explanation_as_it_was(make):
    e = make()
    image, values = e.image.copy(), e.map.copy()
    overlay(e)
    np.testing.assert_array_equal(e.image, image)
    np.testing.assert_array_equal(e.map, values)


def test_the_grey_backdrop_leans_towards_the_colour_of_zero():
    image = np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)
    plain, dark, light = (greyed(image, s)[0].astype(int) for s in (None, Scale(1, False, 1), Scale(1, True, 1)))
    assert plain.tolist() == [0, 255, 54]
    assert dark[1] < 200
    assert light[0] > 70
    assert dark[1] > dark[2] > dark[0]


def test_labels_take_the_colours_of_their_classes():
    labels = np.array([[0, 1], [2, 255], [-1, 0]])
    drawn = labels_picture(labels, ClassTable(("a", "b", "c")))
    blue, orange, third = palette(3)
    assert drawn.tolist() == [
        [list(blue), list(orange)],
        [list(third), list(OTHER)],
        [list(OTHER), list(blue)],
    ]


def test_classes_that_occur_largest_first():
    labels = np.array([[2, 2, 2, 0], [0, 255, 2, 2]])
    found = occurring(labels, ClassTable(("a", "b", "c")))
    assert found == [(2, 5 / 8), (0, 2 / 8), (None, 1 / 8)]


def test_a_volume_shows_the_slice_of_greatest_absolute_weight(make):
    e = make((4, 6, 8))
    values = np.zeros((4, 6, 8), np.float32)
    values[1], values[2, 0, 0], values[3] = 0.1, -50, np.nan
    shown, z = flat(make((4, 6, 8), map=values))
    assert z == 2
    np.testing.assert_array_equal(shown.image, e.image[2])
    np.testing.assert_array_equal(shown.region, e.region[2])
    np.testing.assert_array_equal(shown.prediction, e.prediction[2])


def test_a_volume_without_weight_shows_its_region_or_its_middle(make):
    zero = np.zeros((5, 6, 8), np.float32)
    region = np.zeros((5, 6, 8), bool)
    region[4] = True
    assert flat(make((5, 6, 8), map=zero, region=region))[1] == 4
    assert flat(make((5, 6, 8), map=zero, region=None))[1] == 2


def test_a_flat_explanation_is_itself(make):
    e = make()
    assert flat(e) == (e, None)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("image", np.zeros((23, 36, 3), np.uint8)),
        ("region", np.zeros((24, 35), bool)),
        ("prediction", np.zeros((12, 18), np.int64)),
    ],
)
def test_sizes_that_differ_are_refused(make, name, array):
    with pytest.raises(ShapeError, match=rf"the map is \[24, 36\], the {name} \["):
        overlay(make(**{name: array}))


def test_shapes_that_cannot_be_drawn(make):
    with pytest.raises(ShapeError, match=r"a map is \[H W\] or \[D H W\], not \[36\]"):
        overlay(make(map=np.zeros(36, np.float32)))
    with pytest.raises(ShapeError, match=r"an image to draw is \[H W\] or \[H W 3\]"):
        overlay(make(image=np.zeros((24, 36, 5), np.uint8)))
    with pytest.raises(ShapeError, match=r"a map to draw is \[H W\]"):
        rgba(np.zeros((2, 2, 2)), None)
