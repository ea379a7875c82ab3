"""seglens explain of latent units: numbers and words, what is read and refused, what is said of silent units."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typed import NETWORK, flat, result, run

import seglens as sl
from seglens.core.explanation import open_explanations
from seglens.generative import CVAE, VAE, SegmentationVAE
from seglens.networks.description import Description, write_description
from seglens.run.latent.coding import Coding
from seglens.run.latent.fitting import fitted_condition

sys.path.insert(0, str(Path(__file__).parents[1] / "journeys"))
from published import material

KINDS = {
    "vae": (VAE, {"channels": 1, "size": [16, 16], "latent": 4, "widths": [4, 6], "activation": "silu"}),
    "cvae": (CVAE, {"channels": 1, "size": [16, 16], "latent": 4, "widths": [4, 6], "conditions": ["smile"]}),
    "seg": (SegmentationVAE, {"channels": 1, "classes": ["back", "eye"], "size": [16, 16], "latent": 4, "stages": 2}),
}


@pytest.fixture
def image(tmp_path: Path) -> str:
    pixels = np.random.default_rng(0).integers(0, 255, (16, 16), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one.png")
    Image.fromarray(pixels.T.copy()).save(tmp_path / "two.png")
    return "one.png"


def saved(kind: str) -> str:
    """Weights and description in the current folder; unit 0 is dead."""
    maker, arguments = KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = maker(**arguments)
    with torch.no_grad():
        for head in (module.encoder.mu, module.encoder.logvar):
            head.weight[0] = 0
            head.weight[1:] *= 3
    torch.save(module.state_dict(), f"{kind}.pth")
    write_description(
        Description(constructor=f"seglens.generative:{maker.__name__}", constructor_arguments=arguments),
        Path(f"{kind}.toml"),
    )
    return f"{kind}.pth"


def given(file: str) -> torch.Tensor:
    """An image file as the toys receive it."""
    return torch.tensor(np.asarray(Image.open(file)))[None, None] / 255


@pytest.mark.parametrize(("kind", "more"), [("vae", []), ("seg", []), ("cvae", ["--condition", "smile=1"])])
def test_units_by_number(image, kind, more):
    told = json.loads(run("explain", saved(kind), image, "--unit", 2, "--unit", 3, *more, "--json"))
    assert [e["target"] for e in told["explanations"]] == ["unit 2", "unit 3"]
    for e in told["explanations"]:
        mu, logvar = e["numbers"]["mu"], e["numbers"]["logvar"]
        assert e["score"] == pytest.approx(mu, rel=1e-5)
        assert e["numbers"]["kl"] == pytest.approx((mu**2 + np.exp(logvar) - 1 - logvar) / 2, rel=1e-5)


def test_each_image_has_its_own_condition_where_none_was_given(image):
    saved("cvae")
    Path("broken.png").write_bytes(b"no picture")
    # Its decoder draws brighter pictures where smile is larger.
    Image.fromarray(np.asarray(Image.open("two.png")) // 8 + 116).save("two.png")
    done = result("explain", "cvae.pth", image, "broken.png", "two.png", "--unit", 3, "--json", code=1)
    told = json.loads(done.stdout)
    assert [f["image"] for f in told["failures"]] == ["broken.png"]
    conditions = []
    for e in told["explanations"]:
        (note,) = (n for n in e["notes"] if n.startswith("Condition: smile "))
        assert "read off the image" in note
        conditions.append(float(note.removeprefix("Condition: smile ").split("*")[0].replace("−", "-")))
        fitted = fitted_condition(Coding.of(sl.load("cvae.pth")), given(e["image"]), {})
        assert conditions[-1] == pytest.approx(float(fitted), abs=0.006)
        known = run("explain", "cvae.pth", e["image"], "--unit", 3, "--condition", f"smile={float(fitted)}", "--json")
        assert json.loads(known)["explanations"][0]["score"] == e["score"]
    assert conditions[0] != conditions[1]
    assert "  Condition: smile " in run("explain", "cvae.pth", image, "--unit", 3)


def test_all_units_by_default_and_a_dead_one_is_named(image):
    text = run("explain", saved("vae"), image)
    assert text.count("grad-cam at encoder.stage2: unit") == 4
    assert "(logits)" not in text
    alone = flat(run("explain", "vae.pth", image, "--unit", "all", "--quiet"))
    assert alone == ""


def test_of_one_image_silence_is_said_of_several_death(image, capsys):
    one = result("explain", saved("vae"), image).stderr
    assert "the posterior of unit 0 of vae is the prior for this image" in one
    assert "cannot tell a dead unit from one that is silent here" in flat(one)
    several = result("explain", "vae.pth", "one.png", "two.png").stderr
    assert "dead over these 2 images: unit 0 of vae" in several


def test_the_mean_of_the_maps(image):
    saved("vae")
    run("explain", "vae.pth", image, "--unit", "all", "--out", "each.npz")
    run("explain", "vae.pth", image, "--unit", "mean", "--out", "mean.npz")
    run("explain", "vae.pth", image, "--unit", "mean", "--unit", 1, "--unit", 2, "--out", "two.npz")
    each = np.stack([e.map for e in open_explanations("each.npz")])
    np.testing.assert_allclose(open_explanations("mean.npz").map, each.mean(0), rtol=1e-5)
    two = open_explanations("two.npz")
    np.testing.assert_allclose(two.map, each[1:3].mean(0), rtol=1e-5)
    assert two.target == "mean of 2 units"


def test_the_sum_of_units_is_one_score(image):
    run("explain", saved("vae"), image, "--unit", "sum", "--no-relu", "--out", "sum.npz")
    run("explain", "vae.pth", image, "--no-relu", "--out", "each.npz")
    total, each = open_explanations("sum.npz"), open_explanations("each.npz")
    np.testing.assert_allclose(total.map, np.sum([e.map for e in each], 0), rtol=1e-4, atol=1e-7)
    assert total.target == "sum of 4 units"
    assert total.score == pytest.approx(sum(e.score for e in each), rel=1e-5)


def test_second_order_asks_for_the_sum(image):
    words = ("explain", saved("vae"), image, "-m", "second-order", "--layer", "encoder.stage1", "--json")
    (found,) = json.loads(run(*words))["explanations"]
    assert found["target"] == "sum of 4 units"
    assert found["unit"] == "unit of the output per squared unit of the layer"
    assert found["maximum"] > 0 > found["minimum"]
    (curved,) = json.loads(run(*words, "--variant", "curvature"))["explanations"]
    assert curved["minimum"] >= 0


@pytest.mark.parametrize(("word", "number"), [("mu", "mu"), ("logvar", "logvar")])
def test_what_a_unit_is_read_off(image, word, number):
    (found,) = json.loads(run("explain", saved("vae"), image, "--unit", 3, "--of-latent", word, "--json"))[
        "explanations"
    ]
    assert found["score"] == pytest.approx(found["numbers"][number], rel=1e-5)


def test_a_sample_and_its_draw(image):
    words = ("explain", saved("vae"), image, "--unit", 3, "--of-latent", "sample", "--json")
    first, again, other = (json.loads(run(*words, "--draw", n))["explanations"][0] for n in (0, 0, 1))
    assert first["score"] == again["score"] != other["score"]
    epsilon = float(torch.randn(4, generator=torch.Generator().manual_seed(0))[3])
    mu, logvar = first["numbers"]["mu"], first["numbers"]["logvar"]
    assert first["score"] == pytest.approx(mu + np.exp(logvar / 2) * epsilon, rel=1e-5)


def test_against_another_unit(image):
    (found,) = json.loads(run("explain", saved("vae"), image, "--unit", 3, "--against", 1, "--json"))["explanations"]
    assert found["target"] == "unit 3 - unit 1"


def test_a_segmenter_among_autoencoders_keeps_its_classes(image):
    (found,) = json.loads(run("explain", saved("seg"), image, "--class", "back", "--json"))["explanations"]
    assert found["target"].startswith("back in predicted")


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([NETWORK, "one.png", "--unit", "3"], 1, "streets-unet has no latent units: it is no autoencoder"),
        (
            ["vae.pth", "one.png", "--class", "3"],
            2,
            "vae has latent units, which are no classes: ask for them by number",
        ),
        (["seg.pth", "one.png", "--class", "eye", "--unit", "1"], 2, "give one of --class and --unit"),
        (["vae.pth", "one.png", "--unit", "4"], 1, "no unit 4: vae has 4, numbered from 0 to 3"),
        (["vae.pth", "one.png", "--unit", "eye"], 1, "'eye' is no latent unit: vae has 4"),
        (["vae.pth", "one.png", "--unit", "1", "--against", "9"], 1, "no unit 9"),
        (["vae.pth", "one.png", "--condition", "smile=1"], 1, "vae takes no condition"),
        (["cvae.pth", "one.png", "--condition", "smile"], 1, "NAME=VALUE with a number, not 'smile'"),
        (["cvae.pth", "one.png", "--condition", "simle=1"], 1, "Nearest: 'smile'"),
        (["seg.pth", "one.png", "--of-latent", "mu"], 2, "it concerns latent units: say which with --unit"),
    ],
)
def test_what_cannot_be_asked(image, words, code, text):
    for kind in KINDS:
        saved(kind)
    assert text in flat(run("explain", *words, code=code))


@pytest.mark.parametrize("name", ["VAE_dsprites", "VAE_mnist", "btcvae_dsprites", "btcvae_mnist"])
def test_the_published_vaes(name, tmp_path):
    side = 64 if "dsprites" in name else 28
    pixels = np.zeros((side, side), np.uint8)
    pixels[side // 3 : side // 2, side // 3 : 2 * side // 3] = 255
    Image.fromarray(pixels).save("sprite.png")
    told = json.loads(run("explain", material(f"vae/{name}"), "sprite.png", "--unit", 3, "--unit", 4, "--json"))
    assert [e["target"] for e in told["explanations"]] == ["unit 3", "unit 4"]
    assert all(e["size"] == [side, side] for e in told["explanations"])
    every = json.loads(run("explain", material(f"vae/{name}"), "sprite.png", "--json"))["explanations"]
    silent = tuple(i for i, e in enumerate(every) if any("is the prior for this image" in n for n in e["notes"]))
    assert silent == {"btcvae_dsprites": (0, 1, 5, 7, 9), "btcvae_mnist": (2, 7)}.get(name, ())
