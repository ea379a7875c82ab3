"""Fit what reads factors off pictures of faces: python recipes/faces_readout.py [OUT]

Renders 6,000 faces of 64 × 64 pixels (about a minute and a half), softens them by different amounts, as decoders do,
and writes src/seglens/datasets/faces-readout.npz.
"""

import sys
from pathlib import Path

import numpy as np

from seglens.datasets._faces_measure import MEASURED, ReadOut
from seglens.datasets.faces import FACTORS, Faces

COUNT, SEED = 6000, 100_003  # a seed that no split of a small seed has
OUT = Path(__file__).parents[1] / "src/seglens/datasets/faces-readout.npz"


def softened(images: np.ndarray, times: int) -> np.ndarray:
    """The picture averaged with its neighbours, 1 2 1 along rows and columns, so many times."""
    for _ in range(times):
        for axis in (1, 2):
            images = (2 * images + np.roll(images, 1, axis) + np.roll(images, -1, axis)) / 4
    return images


def main(out: Path) -> None:
    """Render, fit, write."""
    faces = Faces(COUNT, (64, 64), SEED)
    samples = [faces[index] for index in range(COUNT)]
    images = np.stack([sample.image for sample in samples]).astype(np.float32) / 255
    columns = [FACTORS.index(name) for name in MEASURED]
    factors = np.stack([sample.factors[columns] for sample in samples])
    images = np.concatenate([softened(images[times::3], times) for times in range(3)])
    factors = np.concatenate([factors[times::3] for times in range(3)])
    read = ReadOut.fit(images, factors)
    np.savez_compressed(out, face=read.face.astype(np.float16), mouth=read.mouth.astype(np.float16))
    print(f"{out}: {out.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else OUT)
