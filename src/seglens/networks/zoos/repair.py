"""torchvision, also where its compiled half does not load; and the libraries that import it.

The published torchvision wheels are linked against CUDA. Beside a torch without CUDA their library does not load, and
`import torchvision` fails as its Python half registers shapes for an operator that nobody declared. timm,
segmentation-models-pytorch and others import torchvision, so they fail too. Models and transforms need none of the
compiled operators: declaring the absent ones, without an implementation, is enough.
"""

import importlib
import sys
import warnings
from importlib.util import find_spec
from types import ModuleType

import torch

from seglens.core.errors import NetworkError, missing_extra

_BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_DECLARED: list[torch.library.Library] = []
"""A declaration lasts as long as its library object lives."""


def import_torchvision() -> ModuleType:
    """torchvision; with its missing operators declared where its own library cannot.

    Non-maximum suppression, deformable convolution and image decoding then fail when called, which torchvision says
    itself; models and transforms work. Nothing is done where torchvision loads by itself.
    Raises MissingExtraError where it is not installed, NetworkError where it does not import for another reason.
    """
    if find_spec("torchvision") is None:
        raise missing_extra("torchvision", "vision", "A model of torchvision")
    try:
        return _imported("torchvision")
    except (RuntimeError, ImportError, OSError) as failed:
        if "torchvision::nms" not in str(failed):
            raise _broken("torchvision", failed) from failed
    # The failed import leaves half-built modules behind, which a second import would take for whole ones.
    for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
    if not _DECLARED:
        library = torch.library.Library("torchvision", "DEF")
        _DECLARED.append(library)
        library.define(f"nms{_BOXES}")
        library.define(f"qnms{_BOXES}")
    try:
        return _imported("torchvision")
    except (RuntimeError, ImportError, OSError) as failed:
        raise _broken("torchvision", failed) from failed


def mend_torchvision() -> None:
    """`import_torchvision` before the import of a library that imports it where it is installed; nothing elsewhere."""
    if find_spec("torchvision") is not None:
        import_torchvision()


def library(package: str, extra: str, purpose: str) -> ModuleType:
    """A package that may import torchvision, imported without its own deprecations.

    Raises MissingExtraError where it is not installed, NetworkError where it does not import.
    """
    if find_spec(package) is None:
        raise missing_extra(package.replace("_", "-"), extra, purpose)
    mend_torchvision()
    try:
        return _imported(package)
    # A library's import may fail in any way.
    except Exception as failed:
        raise _broken(package, failed) from failed


def _imported(name: str) -> ModuleType:
    with warnings.catch_warnings():
        # Deprecations inside a library are not for whoever uses seglens to mend.
        warnings.simplefilter("ignore")
        return importlib.import_module(name)


def _broken(package: str, failed: Exception) -> NetworkError:
    first = (str(failed).strip().splitlines() or [type(failed).__name__])[0]
    return NetworkError(
        f"{package} is installed but does not import beside torch {torch.__version__}: {first}\n"
        "  Install builds that belong together: pip install --upgrade torch torchvision"
    )
