"""The command line as a person uses it, from a network that they do not know to answers about their images."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from typer.testing import CliRunner

import seglens as sl
from seglens.cli import app
from seglens.datasets.streets import Streets

NETWORK = "streets-unet"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of streets with their truth, in which the person stands."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(tmp_path)
    for folder in ("streets", "truth", "ids"):
        Path(folder).mkdir()
    for i, scene in enumerate(Streets(2, (96, 192), seed=3)):
        Image.fromarray(scene.image).save(f"streets/{i}.png")
        Image.fromarray(scene.labels).save(f"truth/{i}.png")
        Image.fromarray(scene.instances.astype(np.uint16)).save(f"ids/{i}.png")
    return tmp_path


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert "Traceback" not in result.output
    return result.output


def explain(*words: object, code: int = 0) -> str:
    return run("explain", NETWORK, *words, code=code)


def told(*words: object, code: int = 0) -> dict[str, Any]:
    """What `explain --json` writes on standard output; warnings and errors go elsewhere."""
    result = CliRunner().invoke(app, ["explain", NETWORK, *map(str, words), "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_from_an_unknown_network_to_answers(here: Path) -> None:
    image = "streets/0.png"
    assert 'task = "segment"' in run("describe", NETWORK)
    assert "rider" in run("classes", NETWORK, image)
    assert "decoder" in run("layers", NETWORK, image)
    assert "smooth-grad" in run("methods")

    # The simplest question: nothing said but the image.
    assert "explanations/0.road.grad-cam.png" in explain(image)
    with Image.open("explanations/0.road.grad-cam.png") as picture:
        assert picture.width > 192
    # Several classes and methods in one picture, and the raw values beside it.
    explain(image, "-c", "rider", "-c", "car", "-m", "grad-cam", "-m", "saliency", "--format", "npz,html")
    maps = sl.open("explanations/0.rider+car.grad-cam+saliency.npz")
    assert isinstance(maps, sl.Explanations)
    assert [e.method for e in maps] == ["grad-cam", "grad-cam", "saliency", "saliency"]
    assert "<html" in Path("explanations/0.rider+car.grad-cam+saliency.html").read_text()
    # Why this and not that, in one place, at a layer of choice.
    explain(
        image, "-c", "rider", "--against", "person", "--region", "instance(rider, largest=1)",
        "-l", "decoder.block3", "--no-relu", "-o", "why.npz",
    )  # fmt: skip
    why = sl.open("why.npz")
    assert isinstance(why, sl.Explanation)
    assert why.target == "rider - person in instance(rider, largest=1)"
    assert why.signed
    assert why.map.min() < 0
    assert why.layer == "decoder.block3"
    # A region with no class: the class that is most of it.
    (one,) = told(image, "--region", "box(0, 90, 8, 110)")["explanations"]
    assert one["channel"] in ("sky", "building")


def test_truth_belongs_to_images_by_stem(here: Path) -> None:
    found = told("streets", "-c", "person", "--truth", "truth", "--region", "truth(person)", "-o", "t.npz")
    scenes = Streets(2, (96, 192), seed=3)
    for one, scene in zip(found["explanations"], scenes, strict=True):
        assert one["region_pixels"] == int((scene.labels == 6).sum())
    explain("streets/*.png", "-c", "person", "--truth", "truth", "--region", "confused(truth=rider, as_=person)")
    assert "stems" in explain("streets", "--truth", "truth/0.png", code=1)
    Path("truth/1.png").unlink()
    assert "no truth in 'truth' for 1 of 2" in explain("streets", "--truth", "truth", code=1)


def test_a_broken_image_stops_no_other(here: Path) -> None:
    whole = Path("streets/1.png").read_bytes()
    Path("streets/0 cut.png").write_bytes(whole[: len(whole) // 3])
    text = explain("streets", "-c", "road", "-m", "grad-cam", "-m", "saliency", code=1)
    assert "0 cut.png is damaged or cut short" in text
    assert text.count("damaged") == 1
    assert "2 of 3 images explained, 1 with errors." in text
    assert {p.stem for p in Path("explanations").glob("*.png")} == {f"{i}.road.grad-cam+saliency" for i in (0, 1)}
    found = told("streets", "-c", "road", code=1)
    assert [f["image"] for f in found["failures"]] == ["streets/0 cut.png"]
    assert len(found["explanations"]) == 2


def test_a_class_that_one_image_lacks_stops_no_other(here: Path) -> None:
    Image.new("RGB", (192, 96), (128, 128, 128)).save("streets/2 grey.png")
    text = explain("streets", "-c", "bicycle", code=1)
    assert "2 grey.png: no pixel lies in predicted(bicycle)" in text
    assert len(list(Path("explanations").glob("*.png"))) == 2


def test_images_of_every_kind_are_read(here: Path) -> None:
    scene = Image.open("streets/0.png")
    kinds = Path("kinds")
    kinds.mkdir()
    scene.convert("1").save(kinds / "one bit.png")
    Image.fromarray(np.asarray(scene.convert("L")).astype(np.uint16) * 257).save(kinds / "sixteen bit.png")
    scene.quantize(64).save(kinds / "palette.png")
    scene.convert("CMYK").save(kinds / "cmyk.jpg")
    scene.convert("RGBA").save(kinds / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    scene.rotate(90, expand=True).save(kinds / "turned.jpg", exif=turned)
    everything = told("kinds", "--region", "everything", "-c", "road", "-o", "k.npz")["explanations"]
    found = {Path(e["image"]).stem: e for e in everything}
    assert len(found) == 6
    assert all(e["size"] == [96, 192] for e in found.values())
    assert "Converted from CMYK to RGB." in found["cmyk"]["notes"]
    assert found["palette"]["score"] == pytest.approx(found["alpha"]["score"], abs=1)


def test_bad_input_gives_one_clear_error(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("L", (50, 50), 255).save("mask.png")
    assert "50" in explain("streets/0.png", "--mask", "mask.png", code=1)
    assert "nowhere" in explain("nowhere.png", code=1)
    assert "Nearest: 'streets-unet'" in run("explain", "street-unet", "streets/0.png", code=1)
    Path("page.png").write_text("<html>")
    assert "no image that Pillow can read" in explain("page.png", code=1)
    Path("empty").mkdir()
    assert "no images in the folder" in explain("empty", code=1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 96 * 192 // 4)
    assert "against files made to fill the memory" in explain("streets/0.png", code=1)


class Bare(nn.Module):
    """One convolution, as a person's own file would define it; here for its weights alone."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)


SOURCE = """
import torch
from torch import nn

class Strided(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)

    def forward(self, x):
        if x.shape[-1] % 8:
            raise ValueError(f"sides are to be multiples of 8, not {x.shape[-1]}")
        return self.conv(x)
"""


def _weights(fill: float) -> None:
    Path("toy.py").write_text(SOURCE)
    save_file({k: torch.full_like(v, fill) for k, v in Bare().state_dict().items()}, "toy.safetensors")


def test_a_persons_own_network(here: Path) -> None:
    own = ["toy.safetensors", "--constructor", "toy.py:Strided"]
    _weights(0.1)
    Image.new("RGB", (20, 20), "red").save("small.png")
    # Not yet described: its input is guessed, which is said, and the stride is met by chance only.
    text = run("explain", *own, "small.png", "-c", "1", code=1)
    assert "Warning: guessed how" in text
    assert "seglens describe" in text
    assert "multiples of 8" in text

    assert 'constructor = "toy.py:Strided"' in run("describe", *own, "--write")
    assert "divisor = 8" in Path("toy.toml").read_text()
    assert "--force" in run("describe", *own, "--write", code=1)
    run("describe", *own, "--write", "--force")
    # Described, the small image is padded; all of a one-layer network is its head.
    run("explain", *own, "small.png", "-c", "1", "-m", "saliency", "--region", "everything")
    # A network that gives NaN, and one whose map is zero.
    _weights(float("nan"))
    assert "NaN" in run("explain", *own, "small.png", "-c", "1", "-m", "saliency", code=1)
    _weights(0.0)
    text = run("explain", *own, "small.png", "-c", "1", "-m", "saliency", "--region", "everything")
    assert "Warning: zero everywhere" in text


def test_the_console_script_runs(here: Path) -> None:
    script = Path(sys.executable).with_name("seglens")
    done = subprocess.run([script, "methods", "--json"], capture_output=True, text=True, check=True)
    assert "grad-cam" in [card["name"] for card in json.loads(done.stdout)]
    assert done.stderr == ""


def test_the_demo_shows_at_least_four_methods(here: Path) -> None:
    text = run("demo", "--out", "shown")
    for name in ("scene.png", "prediction.png", "methods.png", "demo.html"):
        assert Path("shown", name).stat().st_size > 1000
        assert f"shown/{name}" in text
    assert max(map(len, text.splitlines())) <= 80
    maps = sl.open("shown/maps.npz")
    assert isinstance(maps, sl.Explanations)
    assert len({e.method for e in maps}) >= 4
    # They look right, in numbers: Grad-CAM's weight for a class lies where the class is.
    for e in maps:
        if e.method == "grad-cam" and e.target == "car in predicted(car)" and e.region is not None:
            assert e.share(e.region) > 5 * e.region.mean()
