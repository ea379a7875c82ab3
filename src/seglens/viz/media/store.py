"""Pictures inside a page: as URIs, and kept once where several cards show them."""

from base64 import b64encode
from hashlib import sha256
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.core.explanation import Explanation
from seglens.viz.outline import edges
from seglens.viz.picture import LUMA, Scale, backdrop


def data_uri(picture: NDArray[np.uint8]) -> str:
    """A picture [H W 3] or [H W 4] as a PNG inside a URI, without loss."""
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode()


class Store:
    """What several cards show, kept once: pictures and outlines that the cards refer to by id."""

    def __init__(self) -> None:
        self._kept: dict[str, str] = {}

    def card(self, e: Explanation) -> str:
        """An id of the explanation, for links to it: the same for the same content."""
        told = repr((str(e), e.parameters)).encode() + e.map.tobytes() + e.image.tobytes()
        return "seglens-" + sha256(told).hexdigest()[:16]

    def picture(self, image: NDArray[np.uint8]) -> str:
        """Keep an image [H W 3]; returns its id."""
        height, width = image.shape[:2]
        return self._keep(
            "image", f' width="{width}" height="{height}" preserveAspectRatio="none" href="{data_uri(image)}"/>'
        )

    def edge(self, region: NDArray[np.bool_]) -> str:
        """Keep an outline; returns its id."""
        path = "".join(f"M{x0:g} {y0:g}" + (f"H{x1:g}" if y0 == y1 else f"V{y1:g}") for x0, y0, x1, y1 in edges(region))
        # Attributes, not a style sheet: its selectors do not see into what <use> copies.
        lines = "".join(
            f'<path d="{path}" stroke="{colour}" stroke-width="{width}" fill="none" '
            'stroke-linecap="square" vector-effect="non-scaling-stroke"/>'
            for colour, width in (("#000", 3.5), ("#fff", 1.5))
        )
        return self._keep("g", f">{lines}</g>")

    def grey(self, scale: Scale | None) -> str:
        """Keep the filter that turns an image into the backdrop of a map; returns its id."""
        keep, add = backdrop(scale)
        row = " ".join(f"{keep * weight:.4f}" for weight in LUMA) + f" 0 {add:.4f} "
        return self._keep(
            "filter",
            ' x="0" y="0" width="1" height="1" color-interpolation-filters="sRGB">'
            f'<feColorMatrix values="{row * 3}0 0 0 1 0"/></filter>',
        )

    def _keep(self, tag: str, rest: str) -> str:
        """Keep the element `<tag id=…rest`, its id being made of its content; returns the id."""
        name = "seglens-" + sha256(f"{tag}{rest}".encode()).hexdigest()[:16]
        self._kept[name] = f'<{tag} id="{name}"{rest}'
        return name

    def html(self) -> str:
        """The hidden element that holds all of it."""
        return (
            '<svg class="store" width="0" height="0" aria-hidden="true" focusable="false"><defs>'
            + "".join(self._kept.values())
            + "</defs></svg>"
        )
