"""The 25 drawings behind `textures`: each a function of its own random generator and of pixel coordinates.

A drawing gets rows y [n 1] and columns x [1 n] and gives greys around 0..1 that broadcast to [n n]. Lengths are in
pixels and do not grow with n. The structure repeats within some 20 pixels, so that half a small picture shows which
texture it is; the mean greys lie between 0.4 and 0.6, so that brightness alone does not.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Greys = NDArray[np.float64]
Drawing = Callable[[Generator, Greys, Greys], Greys]

DRAWINGS: dict[str, Drawing] = {}


def _drawing(draw: Drawing) -> Drawing:
    DRAWINGS[draw.__name__] = draw
    return draw


def _soft(distance: Greys) -> Greys:
    """0 outside, 1 inside, with an edge one pixel wide; distance in pixels, positive inside."""
    return np.clip(distance + 0.5, 0, 1)


def _fold(t: Greys, period: float) -> Greys:
    """Distance to the nearest multiple of the period: a triangle wave from 0 to period / 2."""
    return np.abs((t + period / 2) % period - period / 2)


def _bars(t: Greys, period: float, width: float) -> Greys:
    """1 on bars of that width around the multiples of the period, else 0."""
    return _soft(width / 2 - _fold(t, period))


def _between(low: float, high: float, share: Greys) -> Greys:
    return low + (high - low) * share


def _noise(rng: Generator, y: Greys, x: Greys, tall: float, wide: float) -> Greys:
    """White noise blurred by a Gaussian of these standard deviations in pixels, with mean 0 and variance 1."""
    n = y.shape[0]
    fy, fx = np.fft.fftfreq(n)[:, None], np.fft.rfftfreq(n)[None]
    kept = np.exp(-2 * np.pi**2 * ((tall * fy) ** 2 + (wide * fx) ** 2))
    blurred = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((n, n))) * kept, s=(n, n))
    return (blurred - blurred.mean()) / blurred.std()


def _per_tile(rng: Generator, row: Greys, column: Greys, low: float, high: float) -> Greys:
    """A random value for each tile, given the (whole) numbers of its row and column from -1 upwards."""
    rows, columns = row.astype(int) + 1, column.astype(int) + 1
    return rng.uniform(low, high, (rows.max() + 1, columns.max() + 1))[rows, columns]


def _seeds(rng: Generator, y: Greys, x: Greys, pitch: float, jitter: float) -> tuple[Greys, Greys, Greys]:
    """Distance to the nearest and the second nearest of scattered points, and a number in 0..1 of the nearest.

    One point in each square of side `pitch`, off its middle by up to jitter / 2 of the side.
    """
    cells = int(y.shape[0] // pitch) + 5
    off = rng.uniform(-jitter / 2, jitter / 2, (2, cells, cells)) + 0.5
    number = rng.random((cells, cells))
    row, column = np.broadcast_arrays((y // pitch).astype(int) + 2, (x // pitch).astype(int) + 2)
    first = np.full(row.shape, np.inf)
    second, which = first.copy(), np.zeros(row.shape)
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            at = row + i, column + j
            dy, dx = (at[0] - 2 + off[0][at]) * pitch - y, (at[1] - 2 + off[1][at]) * pitch - x
            distance = np.hypot(dy, dx)
            nearer = distance < first
            second = np.where(nearer, first, np.minimum(second, distance))
            which = np.where(nearer, number[at], which)
            first = np.where(nearer, distance, first)
    return first, second, which


@_drawing
def bands(rng: Generator, y: Greys, x: Greys) -> Greys:
    return _between(0.25, 0.75, _bars(y, 12, 6)) + 0 * x


@_drawing
def pinstripes(rng: Generator, y: Greys, x: Greys) -> Greys:
    return _between(0.6, 0.1, _bars(x, 5, 1.2)) + 0 * y


@_drawing
def diagonals(rng: Generator, y: Greys, x: Greys) -> Greys:
    return 0.5 + 0.3 * np.sin(2 * np.pi * (x + y) / 13)


@_drawing
def ramps(rng: Generator, y: Greys, x: Greys) -> Greys:
    return _between(0.2, 0.8, ((x - 0.5 * y) / 17) % 1)


@_drawing
def checks(rng: Generator, y: Greys, x: Greys) -> Greys:
    return _between(0.3, 0.7, (y // 7 + x // 7) % 2)


@_drawing
def diamonds(rng: Generator, y: Greys, x: Greys) -> Greys:
    u, v = x / 7 + y / 11, x / 7 - y / 11
    filled = _between(0.3, 0.55, (np.floor(u) + np.floor(v)) % 2)
    thread = np.maximum(_bars(u * 6 + 3, 12, 1), _bars(v * 6 + 3, 12, 1))
    return filled * (1 - thread) + 0.95 * thread


@_drawing
def dots(rng: Generator, y: Greys, x: Greys) -> Greys:
    row = y // 8
    shifted = x + 4.5 * (row % 2)
    return _between(0.36, 0.95, _soft(2.6 - np.hypot(y % 8 - 4, shifted % 9 - 4.5)))


@_drawing
def confetti(rng: Generator, y: Greys, x: Greys) -> Greys:
    n = y.shape[0]
    canvas = np.full((n, n), 0.5)
    pieces = n * n // 18
    tops, lefts = rng.integers(-5, n, pieces), rng.integers(-5, n, pieces)
    heights, widths = rng.integers(2, 7, pieces), rng.integers(2, 7, pieces)
    greys = rng.choice([0.05, 0.35, 0.65, 0.95], pieces)
    for top, left, height, width, grey in zip(tops, lefts, heights, widths, greys, strict=True):
        canvas[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = grey
    return canvas


@_drawing
def bricks(rng: Generator, y: Greys, x: Greys) -> Greys:
    row = y // 8
    shifted = x + 8 * (row % 2)
    mortar = np.maximum(_bars(y, 8, 2), _bars(shifted, 16, 2))
    return (1 - mortar) * _per_tile(rng, row + 0 * x, shifted // 16, 0.25, 0.5) + 0.8 * mortar


@_drawing
def waves(rng: Generator, y: Greys, x: Greys) -> Greys:
    return 0.5 + 0.28 * np.sin(2 * np.pi * (y + 5 * np.sin(2 * np.pi * x / 28)) / 9)


@_drawing
def cells(rng: Generator, y: Greys, x: Greys) -> Greys:
    first, second, _ = _seeds(rng, y, x, 17, 0.8)
    return _between(0.85, 0.35, _soft((second - first) / 2 - 1.4))


@_drawing
def mosaic(rng: Generator, y: Greys, x: Greys) -> Greys:
    return _between(0.1, 0.9, _seeds(rng, y, x, 9, 1)[2])


@_drawing
def grain(rng: Generator, y: Greys, x: Greys) -> Greys:
    return rng.uniform(0.1, 0.9, (y.shape[0], x.shape[1]))


@_drawing
def clouds(rng: Generator, y: Greys, x: Greys) -> Greys:
    return 0.5 + 0.18 * _noise(rng, y, x, 3.5, 3.5)


@_drawing
def marble(rng: Generator, y: Greys, x: Greys) -> Greys:
    vein = np.abs(np.sin((x + 0.6 * y) / 4 + 1.8 * _noise(rng, y, x, 8, 8)))
    return _between(0, 0.68, np.sqrt(vein))


@_drawing
def weave(rng: Generator, y: Greys, x: Greys) -> Greys:
    over = (y // 9 + x // 9) % 2
    off = np.where(over == 1, y % 9 - 4, x % 9 - 4)
    return np.where(over == 1, 0.8, 0.62) - 0.027 * off**2


@_drawing
def rings(rng: Generator, y: Greys, x: Greys) -> Greys:
    return 0.5 + 0.32 * np.cos(2 * np.pi * _seeds(rng, y, x, 24, 0.3)[0] / 6)


@_drawing
def scratches(rng: Generator, y: Greys, x: Greys) -> Greys:
    n = y.shape[0]
    canvas = np.full((n, n), 0.5)
    lines = n * n // 90
    angle = rng.uniform(0, np.pi, (lines, 1))
    middle = rng.uniform(0, n, (2, lines, 1))
    step = np.arange(-10, 10, 0.5)[None]
    at = np.rint(middle[0] + np.sin(angle) * step), np.rint(middle[1] + np.cos(angle) * step)
    grey = np.broadcast_to(rng.choice([0.15, 0.85], (lines, 1)), at[0].shape)
    canvas[at[0].astype(int) % n, at[1].astype(int) % n] = grey
    return canvas


@_drawing
def hatch(rng: Generator, y: Greys, x: Greys) -> Greys:
    return _between(0.62, 0.15, np.maximum(_bars(x + y, 13, 2.4), _bars(x - y, 13, 2.4)))


@_drawing
def zigzag(rng: Generator, y: Greys, x: Greys) -> Greys:
    return _between(0.3, 0.8, _bars(y + 1.5 * _fold(x, 16), 12, 5))


@_drawing
def tiles(rng: Generator, y: Greys, x: Greys) -> Greys:
    v, u = y % 13 - 6, x % 13 - 6
    rim = np.maximum(np.abs(u), np.abs(v)) > 4
    return np.where(rim, np.where(u + v < 0, 0.9, 0.1), 0.5)


@_drawing
def streaks(rng: Generator, y: Greys, x: Greys) -> Greys:
    return 0.5 + 0.18 * _noise(rng, y, x, 9, 0.8)


@_drawing
def scales(rng: Generator, y: Greys, x: Greys) -> Greys:
    canvas = np.zeros((y.shape[0], x.shape[1]))
    for behind in (2, 1, 0):
        row = y // 7 - behind + 1
        middle = (x + 7 * (row % 2)) % 14 - 7
        radius = np.hypot(middle, y - (row - 1) * 7)
        canvas = np.where(radius < 8.2, _between(0.85, 0.2, radius / 8.2), canvas)
    return canvas


@_drawing
def pebbles(rng: Generator, y: Greys, x: Greys) -> Greys:
    first, second, number = _seeds(rng, y, x, 9, 0.6)
    gap = _soft((second - first) / 2 - 0.6)
    return 0.1 + gap * (0.55 + 0.3 * number - 0.012 * first**2)


@_drawing
def maze(rng: Generator, y: Greys, x: Greys) -> Greys:
    v, u = y % 10, x % 10
    flipped = _per_tile(rng, y // 10 + 0 * x, x // 10 + 0 * y, 0, 1) < 0.5
    u = np.where(flipped, 10 - u, u)
    arc = np.minimum(np.abs(np.hypot(u, v) - 5), np.abs(np.hypot(10 - u, 10 - v) - 5))
    return _between(0.7, 0.2, _soft(1.8 - arc))
