"""CBD and CBL by hand, against sums written out cell by cell, and the caps of their pixel version."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seglens.core.errors import ParameterError, ShapeError
from seglens.core.frame import Frame
from seglens.metrics import CBD, CBL, cbd, cbl, on_cells
from seglens.perturb.cells import spread

RNG = np.random.default_rng(0)

CONTEXT = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 0.5]])
CUE = np.array([[1.0, 0.5, 0.0], [0.0, 0.0, 0.0]])
MASK = np.array([[0.8, 0.4, 0.0], [0.2, 1.0, 0.4]])


def upper(shape=(64, 64)):
    area = np.zeros(shape)
    area[: shape[0] // 2] = 1
    return area


def on_pixels(mask):
    """A coarse mask spread over 64 × 64 as grid saliency spreads it."""
    return spread(torch.from_numpy(mask)[None], (Frame.identity((64, 64)),))[0].numpy()


def test_by_hand():
    # Σ C∘M = 0.8 + 0.4 + 0 + 0.2 + 0 + 0.2, Σ C = 4.5, Σ cue∘M = 0.8 + 0.2
    np.testing.assert_allclose(cbd(MASK, CONTEXT), 1.6 / 4.5, rtol=1e-15)
    np.testing.assert_allclose(cbl(MASK, CUE, CONTEXT), 1.0 / 1.6, rtol=1e-15)
    assert cbd(MASK, CONTEXT).dtype == cbl(MASK, CUE, CONTEXT).dtype == np.float64


def test_ends_of_the_ranges():
    everywhere, nowhere = np.ones((2, 3)), np.zeros((2, 3))
    assert cbd(everywhere, CONTEXT) == CBD.high == 1
    assert cbd(nowhere, CONTEXT) == CBD.low == 0
    assert cbl(CUE, (CUE > 0).astype(float), CONTEXT) == CBL.high == 1
    assert cbl(1 - np.ceil(CUE), CUE, CONTEXT) == CBL.low == 0
    # A mask that is the same everywhere has the cue's share of the context.
    assert cbl(0.3 * everywhere, CUE, CONTEXT) == pytest.approx(1.5 / 4.5)
    assert CBD.undefined
    assert CBL.undefined


def test_what_lies_on_the_object_counts_nowhere():
    other = np.where(CONTEXT == 0, 0.123, MASK)
    assert cbd(other, CONTEXT) == cbd(MASK, CONTEXT)
    assert cbl(other, CUE, CONTEXT) == cbl(MASK, CUE, CONTEXT)


def test_nothing_over_nothing_is_undefined():
    assert np.isnan(cbd(MASK, np.zeros((2, 3))))
    assert np.isnan(cbl(np.zeros((2, 3)), CUE, CONTEXT))
    # Saliency on the object alone is none in the context.
    assert np.isnan(cbl((CONTEXT == 0) * 1.0, CUE, CONTEXT))
    # No cue is a share of nothing, not an undefined one.
    assert cbl(MASK, np.zeros((2, 3)), CONTEXT) == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_an_undefined_mask_stays_undefined_and_leaves_the_others_alone(wrong):
    masks = np.stack([MASK, MASK])
    # On the object, where a number would count for nothing.
    masks[1, 1, 1] = wrong
    for found in (cbd(masks, CONTEXT), cbl(masks, CUE, CONTEXT)):
        assert np.isnan(found).tolist() == [False, True]
    assert np.isnan(cbd(np.full((2, 3), np.nan), CONTEXT))


@given(st.integers(0, 10**6), st.sampled_from([(), (3,), (2, 3)]))
@settings(max_examples=40, deadline=None, derandomize=True, database=None)
def test_equals_sums_cell_by_cell(seed, lead):
    rng = np.random.default_rng(seed)
    mask = rng.random((*lead, 4, 5)) - 0.3
    context = rng.random((*lead, 4, 5))
    cue = context * rng.random((4, 5))
    for index in np.ndindex(*lead):
        over = under = cued = 0.0
        for cell in np.ndindex(4, 5):
            weight = abs(mask[index][cell])
            over += context[index][cell] * weight
            cued += cue[index][cell] * weight
            under += context[index][cell]
        np.testing.assert_allclose(cbd(mask, context)[index], over / under)
        np.testing.assert_allclose(cbl(mask, cue, context)[index], cued / over)


@pytest.mark.parametrize("factor", [1e-30, 0.25, 3.7, 1e12])
def test_cbd_is_linear_and_cbl_free_of_scale(factor):
    other = RNG.random((2, 3))
    np.testing.assert_allclose(cbd(MASK + factor * other, CONTEXT), cbd(MASK, CONTEXT) + factor * cbd(other, CONTEXT))
    np.testing.assert_allclose(cbl(factor * MASK, CUE, CONTEXT), cbl(MASK, CUE, CONTEXT))
    # The check can fail: CBL is not linear, nor CBD free of scale.
    assert not np.allclose(cbl(MASK + other, CUE, CONTEXT), cbl(MASK, CUE, CONTEXT) + cbl(other, CUE, CONTEXT))
    assert not np.allclose(cbd(factor * MASK, CONTEXT), cbd(MASK, CONTEXT))


def test_many_masks_of_one_picture_and_many_pictures():
    masks = RNG.random((3, 2, 4, 4))  # methods, pictures
    contexts = RNG.random((2, 4, 4))
    found = cbd(masks, contexts)
    assert found.shape == (3, 2)
    for i, j in np.ndindex(3, 2):
        assert found[i, j] == pytest.approx(cbd(masks[i, j], contexts[j]))
    assert cbd(np.zeros((0, 4, 4)), np.ones((0, 4, 4))).shape == (0,)


def test_single_precision_is_summed_in_double():
    mask = np.full((2048, 2048), 0.1, np.float32)
    context = np.ones((2048, 2048), np.float32)
    assert cbd(mask, context) == pytest.approx(float(np.float32(0.1)), rel=1e-12)


@pytest.mark.parametrize(("rows", "cap"), [([1], 0.875), ([0, 1], 0.9375), ([0], 1.0)])
def test_caps_of_the_pixel_version(rows, cap):
    """A linear ramp of one cell's length leaks (½·½)/2 = 1/8 of the second row over the edge of the upper half."""
    mask = np.zeros((4, 4))
    mask[rows] = 1
    everywhere, cue = np.ones((64, 64)), upper()
    assert cbl(on_pixels(mask), cue, everywhere) == pytest.approx(cap, abs=1e-12)
    assert cbl(mask, on_cells(cue, (4, 4)), on_cells(everywhere, (4, 4))) == 1
    # Spreading keeps the mean, so that CBD has no cap where there is no object.
    assert cbd(on_pixels(mask), everywhere) == pytest.approx(cbd(mask, np.ones((4, 4))), abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_cell_version_is_the_pixel_version_of_a_mask_that_is_not_smoothed(seed):
    rng = np.random.default_rng(seed)
    context = rng.random((64, 48)) < 0.7
    cue = context & (rng.random((64, 48)) < 0.4)
    mask = rng.random((4, 6))
    tiles = np.kron(mask, np.ones((16, 8)))
    on = [on_cells(a, mask.shape) for a in (cue, context)]
    np.testing.assert_allclose(cbd(mask, on[1]), cbd(tiles, context))
    np.testing.assert_allclose(cbl(mask, *on), cbl(tiles, cue, context))


@pytest.mark.parametrize(("grid", "cells"), [((8, 8), (4, 4)), ((7, 10), (3, 4)), ((5, 5), (5, 5)), ((6, 4), (1, 1))])
def test_cells_share_out_an_area(grid, cells):
    area = RNG.random((2, *grid)) < 0.5
    found = on_cells(area, cells)
    assert found.shape == (2, *cells)
    np.testing.assert_allclose(found.mean((1, 2)), area.mean((1, 2)))
    # Cell by cell, on a raster fine enough that no pixel lies on a border of two cells.
    fine = np.kron(area[0], np.ones(cells)).reshape(cells[0], grid[0], cells[1], grid[1])
    np.testing.assert_allclose(found[0], fine.mean((1, 3)))


def test_what_is_refused():
    with pytest.raises(ShapeError, match=r"\[2, 3\] .* \[3, 2\] do not lie on one grid.*\n.*on_cells"):
        cbd(MASK, CONTEXT.T)
    with pytest.raises(ShapeError, match="do not lie on one grid"):
        cbl(MASK, CUE[:1], CONTEXT)
    with pytest.raises(ShapeError, match="do not lie on one grid"):
        cbd(np.ones(3), np.ones(3))
    with pytest.raises(ShapeError, match=r"\[2, 2, 3\], \[3, 2, 3\] are not as many"):
        cbd(np.ones((2, 2, 3)), np.ones((3, 2, 3)))
    for wrong in (-0.1, 1.1, np.nan):
        with pytest.raises(ParameterError, match="shares of pixels or cells"):
            cbd(MASK, np.full((2, 3), wrong))
    with pytest.raises(ParameterError, match=r"part of the context.*\n.*cue & context"):
        cbl(MASK, np.ones((2, 3)), CONTEXT)
    with pytest.raises(ShapeError, match="height width"):
        on_cells(np.ones(4), (2, 2))
    with pytest.raises(ParameterError, match="more than"):
        on_cells(np.ones((3, 3)), (4, 4))
