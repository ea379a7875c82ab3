"""seglens train: a network of one's own, and the folder in which it grows."""

import tomllib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from seglens.cli import show
from seglens.cli.arguments import Json, Quiet
from seglens.core.progress import Listener, watching
from seglens.run.sets import set_name

if TYPE_CHECKING:
    from seglens.run.training.recipe import Recipe
    from seglens.run.training.result import Trained

WHAT, HOW, WHERE = "What is learned", "How", "On what"

_TITLES = {
    "loss": "loss",
    "reconstruction": "reconstruction",
    "kl": "KL, nats a picture",
    "active_units": "active latent units",
    "squared_error": "squared error",
    "mean_iou": "mean IoU",
    "pixel_accuracy": "pixels right",
    "mean_accuracy": "mean accuracy",
    "attention_mean_iou": "attention: mean IoU",
    "attention_pixel_accuracy": "attention: pixels right",
    "attention_mean_accuracy": "attention: mean accuracy",
}
"""Figures that are said; result.json has all of them."""


def _option(*flags: str, metavar: str | None, help: str, panel: str, least: float | None = None) -> Any:
    return typer.Option(*flags, metavar=metavar, help=help, rich_help_panel=panel, min=least, show_default=False)


def train(
    kind: Annotated[
        str, typer.Argument(metavar="KIND", help="vae, cvae, seg-vae, mgrad2vae or segmenter.", show_default=False)
    ],
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="streets, faces, sprites, or NAME:FOLDER of a set on disk."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="For all that is made; by default KIND-DATA."),
    ] = None,
    size: Annotated[str | None, _option("--size", metavar="HxW", help="Of the pictures.", panel=WHAT)] = None,
    latent: Annotated[int | None, _option("--latent", metavar="N", help="Latent units.", panel=WHAT, least=1)] = None,
    recipe: Annotated[
        Path | None,
        _option("--recipe", metavar="FILE", help="A recipe.toml in the place of the preset.", panel=HOW),
    ] = None,
    epochs: Annotated[int | None, _option("--epochs", metavar="N", help="How long.", panel=HOW, least=1)] = None,
    steps: Annotated[
        int | None, _option("--steps", metavar="N", help="How long, in steps.", panel=HOW, least=1)
    ] = None,
    batch: Annotated[
        int | None, _option("--batch", metavar="N", help="Pictures of one step.", panel=HOW, least=1)
    ] = None,
    rate: Annotated[float | None, _option("--rate", metavar="X", help="Greatest learning rate.", panel=HOW)] = None,
    seed: Annotated[
        int | None, _option("--seed", metavar="N", help="Of weights, order and draws.", panel=HOW, least=0)
    ] = None,
    precision: Annotated[
        str | None,
        _option("--precision", metavar="WORD", help="32-true, bf16-mixed, 16-mixed, …", panel=HOW),
    ] = None,
    set_: Annotated[
        list[str] | None,
        _option(
            "--set",
            metavar="KEY=VALUE",
            help="Any other line of the recipe, such as loss.beta=4 or model.widths=[16,32]; again for more.",
            panel=HOW,
        ),
    ] = None,
    device: Annotated[str, _option("--device", metavar="NAME", help="cpu, cuda, cuda:1, mps.", panel=WHERE)] = "auto",
    devices: Annotated[
        int, _option("--devices", metavar="N", help="How many in each machine.", panel=WHERE, least=1)
    ] = 1,
    nodes: Annotated[int, _option("--nodes", metavar="N", help="Machines.", panel=WHERE, least=1)] = 1,
    strategy: Annotated[
        str, _option("--strategy", metavar="NAME", help="Lightning's, such as ddp.", panel=WHERE)
    ] = "auto",
    workers: Annotated[
        int, _option("--workers", metavar="N", help="Processes that read pictures from disk.", panel=WHERE, least=0)
    ] = 2,
    every: Annotated[
        int, typer.Option("--every", metavar="N", min=1, help="Steps between checkpoints.", show_default=True)
    ] = 100,
    keep: Annotated[int, typer.Option("--keep", metavar="N", min=0, help="Keep the weights of every N-th epoch.")] = 0,
    fresh: Annotated[bool, typer.Option("--fresh", metavar="", help="Begin anew where a training was begun.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network. The same command goes on where it was stopped.

    seglens train mgrad2vae streets --out streets-m2
    """
    with show.reported():
        # Here, not above: they bring the models, which no other command needs.
        from seglens.run.training.fit import Where, is_first, settled
        from seglens.run.training.fit import train as run
        from seglens.run.training.recipe import KINDS, Kind, read_recipe

        chosen: Kind | None = next((k for k in KINDS if k == kind), None)
        if chosen is None:
            raise typer.BadParameter(f"{kind!r} is none of {', '.join(KINDS)}.", param_hint="KIND")
        changes = {
            "data.size": None if size is None else _size(size),
            "model.latent": latent,
            "epochs": epochs,
            "steps": steps,
            "batch": batch,
            "optimiser.rate": rate,
            "seed": seed,
            "precision": precision,
        }
        changes = {k: v for k, v in changes.items() if v is not None} | dict(map(_setting, set_ or ()))
        given = None if recipe is None else read_recipe(recipe)
        folder = out or Path(f"{kind}-{set_name(data)}")
        settled_recipe = settled(chosen, data, given, changes)
        # Of several processes, the first speaks.
        silent = quiet or not is_first()
        if not (silent or json):
            _announce(settled_recipe, folder, fresh)
        with _watched(folder, silent=silent or json):
            trained = run(
                chosen,
                data,
                folder,
                recipe=settled_recipe,
                resume=not fresh,
                where=Where(device=device, devices=devices, nodes=nodes, strategy=strategy, workers=workers),
                every=every,
                keep=keep,
            )
        if json and is_first():
            show.dump(trained.to_dict())
        elif not silent:
            _tell(trained)


def _announce(recipe: "Recipe", path: Path, fresh: bool) -> None:
    from seglens.run.training.folder import Folder

    folder = Folder(path)
    folder.check(recipe, fresh)
    if not fresh and folder.result.exists():
        return
    many, unit = (recipe.epochs, "epoch") if recipe.epochs else (recipe.steps or 0, "step")
    step = 0 if fresh else folder.ledger().step
    going = f"Going on behind step {step:,}" if step else "Training"
    long = f"{many:,} {unit}{'s' * (many != 1)}"
    show.say(f"{going}: {recipe.architecture} on {recipe.data.name}, {long}, into {show.place(path)}.")


@contextmanager
def _watched(path: Path, silent: bool) -> Generator[None]:
    """A bar with the time left; an interruption says what is kept."""
    console = show.err()
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=silent or not console.is_terminal,
    )
    try:
        with bar, watching(_listener(bar)):
            yield
    except KeyboardInterrupt:
        from seglens.run.training.folder import Folder

        step = Folder(path).ledger().step
        kept = f"Step {step:,} is kept in {show.place(path)}" if step else "No step was kept"
        show.say(f"{kept}: the same command goes on from there.", console=console)
        raise


def _listener(bar: Progress) -> Listener:
    task, stage = bar.add_task("preparing", total=None), ""

    def listen(what: str, done: int, total: int) -> None:
        nonlocal task, stage
        now = "steps" if what.startswith("epoch ") else what
        if now != stage:
            # A new task: the time left is reckoned from the speed of this stage alone.
            bar.remove_task(task)
            task, stage = bar.add_task(what, total=total, completed=done), now
        bar.update(task, description=what, completed=done, total=total)

    return listen


def _size(text: str) -> list[int]:
    sides = text.lower().split("x")
    if not all(side.isdigit() for side in sides) or len(sides) > 2:
        raise typer.BadParameter(f"{text!r} is no size such as 64x128 (height, width), or 64.", param_hint="--size")
    return [int(side) for side in sides] * (3 - len(sides))


def _setting(text: str) -> tuple[str, Any]:
    """A line of the recipe; a value that is no TOML is a text."""
    name, found, value = text.partition("=")
    if not found or not name.strip():
        raise typer.BadParameter(f"{text!r} is no KEY=VALUE, such as loss.beta=4.", param_hint="--set")
    try:
        read: Any = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        read = value.strip()
    return name.strip(), read


def _tell(trained: "Trained") -> None:
    if trained.already:
        show.say(f"{show.place(trained.folder)} is finished: nothing is left to train. (--fresh begins anew.)")
    early = ", stopped early" if trained.early else ""
    show.say(f"{trained.recipe.kind} on {trained.recipe.data.name}: {trained.parameters:,} parameters", "bold")
    epochs = f"{trained.epochs} epoch{'s' * (trained.epochs != 1)}{early}"
    show.say(f"  {epochs}, {trained.seconds:,.0f} s on {trained.provenance['device']}")
    drawn = show.table(("on test pictures", {"no_wrap": True}), ("", show.RIGHT))
    for name, title in _TITLES.items():
        if name in trained.figures:
            drawn.add_row(title, show.number(trained.figures[name]))
    show.out().print(drawn)
    if trained.per_class:
        show.say()
        show.out().print(_classes(list(trained.per_class.items())))
    for file in (trained.path, trained.folder / "card.md"):
        show.wrote(file)


def _classes(ious: Sequence[tuple[str, float | None]]) -> Any:
    """Two classes side by side: a set may have many."""
    drawn = show.table(("class", {}), ("IoU", show.RIGHT), ("", {}), ("", show.RIGHT))
    half = -(-len(ious) // 2)
    for place in range(half):
        cells = [c for name, iou in ious[place::half] for c in (name, show.number(iou, 3))]
        drawn.add_row(*cells)
    return drawn
