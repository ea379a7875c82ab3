"""Decoded pictures one after the other: GIF, WebP and APNG, every step with its name."""

from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from seglens.core.errors import ParameterError
from seglens.core.saving import whole
from seglens.viz.latent.content import Board
from seglens.viz.media.files import drawing
from seglens.viz.media.sheet import FAINT, INK, LINE, MARGIN, SMALL, TEXT, Sheet, settled, wrapped

_PICTURE, _BETWEEN = 1.5, 0.06  # inches
_DOTS = 100  # per inch
_PASS, _SHORTEST, _LONGEST = 2_500, 60, 700  # milliseconds: one way, one frame
_WIDEST = 4  # rows of a board side by side in a frame


def write_animation(board: Board, path: Path) -> None:
    """Write .gif, .webp or .apng by the suffix of `path`, endless, the same bytes for the same board.

    A frame is a column of the board with all its rows; of a board without steps, a cell. Raises ParameterError.
    """
    suffix = path.suffix.lstrip(".").lower()
    found = frames(board)
    order = list(range(len(found)))
    if board.forth_and_back and len(found) > 2:
        order += order[-2:0:-1]
    each = int(min(max(_PASS / max(len(found), 1), _SHORTEST), _LONGEST))
    images = [Image.fromarray(found[i]) for i in order]
    with whole(path) as file:
        if suffix == "gif":
            base = _common_palette(found)
            flat = [image.quantize(palette=base, dither=Image.Dither.NONE) for image in images]
            _save(flat, file, "GIF", duration=each, loop=0, optimize=False, disposal=1)
        elif suffix == "webp":
            _save(images, file, "WEBP", duration=each, loop=0, lossless=True, method=4)
        elif suffix == "apng":
            _save(images, file, "PNG", duration=each, loop=0)
        else:
            raise ParameterError(f"cannot animate as {path.name!r}: use .gif, .webp or .apng.")


def frames(board: Board) -> list[NDArray[np.uint8]]:
    """The frames, uint8 [H W 3], all of one size."""
    rows, columns = board.size
    if board.grid or not any(board.columns):
        cells = [(r, c) for r in range(rows) for c in range(columns) if board.there(r, c)]
        return [_frame(board, [(r, c)], f"{i + 1} of {len(cells)}", i, len(cells)) for i, (r, c) in enumerate(cells)]
    return [_frame(board, [(r, c) for r in range(rows)], f"{board.columns[c]}", c, columns) for c in range(columns)]


def _frame(board: Board, cells: list[tuple[int, int]], said: str, step: int, steps: int) -> NDArray[np.uint8]:
    height, width = board.pictures.shape[-2:]
    ratio = min(max(width / height, 1 / 4), 4.0)
    box = (_PICTURE, _PICTURE / ratio) if ratio >= 1 else (_PICTURE * ratio, _PICTURE)
    both = 2 if board.attention is not None else 1
    across = min(len(cells), _WIDEST)
    column = both * (box[0] + _BETWEEN) + 0.1
    sheet = Sheet(max(2 * MARGIN + across * column, 2.6))
    y = sheet.text(MARGIN, MARGIN / 2, wrapped(board.title, TEXT, sheet.width - 2 * MARGIN, 1)[0], TEXT, bold=True)
    if board.grid and any(board.columns):
        r, c = cells[0]
        said = f"{board.rows[r]}, {board.across}: {board.columns[c]}"
    else:
        said = f"{board.across}: {said}" if board.across else said
    y = sheet.text(MARGIN, y, wrapped(said, SMALL, sheet.width - 2 * MARGIN, 1)[0], SMALL) + 0.03
    wide = sheet.width - 2 * MARGIN
    sheet.block(MARGIN, y, wide, 0.03, FAINT)
    sheet.block(MARGIN + wide * step / steps, y, wide / steps, 0.03, INK)
    y += 0.09
    named = any(board.rows[r] for r, _ in cells) and not board.grid
    for start in range(0, len(cells), across):
        for i, (r, c) in enumerate(cells[start : start + across]):
            x = MARGIN + i * column
            if named:
                sheet.text(x, y, wrapped(board.rows[r], SMALL, column, 1)[0], SMALL, bold=True)
            top = y + (SMALL * LINE / 72 + 0.02 if named else 0.0)
            if not board.there(r, c):
                continue
            sheet.picture(x, top, *box, board.picture(r, c))
            if both == 2:
                sheet.picture(x + box[0] + _BETWEEN, top, *box, board.attended(r, c, board.attention_scale(r)))
        y += box[1] + 0.08 + (SMALL * LINE / 72 + 0.02 if named else 0.0)
    buffer = BytesIO()
    with drawing("drawing an animation"), settled():
        figure = sheet.figure(y + MARGIN / 2)
        figure.savefig(buffer, format="png", dpi=_DOTS, facecolor="white")
    return np.array(Image.open(buffer).convert("RGB"))


def _common_palette(found: list[NDArray[np.uint8]]) -> Image.Image:
    """One palette for all frames: a palette each would make still parts flicker."""
    thinned = [frame[::2, ::2] for frame in found]
    return Image.fromarray(np.concatenate(thinned)).quantize(256, method=Image.Quantize.MEDIANCUT)


def _save(images: list[Image.Image], file: object, form: str, **how: object) -> None:
    images[0].save(file, form, save_all=True, append_images=images[1:], **how)  # pyright: ignore
