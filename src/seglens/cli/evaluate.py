"""seglens evaluate and errors: how good the network is against true labels, and where it is wrong."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    PAIRED,
    Constructor,
    Device,
    Download,
    Image,
    Images,
    Json,
    NetworkFile,
    OverlapOption,
    TilesOption,
    Trust,
    class_option,
    files_option,
    opened,
)
from seglens.cli.files import check_files, image_files
from seglens.core.network import Network
from seglens.run.describe import colours_of
from seglens.run.error_map import FORMATS as ERROR_FORMATS
from seglens.run.error_map import ConfusedRegion, ErrorMap
from seglens.run.evaluate import evaluate as run
from seglens.run.evaluation import FORMATS, By, ClassScores, Evaluation
from seglens.run.mistakes import find_errors

_MISTAKES = 5  # most frequent ones that are listed
_REGIONS = 12  # confused regions that are listed; the rest are counted


class Normalise(StrEnum):
    """What shares of the confusion matrix are of."""

    truth = "truth"
    prediction = "prediction"


def _ignore(text: str) -> int | None:
    if text.strip().lower() == "none":
        return None
    try:
        return int(text)
    except ValueError as wrong:
        raise typer.BadParameter(f"{text!r} is neither a label's number nor 'none'.", param_hint="--ignore") from wrong


Ignore = Annotated[str, typer.Option(metavar="N|none", help="The label that counts nowhere; 'none' for none.")]


def evaluate(
    network: NetworkFile,
    images: Images,
    truth: Annotated[Path, typer.Option(metavar="FILE|FOLDER", help=PAIRED)],
    ignore: Ignore = "255",
    tolerance: Annotated[
        float | None,
        typer.Option(min=0, metavar="PX", help="Of boundary F; by default 0.75 % of each picture's diagonal."),
    ] = None,
    normalise: Annotated[
        Normalise | None,
        typer.Option(help="Cells of the matrix as shares of the truth or of the prediction; else pixels."),
    ] = None,
    out: Annotated[list[Path] | None, files_option(f"Write to a file: {', '.join(FORMATS)}")] = None,
    json: Json = False,
    device: Device = None,
    tiles: TilesOption = None,
    overlap: OverlapOption = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Measure a segmentation network against true labels: IoU, Dice, boundary F, and what is taken for what.

    seglens evaluate unet.pt2 images/ --truth labels/ --normalise truth --out confusion.png
    """
    with show.reported():
        label = _ignore(ignore)
        files = image_files(images)
        check_files(out or (), FORMATS, [*files, truth, Path(network)])
        net = opened(network, trust, constructor, device, tiles, overlap, download=download)
        with show.Steps(len(files), json) as steps:
            found = run(net, files, truth, ignore=label, tolerance=tolerance, step=steps.begin)
        by: By | None = None if normalise is None else normalise.value
        for path in out or ():
            found.save(path, by)
        if json:
            show.dump({**found.to_dict(), "files": [str(p) for p in out or ()]})
        else:
            _tell(found, net, by)
            for path in out or ():
                show.wrote(path)
        for failure in found.failures:
            show.failure(failure.image, str(failure.error))
        if found.failures:
            raise typer.Exit(1)


def errors(
    network: NetworkFile,
    image: Image,
    truth: Annotated[Path, typer.Option(metavar="FILE", help="The image's true labels.")],
    label: Annotated[str | None, class_option("Errors of this class only, by name or number.", panel=None)] = None,
    least: Annotated[int, typer.Option(min=1, metavar="PX", help="List confused regions from this area on.")] = 1,
    ignore: Ignore = "255",
    out: Annotated[list[Path] | None, files_option(f"Write to a file: {', '.join(ERROR_FORMATS)}")] = None,
    json: Json = False,
    device: Device = None,
    tiles: TilesOption = None,
    overlap: OverlapOption = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Find where a network is wrong: confused regions by area, each with the text that `explain --region` takes.

    seglens errors unet.pt2 street.png --truth labels.png --class rider --out errors.png
    """
    with show.reported():
        number = _ignore(ignore)
        check_files(out or (), ERROR_FORMATS, [image, truth, Path(network)])
        net = opened(network, trust, constructor, device, tiles, overlap, download=download)
        with show.busy("running the network once"):
            found = find_errors(net, image, truth, least=least, ignore=number)
        told = found.to_dict(label)
        for path in out or ():
            found.save(path, label)
        if json:
            show.dump({**told, "files": [str(p) for p in out or ()]})
            return
        _tell_errors(found, label, network, image, truth)
        for path in out or ():
            show.wrote(path)


def _tell(found: Evaluation, network: Network, normalise: By | None) -> None:
    many = len(found.images)
    ignored = f", {found.ignored:,} ignored" if found.ignored else ""
    show.say(
        Text.assemble((found.network, "bold"), f" on {many} image{'s' * (many != 1)}: {found.tallies.pixels:,} pixels")
        + Text(ignored)
    )
    show.out().print(_classes(found.per_class, colours_of(found.classes.names, network)))
    show.say()
    for name, value in found.overall.items():
        plain = name.replace("_", " ").replace("iou", "IoU").replace("dice", "Dice").replace("boundary f", "boundary F")
        show.say(f"  {plain:<24}{'–' if value != value else f'{value:.3f}'}")
    if found.absent:
        show.say(f"Neither in the truth nor predicted, and in no mean: {', '.join(found.absent)}.")
    if found.confusion is None:
        show.say("Labels are independent, so a pixel may have several: there is no confusion matrix.", "dim")
        return
    shares = None if normalise is None else found.confusion.normalised(normalise)
    names = found.classes.names
    listed = found.confusion.largest(_MISTAKES)
    if listed:
        show.say("\nMost frequent mistakes, truth → prediction:")
    for a, b, pixels in listed:
        of = "" if shares is None else f", {shares[a, b]:.1%} of all pixels "
        whose = {None: "", "truth": f"that are {names[a]}", "prediction": f"predicted as {names[b]}"}[normalise]
        show.say(f"  {names[a]} → {names[b]}: {pixels:,} pixels{of}{whose}")


def _classes(rows: Sequence[ClassScores], colours: Sequence[tuple[int, int, int]]) -> Table:
    drawn = show.table(
        ("class", {"overflow": "fold"}), ("true pixels", show.RIGHT), ("IoU", show.RIGHT), ("Dice", show.RIGHT)
    )
    for title in ("precision", "recall", "boundary F"):
        drawn.add_column(title, **show.RIGHT)
    drawn.padding = (0, 1, 0, 0)
    for row in rows:
        scores = (row.iou, row.dice, row.precision, row.recall, row.boundary_f)
        cells = ["–" if s != s else f"{s:.3f}" for s in scores]
        drawn.add_row(show.swatch(colours[row.index]) + row.name, f"{row.pixels:,}", *cells)
    return drawn


def _tell_errors(found: ErrorMap, label: str | None, network: str, image: Path, truth: Path) -> None:
    known = int(found.known.sum())
    show.say(Text.assemble((found.network, "bold"), " on ", (found.name, "bold")))
    if label is None:
        share = f" ({found.wrong / known:.1%})" if known else ""
        show.say(f"{found.wrong:,} of {known:,} pixels are wrong{share}.")
    else:
        one = found.of(label)
        show.say(
            f"{one.name}: {one.true_positive:,} pixels right, {one.false_positive:,} taken for it, "
            f"{one.false_negative:,} missed."
        )
    chosen = found.with_class(label)
    if chosen:
        show.out().print(_regions(chosen[:_REGIONS]))
    more = len(chosen) - _REGIONS
    if more > 0:
        show.say(f"and {more} more, the largest of {chosen[_REGIONS].pixels:,} pixels; --json lists all.")
    if found.unlisted:
        show.say(f"{found.unlisted} smaller ones are not listed.", "dim")
    for note in found.notes:
        show.say(note, "dim")
    if chosen:
        worst = chosen[0]
        show.say("\nWhy the first?")
        show.say(
            f'  seglens explain {network} {show.place(image)} --truth {show.place(truth)} --class "{worst.predicted}" '
            f'--against "{worst.truth}" --region "{worst.region}"'
        )


def _regions(confusions: Sequence[ConfusedRegion]) -> Table:
    drawn = show.table(("", show.RIGHT), ("truth → prediction, region", {"overflow": "fold"}), ("pixels", show.RIGHT))
    drawn.add_column("of errors", **show.RIGHT)
    drawn.padding = (0, 1, 0, 0)
    for c in confusions:
        what = Text(f"{c.truth} → {c.predicted}\n")
        what.append(str(c.region), "dim")
        drawn.add_row(str(c.rank), what, f"{c.pixels:,}", f"{c.share:.1%}")
    return drawn
