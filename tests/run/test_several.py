"""Several images and methods in one go: what was done before an interruption is handed over."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seglens as sl
from seglens.core.method import METHODS
from seglens.run.several import Given, Outcome, Question, explain_all


@pytest.fixture
def given(tmp_path: Path) -> list[Given]:
    rng = np.random.default_rng(3)
    files = [tmp_path / name for name in ("a.png", "b.png", "c.png")]
    for file in files:
        Image.fromarray(rng.integers(0, 255, (8, 12, 3), np.uint8)).save(file)
    return [Given(file) for file in files]


def test_an_interruption_comes_after_what_was_done(given: list[Given], monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net = sl.load(nn.Conv2d(3, 2, 3, padding=1), classes=("road", "car"), convention=sl.Convention())
    saliency = METHODS["saliency"]
    usual: Callable[..., object] = saliency.__call__
    calls: list[int] = []

    def second_interrupts(*asked: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return usual(*asked)

    monkeypatch.setattr(saliency, "__call__", second_interrupts)
    found: list[Outcome] = []
    with pytest.raises(KeyboardInterrupt):
        found.extend(explain_all(net, given, [METHODS["input-x-gradient"](), saliency()], [Question("car")]))
    # list.extend keeps what came before the exception.
    assert [o.given.image.name for o in found] == ["a.png", "b.png"]
    assert [[e.method for e in o.explanations] for o in found] == [
        ["input-x-gradient", "saliency"],
        ["input-x-gradient"],
    ]
    assert [o.whole for o in found] == [True, False]
    assert not any(o.failures for o in found)
