"""Scores of queries against loops, and taps that see what a decoder reads although the library hooks in too."""

import warnings
from typing import Any

import pytest
import torch
from transformers_models import FAMILIES, model_of

import seglens as sl
from seglens.core.capture import capture
from seglens.core.errors import GuessWarning
from seglens.core.twice import twice_differentiable
from seglens.networks.transformers.module import semantic_scores
from seglens.testing import untouched

pytest.importorskip("transformers")


def quietly(model: Any, **told: Any) -> sl.Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return sl.load(model, **told)


def test_scores_are_sums_over_queries():
    generator = torch.Generator().manual_seed(0)
    classes = torch.randn(2, 5, 4, generator=generator, dtype=torch.float64)
    masks = 3 * torch.randn(2, 5, 6, 7, generator=generator, dtype=torch.float64)
    found = semantic_scores(classes, masks)
    for b in range(2):
        for c in range(3):
            expected = torch.zeros(6, 7, dtype=torch.float64)
            for q in range(5):
                p = classes[b, q].exp() / classes[b, q].exp().sum()
                expected += p[c] / (1 + (-masks[b, q]).exp())
            torch.testing.assert_close(found[b, c], expected)


def test_logits_and_probabilities():
    """Logits are log s; probabilities s over its sum; and the derivative of a logit is that of s over s."""
    network = quietly(model_of("mask2former"))
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    with capture(network):
        y = network(x)
        s = network.module.model(pixel_values=x)
        s = semantic_scores(s.class_queries_logits, s.masks_queries_logits, (384, 384))
        s = torch.nn.functional.interpolate(s, size=(64, 64), mode="bilinear", align_corners=False)
        torch.testing.assert_close(network.scores(y, "logits"), s.log())
        torch.testing.assert_close(network.scores(y, "probabilities"), s / s.sum(1, keepdim=True))
        (slope,) = torch.autograd.grad(y[0, 1, 30, 20], x, retain_graph=True)
        (plain,) = torch.autograd.grad(s[0, 1, 30, 20], x)
        torch.testing.assert_close(slope, plain / s[0, 1, 30, 20].detach(), rtol=1e-3, atol=1e-5)


def test_masks_nowhere_give_finite_logits():
    network = quietly(model_of("maskformer", seed=1))
    for name, parameter in network.module.named_parameters():
        if name.endswith("mask_embedder.2.0.bias") or ("mask_embedder" in name and name.endswith("bias")):
            parameter.data.fill_(-1e4)
    with capture(network):
        x = torch.rand(1, 3, 64, 64, requires_grad=True)
        y = network(x)
        assert bool(torch.isfinite(y).all())
        assert bool(torch.isfinite(torch.autograd.grad(y.sum(), x)[0]).all())


@pytest.mark.parametrize("ran_before", [False, True])
@pytest.mark.parametrize(
    ("family", "layer"), [("beit", "beit.layers.2"), ("upernet-swin", "backbone.swin.encoder.layers.3.blocks.0")]
)
def test_taps_see_what_the_decoder_reads(family: str, layer: str, ran_before: bool):
    """The library's own hooks, left from an earlier run, must not hand the decoder the map behind a tap's back."""
    model = model_of(family, seed=3 + ran_before)
    side = FAMILIES[family].side * 2 if family.startswith("upernet") else FAMILIES[family].side
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(2))
    if ran_before:
        with torch.no_grad():
            model(x)
        assert any(m._forward_hooks for m in model.modules()), "the library hooks in no longer: as_called can go"
    network = quietly(model)
    with untouched(model), capture(network, [layer]) as taps:
        (found,) = torch.autograd.grad(network(x)[0, 1].sum(), taps[layer])
    step = 1e-2 / float(found.norm())
    ends = [_score_moved(network, layer, x, sign * step * found) for sign in (1, -1)]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float(found.square().sum()), rel=0.02)


def _score_moved(network: sl.Network, layer: str, x: torch.Tensor, by: torch.Tensor) -> float:
    """The score with a layer's output moved by a map, which a class token before it is not."""

    def move(module: Any, args: Any, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        tokens = by.flatten(2).transpose(1, 2)
        first = torch.cat([first[:, : -tokens.shape[1]], first[:, -tokens.shape[1] :] + tokens], 1)
        return (first, *output[1:]) if isinstance(output, tuple) else first

    handle = network.layer(layer).register_forward_hook(move)
    with capture(network), torch.no_grad():
        score = float(network(x)[0, 1].sum())
    handle.remove()
    return score


def test_a_failure_leaves_the_hooks():
    model = model_of("upernet-swin", seed=5)
    network = quietly(model)
    with untouched(model), capture(network), pytest.raises(sl.SeglensError):
        network(torch.rand(1, 5, 64, 64))


@pytest.mark.parametrize("family", ["vit", "segformer", "beit", "mask2former"])
def test_fused_attention_has_a_second_derivative(family: str):
    network, side = quietly(model_of(family)), FAMILIES[family].side
    x = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(4)).requires_grad_()
    with capture(network), twice_differentiable():
        (slope,) = torch.autograd.grad(network(x)[0].sum(), x, create_graph=True)
        (bend,) = torch.autograd.grad(slope.square().sum(), x)
    assert bool(torch.isfinite(bend).all())
    assert float(bend.abs().max()) > 0
