"""seglens latent: pictures, tables that fit, JSON, values as they are typed, refusals."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from typed import flat, result

import seglens.run.latent.sweep as sweeping
from seglens.core.errors import NonFiniteError
from seglens.datasets.faces import ATTRIBUTES, Faces
from seglens.datasets.sprites import draw_sprite
from seglens.generative import CVAE, BurgessVAE
from seglens.run.latent.sweep_table import Run


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Standard output, and standard error on one line."""
    done = result("latent", *words, code=code)
    return done.stdout, flat(done.stderr)


def described(module: torch.nn.Module, constructor: str, arguments: str, size: tuple[int, int], channels: int) -> None:
    """A network's file in the folder, with its description."""
    save_file(module.state_dict(), "net.safetensors")
    Path("net.toml").write_text(
        f'constructor = "{constructor}"\ntask = "encode"\nlink = "none"\n[constructor_arguments]\n{arguments}\n'
        f"[input]\nchannels = {channels}\nsize = [{size[0]}, {size[1]}]\n"
    )


@pytest.fixture
def sprite(terminal: None) -> str:
    """A small VAE without training, and two sprites."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = BurgessVAE(size=(32, 32), latent=3)
    described(module, "seglens.generative:BurgessVAE", "size = [32, 32]\nlatent = 3", (32, 32), 1)
    for name, x in (("a", 0.2), ("b", 0.8)):
        Image.fromarray(draw_sprite("ellipse", 0.8, 0.5, x, 0.5, (32, 32)).astype(np.uint8) * 255).save(f"{name}.png")
    return "net.safetensors"


def test_a_traversal_is_drawn_and_told(sprite: str) -> None:
    out, _ = run("traverse", sprite, "a.png", "-u", 2, "-u", 0, "--steps", 3, "-o", "t.gif", "-o", "t.png")
    assert "Units set to values · " in out
    assert "unit 2: here μ" in out
    assert "2 × 3 pictures" in out
    assert "→ t.gif" in out
    with Image.open("t.gif") as film:
        assert film.n_frames == 4


def test_json_of_a_traversal(sprite: str) -> None:
    told = json.loads(run("traverse", sprite, "a.png", "--add", "--values", "-0.5,0.5", "-m", "none", "--json")[0])
    assert told["columns"] == ["−0.5", "+0.5"]
    assert told["files"] == ["traversal.png"]
    assert told["attention"] is None
    z, mu = np.array(told["z"]), np.array(told["mu"])
    rows = [int(name.removeprefix("unit ")) for name in told["rows"]]
    for r, unit in enumerate(rows):
        np.testing.assert_allclose(z[r, :, unit] - mu[unit], [-0.5, 0.5], atol=1e-5)


@pytest.mark.parametrize(
    ("text", "values"),
    [("0.1,0.5", [0.1, 0.5]), ("-2:2", [-2.0, 0.0, 2.0]), ("1", [1.0])],
)
def test_values_as_they_are_typed(sprite: str, text: str, values: list[float]) -> None:
    told = json.loads(
        run("traverse", sprite, "a.png", "--direction", "0=1,2=-0.5", "--values", text, "--steps", 3, "--json")[0]
    )
    np.testing.assert_allclose(np.array(told["z"])[0][:, [0, 2]], [[v, -v / 2] for v in values], atol=1e-6)


def test_grid_interpolation_and_samples(sprite: str) -> None:
    run("grid", sprite, "a.png", "--across", 0, "--down", 1, "--steps", 2, "-q")
    assert Path("grid.png").exists()
    out, _ = run("interpolate", sprite, "a.png", "b.png", "--steps", 3, "--path", "spherical", "-o", "way.html")
    assert "a.png to b.png, spherical" in out
    told = json.loads(run("sample", sprite, "-n", 3, "--seed", 4, "--temperature", 0.5, "--json", "-o", "s.npz")[0])
    assert told["title"] == "3 samples, seed 4, temperature 0.5"
    with np.load("s.npz") as kept:
        assert np.isfinite(kept["pictures"]).all((2, 3, 4)).sum() == 3


def test_attributes_are_edited(terminal: None) -> None:
    fields = {"size": (32, 32), "latent": 2, "widths": (4, 4), "conditions": ("smiling", "beard")}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = CVAE(**fields)
    arguments = 'size = [32, 32]\nlatent = 2\nwidths = [4, 4]\nconditions = ["smiling", "beard"]'
    described(module, "seglens.generative:CVAE", arguments, (32, 32), 3)
    Image.fromarray(Faces(1, size=(32, 32))[0].image).save("face.png")
    own = ("--condition", "smiling=0", "--condition", "beard=1")
    told = json.loads(run("edit", "net.safetensors", "face.png", *own, "--set", "smiling=0.5,1", "--json")[0])
    assert told["conditions"] == [[[0, 1], [0.5, 1], [1, 1]]]
    assert told["columns"] == ["own", "0.5", "1"]
    _, err = run("edit", "net.safetensors", "face.png", *own, "--set", "smilling=1", code=1)
    assert "not conditioned on 'smilling'. Nearest: 'smiling'" in err
    out, _ = run("edit", "net.safetensors", "face.png", "--condition", "beard=1", "--set", "smiling=1")
    assert "beard 1. *: read off the image" in " ".join(out.split())
    assert {"smiling", "beard"} <= set(ATTRIBUTES)


def test_statistics_are_a_table_that_fits(sprite: str) -> None:
    out, _ = run("statistics", sprite, "sprites", "-n", 30, "-o", "units.csv")
    assert max(map(len, out.partition("of other units.")[0].splitlines())) <= 80
    assert "0 of 3 units active" in out
    assert "dead: 0, 1, 2" in out
    told = json.loads(run("statistics", sprite, "sprites", "-n", 30, "-m", "none", "--json")[0])
    assert told["dead"] == [0, 1, 2]
    assert told["attention"] is None
    assert len(Path("units.csv").read_text().splitlines()) == 4


def test_factors_are_a_table_that_fits(sprite: str) -> None:
    out, _ = run("factors", sprite, "sprites", "-n", 60, "-o", "f.png")
    assert max(map(len, out.partition("or more.")[0].splitlines())) <= 80
    assert "MIG" in out
    told = json.loads(run("factors", sprite, "sprites", "-n", 60, "--json")[0])
    assert [f["name"] for f in told["factors"]] == ["shape", "scale", "rotation", "x", "y"]
    assert told["files"] == []
    _, err = run("factors", sprite, "streets", "-n", 4, code=1)
    assert "nothing is known of what these pictures were made of" in err


def test_a_sweep_is_a_table_with_a_recommendation(terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def trained(kind, data, at, recipe, changes, device):
        seen.append(changes)
        if changes["model.latent"] == 20 and changes["seed"]:
            raise NonFiniteError("the loss is NaN.")
        return changes

    def measured(trained, variant, latent, seed, n, attention, device):
        return Run(
            variant=variant,
            latent=latent,
            seed=seed,
            error=0.35 if latent == 2 else 0.11 - latent * 1e-5,
            kl=9,
            active=min(latent, 6),
        )

    monkeypatch.setattr(sweeping, "_trained", trained)
    monkeypatch.setattr(sweeping, "_measured", measured)
    words = ("sweep", "vae", "sprites", "--latents", "2,10,20", "--seeds", 2, "--set", "epochs=3", "--vary")
    out, err = run(*words, "loss.beta=1,4.5", "-o", "s.csv", "-o", "s.png", code=1)
    assert max(map(len, out.splitlines()[:12])) <= 80
    assert "beta 4.5: " in out
    assert "10 latent units: 6 of them active, and an error as good as the least, at 20." in out
    assert "Error: beta 1, 20 units, seed 1: the loss is NaN." in err
    assert seen[0] == {"epochs": 3, "loss.beta": 1, "model.latent": 2, "seed": 0}
    assert len(Path("s.csv").read_text().splitlines()) == 1 + 10
    told = json.loads(run(*words, "loss.reconstruction=bce,mse", "--json", code=1)[0])
    assert told["total"] == 12
    assert [r["latent"] for r in told["recommendations"]] == [10, 10]
    assert math.isclose(told["sizes"][0]["error"]["mean"], 0.35)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["traverse", "a.png", "-u", "9"], 1, "no unit 9"),
        (["traverse", "a.png", "-u", "x"], 2, "'x' is no number of a unit"),
        (["traverse", "a.png", "-u", "1", "--direction", "0=1"], 2, "give one of them"),
        (["traverse", "a.png", "--direction", "0=much"], 2, "no unit with a weight"),
        (["traverse", "a.png", "--values", "a,b"], 2, "neither a list"),
        (["traverse", "a.png", "--values", "1:2:3"], 2, "neither a list"),
        (["traverse", "a.png", "-o", "a.png"], 2, "is one of the inputs"),
        (["traverse", "a.png", "-o", "a.gift"], 2, "give a suffix of .png"),
        (["traverse", "a.png", "--condition", "smile=1"], 1, "takes no condition"),
        (["edit", "a.png", "--set", "smile"], 2, "an attribute with values"),
        (["statistics", "sprits"], 1, "Nearest: 'sprites'"),
    ],
)
def test_refusals(sprite: str, words: list[str], code: int, said: str) -> None:
    command, *rest = words
    _, err = run(command, sprite, *rest, code=code)
    assert said in err


def test_refusals_of_sweeps(terminal: None) -> None:
    for words, said in (
        (["segmenter", "streets", "--latents", "2"], "is none of vae, cvae, seg-vae, mgrad2vae"),
        (["vae", "sprites", "--latents", "two"], "no list of sizes"),
        (["vae", "sprites", "--latents", "2", "--vary", "loss.beta"], "no KEY=VALUES"),
        (["vae", "sprites", "--latents", "2", "--set", "epochs"], "no KEY=VALUE"),
    ):
        _, err = run("sweep", *words, code=2)
        assert said in err
