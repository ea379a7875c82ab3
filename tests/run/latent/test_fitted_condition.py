"""The condition that an image seems to have: planted values come back, what is known stays, nothing is left behind."""

from functools import partial

import numpy as np
import pytest
import torch
from coders import Conditional, Masks, network, picture

import seglens as sl
from seglens.core.errors import ParameterError
from seglens.run.latent.coding import Coding
from seglens.run.latent.fitting import fitted_condition
from seglens.testing import untouched


def worn(smile: float, hat: float) -> np.ndarray:
    """Quadrants of known brightness with the two bands that the conditional toy knows; uint8 [16 16]."""
    image = picture(0.2, 0.4, 0.6, 0.3).astype(float)
    image[0] += 255 * 0.2 * smile
    image[-1] += 255 * 0.2 * hat
    return np.rint(image).astype(np.uint8)


def given(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image)[None, None].float() / 255


@pytest.mark.parametrize(("smile", "hat"), [(0.0, 1.0), (1.0, 0.0), (0.8, 0.3), (0.5, 0.5)])
def test_planted_conditions_come_back(smile: float, hat: float) -> None:
    found = fitted_condition(Coding.of(network(Conditional)), given(worn(smile, hat)), {})
    # Eight bits a pixel leave 1 / (255 · 0.2) = 0.02 of a condition open.
    np.testing.assert_allclose(found.numpy(), [[smile, hat]], atol=0.03)


def test_what_is_known_stays_and_the_rest_is_found() -> None:
    coding = Coding.of(network(Conditional))
    found = fitted_condition(coding, given(worn(0.8, 0.3)), {"hat": 1.0})
    assert found[0, 1] == 1
    assert found[0, 0] == pytest.approx(0.8, abs=0.06)


def test_it_is_said_and_used() -> None:
    moved = sl.traverse(network(Conditional), worn(1, 0), 0, [0.0], attention=None)
    assert moved.notes[0].startswith("Condition: smile 1*, hat 0*. *: read off the image")
    np.testing.assert_allclose(moved.conditions, [[[1, 0]]], atol=0.03)
    half = sl.traverse(network(Conditional), worn(1, 0), 0, [0.0], attention=None, condition={"hat": 0})
    assert half.notes[0].startswith("Condition: smile 1*, hat 0. *: read off")
    both = sl.interpolate(network(Conditional), worn(1, 0), worn(0, 1), 3)
    np.testing.assert_allclose(both.conditions[0], [[1, 0], [0.5, 0.5], [0, 1]], atol=0.03)


def test_attention_takes_what_the_image_shows() -> None:
    ask = partial(sl.latent_attention, network(Conditional), worn(1, 0), 0, method=sl.GradCAM(relu=False))
    (read,) = ask(condition={"hat": 0})
    assert any(n.startswith("Condition: smile 1*, hat 0. *: read off") for n in read.notes)
    (given,) = ask(condition=(1, 0))
    assert not any(n.startswith("Condition") for n in given.notes)
    assert read.score == pytest.approx(given.score, abs=0.03)


def test_the_network_is_left_as_it_was() -> None:
    net = network(Conditional)
    x = given(worn(1, 0))
    with untouched(net.module, x):
        fitted_condition(Coding.of(net), x, {})


def test_masks_tell_nothing_of_a_condition() -> None:
    with pytest.raises(ParameterError, match="decodes masks"):
        fitted_condition(Coding.of(network(Masks)), given(worn(1, 0)), {})
