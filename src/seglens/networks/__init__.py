"""Foreign models to networks: one file per source; nothing that could run code opens unasked."""

from seglens.networks.description import (
    Description,
    description_beside,
    read_description,
    write_description,
)
from seglens.networks.load import BUILTIN, load
from seglens.networks.loaded import ADAPTERS, LOADERS, ZOOS, Loaded, Request
from seglens.networks.module import from_module
from seglens.networks.probe import describe

__all__ = [
    "ADAPTERS",
    "BUILTIN",
    "LOADERS",
    "ZOOS",
    "Description",
    "Loaded",
    "Request",
    "describe",
    "description_beside",
    "from_module",
    "load",
    "read_description",
    "write_description",
]
