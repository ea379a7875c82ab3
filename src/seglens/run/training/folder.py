"""The folder of one training: its recipe, the steps from which it can go on, its curves, and what it ends in."""

import csv
import io
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from seglens.core.errors import ParameterError
from seglens.core.saving import as_json, write_text
from seglens.run.training.recipe import Recipe, differences, read_recipe, write_recipe

Row = dict[str, float]
"""One epoch: its number, the step at its end, seconds, rate, means over its steps, held-out figures (val_…)."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """How far a training has come; with a checkpoint of the same step, all that is needed to go on.

    step: steps done. seconds: spent on them, rendering and interruptions left out. rows: of finished epochs. sums,
    counted: of the figures of the epoch that is under way. best: held-out figure, None before the first. best_step:
    where it was reached. waited: epochs since. stopped: whether that were enough of them to stop.
    """

    step: int = 0
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list[Row])
    sums: dict[str, float] = field(default_factory=dict[str, float])
    counted: int = 0
    best: float | None = None
    best_step: int = 0
    waited: int = 0
    stopped: bool = False

    def count(self, figures: dict[str, float]) -> None:
        """Add the figures of one step."""
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.counted += 1

    def close(self, row: Row) -> Row:
        """The epoch is over: its row, with the means over its steps."""
        whole: Row = {**row, **{name: total / self.counted for name, total in self.sums.items()}}
        self.rows.append(whole)
        self.sums, self.counted = {}, 0
        return whole

    def judge(self, figure: float, larger: bool, patience: int) -> bool:
        """Whether the held-out figure is the best so far; counts the epochs in which it is not."""
        better = self.best is None or (figure > self.best if larger else figure < self.best)
        if better:
            self.best, self.best_step, self.waited = figure, self.step, 0
        else:
            self.waited += 1
            self.stopped = patience > 0 and self.waited >= patience
        return better

    def write(self, path: Path) -> None:
        """As JSON. Floating-point numbers come back as they were, to the last bit."""
        write_text(json.dumps(asdict(self)) + "\n", path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """From JSON."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True, slots=True)
class Folder:
    """Where a training keeps what it makes."""

    path: Path

    @property
    def recipe(self) -> Path:
        """The recipe in force."""
        return self.path / "recipe.toml"

    @property
    def network(self) -> Path:
        """The trained weights; their description lies beside them as .toml."""
        return self.path / "network.safetensors"

    @property
    def card(self) -> Path:
        """The model card."""
        return self.path / "card.md"

    @property
    def result(self) -> Path:
        """Figures and provenance; there once the training is finished."""
        return self.path / "result.json"

    @property
    def curves(self) -> Path:
        """One line an epoch."""
        return self.path / "metrics.csv"

    @property
    def events(self) -> Path:
        """For TensorBoard."""
        return self.path / "events"

    @property
    def checkpoints(self) -> Path:
        """Steps from which it can go on, and snapshots."""
        return self.path / "checkpoints"

    def step(self, number: int) -> Path:
        """The checkpoint of a step; its ledger is the JSON beside it."""
        return self.checkpoints / f"step-{number:08d}.ckpt"

    def snapshot(self, epoch: int) -> Path:
        """Weights as they were after so many epochs, described like the network."""
        return self.checkpoints / f"epoch-{epoch:04d}.safetensors"

    @property
    def best(self) -> Path:
        """Weights with the best held-out figure."""
        return self.checkpoints / "best.safetensors"

    def latest(self) -> Path | None:
        """The checkpoint of the latest step that is there whole; None where there is none."""
        found = sorted(p for p in self.checkpoints.glob("step-*.ckpt") if p.with_suffix(".json").is_file())
        return found[-1] if found else None

    def check(self, recipe: Recipe, fresh: bool) -> None:
        """Whether a training by this recipe may begin or go on here; nothing is changed.

        Raises ParameterError where the folder holds a training by another recipe (with the differences) and `fresh`
        was not said, or files of something else.
        """
        if self.path.exists() and not self.path.is_dir():
            raise ParameterError(f"{self.path} is a file, not a folder.")
        if self.recipe.exists():
            if not fresh and (apart := differences(read_recipe(self.recipe), recipe)):
                raise ParameterError(
                    f"{self.path} holds a training by another recipe:\n"
                    + "".join(f"  {line}\n" for line in apart)
                    + "  Name another folder (--out), or begin anew in this one (--fresh; resume=False). To go on with "
                    f"it: --recipe {self.recipe}."
                )
        elif self.path.exists() and any(self.path.iterdir()):
            raise ParameterError(
                f"{self.path} is not empty, and holds no training.\n  Name another folder (--out): a new one is made."
            )

    def prepare(self, recipe: Recipe, fresh: bool) -> None:
        """Write the recipe, and clear away halves of files. fresh: also all that an earlier training left."""
        if fresh:
            for path in (self.network, self.network.with_suffix(".toml"), self.card, self.result, self.curves):
                path.unlink(missing_ok=True)
            for folder in (self.events, self.checkpoints):
                shutil.rmtree(folder, ignore_errors=True)
            self.recipe.unlink(missing_ok=True)
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        for left in self.checkpoints.glob("*.part"):
            _remove(left)
        if not self.recipe.exists():
            write_recipe(recipe, self.recipe)

    def ledger(self) -> Ledger:
        """That of the latest checkpoint; an empty one where nothing is kept."""
        latest = self.latest()
        return Ledger.read(latest.with_suffix(".json")) if latest is not None else Ledger()

    def settle(self, part: Path, ledger: Ledger) -> None:
        """A checkpoint that was written as `part` becomes that of its step; those of earlier steps go."""
        path = self.step(ledger.step)
        ledger.write(path.with_suffix(".json"))
        if path.is_dir():  # of strategies whose checkpoints are folders; a file is replaced in one go
            _remove(path)
        part.replace(path)
        for other in self.checkpoints.glob("step-*"):
            if other.stem != path.stem:
                _remove(other)

    def write_curves(self, rows: Sequence[Row]) -> None:
        """All epochs as CSV: what a killed training wrote beyond its last checkpoint goes."""
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: int(v) if k in ("epoch", "step") else f"{v:.6g}" for k, v in row.items()})
        write_text(text.getvalue(), self.curves)

    def write_result(self, result: dict[str, Any]) -> None:
        """The last file of a training: it is finished."""
        write_text(as_json(result) + "\n", self.result)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
