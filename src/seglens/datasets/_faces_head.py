"""The head in space: where a face's picture lies on it, and the pens that paint picture and truth together.

Lengths are shares of the picture's shorter side. Every pixel that could show the front of the head gets an angle around
it and a height on it, turned back by the yaw; features are drawn in those, so that they foreshorten as they turn away.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.float32]
Colour = tuple[float, float, float]

OVERSAMPLING = 2
YAW = 0.5  # radians to which yaw = ±1 turns the head


def smooth(low: float, high: float, x: Plane) -> Plane:
    """0 below low, 1 above high, and smooth between; falling where low > high."""
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


@dataclass(frozen=True, slots=True)
class Head:
    """Planes over the oversampled picture, each float32 [h w].

    x, y: of the pixel, 0 to 1 over the shorter side, from the middle's left and top. across: (x − centre) / half-width,
    −1 to 1 over the head. angle: around the head, 0 at the middle of the face, in radians, positive to the right as
    seen. height: −1 at the crown, 1 at the chin. turn: sine of the yaw. pixel: of the final picture, in shares.
    """

    x: Plane
    y: Plane
    across: Plane
    angle: Plane
    height: Plane
    centre: tuple[float, float]
    half: tuple[float, float]
    turn: float
    pixel: float

    @classmethod
    def at(cls, size: tuple[int, int], centre: tuple[float, float], half: tuple[float, float], yaw: float) -> "Head":
        """The head of those half-lengths (width, height) at that centre, turned by `yaw`, −1 to 1."""
        side = min(size)
        rows, columns = (np.arange(n * OVERSAMPLING, dtype=np.float32) + np.float32(0.5) for n in size)
        y, x = np.meshgrid(rows / OVERSAMPLING, columns / OVERSAMPLING, indexing="ij", copy=True)
        x = ((x - size[1] / 2) / side + 0.5).astype(np.float32)
        y = ((y - size[0] / 2) / side + 0.5).astype(np.float32)
        across = (x - np.float32(centre[0])) / np.float32(half[0])
        angle = np.arcsin(np.clip(across, -1, 1)) - np.float32(yaw * YAW)
        height = (y - np.float32(centre[1])) / np.float32(half[1])
        return cls(x, y, across, angle, height, centre, half, float(np.sin(yaw * YAW)), 1 / side)

    def ellipse(self, x: float, y: float, a: float, b: float) -> Plane:
        """About the distance outside an ellipse in the picture, in shares of the side; negative inside."""
        return (np.hypot((self.x - x) / a, (self.y - y) / b) - 1) * min(a, b)

    def spot(self, angle: float, height: float, a: float, b: float) -> Plane:
        """The same for an ellipse on the face; a in radians, b in half-heights."""
        short = min(a * self.half[0], b * self.half[1])
        return (np.hypot((self.angle - angle) / a, (self.height - height) / b) - 1) * short

    def hump(self, angle: float, height: float, a: float, b: float) -> Plane:
        """A soft spot on the face: 1 at its middle, falling off as a Gaussian."""
        return np.exp(-(((self.angle - angle) / a) ** 2) - ((self.height - height) / b) ** 2)


class Portrait:
    """What is painted so far: colours 0 to 255 and labels, oversampled."""

    def __init__(self, head: Head, background: Plane) -> None:
        self.colours = np.ascontiguousarray(np.moveaxis(background, -1, 0), np.float32)
        self.labels = np.zeros(head.x.shape, np.uint8)
        self._pixel = head.pixel

    def cover(self, distance: Plane, label: int | None = None) -> Plane:
        """How much of each pixel lies inside, 0 to 1; the inside takes the label, where one is given."""
        if label is not None:
            self.labels[distance < 0] = label
        return np.clip(0.5 - distance / self._pixel, 0, 1)

    def paint(self, distance: Plane, colour: Colour, shade: Plane | float = 1.0, label: int | None = None) -> None:
        """Fill the inside of a shape with a colour, times a shade."""
        self.wash(self.cover(distance, label), colour, shade)

    def wash(self, share: Plane, colour: Colour, shade: Plane | float = 1.0) -> None:
        """Mix in a colour, times a shade, at a share of 0 to 1."""
        for channel, value in zip(self.colours, colour, strict=True):
            channel += share * (np.float32(value) * shade - channel)

    def dim(self, share: Plane) -> None:
        """Darken by a share; brighten where it is negative."""
        self.colours *= 1 - share

    def finish(self) -> tuple[Plane, NDArray[np.uint8]]:
        """Colours [H W 3] averaged down, and the labels of the sample nearest to each pixel's centre."""
        k = OVERSAMPLING
        _, h, w = self.colours.shape
        small = self.colours.reshape(3, h // k, k, w // k, k).mean((2, 4))
        return np.moveaxis(small, 0, -1), np.ascontiguousarray(self.labels[k // 2 :: k, k // 2 :: k])
