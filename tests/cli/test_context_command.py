"""seglens context, as a person types it."""

import json
from pathlib import Path

import pytest
from typed import NETWORK, flat, run

ASKED = ("context", NETWORK, "street.png", "--class", "car", "--method", "saliency")


def test_it_fits_eighty_columns_and_says_what_is_what(street: Path) -> None:
    text = run(*ASKED, "--truth", "truth.png", "--width", "2", "-o", "a/context.png", "-o", "context.csv")
    table = text[: text.index("salient: ")]
    assert max(map(len, table.splitlines())) <= 80
    for word in ("salient", "ring", "all", "log2 ring", "log2 all", "road", "building", "%", "car in predicted(car)"):
        assert word in table
    assert "those of the truth" in text
    assert "a ring of 2 pixels around the region" in text
    assert "lies in the region itself" in text
    assert "→ a/context.png" in text
    assert Path("a/context.png").stat().st_size > 10_000
    assert Path("context.csv").read_text().startswith("index,name,saliency,ring,context,log2_ring")


def test_without_a_truth_the_prediction_is_taken_and_that_is_said(street: Path) -> None:
    assert "those of the network's own prediction" in run(*ASKED)


def test_as_json_it_is_pure_and_stable(street: Path) -> None:
    told = json.loads(run(*ASKED, "--json", "-o", "c.json"))
    assert list(told) == [
        *("network", "image", "target", "method", "parameters", "score", "of", "unit", "labels", "width"),
        *("region_pixels", "ring_pixels", "context_pixels", "left_out", "inside", "unlabelled", "classes", "notes"),
        *("provenance", "source", "files"),
    ]
    assert list(told["classes"][0]) == [
        *("index", "name", "saliency", "ring", "context", "log2_ring", "log2_context"),
        *("mass", "ring_pixels", "context_pixels"),
    ]
    assert told["image"] == "street.png"
    assert told["files"] == ["c.json"]
    assert told["width"] == 2
    assert told["region_pixels"] + told["context_pixels"] == 48 * 96
    assert sum(c["saliency"] for c in told["classes"]) == pytest.approx(1)
    assert json.loads(Path("c.json").read_text())["classes"] == told["classes"]


def test_the_region_and_the_method_s_options_are_those_of_explain(street: Path) -> None:
    words = ("context", NETWORK, "street.png", "--class", "car", "--method", "occlusion", "--json")
    coarse = json.loads(run(*words, "--size", "48", "--stride", "48", "--region", "instance(car, largest=1)"))
    assert coarse["parameters"]["size"] == 48
    assert coarse["target"] == "car in instance(car, largest=1)"
    layered = json.loads(run(*ASKED[:5], "-m", "hires-cam", "--layer", "encoder.block2", "--json"))
    assert layered["parameters"]["layer"] == "encoder.block2"


def test_the_default_method_is_context_saliency(street: Path) -> None:
    told = json.loads(run("context", NETWORK, "street.png", "-c", "car", "--json", "--steps", "2", "--cells", "2x4"))
    assert told["method"] == "context-saliency"
    assert told["parameters"]["cells"] == "2x4"
    # It marks nothing in the region, but for the rounding of its edge on a picture of another size.
    assert told["inside"] in (None, pytest.approx(0, abs=0.02))


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["streets-classifier", "street.png", "-m", "saliency"], 1, "one score for the whole image"),
        ([NETWORK, "street.png", "-m", "fusion-map"], 1, "asks about no class"),
        ([NETWORK, "street.png", "-m", "saliency", "-c", "ridr"], 1, "Nearest: 'rider'"),
        ([NETWORK, "street.png", "-m", "saliancy"], 1, "Nearest: 'saliency'"),
        ([NETWORK, "street.png", "-m", "saliency", "-l", "encoder.block2"], 1, "reads no layer"),
        ([NETWORK, "street.png", "-m", "saliency", "--nodes", "8"], 2, "saliency has no such option"),
        ([NETWORK, "street.png", "-m", "saliency", "--width", "0"], 2, "greater than or equal to 1"),
        ([NETWORK, "street.png", "-m", "saliency", "-o", "c.html"], 2, "give a suffix of"),
        ([NETWORK, "street.png", "-m", "saliency", "-o", "street.png"], 2, "one of the inputs"),
    ],
)
def test_what_is_refused(street: Path, words: list[str], code: int, said: str) -> None:
    assert said in flat(run("context", *words, code=code))
