"""An evaluation in the browser: scores, confusion matrix, images and failures on one page that needs nothing else."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.viz.colours import class_colours
from seglens.viz.evaluation.cells import cell_colours, cell_text
from seglens.viz.media.document import document
from seglens.viz.media.html import facts, notes, scrolling
from seglens.viz.picture import is_dark

_STYLE = """
.evaluation h2{margin:1.75rem 0 .5rem}
.evaluation .matrix{display:block;max-width:100%;height:auto;font-size:11px;fill:var(--ink)}
.evaluation .matrix rect{stroke:var(--rule);stroke-width:.5}
.evaluation .matrix .axis{font-weight:650}
.evaluation .swatch{display:inline-block;width:.75rem;height:.75rem;vertical-align:-.05rem;margin-right:.4rem}
"""

_CELL, _MOST = 34, 1400
"""Pixels of a cell's side, and of the whole matrix at most."""

_SCORES = (
    ("iou", "IoU"),
    ("dice", "Dice"),
    ("precision", "precision"),
    ("recall", "recall"),
    ("boundary_f", "boundary F"),
)
_OF_IMAGE = (
    ("pixel_accuracy", "pixel accuracy"),
    ("mean_iou", "mean IoU"),
    ("mean_dice", "mean Dice"),
    ("mean_boundary_f", "boundary F"),
)


def evaluation_page(
    told: Mapping[str, Any],
    classes: ClassTable,
    counts: NDArray[np.int64] | None,
    cells: NDArray[np.float64] | None,
    what: str,
) -> str:
    """A whole HTML document. told: the evaluation in plain form. counts, cells: [K K], pixels and what is drawn.

    what: what a cell is, in words. Without counts the page says why there is no matrix.
    """
    title = f"{told['network']}: evaluation"
    many = len(told["images"])
    body = (
        f'<section class="seglens evaluation"><header class="top"><h1>{escape(title)}</h1>'
        f'<p class="quiet">{many} image{"s" * (many != 1)}, {told["pixels"]:,} pixels counted, '
        f"{told['ignored']:,} ignored</p></header>\n"
        f"{_overall(told['overall'])}\n<h2>Classes</h2>\n{_classes(told['classes'], classes)}\n"
        '<p class="quiet">A dash: undefined, because the class does not occur. It counts in no mean.</p>\n'
        f"<h2>Confusion matrix</h2>\n{_matrix(counts, cells, classes, what)}\n"
        f"<h2>Images</h2>\n{_images(told['images'])}\n{_failures(told['failures'])}"
        f"<details><summary>Provenance</summary>{facts(told['provenance'].items())}</details></section>"
    )
    return document(body, title, _STYLE)


def _overall(scores: Mapping[str, float | None]) -> str:
    names = {name: name.replace("_", " ").replace("iou", "IoU").replace("dice", "Dice") for name in scores}
    return facts((names[n].replace("boundary f", "boundary F"), _score(value)) for n, value in scores.items())


def _classes(rows: Sequence[Mapping[str, Any]], classes: ClassTable) -> str:
    lines: list[list[str]] = []
    for row, (r, g, b) in zip(rows, class_colours(classes), strict=True):
        swatch = f'<svg class="swatch" viewBox="0 0 1 1"><rect width="1" height="1" fill="rgb({r},{g},{b})"/></svg>'
        scores = [_score(row[key]) for key, _ in _SCORES]
        lines.append([swatch + escape(row["name"]), f"{row['pixels']:,}", f"{row['predicted']:,}", *scores])
    return _table("Scores of each class", ["class", "true pixels", "predicted", *(n for _, n in _SCORES)], lines)


def _images(images: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        [
            escape(i["image"]) + "".join(f'<div class="quiet">{escape(note)}</div>' for note in i["notes"]),
            f"{i['pixels']:,}",
            f"{i['ignored']:,}",
            *(_score(i[key]) for key, _ in _OF_IMAGE),
        ]
        for i in images
    ]
    return _table("Scores of each image", ["image", "pixels", "ignored", *(n for _, n in _OF_IMAGE)], lines)


def _failures(failures: Sequence[Mapping[str, str]]) -> str:
    said = notes([f"{f['image']}: {f['error']}" for f in failures], "Not evaluated, and counted nowhere")
    return said and f"{said}\n"


def _matrix(counts: NDArray[np.int64] | None, cells: NDArray[np.float64] | None, classes: ClassTable, what: str) -> str:
    """The matrix as a drawing whose cells say their numbers when pointed at."""
    if counts is None or cells is None:
        return (
            "<p>The labels of this network are independent: a pixel may have several classes or none, so that no "
            "matrix says which was taken for which. The scores above are each class's own.</p>"
        )
    n, shares = len(classes), what != "pixels"
    side = min(_CELL, _MOST / n)
    colours = cell_colours(cells, shares)
    longest = max(map(len, classes.names))
    left = top = 30 + 6.3 * min(longest, 28)
    names = [name if len(name) <= 28 else f"{name[:27]}…" for name in classes.names]
    parts: list[str] = []
    for i, name in enumerate(names):
        middle = (i + 0.5) * side
        parts.append(f'<text x="{left - 6:g}" y="{top + middle + 4:g}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<text transform="translate({left + middle + 4:g} {top - 6:g}) rotate(-90)">{escape(name)}</text>'
        )
    for row, column in np.ndindex(n, n):
        r, g, b = (int(v) for v in colours[row, column])
        x, y = left + column * side, top + row * side
        told = f"truth {classes.names[row]}, predicted {classes.names[column]}: {counts[row, column]:,} pixels"
        share = f", {cells[row, column]:.2%}" if shares and np.isfinite(cells[row, column]) else ""
        parts.append(
            f'<g><title>{escape(told)}{share}</title><rect x="{x:g}" y="{y:g}" width="{side:g}" height="{side:g}" '
            f'fill="rgb({r},{g},{b})"/>'
        )
        if side >= 20 and (text := cell_text(float(cells[row, column]), shares)):
            ink = "#fff" if is_dark(colours[row, column]) else "#1a1a1a"
            parts.append(
                f'<text x="{x + side / 2:g}" y="{y + side / 2 + 4:g}" text-anchor="middle" fill="{ink}">'
                f"{escape(text)}</text>"
            )
        parts.append("</g>")
    width, height = left + n * side + 4, top + n * side + 4
    middle_x, middle_y = left + n * side / 2, top + n * side / 2
    drawn = (
        f'<svg class="matrix" width="{width:g}" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="Rows are the truth, columns the prediction; in the cells: {escape(what)}">'
        f'<text class="axis" x="{middle_x:g}" y="12" text-anchor="middle">prediction</text>'
        f'<text class="axis" transform="translate(12 {middle_y:g}) rotate(-90)" text-anchor="middle">truth</text>'
        f"{''.join(parts)}</svg>"
    )
    key = f'<p class="quiet">In the cells: {"per cent, " * shares}{escape(what)}. White: never. Grey: undefined.</p>'
    return scrolling("Confusion matrix", drawn) + key


def _table(label: str, head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose first column is a heading, and the others numbers; cells are HTML."""
    heads = "".join(f'<th scope="col"{" class=n" if i else ""}>{escape(h)}</th>' for i, h in enumerate(head))
    rows = "".join(
        f'<tr><th scope="row">{line[0]}</th>' + "".join(f'<td class="n">{cell}</td>' for cell in line[1:]) + "</tr>"
        for line in lines
    )
    return scrolling(label, f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>")


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
