"""Whatever library a network comes from, one line loads it, and the same methods explain it, none knowing which.

More than ten architectures, all with random weights: that maps mean something is shown elsewhere, on trained networks.
"""

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import seglens as sl
from seglens.core.network import Network
from seglens.testing.untouched import untouched

# Test folders are no packages: modules beside this file are found through the path.
sys.path.insert(0, str(Path(__file__).parent))
from architectures import ARCHITECTURES, SIDE, Architecture

METHODS: dict[str, Any] = {
    "saliency": sl.Saliency(),
    "grad-cam": sl.GradCAM(relu=False),
    "integrated-gradients": sl.IntegratedGradients(nodes=4, most=4),
    "context-saliency": sl.ContextSaliency(fill="black", sparsity=1e-6, steps=3),
}

pytestmark = [
    # Few nodes and steps: the doors are tried here, not the methods.
    pytest.mark.filterwarnings("ignore::seglens.core.errors.CompletenessWarning"),
    pytest.mark.filterwarnings("ignore::seglens.core.errors.MaskSearchWarning"),
    pytest.mark.filterwarnings("ignore::seglens.core.errors.ReachWarning"),
    pytest.mark.filterwarnings("ignore::seglens.core.errors.GuessWarning"),
    pytest.mark.filterwarnings("ignore:zero everywhere, no context:seglens.core.errors.ZeroMapWarning"),
]


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Architecture, Network]:
    architecture = ARCHITECTURES[request.param]
    if architecture.package is not None and find_spec(architecture.package) is None:
        pytest.skip(f"{architecture.package} is not installed")
    with warnings.catch_warnings():
        # The libraries' own: what they deprecate while they build and save.
        warnings.simplefilter("ignore")
        return architecture, architecture.load(tmp_path_factory.mktemp("net"))


def test_there_are_more_than_ten():
    assert len(ARCHITECTURES) > 20


def test_its_layers_are_seen_and_the_default_one_has_a_map(case: tuple[Architecture, Network], picture: np.ndarray):
    architecture, network = case
    layers = {a.path: a for a in sl.layer_tree(network, picture)}
    assert sum(a.runs > 0 for a in layers.values()) > 5
    if architecture.layer:
        assert layers[architecture.layer].spatial


@pytest.mark.parametrize("name", METHODS)
def test_four_methods_explain_it(case: tuple[Architecture, Network], picture: np.ndarray, name: str):
    architecture, network = case
    with untouched(network.module):
        if architecture.classifies and name == "context-saliency":
            # Context is what lies outside the region: an answer for the whole picture has none.
            with pytest.raises(sl.errors.RegionError):
                sl.explain(network, picture, METHODS[name])
            return
        target = None if architecture.classifies else sl.Target(1, sl.box(8, 8, 39, 39))
        found = sl.explain(network, picture, METHODS[name], target)
    assert found.map.shape == (SIDE, SIDE)
    assert np.isfinite(found.map).all()
    if name == "context-saliency" and not found.map.any():
        # Some of them, untrained, keep their score without any context: a true answer, which is announced.
        assert any("zero everywhere" in note for note in found.notes)
    else:
        assert len(np.unique(found.map)) > 1
