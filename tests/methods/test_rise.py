"""RISE: the sums written out, its expectation in closed form, and an error that predicts the spread over seeds."""

import math
from itertools import product

import pytest
import torch
from plain import asked, gradient, network, pictures, relu_net, score
from torch import nn

from seglens.core import batches
from seglens.core.cost import measured
from seglens.core.errors import EmptyRegionError, EmptyRegionWarning, NonFiniteError, ParameterError
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.core.regions import box, everything, mask, predicted
from seglens.core.targets import Target, Targets, channel
from seglens.methods import RISE
from seglens.perturb import FILLS, fill
from seglens.perturb.masks import RandomMasks
from seglens.testing import untouched


def logit(c, **fields):
    return asked(c, of="logits", **fields)


def slow(f, x, filled, method):
    """Map and standard error [B *grid], mask by mask, from f: pictures → weights [B]."""
    n, p = method.masks, method.keep
    draws = RandomMasks(tuple(x.shape[2:]), method.cells, p, method.seed)
    masks = [draws.draw(i, i + 1, x)[0] for i in range(n)]
    w = [f(m * x + (1 - m) * filled).detach() for m in masks]
    mean = sum(w) / n if method.centred else 0 * w[0]
    middle = p if method.centred else 0.0
    terms = torch.stack([(v - mean)[:, None, None] * (m - middle) / p for v, m in zip(w, masks, strict=True)])
    total = terms.sum(0) / (n - 1 if method.centred else n)
    return total.float(), (terms.std(0, correction=1) / n**0.5).float(), (sum(w) / n)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("kind", FILLS)
def test_equals_the_sum_over_masks(kind, centred):
    net, x = relu_net(), pictures(2, 2, 8, 9)
    method = RISE(masks=12, cells=3, keep=0.4, fill=kind, centred=centred, seed=2)
    found = method(net, x, [asked(0), logit(2)])
    for t, (c, of) in enumerate(((0, "probabilities"), (2, "logits"))):
        f = lambda v, c=c, of=of: score(net.module(v), c, (8, 9), of)  # noqa: E731
        expected, error, mean = slow(f, x, fill(net, x, kind), method)
        torch.testing.assert_close(found.values[:, t], expected, rtol=1e-5, atol=1e-8)
        torch.testing.assert_close(found.pictures["standard-error"][:, t], error, rtol=1e-4, atol=1e-8)
        torch.testing.assert_close(found.extras["mean-weight"][:, t], mean)
    assert found.unit == "{score}"


def expected_of_linear(net, x, c, method):
    """E[w] and (1 − p) Σ_q k(p − q) h(q), h = Σ_channels ∂S/∂x (x − fill), k the product of cubic B-splines.

    As E[M(p) M(q)] = p² + p (1 − p) k(p − q), and w = S(fill) + Σ_q h(q) M(q).
    """

    def spline(d):
        d = abs(d)
        return 2 / 3 - d**2 + d**3 / 2 if d <= 1 else (2 - d) ** 3 / 6 if d <= 2 else 0.0

    filled = fill(net, x, method.fill)
    h = (gradient(lambda v: score(net.module(v), c), x) * (x - filled)).sum(1)
    places = list(product(range(8), range(8)))
    cell = 8 / method.cells
    k = [[math.prod(spline((a - b) / cell) for a, b in zip(p, q, strict=True)) for q in places] for p in places]
    blurred = (h.flatten(1) @ torch.tensor(k, dtype=torch.float64)).reshape(-1, 8, 8)
    mean = score(net.module(filled), c).detach() + method.keep * h.flatten(1).sum(1)
    return mean, (1 - method.keep) * blurred


@pytest.mark.parametrize("keep", [0.3, 0.5])
def test_of_a_linear_network_it_is_occlusion_blurred_by_a_spline(keep):
    """Within its own standard error, which a standard normal's tails show to be right; centred or as published."""
    net, x = network(nn.Conv2d(2, 3, 3, padding=1)), pictures()
    for centred in (True, False):
        method = RISE(masks=6000, cells=3, keep=keep, centred=centred)
        found = method(net, x, logit(1))
        mean, contrast = expected_of_linear(net, x, 1, method)
        expected = contrast if centred else contrast + mean[:, None, None]
        z = (found.values[:, 0] - expected) / found.pictures["standard-error"][:, 0]
        assert float(z.abs().max()) < 5
        assert 0.3 < float(z.square().mean().sqrt()) < 2
        # The test would see a map that is off by a tenth.
        assert float((0.1 * contrast / found.pictures["standard-error"][:, 0]).abs().max()) > (3 if centred else 0)


@pytest.fixture(scope="module")
def many():
    """Maps and errors over 200 seeds, of 24 masks each: centred with its mean weight added, and as published."""
    net, x = network(nn.Conv2d(2, 3, 3, padding=1)), pictures()
    with torch.no_grad():
        # A score far from 0, as probabilities of a sure network are.
        net.module[0].bias += 2.0
    runs = {True: [], False: []}
    for centred, found in runs.items():
        for seed in range(200):
            one = RISE(masks=24, cells=3, centred=centred, seed=seed)(net, x, logit(1))
            level = one.extras["mean-weight"][:, 0, None, None] if centred else 0.0
            found.append((one.values[:, 0], one.values[:, 0] + level, one.pictures["standard-error"][:, 0]))
    mean, contrast = expected_of_linear(net, x, 1, RISE(cells=3))
    maps = {
        centred: [torch.stack(part).double() for part in zip(*found, strict=True)] for centred, found in runs.items()
    }
    return maps, mean[:, None, None], contrast


def test_both_forms_are_unbiased(many):
    """Their means over seeds are the closed form."""
    maps, mean, contrast = many
    for centred in (True, False):
        level = maps[centred][1]
        z = (level.mean(0) - mean - contrast) / (level.std(0) / 200**0.5)
        assert float(z.abs().max()) < 4.5


def test_few_masks_do_not_make_the_centred_form_small():
    """Of 3 masks, division by 3 instead of 2 would give two thirds of the map on average."""
    net, x = network(nn.Conv2d(2, 3, 3, padding=1)), pictures(1, 2, 8, 8)
    maps = torch.stack([RISE(masks=3, cells=3, seed=s)(net, x, logit(1)).values[:, 0] for s in range(300)])
    _, contrast = expected_of_linear(net, x, 1, RISE(cells=3))
    slope = (maps.double().mean(0) * contrast).sum() / contrast.square().sum()
    assert float(slope) == pytest.approx(1, abs=0.2)


def test_the_centred_form_has_far_less_noise(many):
    maps, _, _ = many
    centred, published = (maps[form][1].var(0).mean() for form in (True, False))
    assert published / centred > 10


def test_the_standard_error_predicts_the_spread_over_seeds(many):
    maps, _, contrast = many
    for centred in (True, False):
        values, _, errors = maps[centred]
        predicted_by_itself = errors.square().mean(0).sqrt()
        ratio = predicted_by_itself / values.std(0)
        assert float(ratio.mean()) == pytest.approx(1, abs=0.08)
        assert float(ratio.min()) > 0.75
        assert float(ratio.max()) < 1.3
    covered = ((maps[True][0] - contrast).abs() < 1.96 * maps[True][2]).double().mean()
    # Of 24 masks: a little less than the 95 % of a known deviation.
    assert 0.88 < float(covered) < 0.97


class Corner(nn.Module):
    """Sees the upper left 3 × 3 only, and says the same everywhere."""

    def forward(self, x):
        seen = x[..., :3, :3].mean((1, 2, 3)).reshape(-1, 1, 1, 1)
        return torch.cat([0 * x[:, :1], 0 * x[:, :1] + seen], 1)


def test_a_network_that_sees_one_corner():
    net, x = Network(module=Corner()), pictures(1, 2, 16, 16).float()
    found = RISE(masks=400, cells=4, fill="black")(net, x, Target(1, box(12, 12, 16, 16)))
    values, errors = found.values[0, 0], found.pictures["standard-error"][0, 0]
    assert values.argmax().item() in {0, 1, 2, 16, 17, 18, 32, 33, 34}
    # Two cells and more away nothing is left but noise of the stated size.
    away = (values / errors)[11:, 11:]
    assert float(away.abs().max()) < 4
    assert float((values / errors).max()) > 10


def test_a_picture_that_does_not_matter_gives_zeros():
    net = network(nn.Conv2d(2, 3, 1))
    with torch.no_grad():
        net.module[0].weight.zero_()
    with pytest.warns(match="zero everywhere"):
        found = RISE(masks=5)(net, pictures(), asked(1))
    assert not found.pictures["standard-error"].any()


def dice(net, x, masked, c, inside):
    """2|A∩B| / (|A| + |B|) within the region, one image."""
    a, b = (nn.functional.interpolate(net.module(v), (8, 8), mode="bilinear").argmax(1)[0] == c for v in (x, masked))
    a, b = a & inside, b & inside
    return 2 * int((a & b).sum()) / (int(a.sum()) + int(b.sum()))


def test_weighed_by_dice():
    net, x = relu_net(), pictures()
    method = RISE(masks=9, cells=2, fill="grey", weigh="dice", seed=4)
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[1:7, 2:8] = True
    labels = nn.functional.interpolate(net.module(x), (8, 8), mode="bilinear").argmax(1)
    classes = [c for c in range(3) if all(bool((labels[b] == c)[inside].any()) for b in range(2))]
    assert len(classes) >= 2
    found = method(net, x, [Target(c, mask(inside)) for c in classes])
    for t, c in enumerate(classes):
        for b in range(2):
            row = x[b : b + 1]
            f = lambda v, row=row, c=c: torch.tensor([dice(net, row, v, c, inside)], dtype=torch.float64)  # noqa: E731
            expected, error, mean = slow(f, row, torch.full_like(row, 0.5), method)
            torch.testing.assert_close(found.values[b, t], expected[0], rtol=1e-5, atol=1e-6)
            torch.testing.assert_close(found.pictures["standard-error"][b, t], error[0], rtol=1e-4, atol=1e-6)
            torch.testing.assert_close(found.extras["mean-weight"][b, t].double(), mean[0], rtol=1e-5, atol=1e-6)
    assert found.unit == "Dice"


def thresholds():
    """Class 1 where the picture is bright."""
    net = network(nn.Conv2d(1, 1, 1))
    with torch.no_grad():
        net.module[0].weight.fill_(10.0)
        net.module[0].bias.fill_(-5.5)
    return net


def test_dice_of_what_is_not_predicted_is_undefined():
    net, x = thresholds(), torch.zeros(2, 1, 8, 8, dtype=torch.float64)
    x[0, :, :4] = 1.0
    method = RISE(masks=6, cells=2, weigh="dice")
    with pytest.warns(EmptyRegionWarning, match=r"not predicted in the region, so there is no Dice: 1 .*\(image 1 of"):
        found = method(net, x, Target(1, everything))
    assert found.values[0].isfinite().all()
    for undefined in (found.values[1], found.pictures["standard-error"][1], found.extras["mean-weight"][1]):
        assert undefined.isnan().all()
    with untouched(net, x), pytest.raises(EmptyRegionError, match="nowhere in its region, so no overlap can be lost"):
        method(net, x[1:], Target(1, everything))


def test_dice_is_of_one_class():
    net, x = relu_net(), pictures()
    for target in (channel(0) - channel(1), channel(0) * 2.0):
        with pytest.raises(ParameterError, match="Dice is that of one class"):
            RISE(masks=3, weigh="dice")(net, x, Target(target, everything))
    units = network(nn.Conv2d(2, 3, 8), nn.Flatten(), link="none")
    with pytest.raises(ParameterError, match="has no classes, so there is no Dice"):
        RISE(masks=3, weigh="dice")(units, x, Target(0))
    assert RISE(masks=3)(units, x, Target(0)).values.isfinite().all()


@pytest.mark.parametrize("weigh", ["score", "dice"])
def test_a_classifier_and_a_one_pixel_segmenter_agree(weigh):
    body = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Conv2d(4, 3, 1)]
    segmenter, classifier = network(*body), network(*body, nn.Flatten())
    x = pictures(1, 2, 8, 8)
    c = int(classifier.module(x).argmax())
    with torch.no_grad():
        # Near a draw of all classes, so that masks change the decision.
        behind = 0.999 * (classifier.module(x)[0, c] - classifier.module(x)[0])
        body[3].bias += behind
    method = RISE(masks=40, cells=3, fill="white", weigh=weigh)
    one, same = method(segmenter, x, Target(c, everything)), method(classifier, x, Target(c))
    torch.testing.assert_close(one.values, same.values)
    assert one.values.any()


def test_the_price_is_a_pass_for_each_mask_and_one():
    net, x = network(nn.Conv2d(2, 64, 3, padding=1), nn.Conv2d(64, 64, 3, padding=1), nn.Conv2d(64, 3, 1)), pictures()
    with torch.no_grad(), measured() as once:
        net.module(x)
    for targets in ([asked(0)], [asked(0), asked(1), logit(2)]):
        with measured() as counted:
            RISE(masks=20)(net, x, targets)
        # The sums over masks: 4 operations a pixel, mask and target, beside 77,000 of this network.
        assert counted.flops / once.flops == pytest.approx(21, rel=2e-4)


@pytest.mark.parametrize("weigh", ["score", "dice"])
def test_targets_batches_and_company_do_not_matter(monkeypatch, weigh):
    net, x = relu_net(), pictures(3, 2, 8, 8)
    method = RISE(masks=14, cells=3, weigh=weigh)
    targets = [Target(c, everything) for c in range(3)]
    if weigh == "score":
        targets += [logit(channel(1) - channel(2)), asked(1, reduce="sum"), Target(0, predicted(0))]
    whole = method(net, x, targets)
    for t, target in enumerate(targets):
        torch.testing.assert_close(method(net, x, target).values[:, 0], whole.values[:, t])
    torch.testing.assert_close(method(net, x[[2, 0]], targets).values, whole.values[[2, 0]])
    monkeypatch.setitem(batches.PIXELS, "cpu", 64 * 3 * 4)
    again = method(net, x, targets)
    torch.testing.assert_close(again.values, whole.values)
    torch.testing.assert_close(again.pictures["standard-error"], whole.pictures["standard-error"])


def test_seeds_differ_and_repeat():
    net, x = relu_net(), pictures()
    one, again, other = (RISE(masks=5, seed=s)(net, x, asked(1)).values for s in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.allclose(one, other)


def test_the_region_is_that_of_the_clean_image():
    net, x = relu_net(), pictures()
    found = RISE(masks=3, fill="black")(net, x, 0)
    clean = nn.functional.interpolate(net.module(x), (8, 8), mode="bilinear").argmax(1) == 0
    assert torch.equal(found.scores.masks[:, 0], clean)


def test_progress_is_told_and_a_listener_may_stop_it(monkeypatch):
    monkeypatch.setitem(batches.PIXELS, "cpu", 64 * 2 * 4)
    net, x = relu_net(), pictures()
    heard = []
    with watching(lambda *said: heard.append(said)):
        RISE(masks=10)(net, x, asked(0))
    assert heard == [("masks", 4, 10), ("masks", 8, 10), ("masks", 10, 10)]

    def stop(what, done, total):
        if done == 8:
            raise KeyboardInterrupt

    net.module.train()
    with untouched(net, x), watching(stop), pytest.raises(KeyboardInterrupt):
        RISE(masks=10)(net, x, asked(0))


def test_volumes():
    net, x = network(nn.Conv3d(1, 2, 3, padding=1)), pictures(1, 1, 4, 6, 5)
    found = RISE(masks=9, cells=2, fill="grey")(net, x, Target(1, everything))
    draws = RandomMasks((4, 6, 5), 2, 0.5).draw(0, 9, x)
    w = torch.stack([net.module(m * x + (1 - m) * 0.5).softmax(1)[0, 1].mean() for m in draws]).detach()
    expected = ((w - w.mean())[:, None, None, None] * draws).sum(0) / 8 / 0.5
    torch.testing.assert_close(found.values[0, 0], expected.float())


class Hole(nn.Module):
    """Not finite where a pixel is black."""

    def forward(self, x):
        return torch.cat([x, x.log()], 1)


def test_a_fill_that_the_network_cannot_take():
    net, x = Network(module=Hole()), torch.full((1, 3, 8, 8), -1.0).abs()
    with (
        untouched(net, x),
        pytest.raises(NonFiniteError, match=r"parts are replaced \(black\).\n  Choose another fill"),
    ):
        RISE(masks=20, cells=1, keep=0.05, fill="black")(net, x, Target(1, everything))
    assert RISE(masks=20, cells=1, keep=0.05, fill="grey")(net, x, Target(4, everything)).values.isfinite().all()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("masks", 1),
        ("cells", 0),
        ("keep", 0.0),
        ("keep", 1.0),
        ("fill", "red"),
        ("weigh", "iou"),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_bad_parameters(field, value):
    with pytest.raises(ParameterError, match=rf"RISE.{field} is to be"):
        RISE(**{field: value})


def test_padding_goes_with_the_pixel_that_it_repeats():
    """To a network that pads by itself a padded picture is the picture: RISE gives it the same map, in any company."""

    class Padded(nn.Module):
        """Pads a smaller picture to 8 × 8 itself, and sees all of it everywhere."""

        def forward(self, v):
            v = nn.functional.pad(v, (0, 8 - v.shape[-1], 0, 8 - v.shape[-2]), mode="replicate")
            weights = torch.arange(64.0, dtype=v.dtype).reshape(8, 8) / 8
            seen = (v * weights).mean((1, 2, 3)).reshape(-1, 1, 1, 1)
            return torch.cat([0 * v[:, :1], v[:, :1] + seen], 1)

    net, small, other = Network(module=Padded()), pictures(1, 2, 6, 5).float(), pictures(1, 2, 8, 8, seed=3).float()
    frames = (Frame((6, 5), (6, 5), (8, 8)), Frame.identity((8, 8)))
    x = torch.cat([nn.functional.pad(small, (0, 3, 0, 2), mode="replicate"), other])
    inside = Target(1, box(0, 0, 6, 5), of="logits")

    class Cut(nn.Module):
        def forward(self, v):
            return net.module(v)[..., :6, :5]

    for kind in ("mean", "blur", "white"):
        method = RISE(masks=9, cells=3, fill=kind, seed=1)
        both = method(net, x, Targets(items=(inside,), frames=frames))
        alone = method(net, x[:1], Targets(items=(inside,), frames=frames[:1]))
        unpadded = method(Network(module=Cut()), small, inside)
        torch.testing.assert_close(alone.values, both.values[:1])
        torch.testing.assert_close(method(net, other, inside).values, both.values[1:])
        if kind != "blur":
            torch.testing.assert_close(both.values[:1, :, :6, :5], unpadded.values)
            error = both.pictures["standard-error"][:1, :, :6, :5]
            torch.testing.assert_close(error, unpadded.pictures["standard-error"])
        torch.testing.assert_close(both.values[0, 0, 6:, :5], both.values[0, 0, 5:6, :5].expand(2, 5))
