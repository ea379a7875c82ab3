"""A set of pictures small enough to train on in tests: a red disc or a blue bar on grey, one pixel unknown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seglens.core.classes import ClassTable
from seglens.datasets.samples import Sample
from seglens.run.training import Splits, Trained, Where, train

CLASSES = ClassTable(("ground", "disc", "bar"), ((90, 90, 90), (255, 0, 0), (0, 0, 255)))

TINY: dict[str, dict[str, Any]] = {
    "vae": {"model": {"latent": 3, "widths": [4, 4]}},
    "cvae": {"model": {"latent": 3, "widths": [4, 4]}},
    "seg-vae": {"model": {"latent": 3, "width": 4, "stages": 2}},
    "mgrad2vae": {"model": {"latent": 3, "widths": [4, 4], "dense": 8, "branch": 4}},
    "segmenter": {"model": {"widths": [4, 4, 4, 4], "bottleneck": 4}},
}
"""Networks of each kind that learn within seconds."""


@dataclass(frozen=True)
class Shapes:
    """`n` pictures of `size`; masks and attributes can be left out."""

    n: int
    seed: int = 0
    size: tuple[int, int] = (16, 32)
    masks: bool = True
    named: bool = True
    built_in: bool = True

    @property
    def classes(self) -> ClassTable | None:
        return CLASSES if self.masks else None

    @property
    def attributes(self) -> tuple[str, ...]:
        return ("disc", "bar", "left") if self.named else ()

    factors = ("y", "x")

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < self.n:
            raise IndexError(index)
        rng = np.random.default_rng([self.seed, index])
        height, width = self.size
        y, x = np.mgrid[:height, :width]
        cy, cx, disc = rng.integers(4, height - 4), rng.integers(4, width - 4), rng.integers(2)
        labels = np.where((y - cy) ** 2 + (x - cx) ** 2 < 14, 1, 0) if disc else np.where(abs(y - cy) < 2, 2, 0)
        image = np.stack([200 * (labels == 1), np.full(labels.shape, 60), 200 * (labels == 2)], -1)
        image = (image + rng.integers(0, 30, image.shape)).astype(np.uint8)
        labels = labels.astype(np.uint8)
        labels[0, 0] = 255
        return Sample(
            image=image,
            labels=labels if self.masks else None,
            attributes=np.array([disc, 1 - disc, cx < width // 2], np.float32) if self.named else None,
            factors=np.array([cy, cx], np.float32),
            name=f"shape {index}",
        )


def splits(n: int = 13, **kinds: Any) -> Splits:
    """Of the three parts of such a set; 13 pictures leave one over in batches of 4."""
    return Splits(train=Shapes(n, 0, **kinds), validation=Shapes(6, 1, **kinds), test=Shapes(5, 2, **kinds))


def changes(kind: str, **more: Any) -> dict[str, Any]:
    """To a preset: a tiny network, batches of 4, two epochs."""
    return {"batch": 4, "epochs": 2, "loss.warmup": 3, **TINY[kind], **more}


CPU = Where(device="cpu", workers=0)


def run(kind: Any, out: str | Path, own: Splits | None = None, every: int = 2, **more: Any) -> Trained:
    """A training of such a network on such a set, half of its pictures mirrored."""
    asked = changes(kind, **{"data.flip": True, **more})
    return train(kind, "shapes", out, changes=asked, splits=own or splits(), where=CPU, every=every)
