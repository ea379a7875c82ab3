"""seglens parts: the rightly and the wrongly labelled part of one object, side by side."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    QUESTION,
    Constructor,
    Device,
    Download,
    Image,
    InstancesFile,
    Json,
    NetworkFile,
    Quiet,
    Trust,
    class_option,
    files_option,
    layer_option,
    method_option,
    opened,
)
from seglens.cli.files import check_files
from seglens.cli.options import MethodOption, make_methods
from seglens.core.progress import watching
from seglens.run.object_parts import FORMATS, ObjectParts
from seglens.run.parts import METHOD, explain_parts
from seglens.run.questions import at_layer

PICTURE = Path("parts.png")

_CLASSES = 8  # of the contexts, that the terminal lists
_PARTS = 4  # columns that a terminal of 80 columns holds


def parts(
    network: NetworkFile,
    image: Image,
    truth: Annotated[Path, typer.Option(metavar="FILE", help="The image's true labels.", rich_help_panel=QUESTION)],
    instances: InstancesFile = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="Y,X",
            help="A pixel of the object. By default the object with the largest wrong part, of those that have a right "
            "part as well.",
            rich_help_panel=QUESTION,
        ),
    ] = None,
    label: Annotated[str | None, class_option("The object's true class, by name or number.")] = None,
    method: Annotated[str, method_option("How to explain.")] = METHOD,
    layer: Annotated[str | None, layer_option("A layer to read, see `seglens layers`.")] = None,
    least: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="PX",
            help="Leave smaller parts out; by default 0.03 % of the picture.",
            rich_help_panel=QUESTION,
        ),
    ] = None,
    out: Annotated[
        list[Path] | None,
        files_option(f"A file, its suffix being its format: {', '.join(FORMATS)}. By default {PICTURE}"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
    settings: dict[MethodOption, Any] | None = None,
) -> None:
    """Explain one object of which the network labels parts rightly and wrongly: each part for the class that it got.

    seglens parts unet.pt2 street.png --truth labels.png --class rider --out why.png
    """
    with show.reported():
        files = out or [PICTURE]
        check_files(files, FORMATS, [Path(network), image, truth, instances])
        place = _place(at)
        (chosen,) = make_methods([method], settings or {})
        chosen = chosen if layer is None else at_layer(chosen, layer)
        net = opened(network, trust, constructor, device, download=download)
        with show.Steps(1, json or quiet) as steps, watching(steps.within):
            steps.begin(image.name)
            found = explain_parts(
                net, image, truth, instances=instances, at=place, label=label, method=chosen, least=least
            )
        written = [found.save(file) for file in files]
        if json:
            show.dump({**found.to_dict(), "source": network, "files": [str(f) for f in written]})
        elif not quiet:
            _tell(found)
            _again(found, network, image, truth, instances)
            for file in written:
                show.wrote(file)


def _place(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.strip("() ").split(","))
    except ValueError as wrong:
        raise typer.BadParameter(
            f"{text!r} is no pixel: give row and column as whole numbers, such as 40,55.", param_hint="--at"
        ) from wrong


def _tell(found: ObjectParts) -> None:
    show.say(Text.assemble((f"One {found.truth}", "bold"), f" at {found.at} in {found.name}, {found.pixels:,} pixels"))
    first = found.parts[0].explanation
    show.say(f"{first.method}{f' at {first.layer}' if first.layer else ''}, {found.network}")
    show.say()
    show.out().print(_table(found))
    if (more := len(found.parts) - _PARTS) > 0:
        show.say(f"and {more} smaller part{'s' * (more > 1)}; --json lists all.")
    show.say("Shares of what speaks for the label outside the part, by true class.")
    for told in found.contrasts[: _PARTS - 1]:
        show.say(f"{told}.")
    for note in found.notes:
        show.say(note, "dim")


def _again(found: ObjectParts, network: str, image: Path, truth: Path, instances: Path | None) -> None:
    """How to go on with the largest wrong part."""
    wrong = found.wrong[0]
    ids = "" if instances is None else f" --instances {show.place(instances)}"
    show.say(f"\nMore on {wrong.label}:")
    show.say(
        f"  seglens explain {network} {show.place(image)} --truth {show.place(truth)}{ids} "
        f'--class "{wrong.label}" --region "{wrong.region}"'
    )


def _table(found: ObjectParts) -> Table:
    shown = found.parts[:_PARTS]
    drawn = show.table(("", {"overflow": "fold"}), *((p.label, {"justify": "right"}) for p in shown))
    drawn.add_row("labelled", *("right" if p.correct else "wrong" for p in shown))
    drawn.add_row("pixels", *(f"{p.pixels:,}" for p in shown))
    drawn.add_row("share of the object", *(_percent(p.share) for p in shown))
    drawn.add_row("score", *(show.number(p.explanation.score, 3) for p in shown), end_section=True)
    largest = {name: max(p.context.get(name, 0.0) for p in shown) for p in shown for name in p.context}
    listed = sorted(largest, key=lambda name: -largest[name])
    for name in listed[:_CLASSES]:
        drawn.add_row(name, *(_percent(p.context.get(name, 0.0)) for p in shown))
        if name == found.truth:
            drawn.add_row("  of it, this one", *(_percent(p.rest) for p in shown))
    return drawn


def _percent(share: float) -> str:
    return "–" if share != share else f"{share:.0%}"
