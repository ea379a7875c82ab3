"""Maps measured: against sums written out, on planted maps, and where nothing is defined."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from bench_fakes import WHITE, CueReader
from bench_fakes import greys as greys

from seglens.core.capture import capture
from seglens.core.errors import ZeroMapWarning
from seglens.core.maps import finish
from seglens.core.method import METHODS
from seglens.core.targets import Targets
from seglens.datasets.textured_digits import Bias
from seglens.run.bench.measuring import Measures, found, measure
from seglens.run.bench.pictures import Scenes, Sources
from seglens.run.bench.records import Scores
from seglens.run.bench.roster import ENTRIES, Entry
from seglens.run.bench.training import as_network


@dataclass(frozen=True, slots=True)
class Painted:
    """A map that is known: white pixels (the cue, whatever the region), the others, nothing, or signed noise."""

    what: str = "cue"

    def __call__(self, network, x, targets):
        with capture(network), torch.no_grad():
            y = network(x)
        scores = Targets.of(targets).bind(network, x, y)
        white = (x / 4 + 0.5 > 0.9).float()
        values = {"cue": white, "rest": 1 - white, "nothing": 0 * white}.get(self.what)
        if values is None:
            values = torch.randn(x.shape, generator=torch.Generator().manual_seed(4)) * 3
        return finish(values, scores, scores(y), y, signed=self.what == "noise")


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(METHODS, "_known", {**{n: METHODS[n] for n in METHODS}, "painted": Painted})


@pytest.fixture
def scenes(greys) -> Scenes:
    data = Sources.of(None, greys).data(40, 7, Bias(2, WHITE, "strong"), "test")
    return Scenes.of(data, [2, 12, 22, 3, 14])


@pytest.fixture
def network():
    return as_network(CueReader(2).eval())


def of(network, scenes: Scenes, what: str) -> Measures:
    with np.errstate(all="raise"):
        return measure(network, Entry("painted", "painted", "", {"what": what}), scenes, np.ones(5, bool), "black")


def test_a_perfect_map_has_a_cbl_of_one_and_its_opposite_of_nothing(painted: None, network, scenes: Scenes) -> None:
    with pytest.warns(ZeroMapWarning):
        perfect = of(network, scenes, "cue")
    biased = perfect.digit == 2
    np.testing.assert_allclose(perfect.cbl_pixels[biased], 1)
    # The border between the halves is one between cells, too.
    np.testing.assert_allclose(perfect.cbl[biased], 1)
    # Where no cue shows, no share of it is defined.
    assert not perfect.cued[~biased].any()
    assert np.isnan(perfect.cbl[~biased]).all()
    opposite = of(network, scenes, "rest")
    np.testing.assert_allclose(opposite.cbl_pixels[biased], 0)
    # The digit itself, where it is not in the region asked about, is in cells of the cue.
    assert (opposite.cbl[biased] < 0.3).all()


@pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")
def test_a_map_without_anything_has_a_cbd_of_zero_and_no_cbl(painted: None, network, scenes: Scenes) -> None:
    m = of(network, scenes, "nothing")
    assert (m.cbd == 0).all()
    assert np.isnan(m.cbl).all()
    scores = Scores.of(m, True, 2)
    assert (scores.pictures, scores.empty) == (3, 3)
    assert np.isnan(scores.cbl)
    # A map without an upper bound that is zero everywhere has no largest value to be divided by.
    assert np.isnan(Scores.of(m, False, 2).cbd).all()


def test_sums_written_out(painted: None, network, scenes: Scenes) -> None:
    m = of(network, scenes, "noise")
    order = [int(np.flatnonzero(scenes.index == i)[0]) for i in m.image]
    assert sorted(m.image.tolist()) == [2, 3, 12, 14, 22]
    for row, k in enumerate(order):
        digit = scenes.digit[k]
        region = np.zeros((64, 64), bool)
        region[28:36, 6 * digit + 2 : 6 * digit + 7] = True
        # Pictures of one class go through the method together, and its noise is drawn by shape alone.
        same = [j for j in order if scenes.digit[j] == digit]
        draws = torch.randn((len(same), 1, 64, 64), generator=torch.Generator().manual_seed(4)) * 3
        size = np.abs(draws[same.index(k), 0].numpy().astype(np.float64)) * ~region
        context, cue = scenes.labels[k] == 10, scenes.cue[k]
        top = bottom = total = area = 0.0
        for i in range(4):
            for j in range(4):
                cell = np.s_[16 * i : 16 * i + 16, 16 * j : 16 * j + 16]
                value, share = size[cell].mean(), context[cell].mean()
                np.testing.assert_allclose(m.mask[row, i, j], value, rtol=1e-5)
                top += cue[cell].mean() * value
                bottom += share * value
                total += share
                area = max(area, value)
        np.testing.assert_allclose(m.cbd[row], bottom / total, rtol=1e-5)
        np.testing.assert_allclose(m.cbd_pixels[row], (size * context).sum() / context.sum(), rtol=1e-5)
        np.testing.assert_allclose(m.greatest[row], area, rtol=1e-5)
        np.testing.assert_allclose(m.greatest_pixels[row], (size * context).max(), rtol=1e-5)
        if digit == 2:
            np.testing.assert_allclose(m.cbl[row], top / bottom, rtol=1e-5)
            np.testing.assert_allclose(m.cbl_pixels[row], (size * cue).sum() / (size * context).sum(), rtol=1e-5)


def test_a_uniform_map_has_the_cues_share_and_a_random_one_about_half(network, scenes: Scenes) -> None:
    asked = np.ones(5, bool)
    even = measure(network, ENTRIES["uniform"], scenes, asked, "black")
    biased = even.digit == 2
    for row in np.flatnonzero(biased):
        k = int(np.flatnonzero(scenes.index == even.image[row])[0])
        share = scenes.cue[k].sum() / (scenes.labels[k] == 10).sum()
        np.testing.assert_allclose([even.cbl[row], even.cbl_pixels[row]], share)
    np.testing.assert_allclose(even.cbd, 1)
    one = measure(network, ENTRIES["random"], scenes, asked, "black")
    again = measure(network, ENTRIES["random"], scenes, asked, "black")
    np.testing.assert_array_equal(one.mask, again.mask)
    assert 0.2 < one.cbl[biased].mean() < 0.8
    assert len({row.tobytes() for row in one.mask}) == 5


@pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
def test_context_saliency_finds_what_the_network_reads(network, scenes: Scenes) -> None:
    m = measure(network, ENTRIES["grid"], scenes, np.ones(5, bool), "black")
    biased = m.digit == 2
    assert (m.cbl[biased] > 0.9).all()
    assert (m.cbd[biased] > 0.02).all()
    np.testing.assert_allclose(m.cbd[~biased], 0, atol=1e-6)
    # What nothing hangs on is certified without a search.
    assert (m.steps[biased] > 0).all()
    assert (m.steps[~biased] == 0).all()


def test_only_pictures_whose_digit_is_predicted_are_asked_about(network, greys) -> None:
    fair = Scenes.of(Sources.of(None, greys).data(100, 4, None, "test"))
    asked = found(network, fair)
    # Without much white, the class that needs it is predicted nowhere; every other is, in its square.
    bright = (fair.pixels[:, 0] > 0.9).float().mean((1, 2)).numpy() > 0.1
    np.testing.assert_array_equal(asked, (fair.digit != 2) | bright)
    assert not asked.all()
    m = measure(network, ENTRIES["uniform"], fair, asked, "black")
    assert sorted(m.image.tolist()) == fair.index[asked].tolist()
    nobody = measure(network, ENTRIES["uniform"], fair, np.zeros(100, bool), "black")
    assert len(nobody) == 0
    assert np.isnan(Scores.of(nobody, True, 2).cbd).all()


def test_scores_are_means_by_class_over_the_greatest_value() -> None:
    rng = np.random.default_rng(5)
    n = 40
    digit = np.repeat(np.arange(4), 10)
    values = {name: rng.random(n) * 7 for name in ("cbd", "cbl", "cbd_pixels", "cbl_pixels")}
    values["cbl"][[1, 2, 25]] = np.nan
    greatest = rng.random(n) * 9
    m = Measures(
        np.arange(n),
        digit,
        digit == 0,
        *values.values(),
        greatest,
        2 * greatest,
        0 * greatest,
        np.zeros((n, 4, 4), np.float32),
    )
    free, tied = Scores.of(m, False, 0), Scores.of(m, True, 0)
    for c in range(4):
        rows = digit == c
        assert free.cbd[c] == pytest.approx(values["cbd"][rows].mean() / greatest.max())
        assert free.cbd_pixels[c] == pytest.approx(values["cbd_pixels"][rows].mean() / (2 * greatest.max()))
        assert tied.cbd[c] == pytest.approx(values["cbd"][rows].mean())
    assert np.isnan(free.cbd[4:]).all()
    assert free.cbl == tied.cbl == pytest.approx(np.nanmean(values["cbl"][:10]))
    assert (free.pictures, free.empty) == (10, 2)
    assert np.isnan(Scores.of(m, True, None).cbl)
