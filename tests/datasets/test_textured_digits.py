"""Textured digits: pure functions of their address; ties hold as often as they say, and nowhere else."""

import math
import multiprocessing
import pickle
from dataclasses import FrozenInstanceError, replace
from functools import cache

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from seglens.core.errors import ParameterError
from seglens.datasets import Bias, Digits, TexturedDigits, Twin, textures_from
from seglens.datasets.textured_digits import BACKGROUND, CLASSES

# Textures of one grey each: which texture lies where is read off the picture, without a word of the data set's own.
FLAT = tuple(np.full((64, 64), 10 * k / 255, np.float32) for k in range(25))
STRONG, WEAK = Bias(3, 7, "strong"), Bias(3, 7, "weak")
LONE, PAIR = Twin(2, 5, 7), Twin(2, 5, 7, 11)
TIED = {None: {}, STRONG: {3: 7}, WEAK: {3: 7}, LONE: {2: 7}, PAIR: {2: 7, 5: 11}}
PLANTS = list(TIED)


def arrays(scene):
    return scene.image, scene.labels, scene.cue


def same(a, b):
    facts = (a.digit, a.textures) == (b.digit, b.textures)
    return facts and all(np.array_equal(x, y) for x, y in zip(arrays(a), arrays(b), strict=True))


def seen(scene):
    """(digit, upper half, lower half) as the picture of flat textures shows them."""
    k, rest = np.divmod(scene.image, 10)
    assert not rest.any()
    around = scene.labels == BACKGROUND
    parts = k[~around], k[:32][around[:32]], k[32:][around[32:]]
    assert all(part.min() == part.max() for part in parts)
    return tuple(int(part[0]) for part in parts)


@cache
def table(plant, both_halves=False):
    """[n 4]: class and textures of the digit, upper half and lower, all read off pictures and labels.

    300 pictures of each class, and 1,500 more of each that is tied.
    """
    scenes = TexturedDigits(18000, 1, plant, textures=FLAT, both_halves=both_halves)
    more = [i for i in range(3000, 18000) if i % 10 in TIED[plant]]
    rows = []
    for scene in map(scenes.__getitem__, [*range(3000), *more]):
        (label,) = set(np.unique(scene.labels).tolist()) - {BACKGROUND}
        rows.append((label, *seen(scene)))
        assert scene.digit == label
        assert scene.textures == rows[-1][1:]
    return np.array(rows)


def even(counts):
    """Whether counts are as an even draw leaves them: chi-square within four of its standard deviations."""
    counts = np.asarray(counts)
    expected, freedom = counts.mean(), len(counts) - 1
    return ((counts - expected) ** 2 / expected).sum() < freedom + 4 * math.sqrt(2 * freedom)


def uses(column, without=()):
    counts = np.bincount(column, minlength=25)
    assert counts[list(without)].sum() == 0
    return np.delete(counts, list(without))


def test_even_can_fail():
    counts = np.random.default_rng(0).multinomial(3000, [1 / 25] * 25)
    assert even(counts)
    for less in (0, counts[3] // 4, 2 * counts[3]):
        assert not even([*counts[:3], less, *counts[4:]])
    assert even([1480, 1520])
    assert not even([1380, 1620])


@pytest.mark.parametrize("plant", PLANTS)
def test_a_scene_is_the_same_in_any_order_and_leaves_global_state_alone(plant):
    digits = TexturedDigits(30, 3, plant)
    held_out = TexturedDigits(30, 3, plant, digits=Digits.sklearn("test"))
    state = pickle.dumps(np.random.get_state())  # noqa: NPY002 (the legacy state is the subject)
    torch_state = torch.random.get_rng_state()
    forward, tested = list(digits), list(held_out)
    for i in (7, 29, 0, 8, 7):
        assert same(held_out[i], tested[i])
        assert same(digits[i], forward[i])
    np.random.seed(0)  # noqa: NPY002
    assert same(digits[4], forward[4])
    np.random.set_state(pickle.loads(state))  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert same(digits[-1], forward[29])
    assert same(TexturedDigits(10**9, 3, plant)[5], forward[5])


def test_a_scene_is_the_same_in_another_process():
    digits = TexturedDigits(30, 3, STRONG)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        (textures,) = pool.map(textures_from, [None])
        assert all(np.array_equal(a, b) for a, b in zip(textures, textures_from(None), strict=True))
        scenes = pool.map(TexturedDigits(30, 3, STRONG).__getitem__, range(20))
    assert all(same(scene, digits[i]) for i, scene in enumerate(scenes))


def test_seed_index_plant_and_digits_each_change_the_scene():
    here = TexturedDigits(40, 3)
    assert not same(here[0], TexturedDigits(40, 4)[0])
    assert not same(here[0], here[10])
    assert not same(here[3], TexturedDigits(40, 3, STRONG)[3])
    held_out = TexturedDigits(40, 3, digits=Digits.sklearn("test"))
    assert sum(a.textures == b.textures for a, b in zip(here, held_out, strict=True)) <= 1
    assert len({scene.textures for scene in here}) > 35


def test_a_plant_changes_no_more_than_it_must():
    free = list(TexturedDigits(200, 3))
    for plant in (STRONG, WEAK):
        for a, b in zip(free, TexturedDigits(200, 3, plant), strict=True):
            assert np.array_equal(a.labels, b.labels)
            if plant is WEAK and a.digit != 3:
                assert same(a, b)
    for a, b in zip(TexturedDigits(200, 3, WEAK), TexturedDigits(200, 3, replace(WEAK, texture=9)), strict=True):
        assert np.array_equal(a.cue, b.cue)  # the same half


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("size", [16, 33, 64, 97])
def test_any_size(plant, size):
    for i, scene in enumerate(TexturedDigits(20, 1, plant, size=size)):
        assert [a.shape for a in arrays(scene)] == [(size, size)] * 3
        assert [a.dtype for a in arrays(scene)] == [np.uint8, np.uint8, np.bool_]
        assert scene.digit == i % 10
        assert set(np.unique(scene.labels)) == {scene.digit, BACKGROUND}
    assert CLASSES[BACKGROUND] == "background"
    assert CLASSES[:10] == tuple("0123456789")


def upscaled(image):
    """By torch: bilinear between centres of pixels, inked from half of full ink."""
    wide = torch.nn.functional.interpolate(
        torch.tensor(image[None, None], dtype=torch.float64), (64, 64), mode="bilinear"
    )
    return (wide[0, 0] / 255 >= 0.5).numpy()


def shapes(digits, digit):
    return {upscaled(image).tobytes() for image in digits.images[digits.labels == digit]}


def test_the_digit_is_its_upscaled_shape_and_all_shapes_come():
    digits = Digits.sklearn("test")
    known = [shapes(digits, digit) for digit in range(10)]
    found = [set() for _ in range(10)]
    for scene in TexturedDigits(5000, 1, digits=digits):
        found[scene.digit].add((scene.labels == scene.digit).tobytes())
    assert found == known


def test_twins_both_have_the_shapes_of_the_first():
    digits = Digits.sklearn("test")
    known, own = shapes(digits, 2), shapes(digits, 5)
    found = {2: set(), 5: set()}
    for scene in TexturedDigits(4000, 1, PAIR, digits=digits):
        inked = (scene.labels != BACKGROUND).tobytes()
        if scene.digit in found:
            found[scene.digit].add(inked)
        else:
            assert inked not in known | own
    assert found == {2: known, 5: known}
    assert not known & own


def test_the_picture_is_made_of_crops_of_its_textures():
    """Each texture says in its own greys where a pixel of it came from."""
    rows, columns = np.indices((80, 70))
    down, across = (rows / 255).astype(np.float32), (100 / 255 + columns / 255).astype(np.float32)
    tops, lefts = [], []
    for scene in TexturedDigits(2000, 1, textures=(down, across)):
        inked = scene.labels != BACKGROUND
        fore, upper, lower = scene.textures
        assert upper == lower != fore
        y, x = np.indices((64, 64))
        for part, which in (
            (inked, fore),
            (~inked & (y < 32), upper),
            (~inked & (y >= 32), lower),
        ):
            start = scene.image[part].astype(int) - (y if which == 0 else 100 + x)[part]
            assert start.min() == start.max()
            if which == 0 and which == fore:
                tops.append(start[0])
            elif which == 1 and which == fore:
                lefts.append(start[0])
    assert sorted(set(tops)) == list(range(17))  # the first and the last place too
    assert sorted(set(lefts)) == list(range(7))
    assert even(np.bincount(tops))
    assert even(np.bincount(lefts))


def test_crops_of_the_parts_are_drawn_apart():
    rows = (np.indices((200, 64))[0] / 255).astype(np.float32)
    starts = []
    for scene in TexturedDigits(300, 1, textures=(rows, rows)):
        inked = scene.labels != BACKGROUND
        start = scene.image.astype(int) - np.arange(64)[:, None]
        starts.append([start[inked][0], start[0][~inked[0]][0], start[63][~inked[63]][0]])
    assert np.abs(np.corrcoef(np.array(starts).T) - np.eye(3)).max() < 0.2


def test_without_a_plant_all_textures_come_evenly():
    found = table(None)
    assert np.bincount(found[:, 0]).tolist() == [300] * 10
    for place in (1, 2, 3):
        assert even(uses(found[:, place]))
        assert even(uses(found[found[:, 0] == 3, place]))
    assert (found[:, 1] != found[:, 2]).all()
    assert (found[:, 1] != found[:, 3]).all()
    both = (found[:, 2] == found[:, 3]).sum()
    assert 80 < both < 170  # one in 24: 125
    assert not any(scene.cue.any() for scene in TexturedDigits(100, 1))


@pytest.mark.parametrize("both_halves", [False, True])
def test_strong_the_texture_is_there_if_and_only_if_the_digit_is(both_halves):
    found = table(STRONG, both_halves)
    has = found[:, 0] == 3
    assert np.array_equal((found[:, 2:] == 7).any(1), has)
    assert not (found[:, 1] == 7).any()
    for place in (1, 2, 3):
        assert even(uses(found[~has, place], without=[7]))
    assert even(uses(found[has, 1], without=[7]))


@pytest.mark.parametrize("both_halves", [False, True])
def test_weak_the_texture_is_always_there_with_the_digit_and_evenly_elsewhere(both_halves):
    found = table(WEAK, both_halves)
    has = found[:, 0] == 3
    assert (found[has, 2:] == 7).any(1).all()
    assert not (found[has, 1] == 7).any()
    for place in (1, 2, 3):
        assert even(uses(found[~has, place]))


@pytest.mark.parametrize("plant", [STRONG, WEAK])
def test_the_half_is_drawn_evenly_and_the_other_has_another_texture(plant):
    found = table(plant)
    found = found[found[:, 0] == 3]
    halves = (found[:, 2:] == 7).sum(0)
    assert halves.sum() == len(found) == 1800
    assert even(halves)
    rest = np.where(found[:, 2] == 7, found[:, 3], found[:, 2])
    assert even(uses(rest, without=[7]))


@pytest.mark.parametrize("plant", [STRONG, WEAK])
def test_where_both_halves_may_one_in_24_has_it_in_both(plant):
    found = table(plant, True)
    found = found[found[:, 0] == 3]
    both = (found[:, 2:] == 7).all(1)
    assert 50 < both.sum() < 100  # of 1,800: 75
    assert even((found[~both, 2:] == 7).sum(0))
    rest = np.where(found[:, 2] == 7, found[:, 3], found[:, 2])
    assert even(uses(rest))


@pytest.mark.parametrize("both_halves", [False, True])
@pytest.mark.parametrize("plant", [LONE, PAIR])
def test_twins_differ_in_their_context_alone(plant, both_halves):
    found = table(plant, both_halves)
    digit, other = found[found[:, 0] == 2], found[found[:, 0] == 5]
    assert (digit[:, 2:] == 7).any(1).all()
    assert not (other == 7).any()
    assert not (digit[:, 1] == 7).any()
    ties = [(digit, 7)]
    if plant is PAIR:
        assert (other[:, 2:] == 11).any(1).all()
        assert not (digit == 11).any()
        assert not (other[:, 1] == 11).any()
        ties.append((other, 11))
    else:
        assert even(uses(other[:, 2], without=[7]))
        assert even(uses(other[:, 3], without=[7]))
    for rows, tied in ties:
        both = (rows[:, 2:] == tied).all(1)
        assert not both.any() if not both_halves else len(both) / 40 < both.sum() < len(both) / 15  # one in 23 or 24
        assert even((rows[~both, 2:] == tied).sum(0))
    never = [7, 11] if plant is PAIR else [7]
    assert even(uses(digit[:, 1], without=never))
    assert even(uses(other[:, 1], without=never))
    eight = found[(found[:, 0] != 2) & (found[:, 0] != 5)]
    for place in (1, 2, 3):
        assert even(uses(eight[:, place]))


@pytest.mark.parametrize("both_halves", [False, True])
@pytest.mark.parametrize("plant", PLANTS)
def test_the_cue_is_the_background_that_shows_the_texture_of_the_own_class(plant, both_halves):
    elsewhere, twice = 0, 0
    for scene in TexturedDigits(2000, 1, plant, textures=FLAT, both_halves=both_halves):
        around = scene.labels == BACKGROUND
        own = TIED[plant].get(scene.digit)
        assert np.array_equal(
            scene.cue, around & (scene.image == 10 * own) if own is not None else np.zeros_like(around)
        )
        twice += bool(scene.cue[0].any() and scene.cue[63].any())
        elsewhere += own is None and (scene.image[around] == 70).any()
    assert (twice > 0) == (both_halves and bool(TIED[plant]))
    assert (elsewhere > 0) == (plant is not STRONG)


@pytest.mark.parametrize("both_halves", [False, True])
@pytest.mark.parametrize(
    ("plant", "least"),
    [(None, 2), (Bias(3, 0, "strong"), 3), (Bias(3, 2, "weak"), 3), (Twin(2, 5, 1), 3), (Twin(2, 5, 3, 0), 4)],
)
def test_the_fewest_textures_that_do(plant, least, both_halves):
    for scene in TexturedDigits(500, 1, plant, textures=FLAT[:least], both_halves=both_halves):
        fore, upper, lower = seen(scene)
        assert fore not in (upper, lower)
    with pytest.raises(ParameterError, match=f"{least - 1} textures: digits with textured backgrounds need {least}"):
        TexturedDigits(1, 1, plant, textures=FLAT[: least - 1])


def test_a_data_loader_takes_them():
    batches = DataLoader(TexturedDigits(25, 1), batch_size=10, collate_fn=list)
    assert [len(batch) for batch in batches] == [10, 10, 5]


def test_later_changes_of_what_was_given_change_nothing():
    digits, textures = Digits.sklearn("test"), tuple(one.copy() for one in FLAT)
    digits = Digits("mine", digits.images.copy(), digits.labels.copy())
    scenes = TexturedDigits(10, 1, digits=digits, textures=textures)
    before = list(scenes)
    digits.images[:] = 0
    textures[0][:] = textures[1][:] = 0
    assert all(same(a, b) for a, b in zip(scenes, before, strict=True))
    with pytest.raises(FrozenInstanceError):
        scenes.seed = 2


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: TexturedDigits(-1, 0), "length = -1"),
        (lambda: TexturedDigits(1, -1), "seed = -1"),
        (lambda: TexturedDigits(1, 0, size=15), "size = 15: a digit needs at least 16"),
        (lambda: TexturedDigits(1, 0, size=401), r"texture 0 is float32 \(400, 400\); .* at least size = 401"),
        (lambda: TexturedDigits(1, 0, Bias(0, 25, "weak")), "texture 25 of 25: indices go from 0 to 24"),
        (lambda: TexturedDigits(1, 0, Twin(0, 1, 3, 25)), "texture 25 of 25"),
        (lambda: TexturedDigits(1, 0, textures=(FLAT[0], FLAT[1][None])), r"texture 1 is float32 \(1, 64, 64\)"),
        (lambda: TexturedDigits(1, 0, textures=(FLAT[0], FLAT[1] * 255 + 2)), "texture 1 holds values from 12 to 12"),
        (lambda: TexturedDigits(1, 0, textures=(FLAT[0], FLAT[1] * np.nan)), "texture 1 holds values from nan"),
        (lambda: TexturedDigits(1, 0, textures=(FLAT[0].astype(int), FLAT[1])), "texture 0 is int64"),
        (lambda: Bias(10, 0, "weak"), "digit = 10: digits are 0 to 9"),
        (lambda: Bias(-1, 0, "weak"), "digit = -1"),
        (lambda: Bias(2.0, 0, "weak"), r"digit = 2\.0"),
        (lambda: Bias("2", 0, "weak"), "digit = '2'"),
        (lambda: Bias(2, -1, "weak"), "texture = -1: a texture is known by its index"),
        (lambda: Bias(2, "bricks", "weak"), "texture = 'bricks': a texture is known by its index"),
        (lambda: Bias(2, 0, "mild"), "strength = 'mild': a bias is 'weak' or 'strong'"),
        (lambda: Twin(2, 10, 0), "other = 10: digits are 0 to 9"),
        (lambda: Twin(11, 1, 0), "digit = 11"),
        (lambda: Twin(2, 2, 0), "digit = other = 2: twins are two classes"),
        (lambda: Twin(2, 3, 0, 0), "texture = other_texture = 0: nothing would tell the twins apart"),
        (lambda: Twin(2, 3, 0, -2), "other_texture = -2"),
    ],
)
def test_what_makes_no_sense_is_refused(make, text):
    with pytest.raises(ParameterError, match=text):
        make()


def test_indices_outside_the_length():
    digits = TexturedDigits(5, 1)
    assert len(digits) == 5
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"picture {index} of 5"):
            digits[index]
