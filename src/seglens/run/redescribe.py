"""A network opened under another description, and that description written beside its file."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from seglens.core.network import Network
from seglens.networks import Description, description_beside, load, read_description
from seglens.networks.description import Task
from seglens.run.describe import write_beside


def open_described(source: str, description: Mapping[str, Any] | None = None) -> Network:
    """The network of a file or name, read as a description in plain form says, which goes before the one beside it.

    What the description does not state is as it was. Raises ParameterError for a key or value that is none, and what
    `seglens.load` raises.
    """
    if not description:
        return load(source)
    stated = Description.from_dict(description)
    return load(source, **stated.fields(), convention=dict(stated.input) if stated.input else None)


def save_described(network: Network, source: str, task: Task) -> Path:
    """Write the description in force of a network beside its file, over one that is there; returns its path.

    Kept of the one that was there is what builds the network. Raises ParameterError for a built-in network.
    """
    found = in_force(network, task)
    path = Path(source).expanduser()
    before = description_beside(path) if path.is_file() else None
    if before is not None:
        old = read_description(before)
        found = replace(found, constructor=old.constructor, constructor_arguments=old.constructor_arguments)
    return write_beside(found, source, force=True)


def in_force(network: Network, task: Task) -> Description:
    """The description of a network as it is read now, without guessing: what it states, with its input convention."""
    return Description(
        name=network.name,
        task=task,
        classes=network.classes,
        emits=network.emits,
        link=network.link,
        output=network.output,
        default_layer=network.default_layer,
        input=network.convention.to_dict(),
    )
