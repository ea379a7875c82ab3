"""The sets that are made by rule, opened by name: streets, faces, sprites; splits are streams that share nothing."""

from collections.abc import Iterator
from dataclasses import dataclass

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError
from seglens.datasets.faces import Faces
from seglens.datasets.samples import SPLITS, Sample, Split
from seglens.datasets.sprites import Sprites
from seglens.datasets.streets import CLASSES, COLOURS, Streets

_LENGTHS: dict[str, dict[Split, int]] = {
    "streets": {"train": 2000, "val": 200, "test": 400},
    "faces": {"train": 4000, "val": 400, "test": 400},
    "sprites": {"train": 20000, "val": 1000, "test": 1000},
}


@dataclass(frozen=True, slots=True)
class StreetSamples:
    """Street scenes as samples: pictures and labels, without instances, attributes or factors."""

    scenes: Streets

    @property
    def classes(self) -> ClassTable:
        """The street's classes."""
        return ClassTable(CLASSES, COLOURS)

    @property
    def attributes(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def factors(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def built_in(self) -> bool:
        """True."""
        return True

    def __len__(self) -> int:
        return len(self.scenes)

    def __getitem__(self, index: int) -> Sample:
        """The scene of that index. IndexError outside the length."""
        scene = self.scenes[index]
        place = index + len(self) if index < 0 else index
        return Sample(image=scene.image, labels=scene.labels, name=f"street {place}")

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_streets(
    path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int
) -> StreetSamples:
    """Streets of 64 × 128 pixels where no size is given: 2000 to train on, 200 and 400 to validate and test."""
    _no_path("streets", path)
    return StreetSamples(Streets(_length("streets", split, length), size or (64, 128), _stream(seed, split)))


def open_faces(path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int) -> Faces:
    """Faces of 64 × 64 pixels where no size is given: 4000 to train on, 400 each to validate and test."""
    _no_path("faces", path)
    return Faces(_length("faces", split, length), size or (64, 64), _stream(seed, split))


def open_sprites(
    path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int
) -> Sprites:
    """Sprites of 64 × 64 pixels where no size is given: 20000 to train on, 1000 each to validate and test.

    The splits of one seed share no place of the lattice; a split has 589,824 (train) or 73,728 of them at most.
    """
    _no_path("sprites", path)
    return Sprites(_length("sprites", split, length), size or (64, 64), seed, split)


def _length(name: str, split: Split, length: int | None) -> int:
    return _LENGTHS[name][split] if length is None else length


def _stream(seed: int, split: Split) -> int:
    """A seed of its own for each split of each seed: no two of them ever meet."""
    if seed < 0:
        raise ParameterError(f"seed = {seed}: a seed is an integer from 0 upwards.")
    return len(SPLITS) * seed + SPLITS.index(split)


def _no_path(name: str, path: str | None) -> None:
    if path is not None:
        raise ParameterError(
            f"{name}:{path}: {name} are made by rule and read nothing from disk; write {name!r} alone."
        )
