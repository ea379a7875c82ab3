"""Units moved along values: what is decoded, where attention lies, what changes; and that nothing else does."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seglens.core.errors import NetworkError, ParameterError
from seglens.generative.coder import latent_of
from seglens.methods import GradCAM
from seglens.run.latent.explore import PAPER, grid, traverse
from seglens.testing.untouched import untouched

sys.path.insert(0, str(Path(__file__).parent))
from coders import DEAD, GAIN, SIDE, Conditional, Masks, Quadrants, network, picture

IMAGE = picture(0.7, 0.38, 0.5, 0.6)
H = SIDE // 2
CORNERS = [(slice(0, H), slice(0, H)), (slice(0, H), slice(H, None)), (slice(H, None), slice(0, H))]


def level(shown: np.ndarray, unit: int) -> np.ndarray:
    """Brightness of a unit's quadrant."""
    rows, columns = [*CORNERS, (slice(H, None), slice(H, None))][unit]
    return shown[..., rows, columns].mean((-1, -2))


@pytest.mark.parametrize("unit", range(4))
def test_moving_a_unit_changes_its_factor_and_no_other(unit: int) -> None:
    found = traverse(network(), IMAGE, unit)
    still = traverse(network(), IMAGE, unit, [0.0], mode="add").pictures[0, 0, 0]
    values = np.linspace(-3, 3, 7)
    np.testing.assert_allclose(level(found.pictures[0, :, 0], unit), 0.5 + GAIN * values, atol=1e-6)
    for other in {0, 1, 2, 3} - {unit}:
        np.testing.assert_allclose(level(found.pictures[0, :, 0], other), level(still, other), atol=1e-6)


def test_setting_and_adding() -> None:
    mu = traverse(network(), IMAGE, 0, [0.0]).mu
    added = traverse(network(), IMAGE, [0, 1], PAPER, mode="add")
    assert added.z.shape == (2, 9, 5)
    for row in (0, 1):
        np.testing.assert_allclose(added.z[row, :, row] - mu[row], PAPER, atol=1e-6)
        np.testing.assert_array_equal(np.delete(added.z[row], row, 1), np.tile(np.delete(mu, row), (9, 1)))
    assert added.columns == ("+0.1", "+0.2", "+0.3", "+0.4", "+0.5", "+0.6", "+0.7", "+0.8", "+0.9")
    posterior = traverse(network(), IMAGE, 0, [1.0], mode="add", sigma="posterior")
    assert posterior.z[0, 0, 0] - mu[0] == pytest.approx(np.exp(-2), rel=1e-5)


def test_a_direction_moves_units_together_and_is_explained_as_one() -> None:
    found = traverse(network(), IMAGE, {0: 1.0, 3: -0.5}, [-1.0, 1.0])
    assert found.rows == ("units 0 − 0.5 · 3",)
    np.testing.assert_allclose(found.z[0, :, [0, 3]], [[-1, 1], [0.5, -0.5]])
    attention = found.attention
    assert attention is not None
    np.testing.assert_allclose(attention.scores[0], [-1.25, 1.25], atol=1e-5)


def test_change_is_the_derivative_of_the_picture() -> None:
    found = traverse(network(), IMAGE, [0, DEAD, 2], attention=None)
    expected = np.zeros((3, SIDE, SIDE), np.float32)
    expected[0][CORNERS[0]] = expected[2][CORNERS[2]] = GAIN
    np.testing.assert_allclose(found.change, expected, atol=1e-7)


def test_attention_on_decoded_pictures_follows_the_unit() -> None:
    """μ_0 = Σ A_0 / (64 gain): α_0 = 1 / (64 gain). A_0 = gain · z in the quadrant, so that the map is ReLU(z) / 64."""
    found = traverse(network(), IMAGE, 0, [-1.0, 1.0, 2.0])
    maps = found.attention.maps[0]
    expected = np.zeros_like(maps)
    for step, z in enumerate([0.0, 1.0, 2.0]):  # nothing speaks for a unit that is below 0
        expected[step][CORNERS[0]] = z / (H * H)
    np.testing.assert_allclose(maps, expected, atol=1e-7)
    assert found.attention.layer == "quadrants"
    np.testing.assert_allclose(found.attention.scores[0], [-1, 1, 2], atol=1e-5)


def test_attention_on_the_input_is_the_same_at_every_step() -> None:
    net = network()
    found = traverse(net, IMAGE, [0, 3], [-1.0, 1.0], on="input")
    x = torch.from_numpy(IMAGE)[None, None] / 255
    own = GradCAM()(latent_of(net), x, [0, 3]).values[0].numpy()
    np.testing.assert_allclose(found.attention.maps, np.stack([own, own], 1), atol=1e-9)
    assert found.attention.on == "input"


def test_without_units_those_that_tell_most_come_first_and_the_dead_one_last() -> None:
    found = traverse(network(), IMAGE, attention=None, change=False)
    assert found.rows == ("unit 0", "unit 1", "unit 3", "unit 2", f"unit {DEAD}")  # by |μ|: 2, 1.2, 1, 0


def test_masks_are_decoded_and_their_attention_is_on_the_input() -> None:
    net = network(Masks, classes=["sky", "ground"])
    found = traverse(net, IMAGE, 2, [-1.0, 1.0])
    assert found.attention.on == "input"
    assert found.classes.names == ("sky", "ground")
    assert found.labels[0, 0][CORNERS[2]].max() == 0
    assert found.labels[0, 1][CORNERS[2]].min() == 1
    np.testing.assert_allclose(found.pictures.sum(2), 1, atol=1e-6)
    p = found.reconstruction[:, -1, 0]  # at μ ≈ 0 of quadrant 2: ∂p/∂z = 2 · 20 · gain · p (1 − p)
    expected = 2 * 20 * GAIN * p[0] * p[1]
    np.testing.assert_allclose(found.change[0][CORNERS[2]], expected, rtol=1e-4)
    with pytest.raises(ParameterError, match="decodes to masks, which it cannot encode again"):
        traverse(net, IMAGE, 2, on="decoded")


def test_a_grid_moves_two_units_on_two_axes() -> None:
    found = grid(network(), IMAGE, (0, 2), [-2.0, 0.0, 2.0], [-1.0, 1.0])
    assert found.size == (2, 3)
    for r, down in enumerate([-1.0, 1.0]):
        for c, across in enumerate([-2.0, 0.0, 2.0]):
            shown = found.pictures[r, c, 0]
            assert level(shown, 0) == pytest.approx(0.5 + GAIN * across, abs=1e-6)
            assert level(shown, 2) == pytest.approx(0.5 + GAIN * down, abs=1e-6)
            assert level(shown, 1) == pytest.approx(round(255 * 0.38) / 255, abs=1e-6)
    added = grid(network(), IMAGE, (0, 2), [0.0], mode="add")
    np.testing.assert_allclose(added.pictures[0, 0], added.reconstruction, atol=1e-6)


def test_the_network_of_units_and_the_autoencoder_give_the_same() -> None:
    net = network()
    one, two = (traverse(n, IMAGE, 1, [0.0, 2.0]) for n in (net, latent_of(net)))
    for name, values in one.arrays().items():
        np.testing.assert_array_equal(values, two.arrays()[name])


@pytest.mark.parametrize("kind", [Quadrants, Masks, Conditional])
def test_the_network_is_left_as_it_was_and_the_same_call_gives_the_same(kind: type[Quadrants]) -> None:
    net = network(kind)
    net.module.train()
    given = {"smile": 1, "hat": 0} if kind is Conditional else None
    with untouched(net):
        one = traverse(net, IMAGE, [0, 1], condition=given)
        two = traverse(net, IMAGE, [0, 1], condition=given)
    for name, values in one.arrays().items():
        np.testing.assert_array_equal(values, two.arrays()[name])


def test_a_step_is_decoded_and_explained_with_the_images_own_condition() -> None:
    net = network(Conditional)
    given = picture(0.7, 0.4, 0.5, 0.6)
    found = traverse(net, given, 0, [0.0], condition={"smile": 1, "hat": 0.5})
    np.testing.assert_array_equal(found.conditions, [[[1, 0.5]]])
    assert found.pictures[0, 0, 0, 0, 0] == pytest.approx(0.7, abs=1e-6)  # quadrant 0 at 0.5, and the smile's 0.2
    np.testing.assert_allclose(found.attention.scores, 0, atol=1e-5)
    extra = net.with_(extra=(torch.tensor([[1.0, 0.5]]),))
    np.testing.assert_array_equal(traverse(extra, given, 0, [0.0]).pictures, found.pictures)


def test_a_decoder_without_forward_derivatives_is_differenced() -> None:
    class Stubborn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            return z**3

        @staticmethod
        def backward(ctx, g):
            raise AssertionError

    class Odd(Quadrants):
        def decode(self, z, condition=None):
            return super().decode(Stubborn.apply(z))

    found = traverse(network(Odd), IMAGE, 0, attention=None)
    expected = 3 * found.mu[0] ** 2 * GAIN
    np.testing.assert_allclose(found.change[0][CORNERS[0]], expected, rtol=1e-3)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"units": 5}, "no unit 5"),
        ({"units": []}, "no unit to move"),
        ({"units": {0: 0.0}}, "a weight other than 0"),
        ({"units": 0, "mode": "move"}, "mode = 'move'"),
        ({"units": 0, "sigma": "mine"}, "sigma = 'mine'"),
        ({"units": 0, "sigma": "posterior"}, "mode='add'"),
        ({"units": 0, "values": []}, "at least one"),
        ({"units": 0, "values": [float("nan")]}, "numbers in a list"),
        ({"units": 0, "steps": 1}, "1 is too few"),
        ({"units": 0, "on": "mask"}, "not 'mask'"),
        ({"units": 0, "condition": {"smile": 1}}, "takes no condition"),
    ],
)
def test_refusals(given: dict[str, object], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        traverse(network(), IMAGE, **given)


def test_conditions_are_checked_by_name() -> None:
    net = network(Conditional)
    with pytest.raises(ParameterError, match=r"not conditioned on 'smil'\.\n  Nearest: 'smile'"):
        traverse(net, IMAGE, 0, condition={"smil": 1, "hat": 0})
    with pytest.raises(ParameterError, match="two different units"):
        grid(network(), IMAGE, (1, 1))
    with pytest.raises(NetworkError, match="is no autoencoder"):
        traverse(network(torch.nn.Flatten), IMAGE, 0)


class Branched(Quadrants):
    """The decoder is also told the mean of the image, which it adds."""

    def decode_beside(self, z, x):
        return self.decode(z) + x.mean()


def test_a_decoder_that_is_told_of_the_image_is_told_at_every_step() -> None:
    plain, told = (traverse(network(kind), IMAGE, [0, 2], [-1.0, 1.0]) for kind in (Quadrants, Branched))
    np.testing.assert_allclose(told.pictures, plain.pictures + IMAGE.mean() / 255, atol=1e-5)
    np.testing.assert_allclose(told.reconstruction, plain.reconstruction + IMAGE.mean() / 255, atol=1e-5)
    np.testing.assert_allclose(told.change, plain.change, atol=1e-6)
    assert "Decoded with what the network's branch sees in the image given" in told.notes[-1]
    assert plain.notes == ()
