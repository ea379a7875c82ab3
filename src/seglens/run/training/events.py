"""Curves and pictures in TensorBoard's format: `tensorboard --logdir FOLDER/events`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch.utils.tensorboard.writer import SummaryWriter

from seglens.core.classes import ClassTable
from seglens.run.training.folder import Row
from seglens.run.training.module import Learner
from seglens.run.training.pictures import SHOWN, pictures


class Events:
    """Writes the events of one training. first: the step from which it goes on; later ones of a killed run are void."""

    def __init__(self, folder: Path, first: int, classes: ClassTable | None) -> None:
        self._writer = SummaryWriter(folder, purge_step=first + 1 if first else None)
        self._classes = classes

    def step(self, told: Mapping[str, float], step: int) -> None:
        """The figures of one step, under 'step/'."""
        for name, value in told.items():
            self._writer.add_scalar(f"step/{name}", value, step)

    def epoch(self, row: Row, learner: Learner) -> None:
        """The figures of an epoch ('epoch/' over its steps, 'held out/') and its pictures."""
        step = int(row["step"])
        for name, value in row.items():
            if name not in ("epoch", "step", "seconds"):
                kind, _, rest = name.partition("val_")
                self._writer.add_scalar(f"epoch/{kind}" if kind else f"held out/{rest}", value, step)
        held_out = learner.held_out_pictures
        batch = held_out.__getitems__(range(min(SHOWN, len(held_out))))
        shown = learner.shown(type(batch)(*(part.to(learner.device) for part in batch)))
        for name, picture in pictures(learner, shown, self._classes).items():
            self._writer.add_image(name, np.ascontiguousarray(picture), step, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        """All is written."""
        self._writer.close()
