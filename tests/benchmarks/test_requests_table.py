"""Requests for context beside each other: costs that are known, masks that are compared, and a count that is right."""

from dataclasses import replace

import pytest
import torch

import seglens as sl
from seglens.core.cost import measured

# Masks of two steps may well be empty.
pytestmark = pytest.mark.filterwarnings("ignore::seglens.SeglensWarning")
SHORT = sl.ContextSaliency(fill="mean", cells="3x3", steps=2, early=False)


@pytest.fixture(scope="module")
def given():
    """The network that is asked, and two of its images."""
    from benchmarks.requests import NETWORK, riders

    network = sl.load(NETWORK)
    return network, riders(network, 2)


@pytest.fixture(scope="module")
def counted(given):
    from benchmarks.requests import Counted

    return given[0].with_(module=Counted(given[0].module))


def test_a_batch_stands_beside_single_runs_and_the_published_search(monkeypatch):
    from benchmarks import requests

    # A smaller part of the streets costs less; what a search costs in F does not hang on it.
    monkeypatch.setattr(requests, "SIDE", 32)
    monkeypatch.setattr(requests, "PUBLISHED", ("cityscapes",))
    together, alone, cityscapes = rows = requests.searches(2, SHORT)
    assert [row.requests for row in rows] == [4, 4, 1]
    assert [row.calls for row in rows] == [1, 4, 1]
    # Two starts of two masks, forwards and in reverse, and an empty mask; the image once a call.
    assert together.passes == pytest.approx(2 * 2 * 2 + 1 + 2 / 4)
    assert alone.passes == alone.median == alone.most == pytest.approx(2 * 2 * 2 + 1 + 1)
    assert cityscapes.passes == pytest.approx(2 * 80 + 2)
    assert together.mask is together.median is None
    assert alone.mask < 1e-5
    assert alone.apart == 0
    assert alone.objective < 1e-5
    assert all(row.seconds > 0 < row.wall for row in rows)
    assert alone.to_dict()["most"] == alone.most


def test_the_count_is_that_of_torch(given, counted):
    from benchmarks.requests import ASKED, answers

    network, x = given
    targets = sl.Targets.of(ASKED)
    row = answers("", counted, SHORT, [(x, targets)]).row
    with torch.no_grad(), measured() as one:
        network(x[:1])
    with measured() as every:
        SHORT(network, x, targets)
    # Spreading the masks is in torch's count too.
    assert row.passes * row.requests == pytest.approx(every.flops / one.flops, rel=1e-3)


def test_certified_requests_are_counted_and_cost_two_passes(given, counted):
    from benchmarks.requests import ASKED, answers

    dear = replace(SHORT, sparsity=1e3, early=True)
    row = answers("", counted, dear, [(given[1][:1], sl.Targets.of(label)) for label in ASKED]).row
    assert (row.empty, row.settled) == (2, 0)
    assert row.passes == row.most == 2


def test_other_masks_show_as_a_difference(given, counted):
    from benchmarks.requests import ASKED, answers

    calls = [(given[1], sl.Targets.of(ASKED))]
    found = answers("", counted, SHORT, calls)
    moved = found.masks.clone()
    moved[1:3] += 0.25
    row = answers("", counted, SHORT, calls, beside=replace(found, masks=moved, objectives=found.objectives - 0.5)).row
    assert (row.mask, row.apart) == (pytest.approx(0.25, abs=1e-5), 2)
    assert row.objective == pytest.approx(0.5, abs=1e-5)


def test_streets_that_do_not_show_enough_are_told(given, monkeypatch):
    from benchmarks import requests

    monkeypatch.setattr(requests, "LEAST", requests.SIDE**2 + 1)
    with pytest.raises(RuntimeError, match="only 0 of 20 streets"):
        requests.riders(given[0], 1)
