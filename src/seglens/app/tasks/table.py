"""Which function does which task."""

from collections.abc import Callable, Mapping
from typing import Any

from seglens.app.tasks import explaining, opening, seeing
from seglens.app.tasks.outcome import Outcome, Steps
from seglens.app.tasks.work import Work

Task = Callable[[Work, Mapping[str, Any]], Outcome | Steps | None]

TASKS: dict[str, Task] = {
    "open": opening.open_network,
    "describe": opening.describe,
    "receive": opening.receive,
    "segment": seeing.segmented,
    "layer": seeing.layer,
    "graph": seeing.graph,
    "mistakes": seeing.mistakes,
    "explain": explaining.explain,
    "shipped": seeing.shipped,
}
