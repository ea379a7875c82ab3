"""Digits: MNIST's files are read exactly or refused by name; the bundled ones are split for good."""

import gzip
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from seglens.core.errors import ImageError, MissingExtraError, ParameterError
from seglens.datasets import Digits, digits_from
from seglens.datasets.digits import _bundled

MNIST = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mnist"
NAMES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}


def written(folder, split="train", count=30, packed=False):
    """An idx pair of random digits, written here from the format's description."""
    rng = np.random.default_rng(count)
    images = rng.integers(0, 256, (count, 5, 7), np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    files = (
        struct.pack(">BBBBIII", 0, 0, 8, 3, count, 5, 7) + images.tobytes(),
        struct.pack(">BBBBI", 0, 0, 8, 1, count) + labels.tobytes(),
    )
    for name, data in zip(NAMES[split], files, strict=True):
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data))
        else:
            (folder / name).write_bytes(data)
    return images, labels


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("split", ["train", "test"])
def test_idx_files_are_read_as_written(tmp_path, split, packed):
    images, labels = written(tmp_path, split, packed=packed)
    for digits in (Digits.mnist(tmp_path, split), digits_from(str(tmp_path), split)):
        assert digits.name == f"MNIST {split}"
        assert np.array_equal(digits.images, images)
        assert np.array_equal(digits.labels, labels)


def test_plain_files_go_before_packed_ones(tmp_path):
    written(tmp_path, count=20, packed=True)
    images, _ = written(tmp_path, count=40)
    assert np.array_equal(Digits.mnist(tmp_path, "train").images, images)


def test_the_real_files():
    if not MNIST.is_dir():
        pytest.skip("optional test material is absent: mnist is looked for in ../shared/data beside the repository")
    train, test = (Digits.mnist(MNIST, split) for split in ("train", "test"))
    assert (train.images.shape, test.images.shape) == ((60000, 28, 28), (10000, 28, 28))
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert np.bincount(test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert 32 < train.images.mean() < 35  # about 0.13 of full ink


def refused(folder, text, split="train"):
    with pytest.raises(ImageError, match=text):
        Digits.mnist(folder, split)


def test_absent_files(tmp_path):
    refused(tmp_path / "gone", r"(?s)gone' is no folder.*train-images-idx3-ubyte\.gz")
    refused(tmp_path, "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz in")
    written(tmp_path, "test")
    refused(tmp_path, r"(?s)neither train-images.*Nearest: 't10k-images-idx3-ubyte'")
    written(tmp_path)
    (tmp_path / NAMES["train"][1]).unlink()
    refused(tmp_path, "neither train-labels-idx1-ubyte")


def test_swapped_and_foreign_files(tmp_path):
    written(tmp_path)
    images, labels = (tmp_path / name for name in NAMES["train"])
    first, second = images.read_bytes(), labels.read_bytes()
    images.write_bytes(second)
    labels.write_bytes(first)
    refused(
        tmp_path, r"(?s)images-idx3-ubyte holds labels \(it begins with 00000801\); expected images .*00000803.*swapped"
    )
    images.write_bytes(first)
    refused(tmp_path, r"labels-idx1-ubyte holds images \(it begins with 00000803\); expected labels")
    images.write_bytes(gzip.compress(first))  # packed, under the plain name
    refused(tmp_path, r"is neither images nor labels \(it begins with 1f8b")
    images.write_bytes(b"")
    refused(tmp_path, r"is neither images nor labels \(it begins with nothing\)")
    images.unlink()
    Path(f"{images}.gz").write_bytes(first)  # plain, under the packed name
    refused(tmp_path, r"(?s)train-images-idx3-ubyte\.gz is damaged or cut short: .*again")


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data[:-1], r"(?s)takes \d+ bytes, but has \d+\..*cut short"),
        (lambda data: data + b"\0", r"(?s)takes \d+ bytes, but has \d+\..*too long"),
        (lambda data: data[:6], r"cut short within its header: 6 of"),
    ],
)
def test_files_of_the_wrong_length(tmp_path, which, change, text):
    written(tmp_path)
    file = tmp_path / NAMES["train"][which]
    file.write_bytes(change(file.read_bytes()))
    refused(tmp_path, text)


def test_a_header_that_promises_more_than_a_memory_holds(tmp_path):
    written(tmp_path)
    file = tmp_path / NAMES["train"][0]
    file.write_bytes(struct.pack(">IIII", 2051, 2**32 - 1, 2**32 - 1, 2**32 - 1) + b"\0" * 9)
    refused(tmp_path, rf"4294967295 × .* takes {16 + (2**32 - 1) ** 3} bytes, but has 25")


def test_a_damaged_archive(tmp_path):
    written(tmp_path, packed=True)
    file = tmp_path / f"{NAMES['train'][0]}.gz"
    whole = file.read_bytes()
    for part in (whole[: len(whole) // 2], whole[:40] + bytes(20) + whole[60:], whole[:-8] + bytes(8)):
        file.write_bytes(part)
        refused(tmp_path, r"train-images-idx3-ubyte\.gz is damaged or cut short")


def test_labels_of_another_set(tmp_path):
    written(tmp_path, count=20)
    labels = (tmp_path / NAMES["train"][1]).read_bytes()
    written(tmp_path, count=30)
    (tmp_path / NAMES["train"][1]).write_bytes(labels)
    refused(tmp_path, r"(?s)30 images but 20 labels in the train files .*different sets")


def test_the_bundled_digits_are_split_without_overlap():
    train, test = Digits.sklearn("train"), digits_from(None, "test")
    assert train.name == "scikit-learn digits 8x8 train"
    assert test.name == "scikit-learn digits 8x8 test"
    assert (len(train.labels), len(test.labels)) == (1447, 350)
    assert np.bincount(test.labels).tolist() == [35] * 10
    counts = np.bincount(train.labels)
    assert (counts.min(), counts.max()) == (139, 148)
    assert {one.tobytes() for one in train.images}.isdisjoint(one.tobytes() for one in test.images)
    again = Digits.sklearn("test")
    assert np.array_equal(again.images, test.images)


def test_the_bundled_digits_are_all_there_in_order():
    bundle = load_digits()
    for digit in range(10):
        parts = [part.images[part.labels == digit] for part in map(Digits.sklearn, ("train", "test"))]
        images = np.concatenate(parts).astype(float)
        assert np.array_equal(np.rint(images[:, 1:9, 1:9] * 16 / 255), bundle.images[bundle.target == digit])
        images[:, 1:9, 1:9] = 0
        assert not images.any()
    assert Digits.sklearn("train").images.max() == 255


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    _bundled.cache_clear()
    with pytest.raises(MissingExtraError, match=r"(?s)digits without MNIST.* needs scikit-learn.*'seglens\[image\]'"):
        Digits.sklearn("train")


def test_there_are_two_splits(tmp_path):
    for make in (Digits.sklearn, lambda split: Digits.mnist(tmp_path, split), lambda split: digits_from(None, split)):
        with pytest.raises(ParameterError, match="split = 'val': there are 'train' and 'test'"):
            make("val")


def test_arrays_that_are_no_digits():
    images, labels = np.zeros((20, 5, 5), np.uint8), np.arange(20).astype(np.uint8) % 10
    assert repr(Digits("mine", images, labels)) == "Digits(name='mine')"
    for pair in [
        (images.astype(float), labels),
        (images, labels.astype(int)),
        (images[0], labels),
        (images[:, :0], labels),
        (images[:19], labels),
    ]:
        with pytest.raises(ParameterError, match=r"(?s)mine: images .* and labels .*uint8 \[n h w\]"):
            Digits("mine", *pair)
    with pytest.raises(ParameterError, match="mine has the labels 0, 1, 2; expected each of 0 to 9"):
        Digits("mine", images[:3], labels[:3])
    with pytest.raises(ParameterError, match=r"mine has the labels 0, .*, 8, 10; expected"):
        Digits("mine", images, np.where(labels == 9, 10, labels).astype(np.uint8))
    with pytest.raises(ParameterError, match=r"mine has the labels \(none\)"):
        Digits("mine", images[:0], labels[:0])
