"""seglens app: the page, in the browser, from a server on this machine."""

from pathlib import Path
from typing import Annotated

import typer

from seglens.app import check_extra
from seglens.app.paths import IMAGES
from seglens.app.settings import Settings
from seglens.cli import show
from seglens.cli.arguments import opened
from seglens.core.errors import ImageError, ParameterError
from seglens.core.images import expand_paths


def page(
    network: Annotated[
        str | None,
        typer.Argument(metavar="NETWORK", help="A network's file or folder, or a built-in name.", show_default=False),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Argument(metavar="IMAGES", help="A folder of pictures, or one picture.", show_default=False),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            min=0,
            max=65535,
            help="Where to listen; 0 for any free port. By default 8765 if free.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="NAME", help="Listen there, for others too. By default this machine alone.")
    ] = "127.0.0.1",
    no_browser: Annotated[bool, typer.Option("--no-browser", metavar="", help="Only print the address.")] = False,
    store: Annotated[
        Path | None,
        typer.Option("--store", metavar="FOLDER", help="Where results are kept. By default in your cache."),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            "--root", metavar="FOLDER", help="A folder that the page may look into; several times for several."
        ),
    ] = None,
    static: Annotated[Path | None, typer.Option("--static", hidden=True)] = None,
) -> None:
    """Open the page: see, select, ask, compare, in your browser. Ctrl-C ends it.

    seglens app unet.pt2 photos/
    """
    with show.reported():
        check_extra()
        # After the check, for they need the extra.
        from seglens.app.faults import without_options
        from seglens.app.process import run

        roots = _roots(network, images, root or [])
        if network is not None:
            # Opened here as well, so that what is wrong with it is said here.
            with without_options():
                opened(network, False, None, None)
        if images is not None:
            _check_images(images)
        if host not in ("127.0.0.1", "localhost", "::1"):
            show.warning(
                f"the page listens on {host}, where others reach it: whoever has the address with its token may use "
                "it, and nothing is encrypted. Safer from afar: ssh -L 8765:127.0.0.1:8765."
            )
        settings = Settings(
            host=host,
            port=port,
            store=str(store.absolute()) if store else "",
            roots=tuple(str(r.absolute()) for r in roots),
            network=network or "streets-unet",
            images=None if images is None else str(images.absolute()),
            static=None if static is None else str(static.absolute()),
            browser=not no_browser,
        )
        raise typer.Exit(run(settings))


def _roots(network: str | None, images: Path | None, more: list[Path]) -> list[Path]:
    """The folders that the page may look into: of the network, of the pictures, the current one, and those named."""
    for folder in more:
        if not folder.is_dir():
            raise ParameterError(f"--root {folder} is no folder.")
    found = [Path.cwd(), *more]
    for given in (Path(network) if network else None, images):
        if given is not None and given.exists():
            found.append(given if given.is_dir() else given.parent)
    return found


def _check_images(images: Path) -> None:
    """Raise ImageError for pictures that are not there, or that no browser shows."""
    if not images.exists():
        raise ImageError(f"no file or folder {str(images)!r}.\n  Give a folder of pictures, or one picture.")
    if images.is_file() and images.suffix.lower() not in IMAGES:
        raise ImageError(f"{images.name} is no picture that the page shows.\n  Expected {' '.join(IMAGES)}.")
    expand_paths(images)
