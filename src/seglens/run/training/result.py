"""What a training ends in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from seglens.core.network import Network
from seglens.networks.load import load
from seglens.run.training.folder import Folder
from seglens.run.training.recipe import Recipe, read_recipe


@dataclass(frozen=True)
class Trained:
    """A finished training.

    folder: where all of it lies. figures: on the test pictures, by name: loss and its parts, kl (nats a picture),
    active_units, squared_error of pixels in 0..1, mean_iou, pixel_accuracy, mean_accuracy in 0..1, and with
    'attention_' before them those of the attention maps. per_class: IoU of each class, None where undefined. steps,
    epochs: done. best_step: of the weights that were kept, those with the best held-out figure. early: whether it
    stopped before its time. seconds: of training, held-out figures included, preparing data left out. provenance:
    versions, device, date. resumed: the step from which this run went on; 0 where it began. already: nothing was left
    to do.
    """

    folder: Path
    figures: Mapping[str, float]
    per_class: Mapping[str, float | None]
    parameters: int
    steps: int
    epochs: int
    best_step: int
    early: bool
    seconds: float
    built_in: bool
    provenance: Mapping[str, str]
    resumed: int = 0
    already: bool = False

    @property
    def path(self) -> Path:
        """The network's file, for `seglens.load`."""
        return Folder(self.folder).network

    @property
    def recipe(self) -> Recipe:
        """By which it was trained."""
        return read_recipe(Folder(self.folder).recipe)

    @cached_property
    def network(self) -> Network:
        """The trained network, opened."""
        return load(self.path)

    def to_dict(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return {
            "folder": str(self.folder),
            "network": str(self.path),
            "kind": self.recipe.kind,
            "data": self.recipe.data.name,
            **self.facts(),
            "resumed": self.resumed,
            "already": self.already,
            "recipe": self.recipe.to_dict(),
        }

    def facts(self) -> dict[str, Any]:
        """What the folder's result.json keeps."""
        return {
            "figures": dict(self.figures),
            "per_class": dict(self.per_class),
            "parameters": self.parameters,
            "steps": self.steps,
            "epochs": self.epochs,
            "best_step": self.best_step,
            "early": self.early,
            "seconds": round(self.seconds, 1),
            "built_in": self.built_in,
            "provenance": dict(self.provenance),
        }

    @classmethod
    def read(cls, folder: Folder) -> "Trained":
        """The finished training of a folder."""
        return cls(folder.path, **json.loads(folder.result.read_text(encoding="utf-8")), already=True)
