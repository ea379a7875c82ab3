"""The conformance suite: what every method is to do, on networks that hold every trap we know.

For a method of your own, in a test file:

    SUITE = conformance(MyMethod, Traits(linear=True))

    @pytest.mark.parametrize("check", SUITE)
    def test_conformance(check):
        SUITE[check]()
"""

from collections.abc import Callable
from functools import partial

from seglens.core.method import Method
from seglens.testing import _answers as answers
from seglens.testing import _manners as manners
from seglens.testing.subject import Subject, Traits
from seglens.testing.toys import OTHERS, TWINS

Check = Callable[[Subject], None]

CHECKS: dict[str, Check] = {
    **{f"explains: {name}": partial(answers.explains, name=name) for name in OTHERS},
    **{f"twin: {name}": partial(answers.twin, name=name) for name in TWINS},
    "finite": answers.finite,
    "units": answers.units,
    "batch": answers.batch,
    "order": answers.order,
    "targets together": answers.targets_together,
    "determinism": answers.determinism,
    "class names": answers.class_names,
    "contrast": answers.contrast,
    "binary": answers.binary,
    "precision": answers.precision,
    "memory layout": answers.memory_layout,
    "empty region": answers.empty_region,
    "zero map": answers.zero_map,
    "no trace": manners.leaves_no_trace,
    "modes": manners.modes,
    "live graph": manners.live_graph,
    "wrong target": manners.wrong_target,
    "wrong layer": manners.wrong_layer,
    "wrong input": manners.wrong_input,
    "failing layer": manners.failing_layer,
    "broken weights": manners.broken_weights,
    "parameters": manners.parameter_bounds,
    "dataclass": manners.is_a_value,
}
"""Every check by name. Each raises an AssertionError that says what is wrong."""


def conformance(make: Callable[[], Method], traits: Traits | None = None) -> dict[str, Callable[[], None]]:
    """The checks of one method, ready to be called, by name.

    make: the method's class, or anything else without arguments that gives one; choose parameters that make it
    quick, as the toys are small. traits: what the method declares of itself; Traits() where nothing is given.
    """
    subject = Subject(make, traits or Traits())
    return {name: partial(check, subject) for name, check in CHECKS.items()}
