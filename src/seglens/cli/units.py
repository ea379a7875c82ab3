"""Options for latent units, and the questions that they make."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from seglens.cli.arguments import QUESTION
from seglens.core.method import METHODS, Method
from seglens.core.network import Network, Of
from seglens.run.latent.asking import WORDS, AskedUnits, condition_of, has_units


class LatentWord(StrEnum):
    """What of the posterior a unit is read off."""

    mu = "mu"
    logvar = "logvar"
    sample = "sample"


UnitOption = Annotated[
    list[str] | None,
    typer.Option(
        "--unit",
        metavar="N|WORD",
        help="A latent unit by number, several times for several; all; mean: of the maps of those named, or of all; "
        "sum: of the units as one score. By default all (of second-order the sum). Also of an autoencoder of masks.",
        rich_help_panel=QUESTION,
    ),
]
LatentOption = Annotated[
    LatentWord | None,
    typer.Option(
        "--of-latent",
        metavar="WORD",
        help=f"What a unit is read off: {', '.join(LatentWord)}. By default mu.",
        rich_help_panel=QUESTION,
    ),
]
DrawOption = Annotated[
    int, typer.Option("--draw", metavar="N", min=0, help="Seed of the sample.", rich_help_panel=QUESTION)
]
ConditionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--condition",
        metavar="NAME=VALUE",
        help="An entry of a conditional autoencoder's condition; those not given are read off each image.",
        rich_help_panel=QUESTION,
    ),
]


def asked_units(
    network: Network,
    images: Sequence[Path],
    methods: Sequence[Method],
    units: list[str] | None,
    *,
    classes: list[str] | None,
    latent: LatentWord | None,
    draw: int,
    condition: list[str] | None,
    against: str | None,
    of: Of | None,
) -> AskedUnits | None:
    """The units that are asked about; None where classes are.

    Raises typer.BadParameter for a class of units and for what only units have; NetworkError, ParameterError.
    """
    if units is None and not has_units(network):
        for given, flag in ((latent, "--of-latent"), (condition, "--condition")):
            if given is not None:
                raise typer.BadParameter("it concerns latent units: say which with --unit.", param_hint=flag)
        return None
    if classes:
        other = "give one of --class and --unit." if not has_units(network) else "ask for them by number: --unit N."
        what = f"{network.name} has latent units, which are no classes" if has_units(network) else "both were given"
        raise typer.BadParameter(f"{what}: {other}", param_hint="--class")
    curved = all(METHODS.name_of(type(m)) == "second-order" for m in methods)
    return AskedUnits.of(
        network,
        images[0],
        units or [WORDS[2] if curved else WORDS[0]],
        read="mu" if latent is None else latent.value,
        seed=draw,
        condition=condition_of(network, condition or []),
        against=against,
        of=of,
    )
