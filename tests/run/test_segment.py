"""segment(): labels and confidence against what was painted, agreement with the other doors, files that come back."""

import json

import numpy as np
import pytest
from painted import Bits, Painted, network, painting
from PIL import Image
from torch import nn

import seglens as sl
from seglens.datasets import Streets
from seglens.testing import untouched
from seglens.viz.colours import class_colours

RNG = np.random.default_rng(5)


def made(labels, k):
    """A segmentation by hand."""
    return sl.Segmentation(
        labels=labels,
        masks=None,
        confidence=np.ones(labels.shape, np.float32),
        classes=sl.ClassTable.numbered(k),
        image=np.zeros(labels.shape, np.uint8),
        network="made",
        name="by hand",
    )


def test_labels_are_those_painted_and_confidence_is_their_softmax():
    labels = RNG.integers(0, 3, (9, 14))
    net = network()
    with untouched(net.module):
        found = sl.segment(net, painting(labels))
    assert (found.labels.dtype, found.confidence.dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.masks is None
    # Painted: logit 4 for the painted class and 0 for the others; x/8 is added to all alike.
    np.testing.assert_allclose(found.confidence, np.exp(4) / (np.exp(4) + 2), rtol=1e-5)
    for c in range(3):
        np.testing.assert_array_equal(found.mask(f"class {c}"), labels == c)
    assert (found.network, found.name) == ("Painted", "array 9 × 14")
    assert net.module.calls == [1]


def test_one_channel_is_two_classes():
    class Half(nn.Module):
        def forward(self, x):
            return (x - 0.5) * 8

    grey = RNG.random((6, 7)).astype(np.float32)
    found = sl.segment(network(Half(), classes=sl.ClassTable(("off", "on"))), grey)
    np.testing.assert_array_equal(found.labels, grey > 0.5)
    np.testing.assert_allclose(found.confidence, 1 / (1 + np.exp(-8 * np.abs(grey - 0.5))), rtol=1e-4)


def test_independent_labels_have_masks_and_no_labels():
    value = RNG.integers(0, 8, (5, 6)).astype(np.uint8)
    found = sl.segment(network(Bits(3), link="sigmoid"), value)
    assert found.labels is None
    bits = np.stack([value >> k & 1 for k in range(3)]).astype(bool)
    np.testing.assert_array_equal(found.masks, bits)
    np.testing.assert_array_equal(found.mask(2), bits[2])
    logits = bits * 2.0 - 1 + value / 255 / 8
    np.testing.assert_allclose(found.confidence, 1 / (1 + np.exp(-logits)), rtol=1e-5)


@pytest.mark.parametrize("link", ["softmax", "sigmoid"])
@pytest.mark.parametrize(
    ("size", "convention"),
    [((10, 13), {}), ((10, 13), {"divisor": 8}), ((23, 31), {"size": (12, 16)}), ((6, 8), {"size": (12, 16)})],
    ids=["as it is", "padded", "smaller", "larger"],
)
def test_all_doors_agree_on_the_picture_s_own_grid(size, convention, link):
    module = Bits(3) if link == "sigmoid" else Painted(3, stride=2)
    net = network(module, link=link, **convention)
    image = painting(RNG.integers(0, 3, size))
    found = sl.segment(net, image)
    assert found.confidence.shape[-2:] == size
    areas = {f.index: f.pixels for f in sl.find_classes(net, image)}
    assert areas == {c: int(found.mask(c).sum()) for c in range(3)}
    why = sl.explain(net, image, "score-map", sl.Target(1, sl.everything))
    mistakes = sl.find_errors(net, image, np.zeros(size, np.uint8))
    np.testing.assert_array_equal(np.stack([found.mask(c) for c in range(3)]), mistakes.predicted)
    if link == "sigmoid":
        assert why.prediction is None
        np.testing.assert_array_equal(found.masks, found.confidence > 0.5)
    else:
        np.testing.assert_array_equal(found.labels, why.prediction)
        # Carried like the labels, so that the winner of three never has less than a third.
        assert found.confidence.min() >= 1 / 3


def test_a_street_comes_back_from_its_file_in_the_colours_of_its_classes(tmp_path):
    found = sl.segment("streets-unet", Streets(1, (48, 96), seed=3)[0].image)
    path = found.save(tmp_path / "new folder" / "labels.png")
    np.testing.assert_array_equal(sl.read_labels(path, found.classes, None), found.labels)
    with Image.open(path) as picture:
        assert picture.mode == "P"
        seen = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(seen, class_colours(found.classes)[found.labels])
    # Colours alone suffice too, as long as no two classes share one.
    np.testing.assert_array_equal(sl.read_labels(seen, found.classes), found.labels)
    assert [p.name for p in path.parent.iterdir()] == ["labels.png"]


@pytest.mark.parametrize(("k", "mode"), [(1, "P"), (2, "P"), (17, "P"), (256, "P"), (257, "I;16"), (1000, "I;16")])
def test_any_number_of_classes_comes_back(tmp_path, k, mode):
    labels = RNG.integers(0, k, (20, 30))
    labels[0, 0] = k - 1
    found = made(labels, k)
    path = found.save(tmp_path / "labels.png")
    with Image.open(path) as picture:
        assert picture.mode == mode
    np.testing.assert_array_equal(sl.read_labels(path, found.classes, None), labels)


def test_npz_holds_everything(tmp_path):
    value = RNG.integers(0, 8, (5, 6)).astype(np.uint8)
    for found in (sl.segment(network(), value % 3), sl.segment(network(Bits(3), link="sigmoid"), value)):
        with np.load(found.save(tmp_path / "all.npz"), allow_pickle=False) as raw:
            for name in ("labels", "masks", "confidence", "image"):
                own = getattr(found, name)
                assert (name in raw) == (own is not None)
                if own is not None:
                    np.testing.assert_array_equal(raw[name], own)
            head = json.loads(str(raw["head"]))
        assert sl.ClassTable.from_dict(head["classes"]) == found.classes
        assert head["network"] == found.network
        assert head["provenance"] == found.provenance


def test_what_one_png_cannot_hold_is_said_and_nothing_is_written(tmp_path):
    overlapping = sl.segment(network(Bits(3), link="sigmoid"), np.zeros((5, 6), np.uint8))
    flat = np.zeros((5, 6), np.int64)
    for found, why in (
        (overlapping, "a pixel may have several"),
        (made(np.stack([flat] * 4), 2), "a volume of 4 slices"),
        (made(flat, 65537), "65537 classes"),
    ):
        with pytest.raises(sl.errors.ParameterError, match=why):
            found.save(tmp_path / "folder" / "labels.png")
        with pytest.raises(sl.errors.NameNotFoundError, match=r"give a suffix of \.png, \.npz"):
            found.save(tmp_path / "folder" / "labels.jpg")
        assert list(tmp_path.iterdir()) == []
        found.save(tmp_path / "all.npz").unlink()


@pytest.mark.parametrize(("link", "why"), [(None, "seglens classes NETWORK IMAGE"), ("none", "are no classes")])
def test_networks_that_label_no_pixels_are_refused(link, why):
    class Whole(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)).repeat(1, 3)

    with pytest.raises(sl.errors.ParameterError, match=why):
        sl.segment(network(Whole(), link=link), np.zeros((5, 6), np.uint8))


def test_notes_keep_what_was_warned_of():
    with pytest.warns(sl.errors.DegenerateImageWarning, match="less than the network's stride"):
        found = sl.segment(network(divisor=16), np.zeros((5, 6), np.uint8))
    assert any("less than the network's stride" in note for note in found.notes)
    assert len(set(found.notes)) == len(found.notes)
