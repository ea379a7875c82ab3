"""A sheet of paper on which a figure is laid out in inches, from the top left corner downwards.

Text is measured before it is placed, so that nothing overlaps and nothing is cut. matplotlib's
object-oriented interface only: no global figure, nothing to close.
"""

from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager, get_font
from matplotlib.patches import Polygon, Rectangle
from matplotlib.text import Text
from matplotlib.textpath import TextToPath
from numpy.typing import NDArray

from seglens.viz.outline import Segments

INK, QUIET, FAINT = "#1a1a1a", "#5a5a5a", "#c8c8c8"
LINE = 1.4  # line height over font size
MARGIN, GAP = 0.2, 0.28  # inches
SMALL, TEXT, TITLE = 7.0, 8.0, 11.0  # points

_RC: dict[Any, Any] = {
    # Text stays text in PDF; in SVG it becomes outlines, which look the same everywhere.
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    # Identifiers in SVG are hashed with this, not with a random number: same figure, same bytes.
    "svg.hashsalt": "seglens",
    "savefig.bbox": None,
    "savefig.pad_inches": 0.0,
    "text.usetex": False,
    "axes.unicode_minus": True,
    "image.composite_image": False,
    "path.effects": [],
    "path.sketch": None,
}

# Ships with matplotlib, so figures are the same on every machine. The others lend the letters it
# lacks, where they are installed.
_BASE = "DejaVu Sans"
_LENDERS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Hiragino Sans",
    "PingFang SC",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Noto Sans Devanagari",
    "Nirmala UI",
    "Arial Unicode MS",
)


@contextmanager
def settled() -> Generator[None, None, None]:
    """matplotlib's settings as figures here need them, the user's own restored afterwards."""
    with matplotlib.rc_context(_RC):
        yield


@lru_cache
def _letters(family: str) -> frozenset[int]:
    return frozenset(get_font(findfont(family)).get_charmap())


@lru_cache
def _lenders() -> tuple[str, ...]:
    installed = set(fontManager.get_font_names())
    return tuple(name for name in _LENDERS if name in installed)


def _drawable(text: str) -> tuple[str, tuple[str, ...]]:
    """`text` with what no font here can draw as '□', and the font families that draw it."""
    text = " ".join(text.split())
    missing = {c for c in text if ord(c) not in _letters(_BASE)}
    families = [_BASE]
    for lender in _lenders() if missing else ():
        if held := {c for c in missing if ord(c) in _letters(lender)}:
            families.append(lender)
            missing -= held
    return "".join("□" if c in missing else c for c in text), tuple(families)


@lru_cache(maxsize=4096)
def width_of(text: str, size: float, bold: bool = False) -> float:
    """Width of `text` in inches, at most."""
    text, families = _drawable(text)
    if not text:
        return 0.0
    font = FontProperties(family=list(families), size=size, weight="bold" if bold else "normal")
    # Letters fitted to the dots of a screen come out up to three per cent wider than drawn.
    return 1.03 * TextToPath().get_text_width_height_descent(text, font, False)[0] / 72


def wrapped(text: str, size: float, width: float, lines: int = 99, bold: bool = False) -> list[str]:
    """`text` in lines of at most `width` inches; what exceeds `lines` of them ends in '…'."""
    rest, out = " ".join(text.split()), list[str]()
    while rest:
        if width_of(rest, size, bold) <= width:
            return [*out, rest]
        last = len(out) == lines - 1
        tail = "…" if last else ""
        # Widths grow with length: find the longest beginning that fits by halving.
        low, high = 1, len(rest)
        while low < high:
            middle = (low + high + 1) // 2
            fits = width_of(rest[:middle].rstrip() + tail, size, bold) <= width
            low, high = (middle, high) if fits else (low, middle - 1)
        if last:
            return [*out, rest[:low].rstrip() + tail]
        space = rest.rfind(" ", 0, low + 1)
        cut = space if space > 0 else low  # a word longer than the line is broken
        out.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return out


class Sheet:
    """A page being laid out; all places and sizes are in inches, y downwards; `figure` ends it.

    Everything lies in one axes that covers the page, in the order in which it was placed.
    """

    def __init__(self, width: float) -> None:
        self.width = width
        with settled():
            self._figure = Figure((width, 1.0), dpi=100, facecolor="white", edgecolor="none")
            self._axes = self._figure.add_axes((0.0, 0.0, 1.0, 1.0))
            self._axes.set_axis_off()

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = 8,
        *,
        bold: bool = False,
        colour: str = INK,
        align: Literal["left", "center", "right"] = "left",
    ) -> float:
        """One line whose upper edge is at y. Returns the y below it."""
        self._line(x, y + size * LINE * 0.76 / 72, text, size, bold, colour, horizontalalignment=align)
        return y + size * LINE / 72

    def upright(self, x: float, y: float, text: str, size: float = 8, *, bold: bool = False, colour: str = INK) -> None:
        """One line turned to read upwards, centred on x, its beginning at y and the rest above it."""
        self._line(x + size * 0.27 / 72, y, text, size, bold, colour, rotation=90, rotation_mode="anchor")

    def paragraph(
        self,
        x: float,
        y: float,
        text: str,
        width: float,
        size: float = 8,
        *,
        lines: int = 99,
        bold: bool = False,
        colour: str = INK,
    ) -> float:
        """Text wrapped to `width`. Returns the y below it."""
        for line in wrapped(text, size, width, lines, bold):
            y = self.text(x, y, line, size, bold=bold, colour=colour)
        return y

    def picture(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        image: NDArray[np.uint8],
        edges: Segments | None = None,
    ) -> None:
        """An image [H W 3], stretched to the box, with outlines in its own pixel coordinates."""
        self._image(x, y, width, height, image, _filter(image, width))
        self._patch(x, y, width, height, fc="none", ec=FAINT, lw=0.4)
        if edges is None or not len(edges):
            return
        rows, columns = image.shape[:2]
        lines = edges.reshape(-1, 2, 2) * (width / columns, height / rows) + (x, y)
        for colour, weight in (("black", 2.0), ("white", 0.8)):
            drawn = LineCollection(list(lines), colors=colour, linewidths=weight, capstyle="projecting")
            # Snapped to dots of the output, steps of one pixel would jump by two or none.
            drawn.set_snap(False)
            self._place(drawn)

    def bar(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        colours: NDArray[np.float64],
        beyond: tuple[bool, bool],
    ) -> None:
        """A horizontal colour bar; `beyond` says at which ends values lie outside, drawn as tips."""
        self._image(x, y, width, height, np.rint(colours[None] * 255).astype(np.uint8), "nearest")
        for there, end, reach, colour in (
            (beyond[0], x, -0.8 * height, colours[0]),
            (beyond[1], x + width, 0.8 * height, colours[-1]),
        ):
            if there:
                corners = [(end, y), (end + reach, y + height / 2), (end, y + height)]
                self._place(Polygon(corners, color=tuple(colour), lw=0))

    def swatch(self, x: float, y: float, size: float, colour: str | tuple[float, ...]) -> None:
        """A small filled square."""
        self._patch(x, y, size, size, fc=colour, ec="#00000040", lw=0.4)

    def block(self, x: float, y: float, width: float, height: float, colour: str | tuple[float, ...]) -> None:
        """A filled rectangle without an edge: bars, rules, cells."""
        self._patch(x, y, width, height, fc=colour, ec="none", lw=0.0)

    def curve(self, points: NDArray[np.float64], colour: str | tuple[float, ...], weight: float = 1.2) -> None:
        """A line through points [N 2] of (x, y); undefined ones interrupt it."""
        known = [bool(np.isfinite(point).all()) for point in points]
        pairs = [points[i : i + 2] for i in range(len(points) - 1) if known[i] and known[i + 1]]
        if pairs:
            self._place(LineCollection(pairs, colors=[colour], linewidths=weight, capstyle="round"))

    def outline_swatch(self, x: float, y: float, size: float) -> None:
        """The double line of a region's outline, as a key to it."""
        self._patch(x, y, size * 1.4, size, fc="#9a9a9a", ec="black", lw=2.0)
        self._patch(x, y, size * 1.4, size, fc="none", ec="white", lw=0.8)

    def label(self, x: float, y: float, text: str, size: float = 8) -> None:
        """A line centred at (x, y) on a white plate: words upon a picture."""
        plate = width_of(text, size) + 0.16, size * LINE / 72 + 0.08
        self._patch(x - plate[0] / 2, y - plate[1] / 2, *plate, fc="white", ec=FAINT, lw=0.5)
        self.text(x, y - size * LINE / 144, text, size, align="center")

    def figure(self, height: float) -> Figure:
        """The finished figure, `height` inches high."""
        self._figure.set_size_inches(self.width, height)
        self._axes.set(xlim=(0, self.width), ylim=(height, 0))
        return self._figure

    def _line(self, x: float, y: float, text: str, size: float, bold: bool, colour: str, **how: Any) -> None:
        text, families = _drawable(text)
        if text:
            weight = "bold" if bold else "normal"
            drawn = Text(x, y, text, color=colour, fontsize=size, fontfamily=list(families), fontweight=weight, **how)
            drawn.set_parse_math(False)  # a class may be called "$x$"
            drawn.set_usetex(False)
            self._place(drawn)

    def _place(self, artist: Artist) -> None:
        artist.set_zorder(1)  # one for all: what comes later lies above
        artist.set_clip_on(False)
        # add_artist keeps a transform that is set, and an unset one becomes that of the page.
        self._axes.add_artist(artist)

    def _image(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        image: NDArray[np.uint8],
        interpolation: str,
    ) -> None:
        drawn = self._axes.imshow(
            image,
            extent=(x, x + width, y + height, y),
            aspect="auto",
            interpolation=interpolation,
            origin="upper",
            resample=True,
        )
        drawn.set_zorder(1)

    def _patch(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        fc: str | tuple[float, ...],
        ec: str,
        lw: float,
    ) -> None:
        self._place(Rectangle((x, y), width, height, fc=fc, ec=ec, lw=lw))


def _filter(image: NDArray[np.uint8], width: float) -> str:
    # Pixels of a small image stay squares; those of a large one are averaged, not dropped.
    return "nearest" if image.shape[1] < 100 * width else "antialiased"
