"""Which units matter: planted units that are alive, deaf or dead; tables that fit; cases where nothing can be said."""

import csv
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from seglens.core.errors import ParameterError, UndefinedWarning
from seglens.metrics.latent import kl_divergence
from seglens.run.latent.coding import Coding
from seglens.run.latent.data import gather
from seglens.run.latent.statistics import latent_statistics
from seglens.run.latent.statistics_table import FORMATS
from seglens.testing.untouched import untouched

sys.path.insert(0, str(Path(__file__).parent))
from coders import DEAD, GAIN, SIDE, Conditional, Levels, Masks, Quadrants, network, picture


@pytest.fixture(scope="module")
def found():
    return latent_statistics(network(), Levels(400))


def test_living_units_and_the_dead_one(found) -> None:
    assert found.active == (0, 1, 2, 3)
    assert found.dead == (DEAD,)
    assert found.ranked[-1].unit == DEAD
    assert found.images == 400
    assert "Dead: 4" in str(found)


def test_numbers_are_those_of_the_planted_truth(found) -> None:
    data = Levels(400)
    z = (data.levels - 0.5) / GAIN
    mu = np.array([[(round(255 * v) / 255 - 0.5) / GAIN for v in row] for row in data.levels])
    for i in range(4):
        u = found.units[i]
        assert u.variance == pytest.approx(mu[:, i].var(ddof=1), rel=1e-4)
        assert u.kl == pytest.approx(kl_divergence(mu[:, i : i + 1], np.full((400, 1), -4.0)).mean(), rel=1e-4)
        # Nine levels a step of 0.5 apart, σ = e⁻²: nearly all are told apart.
        assert math.log(9) - 0.25 < u.information < math.log(9) + 0.05
        assert u.information < u.information_upper
        # ∂x̂/∂z is the gain in a quarter of the picture.
        assert u.sensitivity == pytest.approx(GAIN / 2, rel=1e-5)
    dead = found.units[DEAD]
    assert (dead.kl, dead.variance, dead.sensitivity) == (0, 0, 0)
    assert dead.information == pytest.approx(0, abs=1e-9)
    assert z.shape == (400, 4)


def test_each_unit_attends_to_its_quadrant_and_the_dead_one_to_nothing(found) -> None:
    assert found.attention == "grad-cam"
    assert found.layer == "quadrants"
    for i in range(4):
        assert found.units[i].consistency == pytest.approx(1, abs=1e-6)
        assert found.units[i].consistency_others == pytest.approx(-1 / 3, abs=1e-6)  # of two quarters
        assert 10 < found.units[i].maps < 64  # on pictures where the quadrant is above 0.5
    assert found.units[DEAD].maps == 0
    assert math.isnan(found.units[DEAD].consistency)


def test_units_that_only_one_side_uses_are_named() -> None:
    class Half(Quadrants):
        def encode(self, x, condition=None):
            mu, logvar = super().encode(x)
            return mu * torch.tensor([0.0, 1, 1, 1, 0]), logvar

        def decode(self, z, condition=None):
            return super().decode(z * torch.tensor([1.0, 0, 1, 1, 0]))

    said = " ".join(latent_statistics(network(Half), Levels(50), attention=None).notes)
    assert "The decoder hears unit 0, though the encoder never moves it." in said
    assert "The encoder moves unit 1, but the decoder hardly hears it." in said


def test_masks_and_conditions() -> None:
    assert latent_statistics(network(Masks), Levels(60)).active == (0, 1, 2, 3)
    worn = latent_statistics(network(Conditional), Levels(60, ("hat", "smile")), attention=None)
    assert worn.active == (0, 1, 2, 3)
    with pytest.raises(ParameterError, match="conditioned on smile, which these pictures do not tell"):
        latent_statistics(network(Conditional), Levels(60, ("hat",)))
    same = latent_statistics(network(Conditional), Levels(60), condition={"smile": 0, "hat": 0}, attention=None)
    plain = latent_statistics(network(), Levels(60), attention=None)
    assert [u.kl for u in same.units] == pytest.approx([u.kl for u in plain.units])


def test_conditions_go_by_name_whatever_the_sets_order() -> None:
    data = Levels(5, ("hat", "smile"))
    gathered = gather(Coding.of(network(Conditional)), data, 5)
    expected = [[data[i].attributes[1], data[i].attributes[0]] for i in range(5)]
    np.testing.assert_array_equal(gathered.condition, expected)


def test_a_folder_of_pictures_is_data_too(tmp_path: Path) -> None:
    data = Levels(6)
    for i in range(6):
        Image.fromarray(data[i].image[..., 0]).save(tmp_path / f"{i}.png")
    one = latent_statistics(network(), str(tmp_path), attention=None)
    two = latent_statistics(network(), data, attention=None)
    assert one.data == "6 pictures"
    assert [u.kl for u in one.units] == [u.kl for u in two.units]
    with pytest.raises(ParameterError, match=r"no data set, folder or picture 'sprits'\.\n  Nearest: 'sprites'"):
        latent_statistics(network(), "sprits")
    with pytest.raises(ParameterError, match="n = 0"):
        latent_statistics(network(), data, 0)


def test_the_network_is_left_as_it_was_and_the_seed_decides() -> None:
    net = network()
    net.module.train()
    with untouched(net):
        one, two, other = (latent_statistics(net, Levels(80), 40, seed=s) for s in (1, 1, 2))
    assert one.to_dict() == two.to_dict()
    assert one.units[0].kl != other.units[0].kl  # other pictures


def test_one_picture_and_dead_everything() -> None:
    with pytest.warns(UndefinedWarning, match="of one picture only"):
        one = latent_statistics(network(), [picture(0.7, 0.4, 0.5, 0.6)])
    assert one.active == one.dead == ()
    assert all(math.isnan(u.information) and u.active is None for u in one.units)
    assert math.isfinite(one.kl)
    assert "–" in str(one)

    class Dead(Quadrants):
        def encode(self, x, condition=None):
            mu, logvar = super().encode(x)
            return 0 * mu, 0 * logvar

    none = latent_statistics(network(Dead), Levels(20))
    assert none.active == ()
    assert none.dead == (0, 1, 2, 3, 4)
    assert none.kl == 0


@pytest.mark.parametrize("suffix", FORMATS)
def test_it_is_saved(found, suffix: str, tmp_path: Path) -> None:
    path = found.save(tmp_path / f"units.{suffix}")
    if suffix == "json":
        told = json.loads(path.read_text())
        assert told["dead"] == [DEAD]
        assert told["units"][DEAD]["consistency"] is None
        assert len(told["units"]) == told["latent"] == 5
    elif suffix == "csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [int(r["unit"]) for r in rows] == [0, 1, 2, 3, 4]
        assert float(rows[1]["kl"]) == found.units[1].kl
        assert rows[DEAD]["consistency"] == ""
    else:
        assert path.stat().st_size > 2000
        assert path.read_bytes() == found.save(tmp_path / f"again.{suffix}").read_bytes()


def test_the_table_fits_a_terminal(found) -> None:
    assert max(map(len, str(found).splitlines())) <= 80
    assert [row[0] for row in found.table()] == [
        "unit",
        *(f"{u.unit}{' dead' * (u.unit == DEAD)}" for u in found.ranked),
    ]
    assert SIDE == 16
