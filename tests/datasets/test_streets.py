"""Streets: every scene is a pure function of its address, its truth is exact, its plants hold."""

import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from seglens.datasets import CLASSES, COLOURS, Plant, Scene, Streets

INDEX = {name: index for index, name in enumerate(CLASSES)}
EVERYTHING = Plant(riders_on_bicycles=0.5, cars_on_road=0.5, texture_behind="person", texture_strength=0.5)
SMALL = (64, 128)


def arrays(scene: Scene) -> tuple[NDArray[np.generic], ...]:
    return scene.image, scene.labels, scene.instances, scene.cue


def same(a: Scene, b: Scene) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(arrays(a), arrays(b), strict=True))


def covered(plant: Plant, scenes: int = 40, size: tuple[int, int] = SMALL) -> list[Scene]:
    return list(Streets(scenes, size, seed=11, plant=plant))


def mounted(scenes: list[Scene]) -> dict[str, list[bool]]:
    """For each figure with visible legs: is there a bicycle against both sides of its legs?

    An independent reading of the truth, from the label maps alone.
    """
    found: dict[str, list[bool]] = {"person": [], "rider": []}
    for scene in scenes:
        for kind, seen in found.items():
            ids = np.unique(scene.instances[scene.labels == INDEX[kind]])
            for one in ids:
                rows, columns = np.nonzero(scene.instances == one)
                if np.ptp(rows) < 24 or columns.min() < 12 or columns.max() > 115:
                    continue
                low = rows.min() + int(0.72 * np.ptp(rows))
                strip = scene.labels[low : low + 4]
                middle, reach = int(columns.mean()), int(0.45 * np.ptp(rows))
                sides = strip[:, middle - reach : middle], strip[:, middle : middle + reach]
                seen.append(all((s == INDEX["bicycle"]).mean() > 0.3 for s in sides))
    return found


def test_a_scene_is_the_same_in_any_order_and_leaves_global_state_alone():
    streets = Streets(9, SMALL, seed=3, plant=EVERYTHING)
    forward = list(streets)
    state = pickle.dumps(np.random.get_state())  # noqa: NPY002 (the legacy state is the subject)
    torch_state = torch.random.get_rng_state()
    assert all(same(streets[i], forward[i]) for i in (7, 0, 8, 3, 7))
    assert pickle.dumps(np.random.get_state()) == state  # noqa: NPY002
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    assert same(Streets(100, SMALL, seed=3, plant=EVERYTHING)[5], forward[5])
    assert same(streets[-1], forward[8])


def test_a_scene_is_the_same_in_another_process():
    streets = Streets(3, SMALL, seed=3)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert same(pool.apply(streets.__getitem__, (2,)), streets[2])


def test_seed_index_and_plant_each_change_the_scene():
    here = Streets(2, SMALL, seed=3)[0]
    assert not same(here, Streets(2, SMALL, seed=4)[0])
    assert not same(here, Streets(2, SMALL, seed=3)[1])
    assert not same(here, Streets(2, SMALL, 3, Plant(1.0, 1.0))[0])


def test_a_data_loader_takes_streets():
    batches = DataLoader(Streets(5, SMALL), batch_size=2, collate_fn=list)
    assert [len(batch) for batch in batches] == [2, 2, 1]


@pytest.mark.parametrize("size", [(96, 192), (97, 131), (33, 33), (16, 16), (200, 61), (17, 240)])
def test_any_size(size):
    for scene in Streets(3, size, seed=1, plant=EVERYTHING):
        assert scene.image.shape == (*size, 3)
        assert [a.shape for a in arrays(scene)[1:]] == [size] * 3
        assert [a.dtype for a in arrays(scene)] == [np.uint8, np.uint8, np.uint16, np.bool_]


def test_twice_the_size_is_the_same_street():
    small, large = (Streets(6, size, seed=5) for size in ((64, 128), (128, 256)))
    agreement = [(a.labels == b.labels[::2, ::2]).mean() for a, b in zip(small, large, strict=True)]
    assert np.mean(agreement) > 0.9


def test_labels_and_instances_agree():
    seen = set()
    for scene in Streets(40, SMALL, seed=2):
        seen |= set(np.unique(scene.labels).tolist())
        things = scene.labels >= INDEX["person"]
        assert np.array_equal(scene.instances > 0, things)
        for one in np.unique(scene.instances[things]):
            assert np.unique(scene.labels[scene.instances == one]).size == 1
        assert not scene.cue.any()
    assert seen == set(range(len(CLASSES)))
    assert len(COLOURS) == len(set(COLOURS)) == len(CLASSES) == 11


def test_every_class_is_common_enough_to_learn():
    shares = np.mean([np.bincount(s.labels.ravel(), minlength=11) for s in covered(Plant())], 0)
    assert (shares / np.prod(SMALL)).min() > 0.01


def test_bicycles_tell_riders_from_persons_only_when_planted():
    rates = {}
    for strength in (0.0, 0.5, 1.0):
        found = mounted(covered(Plant(riders_on_bicycles=strength), 120))
        rates[strength] = {kind: np.mean(hits) for kind, hits in found.items()}
    assert abs(rates[0.0]["rider"] - rates[0.0]["person"]) < 0.12
    assert 0.15 < rates[0.5]["rider"] - rates[0.5]["person"] < 0.75
    assert rates[1.0]["rider"] > 0.6  # others' bodies hide the rest
    assert rates[1.0]["person"] < 0.1  # a parked bicycle may stand before a person


def test_cue_of_riders_is_the_bicycles_under_them():
    present = covered(Plant(riders_on_bicycles=1.0))
    withheld = covered(Plant(riders_on_bicycles=1.0, withheld=True))
    for there, gone in zip(present, withheld, strict=True):
        assert (there.labels[there.cue] == INDEX["bicycle"]).all()
        assert not gone.cue.any()
        # taking the cue away changes what is there at the cue, and nothing else
        changed = there.labels != gone.labels
        assert not (changed & ~there.cue).any()
        assert np.array_equal(there.instances[~there.cue], gone.instances[~there.cue])
        # each bicycle is cue as a whole, or not at all
        for one in np.unique(there.instances[there.cue]):
            assert there.cue[there.instances == one].all()
    planted = np.mean([scene.cue.any() for scene in present])
    assert planted > 0.8


def test_withheld_pictures_differ_at_the_cue_alone():
    present, withheld = (Streets(8, SMALL, 4, Plant(riders_on_bicycles=1.0, withheld=w)) for w in (False, True))
    for there, gone in zip(present, withheld, strict=True):
        near = there.cue.copy()
        for shift in range(-3, 4):  # blur carries a pixel or two
            for axis in (0, 1):
                near |= np.roll(near, shift, axis)
        assert np.array_equal(there.image[~near], gone.image[~near])


def test_cars_stand_where_they_are_planted():
    def on_road(plant: Plant) -> float:
        """Share of road in the row of pixels under the cars."""
        hits = total = 0
        for scene in covered(plant, 60):
            car = scene.labels == INDEX["car"]
            under = np.zeros_like(car)
            under[1:] = car[:-1] & ~car[1:]
            hits += (scene.labels[under] == INDEX["road"]).sum()
            total += np.isin(scene.labels[under], (INDEX["road"], INDEX["sidewalk"])).sum()
        return hits / total

    free, half, always = (on_road(Plant(cars_on_road=s)) for s in (0.0, 0.5, 1.0))
    never = on_road(Plant(cars_on_road=1.0, withheld=True))
    assert never < free < half < always
    assert always > 0.97


def test_cue_of_cars_is_road_near_cars():
    for scene in covered(Plant(cars_on_road=1.0)):
        assert (scene.labels[scene.cue] == INDEX["road"]).all()
    assert np.mean([s.cue.any() for s in covered(Plant(cars_on_road=1.0))]) > 0.8
    gone = covered(Plant(cars_on_road=1.0, withheld=True))
    assert not any(scene.cue.any() for scene in gone)


@pytest.mark.parametrize("kind", ["person", "car", "pole", "vegetation"])
def test_panels_stand_behind_their_class_alone(kind):
    plain = covered(Plant())
    panelled = covered(Plant(texture_behind=kind, texture_strength=1.0))
    assert np.mean([scene.cue.any() for scene in panelled]) > 0.7
    for before, after in zip(plain, panelled, strict=True):
        assert np.array_equal(before.labels, after.labels)
        assert np.array_equal(before.instances, after.instances)
        assert not (after.cue & (after.labels >= INDEX["person"])).any()
        near = after.cue.copy()
        for shift in (-2, -1, 1, 2):
            near |= np.roll(near, shift, 0)
            near |= np.roll(near, shift, 1)
        # a sliver between two shapes may tint a pixel whose centre lies on neither side of it
        assert (before.image != after.image).any(-1)[~near].mean() < 0.005


def test_panels_come_as_often_as_the_strength_says():
    shares = [
        np.mean([s.cue.mean() for s in covered(Plant(texture_behind="rider", texture_strength=p))])
        for p in (0.0, 0.5, 1.0)
    ]
    assert shares[0] == 0
    assert 0.25 < shares[1] / shares[2] < 0.75


@pytest.mark.parametrize("field", ["riders_on_bicycles", "cars_on_road", "texture_strength"])
@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_outside_its_range_is_refused(field, strength):
    with pytest.raises(ValueError, match=rf"{field} = {strength!r} is not a strength"):
        Plant(**{field: strength})


def test_panels_need_a_class_that_stands():
    with pytest.raises(ValueError, match="texture_behind = 'sky': no such standing class"):
        Plant(texture_behind="sky")
    with pytest.raises(ValueError, match="texture_behind is None"):
        Plant(texture_strength=1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": -1}, "cannot hold fewer than 0"),
        ({"length": 1, "seed": -1}, "a seed is an integer from 0"),
        ({"length": 1, "size": (15, 64)}, r"size = \(15, 64\): .* >= 16 pixels"),
    ],
)
def test_malformed_streets_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Streets(**arguments)


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_outside_the_street_is_refused(index):
    with pytest.raises(IndexError, match=f"scene {index} of 3"):
        Streets(3, SMALL)[index]
