"""A search that is watched ends where the search that is not watched ends, whatever happens between its steps."""

import warnings
from dataclasses import asdict

import numpy as np
import pytest

import seglens as sl
from seglens.datasets.streets import Streets
from seglens.run.stepwise import explain_steps


@pytest.fixture(scope="module")
def network() -> sl.Network:
    return sl.load("streets-unet")


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    return Streets(1, (48, 96), seed=3)[0].image


@pytest.mark.parametrize("method", [sl.GridSaliency(steps=6), sl.ContextSaliency(steps=6, mode="reference")])
@pytest.mark.parametrize("target", ["car", sl.Target("car", sl.box(10, 10, 30, 40), reduce="sum"), None])
@pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
def test_the_last_step_is_what_explain_gives(
    network: sl.Network, street: np.ndarray, method: sl.Method, target: sl.Target | str | None
) -> None:
    whole = sl.explain(network, street, method, target)
    assert isinstance(whole, sl.Explanation)
    steps = list(explain_steps(network, street, method, target))
    last = steps[-1].explanation()
    assert np.array_equal(last.map, whole.map, equal_nan=True)
    for field in ("score", "target", "channel", "notes", "method", "parameters", "layer", "unit", "of", "provenance"):
        assert getattr(last, field) == getattr(whole, field), field
    assert set(last.extras) == set(whole.extras)
    for name, value in whole.extras.items():
        assert np.array_equal(last.extras[name], value, equal_nan=True), name
    assert [s.step for s in steps] == list(range(steps[0].step, steps[0].step + len(steps)))
    assert all(s.step <= s.total for s in steps)


def test_a_search_goes_on_where_it_stood_after_the_network_was_asked_something_else(
    network: sl.Network, street: np.ndarray
) -> None:
    method = sl.GridSaliency(steps=5, early=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.SeglensWarning)
        whole = sl.explain(network, street, method, "car")
        steps = explain_steps(network, street, method, "car")
        next(steps)
        second = next(steps).explanation()
        other = sl.explain(network, street, "saliency", "road")
        last = [*steps][-1].explanation()
    assert isinstance(whole, sl.Explanation)
    assert isinstance(other, sl.Explanation)
    assert np.array_equal(last.map, whole.map)
    # It was still under way: what was shown then is not what came out.
    assert not np.array_equal(second.map, whole.map)
    assert second.extras["tried"] == 2


def test_what_comes_at_once_has_no_steps(network: sl.Network, street: np.ndarray) -> None:
    with pytest.raises(sl.errors.ParameterError, match="grid-saliency"):
        explain_steps(network, street, "saliency", "car")


@pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
def test_parameters_are_those_written_out(network: sl.Network, street: np.ndarray) -> None:
    first = next(explain_steps(network, street, sl.GridSaliency(steps=3), "car")).explanation()
    assert first.parameters["steps"] == asdict(sl.GridSaliency(steps=3).in_full)["steps"]
