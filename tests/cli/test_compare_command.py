"""seglens compare: tables that fit, files, JSON, exit codes, and refusals before any work."""

import json
from pathlib import Path

import numpy as np
import pytest
from typed import NETWORK, flat, result

import seglens as sl
from seglens.core.method import METHODS

FEW = ("-m", "saliency", "-m", "grad-cam", "-m", "guided-backprop")


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Standard output, and standard error on one line."""
    done = result("compare", *words, code=code)
    return done.stdout, flat(done.stderr)


def test_a_person_reads_tables_warnings_and_what_was_written(street: Path) -> None:
    out, err = run(NETWORK, street, "--class", "road", *FEW, "--randomise", 3, "--out", "why.html", "-o", "why.json")
    assert "road in predicted(road)" in out
    assert "Rank correlation" in out
    assert "3 shuffled copies" in " ".join(out.split())
    for name in FEW[1::2]:
        assert name in out
    assert all(len(line) <= 80 for line in out.splitlines() if not line.startswith("  ")), out
    assert "→ why.html" in out
    assert "Warning: guided-backprop is known to depend weakly on what networks learned" in err
    assert "1810.03292" in err
    assert Path("why.html").read_text().startswith("<!DOCTYPE")
    told = json.loads(Path("why.json").read_text())
    assert f"{told['randomisation'][0]['trained']['value']:.2f}" in out


def test_json_is_what_python_gives(street: Path) -> None:
    out, _ = run(NETWORK, street, "-c", "road", "-m", "saliency", "-m", "smooth-grad", "--samples", 2, "--noise", 0.1,
                 "--randomise", 0, "--json", "--out", "raw.npz")  # fmt: skip
    told = json.loads(out)
    methods = ["saliency", sl.SmoothGrad(samples=2, noise=0.1)]
    made = sl.compare(NETWORK, street, methods, "road", randomise=0)
    np.testing.assert_allclose(told["correlations"], made.agreement.correlations)
    assert told["randomisation"] == []
    assert told["files"] == ["raw.npz"]
    assert told["image"] == str(street)
    assert told["methods"][1]["parameters"]["samples"] == 2
    opened = sl.open("raw.npz")
    np.testing.assert_array_equal(opened[-1].map, made.consensus)


def test_layers_and_regions(street: Path) -> None:
    out, _ = run(NETWORK, street, "-m", "grad-cam", "-m", "saliency", "-l", "encoder.block4", "-l", "bottleneck",
                 "--region", "box(4, 8, 40, 60)", "--randomise", 0, "--json", "-o", "x.json")  # fmt: skip
    told = json.loads(out)
    assert [m["layer"] for m in told["methods"]] == ["encoder.block4", "bottleneck", None]
    assert "box(4, 8, 40, 60)" in told["target"]
    assert len({m["label"] for m in told["methods"]}) == 3


def test_the_page_is_written_where_nothing_is_said(street: Path) -> None:
    out, _ = run(NETWORK, street, "-m", "saliency", "-m", "hires-cam", "--randomise", 0, "--quiet")
    assert out == ""
    assert Path("comparison.html").exists()


def test_a_method_that_fails_is_said_and_the_others_are_kept(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise sl.SeglensError("planted refusal")

    monkeypatch.setattr(METHODS["grad-cam"], "__call__", refuse)
    out, err = run(NETWORK, street, "-c", "road", "-m", "grad-cam", "-m", "saliency", "-m", "input-x-gradient",
                   "--randomise", 0, "-o", "x.json", code=1)  # fmt: skip
    assert "Error: grad-cam: planted refusal" in err
    assert "saliency" in out
    assert Path("x.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "why.bmp"], 2, "give a suffix of .html"),
        (["-o", "street.png"], 2, "is one of the inputs"),
        (["-m", "saliency", "--layer", "bottleneck"], 2, "none of the methods reads a layer"),
        (["-m", "saliency", "--randomise", "0"], 1, "takes two or more"),
        (["-m", "saliency", "-m", "fusion-map", "--randomise", "0"], 1, "shows the network without a question"),
        (["--randomise", "2"], 1, "at least 3"),
        (["-m", "salience", "-m", "grad-cam"], 1, "Nearest: 'saliency'"),
        (["-c", "unicorn"], 1, "unicorn"),
    ],
)
def test_refusals_come_before_any_file(street: Path, words: list[str], code: int, said: str) -> None:
    _, err = run(NETWORK, street, *words, code=code)
    assert said in err
    assert not Path("comparison.html").exists()
    assert street.read_bytes().startswith(b"\x89PNG")
