"""seglens compare: several methods asked one question of one image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
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
    OverlapOption,
    Quiet,
    Reduce,
    ReduceWord,
    RegionText,
    TilesOption,
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
from seglens.core.comparison import Comparison, two_digits
from seglens.core.method import Method
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.run.compare import DRAWS, METHODS_COMPARED, comparison_formats
from seglens.run.compare import compare as run
from seglens.run.questions import at_layer
from seglens.run.several import Given, Question, settled

PAGE = Path("comparison.html")

_TEST = "The randomisation test"
_PLACES = 3  # disputed places that the terminal lists


def compare(
    network: NetworkFile,
    image: Image,
    label: Annotated[
        str | None, class_option("A class by name or number. By default the one that covers most.")
    ] = None,
    method: Annotated[
        list[str] | None, method_option(f"Two or more. By default {', '.join(METHODS_COMPARED)}.")
    ] = None,
    layer: Annotated[
        list[str] | None, layer_option("A layer for the methods that read one; several times to compare layers.")
    ] = None,
    region: RegionText = None,
    mask_file: MaskFile = None,
    against: Against = None,
    truth: TruthFile = None,
    instances: InstancesFile = None,
    of: OfWord = None,
    reduce: ReduceWord = Reduce.mean,
    randomise: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Shuffled copies of the network, at least 3; 0 leaves the test out. Each costs every method twice.",
            rich_help_panel=_TEST,
        ),
    ] = DRAWS,
    cascade: Annotated[
        int,
        typer.Option(
            metavar="STEPS",
            help="Shuffle from the output back to the input too, in so many steps; each costs N times every method.",
            rich_help_panel=_TEST,
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the shuffling.", rich_help_panel=_TEST)] = 0,
    out: Annotated[
        list[Path] | None,
        files_option(f"A file, its suffix being its format: {', '.join(comparison_formats())}. By default {PAGE}"),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    tiles: TilesOption = None,
    overlap: OverlapOption = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
    settings: dict[MethodOption, Any] | None = None,
) -> None:
    """Compare what several methods say of one question: rank correlations, consensus, disputed places.

    Each is tested on shuffled copies of the network: a map that stays alike shows the picture, not what was learned.

    seglens compare unet.pt2 street.png --class rider --method grad-cam --method guided-backprop --out why.html
    """
    with show.reported():
        files = out or [PAGE]
        check_files(files, comparison_formats(), [Path(network), image, truth, instances, mask_file])
        methods = _at_layers(make_methods(method or METHODS_COMPARED, settings or {}), layer or [])
        question = Question(
            label, against, region_of(region, mask_file), None if of is None else of.value, reduce.value
        )
        net = opened(network, trust, constructor, device, tiles, overlap, download=download)
        target = settled(net, Given(image, truth, instances), [question], 255)[0]
        with show.Steps(1, json or quiet) as steps, watching(steps.within):
            steps.begin(image.name)
            made = run(
                net,
                image,
                methods,
                target,
                truth=truth,
                instances=instances,
                randomise=randomise,
                cascade=cascade,
                seed=seed,
            )
        written = [made.save(file) for file in files]
        for name, why in made.failures.items():
            show.error(f"{name}: {why}")
        if json:
            show.dump({**made.to_dict(), "image": str(image), "source": network, "files": [str(f) for f in written]})
        elif not quiet:
            _tell(made, net)
            for file in written:
                show.wrote(file)
        if made.failures:
            raise typer.Exit(1)


def _at_layers(methods: Sequence[Method], layers: Sequence[str]) -> list[Method]:
    """Each method that reads a layer at each of `layers`, the others as they are."""
    if not layers:
        return list(methods)
    if not any(hasattr(m, "layer") for m in methods):
        raise typer.BadParameter("none of the methods reads a layer.", param_hint="--layer")
    return [at for m in methods for at in ([at_layer(m, path) for path in layers] if hasattr(m, "layer") else [m])]


def _tell(made: Comparison, network: Network) -> None:
    first = made.explanations[0]
    show.say(Text(f"{made.target}", style="bold"))
    show.say(f"score {show.number(first.score)} ({first.of}), {network.name}")
    show.say()
    show.out().print(_correlations(made))
    if made.apart:
        show.say("In brackets: no better than chance.")
    show.say()
    share = 100 * float(made.disputed.mean())
    show.say(f"Disputed: {share:.0f} % of the pixels, high by some and low by others.")
    for place in made.contested[:_PLACES]:
        show.say(f"  {place}")
    show.say()
    if made.dependences:
        show.out().print(_test(made))
        show.say("depends: the map changes with what the network learned; weak: hardly.")
        if made.unmoved:
            show.say(f"{len(made.unmoved)} tensors have nothing to shuffle; --json names them.")
        show.say()


def _correlations(made: Comparison) -> Table:
    """The lower triangle, columns by number, so that long names fit."""
    n = len(made.labels)
    drawn = show.table(("", show.RIGHT), ("Rank correlation", {}), *((str(j + 1), show.RIGHT) for j in range(n - 1)))
    for i, name in enumerate(made.labels):
        cells = [_correlation(made, i, j) for j in range(min(i, n - 1))]
        drawn.add_row(str(i + 1), name, *cells, *([""] * (n - 1 - len(cells))))
    return drawn


def _correlation(made: Comparison, i: int, j: int) -> str:
    r = float(made.agreement.correlations[i, j])
    if r != r:
        return "–"
    return f"{two_digits(r)} " if made.agreement.above[i, j] else f"({two_digits(r)})"


def _test(made: Comparison) -> Table:
    title = f"{made.dependences[0].draws} shuffled copies"
    drawn = show.table(
        (title, {"no_wrap": True}),
        ("correlation", show.RIGHT),
        ("beyond decay", show.RIGHT),
        ("chance", show.RIGHT),
        ("on weights", {}),
    )
    for d in made.dependences:
        verdict = "too few maps" if d.weak is None else "weak" if d.weak else "depends"
        drawn.add_row(d.label, str(d.trained), str(d.beyond), two_digits(d.chance_beyond), verdict)
    return drawn
