"""seglens latent: through the latent space of an autoencoder, and what its units are worth."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    Constructor,
    Device,
    Download,
    Image,
    Json,
    NetworkFile,
    Quiet,
    Trust,
    files_option,
    opened,
)
from seglens.cli.files import check_files
from seglens.cli.latent_tables import factors, statistics, sweep
from seglens.cli.units import ConditionOption
from seglens.core.progress import watching
from seglens.run.latent.asking import condition_of
from seglens.run.latent.decodings import FORMATS

if TYPE_CHECKING:
    from seglens.run.latent.decodings import Decodings

latent = typer.Typer(
    name="latent", help="Explore the latent space of an autoencoder, and measure its units.", no_args_is_help=True
)

MOVES = "What moves"


@latent.callback()
def latents() -> None:
    """Explore the latent space of an autoencoder, and measure its units."""


class On(StrEnum):
    """Which picture attention is on."""

    decoded = "decoded"
    input = "input"


class Way(StrEnum):
    """How two images are joined."""

    linear = "linear"
    spherical = "spherical"


OutFiles = Annotated[
    list[Path] | None, files_option(f"Write to a file: {', '.join(FORMATS)}; by default a .png named for the command")
]
Values = Annotated[
    str | None,
    typer.Option(
        "--values",
        metavar="LIST",
        help="Such as 0.1,0.5,0.9 or -2:2 for --steps of them; by default -3:3, in σ of the prior.",
        rich_help_panel=MOVES,
    ),
]
StepCount = Annotated[int, typer.Option("--steps", metavar="N", min=2, help="How many values.", rich_help_panel=MOVES)]
Add = Annotated[
    bool,
    typer.Option(
        "--add",
        metavar="",
        help="Add the values to the unit, as the paper does, in place of setting it to them.",
        rich_help_panel=MOVES,
    ),
]


@latent.command("traverse")
def traverse(
    network: NetworkFile,
    image: Image,
    unit: Annotated[
        list[str] | None,
        typer.Option(
            "--unit",
            "-u",
            metavar="N",
            help="A unit; several times for a row each. By default the eight that tell most of this image.",
            rich_help_panel=MOVES,
        ),
    ] = None,
    direction: Annotated[
        str | None,
        typer.Option(metavar="N=X,N=X", help="Units that move together, with weights.", rich_help_panel=MOVES),
    ] = None,
    values: Values = None,
    steps: StepCount = 7,
    add: Add = False,
    posterior: Annotated[
        bool,
        typer.Option(
            "--posterior", metavar="", help="Values in σ of the image's own posterior.", rich_help_panel=MOVES
        ),
    ] = False,
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", help="For attention at each step, or none.")
    ] = "grad-cam",
    on: Annotated[
        On | None,
        typer.Option(metavar="WORD", help="Attention on each step's decoded picture, encoded again, or on the input."),
    ] = None,
    condition: ConditionOption = None,
    out: OutFiles = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Move latent units of an image along values: what is decoded at each step, and where the unit is seen.

    seglens latent traverse vae.safetensors face.png --unit 3 --out unit3.gif
    """
    with show.reported():
        from seglens.run.latent.explore import traverse as run

        check_files(out or (), FORMATS, [Path(network), image])
        if unit and direction:
            raise typer.BadParameter("--unit moves units one by one, --direction together: give one of them.")
        units: Any = _pairs(direction) if direction else None if not unit else [_whole(u, "--unit") for u in unit]
        given = _values(values, steps)
        net = opened(network, trust, constructor, device, download=download)
        with show.Steps(None, json or quiet) as bar, watching(bar.within):
            found = run(
                net,
                image,
                units,
                given,
                "add" if add else "set",
                sigma="posterior" if posterior else "prior",
                steps=steps,
                attention=None if method == "none" else method,
                on=None if on is None else on.value,
                condition=condition_of(net, condition or []),
            )
        _report(found, network, out or [Path("traversal.png")], json, quiet)


@latent.command("grid")
def grid(
    network: NetworkFile,
    image: Image,
    across: Annotated[int, typer.Option("--across", metavar="N", help="The unit across.", rich_help_panel=MOVES)],
    down: Annotated[int, typer.Option("--down", metavar="N", help="The unit down.", rich_help_panel=MOVES)],
    values: Values = None,
    steps: StepCount = 7,
    add: Add = False,
    condition: ConditionOption = None,
    out: OutFiles = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Move two latent units of an image on two axes.

    seglens latent grid vae.safetensors face.png --across 3 --down 7
    """
    with show.reported():
        from seglens.run.latent.explore import grid as run

        check_files(out or (), FORMATS, [Path(network), image])
        given = _values(values, steps)
        net = opened(network, trust, constructor, device, download=download)
        mode = "add" if add else "set"
        found = run(
            net, image, (across, down), given, None, mode, steps=steps, condition=condition_of(net, condition or [])
        )
        _report(found, network, out or [Path("grid.png")], json, quiet)


@latent.command("interpolate")
def interpolate(
    network: NetworkFile,
    first: Annotated[Path, typer.Argument(metavar="FIRST", help="An image file.")],
    second: Annotated[Path, typer.Argument(metavar="SECOND", help="Another one.")],
    steps: Annotated[int, typer.Option(metavar="N", min=2, help="Pictures, both ends with them.")] = 9,
    path: Annotated[Way, typer.Option(metavar="WORD", help="linear or spherical.")] = Way.linear,
    condition: ConditionOption = None,
    to: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="NAME=VALUE", help="An entry of the second image's condition, likewise."),
    ] = None,
    out: OutFiles = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Show the pictures on the way from one image to another.

    seglens latent interpolate vae.safetensors ada.png bob.png --path spherical --out way.gif
    """
    with show.reported():
        from seglens.run.latent.generate import interpolate as run

        check_files(out or (), FORMATS, [Path(network), first, second])
        net = opened(network, trust, constructor, device, download=download)
        found = run(
            net,
            first,
            second,
            steps,
            path.value,
            condition=condition_of(net, condition or []),
            to=condition_of(net, to or []),
        )
        _report(found, network, out or [Path("interpolation.png")], json, quiet)


@latent.command("sample")
def sample(
    network: NetworkFile,
    n: Annotated[int, typer.Option("--number", "-n", metavar="N", min=1, help="How many pictures.")] = 16,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Of the draws.")] = 0,
    temperature: Annotated[
        float, typer.Option(metavar="X", help="1 is the prior; the smaller, the nearer to the average.")
    ] = 1.0,
    condition: ConditionOption = None,
    out: OutFiles = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Decode draws from the prior.

    seglens latent sample cvae.safetensors --number 12 --condition smiling=1 --condition beard=0
    """
    with show.reported():
        from seglens.run.latent.generate import sample as run

        check_files(out or (), FORMATS, [Path(network)])
        net = opened(network, trust, constructor, device, download=download)
        found = run(net, n, seed, temperature, condition_of(net, condition or []))
        _report(found, network, out or [Path("samples.png")], json, quiet)


@latent.command("edit")
def edit(
    network: NetworkFile,
    image: Image,
    change: Annotated[
        list[str],
        typer.Option(
            "--set",
            "-s",
            metavar="NAME=VALUES",
            help="An attribute and the values that it is to have: smiling=0,0.5,1. Several times for a row each.",
        ),
    ],
    condition: ConditionOption = None,
    together: Annotated[
        bool, typer.Option("--together", metavar="", help="All changes at once, each with one value.")
    ] = False,
    out: OutFiles = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Decode an image with other attributes than its own, which --condition says.

    seglens latent edit cvae.safetensors ada.png --condition smiling=0 --condition beard=0 --set smiling=0.5,1
    """
    with show.reported():
        from seglens.run.latent.generate import edit as run

        check_files(out or (), FORMATS, [Path(network), image])
        changes = dict(_change(text) for text in change)
        net = opened(network, trust, constructor, device, download=download)
        found = run(net, image, changes, condition=condition_of(net, condition or []), together=together)
        _report(found, network, out or [Path("edit.png")], json, quiet)


latent.command("statistics")(statistics)
latent.command("factors")(factors)
latent.command("sweep")(sweep)


def _report(found: "Decodings", source: str, out: Sequence[Path], json: bool, quiet: bool) -> None:
    """What came of it, on the terminal and to files."""
    with show.busy("drawing"):
        written = [found.save(path) for path in out]
    if json:
        show.dump({**found.to_dict(), "source": source, "files": [str(path) for path in written]})
        return
    if quiet:
        return
    rows, columns = found.size
    show.say(Text.assemble((found.title, "bold"), f" · {', '.join(found.facts())}"))
    for name, note in zip(found.rows, found.row_notes, strict=True):
        if note:
            show.say(f"  {name}: {note}")
    show.say(f"  {rows} × {columns} pictures" + (f", across: {found.across}" if found.across else ""))
    for note in found.notes:
        show.say(f"  {note}")
    for path in written:
        show.wrote(path)


def _values(text: str | None, steps: int) -> list[float] | None:
    """A list of numbers, or two ends with a colon between. Raises typer.BadParameter."""
    if text is None:
        return None
    try:
        if ":" in text:
            low, high = (float(part) for part in text.split(":"))
            return [low + (high - low) * i / (steps - 1) for i in range(steps)]
        return [float(part) for part in text.split(",")]
    except ValueError as wrong:
        raise typer.BadParameter(
            f"{text!r} is neither a list such as 0.1,0.5,0.9 nor a range such as -3:3.", param_hint="--values"
        ) from wrong


def _pairs(text: str) -> dict[int, float]:
    """Units with weights."""
    found: dict[int, float] = {}
    for part in text.split(","):
        unit, _, weight = part.partition("=")
        try:
            found[_whole(unit, "--direction")] = float(weight or 1)
        except ValueError as wrong:
            raise typer.BadParameter(
                f"{part!r} is no unit with a weight, such as 3=0.5.", param_hint="--direction"
            ) from wrong
    return found


def _whole(text: str, option: str) -> int:
    try:
        return int(text)
    except ValueError as wrong:
        raise typer.BadParameter(f"{text!r} is no number of a unit.", param_hint=option) from wrong


def _change(text: str) -> tuple[str, list[float]]:
    name, equals, values = text.partition("=")
    try:
        if not equals or not name.strip():
            raise ValueError
        return name.strip(), [float(v) for v in values.split(",")]
    except ValueError as wrong:
        raise typer.BadParameter(
            f"{text!r}: an attribute with values, such as smiling=0,0.5,1.", param_hint="--set"
        ) from wrong
