"""seglens activations: what the channels of a layer show, and what they contribute to a class."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    QUESTION,
    RESULT,
    Against,
    Constructor,
    Device,
    Download,
    FormatList,
    Image,
    InstancesFile,
    Json,
    MaskFile,
    NetworkFile,
    Of,
    Reduce,
    ReduceWord,
    RegionText,
    Trust,
    TruthFile,
    class_option,
    folder_option,
    layer_option,
    opened,
    region_of,
    region_words,
)
from seglens.cli.files import FOLDER, Places, places_of
from seglens.core.progress import watching
from seglens.run.activations import activations as run
from seglens.run.channels import ORDERS, Activations
from seglens.run.results import slug
from seglens.run.several import Question

STRONGEST = 16
"""Channels that are shown of a class where nobody says how many."""

_ROWS = 20  # of the table; the rest are counted
_BAR = 12  # characters of the longest bar


def activations(
    network: NetworkFile,
    image: Image,
    layer: Annotated[
        str | None, layer_option("The layer, see `seglens layers`; by default the end of the encoder.")
    ] = None,
    label: Annotated[
        str | None, class_option("Rank the channels by what they contribute to this class, by name or number.")
    ] = None,
    region: RegionText = None,
    mask_file: MaskFile = None,
    against: Against = None,
    truth: TruthFile = None,
    instances: InstancesFile = None,
    of: Annotated[
        Of,
        typer.Option(metavar="WORD", help=f"What is read of the output: {', '.join(Of)}.", rich_help_panel=QUESTION),
    ] = Of.logits,
    reduce: ReduceWord = Reduce.mean,
    channel: Annotated[
        list[int] | None,
        typer.Option(
            "--channel", "-k", metavar="N", help="A channel; several times for several.", rich_help_panel=RESULT
        ),
    ] = None,
    strongest: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help=f"The first N by --order. By default {STRONGEST} of a class, and all without one.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", metavar="", help="All channels.", rich_help_panel=RESULT)] = False,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="WORD",
            help=f"{', '.join(ORDERS)}: by contribution to the class, by mean absolute activation, as numbered.",
            rich_help_panel=RESULT,
        ),
    ] = None,
    shared: Annotated[
        bool,
        typer.Option("--shared", metavar="", help="One scale of colours for all channels.", rich_help_panel=RESULT),
    ] = False,
    out: Annotated[
        list[Path] | None,
        folder_option(
            f"A folder gets IMAGE.CLASS.activations.LAYER; a file tells its format by its suffix. By default {FOLDER}"
        ),
    ] = None,
    format: FormatList = None,
    json: Json = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Show what the channels of a layer respond to, ranked by what they contribute to a class.

    seglens activations unet.pt2 street.png --layer encoder.block4 --class rider --strongest 9
    """
    with show.reported():
        if sum((bool(channel), strongest is not None, every)) > 1:
            raise typer.BadParameter("give --channel, --strongest or --all, not several.", param_hint="--all")
        if order is not None and order not in ORDERS:
            raise typer.BadParameter(f"{order!r} is none of {', '.join(ORDERS)}.", param_hint="--order")
        where = region_of(region, mask_file)
        if label is None and (where is not None or against is not None):
            raise typer.BadParameter(
                "a region and a second class belong to a question: name the class.", param_hint="-c"
            )
        places = places_of(out or [FOLDER], format, [image, Path(network), truth, instances, mask_file])
        target = None if label is None else Question(label, against, where, of.value, reduce.value).target(label)
        if label is not None and not channel and not every and order != "index":
            strongest = strongest or STRONGEST
        net = opened(network, trust, constructor, device, download=download)
        with show.Steps(None, json) as steps, watching(steps.within):
            steps.begin(image.name)
            found = run(
                net,
                image,
                layer,
                target,
                channels=channel or None,
                strongest=strongest,
                order=order,  # pyright: ignore[reportArgumentType]
                truth=truth,
                instances=instances,
            )
            targets = _files(places, image, found, region_words(region, mask_file))
            # A target may become several files: one for each channel.
            before = {p for target in targets for p in target.parent.glob("*")}
            written = [file for path in targets for file in found.save(path, shared=shared)]
        if json:
            show.dump(_plain(found, network, image, written))
            return
        _tell(found, image)
        for file in written:
            show.wrote(file, file in before)


def _files(places: Places, image: Path, found: Activations, region: str) -> list[Path]:
    if places.folder is None:
        return list(places.files)
    parts = [image.stem, *([slug(found.channel)] if found.channel else []), *([f"in-{slug(region)}"] if region else [])]
    base = ".".join([*parts, "activations", slug(found.layer)])
    return [places.folder / f"{base}.{suffix}" for suffix in places.suffixes]


def _tell(found: Activations, image: Path) -> None:
    weighed = found.contributions is not None
    show.say(Text.assemble((found.layer, "bold"), f" of {found.network} on ", (image.name, "bold")))
    if weighed:
        show.say(f"{found.target}, score {show.number(found.score)} ({found.of})")
    drawn = show.table(("channel", show.RIGHT))
    if weighed:
        drawn.add_column("rank", **show.RIGHT)
        drawn.add_column("contribution", no_wrap=True)
    for title in ("mean", "greatest"):
        drawn.add_column(title, **show.RIGHT)
    heaviest = 0.0 if found.contributions is None else float(abs(found.contributions).max()) or 1.0
    for c in found.channels[:_ROWS]:
        cells: list[str | Text] = [str(c.index)]
        if weighed:
            bar = "━" * round(abs(c.contribution) / heaviest * _BAR)
            shade = "dark_orange3" if c.contribution > 0 else "blue"
            cells += [str(c.rank), Text.assemble(f"{c.contribution:+10.3g} ", (bar, shade))]
        zero = ["–", "zero"] if c.silent else [show.number(c.mean), show.number(c.maximum)]
        drawn.add_row(*cells, *zero)
    show.out().print(drawn)
    if len(found) > _ROWS:
        show.say(f"and {len(found) - _ROWS} more", "dim")
    said = f"{len(found)} of {found.total} channels"
    if found.silent:
        said += f"; {found.silent} of {found.total} zero on this image"
    show.say(f"{said}.")
    if found.contributions is not None:
        show.say(f"Contributions in {found.unit}; all of them sum to {show.number(float(found.contributions.sum()))}.")


def _plain(found: Activations, source: str, image: Path, written: Sequence[Path]) -> dict[str, Any]:
    return {
        "network": found.network,
        "source": source,
        "image": str(image),
        "layer": found.layer,
        "grid": list(found.maps.shape[1:]),
        "total": found.total,
        "silent": found.silent,
        "order": found.order,
        "target": found.target or None,
        "score": found.score,
        "of": found.of,
        "unit": found.unit,
        "sum_of_contributions": None if found.contributions is None else float(found.contributions.sum()),
        "channels": [asdict(c) for c in found.channels],
        "notes": list(found.notes),
        "files": [str(file) for file in written],
    }
