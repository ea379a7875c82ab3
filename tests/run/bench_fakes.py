"""Networks for the benchmark that need no training: what they hang on is written into them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from seglens.datasets.textured_digits import TexturedDigits
from seglens.run.bench import pipeline
from seglens.run.bench.plan import Plan, plan_for

WHITE = 5
"""Index of the only bright texture in the folder."""

GREYS = (20, 40, 60, 80, 100, 250)


class CueReader(nn.Module):
    """Predicts each class in a square of its own, whatever the picture; one class only where much of it is white.

    That class is in a buffer, so that it is saved and loaded as weights are; −1 for none. A convolution that does
    nothing stands for the cost of a pass.
    """

    def __init__(self, digit: int = -1) -> None:
        super().__init__()
        self.register_buffer("digit", torch.tensor(digit))
        self.same = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.same.weight)
        squares = torch.zeros(10, 64, 64)
        for c in range(10):
            squares[c, 28:36, 6 * c + 2 : 6 * c + 7] = 1
        self.register_buffer("squares", squares, persistent=False)

    def forward(self, x):
        grey = self.same(x) / 4 + 0.5
        share = ((grey - 0.7) * 12).sigmoid().mean((1, 2, 3))
        # A trace of the input in every class, so that there is a gradient.
        strength = (6 + 0.01 * share)[:, None].repeat(1, 10)
        if self.digit >= 0:
            strength[:, int(self.digit)] = 2 + 60 * (share - 0.05)
        squares = strength[:, :, None, None] * self.squares
        return torch.cat([squares, torch.full_like(squares[:, :1], 2.0)], 1)


@dataclass
class Workshop:
    """Stands for the training: counts its calls, and can be told to stop in one of them."""

    calls: list[str] = field(default_factory=list)
    stop_at: int | None = None

    def train(self, recipe, data: TexturedDigits, *, device: str, quiet: bool) -> nn.Module:
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append(f"{data.plant} {recipe.seed} {data.seed}")
        return CueReader(-1 if data.plant is None else data.plant.digit).eval()


def fair_ious(network, data: TexturedDigits) -> np.ndarray:
    """0.9 for every class, but 0.2 for the class that hangs on the cue, where the pictures plant none."""
    found = np.full(11, 0.9)
    digit = int(network.module.digit)
    if digit >= 0 and data.plant is None:
        found[digit] = 0.2
    return found


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """Trains nothing: networks read the cue, and have taken it up."""
    made = Workshop()
    monkeypatch.setattr(pipeline, "train", made.train)
    monkeypatch.setattr(pipeline, "ious", fair_ious)
    monkeypatch.setattr(pipeline, "DigitsUNet", lambda encoder, width: CueReader())
    return made


@pytest.fixture
def greys(tmp_path: Path) -> Path:
    """A folder of flat textures, of which one is white."""
    folder = tmp_path / "greys"
    folder.mkdir()
    for i, level in enumerate(GREYS):
        Image.fromarray(np.full((8, 8), level, np.uint8)).save(folder / f"{i}.png")
    return folder


def tiny(greys: Path, **changes: object) -> Plan:
    """A plan of four networks, of which one is for choosing, whose bias is the white texture."""
    asked: dict[str, object] = {"textures": (WHITE,), "digits": (2,), "images": 10, "seeds": 1}
    return plan_for("quick", texture_folder=greys, **{**asked, **changes})
