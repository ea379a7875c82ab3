"""seglens demo: the main job on built-in data."""

from pathlib import Path
from typing import Annotated

import typer

from seglens.cli import show
from seglens.cli.arguments import Json


def demo(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the pictures go.")] = Path("demo"),
    json: Json = False,
) -> None:
    """Explain a built-in street scene with the built-in networks, and say where to look."""
    # Here, not above: it brings the data set, which no other command needs.
    from seglens.run.demo import demo as run

    with show.reported():
        with show.Steps(None, json) as steps:
            made = run(out, steps.begin)
        if json:
            show.dump([{"files": [str(p) for p in s.files], "shows": s.shows} for s in made])
            return
        drawn = show.table(("look at", {"style": "bold", "overflow": "fold"}), ("what it shows", {}))
        for sight in made:
            drawn.add_row("\n".join(show.place(p) for p in sight.files), sight.shows, end_section=True)
        drawn.padding = (0, 2, 1, 0)
        show.out().print(drawn)
        show.say(f"Open {show.place(out / 'demo.html')} first: every map, with opacity and outline to switch.")
        show.say("Your own network: seglens explain NETWORK IMAGE --class NAME", "dim")
