"""torchvision, also where its compiled half does not load.

The published torchvision wheels are linked against CUDA. Beside a torch without CUDA their library does not load,
and `import torchvision` fails as its Python half registers shapes for an operator that nobody declared. timm,
segmentation-models-pytorch and pytorch-grad-cam import torchvision, so they fail too. None of them needs the compiled
operators for what the benchmarks and tests do: declaring the absent ones, without an implementation, is enough.
"""

import importlib
import sys
from types import ModuleType

import torch

_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DECLARED: list[torch.library.Library] = []
"""A declaration lasts as long as its library object lives."""


def import_torchvision() -> ModuleType:
    """torchvision; with its missing operators declared where its own library cannot.

    Non-maximum suppression, deformable convolution and image decoding then fail when called; models and transforms
    work. Raises ImportError where torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError as failed:
        if "torchvision::nms" not in str(failed):
            raise
    # The failed import leaves half-built modules behind, which a second import would take for whole ones.
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    library = torch.library.Library("torchvision", "DEF")
    library.define(f"nms{_BOXES}")
    library.define(f"qnms{_BOXES}")
    _DECLARED.append(library)
    return importlib.import_module("torchvision")
