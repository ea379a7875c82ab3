"""seglens parts: the table of an object's parts, JSON, files, and refusals before any work."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typed import NETWORK, flat, result

import seglens as sl
from seglens.datasets.streets import Streets

CHEAP = ("--method", "saliency", "--context", "--least", "1")


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Standard output, and standard error on one line."""
    done = result("parts", *words, code=code)
    return done.stdout, flat(done.stderr)


@pytest.fixture
def ids(street: Path) -> Path:
    """The street's instance ids beside it."""
    path = street.with_name("ids.png")
    Image.fromarray(Streets(1, (48, 96), seed=3)[0].instances).save(path)
    return path


def test_a_person_reads_the_parts_side_by_side(street: Path, ids: Path) -> None:
    out, _ = run(NETWORK, street, "--truth", "truth.png", "--instances", ids, "--class", "rider", *CHEAP)
    found = sl.explain_parts(
        NETWORK, street, "truth.png", instances=ids, label="rider", method=sl.Saliency(context=True), least=1
    )
    assert f"One rider at {found.at} in street.png, {found.pixels:,} pixels" in out
    table = out.partition("\n\n")[2].partition("Shares of")[0]
    assert table.split()[: len(found.parts[:4])] == [p.label for p in found.parts[:4]]
    assert [f"{p.pixels:,}" for p in found.parts[:4]] == table.partition("pixels")[2].split("\n")[0].split()
    assert table.partition("labelled")[2].split()[:2] == ["right", "wrong"]
    assert "of it, this one" in table
    assert f"contexts differ by {found.parts[0].difference(found.parts[1]):.2f}" in flat(out)
    assert "the other parts of the object are context" in flat(out)
    assert "→ parts.png" in out
    assert Path("parts.png").exists()
    again = next(line for line in out.splitlines() if line.startswith("  seglens explain "))
    assert f'--region "{found.wrong[0].region}"' in again
    assert max(len(line) for line in table.splitlines()) <= 80


def test_json_is_what_python_gives_at_a_pixel(street: Path) -> None:
    labels = np.asarray(Image.open("truth.png"))
    whole = sl.explain_parts(NETWORK, street, "truth.png", method="score-map", least=1)
    out, _ = run(NETWORK, street, "--truth", "truth.png", "--at", f"{whole.at[0]}, {whole.at[1]}", *CHEAP[2:],
                 "--json", "-o", "p.json", "-o", "p.npz", "-m", "saliency")  # fmt: skip
    told = json.loads(out)
    assert told["at"] == list(whole.at)
    assert told["truth"] == sl.load(NETWORK).classes.names[labels[whole.at]]
    assert told["files"] == ["p.json", "p.npz"]
    assert [p["pixels"] for p in told["parts"]] == [p.pixels for p in whole.parts]
    assert json.loads(Path("p.json").read_text())["parts"] == told["parts"]
    assert told["parameters"]["context"] is True
    assert len(sl.open("p.npz")) == len(whole.parts)


def test_a_layer_and_silence(street: Path) -> None:
    words = (NETWORK, street, "--truth", "truth.png", "-m", "grad-cam", "-l", "bottleneck")
    out, _ = run(*words, "--json", "-o", "p.json")
    assert json.loads(out)["layer"] == "bottleneck"
    assert run(*words, "--quiet", "-o", "p.json")[0] == ""


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "why.bmp"], 2, "give a suffix of .png"),
        (["-o", "truth.png"], 2, "is one of the inputs"),
        (["--at", "4;5"], 2, "give row and column as whole numbers, such as 40,55"),
        (["--at", "400,5"], 1, "outside the image"),
        (["--at", "5"], 1, "1 coordinates"),
        (["--least", "0"], 2, "greater than or equal to 1"),
        (["--least", "100000"], 1, "no object has a right and a wrong part"),
        (["-c", "unicorn"], 1, "unicorn"),
        (["-m", "salience"], 1, "Nearest: 'saliency'"),
        (["-m", "fusion-map"], 1, "without a question"),
        (["-m", "saliency", "-l", "bottleneck"], 1, "reads no layer"),
        (["--samples", "3"], 2, "has no such option"),
    ],
)
def test_refusals_come_before_any_file(street: Path, words: list[str], code: int, said: str) -> None:
    _, err = run(NETWORK, street, "--truth", "truth.png", *words, code=code)
    assert said in err
    assert not Path("parts.png").exists()


def test_labels_are_needed_and_of_a_network_that_labels_pixels(street: Path) -> None:
    assert "--truth" in run(NETWORK, street, code=2)[1]
    small = Image.open("truth.png").resize((48, 24), Image.Resampling.NEAREST)
    small.save("small.png")
    assert "never stretched to fit" in run(NETWORK, street, "--truth", "small.png", code=1)[1]
    assert "is a classifier" in run("streets-classifier", street, "--truth", "truth.png", code=1)[1]
