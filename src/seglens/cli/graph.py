"""seglens graph: how data flows through a network, as a drawing and as JSON."""

from pathlib import Path
from typing import Annotated

import typer

from seglens.cli import show
from seglens.cli.arguments import Constructor, Device, Download, Json, NetworkFile, Trust, files_option, opened
from seglens.cli.files import check_files
from seglens.run.graph import formats, network_graph


def graph(
    network: NetworkFile,
    image: Annotated[Path | None, typer.Argument(metavar="IMAGE", help="Run on this image.")] = None,
    size: Annotated[
        tuple[int, int] | None, typer.Option(metavar="H W", help="Run on a grey image of this size.")
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Keep this many levels of modules. By default all in JSON, and in a drawing as many as are readable.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[list[Path] | None, files_option("Write the graph: .svg draws it, .json holds it")] = None,
    json: Json = False,
    device: Device = None,
    trust: Trust = False,
    download: Download = False,
    constructor: Constructor = None,
) -> None:
    """Draw how data flows: layers and operations, with skips and concatenations, modules as boxes in boxes.

    seglens graph unet.pt2 --out unet.svg --out unet.json
    """
    with show.reported():
        if image is not None and size is not None:
            raise typer.BadParameter("give an image or a size, not both.", param_hint="--size")
        check_files(out or (), formats(), [image, Path(network)])
        net = opened(network, trust, constructor, device, download=download)
        with show.busy("running the network once"):
            found = network_graph(net, image, size=size)
        written = [found.save(path, depth) for path in dict.fromkeys(out or ())]
        if json:
            show.dump((found if depth is None else found.collapsed(depth)).to_dict())
            return
        drawn = show.table(("levels", show.RIGHT), ("nodes", show.RIGHT), ("edges", show.RIGHT), ("", {}))
        shown = depth or found.readable_depth()
        for level in range(1, found.depth + 1):
            cut = found.collapsed(level)
            marks = ["drawn"] * (level == min(shown, found.depth)) + ["all"] * (level == found.depth)
            drawn.add_row(str(level), f"{len(cut.nodes):,}", f"{len(cut.edges):,}", ", ".join(marks))
        show.say(f"{found.network}: {found.type}, {found.parameters:,} parameters", "bold")
        show.say()
        show.out().print(drawn)
        show.say()
        show.say("nodes: layers, operations outside layers, and modules below that many levels.", "dim")
        if found.idle:
            show.say(f"Not drawn, as they hand on what they are given: {len(found.idle)} layers.", "dim")
        for path in written:
            show.wrote(path)
        if not written:
            show.say("To draw it: --out FILE.svg", "dim")
