"""compare(): maps, correlations and warnings of several methods, the network left alone, and what is saved."""

import json
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.errors import (
    DisagreementWarning,
    NameNotFoundError,
    NetworkError,
    ParameterError,
    SeglensError,
    SeglensWarning,
    WeakDependenceWarning,
)
from seglens.core.maps import finish
from seglens.core.slopes import slopes
from seglens.metrics.agreement import ranks
from seglens.run.compare import METHODS_COMPARED, favouring, labels_of
from seglens.testing import untouched

pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")
FEW = ("saliency", "input-x-gradient", "hires-cam")
ASKED = sl.Target("car", sl.box(2, 3, 12, 14))


def network(**more):
    torch.manual_seed(2)
    module = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1)
    )
    with torch.no_grad():
        # Something speaks for each class, also where rectifiers of the reverse pass keep only what is positive.
        module[4].weight[:, :, 0, 0] = torch.linspace(-1, 1, 24).reshape(8, 3).T
    return sl.load(module, classes=("road", "car", "sky"), default_layer="2", **more)


def image(height=18, width=24):
    rng = np.random.default_rng(1)
    field = np.cumsum(np.cumsum(rng.normal(size=(height, width, 3)), 0), 1)
    return np.uint8(np.clip(field / np.abs(field).max() * 120 + 128, 0, 255))


@dataclass(frozen=True, slots=True)
class Painted:
    """A map that a test chose, whatever is asked of whatever network."""

    name: str
    MAPS: ClassVar = {}

    def __call__(self, network, x, targets):
        with slopes(network, x, sl.Targets.of(targets)) as found:
            values = torch.as_tensor(self.MAPS[self.name], dtype=torch.float32)
            return finish(values[None, None], found.scores, found.values, found.output)


@dataclass(frozen=True, slots=True)
class Refusing(Painted):
    def __call__(self, network, x, targets):
        raise SeglensError("planted refusal")


@dataclass(frozen=True, slots=True)
class Unasked(Painted):
    takes_target = False


def painted(**maps):
    Painted.MAPS.update(maps)
    return [Painted(name) for name in maps]


def test_maps_are_those_of_explain_in_the_order_asked():
    net, picture = network(), image()
    made = sl.compare(net, picture, FEW, ASKED, randomise=0)
    assert made.labels == FEW
    for name, e in zip(FEW, made.explanations, strict=True):
        alone = sl.explain(net, picture, name, ASKED)
        np.testing.assert_array_equal(e.map, alone.map)
        assert made[name] is e
    assert made.target == str(ASKED)
    assert made.dependences == ()


def test_only_what_speaks_for_the_target_is_compared():
    from scipy.stats import spearmanr

    made = sl.compare(network(), image(), FEW, ASKED, randomise=0)
    parts = [np.maximum(e.map, 0) for e in made.explanations]
    expected = spearmanr(np.stack([p.ravel() for p in parts], 1)).statistic
    np.testing.assert_allclose(made.agreement.correlations, expected, atol=1e-9)
    assert made.correlation("saliency", "hires-cam") == pytest.approx(expected[0, 2])
    np.testing.assert_allclose(made.consensus, np.mean([ranks(p) for p in parts], 0), atol=1e-6)
    np.testing.assert_allclose(made.spread, np.std([ranks(p) for p in parts], 0), atol=1e-6)


def test_a_rectified_map_agrees_with_itself_before():
    net = network()
    made = sl.compare(
        net, image(), [sl.HiResCAM("2"), sl.GradCAM("2", relu=False), sl.GradCAM("2")], ASKED, randomise=0
    )
    a, b = made.labels[1:]
    if not made.left_out:
        assert made.correlation(a, b) == pytest.approx(1)
    assert (favouring(made[a]) == np.maximum(made[a].map, 0)).all()
    assert favouring(made[b]) is made[b].map


def test_the_order_of_methods_changes_no_number():
    net, picture = network(), image()
    one = sl.compare(net, picture, FEW, ASKED, randomise=3)
    other = sl.compare(net, picture, FEW[::-1], ASKED, randomise=3)
    np.testing.assert_allclose(one.consensus, other.consensus, atol=1e-6)
    np.testing.assert_allclose(one.agreement.correlations, other.agreement.correlations[::-1, ::-1], atol=1e-12)
    for d in one.dependences:
        twin = next(o for o in other.dependences if o.label == d.label)
        assert d.trained.value == pytest.approx(twin.trained.value, nan_ok=True)
        assert d.beyond.low == pytest.approx(twin.beyond.low, nan_ok=True)


def test_maps_that_part_are_named_with_the_places():
    rng = np.random.default_rng(0)
    left, right = rng.random((2, 18, 24))
    left[3:12, 2:9] += 9
    right[3:12, 14:21] += 9
    methods = painted(left=left, right=right)
    with pytest.warns(DisagreementWarning, match="agree no better than chance: Painted.*left.*right") as caught:
        made = sl.compare(network(), image(), methods, ASKED, randomise=0)
    assert sum(issubclass(w.category, DisagreementWarning) for w in caught) == 1
    assert made.apart == [tuple(made.labels)]
    assert any("chance" in note for note in made.notes)
    assert {p.high for p in made.contested[:2]} == {(made.labels[0],), (made.labels[1],)}
    assert {p.low for p in made.contested[:2]} == {(made.labels[0],), (made.labels[1],)}
    place = made.contested[0]
    asked_there = sl.explain(network(), image(), "saliency", sl.Target("car", place.region))
    assert (asked_there.region == place.mask).all()


def test_maps_that_agree_are_not_warned_of():
    rng = np.random.default_rng(0)
    base = rng.random((18, 24))
    methods = painted(one=base, two=base**3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", DisagreementWarning)
        made = sl.compare(network(), image(), methods, ASKED, randomise=0)
    assert made.apart == []
    assert made.notes == ()
    assert float(made.spread.max()) < 1e-6


def test_flat_maps_are_left_out_by_name():
    rng = np.random.default_rng(0)
    base = rng.random((18, 24))
    methods = painted(one=base, against=-base, flat=np.full_like(base, 2.0), two=base * 2)
    with pytest.warns(DisagreementWarning, match="without ranks"):
        made = sl.compare(network(), image(), methods, ASKED, randomise=0)
    one, against, flat, two = made.labels
    assert made.left_out == {against: "nothing speaks for the target", flat: "the same value everywhere"}
    assert np.isnan(made.correlation(one, flat))
    assert made.correlation(one, two) == pytest.approx(1)
    np.testing.assert_allclose(made.consensus, ranks(base), atol=1e-6)
    assert made.apart == []


def test_known_methods_are_warned_of_with_what_was_measured():
    with pytest.warns(WeakDependenceWarning, match=r"guided-backprop is known .*1810\.03292.*correlates at") as caught:
        made = sl.compare(network(), image(), ["saliency", "guided-backprop"], ASKED, randomise=3)
    told = [str(w.message) for w in caught if w.category is WeakDependenceWarning]
    measured = {d.label: d for d in made.dependences}
    assert f"{measured['guided-backprop'].trained.value:.2f}" in told[0]
    assert "1810.03292" in measured["guided-backprop"].known
    assert measured["saliency"].known == ""
    with pytest.warns(WeakDependenceWarning, match="was not tested on this one"):
        sl.compare(network(), image(), ["saliency", "guided-backprop"], ASKED, randomise=0)


def test_a_method_that_ignores_the_network_is_warned_of_and_one_that_hears_it_is_not():
    rng = np.random.default_rng(0)
    with pytest.warns(WeakDependenceWarning, match="Painted hangs largely on picture and architecture") as caught:
        made = sl.compare(network(), image(), [*painted(fixed=rng.random((18, 24))), "saliency"], ASKED, randomise=4)
    assert [d.weak for d in made.dependences] == [True, False]
    assert not any("saliency" in str(w.message) for w in caught if w.category is WeakDependenceWarning)


def test_a_method_that_fails_is_listed_and_the_others_go_on():
    made = sl.compare(network(), image(), [*FEW, Refusing("x")], ASKED, randomise=3)
    assert made.labels == FEW
    assert made.failures == {"Refusing": "planted refusal"}
    assert [d.label for d in made.dependences] == list(FEW)
    with pytest.raises(SeglensError, match="planted refusal"):
        sl.compare(network(), image(), [Refusing("x"), Refusing("y")], ASKED)


def test_the_network_stays_as_it_was():
    net = network()
    net.module.train()
    with untouched(net):
        sl.compare(net, image(), [*FEW, Refusing("x")], ASKED, randomise=3, cascade=2)
    with untouched(net), pytest.raises(SeglensError):
        sl.compare(net, image(), [Refusing("x"), Refusing("y")], ASKED)


def test_what_cannot_be_copied_is_refused_unless_the_test_is_left_out():
    class Locked(nn.Conv2d):
        def __deepcopy__(self, memo):
            raise TypeError("held by a driver")

    net = sl.load(Locked(3, 3, 3, padding=1), classes=("road", "car", "sky"))
    with untouched(net), pytest.raises(NetworkError, match="held by a driver"):
        sl.compare(net, image(), FEW[:2], ASKED)
    assert len(sl.compare(net, image(), FEW[:2], ASKED, randomise=0).explanations) == 2


def test_no_target_asks_about_the_class_that_covers_most_the_same_for_all():
    made = sl.compare(network(), image(), FEW, randomise=0)
    assert len({e.target for e in made.explanations}) == 1
    assert made.target == sl.explain(network(), image(), "saliency").target


def test_a_truth_region_and_a_resized_picture():
    """The held region and the maps live on different grids, and everything comes back to the picture's own."""
    net = network(convention=sl.Convention(size=(12, 12)))
    labels = np.zeros((18, 24), np.uint8)
    labels[4:10, 5:15] = 1
    made = sl.compare(net, image(), FEW, sl.Target("car", sl.truth("car")), truth=labels, randomise=3)
    assert made.consensus.shape == (18, 24)
    assert (made.explanations[0].region == (labels == 1)).mean() > 0.9
    assert len(made.dependences) == 3


def test_a_classifier():
    torch.manual_seed(0)
    head = sl.load(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3))
    )
    made = sl.compare(head, image(), FEW[:2], 1, randomise=3)
    assert made.explanations[0].region is None
    assert made.dependences[0].trained.value <= 1


def test_labels_tell_methods_apart():
    names = labels_of([sl.GradCAM("a"), sl.Saliency(), sl.GradCAM("b", relu=False)])
    assert names == ["grad-cam(layer=a, relu=True)", "saliency", "grad-cam(layer=b, relu=False)"]
    with pytest.raises(ParameterError, match="saliency is given twice"):
        labels_of([sl.Saliency(), sl.Saliency()])


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"methods": ["saliency"]}, "takes two or more"),
        ({"methods": ["saliency", Unasked("x")]}, "shows the network without a question"),
        ({"target": ["car", "sky"]}, "one target"),
        ({"randomise": 2}, "0 .no test. or at least 3"),
        ({"randomise": -1}, "at least 3"),
        ({"randomise": 0, "cascade": 2}, "needs copies"),
        ({"cascade": -1}, "cascade = -1"),
    ],
)
def test_refusals(how, said):
    with pytest.raises(ParameterError, match=said):
        sl.compare(network(), image(), **{"methods": FEW, "target": ASKED, **how})


def test_the_default_methods_exist():
    assert set(METHODS_COMPARED) <= set(sl.METHODS)
    assert len(METHODS_COMPARED) == len(set(METHODS_COMPARED))


@pytest.fixture(scope="module")
def made():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SeglensWarning)
        return sl.compare(network(), image(), [*FEW, "guided-backprop", Refusing("x")], ASKED, randomise=3, cascade=2)


def test_raw_values_open_again_with_the_consensus_last(made, tmp_path):
    again = sl.open(made.save(tmp_path / "raw.npz"))
    assert len(again) == len(made.explanations) + 1
    for before, after in zip(made.explanations, again, strict=False):
        np.testing.assert_array_equal(before.map, after.map)
    last = again[-1]
    assert (last.method, last.unit, last.signed) == ("consensus", "mean rank of the methods", False)
    np.testing.assert_array_equal(last.map, made.consensus)
    np.testing.assert_array_equal(last.extras["spread"], made.spread)
    np.testing.assert_array_equal(last.extras["correlations"], made.agreement.correlations)
    assert list(last.extras["labels"]) == list(made.labels)


def test_json_holds_every_number(made, tmp_path):
    told = json.loads(made.save(tmp_path / "new" / "c.json").read_text())
    assert told["network"] == made.explanations[0].network
    assert [m["label"] for m in told["methods"]] == list(made.labels)
    np.testing.assert_allclose(told["correlations"], made.agreement.correlations)
    assert told["p"][0][0] is None
    assert told["failures"] == {"Refusing": "planted refusal"}
    test = {t["method"]: t for t in told["randomisation"]}
    assert test["saliency"]["trained"]["value"] == made.dependences[0].trained.value
    assert len(test["saliency"]["curve"]) == 2
    assert test["guided-backprop"]["known"]
    assert set(told["unmoved"]) == set(made.unmoved)


@pytest.mark.parametrize(("suffix", "start"), [("svg", b"<?xml"), ("html", b"<!DOCTYPE")])
def test_pictures(made, tmp_path, suffix, start):
    path = made.save(tmp_path / f"c.{suffix}")
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_suffix_is_refused(made, tmp_path):
    with pytest.raises(NameNotFoundError, match=r"\.html"):
        made.save(tmp_path / "c.bmp")
    with pytest.raises(NameNotFoundError, match="no map 'grad-cam'"):
        made["grad-cam"]
    assert "saliency" in str(made)
