"""The end of every method: float32, NaN where nothing was asked, a warning where nothing was found."""

import pytest
import torch
from torch import nn

from seglens.core.errors import EmptyRegionWarning, ZeroMapWarning
from seglens.core.maps import finish
from seglens.core.network import Network
from seglens.core.regions import everything, mask
from seglens.core.targets import Target, Targets

Y = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def scores(*targets):
    return Targets.of(targets).bind(Network(module=nn.Identity()), Y, Y)


def test_types_and_units():
    bound = scores(Target(1, everything))
    maps = finish(Y[:, :1].clone().requires_grad_(), bound, bound(Y), Y, layer="a", extras={"n": Y})
    assert maps.values.dtype == maps.score.dtype == torch.float32
    assert not maps.values.requires_grad
    assert (maps.layer, maps.signed, maps.unit) == ("a", True, "{score}")
    assert maps.extras["n"] is Y


def test_empty_regions_are_nan_and_no_others():
    inside = torch.zeros(2, 4, 5)
    inside[1] = 1
    with pytest.warns(EmptyRegionWarning, match=r"NaN: 0 in mask \(image 0 of the batch\)\.$"):
        bound = scores(Target(0, mask(inside)), Target(1, everything))
    found = {"weights": torch.ones(2, 2, 3, dtype=torch.bfloat16), "number": torch.ones(2, 2, dtype=torch.int64)}
    maps = finish(torch.ones(2, 2, 4, 5), bound, bound(Y), Y, extras=found, pictures={"a": torch.ones(2, 2, 4, 5)})
    for result in (maps.extras["weights"], maps.pictures["a"]):
        assert result.dtype == torch.float32
        assert result.isnan().flatten(2).all(2).tolist() == [[True, False], [False, False]]
    assert maps.extras["number"].eq(1).all()
    assert maps.values.isnan().flatten(2).all(2).tolist() == [[True, False], [False, False]]
    assert maps.score.isnan().tolist() == [[True, False], [False, False]]
    assert maps.values[1].eq(1).all()


def test_maps_of_zeros_are_named():
    bound = scores(Target(0, everything), Target(2, everything))
    values = torch.ones(2, 2, 4, 5)
    values[1, 0] = 0
    with pytest.warns(
        ZeroMapWarning, match=r"^zero everywhere at enc, .*: 0 in everything \(image 1 of the batch\)\.$"
    ):
        finish(values, bound, bound(Y), Y, layer="enc")
