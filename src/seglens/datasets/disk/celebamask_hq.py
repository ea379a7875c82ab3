"""CelebAMask-HQ: faces with masks of their parts and attributes (Lee et al., "MaskGAN", CVPR 2020)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ImageError
from seglens.datasets.disk._layout import (
    checked,
    cut_to,
    lines_of,
    listing,
    nearest,
    opened,
    picture,
    root_of,
    signs,
    split_by_place,
    within,
)
from seglens.datasets.samples import Sample, Split

_NAME = "celebamask-hq"
PARTS: tuple[str, ...] = (
    "background",
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip"),
    *("hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
"""Names in the publisher's order; a later part's mask hides an earlier one's."""
COLOURS: tuple[tuple[int, int, int], ...] = (
    (0, 0, 0),
    (204, 0, 0),
    (76, 153, 0),
    (204, 204, 0),
    (51, 51, 255),
    (204, 0, 204),
    (0, 255, 255),
    (255, 204, 204),
    (102, 51, 0),
    (255, 0, 0),
    (102, 204, 0),
    (255, 255, 0),
    (0, 0, 153),
    (0, 0, 204),
    (255, 51, 153),
    (0, 204, 204),
    (0, 51, 0),
    (255, 153, 51),
    (0, 204, 0),
)
_PER_FOLDER = 2000
_LAST = {"train": 162770, "val": 182637, "test": 202599}  # of CelebA's pictures, by its own partition


@dataclass(frozen=True, slots=True)
class CelebAMaskHQ:
    """The pictures of a split as samples; pictures and masks are read when asked for.

    Without a size, samples have the masks' own, 512 × 512. attributes: 0 or 1. Open it with `open_celebamask_hq`.
    """

    root: Path
    numbers: tuple[int, ...] = field(repr=False)
    attributes: tuple[str, ...] = field(repr=False)
    size: tuple[int, int] | None
    _rows: dict[int, str] = field(repr=False)

    @property
    def classes(self) -> ClassTable:
        """Background and the 18 parts."""
        return ClassTable(PARTS, COLOURS)

    @property
    def factors(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def built_in(self) -> bool:
        """False."""
        return False

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, index: int) -> Sample:
        """The picture of that index. Raises IndexError outside the length, ImageError for files absent or damaged."""
        number = self.numbers[checked(index, len(self))]
        folder = self.root / "CelebAMask-HQ-mask-anno" / str(number // _PER_FOLDER)
        labels: NDArray[np.uint8] | None = None
        for part, name in enumerate(PARTS[1:], 1):
            path = folder / f"{number:05d}_{name}.png"
            if not path.is_file():
                continue  # the publisher writes no file for a part that is not seen
            inside = np.asarray(opened(path).convert("L")) > 0
            labels = np.zeros(inside.shape, np.uint8) if labels is None else labels
            if inside.shape != labels.shape:
                raise ImageError(f"{path.name} is {inside.shape}, other masks of the picture are {labels.shape}.")
            labels[inside] = part
        if labels is None:
            raise ImageError(
                f"no mask of picture {number} in {str(folder)!r}: expected {number:05d}_skin.png and others."
            )
        size = self.size or (int(labels.shape[0]), int(labels.shape[1]))
        return Sample(
            image=picture(opened(self.root / "CelebA-HQ-img" / f"{number}.jpg"), size),
            labels=nearest(labels, size).astype(np.uint8, copy=False),
            attributes=signs(self._rows[number], len(self.attributes)) if self.attributes else None,
            name=f"{number}.jpg",
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_celebamask_hq(
    path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int
) -> CelebAMaskHQ:
    """The folder `CelebAMask-HQ` as unpacked: CelebA-HQ-img, CelebAMask-HQ-mask-anno, and the text files.

    Splits: those of CelebA, to whose pictures CelebA-HQ-to-CelebA-mapping.txt leads (by file number: up to 162770
    train, up to 182637 val). Without that file: numbers below 24000 train, below 27000 val, all others test. Without
    CelebAMask-HQ-attribute-anno.txt there are no attributes. `seed` has no effect.
    Raises ParameterError without a path, ImageError for another layout.
    """
    root = root_of(_NAME, path)
    pictures = within(_NAME, root, "CelebA-HQ-img")
    within(_NAME, root, "CelebAMask-HQ-mask-anno")
    found = sorted(int(entry.stem) for entry in pictures.glob("*.jpg") if entry.stem.isdigit())
    if not found:
        raise ImageError(f"no 0.jpg, 1.jpg, … in {str(pictures)!r}.\n  There is {listing(pictures)}.")
    members = _members(root, found, split)
    numbers = [number for number in found if number in members]
    numbers = tuple(numbers[: cut_to(length, len(numbers))])
    names, rows = _attributes(root)
    missing = [number for number in numbers if names and number not in rows]
    if missing:
        raise ImageError(f"CelebAMask-HQ-attribute-anno.txt has no line for {missing[0]}.jpg.")
    return CelebAMaskHQ(root, numbers, names, size, {number: rows[number] for number in numbers if names})


def _members(root: Path, found: list[int], split: Split) -> set[int]:
    mapping = root / "CelebA-HQ-to-CelebA-mapping.txt"
    if not mapping.is_file():
        return {number for number in found if number in split_by_place(30000, split)}
    members: set[int] = set()
    low = {"train": 0, "val": _LAST["train"], "test": _LAST["val"]}[split]
    for line in lines_of(_NAME, mapping, 1):
        fields = line.split()
        if len(fields) != 3 or not fields[0].isdigit() or not fields[2].removesuffix(".jpg").isdigit():
            raise ImageError(f"{mapping.name} has the line {line!r}; expected idx, orig_idx, orig_file.")
        if low < int(fields[2].removesuffix(".jpg")) <= _LAST[split]:
            members.add(int(fields[0]))
    return members


def _attributes(root: Path) -> tuple[tuple[str, ...], dict[int, str]]:
    table = root / "CelebAMask-HQ-attribute-anno.txt"
    if not table.is_file():
        return (), {}
    names, *rows = lines_of(_NAME, table, 1)
    return tuple(names.split()), {int(row.split(".", 1)[0]): row for row in rows}
