"""Images of any number of channels: five bands, of which a network ignores two; one channel in and one logit out."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.errors import ImageError, ParameterError, SeglensWarning

SIZE = (12, 14)


class Small(nn.Module):
    """Two convolutions and a 1×1 head, at full resolution."""

    def __init__(self, channels, classes=3):
        super().__init__()
        self.first = nn.Conv2d(channels, 5, 3, padding=1)
        self.act = nn.ReLU()
        self.second = nn.Conv2d(5, 6, 3, padding=1)
        self.end = nn.ReLU()
        self.head = nn.Conv2d(6, classes, 1)

    def forward(self, x):
        return self.head(self.end(self.second(self.act(self.first(x)))))


def seeded(module, seed=0):
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / max(1, p[0].numel()) ** 0.5)
    return module.eval()


def loaded(module, channels, **convention):
    return sl.load(module, default_layer="end", convention={"channels": channels, **convention})


def pixels(channels, seed=1):
    return np.random.default_rng(seed).random((channels, *SIZE), dtype=np.float32)


def quietly(*args):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeglensWarning)
        return sl.explain(*args)


ASKED = sl.Target(1, sl.box(2, 3, 8, 11))
QUICK = {
    "integrated-gradients": sl.IntegratedGradients(nodes=8, most=8),
    "grid-saliency": sl.GridSaliency(cells="2x3", fill="mean", sparsity=1e-4, steps=5),
    "context-saliency": sl.ContextSaliency(cells="2x3", fill="mean", sparsity=1e-4, steps=5),
    "rise": sl.RISE(masks=30),
    # Noise is drawn for every band: its draws are other ones where there are more.
    "smooth-grad": sl.SmoothGrad(samples=2, noise=1e-7),
    # The published maximum over channels is never below the 0 of a band that is ignored.
    "xrai": sl.XRAI(nodes=8, channels="sum"),
}


@pytest.fixture(scope="module")
def bands():
    """A network of five bands with no weights for the last two, the same of three bands, and one picture for each."""
    three = seeded(Small(3))
    five = Small(5).eval()
    state = dict(three.state_dict())
    state["first.weight"] = torch.cat([state["first.weight"], torch.zeros(5, 2, 3, 3)], 1)
    five.load_state_dict(state)
    x = pixels(5)
    # Segments are those of all bands: what the ignored ones show would divide the picture too.
    x[3:] = 0.5
    return loaded(five, 5), loaded(three, 3), x


@pytest.mark.parametrize("name", list(sl.METHODS))
def test_bands_that_a_network_ignores_change_no_map(name, bands):
    five, three, x = bands
    method = QUICK.get(name, name)
    found = quietly(five, torch.tensor(x), method, ASKED)
    expected = quietly(three, torch.tensor(x[:3]), method, ASKED)
    assert found.map.shape == SIZE
    np.testing.assert_allclose(found.map, expected.map, rtol=1e-4, atol=2e-4 * np.abs(expected.map).max())
    assert np.abs(expected.map).max() > 0 or name in ("grad-cam", "hires-cam", "guided-grad-cam", "second-order")


@pytest.mark.parametrize("name", ["saliency", "input-x-gradient", "grad-cam", "occlusion", "score-map"])
def test_what_ignored_bands_show_does_not_matter(name, bands):
    five, _, x = bands
    other = x.copy()
    other[3:] = pixels(2, seed=9)
    a, b = (quietly(five, torch.tensor(v), name, ASKED).map for v in (x, other))
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", ["saliency", "input-x-gradient", "integrated-gradients"])
def test_a_single_band_alone_is_found(name):
    """Of a network that reads band 3 only, the map is that of a network of that band."""
    one = seeded(Small(1), 3)
    five = Small(5).eval()
    state = dict(one.state_dict())
    weight = torch.zeros(5, 5, 3, 3)
    weight[:, 3] = state["first.weight"][:, 0]
    five.load_state_dict({**state, "first.weight": weight})
    x = pixels(5)
    method = QUICK.get(name, name)
    if name == "integrated-gradients":
        method = replace(method, baseline="black")
    a, b = quietly(loaded(five, 5), torch.tensor(x), method, ASKED), quietly(loaded(one, 1), x[3], method, ASKED)
    np.testing.assert_allclose(a.map, b.map, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", list(sl.METHODS))
def test_one_channel_in_one_logit_out(name):
    """Class 1 is scored by y and class 0 by −y; a grey picture is not made a coloured one."""
    net = loaded(seeded(Small(1, classes=1), 5), 1)
    x = pixels(1)[0]
    with torch.no_grad():
        net.module.head.bias -= net(torch.tensor(x)[None, None]).mean()
    method = QUICK.get(name, name)
    both = quietly(net, x, method, [replace(ASKED, channel=c, of="logits") for c in ("foreground", "background")])
    assert {e.map.shape for e in both} == {e.image.shape for e in both} == {SIZE}
    if name == "fusion-map":  # asks about no class
        return
    assert both[0].score == pytest.approx(-both[1].score, rel=1e-4)
    if name in ("input-x-gradient", "integrated-gradients", "occlusion", "score-map"):
        np.testing.assert_allclose(both[0].map, -both[1].map, rtol=1e-3, atol=1e-5)


def test_a_grey_network_and_its_twin_of_three_equal_channels():
    one = seeded(Small(1), 6)
    three = Small(3).eval()
    state = dict(one.state_dict())
    three.load_state_dict({**state, "first.weight": state["first.weight"].expand(-1, 3, -1, -1) / 3})
    x = pixels(1)[0]
    for name in ("saliency", "input-x-gradient", "grad-cam-plus-plus", "occlusion"):
        a, b = quietly(loaded(one, 1), x, name, ASKED), quietly(loaded(three, 3), x, name, ASKED)
        np.testing.assert_allclose(a.map, b.map, rtol=1e-4, atol=1e-6)


class TestReading:
    def test_bands_first_or_last(self, bands):
        five, *_ = bands
        x = pixels(5)
        for given in (x, np.moveaxis(x, 0, -1), torch.tensor(x)):
            torch.testing.assert_close(five.read(given).pixels, torch.tensor(x))
        with pytest.raises(ImageError, match="cannot be told apart"):
            five.read(np.zeros((5, 7, 5), np.float32))
        last = loaded(five.module, 5, axes="HWC")
        assert last.read(np.zeros((5, 7, 5), np.float32)).size == (5, 7)

    def test_a_file_of_five_bands(self, bands, tmp_path):
        five, _, x = bands
        np.save(tmp_path / "bands.npy", (np.moveaxis(x, 0, -1) * 10000).astype(np.int16))
        net = loaded(five.module, 5, window=(0, 10000), bands=(3, 1, 0))
        why = sl.explain(net, tmp_path / "bands.npy", "saliency", ASKED)
        np.testing.assert_allclose(why.map, sl.explain(five, torch.tensor(x), "saliency", ASKED).map, rtol=1e-2)
        np.testing.assert_allclose(why.image, np.moveaxis(x[[3, 1, 0]], 0, -1) * 255, atol=0.6)
        for name in ("why.png", "why.html"):
            assert why.save(tmp_path / name).stat().st_size

    def test_which_bands_are_shown(self, bands):
        five, *_ = bands
        x = pixels(5)
        assert five.read(x).notes == ("Of its 5 channels the first three are shown, as red, green and blue.",)
        grey = loaded(five.module, 5, bands=(4,)).read(x)
        np.testing.assert_array_equal(grey.display, np.rint(x[4] * 255))
        assert grey.notes == ()
        with pytest.raises(ImageError, match=r"has 5 channels \(from 0\), so its bands 3, 1, 5 cannot be shown"):
            loaded(five.module, 5, bands=(3, 1, 5)).read(x)
        for wrong in ((1, 2), (-1,), ()):
            with pytest.raises(ParameterError, match="bands is"):
                loaded(five.module, 5, bands=wrong)

    def test_three_bands_of_a_picture_for_five(self, bands):
        with pytest.raises(ImageError, match="the image has 3 channels, the network takes 5"):
            sl.explain(bands[0], np.zeros((*SIZE, 3), np.uint8), "saliency", ASKED)

    def test_a_fill_of_five_values(self, bands):
        five, _, x = bands
        why = sl.explain(five, torch.tensor(x), sl.Occlusion(size=14, fill=(0.1, 0.2, 0.3, 0.4, 0.5)), ASKED)
        assert np.isfinite(why.map).all()
