"""The methods that the context-bias benchmark compares, as rows of its tables."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from seglens.core.errors import NameNotFoundError, suggest
from seglens.core.method import METHODS, Method
from seglens.core.network import Of
from seglens.perturb import Fill

CELLS = (4, 4)
"""Cells on which maps are compared: the paper's."""

BASELINES = ("random", "uniform")
"""Maps that know nothing of the network: what the scores are worth is what they are above these."""


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One row: a method with its settings.

    method: a registry name, or one of `BASELINES`. fields: its settings, but for the fill. of: what it explains; None
    for the method's own default. says: the row in words. bounded: whether its maps lie in [0, 1], so that a CBD can be
    read as it is. filled: whether it takes the fill that was chosen. together: whether it works on the pairs of picture
    and class alone that are asked about, so that pictures of all classes make one batch.
    """

    name: str
    method: str
    says: str
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    of: Of | None = None
    bounded: bool = False
    filled: bool = False
    together: bool = False

    def made(self, fill: Fill) -> Method:
        """The method. Raises NameNotFoundError, ParameterError, and TypeError for a field that it lacks."""
        return METHODS[self.method](**self.settings(fill))

    def settings(self, fill: Fill) -> dict[str, Any]:
        """The fields with the fill, where it takes one and names none itself."""
        return {**({"fill": fill} if self.filled else {}), **self.fields}

    def with_(self, name: str, **fields: Any) -> "Entry":
        """The same row under another name, with some fields changed."""
        return replace(self, name=name, fields={**self.fields, **fields})


_TOY = f"{CELLS[0]}x{CELLS[1]}"
_OUTSIDE: dict[str, Any] = {"context": True, "cells": _TOY}


def _gradients(of: Of) -> list[Entry]:
    end = "" if of == "probabilities" else f"-{of}"
    kinds = (
        ("vg", "saliency", "vanilla gradient", {}),
        ("sg", "smooth-grad", "SmoothGrad", {}),
        ("ig", "integrated-gradients", "integrated gradients (eq. 4)", {"multiply_by_inputs": False}),
    )
    return [
        Entry(f"{name}{end}", method, f"{says} of {of}, eq. 5", {**_OUTSIDE, **fields}, of)
        for name, method, says, fields in kinds
    ]


def _cams() -> list[Entry]:
    named = ("grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam")
    return [Entry(name, name, f"{name} at the end of the encoder, outside the region") for name in named]


def _masks() -> list[Entry]:
    robust: dict[str, Any] = {"mode": "robust", "cells": _TOY}
    own, chosen = "each picture with a fill that removes something", "with the fill chosen on other seeds"
    kinds = (
        ("grid", f"robust, {own}", robust, False),
        ("grid-one-fill", f"robust, {chosen}", robust, True),
        ("grid-reference", f"the paper's recipe, {chosen}", {"mode": "reference", "preset": "toy"}, True),
    )
    return [
        Entry(name, "context-saliency", f"context saliency, {says}", fields, bounded=True, filled=filled, together=True)
        for name, says, fields, filled in kinds
    ]


_ENTRIES = (
    *_masks(),
    *_gradients("probabilities"),
    *_gradients("logits"),
    Entry(
        "ig-times-input",
        "integrated-gradients",
        "integrated gradients of probabilities, times the input, their sizes outside the region",
        # No doubling: as many passes as the row without the input.
        {"nodes": 50, "most": 50},
        "probabilities",
    ),
    *_cams(),
    Entry("random", "random", "every cell drawn evenly from 0 to 1", bounded=True),
    Entry("uniform", "uniform", "1 in every cell", bounded=True),
)

ENTRIES: Mapping[str, Entry] = MappingProxyType({entry.name: entry for entry in _ENTRIES})
"""The rows by name, in the order of the tables. VG, SG and IG are the paper's; of probabilities, as grid saliency."""


def check_names(names: Iterable[str]) -> None:
    """Raise NameNotFoundError for a name that is no row."""
    for name in names:
        if name not in ENTRIES:
            raise NameNotFoundError(
                f"no method {name!r} in the benchmark.{suggest(name, ENTRIES)}\n  All of them: {', '.join(ENTRIES)}."
            )
