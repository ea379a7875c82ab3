"""seglens train, as a person types it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typed import flat, result, run

import seglens as sl
from seglens.networks.zoos.repair import mend_torchvision

SMALL = (
    *("--steps", "3", "--batch", "4", "--size", "16x32", "--device", "cpu"),
    *("--set", "data.train=8", "--set", "data.validation=2", "--set", "data.test=2"),
)
SEGMENTER = ("train", "segmenter", "streets", *SMALL, "--set", "model.widths=[4,4,4,4]", "--set", "model.bottleneck=4")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished training, and what was printed of it."""
    folder = tmp_path_factory.mktemp("typed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "80")
        patch.chdir(folder)
        (folder / "said.txt").write_text(run(*SEGMENTER))
    return folder


def test_what_is_printed_fits_eighty_columns_and_names_what_was_made(trained: Path) -> None:
    text = (trained / "said.txt").read_text()
    assert max(map(len, text.splitlines())) <= 80
    assert "Training: UNet on streets, 3 steps, into segmenter-streets." in text
    assert "segmenter on streets:" in flat(text)
    for word in ("mean IoU", "pixels right", "road", "motorcycle", "→ segmenter-streets/network.safetensors"):
        assert word in text
    assert "→ segmenter-streets/card.md" in text
    assert sl.load(trained / "segmenter-streets" / "network.safetensors").classes.names[0] == "road"


def test_a_data_set_that_is_none_is_refused_before_anything_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = run("train", "vae", "facs", code=1)
    assert "Training" not in text
    assert "no data set 'facs'. Nearest: 'faces'." in flat(text)
    assert not list(tmp_path.iterdir())


def test_the_same_command_again_says_that_it_is_finished(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    text = run(*SEGMENTER)
    assert "is finished: nothing is left to train. (--fresh begins anew.)" in flat(text)
    assert "Training:" not in text
    told = json.loads(run(*SEGMENTER, "--json"))
    assert told["already"]
    assert run(*SEGMENTER, "--quiet") == ""


def test_another_recipe_in_the_same_folder_is_refused(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)
    said = flat(run(*SEGMENTER, "--rate", "0.5", code=1))
    assert "holds a training by another recipe" in said
    assert "optimiser.rate: 0.004, not 0.5" in said


def test_the_folder_s_own_recipe_does_it_again(trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(trained)
    again = tmp_path / "again"
    run("train", "segmenter", "streets", "--recipe", "segmenter-streets/recipe.toml", "-o", again, "--device", "cpu")
    names = ("network.safetensors", "recipe.toml")
    for name in names:
        assert (again / name).read_bytes() == (trained / "segmenter-streets" / name).read_bytes()


def test_as_json_it_is_pure_and_stable(tmp_path: Path) -> None:
    asked = ("train", "vae", "sprites", *SMALL, "--size", "32", "--latent", "3", "-o", "v", "--json")
    done = result(*asked)
    told = json.loads(done.stdout)
    assert list(told) == [
        *("folder", "network", "kind", "data", "figures", "per_class", "parameters", "steps", "epochs", "best_step"),
        *("early", "seconds", "built_in", "provenance", "resumed", "already", "recipe"),
    ]
    assert told["network"] == "v/network.safetensors"
    assert told["recipe"]["model"]["latent"] == 3
    assert told["recipe"]["data"]["size"] == [32, 32]
    assert told["recipe"]["steps"] == told["steps"] == 3
    assert "epochs" not in told["recipe"]
    assert told["built_in"]
    assert Path("v/card.md").exists()


def test_an_interruption_says_what_is_kept_and_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    mend_torchvision()  # which Lightning imports where it is installed
    from seglens.run.training.keeper import Keeper

    real = Keeper.on_train_batch_end

    def press(self: Keeper, trainer: Any, module: Any, *rest: Any) -> None:
        if module.step == 1:
            raise KeyboardInterrupt
        real(self, trainer, module, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Keeper, "on_train_batch_end", press)
        said = flat(run(*SEGMENTER, "--every", "1", code=130))
    assert "Step 1 is kept in segmenter-streets: the same command goes on from there." in said
    text = run(*SEGMENTER)
    assert "Going on behind step 1: UNet on streets, 3 steps" in flat(text)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["vea", "faces"], 2, "none of vae, cvae, seg-vae, mgrad2vae, segmenter"),
        (["vae", "faecs"], 1, "Nearest: 'faces'"),
        (["cvae", "streets"], 1, "given attributes, and streets has none"),
        (["vae", "faces", "--size", "big"], 2, "no size such as 64x128"),
        (["vae", "faces", "--size", "60"], 1, "multiples of 16"),
        (["vae", "faces", "--set", "loss.beta"], 2, "no KEY=VALUE"),
        (["vae", "faces", "--set", "loss.bta=1"], 1, "Nearest: 'beta'"),
        (["vae", "faces", "--set", "architecture=Burgess"], 1, "Nearest: 'BurgessVAE'"),
        (["vae", "faces", "--recipe", "none.toml"], 1, "none.toml cannot be read"),
        (["vae", "faces", "--batch", "0"], 2, "--batch"),
        (["vae", "faces", "--device", "abacus"], 1, "--device cpu always can"),
    ],
)
def test_what_is_refused(words: list[str], code: int, said: str) -> None:
    few = ("--set", "data.train=40", "--set", "data.validation=2", "--set", "data.test=2")
    assert said in flat(run("train", *words, *few, code=code))
    assert list(Path().iterdir()) == []


def test_the_help_fits_eighty_columns() -> None:
    text = run("train", "--help")
    assert max(map(len, text.splitlines())) <= 80
    for word in ("--recipe", "--set", "--strategy", "goes on where it was stopped"):
        assert word in flat(text)
