"""seglens explain: maps for images, written as they come."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    Constructor,
    Device,
    Json,
    NetworkFile,
    Of,
    Precision,
    Reduce,
    Trust,
    opened,
    region_of,
)
from seglens.cli.display import PartOption, PercentileOption, SharedOption, WithinOption, display_of
from seglens.cli.options import MethodOption, make_methods
from seglens.cli.sink import Sink
from seglens.core.explanation import Explanation
from seglens.core.images import expand_paths
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.run.pairs import paired
from seglens.run.results import ResultFolder, Written, formats
from seglens.run.several import Given, Outcome, Question, explain_all

FOLDER = Path("explanations")

_QUESTION, _RESULT, _RUN = "The question", "The result", "How it runs"
_LINES = 12  # explanations of one image that are listed; the rest are counted


def explain(
    network: NetworkFile,
    images: Annotated[list[str], typer.Argument(metavar="IMAGES", help="Image files, folders or globs.")],
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "-c",
            metavar="NAME",
            help="A class by name or number; several times for several. By default the one that covers most.",
            rich_help_panel=_QUESTION,
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            "-m",
            metavar="NAME",
            help="See `seglens methods`; several times for several. By default grad-cam.",
            rich_help_panel=_QUESTION,
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(
            "--layer",
            "-l",
            metavar="PATH",
            help="A layer to read, see `seglens layers`; several times for several; 'all' for every block.",
            rich_help_panel=_QUESTION,
        ),
    ] = None,
    region: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Where to ask: pixel(y, x), box(top, left, bottom, right), predicted(car), truth(car), "
            "instance(car, largest=1), …, joined by &, | and ~. By default where the class is predicted.",
            rich_help_panel=_QUESTION,
        ),
    ] = None,
    mask_file: Annotated[
        Path | None,
        typer.Option(
            "--mask", metavar="FILE", help="A mask as region, with --region its part inside.", rich_help_panel=_QUESTION
        ),
    ] = None,
    against: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Why the class and not this one.", rich_help_panel=_QUESTION),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE|FOLDER",
            help="True labels; those of a folder are paired with the images by stem.",
            rich_help_panel=_QUESTION,
        ),
    ] = None,
    instances: Annotated[
        Path | None,
        typer.Option(metavar="FILE|FOLDER", help="True instance ids, likewise.", rich_help_panel=_QUESTION),
    ] = None,
    of: Annotated[
        Of | None,
        typer.Option(help="What is explained; by default what the method's paper takes.", rich_help_panel=_QUESTION),
    ] = None,
    reduce: Annotated[
        Reduce, typer.Option(help="Mean over the region, or sum as in the papers.", rich_help_panel=_QUESTION)
    ] = Reduce.mean,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER|FILE",
            help="A folder gets a file for each image; a file, its suffix being its format, holds everything.",
            rich_help_panel=_RESULT,
        ),
    ] = FOLDER,
    format: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help=f"Formats for a folder, joined by commas: {', '.join(formats())}. By default png.",
            rich_help_panel=_RESULT,
            show_default=False,
        ),
    ] = None,
    part: PartOption = None,
    within: WithinOption = None,
    percentile: PercentileOption = None,
    shared: SharedOption = False,
    cost: Annotated[
        bool, typer.Option("--cost", help="Count what it costs, in forward passes.", rich_help_panel=_RESULT)
    ] = False,
    json: Json = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")] = False,
    device: Device = None,
    precision: Annotated[
        Precision | None, typer.Option(help="Run the network under autocast.", rich_help_panel=_RUN)
    ] = None,
    trust: Trust = False,
    constructor: Constructor = None,
    settings: dict[MethodOption, Any] | None = None,
) -> None:
    """Explain why the network labels pixels as it does: one map for each image, class and method.

    seglens explain unet.pt2 street.png --class rider --method integrated-gradients --nodes 100
    """
    with show.reported():
        methods = make_methods(method or ["grad-cam"], settings or {})
        labels: list[str | None] = [*classes] if classes else [None]
        where = region_of(region, mask_file)
        read = None if of is None else of.value
        questions = [Question(label, against, where, read, reduce.value) for label in labels]
        files = expand_paths(images)
        given = [
            Given(*g)
            for g in zip(files, paired(files, truth, "truth"), paired(files, instances, "instance ids"), strict=True)
        ]
        inputs = [p for p in (*files, truth, instances, mask_file, Path(network)) if p is not None]
        asked_where = " & ".join(([region] if region else []) + ([mask_file.stem] if mask_file else []))
        display = display_of(part, within, percentile, shared, truth=truth is not None)
        sink = Sink.of(ResultFolder(out, files, asked_where or None, bool(layer)), format, inputs, display)
        layers = "all" if layer and "all" in layer else layer
        net = opened(network, trust, constructor, device)
        _check_classes(net, [*labels, against])
        report = _Report(net.name, network, json, quiet)
        try:
            with show.Steps(len(files) * len(methods), json or quiet) as steps, watching(steps.within):
                for outcome in explain_all(
                    net,
                    given,
                    methods,
                    questions,
                    layers=layers,
                    precision=None if precision is None else precision.value,
                    cost=cost,
                    step=lambda image, name: steps.begin(f"{image} · {name}"),
                ):
                    written = sink.take(outcome)
                    with steps.aside():
                        report.add(outcome, written)
        finally:
            # After an error or an interruption too: what was computed is kept.
            report.end(sink.close(), len(files))
        if report.failed:
            raise typer.Exit(1)


def _check_classes(network: Network, names: Sequence[str | None]) -> None:
    """Before any image is touched. Raises ClassNotFoundError; a network without a class table knows only later."""
    if network.classes is not None and network.link != "none":
        for name in names:
            if name is not None:
                network.classes.index(name)


class _Report:
    """What was done, on the terminal as it happens, or as JSON at the end."""

    def __init__(self, name: str, source: str, json: bool, quiet: bool) -> None:
        self._name, self._source, self._json, self._quiet = name, source, json, quiet
        self._explained: list[dict[str, Any]] = []
        self._failures: list[dict[str, str]] = []
        self._done = 0
        self._told: set[str] = set()

    @property
    def failed(self) -> bool:
        """Whether any image failed in part or as a whole."""
        return bool(self._failures)

    def add(self, outcome: Outcome, written: Sequence[Written]) -> None:
        """One image is done."""
        self._done += bool(outcome.explanations)
        for e in outcome.explanations:
            self._explained.append(_plain(e, outcome.given.image, written))
        if outcome.explanations and not (self._json or self._quiet):
            show.say(Text(show.place(outcome.given.image), style="bold"))
            for line in _lines(outcome.explanations):
                show.say(line)
            for file in written:
                show.say(_arrow(file))
        for failure in outcome.failures:
            text = str(failure.error)
            self._failures.append({"image": str(outcome.given.image), "error": text})
            # An error may name its file already.
            show.error(
                f"{failure.image}: the same."
                if text in self._told
                else text
                if text.startswith(failure.image)
                else f"{failure.image}: {text}"
            )
            self._told.add(text)

    def end(self, file: Written | None, images: int) -> None:
        """All is done, or as much as could be."""
        if self._json:
            if file is not None:
                for one in self._explained:
                    one["files"] = [str(file.path)]
            show.dump(
                {
                    "network": self._name,
                    "source": self._source,
                    "explanations": self._explained,
                    "failures": self._failures,
                }
            )
            return
        if self._quiet:
            return
        if file is not None:
            show.say(_arrow(file))
        if (images > 1 and self._done) or self._failures:
            count = f"{self._done} of {images} image{'s' * (images != 1)} explained"
            failed = len({f["image"] for f in self._failures})
            show.say(count + (f", {failed} with errors." if failed else "."))


def _arrow(file: Written) -> str:
    return f"  → {show.place(file.path)}{' (replaced)' if file.replaced else ''}"


def _lines(explanations: Sequence[Explanation]) -> list[str]:
    lines: list[str] = []
    for e in explanations[:_LINES]:
        layer = f" at {e.layer}" if e.layer else ""
        cost = f", {e.cost.passes:.2f} F, {e.cost.seconds:.2f} s" if e.cost is not None else ""
        asked = bool(e.channel) or np.isfinite(e.score)
        answer = f": {e.target}, score {show.number(e.score)} ({e.of})" if asked else f", in units of {e.unit}"
        lines.append(f"  {e.method}{layer}{answer}{cost}")
    if len(explanations) > _LINES:
        lines.append(f"  and {len(explanations) - _LINES} more")
    return lines


def _plain(e: Explanation, image: Path, written: Sequence[Written]) -> dict[str, Any]:
    values = e.map[np.isfinite(e.map)]
    return {
        "image": str(image),
        "target": e.target,
        "channel": e.channel,
        "method": e.method,
        "parameters": dict(e.parameters),
        "layer": e.layer,
        "score": e.score,
        "of": e.of,
        "unit": e.unit,
        "size": list(e.map.shape),
        "minimum": float(values.min()) if values.size else None,
        "maximum": float(values.max()) if values.size else None,
        "region_pixels": None if e.region is None else int(e.region.sum()),
        "weight_in_region": None if e.region is None else e.share(e.region),
        "notes": list(e.notes),
        "cost": None if e.cost is None else {"passes": e.cost.passes, **asdict(e.cost)},
        "files": [str(w.path) for w in written],
    }
