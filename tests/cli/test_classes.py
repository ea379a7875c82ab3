"""seglens classes: the table of a classifier's scores, and the predicted segmentation of a segmenter."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typed import flat, run

import seglens as sl

NETWORK = "streets-classifier"


def test_every_class_of_a_classifier_with_logit_and_probability(street: Path) -> None:
    found = sl.find_classes(NETWORK, street)
    lines = run("classes", NETWORK, street).splitlines()
    assert max(map(len, lines)) <= 80
    head = next(i for i, line in enumerate(lines) if line.startswith("class"))
    assert lines[head].split() == ["class", "number", "logit", "probability"]
    rows = [line.split() for line in lines[head + 1 :] if line]
    assert len(rows) == len(found)
    for row, f in zip(rows, found, strict=True):
        assert row[1:-3] == f.name.split()
        assert row[-3:] == [str(f.index), f"{f.logit:.3f}", f"{f.confidence:.3f}"]


def test_scores_of_a_classifier_as_json(street: Path) -> None:
    told = json.loads(run("classes", NETWORK, street, "--json"))
    assert told == [f.to_dict() for f in sl.find_classes(NETWORK, street)]
    assert all(isinstance(row["logit"], float) and 0 <= row["confidence"] <= 1 for row in told)


def test_a_segmenter_has_areas_instead(street: Path) -> None:
    lines = run("classes", "streets-unet", street).splitlines()
    head = next(line for line in lines if line.startswith("class"))
    assert "confidence" in head
    assert "logit" not in head
    assert {row["logit"] for row in json.loads(run("classes", "streets-unet", street, "--json"))} == {None}


def test_the_predicted_segmentation_is_written_as_a_label_map(street: Path) -> None:
    plain = run("classes", "streets-unet", street)
    text = run("classes", "streets-unet", street, "--out", "a/labels.png", "-o", "all.npz")
    assert text == plain + "  → a/labels.png\n  → all.npz\n"
    expected = sl.segment("streets-unet", street)
    np.testing.assert_array_equal(sl.read_labels("a/labels.png", expected.classes), expected.labels)
    areas = {row["name"]: row["pixels"] for row in json.loads(run("classes", "streets-unet", street, "--json"))}
    assert areas == {name: int(expected.mask(name).sum()) for name in expected.classes.names}
    with np.load("all.npz", allow_pickle=False) as raw:
        np.testing.assert_array_equal(raw["labels"], expected.labels)
        np.testing.assert_array_equal(raw["confidence"], expected.confidence)


def test_json_is_the_same_with_a_file_written(street: Path) -> None:
    words = ("classes", "streets-unet", street, "--json")
    assert run(*words, "-o", "labels.png") == run(*words)
    with Image.open("labels.png") as picture:
        assert picture.mode == "P"


@pytest.mark.parametrize(
    ("network", "out", "code", "said"),
    [
        ("streets-unet", "labels.jpg", 2, "give a suffix of .png, .npz"),
        ("streets-unet", "street.png", 2, "is one of the inputs"),
        (NETWORK, "labels.png", 1, "is a classifier: it labels the picture as a whole"),
    ],
)
def test_what_cannot_be_written_is_refused_first(street: Path, network: str, out: str, code: int, said: str) -> None:
    before = street.read_bytes()
    text = run("classes", network, street, "--out", out, code=code)
    assert said in flat(text)
    assert "probability" not in text
    assert street.read_bytes() == before
    assert sorted(p.name for p in Path().iterdir()) == ["street.png", "truth.png"]
