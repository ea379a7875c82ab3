"""context_statistics(): planted maps whose shares are known, what is said of them, and the files that they become."""

import csv
import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from painted import Bits, Painted, network, painting
from torch import nn

import seglens as sl
from seglens.core.errors import EmptyRegionError, ImageError, NameNotFoundError, ParameterError, RegionError, ShapeError
from seglens.metrics import ring_width
from seglens.run.context import FORMATS, context_statistics

NAMES = sl.ClassTable(("road", "bicycle", "sky", "rider"))
ROAD, BICYCLE, SKY, RIDER = range(4)
SIZE = (20, 32)


def labels():
    """Sky above road; a rider in the middle, a bicycle right below."""
    found = np.full(SIZE, ROAD)
    found[:8] = SKY
    found[6:12, 12:16] = RIDER
    found[12:15, 10:18] = BICYCLE
    return found


def planted(weights, **changed):
    """An explanation of the rider with so much weight on each class outside of it, spread over the class's pixels."""
    said = labels()
    values = np.zeros(SIZE, np.float32)
    for label, weight in weights.items():
        values[said == label] = weight / (said == label).sum()
    fields = {
        "map": values,
        "image": np.full((*SIZE, 3), 128, np.uint8),
        "method": "context-saliency",
        "target": "rider in predicted(rider)",
        "channel": "rider",
        "score": 0.75,
        "of": "probabilities",
        "unit": "share kept",
        "network": "net",
        "region": said == RIDER,
        "prediction": said,
        "label": RIDER,
        "signed": False,
        "classes": NAMES,
        "provenance": {"image": "street.png"},
    }
    return sl.Explanation(**(fields | changed))


def by_name(found):
    return {c.name: c for c in found.classes}


def test_a_planted_cue_is_found_with_its_share():
    found = context_statistics(planted({BICYCLE: 3, ROAD: 1}), width=2)
    told = by_name(found)
    assert [c.name for c in found.classes][:2] == ["bicycle", "road"]
    assert told["bicycle"].saliency == pytest.approx(0.75, rel=1e-6)
    assert told["road"].saliency == pytest.approx(0.25, rel=1e-6)
    assert told["sky"].saliency == 0
    assert "rider" not in told  # it lies nowhere outside the region
    # The ring by hand: rows 4 to 13, columns 10 to 17, less the rider.
    around = labels()[4:14, 10:18]
    ring = {name: (around == i).sum() for i, name in enumerate(NAMES.names)}
    assert {c.name: c.ring_pixels for c in found.classes} == {n: ring[n] for n in ("road", "bicycle", "sky")}
    assert told["bicycle"].ring == pytest.approx(ring["bicycle"] / (80 - 24))
    assert told["bicycle"].log2_ring == pytest.approx(np.log2(0.75 / told["bicycle"].ring), rel=1e-6)
    assert told["bicycle"].context == pytest.approx(24 / (20 * 32 - 24))
    assert told["sky"].log2_ring == told["sky"].log2_context == -np.inf
    for column in ("saliency", "ring", "context"):
        assert sum(getattr(c, column) for c in found.classes) == pytest.approx(1)
    assert found.ring.sum() == sum(c.ring_pixels for c in found.classes)
    assert not (found.ring & (labels() == RIDER)).any()
    assert found.notes == ()


def test_what_lies_on_the_region_does_not_count_and_is_said():
    with_rider, without = (context_statistics(planted(w)) for w in ({BICYCLE: 1, RIDER: 3}, {BICYCLE: 1}))
    assert with_rider.inside == pytest.approx(0.75, rel=1e-6)
    assert without.inside == 0
    assert by_name(with_rider)["bicycle"].saliency == by_name(without)["bicycle"].saliency == 1
    assert "75 % of the map's weight lies in the region itself, which is no context." in with_rider.notes


def test_of_a_signed_map_the_positive_part_counts():
    found = context_statistics(planted({BICYCLE: 1, ROAD: 1, SKY: -50}, signed=True))
    assert by_name(found)["sky"].saliency == 0
    assert by_name(found)["bicycle"].saliency == pytest.approx(0.5, rel=1e-6)
    assert found.notes == ("The map is signed: its positive part counts, which speaks for the target.",)


def test_labels_come_from_the_truth_where_there_is_one():
    why = planted({BICYCLE: 1})
    assert context_statistics(why).source == "prediction"
    true = np.where(labels() == BICYCLE, SKY, labels())
    inherited, given = context_statistics(replace(why, truth=true)), context_statistics(why, true)
    assert inherited.source == given.source == "truth"
    for found in (inherited, given):
        assert by_name(found)["sky"].saliency == 1
        assert "bicycle" not in by_name(found)
    # What is given goes before what was there.
    assert by_name(context_statistics(replace(why, truth=true), labels()))["bicycle"].saliency == 1


def test_ignored_labels_and_undefined_pixels_are_left_out_and_counted():
    true = labels()
    true[:4] = 255
    why = planted({BICYCLE: 1, SKY: 1})
    found = context_statistics(why, true)
    sky = (labels() == SKY).sum()
    assert by_name(found)["sky"].context_pixels == sky - 4 * 32
    assert found.to_dict()["left_out"] == 4 * 32
    assert found.unlabelled == pytest.approx(4 * 32 / sky / 2, rel=1e-6)
    assert any("128 pixels outside the region count nowhere" in n and "class's label" in n for n in found.notes)
    true[:4] = ROAD
    as_road = context_statistics(why, true, ignore=ROAD)
    assert "road" not in by_name(as_road)
    assert by_name(context_statistics(why, true, ignore=None))["road"].context_pixels > 4 * 32
    # An ignored label is one of the truth: a prediction has none.
    assert by_name(context_statistics(why, ignore=ROAD))["road"].context_pixels > 0
    holes = why.map.copy()
    holes[18:] = np.nan
    partly = context_statistics(replace(why, map=holes))
    assert by_name(partly)["bicycle"].saliency == by_name(context_statistics(why))["bicycle"].saliency
    assert partly.notes == ("64 pixels outside the region count nowhere: the map is undefined there.",)


def test_nothing_to_tell_is_undefined_and_said():
    empty = context_statistics(planted({RIDER: 1}))
    assert all(np.isnan([c.saliency, c.log2_ring, c.log2_context]).all() for c in empty.classes)
    assert sum(c.ring for c in empty.classes) == pytest.approx(1)
    assert "Nothing outside the region is salient" in empty.notes[-1]
    undefined = context_statistics(planted({}, map=np.full(SIZE, np.nan, np.float32)))
    assert undefined.classes == ()
    assert np.isnan(undefined.inside)
    assert "no context to tell" in undefined.notes[-1]
    whole = context_statistics(planted({BICYCLE: 1}, region=np.ones(SIZE, bool)))
    assert whole.classes == ()
    assert "the whole picture" in whole.notes[-1]
    true = np.where(context_statistics(planted({}), width=2).ring, 255, labels())
    ringless = context_statistics(planted({ROAD: 1}), true, width=2)
    assert np.isnan([c.ring for c in ringless.classes]).all()
    assert "No pixel of the ring" in ringless.notes[-1]
    for found in (empty, undefined, whole, ringless):
        assert "nan" not in str(found).lower()
        assert found.notes[-1] in str(found)


def test_the_width_is_the_picture_s_unless_it_is_given():
    assert context_statistics(planted({ROAD: 1})).width == ring_width(SIZE) == 1
    assert context_statistics(planted({ROAD: 1}), width=3).width == 3
    for wrong in (0, 1.5, True):
        with pytest.raises(ParameterError, match="whole number of pixels from 1"):
            context_statistics(planted({ROAD: 1}), width=wrong)


def test_tallies_of_several_explanations_add():
    first, second = (context_statistics(planted(w)) for w in ({BICYCLE: 6, ROAD: 2}, {SKY: 2}))
    both = first.tally + second.tally
    np.testing.assert_allclose(both.shares("saliency"), [0.2, 0.6, 0.2, 0], rtol=1e-6)
    np.testing.assert_allclose(both.shares("saliency", "requests"), [0.125, 0.375, 0.5, 0], rtol=1e-6)


def test_a_volume():
    said = np.stack([labels()] * 3)
    values = np.zeros(said.shape, np.float32)
    values[1][labels() == BICYCLE] = 1
    region = said == RIDER
    region[2] = False
    why = planted({}, map=values, prediction=said, region=region, image=np.zeros(said.shape, np.uint8))
    found = context_statistics(why, width=1)
    assert by_name(found)["bicycle"].saliency == 1
    # The slice behind the last one of the rider is in the ring too.
    assert found.ring[2].sum() == 8 * 6
    assert by_name(found)["rider"].context_pixels == 24


@pytest.mark.parametrize("suffix", FORMATS)
def test_files(tmp_path, suffix):
    found = context_statistics(planted({BICYCLE: 3, ROAD: 1}))
    path = found.save(tmp_path / f"deep/er/context.{suffix}")
    assert path.stat().st_size > 100
    if suffix == "csv":
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        assert [r["name"] for r in rows] == ["bicycle", "road", "sky"]
        assert float(rows[0]["saliency"]) == by_name(found)["bicycle"].saliency
        assert rows[2]["log2_ring"] == ""
    if suffix == "json":
        told = json.loads(path.read_text(encoding="utf-8"))
        assert told["image"] == "street.png"
        assert [c["name"] for c in told["classes"]] == ["bicycle", "road", "sky"]
        assert told["region_pixels"] == 24
        assert told["context_pixels"] == 20 * 32 - 24
        assert told["labels"] == "prediction"
    with pytest.raises(NameNotFoundError, match="give a suffix"):
        found.save(tmp_path / "context.xls")


def test_in_print_it_is_a_table():
    text = str(context_statistics(planted({BICYCLE: 3999, ROAD: 1}), width=2))
    lines = text.splitlines()
    assert "rider in predicted(rider)" in lines[0]
    assert "labels of the prediction" in lines[0]
    assert lines[1].split() == ["class", "salient", "ring", "all", "log2", "ring", "log2", "all"]
    assert lines[2].startswith("bicycle")
    assert "100.0 %" in lines[2]
    assert "< 0.1 %" in lines[3]
    assert "−∞" in lines[4]
    assert len({len(line) for line in lines[1:5]}) == 1
    assert "ring: share of the pixels in a ring of 2 pixels around the region." in lines


@pytest.mark.filterwarnings("ignore::seglens.SeglensWarning")
def test_of_real_explanations():
    said = labels()
    net = network(Painted(4), k=4, classes=NAMES)
    why = sl.explain(net, painting(said), "saliency", "rider", truth=said)
    found = context_statistics(why, width=2)
    assert found.source == "truth"
    assert found.explanation is why
    # This network looks at each pixel alone.
    assert found.inside == 1
    assert np.isnan([c.saliency for c in found.classes]).all()


def test_what_is_refused():
    net = network(Painted(4), k=4, classes=NAMES)
    with pytest.raises(ParameterError, match=r"fusion-map asks about no class.*\n.*context-saliency"):
        context_statistics(sl.explain(net, painting(labels()), "fusion-map"))
    several = sl.explain(net, painting(labels()), "saliency", ["rider", "road"])
    with pytest.raises(ParameterError, match=r"not of Explanations.*\n.*tallies add"):
        context_statistics(several)
    classifier = network(nn.Sequential(nn.Flatten(), nn.Linear(640, 4)), k=4, classes=NAMES)
    with pytest.raises(RegionError, match="one score for the whole image"):
        context_statistics(sl.explain(classifier, painting(labels()), "saliency", "rider"))
    why = planted({ROAD: 1})
    with pytest.raises(EmptyRegionError, match="rider in predicted"):
        context_statistics(replace(why, region=np.zeros(SIZE, bool)))
    with pytest.raises(ParameterError, match="units of net are no classes"):
        context_statistics(replace(why, classes=None, prediction=None))
    with pytest.raises(ShapeError, match=r"array 5 × 5 are 5 × 5, the picture is 20 × 32"):
        context_statistics(why, np.zeros((5, 5), int))
    with pytest.raises(ImageError, match="99"):
        context_statistics(why, np.full(SIZE, 99))


def test_overlapping_labels_need_the_truth():
    net = network(Bits(3), k=3, link="sigmoid", classes=sl.ClassTable(("a", "b", "c")))
    image = painting(np.where(labels() == RIDER, 5, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sl.SeglensWarning)
        why = sl.explain(net, image, "saliency", "a")
    with pytest.raises(ParameterError, match=r"overlap.*\n.*truth"):
        context_statistics(why)
    found = context_statistics(why, np.where(labels() == RIDER, 0, 1))
    assert [c.name for c in found.classes] == ["b"]
