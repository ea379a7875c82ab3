"""Arguments that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seglens.cli import show
from seglens.core.labels import read_mask
from seglens.core.network import Network
from seglens.core.region_text import parse_region
from seglens.core.regions import mask
from seglens.core.view import Region
from seglens.run.opening import open_for

NetworkFile = Annotated[
    str, typer.Argument(metavar="NETWORK", help="A network's file (.pt2, .pt, .safetensors, …), or a built-in name.")
]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="Such as cpu or cuda:0.")]
Trust = Annotated[bool, typer.Option("--trust", help="Let code inside the network's file run.")]
Constructor = Annotated[
    str | None,
    typer.Option("--constructor", metavar="PKG.MOD:CLASS", help="What builds the module of a file of mere weights."),
]
Json = Annotated[bool, typer.Option("--json", help="JSON on standard output, and nothing else there.")]
Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")]

QUESTION, RESULT = "The question", "The result"
RegionText = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="TEXT",
        help="Where to ask: pixel(y, x), box(top, left, bottom, right), predicted(car), truth(car), "
        "instance(car, largest=1), …, joined by &, | and ~. By default where the class is predicted.",
        rich_help_panel=QUESTION,
    ),
]
MaskFile = Annotated[
    Path | None,
    typer.Option(
        "--mask", metavar="FILE", help="A mask as region, with --region its part inside.", rich_help_panel=QUESTION
    ),
]
Against = Annotated[
    str | None,
    typer.Option("--against", metavar="NAME", help="Why the class and not this one.", rich_help_panel=QUESTION),
]
TruthFile = Annotated[
    Path | None, typer.Option("--truth", metavar="FILE", help="True labels of the image.", rich_help_panel=QUESTION)
]
InstancesFile = Annotated[
    Path | None,
    typer.Option("--instances", metavar="FILE", help="True instance ids, likewise.", rich_help_panel=QUESTION),
]


class Of(StrEnum):
    """What is read of the output."""

    logits = "logits"
    probabilities = "probabilities"
    log_probabilities = "log-probabilities"


class Reduce(StrEnum):
    """How a region becomes one number."""

    mean = "mean"
    sum = "sum"


class Precision(StrEnum):
    """Types for autocast."""

    float16 = "float16"
    bfloat16 = "bfloat16"


def opened(network: str, trust: bool, constructor: str | None, device: str | None) -> Network:
    """The network that the arguments name, with a spinner while it loads."""
    with show.busy(f"opening {network}"):
        return open_for(network, trust=trust, constructor=constructor, device=device)


def region_of(text: str | None, file: Path | None) -> Region | None:
    """The region that is asked about: in words, in a mask's file, or what lies in both."""
    inside = mask(read_mask(file), file.name) if file is not None else None
    asked = parse_region(text, read_mask) if text is not None else None
    if inside is None or asked is None:
        return inside or asked
    return asked & inside
