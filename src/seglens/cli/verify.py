"""seglens verify: take away the context that an explanation marks, and segment again."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    QUESTION,
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
    Quiet,
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
from seglens.core.explanation import Explanation, open_explanations
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.run.describe import colours_of
from seglens.run.questions import at_layer
from seglens.run.several import Given, Question, settled
from seglens.run.verification import FORMATS, Verification
from seglens.run.verify import METHOD
from seglens.run.verify import verify as run

PICTURE = Path("verification.png")

_REMOVAL = "The removal"
_SHOWN = 0.005  # share of the region from which on a class is listed


class RemoveWord(StrEnum):
    """What is taken away."""

    salient = "salient"
    rest = "rest"


def verify(
    network: NetworkFile,
    image: Image,
    label: Annotated[
        str | None, class_option("A class by name or number. By default the one that covers most.")
    ] = None,
    method: Annotated[str | None, method_option(f"How to explain. By default {METHOD}.")] = None,
    layer: Annotated[str | None, layer_option("A layer to read, for methods that read one.")] = None,
    region: RegionText = None,
    mask_file: MaskFile = None,
    against: Against = None,
    truth: TruthFile = None,
    instances: InstancesFile = None,
    of: OfWord = None,
    reduce: ReduceWord = Reduce.mean,
    explanation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npz",
            help="Verify an explanation that was saved, instead of making one.",
            rich_help_panel=QUESTION,
        ),
    ] = None,
    remove: Annotated[
        RemoveWord,
        typer.Option(
            metavar="WORD",
            help="The salient context, or the rest of it: salient, rest.",
            rich_help_panel=_REMOVAL,
        ),
    ] = RemoveWord.salient,
    share: Annotated[
        float,
        typer.Option(
            metavar="X", help="How much of the context is salient at most, in 0..1.", rich_help_panel=_REMOVAL
        ),
    ] = 0.1,
    fill: Annotated[
        str,
        typer.Option(
            metavar="TEXT",
            help="What stands in its place: black, white, grey, mean, blur, noise, a pixel value or colour in 0..1, "
            "or a picture's file.",
            rich_help_panel=_REMOVAL,
        ),
    ] = "mean",
    controls: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Random parts of the context to remove instead, as large, as far and as ragged; 0 for none.",
            rich_help_panel=_REMOVAL,
        ),
    ] = 20,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the random parts.", rich_help_panel=_REMOVAL)] = 0,
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
    """Remove the context that an explanation marks, segment again, and compare with removing random context.

    seglens verify unet.pt2 street.png --class rider --share 0.05 --out why.png
    """
    with show.reported():
        files = out or [PICTURE]
        check_files(files, FORMATS, [Path(network), image, truth, instances, mask_file, explanation])
        target = None
        if explanation is None:
            (why,) = make_methods([method or METHOD], settings or {})
            if layer is not None:
                why = at_layer(why, layer)
        else:
            why = _saved(explanation)
            asked = (label, method, layer, region, mask_file, against, of, settings or None)
            if any(a is not None for a in asked) or reduce is not Reduce.mean:
                raise typer.BadParameter(
                    "the saved explanation has its question and method; leave those options out.",
                    param_hint="--explanation",
                )
        where = region_of(region, mask_file)
        net = opened(network, trust, constructor, device, download=download)
        if explanation is None:
            question = Question(label, against, where, None if of is None else of.value, reduce.value)
            target = settled(net, Given(image, truth, instances), [question], 255)[0]
        with show.Steps(1, json or quiet) as steps, watching(steps.within):
            steps.begin(image.name)
            found = run(
                net,
                image,
                why,
                target,
                remove=remove.value,
                share=share,
                fill=fill,
                controls=controls,
                seed=seed,
                truth=truth,
                instances=instances,
            )
        written = [found.save(file) for file in files]
        if json:
            show.dump({**found.to_dict(), "image": str(image), "source": network, "files": [str(f) for f in written]})
        elif not quiet:
            _tell(found, net)
            for file in written:
                show.wrote(file)


def _saved(file: Path) -> Explanation:
    """The one explanation in a file. Raises typer.BadParameter for several."""
    found = open_explanations(file)
    if isinstance(found, Explanation):
        return found
    raise typer.BadParameter(
        f"{file.name} holds {len(found)} explanations; save the one to be verified by itself.",
        param_hint="--explanation",
    )


def _tell(found: Verification, network: Network) -> None:
    e = found.explanation
    layer = f" at {e.layer}" if e.layer else ""
    show.say(Text(e.target, style="bold"))
    show.say(f"{e.method}{layer}, {found.before.segmentation.network}, filled with {found.fill}")
    show.say()
    for sentence in found.said:
        show.say(sentence)
    show.say()
    show.out().print(_table(found, network))
    for note in found.notes:
        show.say(note, "dim")


def _table(found: Verification, network: Network) -> Table:
    what = "salient removed" if found.remove == "salient" else "salient alone"
    drawn = show.table(("", {"overflow": "fold"}), *((t, show.RIGHT) for t in ("as it is", what, "no context")))
    answers = (found.before, found.after, found.bare)

    def row(name: str | Text, values: Sequence[float], form: str) -> None:
        drawn.add_row(name, *(form.format(v).replace("%", " %") for v in values))

    row(f"{found.quantity} over the region", [a.probability for a in answers], "{:.3f}")
    if found.of != "probabilities":
        row(f"score ({found.of})", [a.score for a in answers], "{:.4g}")
    names = found.before.segmentation.classes.names
    row(f"IoU of {names[found.label]} with it", [a.iou for a in answers], "{:.3f}")
    row(f"Dice of {names[found.label]} with it", [a.dice for a in answers], "{:.3f}")
    colours = colours_of(names, network)
    most = [max(float(a.shares[c]) for a in answers) for c in range(len(names))]
    for c in sorted(range(len(names)), key=lambda c: -most[c]):
        if most[c] >= _SHOWN:
            name = show.swatch(colours[c]) + f"labelled {names[c]}"
            row(name, [float(a.shares[c]) for a in answers], "{:.1%}")
    return drawn
