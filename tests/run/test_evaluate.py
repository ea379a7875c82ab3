"""evaluate(): against counting by hand, over files, sizes, kinds of networks, and images that fail."""

import csv
import json
import math
import sys

import numpy as np
import pytest
import torch
from painted import Bits, Painted, network, painting, scenes
from PIL import Image
from torch import nn

import seglens as sl
from seglens.core.errors import (
    DegenerateImageWarning,
    ImageError,
    MemoryWarning,
    MissingExtraError,
    NameNotFoundError,
    NonFiniteError,
    ParameterError,
    SeglensError,
    ShapeError,
)
from seglens.metrics import Confusion, boundary
from seglens.testing import untouched

NAMES = sl.ClassTable(("road", "car", "sky"))


def by_hand(pairs, k=3):
    counts = np.zeros((k, k), int)
    for said, truth in pairs:
        for p in np.ndindex(*truth.shape):
            if truth[p] != 255:
                counts[truth[p], said[p]] += 1
    return counts


def test_counts_are_those_of_a_loop_over_pixels():
    pairs = list(scenes(5)) + list(scenes(2, (8, 9), seed=1))
    images, truths = zip(*pairs, strict=True)
    found = sl.evaluate(network(classes=NAMES), list(images), list(truths))
    assert (found.confusion.counts == by_hand(pairs)).all()
    assert found.ignored == sum((t == 255).sum() for t in truths)
    assert found.tallies.pixels == found.confusion.counts.sum()
    assert found.overall["pixel_accuracy"] == np.trace(found.confusion.counts) / found.confusion.counts.sum()
    assert [c.name for c in found.per_class] == ["road", "car", "sky"]
    assert [c.pixels for c in found.per_class] == found.confusion.counts.sum(1).tolist()
    assert [c.predicted for c in found.per_class] == found.confusion.counts.sum(0).tolist()
    assert len(found.images) == 7
    assert not found.failures


def test_boundary_is_the_mean_over_the_images_that_have_a_contour():
    pairs = list(scenes(3, k=2))
    images, truths = zip(*pairs, strict=True)
    found = sl.evaluate(network(classes=NAMES), list(images), list(truths), tolerance=1)
    for c in range(3):
        each = [boundary(t == c, i == c, t != 255, 1).f for i, t in pairs]
        one = found.per_class[c]
        assert one.boundary_images == sum(not math.isnan(f) for f in each)
        if one.boundary_images:
            assert one.boundary_f == pytest.approx(np.nanmean(each))
    assert math.isnan(found.per_class[2].boundary_f)
    assert found.absent == ("sky",)
    assert found.overall["mean_boundary_f"] == pytest.approx(np.mean([c.boundary_f for c in found.per_class[:2]]))


def test_a_truth_taken_for_something_else_stands_in_its_row():
    truth, said = np.zeros((4, 4), int), np.ones((4, 4), int)
    found = sl.evaluate(network(classes=NAMES), painting(said), truth)
    assert found.confusion.counts[0].tolist() == [0, 16, 0]
    assert found.per_class[0].recall == 0
    assert math.isnan(found.per_class[0].precision)
    assert math.isnan(found.per_class[1].recall)


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    pairs = list(scenes(4))
    for i, (image, truth) in enumerate(pairs):
        Image.fromarray(image).save(tmp_path / f"images/s{i}.png")
        Image.fromarray(truth.astype(np.uint8)).save(tmp_path / f"labels/s{i}.png")
    return tmp_path, pairs


def test_folders_globs_and_lists_are_paired_by_stem(folder):
    path, pairs = folder
    expected = by_hand(pairs)
    several = [path / f"images/s{i}.png" for i in range(4)]
    for images in (path / "images", str(path / "images/*.png"), several):
        found = sl.evaluate(network(), images, path / "labels")
        assert (found.confusion.counts == expected).all()
        assert [i.image for i in found.images] == [f"s{i}.png" for i in range(4)]
    one = sl.evaluate(network(), several[2], path / "labels/s2.png")
    assert (one.confusion.counts == by_hand(pairs[2:3])).all()
    truths = [np.asarray(Image.open(path / f"labels/s{i}.png")) for i in range(4)]
    assert (sl.evaluate(network(), several, truths).confusion.counts == expected).all()
    with pytest.raises(ImageError, match="one file of truth"):
        sl.evaluate(network(), path / "images", path / "labels/s0.png")
    with pytest.raises(ParameterError, match="truth: 3 for 4"):
        sl.evaluate(network(), several, truths[:3])


def test_what_fails_concerns_its_own_image_only(folder):
    path, pairs = folder
    (path / "images/s0.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(path / "labels/s1.png")
    strange = pairs[2][1].astype(np.uint8)
    strange[:2] = 77
    Image.fromarray(strange).save(path / "labels/s2.png")
    steps = []
    found = sl.evaluate(network(classes=NAMES), path / "images", path / "labels", step=steps.append)
    assert (found.confusion.counts == by_hand(pairs[3:])).all()
    assert [f.image for f in found.failures] == ["s0.png", "s1.png", "s2.png"]
    assert [type(f.error) for f in found.failures] == [ImageError, ShapeError, ImageError]
    assert "never stretched" in str(found.failures[1].error)
    assert "labels outside the class table: 77" in str(found.failures[2].error)
    assert steps == [f"s{i}.png" for i in range(4)]
    assert [f["image"] for f in found.to_dict()["failures"]] == ["s0.png", "s1.png", "s2.png"]


def test_labels_beyond_an_unnamed_networks_channels_are_refused():
    (pair,) = scenes(1)
    net = network().with_(classes=None)
    sl.evaluate(net, *pair)
    with pytest.raises(ImageError, match="the 3 classes are 0 to 2"):
        sl.evaluate(net, pair[0], np.full((12, 15), 3))


class Bursts(Painted):
    def forward(self, x):
        y = super().forward(x)
        return torch.where(x.amax((1, 2, 3), keepdim=True) > 0.5, torch.nan, y)


def test_an_image_that_makes_the_network_fail_does_not_spoil_its_batch():
    pairs = list(scenes(3))
    bad = pairs[1][0].copy()
    bad[0, 0] = 255
    images = [pairs[0][0], bad, pairs[2][0]]
    found = sl.evaluate(network(Bursts(3)), images, [t for _, t in pairs])
    assert (found.confusion.counts == by_hand([pairs[0], pairs[2]])).all()
    assert isinstance(found.failures[0].error, NonFiniteError)
    with pytest.raises(NonFiniteError):
        sl.evaluate(network(Bursts(3)), bad, pairs[1][1])
    with pytest.raises(SeglensError, match="none of the 2 images could be evaluated"):
        sl.evaluate(network(Bursts(3)), [bad, bad], [pairs[1][1]] * 2)


class Crowded(Painted):
    def forward(self, x):
        if len(x) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return super().forward(x)


def test_where_memory_runs_out_the_batch_is_halved():
    pairs = list(scenes(4))
    net = network(Crowded(3))
    with pytest.warns(MemoryWarning):
        found = sl.evaluate(net, [i for i, _ in pairs], [t for _, t in pairs])
    assert (found.confusion.counts == by_hand(pairs)).all()


def test_what_is_not_installed_is_no_failure_of_an_image(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    pairs = list(scenes(2))
    with pytest.raises(MissingExtraError, match="scikit-learn"):
        sl.evaluate(network(), [i for i, _ in pairs], [t for _, t in pairs])


def test_images_of_one_size_share_a_pass():
    pairs = list(scenes(4))
    net = network()
    sl.evaluate(net, [i for i, _ in pairs], [t for _, t in pairs])
    assert net.module.calls == [4]


@pytest.mark.parametrize("convention", [{}, {"divisor": 8}, {"size": (24, 20)}, {"size": (6, 7)}])
def test_the_prediction_is_read_off_logits_on_the_pictures_own_grid(convention):
    torch.manual_seed(0)
    module = nn.Conv2d(1, 3, 5, stride=2, padding=2)
    rng = np.random.default_rng(2)
    image, truth = rng.integers(0, 255, (12, 15), np.uint8), rng.integers(0, 3, (12, 15))
    net = network(module, **convention)
    x, frame = net.convention.prepare(sl.read_image(image).pixels)
    with torch.no_grad():
        module.bias -= module(x).mean((0, 2, 3))
        y = nn.functional.interpolate(module(x), size=frame.grid, mode="bilinear")
    y = y[..., : frame.resized[0], : frame.resized[1]]
    said = nn.functional.interpolate(y, size=(12, 15), mode="bilinear")[0].argmax(0).numpy()
    found = sl.evaluate(net, image, truth)
    assert (found.confusion.counts == Confusion.of(truth, said, found.classes).counts).all()
    assert len(np.unique(said)) == 3


def test_true_labels_are_never_resized():
    """A tool that resizes label pictures with a picture's filter invents classes between two others."""
    truth = np.array([[0, 2]]).repeat(8, 1).repeat(16, 0)
    smooth = np.asarray(Image.fromarray(truth.astype(np.uint8)).resize((21, 21)))
    assert 1 in smooth, "the trap that this test is about"
    net = network(size=(21, 21))
    found = sl.evaluate(net, painting(truth), truth)
    assert found.confusion.counts[1].sum() == 0
    assert found.confusion.counts.sum(1).tolist() == [128, 0, 128]
    with pytest.raises(ShapeError, match=r"21 × 21.*16 × 16"):
        sl.evaluate(net, painting(truth), smooth)


def test_one_channel_is_two_classes():
    rng = np.random.default_rng(0)
    said, truth = rng.integers(0, 2, (2, 9, 9))
    net = network(Bits(1), classes=sl.ClassTable(("background", "vessel")))
    found = sl.evaluate(net, painting(said), truth)
    assert (found.confusion.counts == by_hand([(said, truth)], 2)).all()


def test_a_mask_of_0_and_255_is_asked_about_and_can_be_used():
    said = np.array([[0, 1, 1, 0]])
    mask = np.array([[0, 255, 0, 0]])
    net = network(Bits(1), classes=sl.ClassTable(("background", "vessel")))
    with pytest.warns(DegenerateImageWarning, match=r"no pixel of vessel.*\n.*ignore=None"):
        found = sl.evaluate(net, painting(said), mask)
    assert found.per_class[1].pixels == 0
    assert any("255 is ignored" in note for note in found.images[0].notes)
    found = sl.evaluate(net, painting(said), mask, ignore=None)
    assert found.confusion.counts.tolist() == [[2, 1], [0, 1]]
    with pytest.raises(ImageError, match="outside the class table: 255"):
        sl.evaluate(network(), painting(said), mask, ignore=None)


def test_independent_labels_are_tallied_each_by_itself():
    net = network(Bits(3), link="sigmoid", classes=NAMES)
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 8, (6, 7))
    truth = rng.integers(0, 2, (3, 6, 7))
    truth[1, 0] = 255
    found = sl.evaluate(net, painting(bits), truth)
    assert found.confusion is None
    for c in range(3):
        said, was, known = bits >> c & 1 == 1, truth[c] == 1, truth[c] != 255
        assert found.tallies.true_positive[c] == (said & was & known).sum()
        assert found.tallies.false_positive[c] == (said & ~was & known).sum()
        assert found.tallies.false_negative[c] == (~said & was & known).sum()
        assert found.per_class[c].boundary_f == pytest.approx(boundary(was, said, known).f)
    assert math.isnan(found.overall["pixel_accuracy"])
    assert found.overall["mean_iou"] == pytest.approx(found.tallies.iou.mean())
    labels = np.where(bits == 0, 255, rng.integers(0, 3, bits.shape))
    flat = sl.evaluate(net, painting(bits), labels)
    for c in range(3):
        assert flat.tallies.true_positive[c] == ((bits >> c & 1 == 1) & (labels == c)).sum()
        assert flat.tallies.support[c] == (labels == c).sum()
    assert flat.ignored == (bits == 0).sum()
    with pytest.raises(ImageError, match="masks of 3 classes hold 0, 1"):
        sl.evaluate(net, painting(bits), truth + 3)


def test_what_has_no_labelled_pixels_is_refused():
    class Classifier(nn.Module):
        def forward(self, x):
            return x.flatten(2).mean(2).expand(-1, 3)

    (image, truth), *_ = scenes(1)
    with pytest.raises(ParameterError, match="is a classifier: it gives one answer"):
        sl.evaluate(network(Classifier()), image, truth)
    with pytest.raises(ParameterError, match="units of Painted are no classes"):
        sl.evaluate(network(link="none"), image, truth)
    with pytest.raises(ParameterError, match="from 0"):
        sl.evaluate(network(), image, truth, tolerance=-1)


def test_the_network_stays_as_it_was(folder):
    path, _ = folder
    net = network(nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)))
    net.module.train()
    with untouched(net):
        sl.evaluate(net, path / "images", path / "labels")


@pytest.fixture
def found():
    pairs = list(scenes(3, k=2))
    net = network(classes=sl.ClassTable(("a <b>", "traffic light", "sky")))
    return sl.evaluate(net, [i for i, _ in pairs], [t for _, t in pairs])


def test_tables_and_json_hold_what_was_found_and_nothing_for_what_is_undefined(found, tmp_path):
    with found.save(tmp_path / "new/e.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [r["name"] for r in rows] == ["a <b>", "traffic light", "sky"]
    assert float(rows[0]["iou"]) == found.tallies.iou[0]
    assert rows[2]["iou"] == ""
    told = json.loads(found.save(tmp_path / "e.json").read_text())
    assert told == found.to_dict()
    assert told["confusion"] == found.confusion.counts.tolist()
    assert told["classes"][2]["iou"] is None
    assert told["absent"] == ["sky"]
    assert [i["pixels"] + i["ignored"] for i in told["images"]] == [180] * 3


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_pictures_are_written_and_are_the_same_twice(found, tmp_path, suffix):
    one, two = (found.save(tmp_path / f"{i}.{suffix}", "truth").read_bytes() for i in range(2))
    assert one == two
    assert len(one) > 3000
    assert found.save(tmp_path / f"3.{suffix}").read_bytes() != one


def test_what_cannot_be_written(found, tmp_path):
    with pytest.raises(NameNotFoundError, match=r"give a suffix of \.png"):
        found.save(tmp_path / "e.xls")
    net = network(Bits(3), link="sigmoid")
    several = sl.evaluate(net, painting(np.ones((4, 4))), np.zeros((4, 4), int))
    with pytest.raises(ParameterError, match="no confusion matrix to draw"):
        several.save(tmp_path / "e.png")
    assert "labels of this network are independent" in several.save(tmp_path / "e.html").read_text()
