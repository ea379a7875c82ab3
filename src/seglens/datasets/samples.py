"""What a data set gives, whatever it is: pictures with what is known of them, in splits that share no sequence."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError
from seglens.core.registry import Registry

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One picture and what is known of it.

    image: uint8 [H W 3] or [H W 1]. labels: uint8 [H W], indices of the set's classes, 255 where none is known; None
    for a set without classes. attributes: float32 [A] in the order of the set's names, what a network may be
    conditioned on. factors: float32 [F], what the picture was made of, exactly. name: of the picture. group: what it
    belongs to (a video sequence, a person); splits keep groups whole.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8] | None = None
    attributes: NDArray[np.float32] | None = None
    factors: NDArray[np.float32] | None = None
    name: str = ""
    group: str = ""


class SampleSet(Protocol):
    """A map-style data set of samples."""

    @property
    def classes(self) -> ClassTable | None:
        """The table of the labels; None for a set without labels."""
        ...

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes; none for a set without."""
        ...

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors; none for a set without."""
        ...

    @property
    def built_in(self) -> bool:
        """Whether it is made by rule, with exact truth, rather than read from a user's disk."""
        ...

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sample: ...


class Opener(Protocol):
    """What opens a data set: by a folder or file for those on disk, by nothing for those made by rule.

    size: (height, width) to which pictures are brought (labels by nearest neighbour); None for the set's own.
    length: at most so many samples; None for all of them. seed: of sets made by rule.
    """

    def __call__(
        self, path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int
    ) -> SampleSet:
        """The data set. Raises ParameterError for a path where none is taken, or none where one is needed."""
        ...


DATASETS: Registry[Opener] = Registry("data set", "seglens.datasets")
"""Data sets by name; entry-point group 'seglens.datasets'."""


def open_dataset(
    text: str,
    split: Split = "train",
    *,
    size: tuple[int, int] | None = None,
    length: int | None = None,
    seed: int = 0,
) -> SampleSet:
    """The data set that `text` names: 'streets', 'faces', 'sprites', or NAME:PATH for one on disk.

    Raises NameNotFoundError for another name, ParameterError for a split that is none, and what the reader raises for
    a folder that is laid out differently.
    """
    if split not in SPLITS:
        raise ParameterError(f"split = {split!r}: one of {', '.join(SPLITS)}.")
    name, _, path = text.partition(":")
    return DATASETS[name](path or None, split, size, length, seed)
