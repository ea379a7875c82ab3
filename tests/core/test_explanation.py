"""Saving and opening: every raw value comes back, and files that are not ours are told apart."""

import json
from dataclasses import fields

import numpy as np
import pytest

from seglens.core.classes import ClassTable
from seglens.core.cost import Cost
from seglens.core.errors import NameNotFoundError, ParameterError, SeglensError
from seglens.core.explanation import Explanation, Explanations, open_explanations, save

RNG = np.random.default_rng(0)


def explanation(**changes) -> Explanation:
    plain = {
        "map": RNG.normal(size=(5, 6)).astype(np.float32),
        "image": RNG.integers(0, 255, (5, 6, 3), np.uint8),
        "method": "grad-cam",
        "target": "car in predicted(car)",
        "score": 0.125,
        "of": "logits",
        "unit": "logit",
        "network": "UNet",
    }
    return Explanation(**{**plain, **changes})


FULL = {
    "map": np.array([[np.nan, -1.5], [0, 2]], np.float32),
    "image": np.zeros((2, 2), np.uint8),
    "parameters": {"layer": "a.b", "relu": True, "nodes": 3, "gap": 0.01, "seed": None},
    "layer": "a.b",
    "channel": "car",
    "region": np.array([[True, False], [False, True]]),
    "prediction": np.array([[1, 2], [3, 4]]),
    "signed": False,
    "score": float("nan"),
    "classes": ClassTable(("ein", "zwölf"), ((1, 2, 3), (4, 5, 6))),
    "notes": ("first", "second, with “quotes”"),
    "cost": Cost(10, 5, 0.25, None),
    "extras": {"alpha": np.arange(3.0), "gap": np.array(0.5), "a/b": np.array([True])},
    "names": {"alpha": ("one", "two", "drei")},
    "provenance": {"image": "Straße.png"},
}


def same(a: Explanation, b: Explanation) -> None:
    for f in fields(Explanation):
        left, right = getattr(a, f.name), getattr(b, f.name)
        if f.name == "extras":
            assert sorted(left) == sorted(right)
            for name in left:
                np.testing.assert_array_equal(left[name], right[name])
                assert left[name].dtype == right[name].dtype
        elif isinstance(left, np.ndarray):
            np.testing.assert_array_equal(left, right)
            assert left.dtype == right.dtype
        else:
            assert left == right or (left != left and right != right), f.name


@pytest.mark.parametrize("changes", [{}, FULL], ids=["least", "full"])
def test_round_trip(tmp_path, changes):
    one = explanation(**changes)
    path = one.save(tmp_path / "new" / "why.npz")
    same(open_explanations(path), one)
    assert [p.name for p in path.parent.iterdir()] == ["why.npz"]


def test_several(tmp_path):
    many = Explanations([explanation(), explanation(**FULL), explanation(method="saliency")])
    back = open_explanations(many.save(tmp_path / "why.npz"))
    assert isinstance(back, Explanations)
    assert len(back) == 3
    for a, b in zip(many, back, strict=True):
        same(a, b)
    same(many[1:][0], many[1])
    assert len(many[1:]) == 2
    assert repr(many).count("grad-cam") == 2


def test_the_test_would_notice_a_change():
    one = explanation(**FULL)
    with pytest.raises(AssertionError):
        same(one, explanation(**{**FULL, "notes": ("first",)}))


@pytest.mark.parametrize("keep", [0, 1, 10, 0.5, 0.95])
def test_files_cut_short(tmp_path, keep):
    path = explanation(**FULL).save(tmp_path / "why.npz")
    data = path.read_bytes()
    path.write_bytes(data[: keep if isinstance(keep, int) else int(len(data) * keep)])
    with pytest.raises(SeglensError, match=r"why.npz .*(cut short|cannot be opened)"):
        open_explanations(path)


def test_a_byte_changed_inside(tmp_path):
    path = explanation(map=RNG.normal(size=(60, 60)).astype(np.float32)).save(tmp_path / "why.npz")
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(SeglensError, match=r"why.npz"):
        open_explanations(path)


@pytest.mark.parametrize(
    "write",
    [
        lambda p: p.write_text("no archive"),
        lambda p: np.savez(p, other=np.zeros(3)),
        lambda p: np.savez(p, seglens=np.array("no json")),
        lambda p: np.savez(p, seglens=np.array("[1]")),
        lambda p: np.savez(p, seglens=np.array("{}")),
        lambda p: np.savez(p, seglens=np.array('{"format": 1}')),
        lambda p: np.savez(p, seglens=np.array('{"format": 1, "explanations": [{"method": "m"}]}')),
        lambda p: np.savez(p, seglens=np.array({"a": 1}, dtype=object)),
    ],
    ids=["text", "another npz", "no json", "a list", "no format", "no explanations", "fields missing", "a pickle"],
)
def test_foreign_files(tmp_path, write):
    path = tmp_path / "why.npz"
    write(path)
    with pytest.raises(SeglensError, match=r"why.npz"):
        open_explanations(path)


def test_a_later_format(tmp_path):
    path = tmp_path / "why.npz"
    np.savez(path, seglens=np.array(json.dumps({"format": 2, "explanations": []})))
    with pytest.raises(
        SeglensError, match=r"saved by a later seglens \(format 2, this one reads up to 1\).\n  Update with"
    ):
        open_explanations(path)


def test_no_such_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        open_explanations(tmp_path / "why.npz")


@pytest.mark.parametrize("name", ["why", "why.txt", "why.npz.bak"])
def test_unknown_suffixes(tmp_path, name):
    with pytest.raises(
        NameNotFoundError, match=rf"cannot tell from '{name}' what to write: give a suffix of .npz, .*\.png"
    ):
        explanation().save(tmp_path / name)


def test_share():
    one = explanation(map=np.array([[1, -3], [0, 4]], np.float32))
    assert one.share(np.array([[True, True], [False, False]])) == 0.5
    assert np.isnan(explanation(map=np.zeros((2, 2), np.float32)).share(np.ones((2, 2), bool)))
    assert np.isnan(explanation(map=np.full((2, 2), np.nan, np.float32)).share(np.ones((2, 2), bool)))


def test_words():
    assert str(explanation(layer="a")) == "grad-cam at a: car in predicted(car), score 0.125 (logits), UNet"
    assert explanation().with_notes(["x"]).notes == ("x",)
    with pytest.raises(SeglensError):
        save([explanation()], "nowhere.abc")


def test_strongest():
    one = explanation(map=np.array([[3, -9, 1, np.nan], [2, 0, 3, 1]], np.float32))
    order = [(0, 0), (1, 2), (1, 0), (0, 2), (1, 3)]
    for n in range(1, 9):
        chosen = one.strongest(n / 8)
        assert set(zip(*np.nonzero(chosen), strict=True)) == set(order[:n])
    assert not one.strongest(0.1).any()
    for share in (0, 1.1, -0.2):
        with pytest.raises(ParameterError, match="share"):
            one.strongest(share)
