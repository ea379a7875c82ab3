"""seglens evaluate and errors, as a person types them."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typed import NETWORK, flat, run

from seglens.datasets.streets import CLASSES, Streets


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for i in range(2):
        scene = Streets(2, (48, 96), seed=3)[i]
        Image.fromarray(scene.image).save(tmp_path / f"images/s{i}.png")
        Image.fromarray(scene.labels).save(tmp_path / f"labels/s{i}.png")
    return tmp_path


def test_evaluate_fits_eighty_columns_and_names_every_class(folder: Path) -> None:
    text = run("evaluate", NETWORK, "images", "--truth", "labels", "--normalise", "truth")
    assert max(map(len, text.splitlines())) <= 80
    for word in (*CLASSES, "IoU", "boundary F", "mean IoU", "pixel accuracy", "→", "that are"):
        assert word in text
    assert "predicted as" in run("evaluate", NETWORK, "images", "--truth", "labels", "--normalise", "prediction")


def test_evaluate_as_json_is_pure_and_stable(folder: Path) -> None:
    told = json.loads(run("evaluate", NETWORK, "images", "--truth", "labels", "--json", "-o", "a/e.png", "-o", "e.csv"))
    assert list(told) == [
        *("network", "overall", "classes", "absent", "confusion", "pixels", "ignored", "ignore", "tolerance"),
        *("images", "failures", "provenance", "files"),
    ]
    assert told["pixels"] == np.sum(told["confusion"]) == 2 * 48 * 96
    assert told["files"] == ["a/e.png", "e.csv"]
    assert all(Path(p).exists() for p in told["files"])
    assert list(told["classes"][0]) == [
        *("index", "name", "pixels", "predicted", "iou", "dice", "precision", "recall"),
        *("boundary_f", "boundary_images"),
    ]


def test_an_image_that_fails_gives_exit_code_1_and_the_others_count(folder: Path) -> None:
    (folder / "images/s0.png").write_bytes(b"no picture")
    text = run("evaluate", NETWORK, "images", "--truth", "labels", code=1)
    assert "on 1 image: 4,608 pixels" in text
    assert "Error: s0.png is no image" in text
    (folder / "images/s1.png").write_bytes(b"no picture")
    assert "none of the 2 images could be evaluated" in run("evaluate", NETWORK, "images", "--truth", "labels", code=1)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["evaluate", NETWORK, "images"], 2, "--truth"),
        (["evaluate", NETWORK, "images", "--truth", "labels", "-o", "e.xls"], 2, "give a suffix of"),
        (["evaluate", NETWORK, "images", "--truth", "labels", "-o", "images/s0.png"], 2, "one of the inputs"),
        (["evaluate", NETWORK, "images", "--truth", "labels", "--ignore", "all"], 2, "neither a label's number"),
        (["evaluate", NETWORK, "images", "--truth", "images/s0.png"], 1, "whose is it"),
        (["evaluate", "streets-classifier", "images", "--truth", "labels"], 1, "is a classifier"),
        (["errors", "streets-classifier", "images/s0.png", "--truth", "labels/s0.png"], 1, "is a classifier"),
        (["errors", NETWORK, "images/s0.png", "--truth", "labels/s0.png", "-o", "e.html"], 2, "give a suffix of"),
        (["errors", NETWORK, "images/s0.png", "--truth", "labels/s0.png", "-c", "ridr"], 1, "Nearest: 'rider'"),
    ],
)
def test_what_is_refused(folder: Path, words: list[str], code: int, said: str) -> None:
    assert said in flat(run(*words, code=code))


def test_errors_give_regions_that_explain_takes(folder: Path) -> None:
    pair = ("images/s0.png", "--truth", "labels/s0.png")
    text = run("errors", NETWORK, *pair, "--least", "2")
    # Sentences are wrapped on a terminal only, and the command below them never, so that it can be copied.
    lines = text[: text.index("The picture is")].splitlines()
    assert max(map(len, lines)) <= 80
    told = json.loads(run("errors", NETWORK, *pair, "--json", "-o", "e.png", "-o", "e.json"))
    assert list(told) == [
        *("network", "image", "wrong", "pixels", "classes", "confusions", "unlisted", "notes", "provenance", "files"),
    ]
    assert Path("e.png").exists()
    worst = told["confusions"][0]
    assert list(worst) == ["rank", "truth", "predicted", "pixels", "share", "at", "box", "region"]
    assert worst["region"] in text
    asked = ("-c", worst["predicted"], "--region", worst["region"], "--format", "npz")
    why = json.loads(run("explain", NETWORK, *pair, *asked, "--json"))
    assert why["explanations"][0]["region_pixels"] == worst["pixels"]


def test_errors_of_one_class(folder: Path) -> None:
    pair = ("images/s0.png", "--truth", "labels/s0.png", "-c", "car")
    assert "car: " in run("errors", NETWORK, *pair)
    told = json.loads(run("errors", NETWORK, *pair, "--json"))
    assert all("car" in (c["truth"], c["predicted"]) for c in told["confusions"])
    assert [c["name"] for c in told["classes"]] == ["car"]
