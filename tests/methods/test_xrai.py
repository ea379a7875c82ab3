"""XRAI: the published algorithm written out slowly, its sums, its baselines and what it costs."""

import numpy as np
import pytest
import torch
from growing import EVERYWHERE, SCENE, felzenszwalb_masks, slowly
from plain import gradient, network
from skimage.morphology import disk
from torch import nn

import seglens as sl
from seglens.core.convention import Convention
from seglens.core.errors import CompletenessWarning, NonFiniteError, ParameterError
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.regions import box, everything
from seglens.core.targets import Target, Targets
from seglens.methods import XRAI, IntegratedGradients, xrai

REGION = (10, 20, 40, 70)


class Square(nn.Module):
    """With it the gradient is linear along the path: one node integrates it exactly, and so does a midpoint."""

    def forward(self, x):
        return x**2


def squares(**fields):
    return network(nn.Conv2d(3, 4, 3, padding=1), Square(), nn.Conv2d(4, 3, 1), **fields)


def score(net, x, channel=1):
    top, left, bottom, right = REGION
    return net.module(x)[:, channel, top:bottom, left:right].mean((1, 2))


def published(net, x, *, least, combine="max"):
    """Integrated gradients from black and from white, their mean, the largest channel; segments dilated by a disk."""
    parts = []
    for level in (0.0, 1.0):
        start = torch.full_like(x, level)
        steps = [gradient(lambda v: score(net, v), start + (k + 0.5) / 10 * (x - start)) for k in range(10)]
        parts.append((x - start) * sum(steps) / 10)
    by_channel = (parts[0] + parts[1]) / 2
    attribution = (by_channel.amax(1) if combine == "max" else by_channel.sum(1))[0].numpy()
    masks = []
    height, width = attribution.shape
    for mask in felzenszwalb_masks(net, x).numpy():
        wide = np.zeros_like(mask)
        for dy, dx in np.argwhere(disk(5)):
            wide |= np.pad(mask, 5)[dy : dy + height, dx : dx + width]
        masks.append(wide)
    return attribution, slowly(attribution, np.stack(masks), EVERYWHERE, least)


@pytest.mark.parametrize("channels", ["max", "sum"])
def test_equals_the_published_algorithm_written_out(channels):
    net = squares()
    found = XRAI(nodes=1, channels=channels)(net, SCENE, Target(1, box(*REGION)))
    # 50 of 224² pixels, of a picture of 48 × 96.
    attribution, expected = published(net, SCENE, least=round(50 * 48 * 96 / 224**2), combine=channels)
    torch.testing.assert_close(found.pictures["attribution"][0, 0], torch.from_numpy(attribution).float())
    torch.testing.assert_close(found.values[0, 0], torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-7)
    assert len(found.values.unique()) > 10
    _, all_kept = published(net, SCENE, least=1, combine=channels)
    assert not np.allclose(all_kept, expected)


def test_the_map_sums_to_the_attribution_and_with_sum_to_the_change_of_score():
    net = squares()
    asked = Target(1, box(*REGION))
    found = XRAI(nodes=1, channels="sum")(net, SCENE, asked)
    total = found.values.double().sum((2, 3))
    torch.testing.assert_close(total, found.pictures["attribution"].double().sum((2, 3)), rtol=1e-5, atol=1e-7)
    with torch.no_grad():
        ends = [score(net, torch.full_like(SCENE, level)).item() for level in (0.0, 1.0)]
        change = score(net, SCENE).item() - sum(ends) / 2
    assert total.item() == pytest.approx(change, rel=1e-4)
    assert found.extras["baseline-score"].item() == pytest.approx(sum(ends) / 2)
    assert found.extras["completeness-gap"].abs().max() < 1e-6
    largest = XRAI(nodes=1)(net, SCENE, asked)
    assert largest.values.sum() > found.values.sum()


def test_its_attribution_is_the_mean_of_integrated_gradients():
    net = network(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 3, 1))
    asked = [Target(0, box(*REGION)), Target(2, everything)]
    found = XRAI(nodes=6, channels="sum")(net, SCENE, asked)
    single = [
        IntegratedGradients(nodes=6, most=6, baseline=b, gap=1.0)(net, SCENE, asked).values for b in ("black", "white")
    ]
    torch.testing.assert_close(found.pictures["attribution"], (single[0] + single[1]) / 2)


def test_the_channel_is_the_largest_of_the_mean_not_the_mean_of_the_largest():
    """On a linear network: w ∘ (x − ½), channel by channel."""
    net = network(nn.Conv2d(3, 2, 1))
    found = XRAI(nodes=1)(net, SCENE, Target(1, everything)).pictures["attribution"][0, 0]
    w = net.module[0].weight[1].detach() / (48 * 96)
    expected = (w * (SCENE[0] - 0.5)).amax(0)
    torch.testing.assert_close(found, expected.float())
    wrong = ((w * SCENE[0]).amax(0) + (w * (SCENE[0] - 1)).amax(0)) / 2
    assert (found - wrong).abs().max() > 1e-6


def test_black_and_white_are_pixel_values():
    convention = Convention(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    net = squares(convention=convention)
    x = convention.normalise(SCENE)
    found = XRAI(nodes=1)(net, x, Target(1, box(*REGION)))
    ends = [score(net, convention.normalise(torch.full_like(SCENE, level))) for level in (0.0, 1.0)]
    assert found.extras["baseline-score"].item() == pytest.approx((sum(ends) / 2).item())


@pytest.mark.parametrize(
    ("size", "frame", "expected"),
    [
        ((224, 224), None, 50),
        ((64, 128), None, 8),
        ((448, 448), None, 200),
        ((224, 224), (112, 224), 25),
        ((9, 224, 224), None, 50),
        ((6, 6), None, 1),
    ],
    ids=str,
)
def test_the_least_gain_is_a_share_of_the_picture(monkeypatch, size, frame, expected):
    """50 pixels at 224²; of the picture without its padding, and of a volume's slice."""
    seen = []
    monkeypatch.setattr(xrai, "grow", lambda a, segments, *, least: seen.append(least) or a)
    net = Network(module=(nn.Conv2d if len(size) == 2 else nn.Conv3d)(1, 2, 1), convention=Convention(channels=1))
    x = torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(0))
    frames = None if frame is None else (Frame(frame, frame, size),)
    XRAI(nodes=1, size=16)(net, x, Targets(items=(Target(0, everything),), frames=frames))
    assert seen == [[expected]]


def test_padding_counts_in_the_score_but_has_no_map():
    net = squares()
    frame = Frame((40, 90), (40, 90), (48, 96))
    found = XRAI(nodes=1, channels="sum")(net, SCENE, Targets(items=(Target(1, box(*REGION)),), frames=(frame,)))
    attribution = found.pictures["attribution"]
    assert not found.values[..., 40:, :].any()
    assert not found.values[..., 90:].any()
    torch.testing.assert_close(found.values.sum(), attribution[..., :40, :90].sum(), rtol=1e-4, atol=1e-6)
    assert found.extras["completeness-gap"].abs().max() < 1e-6
    # What the padding changed of the score is in no pixel of the map.
    change = (found.score - found.extras["baseline-score"]).item()
    outside = attribution.double().sum().item() - attribution[..., :40, :90].double().sum().item()
    assert abs(outside) > 1e-3 * abs(change)
    assert found.values.double().sum().item() == pytest.approx(change - outside, rel=1e-4)


def test_too_few_nodes_show_in_the_gap():
    net = network(nn.Conv2d(3, 4, 3, padding=1), nn.Sigmoid(), nn.Conv2d(4, 3, 1))
    with torch.no_grad():
        net.module[0].weight *= 6
    asked = Target(1, box(*REGION))
    with pytest.warns(CompletenessWarning, match=r"miss the change of score by .*% with 1 nodes .*raise `nodes`"):
        few = XRAI(nodes=1)(net, SCENE, asked)
    gaps = [one.extras["completeness-gap"].abs().item() for one in (few, XRAI(nodes=12)(net, SCENE, asked))]
    assert gaps[0] > 0.05
    assert gaps[0] > 10 * gaps[1]
    assert gaps[1] < 1e-3


@pytest.mark.parametrize(("targets", "most"), [(1, 2 * 4 * 2 + 3), (3, 2 * 4 * 4 + 3)])
@pytest.mark.filterwarnings("ignore:the integrated gradients of XRAI:seglens.core.errors.CompletenessWarning")
def test_what_it_costs(targets, most):
    net = Network(module=nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 3, 3)))
    asked = [Target(c, everything) for c in range(targets)]
    image = SCENE[0].float()
    (why, *_) = sl.explain(net, image, XRAI(nodes=4), asked, cost=True)
    assert why.cost.flops / why.cost.forward <= most + 0.01
    for method in ("score-map", "fusion-map", "ssm", "gssm", "similarity-map"):
        (why, *_) = sl.explain(net, image, method, asked, cost=True)
        assert why.cost.flops / why.cost.forward == pytest.approx(1, abs=0.05)


def test_a_network_undefined_on_white_is_named():
    class Inverse(nn.Module):
        def forward(self, x):
            return x / (1 - x.mean((1, 2, 3), keepdim=True))

    with pytest.raises(NonFiniteError, match="NaN or infinity for the white picture"):
        XRAI(nodes=1)(Network(module=Inverse()), SCENE.float(), Target(0, everything))


@pytest.mark.parametrize(("field", "value"), [("nodes", 0), ("channels", "mean"), ("size", -1)])
def test_bad_parameters(field, value):
    with pytest.raises(ParameterError, match=rf"XRAI\.{field} is to be"):
        XRAI(**{field: value})
