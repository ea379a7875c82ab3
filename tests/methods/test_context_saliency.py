"""Context saliency: what surrounds a region is removed and nothing else, and a planted cue is found."""

import pytest
import torch
from masked import Seen
from torch import Tensor, nn

from seglens.core.errors import EmptyRegionError, EmptyRegionWarning, RegionError, ZeroMapWarning
from seglens.core.frame import Frame
from seglens.core.network import Network
from seglens.core.regions import box, everything, mask
from seglens.core.targets import Target, Targets
from seglens.methods import ContextSaliency, GridSaliency
from seglens.testing import toys

# Where an empty mask is the point, the test asks for the warning.
pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")


class Cued(nn.Module):
    """Says class 1 everywhere where the corner at the bottom right is bright."""

    def forward(self, x: Tensor) -> Tensor:
        cue = x[:, 0, 12:, 12:].mean((1, 2))
        logit = 8 * (cue - 0.5)
        return torch.stack([-logit, logit], 1)[:, :, None, None] + 0 * x[:, :1]


class Blind(nn.Module):
    """Says what it says by each pixel alone."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([-x[:, :1], x[:, :1]], 1) * 4


def picture() -> Tensor:
    x = torch.full((1, 1, 16, 16), 0.2)
    x[..., 12:, 12:] = 1.0
    x[..., 2:6, 2:6] = 0.8
    return x


OBJECT = box(2, 2, 6, 6)


def test_the_pictures_that_the_network_sees_are_those_of_the_paper():
    """p = x ∘ U(M) + x_R ∘ (1 − U(M)), x_R = x ∘ R + a ∘ (1 − R), in every pass."""
    toy = toys.plain()
    seen = Seen(toy.network.module)
    x = toy.x[:1]
    method = ContextSaliency(cells="3x4", fill="black", mode="reference", steps=4, sparsity=1e-3, early=False)
    target = Targets.of(Target("car", box(2, 3, 9, 12)))
    states = list(method.iterate(toy.network.with_(module=seen), x, target))
    r = torch.zeros(12, 16)
    r[2:9, 3:12] = 1
    bare = x * r
    torch.testing.assert_close(seen.inputs[0], x)
    torch.testing.assert_close(seen.inputs[1], bare)
    masks = [torch.full((3, 4), 0.5), *(s.mask[0, 0] for s in states[:-1])]
    for given, m in zip(seen.inputs[2:], masks, strict=True):
        u = nn.functional.interpolate(m[None, None], (12, 16), mode="bilinear", align_corners=False)
        torch.testing.assert_close(given, x * u + bare * (1 - u))
        torch.testing.assert_close(given * r, x * r)


@pytest.mark.parametrize("mode", ["robust", "reference"])
def test_the_planted_cue_is_found(mode):
    network = Network(module=Cued())
    method = ContextSaliency(mode=mode, cells="4x4", fill="black", sparsity=0.05)
    maps = method(network, picture(), Targets.of(Target(1, OBJECT)))
    coarse = maps.extras["mask"][0, 0]
    # Spreading reaches half a cell beyond: neighbours of the cue's own cell may help.
    assert coarse[3, 3] > 0.7
    assert coarse[2:, 2:].sum() > 0.95 * coarse.sum()
    assert maps.values[0, 0, 2:6, 2:6].max() == 0
    assert maps.extras["bare-confidence"] < 0.05 < 0.9 < maps.extras["kept-confidence"]


def test_a_network_that_needs_no_context_is_told_to():
    with pytest.warns(ZeroMapWarning, match="no context has to be kept to preserve the score: 1 in box"):
        maps = ContextSaliency(cells="4x4")(Network(module=Blind()), picture(), Targets.of(Target(1, OBJECT)))
    assert maps.extras["empty-loss"] == 0
    assert maps.extras["fill-sweep"].abs().max() == 0
    assert maps.extras["tried"] == 0
    # The same object is needed itself.
    grid = GridSaliency(cells="4x4", fill="black")(Network(module=Blind()), picture(), Targets.of(Target(1, OBJECT)))
    assert grid.extras["mask"][0, 0, 0:2, 0:2].sum() > 0.9 * grid.extras["mask-size"].item() > 0


def test_cells_inside_the_region_feel_the_price_alone():
    """In reference mode they fall at the published 0.02 a step: 0.5 is gone after some 26."""
    network = Network(module=Cued())
    method = ContextSaliency(mode="reference", preset="toy", fill="black", early=False)
    region = Targets.of(Target(1, box(0, 0, 12, 12)))
    states = list(method.iterate(network, picture(), region))
    inside = [float(s.mask[0, 0, 0, 0]) for s in states]
    assert inside[20] > 0
    assert inside[28] == 0
    # Momentum at rest: λ · rate / (1 − momentum).
    assert inside[10] - inside[11] == pytest.approx(0.05 * 0.2 / (1 - 0.5), rel=0.01)


def test_a_region_that_is_everything_leaves_no_context():
    toy = toys.plain()
    with pytest.raises(EmptyRegionError, match="no context to explain it by"):
        ContextSaliency()(toy.network, toy.x, Targets.of(Target("car", everything)))
    some = torch.ones(3, 12, 16, dtype=torch.bool)
    some[1:, :, 8:] = False
    with pytest.warns(EmptyRegionWarning):
        maps = ContextSaliency(sparsity=1e-4, steps=4)(
            toy.network, toy.x, Targets.of([Target("car", mask(some.numpy())), Target("sky", box(0, 0, 4, 4))])
        )
    assert maps.values[0, 0].isnan().all()
    assert maps.extras["objective"][0, 0].isnan()
    assert maps.values[1:, 0].isfinite().all()
    assert maps.values[:, 1].isfinite().all()


def test_one_score_for_the_whole_image_has_no_context():
    toy = toys.classifier()
    with pytest.raises(RegionError, match="one score for the whole image"):
        ContextSaliency()(toy.network, toy.x, Targets.of("car"))


def test_padding_that_repeats_the_region_stays_with_it():
    """An object at the edge of a padded picture: its repetition in the padding is not context."""
    toy = toys.plain()
    seen = Seen(toy.network.module)
    x = nn.functional.pad(toy.x[:1, :, :, :10], (0, 6, 0, 0), mode="replicate")
    target = Target("car", box(0, 5, 12, 10))
    frames = (Frame((12, 10), (12, 10), (12, 16)),)
    method = ContextSaliency(fill="black", steps=2, sparsity=1e-4)
    maps = method(toy.network.with_(module=seen), x, Targets(items=(target,), frames=frames))
    bare = seen.inputs[1]
    torch.testing.assert_close(bare[..., 5:], x[..., 5:])
    assert bare[..., :5].abs().max() == 0
    assert maps.values[..., 10:].abs().max() == 0
