"""seglens bench: the toolbox measured by what is known to be true."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seglens.cli import show
from seglens.cli.arguments import Device, Json
from seglens.cli.bench_networks import mgrad2vae, seg_vae
from seglens.cli.resumable import lasting, resumable
from seglens.run.bench.roster import ENTRIES

if TYPE_CHECKING:
    from seglens.run.bench.plan import Kind, Plan
    from seglens.run.bench.result import ContextBias, Fills
    from seglens.run.bench.rows import Row
    from seglens.run.bench.statistics import Interval
    from seglens.run.bench.study import Line, StudyResult

bench = typer.Typer(name="bench", help="Measure methods where the truth is known.", no_args_is_help=True)

WHAT, HOW = "What is compared", "On what"

_KEY = """
CBL: share of what is marked in the context that lies in the texture; one half by chance. Mean over the n networks that
took up the bias, with its bootstrap interval; all: over all networks. CBD: how much of the context is marked, of the
biased class; others: of the other classes; absent: of the twin known by the texture's absence; fair: in unbiased
networks. CBD of maps without an upper bound is over their largest value. empty: pictures with nothing marked, which
have no CBL. F: passes a picture costs."""

_TITLES = {"strong": "Strong bias", "weak": "Weak bias", "twin": "Twins"}


@bench.callback()
def benches() -> None:
    """Measure methods where the truth is known."""


bench.command("mgrad2vae")(mgrad2vae)
bench.command("seg-vae")(seg_vae)


class Strength(StrEnum):
    """How firmly a texture is tied to a digit."""

    strong = "strong"
    weak = "weak"


class Encoder(StrEnum):
    """Encoders of the networks."""

    vgg16 = "vgg16"
    resnet18 = "resnet18"
    mobilenet_v2 = "mobilenet-v2"


class Study(StrEnum):
    """What is varied."""

    sparsity = "sparsity"
    steps = "steps"
    fill = "fill"
    cells = "cells"
    texture = "texture"


def _how(help: str, metavar: str | None = None, least: int | None = None) -> Any:
    return typer.Option(metavar=metavar, min=least, help=help, rich_help_panel=HOW)


@bench.command("context-bias")
def context_bias(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="For the results, and for stages that are done.")
    ] = Path("context-bias"),
    quick: Annotated[bool, typer.Option("--quick", metavar="", help="A minute or two: does it all run?")] = False,
    full: Annotated[bool, typer.Option("--full", metavar="", help="The paper's size: months on one core.")] = False,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME",
            help=f"This row only; again for more. All of them: {', '.join(ENTRIES)}.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    study: Annotated[
        Study | None,
        typer.Option(
            metavar="WORD",
            help=f"Instead, vary one thing about context saliency: {', '.join(Study)}.",
            rich_help_panel=WHAT,
        ),
    ] = None,
    digits: Annotated[str | None, _how("Digits that a texture is tied to, such as 2,7.", "LIST")] = None,
    textures: Annotated[str | None, _how("Textures tied to them, by number.", "LIST")] = None,
    strength: Annotated[list[Strength] | None, _how("Of the tie: strong, weak; again for both.", "WORD")] = None,
    seeds: Annotated[int | None, _how("Networks of each digit, texture and strength.", "N", 1)] = None,
    images: Annotated[int | None, _how("Pictures explained of each network.", "N", 10)] = None,
    encoder: Annotated[Encoder | None, _how(f"Of the U-Nets: {', '.join(Encoder)}.", "WORD")] = None,
    mnist: Annotated[Path | None, _how("MNIST's idx files; without, scikit-learn's digits.", "FOLDER")] = None,
    texture_folder: Annotated[Path | None, _how("Your own textures; without, 25 built-in ones.", "FOLDER")] = None,
    device: Device = None,
    json: Json = False,
) -> None:
    """Which methods find the context that a network hangs on? Section 4 of the grid-saliency paper.

    Networks are trained on digits, one of which comes with a texture behind it.
    Each method is asked why that digit, and its map is compared with where the
    texture is. Stages that are done stay in the folder: the same command goes on
    where it was interrupted.

    seglens bench context-bias --quick --out quick
    """
    with show.reported():
        # Here, not above: they bring data set, networks and training, which no other command needs.
        from seglens.run.bench.context_bias import context_bias as run
        from seglens.run.bench.plan import plan_for
        from seglens.run.bench.study import study as run_study

        if quick and full:
            raise typer.BadParameter("--quick and --full are two sizes; without either it is the one between.")
        plan = plan_for(
            "quick" if quick else "full" if full else "small",
            encoder=None if encoder is None else encoder.value,
            digits=_numbers(digits, "--digits"),
            textures=_numbers(textures, "--textures"),
            strengths=tuple(s.value for s in strength) if strength else None,
            seeds=seeds,
            images=images,
            methods=tuple(method) if method else None,
            mnist=mnist,
            texture_folder=texture_folder,
        )
        with resumable(out, json) as listener:
            found = run(plan, out, device=device, listener=listener) if study is None else None
            varied = run_study(study.value, plan, out, device=device, listener=listener) if study else None
        result = found or varied
        if result is None:
            return
        with show.busy("drawing"):
            files = result.save(out)
        if json:
            show.dump({**result.to_dict(), "files": [str(p) for p in files]})
        elif found is not None:
            _tell(found)
        elif varied is not None:
            _tell_study(varied)
        if not json:
            for path in files:
                show.wrote(path)
        for line in result.failures:
            show.error(line)
        if result.failures:
            raise typer.Exit(1)


def _numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as wrong:
        raise typer.BadParameter(f"{text!r} is no list of numbers such as 2,7.", param_hint=option) from wrong


def _tell(found: "ContextBias") -> None:
    _tell_head(found.plan, found.says, found.fills)
    _tell_uptake(found)
    for kind in found.kinds:
        _tell_methods(found, kind)
    show.say(_KEY, "dim")
    stages = f"{found.done} stages in {lasting(found.seconds)}" + (
        f", {found.reused} were done before" if found.reused else ""
    )
    estimate = found.full_seconds
    show.say(f"{stages}. All that was found: results.json.", "dim")
    if found.plan.size != "full" and estimate == estimate:
        show.say(f"The paper's size (--full) would take about {lasting(estimate)} here.", "dim")


def _tell_head(plan: "Plan", says: Sequence[str], fills: "Fills") -> None:
    show.say("Context bias", "bold")
    for line in says:
        show.say(f"  {line}")
    others = ", ".join(f"{name} {two(p)}" for name, p in fills.removed.items() if name != fills.chosen)
    show.say("  Fill chosen on other seeds, by the probability that it takes away:")
    show.say(f"  {fills.chosen} {two(fills.removed[fills.chosen])} ({others})")
    if plan.size == "quick":
        show.say("  The quick size shows that all runs; its numbers mean little.", "yellow")
    show.say()


def _tell_uptake(found: "ContextBias") -> None:
    drawn = show.table(
        ("IoU of the biased digit", {}),
        ("networks", show.RIGHT),
        ("own pictures", show.RIGHT),
        ("unbiased: before", show.RIGHT),
        ("after", show.RIGHT),
        ("took it up", show.RIGHT),
    )
    drawn.padding = (0, 1, 0, 0)
    for kind in found.kinds:
        for digit in (None, *found.plan.digits) if len(found.plan.digits) > 1 else (None,):
            u = found.uptake(kind, digit)
            name = _TITLES[kind] if digit is None else f"  digit {digit}"
            means = [two(i.mean) for i in (u.own, u.before, u.after)]
            drawn.add_row(
                name, str(u.networks), *means, f"{u.took_up}/{u.networks}", style="" if digit is None else "dim"
            )
    show.out().print(drawn)
    show.say(
        "before: of the unbiased network of the same seed; of twins, with their context.\n"
        "Taken up: it falls by 0.1 or more.",
        "dim",
    )


def _tell_methods(found: "ContextBias", kind: "Kind") -> None:
    u, sources = found.uptake(kind), found.sources.says
    show.say()
    show.say(f"{_TITLES[kind]}: {u.took_up} of {u.networks} networks took it up", "bold")
    show.say(f"{sources['digits']}, textures: {sources['textures']}", "dim")
    other = "absent" if kind == "twin" else "others"
    drawn = show.table(("", {"no_wrap": True}), ("CBL [95 %]", show.RIGHT), ("n", show.RIGHT), ("all", show.RIGHT))
    for title in ("CBD", other, "fair", "empty", "F"):
        drawn.add_column(title, **show.RIGHT)
    drawn.padding = (0, 1, 0, 0)
    for method in found.plan.methods:
        r = found.row(kind, method)
        if not r.networks:
            drawn.add_row(method, "failed", *[""] * 7, style="dim")
            continue
        means = [two(i.mean) for i in (r.cbl_all, r.cbd, r.cbd_others, r.cbd_fair)]
        drawn.add_row(method, between(r.cbl), str(r.cbl.n), *means, _empty(r), _passes(r))
    show.out().print(drawn)
    if len(found.plan.digits) > 1:
        for title, value in (("CBL by digit", _cbl_of), ("CBD by digit", _cbd_of)):
            _tell_by_digit(found, kind, title, value)


def _tell_by_digit(found: "ContextBias", kind: "Kind", title: str, value: "Callable[[Row], str]") -> None:
    drawn = show.table((title, {"no_wrap": True}))
    for digit in found.plan.digits:
        drawn.add_column(str(digit), **show.RIGHT)
    drawn.padding = (0, 1, 0, 0)
    for method in found.plan.methods:
        rows = [found.row(kind, method, digit) for digit in found.plan.digits]
        if any(row.networks for row in rows):
            drawn.add_row(method, *map(value, rows))
    show.say()
    show.out().print(drawn)


def _cbl_of(row: "Row") -> str:
    """In parentheses where no network took up the bias: over all of them."""
    return _brief(row.cbl.mean) if row.cbl.n or not row.cbl_all.n else f"({_brief(row.cbl_all.mean)})"


def _cbd_of(row: "Row") -> str:
    return _brief(row.cbd.mean)


def _brief(value: float) -> str:
    """Two decimals without a leading zero: ten of them and a method's name fit into 80 columns."""
    return two(value).removeprefix("0")


def _tell_study(found: "StudyResult") -> None:
    _tell_head(found.plan, found.says, found.fills)
    groups: dict[tuple[str, str], list[Line]] = {}
    for line in found.lines:
        groups.setdefault((line.method, _TITLES[line.row.kind]), []).append(line)
    for (method, kind), lines in groups.items():
        show.say(f"{method}, {kind.lower()}", "bold")
        drawn = show.table((found.subject, {}), ("CBL [95 %]", show.RIGHT), ("n", show.RIGHT), ("all", show.RIGHT))
        for title in ("CBD", "others", "empty", "F"):
            drawn.add_column(title, **show.RIGHT)
        for line in lines:
            r = line.row
            means = [two(i.mean) for i in (r.cbl_all, r.cbd, r.cbd_others)]
            drawn.add_row(line.value, between(r.cbl), str(r.cbl.n), *means, _empty(r), _passes(r))
        show.out().print(drawn)
        show.say()
    show.say("others: CBD of the other classes; of twins, of the class known by the texture's absence.", "dim")


def two(value: float) -> str:
    """Two decimals; a dash where undefined."""
    return f"{value:.2f}" if value == value else "–"


def between(interval: "Interval") -> str:
    """A mean with its interval, where it has one."""
    if interval.low != interval.low:
        return two(interval.mean)
    return f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _empty(row: "Row") -> str:
    return f"{row.empty / row.pictures:.0%}" if row.pictures else "–"


def _passes(row: "Row") -> str:
    return f"{row.passes:.0f}" if row.passes == row.passes else "–"
