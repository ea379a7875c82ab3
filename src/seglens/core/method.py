"""What a method is: a frozen dataclass whose fields are its parameters and whose call is its algorithm."""

from typing import Any, ClassVar, Protocol

from torch import Tensor

from seglens.core.maps import Maps
from seglens.core.network import Network
from seglens.core.registry import Registry
from seglens.core.targets import Targets


class Method(Protocol):
    """From a network, an input [B C *grid] and T targets to maps [B T *grid] in units of score.

    Registered under its paper's name. Dataclass fields are its parameters (`core.parameters` describes them); a field
    `layer` means that it reads a layer. It keeps no state, and leaves network, input and random state as they were.
    One whose map does not hang on a target has a class attribute or property `takes_target` that is False, one that
    explains a region by what lies outside it a class attribute `needs_context` that is True.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __call__(self, network: Network, x: Tensor, targets: Targets) -> Maps:
        """x [B C *grid] as the module takes it. Raises EmptyRegionError, ShapeError, NonFiniteError and others."""
        ...


def in_full(method: Any) -> Any:
    """The method with every default written out, where some hang on other fields: it then has a property `in_full`."""
    return getattr(method, "in_full", method)


def takes_target(method: object) -> bool:
    """Whether a method explains a score. One that shows the network as it is says so by `takes_target = False`."""
    return bool(getattr(method, "takes_target", True))


def needs_context(method: object) -> bool:
    """Whether it explains a region by what lies outside it, so that it wants a network that scores places."""
    return bool(getattr(method, "needs_context", False))


METHODS: Registry[type[Method]] = Registry("method", "seglens.methods")
"""All methods by name: the built-in ones, and those of other packages (entry points 'seglens.methods')."""
