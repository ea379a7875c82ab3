"""A mask taken away is what verify takes away where the two are the same, and what is counted is what is seen."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

import seglens as sl
from seglens.core.convention import Convention
from seglens.core.saving import as_json
from seglens.datasets.streets import Streets
from seglens.run.mask_removal import MaskRemoval, changes, remove_mask

pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")


@pytest.fixture(scope="module")
def network() -> sl.Network:
    return sl.load("streets-unet")


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    return Streets(1, (192, 384), seed=3)[0].image


def test_all_context_in_a_mask_is_what_verify_calls_bare(network: sl.Network, street: np.ndarray) -> None:
    checked = sl.verify(network, street, "saliency", "car", controls=0)
    region = checked.explanation.region
    assert region is not None
    found = remove_mask(network, street, ~region, "car")
    assert np.array_equal(found.region, region)
    assert found.removed_pixels == checked.context_pixels
    assert found.after.probability == pytest.approx(checked.bare.probability, abs=1e-6)
    assert found.before.probability == pytest.approx(checked.before.probability, abs=1e-6)
    assert found.after.iou == checked.bare.iou
    assert np.array_equal(found.after.segmentation.labels, checked.bare.segmentation.labels)  # pyright: ignore
    assert np.array_equal(found.after.segmentation.image, checked.bare.segmentation.image)


def test_the_region_itself_may_go(network: sl.Network, street: np.ndarray) -> None:
    region = sl.segment(network, street).mask("car")
    found = remove_mask(network, street, region, "car")
    assert found.after.probability < 0.8 * found.before.probability
    listed = {c["name"]: c for c in changes(found.before, found.after, found.region)}
    labels = found.after.segmentation.labels
    assert labels is not None
    assert listed["car"]["before"] == int(region.sum())
    assert listed["car"]["region_before"] == int(region.sum())
    assert listed["car"]["after"] == int((labels == listed["car"]["index"]).sum())
    for way in ("before", "after"):
        assert sum(c[way] for c in listed.values()) == region.size
        assert sum(c[f"region_{way}"] for c in listed.values()) == int(found.region.sum())


def test_pixels_outside_the_mask_stay(network: sl.Network, street: np.ndarray) -> None:
    mask = np.zeros(street.shape[:2], bool)
    mask[40:120, 100:200] = True
    found = remove_mask(network, street, mask, "car", fill="black")
    seen = found.after.segmentation.image
    assert np.array_equal(seen[~mask], street[~mask])
    assert not seen[mask].any()


def test_a_classifier_answers_for_the_picture(street: np.ndarray) -> None:
    network = sl.load("streets-classifier")
    mask = np.zeros(street.shape[:2], bool)
    mask[60:150, 90:260] = True
    found = remove_mask(network, street, mask, "car", fill="black")
    told = {way: sl.find_classes(network, picture) for way, picture in (("before", street), ("after", seen(found)))}
    for way, answer in (("before", found.before), ("after", found.after)):
        by_name = {f.name: f.confidence for f in told[way]}
        assert answer.probability == pytest.approx(by_name["car"], abs=1e-5)
        names = answer.segmentation.classes.names
        assert dict(zip(names, answer.probabilities, strict=True)) == pytest.approx(by_name, abs=1e-5)
        assert answer.labelled() == [(told[way][0].name, 1.0)]
    assert found.region.all()
    listed = {c["name"]: c for c in changes(found.before, found.after, found.region)}
    assert listed["car"]["likely_before"] == pytest.approx(found.before.probability)
    assert listed["car"]["likely_after"] == pytest.approx(found.after.probability)
    assert {f.name for f in told["before"] if f.confidence >= 0.011} <= set(listed)
    assert abs(found.after.probability - found.before.probability) > 0.05


def seen(found: MaskRemoval) -> np.ndarray:
    return found.after.segmentation.image


def test_without_a_target_a_classifier_is_asked_about_its_first(street: np.ndarray) -> None:
    mask = np.zeros(street.shape[:2], bool)
    mask[:20] = True
    found = remove_mask("streets-classifier", street, mask)
    assert found.target == sl.find_classes("streets-classifier", street)[0].name
    with pytest.raises(sl.errors.RegionError, match="one score for the whole image"):
        remove_mask("streets-classifier", street, mask, sl.Target("car", sl.box(0, 0, 20, 20)))


@pytest.mark.parametrize("name", ["streets-unet", "streets-classifier"])
def test_random_parts_are_held_against_it(name: str) -> None:
    network = sl.load(name)
    # On the network's own grid each pixel of a part is one of the picture.
    size = np.broadcast_to(network.convention.size or 0, 2).tolist()
    street = Streets(1, (size[0], size[1]), seed=3)[0].image
    mask = np.zeros(size, bool)
    mask[size[0] // 2 : -8, 30:90] = True
    found = remove_mask(network, street, mask, "car", controls=5, seed=1)
    drawn = found.controls
    assert len(drawn) == 5
    assert (drawn.masks.sum((1, 2)) == mask.sum()).all()
    # Each of them taken away for itself gives the number that is told of it.
    alone = [remove_mask(network, street, part, "car", controls=0) for part in drawn.masks]
    assert drawn.probabilities == pytest.approx([one.after.probability for one in alone], abs=1e-5)
    assert drawn.scores == pytest.approx([one.after.score for one in alone], abs=1e-5)
    k = sum(one.after.probability <= found.after.probability for one in alone)
    assert found.p_value == pytest.approx((1 + k) / 6)
    assert drawn.overlap == pytest.approx(np.mean([(part & mask).sum() / mask.sum() for part in drawn.masks]))
    assert np.isnan(alone[0].p_value)
    told = found.to_dict()
    assert (told["p_value"], told["controls"]["probabilities"]) == (found.p_value, drawn.probabilities.tolist())
    again = remove_mask(network, street, mask, "car", controls=5, seed=1)
    assert np.array_equal(again.controls.masks, drawn.masks)


def test_random_parts_lie_as_far_from_the_region(network: sl.Network, street: np.ndarray) -> None:
    region = sl.segment(network, street).mask("car")
    away = np.asarray(distance_transform_edt(~region))
    near = np.zeros_like(region)
    near[(away > 0) & (away <= 2)] = True
    found = remove_mask(network, street, near, "car", controls=4)
    for part in found.controls.masks:
        assert away[part].max() < 3
        assert not region[part].any()
    # So near to it is nothing else, and it says so.
    assert 0.5 < found.controls.overlap <= 1
    assert found.controls.overlap == 1 or any("in common" in note for note in found.notes)


def test_nothing_is_left_to_be_held_against_all_of_the_picture(street: np.ndarray) -> None:
    found = remove_mask("streets-classifier", street, np.ones(street.shape[:2], bool), "car")
    assert len(found.controls) == 0
    assert np.isnan(found.p_value)
    assert json.loads(as_json(found.to_dict()))["p_value"] is None


def test_random_parts_that_cannot_be_drawn_are_refused(network: sl.Network, street: np.ndarray) -> None:
    with pytest.raises(sl.errors.ParameterError, match="controls"):
        remove_mask(network, street, np.ones((192, 384), bool), "car", controls=-1)


def test_probabilities_are_means_over_the_region(network: sl.Network, street: np.ndarray) -> None:
    mask = np.zeros(street.shape[:2], bool)
    mask[:40] = True
    found = remove_mask(network, street, mask, "rider")
    for answer in (found.before, found.after):
        names = answer.segmentation.classes.names
        assert answer.probabilities[names.index("rider")] == pytest.approx(answer.probability, abs=1e-6)
        assert answer.probabilities.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", ["streets-unet", "streets-classifier"])
def test_it_is_saved_as_numbers_raw_values_and_figures(street: np.ndarray, tmp_path: Path, name: str) -> None:
    mask = np.zeros(street.shape[:2], bool)
    mask[60:150, 90:260] = True
    found = remove_mask(name, street, mask, "car")
    told = json.loads(found.save(tmp_path / "a.json").read_text())
    assert told == json.loads(as_json(found.to_dict()))
    assert told["after"]["probability"] == pytest.approx(found.after.probability)
    raw = np.load(found.save(tmp_path / "a.npz"))
    assert json.loads(str(raw["head"])) == told
    assert np.array_equal(raw["removed"], found.removed)
    assert np.array_equal(raw["picture-without"], seen(found))
    assert np.array_equal(raw["control-masks"], found.controls.masks)
    assert np.array_equal(raw["probabilities-without"], found.after.probabilities)
    assert ("prediction-without" in raw) == (name == "streets-unet")
    for suffix in ("png", "svg", "pdf"):
        assert found.save(tmp_path / f"a.{suffix}").stat().st_size > 10_000
    words = (tmp_path / "a.svg").read_text()
    assert "car" in words
    assert ("Segmentation without it" in words) == (name == "streets-unet")
    with pytest.raises(sl.errors.NameNotFoundError, match=r"a\.txt"):
        found.save(tmp_path / "a.txt")


def test_of_a_volume_the_slice_is_drawn_of_which_most_was_taken(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    module = torch.nn.Conv3d(1, 3, 3, padding=1)
    with torch.no_grad():
        module.weight.copy_(torch.randn(module.weight.shape, generator=generator))
    network = sl.Network(module=module, convention=Convention(channels=1))
    volume = np.random.default_rng(1).random((6, 12, 10)).astype(np.float32)
    mask = np.zeros(volume.shape, bool)
    mask[4, 2:9, 2:9] = True
    mask[2, 3, 3] = True
    found = remove_mask(network, volume, mask, 0)
    assert "slice 4" in found.save(tmp_path / "volume.svg").read_text()


@pytest.mark.parametrize(
    ("mask", "network_name", "error", "words"),
    [
        (np.ones((5, 5), bool), "streets-unet", sl.errors.ShapeError, "5 × 5"),
        (np.zeros((192, 384), bool), "streets-unet", sl.errors.ParameterError, "empty"),
        (np.ones((192, 384), bool), "faces-vae", sl.errors.ParameterError, "no classes"),
    ],
)
def test_what_cannot_be_removed_is_refused_in_words(
    street: np.ndarray, mask: np.ndarray, network_name: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        remove_mask(network_name, street, mask)


def test_an_unknown_fill_is_refused(network: sl.Network, street: np.ndarray) -> None:
    with pytest.raises(sl.errors.ParameterError, match="fill"):
        remove_mask(network, street, np.ones((192, 384), bool), "car", fill="glitter")  # pyright: ignore
