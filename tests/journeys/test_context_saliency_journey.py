"""Which context made the network say rider? Asked on the command line, the twin names the bicycle and its sister none.

In the twin's world every rider was on a bicycle and no person was; to its sister a bicycle says nothing. The scenes are
the first four of one seed in which both networks predict a rider and a cue is seen, whatever their masks are.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

import seglens as sl
from seglens.cli import app
from seglens.core.explanation import Explanation
from seglens.datasets import CLASSES, Plant, Streets

BIASED, FAIR = "streets-unet-biased", "streets-unet"
SCENES, LEAST = 4, 100


def run(*words: object) -> str:
    """What a command wrote on standard output."""
    result = CliRunner().invoke(app, [str(w) for w in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("riders")


@pytest.fixture(scope="module")
def cues(here: Path) -> dict[str, NDArray[np.bool_]]:
    """The planted cue of each scene, whose picture lies in the folder under that name."""
    found: dict[str, NDArray[np.bool_]] = {}
    rider = CLASSES.index("rider")
    for i, scene in enumerate(Streets(40, seed=4104, plant=Plant(riders_on_bicycles=1.0))):
        seen = [int((sl.segment(name, scene.image).labels == rider).sum()) for name in (BIASED, FAIR)]
        if min(*seen, scene.cue.sum()) < LEAST:
            continue
        name = f"{i:02d}.png"
        Image.fromarray(scene.image).save(here / name)
        found[name] = scene.cue
        if len(found) == SCENES:
            return found
    raise AssertionError("too few scenes with riders")


@pytest.fixture(scope="module")
def why(here: Path, cues: dict[str, NDArray[np.bool_]]) -> dict[str, list[Explanation]]:
    """What each network answers for each picture."""
    for network in (BIASED, FAIR):
        run(
            "explain", network, *(here / name for name in cues), "--class", "rider", "--method", "context-saliency",
            "--format", "npz", "--out", here / network, "--quiet",
        )  # fmt: skip
    opened = {network: [sl.open(saved(here, network, name)) for name in cues] for network in (BIASED, FAIR)}
    return {network: [e for e in some if isinstance(e, Explanation)] for network, some in opened.items()}


def saved(here: Path, network: str, name: str) -> Path:
    """Where the command line puts an explanation."""
    return here / network / f"{Path(name).stem}.rider.context-saliency.npz"


def outside(why: Explanation) -> NDArray[np.bool_]:
    """The context [H W]."""
    assert why.region is not None
    return ~why.region


def on_cue(whys: list[Explanation], cues: dict[str, NDArray[np.bool_]]) -> list[float]:
    """How much of each map lies on the cue: kept pixels."""
    return [float(one.map[cue].sum()) for one, cue in zip(whys, cues.values(), strict=True)]


def bare_shares(whys: list[Explanation]) -> NDArray[np.float64]:
    """What is left of each score without any context."""
    return np.array([float(one.extras["bare-confidence"]) / one.score for one in whys])


def test_the_twin_needs_the_bicycle(why: dict[str, list[Explanation]], cues: dict[str, NDArray[np.bool_]]) -> None:
    for one, cue in zip(why[BIASED], cues.values(), strict=True):
        context = outside(one)
        assert not one.map[~context].any()
        by_chance = (cue & context).sum() / context.sum()
        assert one.share(cue) > 8 * by_chance
        # The mask gives back most of what the loss of the context took.
        lost, kept = one.score - float(one.extras["bare-confidence"]), float(one.extras["kept-confidence"])
        assert one.score - kept < 0.6 * lost
    assert (bare_shares(why[BIASED]) < 0.75).all()


def test_its_sister_needs_hardly_anything(
    why: dict[str, list[Explanation]], cues: dict[str, NDArray[np.bool_]]
) -> None:
    assert sum(on_cue(why[BIASED], cues)) >= 5 * sum(on_cue(why[FAIR], cues))
    assert min(on_cue(why[BIASED], cues)) > 0
    sizes = {network: sum(float(e.extras["mask-size"]) for e in some) for network, some in why.items()}
    assert sizes[FAIR] < 0.2 * sizes[BIASED]
    assert (bare_shares(why[FAIR]) > 0.8).all()
    assert sum(not e.map.any() for e in why[FAIR]) >= SCENES / 2


@pytest.mark.filterwarnings("ignore:the explanation was made for a score of:seglens.SeglensWarning")
def test_without_it_the_twin_no_longer_says_rider(
    here: Path, why: dict[str, list[Explanation]], cues: dict[str, NDArray[np.bool_]]
) -> None:
    """The twin's salient context is taken away from both networks: the same pixels, in the first scene."""
    name = next(iter(cues))
    told: dict[str, dict[str, Any]] = {}
    for network in (BIASED, FAIR):
        out = run(
            "verify", network, here / name, "--explanation", saved(here, BIASED, name), "--controls", 5,
            "--json", "-o", here / "verified.json",
        )  # fmt: skip
        told[network] = json.loads(out)
    twin, sister = told[BIASED], told[FAIR]
    assert twin["removed_pixels"] == sister["removed_pixels"] > 0
    assert twin["drop"] > 0.3
    assert twin["drop"] > 5 * abs(sister["drop"])
    # Removing as much elsewhere does less, in every draw.
    assert twin["after"]["probability"] < min(twin["controls"]["probabilities"])
    assert twin["after"]["region"]["rider"] < 0.5 < sister["after"]["region"]["rider"]
    # And the sister's own map marks nothing there that matters.
    own = json.loads(
        run("verify", FAIR, here / name, "--explanation", saved(here, FAIR, name), "--controls", 0, "--json",
            "-o", here / "own.json")
    )  # fmt: skip
    assert abs(own["drop"]) < 0.1
