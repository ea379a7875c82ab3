"""Captum and pytorch-grad-cam doing the same work: each function gives what that peer's user would get.

What the peers leave to the caller is done here: the region (a closure for Captum, a target object for
pytorch-grad-cam), the sum over input channels, and a loop over classes, of which both explain one at a time.
"""

import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.agreement import from_0_to_1
from benchmarks.cases import Case
from seglens.networks.zoos.repair import import_torchvision

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


def captum_guided_backprop(case: Case) -> Maps:
    """GuidedBackprop, its sizes summed over channels. It takes a module and acts on ReLU modules only."""
    from captum.attr import GuidedBackprop

    with _announced_hooks():
        return _summed(GuidedBackprop(_Scored(case)).attribute(_input(case), target=case.channel).abs())


def captum_guided_grad_cam(case: Case) -> Maps:
    """GuidedGradCam, upsampled bilinearly, its sizes summed over channels."""
    from captum.attr import GuidedGradCam

    method = GuidedGradCam(_Scored(case), case.module.get_submodule(case.layer))
    with _announced_hooks():
        found = method.attribute(_input(case), target=case.channel, interpolate_mode="bilinear")
    return _summed(found.abs())


def captum_activation(case: Case, channel: int | None = None) -> Maps:
    """LayerActivation of one channel, upsampled as the CAMs are.

    Without a channel that of largest Σ ∂S/∂A_k · A_k, by LayerGradientXActivation; Captum leaves ranking to the caller.
    """
    from captum.attr import LayerActivation, LayerAttribution, LayerGradientXActivation

    layer = case.module.get_submodule(case.layer)
    if channel is None:
        terms = LayerGradientXActivation(case.score, layer).attribute(case.x, target=case.channel)
        channel = int(terms.sum((2, 3))[0].argmax())
    coarse = LayerActivation(case.score, layer).attribute(case.x)[:, channel : channel + 1]
    return _numpy(LayerAttribution.interpolate(coarse, tuple(case.x.shape[2:]), "bilinear")[0])


def captum_occlusion(case: Case, size: int, stride: int, covered: Tensor) -> Maps:
    """Occlusion by square patches of all channels, one a pass as it comes; its maps are the same in each channel."""
    from captum.attr import Occlusion

    patch = (case.x.shape[1], size, size)
    found = Occlusion(case.score).attribute(
        case.x, patch, strides=(patch[0], stride, stride), baselines=covered, target=case.channel
    )
    return _numpy(found[:, 0])


@contextmanager
def _announced_hooks() -> Generator[None]:
    """Captum warns at each call that it sets hooks and will remove them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Setting backward hooks on ReLU", UserWarning)
        yield


class _Scored(nn.Module):
    """The network and what is summed of its output, as one module."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.module = case.module
        self.score = case.score

    def forward(self, x: Tensor) -> Tensor:
        return self.score(x)


def cam(case: Case, name: str, channels: Sequence[int]) -> Maps:
    """A method of pytorch-grad-cam by its class's name, class by class; its maps run from 0 to 1."""
    import_torchvision()
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget

    make: Callable[..., Any] = getattr(pytorch_grad_cam, name)
    mask = case.region.astype(np.float32)
    with make(case.module, [case.module.get_submodule(case.layer)]) as method:
        return np.concatenate([method(case.x, [SemanticSegmentationTarget(c, mask)]) for c in channels])


def cam_guided_backprop(case: Case) -> Maps:
    """GuidedBackpropReLUModel of pytorch-grad-cam, its sizes summed over channels, then scaled as its CAMs are.

    It exchanges the ReLU modules of the network that it is given, and puts others back: the case is to be a copy.
    """
    import_torchvision()
    from pytorch_grad_cam import GuidedBackpropReLUModel

    found = GuidedBackpropReLUModel(_Scored(case))(case.x.clone(), case.channel)
    return from_0_to_1(np.abs(found).sum(2)[None])


def _input(case: Case) -> Tensor:
    return case.x.clone().requires_grad_()


def _summed(values: Tensor) -> Maps:
    return _numpy(values.sum(1))


def _numpy(values: Tensor) -> Maps:
    return values.detach().numpy()
