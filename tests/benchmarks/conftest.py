"""The benchmarks lie beside the package, not in it: their folder's parent is put on the path."""

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))


@pytest.fixture(scope="session")
def need():
    """need('captum'): skip, with the reason, where a peer is not installed."""

    def check(*packages: str) -> None:
        absent = [name for name in packages if find_spec(name) is None]
        if absent:
            pytest.skip(f"not installed: {', '.join(absent)}; they come with pip install -e '.[zoo,peers]'")

    return check


@pytest.fixture(scope="session")
def unet(need):
    """smp's U-Net with ResNet-18 encoder, 19 classes, on an image small enough for tests."""
    need("torchvision", "segmentation_models_pytorch")
    from benchmarks.cases import smp_unet

    return smp_unet(size=(64, 128))


@pytest.fixture(scope="session")
def forward(unet) -> int:
    """Floating-point operations of one forward pass of `unet`."""
    from benchmarks.measure import forward_cost

    return forward_cost(unet)[0]
