"""What the figures of the context-bias benchmark are made of, in plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Bar:
    """One mean in 0..1 with its interval, NaN where there is none, over n networks.

    pale: drawn as what is not to be relied on. dots: further means, one a digit.
    """

    name: str
    mean: float
    low: float
    high: float
    n: int
    pale: bool = False
    dots: Sequence[float] = field(default=())


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """One strength of the bias: heat maps [1 + D 10] of the IoU and of each method's CBD, and each method's CBL.

    digits: of the rows after the first, which is that of the unbiased networks.
    """

    title: str
    digits: Sequence[int]
    iou: NDArray[np.float64]
    cbd: Mapping[str, NDArray[np.float64]]
    bars: Sequence[Bar]


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """One picture [H W] uint8 with its cue [H W] and each method's mask on its own cells."""

    image: NDArray[np.uint8]
    cue: NDArray[np.bool_]
    name: str
    masks: Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """One method on one kind of networks: CBL and CBD for each value of a setting. Dots of the CBD: other classes."""

    title: str
    cbl: Sequence[Bar]
    cbd: Sequence[Bar]
