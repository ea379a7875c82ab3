"""CelebA: aligned faces with forty attributes (Liu et al., "Deep Learning Face Attributes in the Wild", ICCV 2015)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from seglens.core.classes import ClassTable
from seglens.core.errors import ImageError
from seglens.datasets.disk._layout import checked, cut_to, lines_of, opened, picture, root_of, signs, within
from seglens.datasets.samples import SPLITS, Sample, Split

_NAME = "celeba"


@dataclass(frozen=True, slots=True)
class CelebA:
    """The pictures of a split as samples, without labels; pictures are read when asked for.

    A size cuts the middle of that shape out of each 178 × 218 picture before it is scaled, so that faces keep their
    shape. attributes: 0 or 1. group: the person, where identity_CelebA.txt is there. Open it with `open_celeba`.
    """

    pictures: Path
    names: tuple[str, ...] = field(repr=False)
    attributes: tuple[str, ...] = field(repr=False)
    size: tuple[int, int] | None
    _rows: dict[str, str] = field(repr=False)
    _persons: dict[str, str] = field(repr=False)

    @property
    def classes(self) -> ClassTable | None:
        """None: there are no labels."""
        return None

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
        """The picture of that index. Raises IndexError outside the length, ImageError for files absent or damaged."""
        name = self.names[checked(index, len(self))]
        image = opened(self.pictures / name)
        return Sample(
            image=picture(image if self.size is None else _middle(image, self.size), self.size),
            attributes=signs(self._rows[name], len(self.attributes)),
            name=name,
            group=self._persons.get(name, ""),
        )

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))


def open_celeba(path: str | None, split: Split, size: tuple[int, int] | None, length: int | None, seed: int) -> CelebA:
    """The folder with img_align_celeba, list_attr_celeba.txt and list_eval_partition.txt.

    They may lie side by side, or under Img, Anno and Eval as they are handed out. Splits are the publisher's, which
    divide persons. `seed` has no effect. Raises ParameterError without a path, ImageError for another layout.
    """
    root = root_of(_NAME, path)
    pictures = within(_NAME, root, "img_align_celeba", "Img/img_align_celeba")
    table = within(_NAME, root, "list_attr_celeba.txt", "Anno/list_attr_celeba.txt", kind="file")
    partition = within(_NAME, root, "list_eval_partition.txt", "Eval/list_eval_partition.txt", kind="file")
    number = str(SPLITS.index(split))
    names: list[str] = []
    for line in lines_of(_NAME, partition, 0):
        fields = line.split()
        if len(fields) != 2 or fields[1] not in "012":
            raise ImageError(f"{partition.name} has the line {line!r}; expected a file and 0, 1 or 2.")
        if fields[1] == number:
            names.append(fields[0])
    names = names[: cut_to(length, len(names))]
    header, *lines = lines_of(_NAME, table, 1)
    wanted = set(names)
    rows = {line.split(maxsplit=1)[0]: line for line in lines}
    absent = [name for name in names if name not in rows]
    if absent:
        raise ImageError(f"{table.name} has no line for {absent[0]}, which {partition.name} names.")
    persons: dict[str, str] = {}
    for place in ("identity_CelebA.txt", "Anno/identity_CelebA.txt"):
        if (root / place).is_file():
            pairs = (line.split() for line in lines_of(_NAME, root / place, 0))
            persons = {pair[0]: pair[1] for pair in pairs if pair[0] in wanted}
    kept = {name: rows[name] for name in names}
    return CelebA(pictures, tuple(names), tuple(header.split()), size, kept, persons)


def _middle(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The largest cut-out of the size's shape about the middle."""
    wide, high = image.width, image.height
    width, height = min(wide, high * size[1] / size[0]), min(high, wide * size[0] / size[1])
    left, top = round((wide - width) / 2), round((high - height) / 2)
    return image.crop((left, top, left + round(width), top + round(height)))
