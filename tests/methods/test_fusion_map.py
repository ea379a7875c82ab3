"""Fusion map: the largest probability, who has it, who came second; against a loop over pixels."""

import pytest
import torch
from plain import network, pictures, relu_net
from torch import nn
from torch.nn.functional import interpolate

import seglens as sl
from seglens.core.errors import ParameterError
from seglens.core.method import takes_target
from seglens.core.network import Network
from seglens.core.regions import everything
from seglens.core.targets import Target
from seglens.methods import FusionMap


class Given(nn.Module):
    """The picture itself is the output."""

    def forward(self, x):
        return x


def probabilities(net, x):
    y = interpolate(net.module(x), size=tuple(x.shape[2:]), mode="bilinear", align_corners=False)
    if y.shape[1] == 1:
        return torch.cat([1 - y.sigmoid(), y.sigmoid()], 1).detach()
    return (y.sigmoid() if net.link == "sigmoid" else y.softmax(1)).detach()


NETS = {
    "softmax": relu_net,
    "independent labels": lambda: relu_net(link="sigmoid"),
    "one channel": lambda: relu_net(classes=1),
}


@pytest.mark.parametrize("kind", NETS)
def test_equals_a_loop_over_pixels(kind):
    net, x = NETS[kind](), pictures()
    p = probabilities(net, x)
    found = FusionMap()(net, x, Target(None))
    for b in range(2):
        for i in range(8):
            for j in range(8):
                ranked = sorted(((float(v), -c) for c, v in enumerate(p[b, :, i, j])), reverse=True)
                (first, winner), (second, runner) = ranked[:2]
                assert found.values[b, 0, i, j].item() == pytest.approx(first, abs=1e-6)
                assert found.pictures["winner"][b, 0, i, j] == -winner
                assert found.pictures["second"][b, 0, i, j] == -runner
                assert found.pictures["runner-up"][b, 0, i, j].item() == pytest.approx(second, abs=1e-6)
                assert found.pictures["margin"][b, 0, i, j].item() == pytest.approx(first - second, abs=1e-6)
    assert len(found.pictures["winner"].unique()) > 1
    assert {found.pictures[n].dtype for n in ("winner", "second")} == {torch.int64}
    assert (found.signed, found.unit) == (False, "probability")
    assert found.score.isnan().all()


@pytest.mark.parametrize(("show", "picture"), [("second", "runner-up"), ("margin", "margin")])
def test_another_value_may_be_the_map(show, picture):
    net, x = relu_net(), pictures()
    found = FusionMap(show=show)(net, x, Target(None))
    torch.testing.assert_close(found.values, found.pictures[picture].float())
    assert torch.equal(found.pictures["winner"], FusionMap()(net, x, Target(None)).pictures["winner"])


def test_every_class_counts_the_last_ones_too():
    """A loop over the first n − 2 classes, as published, would never show the last two."""
    x = torch.zeros(1, 5, 1, 5)
    x[0, range(5), 0, range(5)] = 4.0
    found = FusionMap()(Network(module=Given()), x, Target(None))
    assert found.pictures["winner"][0, 0, 0].tolist() == [0, 1, 2, 3, 4]
    without_the_last = x.softmax(1)[:, :-2].amax(1)
    torch.testing.assert_close(found.values[0, 0, 0], found.values[0, 0, 0, :1].expand(5))
    assert (found.values[0, 0] - without_the_last[0])[0, 3:].min() > 0.9


def test_neither_clipped_nor_rounded_to_bytes():
    """Scores all below zero have a winner, and probabilities keep more than 256 levels."""
    x = -5 - torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    found = FusionMap()(Network(module=Given()), x, Target(None))
    torch.testing.assert_close(found.values[:, 0], x.softmax(1).amax(1))
    assert torch.equal(found.pictures["winner"][:, 0], x.argmax(1))
    assert found.values.unique().numel() > 1000
    assert not x.relu().any()  # what clipping at zero would have left


def test_saturated_probabilities_are_ranked_by_what_the_network_gave():
    """In float32 all probabilities but the first are 0: the second class is known all the same."""
    x = torch.tensor([300.0, -100.0, 50.0, -200.0]).reshape(1, 4, 1, 1)
    found = FusionMap()(Network(module=Given()), x, Target(None))
    assert found.pictures["winner"].item() == 0
    assert found.pictures["second"].item() == 2
    assert found.pictures["runner-up"].item() == 0
    emitted = torch.tensor([1e-30, 0.7, 1e-20, 0.3]).reshape(1, 4, 1, 1)
    found = FusionMap()(Network(module=Given(), emits="probabilities"), emitted, Target(None))
    assert (found.pictures["winner"].item(), found.pictures["second"].item()) == (1, 3)
    torch.testing.assert_close(found.values.flatten(), torch.tensor([0.7]))


def test_the_winner_is_the_prediction_wherever_labels_exclude_each_other():
    for net in (relu_net(), NETS["one channel"]()):
        x = pictures()
        found = FusionMap()(net, x, Target(None))
        y = interpolate(net.module(x), size=(8, 8), mode="bilinear", align_corners=False)
        assert torch.equal(found.pictures["winner"][:, 0], net.labels(y))


def test_independent_labels_may_all_be_absent_or_all_be_present():
    """The likeliest label is named where none is predicted; where two are certain, the margin is small."""
    x = torch.tensor([[-3.0, -2.0, -4.0], [6.0, 5.0, -4.0]]).T.reshape(1, 3, 1, 2)
    net = Network(module=Given(), link="sigmoid")
    found = FusionMap()(net, x, Target(None))
    assert found.pictures["winner"].flatten().tolist() == [1, 0]
    assert found.pictures["second"].flatten().tolist() == [0, 1]
    absent, present = found.values.flatten().tolist()
    assert absent < 0.5 < present
    assert found.pictures["margin"].flatten()[1] < 0.01


def test_classes_in_another_order_are_the_same_map():
    x = 3 * torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    order = [2, 0, 3, 1]
    net = Network(module=Given())
    first, moved = FusionMap()(net, x, Target(None)), FusionMap()(net, x[:, order], Target(None))
    torch.testing.assert_close(moved.values, first.values)
    for name in ("winner", "second"):
        assert torch.equal(torch.tensor(order)[moved.pictures[name]], first.pictures[name])


def test_it_takes_no_target_and_is_the_same_whatever_is_asked():
    assert not takes_target(FusionMap())
    net, x = relu_net(), pictures()
    several = FusionMap()(net, x, [Target(0, everything), Target(2, everything, of="logits")])
    assert torch.equal(several.values[:, 0], several.values[:, 1])
    assert torch.equal(several.values[:, :1], FusionMap()(net, x, Target(None)).values)


def test_pictures_come_back_to_the_images_own_grid():
    net = sl.Network(module=nn.Conv2d(3, 4, 3, padding=1), convention=sl.Convention(divisor=8))
    why = sl.explain(net, torch.rand(3, 11, 19, generator=torch.Generator().manual_seed(0)), "fusion-map")
    assert why.map.shape == (11, 19)
    assert why.unit == "probability"
    assert (why.extras["winner"] == why.prediction).all()
    assert (why.extras["second"] != why.prediction).all()
    assert why.extras["second"].dtype == why.extras["winner"].dtype == "int64"
    assert why.region is None


def test_units_have_no_winner():
    with pytest.raises(ParameterError, match="units, not classes"):
        FusionMap()(relu_net(link="none"), pictures(), Target(None))


def test_one_class_has_no_second():
    net = network(nn.Conv2d(2, 1, 1), link="softmax")
    with pytest.raises(ParameterError, match="one class only"):
        FusionMap()(net, pictures(), Target(None))


def test_bad_parameters():
    with pytest.raises(ParameterError, match=r"FusionMap\.show is to be one of winner, second, margin"):
        FusionMap(show="first")
