"""Occlusion: closed forms, the loop written out, completeness, what lies at edges, and what its error says."""

from importlib.util import find_spec

import pytest
import torch
from plain import asked, gradient, network, pictures, relu_net, score
from torch import nn

from seglens.core import batches
from seglens.core.convention import Convention
from seglens.core.cost import measured
from seglens.core.errors import NonFiniteError, ParameterError, ZeroMapWarning
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.core.regions import everything, predicted
from seglens.core.targets import Target, Targets, channel
from seglens.methods import Occlusion
from seglens.perturb import FILLS, fill
from seglens.perturb.segments import felzenszwalb_labels
from seglens.testing import untouched


def logit(c, **fields):
    return asked(c, of="logits", **fields)


def starts(n, size, stride):
    """Where patches begin along one side, by the rule: as few as reach both ends, evenly, rounded half up."""
    steps = max(0, -(-(n - size) // stride))
    return [int(i * (n - size) / steps + 0.5) for i in range(steps + 1)] if steps else [0]


def slow(f, x, filled, size, stride):
    """Mean, standard error and number of S(x) − S(x with P filled) over the patches P that cover a pixel."""
    b, h, w = x.shape[0], *x.shape[2:]
    found = [[[[] for _ in range(w)] for _ in range(h)] for _ in range(b)]
    for top in starts(h, size, stride):
        for left in starts(w, size, stride):
            changed = x.clone()
            area = (..., slice(top, top + size), slice(left, left + size))
            changed[area] = filled[area]
            fall = (f(x) - f(changed)).tolist()
            for k in range(b):
                for i in range(top, min(top + size, h)):
                    for j in range(left, min(left + size, w)):
                        found[k][i][j].append(fall[k])
    lists = [torch.tensor(v, dtype=torch.float64) for image in found for row in image for v in row]
    mean = torch.stack([v.mean() for v in lists])
    error = torch.stack([v.std(correction=1) / len(v) ** 0.5 if len(v) > 1 else torch.tensor(torch.nan) for v in lists])
    covers = torch.tensor([float(len(v)) for v in lists])
    return [v.reshape(b, h, w).float() for v in (mean, error, covers)]


@pytest.mark.parametrize("kind", FILLS)
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (5, 4)])
def test_a_linear_network_loses_gradient_times_change(size, stride, kind):
    """S is linear, so a patch P costs Σ_P Σ_channels ∂S/∂x · (x − fill)."""
    net, x = network(nn.Conv2d(2, 3, 3, padding=1)), pictures()
    lost = (gradient(lambda v: score(net.module(v), 1), x) * (x - fill(net, x, kind))).sum(1)
    total, covers = torch.zeros_like(lost), torch.zeros(8, 8)
    for top in starts(8, size, stride):
        for left in starts(8, size, stride):
            area = (slice(top, top + size), slice(left, left + size))
            total[(slice(None), *area)] += lost[(slice(None), *area)].sum((1, 2))[:, None, None]
            covers[area] += 1
    found = Occlusion(size=size, stride=stride, fill=kind)(net, x, logit(1))
    torch.testing.assert_close(found.values[:, 0], (total / covers).float())
    torch.testing.assert_close(found.pictures["covers"], covers.expand(2, 1, 8, 8))


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (4, 4), (3, 2), (4, 1), (5, 3), (7, 5), (20, 3)])
def test_equals_the_loop_over_patches(size, stride):
    net, x = relu_net(), pictures(2, 2, 8, 9)
    found = Occlusion(size=size, stride=stride, fill="grey")(net, x, [asked(0), asked(2)])
    for t, c in enumerate((0, 2)):
        f = lambda v, c=c: score(net.module(v), c, (8, 9), "probabilities").detach()  # noqa: E731
        mean, error, covers = slow(f, x, torch.full_like(x, 0.5), size, stride)
        torch.testing.assert_close(found.values[:, t], mean)
        torch.testing.assert_close(found.pictures["standard-error"][:, t], error, equal_nan=True, atol=1e-8, rtol=1e-5)
        assert torch.equal(found.pictures["covers"][:, t], covers)


def test_by_default_patches_are_an_eighth_and_overlap_by_half():
    net, x = network(nn.Conv2d(1, 2, 1)), pictures(1, 1, 16, 64)
    found = Occlusion()(net, x, logit(1))
    explicit = Occlusion(size=4, stride=2)(net, x, logit(1))
    assert torch.equal(found.values, explicit.values)
    assert found.pictures["covers"].max() == 4


def additive():
    """Each pixel by itself through something curved: what parts lose adds up."""
    return network(nn.Conv2d(2, 6, 1), nn.Tanh(), nn.Conv2d(6, 3, 1))


def test_patches_that_partition_the_picture_share_out_the_change():
    net, x = additive(), pictures()
    target = Target(1, everything, of="logits", reduce="sum")
    found = Occlusion(size=4, stride=4, fill="white")(net, x, target)
    change = net.module(x)[:, 1].sum((1, 2)) - net.module(torch.ones_like(x))[:, 1].sum((1, 2))
    torch.testing.assert_close(found.values[:, 0].sum((1, 2)) / 16, change.detach().float())
    assert found.pictures["standard-error"].isnan().all()


def patchwork():
    """Pictures of flat rectangles: two images with different numbers of superpixels."""
    x = torch.zeros(2, 2, 24, 24, dtype=torch.float64)
    x[0, :, :12, :10], x[0, :, 12:, :10], x[0, :, :, 10:] = 0.1, 0.5, 0.9
    for k in range(4):
        x[1, :, 6 * k : 6 * k + 6, :12], x[1, :, 6 * k : 6 * k + 6, 12:] = 0.2 * k, 1 - 0.13 * k
    return x


def test_superpixels_share_out_the_change():
    net, x = additive(), patchwork()
    target = Target(1, everything, of="logits", reduce="sum")
    found = Occlusion(parts="superpixel", levels=1, scale=3, fill="white")(net, x, target)
    labels = felzenszwalb_labels(net, x, None, scale=3)
    assert 3 <= int(labels[0].max()) + 1 < int(labels[1].max()) + 1 < 100
    change = net.module(x)[:, 1].sum((1, 2)) - net.module(torch.ones_like(x))[:, 1].sum((1, 2))
    for b in range(2):
        sums = [found.values[b, 0][labels[b] == k].mean() for k in labels[b].unique()]
        torch.testing.assert_close(sum(sums), change[b].detach().float())


def test_superpixels_of_several_scales_equal_the_loop():
    net, x = relu_net(), patchwork()
    method = Occlusion(parts="superpixel", scale=2, levels=2, fill="black")
    found = method(net, x, asked(0))
    values = []
    for scale in (2, 4):
        labels = felzenszwalb_labels(net, x, None, scale=scale)
        value = torch.zeros(2, 24, 24, dtype=torch.float64)
        for b in range(2):
            for k in labels[b].unique():
                covered = x[b : b + 1].masked_fill(labels[b] == k, 0.0)
                before, after = (
                    score(net.module(v).detach(), 0, (24, 24), "probabilities") for v in (x[b : b + 1], covered)
                )
                value[b][labels[b] == k] = (before - after).item()
        values.append(value)
    mean = (values[0] + values[1]) / 2
    torch.testing.assert_close(found.values[:, 0], mean.float())
    error = (values[0] - values[1]).abs() / 2
    torch.testing.assert_close(found.pictures["standard-error"][:, 0], error.float())
    assert (found.pictures["covers"] == 2).all()
    # The second image has more of them: the first one's map is that of its own.
    for b in range(2):
        torch.testing.assert_close(method(net, x[b : b + 1], asked(0)).values[0], found.values[b])


class Corner(nn.Module):
    """Sees the upper left 4 × 4 only, and says the same everywhere."""

    def forward(self, x):
        seen = x[..., :4, :4].sum((1, 2, 3)).reshape(-1, 1, 1, 1)
        return torch.cat([0 * x[:, :1] - seen, 0 * x[:, :1] + seen], 1)


def test_a_network_that_sees_one_corner():
    found = Occlusion(size=4, stride=4, fill="black")(Network(module=Corner()), pictures().float(), logit(1)).values
    assert bool((found[..., :4, :4] > 0).all())
    found[..., :4, :4] = 0
    assert not found.any()


def test_nothing_covered_is_said():
    with pytest.warns(ZeroMapWarning):
        Occlusion(size=4)(relu_net(), torch.full((1, 2, 8, 8), 0.5, dtype=torch.float64), asked(1))


def test_padding_is_covered_with_the_pixel_that_it_repeats():
    """Of 8 × 8, 5 × 6 are picture; the network sees sums over all, so what padding repeats must fall too."""
    net = network(nn.Conv2d(2, 3, 7, padding=3))
    x = pictures(1, 2, 5, 6)
    x = nn.functional.pad(x, (0, 2, 0, 3), mode="replicate")
    frame = Frame((5, 6), (5, 6), (8, 8))
    target = Target(0, everything, of="logits")
    found = Occlusion(size=5, stride=5, fill="black")(net, x, Targets(items=(target,), frames=(frame,)))
    covered = [x.clone() for _ in range(2)]
    covered[0][..., :5] = 0
    covered[1][..., 1:] = 0
    scores = [net.module(v)[:, 0, :5, :6].mean() for v in (x, *covered)]
    falls = [scores[0] - s for s in scores[1:]]
    expected = torch.stack([falls[0], *[(falls[0] + falls[1]) / 2] * 4, falls[1]]).detach().float()
    torch.testing.assert_close(found.values[0, 0, :5, :6], expected.expand(5, 6))


def test_the_region_is_that_of_the_clean_image():
    net, x = relu_net(), pictures()
    found = Occlusion(size=4)(net, x, Target(0, predicted(0)))
    clean = net.module(x)
    expected = nn.functional.interpolate(clean, size=(8, 8), mode="bilinear").argmax(1) == 0
    assert torch.equal(found.scores.masks[:, 0], expected)


def test_a_classifier_and_a_one_pixel_segmenter_agree():
    body = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1)]
    segmenter, classifier = network(*body), network(*body, nn.Flatten())
    x = pictures()
    for method in (Occlusion(size=3, stride=2), Occlusion(parts="superpixel", levels=1)):
        one = method(segmenter, x, [Target(1, everything), Target(channel(2) - channel(0), everything, of="logits")])
        other = method(classifier, x, [Target(1), Target(channel(2) - channel(0), of="logits")])
        torch.testing.assert_close(one.values, other.values)
        torch.testing.assert_close(one.score, other.score)


@pytest.mark.parametrize("how", ["patch", "superpixel"])
def test_the_price_is_a_pass_for_each_part_and_one(how):
    net, x = relu_net(), patchwork()[1:]
    method = Occlusion(parts=how, size=8, stride=4, levels=1, scale=3)
    parts = 25 if how == "patch" else int(felzenszwalb_labels(net, x, None, scale=3).max()) + 1
    with torch.no_grad(), measured() as once:
        net.module(x)
    for targets in ([asked(0)], [asked(0), asked(1), logit(2)]):
        with measured() as counted:
            method(net, x, targets)
        assert counted.flops == (parts + 1) * once.flops


def test_targets_and_batches_do_not_matter(monkeypatch):
    net, x = relu_net(), pictures(3, 2, 8, 8)
    method = Occlusion(size=3)
    targets = [asked(0), logit(channel(1) - channel(2)), asked(1, reduce="sum")]
    whole = method(net, x, targets)
    for t, target in enumerate(targets):
        torch.testing.assert_close(method(net, x, target).values[:, 0], whole.values[:, t])
    torch.testing.assert_close(method(net, x[[2, 0]], targets).values, whole.values[[2, 0]])
    monkeypatch.setitem(batches.PIXELS, "cpu", 1)
    again = method(net, x, targets)
    torch.testing.assert_close(again.values, whole.values)
    torch.testing.assert_close(again.pictures["standard-error"], whole.pictures["standard-error"], equal_nan=True)


def test_progress_is_told_and_a_listener_may_stop_it(monkeypatch):
    monkeypatch.setitem(batches.PIXELS, "cpu", 64 * 2 * 3)
    net, x = relu_net(), pictures()
    heard = []
    with watching(lambda *said: heard.append(said)):
        Occlusion(size=4, stride=4)(net, x, asked(0))
    assert heard == [("patches", 3, 4), ("patches", 4, 4)]

    def stop(*_):
        raise KeyboardInterrupt

    net.module.train()
    with untouched(net, x), watching(stop), pytest.raises(KeyboardInterrupt):
        Occlusion(size=4, stride=4)(net, x, asked(0))


def test_the_error_is_of_the_size_of_what_a_finer_stride_changes():
    """Against all positions of a patch: deviations are most of the stated error, not several times it, nor a tenth."""
    deviations, errors = [], []
    for seed in range(4):
        net, x = relu_net(), pictures(1, 2, 30, 30, seed=seed)
        target = Target(0, everything)
        every = Occlusion(size=8, stride=1)(net, x, target).values
        found = Occlusion(size=8, stride=4)(net, x, target)
        inside = found.pictures["covers"] == 4
        deviations.append((found.values - every)[inside])
        errors.append(found.pictures["standard-error"][inside])
    deviation, error = (torch.cat(v).square().mean().sqrt() for v in (deviations, errors))
    assert 0.4 < deviation / error < 1.1


def test_effects_near_certainty_are_not_lost_in_rounding():
    """p = 1 − 2e-5 or so: effects of 1e-9 survive, which p itself in float32 could not show."""
    net = network(nn.Conv2d(1, 2, 1))
    with torch.no_grad():
        net.module[0].weight.copy_(torch.tensor([0.0, 1e-4]).reshape(2, 1, 1, 1))
        net.module[0].bias.copy_(torch.tensor([0.0, 11.0]))
    exact = Occlusion(size=2, fill="black")(net, (x := pictures(1, 1, 4, 4)), Target(1, everything)).values
    net.module.float()
    found = Occlusion(size=2, fill="black")(net, x.float(), Target(1, everything)).values
    # The network's own logits are float32: near 11 in steps of 1e-6, a hundredth of the change here.
    torch.testing.assert_close(found, exact, rtol=0.05, atol=0)


def test_captum_agrees_where_its_patches_end_with_the_picture():
    if find_spec("captum") is None:
        pytest.skip("captum is not installed")
    import captum.attr

    net, x = relu_net(), pictures()
    for size, stride in ((4, 4), (4, 2), (2, 1), (5, 3)):
        theirs = captum.attr.Occlusion(lambda v: score(net.module(v), 2)[:, None]).attribute(
            x, (2, size, size), strides=(2, stride, stride), baselines=0.5, target=0
        )
        found = Occlusion(size=size, stride=stride, fill="grey")(net, x, logit(2)).values[:, 0]
        torch.testing.assert_close(found, theirs[:, 0].detach().float(), rtol=1e-5, atol=1e-8)


class Hole(nn.Module):
    """Not finite where the middle of the picture is black."""

    def forward(self, x):
        return torch.cat([x, x[..., 4:5, 4:5].log() + x], 1)


def test_a_fill_that_the_network_cannot_take():
    net, x = Network(module=Hole(), convention=Convention(channels=1)), pictures(1, 1, 8, 8).float() + 0.1
    with (
        untouched(net, x),
        pytest.raises(NonFiniteError, match=r"parts are replaced \(black\).\n  Choose another fill"),
    ):
        Occlusion(fill="black")(net, x, Target(1, everything))
    assert Occlusion(fill="white")(net, x, Target(1, everything)).values.isfinite().all()


@pytest.mark.parametrize(
    ("field", "value"), [("size", 0), ("stride", 0), ("scale", 0.0), ("levels", 0), ("parts", "pixel"), ("fill", "red")]
)
def test_bad_parameters(field, value):
    with pytest.raises(ParameterError, match=rf"Occlusion.{field} is to be"):
        Occlusion(**{field: value})


def test_patches_may_leave_no_gaps():
    with pytest.raises(ParameterError, match=r"stride is to be <= the side of a patch \(4\), not 5: pixels between"):
        Occlusion(size=4, stride=5)
    with pytest.raises(ParameterError, match=r"the side of a patch \(1\), not 2"):
        Occlusion(stride=2)(relu_net(), pictures(), asked(0))


def test_units_that_are_no_classes_are_read_as_they_are():
    net, x = network(nn.Conv2d(2, 3, 8), nn.Flatten(), link="none"), pictures()
    found = Occlusion(size=8, fill="black")(net, x, Target(2)).values
    expected = (net.module(x) - net.module(0 * x))[:, 2].detach().float()
    torch.testing.assert_close(found[:, 0], expected[:, None, None].expand(2, 8, 8))


def test_volumes():
    net = network(nn.Conv3d(1, 2, 1))
    x = pictures(1, 1, 4, 4, 6)
    found = Occlusion(size=2, stride=2, fill="black")(net, x, Target(1, everything, of="logits", reduce="sum")).values
    lost = (net.module[0].weight[1] * x[0]).sum(0).detach()
    expected = nn.functional.avg_pool3d(lost[None, None], 2) * 8
    expected = expected.repeat_interleave(2, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
    torch.testing.assert_close(found, expected.float())


def test_default_patches_and_mean_are_those_of_the_picture_without_padding():
    net, small = network(nn.Conv2d(2, 3, 3, padding=1)), pictures(1, 2, 16, 16)
    x = torch.cat([nn.functional.pad(small, (0, 16, 0, 16), mode="replicate"), pictures(1, 2, 32, 32, seed=3)])
    frames = (Frame((16, 16), (16, 16), (32, 32)), Frame.identity((32, 32)))
    targets = Targets(items=(logit(1),), frames=frames)
    found = Occlusion()(net, x, targets)
    for b, size in enumerate((2, 4)):
        one = Targets(items=(logit(1),), frames=frames[b : b + 1])
        torch.testing.assert_close(Occlusion(size=size)(net, x[b : b + 1], one).values, found.values[b : b + 1])
    # Of a linear network a patch costs gradient times change; the mean is that of the picture.
    filled = small.mean((2, 3), keepdim=True)
    lost = gradient(lambda v: score(net.module(v), 1, (32, 32)), x[:1]) * (x[:1] - filled)
    assert found.values[0, 0, 0, 0] == pytest.approx(lost[..., :2, :2].sum().item(), rel=1e-4)
