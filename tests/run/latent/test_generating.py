"""Ways between images, samples, and edited attributes."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seglens.core.errors import ParameterError, ShapeError
from seglens.run.latent.generate import between, edit, interpolate, sample
from seglens.testing.untouched import untouched

sys.path.insert(0, str(Path(__file__).parent))
from coders import GAIN, SIDE, Conditional, Masks, Quadrants, network, picture

ONE, TWO = picture(0.7, 0.4, 0.5, 0.6), picture(0.3, 0.6, 0.9, 0.6)
WORN = {"smile": 1, "hat": 0}


@pytest.mark.parametrize("path", ["linear", "spherical"])
@pytest.mark.parametrize("kind", [Quadrants, Masks])
def test_the_ends_of_a_way_are_the_reconstructions(kind: type[Quadrants], path: str) -> None:
    net = network(kind)
    with untouched(net):
        there = interpolate(net, ONE, TWO, 5, path)
        back = interpolate(net, TWO, ONE, 5, path)
    np.testing.assert_allclose(there.pictures[0, 0], there.reconstruction, atol=1e-6)
    np.testing.assert_allclose(there.pictures[0, -1], back.reconstruction, atol=1e-6)
    np.testing.assert_allclose(there.pictures[0], back.pictures[0, ::-1], atol=1e-5)
    np.testing.assert_array_equal(there.to, TWO)


def test_the_straight_way_is_straight_and_the_great_circle_keeps_the_length() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 40))
    b *= np.linalg.norm(a) / np.linalg.norm(b)
    t = np.linspace(0, 1, 9)
    np.testing.assert_allclose(between(a, b, t), a + t[:, None] * (b - a), rtol=1e-5, atol=1e-6)
    round_ = between(a, b, t, "spherical").astype(np.float64)
    np.testing.assert_allclose(np.linalg.norm(round_, axis=1), np.linalg.norm(a), rtol=1e-6)
    angles = np.arccos(np.clip(round_ @ a / np.linalg.norm(a) ** 2, -1, 1))
    np.testing.assert_allclose(angles, t * angles[-1], atol=1e-3)  # at constant speed
    assert np.linalg.norm(between(a, b, t)[4]) < 0.9 * np.linalg.norm(a)


@pytest.mark.parametrize(("a", "b"), [([0, 0], [1, 2]), ([1, 2], [1, 2]), ([1, 0], [-1, 0]), ([2, 0], [1, 0])])
def test_where_there_is_no_great_circle_the_way_is_straight(a: list[float], b: list[float]) -> None:
    t = np.array([0.0, 0.25, 1.0])
    ends = np.array(a, float), np.array(b, float)
    np.testing.assert_allclose(between(*ends, t, "spherical"), between(*ends, t), atol=1e-6)


def test_on_the_way_conditions_mix() -> None:
    found = interpolate(network(Conditional), ONE, TWO, 3, condition=WORN, to={"smile": 0, "hat": 1})
    np.testing.assert_allclose(found.conditions[0], [[1, 0], [0.5, 0.5], [0, 1]])
    np.testing.assert_allclose(found.pictures[0, 0], found.reconstruction, atol=1e-6)


def test_samples_are_the_priors_and_the_seeds() -> None:
    one, again, other = (sample(network(), 500, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(one.pictures, again.pictures)
    assert not np.array_equal(one.pictures, other.pictures)
    z = one.z.reshape(-1, 5)[:500]
    assert abs(z.mean()) < 0.06  # 2500 draws: a standard error of 0.02
    assert abs(z.std() - 1) < 0.05
    shown = one.pictures[..., 0, 0].reshape(-1)[:500]
    np.testing.assert_allclose(shown, 0.5 + GAIN * z[:, 0], atol=1e-6)
    cold = sample(network(), 500, 3, 0.5)
    np.testing.assert_allclose(cold.z, one.z / 2, equal_nan=True)


def test_samples_fill_rows_and_blanks_are_no_pictures() -> None:
    found = sample(network(), 5, columns=3)
    assert found.size == (2, 3)
    assert np.isnan(found.pictures[1, 2]).all()
    assert np.isfinite(found.pictures).all((2, 3, 4)).sum() == 5


def test_samples_of_a_condition() -> None:
    net = network(Conditional)
    plain, worn = (sample(net, 4, 1, condition=c) for c in ({"smile": 0, "hat": 0}, WORN))
    difference = worn.pictures - plain.pictures
    expected = np.zeros_like(difference)
    expected[..., 0, 0, :] = 0.2
    np.testing.assert_allclose(difference, expected, atol=1e-6)
    each = sample(net, 2, 1, condition=np.array([[0, 0], [1, 0]]), columns=2)
    np.testing.assert_array_equal(each.conditions[0], [[0, 0], [1, 0]])
    with pytest.raises(ShapeError, match=r"\[2\] or \[4, 2\]"):
        sample(net, 4, condition=np.zeros((3, 2)))


def test_an_edited_attribute_changes_what_it_stands_for_and_nothing_else() -> None:
    net = network(Conditional)
    with untouched(net):
        found = edit(net, ONE, {"smile": [0, 0.5, 2], "hat": [1, 2, 3]}, condition=WORN)
    assert found.rows == ("smile", "hat")
    own = found.pictures[:, 0]
    np.testing.assert_allclose(own, np.stack([found.reconstruction] * 2), atol=1e-6)
    difference = found.pictures - own[:, None]
    expected = np.zeros_like(difference)
    for step, (smile, hat) in enumerate([(0, 1), (0.5, 2), (2, 3)], 1):
        expected[0, step, 0, 0] = 0.2 * (smile - 1)
        expected[1, step, 0, -1] = 0.2 * (hat - 0)
    np.testing.assert_allclose(difference, expected, atol=1e-6)
    np.testing.assert_array_equal(found.z, np.broadcast_to(found.mu, found.z.shape))


def test_edits_of_different_lengths_and_edits_together() -> None:
    net = network(Conditional, extra=(torch.tensor([[1.0, 0.0]]),))
    ragged = edit(net, ONE, {"smile": 0, "hat": [1, 2]})
    assert ragged.row_notes == ("0", "1, 2")
    assert np.isnan(ragged.pictures[0, 2]).all()
    assert np.isfinite(ragged.pictures[1]).all()
    both = edit(net, ONE, {"smile": 0, "hat": 1}, together=True)
    assert both.size == (1, 2)
    difference = both.pictures[0, 1] - both.pictures[0, 0]
    np.testing.assert_allclose(difference[0, 0], -0.2, atol=1e-6)
    np.testing.assert_allclose(difference[0, -1], 0.2, atol=1e-6)
    assert not difference[0, 1:-1].any()
    assert both.notes == ("Condition: smile 1, hat 0.",)


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (lambda: edit(network(), ONE, {"smile": 1}), "not conditioned on 'smile'.\n  It is not conditional"),
        (lambda: edit(network(Conditional), ONE, {"smle": 1}, condition=WORN), "Nearest: 'smile'"),
        (lambda: edit(network(Conditional), ONE, {}, condition=WORN), "nothing to edit"),
        (lambda: sample(network(Conditional), 2), "say on what values"),
        (lambda: edit(network(Conditional), ONE, {"hat": [1, 2]}, condition=WORN, together=True), "one value each"),
        (lambda: interpolate(network(), ONE, TWO, path="curved"), "path = 'curved'"),
        (lambda: interpolate(network(), ONE, TWO, 1), "1 is too few"),
        (lambda: sample(network(), 0), "0 is too few"),
        (lambda: sample(network(), 4, temperature=0), "temperature = 0"),
    ],
)
def test_refusals(work, said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        work()


def test_sides() -> None:
    assert sample(network(), 2).pictures.shape == (2, 1, 1, SIDE, SIDE)


def test_on_the_way_between_two_images_no_branch_is_asked() -> None:
    class Branched(Quadrants):
        def decode_beside(self, z, x):
            raise AssertionError

    found = interpolate(network(Branched), ONE, TWO, 3)
    np.testing.assert_allclose(found.pictures[0, 0], found.reconstruction, atol=1e-6)
    assert found.notes == ("Decoded from latent vectors alone: nothing comes from the network's branch.",)
