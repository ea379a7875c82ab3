"""Saliency masks where output, arithmetic and company of a request differ: each is answered as it is alone."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from seglens.core.errors import MemoryWarning
from seglens.core.network import Network
from seglens.core.regions import box
from seglens.core.targets import Target, Targets
from seglens.methods import ContextSaliency, GridSaliency
from seglens.testing import toys

# The toys' scores hang on so little that some masks are empty.
pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")

REGION = box(2, 3, 9, 12)


def short(**changes):
    return ContextSaliency(**{"sparsity": 1e-4, "steps": 4, "cells": "3x4", "fill": "black", **changes})


class Level(nn.Module):
    """The mean of the channels, as a logit or as its probability."""

    def __init__(self, probability: bool) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        y = x.mean(1, keepdim=True) * 4 - 2
        return y.sigmoid() if self.probability else y


@pytest.mark.parametrize("label", [0, 1])
@pytest.mark.parametrize("of", ["probabilities", "logits", "log-probabilities"])
def test_one_channel_is_read_the_same_before_and_after_its_link(label, of):
    x = toys.picture(5, 1, 3, 12, 16)
    target = Targets.of(Target(label, box(0, 0, 6, 8), of=of))
    method = GridSaliency(cells="3x4", fill="black" if label else "white", sparsity=0.01, steps=8)
    logit = method(Network(module=Level(False)), x, target)
    probability = method(Network(module=Level(True), emits="probabilities"), x, target)
    assert logit.extras["empty-loss"] > 0.2
    torch.testing.assert_close(probability.extras["mask"], logit.extras["mask"], atol=1e-3, rtol=0)


def test_a_sum_over_the_region_is_its_mean_at_a_price_as_much_higher():
    toy = toys.plain()
    mean = short()(toy.network, toy.x, Targets.of(Target("car", REGION)))
    total = short(sparsity=1e-4 * 63)(toy.network, toy.x, Targets.of(Target("car", REGION, reduce="sum")))
    torch.testing.assert_close(total.extras["objective"], mean.extras["objective"] * 63, atol=1e-4, rtol=1e-3)


def test_every_image_has_its_own_extra_input_whatever_is_asked_of_it():
    """Three targets, and rows that leave the batch one by one."""
    toy = toys.two_inputs()
    targets = Targets.of([Target("car", REGION), Target("sky", box(0, 0, 5, 5)), Target("road", box(0, 0, 7, 5))])
    together = short()(toy.network, toy.x, targets).extras
    for b in range(3):
        one = toy.rows(b)
        alone = short()(one.network, one.x, targets).extras
        torch.testing.assert_close(together["objective"][b], alone["objective"][0], atol=1e-6, rtol=1e-3)
        torch.testing.assert_close(together["empty-loss"][b], alone["empty-loss"][0])


class Full(nn.Module):
    """Has room for three pictures."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 3:
            raise RuntimeError("out of memory")
        return self.inner(x)


def test_a_search_goes_on_where_memory_runs_out():
    toy = toys.plain()
    targets = Targets.of([Target("car", REGION), Target("sky", box(0, 0, 5, 5))])
    expected = short()(toy.network, toy.x, targets)
    with pytest.warns(MemoryWarning, match="memory ran out"):
        found = short()(replace(toy.network, module=Full(toy.network.module)), toy.x, targets)
    torch.testing.assert_close(found.extras["objective"], expected.extras["objective"], atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_states_are_handed_to_a_caller_in_their_own_mode(mode):
    toy = toys.plain()
    targets = Targets.of(Target("car", REGION))
    expected = short()(toy.network, toy.x, targets)
    with mode():
        seen, states = [], []
        for state in short().iterate(toy.network, toy.x.clone(), targets):
            seen.append((torch.is_grad_enabled(), torch.is_inference_mode_enabled()))
            states.append(state)
        last = states[-1].maps
    assert set(seen) == {(False, mode is torch.inference_mode)}
    torch.testing.assert_close(last.values, expected.values)
    torch.testing.assert_close(states[-1].maps.values, last.values)


class Noisy(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x + 0.3 * torch.rand(1, *x.shape[1:]))


def test_a_network_that_draws_is_searched_on_the_same_draws():
    toy = toys.plain()
    network = replace(toy.network, module=Noisy(toy.network.module))
    before = torch.get_rng_state()
    first, again = (short()(network, toy.x, Targets.of(Target("car", REGION))).values for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(torch.get_rng_state(), before)
