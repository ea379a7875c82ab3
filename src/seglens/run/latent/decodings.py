"""Pictures decoded from latent vectors in rows and columns, with where they come from; to files of any kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.saving import as_json, finite, suffix_of, write_arrays, write_text
from seglens.run.latent.coding import labels_of
from seglens.viz.media.files import FIGURES, drawing, write_drawn

ANIMATIONS = ("gif", "webp", "apng")
FORMATS = (*FIGURES, *ANIMATIONS, "html", "npz", "json")
"""Suffixes that decoded pictures can be saved with."""

Kind = Literal["traversal", "grid", "interpolation", "samples", "edit"]
Explained = Literal["decoded", "input"]

_Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Attention of the unit that moves, at each step. maps: float32 [R C H W] in units of the latent unit, ≥ 0.

    on: which picture was explained. 'decoded': each step's own picture, encoded again: where the encoder sees the unit
    in what was generated; scores [R C] are the unit's values there. 'input': the image itself. Adding a number to a
    unit changes no derivative of it, so that this map is the same at all steps of a row.
    """

    maps: _Floats
    scores: _Floats
    on: Explained
    method: str
    layer: str | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Decodings:
    """What latent vectors decode to, in R rows and C columns.

    kind: what was done. title: in words. network, image: their names; image '' where none was given.
    z: float32 [R C d]. pictures: float32 [R C K H W], pixels in 0..1 or class probabilities, as `produces` says.
    rows, columns: what they are called; row_notes: more about each row, '' for nothing more. across, down: what
    differs from column to column and from row to row, '' for nothing in particular.
    classes: of masks. given: uint8 [H W 3] or [H W], the image as the network received it; to: the
    one that an interpolation leads to. reconstruction: float32
    [K H W], decoded from μ. mu, logvar: float32 [d] of the image. conditions: float32 [R C c]; names of them in
    condition_names. attention: see `Attention`. change: float32 [R H W], how much each pixel changes per unit of the
    row's move at the image's μ: mean over channels of |∂x̂/∂z| for images, the probability that changes its class
    for masks. notes: what is to be known besides. provenance: versions, device, names.
    """

    kind: Kind
    title: str
    network: str
    image: str
    produces: Literal["image", "masks"]
    z: _Floats
    pictures: _Floats
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    row_notes: tuple[str, ...]
    across: str = ""
    down: str = ""
    classes: ClassTable | None = None
    given: NDArray[np.uint8] | None = None
    to: NDArray[np.uint8] | None = None
    reconstruction: _Floats | None = None
    mu: _Floats | None = None
    logvar: _Floats | None = None
    conditions: _Floats | None = None
    condition_names: tuple[str, ...] = ()
    attention: Attention | None = None
    change: _Floats | None = None
    notes: tuple[str, ...] = ()
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self.pictures.shape[0], self.pictures.shape[1]

    @property
    def labels(self) -> NDArray[np.uint8] | None:
        """Predicted classes [R C H W] of decoded masks; None for images."""
        return labels_of(self.pictures) if self.produces == "masks" else None

    def save(self, path: str | Path) -> Path:
        """Write to `path`, by its suffix.

        .png, .svg, .pdf: all of it as a figure. .gif, .webp, .apng: a step after the other, forth and back where the
        columns are steps of one way. .html: a page with a slider. .npz: the arrays. .json: all but the pictures.
        Raises NameNotFoundError for another suffix, MissingExtraError without what draws.
        """
        path = Path(path)
        suffix = suffix_of(path, FORMATS)
        if suffix == "npz":
            write_arrays(self.arrays(), path)
        elif suffix == "json":
            write_text(as_json(self.to_dict()) + "\n", path)
        else:
            self._draw(path, suffix)
        return path

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by name, those that there are."""
        found: dict[str, NDArray[Any] | None] = {
            "z": self.z,
            "pictures": self.pictures,
            "labels": self.labels,
            "image": self.given,
            "reconstruction": self.reconstruction,
            "mu": self.mu,
            "logvar": self.logvar,
            "conditions": self.conditions,
            "change": self.change,
            "attention": None if self.attention is None else self.attention.maps,
            "attention_scores": None if self.attention is None else self.attention.scores,
        }
        return {name: values for name, values in found.items() if values is not None}

    def to_dict(self) -> dict[str, Any]:
        """All but pictures and maps in plain form, stable for --json."""
        a = self.attention
        return finite(
            {
                "kind": self.kind,
                "title": self.title,
                "network": self.network,
                "image": self.image or None,
                "produces": self.produces,
                "rows": list(self.rows),
                "columns": list(self.columns),
                "row_notes": list(self.row_notes),
                "across": self.across or None,
                "down": self.down or None,
                "z": _plain(self.z),
                "mu": _plain(self.mu),
                "logvar": _plain(self.logvar),
                "condition_names": list(self.condition_names),
                "conditions": _plain(self.conditions),
                "attention": a and {"on": a.on, "method": a.method, "layer": a.layer, "scores": _plain(a.scores)},
                "change": None if self.change is None else _plain(self.change.mean((1, 2))),
                "notes": list(self.notes),
                "provenance": dict(self.provenance),
            }
        )

    def _draw(self, path: Path, suffix: str) -> None:
        with drawing("drawing decoded pictures"):
            from seglens.viz.latent.animation import write_animation
            from seglens.viz.latent.content import Board
            from seglens.viz.latent.figure import decodings_figure
            from seglens.viz.latent.page import decodings_page

        a = self.attention
        board = Board(
            title=self.title,
            facts=self.facts(),
            pictures=self.labels if self.labels is not None else self.pictures,
            classes=self.classes,
            rows=self.rows,
            row_notes=self.row_notes,
            columns=self.columns,
            across=self.across,
            given=self.given,
            to=self.to,
            reconstruction=self._reconstructed(),
            attention=None if a is None else a.maps,
            attention_words="" if a is None else attention_words(a),
            change=self.change,
            change_unit=change_unit(self.produces),
            notes=self.notes,
            forth_and_back=self.kind in ("traversal", "interpolation"),
            grid=self.kind == "grid",
        )
        if suffix in FIGURES:
            write_drawn(decodings_figure(board), path)
        elif suffix == "html":
            write_text(decodings_page(board), path)
        else:
            write_animation(board, path)

    def facts(self) -> list[str]:
        """What is to be read beside the pictures."""
        return [text for text in (self.network, self.image) if text]

    def _reconstructed(self) -> NDArray[Any] | None:
        if self.reconstruction is None or self.produces == "image":
            return self.reconstruction
        return labels_of(self.reconstruction)

    def __str__(self) -> str:
        r, c = self.size
        lines = [f"{self.title}: {r} × {c} pictures, {', '.join(self.facts())}"]
        lines += [f"  {name}{', ' * bool(note)}{note}" for name, note in zip(self.rows, self.row_notes, strict=True)]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])


def attention_words(attention: Attention) -> str:
    """What the maps show, in words."""
    where = f"{attention.method}{f' at {attention.layer}' if attention.layer else ''}"
    if attention.on == "decoded":
        return f"{where}: where the encoder sees the unit in the decoded picture"
    return f"{where}: where the encoder sees the unit in the image given, whatever is added to it"


def change_unit(produces: str) -> str:
    """Of `Decodings.change`."""
    return "pixel value per unit of z" if produces == "image" else "probability that changes class, per unit of z"


def _plain(values: NDArray[np.float32] | None) -> Any:
    if values is None:
        return None
    return np.round(values.astype(np.float64), 6).tolist()


def words_of(values: Sequence[float]) -> tuple[str, ...]:
    """Numbers as headings of columns, with a true minus sign and no more digits than say them to 1 % of their range."""
    span = max(values) - min(values) or max(map(abs, values)) or 1.0
    for digits in range(1, 7):
        told = [f"{v:.{digits}g}" for v in values]
        if all(abs(float(t) - v) <= span / 100 for t, v in zip(told, values, strict=True)):
            break
    else:
        told = [f"{v:.6g}" for v in values]
    return tuple("0" if float(t) == 0 else t.replace("-", "−") for t in told)


def value(v: float) -> str:
    """Two digits, with a true minus sign."""
    return f"{v:.2g}".replace("-", "−") if abs(v) >= 5e-4 else "0"
