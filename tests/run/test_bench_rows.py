"""Means over networks: what is gated, what is left out, and heat maps."""

from dataclasses import replace

import numpy as np
import pytest

from seglens.datasets.textured_digits import Bias, Twin
from seglens.run.bench.pipeline import Told
from seglens.run.bench.plan import Part
from seglens.run.bench.records import Record, Scores
from seglens.run.bench.rows import matrix, row, uptake
from seglens.run.bench.statistics import Interval, mean_known


def record(plant, seed: int, after: float, cbl: float, cbd: float, before: float = 0.9, others: float = 0.1) -> Record:
    """A network whose biased class has these values, all other classes `others` as CBD and 0.8 as IoU."""
    digit = None if plant is None else plant.digit
    unbiased, values = np.full(11, 0.8), np.full(10, others)
    if digit is not None:
        unbiased[digit], values[digit] = after, cbd
    scores = Scores(values, values / 2, cbl, cbl - 0.1, pictures=4, empty=1)
    return Record(
        part=Part(plant, seed),
        own=np.full(11, 0.95),
        unbiased=unbiased,
        before=float("nan") if digit is None else before,
        asked=np.full(10, 4),
        missed=np.full(10, 2),
        seconds=7.0,
        told={"m": Told(None, seconds=0.5, passes=80, dead=3)},
        scores={"m": scores},
    )


RECORDS = [
    record(None, 0, 0, np.nan, 0, others=0.02),
    record(None, 1, 0, np.nan, 0, others=0.04),
    record(Bias(2, 5, "strong"), 0, after=0.3, cbl=0.9, cbd=0.5),
    record(Bias(2, 6, "strong"), 0, after=0.85, cbl=0.4, cbd=0.2),
    record(Bias(2, 5, "strong"), 1, after=0.5, cbl=np.nan, cbd=0.4),
    record(Bias(7, 5, "strong"), 0, after=0.2, cbl=0.8, cbd=0.6),
    record(Bias(7, 6, "weak"), 0, after=0.88, cbl=0.45, cbd=0.3),
    record(Twin(2, 7, 5), 0, after=0.1, cbl=0.95, cbd=0.7),
]


def test_cbl_is_over_the_networks_that_took_up_the_bias() -> None:
    strong = row("strong", None, "m", RECORDS)
    # The second did not take it up, the third did and has no CBL on any picture.
    assert strong.cbl == Interval.over([0.9, 0.8])
    assert strong.cbl_all == Interval.over([0.9, 0.4, 0.8])
    assert strong.cbl_pixels.mean == pytest.approx((0.9 + 0.8) / 2 - 0.1)
    assert (strong.networks, strong.took_up, strong.failed) == (4, 3, 0)
    weak = row("weak", None, "m", RECORDS)
    assert (weak.cbl.n, weak.took_up) == (0, 0)
    assert np.isnan(weak.cbl.mean)
    assert weak.cbl_all.mean == 0.45


def test_one_digit_is_one_digit() -> None:
    two = row("strong", 2, "m", RECORDS)
    assert two.cbd == Interval.over([0.5, 0.2, 0.4])
    assert two.networks == 3
    assert row("strong", 7, "m", RECORDS).cbl.mean == 0.8
    assert row("strong", 4, "m", RECORDS).networks == 0


def test_cbd_of_the_biased_class_the_others_and_unbiased_networks() -> None:
    strong = row("strong", None, "m", RECORDS)
    assert strong.cbd.mean == pytest.approx(np.mean([0.5, 0.2, 0.4, 0.6]))
    assert strong.cbd_others.mean == pytest.approx(0.1)
    assert strong.cbd_fair == Interval.over([0.02, 0.04])
    assert strong.cbd_pixels.mean == pytest.approx(strong.cbd.mean / 2)


def test_of_twins_the_others_are_the_class_known_by_absence() -> None:
    (twin,) = [r for r in RECORDS if r.part.kind == "twin"]
    cbd = np.full(10, np.nan)
    cbd[2], cbd[7] = 0.7, 0.03
    only = replace(twin, scores={"m": replace(twin.scores["m"], cbd=cbd)})
    assert row("twin", None, "m", [only]).cbd_others.mean == pytest.approx(0.03)


def test_counts_and_costs() -> None:
    strong = row("strong", None, "m", RECORDS)
    assert (strong.pictures, strong.empty, strong.missed, strong.dead) == (16, 4, 8, 12)
    assert (strong.seconds, strong.passes) == (0.5, 80)


def test_a_network_on_which_a_method_failed_is_counted_and_in_no_mean() -> None:
    broken = replace(RECORDS[2], told={"m": Told(None, failure="ValueError: no")}, scores={})
    strong = row("strong", None, "m", [broken, *RECORDS[3:]])
    assert (strong.networks, strong.failed) == (3, 1)
    assert strong.cbl == Interval.over([0.8])
    assert strong.pictures == 12


def test_a_row_on_one_line() -> None:
    line = row("strong", None, "m", RECORDS).flat()
    assert (line["digit"], line["kind"], line["method"]) == ("all", "strong", "m")
    assert line["cbl"] == pytest.approx(0.85)
    assert line["cbl_n"] == 2
    assert line["cbl_low"] < line["cbl"] < line["cbl_high"]
    assert row("strong", 7, "m", RECORDS).flat()["digit"] == 7


def test_uptake_is_the_fall_of_the_iou() -> None:
    strong = uptake("strong", None, RECORDS)
    assert (strong.networks, strong.took_up) == (4, 3)
    assert strong.after.mean == pytest.approx(np.mean([0.3, 0.85, 0.5, 0.2]))
    assert strong.before.mean == pytest.approx(0.9)
    assert strong.other.n == 0
    assert uptake("twin", 2, RECORDS).other.mean == 0.95


def test_heat_maps_have_the_unbiased_networks_first() -> None:
    found = matrix(RECORDS, "strong", (2, 4, 7), lambda r: r.scores["m"].cbd)
    assert found.shape == (4, 10)
    np.testing.assert_allclose(found[0], 0.03)
    assert found[1, 2] == pytest.approx(mean_known([0.5, 0.2, 0.4]))
    np.testing.assert_allclose(np.delete(found[1], 2), 0.1)
    assert np.isnan(found[2]).all()
    assert found[3, 7] == pytest.approx(0.6)
    assert np.isnan(matrix(RECORDS, "weak", (7,), lambda _: None)).all()


def test_the_gate_compares_with_the_network_of_the_same_seed() -> None:
    assert [r.took_up for r in RECORDS] == [False, False, True, False, True, True, False, True]
    assert not replace(RECORDS[2], before=0.35).took_up
