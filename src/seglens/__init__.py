"""seglens: why did the network label these pixels?"""

from importlib.metadata import version

from seglens.core import errors
from seglens.core.capture import capture
from seglens.core.classes import ClassTable
from seglens.core.comparison import Comparison
from seglens.core.convention import Convention
from seglens.core.cost import Cost, measured
from seglens.core.display import Display
from seglens.core.errors import SeglensError, SeglensWarning
from seglens.core.explanation import Explanation, Explanations, save
from seglens.core.explanation import open_explanations as open
from seglens.core.images import Picture, expand_paths, read_image
from seglens.core.labels import read_labels, read_mask
from seglens.core.maps import Maps
from seglens.core.method import METHODS, Method
from seglens.core.network import Network
from seglens.core.progress import watching
from seglens.core.region_text import parse_region
from seglens.core.regions import (
    border,
    box,
    component,
    confused,
    everything,
    instance,
    mask,
    outside,
    pixel,
    polygon,
    predicted,
    truth,
)
from seglens.core.targets import Channel, Target, Targets, channel
from seglens.core.view import Region
from seglens.datasets.samples import open_dataset
from seglens.generative.coder import latent_of
from seglens.methods import (
    GSSM,
    RISE,
    SSM,
    XRAI,
    Activation,
    ContextSaliency,
    FusionMap,
    GradCAM,
    GradCAMPlusPlus,
    GridSaliency,
    GuidedBackprop,
    GuidedGradCAM,
    HiResCAM,
    InputXGradient,
    IntegratedGradients,
    LayerCAM,
    Occlusion,
    Saliency,
    ScoreMap,
    SecondOrder,
    SimilarityMap,
    SmoothGrad,
)
from seglens.metrics import Confusion, Tallies
from seglens.networks import describe, load
from seglens.networks.tiled import seams_of, tiled
from seglens.run.activations import activations
from seglens.run.channels import Activations
from seglens.run.compare import compare
from seglens.run.context import ContextStatistics, context_statistics
from seglens.run.error_map import ConfusedRegion, ErrorMap
from seglens.run.evaluate import evaluate
from seglens.run.evaluation import Evaluation
from seglens.run.explain import Failure, explain, explain_each
from seglens.run.found import Found, find_classes
from seglens.run.graph import network_graph
from seglens.run.large import explain_large, segment_large
from seglens.run.latent.anomaly import anomaly_attention, normal_units
from seglens.run.latent.attention import latent_attention
from seglens.run.latent.explore import grid as latent_grid
from seglens.run.latent.explore import traverse
from seglens.run.latent.factors import latent_factors
from seglens.run.latent.generate import edit, interpolate
from seglens.run.latent.generate import sample as sample_latent
from seglens.run.latent.over_training import attention_over_training
from seglens.run.latent.second_order import second_order_attention
from seglens.run.latent.statistics import latent_statistics
from seglens.run.latent.sweep import latent_sweep
from seglens.run.layers import explain_layers, layer_tree
from seglens.run.mask_removal import remove_mask
from seglens.run.mistakes import find_errors
from seglens.run.object_parts import ObjectParts, Part
from seglens.run.onnx_check import OnnxAgreement, check_onnx
from seglens.run.parts import explain_parts
from seglens.run.places import Places, compare_places
from seglens.run.segment import Segmentation, segment
from seglens.run.sensitivity import sensitivity, sensitivity_each
from seglens.run.sensitivity_table import Sensitivity
from seglens.run.stepwise import explain_steps
from seglens.run.training import Recipe, Trained, train
from seglens.run.verification import Verification
from seglens.run.verify import verify

__version__ = version("seglens")

__all__ = [
    "GSSM",
    "METHODS",
    "RISE",
    "SSM",
    "XRAI",
    "Activation",
    "Activations",
    "Channel",
    "ClassTable",
    "Comparison",
    "ConfusedRegion",
    "Confusion",
    "ContextSaliency",
    "ContextStatistics",
    "Convention",
    "Cost",
    "Display",
    "ErrorMap",
    "Evaluation",
    "Explanation",
    "Explanations",
    "Failure",
    "Found",
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
    "Maps",
    "Method",
    "Network",
    "ObjectParts",
    "Occlusion",
    "OnnxAgreement",
    "Part",
    "Picture",
    "Places",
    "Recipe",
    "Region",
    "Saliency",
    "ScoreMap",
    "SecondOrder",
    "SeglensError",
    "SeglensWarning",
    "Segmentation",
    "Sensitivity",
    "SimilarityMap",
    "SmoothGrad",
    "Tallies",
    "Target",
    "Targets",
    "Trained",
    "Verification",
    "__version__",
    "activations",
    "anomaly_attention",
    "attention_over_training",
    "border",
    "box",
    "capture",
    "channel",
    "check_onnx",
    "compare",
    "compare_places",
    "component",
    "confused",
    "context_statistics",
    "describe",
    "edit",
    "errors",
    "evaluate",
    "everything",
    "expand_paths",
    "explain",
    "explain_each",
    "explain_large",
    "explain_layers",
    "explain_parts",
    "explain_steps",
    "find_classes",
    "find_errors",
    "instance",
    "interpolate",
    "latent_attention",
    "latent_factors",
    "latent_grid",
    "latent_of",
    "latent_statistics",
    "latent_sweep",
    "layer_tree",
    "load",
    "mask",
    "measured",
    "network_graph",
    "normal_units",
    "open",
    "open_dataset",
    "outside",
    "parse_region",
    "pixel",
    "polygon",
    "predicted",
    "read_image",
    "read_labels",
    "read_mask",
    "remove_mask",
    "sample_latent",
    "save",
    "seams_of",
    "second_order_attention",
    "segment",
    "segment_large",
    "sensitivity",
    "sensitivity_each",
    "tiled",
    "train",
    "traverse",
    "truth",
    "verify",
    "watching",
]
