"""find_errors(): confused regions against scipy's components, and each as the region that explanations ask about."""

import json

import numpy as np
import pytest
import torch
from painted import Bits, Painted, network, painting, scenes
from PIL import Image
from scipy import ndimage
from torch import nn

import seglens as sl
from seglens.core.errors import ClassNotFoundError, NameNotFoundError, ParameterError, ShapeError
from seglens.run.error_map import Status
from seglens.testing import untouched

NAMES = sl.ClassTable(("road", "traffic light", "rider"))


def pixels_of(mask):
    return frozenset(tuple(map(int, p)) for p in np.argwhere(mask))


def parts_of(inside):
    """Components that touch by sides and corners, by scipy, as sets of pixels."""
    labels, count = ndimage.label(inside, np.ones([3] * inside.ndim))
    return [pixels_of(labels == i + 1) for i in range(count)]


@pytest.mark.parametrize("seed", range(4))
def test_confused_regions_are_the_components_of_each_pair_of_classes(seed):
    ((image, truth),) = scenes(1, seed=seed)
    found = sl.find_errors(network(classes=NAMES), image, truth)
    expected = {
        (NAMES.names[a], NAMES.names[b], part)
        for a in range(3)
        for b in range(3)
        if a != b
        for part in parts_of((truth == a) & (image == b))
    }
    assert {(c.truth, c.predicted, pixels_of(found.mask(c))) for c in found.confusions} == expected
    assert len(found.confusions) == len(expected) > 5
    for c in found.confusions:
        mask = found.mask(c)
        assert c.pixels == mask.sum()
        assert mask[c.at]
        rows, columns = np.nonzero(mask)
        assert c.box == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
    assert [c.rank for c in found.confusions] == list(range(1, len(expected) + 1))
    areas = [c.pixels for c in found.confusions]
    assert areas == sorted(areas, reverse=True)
    assert sum(areas) == found.wrong == ((truth != 255) & (truth != image)).sum()
    assert sum(c.share for c in found.confusions) == pytest.approx(1)
    assert found.unlisted == 0


@pytest.mark.parametrize("convention", [{}, {"divisor": 8}, {"size": (24, 30)}, {"size": (6, 7)}, {"size": (17, 9)}])
def test_each_region_asks_about_exactly_its_pixels(convention):
    """Also where the network sees the picture padded, larger or smaller; as an object and as text."""
    ((image, truth),) = scenes(1)
    torch.manual_seed(1)
    module = nn.Conv2d(1, 3, 3, padding=1)
    net = network(module, classes=NAMES, **convention)
    with torch.no_grad():
        module.bias -= module(net.convention.prepare(sl.read_image(image * 100).pixels)[0]).mean((0, 2, 3))
    found = sl.find_errors(net, image * 100, truth)
    assert len(found.confusions) > 3
    for c in found.confusions[:6]:
        for region in (c.region, sl.parse_region(str(c.region))):
            why = sl.explain(net, image * 100, "saliency", sl.Target(c.predicted, region), truth=truth)
            assert (why.region == found.mask(c)).all()
        assert (why.prediction == found.prediction).all()
        assert why.region.sum() == c.pixels
    known = found.known
    assert found.wrong == ((found.prediction != found.truth) & known).sum()
    assert (known == (found.truth != 255)).all()
    assert any("the network sees" in n for n in found.notes) == ("size" in convention)


def test_on_the_pictures_own_grid_errors_are_those_of_an_evaluation():
    ((image, truth),) = scenes(1)
    net = network(classes=NAMES, divisor=8)
    found, matrix = sl.find_errors(net, image, truth), sl.evaluate(net, image, truth).confusion
    for a in range(3):
        for b in range(3):
            names = NAMES.names[a], NAMES.names[b]
            area = sum(c.pixels for c in found.confusions if (c.truth, c.predicted) == names)
            assert area == (matrix.counts[a, b] if a != b else 0)
        one, t = found.of(a), matrix.tallies
        counted = (one.true_positive, one.false_positive, one.false_negative)
        assert counted == (t.true_positive[a], t.false_positive[a], t.false_negative[a])


def test_every_pixel_has_one_status():
    truth = np.array([[1, 1, 0, 0, 255, 255]])
    said = np.array([[1, 0, 1, 0, 1, 0]])
    one = sl.find_errors(network(classes=NAMES), painting(said), truth).of("Traffic Light")
    order = [Status.TRUE_POSITIVE, Status.FALSE_NEGATIVE, Status.FALSE_POSITIVE, Status.TRUE_NEGATIVE]
    assert one.status.tolist() == [[*order, Status.IGNORED, Status.IGNORED]]
    assert one.name == "traffic light"
    with pytest.raises(ClassNotFoundError):
        sl.find_errors(network(classes=NAMES), painting(said), truth).of("tram")


def test_neighbours_that_are_confused_otherwise_stay_apart():
    truth = np.array([[0, 0, 0, 0, 0]])
    said = np.array([[1, 1, 2, 1, 1]])
    found = sl.find_errors(network(classes=NAMES), painting(said), truth)
    assert [(c.predicted, c.pixels, c.at, c.box) for c in found.confusions] == [
        ("traffic light", 2, (0, 0), (0, 0, 1, 2)),
        ("traffic light", 2, (0, 3), (0, 3, 1, 5)),
        ("rider", 1, (0, 2), (0, 2, 1, 3)),
    ]
    assert str(found.confusions[0].region) == "component(confused(truth=road, as_='traffic light'), at=(0, 0))"


def test_an_ignored_pixel_divides_a_region():
    truth = np.array([[0, 255, 0]])
    found = sl.find_errors(network(classes=NAMES), painting(np.ones((1, 3))), truth)
    assert [c.pixels for c in found.confusions] == [1, 1]
    assert found.wrong == 2
    whole = sl.find_errors(network(classes=NAMES), painting(np.ones((1, 3))), np.zeros((1, 3), int), ignore=None)
    assert [c.pixels for c in whole.confusions] == [3]


def test_the_point_lies_deepest_inside():
    said = np.zeros((9, 12), int)
    said[1:8, 1:8] = 1
    said[1, 8:12] = 1
    (only,) = sl.find_errors(network(classes=NAMES), painting(said), np.zeros((9, 12), int)).confusions
    assert only.at == (4, 4)


def test_small_regions_are_counted_not_listed():
    ((image, truth),) = scenes(1)
    everything = sl.find_errors(network(), image, truth)
    large = sl.find_errors(network(), image, truth, least=3)
    kept = [c for c in everything.confusions if c.pixels >= 3]
    assert large.confusions == tuple(kept)
    assert large.unlisted == len(everything.confusions) - len(kept) > 0
    assert large.wrong == everything.wrong
    assert set(np.unique(large.ranks)) == {0, *(c.rank for c in kept)}
    with pytest.raises(ParameterError, match="from 1"):
        sl.find_errors(network(), image, truth, least=0)


def test_of_one_class():
    ((image, truth),) = scenes(1)
    found = sl.find_errors(network(classes=NAMES), image, truth)
    chosen = found.with_class("rider")
    assert chosen == tuple(c for c in found.confusions if "rider" in (c.truth, c.predicted))
    assert 0 < len(chosen) < len(found.confusions)
    told = found.to_dict("rider")
    assert [c["name"] for c in told["classes"]] == ["rider"]
    assert len(told["confusions"]) == len(chosen)


def test_nothing_wrong():
    ((image, _),) = scenes(1)
    found = sl.find_errors(network(), image, image.astype(int))
    assert (found.wrong, found.unlisted, found.confusions) == (0, 0, ())


def test_one_channel():
    rng = np.random.default_rng(0)
    said, truth = rng.integers(0, 2, (2, 9, 9))
    net = network(Bits(1), classes=sl.ClassTable(("background", "vessel")))
    found = sl.find_errors(net, painting(said), truth)
    missed = {pixels_of(found.mask(c)) for c in found.confusions if c.truth == "vessel"}
    assert missed == set(parts_of((truth == 1) & (said == 0)))
    worst = found.confusions[0]
    why = sl.explain(net, painting(said), "saliency", sl.Target(worst.predicted, worst.region), truth=truth)
    assert (why.region == found.mask(worst)).all()


def test_independent_labels_are_confused_with_each_class_that_is_predicted_besides():
    bits, truth = np.array([[0b11, 0b01, 0b10, 0b110, 0]]), np.array([[0, 0, 0, 1, 1]])
    net = network(Bits(3), link="sigmoid", classes=NAMES)
    found = sl.find_errors(net, painting(bits), truth)
    assert found.prediction is None
    told = [(c.truth, c.predicted, c.pixels, c.at) for c in found.confusions]
    assert sorted(told) == [
        ("road", "traffic light", 1, (0, 0)),
        ("road", "traffic light", 1, (0, 2)),
        ("traffic light", "rider", 1, (0, 3)),
    ]
    for c in found.confusions:
        why = sl.explain(net, painting(bits), "saliency", sl.Target(c.predicted, c.region), truth=truth)
        assert (why.region == found.mask(c)).all()
    assert found.of("road").status.tolist() == [[1, 1, 3, 0, 0]]


def test_what_is_refused():
    class Classifier(nn.Module):
        def forward(self, x):
            return x.flatten(2).mean(2).expand(-1, 3)

    ((image, truth),) = scenes(1)
    with pytest.raises(ParameterError, match="is a classifier"):
        sl.find_errors(network(Classifier()), image, truth)
    with pytest.raises(ShapeError, match="never stretched"):
        sl.find_errors(network(), image, truth[:-1])


def test_the_network_stays_as_it_was():
    ((image, truth),) = scenes(1)
    net = network(nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)))
    with untouched(net):
        sl.find_errors(net, image, truth)


def test_files(tmp_path):
    ((image, truth),) = scenes(1, (40, 60))
    found = sl.find_errors(network(classes=NAMES), image, truth, least=4)
    assert json.loads(found.save(tmp_path / "new/e.json").read_text()) == found.to_dict()
    for name, label in (("all.png", None), ("rider.png", "rider")):
        with Image.open(found.save(tmp_path / name, label)) as drawn:
            assert min(drawn.size) > 1000
    several = sl.find_errors(network(Bits(3), link="sigmoid", classes=NAMES), image, truth)
    assert several.save(tmp_path / "several.svg", "road").stat().st_size > 10_000
    with pytest.raises(NameNotFoundError, match="give a suffix of"):
        found.save(tmp_path / "e.tiff")
    with pytest.raises(ClassNotFoundError):
        found.save(tmp_path / "e.png", "tram")


def test_labels_of_many_classes_keep_their_numbers():
    """Class 15 of 22 is one of those that k/n in 8 bits loses."""
    k = 30
    truth = np.arange(k).reshape(5, 6)
    found = sl.find_errors(network(Painted(k), k=k), painting(truth), truth)
    assert found.wrong == 0
    assert (found.prediction == truth).all()
    moved = sl.find_errors(network(Painted(k), k=k), painting((truth + 1) % k), truth)
    pairs = {(c.truth, c.predicted) for c in moved.confusions}
    assert pairs == {(f"class {i}", f"class {(i + 1) % k}") for i in range(k)}
