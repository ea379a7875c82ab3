"""Every registered method through every check of the conformance suite."""

from collections.abc import Callable
from functools import partial

import pytest

import seglens.methods as methods
from seglens.core.method import METHODS, Method
from seglens.testing import CHECKS, Traits, conformance

# Parameters that make a method quick or show another side of it, and what it declares of itself.
VARIANTS: dict[str, tuple[str, Callable[[], Method], Traits]] = {
    "saliency": ("saliency", methods.Saliency, Traits()),
    "saliency, signed": (
        "saliency",
        partial(methods.Saliency, channels="signed"),
        Traits(linear=True),
    ),
    "saliency, context": ("saliency", partial(methods.Saliency, context=True), Traits(context=True)),
    "input-x-gradient": ("input-x-gradient", methods.InputXGradient, Traits(linear=True)),
    # Without doubling, every target is integrated at the same nodes: the method is then linear.
    "integrated-gradients": (
        "integrated-gradients",
        partial(methods.IntegratedGradients, nodes=6, most=6),
        Traits(linear=True),
    ),
    "integrated-gradients, doubling": (
        "integrated-gradients",
        partial(methods.IntegratedGradients, nodes=4, most=16, baseline="blur"),
        Traits(),
    ),
    "integrated-gradients, sizes": (
        "integrated-gradients",
        partial(methods.IntegratedGradients, nodes=4, multiply_by_inputs=False, baseline="mean"),
        Traits(),
    ),
    "integrated-gradients, context": (
        "integrated-gradients",
        partial(methods.IntegratedGradients, nodes=6, most=6, context=True),
        Traits(linear=True, context=True),
    ),
    "smooth-grad": ("smooth-grad", partial(methods.SmoothGrad, samples=3), Traits()),
    "smooth-grad, context": (
        "smooth-grad",
        partial(methods.SmoothGrad, samples=2, context=True),
        Traits(context=True),
    ),
    "grad-cam": ("grad-cam", methods.GradCAM, Traits()),
    "grad-cam, signed and cut": (
        "grad-cam",
        partial(methods.GradCAM, relu=False, truncate=True),
        Traits(linear=True),
    ),
    # Its weights are ratios of powers of the gradient, which the score's scale does not leave.
    "grad-cam-plus-plus": (
        "grad-cam-plus-plus",
        methods.GradCAMPlusPlus,
        Traits(homogeneous=False),
    ),
    "hires-cam": ("hires-cam", methods.HiResCAM, Traits()),
    "guided-backprop": ("guided-backprop", methods.GuidedBackprop, Traits(rectifiers=True)),
    "guided-backprop, signed": (
        "guided-backprop",
        partial(methods.GuidedBackprop, channels="signed"),
        Traits(rectifiers=True),
    ),
    # A product of two slopes, whose unit is the square of the score's.
    "guided-grad-cam": ("guided-grad-cam", methods.GuidedGradCAM, Traits(homogeneous=False, rectifiers=True)),
    # A map of the layer's own numbers, whose unit is not the score's.
    "activation": ("activation", methods.Activation, Traits(homogeneous=False)),
    "activation, second": ("activation", partial(methods.Activation, rank=2), Traits(homogeneous=False)),
    "activation, named": ("activation", partial(methods.Activation, channel=2), Traits(homogeneous=False)),
    "layer-cam": ("layer-cam", methods.LayerCAM, Traits()),
    # On probabilities, which are not proportional to the scores.
    "occlusion": (
        "occlusion",
        partial(methods.Occlusion, size=6, stride=4, fill="black"),
        Traits(homogeneous=False, linear=True),
    ),
    "occlusion, superpixels": (
        "occlusion",
        partial(methods.Occlusion, parts="superpixel", scale=60.0, levels=2, fill="mean"),
        Traits(homogeneous=False, linear=True),
    ),
    # Masks, whose unit is a share: of a score s times as large λ is another price.
    "grid-saliency": (
        "grid-saliency",
        partial(methods.GridSaliency, sparsity=3e-5, steps=6),
        Traits(homogeneous=False),
    ),
    "grid-saliency, reference": (
        "grid-saliency",
        partial(methods.GridSaliency, mode="reference", sparsity=1e-3, steps=8),
        Traits(homogeneous=False),
    ),
    "context-saliency": (
        "context-saliency",
        partial(methods.ContextSaliency, sparsity=1e-4, steps=6),
        Traits(homogeneous=False, context=True, searched=True),
    ),
    # Probabilities are not proportional to the scores.
    "second-order": ("second-order", methods.SecondOrder, Traits(homogeneous=False, linear=True, curved=True)),
    "second-order, diagonal": (
        "second-order",
        partial(methods.SecondOrder, variant="diag", channels="sum"),
        Traits(homogeneous=False, linear=True, curved=True),
    ),
    "second-order, estimated": (
        "second-order",
        partial(methods.SecondOrder, variant="diag", probes=3, seed=1),
        Traits(homogeneous=False, linear=True, curved=True),
    ),
    "score-map": ("score-map", methods.ScoreMap, Traits(homogeneous=False, linear=True)),
    "fusion-map": ("fusion-map", methods.FusionMap, Traits(homogeneous=False, units=False)),
    "fusion-map, margin": (
        "fusion-map",
        partial(methods.FusionMap, show="margin"),
        Traits(homogeneous=False, units=False),
    ),
    "ssm": ("ssm", methods.SSM, Traits(homogeneous=False)),
    "gssm": ("gssm", methods.GSSM, Traits(homogeneous=False)),
    # The parts over which it averages hang on the classes, not on the target: linear.
    "similarity-map": ("similarity-map", methods.SimilarityMap, Traits(homogeneous=False, linear=True)),
    # Segments are chosen by their order, which no scale changes.
    "xrai": ("xrai", partial(methods.XRAI, nodes=4), Traits()),
    "xrai, sum": ("xrai", partial(methods.XRAI, nodes=4, channels="sum", size=8), Traits()),
    "rise": ("rise", partial(methods.RISE, masks=8, cells=3), Traits(homogeneous=False, linear=True)),
    "rise, published": (
        "rise",
        partial(methods.RISE, masks=8, cells=3, fill="black", centred=False),
        Traits(homogeneous=False, linear=True),
    ),
}


def test_every_method_is_here():
    assert {name for name, _, _ in VARIANTS.values()} == set(METHODS.names())


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_conforms(variant: str, check: str):
    _, make, traits = VARIANTS[variant]
    conformance(make, traits)[check]()
