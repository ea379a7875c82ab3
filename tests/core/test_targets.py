"""Targets: channels and contrasts, what a score is, empty regions, and errors that give the repair."""

import pytest
import torch
from torch import nn

from seglens.core.classes import ClassTable
from seglens.core.errors import (
    ClassNotFoundError,
    EmptyRegionError,
    EmptyRegionWarning,
    NonFiniteError,
    ParameterError,
    RegionError,
    ShapeError,
)
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.regions import box, everything, mask, pixel, predicted, truth
from seglens.core.targets import Target, Targets, channel

Y = torch.randn(2, 3, 6, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
X = torch.zeros(2, 1, 6, 7)


def net(**fields):
    return Network(module=nn.Identity(), classes=fields.pop("classes", None), **fields)


def bound(*targets, network=None, y=Y, x=X, of="logits", **fields):
    items = Targets.of(targets).items
    return Targets(items=items, **fields).bind(network or net(), x, y, of)


def test_contrasts():
    c = channel("a") - 2 * channel("b") + channel(3) * 0.5
    assert c.terms == (("a", 1.0), ("b", -2.0), (3, 0.5))
    assert str(c) == "a - 2 * b + 0.5 * 3"
    assert str(-channel("a")) == "-a"
    assert str(Target(c, everything, reduce="sum")) == "sum of a - 2 * b + 0.5 * 3 in everything"


def test_means_and_sums_over_regions():
    scores = bound(
        Target(1, box(1, 2, 4, 5)),
        Target(1, box(1, 2, 4, 5), reduce="sum"),
        Target(channel(0) - channel(2), pixel(5, 6)),
    )
    expected = [Y[:, 1, 1:4, 2:5].mean((1, 2)), Y[:, 1, 1:4, 2:5].sum((1, 2)), Y[:, 0, 5, 6] - Y[:, 2, 5, 6]]
    torch.testing.assert_close(scores(Y), torch.stack(expected, 1))
    assert scores.sizes().tolist() == [[9, 1, 1], [9, 1, 1]]


def test_a_class_named_twice_adds_up():
    scores = bound(Target(channel("class 1") + channel(1), everything))
    torch.testing.assert_close(scores(Y)[:, 0], 2 * Y[:, 1].mean((1, 2)))


@pytest.mark.parametrize("asked", ["class 1", 1, channel(1), channel(1) - 0.5 * channel(0)], ids=str)
def test_a_bare_class_is_asked_where_it_is_predicted(asked):
    """A contrast is asked where its foremost class is."""
    scores = bound(asked)
    assert torch.equal(scores.masks[:, 0], Y.argmax(1) == 1)
    assert "predicted(" in str(scores.items[0])


def test_blocks_of_a_batch():
    """n blocks of the bound batch give n blocks of scores, each under its own image's mask."""
    scores = bound(Target(0, predicted(0)), Target(1, predicted(0), of="probabilities"))
    both = torch.cat([Y, 2 * Y, -Y])
    expected = torch.cat([scores(Y), scores(2 * Y), scores(-Y)])
    torch.testing.assert_close(scores(both), expected)
    assert not torch.allclose(scores(Y.flip(0)), scores(Y).flip(0))


@pytest.mark.parametrize("of", ["logits", "probabilities", "log-probabilities"])
def test_enlarged_before_anything_is_read(of):
    """The probability of the enlarged logits, not the enlarged probability."""
    small = Y[:, :, :3, :4]
    scores = bound(Target(1, pixel(2, 3), of=of), y=small)
    big = nn.functional.interpolate(small, size=(6, 7), mode="bilinear", align_corners=False)
    read = {"logits": big, "probabilities": big.softmax(1), "log-probabilities": big.log_softmax(1)}[of]
    torch.testing.assert_close(scores(small)[:, 0], read[:, 1, 2, 3])


def test_the_methods_default_holds_where_the_target_leaves_it_open():
    scores = bound(Target(1, everything), Target(1, everything, of="logits"), of="probabilities")
    assert [t.of for t in scores.items] == ["probabilities", "logits"]
    torch.testing.assert_close(scores(Y)[:, 0], Y.softmax(1)[:, 1].mean((1, 2)))


def test_some_empty_regions_warn_all_raise():
    inside = torch.zeros(2, 6, 7)
    inside[0, 0, 0] = 1
    with pytest.warns(EmptyRegionWarning, match=r"empty regions, .* NaN: 0 in mask \(image 1 of the batch\)\."):
        scores = bound(Target(0, mask(inside)), Target(1, everything))
    assert scores.empty.tolist() == [[False, False], [True, False]]
    assert scores(Y)[1, 0] == 0
    with pytest.raises(EmptyRegionError, match=r"no pixel lies in mask, predicted\(0\): there is nothing to explain"):
        bound(Target(0, mask(0 * inside)), Target(0, predicted(0)), y=Y + torch.tensor([-99.0, 0, 0]).reshape(3, 1, 1))


def test_targets_are_grouped_by_region_and_reduction():
    a, b = box(0, 0, 2, 2), box(0, 0, 3, 3)
    items = [
        Target(0, a),
        Target(1, b),
        Target(2, box(0, 0, 2, 2)),
        Target(0, a, reduce="sum"),
        Target(0, a, of="probabilities"),
    ]
    assert bound(*items).same_region() == [[0, 2], [1], [3], [4]]


def test_truth_and_frames_travel():
    labels = torch.full((2, 6, 7), 2)
    labels[:, :, 3:] = 255
    frames = (Frame((6, 5), (6, 5), (6, 7)),) * 2
    scores = bound(Target(0, truth(2)), Target(0), truth=labels, frames=frames)
    expected = torch.zeros(6, 7, dtype=torch.bool)
    expected[:, :3] = True
    assert torch.equal(scores.masks[0, 0], expected)
    assert torch.equal(scores.masks[0, 1], expected)


def test_outputs_without_space():
    scores = bound(0, Target("class 1", of="probabilities"), y=Y[:, :, 0, 0])
    assert scores.masks is None
    torch.testing.assert_close(scores(Y[:, :, 0, 0])[:, 1], Y[:, :, 0, 0].softmax(1)[:, 1])
    with pytest.raises(RegionError, match=r"one score for the whole image, so no region .* \(pixel\(0, 0\)\)"):
        bound(Target(0, pixel(0, 0)), y=Y[:, :, 0, 0])


def test_units_have_numbers():
    units = net(link="none")
    torch.testing.assert_close(bound(Target("2"), network=units, y=Y[:, :, 0, 0])(Y[:, :, 0, 0])[:, 0], Y[:, 2, 0, 0])
    with pytest.raises(ParameterError, match="units are numbered from 0 to 2; 'z' is no number"):
        bound(Target("z"), network=units, y=Y[:, :, 0, 0])
    with pytest.raises(ParameterError, match="no unit 3: there are 3, numbered from 0"):
        bound(Target(3), network=units, y=Y[:, :, 0, 0])
    with pytest.raises(ParameterError, match="no classes, so no probabilities"):
        bound(Target(1, of="probabilities"), network=units)(Y)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Targets.of([]), ParameterError, "no target given: name a class, or give a Target"),
        (lambda: Target(0, of="odds"), ParameterError, "Target.of is one of logits, probabilities"),
        (lambda: Target(0, reduce="max"), ParameterError, "Target.reduce is 'mean' or 'sum', not 'max'"),
        (lambda: Target(0, "car"), ParameterError, "Target.region is to be a region, such as predicted"),
        (lambda: bound(Target(7)), ClassNotFoundError, "no class 7: the network has 3, numbered 0 to 2"),
        (lambda: bound(Target("clas 2")), ClassNotFoundError, "Nearest: 'class 2'"),
        (lambda: bound(0, y=Y * float("nan")), NonFiniteError, "gave NaN or infinity for image 0, 1 of the batch"),
        (
            lambda: bound(0, truth=torch.zeros(2, 3, 3)),
            ShapeError,
            r"truth has shape \(2, 3, 3\); expected \(2, 6, 7\)",
        ),
        (lambda: bound(0, instances=torch.zeros(1, 6, 7)), ShapeError, "instances has shape"),
        (lambda: bound(0, y=Y[..., None]), ShapeError, "gave 3 spatial dimensions for an input with 2"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_bare_class_of_an_output_without_space_has_no_region():
    flat = torch.zeros(2, 3)
    classifier = Network(module=nn.Identity(), classes=ClassTable(("road", "car", "sky")))
    scores = Targets.of("car").bind(classifier, torch.zeros(2, 3, 6, 7), flat)
    assert str(scores.items[0]) == "car"
