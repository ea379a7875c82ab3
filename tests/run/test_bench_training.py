"""Training the networks of the context-bias benchmark, on shapes and textures simple enough to be learnt in seconds."""

import logging
import os
import sys
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.errors import MissingExtraError, ParameterError
from seglens.core.progress import watching
from seglens.datasets.digits import Digits
from seglens.datasets.textured_digits import CLASSES, TexturedDigits, Twin
from seglens.networks.digits_unet import BACKBONES, DigitsUNet
from seglens.networks.module import from_module
from seglens.run.bench.training import CONVENTION, FULL, QUICK, SMALL, Recipe, as_network, ious, train
from seglens.testing import untouched

TINY = Recipe(encoder="vgg16", width=4, steps=3, batch=4)
GREYS = tuple(np.full((32, 32), grey, np.float32) for grey in (0.1, 0.35, 0.65, 0.9))


def blocks() -> Digits:
    """One shape a digit: a 4 x 4 frame of ink whose middle shows the digit in binary."""
    images = np.full((10, 6, 6), 255, np.uint8)
    images[:, 1:5, 1:5] = 0
    for digit in range(10):
        bits = np.array([digit >> bit & 1 for bit in range(4)], np.uint8).reshape(2, 2)
        images[digit, 1:5, 1:5] = 255 * bits.repeat(2, 0).repeat(2, 1)
    return Digits("blocks", images, np.arange(10, dtype=np.uint8))


def pictures(length: int, seed: int = 0, plant: Twin | None = None) -> TexturedDigits:
    return TexturedDigits(length, seed, plant, digits=blocks(), textures=GREYS, size=32)


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def untrained(recipe: Recipe) -> DigitsUNet:
    torch.manual_seed(recipe.seed)
    return DigitsUNet(recipe.encoder, recipe.width).eval()


@dataclass
class Noted:
    """Pictures that note which of them were looked at."""

    length: int
    asked: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int):
        self.asked.append(index)
        return pictures(10)[index % 10]


def test_the_same_seed_gives_the_same_network_and_another_seed_another():
    data = pictures(20)
    first = train(TINY, data)
    assert same(first, train(TINY, data))
    assert not same(first, train(replace(TINY, seed=1), data))
    assert not same(first, train(TINY, pictures(20, seed=1)))


def test_a_trained_network_is_ready_to_be_asked():
    network = train(TINY, pictures(10))
    assert isinstance(network, DigitsUNet)
    assert not any(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())
    weight = network.encoder.block2[0].weight
    assert weight.dtype == torch.float32
    assert weight.is_contiguous()


@pytest.mark.parametrize("encoder", BACKBONES)
def test_training_leaves_global_states_as_they_were(encoder):
    recipe = replace(TINY, encoder=encoder, steps=2)
    other = untrained(recipe)
    with untouched(other):
        trained = train(recipe, pictures(10))
    assert not same(trained, other)


def test_it_learns_shapes():
    recipe = replace(TINY, width=8, steps=250, batch=10, rate=2e-2)
    held_out = pictures(60, seed=9)
    before = ious(as_network(untrained(recipe)), held_out)
    after = ious(as_network(train(recipe, pictures(2500))), held_out)
    assert np.nanmean(before) < 0.1
    assert after[-1] > 0.85
    assert after[:10].mean() > 0.2


def test_pictures_come_equally_often_in_an_order_of_the_seed():
    def order(seed: int) -> list[int]:
        data = Noted(8)
        train(replace(TINY, steps=6, seed=seed), data)  # type: ignore[arg-type]
        return data.asked[-24:]  # the first ones are looked at to weigh the classes

    once = order(0)
    assert all(sorted(once[turn : turn + 8]) == list(range(8)) for turn in (0, 8, 16))
    assert once[:8] != once[8:16]
    assert once == order(0)
    assert once != order(1)


def test_ious_count_pixels():
    torch.manual_seed(3)
    guess = nn.Conv2d(1, 11, 3, padding=1)
    network, data = from_module(guess, convention=CONVENTION), pictures(73)
    counts = np.zeros((11, 11), int)
    for scene in data:
        x = (torch.from_numpy(scene.image / 255.0).float()[None, None] - 0.5) / 0.25
        for truth, said in zip(scene.labels.ravel(), guess(x).argmax(1).ravel().tolist(), strict=True):
            counts[truth, said] += 1
    assert len(np.unique(counts.argmax(1))) > 1
    expected = [counts[k, k] / (counts[k].sum() + counts[:, k].sum() - counts[k, k]) for k in range(11)]
    with untouched(network):
        np.testing.assert_allclose(ious(network, data), expected, rtol=0, atol=1e-12)


def test_the_iou_of_a_class_that_neither_is_nor_is_seen_is_undefined():
    class Background(nn.Module):
        def forward(self, x):
            return torch.eye(11)[10].view(1, 11, 1, 1).expand(len(x), 11, *x.shape[2:])

    found = ious(as_network(Background()), pictures(3))  # pictures of 0, 1 and 2
    assert np.array_equal(found[:3], np.zeros(3))
    assert np.isnan(found[3:10]).all()
    assert 0 < found[10] < 1
    assert np.isnan(ious(as_network(Background()), pictures(0))).all()


def test_a_picture_goes_through_the_doors_as_an_array():
    network = as_network(untrained(replace(TINY)))
    scene = TexturedDigits(1, 0, digits=blocks(), textures=tuple(g.repeat(2, 0).repeat(2, 1) for g in GREYS))[0]
    seen = sl.explain(network, scene.image, "grad-cam", sl.Target("background", sl.everything))
    assert seen.map.shape == (64, 64)
    assert seen.layer == "encoder.block5"
    assert network.classes is not None
    assert tuple(network.classes.names) == CLASSES
    x, _ = network.convention.prepare(torch.from_numpy(scene.image / 255.0).float()[None])
    torch.testing.assert_close(x[0, 0], (torch.from_numpy(scene.image).float() / 255 - 0.5) / 0.25)


def test_listeners_hear_of_every_step_unless_quiet():
    heard = []
    with watching(lambda *said: heard.append(said)):
        train(TINY, pictures(10))
        assert heard == []
        train(TINY, pictures(10), quiet=False)
    assert heard == [("training", 1, 3), ("training", 2, 3), ("training", 3, 3)]


def test_training_can_be_ended_and_leaves_nothing_behind(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    levels = logging.getLogger("lightning_fabric").level

    def enough(what: str, done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with untouched(untrained(TINY)), pytest.raises(KeyboardInterrupt), watching(enough):
        train(TINY, pictures(10), quiet=False)
    train(TINY, pictures(10))
    assert os.listdir(tmp_path) == []
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("lightning_fabric").level == levels


def test_without_lightning_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(MissingExtraError, match=r"training the networks .* needs lightning.*\n.*seglens\[train\]"):
        train(TINY, pictures(10))


def test_what_cannot_be_trained_says_why():
    with pytest.raises(ParameterError, match="no pictures to train on"):
        train(TINY, pictures(0))
    with pytest.raises(ParameterError, match=r"device = 'abacus' cannot be used here: (.|\n)*'cpu' always can"):
        train(TINY, pictures(10), device="abacus")
    with pytest.raises(ParameterError, match="encoder"):
        Recipe(encoder="vgg")
    for wrong in ({"width": 1}, {"steps": 1}, {"batch": 1}, {"rate": 0.0}, {"seed": -1}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            Recipe(**wrong)


def test_longer_recipes_show_more_pictures():
    shown = [recipe.steps * recipe.batch for recipe in (QUICK, SMALL, FULL)]
    assert shown == sorted(shown)
