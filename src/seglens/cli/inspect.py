"""seglens classes, layers, methods, describe: what there is to ask about."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from seglens.cli import show
from seglens.cli.arguments import (
    Constructor,
    Device,
    Download,
    Image,
    Json,
    NetworkFile,
    OverlapOption,
    TilesOption,
    Trust,
    files_option,
    opened,
)
from seglens.cli.files import check_files
from seglens.cli.options import shown
from seglens.run.describe import as_toml, colours_of, default_of, described, write_beside
from seglens.run.found import find_classes
from seglens.run.layers import Layer, grey, layer_tree
from seglens.run.methods import MethodCard, method_card, method_cards
from seglens.run.segment import FORMATS, segment

_KINDS = {"bool": "yes or no", "int": "whole number", "float": "number"}
_BAR = 16  # characters of the longest bar


def classes(
    network: NetworkFile,
    image: Image,
    out: Annotated[
        list[Path] | None,
        files_option(
            "Write the predicted segmentation: .png is a label map in the classes' colours, .npz has the confidence too"
        ),
    ] = None,
    json: Json = False,
    device: Device = None,
    tiles: TilesOption = None,
    overlap: OverlapOption = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Show what the network found in an image: classes, areas, confidence, instances; of a classifier, its scores.

    seglens classes unet.pt2 street.png --out labels.png
    """
    with show.reported():
        check_files(out or (), FORMATS, [image, Path(network)])
        net = opened(network, trust, constructor, device, tiles, overlap, download=download)
        # First, so that a network that labels no pixels is told before anything is printed.
        predicted = segment(net, image) if out else None
        written = [] if predicted is None else [predicted.save(path) for path in out or ()]
        found = find_classes(net, image)
        if json:
            show.dump([f.to_dict() for f in found])
            return
        colours = colours_of([f.name for f in sorted(found, key=lambda f: f.index)], net)
        space = any(f.share is not None for f in found)
        drawn = show.table(("class", {"overflow": "fold"}), ("number", show.RIGHT))
        if space:
            drawn.add_column("pixels", **show.RIGHT)
            drawn.add_column("share of the image", no_wrap=True)
        scored = any(f.logit is not None for f in found)
        if scored:
            drawn.add_column("logit", **show.RIGHT)
        drawn.add_column("confidence" if space else "probability" if scored else "mean", **show.RIGHT)
        counted = any(f.instances is not None for f in found)
        if counted and space:
            drawn.add_column("pieces", **show.RIGHT)
        shown = [f for f in found if f.pixels] if space else found
        largest = max((f.share or 0.0 for f in shown), default=0.0) or 1.0
        for f in shown:
            cells: list[str | Text] = [show.swatch(colours[f.index]) + f.name, str(f.index)]
            if space:
                share = f.share or 0.0
                cells += [f"{f.pixels:,}", f"{share:6.1%} {'━' * max(1, round(share / largest * _BAR))}"]
            if scored:
                cells.append(f"{f.logit:.3f}")
            cells.append(f"{f.confidence:.3f}")
            if counted and space:
                cells.append("–" if f.instances is None else str(f.instances))
            drawn.add_row(*cells)
        show.say(Text.assemble((net.name, "bold"), " on ", (image.name, "bold")))
        show.out().print(drawn)
        missing = [f.name for f in found if space and not f.pixels]
        if missing:
            show.say(f"Found nowhere: {', '.join(missing)}.")
        if counted and space:
            show.say("Pieces: connected parts of the prediction; small ones are often noise.", "dim")
        for path in written:
            show.wrote(path)


def layers(
    network: NetworkFile,
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="Run on this image.")] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option(metavar="H W", help="Run on a grey image of this size.")
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, metavar="N", help="Show this many levels.")] = None,
    json: Json = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Show the layers as a tree: type, output's shape, parameters, receptive field, stride."""
    with show.reported():
        if image is not None and size is not None:
            raise typer.BadParameter("give an image or a size, not both.", param_hint="--size")
        net = opened(network, trust, constructor, device, download=download)
        with show.busy("running the network once"):
            found = layer_tree(net, image, size=size)
        default = default_of(net, found)
        if json:
            show.dump(
                {
                    "network": net.name,
                    "default_layer": default,
                    "layers": [{**a.to_dict(), "default": a.path == default} for a in found],
                }
            )
            return
        cut: dict[str, Any] = {"no_wrap": True, "overflow": "ellipsis"}
        drawn = show.table(
            ("layer", {"overflow": "fold"}),
            ("type", {**cut, "max_width": 20}),
            ("output", cut),
            ("parameters", show.RIGHT),
        )
        drawn.add_column("sees", **show.RIGHT)
        drawn.add_column("stride", **show.RIGHT)
        paths = [a.path for a in found]
        for a in found:
            if depth is not None and a.depth > depth:
                continue
            name = Text(_branch(a.path, paths), style="dim")
            name.append(a.path.rpartition(".")[2] or net.name, "bold green" if a.path == default else "not dim")
            if a.runs > 1:
                name.append(f" ×{a.runs}", "yellow")
            if a.path == default:
                name.append(" ◀", "bold green")
            seen = a.runs > 0
            drawn.add_row(
                name,
                a.type,
                _output(a) if a.shape else ("–" if seen or not a.hooked else "not run"),
                f"{a.parameters:,}" if a.parameters else "",
                _sides(["all" if n is None else str(n) for n in a.field]) if a.field else "",
                _sides([_stride(s) for s in a.stride]) if a.stride else "",
                style="" if seen else "dim",
            )
        show.out().print(drawn)
        show.say()
        show.say("A layer's full name joins the names above it with dots, without the network's.", "dim")
        shape = "×".join(map(str, grey(net, size).shape[2:]))
        of = show.place(image) if image else f"a grey picture of {shape}"
        show.say(f"output: channels × height × width, for {of}.", "dim")
        show.say("sees: receptive field in pixels.", "dim")
        held = {_held(a) for a in found if a.layout}
        if "tokens" in held:
            show.say("tokens: read as a map; +N: N of them are no place (class tokens).", "dim")
        if "windows" in held:
            show.say("windows: the map lies cut into windows, and is put together.", "dim")
        if "last" in held:
            show.say("last: channels are the last axis of what the layer gives.", "dim")
        if any(a.runs > 1 for a in found):
            show.say("×N: runs N times in one pass; its last call is shown.", "dim")
        show.say(f"◀ explained by default: {default}" if default else "No layer has a map to explain by default.")


def methods(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="One method in full.")] = None,
    json: Json = False,
) -> None:
    """List the methods, or show one with its formula and parameters."""
    with show.reported():
        if name is not None:
            card = method_card(name)
            if json:
                show.dump(card.to_dict())
            else:
                _show_method(card)
            return
        cards = method_cards()
        if json:
            show.dump([c.to_dict() for c in cards])
            return
        drawn = show.table(
            ("method", {"no_wrap": True, "style": "bold"}), ("formula", {}), ("reads", {"no_wrap": True})
        )
        for card in cards:
            told = Text(card.problem or card.summary, style="red" if card.problem else "")
            drawn.add_row(card.name, told, "" if card.problem else "a layer" if card.reads_layer else "the input")
        show.out().print(drawn)
        show.say()
        show.say("One in full: seglens methods grad-cam", "dim")


def describe(
    network: NetworkFile,
    write: Annotated[bool, typer.Option("--write", metavar="", help="Write it beside the network's file.")] = False,
    force: Annotated[bool, typer.Option("--force", metavar="", help="Replace the description that is there.")] = False,
    json: Json = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Show what is stated, found or guessed of a network, as the description that can lie beside it."""
    with show.reported():
        net = opened(network, trust, constructor, device, download=download)
        with show.busy("looking at the network"):
            found = described(net, constructor)
        written = write_beside(found, network, force=force) if write else None
        if json:
            show.dump({**found.to_dict(), "written": None if written is None else str(written)})
            return
        typer.echo(as_toml(found), nl=False)
        if written is not None:
            show.say(f"→ {show.place(written)}", console=show.err())


def _show_method(card: MethodCard) -> None:
    show.say(card.name, "bold")
    show.say()
    for paragraph in card.doc.split("\n\n"):
        show.say(textwrap.fill(" ".join(paragraph.split()), max(show.out().width, 40), break_long_words=False))
    if not card.parameters:
        return
    show.say()
    drawn = show.table(("option", {"no_wrap": True, "style": "bold"}), ("takes", {}), ("default", {}), ("", {}))
    for p in card.parameters:
        flag = p.name.replace("_", "-")
        takes = " | ".join(p.choices) or _KINDS.get(p.kind, "text")
        if p.bounds is not None:
            takes += f" {p.bounds}"
        drawn.add_row(f"--{flag}", takes, shown(p.default), p.help)
    show.out().print(drawn)


def _branch(path: str, paths: Sequence[str]) -> str:
    """The lines of the tree in front of a layer's name."""
    if not path:
        return ""
    parts = path.split(".")
    lines = ""
    for k in range(1, len(parts)):
        lines += "  " if _is_last(".".join(parts[:k]), paths) else "│ "
    return lines + ("└ " if _is_last(path, paths) else "├ ")


def _is_last(path: str, paths: Sequence[str]) -> bool:
    above = path.rpartition(".")[0]
    siblings = [p for p in paths if p and p.rpartition(".")[0] == above]
    return siblings[-1] == path


def _output(layer: Layer) -> str:
    """Channels × height × width of the map, and the form in which the layer holds it where it is another."""
    if layer.layout is None or layer.map_shape is None:
        return _times((layer.shape or ())[1:])
    extra = layer.layout.partition(" + ")[2]
    return f"{_times(layer.map_shape[1:])} {_held(layer)}{f'+{extra}' if extra else ''}"


def _held(layer: Layer) -> str:
    """The form in one word."""
    return "last" if layer.layout == "channels last" else (layer.layout or "").partition(" ")[0]


def _times(numbers: Sequence[int]) -> str:
    return "×".join(map(str, numbers))


def _sides(values: Sequence[str]) -> str:
    """Once where all sides agree."""
    return values[0] if len(set(values)) == 1 else "×".join(values)


def _stride(value: Any) -> str:
    return "–" if value is None else f"{float(value):g}"
