"""What stands where: a street as a list of objects in metres, before anything is drawn.

Plants act here and nowhere else. All draws are made whether a plant uses them or not, so that two
plants over one seed give the same street but for the planted context.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from seglens.datasets._world import Camera, Light, stream

if TYPE_CHECKING:
    from seglens.datasets.streets import Plant

STANDING = ("person", "rider", "car", "bicycle", "motorcycle", "pole", "vegetation")
MOUNTS = ("bicycle", "motorcycle", None)
_MOUNT_CHANCES = (0.36, 0.14, 0.5)
_RIDER_CHANCE = 0.5
_FAR = 60.0  # metres: where the street ends


@dataclass(frozen=True, slots=True)
class Thing:
    """One object standing at `x` metres right and `z` ahead. `number` names its random stream.

    mount: what a person or rider is on. mount_is_cue, ground_is_cue, panel: which of its contexts
    were planted.
    """

    kind: str
    x: float
    z: float
    number: int
    mount: str | None = None
    mount_is_cue: bool = False
    ground_is_cue: bool = False
    panel: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """A stretch of one side of the street (side -1 left, 1 right) from z0 to z1 metres ahead."""

    kind: str  # "building" or "vegetation"
    side: int
    z0: float
    z1: float
    height: float
    number: int


@dataclass(frozen=True, slots=True)
class Layout:
    """A street: `kerbs` and `walls` are the X of road edges and of building lines, left, right."""

    entropy: tuple[int, int]
    size: tuple[int, int]
    camera: Camera
    light: Light
    kerbs: tuple[float, float]
    walls: tuple[float, float]
    plots: tuple[Plot, ...]
    things: tuple[Thing, ...]  # farthest first


def lay_out(entropy: tuple[int, int], size: tuple[int, int], plant: "Plant") -> Layout:
    """The street of `entropy` (seed, index), seen at `size` (H, W), with `plant` at work."""
    rng = stream(entropy, 0)
    camera = _camera(rng, size)
    light = _light(rng)
    kerbs = (-rng.uniform(2.8, 5.5), rng.uniform(2.8, 5.5))
    walls = (kerbs[0] - rng.uniform(2.6, 5.0), kerbs[1] + rng.uniform(2.6, 5.0))
    plots = _plots(stream(entropy, 1))
    things = _things(stream(entropy, 2), size, camera, kerbs, walls, plant)
    return Layout(entropy, size, camera, light, kerbs, walls, plots, things)


def _camera(rng: np.random.Generator, size: tuple[int, int]) -> Camera:
    height, width = size
    # Objects keep their share of the picture's area whatever its shape.
    focal = rng.uniform(1.05, 1.3) * float(np.sqrt(height * width / 2))
    vanishing = (width * rng.uniform(0.35, 0.65), height * rng.uniform(0.36, 0.48))
    return Camera(vanishing, focal, rng.uniform(1.35, 1.75))


def _light(rng: np.random.Generator) -> Light:
    clear = rng.random() < 0.65
    evening = rng.random() ** 2  # 0 noon, 1 dusk
    level = rng.uniform(0.95, 1.22) * (1 - 0.3 * evening)
    tint = (level * (1 + 0.16 * evening), level, level * (1 - 0.2 * evening + 0.04 * (not clear)))
    if clear:
        top = (92 + 40 * evening, 142 - 10 * evening, 206 - 40 * evening)
        low = (190 + 45 * evening, 208 - 25 * evening, 226 - 70 * evening)
    else:
        top, low = (176.0, 182.0, 190.0), (212.0, 214.0, 216.0)
    reach = rng.uniform(0.5, 1.0) + evening
    angle = rng.uniform(0, 2 * np.pi)
    sun = (reach * float(np.cos(angle)), 0.7 * reach * float(np.sin(angle)))
    shadow = rng.uniform(0.35, 0.55) if clear else rng.uniform(0.08, 0.2)
    return Light(tint, (top, low), sun, shadow, rng.uniform(0.004, 0.016))


def _plots(rng: np.random.Generator) -> tuple[Plot, ...]:
    plots: list[Plot] = []
    for side in (-1, 1):
        green = rng.uniform(0.1, 0.4)  # some streets have more gardens than others
        z = 1.6
        while z < _FAR:
            kind = "vegetation" if rng.random() < green else "building"
            tall = rng.uniform(4.5, 15) if kind == "building" else rng.uniform(1.2, 3.2)
            end = min(z + rng.uniform(5, 12), _FAR)
            plots.append(Plot(kind, side, z, end, tall, len(plots)))
            z = end
    return tuple(sorted(plots, key=lambda plot: -plot.z0))


def _things(
    rng: np.random.Generator,
    size: tuple[int, int],
    camera: Camera,
    kerbs: tuple[float, float],
    walls: tuple[float, float],
    plant: "Plant",
) -> tuple[Thing, ...]:
    things: list[Thing] = []

    def panel(kind: str) -> bool:
        wanted = rng.random() < plant.texture_strength and kind == plant.texture_behind
        return wanted and not plant.withheld

    def across(share: float, z: float) -> float:
        """X of the screen column at `share` of the width, kept between the buildings."""
        x = (share * size[1] - camera.vanishing[0]) * z / camera.focal
        return float(np.clip(x, walls[0] + 0.7, walls[1] - 0.7))

    figures, parked = int(rng.integers(3, 7)), int(rng.integers(2, 5))
    # One screen column each, in random order: objects hide one another, but seldom wholly.
    columns = (rng.permutation(figures + parked) + rng.random(figures + parked)) / (figures + parked)
    for column in columns[:figures]:
        z = float(np.exp(rng.uniform(np.log(4.2), np.log(13))))
        kind = "rider" if rng.random() < _RIDER_CHANCE else "person"
        mount = MOUNTS[int(rng.choice(3, p=_MOUNT_CHANCES))]
        obeys = rng.random() < plant.riders_on_bicycles
        if obeys:
            mount = "bicycle" if kind == "rider" and not plant.withheld else None
        things.append(
            Thing(
                kind,
                across(column, z),
                z,
                len(things),
                mount=mount,
                mount_is_cue=obeys and mount is not None,
                panel=panel(kind),
            )
        )
    for column in columns[figures:]:
        z = float(np.exp(rng.uniform(np.log(4.2), np.log(11))))
        kind = "bicycle" if rng.random() < 0.5 else "motorcycle"
        things.append(Thing(kind, across(column, z), z, len(things), panel=panel(kind)))
    for _ in range(int(rng.integers(2, 6))):
        z = float(np.exp(rng.uniform(np.log(5.5), np.log(26))))
        on_road = rng.uniform(kerbs[0] + 1.1, kerbs[1] - 1.1)
        side = int(rng.integers(2))
        on_sidewalk = kerbs[side] + (2 * side - 1) * rng.uniform(1.1, 1.5)
        obeys = rng.random() < plant.cars_on_road
        road = rng.random() < 0.5
        if obeys:
            road = not plant.withheld
        things.append(
            Thing(
                "car",
                float(on_road if road else on_sidewalk),
                z,
                len(things),
                ground_is_cue=obeys and road,
                panel=panel("car"),
            )
        )
    for kind, least, most, nearest in (("pole", 3, 6, 4.5), ("vegetation", 2, 6, 7.0)):
        for _ in range(int(rng.integers(least, most))):
            z = float(np.exp(rng.uniform(np.log(nearest), np.log(28))))
            side = int(rng.integers(2))
            outward = 2 * side - 1
            inset = 0.4 if kind == "pole" else abs(walls[side] - kerbs[side]) * rng.uniform(0.4, 1)
            x = float(kerbs[side] + outward * inset)
            things.append(Thing(kind, x, z, len(things), panel=panel(kind)))
    return tuple(sorted(things, key=lambda thing: -thing.z))
