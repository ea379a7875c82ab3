"""Mgrad2VAE in training: what a step costs beside a deep VAE and the controls, and that it learns."""

import pytest
import torch

from seglens.core.cost import measured
from seglens.datasets.streets import CLASSES, Streets
from seglens.generative import Mgrad2VAE, Objective
from seglens.generative.mgrad2vae import ATTENTION


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def _same_weights():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.mark.parametrize(("widths", "bound"), [((8, 16, 24, 32), 5.2), ((16, 32, 48, 64), 4.1)])
def test_what_a_step_of_training_costs(widths, bound):
    """Floating-point operations of a step over those of the deep VAE of the same widths; of the controls, less."""
    x, y = torch.rand(2, 3, 64, 128, generator=seeded()), torch.randint(0, 9, (2, 64, 128), generator=seeded(2))
    spent = {}
    for attention in ATTENTION:
        net = Mgrad2VAE(
            classes=[f"c{k}" for k in range(9)], size=(64, 128), latent=32, widths=widths, attention=attention
        )
        with measured() as meter:
            Objective(reconstruction="cross-entropy")(net.training_pass(x), y)["loss"].backward()
        spent[attention] = meter.flops
    ratio = {a: f / spent["none"] for a, f in spent.items()}
    assert ratio["hvp_ones"] <= bound
    assert ratio["activations"] < ratio["gradients"] < ratio["hvp_ones"]
    assert ratio["curvature"] == pytest.approx(ratio["gradients"], rel=0.01)  # second order only
    assert ratio["diag"] == pytest.approx(ratio["hvp_ones"], rel=0.01)


def test_it_learns_four_streets():
    """Masks and attention of the scenes it is shown: more than nine pixels in ten; every scale better than chance."""
    scenes = Streets(4, size=(16, 32), seed=0)
    x = torch.stack([torch.from_numpy(s.image).movedim(-1, 0).float() / 255 for s in scenes])
    y = torch.stack([torch.from_numpy(s.labels).long() for s in scenes])
    net = Mgrad2VAE(classes=CLASSES, size=(16, 32), latent=16, dense=64)
    objective = Objective(reconstruction="cross-entropy", beta=0.1, warmup=50)
    steps, generator = torch.optim.Adam(net.parameters(), 5e-3), seeded(0)
    for step in range(130):
        steps.zero_grad()
        objective(net.training_pass(x, None, generator), y, step)["loss"].backward()
        steps.step()
    with torch.no_grad():
        maps = net.eval().attention_maps(x)
        right = {"masks": net(x), "attention": maps.attention} | {f"scale{k}": s for k, s in enumerate(maps.scales, 1)}
    right = {k: (v.argmax(1) == y).float().mean().item() for k, v in right.items()}
    most = torch.bincount(y.flatten()).max().item() / y.numel()
    assert right["masks"] > 0.9, right
    assert right["attention"] > 0.9, right
    assert all(share > most + 0.2 for share in right.values()), right
