"""The street's classes, its camera, and its random streams: what layout and painting share."""

from dataclasses import dataclass

import numpy as np

# Names and colours are those of Cityscapes, so that figures can be read without a new legend.
CLASSES: tuple[str, ...] = (
    "road",
    "sidewalk",
    "building",
    "vegetation",
    "sky",
    "pole",
    "person",
    "rider",
    "car",
    "bicycle",
    "motorcycle",
)
COLOURS: tuple[tuple[int, int, int], ...] = (
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (107, 142, 35),
    (70, 130, 180),
    (153, 153, 153),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (119, 11, 32),
    (0, 0, 230),
)
INDEX = {name: index for index, name in enumerate(CLASSES)}
FIRST_THING = INDEX["person"]  # from here on, a class has instances

Colour = tuple[float, float, float]
Point = tuple[float, float]


def grey(level: float) -> Colour:
    return level, level, level


def stream(entropy: tuple[int, int], *key: int) -> np.random.Generator:
    """The generator of one part of one scene: no part's draws can shift another's."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy, spawn_key=key)))


@dataclass(frozen=True, slots=True)
class Camera:
    """A pinhole over the street, looking along it. Lengths in metres, `focal` in pixels.

    A point X metres to the right, Y above the ground and Z ahead falls on pixel coordinates
    x = vanishing[0] + focal X / Z, y = vanishing[1] + focal (height - Y) / Z.
    """

    vanishing: Point
    focal: float
    height: float

    def project(self, x: float, y: float, z: float) -> Point:
        scale = self.focal / z
        return self.vanishing[0] + scale * x, self.vanishing[1] + scale * (self.height - y)


@dataclass(frozen=True, slots=True)
class Light:
    """Time of day: `tint` multiplies the picture; the sun throws shadows (`sun` metres to the
    right and ahead per metre of height) of depth `shadow`; haze mixes in with distance."""

    tint: Colour
    sky: tuple[Colour, Colour]  # top, horizon
    sun: Point
    shadow: float
    haze: float  # share of haze per metre
