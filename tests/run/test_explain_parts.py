"""explain_parts(): parts against brute force, each as it is explained alone, and planted cues that tell them apart."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from painted import Bits, Painted, network, painting, scenes
from PIL import Image
from scipy import ndimage
from scipy.stats import spearmanr
from torch import nn

import seglens as sl
from seglens.core.errors import (
    ClassNotFoundError,
    EmptyRegionError,
    NameNotFoundError,
    ParameterError,
    RegionError,
    ShapeError,
)
from seglens.run.parts import LEAST, explain_parts
from seglens.testing import untouched

NAMES = sl.ClassTable(("road", "traffic light", "rider"))
MAP = "score-map"

pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.ZeroMapWarning")


def objects_of(truth, ids=None):
    """(class, mask) of every object: components that touch by sides and corners, by scipy; or those of one id."""
    found = []
    for c in np.unique(truth[truth != 255]):
        inside = truth == c
        if ids is None:
            labels, _ = ndimage.label(inside, np.ones([3] * truth.ndim))
        else:
            labels = ids * inside
        found += [(int(c), labels == i) for i in np.unique(labels[labels > 0])]
    return found


def parts_of(c, mask, said, least):
    """What brute force says the parts are: the right one, then the wrong ones by area."""
    areas = {k: int((mask & (said == k)).sum()) for k in range(3)}
    wrong = sorted((k for k in areas if k != c and areas[k] >= least), key=lambda k: -areas[k])
    return [c] * (areas[c] >= least) + wrong, areas


def any_pixel(mask):
    return tuple(int(i) for i in np.argwhere(mask)[len(np.argwhere(mask)) // 2])


def scene(seed=0, size=(9, 10)):
    ((image, truth),) = scenes(1, size, seed=seed)
    return image, truth, np.random.default_rng(seed).integers(0, 4, size)


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("least", [1, 3])
def test_parts_of_each_object_are_those_of_brute_force(with_ids, least):
    image, truth, ids = scene()
    ids = ids if with_ids else None
    met = {"parts": 0, "none": 0, "no right one": 0}
    for c, mask in objects_of(truth, ids):
        order, areas = parts_of(c, mask, image, least)
        asked = {"instances": ids, "at": any_pixel(mask), "method": MAP, "least": least}
        if not set(order) - {c}:
            met["none"] += 1
            with pytest.raises(EmptyRegionError, match="has no wrong part"):
                explain_parts(network(classes=NAMES), image, truth, **asked)
            continue
        found = explain_parts(network(classes=NAMES), image, truth, **asked)
        met["parts" if c in order else "no right one"] += 1
        assert (found.mask == mask).all()
        assert found.truth == NAMES.names[c]
        assert found.pixels == mask.sum()
        assert sorted(p.pixels for p in found.wrong)[::-1] == [p.pixels for p in found.wrong]
        assert {p.label: p.pixels for p in found.parts} == {NAMES.names[k]: areas[k] for k in order}
        for p in found.parts:
            assert (p.mask == (mask & (image == NAMES.index(p.label)))).all()
            assert p.share == pytest.approx(p.pixels / mask.sum())
            assert p.correct == (p.label == found.truth)
            assert p.explanation.label == NAMES.index(p.label)
        assert (found.correct is None) == (c not in order)
        assert found.left_out == sum(n for k, n in areas.items() if n < least)
        assert any("is labelled" in note for note in found.notes) == (found.correct is None)
    assert met["none"] >= 1
    assert met["parts"] + met["no right one"] >= 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("label", [None, "rider", 0])
def test_the_object_with_the_largest_wrong_part_is_chosen_of_those_with_a_right_one(seed, label):
    image, truth, ids = scene(seed)
    least, best, rivals = 2, None, 0
    for c, mask in objects_of(truth, ids):
        order, areas = parts_of(c, mask, image, least)
        if c not in order or len(order) < 2 or (label is not None and c != NAMES.index(label)):
            continue
        rivals += 1
        if best is None or areas[order[1]] > best[0]:
            best = areas[order[1]], mask
    asked = {"instances": ids, "label": label, "method": MAP, "least": least}
    if best is None:
        with pytest.raises(EmptyRegionError, match="a right and a wrong part of at least 2 pixels"):
            explain_parts(network(classes=NAMES), image, truth, **asked)
        return
    found = explain_parts(network(classes=NAMES), image, truth, **asked)
    assert found.wrong[0].pixels == best[0]
    assert (found.mask == best[1]).all()
    assert any(f"Of {rivals} objects" in note for note in found.notes) == (rivals > 1)
    assert found.mask[found.at]


def test_an_object_of_one_id_may_lie_in_several_pieces():
    truth = np.array([[2, 2, 0, 2, 2]])
    ids = np.array([[7, 7, 0, 7, 9]])
    found = explain_parts(
        network(classes=NAMES), painting([[2, 1, 1, 1, 1]]), truth, instances=ids, method=MAP, least=1
    )
    assert found.mask.tolist() == [[True, True, False, True, False]]
    assert [(p.label, p.pixels) for p in found.parts] == [("rider", 1), ("traffic light", 2)]
    alone = explain_parts(network(classes=NAMES), painting([[2, 1, 1, 1, 1]]), truth, method=MAP, least=1)
    assert alone.mask.tolist() == [[True, True, False, False, False]]


@pytest.mark.parametrize("convention", [{}, {"divisor": 8}, {"size": (18, 20)}, {"size": (5, 6)}])
def test_each_part_is_explained_as_its_region_is(convention):
    """Also where the network sees the picture padded, larger or smaller; as an object and as text."""
    image, truth, ids = scene()
    torch.manual_seed(1)
    module = nn.Conv2d(1, 3, 3, padding=1)
    net = network(module, classes=NAMES, **convention)
    with torch.no_grad():
        module.bias -= module(net.convention.prepare(sl.read_image(image * 100).pixels)[0]).mean((0, 2, 3))
    method = sl.Saliency("signed", context=True)
    found = explain_parts(net, image * 100, truth, instances=ids, method=method, least=1)
    assert found.correct is not None
    for p in found.parts:
        assert (p.mask == p.explanation.region).all()
        assert p.pixels == p.mask.sum()
        for region in (p.region, sl.parse_region(str(p.region))):
            why = sl.explain(net, image * 100, method, sl.Target(p.label, region), truth=truth, instances=ids)
            np.testing.assert_allclose(why.map, p.explanation.map, atol=1e-6)
            assert why.score == pytest.approx(p.explanation.score, abs=1e-6)
        if convention.get("size", (0, 0)) <= image.shape:
            # A mask of the picture's pixels comes back from a grid that is no finer as it was.
            why = sl.explain(net, image * 100, method, sl.Target(p.label, sl.mask(p.mask)))
            np.testing.assert_allclose(why.map, p.explanation.map, atol=1e-6)
    assert any("the network sees" in n for n in found.notes) == ("size" in convention)


class Cued(nn.Module):
    """`Painted`, whose score of class 1 hangs on the mean of the pixels of one cue besides, that of class 2 on another,
    everywhere alike."""

    def __init__(self, first, second) -> None:
        super().__init__()
        self.painted = Painted(3)
        self.cues = nn.Parameter(torch.stack([torch.as_tensor(c, dtype=torch.float32) for c in (first, second)]))

    def forward(self, x):
        y = self.painted(x)
        on_cue = [(x * cue).sum((1, 2, 3)) / cue.sum() for cue in self.cues]
        bias = torch.stack([torch.zeros_like(on_cue[0]), *on_cue], 1)
        return y + 0.5 * bias[..., None, None]


def planted():
    """A rider whose left half is taken for class 1; what makes it 1 lies on class 0, what makes it 2 on class 1."""
    truth = np.zeros((8, 12), int)
    truth[:, 9:] = 1
    truth[2:6, 2:6] = 2
    said = truth.copy()
    said[2:6, 2:4] = 1
    first, second = np.zeros((2, 8, 12))
    first[0, :4] = 1
    second[5, 9:11] = 1
    return said, truth, first, second


def test_a_planted_cue_is_the_context_of_the_part_that_it_explains():
    said, truth, first, second = planted()
    net = network(Cued(first, second), classes=NAMES)
    found = explain_parts(net, painting(said), truth, label="rider", method=sl.Saliency(context=True))
    right, wrong = found.parts
    assert (right.label, wrong.label) == ("rider", "traffic light")
    assert wrong.context == pytest.approx({"road": 1, "traffic light": 0, "rider": 0})
    assert right.context == pytest.approx({"road": 0, "traffic light": 1, "rider": 0})
    assert (right.rest, wrong.rest) == (0, 0)
    assert right.difference(wrong) == pytest.approx(1)
    assert right.difference(right) == 0
    outside = ~found.mask
    maps = [p.explanation.map for p in found.parts]
    assert [np.nonzero(m)[0].tolist() for m in maps] == [np.nonzero(c)[0].tolist() for c in (second, first)]
    r = spearmanr(maps[0][outside], maps[1][outside]).statistic
    assert found.correlation("rider", "traffic light") == pytest.approx(r)
    assert r < 0
    told = str(found)
    for word in ("One rider at", "labelled rider (right): 8 pixels, 50 % of it; context traffic light 100 %", "1.00"):
        assert word in told
    # Whole maps have weight in the part itself too, which is no context.
    whole = explain_parts(net, painting(said), truth, label="rider", method="saliency")
    assert whole["rider"].context == pytest.approx(right.context)
    assert 0 < whole["rider"].statistics.inside < 1
    assert right.statistics.inside == 0


def test_the_other_part_of_the_object_is_context():
    said, truth, _, _ = planted()
    there = np.zeros(said.shape)
    there[2:6, 4:6] = 1
    net = network(Cued(there, there), classes=NAMES)
    found = explain_parts(net, painting(said), truth, label=2, method=sl.Saliency(context=True))
    assert found["traffic light"].context["rider"] == pytest.approx(1)
    assert found["traffic light"].rest == pytest.approx(1)
    # What makes the right part a rider lies in it, so it has no context at all.
    assert np.isnan(found["rider"].rest)
    assert np.isnan(found["rider"].context["road"])
    assert np.isnan(found["rider"].difference(found["traffic light"]))
    assert "nothing around it speaks for that" in str(found["rider"])
    assert any("the other parts of the object are context" in note for note in found.notes)


def test_by_default_parts_are_as_large_as_the_papers_at_its_size():
    assert round(LEAST * 1024 * 2048) == 625
    truth = np.full((96, 192), 0)
    truth[10:20, 10:20] = 2
    said = truth.copy()
    said[10, 10:16] = 1
    said[19, 10:14] = 0
    found = explain_parts(network(classes=NAMES), painting(said), truth, method=MAP)
    assert found.least == 5
    assert [(p.label, p.pixels) for p in found.parts] == [("rider", 90), ("traffic light", 6)]
    assert found.left_out == 4


def test_independent_labels_may_give_a_pixel_to_two_parts():
    truth = np.array([[2, 2, 2, 0]])
    bits = np.array([[0b100, 0b110, 0b010, 0b001]])
    net = network(Bits(3), link="sigmoid", classes=NAMES)
    found = explain_parts(net, painting(bits), truth, method=MAP, least=1)
    assert [(p.label, p.mask.tolist()) for p in found.parts] == [
        ("rider", [[True, True, False, False]]),
        ("traffic light", [[False, True, True, False]]),
    ]
    for p in found.parts:
        assert (p.explanation.region == p.mask).all()


def test_what_is_refused():
    class Classifier(nn.Module):
        def forward(self, x):
            return x.flatten(2).mean(2).expand(-1, 3)

    truth = np.array([[2, 2, 2, 0, 255, 1]])
    said = painting([[2, 1, 1, 0, 2, 0]])
    net = network(classes=NAMES)

    def refused(error, match, net=net, said=said, truth=truth, **more):
        with pytest.raises(error, match=match):
            explain_parts(net, said, truth, **{"method": MAP, "least": 1, **more})

    refused(ParameterError, "is a classifier", net=network(Classifier()))
    refused(ParameterError, "without a question", method="fusion-map")
    refused(ParameterError, "from 1, not 0", least=0)
    refused(ShapeError, "never stretched", truth=truth[:, :-1])
    refused(ShapeError, "does not fit", instances=truth[:, :-1])
    refused(ClassNotFoundError, "tram", label="tram")
    refused(EmptyRegionError, "no pixel of the truth is rider.*\n.*There are: road, traffic light", label="rider",
            truth=np.array([[0, 0, 0, 0, 0, 1]]))  # fmt: skip
    refused(RegionError, r"no object at \(0, 4\): the truth is to be ignored", at=(0, 4))
    refused(RegionError, r"no rider at \(0, 3\): the truth says road", at=(0, 3), label="rider")
    refused(RegionError, r"the rider there has the instance id 0", at=(0, 0), instances=truth * 0)
    refused(RegionError, "outside the image", at=(3, 0))
    refused(RegionError, "coordinates", at=(3,))
    refused(RegionError, "in whole numbers", at=(0, 1.5))
    refused(EmptyRegionError, r"road at \(0, 3\) has no wrong part", at=(0, 3))
    refused(EmptyRegionError, r"no wrong part of at least 3 pixels: 1 of its 3 .*\n.*least=2", at=(0, 0), least=3)
    refused(EmptyRegionError, r"2 pixels of the rider at \(0, 1\) are labelled traffic light.*\n.*least=1", least=2)
    refused(EmptyRegionError, r"the traffic light at \(0, 5\) are labelled road. Ask for it: at=\(0, 5\)", label=1)
    refused(EmptyRegionError, "All of it is labelled rightly", said=painting([[2, 2, 2, 0, 0, 1]]))
    with pytest.raises(NameNotFoundError, match="There are: rider, traffic light"):
        explain_parts(net, said, truth, method=MAP, least=1)["road"]


def test_an_ignored_label_may_be_a_class():
    truth, said = np.array([[0, 2, 2, 1]]), painting([[0, 2, 1, 1]])
    found = explain_parts(network(classes=NAMES), said, truth, method=MAP, least=1, ignore=0)
    assert set(found["rider"].context) == {"rider", "traffic light"}
    assert set(
        explain_parts(network(classes=NAMES), said, truth, method=MAP, least=1, ignore=None)["rider"].context
    ) == {*NAMES.names}


@dataclass(frozen=True, slots=True)
class Failing:
    def __call__(self, network, x, targets):
        raise ParameterError("planted")


def test_the_network_stays_as_it_was():
    image, _, _ = scene()
    torch.manual_seed(0)
    net = network(nn.Sequential(nn.BatchNorm2d(1), nn.ReLU(inplace=True), nn.Conv2d(1, 3, 3, padding=1, bias=False)))
    image = image * 100
    said = sl.segment(net, image).labels
    truth = np.full(image.shape, np.bincount(said.ravel()).argmax())
    with untouched(net):
        explain_parts(net, image, truth, method="saliency", least=1)
    with untouched(net), pytest.raises(ParameterError, match="planted"):
        explain_parts(net, image, truth, method=Failing(), least=1)


def test_files(tmp_path):
    said, truth, first, second = planted()
    net = network(Cued(first, second), classes=NAMES)
    found = explain_parts(net, painting(said), truth, label="rider", method=sl.Saliency(context=True))
    told = json.loads(found.save(tmp_path / "new/p.json").read_text())
    assert [p["label"] for p in told["parts"]] == ["rider", "traffic light"]
    assert told["parts"][1]["context"]["road"] == pytest.approx(1)
    assert told["differences"] == [[0, pytest.approx(1)], [pytest.approx(1), 0]]
    opened = sl.open(found.save(tmp_path / "p.npz"))
    for one, p in zip(opened, found.parts, strict=True):
        assert (one.map == p.explanation.map).all()
        assert one.target == str(sl.Target(p.label, p.region, of="logits"))
    with Image.open(found.save(tmp_path / "p.png")) as drawn:
        assert min(drawn.size) > 400
    page = found.save(tmp_path / "p.html").read_text()
    for word in ("labelled rider (right), 50 % of the rider", "labelled traffic light (wrong)", "context too"):
        assert word in page
    with pytest.raises(NameNotFoundError, match="give a suffix of"):
        found.save(tmp_path / "p.tiff")
    with pytest.raises(ParameterError, match="npz keeps every raw value"):
        found.save(tmp_path / "p.npz", sl.Display(part="positive"))
