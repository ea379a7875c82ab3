"""Tables 1 to 3 of the Mgrad2VAE paper: masks and attention maps, beside other networks and beside controls.

The attention branch is trained on the masks, so that it is a second decoder whatever it is fed: that its maps are good
says nothing about second-order derivatives by itself. So the same network is trained with the derivatives replaced by
plain activations, by first gradients and by noise, and without the branch, with the same seeds, data and steps.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from seglens.core.errors import NameNotFoundError, suggest
from seglens.datasets.samples import open_dataset
from seglens.networks import load
from seglens.run.bench.clock import Listener
from seglens.run.tables.jobs import Job, run_jobs
from seglens.run.tables.masks import flat, mask_scores
from seglens.run.tables.table import Lead, Table
from seglens.run.training.presets import preset
from seglens.run.training.recipe import Recipe

ROWS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "mgrad2vae": {},
        "deep-vae": {"model.attention": "none"},
        "activations": {"model.attention": "activations"},
        "gradients": {"model.attention": "gradients"},
        "noise": {"model.attention": "noise"},
        "diag": {"model.attention": "diag"},
        "curvature": {"model.attention": "curvature"},
        "paper": {"model.activation": "relu", "model.of": "sample"},
        "xception-unet": {"kind": "segmenter", "architecture": "XceptionUNet"},
    }
)
"""What is compared, as changes of the recipe of Mgrad2VAE.

deep-vae: the same network without its attention branch. activations, gradients, noise: controls, the branch fed with
these instead. diag, curvature: other second-order derivatives. paper: rectifiers and a sampled latent vector, the
published setting. xception-unet: a U-Net with an encoder after Xception, trained from random weights.
"""

USUAL = ("mgrad2vae", "deep-vae", "activations", "gradients", "noise", "xception-unet")

_SMALL: Mapping[str, Any] = MappingProxyType(
    {
        "data.size": [48, 96],
        "data.train": 1000,
        "data.validation": 100,
        "data.test": 200,
        "steps": 400,
        "model.widths": [8, 16, 24, 32],
    }
)

COLUMNS = ("masks.ssim", "attention.ssim", "masks.auc_roc", "attention.auc_roc", "masks.iou", "attention.iou")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which networks are trained: rows of `ROWS`, each with `seeds` seeds, all from one recipe."""

    recipe: Recipe
    rows: tuple[str, ...] = USUAL
    seeds: int = 5

    def __post_init__(self) -> None:
        for row in self.rows:
            if row not in ROWS:
                raise NameNotFoundError(f"no row {row!r}.{suggest(row, ROWS)}\n  All of them: {', '.join(ROWS)}.")

    def jobs(self) -> list[Job]:
        """Seed by seed, so that an interrupted table has whole seeds."""
        return [
            Job(row, _changed(self.recipe, row).with_({"seed": seed}))
            for seed in range(self.recipe.seed, self.recipe.seed + self.seeds)
            for row in self.rows
        ]


def plan_for(
    data: str = "streets",
    *,
    rows: Sequence[str] = USUAL,
    seeds: int = 5,
    changes: Mapping[str, Any] | None = None,
) -> Plan:
    """The plan for a data set; changes of the recipe by dotted names, such as {'steps': 400}.

    By default the encoder has the paper's kernels, and pictures and steps are what two processor cores do in an hour
    for five seeds of the usual rows.
    """
    return Plan(recipe=preset("mgrad2vae", data).with_({**_SMALL, **(changes or {})}), rows=tuple(rows), seeds=seeds)


def mgrad2vae_table(plan: Plan, out: Path, *, device: str | None = None, listener: Listener | None = None) -> Table:
    """Train what is missing in `out`, score it on the test split, and give the table.

    Scores are means over seeds; see `tables.masks.MaskScores`. The paper scored grey values of colour-coded masks and
    split video frames at random; here classes are scored, and splits share no sequence: only the order of the rows
    can be compared with its tables.
    """
    data = plan.recipe.data
    test = open_dataset(data.name, "test", size=data.size, length=data.test, seed=data.seed)

    def score(folder: Path) -> Mapping[str, float]:
        return flat(mask_scores(load(folder / "network.safetensors"), test))

    runs = run_jobs(plan.jobs(), out, score, device=device, listener=listener)
    made = "built-in data made by rule" if test.built_in else "the user's own copy of the data"
    size = "" if data.size is None else f" at {data.size[0]} × {data.size[1]}"
    long = f"{plan.recipe.steps} steps" if plan.recipe.steps else f"{plan.recipe.epochs} epochs"
    about = f"{data.name}{size} ({made}), {len(test)} test pictures; {long} of {plan.recipe.batch} each"
    return Table(title="Mgrad2VAE", about=about, columns=COLUMNS, runs=runs)


def notes(table: Table) -> list[str]:
    """In words: how far masks and maps of Mgrad2VAE are ahead or behind those of other rows, in AUC-ROC."""
    mine = "mgrad2vae"
    found: list[str] = []
    for row in table.rows if mine in table.rows else ():
        if row == mine:
            continue
        found.append(_said("masks", f"those of {row}", table.lead(mine, row, "masks.auc_roc")))
        if table.spread(row, "attention.auc_roc").n:
            found.append(_said("attention", f"that of {row}", table.lead(mine, row, "attention.auc_roc")))
        else:
            lead = table.lead(mine, row, "attention.auc_roc", "masks.auc_roc")
            found.append(_said("attention", f"the masks of {row}", lead))
    return found


def _said(what: str, other: str, lead: Lead) -> str:
    word = "ahead of" if lead.mean >= 0 else "behind"
    return f"{what}: {word} {other}, {lead.text()}"


def _changed(recipe: Recipe, row: str) -> Recipe:
    changes = dict(ROWS[row])
    if changes.get("kind") == "segmenter":
        # Another architecture, of which only what is shown, for how long and with which optimiser is the same.
        plain = recipe.to_dict()
        plain.pop("model", None)
        plain.pop("architecture", None)
        plain["loss"] = {"reconstruction": "cross-entropy", "beta": 0.0}
        return Recipe.from_dict({**plain, **changes})
    return recipe.with_(changes)
