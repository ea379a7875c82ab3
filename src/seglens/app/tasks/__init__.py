"""What the worker processes do, one file for each group of tasks; and here, without torch, which lane each takes."""

from collections.abc import Mapping
from typing import Any, Literal

Lane = Literal["quick", "long"]
LANES: tuple[Lane, ...] = ("quick", "long")
"""Each has a process of its own, so that what takes long keeps nothing else waiting."""

FAST = frozenset(
    {
        "activation",
        "fusion-map",
        "grad-cam",
        "grad-cam-plus-plus",
        "guided-backprop",
        "guided-grad-cam",
        "gssm",
        "hires-cam",
        "input-x-gradient",
        "layer-cam",
        "saliency",
        "score-map",
        "similarity-map",
        "ssm",
    }
)
"""Methods of a pass or two, whose map may follow the pointer."""

_LONG = frozenset({"verify", "evaluate", "units", "report"})

UNKEPT = frozenset({"describe"})
"""Tasks that do something, and are done again each time."""


UNITS = 256
"""Pictures over which latent units are measured, at most."""


def lane_of(task: str, args: Mapping[str, Any]) -> Lane:
    """Where a task is worked on."""
    if task == "explain":
        return "quick" if args.get("method") in FAST else "long"
    return "long" if task in _LONG else "quick"
