"""Many trainings, each kept in a folder of its own, so that the same call goes on where it was interrupted."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seglens.core.classes import ClassTable
from seglens.core.errors import SeglensError
from seglens.core.progress import tell
from seglens.core.saving import as_json, write_text
from seglens.datasets.samples import Sample, SampleSet
from seglens.networks import load
from seglens.run.bench.clock import Clock, Listener
from seglens.run.tables.table import Run
from seglens.run.training import Where, train
from seglens.run.training.data import Splits, open_splits
from seglens.run.training.recipe import DataRecipe, Recipe

Scorer = Callable[[Path], Mapping[str, float]]
"""From the folder of a trained network to its scores."""

_SCORES = "scores.json"


@dataclass(frozen=True, slots=True)
class Job:
    """One network to be trained: the row that it belongs to, and its recipe, which holds its seed."""

    row: str
    recipe: Recipe
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def folder(self) -> str:
        """Of the network, under the folder of the table."""
        return f"{self.row.replace(' ', '-')}-seed{self.recipe.seed}"


def run_jobs(
    jobs: Sequence[Job], out: Path, score: Scorer, *, device: str | None = None, listener: Listener | None = None
) -> tuple[Run, ...]:
    """Train and score every network that is not done yet; a Run for each, in order.

    A network whose folder holds its scores is not trained again; one whose recipe changed is refused by `train`.
    listener: told of each job as it begins, with the seconds that are left at most.
    """
    clock = Clock([job.row for job in jobs], listener)
    runs: list[Run] = []
    sets: dict[DataRecipe, Splits] = {}
    for job in jobs:
        folder = out / job.folder
        clock.begin(f"{job.row}, seed {job.recipe.seed}")
        kept = _kept(folder)
        if kept is None:
            if job.recipe.data not in sets:
                sets[job.recipe.data] = _in_memory(open_splits(job.recipe.data))
            trained = train(
                job.recipe.kind,
                job.recipe.data.name,
                folder,
                recipe=job.recipe,
                splits=sets[job.recipe.data],
                where=Where(device=device or "auto"),
            )
            network = load(folder / "network.safetensors")
            facts = {
                **job.facts,
                "parameters": sum(p.numel() for p in network.module.parameters()),
                "training_seconds": round(trained.seconds, 1),
            }
            kept = {"scores": dict(score(folder)), "facts": facts}
            write_text(as_json(kept), folder / _SCORES)
            clock.end(trained.seconds)
        else:
            clock.end(None)
        scores = {k: float("nan") if v is None else float(v) for k, v in kept["scores"].items()}
        runs.append(Run(job.row, job.recipe.seed, scores, kept["facts"]))
    return tuple(runs)


def _kept(folder: Path) -> dict[str, Any] | None:
    path = folder / _SCORES
    if not path.exists():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as damaged:
        raise SeglensError(
            f"{path} cannot be read ({damaged}).\n  Remove it: the network beside it is then scored again."
        ) from damaged


@dataclass(frozen=True, slots=True)
class _Kept:
    """A set made by rule with its samples made once, for all networks that are shown it."""

    samples: tuple[Sample, ...]
    classes: ClassTable | None
    attributes: tuple[str, ...]
    factors: tuple[str, ...]
    built_in: bool

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int, /) -> Sample:
        return self.samples[index]


def _in_memory(splits: Splits) -> Splits:
    return Splits(train=_held(splits.train), validation=_held(splits.validation), test=_held(splits.test))


def _held(own: SampleSet) -> SampleSet:
    if not own.built_in:
        return own
    samples: list[Sample] = []
    for index in range(len(own)):
        samples.append(own[index])
        tell("making pictures", index + 1, len(own))
    return _Kept(tuple(samples), own.classes, own.attributes, own.factors, own.built_in)
