"""The door to networks for the shells: load with what a person can type, errors for what cannot be used."""

import os

from seglens.core.errors import ParameterError
from seglens.core.network import Network
from seglens.networks import BUILTIN, load
from seglens.networks.tiled import tiled

__all__ = ["BUILTIN", "open_for"]


def open_for(
    source: str | os.PathLike[str],
    *,
    trust: bool = False,
    constructor: str | None = None,
    device: str | None = None,
    tiles: int | None = None,
    overlap: int | None = None,
    download: bool = False,
) -> Network:
    """The network in a file or of a built-in name, on `device`. Arguments as `seglens.load` and `seglens.tiled`.

    Raises what `load` raises, and ParameterError for a device that does not exist here.
    """
    network = load(source, trust=trust, constructor=constructor, download=download)
    if device is not None:
        try:
            network.module.to(device)
        # torch reports an absent device as either, by kind of device and build.
        except (RuntimeError, AssertionError) as absent:
            first = str(absent).splitlines()[0]
            raise ParameterError(
                f"the device {device!r} cannot be used here: {first}\n  Leave it out to use the CPU."
            ) from absent
    return network if tiles is None else tiled(network, tiles, overlap)
