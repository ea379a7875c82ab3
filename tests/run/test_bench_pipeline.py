"""The benchmark from one end to the other on networks that need no training: kept stages, interruptions, failures."""

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from bench_fakes import Workshop, tiny
from bench_fakes import greys as greys
from bench_fakes import workshop as workshop

from seglens.core.errors import ImageError, ParameterError, SeglensWarning
from seglens.run.bench import pipeline
from seglens.run.bench.clock import Clock, Moment
from seglens.run.bench.context_bias import context_bias
from seglens.run.bench.pictures import Sources
from seglens.run.bench.plan import Plan
from seglens.run.bench.result import ContextBias

FAST = ("grid", "vg", "random", "uniform")


def run(plan: Plan, out: Path) -> tuple[ContextBias, list[Moment]]:
    moments: list[Moment] = []
    return context_bias(plan, out, listener=moments.append), moments


def same(a: ContextBias, b: ContextBias) -> None:
    """But for the time of the run and how much of it was done before."""
    plain = [json.dumps({**r.to_dict(), "seconds": 0, "stages": 0, "notes": 0}, sort_keys=True) for r in (a, b)]
    assert plain[0] == plain[1]


def test_the_planted_network_gives_the_papers_picture(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    found, moments = run(tiny(greys, methods=FAST), tmp_path / "out")
    assert len(workshop.calls) == 4
    for kind in ("strong", "twin"):
        grid, chance, even = (found.row(kind, m) for m in ("grid", "random", "uniform"))
        assert (grid.cbl.n, grid.took_up, grid.networks) == (1, 1, 1)
        assert grid.cbl.mean > 0.9
        assert 0.3 < chance.cbl.mean < 0.7
        assert 0.4 < even.cbl.mean < 0.6
        assert grid.cbd.mean > 0.02
        assert grid.cbd_others.mean == pytest.approx(0, abs=1e-6)
        assert grid.cbd_fair.mean == pytest.approx(0, abs=1e-6)
        assert grid.cbl.low != grid.cbl.low  # of one network there is no interval
    # White is the cue itself: filled with it, nothing is removed.
    assert found.fills.removed["white"] == pytest.approx(0, abs=1e-3)
    assert found.fills.removed["black"] > 0.3
    assert found.fills.chosen != "white"
    assert not found.failures
    total = 2 + 3 * (2 + len(FAST))
    assert (found.done, found.reused) == (total, 0)
    assert [m.number for m in moments] == list(range(1, total + 1))
    assert {m.total for m in moments} == {total}
    assert np.isnan(moments[0].left)
    assert moments[-1].left >= 0


def test_a_second_run_does_nothing_again(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    plan = tiny(greys, methods=FAST[1:])
    first, _ = run(plan, tmp_path / "out")
    again, _ = run(plan, tmp_path / "out")
    assert len(workshop.calls) == 4
    assert (again.done, again.reused) == (0, first.done)
    same(first, again)


def test_a_run_that_was_interrupted_goes_on(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    plan = tiny(greys, methods=FAST[1:])
    whole, _ = run(plan, tmp_path / "whole")
    workshop.calls.clear()
    workshop.stop_at = 2
    with pytest.raises(KeyboardInterrupt):
        run(plan, tmp_path / "out")
    assert len(workshop.calls) == 2
    assert not list((tmp_path / "out").rglob("*.part"))
    workshop.stop_at = None
    resumed, _ = run(plan, tmp_path / "out")
    assert len(workshop.calls) == 4
    assert resumed.reused == 2 + 2 + 3
    # What was trained is measured alike, whether in this run or an earlier one: but for times nothing differs.
    for a, b in zip(whole.records, resumed.records, strict=True):
        for name in plan.methods:
            np.testing.assert_array_equal(a.told[name].measures.mask, b.told[name].measures.mask)


def test_damaged_files_are_told_and_made_again(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    plan, out = tiny(greys, methods=FAST[1:]), tmp_path / "out"
    first, _ = run(plan, out)
    network = next((out / "stages/networks").glob("strong*"))
    network.write_bytes(network.read_bytes()[:-9])
    maps = next((out / "stages/maps").glob("strong*.saliency.*"))
    maps.write_bytes(b"")
    with pytest.warns(SeglensWarning, match="is damaged") as said:
        again, _ = run(plan, out)
    assert {network.name in str(w.message) or maps.name in str(w.message) for w in said} == {True}
    assert again.done == 2
    assert len(again.notes) == 2
    assert again.to_dict()["notes"] == list(again.notes)
    for a, b in zip(first.records, again.records, strict=True):
        np.testing.assert_array_equal(a.told["vg"].measures.mask, b.told["vg"].measures.mask)


def test_more_pictures_need_no_new_network(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    run(tiny(greys, methods=("uniform",)), tmp_path / "out")
    more, _ = run(tiny(greys, methods=("random", "uniform"), images=20), tmp_path / "out")
    assert len(workshop.calls) == 4
    assert more.reused == 4
    assert more.row("strong", "uniform").pictures == 10


def test_other_textures_are_other_networks(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    from PIL import Image

    run(tiny(greys, methods=("uniform",)), tmp_path / "out")
    Image.fromarray(np.full((8, 8), 90, np.uint8)).save(greys / "0.png")
    run(tiny(greys, methods=("uniform",)), tmp_path / "out")
    assert len(workshop.calls) == 8


def test_a_method_that_fails_is_recorded_and_tried_again(
    workshop: Workshop, greys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pipeline.measure

    def failing(network, entry, *rest):
        if entry.name == "vg" and network.name.startswith("strong"):
            raise RuntimeError("no such luck")
        return real(network, entry, *rest)

    monkeypatch.setattr(pipeline, "measure", failing)
    plan = tiny(greys, methods=("vg", "uniform"))
    found, _ = run(plan, tmp_path / "out")
    assert found.row("strong", "vg").failed == 1
    assert found.row("strong", "vg").networks == 0
    assert found.row("strong", "uniform").networks == 1
    assert found.row("twin", "vg").networks == 1
    (said,) = found.failures
    assert "vg failed on 1 of 3 networks" in said
    assert "RuntimeError: no such luck" in said
    assert all(p.stat().st_size for p in found.save(tmp_path / "out"))
    monkeypatch.setattr(pipeline, "measure", real)
    again, _ = run(plan, tmp_path / "out")
    assert not again.failures
    assert again.done == 1


def test_a_layer_that_is_not_there_is_such_a_failure(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    found, _ = run(tiny(greys, methods=("grad-cam", "uniform")), tmp_path / "out")
    assert "grad-cam failed on 3 of 3 networks" in found.failures[0]
    assert "LayerNotFoundError" in found.failures[0]


def test_files_say_where_they_come_from(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    found, _ = run(tiny(greys, methods=FAST[1:], digits=(2, 7)), tmp_path / "out")
    files = found.save(tmp_path / "out")
    assert [p.name for p in files] == ["table.csv", "results.json", "figure4.png", "twins.png"]
    told = json.loads(files[1].read_text())
    assert told["sources"]["digits"] == "scikit-learn digits 8x8"
    assert told["sources"]["textures"] == "6 of greys"
    assert {"seglens", "torch", "device", "date"} <= set(told["provenance"])
    assert told["fills"]["chosen"] == found.fills.chosen
    streams = {
        (n["training_stream"] % 6, n["test_stream"] % 6) for n in told["networks"]
    }  # what is reported is of streams of its own
    assert streams == {(0, 1)}
    assert told["gate"] == 0.1
    lines = list(csv.DictReader(StringIO(files[0].read_text())))
    assert len(lines) == len(found.rows) == 2 * 3 * 3
    assert {line["of_digits"] for line in lines} == {"scikit-learn digits 8x8"}
    chance = next(x for x in lines if (x["kind"], x["digit"], x["method"]) == ("twin", "all", "uniform"))
    assert float(chance["cbl"]) == pytest.approx(found.row("twin", "uniform").cbl.mean)
    assert chance["cbd_fair_n"] == "1"


def test_the_time_at_the_papers_size_is_told(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    found, _ = run(tiny(greys, methods=("vg",)), tmp_path / "out")
    assert found.full_seconds > 0


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"textures": (6,)}, ParameterError, "texture 6: there are 6"),
        ({"mnist": Path("nowhere")}, ImageError, "is no folder"),
    ],
)
def test_what_is_not_there_is_said_before_any_work(
    workshop: Workshop, greys: Path, tmp_path: Path, changes: dict[str, object], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        run(tiny(greys, **changes), tmp_path / "out")
    assert not workshop.calls


def test_digests_tell_sources_apart(greys: Path) -> None:
    own, built_in = Sources.of(None, greys), Sources.of(None, None)
    assert own.digests["train"] == built_in.digests["train"] != own.digests["test"]
    assert own.digests["textures"] != built_in.digests["textures"]
    assert built_in.says == {"digits": "scikit-learn digits 8x8", "textures": "25 built-in"}


def test_the_clock_tells_the_time_left_from_stages_of_the_same_kind() -> None:
    said: list[Moment] = []
    clock = Clock(["train", "a", "train", "a", "b"], said.append)
    for seconds in (100.0, 10.0, None):
        clock.begin("x")
        clock.end(seconds)
    clock.begin("x")
    # The stage that was done before took no time; b, of which none is done, is taken for the mean of 100 and 10.
    assert said[-1].left == pytest.approx(10 + 55)
    assert [m.number for m in said] == [1, 2, 3, 4]
    assert np.isnan(said[0].left)
    assert said[2].left == pytest.approx(100 + 10 + 55)
