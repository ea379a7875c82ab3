"""What a figure of a picture without a part of it shows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovalContent:
    """All that the figure needs, before and after where there are two.

    pictures: uint8 [*picture] or [*picture 3]. removed, region: bool [*picture]; no region of a classifier. labels:
    [*picture], −1 where there is none, which is called `outside`; None of a classifier. heads, rows: of the table, a
    row of the class with that index.
    """

    title: str
    facts: tuple[str, ...]
    pictures: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    removed: NDArray[np.bool_]
    region: NDArray[np.bool_] | None
    labels: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    classes: ClassTable
    outside: str
    heads: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]
    notes: tuple[str, ...]
