"""What is known of a network: its description in force, its layers with the default one, its classes' colours."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from seglens.core.classes import ClassTable
from seglens.core.errors import LayerNotFoundError, ParameterError
from seglens.core.network import Network
from seglens.networks import Description, describe, description_beside, write_description
from seglens.networks.layers import Layer, default_layer
from seglens.networks.toml import dumps
from seglens.viz.colours import class_colours


def described(network: Network, constructor: str | None = None) -> Description:
    """The description of a network: what is stated of it, else found or guessed (GuessWarning).

    constructor: what built it from its weights, kept in the description so that it need not be given again.
    """
    found = describe(network)
    size = network.convention.size
    if size is not None and found.input is not None:
        # What was stated stays stated: the probe leaves out a size where others run too.
        found = replace(found, input={**found.input, "size": list(size), "fit": network.convention.fit})
    return replace(found, constructor=constructor) if constructor else found


def as_toml(description: Description) -> str:
    """The text of a description's file."""
    return dumps(description.to_dict())


def write_beside(description: Description, weights: str, *, force: bool = False) -> Path:
    """Write a description beside a network's file, as .toml of the same stem; returns its path.

    Raises ParameterError for a built-in network's name, and where a description is there already, unless `force`.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ParameterError(f"{weights!r} is built in and has its description; one is written beside files only.")
    beside = description_beside(path)
    if beside is not None and not force:
        raise ParameterError(f"{beside} is there already, so nothing was written.\n  --force replaces it.")
    target = beside or path.with_suffix(".toml")
    write_description(description, target)
    return target


def default_of(network: Network, layers: Sequence[Layer]) -> str | None:
    """Path of the layer that is explained where none is named; None where there is none."""
    if network.default_layer is not None:
        return network.default_layer
    try:
        return default_layer(layers).path
    except LayerNotFoundError:
        return None


def colours_of(names: Sequence[str], network: Network) -> list[tuple[int, int, int]]:
    """8-bit RGB of classes in the network's order: its own colours, else those that pictures use."""
    own = network.classes
    table = own if own is not None and len(own) == len(names) else ClassTable(tuple(names))
    return [(int(r), int(g), int(b)) for r, g, b in class_colours(table)]
