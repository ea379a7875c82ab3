"""Every region of the vocabulary against brute force, on small label maps, resized and padded images."""

from collections import deque

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from seglens.core.errors import ClassNotFoundError, RegionError, ShapeError
from seglens.core.frame import Frame
from seglens.core.masks import grown
from seglens.core.network import Network
from seglens.core.regions import (
    border,
    box,
    component,
    confused,
    everything,
    instance,
    mask,
    outside,
    pixel,
    polygon,
    predicted,
    truth,
)
from seglens.core.view import Region, View, resolve

NET = Network(module=nn.Identity(), classes=None)
RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 3, (2, 9, 11)) * (RNG.random((2, 9, 11)) < 0.7)
TRUE = np.where(RNG.random((2, 9, 11)) < 0.8, LABELS, RNG.integers(0, 3, (2, 9, 11)))


def view(labels=LABELS, true=None, instances=None, frames=None, ignore=255) -> View:
    labels = torch.from_numpy(np.asarray(labels))
    output = nn.functional.one_hot(labels, 3).movedim(-1, 1).float()
    frames = frames or [Frame.identity(tuple(labels.shape[1:]))] * len(labels)
    return View(
        network=NET,
        output=output,
        frames=frames,
        truth=None if true is None else torch.from_numpy(np.asarray(true)),
        instances=None if instances is None else torch.from_numpy(np.asarray(instances)),
        ignore=ignore,
    )


def found(region: Region, **fields) -> np.ndarray:
    return resolve(region, view(**fields)).numpy()


def flooded(inside: np.ndarray) -> list[set[tuple[int, ...]]]:
    """Components by breadth-first search over all neighbours that touch by side or corner, in order of first pixel."""
    left, parts = {tuple(map(int, p)) for p in np.argwhere(inside)}, []
    for start in map(tuple, np.argwhere(inside).tolist()):
        if start not in left:
            continue
        part, waiting = set(), deque([start])
        left.discard(start)
        while waiting:
            p = waiting.popleft()
            part.add(p)
            for step in np.ndindex(*[3] * inside.ndim):
                q = tuple(a + s - 1 for a, s in zip(p, step, strict=True))
                if q in left:
                    left.discard(q)
                    waiting.append(q)
        parts.append(part)
    return parts


def as_mask(part, shape) -> np.ndarray:
    out = np.zeros(shape, bool)
    for p in part:
        out[p] = True
    return out


def test_everything_and_its_outside():
    assert found(everything).all()
    assert not found(outside(everything)).any()


def test_pixel_and_box():
    at = np.zeros((2, 9, 11), bool)
    at[:, 3, 10] = True
    assert (found(pixel(3, 10)) == at).all()
    inside = np.zeros((2, 9, 11), bool)
    inside[:, 2:5, 1:4] = True
    assert (found(box(2, 1, 5, 4)) == inside).all()
    inside = np.zeros((2, 9, 11), bool)
    inside[:, 0:2, 8:] = True
    assert (found(box(-4, 8, 2, 99)) == inside).all()


@pytest.mark.parametrize("label", [0, 1, 2])
def test_predicted_and_truth(label):
    assert (found(predicted(label)) == (label == LABELS)).all()
    assert (found(truth(label), true=TRUE) == (label == TRUE)).all()


@pytest.mark.parametrize("label", [1, 2])
@pytest.mark.parametrize("of", ["prediction", "truth"])
def test_nth_largest_component(label, of):
    source = LABELS if of == "prediction" else TRUE
    for i in range(2):
        parts = sorted(flooded(source[i] == label), key=len, reverse=True)
        assert len(parts) > 2
        for n in range(1, len(parts) + 2):
            got = found(instance(label, largest=n, of=of), true=TRUE)[i]
            expected = as_mask(parts[n - 1], (9, 11)) if n <= len(parts) else np.zeros((9, 11), bool)
            assert (got == expected).all()


def test_component_at_a_pixel():
    for y, x in np.ndindex(9, 11):
        got = found(instance(1, at=(y, x)))
        for i in range(2):
            part = next((p for p in flooded(LABELS[i] == 1) if (y, x) in p), ())
            assert (got[i] == as_mask(part, (9, 11))).all()


def test_corners_connect():
    labels = np.eye(4, dtype=int)[None]
    assert found(instance(1, largest=1), labels=labels).sum() == 4


def test_components_of_a_volume():
    labels = (np.random.default_rng(1).random((1, 4, 5, 6)) < 0.15).astype(int)
    parts = sorted(flooded(labels[0] == 1), key=len, reverse=True)
    assert len(parts) > 1
    assert (found(instance(1, largest=1), labels=labels)[0] == as_mask(parts[0], (4, 5, 6))).all()
    y = next(iter(parts[1]))
    assert (found(instance(1, at=y), labels=labels)[0] == as_mask(parts[1], (4, 5, 6))).all()


@pytest.mark.parametrize("region", [confused(truth=1, as_=0), ~predicted(0), truth(2) | pixel(0, 0)], ids=str)
def test_component_of_any_region_against_a_flood(region):
    inside = found(region, true=TRUE)
    assert sum(len(flooded(one)) for one in inside) > 2
    for i in range(2):
        parts = sorted(flooded(inside[i]), key=len, reverse=True)
        for n in range(1, len(parts) + 2):
            expected = as_mask(parts[n - 1] if n <= len(parts) else (), (9, 11))
            assert (found(component(region, largest=n), true=TRUE)[i] == expected).all()
    for at in np.ndindex(9, 11):
        got = found(component(region, at=at), true=TRUE)
        for i in range(2):
            assert (got[i] == as_mask(next((p for p in flooded(inside[i]) if at in p), ()), (9, 11))).all()


def test_a_component_ends_where_labels_are_ignored_and_where_padding_begins():
    labels = np.ones((1, 3, 6), int)
    true = labels.copy()
    true[:, :, 2] = 255
    assert found(component(predicted(1), at=(0, 0)), labels=labels, true=true).sum() == 6
    assert found(component(predicted(1), largest=1), labels=labels, true=true)[0, :, 3:].all()
    padded = [Frame((3, 4), (3, 4), (3, 6))]
    assert found(component(predicted(1), largest=1), labels=labels, frames=padded).sum() == 12


def test_a_component_of_a_volume_touches_along_corners():
    labels = np.zeros((1, 3, 3, 3), int)
    labels[0, 0, 0, 0] = labels[0, 1, 1, 1] = labels[0, 2, 2, 2] = labels[0, 0, 2, 2] = 1
    got = found(component(predicted(1), at=(2, 2, 2)), labels=labels)
    assert got.sum() == 4
    labels[0, 1, 1, 1] = 0
    assert found(component(predicted(1), at=(2, 2, 2)), labels=labels).sum() == 1


def test_a_place_in_a_resized_picture_names_the_component_shown_there():
    labels = np.array([[1, 0, 1, 1], [1, 0, 0, 1]])[None]
    frames = [Frame((4, 8), (2, 4), (2, 4))]
    for y, x in np.ndindex(4, 8):
        got = found(component(predicted(1), at=(y, x)), labels=labels, frames=frames)[0]
        expected = as_mask(next((p for p in flooded(labels[0] == 1) if (y // 2, x // 2) in p), ()), (2, 4))
        assert (got == expected).all()


IDS = np.array([[0, 0, 7, 7], [3, 3, 7, 7], [3, 0, 9, 3]])[None]
CLASSES = np.array([[1, 1, 1, 1], [1, 1, 1, 2], [1, 0, 1, 1]])[None]


def test_annotated_instances_by_their_ids():
    """Ids count, not contact: id 3 lies in two pieces; a pixel of another class belongs to none of the class's."""
    ids = {"labels": CLASSES, "true": CLASSES, "instances": IDS}
    for n, expected in enumerate([(IDS == 3) & (CLASSES == 1), (IDS == 7) & (CLASSES == 1), IDS == 9], start=1):
        assert (found(instance(1, largest=n, of="truth"), **ids) == expected).all()
    assert not found(instance(1, largest=4, of="truth"), **ids).any()
    assert (found(instance(1, at=(2, 3), of="truth"), **ids) == ((IDS == 3) & (CLASSES == 1))).all()
    assert not found(instance(1, at=(0, 0), of="truth"), **ids).any()


def test_an_instance_that_fills_the_image():
    """No pixel without instance: the smallest id must not be taken for the background."""
    ids = {"labels": [[[1, 1], [1, 1]]], "true": [[[1, 1], [1, 1]]], "instances": [[[3, 3], [3, 5]]]}
    assert found(instance(1, largest=1, of="truth"), **ids).tolist() == [[[True, True], [True, False]]]
    assert found(instance(1, at=(0, 0), of="truth"), **ids).tolist() == [[[True, True], [True, False]]]
    assert found(instance(1, at=(1, 1), of="truth"), **ids).tolist() == [[[False, False], [False, True]]]


def test_predicted_instances_ignore_the_annotated_ids():
    got = found(instance(1, largest=1), labels=CLASSES, true=CLASSES, instances=IDS)
    assert got.sum() == (CLASSES == 1).sum()


def test_confused():
    got = found(confused(truth=1, as_=2), true=TRUE)
    assert (got == ((TRUE == 1) & (LABELS == 2))).all()
    assert got.any()


@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
def test_border_in_chessboard_distance(width, shape):
    """A pixel of the region with a pixel of the outside no more than `width` rows and columns away."""
    labels = np.zeros((1, *shape), int)
    labels[(0, *(slice(1, n - 1) for n in shape))] = 1
    labels[(0, *[2] * len(shape))] = 0
    expected = np.zeros(shape, bool)
    for p in np.argwhere(labels[0] == 1):
        near = tuple(slice(max(a - width, 0), a + width + 1) for a in p)
        expected[tuple(p)] = (labels[0][near] == 0).any()
    assert (found(border(predicted(1), width), labels=labels)[0] == expected).all()


def test_the_edge_of_the_picture_is_no_border():
    assert not found(border(everything, 2)).any()


def test_padding_is_no_outside_either():
    """The same picture, padded or not, has the same borders."""
    labels = np.zeros((1, 5, 6), int)
    labels[0, 1:, 2:] = 1
    padded = np.pad(labels, ((0, 0), (0, 3), (0, 2)), mode="edge")
    whole = found(border(predicted(1), 1), labels=labels)
    cut = found(border(predicted(1), 1), labels=padded, frames=[Frame((5, 6), (5, 6), (8, 8))])
    assert (cut[:, :5, :6] == whole).all()


@given(st.integers(0, 2**32 - 1), st.integers(3, 6))
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_polygon_by_the_even_odd_rule(seed, n):
    """Pixel centres, counted by the angle that the corners turn through: odd winding is inside for simple ones;
    for all of them, a ray to the left crosses an odd number of sides."""
    rng = np.random.default_rng(seed)
    points = [(float(y), float(x)) for y, x in rng.uniform(-1.0, 10.0, (n, 2))]
    expected = np.zeros((9, 11), bool)
    for y, x in np.ndindex(9, 11):
        crossings = 0
        for (y0, x0), (y1, x1) in zip(points, points[1:] + points[:1], strict=True):
            if min(y0, y1) <= y < max(y0, y1):
                crossings += x0 + (y - y0) / (y1 - y0) * (x1 - x0) < x
        expected[y, x] = crossings % 2
    assert (found(polygon(*points))[0] == expected).all()


def test_polygon_of_a_rectangle_and_of_a_star():
    assert found(polygon((1.5, 1.5), (1.5, 6.5), (4.5, 6.5), (4.5, 1.5)))[0].sum() == 3 * 5
    star = polygon((0, 5), (9, 8.5), (3, 0), (3, 10), (9, 1.5))
    assert not found(star)[0][4, 5]


def test_masks_for_one_image_and_for_each():
    values = RNG.random((9, 11)) < 0.5
    assert (found(mask(values)) == values).all()
    several = RNG.integers(0, 3, (2, 9, 11))
    assert (found(mask(torch.from_numpy(several))) == (several != 0)).all()
    with pytest.raises(RegionError, match="mask holds 3 masks for a batch of 2 images"):
        found(mask(np.ones((3, 9, 11))))
    with pytest.raises(ShapeError, match=r"a mask of 4 × 4 does not fit an image of 9 × 11"):
        found(mask(np.ones((4, 4))))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mask(np.array(["a"])), "a mask holds numbers or booleans, not <U1"),
        (lambda: mask(np.array([np.nan])), "the mask holds NaN or infinity"),
        (lambda: box(1, 2, 3), r"box takes \(top, left, bottom, right\), not \(1, 2, 3\)"),
        (lambda: box(3, 2, 3, 4), r"box\(3, 2, 3, 4\) is empty"),
        (lambda: polygon((0, 0), (1, 1)), "a polygon has at least three corners, not 2"),
        (lambda: border(everything, 0), "a border is at least 1 pixel wide, not 0"),
        (lambda: instance("a"), r"instance takes either at=\(row, column\) or largest=n, one of them"),
        (lambda: instance("a", at=(1, 2), largest=1), "one of them"),
        (lambda: instance("a", largest=0), "largest counts from 1, not 0"),
        (lambda: instance("a", largest=1, of="label"), "of is 'prediction' or 'truth', not 'label'"),
        (lambda: found(truth(1)), r"a region of the truth needs the true labels, and none were given.\n  Give them as"),
        (lambda: found(confused(truth=1, as_=0)), "needs the true labels"),
        (lambda: found(instance(1, largest=1, of="truth")), "needs the true labels"),
        (lambda: found(pixel(9, 0)), r"the point \(9, 0\) lies outside the image of 9 × 11"),
        (lambda: found(pixel(0, -1)), "lies outside the image"),
        (lambda: found(pixel(1, 2, 3)), r"the point \(1, 2, 3\) has 3 coordinates, the image 2 dimensions"),
        (lambda: found(box(0, 0, 0, 1, 1, 1)), r"box\(.*\) has 3 dimensions, the image 2"),
        (lambda: resolve(polygon((0, 0), (1, 1), (2, 0)), view(np.zeros((1, 3, 3, 3), int))), "lies in a plane"),
        (lambda: found(Region()), "Region is no region"),
    ],
)
def test_what_is_refused(make, message):
    with pytest.raises(RegionError, match=message):
        make()


def test_an_unknown_class_is_named():
    with pytest.raises(ClassNotFoundError, match=r"no class 'clas 1' among 3.\n  Nearest: 'class 1'"):
        found(predicted("clas 1"))


def test_ignored_labels_belong_to_no_region():
    true = TRUE.copy()
    true[:, 2:4] = 255
    known = true != 255
    for region in (everything, predicted(0), ~predicted(1), pixel(2, 3), mask(np.ones((9, 11))), truth(1), ~truth(255)):
        try:
            got = found(region, true=true)
        except ClassNotFoundError:
            continue
        assert not (got & ~known).any()
    assert (found(everything, true=true) == known).all()
    assert found(everything, true=true, ignore=None).all()
    assert (found(everything, true=true, ignore=1) == (true != 1)).all()


def test_ignored_pixels_divide_components():
    labels = np.ones((1, 3, 5), int)
    true = labels.copy()
    true[..., 2] = 255
    assert found(instance(1, largest=1), labels=labels, true=true).sum() == 6


PADDED = Frame((5, 6), (5, 6), (8, 8))


def test_padding_belongs_to_no_region():
    inside = np.zeros((8, 8), bool)
    inside[:5, :6] = True
    labels = np.ones((1, 8, 8), int)
    for region in (
        everything,
        predicted(1),
        ~pixel(0, 0),
        ~predicted(0),
        instance(1, largest=1),
        outside(box(0, 0, 1, 1)),
    ):
        got = found(region, labels=labels, frames=[PADDED])[0]
        assert not (got & ~inside).any()
        assert got.sum() >= 29
    assert (found(everything, labels=labels, frames=[PADDED])[0] == inside).all()


@pytest.mark.parametrize("resized", [(10, 12), (20, 9), (5, 6)])
def test_coordinates_are_the_pictures_own(resized):
    """Drawn on the picture of 10 × 12 and carried over by nearest pixel; a pixel is where its centre falls."""
    grid = (24, 16)
    frame = Frame((10, 12), resized, grid)
    labels = np.zeros((1, *grid), int)
    rows = [(2 * i + 1) * 10 // (2 * resized[0]) for i in range(resized[0])]
    cols = [(2 * i + 1) * 12 // (2 * resized[1]) for i in range(resized[1])]
    picture = np.zeros((10, 12), bool)
    picture[2:7, 3:11] = True
    expected = np.zeros(grid, bool)
    expected[: resized[0], : resized[1]] = picture[np.ix_(rows, cols)]
    fields = {"labels": labels, "frames": [frame]}
    assert (found(box(2, 3, 7, 11), **fields)[0] == expected).all()
    assert (found(mask(picture), **fields)[0] == expected).all()
    assert (found(polygon((1.5, 2.5), (1.5, 10.5), (6.5, 10.5), (6.5, 2.5)), **fields)[0] == expected).all()
    for y, x in ((0, 0), (9, 11), (4, 7)):
        (at,) = np.argwhere(found(pixel(y, x), **fields)[0])
        centre = [(y + 0.5) * resized[0] / 10, (x + 0.5) * resized[1] / 12]
        assert at.tolist() == [int(c) for c in centre]


def test_a_frame_for_each_image():
    frames = [Frame((4, 4), (8, 8), (8, 8)), Frame((8, 8), (8, 8), (8, 8))]
    got = found(box(0, 0, 2, 2), labels=np.zeros((2, 8, 8), int), frames=frames)
    assert got.sum((1, 2)).tolist() == [16, 4]


bits = st.lists(st.booleans(), min_size=20, max_size=20).map(lambda b: mask(np.array(b).reshape(4, 5)))


@given(bits, bits, bits)
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_laws_of_the_algebra(a, b, c):
    """Complements are taken within the known pixels: the laws hold there, padding and ignored labels left out."""
    true = np.zeros((1, 6, 5), int)
    true[0, 1, 1:4] = 255
    field = view(np.zeros((1, 6, 5), int), true, frames=[Frame((4, 5), (4, 5), (6, 5))])

    def same(left, right):
        return torch.equal(resolve(left, field), resolve(right, field))

    assert same(~(a & b), ~a | ~b)
    assert same(~(a | b), ~a & ~b)
    assert same(~~a, a)
    assert same(a & a, a)
    assert same(a | a, a)
    assert same(a | (a & b), a)
    assert same(a & (b | c), (a & b) | (a & c))
    assert same(a | ~a, everything)
    assert same(outside(a), ~a)
    assert not resolve(a & ~a, field).any()
    assert same(a, everything) == bool(resolve(a, field)[0, :4].sum() == 17)


def test_grown_is_a_dilation():
    seed = torch.zeros(1, 7, 9, dtype=torch.bool)
    seed[0, 3, 4] = True
    got = grown(seed, 2)[0]
    assert got.sum() == 25
    assert bool(got[1:6, 2:7].all())
