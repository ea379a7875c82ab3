"""Street scenes made by rule, with exact labels and instances, and with context planted on demand.

A network trained on scenes whose context is known can be asked what it relies on, and the answer
can be checked. Every scene is a pure function of (seed, index, size, plant): it is the same in any
order, in any process, and no global random state is read or written.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seglens.core.errors import ParameterError
from seglens.datasets._layout import STANDING, lay_out
from seglens.datasets._painting import paint
from seglens.datasets._world import CLASSES, COLOURS

__all__ = ["CLASSES", "COLOURS", "Plant", "Scene", "Streets"]

_SMALLEST = 16  # pixels: below this no figure has a head, and labels would say what nobody sees


@dataclass(frozen=True, slots=True)
class Scene:
    """One picture and the truth about it, on one pixel grid.

    image [H W 3] uint8, RGB. labels [H W] uint8, indices into `CLASSES`. instances [H W] uint16:
    0 where the pixel is stuff, else an id that is unique in the scene and belongs to exactly one
    person, rider, car, bicycle or motorcycle. cue [H W] bool: the visible pixels of the context
    that the plant put there (see `Plant`); all False where nothing was planted.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    cue: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Plant:
    """Context that is tied to a class, each tie with a strength from 0 (none) to 1 (always).

    A strength s is the chance that an object obeys the tie; otherwise its context is drawn without
    regard to its class, so that at 0 the context says nothing.

    riders_on_bicycles: a rider who obeys is on a bicycle, a person who obeys is on nothing.
        At 0, persons and riders are on bicycles, on motorcycles or on foot equally often.
        Cue: the visible pixels of the bicycles put under riders who obey.
    cars_on_road: a car that obeys stands on the road; otherwise on road or sidewalk, one as likely
        as the other. Cue: visible road in the box around each car that obeys, a quarter larger
        than the car on each side.
    texture_behind: a standing class ("person", "rider", "car", "bicycle", "motorcycle", "pole",
        "vegetation": its trees), each of which has, with chance texture_strength, a striped panel
        behind it, which occurs nowhere else. Labels are those of the stuff that wears the panel.
        Cue: the visible pixels of the panel.
    withheld: the same scenes with the cue taken away (riders who obey are on foot, cars who obey
        stand on the sidewalk, panels are missing). Every other draw is the same, so that a scene
        and its withheld twin differ in the context alone.

    Raises ParameterError (a ValueError) for a strength outside [0, 1] (NaN included), an unknown
    class, or a texture_strength without a class to stand behind.
    """

    riders_on_bicycles: float = 0.0
    cars_on_road: float = 0.0
    texture_behind: str | None = None
    texture_strength: float = 0.0
    withheld: bool = False

    def __post_init__(self) -> None:
        for name in ("riders_on_bicycles", "cars_on_road", "texture_strength"):
            strength = getattr(self, name)
            if not 0.0 <= strength <= 1.0:
                raise ParameterError(
                    f"{name} = {strength!r} is not a strength.\n"
                    "  A strength goes from 0 (no tie between class and context) to 1 (always)."
                )
        if self.texture_behind is not None and self.texture_behind not in STANDING:
            raise ParameterError(
                f"texture_behind = {self.texture_behind!r}: no such standing class in streets.\n"
                f"  A panel can stand behind: {', '.join(STANDING)}."
            )
        if self.texture_behind is None and self.texture_strength > 0:
            raise ParameterError(
                f"texture_strength = {self.texture_strength!r}, but texture_behind is None.\n"
                f"  Name the class that the panel stands behind: {', '.join(STANDING)}."
            )


@dataclass(frozen=True, slots=True)
class Streets:
    """`length` street scenes of `size` (H, W), a map-style data set for torch's `DataLoader`.

    Scene i depends on (seed, i, size, plant) only; `length` merely says where to stop. Two seeds
    give disjoint streams: train on one, hold out another. The layout does not depend on `size`:
    the same index at twice the size is the same street in more detail.

    Raises ParameterError (a ValueError) for a negative length or seed, and for a side under 16
    pixels.
    """

    length: int
    size: tuple[int, int] = (96, 192)
    seed: int = 0
    plant: Plant = Plant()

    def __post_init__(self) -> None:
        if self.length < 0:
            raise ParameterError(f"length = {self.length}: a data set cannot hold fewer than 0 scenes.")
        if self.seed < 0:
            raise ParameterError(f"seed = {self.seed}: a seed is an integer from 0 upwards.")
        if len(self.size) != 2 or min(self.size) < _SMALLEST:
            raise ParameterError(f"size = {self.size}: a street needs (height, width), each >= {_SMALLEST} pixels.")

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Scene:
        """Scene `index`; negative indices count from the end. IndexError outside the length."""
        place = index + self.length if index < 0 else index
        if not 0 <= place < self.length:
            raise IndexError(f"scene {index} of {self.length}")
        entropy = (self.seed, place)
        image, code = paint(lay_out(entropy, self.size, self.plant))
        return Scene(image, code.labels, code.instances, code.cue)

    def __iter__(self) -> Iterator[Scene]:
        return (self[index] for index in range(self.length))
