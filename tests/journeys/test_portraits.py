"""Two trained portrait segmenters, one with two logits and one with a single one, explained from end to end."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import seglens as sl
from seglens.core.method import takes_target
from seglens.testing.untouched import untouched

# Test folders are no packages: modules beside this file are found through the path.
sys.path.insert(0, str(Path(__file__).parent))
from portraits import PORTRAIT, ExtremeC3, SINet
from published import material
from test_real_networks import METHODS as MANY
from test_real_networks import check, honest

# Their gradients jump so often on the way from black that the gap closes slowly; from a blurred picture it is small.
METHODS = {**MANY, "integrated-gradients": sl.IntegratedGradients(nodes=8, baseline="blur", gap=0.5)}

NETWORKS = {"SINet": SINet, "ExtremeC3": ExtremeC3}
FACE = (10, 65, 60, 105)
"""Top, left, bottom and right of head and hair in the picture at 224 × 224."""
HEAD = (slice(0, 96), slice(48, 144))
OUTLINE = (
    *((12, 81), (7, 98), (14, 120), (34, 132), (50, 130), (59, 119), (78, 118), (92, 132), (109, 134), (115, 148)),
    *((140, 157), (151, 157), (160, 132), (185, 123), (223, 120), (223, 14), (190, 10), (151, 11), (112, 25)),
    *((98, 48), (78, 52), (66, 67), (64, 81), (53, 78), (48, 70), (34, 67)),
)
"""The person in it, drawn by hand, in (row, column)."""


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    name = request.param
    weights = material(f"portrait/{name}.pth")
    return sl.load(weights, constructor=NETWORKS[name], convention=PORTRAIT, classes=["background", "person"])


@pytest.fixture(scope="module")
def picture():
    whole = Image.open(material("photos/astronaut.png")).convert("RGB")
    return np.array(whole.resize((224, 224), Image.Resampling.BILINEAR))


@pytest.fixture(scope="module")
def outline(picture):
    network = sl.load(torch.nn.Conv2d(3, 2, 1), convention={})
    return sl.explain(network, picture, "saliency", sl.Target(1, sl.polygon(*OUTLINE))).region


def test_all_tensors_are_used(network):
    """Loading is strict; the pictures below would be nonsense if a tensor sat in another's place."""
    weights = torch.load(material(f"portrait/{network.name}.pth"), map_location="cpu", weights_only=True)
    counted = {name for name in network.module.state_dict() if name.endswith("num_batches_tracked")}
    assert set(network.module.state_dict()) - counted == set(weights) - counted


def test_it_finds_the_person(network, picture, outline):
    found = sl.explain(network, picture, "saliency", sl.Target("person", sl.predicted("person")))
    assert (found.region & outline).sum() / (found.region | outline).sum() > 0.85
    top, left, bottom, right = FACE
    assert found.region[top + 5 : bottom, left + 5 : right].mean() > 0.9


def test_the_convention_matters(network, picture, outline):
    """The authors' own values give the person: plain ones from 0 to 1 do not, colours in the other order do worse."""

    def overlap(**convention):
        other = network.with_(convention=sl.Convention(**convention))
        found = sl.explain(other, picture, "score-map", sl.Target("person", sl.everything)).prediction == 1
        return (found & outline).sum() / (found | outline).sum()

    assert overlap(**PORTRAIT) > overlap(**{**PORTRAIT, "order": "RGB"}) > overlap(size=(224, 224))


def test_the_number_of_logits(network, picture):
    x, _ = network.convention.prepare(sl.read_image(picture).pixels)
    with torch.no_grad():
        y = network(x)
    assert y.shape[1] == {"SINet": 2, "ExtremeC3": 1}[network.name]
    region = sl.predicted("person")
    person, ground = sl.explain(network, picture, "input-x-gradient", [sl.Target(c, region) for c in (1, 0)])
    opposite = np.abs(person.map + ground.map).max() < 1e-6 * np.abs(person.map).max()
    assert opposite == network.is_binary(y)


@honest
@pytest.mark.parametrize("name", METHODS)
def test_every_method_over_every_kind_of_region(network, picture, outline, name):
    """On the head alone, in the picture's own pixels: both find it there too, and it takes a fifth of the time."""
    network = network.with_(convention=sl.Convention(**{**PORTRAIT, "size": None}))
    edge = sl.border(sl.instance("person", largest=1), 2)
    targets = [sl.Target("person", r) for r in (sl.predicted("person"), edge)]
    with untouched(network):
        found = sl.explain(network, picture[HEAD], METHODS[name], targets)
    for one in found:
        check(network, one, (96, 96))
        assert np.ptp(one.map) > 0
    assert found[0].score > found[1].score
    assert (found[0].region & outline[HEAD]).sum() / (found[0].region | outline[HEAD]).sum() > 0.85


def test_methods_are_all_asked():
    """But second-order: these networks are piecewise linear, and their second derivatives zero."""
    asking = {name for name in sl.METHODS if takes_target(sl.METHODS[name]())}
    assert asking - {"second-order"} == set(METHODS)


def test_integrated_gradients_are_complete(network, picture):
    method = sl.IntegratedGradients(nodes=8, baseline="blur", gap=0.25)
    network = network.with_(convention=sl.Convention(**{**PORTRAIT, "size": None}))
    found = sl.explain(network, picture[HEAD], method, sl.Target("person", sl.predicted("person")))
    gained = found.score - found.extras["baseline-score"]
    assert found.map.sum() == pytest.approx(gained, rel=0.25)


@honest
def test_grad_cam_of_the_face_lies_on_the_person(network, picture, outline):
    found = sl.explain(network, picture, sl.GradCAM(), sl.Target("person", sl.box(*FACE)))
    assert found.share(outline) > 1.2 * outline.mean()
