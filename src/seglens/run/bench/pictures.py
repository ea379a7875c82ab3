"""The pictures of the context-bias benchmark: where their digits and textures come from, and what is cut from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seglens.datasets.digits import Digits, Split, digits_from
from seglens.datasets.textured_digits import Bias, TexturedDigits, Twin
from seglens.datasets.textures import textures_from


@dataclass(frozen=True, slots=True, eq=False)
class Sources:
    """Where the shapes and textures of all pictures come from: digits of two splits that have no shape in common.

    digests: of the shapes of each split and of the textures, which tell whether pictures are the same.
    """

    digits: Mapping[Split, Digits]
    textures: tuple[NDArray[np.float32], ...]
    digests: Mapping[str, str]
    folder: Path | None = None

    @classmethod
    def of(cls, mnist: Path | None, texture_folder: Path | None) -> "Sources":
        """From the user's folders; None stands for what is built in. Raises ImageError, MissingExtraError."""
        digits: dict[Split, Digits] = {split: digits_from(mnist, split) for split in get_args(Split)}
        textures = textures_from(texture_folder)
        digests = {split: _digest([d.images, d.labels]) for split, d in digits.items()}
        return cls(digits, textures, {**digests, "textures": _digest(textures)}, texture_folder)

    @property
    def says(self) -> dict[str, str]:
        """Both sources in words, as every table names them."""
        n = len(self.textures)
        return {
            "digits": self.digits["train"].name.removesuffix(" train"),
            "textures": f"{n} built-in" if self.folder is None else f"{n} of {self.folder.resolve().name}",
        }

    def data(self, length: int, seed: int, plant: Bias | Twin | None, split: Split) -> TexturedDigits:
        """Pictures of the shapes of one split, with these textures."""
        return TexturedDigits(length, seed, plant, digits=self.digits[split], textures=self.textures)

    def digest(self, data: TexturedDigits, split: Split) -> dict[str, Any]:
        """What determines every pixel of such pictures, in plain values."""
        return {
            "length": data.length,
            "seed": data.seed,
            "plant": repr(data.plant),
            "both_halves": data.both_halves,
            "size": data.size,
            "digits": [self.digits[split].name, self.digests[split]],
            "textures": self.digests["textures"],
        }


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """n pictures of a data set, stacked. pixels [n 1 H W] in 0..1. labels, cue [n H W]. digit, index [n]."""

    pixels: Tensor
    labels: NDArray[np.uint8]
    cue: NDArray[np.bool_]
    digit: NDArray[np.int64]
    index: NDArray[np.int64]

    @classmethod
    def of(cls, data: TexturedDigits, chosen: Sequence[int] | None = None) -> "Scenes":
        """Those pictures of a data set, or all of it."""
        index = range(len(data)) if chosen is None else chosen
        scenes = [data[i] for i in index]
        pixels = np.stack([s.image for s in scenes])[:, None].astype(np.float32) / 255
        return cls(
            torch.from_numpy(pixels),
            np.stack([s.labels for s in scenes]),
            np.stack([s.cue for s in scenes]),
            np.array([s.digit for s in scenes]),
            np.array(list(index)),
        )

    def __len__(self) -> int:
        return len(self.index)

    @property
    def context(self) -> NDArray[np.bool_]:
        """[n H W]: the pixels outside the digit, 1 − R of the truth."""
        return self.labels != self.digit[:, None, None]


def _digest(arrays: Sequence[NDArray[Any]]) -> str:
    found = sha256()
    for array in arrays:
        found.update(f"{array.shape} {array.dtype}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
