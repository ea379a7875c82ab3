"""sensitivity(): numbers against their definitions on planted maps, one field at a time, failures, files."""

import csv
import json
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from painted import network, painting, scenes
from PIL import Image
from scipy.stats import spearmanr
from torch import nn

import seglens as sl
from seglens.core.errors import ClassNotFoundError, EmptyRegionError, NameNotFoundError, ParameterError
from seglens.core.maps import finish
from seglens.core.parameters import Bounds, check_parameters
from seglens.core.slopes import slopes
from seglens.run.sensitivity import sensitivity, sensitivity_each
from seglens.testing import untouched
from seglens.viz.sensitivity.figure import Panel, sensitivity_figure

pytestmark = pytest.mark.filterwarnings("ignore::seglens.core.errors.SeglensWarning")

SIZE = (6, 8)
NAMES = sl.ClassTable(("road", "car", "sky"))
SHARES = ("correlation", "overlap", "mean", "area")


@dataclass(frozen=True, slots=True)
class Planted:
    """gain · ((1 − mix) A + mix B) with maps that a test chose; fails where it is told to."""

    mix: Annotated[float, Bounds(ge=0, le=1)] = 0.0
    gain: float = 1.0
    fails: bool = False
    note: str | None = None
    MAPS: ClassVar[dict[str, Any]] = {}

    def __post_init__(self) -> None:
        check_parameters(self)

    def __call__(self, network, x, targets):
        if self.fails and x.max() > 0.5:
            raise EmptyRegionError("planted failure")
        with slopes(network, x, sl.Targets.of(targets)) as found:
            a, b = (torch.as_tensor(self.MAPS[n], dtype=torch.float32) for n in "AB")
            values = (self.gain * ((1 - self.mix) * a + self.mix * b)).expand(1, len(found.scores.items), *SIZE)
            extras = {
                "objective": found.values * 0 + self.gain + 0.5,
                "curve": torch.zeros(1, len(found.scores.items), 3),
            }
            return finish(values, found.scores, found.values, found.output, extras=extras)


@pytest.fixture
def maps():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, *SIZE)).astype(np.float32)
    Planted.MAPS.update(A=a, B=b)
    return a, b


def image(classes=(0, 1, 2), seed=0):
    return painting(np.random.default_rng(seed).choice(classes, SIZE))


def measured(found, setting, measure):
    return [m.numbers[measure] for m in setting.maps]


def by_hand(a, b, top):
    """The measures of map b beside the default's map a, from their definitions."""
    a, b = np.maximum(a, 0).ravel(), np.maximum(b, 0).ravel()
    n = round(top * a.size)
    tops = [{int(i) for i in np.argsort(-v)[:n] if v[i] > 0} for v in (a, b)]
    return {
        "correlation": spearmanr(a, b).statistic,
        "overlap": len(tops[0] & tops[1]) / len(tops[0] | tops[1]),
        "mean": b.sum() / b.size,
        "area": sum(v >= b.max() / 2 for v in b) / b.size,
    }


def test_every_number_is_as_defined(maps):
    a, b = maps
    found = sensitivity(network(classes=NAMES), image(), Planted(), "car", vary={"mix": [0.3, 1.0]}, top=0.2)
    for setting, mix in zip(found.of("mix"), (0.3, 1.0), strict=True):
        (one,) = setting.maps
        expected = by_hand(a, (1 - mix) * a + mix * b, 0.2)
        assert {n: one.numbers[n] for n in SHARES} == pytest.approx(expected, rel=1e-5)
    (base,) = found.default.maps
    assert {n: base.numbers[n] for n in SHARES} == pytest.approx(by_hand(a, a, 0.2), rel=1e-5)
    assert base.numbers["correlation"] == pytest.approx(1)
    assert found.measures == (*SHARES, "objective")  # a curve is no number


def test_a_gain_changes_the_mass_alone_and_a_sign_what_speaks_for_the_target(maps):
    a, _ = maps
    found = sensitivity(network(), image(), Planted(), 1, vary={"gain": [2.0, -1.0]})
    twice, turned = found.of("gain")
    assert twice.mean("correlation").value == pytest.approx(1)
    assert twice.mean("overlap").value == 1
    assert twice.mean("mean").value == pytest.approx(2 * found.default.mean("mean").value)
    assert twice.mean("area").value == found.default.mean("area").value
    assert turned.mean("correlation").value == pytest.approx(by_hand(a, -a, 0.1)["correlation"])
    assert turned.mean("correlation").value < 0
    assert turned.mean("overlap").value == 0


def test_each_setting_is_the_method_with_that_field_and_all_else_as_given():
    picture = image()
    torch.manual_seed(0)
    net = network(nn.Conv2d(1, 3, 3, padding=1), classes=NAMES)
    base = sl.SmoothGrad(samples=3, noise=0.4, seed=5)
    asked = sl.Target("car", sl.box(1, 1, 4, 5))
    found = sensitivity(net, picture, base, asked, vary={"samples": [1, 4], "noise": [0.1]})
    expected = {"samples = 1": sl.SmoothGrad(1, 0.4, seed=5), "samples = 4": sl.SmoothGrad(4, 0.4, seed=5),
                "noise = 0.1": sl.SmoothGrad(3, 0.1, seed=5)}  # fmt: skip
    assert [s.name for s in found.settings] == list(expected)
    for setting in found.settings:
        alone = sl.explain(net, picture, expected[setting.name], asked)
        np.testing.assert_array_equal(setting.shown.map, alone.map)
        assert setting.mean("mean").value == pytest.approx(float(alone.map.mean()), rel=1e-5)
    np.testing.assert_array_equal(found.default.shown.map, sl.explain(net, picture, base, asked).map)
    assert found.parameters["noise"] == 0.4
    assert found.targets == (str(asked),)


def test_the_defaults_own_value_gives_its_maps_and_costs_nothing():
    net = network(classes=NAMES)
    ((picture, _),) = scenes(1, SIZE)
    passes = []
    for values in ([12], [12, 3]):
        net.module.calls.clear()
        base = sl.RISE(masks=12, cells=2)
        found = sensitivity(net, picture, base, "car", vary={"masks": values})
        passes.append(len(net.module.calls))
    own = found.of("masks")[0]
    assert own.mean("correlation").value == pytest.approx(1)
    assert own.mean("overlap").value == 1
    assert own.maps[0].numbers == found.default.maps[0].numbers
    net.module.calls.clear()
    sl.explain(net, picture, base, "car")
    assert passes[0] == len(net.module.calls)
    assert passes[1] > passes[0]


def test_a_default_that_is_left_open_is_recognised_by_its_value():
    open_, written = sl.ContextSaliency(steps=2, cells="2x2"), {"sparsity": [0.05, 0.5], "mode": ["robust"]}
    ((picture, _),) = scenes(1, SIZE)
    found = sensitivity(
        network(classes=NAMES), picture * 100, open_, sl.Target("car", sl.box(1, 1, 4, 5)), vary=written
    )
    same, other, mode = found.settings
    assert same.shown is mode.shown is found.default.shown
    assert other.shown is not found.default.shown
    assert found.parameters["sparsity"] == 0.05
    assert found.table("sparsity")[0] == ["sparsity", "default 0.05", "0.05", "0.5"]
    assert "objective" in found.measures


def test_means_are_over_images_and_targets_and_what_is_undefined_is_counted(maps):
    pictures = [image((0, 1)), image((0, 1, 2), seed=1)]
    found = sensitivity(network(classes=NAMES), pictures, Planted(), ["car", "sky"], vary={"mix": [0.5]})
    (setting,) = found.settings
    r = [m.numbers["correlation"] for m in setting.maps]
    assert [np.isnan(v) for v in r] == [False, True, False, False]  # no sky in the first image
    mean = setting.mean("correlation")
    assert (mean.defined, mean.of) == (3, 4)
    assert mean.value == pytest.approx(np.nanmean(r))
    assert "(3)" in found.table("mix")[1][2]
    assert found.table("mix")[-1] == ["maps", "4", "4"]
    assert [m.target for m in setting.maps] == ["car in predicted(car)", "sky in predicted(sky)"] * 2


def test_a_map_that_is_zero_has_no_correlation_and_no_overlap_with_another(maps):
    found = sensitivity(network(), image(), Planted(), 1, vary={"gain": [0.0]})
    (setting,) = found.settings
    assert setting.mean("correlation").defined == 0
    assert setting.mean("overlap").value == 0
    assert setting.mean("mean").value == 0
    assert np.isnan(setting.mean("area").value)
    assert found.table("gain")[1] == ["correlation", "1.00", "–"]
    nothing = sensitivity(network(), image(), Planted(gain=0.0), 1, vary={"gain": [0.0, 1.0]})
    assert np.isnan(nothing.of("gain")[0].mean("overlap").value)
    assert nothing.of("gain")[1].mean("overlap").value == 0


def test_an_image_without_a_map_counts_nowhere(maps):
    pictures = [image((0, 2)), image(), image(seed=1)]
    found = sensitivity(network(classes=NAMES), pictures, Planted(), "car", vary={"mix": [0.5]})
    (failure,) = found.failures
    assert failure.setting == ""
    assert failure.error.startswith("no pixel lies in predicted(car)")
    assert (len(found.images), found.total) == (2, 3)
    assert [len(s.maps) for s in (found.default, *found.settings)] == [2, 2]
    assert (found.default.shown.image == pictures[1]).all()


def test_a_setting_that_fails_on_one_image_is_missing_there(maps):
    bright = np.full(SIZE, 200, np.uint8)
    asked = sl.Target(1, sl.everything)
    found = sensitivity(network(classes=NAMES), [image(), bright], Planted(), asked, vary={"fails": [True, False]})
    failing, well = found.settings
    assert len(failing.maps) == 1
    assert len(well.maps) == len(found.default.maps) == len(found.images) == 2
    assert [(f.setting, f.error) for f in found.failures] == [("fails = yes", "planted failure")]
    assert "fails = yes: planted failure" in str(found)
    with pytest.raises(EmptyRegionError, match="planted"):
        sensitivity(network(), [bright, bright], Planted(fails=True), asked, vary={"mix": [0.1]})
    with pytest.raises(ClassNotFoundError):
        sensitivity(network(), image(), Planted(), "tram", vary={"mix": [0.1]})


def test_without_a_target_the_class_that_covers_most_of_the_first_image_is_asked_of_all(maps):
    first, second = np.full(SIZE, 2), np.full(SIZE, 1)
    first[0], second[0] = 1, 2
    found = sensitivity(network(classes=NAMES), [painting(first), painting(second)], Planted(), vary={"mix": [0.5]})
    assert found.targets == ("sky in predicted(sky)",)
    assert len(found.default.maps) == 2


@pytest.mark.parametrize(
    ("method", "vary", "match"),
    [
        (Planted(), {}, "nothing to vary.*\n.*Fields of Planted: mix, gain, fails, note"),
        (Planted(), {"gian": [1]}, "Planted has no field 'gian'.\n.*Nearest: 'gain'.*\n.*Fields of Planted"),
        (Planted(), {"mix": []}, "mix: no value given"),
        (Planted(), {"note": "ab"}, r"note: a list of values, such as \['ab'\]"),
        (Planted(), {"mix": 0.5}, "a list of values"),
        (Planted(), {"mix": [0.5, 2.0]}, "Planted.mix is to be >= 0 and <= 1, not 2.0"),
        ("occlusion", {"size": [0]}, "Occlusion.size is to be >= 1, not 0"),
        ("occlusion", {"fill": ["purple"]}, "Occlusion.fill is to be a name"),
        ("fusion-map", {"layer": ["x"]}, "without a question"),
    ],
)
def test_what_is_refused_is_refused_before_anything_is_computed(method, vary, match):
    net = network(classes=NAMES)
    with pytest.raises(ParameterError, match=match):
        sensitivity(net, image(), method, "car", vary=vary)
    assert net.module.calls == []


def test_other_refusals(maps):
    for top in (0, 1, float("nan")):
        with pytest.raises(ParameterError, match="top is a share"):
            sensitivity(network(), image(), Planted(), 1, vary={"mix": [0.1]}, top=top)
    with pytest.raises(ParameterError, match="no image given"):
        sensitivity(network(), [], Planted(), 1, vary={"mix": [0.1]})
    found = sensitivity(network(), image(), Planted(), 1, vary={"mix": [0.1]})
    with pytest.raises(NameNotFoundError, match=r"'mux' was not varied\.\n  Nearest: 'mix'"):
        found.of("mux")


def test_what_is_done_is_handed_over_step_by_step(maps):
    told, begun = [], []
    pictures = [image(), image(seed=1)]
    with sl.watching(lambda what, done, total: told.append((what, done, total))):
        steps = sensitivity_each(network(), pictures, Planted(), 1, vary={"mix": [0.5, 1.0]}, step=begun.append)
        counts = [[len(s.maps) for s in (now.default, *now.settings)] for now in steps]
    assert counts == [[1, 0, 0], [1, 1, 0], [1, 1, 1], [2, 1, 1], [2, 2, 1], [2, 2, 2]]
    assert [t for t in told if t[0] == "settings"] == [("settings", i, 6) for i in range(7)]
    assert [b.partition(" · ")[2] for b in begun] == ["default", "mix = 0.5", "mix = 1"] * 2
    stopped = sensitivity_each(network(), pictures, Planted(), 1, vary={"mix": [0.5, 1.0]})
    first = next(stopped)
    stopped.close()
    assert first.table("mix")[-1] == ["maps", "1", "0", "0"]
    assert first.total == 2


def test_the_network_stays_as_it_was(maps):
    torch.manual_seed(0)
    net = network(nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True)))
    asked = sl.Target(1, sl.everything)
    with untouched(net):
        sensitivity(net, image(), "saliency", asked, vary={"channels": ["max", "signed"]})
    with untouched(net), pytest.raises(EmptyRegionError):
        sensitivity(net, np.full(SIZE, 200, np.uint8), Planted(fails=True), asked, vary={"mix": [0.1]})


def test_files(tmp_path, maps):
    pictures = [image((0, 1)), image(seed=1)]
    found = sensitivity(
        network(classes=NAMES), pictures, Planted(), ["car", "sky"], vary={"mix": [0.5], "gain": [0.0, 3.0]}
    )
    told = json.loads(found.save(tmp_path / "new/s.json").read_text())
    assert told == found.to_dict()
    assert [(s["field"], s["value"]) for s in told["settings"]] == [("mix", 0.5), ("gain", 0.0), ("gain", 3.0)]
    assert told["settings"][0]["means"]["correlation"]["defined"] == 3
    assert told["settings"][0]["maps"][1]["correlation"] is None
    with found.save(tmp_path / "s.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 4 * 4
    assert [line["value"] for line in lines[::4]] == ["default", "0.5", "0", "3"]
    assert float(lines[4]["correlation"]) == pytest.approx(found.of("mix")[0].maps[0].numbers["correlation"])
    assert lines[5]["correlation"] == ""
    with Image.open(found.save(tmp_path / "s.png")) as drawn:
        assert min(drawn.size) > 700
    with pytest.raises(NameNotFoundError, match="give a suffix of"):
        found.save(tmp_path / "s.npz")


def test_the_picture_has_every_setting_also_those_without_a_map(maps):
    found = sensitivity(network(classes=NAMES), image(), Planted(), "car", vary={"gain": [0.0, 2.0]})
    zero, twice = (s.shown for s in found.settings)
    panels = [Panel("default", found.default.shown, ""), Panel("none", None, ""), Panel("zero", zero, ""),
              Panel("twice", twice, "correlation 1.00")]  # fmt: skip
    figure = sensitivity_figure([("gain", panels), ("mix", panels * 2)], ["planted", "car", "here", "mix = 0"])
    said = [t.get_text() for t in figure.findobj(Text)]
    for word in ("Sensitivity of planted", "no map", "zero", "twice", "correlation 1.00", "here"):
        assert word in said
    assert "The map is zero everywhere" in " ".join(said)
    assert sum("share one scale" in s for s in said) == 2
