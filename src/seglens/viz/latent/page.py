"""Decoded pictures in the browser: one step at a time under a slider, and all of them below."""

from html import escape

from seglens.viz.latent.content import Board, mapped, painted
from seglens.viz.latent.figure import remarks
from seglens.viz.media.document import document
from seglens.viz.media.html import notes, scale_bar, scrolling
from seglens.viz.media.store import data_uri
from seglens.viz.picture import colour

_STYLE = """
.decoded img{display:block;width:100%;height:auto;image-rendering:pixelated;background:var(--tint)}
.decoded .now{display:flex;flex-wrap:wrap;gap:1rem;margin:1rem 0}
.decoded .now figure{width:min(100%,16rem)}
.decoded .steps{width:auto;border-spacing:0}
.decoded .steps td,.decoded .steps th{border:0;padding:.15rem;text-align:center;vertical-align:top}
.decoded .steps td img{width:5.5rem}
.decoded .steps th[scope=row]{text-align:left;padding-right:.9rem;max-width:11rem;vertical-align:middle}
.decoded .steps td.chosen{outline:2px solid var(--accent);outline-offset:-1px}
.decoded .controls label{white-space:nowrap}
.decoded .controls label[hidden]{display:none}
.decoded .bar{max-width:12rem}
.decoded input[type=range]{width:min(100%,24rem)}
"""

# Without a script all pictures are there; the viewer appears when something answers its slider.
_SCRIPT = """
(() => {
  for (const page of document.querySelectorAll(".decoded")) {
    const now = page.querySelector(".viewer");
    const [row, step] = now.querySelectorAll("select, input");
    const shown = now.querySelectorAll("img"), said = now.querySelector("output");
    const draw = () => {
      for (const old of page.querySelectorAll(".chosen")) old.classList.remove("chosen");
      const cell = page.querySelector(`td[data-r="${row.value}"][data-c="${step.value}"]`);
      if (!cell) return;
      cell.classList.add("chosen");
      cell.querySelectorAll("img").forEach((img, i) => { shown[i].src = img.src; shown[i].alt = img.alt; });
      said.textContent = cell.dataset.said;
    };
    row.addEventListener("input", draw);
    step.addEventListener("input", draw);
    now.hidden = false;
    draw();
  }
})();
"""


def decodings_page(board: Board) -> str:
    """A whole HTML document of a board."""
    rows, columns = board.size
    named = [board.rows[r] or f"row {r + 1}" for r in range(rows)]
    body = [
        f'<header class="top"><h1>{escape(board.title)}</h1>'
        f'<p class="quiet">{escape("  ·  ".join(board.facts))}</p></header>',
        notes(remarks(board)),
        _before(board),
        _viewer(board, named, columns),
        _cells(board, named),
    ]
    inner = "\n".join(part for part in body if part)
    return document(
        f'<section class="seglens decoded">\n{inner}\n</section>', f"{board.title} · seglens", _STYLE, _SCRIPT
    )


def _before(board: Board) -> str:
    shown = [("Image", None if board.given is None else colour(board.given))]
    if board.reconstruction is not None:
        shown.append(("Decoded from μ", painted(board.reconstruction, board.classes)))
    shown.append(("Second image", None if board.to is None else colour(board.to)))
    figures = "".join(
        f'<figure><h3>{title}</h3><img alt="{title}" src="{data_uri(picture)}"></figure>'
        for title, picture in shown
        if picture is not None
    )
    return f'<div class="now">{figures}</div>' if figures else ""


def _viewer(board: Board, named: list[str], columns: int) -> str:
    options = "".join(f'<option value="{r}">{escape(name)}</option>' for r, name in enumerate(named))
    alone = " hidden" if len(named) == 1 else ""
    second = '<figure><h3>Attention</h3><img alt=""></figure>' if board.attention is not None else ""
    return (
        '<div class="viewer" hidden><div class="controls">'
        f"<label{alone}>Row <select>{options}</select></label>"
        f'<label>Step <input type="range" min="0" max="{columns - 1}" value="{columns // 2}"></label>'
        "<output></output></div>"
        f'<div class="now"><figure><h3>Decoded</h3><img alt=""></figure>{second}</div></div>'
    )


def _cells(board: Board, named: list[str]) -> str:
    rows, columns = board.size
    heads = "".join(f'<th scope="col">{escape(name)}</th>' for name in board.columns)
    last = '<th scope="col">Change</th>' if board.change is not None else ""
    scale = board.change_scale()
    body: list[str] = []
    for r in range(rows):
        own = board.attention_scale(r)
        cells: list[str] = []
        for c in range(columns):
            if not board.there(r, c):
                cells.append("<td></td>")
                continue
            told = escape(f"{named[r]}, {board.across} {board.columns[c]}".replace(",  ", ""))
            inner = f'<img alt="{told}" src="{data_uri(board.picture(r, c))}">'
            if board.attention is not None:
                inner += f'<img alt="Attention, {told}" src="{data_uri(board.attended(r, c, own))}">'
            cells.append(f'<td data-r="{r}" data-c="{c}" data-said="{told}">{inner}</td>')
        if board.change is not None:
            cells.append(f'<td><img alt="Change" src="{data_uri(mapped(board.change[r], scale))}"></td>')
        note = f'<br><span class="quiet">{escape(board.row_notes[r])}</span>' if board.row_notes[r] else ""
        bar = scale_bar(own, "attention") if own is not None else ""
        body.append(f'<tr><th scope="row">{escape(board.rows[r])}{note}{bar}</th>{"".join(cells)}</tr>')
    bar = scale_bar(scale, board.change_unit) if scale is not None else ""
    axis = f'<p class="quiet">Across: {escape(board.across)}</p>' if board.across else ""
    table = f'<table class="steps"><thead><tr><td></td>{heads}{last}</tr></thead><tbody>{"".join(body)}</tbody></table>'
    return axis + scrolling("Decoded pictures", table) + bar
