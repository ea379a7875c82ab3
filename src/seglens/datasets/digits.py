"""Handwritten digits, from MNIST's files where the user has them, else from those that scikit-learn brings along."""

import gzip
import os
import struct
import zlib
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ImageError, ParameterError, missing_extra, suggest

Split = Literal["train", "test"]

_PREFIX = {"train": "train", "test": "t10k"}
_MAGIC = {"images": b"\0\0\x08\x03", "labels": b"\0\0\x08\x01"}  # unsigned bytes, and the number of dimensions
_HELD_OUT = 35  # of each digit, about a fifth


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """Pictures of single digits: images uint8 [n h w], 0 background to 255 ink; labels uint8 [n], 0 to 9.

    name: whose digits and which split of them.
    Raises ParameterError for arrays of another kind or shape, labels above 9, and sets that lack a digit.
    """

    name: str
    images: NDArray[np.uint8] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        bytes_ = images.dtype == labels.dtype == np.uint8
        if not bytes_ or images.ndim != 3 or 0 in images.shape[1:] or labels.shape != images.shape[:1]:
            raise ParameterError(
                f"{self.name}: images {images.dtype} {images.shape} and labels {labels.dtype} {labels.shape}.\n"
                "  Digits are images uint8 [n h w] with labels uint8 [n]."
            )
        present = np.unique(labels).tolist()
        if present != list(range(10)):
            raise ParameterError(
                f"{self.name} has the labels {', '.join(map(str, present)) or '(none)'}; expected each of 0 to 9, and "
                "nothing else."
            )

    @classmethod
    def mnist(cls, folder: str | os.PathLike[str], split: Split) -> Self:
        """MNIST, or a set in its format, from its two idx files, plain or gzipped.

        train: train-images-idx3-ubyte and train-labels-idx1-ubyte; test: t10k-… likewise; each with or without .gz.
        Raises ImageError for a file that is absent, damaged, cut short, too long or of the other kind, and for labels
        that do not belong to the images; ParameterError for another split.
        """
        prefix = _PREFIX[_checked(split)]
        images = _idx(Path(folder).expanduser(), f"{prefix}-images-idx3-ubyte", "images")
        labels = _idx(Path(folder).expanduser(), f"{prefix}-labels-idx1-ubyte", "labels")
        if len(images) != len(labels):
            raise ImageError(
                f"{len(images)} images but {len(labels)} labels in the {split} files of {str(folder)!r}.\n"
                "  The two are of different sets: get both from one place."
            )
        return cls(f"MNIST {split}", images, labels)

    @classmethod
    def sklearn(cls, split: Split) -> Self:
        """The 1,797 digits of 8 × 8 pixels that come with scikit-learn, their 17 greys spread over 0..255.

        They fill their frame, so that one empty pixel is put around each: images [n 10 10]. test: the last 35 of each
        digit in the order of the bundle, 350; train: the 1,447 before them, 139 to 148 of each.
        Raises MissingExtraError without scikit-learn; ParameterError for another split.
        """
        return cls(f"scikit-learn digits 8x8 {_checked(split)}", *_bundled(split))


def digits_from(folder: str | os.PathLike[str] | None, split: Split) -> Digits:
    """MNIST's digits from the folder of its files, or scikit-learn's where None is given."""
    return Digits.sklearn(split) if folder is None else Digits.mnist(folder, split)


def _checked(split: Split) -> Split:
    if split not in get_args(Split):
        raise ParameterError(f"split = {split!r}: there are 'train' and 'test'.")
    return split


@cache
def _bundled(split: Split) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as absent:
        raise missing_extra("scikit-learn", "image", "drawing digits without MNIST's files") from absent
    greys, labels = (np.asarray(part) for part in load_digits(return_X_y=True))
    images = np.pad(np.rint(greys.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8), ((0, 0), (1, 1), (1, 1)))
    labels = labels.astype(np.uint8)
    held_out = np.zeros(len(labels), bool)
    for digit in range(10):
        held_out[np.flatnonzero(labels == digit)[-_HELD_OUT:]] = True
    chosen = held_out if split == "test" else ~held_out
    images, labels = images[chosen], labels[chosen]
    images.flags.writeable = labels.flags.writeable = False
    return images, labels


def _idx(folder: Path, name: str, kind: Literal["images", "labels"]) -> NDArray[np.uint8]:
    """The array in an idx file of unsigned bytes: magic number, sizes (big-endian, of four bytes), values."""
    path = _found(folder, name)
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read()
    except (OSError, EOFError, zlib.error) as damaged:
        raise ImageError(f"{path.name} is damaged or cut short: {damaged}\n  Copy or download it again.") from damaged
    magic = data[:4]
    if magic != _MAGIC[kind]:
        actual = next((f"holds {other}" for other in _MAGIC if _MAGIC[other] == magic), "is neither images nor labels")
        raise ImageError(
            f"{path.name} {actual} (it begins with {magic.hex() or 'nothing'}); expected {kind} in idx format "
            f"({_MAGIC[kind].hex()}).\n  Look whether files were swapped or renamed."
        )
    dimensions = magic[3]
    header = 4 * (1 + dimensions)
    if len(data) < header:
        raise ImageError(f"{path.name} is cut short within its header: {len(data)} of {header} bytes.")
    shape = struct.unpack(f">{dimensions}I", data[4:header])
    expected = header + prod(shape)
    if len(data) != expected:
        raise ImageError(
            f"{path.name} says it holds {' × '.join(map(str, shape))} values, which takes {expected} bytes, but has "
            f"{len(data)}.\n  It is {'cut short' if len(data) < expected else 'too long'}: copy or download it again."
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _found(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    if not folder.is_dir():
        raise ImageError(f"{str(folder)!r} is no folder.\n  Name the one with MNIST's files, such as {name}.gz.")
    near = suggest(name, sorted(path.name for path in folder.iterdir()))
    raise ImageError(f"neither {name} nor {name}.gz in {str(folder)!r}.{near}")
