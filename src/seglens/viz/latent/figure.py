"""Decoded pictures on paper: strips, contact sheets and grids, attention below and change beside them."""

from matplotlib.figure import Figure

from seglens.viz import words
from seglens.viz.latent.content import Board, mapped, occurring_classes, painted
from seglens.viz.media.legend import class_legend
from seglens.viz.media.sheet import GAP, LINE, MARGIN, QUIET, SMALL, TEXT, TITLE, Sheet, width_of, wrapped
from seglens.viz.picture import Scale, colour

_WIDE, _LARGEST, _LEAST = 9.0, 1.2, 0.5  # inches: of a strip, of a picture
_BETWEEN = 0.04
_BAR = 1.1
_STEP = SMALL * LINE / 72


def decodings_figure(board: Board) -> Figure:
    """All cells of a board; attention on one scale a row, change on one scale for all rows."""
    rows, columns = board.size
    height, width = board.pictures.shape[-2:]
    ratio = min(max(width / height, 1 / 4), 4.0)
    across = min(_LARGEST, max(_LEAST, (_WIDE - columns * _BETWEEN) / columns))
    box = (across, across / ratio) if ratio >= 1 else (max(_LEAST, across * ratio), across)
    names = max((width_of(name, SMALL) for name in board.rows), default=0.0) if board.grid else 0.0
    left = MARGIN + (names + 0.1 if names else 0.0)
    strip = columns * (box[0] + _BETWEEN) - _BETWEEN
    beside = GAP + box[0] + 0.12 + _BAR if board.change is not None or board.attention is not None else 0.0
    sheet = Sheet(max(left + strip + beside + MARGIN, 5.2))
    y = _head(sheet, board, box)
    y = _columns(sheet, board, left, y, box)
    scale = board.change_scale()
    titled = not board.grid and (any(board.rows) or any(board.row_notes))
    for r in range(rows):
        if titled:
            y = _row_title(sheet, board, r, y)
        if board.grid:
            sheet.text(MARGIN + names, y + box[1] / 2 - _STEP / 2, board.rows[r], SMALL, align="right")
        for c in range(columns):
            if board.there(r, c):
                sheet.picture(left + c * (box[0] + _BETWEEN), y, *box, board.picture(r, c))
        if board.change is not None:
            x = left + strip + GAP
            sheet.picture(x, y, *box, mapped(board.change[r], scale))
            if r == 0:
                _bar(sheet, x + box[0] + 0.12, y, "change", scale)
        y += box[1] + _BETWEEN
        if board.attention is not None:
            own = board.attention_scale(r)
            for c in range(columns):
                if board.there(r, c):
                    sheet.picture(left + c * (box[0] + _BETWEEN), y, *box, board.attended(r, c, own))
            _bar(sheet, left + strip + GAP, y, "attention", own)
            y += box[1] + _BETWEEN
        y += 0.08 if titled else 0.0
    return sheet.figure(_foot(sheet, board, y + 0.04) + MARGIN)


def _head(sheet: Sheet, board: Board, box: tuple[float, float]) -> float:
    wide = sheet.width - 2 * MARGIN
    y = sheet.paragraph(MARGIN, MARGIN, board.title, wide, TITLE, bold=True)
    y = sheet.paragraph(MARGIN, y, "  ·  ".join(board.facts), wide, TEXT, lines=2) + 0.08
    x, below = MARGIN, y
    size = max(box[0], 0.8), max(box[0], 0.8) * box[1] / box[0]
    pictures = [("image", None if board.given is None else colour(board.given))]
    if board.reconstruction is not None:
        pictures.append(("decoded from μ", painted(board.reconstruction, board.classes)))
    pictures.append(("second image", None if board.to is None else colour(board.to)))
    for title, picture in pictures:
        if picture is not None:
            sheet.text(x, y, title, SMALL, bold=True, colour=QUIET)
            sheet.picture(x, y + _STEP + 0.02, *size, picture)
            x += max(size[0], width_of(title, SMALL, True)) + 0.12
            below = y + _STEP + 0.02 + size[1] + 0.12
    return below


def _columns(sheet: Sheet, board: Board, left: float, y: float, box: tuple[float, float]) -> float:
    if not any(board.columns):
        return y
    if board.across:
        y = sheet.text(left, y, board.across, SMALL, colour=QUIET)
    for c, name in enumerate(board.columns):
        fitted = wrapped(name, SMALL, box[0] + _BETWEEN, 1)[0] if name else ""
        sheet.text(left + c * (box[0] + _BETWEEN) + box[0] / 2, y, fitted, SMALL, align="center")
    return y + _STEP + 0.03


def _row_title(sheet: Sheet, board: Board, r: int, y: float) -> float:
    name, note = board.rows[r], board.row_notes[r]
    sheet.text(MARGIN, y, name, TEXT, bold=True)
    if note:
        sheet.text(MARGIN + (width_of(name, TEXT, True) + 0.12 if name else 0), y + 0.01, note, SMALL, colour=QUIET)
    return y + TEXT * LINE / 72 + 0.03


def _bar(sheet: Sheet, x: float, y: float, title: str, scale: Scale | None) -> None:
    at = sheet.text(x, y, title, SMALL, bold=True, colour=QUIET) + 0.03
    if scale is None:
        sheet.text(x, at, "zero everywhere", SMALL, colour=QUIET)
        return
    sheet.bar(x, at, _BAR, 0.08, scale.colours, (False, False))
    sheet.text(x, at + 0.1, words.number(scale.low), SMALL)
    sheet.text(x + _BAR, at + 0.1, words.number(scale.high), SMALL, align="right")


def _foot(sheet: Sheet, board: Board, y: float) -> float:
    wide = sheet.width - 2 * MARGIN
    labels = occurring_classes(board)
    if labels is not None and board.classes is not None:
        y = class_legend(sheet, MARGIN, y, wide, labels, board.classes) + 0.04
    for note in remarks(board):
        y = sheet.paragraph(MARGIN, y, note, wide, SMALL, lines=3, colour=QUIET)
    return y


def remarks(board: Board) -> list[str]:
    """What must be known to read the pictures."""
    said = list(board.notes)
    if board.attention is not None:
        said.append(
            f"Attention: {board.attention_words}. In units of the latent unit; a row has its own scale, which ends no "
            "lower than at a tenth of the greatest value of all."
        )
    if board.change is not None:
        said.append(f"Change: {board.change_unit}, at the image's μ. One scale for all rows.")
    return said
