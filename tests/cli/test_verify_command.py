"""seglens verify: words and table that fit, files, JSON, saved explanations, options of its own and of methods."""

import json
from pathlib import Path

import numpy as np
import pytest
from typed import NETWORK, flat, result

import seglens as sl

QUICK = ("-m", "saliency", "--controls", 3, "--share", 0.05)


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Standard output, and standard error on one line."""
    done = result("verify", *words, code=code)
    return done.stdout, flat(done.stderr)


def test_a_person_reads_what_came_out_and_where_it_was_written(street: Path) -> None:
    out, _ = run(NETWORK, street, "-c", "road", *QUICK, "-o", "why.png", "-o", "why.html", "-o", "why.json")
    told = json.loads(Path("why.json").read_text())
    text = flat(out)
    for sentence in told["said"]:
        assert sentence in text
    assert "road in predicted(road)" in out
    assert "saliency, streets-unet, filled with mean" in out
    assert "(3 draws)" in text
    lines = out.splitlines()
    table = next(i for i, line in enumerate(lines) if "as it is" in line)
    assert all(len(line) <= 80 for line in lines[table:]), out
    (row,) = [line.split() for line in lines if line.startswith("p(road) over the region")]
    assert row[-3:] == [f"{told[k]['probability']:.3f}" for k in ("before", "after", "bare")]
    (row,) = [line for line in lines if "labelled road" in line]
    assert f"{100 * told['after']['region']['road']:.1f} %" in row
    assert [line for line in lines if "→" in line] == ["  → why.png", "  → why.html", "  → why.json"]
    assert Path("why.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_what_python_gives(street: Path) -> None:
    out, _ = run(NETWORK, street, "-c", "road", "--against", "sky", "--region", "box(30, 4, 46, 60)",
                 "-m", "smooth-grad", "--samples", 2, "--method-seed", 5, "--seed", 3, "--of", "logits",
                 "--remove", "rest", "--share", 0.2, "--fill", "0.2,0.4,0.6", "--controls", 2,
                 "--json", "-o", "x.npz")  # fmt: skip
    told = json.loads(out)
    target = sl.Target(sl.channel("road") - sl.channel("sky"), sl.box(30, 4, 46, 60), of="logits")
    made = sl.verify(NETWORK, street, sl.SmoothGrad(samples=2, seed=5), target, remove="rest", share=0.2,
                     fill="0.2,0.4,0.6", controls=2, seed=3)  # fmt: skip
    plain = json.loads(json.dumps(made.to_dict()))
    assert {**plain, "image": str(street), "source": NETWORK, "files": ["x.npz"]} == told
    assert told["quantity"] == "p(road) − p(sky)"
    np.testing.assert_array_equal(sl.open("x.npz").extras["removed"], made.removed)


def test_a_saved_explanation_is_verified_without_explaining_again(street: Path) -> None:
    why = sl.explain(NETWORK, street, "saliency", "road")
    why.save("why.npz")
    out, _ = run(NETWORK, street, "--explanation", "why.npz", "--controls", 2, "--json", "-o", "x.json")
    made = sl.verify(NETWORK, street, why, controls=2)
    assert json.loads(out)["after"] == json.loads(json.dumps(made.after.to_dict()))
    sl.explain(NETWORK, street, "saliency", ["road", "sky"]).save("two.npz")
    for words, said in (
        (("--explanation", "two.npz"), "holds 2 explanations"),
        (("--explanation", "why.npz", "-c", "sky"), "has its question and method"),
        (("--explanation", "why.npz", "--method-fill", "blur"), "has its question and method"),
        (("--explanation", "why.npz", "--reduce", "sum"), "has its question and method"),
        (("--explanation", "why.npz", "-o", "why.npz"), "is one of the inputs"),
    ):
        _, err = run(NETWORK, street, *words, code=2)
        assert said in err
    _, err = run(NETWORK, street, "--explanation", "street.png", code=1)
    assert "is not an explanation that seglens saved" in err


def test_context_saliency_and_a_picture_where_nothing_is_said(street: Path) -> None:
    out, _ = run(NETWORK, street, "-c", "car", "--steps", 2, "--cells", "3x6", "--controls", 1, "--quiet")
    assert out == ""
    assert Path("verification.png").exists()
    told = json.loads(run(NETWORK, street, "-c", "car", "--steps", 2, "--cells", "3x6", "--controls", 0, "--json")[0])
    assert told["method"] == "context-saliency"
    assert told["p_value"] is None


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["-o", "why.bmp"], 2, "give a suffix of .png"),
        (["-o", "street.png"], 2, "is one of the inputs"),
        (["--method-fill", "blur"], 2, "it belongs to: "),
        (["--layer", "bottleneck"], 1, "reads no layer"),
        (["--share", "2"], 1, "above 0 and at most 1"),
        (["--fill", "blac"], 1, "Nearest: 'black'"),
        (["--remove", "all"], 2, "all"),
        (["--controls", "-1"], 1, "from 0 on"),
        (["-m", "fusion-map"], 1, "shows the network without a question"),
        (["--region", "everything"], 1, "covers the whole picture"),
        (["-c", "unicorn"], 1, "unicorn"),
    ],
)
def test_refusals_come_before_any_file(street: Path, words: list[str], code: int, said: str) -> None:
    _, err = run(NETWORK, street, *(words if "-m" in words else ["-m", "saliency", *words]), code=code)
    assert said in err
    assert not Path("verification.png").exists()


def test_a_classifier_is_refused(street: Path) -> None:
    _, err = run("streets-classifier", street, "-m", "saliency", code=1)
    assert "streets-classifier is a classifier" in err
