"""seglens bench mgrad2vae, seglens bench seg-vae: tables of networks trained for them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seglens.cli import show
from seglens.cli.arguments import Device, Json
from seglens.cli.resumable import resumable

if TYPE_CHECKING:
    from seglens.run.tables.table import Table

WHAT, HOW = "What is compared", "On what"

Out = Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="For the table, and for every network.")]
Data = Annotated[
    str,
    typer.Option(
        "--data",
        metavar="NAME|NAME:PATH",
        help="Built in, or yours on disk, such as synthia:/data/RAND_CITYSCAPES.",
        rich_help_panel=HOW,
    ),
]
Seeds = Annotated[int, typer.Option(metavar="N", min=1, help="Networks of each row.", rich_help_panel=HOW)]
Steps = Annotated[int | None, typer.Option(metavar="N", min=1, help="Of each training.", rich_help_panel=HOW)]
Pictures = Annotated[int | None, typer.Option(metavar="N", min=16, help="Shown in training.", rich_help_panel=HOW)]
Quick = Annotated[bool, typer.Option("--quick", metavar="", help="A few steps of small networks: does it all run?")]

_QUICK = {"data.train": 16, "data.validation": 8, "data.test": 8, "steps": 4, "batch": 8}


def mgrad2vae(
    out: Out = Path("mgrad2vae"),
    quick: Quick = False,
    data: Data = "streets",
    row: Annotated[
        list[str] | None,
        typer.Option("--row", metavar="NAME", help="This row only; again for more.", rich_help_panel=WHAT),
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Of the pictures, such as 64x128.", rich_help_panel=HOW)
    ] = None,
    pictures: Pictures = None,
    seeds: Seeds = 5,
    steps: Steps = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Masks and attention maps of Mgrad2VAE beside other networks and controls: tables 1 to 3 of its paper.

    The attention branch learns the masks, whatever it is fed. So the same network
    is trained with plain activations, first gradients or noise in the place of
    second-order derivatives, too. What is done stays in the folder: the same
    command goes on where it was interrupted.

    seglens bench mgrad2vae --seeds 5 --out tables
    """
    with show.reported():
        from seglens.run.tables import mgrad2vae as table

        changes: dict[str, Any] = {"data.size": _size(size), "data.train": pictures, "steps": steps}
        if quick:
            changes = {**_QUICK, "data.size": [32, 64], "model.widths": [4, 6, 8, 8], **_given(changes)}
        plan = table.plan_for(data, rows=row or table.USUAL, seeds=1 if quick else seeds, changes=_given(changes))
        with resumable(out, json) as listener:
            found = table.mgrad2vae_table(plan, out, device=device, listener=listener)
        _report(found, out, json, table.notes(found))


def seg_vae(
    out: Out = Path("seg-vae"),
    quick: Quick = False,
    data: Data = "faces",
    side: Annotated[
        list[int] | None,
        typer.Option(metavar="PX", help="This picture size only; again for more.", rich_help_panel=WHAT),
    ] = None,
    pictures: Pictures = None,
    seeds: Seeds = 3,
    steps: Steps = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """The segmentation VAE over picture sizes, latent sizes and losses, beside a U-Net of the same budget.

    seglens bench seg-vae --seeds 3 --out tables
    """
    with show.reported():
        from seglens.run.tables import segmentation_vae as table

        changes: dict[str, Any] = {"data.train": pictures, "steps": steps}
        if quick:
            changes = {**_QUICK, **_given(changes)}
        plan = table.plan_for(data, seeds=1 if quick else seeds, sides=side or (), quick=quick, changes=_given(changes))
        with resumable(out, json) as listener:
            found = table.segmentation_vae_table(plan, out, device=device, listener=listener)
        _report(found, out, json, [])


def _given(changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in changes.items() if v is not None}


def _size(text: str | None) -> list[int] | None:
    if text is None:
        return None
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) != 2 or not all(part.strip().isdigit() for part in parts):
        raise typer.BadParameter(f"{text!r} is no size such as 64x128.", param_hint="--size")
    return [int(part) for part in parts]


def _report(found: "Table", out: Path, json: bool, notes: list[str]) -> None:
    files = [found.save(out / f"results.{form}") for form in ("csv", "json", "md")]
    if json:
        show.dump({**found.to_dict(), "notes": notes, "files": [str(p) for p in files]})
        return
    show.say(found.title, "bold")
    data, steps = found.about.rsplit("; ", 1)
    show.say(f"  {data};\n  {steps}.")
    # A few columns of scores at a time: names of rows are long, and a terminal has 80 columns.
    few = 3 if max(map(len, found.rows)) <= 16 else 2
    for start in range(0, len(found.columns), few):
        some = found.columns[start : start + few]
        drawn = show.table(("", {"no_wrap": True}), *((c, show.RIGHT) for c in some), ("n", show.RIGHT))
        drawn.padding = (0, 1, 0, 0)
        for row in found.rows:
            spreads = [found.spread(row, c) for c in some]
            drawn.add_row(row, *(s.text() for s in spreads), str(max(s.n for s in spreads)))
        show.say()
        show.out().print(drawn)
    show.say("mean ± standard deviation over the seeds; attention: the network's own maps.", "dim")
    for note in notes:
        show.say(f"  {note}")
    for path in files:
        show.wrote(path)
