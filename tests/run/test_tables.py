"""Tables of trained networks: means, leads seed by seed, and scores of masks against planted ones."""

import csv
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

import seglens as sl
from seglens.core.classes import ClassTable
from seglens.core.errors import NameNotFoundError, ParameterError
from seglens.datasets.samples import Sample
from seglens.generative.mgrad2vae import Mgrad2VAE
from seglens.run.tables.masks import attention_of, flat, mask_scores
from seglens.run.tables.table import Run, Spread, Table

CLASSES = ClassTable(("sky", "ground", "thing"))


@dataclass(frozen=True)
class Planted:
    """Pictures whose red channel is the label, in steps of 100."""

    length: int = 3
    ignored: bool = False
    classes: ClassTable | None = CLASSES
    attributes: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    built_in: bool = True

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        labels = rng.integers(0, 3, (4, 6)).repeat(4, 0).repeat(4, 1).astype(np.uint8)
        image = np.zeros((*labels.shape, 3), np.uint8)
        image[..., 0] = labels * 100
        if self.ignored:
            labels = labels.copy()
            labels[:, :12] = 255
        return Sample(image=image, labels=labels if self.classes else None, name=str(index))


class Reader(nn.Module):
    """Logits by the distance of the red channel to that of each class; `turned`: of another class."""

    def __init__(self, sharp=4000.0, turned=0):
        super().__init__()
        self.sharp, self.turned = sharp, turned
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        red = torch.tensor([(k + self.turned) % 3 * 100 / 255 for k in range(3)]).reshape(1, 3, 1, 1)
        return -self.sharp * (x[:, :1] - red) ** 2


class Shown(nn.Module):
    """The attention maps of another network, as its own masks."""

    def __init__(self, other):
        super().__init__()
        self.other = other

    def forward(self, x):
        return self.other.attention_maps(x).attention.log()


def _network(**how):
    return sl.load(Reader(**how), classes=CLASSES, convention={"channels": 3, "mean": (0, 0, 0), "std": (1, 1, 1)})


def test_masks_that_are_the_truth_score_best_in_everything():
    found = mask_scores(_network(), Planted())["masks"]
    assert found.ssim == pytest.approx(1, abs=1e-6)
    assert (found.auc_roc, found.iou, found.accuracy) == (1, 1, 1)
    assert found.jaccard_loss == pytest.approx(0, abs=1e-4)
    assert found.cross_entropy == pytest.approx(0, abs=1e-6)


def test_masks_of_the_wrong_class_everywhere_score_worst():
    found = mask_scores(_network(turned=1), Planted())["masks"]
    assert (found.iou, found.accuracy) == (0, 0)
    assert found.jaccard_loss == pytest.approx(1, abs=1e-4)
    assert found.auc_roc < 0.5


def test_a_network_that_knows_nothing_scores_as_chance_does():
    found = mask_scores(_network(sharp=0.0), Planted())["masks"]
    assert found.auc_roc == 0.5
    assert found.cross_entropy == pytest.approx(np.log(3), abs=1e-6)
    # Of n pixels a share f in the class: the sum of y·p is f n / 3, of the union f n + n / 3 − f n / 3.
    expected = []
    for sample in map(Planted().__getitem__, range(3)):
        for k in np.unique(sample.labels):
            f = (sample.labels == k).mean()
            expected.append(1 - (f / 3) / (f + 1 / 3 - f / 3))
    assert found.jaccard_loss == pytest.approx(np.mean(expected), abs=1e-6)


def test_attention_maps_are_scored_like_masks_where_there_are_any():
    assert set(mask_scores(_network(), Planted())) == {"masks"}
    small = {"classes": CLASSES.names, "size": (16, 24), "latent": 4, "widths": (4, 6), "dense": 8, "branch": 4}
    torch.manual_seed(0)
    attentive, plain = Mgrad2VAE(**small), Mgrad2VAE(**small, attention="none")
    how = {"classes": CLASSES, "convention": {"channels": 3, "mean": (0, 0, 0), "std": (1, 1, 1)}}
    found = mask_scores(sl.load(attentive, **how), Planted())
    shown = flat({"attention": mask_scores(sl.load(Shown(attentive), **how), Planted())["masks"]})
    assert flat({"attention": found["attention"]}) == pytest.approx(shown, rel=1e-5)
    assert found["attention"] != found["masks"]
    assert set(flat(found)) >= {"masks.ssim", "attention.iou"}
    assert set(mask_scores(sl.load(plain, **how), Planted())) == {"masks"}
    assert attention_of(nn.Identity(), torch.zeros(1, 3, 4, 4)) is None


def test_pixels_without_a_label_do_not_count():
    right, half = (mask_scores(_network(turned=1), Planted(ignored=i))["masks"] for i in (False, True))
    assert half.accuracy == right.accuracy == 0
    assert mask_scores(_network(), Planted(ignored=True))["masks"].accuracy == 1


def test_a_set_without_labels_is_refused():
    with pytest.raises(ParameterError, match="no labels"):
        mask_scores(_network(), Planted(classes=None))


def _table():
    runs = [Run("a", s, {"up": 0.5 + 0.1 * s, "down": 1.0 - s}, {"parameters": 7}) for s in range(3)]
    runs += [Run("b", s, {"up": 0.4 + 0.1 * s, "down": 2.0}) for s in (1, 2)]
    return Table(title="T", about="on this", columns=("up", "down"), runs=tuple(runs), lower=frozenset({"down"}))


def test_means_and_deviations_are_over_the_seeds_of_a_row():
    spread = _table().spread("a", "up")
    assert (spread.mean, spread.n) == (pytest.approx(0.6), 3)
    assert spread.deviation == pytest.approx(0.1)
    assert Spread.over([]).text() == "–"
    assert np.isnan(Spread.over([1.0]).deviation)
    assert Spread.over([1.0, float("nan"), 3.0]).n == 2


def test_a_lead_compares_the_seeds_that_both_have_and_knows_which_way_is_better():
    table = _table()
    up, down = table.lead("a", "b", "up"), table.lead("a", "b", "down")
    assert (up.mean, up.ahead, up.n) == (pytest.approx(0.1), 2, 2)
    assert down.mean == pytest.approx(2.5)  # (2 − 0 + 2 − (−1)) / 2, less being better
    assert down.text() == "+2.500 ± 0.707 (2 of 2)"
    assert table.lead("b", "a", "up").ahead == 0


def test_a_table_writes_every_network_and_every_mean(tmp_path):
    table = _table()
    rows = list(csv.DictReader(table.save(tmp_path / "t.csv").read_text().splitlines()))
    assert [(r["row"], r["seed"]) for r in rows] == [("a", "0"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", "2")]
    assert rows[0]["parameters"] == "7"
    plain = json.loads(table.save(tmp_path / "t.json").read_text())
    assert plain["rows"][1]["up"]["n"] == 2
    assert "| a | 0.600 ± 0.100 | 0.000 ± 1.000 | 3 |" in table.save(tmp_path / "t.md").read_text()
    with pytest.raises(NameNotFoundError):
        table.save(tmp_path / "t.xyz")


def test_two_networks_of_one_row_and_seed_are_a_mistake():
    with pytest.raises(ParameterError, match="two networks of seed 0"):
        Table(title="", about="", columns=(), runs=(Run("a", 0, {}), Run("a", 0, {})))
