"""Captum and pytorch-grad-cam doing the same work: each function gives what that peer's user would get.

What the peers leave to the caller is done here: the region (a closure for Captum, a target object for
pytorch-grad-cam), the sum over input channels, and a loop over classes, of which both explain one at a time.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.cases import Case
from benchmarks.torchvision_shim import import_torchvision

Maps = NDArray[np.float32]
"""[T H W], one map a class."""


def captum_saliency(case: Case) -> Maps:
    """Saliency, its sizes summed over channels."""
    from captum.attr import Saliency

    return _summed(Saliency(case.score).attribute(_input(case), target=case.channel))


def captum_input_x_gradient(case: Case) -> Maps:
    """InputXGradient, summed over channels."""
    from captum.attr import InputXGradient

    return _summed(InputXGradient(case.score).attribute(_input(case), target=case.channel))


def captum_integrated_gradients(case: Case, nodes: int, baseline: Tensor) -> Maps:
    """IntegratedGradients at Gauss–Legendre nodes, summed over channels."""
    from captum.attr import IntegratedGradients

    found = IntegratedGradients(case.score).attribute(
        _input(case), baselines=baseline, target=case.channel, n_steps=nodes, method="gausslegendre"
    )
    return _summed(found)


def captum_smooth_grad(case: Case, samples: int, sigma: float, seed: int = 0) -> Maps:
    """NoiseTunnel around a signed Saliency, so that sizes are taken after averaging; its own noise."""
    from captum.attr import NoiseTunnel, Saliency

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        found = NoiseTunnel(Saliency(case.score)).attribute(
            _input(case), nt_type="smoothgrad", nt_samples=samples, stdevs=sigma, target=case.channel, abs=False
        )
    return _summed(found.abs())


def captum_grad_cam(case: Case, channels: Sequence[int]) -> Maps:
    """LayerGradCam with its ReLU, then LayerAttribution's bilinear upsampling; class by class."""
    from captum.attr import LayerAttribution, LayerGradCam

    method = LayerGradCam(case.score, case.module.get_submodule(case.layer))
    coarse = [method.attribute(case.x, target=c, relu_attributions=True) for c in channels]
    size = tuple(case.x.shape[2:])
    return _numpy(torch.cat([LayerAttribution.interpolate(one, size, "bilinear")[0] for one in coarse]))


def captum_hires_cam(case: Case) -> Maps:
    """LayerGradientXActivation, which lacks only HiResCAM's sum over channels, ReLU and upsampling."""
    from captum.attr import LayerAttribution, LayerGradientXActivation

    method = LayerGradientXActivation(case.score, case.module.get_submodule(case.layer))
    coarse = method.attribute(case.x, target=case.channel).sum(1, keepdim=True).relu()
    return _numpy(LayerAttribution.interpolate(coarse, tuple(case.x.shape[2:]), "bilinear")[0])


def cam(case: Case, name: str, channels: Sequence[int]) -> Maps:
    """A method of pytorch-grad-cam by its class's name, class by class; its maps run from 0 to 1."""
    import_torchvision()
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget

    make: Callable[..., Any] = getattr(pytorch_grad_cam, name)
    mask = case.region.astype(np.float32)
    with make(case.module, [case.module.get_submodule(case.layer)]) as method:
        return np.concatenate([method(case.x, [SemanticSegmentationTarget(c, mask)]) for c in channels])


def _input(case: Case) -> Tensor:
    return case.x.clone().requires_grad_()


def _summed(values: Tensor) -> Maps:
    return _numpy(values.sum(1))


def _numpy(values: Tensor) -> Maps:
    return values.detach().numpy()
