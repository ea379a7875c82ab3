"""Real ONNX networks, where they are at hand."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

import seglens as sl
from seglens.core.errors import GuessWarning
from seglens.testing import untouched

DATA = Path(__file__).parents[4] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the optional real material is not here")


def opened(path: Path, **fields: object) -> sl.Network:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GuessWarning)
        return sl.load(path, **fields)


def test_nuclei_as_published():
    """The published output, after a sigmoid, of the published input, which is z-scored per image."""
    net = opened(DATA / "nuclei-unet" / "weights.onnx")
    raw = torch.from_numpy(np.load(DATA / "nuclei-unet" / "test_input.npy").astype(np.float32)).reshape(1, 1, 512, 512)
    x = (raw - raw.mean()) / raw.std(correction=0)
    with torch.no_grad():
        y = net(x).sigmoid()
    published = torch.from_numpy(np.load(DATA / "nuclei-unet" / "test_output.npy")).reshape(1, 1, 512, 512)
    torch.testing.assert_close(y, published, rtol=0, atol=5e-6)


def test_portrait_is_explained():
    net = opened(DATA / "portrait" / "prisma_nchw.onnx", convention={"channels": 3, "size": [256, 256]})
    assert (net.link, net.emits) == ("sigmoid", "logits")
    image = DATA / "photos" / "astronaut.png"
    person = next(f for f in sl.find_classes(net, image) if f.index == 1)
    assert person.share is not None
    assert 0.4 < person.share < 0.65
    with untouched(net.module):
        why = sl.explain(net, image, "saliency", sl.Target(1))
        cam = sl.explain(net, image, sl.GradCAM("Add20"), sl.Target(1))
    assert why.map.max() > 0
    assert cam.map.max() > 0
