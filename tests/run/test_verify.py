"""verify(): planted cues that decide a class, exact pixels and pictures, controls, all kinds of questions."""

import json
import math
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from painted import network as painted_network
from torch import nn

import seglens as sl
from seglens.core import batches
from seglens.core.errors import (
    EmptyRegionError,
    NameNotFoundError,
    NonFiniteError,
    ParameterError,
    RegionError,
    SeglensWarning,
    ShapeError,
)
from seglens.core.maps import finish
from seglens.core.progress import watching
from seglens.datasets import Plant, Streets
from seglens.perturb.matched import distance_to
from seglens.run.verification import Controls, chance
from seglens.run.verify import _channel, verify
from seglens.testing import untouched

NAMES = ("ground", "rider", "person")
SIZE = (24, 36)
OBJECT = (slice(8, 16), slice(14, 20))
CUE = (slice(9, 15), slice(26, 31))
"""Where the toy's object and the cue beside it are; the cue alone tells rider from person."""


def inside(*box, size=SIZE):
    found = np.zeros(size, bool)
    found[box] = True
    return found


class Cued(nn.Module):
    """White is an object; it is a rider by as much as the cue's place is grey, else a person.

    z = weight · (mean of the cue − 1/4): p(rider) is about σ(2z) on white.
    """

    def __init__(self, weight: float = 12.0, cue=CUE) -> None:
        super().__init__()
        self.weight, self.cue = weight, cue
        self.seen: list[torch.Tensor] = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        z = self.weight * (x[(slice(None), 0, *self.cue)].flatten(1).mean(1) - 0.25)
        z = z.reshape(-1, *[1] * (x.ndim - 2))
        white = 8 * (x[:, 0] - 0.75)
        return torch.stack([-white, white + z, white - z], 1)


def p_rider(cue, weight=12.0):
    """On white: the softmax of (−2, 2 + z, 2 − z)."""
    z = weight * (cue - 0.25)
    y = np.exp([-2, 2 + z, 2 - z])
    return y[1] / y.sum()


@dataclass(frozen=True, slots=True)
class Given:
    """A map that a test chose, whatever is asked."""

    name: str
    signed: bool = True
    MAPS: ClassVar[dict[str, np.ndarray]] = {}

    def __call__(self, network, x, targets):
        y = network.module(x)
        bound = sl.Targets.of(targets).bind(network, x, y)
        values = torch.as_tensor(self.MAPS[self.name], dtype=torch.float32)
        return finish(values.expand(len(x), 1, *x.shape[2:]), bound, bound(y), y, signed=self.signed)


@dataclass(frozen=True, slots=True)
class Unasked(Given):
    takes_target = False


def giving(values, **fields):
    Given.MAPS["given"] = np.asarray(values, np.float32)
    return Given("given", **fields)


def toy(module=None, **more):
    return painted_network(module or Cued(), classes=sl.ClassTable(NAMES), **more)


def picture(cue=128, object_=255, size=SIZE):
    image = np.full(size, 20, np.uint8)
    image[OBJECT] = object_
    image[CUE] = cue
    return image


ASKED = sl.Target("rider", sl.mask(inside(*OBJECT), "object"))
N = SIZE[0] * SIZE[1]
CONTEXT = N - 48
SALIENT = inside(*CUE)


def test_without_the_cue_the_rider_is_a_person_and_without_the_rest_it_stays_one():
    net, image = toy(), picture()
    lost = verify(net, image, giving(SALIENT), ASKED, share=30 / CONTEXT, fill="black", controls=19)
    np.testing.assert_array_equal(lost.removed, SALIENT)
    assert (lost.removed_pixels, lost.salient_pixels, lost.context_pixels, lost.region_pixels) == (30, 30, CONTEXT, 48)
    assert lost.before.probability == pytest.approx(p_rider(128 / 255), abs=1e-6)
    assert lost.after.probability == pytest.approx(p_rider(0.0), abs=1e-6)
    assert lost.drop == pytest.approx(p_rider(128 / 255) - p_rider(0.0), abs=1e-6)
    assert lost.before.shares.tolist() == [0, 1, 0]
    assert lost.after.shares.tolist() == [0, 0, 1]
    assert (lost.before.iou, lost.before.dice, lost.after.iou, lost.after.dice) == (1, 1, 0, 0)
    np.testing.assert_array_equal(lost.before.segmentation.mask("rider"), inside(*OBJECT))
    np.testing.assert_array_equal(lost.after.segmentation.mask("person"), inside(*OBJECT))
    np.testing.assert_array_equal(lost.after.segmentation.image, np.where(SALIENT, 0, image))
    # Half of the cue would do; no part that random context shares with it is as much.
    assert (lost.controls.probabilities > 0.9).sum() >= 15
    assert lost.p_value == 1 / 20
    kept = verify(net, image, giving(SALIENT), ASKED, share=30 / CONTEXT, fill="black", controls=19, remove="rest")
    np.testing.assert_array_equal(kept.removed, ~SALIENT & ~inside(*OBJECT))
    assert kept.after.probability == pytest.approx(kept.before.probability, abs=1e-7)
    assert kept.after.shares.tolist() == [0, 1, 0]
    assert kept.p_value <= 3 / 20
    assert kept.bare.probability == lost.bare.probability == pytest.approx(p_rider(0.0), abs=1e-6)
    assert "lowers p(rider) over the region from over 0.99 to under 0.01." in str(lost)
    assert "then 100 % person." in str(lost)
    assert "leaves p(rider) over the region at over 0.99." in str(kept)


def test_a_network_that_reads_no_context_loses_nothing_by_any():
    found = verify(toy(Cued(0.0)), picture(), giving(SALIENT), ASKED, share=0.05, controls=9)
    assert found.drop == 0
    assert np.ptp(found.controls.probabilities) < 1e-7
    assert found.p_value == 1
    assert "leaves p(rider) over the region at 0.50." in str(found)
    assert any("Taking all context away changes next to nothing" in note for note in found.notes)
    rest = verify(toy(Cued(0.0)), picture(), giving(SALIENT), ASKED, share=0.05, controls=9, remove="rest")
    assert (rest.drop, rest.p_value) == (0, 1)


def test_the_wrong_context_is_no_better_than_chance():
    elsewhere = inside(slice(9, 15), slice(3, 8))
    found = verify(toy(), picture(), giving(elsewhere), ASKED, share=30 / CONTEXT, fill="black")
    assert found.drop == pytest.approx(0, abs=1e-7)
    assert found.p_value > 0.5


def by_hand(values, region, share):
    """The salient pixels by a loop: greatest first, then nearest to the region, then in reading order."""
    distance = distance_to(region)
    rows = [
        (-values[at], distance[at], at)
        for at in np.ndindex(*values.shape)
        if not region[at] and np.isfinite(values[at]) and values[at] > 0
    ]
    chosen = np.zeros(values.shape, bool)
    for _, _, at in sorted(rows)[: int(share * (~region).sum() + 1e-9)]:
        chosen[at] = True
    return chosen


@pytest.mark.parametrize("share", [0.01, 0.1, 1 / 3, 1.0])
@pytest.mark.parametrize("kind", ["smooth", "ties", "undefined", "sparse"])
def test_salient_are_the_greatest_positive_values_of_the_context(share, kind):
    rng = np.random.default_rng(3)
    values = rng.normal(size=SIZE).astype(np.float32)
    if kind == "ties":
        values = rng.integers(-1, 3, SIZE).astype(np.float32)
    elif kind == "undefined":
        values[rng.random(SIZE) < 0.3] = np.nan
    elif kind == "sparse":
        values[rng.random(SIZE) < 0.95] = 0
    values[OBJECT] = 9
    region = inside(*OBJECT)
    found = verify(toy(), picture(), giving(values), ASKED, share=share, controls=0)
    expected = by_hand(values, region, share)
    np.testing.assert_array_equal(found.salient, expected)
    assert found.salient_pixels == expected.sum() <= share * CONTEXT
    rest = verify(toy(), picture(), giving(values), ASKED, share=share, controls=0, remove="rest")
    np.testing.assert_array_equal(rest.removed, ~expected & ~region)
    assert any("have positive values" in n for n in found.notes) == (0 < (values > 0)[~region].sum() < share * CONTEXT)
    assert any("undefined at" in n for n in found.notes) == (kind == "undefined")
    assert any("have one value" in n for n in found.notes) == (kind == "ties" and share < 0.5)


def test_a_map_that_marks_nothing():
    for values in (np.zeros(SIZE), -np.ones(SIZE), np.full(SIZE, np.nan), inside(*OBJECT)):
        method = giving(values)
        with pytest.warns(sl.errors.ZeroMapWarning) if not np.any(values) else torch.no_grad():
            found = verify(toy(), picture(), method, ASKED, fill="black")
        assert (found.removed_pixels, found.drop, len(found.controls)) == (0, 0, 0)
        assert math.isnan(found.p_value)
        assert math.isnan(found.controls.overlap)
        assert str(found).startswith("The map marks no context, so nothing was removed")
        np.testing.assert_array_equal(found.after.segmentation.image, picture())
    all_ = verify(toy(), picture(), method, ASKED, fill="black", remove="rest")
    assert all_.removed_pixels == all_.context_pixels
    assert all_.after.probability == all_.bare.probability
    assert "all of it was removed (816 pixels, 100 % of the context), which lowers p(rider)" in str(all_)


def test_all_context_salient_leaves_nothing_to_draw():
    found = verify(toy(), picture(), giving(np.ones(SIZE)), ASKED, share=1.0)
    assert found.removed_pixels == CONTEXT
    assert len(found.controls) == 0
    assert "Without any context" not in str(found)
    rest = verify(toy(), picture(), giving(np.ones(SIZE)), ASKED, share=1.0, remove="rest")
    assert (rest.removed_pixels, rest.drop) == (0, 0)
    assert str(rest).startswith("All context is salient, so nothing was removed")


def test_controls_are_as_large_and_as_far_and_their_numbers_those_of_single_passes():
    module = Cued()
    found = verify(toy(module), picture(), giving(SALIENT), ASKED, share=30 / CONTEXT, fill=0.1, controls=5, seed=4)
    distance = distance_to(inside(*OBJECT))
    assert found.controls.masks.shape == (5, *SIZE)
    assert (found.controls.masks.sum((1, 2)) == 30).all()
    assert not found.controls.masks[:, inside(*OBJECT)].any()
    for part, p, score in zip(found.controls.masks, found.controls.probabilities, found.controls.scores, strict=True):
        assert distance[part].mean() == pytest.approx(distance[SALIENT].mean(), rel=0.05)
        grey = np.where(part, 0.1, picture() / 255)
        assert p == pytest.approx(p_rider(grey[CUE].mean()), abs=1e-6)
        assert score == pytest.approx(2 + 12 * (grey[CUE].mean() - 0.25), abs=1e-5)
    shared = (found.controls.masks & SALIENT).sum((1, 2)).mean() / 30
    assert found.controls.overlap == pytest.approx(shared)
    again = verify(toy(), picture(), giving(SALIENT), ASKED, share=30 / CONTEXT, fill=0.1, controls=2, seed=4)
    np.testing.assert_array_equal(again.controls.masks, found.controls.masks[:2])
    # The method's pass, the picture's, and 2 + 5 changed ones, few at a time.
    assert sum(map(len, module.seen)) == 9
    assert len(module.seen) == 3


def test_the_p_value_counts_the_controls_that_do_as_much():
    found = verify(toy(), picture(), giving(SALIENT), ASKED, share=0.05, controls=0)
    assert math.isnan(found.p_value)

    def p(remove, after, *drawn, overlap=0.2):
        masks = np.zeros((len(drawn), *SIZE), bool)
        values = np.array(drawn)
        controls = Controls(masks=masks, probabilities=values, scores=values, overlap=overlap, seed=0)
        return replace(found, remove=remove, after=replace(found.after, probability=after), controls=controls).p_value

    assert p("salient", 0.3, 0.9, 0.3 + 1e-8, 0.2) == 3 / 4
    assert p("salient", 0.1, 0.9, 0.3, 0.2) == 1 / 4
    assert p("rest", 0.3, 0.9, 0.3 - 1e-8, 0.2) == 3 / 4
    assert p("rest", 0.95, 0.9, 0.3, 0.2) == 1 / 4
    assert math.isnan(p("salient", 0.3, 0.3, 0.3, overlap=1))


@pytest.mark.parametrize(
    ("size", "convention"),
    [((24, 36), {}), ((23, 35), {"divisor": 8}), ((46, 70), {"size": (24, 36)}), ((12, 18), {"size": (24, 36)})],
    ids=["as it is", "padded", "larger", "smaller"],
)
@pytest.mark.parametrize("fill", ["black", "mean", "noise"])
def test_exactly_the_pixels_of_the_grid_are_replaced_and_the_padding_with_its_pixel(size, convention, fill):
    rng = np.random.default_rng(1)
    image = rng.integers(0, 255, size, np.uint8)
    values = rng.normal(size=size).astype(np.float32)
    module = Cued(cue=(slice(0, 3), slice(0, 3)))
    net = toy(module, **convention)
    region = np.zeros(size, bool)
    region[size[0] // 3 : size[0] // 2, size[1] // 3 : size[1] // 2] = True
    # The method sees the grid: what it would have given for the picture is put in its place.
    why = replace(sl.explain(net, image, "saliency", sl.Target("rider", sl.mask(region))), map=values)
    module.seen.clear()
    found = verify(net, image, why, share=0.2, fill=fill, controls=2)
    x, changed = module.seen[0][0, 0].numpy(), torch.cat(module.seen[1:])[:, 0].numpy()
    grid = x.shape
    frame = net.convention.frame(size)
    shown = tuple(slice(0, n) for n in frame.resized)

    def carried(mask, back=False):
        """By the pixel in which a centre lies."""
        a, b = (frame.resized, size) if back else (size, frame.resized)
        return mask[np.ix_(*(((2 * np.arange(m) + 1) * n) // (2 * m) for n, m in zip(a, b, strict=True)))]

    on_grid, inner = carried(values), carried(region)
    salient = by_hand(on_grid, inner, 0.2)
    np.testing.assert_array_equal(found.salient, carried(salient, back=True))
    assert found.salient_pixels == salient.sum()
    ends = [(0, g - n) for g, n in zip(grid, frame.resized, strict=True)]
    padded, around = np.pad(salient, ends, mode="edge"), np.pad(~inner, ends, mode="edge")
    assert (changed[0] == x)[~padded].all()
    filled = changed[1]
    assert (changed[0] == filled)[padded].all()
    if fill == "black":
        assert (filled[around] == 0).all()
    if fill == "mean":
        np.testing.assert_allclose(filled[around], x[shown].mean(), rtol=1e-5)
    assert (filled == x)[~around].all()
    assert found.after.segmentation.image.shape == size
    np.testing.assert_array_equal(found.after.segmentation.image[~found.removed], image[~found.removed])
    if frame.resized == size:
        np.testing.assert_array_equal(
            found.after.segmentation.image[found.removed], np.rint(filled[shown] * 255)[found.removed].astype(np.uint8)
        )


def test_a_question_and_its_explanation_give_the_same():
    net, image = toy(), picture()
    direct = verify(net, image, sl.Occlusion(size=4), ASKED, share=0.1, fill="black", controls=4)
    why = sl.explain(net, image, sl.Occlusion(size=4), ASKED)
    assert direct.explanation.map.tobytes() == why.map.tobytes()
    for given in (image, None):
        other = verify(net, given, why, share=0.1, fill="black", controls=4)
        np.testing.assert_array_equal(other.removed, direct.removed)
        np.testing.assert_array_equal(other.controls.probabilities, direct.controls.probabilities)
        assert other.after.to_dict() == direct.after.to_dict()
        assert str(other) == str(direct)
    # Occlusion finds the cue, and taking it away proves it.
    assert direct.removed[CUE].mean() > 0.6
    assert direct.after.shares.tolist() == [0, 0, 1]


def test_contrasts_sums_and_what_came_back_from_a_file(tmp_path):
    net, image = toy(), picture(100)
    target = sl.Target(
        sl.channel("rider") - 0.5 * sl.channel("person"), sl.mask(inside(*OBJECT)), of="logits", reduce="sum"
    )
    made = verify(net, image, giving(SALIENT), target, share=0.05, fill="white", controls=3)
    assert made.quantity == "p(rider) − 0.5 p(person)"
    z = 12 * (100 / 255 - 0.25)
    assert made.before.score == pytest.approx(48 * (2 + z - 0.5 * (2 - z)), rel=1e-5)
    y = np.exp([-2, 2 + z, 2 - z])
    assert made.before.probability == pytest.approx((y[1] - 0.5 * y[2]) / y.sum(), rel=1e-5)
    back = verify(
        net, image, sl.open(made.explanation.save(tmp_path / "why.npz")), share=0.05, fill="white", controls=3
    )
    assert back.quantity == made.quantity
    assert back.before.to_dict() == made.before.to_dict()
    np.testing.assert_array_equal(back.controls.scores, made.controls.scores)
    assert "lowers" not in made.said[0]


@pytest.mark.parametrize(
    "channel",
    [
        sl.channel("rider"),
        sl.channel(2),
        sl.channel("road - wet") - sl.channel("rider"),
        -1.5 * sl.channel("RIDER") + 2 * sl.channel("a b") - sl.channel(0),
        sl.channel("3 * x") * 0.25,
        -sl.channel("(.*)"),
    ],
    ids=str,
)
def test_a_channel_is_read_back_as_it_was_written(channel):
    classes = sl.ClassTable(("road", "rider", "road - wet", "a b", "3 * x", "(.*)", "rid"))
    read = _channel(str(channel), classes)
    assert [(classes.index(n), w) for n, w in read.terms] == [(classes.index(n), w) for n, w in channel.terms]


def test_one_channel_and_independent_labels():
    class One(Cued):
        def forward(self, x):
            y = super().forward(x)
            return y[:, 1:2]

    binary = painted_network(One(), classes=sl.ClassTable(("off", "on")))
    found = verify(binary, picture(), giving(SALIENT), sl.Target("on", sl.mask(inside(*OBJECT))), share=0.05,
                   fill="black", controls=2)  # fmt: skip
    assert found.before.shares.tolist() == [0, 1]
    assert found.after.shares.tolist() == [1, 0]
    assert found.quantity == "p(on)"
    several = toy(link="sigmoid")
    found = verify(several, picture(), giving(SALIENT), ASKED, share=0.05, fill="black", controls=2)
    assert found.before.segmentation.labels is None
    assert found.before.shares.tolist() == [0, 1, 0]
    z = 12 * (128 / 255 - 0.25)
    assert found.before.probability == pytest.approx(1 / (1 + np.exp(-2 - z)), rel=1e-5)
    # Above half under the sigmoid: 2 − 3 for rider, 2 + 3 for person.
    assert found.after.shares.tolist() == [0, 0, 1]


def test_a_volume():
    size = (5, 10, 12)
    volume = np.full(size, 20, np.uint8)
    box, cue = (slice(1, 4), slice(2, 6), slice(2, 6)), (slice(1, 4), slice(2, 6), slice(8, 11))
    volume[box], volume[cue] = 255, 128
    # Which dimension is depth, an array does not tell, nor a network without a convolution.
    net = toy(Cued(cue=cue))
    net = net.with_(convention=replace(net.convention, axes="DHW"))
    target = sl.Target("rider", sl.mask(inside(*box, size=size)))
    salient = inside(*cue, size=size)
    found = verify(net, volume, giving(salient), target, share=36 / (600 - 48), fill="black", controls=4)
    np.testing.assert_array_equal(found.removed, salient)
    assert (found.before.shares.tolist(), found.after.shares.tolist()) == ([0, 1, 0], [0, 0, 1])
    np.testing.assert_array_equal(found.after.segmentation.image, np.where(salient, 0, volume))
    assert found.controls.masks.shape == (4, *size)


@pytest.mark.parametrize(
    "convention",
    [
        {"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)},
        {"order": "BGR", "range": (0.0, 255.0), "mean": (100.0, 110.0, 120.0)},
        {"per_image": True},
        {"per_image": True, "order": "BGR", "range": (-1.0, 1.0), "mean": (0.1, 0.2, 0.3), "std": (0.5, 1.0, 2.0)},
    ],
    ids=["standardised", "BGR", "per image", "per image and more"],
)
def test_the_picture_of_the_fill_has_the_colours_that_were_given(convention):
    class Three(Cued):
        def forward(self, x):
            return super().forward(x.mean(1, keepdim=True))

    net = sl.Network(module=Three(), classes=sl.ClassTable(NAMES), convention=sl.Convention(**convention))
    image = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    image[0, 0], image[0, 1] = 0, 255
    target = sl.Target("rider", sl.mask(inside(*OBJECT)))
    found = verify(net, image, giving(SALIENT), target, share=0.05, fill=0.4, controls=0)
    assert np.abs(found.filled.astype(int) - 102).max() <= 1
    np.testing.assert_array_equal(found.after.segmentation.image[~found.removed], image[~found.removed])
    mean = verify(net, image, giving(SALIENT), target, share=0.05, controls=0)
    assert np.abs(mean.filled - image.mean((0, 1))).max() <= 1
    if not net.convention.per_image:
        colour = (0.2, 0.4, 0.8)
        grey = verify(net, image[..., 0], giving(SALIENT), target, share=0.05, fill=colour, controls=0)
        assert np.abs(grey.filled.astype(int) - [51, 102, 204]).max() <= 1
        assert grey.after.segmentation.image.shape == (*SIZE, 3)


def test_network_picture_and_random_state_are_left_alone():
    module = Cued()
    image = picture()
    before, numpy_state, state = image.copy(), np.random.get_state()[1].copy(), torch.get_rng_state()  # noqa: NPY002
    with untouched(module):
        verify(toy(module), image, giving(SALIENT), ASKED, fill="noise", controls=2)
    np.testing.assert_array_equal(image, before)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), state)


def test_the_size_of_batches_changes_nothing_and_progress_is_told(monkeypatch):
    heard = []
    with watching(lambda *told: heard.append(told)):
        many = verify(toy(), picture(), giving(SALIENT), ASKED, controls=6)
    assert heard[-1] == ("pictures without context", 8, 8)
    module = Cued()
    single = verify(toy(module).with_(batch=1), picture(), giving(SALIENT), ASKED, controls=6)
    assert {len(x) for x in module.seen} == {1}
    monkeypatch.setitem(batches.PIXELS, "cpu", 3 * N)
    three = verify(toy(), picture(), giving(SALIENT), ASKED, controls=6)
    for other in (single, three):
        np.testing.assert_allclose(other.controls.probabilities, many.controls.probabilities, rtol=1e-6)
        assert other.p_value == many.p_value


def test_another_network_than_the_explained_one_is_noticed():
    why = sl.explain(toy(), picture(), giving(SALIENT), ASKED)
    with pytest.warns(SeglensWarning, match="another network or picture"):
        found = verify(toy(Cued(3.0)), picture(), why, controls=0)
    assert any("another network or picture" in note for note in found.notes)


class Broken(Cued):
    def forward(self, x):
        y = super().forward(x)
        return torch.where((x[:, :, CUE[0], CUE[1]] == 0).flatten(1).all(1).reshape(-1, 1, 1, 1), torch.nan, y)


def explained(**changes):
    return replace(sl.explain(toy(), picture(), giving(SALIENT), ASKED), **changes)


@pytest.mark.parametrize(
    ("error", "said", "arguments", "more"),
    [
        (RegionError, "everything covers the whole picture", (giving(SALIENT), sl.Target(1, sl.everything)), {}),
        (EmptyRegionError, "no pixel lies in predicted", (giving(SALIENT), "person"), {}),
        (ParameterError, "less than one pixel", (giving(SALIENT), ASKED), {"share": 0.001}),
        (ParameterError, "share is to be above 0", (giving(SALIENT), ASKED), {"share": 1.5}),
        (ParameterError, "'salient' or 'rest'", (giving(SALIENT), ASKED), {"remove": "all"}),
        (ParameterError, "controls is to be a whole number", (giving(SALIENT), ASKED), {"controls": -1}),
        (ParameterError, "seed is to be", (giving(SALIENT), ASKED), {"seed": -1}),
        (ParameterError, "fill is to be a name.*Nearest: 'black'", (giving(SALIENT), ASKED), {"fill": "blac"}),
        (ParameterError, "one target, not list", (giving(SALIENT), [ASKED]), {}),
        (ParameterError, "shows the network without a question", (Unasked("given"), None), {}),
        (ParameterError, "is of a target already", ("explained", ASKED), {}),
        (NameNotFoundError, "Nearest: 'occlusion'", ("oclusion", ASKED), {}),
    ],
)  # fmt: skip
def test_refusals(error, said, arguments, more):
    method, target = arguments
    if method == "explained":
        method = explained()
    giving(SALIENT)
    with pytest.raises(error, match=f"(?s){said}"):
        verify(toy(), picture(), method, target, **more)


def test_refusals_of_explanations_networks_and_pictures():
    with pytest.raises(ParameterError, match="give the image to be explained"):
        verify(toy(), None, giving(SALIENT), ASKED)
    with pytest.raises(ShapeError, match="is of a picture of 24 × 36, this one has 24 × 37"):
        verify(toy(), np.zeros((24, 37), np.uint8), explained())
    with pytest.raises(ParameterError, match="has no region"):
        verify(toy(), picture(), explained(region=None))
    with pytest.raises(ParameterError, match="without a question"):
        verify(toy(), picture(), explained(channel=""))
    with pytest.raises(ParameterError, match="cannot tell which classes of this network 'cow'"):
        verify(toy(), picture(), explained(channel="cow"))
    with pytest.raises(NonFiniteError, match=r"parts are replaced \(black\)"):
        verify(toy(Broken()), picture(), giving(SALIENT), ASKED, fill="black", share=0.05, controls=0)

    class Whole(nn.Module):
        def forward(self, x):
            return x.mean((2, 3)).repeat(1, 3)

    with pytest.raises(ParameterError, match="is a classifier"):
        verify(toy(Whole()), picture(), giving(SALIENT), "rider")
    with pytest.raises(ParameterError, match="units of Cued are no classes"):
        verify(sl.Network(module=Cued(), link="none", convention=sl.Convention(channels=1)), picture(), explained())


def test_numbers_in_words():
    assert [chance(p) for p in (0.0, 0.004, 0.005, 0.314, 0.994, 0.9999, 1.0, -0.314, -0.001)] == [
        "0.00", "under 0.01", "0.01", "0.31", "0.99", "over 0.99", "1.00", "−0.31", "0.00",
    ]  # fmt: skip


def test_what_is_saved(tmp_path):
    found = verify(toy(), picture(), giving(SALIENT), ASKED, share=0.05, fill="black", controls=3)
    told = json.loads(found.save(tmp_path / "new" / "v.json").read_text())
    assert told == json.loads(json.dumps(found.to_dict()))
    assert told["after"]["region"] == {"person": 1.0}
    assert told["p_value"] == found.p_value
    assert len(told["controls"]["probabilities"]) == 3
    opened = sl.open(found.save(tmp_path / "v.npz"))
    np.testing.assert_array_equal(opened.map, found.explanation.map)
    np.testing.assert_array_equal(opened.extras["removed"], found.removed)
    np.testing.assert_array_equal(opened.extras["prediction-without"], found.after.segmentation.labels)
    np.testing.assert_array_equal(opened.extras["control-masks"], found.controls.masks)
    assert float(opened.extras["probability-without"]) == found.after.probability
    # What was saved can be verified again.
    again = verify(toy(), None, opened, share=0.05, fill="black", controls=3)
    assert str(again) == str(found)
    for suffix, start in (("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml"), ("html", b"<!DOCTYPE")):
        assert found.save(tmp_path / f"v.{suffix}").read_bytes().startswith(start)
    with pytest.raises(NameNotFoundError, match=r"give a suffix of \.png, \.svg, \.pdf, \.html, \.npz, \.json"):
        found.save(tmp_path / "v.bmp")


@pytest.mark.filterwarnings("ignore::seglens.SeglensWarning")
def test_the_planted_bicycle_is_what_the_biased_network_needs():
    """The bicycles of three riders are the map: for the twin they decide, for its sister they do not."""
    drops, ranks = {}, {}
    for name in ("streets-unet-biased", "streets-unet"):
        net, found = sl.load(name), []
        for scene in Streets(40, seed=2026, plant=Plant(riders_on_bicycles=1.0)):
            ids, sizes = np.unique(scene.instances[scene.labels == 7], return_counts=True)
            if not len(ids) or sizes.max() < 300:
                continue
            rider = scene.instances == ids[sizes.argmax()]
            near = scene.cue & (distance_to(rider) < 12)
            method = giving(near)
            found.append(verify(net, scene.image, method, sl.Target("rider", sl.mask(rider)), share=1.0, controls=5))
            assert found[-1].removed_pixels == near.sum()
            if len(found) == 3:
                break
        drops[name] = np.array([v.drop for v in found])
        ranks[name] = [v.p_value for v in found]
    assert (drops["streets-unet-biased"] > drops["streets-unet"] + 0.1).all(), drops
    assert ranks["streets-unet-biased"] == [1 / 6] * 3
