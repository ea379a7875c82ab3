"""Settings of context saliency varied on the benchmark's networks."""

import csv
import json
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from bench_fakes import Workshop, tiny
from bench_fakes import greys as greys
from bench_fakes import workshop as workshop

from seglens.core.errors import NameNotFoundError, ParameterError
from seglens.run.bench import study as room
from seglens.run.bench.context_bias import context_bias
from seglens.run.bench.study import study


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        room, "VALUES", {"fill": ("black", "white"), "cells": ("2x2", "8x8"), "sparsity": (5.0,), "steps": (2, 30)}
    )


def test_a_fill_that_removes_nothing_finds_nothing(few: None, workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    found = study("fill", tiny(greys, methods=("grid",)), tmp_path / "out")
    rows = {x.value: x.row for x in found.lines if x.row.kind == "strong"}
    assert rows["black"].cbl.mean > 0.8
    # The cue is white, so that white takes nothing away and every mask is empty.
    assert rows["white"].cbl.n == 0
    assert rows["white"].empty == rows["white"].pictures > 0
    assert {x.row.kind for x in found.lines} == {"strong", "twin"}
    assert not found.failures


def test_cells_and_sparsity_are_varied_alone(few: None, workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    out, plan = tmp_path / "out", tiny(greys, methods=("grid",))
    cells = {x.value: x.row for x in study("cells", plan, out).lines if x.row.kind == "twin"}
    assert all(found.cbl.mean > 0.8 and found.cbd.mean > 0.01 for found in cells.values())
    # A cell that costs more than all of the score is never kept.
    (dear,) = [x.row for x in study("sparsity", plan, out).lines if x.row.kind == "twin"]
    assert dear.cbd.mean == pytest.approx(0, abs=1e-6)
    assert len(workshop.calls) == 4


def test_networks_and_maps_of_the_benchmark_are_used_again(
    few: None, workshop: Workshop, greys: Path, tmp_path: Path
) -> None:
    plan, out = tiny(greys, methods=("grid-reference",)), tmp_path / "out"
    whole = context_bias(plan, out)
    found = study("texture", plan, out)
    assert len(workshop.calls) == 4
    (line,) = [x for x in found.lines if x.row.kind == "strong"]
    assert (line.value, line.method) == ("5", "grid-reference")
    expected = whole.row("strong", "grid-reference")
    np.testing.assert_equal(line.row.cbl, expected.cbl)
    np.testing.assert_equal(line.row.cbd, expected.cbd)


def test_each_texture_has_networks_of_its_own(workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    found = study("texture", tiny(greys, textures=(4, 5), methods=("grid-reference",)), tmp_path / "out")
    strong = {x.value: x.row for x in found.lines if x.row.kind == "strong"}
    assert list(strong) == ["4", "5"]
    assert [r.networks for r in strong.values()] == [1, 1]


def test_files_of_a_study(few: None, workshop: Workshop, greys: Path, tmp_path: Path) -> None:
    found = study("steps", tiny(greys, methods=("grid-reference",)), tmp_path / "out")
    table, plain, figure = found.save(tmp_path / "out")
    assert figure.name == "study-steps.png"
    assert figure.stat().st_size
    lines = list(csv.DictReader(StringIO(table.read_text())))
    assert [x["steps"] for x in lines] == ["2", "30"] * 2
    assert "scikit-learn digits 8x8" in lines[0]["of"]
    told = json.loads(plain.read_text())
    assert told["subject"] == "steps"
    assert [x["value"] for x in told["lines"]] == ["2", "30"] * 2


def test_what_cannot_be_studied_is_refused(greys: Path, tmp_path: Path) -> None:
    with pytest.raises(NameNotFoundError, match="Nearest: 'fill'"):
        study("fills", tiny(greys), tmp_path)
    with pytest.raises(ParameterError, match="a study varies context saliency"):
        study("fill", tiny(greys, methods=("vg",)), tmp_path)
