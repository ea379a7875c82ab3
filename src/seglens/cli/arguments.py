"""Arguments that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seglens.cli import show
from seglens.core.network import Network
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
