"""What the readers share: finding what a layout promises, pictures and labels at a size, splits where none is given."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from seglens.core.errors import ImageError, ParameterError
from seglens.datasets.samples import SPLITS, Split

UNKNOWN = 255
"""The label of pixels of which nothing is known."""


def root_of(name: str, path: str | None) -> Path:
    """The folder that was given. Raises ParameterError without one, ImageError where there is none."""
    if path is None:
        raise ParameterError(f"{name} is read from disk: say where it lies, as {name}:FOLDER.")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise ImageError(f"{path!r} is no folder.\n  Name the one into which {name} was unpacked.")
    return root


def within(name: str, root: Path, *places: str, kind: str = "folder") -> Path:
    """The first of several places under the root that exists. Raises ImageError that says what is there instead."""
    for place in places:
        found = root / place
        if found.is_dir() if kind == "folder" else found.is_file():
            return found
    raise ImageError(
        f"{str(root)!r} is not laid out as {name}: no {kind} {' or '.join(places)}.\n  There is {listing(root)}."
    )


def listing(folder: Path, most: int = 8) -> str:
    """The first entries of a folder, for a message."""
    names = sorted(entry.name + ("/" if entry.is_dir() else "") for entry in folder.iterdir())
    return ", ".join(names[:most]) + (", …" if len(names) > most else "") if names else "nothing"


def lines_of(name: str, path: Path, header: int) -> list[str]:
    """The lines of a text file that are not empty, after so many of header. Raises ImageError where there are none."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if len(lines) <= header:
        raise ImageError(
            f"{path.name} of {name} has {len(lines)} lines; expected {header} of header and one a picture."
        )
    return lines[header:]


def signs(row: str, count: int) -> NDArray[np.float32]:
    """The attributes of a line 'file ±1 ±1 …', as 0 or 1. Raises ImageError for another line."""
    values = row.split()[1:]
    if len(values) != count or not set(values) <= {"1", "-1"}:
        raise ImageError(f"the line {row[:60]!r} is not a file and {count} values of 1 or -1.")
    return np.array([value == "1" for value in values], np.float32)


def opened(path: Path) -> Image.Image:
    """A picture, read whole. Raises ImageError for a file that is absent or damaged."""
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except FileNotFoundError as absent:
        raise ImageError(f"no file {path.name} in {str(path.parent)!r}, though the layout has it.") from absent
    except (UnidentifiedImageError, OSError, SyntaxError) as damaged:
        raise ImageError(f"{str(path)!r} cannot be read: {damaged}\n  Copy or download it again.") from damaged


def picture(image: Image.Image, size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """uint8 [H W 3], brought to (height, width) by averaging where it shrinks and linearly where it grows."""
    image = image.convert("RGB")
    if size is not None and size != (image.height, image.width):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    return np.array(image)


def nearest(labels: NDArray[np.generic], size: tuple[int, int] | None) -> NDArray[np.generic]:
    """[h w …] brought to (height, width): each pixel is the one in which its centre lies."""
    if size is None or size == labels.shape[:2]:
        return labels
    rows, columns = ((2 * np.arange(n) + 1) * m // (2 * n) for n, m in zip(size, labels.shape, strict=False))
    return labels[rows[:, None], columns]


def whole_png(path: Path) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """A PNG at the depth in which it was written: [H W] or [H W C], uint16 for one of 16 bits.

    Pillow keeps the upper eight bits of a PNG with several channels of 16; here its decoder runs twice, once for the
    upper and once for the lower byte.
    Raises ImageError for a file that is absent, damaged, or no PNG.
    """
    upper = opened(path)
    if upper.format not in ("PNG", None):
        raise ImageError(f"{str(path)!r} is a {upper.format} file, whatever its name; expected a PNG.")
    with Image.open(path) as image:
        tiles = image.tile  # pyright: ignore[reportAttributeAccessIssue]
        codec, box, offset, raw = tiles[0]
        if not (isinstance(raw, str) and raw.endswith(";16B") and image.mode.startswith("RGB")):
            return np.array(upper)
        kind = type(tiles[0])
        values = (codec, box, offset, raw.replace(";16B", ";16L"))
        image.tile = [kind(*values) if hasattr(kind, "_fields") else values]  # pyright: ignore[reportAttributeAccessIssue]
        lower = np.array(image)
    return (np.array(upper).astype(np.uint16) << 8 | lower).astype(np.uint16)


def split_of_groups(groups: Sequence[str], split: Split) -> set[str]:
    """The groups of a split: in the order of their names, the fourth of every five is 'val', the fifth 'test'.

    Raises ImageError where fewer than five leave the split empty.
    """
    names = sorted(set(groups))
    place = {"val": (3,), "test": (4,), "train": (0, 1, 2)}[split]
    chosen = {name for number, name in enumerate(names) if number % 5 in place}
    if not chosen:
        raise ImageError(
            f"{len(names)} sequences leave {split!r} empty: every fourth of five is 'val', every fifth 'test'.\n"
            "  Frames of one sequence look alike, so that none is divided; add sequences, or use another split."
        )
    return chosen


def split_by_place(count: int, split: Split, shares: tuple[float, float] = (0.8, 0.1)) -> range:
    """Places of a split where nothing says what belongs together: neighbours stay together, train first, then val."""
    edges = [0, round(count * shares[0]), round(count * (shares[0] + shares[1])), count]
    number = SPLITS.index(split)
    return range(edges[number], edges[number + 1])


def checked(index: int, length: int) -> int:
    """The place of an index that may count from the end. Raises IndexError outside the length."""
    place = index + length if index < 0 else index
    if not 0 <= place < length:
        raise IndexError(f"sample {index} of {length}")
    return place


def cut_to(length: int | None, count: int) -> int:
    """How many of `count` are taken. Raises ParameterError for a negative length."""
    if length is not None and length < 0:
        raise ParameterError(f"length = {length}: a data set cannot hold fewer than 0 samples.")
    return count if length is None else min(length, count)
