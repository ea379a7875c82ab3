"""The library transformers itself: imported when needed, kept quiet, and kept off the network."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

from seglens.core.errors import NetworkError
from seglens.networks.zoos.repair import library as zoo_library

SEGMENTERS = "ForSemanticSegmentation"
CLASSIFIERS = ("ForImageClassification", "ForImageClassificationWithTeacher")
MASK_CLASSIFIERS = (
    "MaskFormerForInstanceSegmentation",
    "Mask2FormerForUniversalSegmentation",
    "OneFormerForUniversalSegmentation",
    "EomtForUniversalSegmentation",
    "EomtDinov3ForUniversalSegmentation",
)
"""Classes whose output is one mask and one class for each of its queries."""

TAKEN = (
    f"…{SEGMENTERS} (SegFormer, UPerNet, DPT, BEiT, Data2VecVision, MobileNetV2, MobileViT, …), "
    f"{', '.join(MASK_CLASSIFIERS)}, …{CLASSIFIERS[0]} (ViT, ConvNeXt, ResNet, Swin, …)"
)
"""What is taken, for messages."""


def library() -> Any:
    """The package transformers, beside any torchvision. Raises MissingExtraError; NetworkError where it is broken."""
    found: Any = zoo_library("transformers", "transformers", "A network of transformers")
    try:
        # Its parts are imported one by one on first use: this one brings what all models share.
        _ = found.PreTrainedModel
    except Exception as failed:
        raise NetworkError(
            f"transformers is installed but does not import: {failed}\n"
            "  Try `python -c 'from transformers import PreTrainedModel'` and repair what that names."
        ) from failed
    return found


@contextmanager
def quiet() -> Generator[None]:
    """Inside, transformers asks nothing of any server, prints nothing, and draws from no global generator."""
    import huggingface_hub.constants as hub
    from transformers.utils import logging

    level, bars, offline = logging.get_verbosity(), logging.is_progress_bar_enabled(), hub.HF_HUB_OFFLINE
    # Argument by argument some of its loading cannot be kept local: backbones named in a configuration, say.
    hub.HF_HUB_OFFLINE = True
    logging.set_verbosity(50)
    logging.disable_progress_bar()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        hub.HF_HUB_OFFLINE = offline
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


def is_segmenter(name: str) -> bool:
    """Whether a model class gives class scores for each pixel."""
    return name.endswith(SEGMENTERS)


def is_classifier(name: str) -> bool:
    """Whether a model class gives class scores for the whole image."""
    return name.endswith(CLASSIFIERS)


def is_taken(name: str) -> bool:
    """Whether a model class is one of those that can be explained."""
    return is_segmenter(name) or is_classifier(name) or name in MASK_CLASSIFIERS
