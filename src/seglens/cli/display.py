"""Options that say what of a map a picture shows."""

import re
from enum import StrEnum
from typing import Annotated

import typer

from seglens.core.display import Display
from seglens.core.errors import ParameterError

_PANEL = "The picture"


class PartWord(StrEnum):
    """Which values are shown."""

    all = "all"
    positive = "positive"
    negative = "negative"
    absolute = "absolute"


class WithinWord(StrEnum):
    """Where the map is shown."""

    region = "region"
    prediction = "prediction"
    truth = "truth"
    both = "both"
    either = "either"


PartOption = Annotated[
    PartWord | None,
    typer.Option(
        "--part",
        metavar="WORD",
        help="What speaks for, what speaks against, or the size of both: positive, negative, absolute. By default all.",
        rich_help_panel=_PANEL,
    ),
]
WithinOption = Annotated[
    WithinWord | None,
    typer.Option(
        "--within",
        metavar="WORD",
        help="Show the map only in the region asked about, or where the class is predicted, is true, both, or either: "
        "region, prediction, truth, both, either. By default everywhere.",
        rich_help_panel=_PANEL,
    ),
]
PercentileOption = Annotated[
    float | None,
    typer.Option(
        "--percentile",
        metavar="X",
        help=f"Of |map|, where the colours end; by default {Display().percentile:g}.",
        rich_help_panel=_PANEL,
    ),
]
SharedOption = Annotated[
    bool, typer.Option("--shared", metavar="", help="One scale for all maps of a file.", rich_help_panel=_PANEL)
]


def display_of(
    part: PartWord | None, within: WithinWord | None, percentile: float | None, shared: bool, *, truth: bool
) -> Display | None:
    """The display that the options ask for; None where none was given. `truth`: whether true labels are at hand.

    Raises typer.BadParameter for a value out of bounds, or a place that needs the truth without it.
    """
    if part is None and within is None and percentile is None and not shared:
        return None
    if within is not None and within.value in ("truth", "both", "either") and not truth:
        raise typer.BadParameter("needs the true labels: give them with --truth.", param_hint="--within")
    default = Display()
    try:
        return Display(
            part=default.part if part is None else part.value,
            within=None if within is None else within.value,
            percentile=default.percentile if percentile is None else percentile,
            shared=shared,
        )
    except ParameterError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="--percentile") from wrong


def in_options(text: str) -> str:
    """What was said of a display's fields, said of the options that set them."""
    text = re.sub(r"within='(\w+)'", r"--within \1", text)
    return text.replace("`within`", "--within").replace("shared=False", "no --shared")
