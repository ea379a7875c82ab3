"""Counting and timing: every contestant on the same machine, in turns.

Seconds are of processor time: with one thread those of the clock on an idle machine, and on a busy one not those of
the neighbours.
"""

import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.agreement import Agreement, from_0_to_1
from benchmarks.cases import Case
from benchmarks.tasks import Task, Work
from seglens.core.cost import measured


@dataclass(frozen=True, slots=True)
class Row:
    """One task's result: forward passes F and median seconds by contestant, and how our maps agree with each peer's.

    extrapolated: the peers ran one class, and their figures are multiplied by the number of classes.
    """

    network: str
    task: str
    passes: dict[str, float]
    seconds: dict[str, float]
    agreement: dict[str, Agreement] = field(default_factory=dict)
    extrapolated: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain form for JSON."""
        return asdict(self)


def forward_cost(case: Case) -> tuple[int, float]:
    """Floating-point operations of one forward pass without gradients, and its seconds."""
    with torch.no_grad():
        with measured() as counted:
            case.module(case.x)
        times = [_timed(lambda: case.module(case.x)) for _ in range(5)]
    return counted.flops, median(times)


def measure(case: Case, task: Task, repetitions: int) -> Row:
    """Count once, which also warms up; then time in turns, so that all meet the same machine."""
    forward, _ = forward_cost(case)
    maps: dict[str, NDArray[np.float32]] = {}
    passes: dict[str, float] = {}
    for name, work in task.contestants().items():
        with measured() as counted:
            maps[name] = _quietly(work)
        passes[name] = counted.flops / forward * (1 if name == "seglens" else task.times)
    times: dict[str, list[float]] = {name: [] for name in maps}
    for _ in range(repetitions):
        for name, work in task.contestants().items():
            times[name].append(_timed(partial(_quietly, work)))
    return Row(
        network=case.name,
        task=task.name,
        passes=passes,
        seconds={name: median(values) * (1 if name == "seglens" else task.times) for name, values in times.items()},
        agreement=_agreement(maps) if task.times == 1 else {},
        extrapolated=task.times > 1,
    )


def _timed(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def _agreement(maps: dict[str, NDArray[np.float32]]) -> dict[str, Agreement]:
    found: dict[str, Agreement] = {}
    if "captum" in maps:
        found["captum"] = Agreement.between(maps["seglens"], maps["captum"])
    if "pytorch-grad-cam" in maps:
        found["pytorch-grad-cam"] = Agreement.between(from_0_to_1(maps["seglens"]), maps["pytorch-grad-cam"])
    return found


def _quietly(work: Work) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        # Both sides warn, of untrained networks' maps and of inputs: here only cost and agreement are asked for.
        warnings.simplefilter("ignore")
        return work()
