"""For authors of methods: the conformance suite, `untouched`, and toy networks that set traps."""

from seglens.testing.conformance import CHECKS, conformance
from seglens.testing.subject import ConformanceError, Subject, Traits
from seglens.testing.toys import TOYS, Toy
from seglens.testing.untouched import TouchedError, untouched

__all__ = [
    "CHECKS",
    "TOYS",
    "ConformanceError",
    "Subject",
    "TouchedError",
    "Toy",
    "Traits",
    "conformance",
    "untouched",
]
