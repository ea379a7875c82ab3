"""Files that are complete or not at all, their suffixes, and JSON that has no NaN."""

import json
from pathlib import Path

import numpy as np
import pytest

from seglens.core.errors import NameNotFoundError
from seglens.core.saving import as_json, suffix_of, whole, write_arrays, write_text


@pytest.mark.parametrize(("name", "suffix"), [("a.png", "png"), ("A.PNG", "png"), ("b.tar.npz", "npz")])
def test_suffixes(name, suffix):
    assert suffix_of(Path(name), ("npz", "png")) == suffix


def test_unknown_suffixes_are_told_with_the_known_ones():
    with pytest.raises(NameNotFoundError, match=r"from 'a' what to write: give a suffix of \.npz, \.png\.$"):
        suffix_of(Path("deep/a"), ("npz", "png"))
    with pytest.raises(NameNotFoundError, match=r"\.npz, \.png\.\n  Nearest: 'png'\.$"):
        suffix_of(Path("a.pgn"), ("npz", "png"))


def test_an_interrupted_save_leaves_what_was_there(tmp_path):
    path = tmp_path / "new" / "a.txt"
    write_text("Straße\r\n", path)
    assert path.read_bytes() == "Straße\r\n".encode()

    def interrupted():
        with whole(path) as file:
            file.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == "Straße\r\n".encode()
    assert list(path.parent.iterdir()) == [path]


def test_arrays_open_again(tmp_path):
    write_arrays({"0/map": np.arange(3), "head": np.array("x")}, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as kept:
        assert kept["0/map"].tolist() == [0, 1, 2]
        assert str(kept["head"]) == "x"


def test_json_has_null_where_a_number_is_undefined():
    value = {"a": (1.5, float("nan"), {"b": [np.float64("inf"), "ü"]}), 3: None}
    text = as_json(value)
    assert json.loads(text) == {"a": [1.5, None, {"b": [None, "ü"]}], "3": None}
    assert "ü" in text
