"""The confusion matrix and its scores: against scikit-learn and torchmetrics, by hand, and where there is nothing."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score

from seglens.core.classes import ClassTable
from seglens.core.errors import MissingExtraError, ParameterError, ShapeError
from seglens.metrics import OVERALL, PER_CLASS, Confusion, Tallies

K = 5
TABLE = ClassTable.numbered(K)
SIZE = (13, 17)


def random_labels(seed, k=K, ignored=0.2):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, SIZE)
    said = np.where(rng.random(SIZE) < 0.6, truth, rng.integers(0, k, SIZE))
    return np.where(rng.random(SIZE) < ignored, 255, truth), said


def tensors(truth, said):
    return torch.from_numpy(said)[None], torch.from_numpy(truth)[None]


def test_by_hand_rows_are_the_truth_and_columns_the_prediction():
    truth = np.array([[0, 0, 0, 1]])
    said = np.array([[0, 1, 1, 1]])
    found = Confusion.of(truth, said, ClassTable(("a", "b")))
    assert found.counts.tolist() == [[1, 2], [0, 1]]  # two pixels of a were taken for b, none of b for a
    assert found.counts.dtype == np.int64
    assert found.normalised("truth").tolist() == [[1 / 3, 2 / 3], [0, 1]]
    assert found.normalised("prediction").tolist() == [[1, 2 / 3], [0, 1 / 3]]
    t = found.tallies
    assert t.iou.tolist() == [1 / 3, 1 / 3]
    assert t.dice.tolist() == [2 / 4, 2 / 4]
    assert t.precision.tolist() == [1, 1 / 3]
    assert t.recall.tolist() == [1 / 3, 1]
    assert t.pixel_accuracy == 2 / 4
    assert t.mean_accuracy == pytest.approx((1 / 3 + 1) / 2)
    assert t.mean_iou == pytest.approx(1 / 3)
    assert t.mean_dice == 0.5
    assert t.frequency_weighted_iou == pytest.approx(3 / 4 / 3 + 1 / 4 / 3)
    assert found.largest(9) == [(0, 1, 2)]


@pytest.mark.parametrize("seed", range(5))
def test_equals_scikit_learn_on_the_pixels_that_count(seed):
    truth, said = random_labels(seed)
    t = Confusion.of(truth, said, TABLE).tallies
    known = truth != 255
    pixels = truth[known], said[known]
    of = {"labels": range(K), "average": None}
    np.testing.assert_allclose(t.iou, jaccard_score(*pixels, **of))
    np.testing.assert_allclose(t.dice, f1_score(*pixels, **of))
    np.testing.assert_allclose(t.precision, precision_score(*pixels, **of))
    np.testing.assert_allclose(t.recall, recall_score(*pixels, **of))
    assert t.pixel_accuracy == pytest.approx(accuracy_score(*pixels))
    weighted = jaccard_score(*pixels, labels=range(K), average="weighted")
    assert t.frequency_weighted_iou == pytest.approx(weighted)
    assert t.pixels == known.sum()


@pytest.mark.parametrize("seed", range(5))
def test_equals_torchmetrics_with_its_ignored_label(torchmetrics, seed):
    classification, _ = torchmetrics
    truth, said = random_labels(seed)
    found = Confusion.of(truth, said, TABLE)
    pair = tensors(truth, said)
    expected = classification.MulticlassConfusionMatrix(K, ignore_index=255)(*pair)
    assert (found.counts == expected.numpy()).all()
    for by, name in (("truth", "true"), ("prediction", "pred")):
        shares = classification.MulticlassConfusionMatrix(K, ignore_index=255, normalize=name)(*pair)
        np.testing.assert_allclose(found.normalised(by), shares.numpy(), rtol=1e-6)
    jaccard = classification.MulticlassJaccardIndex(K, average=None, ignore_index=255)(*pair)
    np.testing.assert_allclose(found.tallies.iou, jaccard.numpy(), rtol=1e-6)
    accuracy = classification.MulticlassAccuracy(K, average="micro", ignore_index=255)(*pair)
    assert found.tallies.pixel_accuracy == pytest.approx(float(accuracy), rel=1e-6)


def test_equals_the_segmentation_metrics_of_torchmetrics(torchmetrics):
    _, segmentation = torchmetrics
    truth, said = random_labels(8, ignored=0)
    t = Confusion.of(truth, said, TABLE).tallies
    pair = tensors(truth, said)
    iou = segmentation.MeanIoU(K, per_class=True, input_format="index")(*pair)
    np.testing.assert_allclose(t.iou, iou.numpy(), rtol=1e-6)
    dice = segmentation.DiceScore(K, average="none", input_format="index")(*pair)
    np.testing.assert_allclose(t.dice, dice.numpy(), rtol=1e-6)


def test_rows_and_columns_sum_to_one_or_are_undefined():
    truth, said = random_labels(1)
    truth[truth == 3] = 0
    said[said == 4] = 0
    found = Confusion.of(truth, said, TABLE)
    rows, columns = found.normalised("truth"), found.normalised("prediction")
    np.testing.assert_allclose(np.delete(rows, 3, 0).sum(1), 1)
    assert np.isnan(rows[3]).all()
    np.testing.assert_allclose(np.delete(columns, 4, 1).sum(0), 1)
    assert np.isnan(columns[:, 4]).all()
    np.testing.assert_array_equal(rows.diagonal(), found.tallies.recall)
    np.testing.assert_array_equal(columns.diagonal(), found.tallies.precision)


def test_a_class_that_occurs_nowhere_is_undefined_and_in_no_mean():
    truth = np.array([[0, 0, 1, 1]])
    said = np.array([[0, 1, 1, 2]])
    t = Confusion.of(truth, said, ClassTable.numbered(4)).tallies
    for name in PER_CLASS:
        assert np.isnan(getattr(t, name)[3]), name
    # Class 2 is predicted, though never true: its IoU is 0, its recall is undefined.
    assert t.iou[2] == t.dice[2] == t.precision[2] == 0
    assert np.isnan(t.recall[2])
    assert t.mean_iou == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert t.mean_accuracy == pytest.approx((1 / 2 + 1 / 2) / 2)
    assert t.frequency_weighted_iou == pytest.approx((1 / 2 + 1 / 3) / 2)


def test_an_image_of_which_all_is_ignored_has_no_score():
    found = Confusion.of(np.full((2, 3), 255), np.zeros((2, 3), int), TABLE)
    assert found.ignored == 6
    assert not found.counts.any()
    for name in PER_CLASS:
        assert np.isnan(getattr(found.tallies, name)).all()
    for name in OVERALL:
        assert np.isnan(getattr(found.tallies, name)), name
    assert found.largest(3) == []


@given(st.integers(0, 10**6), st.permutations(range(K)))
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_renumbered_classes_give_renumbered_scores(seed, order):
    truth, said = random_labels(seed)
    to = np.full(256, 255)
    to[:K] = order
    found, renumbered = Confusion.of(truth, said, TABLE), Confusion.of(to[truth], to[said], TABLE)
    assert (renumbered.counts[np.ix_(order, order)] == found.counts).all()
    np.testing.assert_array_equal(renumbered.tallies.iou[list(order)], found.tallies.iou)
    assert renumbered.tallies.mean_iou == pytest.approx(found.tallies.mean_iou)


@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=4))
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
def test_images_add_to_what_they_are_together(seeds):
    pairs = [random_labels(s) for s in seeds]
    one = Confusion.of(*(np.stack(side) for side in zip(*pairs, strict=True)), TABLE)
    parts = [Confusion.of(*pair, TABLE) for pair in pairs]
    total, tallies = parts[0], parts[0].tallies
    for part in parts[1:]:
        total, tallies = total + part, tallies + part.tallies
    assert (total.counts == one.counts).all()
    assert total.ignored == one.ignored
    for name in PER_CLASS:
        np.testing.assert_array_equal(getattr(tallies, name), getattr(one.tallies, name))
    assert tallies.pixels == one.tallies.pixels


@pytest.mark.parametrize("k", [20, 22, 55, 150, 300])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_no_class_number_is_lost(k, kind):
    """A tool that keeps class k of n as the fraction k/n in 8 bits loses class 15 of 22, and others from there on."""
    if k > np.iinfo(kind).max:
        pytest.skip("more classes than the type holds")
    labels = np.arange(k, dtype=kind).reshape(1, -1)
    lossy = ((labels / k) * k).astype(np.uint8)
    assert (lossy == labels).all() == (k < 22), "the trap that this test is about"
    found = Confusion.of(labels, labels, ClassTable.numbered(k), ignore=None)
    assert (found.counts == np.eye(k)).all()
    assert (found.tallies.iou == 1).all()


def test_small_types_do_not_wrap_around():
    """Products and sums of 8-bit labels and counts exceed 255 at once."""
    truth = np.full((40, 40), 18, np.uint8)
    found = Confusion.of(truth, truth, ClassTable.numbered(19))
    assert found.counts[18, 18] == 1600
    masks = np.ones((2, 40, 40), bool)
    assert Tallies.of(masks, masks, masks).true_positive.tolist() == [1600, 1600]


def test_the_ignored_label_may_be_a_class_or_none():
    truth, said = np.array([[0, 1, 2]]), np.array([[0, 1, 1]])
    assert Confusion.of(truth, said, ClassTable.numbered(3), ignore=2).counts.sum() == 2
    assert Confusion.of(truth, said, ClassTable.numbered(3), ignore=None).counts.sum() == 3


def test_independent_labels_equal_torchmetrics(torchmetrics):
    classification, _ = torchmetrics
    rng = np.random.default_rng(3)
    truth, said = rng.random((2, K, *SIZE)) < 0.4
    t = Tallies.of(truth, said, np.ones_like(truth))
    flat = torch.from_numpy(said.reshape(K, -1).T), torch.from_numpy(truth.reshape(K, -1).T)
    pair = flat[0].float(), flat[1].long()
    np.testing.assert_allclose(t.iou, classification.MultilabelJaccardIndex(K, average=None)(*pair).numpy(), rtol=1e-6)
    np.testing.assert_allclose(t.dice, classification.MultilabelF1Score(K, average=None)(*pair).numpy(), rtol=1e-6)
    assert np.isnan(t.pixel_accuracy)
    assert t.pixels == truth[0].size


def test_independent_labels_leave_out_what_is_not_known():
    truth = np.array([[[True, True, False, False]]])
    said = np.array([[[True, False, True, False]]])
    known = np.array([[[True, True, True, True]]])
    assert Tallies.of(truth, said, known).iou.tolist() == [1 / 3]
    known[..., 1] = False
    t = Tallies.of(truth, said, known)
    assert (t.iou.tolist(), t.pixels) == ([1 / 2], 3)


def test_every_score_says_its_range_and_when_it_is_undefined():
    for score in (*PER_CLASS.values(), *OVERALL.values()):
        assert (score.low, score.high) == (0, 1)
        assert score.undefined
        assert score.formula
    truth, said = random_labels(4)
    t = Confusion.of(truth, said, TABLE).tallies
    values = np.concatenate([*(getattr(t, n) for n in PER_CLASS), [getattr(t, n) for n in OVERALL]])
    assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: Confusion.of(np.zeros((2, 2), int), np.zeros((2, 3), int), TABLE), ShapeError, "not resized to fit"),
        (lambda: Confusion.of(np.full((1, 2), 7), np.zeros((1, 2), int), TABLE), ParameterError, "truth holds .*: 7;"),
        (lambda: Confusion.of(np.zeros((1, 2), int), np.full((1, 2), -1), TABLE), ParameterError, "prediction .*: -1;"),
        (lambda: Confusion.of(np.zeros((1, 2)), np.zeros((1, 2), int), TABLE), ParameterError, "whole numbers"),
        (lambda: Confusion(np.eye(2, dtype=int), TABLE).normalised("rows"), ParameterError, "'truth' or 'prediction'"),
        (
            lambda: Confusion(np.eye(2, dtype=int), TABLE) + Confusion(np.eye(2, dtype=int), ClassTable(("a", "b"))),
            ParameterError,
            "different class tables",
        ),
        (
            lambda: Tallies.of(*[np.ones((2, 3), bool)] * 3) + Confusion(np.eye(2, dtype=int), TABLE).tallies,
            ParameterError,
            "do not add",
        ),
        (lambda: Tallies.of(np.ones((2, 3), bool), *[np.ones((2, 4), bool)] * 2), ShapeError, "one shape"),
    ],
)
def test_what_is_refused(act, error, message):
    with pytest.raises(error, match=message):
        act()


def test_without_scikit_learn_the_line_that_brings_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(MissingExtraError, match=r"counting confusions needs scikit-learn.*\n.*seglens\[image\]"):
        Confusion.of(np.zeros((1, 2), int), np.zeros((1, 2), int), TABLE)
