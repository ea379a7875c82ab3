"""The methods: one formula each, from network, input and targets to maps."""

from seglens.methods.activation import Activation
from seglens.methods.context_saliency import ContextSaliency
from seglens.methods.fusion_map import FusionMap
from seglens.methods.grad_cam import GradCAM
from seglens.methods.grad_cam_plus_plus import GradCAMPlusPlus
from seglens.methods.grid_saliency import GridSaliency
from seglens.methods.gssm import GSSM
from seglens.methods.guided_backprop import GuidedBackprop
from seglens.methods.guided_grad_cam import GuidedGradCAM
from seglens.methods.hires_cam import HiResCAM
from seglens.methods.input_x_gradient import InputXGradient
from seglens.methods.integrated_gradients import IntegratedGradients
from seglens.methods.layer_cam import LayerCAM
from seglens.methods.occlusion import Occlusion
from seglens.methods.rise import RISE
from seglens.methods.saliency import Saliency
from seglens.methods.score_map import ScoreMap
from seglens.methods.second_order import SecondOrder
from seglens.methods.similarity_map import SimilarityMap
from seglens.methods.smooth_grad import SmoothGrad
from seglens.methods.ssm import SSM
from seglens.methods.xrai import XRAI

__all__ = [
    "GSSM",
    "RISE",
    "SSM",
    "XRAI",
    "Activation",
    "ContextSaliency",
    "FusionMap",
    "GradCAM",
    "GradCAMPlusPlus",
    "GridSaliency",
    "GuidedBackprop",
    "GuidedGradCAM",
    "HiResCAM",
    "InputXGradient",
    "IntegratedGradients",
    "LayerCAM",
    "Occlusion",
    "Saliency",
    "ScoreMap",
    "SecondOrder",
    "SimilarityMap",
    "SmoothGrad",
]
