"""Random context: as many pixels at each distance as the salient has, as long an outline, drawn from the seed alone."""

import numpy as np
import pytest

from seglens.perturb.matched import distance_to, matched, outline

RNG = np.random.default_rng(4)


def scene(*grid):
    """A region in the middle, and the context around it but for a margin (padding, say)."""
    region = np.zeros(grid, bool)
    region[tuple(slice(n // 3, n // 2) for n in grid)] = True
    context = ~region
    context[..., -3:] = False
    return region, context


def blob(context, centre, radius):
    at = np.stack(np.indices(context.shape), -1) - np.array(centre)
    return context & (np.linalg.norm(at, axis=-1) <= radius)


def rings(distance):
    """Written out anew: a pixel wide up to 8, then each wider by an eighth of its distance."""
    return np.array([int(d) if d < 8 else 8 + int(8 * np.log(d / 8)) for d in distance])


def test_distances_are_those_to_the_nearest_pixel():
    region = RNG.random((9, 13)) < 0.1
    at, there = np.argwhere(np.ones_like(region)), np.argwhere(region)
    expected = np.linalg.norm(at[:, None] - there[None], axis=-1).min(1).reshape(region.shape)
    np.testing.assert_allclose(distance_to(region), expected)


@pytest.mark.parametrize(("grid", "centre", "radius"), [((60, 90), (18, 50), 9), ((14, 30, 40), (4, 20, 20), 6)])
@pytest.mark.parametrize("kind", ["blob", "scattered", "coarse"])
def test_parts_are_as_large_as_far_and_as_ragged(grid, centre, radius, kind):
    region, context = scene(*grid)
    distance = distance_to(region)
    salient = blob(context, centre, radius)
    if kind == "scattered":
        salient = context & (RNG.random(grid) < 0.6 / (1 + distance))
    elif kind == "coarse":
        coarse = RNG.random([-(-n // 5) for n in grid]) < 0.25
        salient = context & coarse[np.ix_(*(np.arange(n) // 5 for n in grid))]
    parts = matched(salient, context, distance, 6, seed=3)
    assert parts.shape == (6, *grid)
    assert parts.dtype == bool
    assert not (parts & ~context).any()
    for part in parts:
        assert (np.bincount(rings(distance[part])) == np.bincount(rings(distance[salient]))).all()
    lengths = [outline(p, context) for p in parts]
    # Nothing is as solid as a ball: matched ring by ring, its like is a little more ragged.
    assert 0.8 < np.mean(lengths) / outline(salient, context) < (1.6 if kind == "blob" else 1.2)
    assert len({p.tobytes() for p in parts}) == 6
    # Parts drawn without regard to distance and shape are told apart by both.
    plain = np.zeros(grid, bool)
    plain.ravel()[RNG.choice(np.flatnonzero(context), salient.sum(), replace=False)] = True
    assert (
        np.bincount(rings(distance[plain]), minlength=99).tolist()
        != np.bincount(rings(distance[salient]), minlength=99).tolist()
    )
    if kind == "blob":
        assert outline(plain, context) > 3 * outline(salient, context)


def test_outlines_are_counted_inside_the_context():
    context = np.ones((4, 5), bool)
    part = np.zeros_like(context)
    part[1:3, 1:3] = True
    assert outline(part, context) == 8
    part[:] = True
    assert outline(part, context) == 0
    part[0, 0] = False
    assert outline(part, context) == 2
    context[0, 1] = False
    assert outline(part, context) == 1


def test_no_side_of_the_region_is_preferred():
    """Mirrored pixels are covered alike, on average over draws, however lopsided the salient context is."""
    grid, n = (21, 27), 400
    region = np.zeros(grid, bool)
    region[8:13, 10:17] = True
    salient = blob(~region, (6, 4), 5)
    covered = matched(salient, ~region, distance_to(region), n, seed=1).mean(0)
    assert covered[~region].max() > 0.2
    error = np.sqrt(covered * (1 - covered) * 2 / n).max()
    for mirrored in (covered[::-1], covered[:, ::-1]):
        assert np.abs(covered - mirrored).max() < 5 * error
    # Taken in reading order, they would not be.
    first = covered.ravel() * 0
    first[np.flatnonzero(~region)[: salient.sum()]] = 1
    assert np.abs(first.reshape(grid) - first.reshape(grid)[::-1]).max() > 5 * error


def test_a_part_hangs_on_the_seed_and_its_number_alone():
    region, context = scene(30, 40)
    distance, salient = distance_to(region), blob(context, (10, 25), 5)
    before = np.random.get_state()[1].copy()  # noqa: NPY002  that the global state is left alone
    parts = matched(salient, context, distance, 5, seed=7)
    assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    np.testing.assert_array_equal(matched(salient, context, distance, 2, seed=7), parts[:2])
    assert (matched(salient, context, distance, 2, seed=8) != parts[:2]).any()


def test_nothing_all_and_single_pixels():
    region, context = scene(12, 15)
    distance = distance_to(region)
    assert not matched(np.zeros_like(context), context, distance, 2).any()
    assert (matched(context, context, distance, 2) == context).all()
    assert matched(context, context, distance, 0).shape == (0, 12, 15)
    one = np.zeros_like(context)
    one[0, 0] = True
    for part in matched(one, context, distance, 4):
        assert rings(distance[part]) == rings(distance[one])
