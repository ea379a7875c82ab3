"""For authors of methods and of kinds of networks: conformance suites, `untouched`, toy networks that set traps."""

from seglens.testing.conformance import CHECKS, conformance
from seglens.testing.networks import NETWORK_CHECKS, TWIN_CHECKS, network_conformance
from seglens.testing.subject import ConformanceError, Subject, Traits
from seglens.testing.toys import TOYS, Toy
from seglens.testing.untouched import TouchedError, untouched

__all__ = [
    "CHECKS",
    "NETWORK_CHECKS",
    "TOYS",
    "TWIN_CHECKS",
    "ConformanceError",
    "Subject",
    "TouchedError",
    "Toy",
    "Traits",
    "conformance",
    "network_conformance",
    "untouched",
]
