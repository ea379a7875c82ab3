"""Random masks: the interpolation written out, exact probabilities, and the covariance in closed form."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seglens.core.frame import Frame
from seglens.perturb.masks import FramedMasks, RandomMasks

LIKE = torch.zeros((), dtype=torch.float64)


def slow(masks, i):
    """M(p) = Σ over nodes kept of Π_d max(0, 1 − |u_d − node_d|), u = (p + ½)/cell + shift, from the same draws."""
    generator = torch.Generator().manual_seed(masks.seed * 1_000_003 + i)
    kept = torch.rand(masks.nodes, generator=generator, dtype=torch.float64) < masks.keep
    shift = torch.rand(len(masks.grid), generator=generator, dtype=torch.float64).tolist()
    found = torch.zeros(masks.grid, dtype=torch.float64)
    for p in product(*map(range, masks.grid)):
        u = [(at + 0.5) / masks.cell + s for at, s in zip(p, shift, strict=True)]
        for node in kept.nonzero().tolist():
            found[p] += math.prod(max(0.0, 1 - abs(a - k)) for a, k in zip(u, node, strict=True))
    return found


def spline(d):
    """The cubic B-spline: the triangle's overlap with itself."""
    d = abs(d)
    return 2 / 3 - d**2 + d**3 / 2 if d <= 1 else (2 - d) ** 3 / 6 if d <= 2 else 0.0


@pytest.mark.parametrize(
    ("grid", "cells"), [((9,), 3), ((5, 8), 2), ((4, 11), 3), ((3, 4, 5), 2), ((2, 3), 7), ((1, 1), 1)]
)
def test_equals_the_interpolation_written_out(grid, cells):
    masks = RandomMasks(grid, cells, 0.4, seed=2)
    found = masks.draw(3, 6, LIKE)
    assert found.shape == (3, *grid)
    torch.testing.assert_close(found, torch.stack([slow(masks, i) for i in (3, 4, 5)]))


@settings(max_examples=60, deadline=None)
@given(
    grid=st.lists(st.integers(1, 12), min_size=1, max_size=3),
    cells=st.integers(1, 9),
    keep=st.floats(0.01, 0.99),
    seed=st.integers(0, 99),
)
def test_masks_lie_between_0_and_1_for_any_grid(grid, cells, keep, seed):
    found = RandomMasks(tuple(grid), cells, keep, seed).draw(0, 3, torch.zeros(()))
    assert found.dtype == torch.float32
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1 + 1e-6


@pytest.mark.parametrize("keep", [0.02, 0.1, 0.5, 0.9])
def test_nodes_are_kept_with_exactly_the_probability(keep):
    """A normal draw below `keep` would keep 54 % at 0.1."""
    masks = RandomMasks((30, 30), 30, keep)
    found = torch.cat([masks._drawn(i)[0].flatten() for i in range(60)]).double()
    assert found.mean() == pytest.approx(keep, abs=4.5 * (keep * (1 - keep) / found.numel()) ** 0.5)


@pytest.mark.parametrize("keep", [0.3, 0.5])
def test_mean_and_covariance_are_the_closed_forms_everywhere(keep):
    """Also at the edges, where a lattice that ended with the picture would vary more."""
    masks = RandomMasks((4, 9), 2, keep)
    n = 12_000
    m = masks.draw(0, n, LIKE).flatten(1)
    places = list(product(range(4), range(9)))
    expected = torch.tensor(
        [
            [
                keep * (1 - keep) * math.prod(spline((a - b) / masks.cell) for a, b in zip(p, q, strict=True))
                for q in places
            ]
            for p in places
        ],
        dtype=torch.float64,
    )
    variance = keep * (1 - keep) * (2 / 3) ** 2
    torch.testing.assert_close(expected.diagonal(), torch.full((36,), variance, dtype=torch.float64))
    assert float((m.mean(0) - keep).abs().max()) < 4.5 * (variance / n) ** 0.5
    off = m - keep
    found = off.mT @ off / n
    noise = ((off.square().mT @ off.square() / n - found.square()) / n).sqrt()
    z = (found - expected) / noise
    assert float(z.abs().max()) < 5
    # Masks that follow each other have nothing to do with each other.
    across = off[:-1].mT @ off[1:] / (n - 1)
    assert float(across.abs().max()) < 5 * variance / n**0.5


def test_cells_are_square_and_as_many_in_all_on_long_pictures():
    assert RandomMasks((70, 70), 7, 0.5).cell == pytest.approx(10)
    assert RandomMasks((35, 140), 7, 0.5).cell == pytest.approx(10)
    assert RandomMasks((35, 140), 7, 0.5).nodes == (6, 16)
    assert RandomMasks((10, 20, 40), 4, 0.5).cell == pytest.approx(5)


def test_a_draw_is_the_same_however_batched_and_follows_type():
    masks = RandomMasks((6, 7), 3, 0.5, seed=5)
    whole = masks.draw(0, 7, LIKE)
    assert torch.equal(torch.cat([masks.draw(0, 3, LIKE), masks.draw(3, 7, LIKE)]), whole)
    torch.testing.assert_close(masks.draw(0, 7, torch.zeros(())), whole.float())
    before = torch.get_rng_state()
    masks.draw(0, 2, LIKE)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.allclose(RandomMasks((6, 7), 3, 0.5, seed=6).draw(0, 7, LIKE), whole)


def test_padding_is_masked_as_the_pixel_that_it_repeats():
    frames = [Frame((5, 9), (5, 9), (8, 12)), Frame.identity((8, 12)), Frame((10, 18), (5, 9), (8, 12))]
    found = FramedMasks.over(frames, 3, 0.5, seed=4).draw(2, 5, LIKE)
    assert found.shape == (3, 3, 8, 12)
    small = RandomMasks((5, 9), 3, 0.5, seed=4).draw(2, 5, LIKE)
    for i, j in product(range(8), range(12)):
        torch.testing.assert_close(found[:, 0, i, j], small[:, min(i, 4), min(j, 8)], rtol=0, atol=0)
    assert torch.equal(found[:, 1], RandomMasks((8, 12), 3, 0.5, seed=4).draw(2, 5, LIKE))
    assert torch.equal(found[:, 2], found[:, 0])


def test_images_of_one_size_share_their_masks():
    one = RandomMasks((6, 7), 3, 0.5, seed=5).draw(0, 4, LIKE)
    assert torch.equal(FramedMasks.over([Frame.identity((6, 7))] * 3, 3, 0.5, seed=5).draw(0, 4, LIKE), one[:, None])
