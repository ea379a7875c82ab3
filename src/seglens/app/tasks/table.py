"""Which function does which task."""

from collections.abc import Callable, Mapping
from typing import Any

from seglens.app.tasks import evaluating, explaining, latents, opening, reporting, seeing, verifying
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
    "verify": verifying.verify,
    "evaluate": evaluating.evaluate,
    "encode": latents.encode,
    "decode": latents.decode,
    "attend": latents.attend,
    "between": latents.between,
    "units": latents.units,
    "report": reporting.report,
    "shipped": seeing.shipped,
    "labels": seeing.labels,
}
"""By name; 'shipped' and 'labels' are the server's own."""
