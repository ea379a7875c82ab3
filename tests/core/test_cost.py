"""The cost counter against operation counts by hand."""

import time

import pytest
import torch
from torch import nn

from seglens.core.cost import Cost, measured


def test_convolutions_and_products_by_hand():
    """2 · batch · output pixels · K · C · kernel operations; additions of a bias are not counted."""
    with measured() as spent:
        nn.Conv2d(3, 5, (3, 2), bias=False)(torch.zeros(2, 3, 8, 7))
    assert spent.flops == 2 * 2 * (6 * 6) * 5 * 3 * 6
    with measured() as spent:
        torch.zeros(4, 6) @ torch.zeros(6, 7)
    assert spent.flops == 2 * 4 * 6 * 7


def test_a_reverse_pass_to_the_input_costs_what_the_forward_pass_did():
    layer = nn.Conv2d(3, 5, 3, padding=1).requires_grad_(False)
    x = torch.zeros(1, 3, 8, 8, requires_grad=True)
    with measured() as forward:
        y = layer(x)
    with measured() as reverse:
        torch.autograd.grad(y.sum(), x)
    assert reverse.flops == forward.flops > 0


def test_time_and_blocks_that_fail():
    def work():
        torch.zeros(2, 2) @ torch.zeros(2, 2)
        time.sleep(0.01)
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"), measured() as spent:
        work()
    assert spent.flops == 16
    assert spent.seconds >= 0.01
    assert spent.peak_bytes is None


def test_words():
    assert str(Cost(3_000_000_000, 2_000_000_000, 0.5, 2**20)) == "1.50 F (3 GFLOP), 0.50 s, 1 MiB"
    assert Cost(1, 0, 0.0).passes != Cost(1, 0, 0.0).passes
