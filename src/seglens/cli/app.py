"""The commands together, and what concerns all of them."""

import os
from importlib.metadata import version
from typing import Annotated

import typer

from seglens.cli import show
from seglens.cli.activations import activations
from seglens.cli.bench import bench
from seglens.cli.check_onnx import check
from seglens.cli.compare import compare
from seglens.cli.context import context
from seglens.cli.demo import demo
from seglens.cli.evaluate import errors, evaluate
from seglens.cli.explain import explain
from seglens.cli.graph import graph
from seglens.cli.inspect import classes, describe, layers, methods
from seglens.cli.latent import latent
from seglens.cli.options import with_method_options
from seglens.cli.page import page
from seglens.cli.parts import parts
from seglens.cli.sensitivity import sensitivity
from seglens.cli.train import train
from seglens.cli.verify import verify

app = typer.Typer(
    name="seglens",
    help="Why did the network label these pixels?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"seglens {version('seglens')}")
        raise typer.Exit


@app.callback()
def everywhere(
    show_version: Annotated[
        bool, typer.Option("--version", metavar="", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
    traceback: Annotated[
        bool, typer.Option("--traceback", metavar="", help=f"Errors with their traceback; also {show.TRACEBACK}=1.")
    ] = False,
) -> None:
    """Why did the network label these pixels?"""
    if traceback:
        os.environ[show.TRACEBACK] = "1"


app.command()(with_method_options(explain))
app.command()(with_method_options(compare))
app.command()(with_method_options(verify))
app.command()(with_method_options(context))
app.command()(with_method_options(parts))
app.command()(with_method_options(sensitivity))
app.command()(activations)
app.command()(classes)
app.command()(layers)
app.command()(graph)
app.command()(methods)
app.command()(describe)
app.command()(evaluate)
app.command()(errors)
app.command()(train)
app.add_typer(bench)
app.add_typer(latent)
app.command(name="check-onnx")(check)
app.command()(demo)
app.command(name="app")(page)


def main() -> None:
    """The console script `seglens`."""
    app()


__all__ = ["app", "main"]
