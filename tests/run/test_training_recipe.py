"""Recipes: strict, readable, the same after a file; presets that fit their data; seeds; rates."""

from pathlib import Path

import pytest
import torch

from seglens.core.errors import NameNotFoundError, ParameterError
from seglens.run.training.presets import preset
from seglens.run.training.recipe import KINDS, OptimiserRecipe, Recipe, differences, read_recipe, write_recipe
from seglens.run.training.schedule import factor, optimiser
from seglens.run.training.seeds import seed_of


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("data", ["streets", "faces", "sprites", "celeba:/data/celeba"])
def test_a_recipe_is_the_same_after_a_file(kind, data, tmp_path: Path):
    recipe = preset(kind, data)
    write_recipe(recipe, tmp_path / "recipe.toml")
    assert read_recipe(tmp_path / "recipe.toml") == recipe
    assert differences(recipe, recipe) == []


def test_sets_on_disk_are_taken_whole_and_built_in_ones_in_part():
    assert preset("vae", "celeba:/x").data.train is None
    assert preset("vae", "faces").data.train is not None
    # The pose of faces made by rule is an attribute: mirrored, it would be told wrongly.
    assert preset("vae", "celeba:/x").data.flip
    assert not preset("cvae", "celeba:/x").data.flip


def test_changes_by_dotted_names_and_what_they_changed():
    old = preset("mgrad2vae", "streets")
    new = old.with_({"loss.beta": 4.0, "steps": 7, "model.latent": 3, "data.size": [32, 64], "optimiser.rate": 1e-2})
    assert (new.loss.beta, new.steps, new.epochs, new.data.size) == (4.0, 7, None, (32, 64))
    assert new.model["latent"] == 3
    said = "\n".join(differences(old, new))
    for line in (
        "loss.beta: 1.0, not 4.0",
        "epochs: 5, not nothing",
        "steps: nothing, not 7",
        "model.latent: 64, not 3",
    ):
        assert line in said
    assert old.with_({"model": {"latent": 2}}).model == {"latent": 2}
    assert old.with_({"kind": "segmenter"}).architecture == "UNet"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss.bta": 1}, r"unknown key 'loss\.bta'.*'beta'"),
        ({"rate": 1.0}, r"unknown key 'rate'.*belongs under \[optimiser\]"),
        ({"optimizer.rate": 1.0}, r"unknown key 'optimizer'.*'optimiser'"),
        ({"optimiser.rate": 0}, "rate is to be > 0"),
        ({"optimiser.rate": "fast"}, "rate is to be a number"),
        ({"data.size": [3]}, r"data\.size is \(height, width\)"),
        ({"data.size": "64"}, "list of whole numbers"),
        ({"data.size": [True, 64]}, "list of whole numbers"),
        ({"data": 3}, "'data' is to be a table"),
        ({"architecture": "Unet"}, "a vae is one of VAE, BurgessVAE"),
        ({"epochs": None}, "said once: by epochs or by steps"),
        ({"precision": "bf16"}, "'bf16-mixed'"),
        ({"optimiser.milestones": [0.9, 0.5]}, "rising between 0 and 1"),
        ({"loss.reconstruction": "ssim"}, "loss or several"),
        ({"seed.x": 1}, "seed is a value and has no parts"),
    ],
)
def test_what_is_refused(changes, said):
    with pytest.raises(ParameterError, match=f"(?s){said}"):
        preset("vae", "faces").with_(changes)


def test_files_that_are_no_recipes_are_named(tmp_path: Path):
    path = tmp_path / "mine.toml"
    with pytest.raises(ParameterError, match=r"mine\.toml cannot be read"):
        read_recipe(path)
    path.write_text("kind = \nseed = 1\n")
    with pytest.raises(ParameterError, match=r"mine.toml is no valid TOML.*line 1"):
        read_recipe(path)
    path.write_text('kind = "vae"\n')
    with pytest.raises(ParameterError, match=r"mine.toml: 'data' is missing"):
        read_recipe(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ParameterError, match="no text in UTF-8"):
        read_recipe(path)


def test_an_unknown_kind_has_its_nearest():
    with pytest.raises(NameNotFoundError, match=r"(?s)'mgradvae'.*'mgrad2vae'"):
        preset("mgradvae", "streets")  # pyright: ignore[reportArgumentType]


def test_rates_are_what_they_say():
    total = 100
    one = [factor(OptimiserRecipe(schedule="one-cycle"), s, total) for s in range(total)]
    assert one[0] == pytest.approx(1 / 25)
    assert one[15] == max(one) == 1
    assert one[-1] == pytest.approx(1e-4)
    assert one[:16] == sorted(one[:16])
    assert one[15:] == sorted(one[15:], reverse=True)
    # In the middle of the fall, a half cosine is at its mean.
    assert factor(OptimiserRecipe(schedule="cosine"), 50, 101) == pytest.approx((1 + 1e-4) / 2)
    stepped = OptimiserRecipe(schedule="step", milestones=(0.5, 0.75), factor=0.1)
    assert [factor(stepped, s, 8) for s in (0, 3, 4, 5, 6, 7)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])
    assert {factor(OptimiserRecipe(schedule="constant"), s, 9) for s in range(9)} == {1.0}


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd"])
def test_an_optimiser_has_its_recipe_s_rate_and_leaves_frozen_weights_out(name):
    weights = [torch.nn.Parameter(torch.ones(1)), torch.nn.Parameter(torch.ones(1), requires_grad=False)]
    made = optimiser(OptimiserRecipe(name=name, rate=0.5, weight_decay=0.1), weights)
    (group,) = made.param_groups
    assert (group["lr"], group["weight_decay"], len(group["params"])) == (0.5, 0.1, 1)


def test_seeds_differ_by_seed_purpose_and_place():
    found = [
        seed_of(seed, purpose, step, rank)
        for seed in (0, 1)
        for purpose in ("step", "posterior", "mirror")
        for step in range(5)
        for rank in range(3)
    ]
    assert len(set(found)) == len(found)
    assert all(0 <= s < 2**63 for s in found)
    assert found[0] == seed_of(0, "step", 0, 0)


def test_a_recipe_takes_one_way_of_saying_how_long():
    with pytest.raises(ParameterError, match="said once"):
        Recipe.from_dict({"kind": "vae", "epochs": 1, "steps": 1, "data": {"name": "faces"}})
