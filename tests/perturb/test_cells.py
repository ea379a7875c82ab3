"""Coarse cells over a picture: spread and averaged without moving or losing anything."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seglens.core.errors import ParameterError
from seglens.core.frame import Frame
from seglens.perturb.cells import cells_of, pooled, spread, tiled

sides = st.integers(1, 9)


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@settings(deadline=None)
@given(sides, sides, st.integers(1, 5), st.integers(1, 5))
def test_the_mean_over_cells_is_the_mean_over_pixels(h, w, rows, columns):
    values = drawn(2, h, w)
    found = pooled(values, (rows, columns), [Frame.identity((h, w))] * 2)
    torch.testing.assert_close(found.mean((1, 2)), values.mean((1, 2)))


def test_pooling_is_the_mean_filter_where_the_cells_divide_the_picture():
    values = drawn(3, 12, 20)
    found = pooled(values, (4, 5), [Frame.identity((12, 20))] * 3)
    torch.testing.assert_close(found, torch.nn.functional.avg_pool2d(values[:, None], (3, 4))[:, 0])


def test_a_pixel_that_two_cells_share_counts_half_in_each():
    found = pooled(torch.tensor([[[1.0, 4.0, 7.0]]]), (1, 2), [Frame.identity((1, 3))])
    torch.testing.assert_close(found, torch.tensor([[[(1 + 4 / 2) / 1.5, (4 / 2 + 7) / 1.5]]]))


def test_spreading_keeps_the_mean_and_tiling_is_undone_by_pooling():
    coarse, frames = drawn(2, 4, 8), [Frame.identity((64, 128))] * 2
    torch.testing.assert_close(spread(coarse, frames).mean((1, 2)), coarse.mean((1, 2)))
    torch.testing.assert_close(pooled(tiled(coarse, frames), (4, 8), frames), coarse)


def test_spreading_reproduces_a_plane_between_the_centres_of_cells():
    """Half-pixel centres: a mask that grows linearly stays where it is."""
    coarse = ((torch.arange(4, dtype=torch.float64) + 0.5) / 4).expand(1, 4, 4)
    found = spread(coarse, [Frame.identity((16, 16))])[0, 0]
    at = (torch.arange(16, dtype=torch.float64) + 0.5) / 16
    torch.testing.assert_close(found[2:-2], at[2:-2])


def test_pictures_of_different_sizes_on_one_grid_are_as_alone():
    frames = [Frame((10, 14), (10, 14), (16, 16)), Frame.identity((16, 16)), Frame((10, 14), (10, 14), (16, 16))]
    coarse = drawn(3, 2, 3)
    for onto in (spread, tiled):
        found = onto(coarse, frames)
        for one, mask, frame in zip(found, coarse, frames, strict=True):
            size = frame.resized
            torch.testing.assert_close(one[: size[0], : size[1]], onto(mask[None], [Frame.identity(size)])[0])
        # Padding repeats the last row and column.
        torch.testing.assert_close(found[0, 10:, :14], found[0, 9:10, :14].expand(6, 14))
        torch.testing.assert_close(found[0, :, 14:], found[0, :, 13:14].expand(16, 2))
    values = drawn(3, 16, 16)
    alone = pooled(values[:1, :10, :14], (2, 3), [Frame.identity((10, 14))])
    torch.testing.assert_close(pooled(values, (2, 3), frames)[:1], alone)


def test_volumes():
    coarse, frames = drawn(1, 2, 2, 2), [Frame.identity((8, 8, 8))]
    torch.testing.assert_close(spread(coarse, frames).mean(), coarse.mean())
    torch.testing.assert_close(pooled(tiled(coarse, frames), (2, 2, 2), frames), coarse)


def test_gradients_of_spreading_are_the_shares_of_pixels():
    coarse = drawn(1, 3, 4).requires_grad_()
    spread(coarse, [Frame.identity((12, 16))]).sum().backward()
    assert coarse.grad is not None
    assert coarse.grad.sum() == pytest.approx(12 * 16)


@pytest.mark.parametrize(
    ("given", "grid", "cells"),
    [
        (None, (64, 64), (8, 8)),
        (None, (96, 192), (8, 16)),
        (None, (5, 40), (5, 40)),
        (None, (16, 16, 32), (8, 8, 16)),
        ("4x4", (64, 64), (4, 4)),
        ("16X32", (96, 192), (16, 32)),
        ("2×3", (4, 4), (2, 3)),
        ((4, 4), (64, 64), (4, 4)),
    ],
)
def test_cells(given, grid, cells):
    assert cells_of(given, grid) == cells


@pytest.mark.parametrize(
    "given", ["4", "4x4x4", "70x4", "4x", "x", "", "0x4", "-1x4", "4.5x4", (4.5, 4), 4, None.__class__]
)
def test_what_is_refused(given):
    with pytest.raises(ParameterError):
        cells_of(given, (64, 64))
