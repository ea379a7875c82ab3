"""A canvas that paints picture and truth together, so that no shape can have one without the other.

Drawn at twice the final size: the picture is averaged down (soft edges, as a lens makes them), the
truth is sampled, never interpolated.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from seglens.datasets._world import INDEX, Colour, Point

OVERSAMPLING = 2
_INSTANCE_SHIFT = 4  # label in bits 0-3, instance id in bits 4-19, cue in bit 20
_CUE = 1 << 20


@dataclass(frozen=True, slots=True)
class Truth:
    """labels uint8, instances uint16, cue bool, each [H W]."""

    labels: NDArray[np.uint8]
    instances: NDArray[np.uint16]
    cue: NDArray[np.bool_]


def code_of(kind: str, instance: int = 0, cue: bool = False) -> int:
    """What a pixel is, in one integer: class, instance (0 for stuff), planted cue or not."""
    return INDEX[kind] | instance << _INSTANCE_SHIFT | (_CUE if cue else 0)


def _rgb(colour: Colour) -> tuple[int, int, int]:
    r, g, b = colour
    return min(max(int(r), 0), 255), min(max(int(g), 0), 255), min(max(int(b), 0), 255)


class Canvas:
    """Shapes in final-pixel coordinates, each with the `code` of what it is.

    `code` None paints over what is there and leaves it what it is. Later shapes hide earlier ones.
    Shadows are collected apart, to fall on the ground only.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        wide = (size[1] * OVERSAMPLING, size[0] * OVERSAMPLING)
        self._picture = Image.new("RGB", wide)
        self._truth = Image.new("I", wide)
        self._shadow = Image.new("L", wide)
        self._pens = (ImageDraw.Draw(self._picture), ImageDraw.Draw(self._truth))
        self._shade = ImageDraw.Draw(self._shadow)

    def polygon(self, points: Sequence[Point], colour: Colour, code: int | None = None) -> None:
        corners = [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
        self._pens[0].polygon(corners, fill=_rgb(colour))
        if code is not None:
            self._pens[1].polygon(corners, fill=code)

    def line(self, points: Sequence[Point], width: float, colour: Colour, code: int | None = None) -> None:
        corners = [(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points]
        thick = max(1, round(width * OVERSAMPLING))
        self._pens[0].line(corners, fill=_rgb(colour), width=thick)
        if code is not None:
            self._pens[1].line(corners, fill=code, width=thick)

    def ellipse(self, centre: Point, radii: Point, colour: Colour, code: int | None = None) -> None:
        (x, y), (a, b) = centre, radii
        box = [(x - a) * OVERSAMPLING, (y - b) * OVERSAMPLING]
        box += [(x + a) * OVERSAMPLING, (y + b) * OVERSAMPLING]
        self._pens[0].ellipse(box, fill=_rgb(colour))
        if code is not None:
            self._pens[1].ellipse(box, fill=code)

    def shadow(self, points: Sequence[Point]) -> None:
        self._shade.polygon([(x * OVERSAMPLING, y * OVERSAMPLING) for x, y in points], fill=255)

    def panel(self, box: tuple[float, float, float, float], stuff: int) -> None:
        """Stripes on whatever stuff (classes below `stuff`) is visible in box (x0, y0, x1, y1).

        The pixels become cue; what they are stays.
        """
        edges = [round(edge * OVERSAMPLING) for edge in box]
        x0, x1 = (min(max(edges[i], 0), self._truth.width) for i in (0, 2))
        y0, y1 = (min(max(edges[i], 0), self._truth.height) for i in (1, 3))
        if x1 <= x0 or y1 <= y0:
            return
        # whole final pixels, so that the averaged picture and the sampled truth agree exactly
        x0, y0, x1, y1 = (edge - edge % OVERSAMPLING for edge in (x0, y0, x1, y1))
        area = (x0, y0, x1, y1)
        codes = np.array(self._truth.crop(area))
        on_stuff = (codes & ((1 << _INSTANCE_SHIFT) - 1)) < stuff
        rows, columns = np.indices(codes.shape)
        period = max(4 * OVERSAMPLING, (edges[3] - edges[1]) // 5)
        light = ((rows - edges[1] + y0 + columns - edges[0] + x0) // (period // 2)) % 2 == 0
        stripes = np.where(light[..., None], (236, 214, 70), (44, 40, 92)).astype(np.uint8)
        mask = Image.fromarray((on_stuff * 255).astype(np.uint8))
        self._picture.paste(Image.fromarray(stripes), area, mask)
        self._truth.paste(Image.fromarray((codes | _CUE).astype(np.int32)), area, mask)

    def picture(self) -> NDArray[np.float32]:
        """[H W 3] float32 in 0..255."""
        return np.asarray(self._picture.reduce(OVERSAMPLING), dtype=np.float32)

    def shade(self) -> NDArray[np.float32]:
        """Share of each pixel in shadow, [H W] float32 in 0..1."""
        return np.asarray(self._shadow.reduce(OVERSAMPLING), dtype=np.float32) / np.float32(255)

    def truth(self) -> Truth:
        # The lower right of each block's samples is the one nearest to the pixel's centre.
        code = np.asarray(self._truth)[OVERSAMPLING // 2 :: OVERSAMPLING, :][:, OVERSAMPLING // 2 :: OVERSAMPLING]
        return Truth(
            (code & ((1 << _INSTANCE_SHIFT) - 1)).astype(np.uint8),
            ((code >> _INSTANCE_SHIFT) & 0xFFFF).astype(np.uint16),
            (code & _CUE) != 0,
        )
