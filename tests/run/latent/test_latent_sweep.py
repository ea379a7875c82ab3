"""The rule on tables whose answer is known; the store; and a real sweep of networks trained for a few steps."""

import json
import math
import sys
from pathlib import Path

import pytest

from seglens.core.errors import NonFiniteError, ParameterError
from seglens.run.latent import sweep as sweeping
from seglens.run.latent.sweep import MEASURED, latent_sweep, latent_sweep_each
from seglens.run.latent.sweep_table import FORMATS, Run, Sweep, recommend

sys.path.insert(0, str(Path(__file__).parent))


def table(errors: dict[int, list[float]], active: dict[int, float], variant: str = "", **fields: object) -> list[Run]:
    return [
        Run(variant=variant, latent=n, seed=s, error=e, kl=10.0 + n, active=active[n], seconds=1.0, **fields)
        for n, several in errors.items()
        for s, e in enumerate(several)
    ]


def sweep(*runs: Run, tolerance: float = 0.02) -> Sweep:
    return Sweep(kind="vae", data="sprites", runs=runs, total=len(runs), produces="image", tolerance=tolerance)


def test_a_plateau_ends_the_search() -> None:
    """Ten units are as good as fifty, and no more than six are ever used."""
    runs = table({2: [0.9], 5: [0.5], 10: [0.3], 20: [0.298], 50: [0.299]}, {2: 2, 5: 5, 10: 6, 20: 6.3, 50: 6})
    found = recommend(sweep(*runs), "")
    assert (found.latent, found.settled) == (10, True)
    assert found.why == "10 latent units: 6 of them active, and an error as good as the least, at 20."


def test_one_standard_error_counts_where_it_is_more_than_the_tolerance() -> None:
    errors = {5: [0.32, 0.33, 0.34], 10: [0.27, 0.30, 0.33], 20: [0.30, 0.31, 0.32]}
    # The best is 10 at 0.30 ± 0.0173, so that 0.33 is without.
    active = {5: 4.0, 10: 4.0, 20: 4.0}
    assert recommend(sweep(*table(errors, active)), "").latent == 10
    errors[5] = [0.30, 0.315, 0.33]
    assert recommend(sweep(*table(errors, active)), "").latent == 5
    assert recommend(sweep(*table(errors, active), tolerance=0.5), "").latent == 5
    single = {n: e[1:2] for n, e in errors.items()}
    assert recommend(sweep(*table(single, active)), "").latent == 10  # one seed has no standard error


def test_units_that_still_come_alive_ask_for_more() -> None:
    runs = table({5: [0.300], 10: [0.299], 20: [0.298]}, {5: 3, 10: 6, 20: 6.5})
    assert recommend(sweep(*runs), "").latent == 10  # 5 is as good, but three further units are used


def test_the_largest_size_is_no_plateau_unless_units_died() -> None:
    falling = {2: [0.9], 5: [0.5], 10: [0.2]}
    open_ = recommend(sweep(*table(falling, {2: 2, 5: 5, 10: 10})), "")
    assert (open_.latent, open_.settled) == (10, False)
    assert "a larger one may serve better" in open_.why
    dying = recommend(sweep(*table(falling, {2: 2, 5: 5, 10: 7})), "")
    assert (dying.latent, dying.settled) == (10, True)


def test_where_error_and_units_disagree_the_error_decides_and_it_is_said() -> None:
    runs = table({5: [0.2], 10: [0.21], 20: [0.5]}, {5: 5, 10: 10, 20: 20})
    found = recommend(sweep(*runs), "")
    assert (found.latent, found.settled) == (5, False)
    assert "active units still grow beyond it, to 20 of 20" in found.why


def test_variants_are_recommended_apart_and_odd_tables_are_no_fault() -> None:
    low = table({2: [0.3], 5: [0.1]}, {2: 2, 5: 3}, "beta 1")
    high = table({2: [0.301], 5: [0.3]}, {2: 1, 5: 1}, "beta 16")
    found = sweep(*low, *high)
    assert [(r.variant, r.latent) for r in found.recommendations] == [("beta 1", 5), ("beta 16", 2)]
    assert "beta 16" in str(found)
    nothing = sweep(*table({2: [math.nan]}, {2: 0}))
    assert nothing.recommendations == ()
    assert "–" in str(nothing)
    alone = recommend(sweep(*table({5: [0.1]}, {5: 0})), "")
    assert (alone.latent, alone.settled) == (5, True)


@pytest.mark.parametrize("suffix", FORMATS)
def test_it_is_saved(suffix: str, tmp_path: Path) -> None:
    more = {"mig": 0.1, "disentanglement": 0.2, "attention": 0.05}
    runs = table({2: [0.3, 0.31], 10: [0.1, 0.12]}, {2: 2, 10: 3}, "beta 1", **more)
    found = sweep(*runs, *table({2: [0.4, 0.41], 10: [0.3, 0.32]}, {2: 1, 10: 1}, "beta 4"))
    path = found.save(tmp_path / f"sweep.{suffix}")
    assert path.stat().st_size > 300
    if suffix == "json":
        told = json.loads(path.read_text())
        assert told["recommendations"][0]["latent"] == 10
        assert told["sizes"][0]["error"] == {"mean": pytest.approx(0.305), "error": pytest.approx(0.005), "n": 2}
        assert told["sizes"][2]["mig"]["mean"] is None
    assert max(map(len, str(found).splitlines()[:-4])) <= 80


QUICK = {
    "epochs": 1,
    "batch": 16,
    "data.train": 32,
    "data.validation": 8,
    "data.test": 8,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_a_sweep_trains_measures_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning_utilities", reason="training needs the extra 'train'")
    told: list[str] = []
    steps = latent_sweep_each(
        "vae", "sprites", [3, 2], tmp_path, seeds=1, changes=QUICK, n=60, device="cpu", step=told.append
    )
    first = next(steps)
    assert [(r.latent, r.seed) for r in first.runs] == [(2, 0)]
    steps.close()  # stopped after one network
    found = latent_sweep("vae", "sprites", [2, 3], tmp_path, seeds=1, changes=QUICK, n=60, device="cpu")
    assert [(r.latent, r.seed) for r in found.runs] == [(2, 0), (3, 0)]
    assert found.to_dict()["runs"][0] == first.to_dict()["runs"][0]
    assert told == ["2 units, seed 0"]
    assert all(math.isfinite(r.error) and math.isfinite(r.kl) and math.isfinite(r.mig) for r in found.runs)
    assert {p.parent.name for p in tmp_path.rglob(MEASURED)} == {"latent2-seed0", "latent3-seed0"}

    def never(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(sweeping, "_measure", never)
    again = latent_sweep("vae", "sprites", [2, 3], tmp_path, seeds=1, changes=QUICK, n=60, device="cpu")
    assert again.to_dict() == found.to_dict()


def test_what_fails_is_kept_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def trained(kind, data, at, recipe, changes, device):
        if changes["model.latent"] == 5:
            raise NonFiniteError("the loss is NaN.")
        return changes

    def measured(trained, variant, latent, seed, n, attention, device):
        assert trained["loss.beta"] == float(variant.split()[1])
        return Run(variant=variant, latent=latent, seed=seed, error=1 / latent, kl=1.0, active=latent)

    monkeypatch.setattr(sweeping, "_trained", trained)
    monkeypatch.setattr(sweeping, "_measured", measured)
    found = latent_sweep("vae", "faces", [2, 5], tmp_path, seeds=2, vary={"loss.beta": [1.0, 4.0]})
    assert len(found.runs) == 4
    assert found.total == 8
    assert [(f.variant, f.latent, f.seed) for f in found.failures] == [
        *(("beta 1.0", 5, 0), ("beta 4.0", 5, 0)),
        *(("beta 1.0", 5, 1), ("beta 4.0", 5, 1)),
    ]
    assert "beta 1.0, 5 units, seed 0: the loss is NaN." in str(found)
    with pytest.raises(NonFiniteError):
        latent_sweep("vae", "faces", [5], tmp_path, seeds=1, vary={"loss.beta": [1.0]})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "segmenter"}, "a segmenter has no latent space"),
        ({"latents": []}, "at least one"),
        ({"latents": [0]}, "whole numbers from 1"),
        ({"seeds": 0}, "at least one seed"),
        ({"vary": {"seed": [1]}}, "varied by itself"),
        ({"vary": {"loss.beta": "1"}}, "a list of values"),
    ],
)
def test_refusals(given: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match=said):
        latent_sweep(**{"kind": "vae", "data": "sprites", "latents": [2], "out": tmp_path, **given})
