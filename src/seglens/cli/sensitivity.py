"""seglens sensitivity: what becomes of a method's maps where one of its fields has another value."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    PAIRED,
    QUESTION,
    RESULT,
    Against,
    Constructor,
    Device,
    Download,
    Images,
    Json,
    MaskFile,
    NetworkFile,
    OfWord,
    Quiet,
    Reduce,
    ReduceWord,
    RegionText,
    Trust,
    class_option,
    files_option,
    layer_option,
    method_option,
    opened,
    region_of,
)
from seglens.cli.files import check_files, image_files
from seglens.cli.options import MethodOption, make_methods
from seglens.core.errors import suggest
from seglens.core.method import METHODS
from seglens.core.parameters import Parameter, parameters
from seglens.core.progress import watching
from seglens.run.pairs import paired
from seglens.run.questions import at_layer
from seglens.run.sensitivity import METHOD, TOP, sensitivity_each
from seglens.run.sensitivity_table import FORMATS, Sensitivity
from seglens.run.several import Given, Question, settled

_YES_NO = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def sensitivity(
    network: NetworkFile,
    images: Images,
    vary: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD=VALUES",
            help="A field of the method and its values, joined by commas: sparsity=0.01,0.05,0.2. Where values have "
            "commas of their own, as colours do, join them by semicolons, in quotes: 'fill=black;0.2,0.5,0.3;blur'. "
            "Several times for several fields; one at a time is varied.",
            rich_help_panel=QUESTION,
        ),
    ],
    classes: Annotated[
        list[str] | None,
        class_option("A class by name or number; several times for several. By default the first image's largest."),
    ] = None,
    method: Annotated[str, method_option("Whose settings.")] = METHOD,
    layer: Annotated[str | None, layer_option("A layer to read, see `seglens layers`.")] = None,
    region: RegionText = None,
    mask_file: MaskFile = None,
    against: Against = None,
    truth: Annotated[Path | None, typer.Option(metavar="FILE|FOLDER", help=PAIRED, rich_help_panel=QUESTION)] = None,
    instances: Annotated[
        Path | None,
        typer.Option(metavar="FILE|FOLDER", help="True instance ids, likewise.", rich_help_panel=QUESTION),
    ] = None,
    of: OfWord = None,
    reduce: ReduceWord = Reduce.mean,
    top: Annotated[
        float,
        typer.Option(metavar="X", help="The share of the picture whose overlap is told.", rich_help_panel=RESULT),
    ] = TOP,
    out: Annotated[list[Path] | None, files_option(f"Write to a file: {', '.join(FORMATS)}")] = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
    settings: dict[MethodOption, Any] | None = None,
) -> None:
    """Show how far a method's maps hang on its settings: other values of its fields, the same images and classes.

    seglens sensitivity unet.pt2 images/ --class rider --method occlusion --vary size=8,16 --vary fill=mean,black,blur
    """
    with show.reported():
        files = image_files(images)
        inputs = [*files, truth, instances, mask_file, Path(network)]
        check_files(out or (), FORMATS, inputs)
        (chosen,) = make_methods([method], settings or {})
        chosen = chosen if layer is None else at_layer(chosen, layer)
        values = _values(vary, method)
        truths, ids = paired(files, truth, "truth"), paired(files, instances, "instance ids")
        labels: list[str | None] = [*classes] if classes else [None]
        where, read = region_of(region, mask_file), None if of is None else of.value
        questions = [Question(label, against, where, read, reduce.value) for label in labels]
        net = opened(network, trust, constructor, device, download=download)
        targets = settled(net, Given(files[0], truths[0], ids[0]), questions, 255)
        total = len(files) * (1 + sum(map(len, values.values())))
        found: Sensitivity | None = None
        interrupted = False
        try:
            with show.Steps(total, json or quiet) as steps, watching(steps.within):
                for so_far in sensitivity_each(
                    net,
                    [*files],
                    chosen,
                    targets,
                    vary=values,
                    truth=None if truth is None else [t for t in truths if t is not None],
                    instances=None if instances is None else [t for t in ids if t is not None],
                    top=top,
                    step=steps.begin,
                ):
                    found = so_far
        except KeyboardInterrupt:
            if found is None:
                raise
            interrupted = True
        if found is not None:
            _report(found, network, out or [], json, quiet, interrupted)
        if interrupted:
            raise typer.Exit(130)
        if found is not None and found.failures:
            raise typer.Exit(1)


def _values(given: list[str], method: str) -> dict[str, list[Any]]:
    """What --vary says, by field. Raises typer.BadParameter."""
    fields = {p.name: p for p in parameters(METHODS[method])}
    found: dict[str, list[Any]] = {}
    for text in given:
        name, equals, joined = text.partition("=")
        field = name.strip().replace("-", "_")
        if field not in fields:
            raise typer.BadParameter(
                f"{method} has no field {name.strip()!r}.{suggest(field, fields)}\n  Fields: {', '.join(fields)}.",
                param_hint="--vary",
            )
        pieces = [piece.strip() for piece in joined.split(";" if ";" in joined else ",")]
        # A semicolon at the end makes one colour of what would be three numbers.
        pieces = pieces[:-1] if ";" in joined and not pieces[-1] else pieces
        if not equals or not all(pieces):
            raise typer.BadParameter(
                f"{text!r}: give values behind the field, as in {field}=VALUE,VALUE.",
                param_hint="--vary",
            )
        found.setdefault(field, []).extend(_read(fields[field], piece) for piece in pieces)
    return found


def _read(p: Parameter, text: str) -> Any:
    """One value in the field's own kind; 'none' where the field may be left open."""
    if p.optional and text.lower() == "none" and text not in p.choices:
        return None
    try:
        return _YES_NO[text.lower()] if p.kind == "bool" else {"int": int, "float": float}.get(p.kind, str)(text)
    except (ValueError, KeyError) as wrong:
        kind = {"bool": "yes or no", "int": "a whole number", "float": "a number"}[p.kind]
        raise typer.BadParameter(f"{p.name} takes {kind}, not {text!r}.", param_hint="--vary") from wrong


def _report(found: Sensitivity, source: str, out: list[Path], json: bool, quiet: bool, interrupted: bool) -> None:
    """What came of it, on the terminal and to files."""
    written = [found.save(path) for path in out]
    if json:
        show.dump({**found.to_dict(), "source": source, "files": [str(path) for path in written]})
    elif not quiet:
        _tell(found, interrupted)
        for path in written:
            show.wrote(path)
    for failure in found.failures:
        show.failure(failure.image, f"{failure.setting}{': ' * bool(failure.setting)}{failure.error}")


def _tell(found: Sensitivity, interrupted: bool) -> None:
    n, several = len(found.images), len(found.targets) > 1
    show.say(Text.assemble((found.method, "bold"), f" of {found.network} on {n} image{'s' * (n != 1)}"))
    for target in found.targets:
        show.say(f"  {target}")
    for field in found.fields:
        rows = found.table(field)
        for columns in _fitting(rows, show.out().width):
            show.say()
            heads, *cells = [[row[0], *(row[i] for i in columns)] for row in rows]
            drawn = show.table(
                (heads[0], {"no_wrap": True}), *((h.replace(" ", "\n", 1), show.RIGHT) for h in heads[1:])
            )
            for row in cells:
                drawn.add_row(*row)
            show.out().print(drawn)
    show.say()
    over = "images and targets" if several else "images"
    show.say(f"Means over {over}. correlation, overlap (top {found.top:.0%} of the picture): with the default's map.")
    show.say(f"mean: over the picture, in units of {found.unit}. area: what holds half the greatest value or more.")
    if interrupted:
        show.say(f"Interrupted: {n} of {found.total} image{'s' * (found.total != 1)} begun.", "bold")


def _fitting(rows: list[list[str]], width: int) -> list[list[int]]:
    """Columns of tables that fit the width: each has the default, column 1, and some of the others."""
    wide = [max(len(part) for row in rows for part in row[i].split(" ", i == 1)) for i in range(len(rows[0]))]
    tables: list[list[int]] = [[1]]
    for i in range(2, len(wide)):
        if len(tables[-1]) > 1 and sum(wide[k] + 2 for k in (0, *tables[-1], i)) > width:
            tables.append([1])
        tables[-1].append(i)
    return tables
