"""The benchmark as a person runs it, at its quick size: networks are trained here, and their planted cue is found.

Five hundred steps make poor networks, but twins of one shape can be told apart by nothing but the cue: so what is to be
found for them is known. Margins leave room for processors that round differently.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from seglens.cli import app

METHODS = ("grid", "vg", "random")


def bench(out: Path) -> dict[str, Any]:
    """Run the command into a folder, and read its results."""
    words = ["bench", "context-bias", "--quick", "--out", str(out)]
    done = CliRunner().invoke(app, [*words, *(w for m in METHODS for w in ("--method", m))])
    assert done.exit_code == 0, done.output
    return json.loads((out / "results.json").read_text())


def row(found: dict[str, Any], method: str) -> dict[str, Any]:
    """That of the twins."""
    return next(r for r in found["rows"] if (r["kind"], r["digit"], r["method"]) == ("twin", None, method))


# In one piece: side by side, two workers would train the same networks.
def test_twins_take_the_cue_up_and_context_saliency_finds_it(tmp_path: Path) -> None:
    found = bench(tmp_path)
    taken = next(u for u in found["uptake"] if (u["kind"], u["digit"]) == ("twin", None))
    assert (taken["networks"], taken["took_up"]) == (1, 1)
    assert taken["after"]["mean"] < taken["before"]["mean"] - found["gate"]

    grid = row(found, "grid")
    assert grid["cbl"]["mean"] > 0.8
    # The twin that is known by the absence of the texture, and the unbiased network, need little of their context.
    assert grid["cbd"]["mean"] > 2 * max(grid["cbd_others"]["mean"], grid["cbd_fair"]["mean"])
    assert row(found, "random")["cbl_all"]["mean"] == pytest.approx(0.5, abs=0.15)

    lines = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert {(x["kind"], x["method"]) for x in lines} == {(k, m) for k in ("strong", "twin") for m in METHODS}
    cbl = next(x["cbl"] for x in lines if (x["kind"], x["digit"], x["method"]) == ("twin", "all", "grid"))
    assert float(cbl) == grid["cbl"]["mean"]
    assert all((tmp_path / name).stat().st_size for name in ("figure4.png", "twins.png"))

    again = bench(tmp_path)
    assert again["rows"] == found["rows"]
    assert (again["stages"]["done"], again["stages"]["reused"]) == (0, found["stages"]["done"])
