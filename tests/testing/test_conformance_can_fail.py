"""Each check of the suite rejects the faults that are planted for it, and passes an honest method."""

from collections.abc import Callable
from typing import Any

import pytest
from planted_answers import Honest
from planted_manners import PLANTED

from seglens.testing import CHECKS, Traits, conformance


@pytest.mark.parametrize("check", CHECKS)
def test_honest_method_passes(check: str):
    conformance(Honest, Traits(linear=True))[check]()


def test_every_check_has_a_planted_fault():
    assert {check for check, _ in PLANTED} == set(CHECKS)


@pytest.mark.parametrize(("check", "make"), PLANTED, ids=lambda p: getattr(p, "__name__", p))
def test_fault_is_rejected(check: str, make: Callable[[], Any]):
    with pytest.raises(AssertionError):
        conformance(make, Traits(linear=True))[check]()


def test_a_method_that_needs_rectifiers_is_to_refuse_a_network_without():
    with pytest.raises(AssertionError, match="expected RectifierError, but it passed"):
        conformance(Honest, Traits(linear=True, rectifiers=True))["explains: tokens"]()


def test_a_method_that_says_it_needs_classes_is_to_refuse_units():
    with pytest.raises(AssertionError, match="expected ParameterError, but it passed"):
        conformance(Honest, Traits(linear=True, units=False))["explains: encoder"]()
    conformance(Honest, Traits(linear=True, units=False))["targets together"]()
