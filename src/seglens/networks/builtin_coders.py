"""The autoencoders that ship with the package, trained on `datasets.faces` and `datasets.streets`.

Each is what `seglens train` wrote: weights (in half precision, to be small), a description that names its class and the
arguments, and a card that says how it was trained; they lie beside each other in `weights/`.
"""

from pathlib import Path

from safetensors.torch import load_file
from torch import nn

from seglens.core.errors import NameNotFoundError, suggest
from seglens.networks.checkpoint import construct
from seglens.networks.description import read_description
from seglens.networks.loaded import Request

WEIGHTS = Path(__file__).parent / "weights"

CODERS = ("faces-vae", "faces-cvae", "faces-seg-vae", "streets-mgrad2vae")
"""Names of the autoencoders that ship."""


def build(name: str) -> nn.Module:
    """The shipped autoencoder `name` with its trained weights, in float32 on the CPU, in eval mode.

    Raises NameNotFoundError for a name that is not in `CODERS`.
    """
    if name not in CODERS:
        raise NameNotFoundError(
            f"no built-in autoencoder {name!r}.{suggest(name, CODERS)}\n  All of them: {', '.join(CODERS)}."
        )
    path = WEIGHTS / f"{name}.safetensors"
    described = read_description(path.with_suffix(".toml"))
    module = construct(Request(constructor=described.constructor, arguments=described.constructor_arguments)).module
    module.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    return module.eval()
