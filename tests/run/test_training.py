"""Trainings of each kind, from nothing to a folder that opens: what is in it, and that it is the network trained."""

import csv
import json
import random
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from training_toys import CLASSES, CPU, Shapes, changes, run, splits

import seglens as sl
from seglens.core.convention import Convention
from seglens.core.errors import MissingExtraError, ParameterError
from seglens.core.progress import watching
from seglens.run.training.building import build
from seglens.run.training.data import facts_of
from seglens.run.training.fit import Where, train
from seglens.run.training.recipe import KINDS, read_recipe
from seglens.run.training.result import Trained


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A finished training of each kind."""
    base = tmp_path_factory.mktemp("trained")
    return {kind: run(kind, base / kind) for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_the_opened_network_gives_what_the_trained_module_gives(folders, kind):
    trained = folders[kind]
    recipe = trained.recipe
    built = build(recipe, facts_of(splits(), recipe))
    first = {k: v.clone() for k, v in built.module.state_dict().items()}
    from seglens.run.training.building import read_weights

    read_weights(built.module, trained.folder / "checkpoints" / "best.safetensors")
    assert any(not torch.equal(first[k], v) for k, v in built.module.state_dict().items())
    network = sl.load(trained.path)
    loaded = network.module.coder if hasattr(network.module, "coder") else network.module
    x = torch.rand(2, 3, 16, 32)
    condition = [torch.rand(2, 3)] if kind == "cvae" else []
    with torch.no_grad():
        assert torch.equal(loaded.eval()(x, *condition), built.module.eval()(x, *condition))
    assert network.convention == Convention(
        channels=3,
        mean=(0.0,) * 3 if kind in ("vae", "cvae") else (0.5,) * 3,
        std=(1.0,) * 3 if kind in ("vae", "cvae") else (0.25,) * 3,
        divisor=16 if kind == "segmenter" else 1,
        size=(16, 32),
    )
    if kind in ("seg-vae", "mgrad2vae", "segmenter"):
        assert network.classes == CLASSES


@pytest.mark.parametrize("kind", KINDS)
def test_curves_have_a_line_for_each_epoch_and_figures_are_in_their_ranges(folders, kind):
    trained = folders[kind]
    with (trained.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(r["epoch"], r["step"]) for r in rows] == [("1", "3"), ("2", "6")]
    assert all(np.isfinite([float(v) for v in r.values()]).all() for r in rows)
    assert (trained.steps, trained.epochs, trained.early) == (6, 2, False)
    figures = trained.figures
    if kind in ("vae", "cvae"):
        assert 0 < figures["squared_error"] < 1
        assert trained.per_class == {}
    else:
        assert 0 <= figures["mean_iou"] <= figures["mean_accuracy"] <= 1
        assert set(trained.per_class) == set(CLASSES.names)
    if kind == "segmenter":
        assert "kl" not in figures
    else:
        assert figures["kl"] >= 0
        assert 0 <= figures["active_units"] <= 3
    assert ("attention_mean_iou" in figures) is (kind == "mgrad2vae")


def test_held_out_masks_are_counted_as_scikit_learn_counts_them(folders):
    from sklearn.metrics import confusion_matrix

    trained = folders["segmenter"]
    network, test = sl.load(trained.path), Shapes(5, 2)
    counts = np.zeros((3, 3), int)
    for index in range(5):
        sample = test[index]
        x = (torch.from_numpy(sample.image).permute(2, 0, 1)[None].float() / 255 - 0.5) / 0.25
        with torch.no_grad():
            said = network.module.eval()(x).argmax(1)[0].numpy()
        known = sample.labels != 255
        counts += confusion_matrix(sample.labels[known], said[known], labels=range(3))
    hit, union = np.diag(counts), counts.sum(0) + counts.sum(1) - np.diag(counts)
    ious = [h / u if u else None for h, u in zip(hit, union, strict=True)]
    assert list(trained.per_class.values()) == [None if iou is None else pytest.approx(iou, rel=1e-6) for iou in ious]
    known_ious = [iou for iou in ious if iou is not None]
    assert len(known_ious) > 1
    assert trained.figures["mean_iou"] == pytest.approx(np.mean(known_ious), rel=1e-6)
    assert trained.figures["pixel_accuracy"] == pytest.approx(hit.sum() / counts.sum(), rel=1e-6)


def test_the_divergence_and_the_active_units_are_those_of_the_posteriors(folders):
    trained = folders["vae"]
    recipe = trained.recipe
    built = build(recipe, facts_of(splits(), recipe))
    from seglens.run.training.building import read_weights

    read_weights(built.module, trained.path)
    pixels = torch.stack([torch.from_numpy(Shapes(5, 2)[i].image).permute(2, 0, 1).float() / 255 for i in range(5)])
    with torch.no_grad():
        mu, logvar = built.module.eval().encode(pixels)
    posterior = torch.distributions.Normal(mu.double(), (logvar.double() / 2).exp())
    prior = torch.distributions.Normal(torch.zeros(3).double(), torch.ones(3).double())
    kl = torch.distributions.kl_divergence(posterior, prior).sum(1).mean()
    assert trained.figures["kl"] == pytest.approx(float(kl), rel=1e-5)
    assert trained.figures["active_units"] == int((mu.double().var(0, correction=0) > 0.01).sum())


def test_the_card_says_what_why_and_for_what_not(folders):
    text = (folders["mgrad2vae"].folder / "card.md").read_text()
    for part in (
        "# Mgrad2VAE on shapes",
        "a built-in set, made by rule by seglens (seed 0)",
        "13 training pictures of 16 × 32; 6 to choose weights by, 5 for the figures below",
        "Classes: ground, disc, bar",
        "batches of 4, 6 steps in 2 epochs; seed 0, precision 32-true",
        "loss cross-entropy + 1 KL (from 0 over the first 3 steps) + 1 attention + 1 scales",
        "seconds on cpu",
        "| mean IoU of the classes | ",
        "| attention maps: mean IoU | ",
        "| attention loss of scale 2 | ",
        "| disc | ",
        "does not mean anything",
        "Apache-2.0",
        f"- torch {torch.__version__}",
        "- lightning ",
        "seglens train mgrad2vae shapes --recipe recipe.toml",
    ):
        assert part in text, part
    conditional = (folders["cvae"].folder / "card.md").read_text()
    assert "Conditions: disc, bar, left" in conditional
    assert "Classes:" not in conditional


def test_the_card_of_a_user_s_own_data_claims_no_licence(tmp_path: Path):
    asked = changes("segmenter", epochs=1)
    where = "shapes:/home/me/shapes"
    train("segmenter", where, tmp_path / "own", changes=asked, splits=splits(built_in=False), where=CPU)
    text = (tmp_path / "own" / "card.md").read_text()
    assert "built-in" not in text
    assert "/home/me" not in text
    assert "Not stated" in text
    assert "read from a folder of whoever trained it" in text


def test_tensorboard_reads_curves_and_pictures(folders):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folders["mgrad2vae"].folder / "events")).Reload()
    assert [e.step for e in events.Scalars("step/loss")] == [1, 2, 3, 4, 5, 6]
    with (folders["mgrad2vae"].folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    told = [e.value for e in events.Scalars("held out/mean_iou")]
    assert told == pytest.approx([float(r["val_mean_iou"]) for r in rows], rel=1e-4)
    rows_of = {"images", "masks/truth", "masks/predicted", "attention/all", "attention/scale 1", "attention/scale 2"}
    assert set(events.Tags()["images"]) == rows_of
    picture = events.Images("masks/truth")[-1]
    assert (picture.step, picture.height, picture.width) == (6, 16, 6 * 32 + 5 * 2)
    from io import BytesIO

    from PIL import Image

    shown = np.asarray(Image.open(BytesIO(picture.encoded_image_string)))
    truth = Shapes(6, 1)[0].labels
    for label, colour in enumerate(CLASSES.colours or ()):
        assert (shown[:16, :32][truth == label] == colour).all()
    of_images = EventAccumulator(str(folders["vae"].folder / "events")).Reload()
    assert set(of_images.Tags()["images"]) == {"images", "reconstructions"}


def test_the_folder_s_recipe_is_the_one_in_force_and_the_result_is_read_back(folders):
    trained = folders["seg-vae"]
    assert read_recipe(trained.folder / "recipe.toml") == trained.recipe
    again = run("seg-vae", trained.folder)
    assert again.already
    assert again.figures == trained.figures
    told = json.loads(json.dumps(again.to_dict()))
    assert told["kind"] == "seg-vae"
    assert told["recipe"]["model"]["width"] == 4
    assert isinstance(again, Trained)


def test_a_changed_recipe_is_refused_with_the_difference_and_fresh_begins_anew(tmp_path: Path):
    run("segmenter", tmp_path / "a", epochs=1)
    weights = (tmp_path / "a" / "network.safetensors").read_bytes()
    with pytest.raises(ParameterError, match=r"(?s)another recipe.*optimiser\.rate: 0\.004, not 0\.1.*--fresh"):
        run("segmenter", tmp_path / "a", epochs=1, **{"optimiser.rate": 0.1})
    assert (tmp_path / "a" / "network.safetensors").read_bytes() == weights
    (tmp_path / "a" / "notes.txt").write_text("mine")
    other = train(
        "segmenter",
        "shapes",
        tmp_path / "a",
        changes=changes("segmenter", epochs=1, **{"optimiser.rate": 0.1}),
        splits=splits(),
        where=CPU,
        resume=False,
    )
    assert not other.already
    assert (tmp_path / "a" / "network.safetensors").read_bytes() != weights
    assert (tmp_path / "a" / "notes.txt").read_text() == "mine"


def test_folders_of_something_else_are_left_alone(tmp_path: Path):
    (tmp_path / "thesis.tex").write_text("years")
    for fresh in (False, True):
        with pytest.raises(ParameterError, match="not empty, and holds no training"):
            train("vae", "shapes", tmp_path, splits=splits(), resume=not fresh, changes=changes("vae"))
    with pytest.raises(ParameterError, match="is a file"):
        run("vae", tmp_path / "thesis.tex")
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.tex"]


def test_what_cannot_be_trained_leaves_no_folder(tmp_path: Path):
    with pytest.raises(ParameterError, match="learns masks"):
        run("mgrad2vae", tmp_path / "a", splits(masks=False))
    with pytest.raises(ParameterError, match="multiples of 4"):
        run("vae", tmp_path / "a", splits(size=(18, 32)))
    assert not (tmp_path / "a").exists()


def test_snapshots_open_and_the_first_is_of_the_untrained_network(tmp_path: Path):
    out = tmp_path / "a"
    trained = train("vae", "shapes", out, changes=changes("vae"), splits=splits(), where=CPU, keep=1)
    names = sorted(p.name for p in (out / "checkpoints").glob("epoch-*.safetensors"))
    assert names == [f"epoch-{n:04d}.safetensors" for n in range(3)]
    first = build(trained.recipe, facts_of(splits(), trained.recipe)).module.state_dict()
    opened = [sl.load(out / "checkpoints" / name) for name in names]
    states = [(n.module.coder if hasattr(n.module, "coder") else n.module).state_dict() for n in opened]
    assert all(torch.equal(first[k], states[0][k]) for k in first)
    assert any(not torch.equal(states[1][k], states[2][k]) for k in first)


def test_nothing_global_is_touched_and_nothing_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run("vae", tmp_path / "a", epochs=1)
    assert random.getstate() == before[0]
    assert np.random.get_state()[1].tolist() == before[1]  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), before[2])
    said = capfd.readouterr()
    assert said.out == said.err == ""


def test_progress_tells_epoch_loss_and_steps(tmp_path: Path):
    said = []
    with watching(lambda *told: said.append(told)):
        run("segmenter", tmp_path / "a", epochs=1)
    steps = [told for told in said if told[0].startswith("epoch ")]
    assert [told[1:] for told in steps] == [(1, 3), (2, 3), (3, 3)]
    assert steps[0][0].startswith("epoch 1/1, loss ")


@pytest.mark.parametrize("package", ["lightning", "tensorboard"])
def test_without_its_libraries_it_says_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package):
    from seglens.networks.zoos import repair

    real = repair.find_spec
    monkeypatch.setattr(repair, "find_spec", lambda name: None if name == package else real(name))
    with pytest.raises(MissingExtraError, match=rf"(?s)training a vae needs {package}.*seglens\[train\]"):
        run("vae", tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("where", "said"),
    [
        (Where(device="abacus"), "no training on 1 × abacus"),
        (Where(device="cpu", strategy="prayer"), "strategy 'prayer'"),
        (Where(device="cuda:x"), "name one, such as 'cuda:1'"),
    ],
)
def test_devices_and_strategies_that_are_not_there(tmp_path: Path, where, said):
    with pytest.raises(ParameterError, match=said):
        train("vae", "shapes", tmp_path / "a", changes=changes("vae"), splits=splits(), where=where)


def test_mixed_precision_trains_to_finite_weights(tmp_path: Path):
    trained = run("mgrad2vae", tmp_path / "a", epochs=1, precision="bf16-mixed")
    state = trained.network.module.state_dict()
    assert all(v.dtype == torch.float32 and bool(torch.isfinite(v).all()) for v in state.values())


def test_a_class_that_is_drawn_more_weigh_less_in_a_balanced_loss(tmp_path: Path):
    plain, balanced = (run("segmenter", tmp_path / str(b), epochs=1, balance=b) for b in (0.0, 0.5))
    assert plain.figures["loss"] != balanced.figures["loss"]


def test_the_other_architecture_of_segmenters_and_a_loss_of_two_parts(tmp_path: Path):
    trained = run(
        "segmenter",
        tmp_path / "a",
        epochs=1,
        architecture="XceptionUNet",
        model={"widths": [4, 4]},
        **{"loss.reconstruction": "cross-entropy+jaccard"},
    )
    assert type(trained.network.module).__name__ == "XceptionUNet"
    figures = trained.figures
    assert figures["loss"] == pytest.approx(figures["cross-entropy"] + figures["jaccard"], rel=1e-5)
    assert "| jaccard | " in (trained.folder / "card.md").read_text()
