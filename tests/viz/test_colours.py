"""The colour maps are what they claim, by scikit-image's colour arithmetic, not by ours."""

import importlib
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.color import deltaE_ciede2000, rgb2lab

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError
from seglens.viz._spaces import SIGHT, seen, to_lab, to_rgb
from seglens.viz.colours import class_colours, colormap, palette, table

BLIND = [sight for sight in SIGHT if sight != "normal"]


def lightness(rgb: np.ndarray) -> np.ndarray:
    return rgb2lab(rgb)[:, 0]


def steps(rgb: np.ndarray) -> np.ndarray:
    """CIE76 difference of each colour to the next."""
    return np.linalg.norm(np.diff(rgb2lab(rgb), axis=0), axis=1)


def test_sequential_lightness_rises_in_equal_steps():
    rise = np.diff(lightness(table("sequential")))
    assert rise.min() > 0
    np.testing.assert_allclose(rise, (95 - 10) / 255, rtol=0.01)


def test_diverging_lightness_is_symmetric_and_falls_from_the_middle():
    light = lightness(table("diverging"))
    np.testing.assert_allclose(light, light[::-1], atol=0.01)
    assert np.diff(light[128:]).max() < 0
    assert light[127] > 94
    assert light[0] == pytest.approx(40, abs=0.1)


def test_steps_are_equal_to_the_eye():
    sequential, diverging = steps(table("sequential")), steps(table("diverging"))
    np.testing.assert_allclose(sequential, sequential.mean(), rtol=0.005)
    arms = np.delete(diverging, 127)  # the two arms meet at an angle there
    np.testing.assert_allclose(arms, arms.mean(), rtol=0.005)
    assert 0.5 * arms.mean() < diverging[127] < 1.01 * arms.mean()


def test_steps_stay_alike_by_the_later_formula():
    """CIEDE2000 over an eighth of a map: no part stands out by more than twice another."""
    for kind, ratio in (("sequential", 1.35), ("diverging", 2.0)):
        lab = rgb2lab(table(kind))
        apart = deltaE_ciede2000(lab[:-32], lab[32:])
        if kind == "diverging":  # within one arm
            apart = np.concatenate([apart[:96], apart[128:]])
        assert apart.max() / apart.min() < ratio


def test_maps_lie_inside_the_screen_gamut():
    for kind in ("sequential", "diverging"):
        assert table(kind).min() > 0
        assert table(kind).max() < 1


@pytest.mark.parametrize("sight", list(SIGHT))
def test_ends_of_the_diverging_map_differ_to_every_eye(sight: str):
    lab = rgb2lab(seen(table("diverging"), sight))
    assert deltaE_ciede2000(lab[0], lab[-1]) > 40
    # Also half way out, where most of a map lies.
    assert deltaE_ciede2000(lab[64], lab[-65]) > 20


@pytest.mark.parametrize("sight", list(SIGHT))
@pytest.mark.parametrize("kind", ["sequential", "diverging"])
def test_neighbouring_steps_differ_to_every_eye(kind: str, sight: str):
    """Sixteen steps of a map: each at least one just noticeable difference from the next."""
    lab = rgb2lab(seen(table(kind), sight))[::16]
    apart = deltaE_ciede2000(lab[:-1], lab[1:])
    assert apart.min() > 2.3
    if kind == "sequential":
        assert np.diff(lab[:, 0]).min() > 0


def test_the_proof_of_ends_can_fail():
    """Red against green of one lightness, the classic mistake, is refused by the same measure."""
    ends = to_rgb([[60, 55, 35], [60, -35, 35]]).clip(0, 1)
    lab = rgb2lab(seen(ends, "deuteranopia"))
    assert deltaE_ciede2000(lab[0], lab[1]) < 40


def test_no_such_map():
    with pytest.raises(ParameterError, match="no colour map 'jet': there are 'sequential'"):
        table("jet")  # type: ignore[arg-type]


def test_tables_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        table("sequential")[0] = 1


def test_colormap_leaves_the_registry_alone():
    before = list(matplotlib.colormaps)
    drawn = colormap("diverging")
    assert list(matplotlib.colormaps) == before
    np.testing.assert_allclose(drawn(np.array([0.0, 1.0]))[:, :3], table("diverging")[[0, -1]])
    assert drawn(np.nan)[:3] == (0.5, 0.5, 0.5)


@given(arrays(np.float64, (4, 3), elements=st.floats(0, 1)))
def test_lab_agrees_with_scikit_image_and_comes_back(rgb: np.ndarray):
    np.testing.assert_allclose(to_lab(rgb), rgb2lab(rgb), atol=0.05)
    np.testing.assert_allclose(to_rgb(to_lab(rgb)), rgb, atol=1e-7)  # the two halves of sRGB meet so closely


@pytest.mark.parametrize("sight", BLIND)
def test_grey_is_grey_to_every_eye(sight: str):
    grey = np.repeat(np.linspace(0, 1, 9)[:, None], 3, 1)
    np.testing.assert_allclose(seen(grey, sight), grey, atol=1e-5)


@pytest.mark.parametrize(("n", "least"), [(2, 80), (8, 24), (12, 18), (20, 13), (40, 8)])
def test_palette_colours_differ_to_every_eye(n: int, least: float):
    rgb = np.array(palette(n)) / 255
    for sight in SIGHT:
        lab = rgb2lab(seen(rgb, sight))
        apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)
        assert apart[~np.eye(n, dtype=bool)].min() > least, sight


def test_palette_of_any_length():
    assert palette(0) == ()
    assert palette(5) == palette(30)[:5]
    assert len(set(palette(1100))) == 1100  # more than the first grid of candidates holds
    with pytest.raises(ParameterError, match="0 or more"):
        palette(-1)


def test_palette_keeps_away_from_black_white_and_grey():
    lab = rgb2lab(np.array(palette(60)) / 255)
    assert lab[:, 0].min() > 20
    assert lab[:, 0].max() < 93
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 19


def test_a_tables_own_colours_come_first():
    own = ClassTable(("a", "b"), ((1, 2, 3), (4, 5, 6)))
    np.testing.assert_array_equal(class_colours(own), [[1, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(class_colours(ClassTable(("a", "b"))), palette(2))
    assert class_colours(ClassTable(())).shape == (0, 3)


def test_overlays_and_pages_do_without_matplotlib(make, monkeypatch):
    for name in list(sys.modules):
        if name.startswith("seglens.viz"):
            monkeypatch.delitem(sys.modules, name)
        elif name.split(".")[0] == "matplotlib":
            monkeypatch.setitem(sys.modules, name, None)
    viz = importlib.import_module("seglens.viz")
    writers = importlib.import_module("seglens.viz.writers")
    assert viz.overlay(make()).shape == (24, 36, 3)
    assert "<html" in writers.page([make()])
    with pytest.raises(ImportError):
        viz.figure(make())
