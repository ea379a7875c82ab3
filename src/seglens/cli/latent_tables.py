"""seglens latent statistics, factors, sweep: tables of latent units and of latent sizes."""

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import Constructor, Device, Download, Json, NetworkFile, Quiet, Trust, files_option, opened
from seglens.cli.files import check_files
from seglens.cli.units import ConditionOption
from seglens.core.progress import watching
from seglens.run.latent import factors_table, statistics_table, sweep_table
from seglens.run.latent.asking import condition_of

if TYPE_CHECKING:
    from seglens.run.latent.sweep_table import Sweep

HOW = "How the networks are trained"

Data = Annotated[
    str, typer.Argument(metavar="DATA", help="sprites, faces, streets, NAME:PATH of a set on disk, or a folder.")
]
Pictures = Annotated[int | None, typer.Option("--number", "-n", metavar="N", min=1, help="At most so many pictures.")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of pictures and draws.")]

_KEY = """
KL: nats, mean over pictures. Var μ: of the mean; dead at 0.01 or less.
information: nats that the unit tells of the picture, at least; then at most.
sensitivity: RMS of ∂x̂/∂z. attention: correlation of the unit's maps on
different pictures; others: with the maps of other units."""

_FACTORS_KEY = """
of entropy: how much of the factor the unit tells. moves it: in decoded
pictures, where 1 is as between any two pictures of the set; moves most:
whatever that is. also: factors of which it tells a quarter as much, or more."""


def statistics(
    network: NetworkFile,
    data: Data,
    number: Pictures = None,
    method: Annotated[
        str, typer.Option("--method", "-m", metavar="NAME", help="For the consistency of attention, or none.")
    ] = "grad-cam",
    seed: Seed = 0,
    condition: ConditionOption = None,
    out: Annotated[list[Path] | None, files_option(f"Write to a file: {', '.join(statistics_table.FORMATS)}")] = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Show which latent units matter: divergence, activity, information, sensitivity, consistency of attention.

    seglens latent statistics vae.safetensors sprites --out units.csv
    """
    with show.reported():
        from seglens.run.latent.statistics import latent_statistics

        check_files(out or (), statistics_table.FORMATS, [Path(network)])
        net = opened(network, trust, constructor, device, download=download)
        with show.Steps(None, json or quiet) as bar, watching(bar.within):
            found = latent_statistics(
                net,
                data,
                number or 1000,
                attention=None if method == "none" else method,
                seed=seed,
                condition=condition_of(net, condition or []),
            )
        written = [found.save(path) for path in out or ()]
        if json:
            show.dump({**found.to_dict(), "source": network, "files": [str(path) for path in written]})
            return
        if quiet:
            return
        show.say(Text.assemble((found.network, "bold"), f", {found.data}"))
        show.say(f"{len(found.active)} of {len(found.units)} units active, {found.kl:.1f} nats together")
        if found.dead:
            show.say(f"dead: {', '.join(map(str, found.dead))}")
        show.say()
        _rows(found.table())
        show.say(_KEY, "dim")
        for note in found.notes:
            show.say(note)
        for path in written:
            show.wrote(path)


def factors(
    network: NetworkFile,
    data: Data,
    number: Pictures = None,
    seed: Seed = 0,
    condition: ConditionOption = None,
    out: Annotated[list[Path] | None, files_option(f"Write to a file: {', '.join(factors_table.FORMATS)}")] = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Show which known factor each latent unit follows, and how entangled they are.

    seglens latent factors vae.safetensors sprites --out factors.png
    """
    with show.reported():
        from seglens.run.latent.factors import latent_factors

        check_files(out or (), factors_table.FORMATS, [Path(network)])
        net = opened(network, trust, constructor, device, download=download)
        with show.Steps(None, json or quiet) as bar, watching(bar.within):
            found = latent_factors(net, data, number or 5000, seed=seed, condition=condition_of(net, condition or []))
        written = [found.save(path) for path in out or ()]
        if json:
            show.dump({**found.to_dict(), "source": network, "files": [str(path) for path in written]})
            return
        if quiet:
            return
        show.say(Text.assemble((found.network, "bold"), f", {found.data}"))
        show.say(f"{len(found.active)} of {len(found.information)} units active")
        if found.dead:
            show.say(f"dead: {', '.join(map(str, found.dead))}")
        show.say()
        _rows(found.table(), left=(1, 5, 6))
        show.say()
        for line in found.told():
            show.say(line)
        show.say(_FACTORS_KEY, "dim")
        for note in found.notes:
            show.say(note)
        for path in written:
            show.wrote(path)


def sweep(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="vae, cvae, seg-vae or mgrad2vae.")],
    data: Annotated[
        str, typer.Argument(metavar="DATA", help="sprites, faces, streets, or NAME:PATH of a set on disk.")
    ],
    latents: Annotated[str, typer.Option(metavar="LIST", help="Latent sizes, such as 2,5,10,20.")],
    folder: Annotated[
        Path, typer.Option("--folder", metavar="FOLDER", help="For the networks; what is done there stays done.")
    ] = Path("latent-sweep"),
    seeds: Annotated[int, typer.Option(metavar="N", min=1, help="Networks of each size.")] = 3,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUES",
            help="A further line of the recipe with values: loss.beta=1,4 or loss.reconstruction=bce,mse.",
            rich_help_panel=HOW,
        ),
    ] = None,
    change: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A line of all recipes, such as epochs=5.", rich_help_panel=HOW
        ),
    ] = None,
    number: Annotated[
        int, typer.Option("--number", "-n", metavar="N", min=2, help="Pictures on which units are measured.")
    ] = 2000,
    tolerance: Annotated[
        float, typer.Option(metavar="X", min=0, help="Share of the least error by which another counts as good.")
    ] = sweep_table.TOLERANCE,
    out: Annotated[list[Path] | None, files_option(f"Write to a file: {', '.join(sweep_table.FORMATS)}")] = None,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
) -> None:
    """Train networks of several latent sizes, measure them, and recommend a size. The same command goes on.

    seglens latent sweep vae sprites --latents 2,5,10,20 --seeds 3
    """
    with show.reported():
        from seglens.run.latent.sweep import KINDS, latent_sweep_each
        from seglens.run.training.recipe import Kind

        chosen: Kind | None = next((k for k in KINDS if k == kind), None)
        if chosen is None:
            raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}.", param_hint="KIND")
        check_files(out or (), sweep_table.FORMATS, [])
        varied = dict(_many(text) for text in vary or ())
        sizes = _sizes(latents)
        total = seeds * len(sizes)
        for values in varied.values():
            total *= len(values)
        found: Sweep | None = None
        interrupted = False
        try:
            with show.Steps(total, json or quiet) as bar, watching(bar.within):
                for so_far in latent_sweep_each(
                    chosen,
                    data,
                    sizes,
                    folder,
                    seeds=seeds,
                    vary=varied,
                    changes=dict(_one(text) for text in change or ()),
                    n=number,
                    tolerance=tolerance,
                    device=device or "auto",
                    step=bar.begin,
                ):
                    found = so_far
        except KeyboardInterrupt:
            show.say(f"What is done is kept in {show.place(folder)}: the same command goes on.", console=show.err())
            if found is None:
                raise
            interrupted = True
        if found is not None:
            _report_sweep(found, out or [], json, quiet)
        if interrupted:
            raise typer.Exit(130)
        if found is not None and found.failures:
            raise typer.Exit(1)


def _report_sweep(found: "Sweep", out: list[Path], json: bool, quiet: bool) -> None:
    written = [found.save(path) for path in out]
    if json:
        show.dump({**found.to_dict(), "files": [str(path) for path in written]})
    elif not quiet:
        show.say(
            Text.assemble((f"{found.kind} on {found.data}", "bold"), f": {len(found.runs)} of {found.total} networks")
        )
        for variant in found.variants:
            show.say()
            if variant:
                show.say(variant, "bold")
            _rows(found.table(variant))
        show.say()
        for r in found.recommendations:
            show.say(r.why, "bold")
        show.say(found.rule, "dim")
        for path in written:
            show.wrote(path)
    for f in found.failures:
        show.error(f"{f.variant}{', ' * bool(f.variant)}{f.latent} units, seed {f.seed}: {f.error}")


def _rows(rows: list[list[str]], left: tuple[int, ...] = ()) -> None:
    """A table; the first column and those in `left` to the left."""
    heads, *cells = rows
    drawn = show.table(
        *((head, {"no_wrap": True} if i == 0 or i in left else show.RIGHT) for i, head in enumerate(heads))
    )
    for row in cells:
        drawn.add_row(*row)
    show.out().print(drawn)


def _sizes(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as wrong:
        raise typer.BadParameter(f"{text!r} is no list of sizes such as 2,5,10.", param_hint="--latents") from wrong


def _read(text: str) -> Any:
    """A value as TOML has it; what is none is a text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _one(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise typer.BadParameter(f"{text!r} is no KEY=VALUE, such as epochs=5.", param_hint="--set")
    return name.strip(), _read(value.strip())


def _many(text: str) -> tuple[str, list[Any]]:
    name, equals, values = text.partition("=")
    parts = [part.strip() for part in values.split(",")]
    if not equals or not name.strip() or not all(parts):
        raise typer.BadParameter(f"{text!r} is no KEY=VALUES, such as loss.beta=1,4.", param_hint="--vary")
    return name.strip(), [_read(part) for part in parts]
