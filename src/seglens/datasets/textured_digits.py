"""Digits with textured fore- and background, and with a background texture that is tied to a digit on demand.

The data set of the grid-saliency paper (Hoyer et al. 2019, section 4.1): a network that was trained on a tie has a
reason to look at the background, and the pixels that give the reason away are known.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ParameterError
from seglens.datasets.digits import Digits, digits_from
from seglens.datasets.textures import textures_from

CLASSES: tuple[str, ...] = (*map(str, range(10)), "background")

BACKGROUND = 10
"""The label of the pixels around the digit."""

_SMALLEST = 16  # pixels: below this digits cannot be told from each other


@dataclass(frozen=True, slots=True)
class Bias:
    """A background texture that always comes with a digit, in one half of the picture, chosen evenly.

    digit: 0 to 9. texture: an index into the textures of the data set. strength: "strong", the texture occurs
    nowhere else, foregrounds included (it is there if and only if the digit is); "weak", it occurs elsewhere as
    often as any other.
    Raises ParameterError for another digit, a negative texture and another strength.
    """

    digit: int
    texture: int
    strength: Literal["weak", "strong"]

    def __post_init__(self) -> None:
        _check_digit("digit", self.digit)
        _check_texture("texture", self.texture)
        if self.strength not in ("weak", "strong"):
            raise ParameterError(f"strength = {self.strength!r}: a bias is 'weak' or 'strong'.")


@dataclass(frozen=True, slots=True)
class Twin:
    """Two classes of one shape, told apart by their context alone.

    The classes `digit` and `other` both have the shapes of `digit`. A picture of `digit` always has `texture` in one
    half, one of `other` never; a picture of `other` always has `other_texture` in one half where that is given, one
    of `digit` never; where it is None, `other` is known by the absence of `texture`. The foregrounds of both classes
    are of neither texture. The eight other classes have all textures equally often.
    Raises ParameterError for what is no digit, for a class that is its own twin, a negative texture, and one texture
    for both classes.
    """

    digit: int
    other: int
    texture: int
    other_texture: int | None = None

    def __post_init__(self) -> None:
        _check_digit("digit", self.digit)
        _check_digit("other", self.other)
        _check_texture("texture", self.texture)
        if self.digit == self.other:
            raise ParameterError(f"digit = other = {self.digit}: twins are two classes.")
        if self.other_texture is not None:
            _check_texture("other_texture", self.other_texture)
            if self.other_texture == self.texture:
                raise ParameterError(f"texture = other_texture = {self.texture}: nothing would tell the twins apart.")


@dataclass(frozen=True, slots=True, eq=False)
class DigitScene:
    """One picture and the truth about it, on one pixel grid.

    image [H W] uint8, grey. labels [H W] uint8, indices into `CLASSES`. digit: the class of the digit. cue [H W]
    bool: the background pixels that show the texture tied to this picture's own class; all False where none is, also
    where the texture of another class shows. textures: indices of those of the digit, the upper half and the lower.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    digit: int
    cue: NDArray[np.bool_]
    textures: tuple[int, int, int]


@dataclass(frozen=True, slots=True, eq=False)
class TexturedDigits:
    """`length` pictures of one digit each, of `size` × `size` pixels, the classes in turn: picture i shows i % 10.

    image = d · fore + (1 − d) · background, with d the digit, bilinear to the picture's size, inked where it reaches
    half of full ink, and as background one texture in the upper half and one in the lower. Each is a crop at random.
    All textures are drawn uniformly, but for what the plant says and but for one thing: a background texture is never
    the digit's own, or part of the digit could not be seen.

    Picture i depends on (seed, i, plant, digits, textures, both_halves, size) only; `length` merely says where to
    stop. Draws do not depend on the plant where it does not rule: the same index with and without it has the same
    shape at the same crops. The name of the digits takes part: training and test digits do not share draws.

    plant: what is tied to which class; None for no tie. digits: None for scikit-learn's, training split. textures:
    greys [h w] in 0..1; None for the built-in 25. both_halves: whether the half without the tied texture may draw it
    too (the published generator lets it).

    Raises ParameterError for a negative length or seed, a size under 16 or above a texture's, too few textures for
    the plant (two; three for a tie, four for twins of two textures), and ties to textures that are not there.
    """

    length: int
    seed: int
    plant: Bias | Twin | None = None
    digits: Digits | None = None
    textures: tuple[NDArray[np.floating], ...] | None = field(default=None, repr=False)
    both_halves: bool = False
    size: int = 64
    _shapes: tuple[NDArray[np.uint8], ...] = field(init=False, repr=False)
    _greys: tuple[NDArray[np.uint8], ...] = field(init=False, repr=False)
    _stream: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.length < 0:
            raise ParameterError(f"length = {self.length}: a data set cannot hold fewer than 0 pictures.")
        if self.seed < 0:
            raise ParameterError(f"seed = {self.seed}: a seed is an integer from 0 upwards.")
        if self.size < _SMALLEST:
            raise ParameterError(f"size = {self.size}: a digit needs at least {_SMALLEST} pixels.")
        textures = textures_from(None) if self.textures is None else self.textures
        _check_textures(textures, self.size, self.plant)
        digits = digits_from(None, "train") if self.digits is None else self.digits
        object.__setattr__(self, "_shapes", tuple(digits.images[digits.labels == digit] for digit in range(10)))
        object.__setattr__(self, "_greys", tuple(np.rint(255 * one).astype(np.uint8) for one in textures))
        object.__setattr__(self, "_stream", zlib.crc32(digits.name.encode()))

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> DigitScene:
        """Picture `index`; negative indices count from the end. IndexError outside the length."""
        place = int(index) + self.length if index < 0 else int(index)
        if not 0 <= place < self.length:
            raise IndexError(f"picture {index} of {self.length}")
        digit = place % 10
        draws = np.random.default_rng((self.seed, self._stream, place)).random(11).tolist()
        shapes = self._shapes[self.plant.digit if isinstance(self.plant, Twin) and digit == self.plant.other else digit]
        inked = _upscaled(shapes[int(draws[0] * len(shapes))], self.size)
        textures, tied = self._textures_of(digit, draws[1:5])
        half = self.size // 2
        picture = np.empty((self.size, self.size), np.uint8)
        picture[:half] = _crop(self._greys[textures[1]], half, self.size, draws[5:7])
        picture[half:] = _crop(self._greys[textures[2]], self.size - half, self.size, draws[7:9])
        fore = _crop(self._greys[textures[0]], self.size, self.size, draws[9:11])
        cue = np.zeros(inked.shape, bool)
        cue[:half], cue[half:] = textures[1] == tied, textures[2] == tied
        return DigitScene(
            np.where(inked, fore, picture),
            np.where(inked, np.uint8(digit), np.uint8(BACKGROUND)),
            digit,
            cue & ~inked,
            textures,
        )

    def __iter__(self) -> Iterator[DigitScene]:
        return (self[index] for index in range(self.length))

    def _textures_of(self, digit: int, draws: list[float]) -> tuple[tuple[int, int, int], int | None]:
        """(digit, upper half, lower half), and the texture tied to the class, None where there is none."""
        tied, forbidden = _rule(self.plant, digit)
        fore = _pick(len(self._greys), {*forbidden, tied}, draws[0])
        never = {*forbidden, fore}
        if tied is None:
            upper, lower = (_pick(len(self._greys), never, draw) for draw in draws[1:3])
            return (fore, upper, lower), None
        at = int(draws[3] * 2)
        rest = _pick(len(self._greys), never if self.both_halves else {*never, tied}, draws[2 - at])
        return (fore, tied, rest) if at == 0 else (fore, rest, tied), tied


def _rule(plant: Bias | Twin | None, digit: int) -> tuple[int | None, set[int]]:
    """The texture tied to a class, and those that its pictures may not show."""
    match plant:
        case Bias():
            if digit == plant.digit:
                return plant.texture, set()
            return None, {plant.texture} if plant.strength == "strong" else set()
        case Twin():
            if digit == plant.digit:
                return plant.texture, set() if plant.other_texture is None else {plant.other_texture}
            if digit == plant.other:
                return plant.other_texture, {plant.texture}
            return None, set()
        case None:
            return None, set()


def _pick(count: int, never: set[int | None] | set[int], draw: float) -> int:
    """One of range(count) but those in `never`, evenly, by a draw from [0, 1)."""
    allowed = [index for index in range(count) if index not in never]
    return allowed[int(draw * len(allowed))]


def _crop(texture: NDArray[np.uint8], height: int, width: int, draws: list[float]) -> NDArray[np.uint8]:
    top = int(draws[0] * (texture.shape[0] - height + 1))
    left = int(draws[1] * (texture.shape[1] - width + 1))
    return texture[top : top + height, left : left + width]


def _upscaled(shape: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    down, across = _linear(shape.shape[0], size), _linear(shape.shape[1], size)
    return down @ shape.astype(np.float32) @ across.T >= 127.5


@cache
def _linear(pixels: int, size: int) -> NDArray[np.float32]:
    """[size pixels]: linear interpolation between centres of pixels, the outermost continued."""
    at = np.clip((np.arange(size) + 0.5) * pixels / size - 0.5, 0, pixels - 1)
    return np.maximum(1 - np.abs(at[:, None] - np.arange(pixels)), 0).astype(np.float32)


def _check_digit(name: str, digit: object) -> None:
    if not isinstance(digit, int | np.integer) or not 0 <= digit <= 9:
        raise ParameterError(f"{name} = {digit!r}: digits are 0 to 9.")


def _check_texture(name: str, texture: object) -> None:
    if not isinstance(texture, int | np.integer) or texture < 0:
        raise ParameterError(f"{name} = {texture!r}: a texture is known by its index, from 0 upwards.")


def _check_textures(textures: tuple[NDArray[np.floating], ...], size: int, plant: Bias | Twin | None) -> None:
    tied = [] if plant is None else [plant.texture]
    if isinstance(plant, Twin) and plant.other_texture is not None:
        tied.append(plant.other_texture)
    if len(textures) < 2 + len(tied):
        raise ParameterError(
            f"{len(textures)} textures: digits with textured backgrounds need {2 + len(tied)} or more"
            f"{' with this plant' if tied else ''}."
        )
    for index in tied:
        if index >= len(textures):
            raise ParameterError(f"texture {index} of {len(textures)}: indices go from 0 to {len(textures) - 1}.")
    for index, one in enumerate(textures):
        if one.ndim != 2 or min(one.shape) < size or not np.issubdtype(one.dtype, np.floating):
            raise ParameterError(
                f"texture {index} is {one.dtype} {one.shape}; expected floats [h w] with both sides at least "
                f"size = {size}."
            )
        low, high = float(one.min()), float(one.max())
        if not (low >= 0 and high <= 1):
            raise ParameterError(f"texture {index} holds values from {low:.4g} to {high:.4g}; expected 0 to 1.")
