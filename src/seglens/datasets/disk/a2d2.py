"""A2D2: driving scenes with labels by colour (Geyer et al., "A2D2: Audi Autonomous Driving Dataset", 2020)."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ImageError
from seglens.datasets.disk._layout import (
    UNKNOWN,
    checked,
    cut_to,
    listing,
    nearest,
    opened,
    picture,
    root_of,
    split_of_groups,
    within,
)
from seglens.datasets.samples import Sample, Split

_NAME = "a2d2"


@dataclass(frozen=True, slots=True)
class A2D2:
    """The pictures of a split as samples; pictures and labels are read when asked for.

    Colours that class_list.json numbers ("Car 1" to "Car 4") are one class ("Car"), which leaves 38 of 55; a colour
    that it does not name is 255. group: the sequence. Open it with `open_a2d2`.
    """

    root: Path
    classes: ClassTable = field(repr=False)
    pictures: tuple[Path, ...] = field(repr=False)
    size: tuple[int, int] | None
    _colours: NDArray[np.int32] = field(repr=False)
    _indices: NDArray[np.uint8] = field(repr=False)

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
        """False."""
        return False

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        """The picture of that index. Raises IndexError outside the length, ImageError for files absent or damaged."""
        path = self.pictures[checked(index, len(self))]
        sequence, camera = path.parents[2], path.parent.name
        image = opened(path)
        drawn = np.asarray(
            opened(sequence / "label" / camera / path.name.replace("_camera_", "_label_")).convert("RGB")
        )
        if drawn.shape[:2] != (image.height, image.width):
            raise ImageError(f"{path.name}: labels {drawn.shape[:2]}, picture {(image.height, image.width)}.")
        small = nearest(drawn, self.size).astype(np.int32)
        packed = small[..., 0] << 16 | small[..., 1] << 8 | small[..., 2]
        place = np.minimum(np.searchsorted(self._colours, packed), len(self._colours) - 1)
        known = self._colours[place] == packed
        return Sample(
            image=picture(image, self.size),
            labels=np.where(known, self._indices[place], UNKNOWN).astype(np.uint8),
            name=path.name,
            group=sequence.name,
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_a2d2(path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int) -> A2D2:
    """The folder camera_lidar_semantic, or the one that holds it: class_list.json beside folders of sequences.

    Every camera's pictures, in the order of sequence, camera and name. The publisher has no splits: of the sequences in
    order, the fourth of every five is 'val', the fifth 'test', all others 'train'; no sequence is divided, since its
    frames look alike. `seed` has no effect. Raises ParameterError without a path, ImageError for another layout.
    """
    root = root_of(_NAME, path)
    if (root / "camera_lidar_semantic").is_dir():
        root = root / "camera_lidar_semantic"
    table, colours, indices = _table(within(_NAME, root, "class_list.json", kind="file"))
    sequences = sorted(entry.name for entry in root.iterdir() if (entry / "camera").is_dir())
    if not sequences:
        raise ImageError(
            f"no sequence in {str(root)!r}: expected folders such as 20180807_145028 with camera and label in each.\n"
            f"  There is {listing(root)}."
        )
    chosen = sorted(split_of_groups(sequences, split))
    pictures = [file for name in chosen for file in sorted((root / name / "camera").glob("cam_*/*_camera_*.png"))]
    if not pictures:
        raise ImageError(f"no camera/cam_…/…_camera_….png in {', '.join(chosen)} of {str(root)!r}.")
    return A2D2(root, table, tuple(pictures[: cut_to(length, len(pictures))]), size, colours, indices)


def _table(path: Path) -> tuple[ClassTable, NDArray[np.int32], NDArray[np.uint8]]:
    """The merged classes, each in its first colour; all colours, packed and ascending; the class of each."""
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as damaged:
        raise ImageError(f"{path.name} is no JSON: {damaged}") from damaged
    if not isinstance(read, dict) or not read:
        raise ImageError(f'{path.name} is no table of colours; expected {{"#ff0000": "Car 1", …}}.')
    entries = cast("dict[str, object]", read)
    numbers: dict[str, int] = {}
    firsts: list[tuple[int, int, int]] = []
    packed: list[tuple[int, int]] = []
    for colour, name in entries.items():
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour) or not isinstance(name, str):
            raise ImageError(f"{path.name} has the entry {colour!r}: {name!r}; expected '#rrggbb' and a name.")
        merged = re.sub(r"\s+\d+$", "", name)
        value = int(colour[1:], 16)
        if merged not in numbers:
            numbers[merged] = len(numbers)
            firsts.append((value >> 16, value >> 8 & 255, value & 255))
        packed.append((value, numbers[merged]))
    ordered = np.array(sorted(packed), np.int32)
    return ClassTable(tuple(numbers), tuple(firsts)), ordered[:, 0], ordered[:, 1].astype(np.uint8)
