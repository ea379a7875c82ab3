"""Explanations made by hand."""

from collections.abc import Callable

import pytest
from viz_cases import CASES, made

from seglens.core.explanation import Explanation


@pytest.fixture
def make() -> Callable[..., Explanation]:
    """One explanation, with what the test changes of it."""
    return made


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> list[Explanation]:
    """Each kind of explanation that a picture must be able to show."""
    return CASES[request.param]
