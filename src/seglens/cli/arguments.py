"""Arguments that several commands share, and the options that each explains in its own words."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from seglens.cli import show
from seglens.core.labels import read_mask
from seglens.core.method import METHODS
from seglens.core.network import Network
from seglens.core.region_text import parse_region
from seglens.core.regions import mask
from seglens.core.view import Region
from seglens.run.opening import open_for
from seglens.run.results import formats

QUESTION, RESULT = "The question", "The result"


def class_option(help: str, panel: str | None = QUESTION) -> Any:
    """--class, whose meaning each command says for itself."""
    return typer.Option("--class", "-c", metavar="NAME", help=help, rich_help_panel=panel)


def method_option(help: str) -> Any:
    """--method, with the names of all methods behind what the command says of it."""
    return typer.Option(
        "--method", "-m", metavar="NAME", help=f"{help} All of them: {', '.join(METHODS)}.", rich_help_panel=QUESTION
    )


def layer_option(help: str) -> Any:
    """--layer, likewise."""
    return typer.Option("--layer", "-l", metavar="PATH", help=help, rich_help_panel=QUESTION)


def files_option(help: str) -> Any:
    """--out of commands that write one file or several, each of a form that its suffix tells."""
    return typer.Option("--out", "-o", metavar="FILE", help=f"{help}; several times for several.")


def folder_option(help: str) -> Any:
    """--out of commands that fill a folder, or write files."""
    return typer.Option(
        "--out", "-o", metavar="FOLDER|FILE", help=f"{help}; several times for several files.", rich_help_panel=RESULT
    )


# An empty metavar keeps the word <bool> out of the help of flags.
NetworkFile = Annotated[
    str,
    typer.Argument(metavar="NETWORK", help="A network's file or folder, a built-in name, or a zoo's: timm:resnet18."),
]
Image = Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")]
Images = Annotated[list[str], typer.Argument(metavar="IMAGES", help="Image files, folders or globs.")]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="Such as cpu or cuda:0.")]
Trust = Annotated[bool, typer.Option("--trust", metavar="", help="Let code inside the network's file run.")]
Download = Annotated[
    bool,
    typer.Option("--download", metavar="", help="Let a model zoo fetch the weights of the model that NETWORK names."),
]
Constructor = Annotated[
    str | None,
    typer.Option(
        "--constructor",
        metavar="PKG.MOD:CLASS",
        help="What builds the module of a file of mere weights; also smp:Unet.",
    ),
]
TilesOption = Annotated[
    int | None,
    typer.Option("--tiles", metavar="N", help="Run the network on tiles of N × N pixels, for large pictures."),
]
OverlapOption = Annotated[
    int | None,
    typer.Option(
        "--overlap", metavar="N", help="Pixels by which tiles overlap; by default what the network sees, or a quarter."
    ),
]
Json = Annotated[bool, typer.Option("--json", metavar="", help="JSON on standard output, and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar="", help="Say only what went wrong.")]

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
PAIRED = "True labels; those of a folder are paired with the images by stem."
FormatList = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="LIST",
        help=f"Formats for a folder, joined by commas: {', '.join(formats())}. By default png.",
        rich_help_panel=RESULT,
        show_default=False,
    ),
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


OfWord = Annotated[
    Of | None,
    typer.Option(
        "--of",
        metavar="WORD",
        help=f"What is explained: {', '.join(Of)}. By default what the method's paper takes.",
        rich_help_panel=QUESTION,
    ),
]
ReduceWord = Annotated[
    Reduce,
    typer.Option(
        "--reduce",
        metavar="WORD",
        help="Over the region: mean, or sum as in the papers.",
        rich_help_panel=QUESTION,
    ),
]


class Precision(StrEnum):
    """Types for autocast."""

    float16 = "float16"
    bfloat16 = "bfloat16"


def opened(
    network: str,
    trust: bool,
    constructor: str | None,
    device: str | None,
    tiles: int | None = None,
    overlap: int | None = None,
    *,
    download: bool = False,
) -> Network:
    """The network that the arguments name, in tiles where they say so, with a spinner while it loads."""
    if overlap is not None and tiles is None:
        raise typer.BadParameter("it says by how much tiles overlap: give --tiles too.", param_hint="--overlap")
    with show.busy(f"opening {network}"):
        return open_for(
            network,
            trust=trust,
            constructor=constructor,
            device=device,
            tiles=tiles,
            overlap=overlap,
            download=download,
        )


def region_of(text: str | None, file: Path | None) -> Region | None:
    """The region that is asked about: in words, in a mask's file, or what lies in both."""
    inside = mask(read_mask(file), file.name) if file is not None else None
    asked = parse_region(text, read_mask) if text is not None else None
    if inside is None or asked is None:
        return inside or asked
    return asked & inside


def region_words(text: str | None, file: Path | None) -> str:
    """The same for the names of files; '' where nothing was said."""
    return " & ".join(([text] if text else []) + ([file.stem] if file else []))
