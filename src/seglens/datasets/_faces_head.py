"""The head in space, and the portrait in which picture and truth are painted together.

Lengths are shares of the picture's shorter side. Every pixel that could show the front of the head gets an angle around
it and a height on it, turned back by the yaw; features are drawn in those, so that they foreshorten as they turn away.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.floating[Any]]
Colour = tuple[float, float, float]

OVERSAMPLING = 2
YAW = 0.5  # radians to which yaw = ±1 turns the head


def smooth(low: float, high: float, x: Plane) -> Plane:
    """0 below low, 1 above high, and smooth between; falling where low > high."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bell(x: Plane, width: float) -> Plane:
    """exp(−(x / width)²)."""
    scaled = x * (1 / width)
    return np.exp(-(scaled * scaled))


@dataclass(frozen=True, slots=True)
class Head:
    """Planes over the oversampled picture, or a window of it, each float32 [h w].

    x, y: of the pixel, 0 to 1 over the shorter side. across: (x − centre) / half-width, −1 to 1 over the head. angle:
    around the head, 0 at the middle of the face, in radians, positive to the right as seen. height: −1 at the crown, 1
    at the chin. lit: light on the head as a ball, about 1 where it faces the light. turn: sine of the yaw. pixel: side
    of a pixel of the final picture.
    """

    x: Plane
    y: Plane
    across: Plane
    angle: Plane
    height: Plane
    lit: Plane
    centre: tuple[float, float]
    half: tuple[float, float]
    yaw: float
    turn: float
    pixel: float

    @classmethod
    def at(
        cls, size: tuple[int, int], centre: tuple[float, float], half: tuple[float, float], yaw: float, light: float
    ) -> "Head":
        """The head of those half-lengths (width, height), turned by `yaw` and lit from `light`, both −1 to 1."""
        side = min(size)
        rows, columns = (np.arange(n * OVERSAMPLING, dtype=np.float32) + np.float32(0.5) for n in size)
        x = ((columns / OVERSAMPLING - size[1] / 2) / side + 0.5)[None]
        y = ((rows / OVERSAMPLING - size[0] / 2) / side + 0.5)[:, None]
        across = (x - centre[0]) / half[0]
        height = (y - centre[1]) / half[1]
        shape = (y.size, x.size)
        ball, up = np.clip(across, -1, 1), np.clip(0.85 * height, -1, 1)
        out = np.sqrt(np.clip(1 - 0.85 * ball**2 - 0.6 * up**2, 0.05, 1))
        lit = 0.5 + 0.55 * np.clip(0.62 * light * ball - 0.3 * up + 0.85 * out, 0, 1.2)
        angle = np.arcsin(ball) - yaw * YAW
        x, y, across, angle, height = (
            np.broadcast_to(plane.astype(np.float32), shape) for plane in (x, y, across, angle, height)
        )
        turn = float(np.sin(yaw * YAW))
        return cls(x, y, across, angle, height, lit.astype(np.float32), centre, half, yaw * YAW, turn, 1 / side)

    def window(self, angles: tuple[float, float], heights: tuple[float, float]) -> tuple[slice, slice]:
        """The rows and columns in which those angles and heights lie."""
        edges = np.sin(np.clip(np.array(angles) + self.yaw, -np.pi / 2, np.pi / 2))
        rows = np.searchsorted(self.height[:, 0], heights)
        columns = np.searchsorted(self.across[0], edges)
        return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))

    def cut(self, window: tuple[slice, slice]) -> "Head":
        """The head in a window alone."""
        names = ("x", "y", "across", "angle", "height", "lit")
        return replace(self, **{name: getattr(self, name)[window] for name in names})

    def ellipse(self, x: float, y: float, a: float, b: float) -> Plane:
        """About the distance outside an ellipse in the picture, in shares of the side; negative inside."""
        return (np.sqrt(((self.x - x) / a) ** 2 + ((self.y - y) / b) ** 2) - 1) * min(a, b)

    def hump(self, angle: float, height: float, a: float, b: float) -> Plane:
        """A soft spot on the face: 1 at its middle, falling off as a Gaussian; a in radians, b in half-heights."""
        return bell(self.angle - angle, a) * bell(self.height[:, :1] - height, b)


class Portrait:
    """What is painted so far: colours [3 h w], 0 to 255, and labels [h w], oversampled."""

    def __init__(self, head: Head, colours: Plane, labels: NDArray[np.uint8]) -> None:
        self.head = head
        self.colours = colours
        self.labels = labels

    def cut(self, angles: tuple[float, float], heights: tuple[float, float]) -> "Portrait":
        """The part in which those angles and heights lie: what is painted there is painted here."""
        window = self.head.window(angles, heights)
        return Portrait(self.head.cut(window), self.colours[:, *window], self.labels[window])

    def cover(self, distance: Plane, label: int | None = None) -> Plane:
        """How much of each pixel lies inside, 0 to 1; the inside takes the label, where one is given."""
        if label is not None:
            self.labels[distance < 0] = label
        return np.clip(0.5 - distance * (1 / self.head.pixel), 0, 1)

    def paint(self, distance: Plane, colour: Colour, shade: Plane | float = 1.0, label: int | None = None) -> None:
        """Fill the inside of a shape with a colour, times a shade."""
        self.wash(self.cover(distance, label), colour, shade)

    def wash(self, share: Plane, colour: Colour, shade: Plane | float = 1.0) -> None:
        """Mix in a colour, times a shade, at a share of 0 to 1."""
        for channel, value in zip(self.colours, colour, strict=True):
            channel += share * (value * shade - channel)

    def dim(self, share: Plane) -> None:
        """Darken by a share; brighten where it is negative."""
        self.colours *= 1 - share

    def finish(self) -> tuple[Plane, NDArray[np.uint8]]:
        """Colours [H W 3] averaged down, and the labels of the sample nearest to each pixel's centre."""
        k = OVERSAMPLING
        small = np.zeros_like(self.colours[:, ::k, ::k])
        for row in range(k):
            for column in range(k):
                small += self.colours[:, row::k, column::k]
        return np.moveaxis(small / (k * k), 0, -1), np.ascontiguousarray(self.labels[k // 2 :: k, k // 2 :: k])
