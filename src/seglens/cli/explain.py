"""seglens explain: maps for images, written as they come."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
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
    FormatList,
    Images,
    Json,
    MaskFile,
    NetworkFile,
    OfWord,
    OverlapOption,
    Precision,
    Quiet,
    Reduce,
    ReduceWord,
    RegionText,
    TilesOption,
    Trust,
    class_option,
    folder_option,
    layer_option,
    method_option,
    opened,
    region_of,
    region_words,
)
from seglens.cli.display import PartOption, PercentileOption, SharedOption, WithinOption, display_of
from seglens.cli.files import FOLDER, image_files, places_of
from seglens.cli.options import MethodOption, make_methods
from seglens.cli.sink import Sink, Stored
from seglens.cli.units import ConditionOption, DrawOption, LatentOption, UnitOption, asked_units
from seglens.core.explanation import Explanation
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.run.pairs import paired
from seglens.run.results import ResultFolder, Written
from seglens.run.several import Given, Outcome, Question, explain_all
from seglens.run.words import lists, numbers

_LINES = 12  # explanations of one image that are listed; the rest are counted


def explain(
    network: NetworkFile,
    images: Images,
    classes: Annotated[
        list[str] | None,
        class_option("A class by name or number; several times for several. By default the one that covers most."),
    ] = None,
    unit: UnitOption = None,
    method: Annotated[
        list[str] | None,
        method_option("How to explain, see `seglens methods`; several times for several. By default grad-cam."),
    ] = None,
    layer: Annotated[
        list[str] | None,
        layer_option("A layer to read, see `seglens layers`; several times for several; 'all' for every block."),
    ] = None,
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
    of_latent: LatentOption = None,
    draw: DrawOption = 0,
    condition: ConditionOption = None,
    out: Annotated[
        list[Path] | None,
        folder_option(
            "A folder gets a file for each image; a file, its suffix being its format, holds everything. By default "
            f"{FOLDER}"
        ),
    ] = None,
    format: FormatList = None,
    part: PartOption = None,
    within: WithinOption = None,
    percentile: PercentileOption = None,
    shared: SharedOption = False,
    cost: Annotated[
        bool, typer.Option("--cost", metavar="", help="Count what it costs, in forward passes.", rich_help_panel=RESULT)
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
    device: Device = None,
    tiles: TilesOption = None,
    overlap: OverlapOption = None,
    precision: Annotated[Precision | None, typer.Option(help="Run the network under autocast.")] = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
    settings: dict[MethodOption, Any] | None = None,
) -> None:
    """Explain why the network labels pixels as it does: one map for each image, class and method.

    seglens explain unet.pt2 street.png --class rider --method integrated-gradients --nodes 100

    Of an autoencoder, where its latent units look: seglens explain vae.pt face.png --unit 3 --unit 4
    """
    with show.reported():
        methods = make_methods(method or ["grad-cam"], settings or {})
        labels: list[str | None] = [*classes] if classes else [None]
        where = region_of(region, mask_file)
        read = None if of is None else of.value
        questions = [Question(label, against, where, read, reduce.value) for label in labels]
        files = image_files(images)
        given = [
            Given(*g)
            for g in zip(files, paired(files, truth, "truth"), paired(files, instances, "instance ids"), strict=True)
        ]
        places = places_of(out or [FOLDER], format, [*files, truth, instances, mask_file, Path(network)])
        folder = None
        if places.folder is not None:
            folder = ResultFolder(places.folder, files, region_words(region, mask_file) or None, bool(layer))
        sink = Sink.of(places, folder, display_of(part, within, percentile, shared, truth=truth is not None))
        layers = "all" if layer and "all" in layer else layer
        net = opened(network, trust, constructor, device, tiles, overlap, download=download)
        units = asked_units(
            net,
            files,
            methods,
            unit,
            classes=classes,
            latent=of_latent,
            draw=draw,
            condition=condition,
            against=against,
            of=read,
        )
        if units is None:
            _check_classes(net, [*labels, against])
            answer = partial(explain_all, net)
        else:
            questions = [replace(q, region=where, reduce=reduce.value) for q in units.questions]
            answer = units.explain_all
        report = _Report(net.name, network, json, quiet)
        try:
            with show.Steps(len(files) * len(methods), json or quiet) as steps, watching(steps.within):
                for outcome in answer(
                    given,
                    methods,
                    questions,
                    layers=layers,
                    precision=None if precision is None else precision.value,
                    cost=cost,
                    step=lambda image, name: steps.begin(f"{image} · {name}"),
                ):
                    stored = sink.take(outcome)
                    with steps.aside():
                        report.add(outcome, stored)
        except KeyboardInterrupt:
            report.interrupted = True
            if json or quiet:
                raise
            # The report says it.
            raise typer.Exit(130) from None
        finally:
            if units is not None:
                units.close()
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
        self._done = self._begun = 0
        self.interrupted = False
        self._told: set[str] = set()

    @property
    def failed(self) -> bool:
        """Whether any image failed in part or as a whole."""
        return bool(self._failures)

    def add(self, outcome: Outcome, stored: Stored) -> None:
        """One image is done, or as much of it as came before an interruption."""
        if outcome.whole:
            self._done += bool(outcome.explanations)
        else:
            self._begun += bool(outcome.explanations)
        for e in outcome.explanations:
            self._explained.append(_plain(e, outcome.given.image, stored.files))
        if outcome.explanations and not (self._json or self._quiet):
            show.say(Text(show.place(outcome.given.image), style="bold"))
            for line in [*(f"  {note}" for note in outcome.notes), *_lines(outcome.explanations)]:
                show.say(line)
            for file in stored.files:
                show.wrote(file.path, file.replaced)
        for failure in outcome.failures:
            self._fail(outcome.given.image, failure.image, str(failure.error))
        if stored.problem:
            self._fail(outcome.given.image, outcome.given.image.name, stored.problem)

    def _fail(self, image: Path, name: str, text: str) -> None:
        self._failures.append({"image": str(image), "error": text})
        show.failure(name, "the same." if text in self._told else text)
        self._told.add(text)

    def end(self, stored: Stored, images: int) -> None:
        """All is done, or as much as could be. stored: the files that hold everything, where there are such."""
        if stored.problem:
            # One word, though it fails for every image.
            self._failures += [{"image": str(image), "error": stored.problem} for image in stored.images]
            show.error(stored.problem)
        if self._json:
            for one in self._explained:
                one["files"] += [str(file.path) for file in stored.files]
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
        for file in stored.files:
            show.wrote(file.path, file.replaced)
        if (images > 1 and self._done) or self._failures or self.interrupted:
            count = f"{self._done} of {images} image{'s' * (images != 1)} explained"
            failed = len({f["image"] for f in self._failures})
            told = [count]
            told += [f"{self._begun} in part"] if self._begun else []
            told += [f"{failed} with errors"] if failed else []
            show.say("Interrupted: " * self.interrupted + ", ".join(told) + ".")


def _lines(explanations: Sequence[Explanation]) -> list[str]:
    lines: list[str] = []
    for e in explanations[:_LINES]:
        layer = f" at {e.layer}" if e.layer else ""
        cost = f", {e.cost.passes:.2f} F, {e.cost.seconds:.2f} s" if e.cost is not None else ""
        asked = bool(e.channel) or np.isfinite(e.score)
        score = f", score {show.number(e.score)}" if np.isfinite(e.score) else ""
        # Units are read as they are: logits are of classes.
        read = "" if e.label is None else f" ({e.of})"
        answer = f": {e.target}{score}{read}" if asked else f", in units of {e.unit}"
        found = ", ".join(f"{name} {value}" for name, value in numbers(e))
        line = f"  {e.method}{layer}{answer}{cost}"
        # What the method found besides: the channel that is shown, how complete the map is.
        one = f"{line}, {found}" if found else line
        lines += [one] if len(one) <= show.out().width or not found else [line, f"    {found}"]
        lines += [f"    {name}: {value}" for name, value in lists(e)]
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
        "numbers": e.numbers,
        "notes": list(e.notes),
        "cost": None if e.cost is None else {"passes": e.cost.passes, **asdict(e.cost)},
        "files": [str(w.path) for w in written],
    }
