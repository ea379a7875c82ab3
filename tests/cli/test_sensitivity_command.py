"""seglens sensitivity: tables that fit, values read by the field's kind, files, JSON, interruption, refusals."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image
from typed import NETWORK, flat, result

import seglens as sl
from seglens.core.method import METHODS
from seglens.datasets.streets import Streets

QUICK = ("--class", "road", "--method", "smooth-grad", "--samples", "2")


def run(*words: object, code: int = 0) -> tuple[str, str]:
    """Standard output, and standard error on one line."""
    done = result("sensitivity", *words, code=code)
    return done.stdout, flat(done.stderr)


def test_a_person_reads_a_table_for_each_field(street: Path) -> None:
    out, _ = run(NETWORK, street, *QUICK, "--vary", "noise=0.05,0.15", "--vary", "channels=max", "-o", "s.csv")
    found = sl.sensitivity(
        NETWORK, street, sl.SmoothGrad(samples=2), "road", vary={"noise": [0.05, 0.15], "channels": ["max"]}
    )
    for field in ("noise", "channels"):
        rows = found.table(field)
        for row in rows[1:]:
            assert " ".join(row) in " ".join(out.split()), row
        assert " ".join([field, *rows[0][1].split()[1:], *rows[0][2:]]) in " ".join(out.split())
    table = out.partition("\n\n")[2].partition("Means over")[0]
    assert table.count("default") == 2
    assert max(map(len, table.splitlines())) <= 80
    assert "road in predicted(road)" in out
    assert "→ s.csv" in out
    with Path("s.csv").open(newline="") as file:
        assert [line["value"] for line in csv.DictReader(file)] == ["default", "0.05", "0.15", "max"]


def test_many_values_make_several_tables_each_with_the_default(street: Path) -> None:
    values = [f"0.{i:02d}" for i in range(1, 13)]
    out, _ = run(
        NETWORK, street, "-c", "road", "-m", "smooth-grad", "--samples", "1", "--vary", f"noise={','.join(values)}"
    )
    table = out.partition("\n\n")[2].partition("Means over")[0]
    assert max(map(len, table.splitlines())) <= 80
    assert table.count("default") == table.count("correlation") > 1
    heads = [word for line in table.splitlines() if line.startswith("noise") for word in line.split()[2:]]
    assert [float(h) for h in heads] == [float(v) for v in values]


@pytest.mark.parametrize(
    ("method", "text", "values"),
    [
        ("occlusion", "fill=black,0.25,blur", ["black", "0.25", "blur"]),
        ("occlusion", "fill=black;0.2,0.5,0.3;mean", ["black", "0.2,0.5,0.3", "mean"]),
        ("occlusion", "fill=0.2,0.5,0.3;", ["0.2,0.5,0.3"]),
        ("occlusion", "size=none, 24", [None, 24]),
        ("occlusion", "scale=50,1e2", [50.0, 100.0]),
        ("saliency", "context=yes,no", [True, False]),
        ("saliency", "cells=4x4", ["4x4"]),
        ("grad-cam", "layer=encoder.block4,bottleneck", ["encoder.block4", "bottleneck"]),
    ],
)
def test_values_are_read_as_the_field_takes_them(
    street: Path, monkeypatch: pytest.MonkeyPatch, method: str, text: str, values: list[object]
) -> None:
    seen = []

    def instead(net, images, method, targets, *, vary, **more):
        seen.append(vary)
        yield from ()

    monkeypatch.setattr("seglens.cli.sensitivity.sensitivity_each", instead)
    run(NETWORK, street, "-c", "road", "-m", method, "--vary", text)
    field = text.partition("=")[0]
    assert seen == [{field: values}]
    assert [type(v) for v in seen[0][field]] == [type(v) for v in values]
    for value in values:
        METHODS[method](**{field: value})


def test_json_of_several_images_and_classes(street: Path) -> None:
    Image.fromarray(Streets(2, (48, 96), seed=3)[1].image).save("second.png")
    out, _ = run(NETWORK, street, "second.png", "-c", "road", "-c", "car", "-m", "saliency", "--vary", "channels=max",
                 "--top", "0.2", "--json", "-o", "s.json", "-o", "s.png")  # fmt: skip
    told = json.loads(out)
    assert told["targets"] == ["road in predicted(road)", "car in predicted(car)"]
    assert told["images"] == ["street.png", "second.png"]
    assert told["top"] == 0.2
    assert told["files"] == ["s.json", "s.png"]
    (setting,) = told["settings"]
    found = sl.sensitivity(
        NETWORK, [street, "second.png"], "saliency", ["road", "car"], vary={"channels": ["max"]}, top=0.2
    )
    expected = found.settings[0].mean("overlap")
    assert setting["means"]["overlap"] == {"value": pytest.approx(expected.value), "defined": 4, "of": 4}
    assert json.loads(Path("s.json").read_text())["settings"] == told["settings"]


def test_an_interruption_keeps_what_is_done(street: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saliency, done = METHODS["saliency"], []
    whole = saliency.__call__

    def interrupted(*given):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(given)
        return whole(*given)

    monkeypatch.setattr(saliency, "__call__", interrupted)
    out, _ = run(
        NETWORK, street, "-c", "road", "-m", "saliency", "--vary", "channels=max,l2,signed", "-o", "s.csv", code=130
    )
    assert "Interrupted: 1 of 1 image begun." in out
    assert "maps 1 1 0 0" in " ".join(out.split())
    assert len(Path("s.csv").read_text().splitlines()) == 3
    _, err = run(NETWORK, street, "-c", "road", "-m", "saliency", "--vary", "channels=max", "-o", "t.csv", code=130)
    assert "Interrupted." in err
    assert not Path("t.csv").exists()


def test_what_fails_is_said_and_the_others_are_kept(street: Path) -> None:
    out, err = run(NETWORK, street, "-c", "road", "-m", "grad-cam", "--vary", "layer=encoder.blok4,bottleneck", code=1)
    assert "Error: street.png: layer = encoder.blok4: no layer 'encoder.blok4'" in err
    assert "maps 1 0 1" in " ".join(out.split())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "--vary"),
        (["--vary", "noize=1"], 2, "smooth-grad has no field 'noize'. Nearest: 'noise'"),
        (["--vary", "noise"], 2, "give values behind the field, as in noise=VALUE,VALUE"),
        (["--vary", "noise=0.1,,0.2"], 2, "give values behind the field"),
        (["--vary", "noise=much"], 2, "noise takes a number, not 'much'"),
        (["--vary", "samples=1.5"], 2, "samples takes a whole number, not '1.5'"),
        (["--vary", "context=maybe"], 2, "context takes yes or no, not 'maybe'"),
        (["--vary", "samples=0"], 1, "SmoothGrad.samples is to be >= 1, not 0"),
        (["--vary", "channels=mean"], 1, "SmoothGrad.channels is to be one of"),
        (["--vary", "noise=0.1", "-o", "s.txt"], 2, "give a suffix of .png"),
        (["--vary", "noise=0.1", "-o", "street.png"], 2, "is one of the inputs"),
        (["--vary", "noise=0.1", "--top", "1"], 1, "top is a share"),
        (["--vary", "noise=0.1", "-c", "unicorn"], 1, "unicorn"),
        (["--vary", "noise=0.1", "--relu"], 2, "has no such option"),
    ],
)
def test_refusals(street: Path, words: list[str], code: int, said: str) -> None:
    _, err = run(NETWORK, street, *QUICK, *words, code=code)
    assert said in err
    assert street.read_bytes().startswith(b"\x89PNG")
