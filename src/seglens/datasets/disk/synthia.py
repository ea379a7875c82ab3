"""SYNTHIA-RAND-CITYSCAPES: rendered streets with labels (Ros et al., "The SYNTHIA Dataset", CVPR 2016)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

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
    split_by_place,
    whole_png,
    within,
)
from seglens.datasets.samples import Sample, Split

_NAME = "synthia"
# Names in the order of the publisher's ids, from 1; colours of Cityscapes where it has the class, else our own.
_TABLE: tuple[tuple[str, tuple[int, int, int]], ...] = (
    ("sky", (70, 130, 180)),
    ("building", (70, 70, 70)),
    ("road", (128, 64, 128)),
    ("sidewalk", (244, 35, 232)),
    ("fence", (190, 153, 153)),
    ("vegetation", (107, 142, 35)),
    ("pole", (153, 153, 153)),
    ("car", (0, 0, 142)),
    ("traffic sign", (220, 220, 0)),
    ("pedestrian", (220, 20, 60)),
    ("bicycle", (119, 11, 32)),
    ("motorcycle", (0, 0, 230)),
    ("parking slot", (250, 170, 160)),
    ("road work", (255, 128, 0)),
    ("traffic light", (250, 170, 30)),
    ("terrain", (152, 251, 152)),
    ("rider", (255, 0, 0)),
    ("truck", (0, 0, 70)),
    ("bus", (0, 60, 100)),
    ("train", (0, 80, 100)),
    ("wall", (102, 102, 156)),
    ("lane marking", (0, 175, 0)),
)
CLASSES: tuple[str, ...] = tuple(name for name, _ in _TABLE)


@dataclass(frozen=True, slots=True)
class Synthia:
    """The pictures of a split as samples; pictures and labels are read when asked for.

    Labels are the publisher's ids less one; void (0) is 255. Open it with `open_synthia`.
    """

    root: Path
    names: tuple[str, ...] = field(repr=False)
    size: tuple[int, int] | None

    @property
    def classes(self) -> ClassTable:
        """The 22 classes."""
        return ClassTable(CLASSES, tuple(colour for _, colour in _TABLE))

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
        return len(self.names)

    def __getitem__(self, index: int) -> Sample:
        """The picture of that index. Raises IndexError outside the length, ImageError for files absent or malformed."""
        name = self.names[checked(index, len(self))]
        labels = _ids(self.root / "GT" / "LABELS" / name)
        image = opened(self.root / "RGB" / name)
        if labels.shape != (image.height, image.width):
            raise ImageError(f"{name}: labels {labels.shape}, picture {(image.height, image.width)}.")
        return Sample(
            image=picture(image, self.size), labels=nearest(labels, self.size).astype(np.uint8, copy=False), name=name
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_synthia(
    path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int
) -> Synthia:
    """The folder RAND_CITYSCAPES: RGB/0000000.png and GT/LABELS/0000000.png, 16-bit, red the class.

    The publisher has neither splits nor sequences: by number, the first 80 % are 'train', the next tenth 'val', the
    last 'test', so that neighbours stay together. `seed` has no effect.
    Raises ParameterError without a path, ImageError for another layout.
    """
    root = root_of(_NAME, path)
    if (root / "RAND_CITYSCAPES").is_dir():
        root = root / "RAND_CITYSCAPES"
    pictures = within(_NAME, root, "RGB")
    within(_NAME, root, "GT/LABELS")
    names = sorted(entry.name for entry in pictures.glob("*.png"))
    if not names:
        raise ImageError(f"no 0000000.png, … in {str(pictures)!r}.\n  There is {listing(pictures)}.")
    places = split_by_place(len(names), split)
    return Synthia(root, tuple(names[place] for place in places)[: cut_to(length, len(places))], size)


def _ids(path: Path) -> NDArray[np.uint8]:
    """The class of each pixel, from the red channel. Raises ImageError for another kind of file and unknown ids."""
    values = whole_png(path)
    if values.ndim != 3:
        raise ImageError(f"{path.name} in GT/LABELS has one channel; expected three, red the class.")
    red = values[..., 0]
    if int(red.max()) > len(CLASSES):
        raise ImageError(
            f"{path.name} has the class {int(red.max())}; the publisher's go from 0 to {len(CLASSES)}.\n"
            "  It may be a picture of colours, or have been written again at another depth."
        )
    return np.where(red == 0, UNKNOWN, red - 1).astype(np.uint8)
