"""A volume in the plane: three slices through one voxel, and all slices in one tall picture."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.explanation import Explanation
from seglens.viz.display import Shown, part_of, place_of
from seglens.viz.picture import at_slice

MOST = 2**21
"""Voxels of a volume of which a page holds all slices; of a larger one it holds the slice that `flat` chooses."""

TALLEST = 2**14
"""Rows of a picture that every browser draws."""


def planes(shown: Shown) -> list[tuple[str, Shown]]:
    """A shown volume on the slice that is shown, and on the row and the column through its greatest |value| there.

    With each its name: 'slice 3', 'row 12: slices × columns', 'column 7: slices × rows'. Of a slice without weight the
    voxel is the first of the region there, else the middle one. All have the scale of the volume. An image (no slice)
    has one plane, without a name.
    """
    if shown.z is None:
        return [("", shown)]
    _, y, x = centre(shown)
    down, right = _plane(shown, 1, y), _plane(shown, 2, x)
    return [
        (f"slice {shown.z}", shown),
        (f"row {y}: slices × columns", down),
        (f"column {x}: slices × rows", right),
    ]


def centre(shown: Shown) -> tuple[int, int, int]:
    """The voxel (slice, row, column) through which `planes` cut. Raises ValueError for an image."""
    if shown.z is None:
        raise ValueError("an image has no slices.")
    weight = _weight(shown)
    if not weight.any() and shown.flat.region is not None:
        weight = shown.flat.region.astype(np.float64)
    height, width = weight.shape
    y, x = divmod(int(weight.argmax()), width) if weight.any() else (height // 2, width // 2)
    return shown.z, y, x


def told(shown: Shown) -> str:
    """Where the planes meet, in words."""
    z, y, x = centre(shown)
    why = ", of the greatest |value| on that slice" if _weight(shown).any() else ""
    return f"The three planes meet at slice {z}, row {y}, column {x}{why}."


def stacks(e: Explanation) -> bool:
    """Whether all slices of a volume can lie in one picture of a page."""
    return e.map.ndim == 3 and e.map.size <= MOST and len(e.map) * (e.map.shape[1] + 1) <= TALLEST


def stacked(shown: Shown) -> Shown:
    """A shown volume [D H W] with all its slices in the plane, [D·(H + 1) W]: slice below slice, an empty row between.

    (The row keeps the outline at a slice's lower edge out of the next.)
    """
    e, display = shown.whole, shown.display
    flat = replace(
        e,
        map=_tall(e.map),
        image=_tall(e.image),
        region=None if e.region is None else _tall(e.region),
        prediction=None if e.prediction is None else _tall(e.prediction),
        truth=None if e.truth is None else _tall(e.truth),
        extras={name: _tall(a) if a.shape == e.map.shape else a for name, a in e.extras.items()},
    )
    inside = place_of(e, display.within)
    return replace(
        shown,
        flat=flat,
        values=part_of(flat.map, display.part),
        inside=None if inside is None else _tall(inside),
    )


def _tall(values: NDArray[Any]) -> NDArray[Any]:
    rows = np.pad(values, ((0, 0), (0, 1), *[(0, 0)] * (values.ndim - 2)))
    return rows.reshape(-1, *rows.shape[2:])


def _weight(shown: Shown) -> NDArray[np.float64]:
    """|value| [H W] of what is shown of the slice."""
    weight = np.abs(np.nan_to_num(shown.values.astype(np.float64), posinf=0, neginf=0))
    return weight if shown.inside is None else weight * shown.inside


def _plane(shown: Shown, dim: int, at: int) -> Shown:
    e = shown.whole
    inside = place_of(e, shown.display.within)
    return replace(
        shown,
        flat=at_slice(e, at, dim),
        values=np.take(part_of(e.map, shown.display.part), at, dim),
        inside=None if inside is None else np.take(inside, at, dim),
    )
