"""A finished explanation: the map with all that is needed to read it, show it, keep it and check it."""

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from seglens.core.classes import ClassTable
from seglens.core.cost import Cost
from seglens.core.display import Display
from seglens.core.errors import MissingExtraError, NameNotFoundError, ParameterError, SeglensError
from seglens.core.registry import Registry
from seglens.core.saving import suffix_of, write_arrays

FORMAT = 1
"""Version of the saved form; a file of a later one is refused with a clear error."""

RAW = ("npz", "nii", "nii.gz", "tif", "tiff")
"""Forms that hold raw values, whatever a display shows."""

Writer = Callable[["Sequence[Explanation]", Path, Display], None]
"""Writes explanations as a display shows them; what does not draw them may pass it over."""

WRITERS: Registry[Writer] = Registry("file type", "seglens.writers")

View = Callable[["Sequence[Explanation]"], str]
VIEWS: Registry[View] = Registry("notebook view", "seglens.views")


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Why one network said one thing of one image.

    map: float32 [H W] (or [D H W]) on the grid of the image as given, in `unit`; NaN where undefined.
    image: uint8 [H W 3] or [H W] (or a volume), the picture as given, for display.
    method, parameters: registry name and fields of the method. layer: the layer it read, None where it reads none.
    target: the question in words, such as ``rider in predicted(rider)``. channel: its first class or unit, in words.
    region: bool [H W], the resolved request mask; None for networks without space.
    prediction: predicted class of each pixel, [H W]; None where the network has no classes or labels overlap.
    truth: true label of each pixel, [H W]; None where none was given. label: index of the target's first class; None
    for units that are no classes, and for methods that take no target.
    score: the number that was explained; NaN for methods that take no target. of: 'logits', 'probabilities' or
    'log-probabilities'. unit: of the map.
    signed: whether negative values of the map mean 'speaks against' (else the map is never negative).
    classes: the class table. network: its name. notes: warnings raised on the way. cost: None unless asked for.
    affine: float64 [4 4], from a voxel's indices to millimetres, of a volume that came as NIfTI; else None.
    extras: further results by name (curves, gaps, weights), arrays. names: what the numbers of an extra stand for: the
    entries of a list, or the choices of which a single number is the index. provenance: versions, device, file names.
    """

    map: NDArray[np.float32]
    image: NDArray[np.uint8]
    method: str
    target: str
    score: float
    of: str
    unit: str
    network: str
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])
    layer: str | None = None
    channel: str = ""
    region: NDArray[np.bool_] | None = None
    prediction: NDArray[np.int64] | None = None
    truth: NDArray[np.int64] | None = None
    label: int | None = None
    signed: bool = True
    classes: ClassTable | None = None
    notes: tuple[str, ...] = ()
    cost: Cost | None = None
    affine: NDArray[np.float64] | None = None
    extras: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    provenance: Mapping[str, str] = field(default_factory=dict[str, str])

    def save(self, path: str | Path, display: Display | None = None) -> Path:
        """Write to `path`: .npz keeps raw values and opens again; .png, .svg, .pdf, .html are for the eye.

        A volume's map also goes to .nii and .nii.gz, over which it lies in other viewers.
        display: what of the map is shown, and how; see `save`.
        """
        return save([self], path, display)

    def with_notes(self, notes: Sequence[str]) -> "Explanation":
        """The same explanation with further notes."""
        return replace(self, notes=(*self.notes, *notes))

    @property
    def numbers(self) -> dict[str, float | str | dict[str, float]]:
        """Of the extras what is said in a number or a few: single ones, what they stand for, or lists by entry."""
        found: dict[str, float | str | dict[str, float]] = {}
        for name, array in ((n, np.asarray(a)) for n, a in self.extras.items()):
            named = self.names.get(name)
            if array.dtype.kind not in "biuf":
                continue
            if named and array.shape == (len(named),):
                found[name] = dict(zip(named, array.astype(float).tolist(), strict=True))
            elif array.size == 1 and array.shape != self.map.shape:
                value = array.item()
                found[name] = named[int(value)] if named and value == value else value
        return found

    def share(self, where: NDArray[np.bool_]) -> float:
        """Share of the map's absolute weight that lies in `where` [H W]: Σ|map|·where / Σ|map|, in [0, 1].

        NaN where the map is zero everywhere or undefined.
        """
        weight = np.abs(self.map.astype(np.float64))
        total = weight.sum()
        return float(weight[where].sum() / total) if total > 0 else float("nan")

    def strongest(self, share: float) -> NDArray[np.bool_]:
        """bool [*map]: the pixels with the greatest positive values, at most `share` of all, in 0..1.

        Of equal values the first in reading order. Values of 0 or below, or undefined, are never among them, so that of
        a sparse map there are fewer. Raises ParameterError.
        """
        if not 0 < share <= 1:
            raise ParameterError(f"share is to be above 0 and at most 1, a part of the picture, not {share!r}.")
        at = np.flatnonzero(self.map > 0)
        order = np.argsort(-self.map.ravel()[at], kind="stable")
        chosen = np.zeros(self.map.size, np.bool_)
        chosen[at[order[: math.floor(share * chosen.size + 1e-9)]]] = True
        return chosen.reshape(self.map.shape)

    def _repr_html_(self) -> str | None:
        return _in_notebook([self])

    def __str__(self) -> str:
        where = f" at {self.layer}" if self.layer else ""
        score = f", score {self.score:.4g}" if self.score == self.score else ""
        return f"{self.method}{where}: {self.target}{score} ({self.of}), {self.network}"


class Explanations(Sequence[Explanation]):
    """Several explanations in order: of several targets, images or methods."""

    def __init__(self, items: Sequence[Explanation]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> "Explanations": ...
    def __getitem__(self, index: int | slice) -> "Explanation | Explanations":
        if isinstance(index, slice):
            return Explanations(self._items[index])
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self._items)

    def save(self, path: str | Path, display: Display | None = None) -> Path:
        """Write all into one file: a grid for pictures, every raw value for .npz."""
        return save(self._items, path, display)

    def _repr_html_(self) -> str | None:
        return _in_notebook(self._items)

    def __repr__(self) -> str:
        return "Explanations(\n" + "".join(f"  {e}\n" for e in self._items) + ")"


def save(explanations: Sequence[Explanation], path: str | Path, display: Display | None = None) -> Path:
    """Write explanations to `path`; its suffix chooses the form.

    display: what pictures show of the maps, such as ``Display(part="positive", within="prediction")``.
    Raises NameNotFoundError for an unknown suffix, ParameterError for a display that cannot be worked out for one of
    them, or with a form of RAW, which keeps raw values whatever is shown.
    """
    path = Path(path)
    suffix = suffix_of(path, ("npz", *WRITERS))
    if suffix in RAW and display is not None:
        raise ParameterError(
            f"a display concerns pictures, and .{suffix} keeps every raw value.\n"
            "  Leave the display out, or save a picture: .png, .svg, .pdf or .html."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    if suffix == "npz":
        _write_raw(explanations, path)
        return path
    try:
        writer = WRITERS[suffix]
    except ImportError as absent:
        raise MissingExtraError(
            f"writing .{suffix} needs {absent.name}, which is not installed.\n"
            f"  It comes with: pip install 'seglens[image]'. Raw values can be saved as .npz without it."
        ) from absent
    writer(explanations, path, display or Display())
    return path


def _in_notebook(explanations: Sequence[Explanation]) -> str | None:
    """HTML for a notebook; None, so that the notebook falls back to text, without the image extra."""
    try:
        return VIEWS["html"](explanations)
    except (NameNotFoundError, ImportError):
        return None


_ARRAYS = ("map", "image", "region", "prediction", "truth", "affine")
_PLAIN = ("method", "target", "score", "of", "unit", "network", "layer", "channel", "signed")


def _write_raw(explanations: Sequence[Explanation], path: Path) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    heads: list[dict[str, Any]] = []
    for i, e in enumerate(explanations):
        for name in _ARRAYS:
            if (array := getattr(e, name)) is not None:
                arrays[f"{i}/{name}"] = array
        for name, array in e.extras.items():
            arrays[f"{i}/extras/{name}"] = np.asarray(array)
        head: dict[str, Any] = {name: getattr(e, name) for name in _PLAIN}
        head["label"] = e.label
        head["parameters"] = dict(e.parameters)
        head["notes"] = list(e.notes)
        head["names"] = {name: list(entries) for name, entries in e.names.items()}
        head["provenance"] = dict(e.provenance)
        head["classes"] = e.classes.to_dict() if e.classes else None
        head["cost"] = None if e.cost is None else [e.cost.flops, e.cost.forward, e.cost.seconds, e.cost.peak_bytes]
        heads.append(head)
    text = json.dumps({"format": FORMAT, "explanations": heads})
    write_arrays({"seglens": np.array(text), **arrays}, path)


def open_explanations(path: str | Path) -> Explanation | Explanations:
    """Open what `save` wrote as .npz: one Explanation, or several. Never runs code from the file.

    Raises SeglensError for a file that is not one of ours, is cut short, or comes from a later version.
    """
    path = Path(path)
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
        head = json.loads(str(stored.pop("seglens")))
        version = head["format"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, EOFError) as broken:
        raise SeglensError(f"{path} is not an explanation that seglens saved, or is cut short ({broken}).") from broken
    except Exception as broken:  # zipfile raises its own kinds for a damaged archive
        raise SeglensError(f"{path} cannot be opened: {broken}.") from broken
    if version > FORMAT:
        raise SeglensError(
            f"{path} was saved by a later seglens (format {version}, this one reads up to {FORMAT}).\n"
            "  Update with: pip install -U seglens"
        )
    try:
        found = [_from_stored(i, plain, stored) for i, plain in enumerate(head["explanations"])]
    except (KeyError, TypeError, AttributeError) as wrong:
        raise SeglensError(f"{path} is not an explanation that seglens saved: {wrong!r}.") from wrong
    return found[0] if len(found) == 1 else Explanations(found)


def _from_stored(i: int, plain: dict[str, Any], stored: Mapping[str, NDArray[Any]]) -> Explanation:
    prefix = f"{i}/extras/"
    fields: dict[str, Any] = {name: stored.get(f"{i}/{name}") for name in _ARRAYS}
    fields.update((name, plain[name]) for name in (*_PLAIN, "parameters", "provenance"))
    fields["label"] = plain.get("label")
    fields["notes"] = tuple(plain["notes"])
    fields["names"] = {name: tuple(entries) for name, entries in plain.get("names", {}).items()}
    fields["cost"] = Cost(*plain["cost"]) if plain["cost"] else None
    fields["classes"] = ClassTable.from_dict(plain["classes"]) if plain["classes"] else None
    fields["extras"] = {n.removeprefix(prefix): a for n, a in stored.items() if n.startswith(prefix)}
    return Explanation(**fields)
