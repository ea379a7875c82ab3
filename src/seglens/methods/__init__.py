"""The methods: one formula each, from network, input and targets to maps."""

from seglens.methods.grad_cam import GradCAM
from seglens.methods.grad_cam_plus_plus import GradCAMPlusPlus
from seglens.methods.hires_cam import HiResCAM
from seglens.methods.input_x_gradient import InputXGradient
from seglens.methods.integrated_gradients import IntegratedGradients
from seglens.methods.layer_cam import LayerCAM
from seglens.methods.saliency import Saliency
from seglens.methods.smooth_grad import SmoothGrad

__all__ = [
    "GradCAM",
    "GradCAMPlusPlus",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "LayerCAM",
    "Saliency",
    "SmoothGrad",
]
