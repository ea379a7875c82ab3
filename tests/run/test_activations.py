"""activations(): one call against the work done by hand, choices, orders, padding, and what is kept."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.errors import (
    EmptyRegionError,
    LayerNotFoundError,
    NameNotFoundError,
    ParameterError,
    ShapeError,
    ZeroMapWarning,
)
from seglens.core.frame import Frame
from seglens.core.progress import watching
from seglens.run.activations import activations
from seglens.run.channels import ChannelFacts
from seglens.testing import untouched

NAMES = ("road", "car", "sky")


def network(channels=6, **fields):
    """Layer 1 has positive values only, but for channel 2, which is zero; layer 2 has half the size."""
    torch.manual_seed(4)
    first, last = nn.Conv2d(3, channels, 3, padding=1), nn.Conv2d(channels, 3, 3, padding=1)
    module = nn.Sequential(first, nn.ReLU(), nn.AvgPool2d(2), nn.Tanh(), last)
    with torch.no_grad():
        module[0].bias[2] -= 100
    return sl.load(module, classes=NAMES, convention=sl.Convention(divisor=4), **fields)


def picture(*size):
    return np.random.default_rng(3).integers(0, 255, (*(size or (12, 16)), 3), np.uint8)


def tensor(image):
    return torch.from_numpy(image).movedim(-1, 0)[None].float() / 255


ASKED = sl.Target("car", sl.box(1, 2, 7, 9))


def by_hand(net, image):
    """Activations of layer 1, [K h w], and what each contributes to ASKED."""
    a = net.module[:2](tensor(image)).detach().requires_grad_()
    y = nn.functional.interpolate(net.module[2:](a), size=image.shape[:2], mode="bilinear", align_corners=False)
    g = torch.autograd.grad(y[0, 1, 1:7, 2:9].mean(), a)[0]
    return a.detach()[0].numpy(), (g * a.detach()).sum((0, 2, 3)).numpy(), float(y[0, 1, 1:7, 2:9].mean().detach())


def test_every_channel_by_contribution():
    net, image = network(), picture()
    with untouched(net.module):
        found = activations(net, image, "1", ASKED)
    a, c, score = by_hand(net, image)
    order = sorted(range(6), key=lambda k: -c[k])
    assert [f.index for f in found.channels] == order
    assert [f.rank for f in found.channels] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose([f.contribution for f in found.channels], c[order], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(found.contributions, c, rtol=1e-4, atol=1e-7)
    np.testing.assert_array_equal(found.maps, a[order])
    for f in found.channels:
        assert f.mean == pytest.approx(a[f.index].mean(), rel=1e-5)
        assert f.size == pytest.approx(np.abs(a[f.index]).mean(), rel=1e-5)
        assert (f.minimum, f.maximum) == (a[f.index].min(), a[f.index].max())
        assert f.silent == (f.index == 2)
    assert (found.total, found.silent, len(found)) == (6, 1, 6)
    assert found.score == pytest.approx(score, rel=1e-5)
    assert (found.target, found.channel, found.label) == ("car in box(1, 2, 7, 9)", "car", 1)
    assert (found.of, found.unit, found.order) == ("logits", "logit", "contribution")
    assert found.region[1:7, 2:9].all()
    assert found.region.sum() == 42


def test_without_a_target_nothing_is_ranked():
    found = activations(network(), picture(), "1")
    assert [f.index for f in found.channels] == list(range(6))
    assert all(f.rank is None and np.isnan(f.contribution) for f in found.channels)
    assert found.contributions is None
    assert found.region is None
    assert np.isnan(found.score)
    with pytest.raises(ParameterError, match="ranking needs a target"):
        activations(network(), picture(), "1", order="contribution")
    with pytest.raises(ParameterError, match="name a target"):
        activations(network(), picture(), "1", strongest=2)


def test_the_largest_need_not_be_the_ones_that_contribute():
    net, image = network(), picture()
    a, c, _ = by_hand(net, image)
    size = np.abs(a).mean((1, 2))
    found = activations(net, image, "1", order="size")
    assert [f.index for f in found.channels] == sorted(range(6), key=lambda k: -size[k])
    both = activations(net, image, "1", ASKED, order="size", strongest=1)
    assert both.channels[0].index == size.argmax()
    assert both.channels[0].rank == 1 + (c > c[size.argmax()]).sum()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [({"strongest": 2}, [0, 1]), ({"strongest": 99}, [0, 1, 2, 3, 4, 5]), ({"order": "index"}, None)],
)
def test_some_of_them(choice, expected):
    net, image = network(), picture()
    ranking = [f.index for f in activations(net, image, "1", ASKED).channels]
    found = activations(net, image, "1", ASKED, **choice)
    expected = list(range(6)) if expected is None else [ranking[i] for i in expected]
    assert [f.index for f in found.channels] == expected
    assert len(found.contributions) == 6


def test_named_channels_come_in_the_order_given():
    found = activations(network(), picture(), "1", ASKED, channels=[4, 0, 4])
    assert [f.index for f in found.channels] == [4, 0, 4]
    assert found.order == "given"
    assert np.array_equal(found.maps[0], found.maps[2])


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"channels": [6]}, ParameterError, "no channel 6 in layer '1'"),
        ({"channels": [-1]}, ParameterError, "numbered from 0"),
        ({"channels": []}, ParameterError, "no channel given"),
        ({"channels": [1], "strongest": 1}, ParameterError, "not both"),
        ({"strongest": 0, "target": "car"}, ParameterError, "1 or more"),
        ({"strongest": 2, "order": "index"}, ParameterError, "order by strength"),
        ({"order": "best"}, ParameterError, "contribution, size, index"),
        ({"target": [ASKED, ASKED]}, ParameterError, "one target at a time"),
        ({"layer": "9"}, LayerNotFoundError, "no layer '9'"),
        ({"target": sl.Target("car", sl.predicted("car") & ~sl.predicted("car"))}, EmptyRegionError, "no pixel"),
    ],
)
def test_what_makes_no_sense_is_refused(given, error, said):
    net = network()
    with untouched(net.module), pytest.raises(error, match=said):
        activations(net, picture(), **{"layer": "1", **given})


def test_the_map_of_a_channel_is_that_of_the_method():
    net, image = network(), picture(13, 15)
    found = activations(net, image, "2", ASKED, strongest=2)
    for i, why in enumerate(found.explanations()):
        k = found.channels[i].index
        other = sl.explain(net, image, sl.Activation("2", k))
        np.testing.assert_allclose(found.map(i), other.map, rtol=1e-6)
        np.testing.assert_array_equal(why.map, found.map(i))
        assert why.parameters == other.parameters
        assert (why.unit, why.layer, why.method) == (other.unit, other.layer, other.method)
        assert int(why.extras["channel"]) == k
        assert float(why.extras["contribution"]) == pytest.approx(found.channels[i].contribution)
    first = sl.explain(net, image, sl.Activation("2"), ASKED)
    assert int(first.extras["channel"]) == found.channels[0].index
    assert float(first.extras["contribution"]) == pytest.approx(found.channels[0].contribution, rel=1e-5)
    assert first.score == pytest.approx(found.score)


def test_padding_does_not_count():
    """13 × 15 is padded to 16 × 16: of the layer's 8 × 8 places 6 (6.5 rounded to even) × 8 show the picture."""
    net, image = network(), picture(13, 15)
    found = activations(net, image, "2")
    assert found.maps.shape == (6, 8, 8)
    assert found.cells == (6, 8)
    for f in found.channels:
        assert f.mean == pytest.approx(found.maps[f.index, :6, :8].mean(), rel=1e-5)
    assert found.map(0).shape == (13, 15)


def test_a_classifier_and_an_encoder():
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))
    net = sl.load(module, classes=NAMES, convention=sl.Convention())
    found = activations(net, picture(), "1", "sky", order="index")
    np.testing.assert_allclose(
        found.contributions, module[4].weight.detach()[2].numpy() * found.maps.mean((1, 2)), rtol=1e-4
    )
    assert found.score - found.contributions.sum() == pytest.approx(float(module[4].bias[2].detach()), abs=1e-5)
    assert found.region is None
    with pytest.raises(ShapeError, match="layer '3'"):
        activations(net, picture(), "3")
    units = activations(net.with_(link="none", classes=None), picture(), "1", 2)
    assert units.unit == "unit of the output"
    assert units.label is None


def test_a_layer_on_which_nothing_hangs_says_so():
    net = network()
    with torch.no_grad():
        net.module[4].weight.zero_()
    with pytest.warns(ZeroMapWarning, match="no channel of 1 contributes"):
        found = activations(net, picture(), "1", ASKED)
    assert [f.index for f in found.channels] == list(range(6))
    assert any("no channel of 1 contributes" in note for note in found.notes)


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "html"])
def test_one_page_is_one_file(tmp_path, suffix):
    found = activations(network(), picture(), "1", ASKED)
    assert found.save(tmp_path / f"maps.{suffix}") == [tmp_path / f"maps.{suffix}"]
    assert [p.name for p in tmp_path.iterdir()] == [f"maps.{suffix}"]


def test_many_channels_take_pages(tmp_path):
    found = activations(network(100), picture(16, 64), "2", ASKED)
    told = []
    with watching(lambda *how: told.append(how)):
        (book,) = found.save(tmp_path / "maps.pdf")
    assert book.read_bytes().count(b"/Type /Page ") == 2
    assert told == [("pages", 1, 2), ("pages", 2, 2)]
    assert [p.name for p in found.save(tmp_path / "maps.svg")] == ["maps-1.svg", "maps-2.svg"]


def test_more_than_a_thousand_channels(tmp_path):
    found = activations(network(1100), picture(), "2", ASKED)
    assert len(found) == found.total == 1100
    html = found.save(tmp_path / "maps.html")[0].read_text(encoding="utf-8")
    assert html.count("<li data-place") == 1100 - found.silent


@pytest.mark.parametrize(("zero", "drawn"), [([0, 1, 2], 20), ([0, 4, 5, 6, 9, 12, 13, 14, 15], 11), (range(20), 20)])
def test_of_many_channels_that_are_zero_the_numbers_are_given(tmp_path, zero, drawn):
    net = network(20)
    with torch.no_grad():
        net.module[0].weight[2] = 0
        net.module[0].bias[2] = 1
        net.module[0].bias[list(zero)] -= 100
    found = activations(net, picture(), "1")
    assert found.silent == len(zero)
    html = found.save(tmp_path / "maps.html")[0].read_text(encoding="utf-8")
    assert html.count("<li data-place") == drawn
    assert ("not drawn: 0, 4–6, 9, 12–15." in html) == (drawn == 11)


def volume():
    """Slice 2 of the layer's 4 is the brightest; 12 slices in the volume, nothing is padded."""
    rng = np.random.default_rng(0)
    maps = rng.random((3, 4, 5, 6)).astype(np.float32)
    maps[:, 2] += 2
    image = np.repeat(np.arange(12, dtype=np.uint8)[:, None, None], 10, 1).repeat(12, 2)
    facts = tuple(ChannelFacts(k, 1.0 - k, k + 1, 0.0, 0.0, 1.0, 0.0, False) for k in range(3))
    return sl.Activations(
        channels=facts,
        maps=maps,
        total=3,
        silent=0,
        contributions=np.array([1.0, 0.0, -1.0]),
        layer="deep",
        network="net",
        image=image,
        cells=(4, 5, 6),
        frame=Frame.identity((12, 10, 12)),
        order="contribution",
        target="x",
        score=1.0,
        region=np.ones((12, 10, 12), bool),
    )


def test_a_volume_shows_one_slice_of_all_and_says_which(monkeypatch, tmp_path):
    sheets = []
    monkeypatch.setattr("seglens.run.channels.write_contact", lambda contact, path: sheets.append(contact) or [path])
    found = volume()
    found.save(tmp_path / "maps.png")
    (sheet,) = sheets
    assert "slice 2 of 4 of the layer, slice 7 of 12 of the volume (from 0)" in sheet.facts
    assert (sheet.image == 7).all()
    for k, tile in enumerate(sheet.tiles):
        assert np.array_equal(tile.values, found.maps[k, 2])
    assert found.map(0).shape == (12, 10, 12)


def test_raw_values_are_kept(tmp_path):
    found = activations(network(), picture(), "1", ASKED, strongest=3)
    (path,) = found.save(tmp_path / "maps.npz")
    with np.load(path, allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["maps"], found.maps)
        np.testing.assert_array_equal(kept["contributions"], found.contributions)
        assert kept["index"].tolist() == [f.index for f in found.channels]
        assert kept["silent"].tolist() == [f.silent for f in found.channels]
        head = json.loads(str(kept["head"]))
    assert head["target"] == found.target
    assert head["layer"] == "1"
    assert head["score"] == found.score
    with pytest.raises(NameNotFoundError, match=r"\.png, \.svg, \.pdf, \.html"):
        found.save(tmp_path / "maps.gif")
