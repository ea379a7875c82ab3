"""TorchScript (`.pt`, `.ts`): a compiled network, with gradients but without layers to tap."""

import warnings
from pathlib import Path

import torch

from seglens.core.errors import NetworkError
from seglens.networks.loaded import LOADERS, Loaded, Request


@LOADERS.register("ts")
def load_scripted(path: Path, request: Request) -> Loaded:
    """The network in a file of `torch.jit.save`.

    Opening it runs no Python: TorchScript is a language of its own, compiled here, whose programs
    compute with tensors (its code runs when the network is called, and can do no more than that
    language can). Input gradients work. Layers refuse hooks, so methods that read a layer raise
    CaptureError, which tells the way round: export the original network to `.pt2`.
    Raises NetworkError for a damaged file.
    """
    try:
        with warnings.catch_warnings():
            # torch.jit is deprecated as a whole, which whoever was given the file cannot change.
            warnings.simplefilter("ignore")
            return Loaded(torch.jit.load(str(path), map_location="cpu"))
    except (RuntimeError, ValueError, EOFError) as failed:
        lines = [line for line in str(failed).splitlines() if line.strip()]
        raise NetworkError(
            f"{path.name} is no TorchScript that can be read, or is damaged: "
            f"{lines[0][:200] if lines else failed}\n"
            "  Copy it again, or export the network with torch.export to a .pt2 file and load that."
        ) from failed
