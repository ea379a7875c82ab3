"""seglens graph as a person types it."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from typed import NETWORK, flat, run

import seglens as sl


def test_a_graph_in_words_fits_eighty_columns() -> None:
    text = run("graph", NETWORK, "--size", 32, 32)
    assert max(map(len, text.splitlines())) <= 80
    assert "streets-unet: UNet, 495,339 parameters" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["2", "25", "28"] in rows
    assert ["3", "37", "40", "drawn"] in rows
    assert ["4", "69", "72", "all"] in rows
    assert "--out FILE.svg" in text


def test_the_graph_is_written_as_picture_and_as_numbers(tmp_path: Path) -> None:
    text = run("graph", NETWORK, "--size", 32, 32, "--out", "net.svg", "--out", "net.json")
    assert "→ net.svg" in text
    assert "→ net.json" in text
    root = ElementTree.fromstring((tmp_path / "net.svg").read_text())
    assert sum(e.get("class", "").startswith("node ") for e in root.iter()) == 37
    whole = json.loads((tmp_path / "net.json").read_text())
    assert len(whole["nodes"]) == 69
    assert whole == json.loads(run("graph", NETWORK, "--size", 32, 32, "--json"))


def test_depth_holds_for_pictures_and_numbers(tmp_path: Path) -> None:
    text = run("graph", NETWORK, "--size", 32, 32, "--depth", 1, "--json", "--out", "net.svg")
    assert [n["id"] for n in json.loads(text)["nodes"]] == [
        ":input", "encoder", "pool", "bottleneck", "decoder", "head", ":output",
    ]  # fmt: skip
    root = ElementTree.fromstring((tmp_path / "net.svg").read_text())
    assert sum(e.get("class", "").startswith("node ") for e in root.iter()) == 7


def test_an_image_may_be_named(street: Path) -> None:
    told = json.loads(run("graph", NETWORK, street, "--json"))
    direct = sl.network_graph(sl.load(NETWORK), street)
    assert told == direct.to_dict()
    assert "absent.png" in flat(run("graph", NETWORK, "absent.png", code=1))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "net.png"], "cannot tell from 'net.png' what to write: give a suffix of .json, .svg"),
        (["street.png", "--size", 32, 32], "give an image or a size, not both"),
        (["--depth", 0], "greater than or equal to 1"),
    ],
)
def test_wrong_arguments_are_told_before_any_work(street: Path, words: list[object], told: str) -> None:
    assert told in flat(run("graph", NETWORK, *words, code=2))
