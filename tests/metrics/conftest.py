"""torchmetrics, also where torchvision's compiled half does not load: it imports torchvision where it finds it."""

import importlib
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(scope="session")
def torchmetrics():
    """The modules torchmetrics.classification and torchmetrics.segmentation; skips where it is not installed."""
    if find_spec("torchmetrics") is None:
        pytest.skip("not installed: torchmetrics; it comes with pip install -e '.[dev]'")
    if find_spec("torchvision") is not None:
        from seglens.networks.zoos.repair import import_torchvision

        import_torchvision()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(importlib.import_module(f"torchmetrics.{part}") for part in ("classification", "segmentation"))
