"""A torch module in memory as a network."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from torch import nn

from seglens.core.classes import ClassTable
from seglens.core.convention import Convention
from seglens.core.errors import NetworkError, ParameterError, suggest
from seglens.core.network import Network

FIELDS = tuple(f for f in Network.__dataclass_fields__ if f != "module")


def from_module(
    module: nn.Module,
    *,
    classes: ClassTable | Iterable[str] | None = None,
    convention: Convention | Mapping[str, Any] | None = None,
    **fields: Any,
) -> Network:
    """A network from a module in memory; nothing is run, changed or guessed.

    fields: those of `Network` (link, emits, output, default_layer, name, …). classes: a table or
    the names in the order of the channels. convention: as such, or some of its fields in a mapping; the channels are
    else those of the first convolution, the rest Convention's defaults.
    Raises NetworkError for something that is no module, ParameterError for an unknown field.
    """
    if not isinstance(module, nn.Module):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise NetworkError(f"a network is a torch.nn.Module, not a {type(module).__name__}.")
    for name in fields:
        if name not in FIELDS:
            raise ParameterError(
                f"Network has no field {name!r}.{suggest(name, FIELDS)}\n  All of them: {', '.join(FIELDS)}."
            )
    if not isinstance(convention, Convention):
        channels = first_channels(module)
        seen = {} if channels is None else {"channels": channels}
        convention = Convention.from_dict({**seen, **(convention or {})})
    return Network(
        module=module,
        classes=None if classes is None else ClassTable.of(classes),
        convention=convention,
        **fields,
    )


def first_convolution(module: nn.Module) -> nn.Module | None:
    """The first convolution in the order of registration, which is nearly always that of the forward pass."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d):
            return layer
    return None


def first_channels(module: nn.Module) -> int | None:
    """Input channels as the first convolution, or the first weight of its shape, tells; None without one."""
    layer = first_convolution(module)
    if layer is not None:
        return cast(nn.Conv2d, layer).in_channels
    # Exported and scripted networks keep the weights but not the layers' types.
    for name, weight in module.named_parameters():
        if name.endswith("weight") and weight.ndim in (4, 5):
            return weight.shape[1]
    return None
