"""seglens context: which classes the context consists of on which the network relied."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    Against,
    Constructor,
    Device,
    Download,
    Image,
    InstancesFile,
    Json,
    MaskFile,
    NetworkFile,
    OfWord,
    Reduce,
    ReduceWord,
    RegionText,
    Trust,
    TruthFile,
    class_option,
    files_option,
    layer_option,
    method_option,
    opened,
    region_of,
)
from seglens.cli.files import check_files
from seglens.cli.options import MethodOption, make_methods
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.run.context import FORMATS, ContextStatistics, context_statistics
from seglens.run.describe import colours_of
from seglens.run.explain import Failure, explain_each
from seglens.run.questions import at_layer
from seglens.run.several import Given, Question, settled
from seglens.run.words import lists, numbers

METHOD = "context-saliency"


def context(
    network: NetworkFile,
    image: Image,
    label: Annotated[
        str | None, class_option("A class by name or number. By default the one that covers most.")
    ] = None,
    method: Annotated[str, method_option("How to explain.")] = METHOD,
    layer: Annotated[str | None, layer_option("A layer to read, for methods that read one.")] = None,
    region: RegionText = None,
    mask_file: MaskFile = None,
    against: Against = None,
    truth: TruthFile = None,
    instances: InstancesFile = None,
    of: OfWord = None,
    reduce: ReduceWord = Reduce.mean,
    width: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="PX", help="Of the ring around the region; by default 1/64 of the picture's longer side."
        ),
    ] = None,
    out: Annotated[list[Path] | None, files_option(f"Write to a file: {', '.join(FORMATS)}")] = None,
    json: Json = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
    settings: dict[MethodOption, Any] | None = None,
) -> None:
    """Show which classes the salient context of a region consists of, beside those around it and in the whole picture.

    seglens context unet.pt2 street.png --class rider --truth labels.png --out context.png
    """
    with show.reported():
        check_files(out or (), FORMATS, [Path(network), image, truth, instances, mask_file])
        (chosen,) = make_methods([method], settings or {})
        if layer is not None:
            chosen = at_layer(chosen, layer)
        question = Question(
            label, against, region_of(region, mask_file), None if of is None else of.value, reduce.value
        )
        net = opened(network, trust, constructor, device, download=download)
        target = settled(net, Given(image, truth, instances), [question], 255)[0]
        with show.Steps(1, json) as steps, watching(steps.within):
            steps.begin(f"{image.name} · {method}")
            (outcome,) = explain_each(net, [image], chosen, target, truths=[truth], instances=[instances])
        if isinstance(outcome, Failure):
            raise outcome.error
        found = context_statistics(outcome[0], width=width)
        written = [found.save(path) for path in out or ()]
        if json:
            show.dump({**found.to_dict(), "source": network, "files": [str(path) for path in written]})
            return
        _tell(found, net)
        for path in written:
            show.wrote(path)


def _tell(found: ContextStatistics, network: Network) -> None:
    e = found.explanation
    show.say(Text.assemble((e.network, "bold"), " on ", (str(e.provenance.get("image")), "bold")))
    layer = f" at {e.layer}" if e.layer else ""
    show.say(f"{e.method}{layer}: {e.target}, score {show.number(e.score)} ({e.of})")
    if told := ", ".join(f"{name} {value}" for name, value in numbers(e)):
        show.say(f"  {told}")
    for name, value in lists(e):
        show.say(f"  {name}: {value}")
    whose = "the truth" if found.source == "truth" else "the network's own prediction"
    show.say(f"Labels of the context: those of {whose}.")
    show.say()
    titles = found.columns
    drawn = show.table(("class", {"overflow": "fold"}), *((title, show.RIGHT) for title in titles))
    if network.classes is not None:
        colours = colours_of(network.classes.names, network)
        for row in found.classes:
            drawn.add_row(show.swatch(colours[row.index]) + row.name, *row.told)
    show.out().print(drawn)
    show.say()
    for title, what in titles.items():
        show.say(f"{title}: {what}.", "dim")
    for note in found.notes:
        show.say(note)
