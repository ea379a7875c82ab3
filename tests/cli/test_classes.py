"""seglens classes on a classifier: the table of its scores."""

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import seglens as sl
from seglens.cli import app
from seglens.datasets.streets import Streets

NETWORK = "streets-classifier"


@pytest.fixture
def street(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "street.png"
    Image.fromarray(Streets(1, (48, 96), seed=3)[0].image).save(path)
    return path


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return result.stdout


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
