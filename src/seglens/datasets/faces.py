"""Faces made by rule: parts with exact masks, attributes to condition on, and every factor known and changeable alone.

A network that has learned such faces can be asked whether conditioning changes what it names and nothing else, and the
answer can be checked: the same face can be drawn again with one factor changed. Every face is a pure function of
(seed, index, size); no global random state is read or written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.errors import ParameterError, suggest
from seglens.datasets._faces_head import Head
from seglens.datasets._faces_measure import MEASURED, measure_face, measure_faces
from seglens.datasets._faces_parts import PARTS, Colours, Looks, hair_of, hued, paint_face, skin_of
from seglens.datasets.disk import celebamask_hq
from seglens.datasets.samples import Sample

__all__ = [
    "ATTRIBUTES",
    "FACTORS",
    "MEASURED",
    "PARTS",
    "PART_COLOURS",
    "Face",
    "Faces",
    "draw_face",
    "measure_face",
    "measure_faces",
]

PART_COLOURS = tuple(celebamask_hq.COLOURS[celebamask_hq.PARTS.index(part)] for part in PARTS)
"""Colours of the parts, those of CelebAMask-HQ."""

_SMALLEST = 16  # pixels: below this an eye is no pixel


@dataclass(frozen=True, slots=True, kw_only=True)
class Face:
    """What a face is made of; the defaults are a plain one.

    smile: 0 none to 1 broad. mouth_open: 0 closed to 1. glasses, hat: 0 none, 1 worn (glasses between are faint; a hat
    is worn from 0.5). beard: 0 none to 1 full. hair_length: 0 cropped to 1 over the shoulders. hair_tone: 0 black, by
    way of brown, to 1 blond. hair_red: 0 none to 1 ginger. fringe: 0 high hairline to 1 down to the brows.
    skin: 0 light to 1 dark. yaw: turned to the left (-1) or right (1) as seen, 29° at the ends. light: from the left
    (-1) or right (1). width: 0 narrow to 1 wide face. x, y: -1 to 1, the place, 4 % of the side at the ends.
    background: 0 dark to 1 bright; background_hue, cloth_hue: 0 to 1 round the circle of hues (the hat's hue follows
    the cloth's).

    Raises ParameterError for a value outside its range or not finite.
    """

    smile: float = 0.3
    mouth_open: float = 0.0
    glasses: float = 0.0
    hat: float = 0.0
    beard: float = 0.0
    hair_length: float = 0.5
    hair_tone: float = 0.4
    hair_red: float = 0.2
    fringe: float = 0.3
    skin: float = 0.3
    yaw: float = 0.0
    light: float = 0.3
    width: float = 0.5
    x: float = 0.0
    y: float = 0.0
    background: float = 0.6
    background_hue: float = 0.6
    cloth_hue: float = 0.1

    def __post_init__(self) -> None:
        for field in fields(self):
            value, low = getattr(self, field.name), _lowest(field.name)
            if not low <= value <= 1:
                raise ParameterError(f"{field.name} = {value!r} of a face: it goes from {low:g} to 1.")

    @classmethod
    def of(cls, factors: NDArray[np.floating]) -> "Face":
        """The face of a sample's factors, in the order of `FACTORS`."""
        return cls(**{name: float(value) for name, value in zip(FACTORS, factors, strict=True)})

    @property
    def factors(self) -> NDArray[np.float32]:
        """All values in the order of `FACTORS`."""
        return np.array([getattr(self, name) for name in FACTORS], np.float32)

    @property
    def attributes(self) -> NDArray[np.float32]:
        """What a network is conditioned on, in the order of `ATTRIBUTES`, each 0 to 1."""
        return np.array([_share(name, getattr(self, name)) for name in ATTRIBUTES.values()], np.float32)


FACTORS: tuple[str, ...] = tuple(field.name for field in fields(Face))
"""Names of all factors of a face."""

ATTRIBUTES: dict[str, str] = {
    "smiling": "smile",
    "mouth_open": "mouth_open",
    "eyeglasses": "glasses",
    "wearing_hat": "hat",
    "beard": "beard",
    "long_hair": "hair_length",
    "blond_hair": "hair_tone",
    "dark_skin": "skin",
    "facing_right": "yaw",
    "bright_background": "background",
}
"""Attributes, and the factor that each follows: its value, brought to 0..1 where it goes from -1."""


def _lowest(name: str) -> float:
    return -1.0 if name in ("yaw", "light", "x", "y") else 0.0


def _share(name: str, value: float) -> float:
    low = _lowest(name)
    return (value - low) / (1 - low)


def draw_face(
    face: Face, size: tuple[int, int] = (64, 64), grain: int | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Picture uint8 [H W 3] and labels uint8 [H W] (indices of `PARTS`) of a face.

    size: each side at least 16 pixels; the face fills the shorter one. grain: seed of the sensor's noise (2 grey levels
    of standard deviation); None for none. Raises ParameterError for a smaller size.
    """
    if len(size) != 2 or min(size) < _SMALLEST:
        raise ParameterError(f"size = {size}: a face needs (height, width), each >= {_SMALLEST} pixels.")
    centre = 0.5 + 0.04 * face.x, 0.5 + 0.04 * face.y
    head = Head.at(size, centre, (0.205 + 0.045 * face.width, 0.3), face.yaw, face.light)
    bright = 28 + 215 * face.background
    colours = Colours(
        skin=skin_of(face.skin),
        hair=hair_of(face.hair_tone, face.hair_red),
        cloth=hued(face.cloth_hue, 0.75, 190),
        hat=hued(face.cloth_hue + 0.45, 0.7, 175),
        background=hued(face.background_hue, 0.22, bright),
    )
    looks = Looks(
        smile=face.smile,
        mouth_open=face.mouth_open,
        hair_length=face.hair_length,
        fringe=face.fringe,
        glasses=face.glasses,
        beard=face.beard,
        light=face.light,
        hat=face.hat >= 0.5,
        colours=colours,
    )
    picture, labels = paint_face(head, looks).finish()
    if grain is not None:
        noise = np.random.default_rng(grain).standard_normal(picture.shape, dtype=np.float32)
        picture = picture + 2 * noise
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8), labels


@dataclass(frozen=True, slots=True)
class Faces:
    """`length` faces of `size` (H, W) as samples, a map-style data set for torch's `DataLoader`.

    Face i depends on (seed, i) only, whatever the length; a larger size draws the same face in more detail. Two seeds
    give disjoint streams. Factors are drawn without regard to one another: three in ten wear glasses, one in five a
    hat, two in five a beard, half have an open mouth; ginger is rarer than brown, and all else is uniform, so that no
    attribute gives another away.

    Raises ParameterError for a negative length or seed, and for a side under 16 pixels.
    """

    length: int
    size: tuple[int, int] = (64, 64)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.length < 0:
            raise ParameterError(f"length = {self.length}: a data set cannot hold fewer than 0 faces.")
        if self.seed < 0:
            raise ParameterError(f"seed = {self.seed}: a seed is an integer from 0 upwards.")
        if len(self.size) != 2 or min(self.size) < _SMALLEST:
            raise ParameterError(f"size = {self.size}: a face needs (height, width), each >= {_SMALLEST} pixels.")

    @property
    def classes(self) -> ClassTable:
        """The parts, in colours of CelebAMask-HQ."""
        return ClassTable(PARTS, PART_COLOURS)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the attributes."""
        return tuple(ATTRIBUTES)

    @property
    def factors(self) -> tuple[str, ...]:
        """Names of the factors: the fields of `Face`."""
        return FACTORS

    @property
    def built_in(self) -> bool:
        """True."""
        return True

    def __len__(self) -> int:
        return self.length

    def face(self, index: int) -> Face:
        """What the face of that index is made of; negative indices count from the end. Raises IndexError."""
        rng = np.random.default_rng((self.seed, self._place(index)))
        drawn = {name: float(rng.uniform(_lowest(name), 1)) for name in FACTORS}
        chance = rng.random(4)
        drawn["glasses"], drawn["hat"] = float(chance[0] < 0.3), float(chance[1] < 0.2)
        drawn["beard"] = 0.3 + 0.7 * drawn["beard"] if chance[2] < 0.4 else 0.0
        drawn["mouth_open"] = drawn["mouth_open"] if chance[3] < 0.5 else 0.0
        drawn["hair_red"] **= 2
        return Face(**drawn)

    def __getitem__(self, index: int) -> Sample:
        """The face of that index; negative indices count from the end. IndexError outside the length."""
        return self._drawn(self.face(index), self._place(index))

    def edited(self, index: int, **changes: float) -> Sample:
        """The face of that index with some factors changed, and all else as it was, the noise too.

        Raises ParameterError for a factor that is none, and for a value outside its range.
        """
        for name in changes:
            if name not in FACTORS:
                raise ParameterError(
                    f"{name!r} is no factor of a face.{suggest(name, FACTORS)}\n  All of them: {', '.join(FACTORS)}."
                )
        return self._drawn(replace(self.face(index), **changes), self._place(index))

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(self.length))

    def _place(self, index: int) -> int:
        place = index + self.length if index < 0 else index
        if not 0 <= place < self.length:
            raise IndexError(f"face {index} of {self.length}")
        return place

    def _drawn(self, face: Face, place: int) -> Sample:
        grain = int(np.random.SeedSequence((self.seed, place, 1)).generate_state(1)[0])
        image, labels = draw_face(face, self.size, grain)
        return Sample(
            image=image, labels=labels, attributes=face.attributes, factors=face.factors, name=f"face {place}"
        )
