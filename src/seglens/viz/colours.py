"""Colours: two maps for explanations and a palette for classes, all made for colour-blind eyes too.

A colour map here is a curve through CIELAB in which lightness is linear and the point (a, b) moves
at constant speed. Every step is then equally large to the eye: the picture has no edges that the
data have not. Both facts, and that the colours stay apart under protanopia, deuteranopia and
tritanopia, are measured in the tests with an independent implementation.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seglens.core.classes import ClassTable, Colour
from seglens.core.errors import ParameterError
from seglens.viz._spaces import SIGHT, seen, to_lab, to_rgb

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

Kind = Literal["sequential", "diverging"]

OTHER: Colour = (150, 150, 150)
"""Pixels whose label is none of the class table's."""

_STEPS = 256

# Lightness at both ends, and Bezier control points of the curve in (a, b): midnight blue, wine,
# coral, pale yellow. Chosen by eye, inside sRGB throughout.
_EMBER = (10.0, 95.0), ((14, -30), (74, -46), (60, 40), (23, 72), (-6, 36))

# From a near-white middle to blue and to burnt orange: the pair that all three kinds of colour
# blindness keep apart. The longer arm is cut to the length of the shorter.
_POLES = (95.0, 40.0), ((0, 0), (-16, -18), (20, -58)), ((0, 0), (14, 40), (50, 47))


@lru_cache
def table(kind: Kind) -> NDArray[np.float64]:
    """The 256 colours [256 3] of a map, sRGB in [0, 1]; for 'diverging' the middle two are nearly white.

    'sequential' rises in lightness from L = 10 to 95; 'diverging' falls from L = 95 in the middle
    to 40 at both ends. Raises ParameterError for another kind.
    """
    if kind == "sequential":
        (dark, light), points = _EMBER
        t = np.linspace(0, 1, _STEPS)
        curve = _walk(points)
        lab = np.column_stack([dark + (light - dark) * t, _at(curve, t * _length(curve))])
    elif kind == "diverging":
        (middle, end), cold, warm = _POLES
        # An even number of entries leaves no entry at zero itself: half a step to either side.
        t = (2 * np.arange(_STEPS // 2) + 1) / (_STEPS - 1)
        reach = min(_length(_walk(cold)), _length(_walk(warm)))
        arms = [
            np.column_stack([middle + (end - middle) * t, _at(_walk(points), t * reach)]) for points in (cold, warm)
        ]
        lab = np.concatenate([arms[0][::-1], arms[1]])
    else:
        raise ParameterError(f"no colour map {kind!r}: there are 'sequential' and 'diverging'.")
    rgb = np.clip(to_rgb(lab), 0, 1)
    rgb.setflags(write=False)
    return rgb


def colormap(kind: Kind) -> Colormap:
    """The map as a matplotlib object, for `cmap=`; matplotlib's own registry is left alone.

    Undefined values (NaN) are drawn in mid-grey. Raises ParameterError for another kind.
    """
    from matplotlib.colors import ListedColormap

    made = ListedColormap(table(kind).tolist(), name=f"seglens-{kind}")
    return made.with_extremes(bad=(0.5, 0.5, 0.5))


@lru_cache(maxsize=8)
def palette(n: int) -> tuple[Colour, ...]:
    """`n` colours for classes, 8-bit RGB, each as far as can be from those before it.

    Far means the least CIELAB distance over normal sight and the three kinds of colour blindness.
    Neither near black, nor near white, nor grey, which stand for 'nothing here', nor glaring. The first k
    colours are those of `palette(k)` up to about a thousand classes. Raises ParameterError for n < 0.
    """
    if n < 0:
        raise ParameterError(f"palette({n}): the number of classes is 0 or more.")
    side = 12
    candidates = _candidates(side)
    while len(candidates) < n:
        side *= 2
        candidates = _candidates(side)
    views = np.stack([to_lab(seen(candidates, sight)).T for sight in SIGHT]).astype(np.float32)
    # The first is the strong blue of the diverging map, so that figures share an accent.
    best = int(np.argmin(np.linalg.norm(candidates - table("diverging")[0], axis=1)))
    least = np.full(len(candidates), np.inf, np.float32)
    chosen: list[Colour] = []
    for _ in range(n):
        r, g, b = (round(float(v) * 255) for v in candidates[best])
        chosen.append((r, g, b))
        apart = np.square(views - views[:, :, best, None]).sum(1).min(0)  # over [sight Lab candidate]
        np.minimum(least, apart, out=least)
        least[best] = -1  # never twice, even where a dichromat confuses all that is left
        best = int(np.argmax(least))
    return tuple(chosen)


def class_colours(classes: ClassTable) -> NDArray[np.uint8]:
    """Colours [K 3] of a class table: its own, else the default palette."""
    colours = classes.colours or palette(len(classes))
    return np.array(colours, np.uint8).reshape(len(classes), 3)


def _candidates(side: int) -> NDArray[np.float64]:
    levels = np.linspace(0, 1, side)
    rgb = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), -1).reshape(-1, 3)
    lab = to_lab(rgb)
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    return rgb[(chroma > 20) & (chroma < 80) & (lab[:, 0] > 22) & (lab[:, 0] < 92)]


def _walk(points: ArrayLike) -> NDArray[np.float64]:
    """Bezier curve through control points [P 2], sampled densely: [S 2]."""
    layers = np.asarray(points, np.float64)[:, None, :]
    t = np.linspace(0, 1, 4097)[:, None]
    while len(layers) > 1:  # de Casteljau
        layers = (1 - t) * layers[:-1] + t * layers[1:]
    return layers[0]


def _passed(curve: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.linalg.norm(np.diff(curve, axis=0), axis=1)
    return np.concatenate([[0.0], np.cumsum(steps)])


def _length(curve: NDArray[np.float64]) -> float:
    return float(_passed(curve)[-1])


def _at(curve: NDArray[np.float64], distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points [N 2] of the curve, `distance` [N] along it."""
    passed = _passed(curve)
    return np.column_stack([np.interp(distance, passed, curve[:, i]) for i in (0, 1)])
