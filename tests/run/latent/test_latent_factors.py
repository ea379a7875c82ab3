"""Which factor a unit follows: planted units; turned ones; factors that stand still; and the published dSprites VAE."""

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from seglens.core.errors import ParameterError, UndefinedWarning
from seglens.datasets.sprites import Sprites, draw_sprite
from seglens.metrics.factors import Factor
from seglens.run.latent.explore import traverse
from seglens.run.latent.factors import latent_factors
from seglens.run.latent.factors_table import FORMATS
from seglens.run.latent.nearest import Nearest
from seglens.run.latent.statistics import latent_statistics
from seglens.testing.untouched import untouched

sys.path.insert(0, str(Path(__file__).parent))
from coders import DEAD, Conditional, Levels, Masks, Turned, material, network


@pytest.fixture(scope="module")
def found():
    net = network()
    with untouched(net):
        return latent_factors(net, Levels(1200))


def test_every_unit_follows_its_own_factor(found) -> None:
    assert [f.factor for f in found.follows] == ["first", "second", "third", "fourth", None]
    assert all(f.also == f.equally == () for f in found.follows)
    assert all(f.association > 0.98 for f in found.follows[:4])
    assert found.mig > 0.8  # σ = e⁻² blurs levels that are 0.5 apart a little
    assert found.modularity > 0.99
    assert found.dci.disentanglement > 0.97
    assert found.dci.completeness > 0.97
    assert found.dead == (DEAD,)
    assert found.untold == ()


def test_moving_a_unit_moves_its_factor_and_no_other(found) -> None:
    assert [f.moves for f in found.follows[:4]] == list(found.factors)
    own = np.diag(found.moved[:4])
    rest = found.moved[:4] - np.diag(own)
    assert (own > 0.7).all()
    assert rest.max() < 0.25
    np.testing.assert_allclose(found.moved[DEAD], 0, atol=1e-6)
    assert (found.unread < 0.3).all()


def test_turned_units_follow_two_factors_each() -> None:
    found = latent_factors(network(Turned), Levels(1200), moved=8)
    for i in (0, 1):
        assert {found.follows[i].factor, *found.follows[i].equally} == {"first", "second"}
    assert found.follows[2].factor == "third"
    assert found.gaps[:2].max() < 0.1
    assert found.gaps[2:].min() > 0.7
    assert " + " in str(found)


def test_masks_are_not_read_and_conditions_are_passed() -> None:
    assert latent_factors(network(Masks), Levels(300), predict=False).moved is None
    worn = latent_factors(network(Conditional), Levels(300, ("smile", "hat")), predict=False, moved=4)
    assert [f.factor for f in worn.follows] == ["first", "second", "third", "fourth", None]


def test_a_factor_that_stands_still_is_said_and_nan() -> None:
    with pytest.warns(UndefinedWarning, match="second: the same in all images"):
        found = latent_factors(network(), Levels(300, still=1), predict=False, moved=4)
    assert np.isnan(found.information[:, 1]).all()
    assert found.follows[1].factor is None
    assert 1 in found.dead
    assert math.isfinite(found.mig)
    assert found.untold == ()


def test_pictures_without_factors_are_refused() -> None:
    with pytest.raises(ParameterError, match="nothing is known of what these pictures were made of"):
        latent_factors(network(), [Levels(1)[0].image])


def test_the_seed_decides(found) -> None:
    again = latent_factors(network(), Levels(1200))
    assert again.to_dict() == found.to_dict()


@pytest.mark.parametrize("suffix", FORMATS)
def test_it_is_saved(found, suffix: str, tmp_path: Path) -> None:
    path = found.save(tmp_path / f"factors.{suffix}")
    if suffix == "json":
        told = json.loads(path.read_text())
        assert [u["follows"] for u in told["units"]] == ["first", "second", "third", "fourth", None]
        assert told["scores"]["mig"] == found.mig
    elif suffix == "csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == 5 * 4
        assert float(rows[5]["information"]) == found.information[1, 1]
    else:
        assert path.stat().st_size > 2000
    assert max(map(len, str(found).splitlines()[:-1])) <= 80  # notes are wrapped where they are shown


def test_factors_are_read_off_pictures_by_their_likes() -> None:
    """Sprites whose factors are known, none of them among those compared with."""
    rng = np.random.default_rng(0)
    samples = [Sprites(3000)[i] for i in range(3000)]
    pictures = torch.from_numpy(np.stack([s.image for s in samples])).permute(0, 3, 1, 2) / 255
    values = np.stack([s.factors for s in samples]).astype(float)
    turns = np.array([4, 2, 1])[values[:, 0].astype(int)]
    factors = [
        Factor("shape", "categorical", values[:, 0]),
        Factor("rotation", "circular", values[:, 2], turns=turns),
        Factor("x", "ordered", values[:, 3]),
    ]
    known = Nearest.of(pictures, factors)
    assert known.way == (1, 1, 0)  # shapes and angles whatever the place; places by pixels
    assert known.unread.max() < 0.2
    new = [(s, rng.uniform(0, 6.28), rng.random()) for s in (0, 1, 2) for _ in range(8)]
    shown = np.stack([draw_sprite(Sprites(1).attributes[s], 0.8, a, x, 0.5) for s, a, x in new])
    shape, angle, x = known.read(torch.from_numpy(shown)[:, None].float())
    assert (shape[0].argmax(1) == [s for s, _, _ in new]).mean() > 0.9
    assert np.abs(x[0][:, 0] - [v for _, _, v in new]).mean() < 0.06
    phase = np.array([a * (4, 2, 1)[s] for s, a, _ in new])
    truth = np.stack([np.cos(phase), np.sin(phase)], 1)
    right = angle[1] == [(4, 2, 1)[s] for s, _, _ in new]
    # A heart and the same upside down have one spectrum: of hearts some are read the wrong way round.
    assert (np.linalg.norm(angle[0] - truth, axis=1)[right] < 0.6).mean() > 0.75


@pytest.fixture(scope="module")
def published():
    """Opened as its user does: β-TCVAE trained on dSprites by its authors, not by us."""
    import seglens as sl

    return sl.load(material("vae/btcvae_dsprites"))


def test_published_dead_units_are_found(published) -> None:
    found = latent_statistics(published, "sprites", 300, attention=None, slopes=8)
    assert found.dead == (0, 1, 5, 7, 9)
    living = [u.sensitivity for u in found.units if u.active]
    assert max(u.sensitivity for u in found.units if not u.active) < min(living) / 10


def test_published_units_follow_factors(published) -> None:
    found = latent_factors(published, "sprites", 3000, moved=12, predict=False)
    told = {f.unit: {f.factor, *f.equally} for f in found.follows if f.unit in found.active}
    assert told[2] == {"scale"}
    assert told[3] == {"rotation", "shape"}
    assert "shape" in told[6]
    assert told[4] == told[8] == {"x", "y"}  # each moves along a diagonal
    assert found.follows[2].moves == "scale"
    for unit in (4, 8):
        assert found.follows[unit].moves in ("x", "y")
        assert found.moved[unit, 1] < 0.2  # and leaves the scale


def test_moving_along_x_moves_the_centroid_in_x_and_not_in_y(published) -> None:
    """The two units of place lie at 45° to x and y; their sum and difference are x and y themselves."""
    image = draw_sprite("ellipse", 0.8, 0.6, 0.5, 0.5).astype(np.uint8) * 255
    moved = {}
    for name, sign in (("along", 1.0), ("across", -1.0)):
        shown = traverse(published, image, {4: 1.0, 8: sign}, np.linspace(-0.5, 0.5, 5), "add", attention=None)
        mass = shown.pictures[0, :, 0]
        total = mass.sum((1, 2))
        y, x = (
            (mass * np.arange(64).reshape(-1, 1)).sum((1, 2)) / total,
            (mass * np.arange(64)).sum((1, 2)) / total,
        )
        moved[name] = np.ptp(x), np.ptp(y)
    horizontal, vertical = sorted(moved.values(), key=lambda v: -v[0])
    assert horizontal[0] > 8 * horizontal[1]
    assert vertical[1] > 8 * vertical[0]
    assert min(horizontal[0], vertical[1]) > 5
