"""seglens bench mgrad2vae, seg-vae: networks trained for a table, and found again."""

import json
from pathlib import Path

import pytest
from typed import flat, result, run

from seglens.run.tables import mgrad2vae, segmentation_vae

PAIR = ("--row", "mgrad2vae", "--row", "deep-vae")


def test_a_quick_table_of_mgrad2vae_is_printed_written_and_not_trained_twice() -> None:
    text = run("bench", "mgrad2vae", "--quick", *PAIR, "--out", "tables")
    assert max(map(len, text.splitlines())) <= 80
    for words in ("streets at 32 × 64 (built-in data made by rule)", "deep-vae", "those of deep-vae"):
        assert words in flat(text), words
    weights = Path("tables/mgrad2vae-seed0/network.safetensors")
    made = weights.stat().st_mtime_ns
    again = json.loads(run("bench", "mgrad2vae", "--quick", *PAIR, "--out", "tables", "--json"))
    assert weights.stat().st_mtime_ns == made
    scores = {one["row"]: one["scores"] for one in again["runs"]}
    assert set(scores["mgrad2vae"]) - set(scores["deep-vae"]) == {
        f"attention.{name}" for name in ("ssim", "auc_roc", "iou", "accuracy", "jaccard_loss", "cross_entropy")
    }
    # The branch is all that the two differ in.
    facts = {one["row"]: one["facts"]["parameters"] for one in again["runs"]}
    assert facts["mgrad2vae"] > facts["deep-vae"]
    assert Path("tables/results.md").read_text().count("\n") == 4


def test_a_quick_table_of_segmentation_vaes_stands_beside_a_u_net() -> None:
    text = run("bench", "seg-vae", "--quick", "--steps", "4", "--out", "tables")
    for words in (
        "64 px, d = 5, 4 stages",
        "64 px, d = 15",
        "64 px, xception-unet",
        "masks.jaccard_loss",
        "masks.cross_entropy",
    ):
        assert words in flat(text), words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--row", "mgradvae"), "mgrad2vae"),
        (("--size", "64"), "no size such as 64x128"),
        (("--data", "stretes"), "streets"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is(words: tuple[str, ...], said: str) -> None:
    code = 2 if "--size" in words else 1
    assert said in flat(result("bench", "mgrad2vae", *words, "--out", "tables", code=code).output)
    assert not list(Path("tables").glob("*-seed*/network.safetensors"))


def test_every_row_differs_from_mgrad2vae_in_what_its_name_says_alone() -> None:
    plan = mgrad2vae.plan_for(rows=tuple(mgrad2vae.ROWS), seeds=2)
    jobs = {(job.row, job.recipe.seed): job.recipe for job in plan.jobs()}
    assert len(jobs) == 2 * len(mgrad2vae.ROWS)
    base = jobs["mgrad2vae", 1].to_dict()
    for row in ("deep-vae", "activations", "gradients", "noise", "diag", "curvature", "paper"):
        other = jobs[row, 1].to_dict()
        assert {k: v for k, v in other.items() if k != "model"} == {k: v for k, v in base.items() if k != "model"}
        changed = {k for k in {**base["model"], **other["model"]} if base["model"].get(k) != other["model"].get(k)}
        assert changed == {k.removeprefix("model.") for k in mgrad2vae.ROWS[row]}
    unet = jobs["xception-unet", 1].to_dict()
    assert {k: unet[k] for k in ("batch", "steps", "data", "optimiser", "seed")} == {
        k: base[k] for k in ("batch", "steps", "data", "optimiser", "seed")
    }


def test_the_published_sizes_are_among_the_segmentation_vaes() -> None:
    recipes = [job.recipe.to_dict() for job in segmentation_vae.plan_for(seeds=1).jobs()]
    vaes = [r for r in recipes if r["kind"] == "seg-vae"]
    found = {(r["data"]["size"][0], r["model"]["latent"], r["model"]["stages"]) for r in vaes}
    assert found >= {(64, 5, 5), (128, 15, 4), (256, 100, 3), (64, 5, 4), (64, 15, 4), (64, 50, 4), (64, 100, 4)}
