"""seglens check-onnx: an ONNX network by seglens beside onnxruntime."""

from pathlib import Path
from typing import Annotated

import typer

from seglens.cli import show
from seglens.cli.arguments import Json, Trust
from seglens.run.onnx_check import Difference, check_onnx


def check(
    network: Annotated[Path, typer.Argument(metavar="FILE", help="An ONNX file.")],
    image: Annotated[
        Path | None, typer.Argument(metavar="IMAGE", help="Run on this image; by default on noise.")
    ] = None,
    nodes: Annotated[
        bool, typer.Option("--nodes", metavar="", help="Compare every node, and name the first that differs.")
    ] = False,
    tolerance: Annotated[
        float, typer.Option(min=0, metavar="X", help="Largest difference, as a share of a value's largest number.")
    ] = 1e-4,
    json: Json = False,
    trust: Trust = False,
) -> None:
    """Compare what seglens and onnxruntime compute of an ONNX network. Exit code 1 where they differ.

    seglens check-onnx unet.onnx street.png --nodes
    """
    with show.reported():
        with show.busy("running the network twice"):
            found = check_onnx(network, image, nodes=nodes, tolerance=tolerance, trust=trust)
        if json:
            show.dump(found.to_dict())
        else:
            drawn = show.table(
                ("output", {"overflow": "fold"}), ("made by", {"overflow": "fold"}), ("shape", {"no_wrap": True})
            )
            drawn.add_column("difference", **show.RIGHT)
            drawn.add_column("of its largest", **show.RIGHT)
            for d in found.outputs:
                drawn.add_row(*_cells(d), style="" if d.agrees else "red")
            show.out().print(drawn)
            first = found.first
            if first is not None:
                show.say(f"First node that differs: {first.node} ({first.op}), by {first.relative:.1e}.", "red")
            elif nodes:
                show.say(f"All {len(found.nodes)} values between agree too.")
            show.say("They agree." if found.agrees else "They differ.", "" if found.agrees else "bold red")
    if not found.agrees:
        raise typer.Exit(1)


def _cells(d: Difference) -> list[str]:
    return [d.value, d.op, "×".join(map(str, d.shape)), f"{d.absolute:.1e}", f"{d.relative:.1e}"]
