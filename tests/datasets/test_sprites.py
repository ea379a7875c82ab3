"""Sprites: dSprites' lattice in its order, drawn as it looks, as networks trained on the published pictures confirm."""

from itertools import pairwise
from math import pi, prod
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from seglens.core.errors import ParameterError
from seglens.datasets.sprites import FACTORS, LATTICE, SHAPES, VALUES, Sprites, draw_sprite

TRAINED = Path(__file__).parents[3] / "shared" / "data" / "vae"


def middle(inside: NDArray[np.bool_]) -> tuple[float, float]:
    rows, columns = np.nonzero(inside)
    return float(columns.mean()), float(rows.mean())


def test_the_lattice_is_the_publishers():
    assert LATTICE == (3, 6, 40, 32, 32)
    assert len(Sprites()) == prod(LATTICE) == 737_280
    # y runs fastest, then x, rotation, scale, shape: the publisher's bases are 245760, 40960, 1024, 32, 1.
    place = 2 * 245_760 + 4 * 40_960 + 13 * 1024 + 21 * 32 + 30
    factors = Sprites()[place].factors
    assert factors is not None
    expected = [2, VALUES[1][4], VALUES[2][13], VALUES[3][21], VALUES[4][30]]
    assert np.allclose(factors, expected)
    assert np.allclose(VALUES[1], [0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert VALUES[2][-1] == pytest.approx(2 * pi)
    assert np.allclose(VALUES[3][[0, -1]], [0, 1])
    assert Sprites()[-1].name == "sprite 737279"


def test_a_sample_says_what_it_shows():
    for sample in Sprites(30, seed=4):
        assert sample.image.shape == (64, 64, 1)
        assert set(np.unique(sample.image)) == {0, 255}
        assert sample.labels is not None
        assert sample.factors is not None
        assert sample.attributes is not None
        shape = int(sample.factors[FACTORS.index("shape")])
        assert np.array_equal(sample.labels, (sample.image[..., 0] > 0) * (1 + shape))
        assert np.array_equal(sample.attributes, np.eye(3)[shape])


@pytest.mark.parametrize("shape", SHAPES)
def test_places_move_one_pixel_a_step_and_stay_inside(shape):
    places = np.linspace(0, 1, 32)
    drawn = [draw_sprite(shape, 1.0, 0.7, x, 0.5) for x in places]
    for step, (one, next_) in enumerate(pairwise(drawn)):
        assert np.array_equal(np.roll(one, 1, 1), next_), step
    assert middle(draw_sprite(shape, 0.7, 0.0, 0.5, 1.0))[1] > middle(draw_sprite(shape, 0.7, 0.0, 0.5, 0.0))[1] + 25
    for rotation in VALUES[2]:  # no edge is ever cut off
        for corner in (0.0, 1.0):
            inside = draw_sprite(shape, 1.0, rotation, corner, corner)
            rim = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
            assert not rim.any()


@pytest.mark.parametrize("shape", SHAPES)
def test_area_grows_with_the_square_of_the_scale_and_not_with_rotation(shape):
    areas = np.array([draw_sprite(shape, s, 0.3, 0.5, 0.5, (256, 256)).sum() for s in VALUES[1]])
    assert np.allclose(areas / areas[-1], VALUES[1] ** 2, rtol=0.01)
    turned = [draw_sprite(shape, 1.0, r, 0.5, 0.5, (256, 256)).sum() for r in VALUES[2]]
    assert np.ptp(turned) < 0.01 * areas[-1]


def test_areas_by_closed_form():
    """Square 19², ellipse π·12.6·7.2, in pixels of the 64-pixel field."""
    for shape, area in (("square", 19.0**2), ("ellipse", pi * 12.6 * 7.2)):
        assert draw_sprite(shape, 1.0, 0.2, 0.5, 0.5, (512, 512)).sum() / 64 == pytest.approx(area, rel=0.005)


def test_rotation_is_counter_clockwise_and_has_each_shapes_own_symmetry():
    def same(shape: str, turn: float) -> float:
        a, b = (draw_sprite(shape, 1.0, r, 0.5, 0.5, (256, 256)) for r in (0.4, 0.4 + turn))
        return (a & b).sum() / (a | b).sum()

    assert same("square", pi / 2) > 0.99
    assert same("square", pi / 4) < 0.9
    assert same("ellipse", pi) > 0.99
    assert same("ellipse", pi / 2) < 0.7
    assert same("heart", 2 * pi) > 0.99
    assert same("heart", pi) < 0.9
    rows, columns = np.nonzero(draw_sprite("ellipse", 1.0, pi / 6, 0.5, 0.5))
    assert np.corrcoef(rows, columns)[0, 1] < -0.3  # its right end is up
    heart = draw_sprite("heart", 1.0, 0.0, 0.5, 0.5)
    wide = heart.sum(1)[heart.any(1)]
    assert wide[-1] <= 3 < wide[3]  # it stands on its tip


def test_splits_share_no_sprite_and_seeds_shuffle():
    parts = {
        split: {Sprites(500, seed=3, split=split).place(i) for i in range(500)} for split in ("train", "val", "test")
    }
    assert [len(part) for part in parts.values()] == [500] * 3
    assert not parts["train"] & parts["val"] | parts["train"] & parts["test"] | parts["val"] & parts["test"]
    assert Sprites(500, seed=4, split="train").place(0) != Sprites(500, seed=3, split="train").place(0)
    assert [len(Sprites(10**9, split=split)) for split in ("train", "val", "test", None)] == [
        589_824,
        73_728,
        73_728,
        737_280,
    ]
    draws = np.stack([sample.factors for sample in Sprites(600, seed=1)])
    between = np.corrcoef(draws.T) - np.eye(5)
    assert np.abs(between).max() < 0.15


@pytest.mark.parametrize("size", [(64, 128), (32, 32), (17, 40), (128, 128)])
def test_any_size(size):
    sample = Sprites(1, size)[0]
    assert sample.image.shape == (*size, 1)
    assert sample.image.any()


def test_malformed_sprites_are_refused():
    with pytest.raises(ParameterError, match="shape = 'star': one of square, ellipse, heart"):
        draw_sprite("star", 1, 0, 0, 0)
    with pytest.raises(ParameterError, match="a scale above 0"):
        draw_sprite("square", 0, 0, 0, 0)
    with pytest.raises(ParameterError, match="finite"):
        draw_sprite("square", 1, float("nan"), 0, 0)
    with pytest.raises(ParameterError, match="each >= 16 pixels"):
        Sprites(1, (8, 64))
    with pytest.raises(ParameterError, match="fewer than 0"):
        Sprites(-1)
    with pytest.raises(ParameterError, match="has no splits"):
        Sprites(split="val")
    with pytest.raises(IndexError, match="sprite 3 of 3"):
        Sprites(3)[3]


def reconstructed(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits and μ of an autoencoder after Burgess et al. 2018, from the tensors of its file alone."""
    file = TRAINED / name / "model.pt"
    if not file.is_file():
        pytest.skip(f"no trained autoencoders at {TRAINED}")
    w: dict[str, Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    for layer in ("conv1", "conv2", "conv3", "conv_64"):
        x = F.conv2d(x, w[f"encoder.{layer}.weight"], w[f"encoder.{layer}.bias"], 2, 1).relu()
    x = x.flatten(1)
    for layer in ("lin1", "lin2"):
        x = F.linear(x, w[f"encoder.{layer}.weight"], w[f"encoder.{layer}.bias"]).relu()
    both = F.linear(x, w["encoder.mu_logvar_gen.weight"], w["encoder.mu_logvar_gen.bias"])
    mu = both.view(len(x), -1, 2)[..., 0]
    x = mu
    for layer in ("lin1", "lin2", "lin3"):
        x = F.linear(x, w[f"decoder.{layer}.weight"], w[f"decoder.{layer}.bias"]).relu()
    x = x.view(-1, 32, 4, 4)
    for layer in ("convT_64", "convT1", "convT2"):
        x = F.conv_transpose2d(x, w[f"decoder.{layer}.weight"], w[f"decoder.{layer}.bias"], 2, 1).relu()
    return F.conv_transpose2d(x, w["decoder.convT3.weight"], w["decoder.convT3.bias"], 2, 1), mu


@pytest.mark.parametrize(("name", "overlap", "alive"), [("VAE_dsprites", 0.95, 10), ("btcvae_dsprites", 0.88, 5)])
def test_networks_trained_on_dsprites_recognise_them(name, overlap, alive):
    """Reconstructions overlap, and living units spread as the prior does: ours are distributed like the published."""
    images = np.stack([sample.image[..., 0] for sample in Sprites(400, seed=1)])
    x = torch.from_numpy(images).float()[:, None] / 255
    with torch.no_grad():
        logits, mu = reconstructed(name, x)
    both = ((logits > 0) & (x > 0)).sum((1, 2, 3)) / ((logits > 0) | (x > 0)).sum((1, 2, 3))
    assert both.mean() > overlap
    spread = mu.var(0)
    living = spread > 0.1
    assert int(living.sum()) == alive
    assert ((spread[living] > 0.5) & (spread[living] < 1.5)).all()
