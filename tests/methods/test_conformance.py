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
    "smooth-grad": ("smooth-grad", partial(methods.SmoothGrad, samples=3), Traits()),
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
    "layer-cam": ("layer-cam", methods.LayerCAM, Traits()),
}


def test_every_method_is_here():
    assert {name for name, _, _ in VARIANTS.values()} == set(METHODS.names())


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_conforms(variant: str, check: str):
    _, make, traits = VARIANTS[variant]
    conformance(make, traits)[check]()
